"""What is done to agents and to a server's limits is undone for each of them, and never done to a stranger."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from backends.clock import SystemClock, VirtualClock
from backends.disk import RealDisk
from backends.posix_signals import SIGKILL
from backends.processes import Liveness, ProcessIdentity, SystemProcessTable
from backends.simulated_processes import SimulatedProcessTable
from backends.tmux import TmuxMultiplexer
from harness.guardian import LEDGER, NOTE, WorldRemains, end_world, importing, ledger_of, short_directory
from harness.hurting import DescriptorLimit, agent_events
from harness.small_disk import SmallDisk, small_disks_are_possible
from harness.world import LiveTmuxWorld


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


class Immortal(SimulatedProcessTable):
    """Its processes cannot be killed, as those are not that wait for a device."""

    def signal(self, identity: ProcessIdentity, signum: int) -> bool:
        """See `ProcessTable.signal`."""
        return True


def test_what_of_a_world_cannot_be_ended_is_told() -> None:
    """With how to do it by hand; its directory stays as long as somebody may be at work in it."""
    clock = VirtualClock()
    table, base = Immortal(clock), short_directory()
    left = table.spawn({LEDGER: str(ledger_of(base))})

    with pytest.raises(WorldRemains, match=f"live on: `kill -KILL {left.pid}` ends them, `rm -r {base}` removes it"):
        end_world(base, table, clock)
    assert clock.monotonic() >= 10
    base.rmdir()


def test_a_directory_of_a_world_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    """As one is not that somebody has put a link in the place of."""
    clock, base = VirtualClock(), tmp_path / "base"
    base.symlink_to(tmp_path)

    with pytest.raises(WorldRemains, match=f"{base} could not be removed: .*symbolic link.*: `rm -r {base}`"):
        end_world(base, SimulatedProcessTable(clock), clock)


def test_a_directory_of_a_world_that_is_gone_already_is_no_failure(tmp_path: Path) -> None:
    """Whoever ends a world may be two."""
    clock = VirtualClock()

    end_world(tmp_path / "gone", SimulatedProcessTable(clock), clock)


def test_a_guardian_that_cannot_end_a_world_says_so(tmp_path: Path) -> None:
    """Also where nobody hears it, and its exit code does."""
    (tmp_path / "base").symlink_to(tmp_path)
    argv = [sys.executable, "-m", "harness.guardian", str(tmp_path / "base")]
    done = SystemProcessTable().run(argv, timeout_s=60, env=importing(os.environ))

    assert (done.status, done.stderr[:7], b"`rm -r " in done.stderr) == (1, b"error: ", True)
    assert (tmp_path / NOTE).read_bytes() == done.stderr[7:]


@pytest.mark.live
@pytest.mark.skipif(not TmuxMultiplexer(Path("/tmp/sm-none")).available(), reason="no tmux of 3.2a or later here")
def test_a_live_world_that_could_not_be_ended_can_be_closed_again() -> None:
    """The first time says what is left, the second time nothing is."""
    world = LiveTmuxWorld()
    base = world.project.parent
    kept = base.with_name(f"{base.name}-kept")
    base.rename(kept)
    base.symlink_to(kept)
    with pytest.raises(WorldRemains, match=f"{base} could not be removed"):
        world.close()
    base.unlink()
    kept.rename(base)

    world.close()
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
