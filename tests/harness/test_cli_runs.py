"""Where runs are kept, and which of them is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.clock import VirtualClock
from backends.entropy import SeededEntropy
from backends.memory_disk import MemoryDisk
from harness.commands.mishaps import as_expected
from harness.runs import NoHome, RunNotFound, find_run, new_run_id, resolve_root, root_of

CWD = Path("/sim/here")
HOME = {"HOME": "/home/a"}


@pytest.mark.parametrize(
    ("given", "environment", "root"),
    [
        ("/x", {"SEAMRIPPER_ROOT": "/y", "XDG_STATE_HOME": "/z"}, "/x"),
        ("x/../y", {}, "/sim/here/y"),
        (None, {"SEAMRIPPER_ROOT": "/y", "XDG_STATE_HOME": "/z"}, "/y"),
        (None, {"SEAMRIPPER_ROOT": "y"}, "/sim/here/y"),
        (None, {"SEAMRIPPER_ROOT": "", "XDG_STATE_HOME": "/z"}, "/z/seamripper"),
        (None, {"XDG_STATE_HOME": "relative", **HOME}, "/home/a/.local/state/seamripper"),
        (None, {"XDG_STATE_HOME": "", **HOME}, "/home/a/.local/state/seamripper"),
        (None, HOME, "/home/a/.local/state/seamripper"),
        (None, {}, "/home/account/.local/state/seamripper"),
        (None, {"HOME": ""}, "/home/account/.local/state/seamripper"),
        (None, {"HOME": "relative", "XDG_STATE_HOME": "relative"}, "/home/account/.local/state/seamripper"),
    ],
)
def test_the_root_is_what_was_said_most_explicitly(given: str | None, environment: dict[str, str], root: str) -> None:
    """Option, then SEAMRIPPER_ROOT, then the user's state directory; always absolute."""
    assert resolve_root(given, environment, CWD, lambda: "/home/account") == Path(root)


@pytest.mark.parametrize("environment", [{}, {"HOME": ""}, {"HOME": "a", "XDG_STATE_HOME": "b"}], ids=str)
@pytest.mark.parametrize("account", ["", "nowhere"])
def test_without_a_home_nothing_is_made_up(environment: dict[str, str], account: str) -> None:
    """A root at the top of the file system is nobody's; what was said about the root still counts."""
    with pytest.raises(NoHome):
        resolve_root(None, environment, CWD, lambda: account)

    assert resolve_root("/x", environment, CWD, lambda: account) == Path("/x")


@pytest.fixture
def disk() -> MemoryDisk:
    """A root with two runs, a probe, and something that is no run."""
    made = MemoryDisk(VirtualClock())
    for name in ("20260101-000000-aaaaaa", "20260102-000000-bbbbbb", "probes/20260103-000000-cccccc"):
        made.mkdir(f"/kept/{name}")
        made.write(f"/kept/{name}/state.json", b"{}")
    made.mkdir("/kept/other")
    return made


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("20260101-000000-aaaaaa", "20260101-000000-aaaaaa"),
        ("20260101", "20260101-000000-aaaaaa"),
        ("bbb", "20260102-000000-bbbbbb"),
        ("ccc", "probes/20260103-000000-cccccc"),
        ("../../kept/20260101-000000-aaaaaa/", "20260101-000000-aaaaaa"),
        ("/kept/20260102-000000-bbbbbb", "20260102-000000-bbbbbb"),
    ],
)
def test_a_run_is_meant_by_id_beginning_end_or_path(disk: MemoryDisk, reference: str, name: str) -> None:
    """Whatever is unique will do."""
    assert find_run(disk, Path("/kept"), reference, CWD) == Path("/kept", name)


def test_a_whole_id_wins_over_longer_ones_that_begin_so(disk: MemoryDisk) -> None:
    """Otherwise a run could become unreachable by a later one."""
    disk.mkdir("/kept/2026")
    disk.write("/kept/2026/state.json", b"{}")

    assert find_run(disk, Path("/kept"), "2026", CWD) == Path("/kept/2026")


def test_what_is_not_unique_is_answered_with_the_candidates(disk: MemoryDisk) -> None:
    """Nothing is guessed; nothing in the middle of an id counts."""
    with pytest.raises(RunNotFound, match="means 3 runs: 20260101-000000-aaaaaa, 20260102"):
        find_run(disk, Path("/kept"), "2026", CWD)
    for reference in ("000000", "other", "", "zzz"):
        with pytest.raises(RunNotFound, match="there is no run"):
            find_run(disk, Path("/kept"), reference, CWD)


def test_the_root_of_a_run_is_found_from_its_directory() -> None:
    """Nested runs and probes belong to the same server as the runs beside them."""
    for name in ("run", "run/nested/child", "run/nested/child/nested/grandchild", "probes/run"):
        assert root_of(Path("/kept", name)) == Path("/kept")


def test_run_ids_tell_when_and_stay_apart() -> None:
    """Sorted by name they are sorted by time; two of the same second differ."""
    clock, entropy = VirtualClock(), SeededEntropy(0)
    first, second = new_run_id(clock, entropy), new_run_id(clock, entropy)

    assert first != second
    assert first[:16] == second[:16] == "20260101-000000-"


def test_who_has_no_home_is_told_to_name_a_root() -> None:
    """One line, and a usage error."""
    told = as_expected(NoHome("there is no home"))

    assert told is not None
    assert told.code == 2
    assert "--root" in told.advice
