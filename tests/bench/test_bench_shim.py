"""The benchmark of the shim measures what it says."""

from __future__ import annotations

import json
import shutil

import pytest
from bench_shim import BARE, WAYS, main, table
from measuring import Measured


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_every_way_is_measured_in_every_round(capsys: pytest.CaptureFixture[str]) -> None:
    """As one document."""
    assert main(["--rounds", "2", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {BARE, *WAYS}
    assert all(len(costs) == 2 and min(costs) > 0 for costs in document.values())


def test_the_table_tells_how_many_times_the_bare_call() -> None:
    """Round by round, so that a noisy one counts for both."""
    lines = table({BARE: Measured((0.001, 0.010)), "other": Measured((0.002, 0.020))}).splitlines()

    assert lines[1].split()[-3:] == ["5.5", "1.00", "1.0"]
    assert lines[2].split() == ["other", "11.0", "2.00", "2.0"]
