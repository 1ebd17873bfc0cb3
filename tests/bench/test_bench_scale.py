"""The benchmark of many sessions measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_scale import WORK_S, Grown, calls, main, records, run_one, table
from measuring import Measured


def test_a_run_of_many_sessions_has_them_all_at_once() -> None:
    """Three sessions take the simulated time of one."""
    one = run_one(3, seed=1)

    assert one.sessions == 3
    assert WORK_S <= one.simulated_s < 2 * WORK_S
    assert one.cpu_s > 0


def test_the_calls_differ_by_their_injectors_alone() -> None:
    """Each is answered; what stands around it is measured."""
    assert calls().keys() == {"bare", "injector, inactive", "injector, active"}
    for call in calls().values():
        for number in range(3):
            call(number)


def test_lines_and_states_are_written() -> None:
    """As a run does, on the real disk."""
    with records() as written:
        for write in written.values():
            write(1)
    assert written.keys() >= {"journal line", "journal line, synced", "state of 3", "state of 1000"}


def test_each_host_has_a_run_of_each_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each in a process of its own, with its progress told."""
    words = [
        "--rounds",
        "1",
        "--sizes",
        "2,1",
        "--hosts",
        "2",
        "--jobs",
        "2",
        "--idle",
        "1",
        "--json",
        str(tmp_path / "found.json"),
    ]

    assert main(words) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["sessions"] for one in found["runs"]] == [1, 1, 2, 2]
    told = capsys.readouterr()
    assert "2 sessions, host 2 of 2, 0 more to begin ..." in told.err.splitlines()
    assert told.out.splitlines()[-2].split()[0] == "6"
    assert 0 <= found["idle"]["1"] < 1


def test_the_table_tells_what_a_session_takes() -> None:
    """And what an injector adds to a call."""
    small = {"bare": Measured((1e-6, 3e-6, 2e-6)), "injector, inactive": Measured((4e-6, 5e-6, 6e-6))}

    lines = table(small, [Grown(10, 0.5, 60.0, 2.0)], {100: 0.00026}).splitlines()

    assert lines[2].split() == ["injector,", "inactive", "4.0", "5.0", "6.0", "3.0"]
    assert lines[-1] == "watching 100 idle sessions: 0.026% of a core, wanted 0.05%"
    assert lines[-2].split() == ["10", "0.50", "50.0", "60", "2.0", "204.8"]
