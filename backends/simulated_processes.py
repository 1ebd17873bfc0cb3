"""A process table in memory, for simulated runs: fixed host and boot, pids that no process of a real host can have."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from backends.clock import Clock, VirtualClock, Waker
from backends.posix_signals import SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH
from backends.processes import Completed, Deaths, Job, Liveness, ProcessIdentity, ProcessTable, last

__all__ = ["Command", "SimulatedProcessTable"]

Command = Callable[[Sequence[str]], Completed]
"""Stands in for a program that `run` is asked for: takes the argv, answers what came of it, may raise what spawning can."""

FIRST_PID = 5_000_000
"""Where pids are counted from: above what any kernel gives out (Linux: at most 2**22, its `PID_MAX_LIMIT`; macOS: 99,999).

A run may have a simulated multiplexer and the host's own process table. What is simulated is then unknown to the host,
never somebody else's process, to be waited for or signalled.
"""


class _Process:
    __slots__ = ("environment", "identity", "on_signal", "parent")

    def __init__(
        self,
        identity: ProcessIdentity,
        environment: Mapping[str, str],
        parent: int | None,
        on_signal: Callable[[int], None] | None,
    ) -> None:
        self.identity = identity
        self.environment = environment
        self.parent = parent
        self.on_signal = on_signal


class SimulatedProcessTable(ProcessTable):
    """The processes of a host that does not exist.

    `commands` are what can be run, by the first word of the argv; `true` and `false` are there, anything else is
    `FileNotFoundError`. A pid in `unknowable` has liveness UNKNOWN. `sent` lists every signal that found a process,
    `shown` what had the terminal, and in which environment. A command that is started as a job takes the seconds that
    `lasting` says (0 s) and is called at their end; `started` lists every job, its argv and its variables. `tells` is
    whether anybody can be told of ends.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        commands: Mapping[str, Command] | None = None,
        host: str = "simhost",
        boot_id: str = "boot-1",
    ) -> None:
        self._clock = clock or VirtualClock()
        self._host = host
        self._boot_id = boot_id
        self._next_pid = FIRST_PID
        self._running: dict[int, _Process] = {}
        self._deaths: list[_SimulatedDeaths] = []
        self.commands: dict[str, Command] = {"true": _ending(0), "false": _ending(1), **(commands or {})}
        self.lasting: dict[str, float] = {}
        self.started: list[tuple[tuple[str, ...], Mapping[str, str]]] = []
        self.unknowable: set[int] = set()
        self.tells = True
        self.sent: list[tuple[int, int]] = []
        self.shown: list[tuple[tuple[str, ...], dict[str, str]]] = []
        self._me = self.spawn()

    def spawn(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        parent: int | None = None,
        on_signal: Callable[[int], None] | None = None,
        pid: int | None = None,
    ) -> ProcessIdentity:
        """Enter a process that runs until `exit`; `on_signal` is told each signal sent to it, else any one ends it.

        It gets the next `pid`, or the one given, which nobody may have any more.
        """
        if pid is None:
            pid, self._next_pid = self._next_pid, self._next_pid + 1
        elif pid in self._running:
            raise ValueError(f"pid {pid} is not free")
        identity = ProcessIdentity(pid, self._clock.wall(), self._boot_id)
        self._running[identity.pid] = _Process(identity, environment or {}, parent, on_signal)
        return identity

    def exit(self, pid: int) -> None:
        """The process is gone; harmless twice."""
        gone = self._running.pop(pid, None)
        if gone is not None:
            for watch in list(self._deaths):
                watch.told(gone.identity)

    def replace_me(self) -> ProcessIdentity:
        """This process dies and another one takes its place: what a killed and restarted driver sees."""
        self.exit(self._me.pid)
        self._me = self.spawn()
        return self._me

    def reboot(self) -> None:
        """Every process is gone, and the host has another boot id; pids begin anew."""
        for pid in list(self._running):
            self.exit(pid)
        name, _, number = self._boot_id.rpartition("-")
        self._boot_id = f"{name}-{int(number) + 1}" if number.isdigit() else f"{self._boot_id}-2"
        self._next_pid = FIRST_PID
        self._me = self.spawn()

    def running(self) -> list[ProcessIdentity]:
        """Every process there is, this one included, by pid."""
        return [process.identity for process in self._running.values()]

    def me(self) -> ProcessIdentity:
        """See `ProcessTable.me`."""
        return self._me

    def boot_id(self) -> str:
        """See `ProcessTable.boot_id`."""
        return self._boot_id

    def host(self) -> str:
        """See `ProcessTable.host`."""
        return self._host

    def identify(self, pid: int) -> ProcessIdentity | None:
        """See `ProcessTable.identify`."""
        process = self._running.get(pid)
        return None if process is None or pid in self.unknowable else process.identity

    def liveness(self, identity: ProcessIdentity) -> Liveness:
        """See `ProcessTable.liveness`."""
        if identity.boot_id != self._boot_id:
            return Liveness.DEAD
        if identity.pid in self.unknowable:
            return Liveness.UNKNOWN
        process = self._running.get(identity.pid)
        if process is not None and identity.started < 0:
            return Liveness.UNKNOWN
        same = process is not None and process.identity.started == identity.started
        return Liveness.ALIVE if same else Liveness.DEAD

    def deaths(self) -> Deaths:
        """See `ProcessTable.deaths`; of a process that nobody can know of nothing is told."""
        return _SimulatedDeaths(self, self._deaths) if self.tells else Deaths()

    def tree(self, identity: ProcessIdentity) -> list[ProcessIdentity]:
        """See `ProcessTable.tree`."""
        if self.liveness(identity) is not Liveness.ALIVE:
            return []
        found = [identity]
        for ancestor in found:
            found += [p.identity for p in self._running.values() if p.parent == ancestor.pid]
        return found

    def carrying(self, name: str, *values: str) -> list[ProcessIdentity]:
        """See `ProcessTable.carrying`."""
        return [p.identity for p in self._running.values() if p.environment.get(name) in values]

    def signal(self, identity: ProcessIdentity, signum: int) -> bool:
        """See `ProcessTable.signal`."""
        process = self._running.get(identity.pid)
        if process is None or process.identity != identity:
            return False
        self.sent.append((identity.pid, int(signum)))
        if process.on_signal is not None:
            process.on_signal(int(signum))
        elif signum not in _HARMLESS_SIGNALS:
            self.exit(identity.pid)
        return True

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        waker: Waker | None = None,
        newest: int | None = None,
    ) -> Completed:
        """See `ProcessTable.run`; commands that take time spend it on their own clock."""
        if waker is not None and waker.is_set():
            raise InterruptedError("given up by the caller")
        return _shortened(self._command(argv)(argv), newest)

    def start(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        newest: int,
        cwd: str | os.PathLike[str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Job:
        """See `ProcessTable.start`; the job is a process of this host."""
        command = self._command(argv)
        self.started.append((tuple(argv), dict(variables or {})))
        job = _SimulatedJob(self, argv, command, newest, variables or {})
        job.due_s = self._clock.monotonic() + self.lasting.get(argv[0], 0.0)
        job.deadline_s = self._clock.monotonic() + timeout_s
        return job

    def _command(self, argv: Sequence[str]) -> Command:
        if any("\0" in word for word in argv):
            raise ValueError("embedded null byte")
        command = self.commands.get(argv[0])
        if command is None:
            raise FileNotFoundError(2, "No such file or directory", argv[0])
        return command

    def foreground(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        started: Callable[[ProcessIdentity], object] | None = None,
    ) -> int:
        """See `ProcessTable.foreground`; no process is started: what was shown is in `shown`.

        A command that is not known ends with 0.
        """
        self.shown.append((tuple(argv), dict(env)))
        command = self.commands.get(argv[0])
        return 0 if command is None else command(argv).status

    @property
    def now(self) -> float:
        """Monotonic seconds of the host."""
        return self._clock.monotonic()


class _SimulatedDeaths(Deaths):
    """Is told of every process that ends, from when it is made until it is closed."""

    def __init__(self, table: SimulatedProcessTable, told: list[_SimulatedDeaths]) -> None:
        super().__init__()
        self._table = table
        self._told = told
        self._watched: set[ProcessIdentity] = set()
        self._ended: list[ProcessIdentity] = []
        told.append(self)

    def told(self, identity: ProcessIdentity) -> None:
        """That process has ended."""
        if identity in self._watched:
            self._watched.remove(identity)
            self._ended.append(identity)
            self.wake()

    def watch(self, identity: ProcessIdentity) -> bool:
        """See `Deaths.watch`."""
        if self._table.liveness(identity) is not Liveness.ALIVE:
            return False
        self._watched.add(identity)
        return True

    def drop(self, identity: ProcessIdentity) -> None:
        """See `Deaths.drop`."""
        self._watched.discard(identity)

    def take(self) -> list[ProcessIdentity]:
        """See `Deaths.take`."""
        self.clear()
        taken, self._ended = self._ended, []
        return taken

    def close(self) -> None:
        """See `Waker.close`."""
        super().close()
        if self in self._told:
            self._told.remove(self)


class _SimulatedJob(Job):
    def __init__(
        self,
        table: SimulatedProcessTable,
        argv: Sequence[str],
        command: Command,
        newest: int,
        variables: Mapping[str, str],
    ) -> None:
        self._table = table
        self._argv = tuple(argv)
        self._command = command
        self._newest = newest
        self._killed_by: int | None = None
        self.due_s = 0.0
        self.deadline_s = 0.0
        self._identity = table.spawn(variables, parent=table.me().pid, on_signal=self._signalled)

    def _signalled(self, signum: int) -> None:
        if signum not in _HARMLESS_SIGNALS:
            self._killed_by = signum
            self.end()

    def poll(self) -> Completed | None:
        """See `Job.poll`."""
        if self._killed_by is not None:
            return Completed(self._argv, -self._killed_by, b"", b"")
        now, late = self._table.now, self.deadline_s < self.due_s
        if now < min(self.due_s, self.deadline_s):
            return None
        self.end()
        if late:
            raise subprocess.TimeoutExpired(["command"], self.deadline_s)
        return _shortened(self._command(self._argv), self._newest)

    def end(self) -> None:
        """See `Job.end`."""
        self._table.exit(self._identity.pid)


_HARMLESS_SIGNALS = frozenset({0, SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH})


def _shortened(done: Completed, newest: int | None) -> Completed:
    if newest is None:
        return done
    return replace(done, stdout=last(done.stdout, newest), stderr=last(done.stderr, newest))


def _ending(status: int) -> Command:
    return lambda argv: Completed(tuple(argv), status, b"", b"")
