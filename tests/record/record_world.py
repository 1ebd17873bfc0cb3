"""A simulated world with one run in it, and a disk that fails where it is told to."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backends.clock import VirtualClock
from backends.disk import StrPath
from backends.entropy import SeededEntropy
from backends.memory_disk import MemoryDisk
from backends.simulated_processes import SimulatedProcessTable
from harness.record import Driver, RunState, RunStore, TaskState

RUN = "/runs/r-1"


class FailingDisk(MemoryDisk):
    """Fails every operation for which `fails(operation, path)` answers an errno; all of them are listed in `done`."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: Callable[[str, str], int | None] = lambda operation, path: None
        self.done: list[tuple[str, str]] = []

    def _ask(self, operation: str, path: StrPath) -> None:
        self.done.append((operation, str(path)))
        code = self.fails(operation, str(path))
        if code is not None:
            raise OSError(code, errno.errorcode[code], str(path))

    def read(self, path: StrPath, limit: int = 1 << 26) -> bytes:
        """Reads, unless it fails."""
        self._ask("read", path)
        return super().read(path, limit)

    def write(self, path: StrPath, data: bytes) -> None:
        """Writes, unless it fails."""
        self._ask("write", path)
        super().write(path, data)

    def append(self, path: StrPath, data: bytes) -> int:
        """Appends, unless it fails."""
        self._ask("append", path)
        return super().append(path, data)

    def fsync(self, path: StrPath) -> None:
        """Syncs, unless it fails."""
        self._ask("fsync", path)
        super().fsync(path)

    def replace(self, source: StrPath, target: StrPath) -> None:
        """Renames, unless it fails; the path asked about is the target."""
        self._ask("replace", target)
        super().replace(source, target)

    def mkdir(self, path: StrPath, *, private: bool = False) -> None:
        """Makes a directory, unless it fails."""
        self._ask("mkdir", path)
        super().mkdir(path, private=private)


@dataclass
class World:
    """Disk, clock, processes and standard error of a simulated host."""

    disk: FailingDisk = field(default_factory=FailingDisk)
    clock: VirtualClock = field(default_factory=VirtualClock)
    stderr: io.StringIO = field(default_factory=io.StringIO)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.processes = SimulatedProcessTable(self.clock)
        self.entropy = SeededEntropy(1)

    def store(self, run_dir: str = RUN) -> RunStore:
        """A store that has read nothing yet, as another process would make it."""
        return RunStore(
            run_dir,
            disk=self.disk,
            clock=self.clock,
            entropy=self.entropy,
            processes=self.processes,
            stderr=self.stderr,
            environment=self.environment,
        )

    def state(self, run_id: str = "r-1") -> RunState:
        """The first state of a run with two tasks, driven by this world's process."""
        me = self.processes.me()
        driver = Driver(me.pid, me.started, me.boot_id, self.processes.host())
        return RunState(run_id, "/project", "fake", "sr-r-1", driver=driver, tasks=[TaskState("a"), TaskState("b")])

    def begun(self, run_dir: str = RUN) -> tuple[RunStore, RunState]:
        """A run that was just made."""
        store, state = self.store(run_dir), self.state(run_dir.rsplit("/", 1)[-1])
        store.create(state, "[run]\n")
        return store, state

    def put(self, path: str, data: bytes) -> None:
        """Have `data` as the file's content, whatever it was."""
        if self.disk.info(path) is not None:
            self.disk.remove(path)
        MemoryDisk.mkdir(self.disk, path.rsplit("/", 1)[0])
        MemoryDisk.write(self.disk, path, data)
