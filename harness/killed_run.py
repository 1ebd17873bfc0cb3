"""A run on a real disk whose process kills itself: a real SIGKILL, at one exact change of the disk.

Multiplexer and agents are simulated, so a story takes a moment and goes the same way every time; files, locks and the engine's
process are real. As a program, `BASE STORY CHANGES`: kills itself after so many changes of the disk, or tells how many there
were if there were not as many. What the engine has acknowledged by then is on standard output, a line each.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from backends.clock import SystemClock, VirtualClock
from backends.disk import LockHandle, RealDisk, StrPath
from backends.entropy import SeededEntropy
from backends.fake import FakeMultiplexer
from backends.processes import ProcessTable, SystemProcessTable
from backends.simulated_processes import SimulatedProcessTable
from backends.simulation import FakeServer
from harness.agents import plan_of, profiles_for
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.engine.summary import RunSummary
from harness.simulated import Agents
from harness.stories import story_of

__all__ = ["RUN", "carry_out", "main"]

RUN = "run-1"
"""The run's directory, below the base."""


class CountingDisk(RealDisk):
    """The real disk; `changed` is told the number of every change once it is made."""

    def __init__(self, changed: Callable[[int], None] = lambda changes: None) -> None:
        super().__init__()
        self.changes = 0
        self._changed = changed

    def _count(self) -> None:
        self.changes += 1
        self._changed(self.changes)

    def write(self, path: StrPath, data: bytes) -> None:
        """See `Disk.write`."""
        super().write(path, data)
        self._count()

    def append(self, path: StrPath, data: bytes) -> int:
        """See `Disk.append`."""
        taken = super().append(path, data)
        self._count()
        return taken

    def truncate(self, path: StrPath, size: int) -> None:
        """See `Disk.truncate`."""
        super().truncate(path, size)
        self._count()

    def fsync(self, path: StrPath) -> None:
        """See `Disk.fsync`."""
        super().fsync(path)
        self._count()

    def replace(self, source: StrPath, target: StrPath) -> None:
        """See `Disk.replace`."""
        super().replace(source, target)
        self._count()

    def remove(self, path: StrPath) -> None:
        """See `Disk.remove`."""
        super().remove(path)
        self._count()

    def mkdir(self, path: StrPath, *, private: bool = False) -> None:
        """See `Disk.mkdir`."""
        super().mkdir(path, private=private)
        self._count()

    def lock(self, path: StrPath) -> LockHandle:
        """See `Disk.lock`."""
        handle = super().lock(path)
        self._count()
        return handle


def carry_out(
    base: Path,
    story: str,
    *,
    disk: RealDisk,
    processes: ProcessTable,
    resume: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> RunSummary:
    """Tell that story in `base`, or with `resume` go on with it, on a host whose multiplexer has just come up."""
    told = story_of(story)
    clock = VirtualClock()
    # Another seed for another drive: nothing may be taken for something of the last one.
    entropy, agents = SeededEntropy(int(resume)), Agents()
    server = FakeServer(clock, SimulatedProcessTable(clock), disk, agents)
    plan = plan_of(*told.tasks, project=str(base), **told.settings)
    outside = Surroundings(
        multiplexer=FakeMultiplexer(server),
        clock=clock,
        disk=disk,
        processes=processes,
        entropy=entropy,
        profiles=profiles_for(plan, disk, "/sim/bin/python3", 1.0, "/sim/lib/scripted.py"),
        progress=progress,
    )
    return Engine(plan, base / RUN, outside, resume=resume, handle_signals=False).run()


def main(argv: Sequence[str]) -> int:
    """See the module."""
    base, story, due = Path(argv[0]), argv[1], int(argv[2])
    processes = SystemProcessTable(SystemClock())
    me = processes.me()

    def changed(changes: int) -> None:
        if changes == due:
            processes.signal(me, signal.SIGKILL)

    def acknowledged(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    disk = CountingDisk(changed)
    carry_out(base, story, disk=disk, processes=processes, progress=acknowledged)
    acknowledged(str(disk.changes))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
