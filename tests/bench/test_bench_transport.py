"""The benchmark of the transports measures what it says."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest
from bench_transport import (
    DEADLINE_S,
    DEATH,
    FROZEN,
    LIMITS,
    MIRRORED,
    RESULT,
    Finding,
    document,
    frozen,
    grounds,
    main,
    sizes,
    table,
)
from measuring import Measured, measure

CONTROL = Measured((0.001, 0.002, 0.001))
PROCESS = Measured((0.030, 0.040, 0.025))


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_everybody_is_asked_in_every_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One table and one document; the time that something took never decides about the exit status."""
    assert main(["--rounds", "2", "--sizes", "2", "--json", str(tmp_path / "found.json")]) == 0

    found = json.loads((tmp_path / "found.json").read_text())["findings"]
    assert {one["way"] for one in found if one["subject"] == "has_session"} == {
        "control",
        "process",
        "libtmux",
        "client",
    }
    assert {one["windows"] for one in found if one["way"] == "polling"} == {2}
    assert {one["subject"] for one in found} >= {*LIMITS, "new_window", FROZEN, DEATH, MIRRORED, RESULT}
    assert all(len(one["ms"]["rounds"]) == 2 and one["ms"]["min"] >= 0 for one in found)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(found)


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None or sys.platform != "linux", reason="no tmux here, or no /proc")
def test_processor_time_is_that_of_everybody_who_takes_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A client's is counted with it, so a process for a call is dearer than none."""
    words = ["--processor", "--rounds", "1", "--sizes", "1", "--json", str(tmp_path / "found.json")]

    assert main(words) == 0
    document = json.loads((tmp_path / "found.json").read_text())
    ms = {one["way"]: one["ms"]["median"] for one in document["findings"] if one["subject"] == "has_session"}
    assert document["time"] == "processor"
    assert ms["process"] > ms["control"]
    assert FROZEN not in capsys.readouterr().out


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_a_server_that_is_late_before_it_is_stopped_is_waited_for() -> None:
    """What other work does to the host for a moment does not end a benchmark of minutes."""
    with grounds() as ground:
        ground.grow(1)
        os.kill(ground.server_pid, signal.SIGSTOP)
        thaw = threading.Timer(4 * DEADLINE_S, os.kill, (ground.server_pid, signal.SIGCONT))
        thaw.start()
        try:
            found = frozen(ground, 1)
        finally:
            thaw.join()

    assert {one.way for one in found} == {"control", "process"}


def test_a_finding_says_how_many_times_as_long_and_what_was_wanted() -> None:
    """Round by round; the listing of a thousand windows has a wish of its own."""
    process = Finding(10, "has_session", "process", PROCESS, CONTROL)

    assert process.times == 25.0
    assert process.wanted == 25
    assert Finding(1000, "list_windows", "libtmux", PROCESS, CONTROL).wanted == 40.0
    assert Finding(1000, "list_windows", "control", CONTROL, CONTROL).wanted_ms == 6
    assert Finding(0, LIMITS[0], "", PROCESS).times is None
    assert table([process]).splitlines()[0].split() == [
        "10",
        "has_session",
        "process",
        *["25.000", "30.000", "40.000", "25.0", "25"],
    ]
    assert document([process], 3, (1.0, 2.0, 3.0))["findings"][0]["ms"]["max"] == 40.0


def test_rounds_have_orders_of_their_own() -> None:
    """With dice, and the same ones for the same seed; every subject has its turn in every round."""
    turns: list[str] = []
    subjects = {name: lambda number, name=name: turns.append(name) for name in "abcdef"}

    measure(subjects, rounds=3, seconds=1e-9, now=iter(range(100)).__next__, dice=random.Random(1))

    rounds = [turns[:6], turns[6:12], turns[12:]]
    assert all(sorted(one) == list("abcdef") for one in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_sizes_are_told_in_any_order() -> None:
    """They are measured from the smallest on, each once."""
    assert sizes("100,1,100") == (1, 100)
    with pytest.raises(Exception, match="expected a whole number"):
        sizes("1,none")
