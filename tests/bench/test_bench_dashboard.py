"""The benchmark of the dashboard measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_dashboard import WANTED_MS, main, make_runs, table

from harness.commands.host import this_host
from harness.dashboard.reader import RunsReader
from harness.record import RunStatus


def test_its_runs_are_over_and_nothing_is_odd_about_them(tmp_path: Path) -> None:
    """So that what is measured is what most runs are; every tenth has crashed."""
    host = this_host()
    make_runs(host, tmp_path, 20)
    reader = RunsReader(host.disk, tmp_path, clock=host.clock, processes=host.processes, entropy=host.entropy)

    views = reader.refresh().views

    assert [view.status.name for view in views].count(RunStatus.CRASHED) == 2
    assert {view.status.notes for view in views} == {()}
    assert {len(view.events) for view in views} == {30}


def test_it_writes_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Every round of everything that something is wanted of."""
    assert main(["--runs", "2", "--rounds", "1", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["ms"].keys() == {"startup", *WANTED_MS}
    assert all(costs and min(costs) > 0 for costs in document["ms"].values())


def test_the_table_tells_least_middle_and_most() -> None:
    """Beside what is wanted."""
    assert table({"list": [1.0, 3.0, 2.0]}, 5).splitlines()[-1].split() == ["list", "1.0", "2.0", "3.0", "300"]
