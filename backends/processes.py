"""Processes as an argument: who runs on a host, whether they live, and how they are told something.

A pid alone names nobody, because it is used again: a process is named by `ProcessIdentity` (pid, start time, boot), and
everything here that acts takes one. A command is run by `run`, which waits for it, or by `start`, which does not; how, is for
`backends.running` to say.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import psutil

from backends.clock import Clock, SystemClock, Waker
from backends.pidfd import open_pidfd
from backends.posix_signals import SIGCONT, SIGSTOP
from backends.running import OUTPUT_LIMIT, Completed, Job, SystemJob, last, run_in_foreground, run_piped

__all__ = [
    "OUTPUT_LIMIT",
    "Completed",
    "Deaths",
    "Job",
    "Liveness",
    "ProcessIdentity",
    "ProcessTable",
    "SystemProcessTable",
    "last",
]


class Liveness(Enum):
    """Whether something lives. `UNKNOWN` is an answer of its own, never a `DEAD`."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one boot of one host.

    `started` is when it began, in seconds of a clock that nobody can set: since the boot where the kernel tells that (Linux),
    else since the epoch. It is compared with itself only. Negative where it could not be found out.
    """

    pid: int
    started: float
    boot_id: str


class Deaths(Waker):
    """Processes that are watched, and a waker that is set while one that has ended was not taken.

    This one is for hosts where nothing tells of an end: it watches nobody.
    """

    def watch(self, identity: ProcessIdentity) -> bool:
        """Watch that process until it is taken or dropped; whether its end will be told."""
        return False

    def drop(self, identity: ProcessIdentity) -> None:
        """Watch it no longer; harmless where it is not watched."""

    def take(self) -> list[ProcessIdentity]:
        """Who has ended since the last time, none of them watched any more."""
        return []


class ProcessTable(ABC):
    """The processes of one host."""

    @abstractmethod
    def me(self) -> ProcessIdentity:
        """This process."""

    @abstractmethod
    def boot_id(self) -> str:
        """Names this boot of this host."""

    @abstractmethod
    def host(self) -> str:
        """The host's name."""

    @abstractmethod
    def identify(self, pid: int) -> ProcessIdentity | None:
        """Who has that pid now; `None` if nobody has, or if it cannot be known."""

    @abstractmethod
    def liveness(self, identity: ProcessIdentity) -> Liveness:
        """Whether exactly that process still runs; a zombie is dead, another boot's process too."""

    def deaths(self) -> Deaths:
        """Whom to tell which processes to watch for their end; for the caller to close."""
        return Deaths()

    @abstractmethod
    def tree(self, identity: ProcessIdentity) -> list[ProcessIdentity]:
        """The process, if it runs, and all its descendants that can be found."""

    @abstractmethod
    def carrying(self, name: str, *values: str) -> list[ProcessIdentity]:
        """The processes whose environment gives `name` one of `values`; those that cannot be looked into are left out.

        The whole table is looked through once, however many values there are.
        """

    @abstractmethod
    def signal(self, identity: ProcessIdentity, signum: int) -> bool:
        """Send `signum` to exactly that process; whether there was one to send it to."""

    @abstractmethod
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
        """Run `argv` to its end and answer what came of it.

        Of either output only the last `newest` bytes are kept. Without that all of it is, and a command that writes more than
        `OUTPUT_LIMIT` bytes is ended with EFBIG: an answer is whole or it is none.
        Raises `subprocess.TimeoutExpired` after `timeout_s` clock seconds and `InterruptedError` when `waker` is set first
        (the process group is killed and reaped in both), `OSError` and `ValueError` where it cannot be started.
        """

    @abstractmethod
    def start(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        newest: int,
        cwd: str | os.PathLike[str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Job:
        """Start `argv` without input, and with `variables` on top of this process's environment; nobody waits for it.

        Of either output the last `newest` bytes are kept; 0 discards it. Whoever starts a job polls it until it has ended, or
        ends it. Raises `OSError` and `ValueError` where it cannot be started.
        """

    @abstractmethod
    def foreground(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        started: Callable[[ProcessIdentity], object] | None = None,
    ) -> int:
        """Hand this process's terminal to `argv` until it ends; its exit status, a signal's number below zero.

        It has no deadline, because a person is at it; `started` is told who it is, for whoever wants to end it. Raises
        `OSError` where it cannot be started.
        """


class SystemProcessTable(ProcessTable):
    """The host's processes, seen through psutil."""

    def __init__(
        self, clock: Clock | None = None, *, by_files: bool = os.name == "nt", signals: bool = os.name == "posix"
    ) -> None:
        """Talk to a command through pipes, or, where pipes cannot be waited for, by files that are gone afterwards.

        Without `signals`, as on Windows, a process can be stopped and continued; any other signal ends it at once, and no
        handler of it runs.
        """
        self._clock = clock or SystemClock()
        self._boot_id = _read_boot_id()
        self._by_files = by_files
        self._signals = signals

    def me(self) -> ProcessIdentity:
        """See `ProcessTable.me`."""
        found = self.identify(os.getpid())
        return found or ProcessIdentity(os.getpid(), _NOT_KNOWN, self._boot_id)

    def boot_id(self) -> str:
        """See `ProcessTable.boot_id`."""
        return self._boot_id

    def host(self) -> str:
        """See `ProcessTable.host`."""
        return socket.gethostname()

    def identify(self, pid: int) -> ProcessIdentity | None:
        """See `ProcessTable.identify`."""
        try:
            seen = _look_at(pid)
        except _UNSEEN:
            return None
        return None if seen is None else ProcessIdentity(pid, seen.started, self._boot_id)

    def liveness(self, identity: ProcessIdentity) -> Liveness:
        """See `ProcessTable.liveness`."""
        if identity.boot_id != self._boot_id:
            return Liveness.DEAD
        try:
            seen = _look_at(identity.pid)
        except _UNSEEN:
            return Liveness.UNKNOWN
        if seen is None or seen.ended:
            return Liveness.DEAD
        if identity.started < 0:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if _same_start(seen.started, identity.started) else Liveness.DEAD

    def deaths(self) -> Deaths:
        """See `ProcessTable.deaths`; through pidfds, where the kernel has them."""
        if not hasattr(select, "epoll"):
            return Deaths()
        try:
            return _PidfdDeaths(self)
        except OSError:
            # Without a descriptor left nobody can be watched, which `watch` says.
            return Deaths()

    def tree(self, identity: ProcessIdentity) -> list[ProcessIdentity]:
        """See `ProcessTable.tree`."""
        if self.liveness(identity) is not Liveness.ALIVE:
            return []
        try:
            children = psutil.Process(identity.pid).children(recursive=True)
        except psutil.Error:
            children = []
        found = [self.identify(child.pid) for child in children]
        return [identity, *(child for child in found if child is not None)]

    def carrying(self, name: str, *values: str) -> list[ProcessIdentity]:
        """See `ProcessTable.carrying`."""
        found = []
        for process in psutil.process_iter():
            try:
                carries = process.environ().get(name) in values
                seen = _look_at(process.pid) if carries else None
            except _UNSEEN:
                continue
            if seen is not None and not seen.ended:
                found.append(ProcessIdentity(process.pid, seen.started, self._boot_id))
        return found

    def signal(self, identity: ProcessIdentity, signum: int) -> bool:
        """See `ProcessTable.signal`."""
        if identity.pid <= 1 or self.liveness(identity) is not Liveness.ALIVE:
            return False
        try:
            if self._signals:
                os.kill(identity.pid, signum)
            else:
                _act_as(signum, psutil.Process(identity.pid))
        except (ProcessLookupError, PermissionError, psutil.Error):
            return False
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
        """See `ProcessTable.run`."""
        left = self._deadline(timeout_s)
        if self._by_files:
            job = SystemJob(argv, left, stdin=stdin, cwd=cwd, env=env, newest=newest)
            return job.wait(waker)
        return run_piped(argv, left, stdin=stdin, cwd=cwd, env=env, waker=waker, newest=newest)

    def start(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        newest: int,
        cwd: str | os.PathLike[str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Job:
        """See `ProcessTable.start`."""
        env = {**os.environ, **(variables or {})}
        return SystemJob(argv, self._deadline(timeout_s), cwd=cwd, env=env, newest=newest)

    def foreground(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        started: Callable[[ProcessIdentity], object] | None = None,
    ) -> int:
        """See `ProcessTable.foreground`."""

        def tell(pid: int) -> None:
            found = self.identify(pid)
            if started is not None and found is not None:
                started(found)

        return run_in_foreground(argv, env, tell)

    def _deadline(self, timeout_s: float) -> Callable[[], float]:
        clock = self._clock
        end = clock.monotonic() + timeout_s

        def host_seconds_left() -> float:
            left = end - clock.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(["command"], timeout_s)
            return clock.host_seconds(left)

        return host_seconds_left


class _PidfdDeaths(Deaths):
    """One descriptor that is readable while any of those watched has ended."""

    def __init__(self, table: ProcessTable) -> None:
        super().__init__()
        self._table = table
        self._epoll = select.epoll()
        self._watched: dict[int, ProcessIdentity] = {}
        self._descriptors: dict[ProcessIdentity, int] = {}

    def watch(self, identity: ProcessIdentity) -> bool:
        """See `Deaths.watch`; no process is watched for whom others would go without a descriptor."""
        if identity in self._descriptors:
            return True
        found = open_pidfd(identity.pid, lambda: self._table.liveness(identity) is Liveness.ALIVE)
        if found is None:
            return False
        try:
            if found >= _most_descriptors() - _SPARE_DESCRIPTORS:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            self._epoll.register(found, select.EPOLLIN)
        except (OSError, psutil.Error):
            os.close(found)
            return False
        self._watched[found] = identity
        self._descriptors[identity] = found
        return True

    def drop(self, identity: ProcessIdentity) -> None:
        """See `Deaths.drop`."""
        if identity in self._descriptors:
            self._forget(self._descriptors[identity])

    def take(self) -> list[ProcessIdentity]:
        """See `Deaths.take`."""
        return [self._forget(descriptor) for descriptor, _ in self._epoll.poll(0)]

    def is_set(self) -> bool:
        """See `Waker.is_set`."""
        return bool(self._epoll.poll(0, 1))

    def descriptors(self) -> Sequence[int]:
        """See `Waker.descriptors`."""
        return (self._epoll.fileno(),)

    def close(self) -> None:
        """See `Waker.close`; nobody is watched any more."""
        for descriptor in list(self._watched):
            self._forget(descriptor)
        self._epoll.close()

    def _forget(self, descriptor: int) -> ProcessIdentity:
        self._epoll.unregister(descriptor)
        os.close(descriptor)
        identity = self._watched.pop(descriptor)
        del self._descriptors[identity]
        return identity


_SPARE_DESCRIPTORS = 256
"""As many of those that a process may have are left to commands, files and clients; chosen."""


def _most_descriptors() -> int:
    return int(psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[0])


def _act_as(signum: int, process: psutil.Process) -> None:
    """Do to the process what the signal would, as nearly as a host without signals can."""
    if signum == SIGSTOP:
        process.suspend()
    elif signum == SIGCONT:
        process.resume()
    elif signum:
        process.kill()


class _Seen(NamedTuple):
    """A process that the host knows: when it began (see `ProcessIdentity`), and whether it has ended and was not reaped."""

    started: float
    ended: bool


_NOT_KNOWN = -1.0
_UNSEEN = (psutil.Error, ValueError, OverflowError, OSError)
"""What looking at a process raises where nothing is proven by it."""
_TICKS = os.sysconf("SC_CLK_TCK") if sys.platform == "linux" else 0
"""Clock ticks in a second, the unit of start times in `/proc`."""


def _look_at(pid: int) -> _Seen | None:
    """Who has that pid now, `None` if that is proven to be nobody; `_UNSEEN` where it cannot be known."""
    if not _TICKS:
        try:
            process = psutil.Process(pid)
            return _Seen(process.create_time(), process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
        except psutil.NoSuchProcess:
            return None
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        if psutil.pid_exists(pid):
            raise PermissionError(errno.EPERM, "the process is hidden") from None
        return None
    # proc(5): the name in parentheses may hold anything; behind it come field 3, the state, and field 22, the start.
    fields = told[told.rindex(b")") + 1 :].split()
    return _Seen(int(fields[19]) / _TICKS, fields[0] in (b"Z", b"X", b"x"))


def _same_start(one: float, other: float) -> bool:
    # Ticks are exact. Elsewhere a start is boot time plus ticks, and the boot time may be re-read with a slight drift.
    return abs(one - other) < (0.5 / _TICKS if _TICKS else 0.5)


def _read_boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"boot-{psutil.boot_time():.0f}"
