"""Runs that were never carried out: one of every status, as its files would say it, on any disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backends.clock import VirtualClock
from backends.disk import Disk, LockHandle
from backends.entropy import SeededEntropy
from backends.memory_disk import MemoryDisk
from backends.processes import ProcessIdentity
from backends.simulated_processes import SimulatedProcessTable
from harness.dashboard.observer import Observer
from harness.dashboard.reader import RunsReader
from harness.dashboard.sessions import Answer, Sessions
from harness.record import (
    Attempt,
    Crashed,
    Driver,
    Ending,
    Finished,
    Paused,
    RunState,
    RunStore,
    SessionOutcome,
    Stopped,
    TaskPhase,
    TaskState,
)

__all__ = ["HOSTILE", "MadeUpRuns"]

HOSTILE = "\x1b]52;c;aGk=\x07\x1b[31m[/bad][bold]x[/bold]\x9b31m\u202egnp.exe\ud800\x00\r\n\tend"
"""What an agent may say: escape sequences, markup, and characters that turn text around."""

_DONE = Attempt(1, "t" * 32, "@1", outcome=SessionOutcome.COMPLETED)


_TRACEBACK = b"""

Traceback (most recent call last):
  File "harness/engine/engine.py", line 212, in _drive
    self._recorder.save()
  File "harness/record/store.py", line 139, in save
    put(self._disk, self._state_path, data, self._entropy.suffix())
OSError: [Errno 122] disk quota exceeded while saving the state
"""


class MadeUpRuns:
    """A simulated host with runs below `root`; `alive` are the names of those whose session is there."""

    def __init__(self, root: str = "/runs", disk: Disk | None = None) -> None:
        self.root = root
        self.clock = VirtualClock()
        self.disk = disk or MemoryDisk(self.clock)
        self.processes = SimulatedProcessTable(self.clock)
        self.sessions = Sessions()
        self.locks: list[LockHandle] = []
        self._entropy = SeededEntropy(1)
        self.disk.mkdir(root)
        self.answer()

    def answer(self, *alive: str) -> None:
        """Let the multiplexer answer that the sessions of those runs are there."""
        names = frozenset(f"sr-{name}" for name in alive)
        self.sessions = Sessions(Answer("TmuxMultiplexer", names), self.clock.wall())

    def fall_silent(self) -> None:
        """Let the multiplexer have been silent for half a minute."""
        now = self.clock.wall()
        self.sessions = Sessions(self.sessions.answer, now - 31, now - 30, "TransportTimeout: list-sessions")

    def observer(self) -> Observer:
        """What a dashboard of this host looks through."""
        reader = RunsReader(self.disk, self.root, clock=self.clock, processes=self.processes, entropy=self._entropy)
        return Observer(reader, lambda: self.sessions, self.disk, self.clock)

    def store(self, name: str) -> RunStore:
        """The record of one run."""
        where = {"disk": self.disk, "clock": self.clock, "entropy": self._entropy, "processes": self.processes}
        return RunStore(Path(self.root, name), **where, environment={})  # type: ignore[arg-type]  # each under its own name

    def make(
        self, name: str, tasks: Mapping[str, TaskPhase], ending: Ending | None = None, *, driven: bool = False
    ) -> tuple[RunStore, RunState]:
        """A run that went so far; where it is not `driven`, whoever drove it is gone."""
        me = self.processes.me()
        identity = me if driven else ProcessIdentity(999, 1.0, me.boot_id)
        driver = Driver(identity.pid, identity.started, identity.boot_id, self.processes.host())
        states = [
            TaskState(
                key, phase, [_DONE] if phase is TaskPhase.DONE else [], summary="done" * (phase is TaskPhase.DONE)
            )
            for key, phase in tasks.items()
        ]
        state = RunState(
            name, "/home/you/shop", "TmuxMultiplexer", f"sr-{name}", self.clock.wall(), tasks=states, driver=driver
        )
        store = self.store(name)
        store.create(state, "")
        for task in states:
            self.clock.sleep(30)
            if task.attempts:
                store.journal.append("session-ended", task=task.key, number=1, outcome="completed")
        state.ending = ending
        store.save(state)
        self.clock.sleep(300)
        return store, state

    def one_of_each(self) -> None:
        """A run of every status, and a pending decision; the newest is the one that crashed."""
        done, pending, running = TaskPhase.DONE, TaskPhase.PENDING, TaskPhase.RUNNING
        tasks = {"plan": done, "build": done, "test": pending}
        self.make("20260101-090000-a10f3c", dict.fromkeys(tasks, done), Finished())
        self.make("20260101-100000-b27e41", tasks, Stopped("SIGTERM", 15))
        self.make("20260101-110000-c3d905", tasks, Paused("approval is needed before test", "gate", "test"))
        self.make("20260101-120000-d48b12", tasks)
        self._damaged("20260101-130000-e5a6f7")
        store, state = self.make("20260101-140000-f6c8d0", {"plan": done, "build": running}, driven=True)
        state.tasks[1].attempts = [Attempt(1, "u" * 32, "@2", pending="permission to run `make deploy`")]
        store.save(state)
        self.log(store, b"$ claude\r\nReading src/shop.py ...\r\nThe deployment is described in the Makefile.\r\n")
        self.locks.append(self.disk.lock(store.path("run.lock")))
        self.crashed("20260101-150000-07d9e2")
        self.answer("20260101-140000-f6c8d0", "20260101-110000-c3d905", "20260101-100000-b27e41")

    def crashed(self, name: str, error: str = "disk quota exceeded while saving the state") -> None:
        """A run whose engine raised."""
        store, state = self.make(name, {"plan": TaskPhase.DONE, "build": TaskPhase.RUNNING})
        filing = store.file_crash(OSError(122, error), state)
        state.ending = Crashed(filing.error, filing.record)
        store.save(state)
        store.attention(f"crashed: {filing.error}")
        self._retell(store.path("crash.txt"))

    def _retell(self, path: str) -> None:
        """Leave nothing in the text of a crash that tells of this host: its first lines, and a made-up traceback."""
        head = b"\n".join(self.disk.read(path).split(b"\n")[:2])
        self.disk.remove(path)
        self.disk.write(path, head + _TRACEBACK)

    def log(self, store: RunStore, content: bytes) -> None:
        """Let an agent of that run have written so much."""
        self.disk.write(store.path("logs", "build.log"), content)

    def _damaged(self, name: str) -> None:
        store, _ = self.make(name, {"plan": TaskPhase.DONE})
        for file in ("state.json", "state.json.bak", "journal.jsonl"):
            self.disk.remove(store.path(file))
            self.disk.write(store.path(file), b"\0\0\0")
