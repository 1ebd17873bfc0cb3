"""What is done to agents and to a server's limits is undone for each of them, and never done to a stranger."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from backends.clock import SystemClock, VirtualClock
from backends.disk import RealDisk
from backends.posix_signals import SIGKILL
from backends.processes import Liveness, ProcessIdentity, SystemProcessTable
from backends.simulated_processes import SimulatedProcessTable
from harness.guardian import LEDGER, end_world, ledger_of, short_directory
from harness.hurting import DescriptorLimit, agent_events
from harness.small_disk import SmallDisk, small_disks_are_possible


def test_an_agent_that_cannot_be_let_go_keeps_no_other_one_waiting() -> None:
    """All are tried, and who has ended since is none of them: somebody else may have its terminal."""
    table = SimulatedProcessTable(VirtualClock())
    agents = [table.spawn() for _ in range(4)]
    tried: list[ProcessIdentity] = []

    def let_go(agent: ProcessIdentity) -> None:
        tried.append(agent)
        raise OSError("no terminal")

    freeze = agent_events(table, lambda: agents, lambda agent: None, let_go)["freeze_agent"]
    freeze.happen()
    table.exit(agents[2].pid)

    with pytest.raises(OSError, match="no terminal"):
        freeze.undo()
    assert sorted(agent.pid for agent in tried) == sorted(agent.pid for agent in agents if agent != agents[2])


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are Linux's")
def test_a_limit_is_lifted_from_the_server_that_had_it_and_from_nobody_else() -> None:
    """Whoever has its pid by then keeps the limits that it has."""
    if sys.platform != "linux":
        return
    table = SystemProcessTable()
    job = table.start(["sleep", "600"], timeout_s=600, newest=0)
    try:
        (child,) = psutil.Process().children()
        began = table.identify(child.pid)
        assert began is not None
        known = [ProcessIdentity(began.pid, began.started + 100, began.boot_id)]
        limit = DescriptorLimit(lambda: known[0], table, RealDisk(), SystemClock()).event("no_ptys", free=1)
        before = child.rlimit(psutil.RLIMIT_NOFILE)

        limit.happen()
        untouched = child.rlimit(psutil.RLIMIT_NOFILE)
        known[0] = began
        limit.happen()
        limited = child.rlimit(psutil.RLIMIT_NOFILE)
        limit.undo()
        assert untouched == before
        assert limited[0] < before[0]
        assert child.rlimit(psutil.RLIMIT_NOFILE) == before
    finally:
        job.end()


class Inside(SimulatedProcessTable):
    """Asked by another process than the first."""

    asking: ProcessIdentity | None = None

    def me(self) -> ProcessIdentity:
        """See `ProcessTable.me`."""
        return self.asking or super().me()


def test_whoever_ends_a_world_from_inside_of_it_does_not_end_itself() -> None:
    """It carries the variable of the world as well, and is gone by itself when that is over."""
    clock = VirtualClock()
    table, base = Inside(clock), short_directory()
    inside = {LEDGER: str(ledger_of(base))}
    other, stranger, table.asking = table.spawn(inside), table.spawn({LEDGER: "/elsewhere"}), table.spawn(inside)

    end_world(base, table, clock)

    assert table.sent == [(other.pid, SIGKILL)]
    assert clock.monotonic() < 1
    assert table.liveness(stranger) is Liveness.ALIVE
    assert not base.exists()


@pytest.mark.live
def test_a_small_disk_that_is_gone_is_not_taken_for_a_full_one(tmp_path: Path) -> None:
    """Only a disk without room is full; whatever else keeps it from being filled is told."""
    if not small_disks_are_possible():
        pytest.skip("no small file system can be mounted here")
    (tmp_path / "small").mkdir()
    small = SmallDisk(tmp_path / "small", tmp_path / "note", {})
    small.fill()
    small.empty()
    small.end()

    with pytest.raises(FileNotFoundError):
        small.fill()
