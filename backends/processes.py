"""Processes as an argument: the one module that spawns, looks at and signals them.

A pid alone names nobody, because it is used again: a process is named by `ProcessIdentity` (pid, start time, boot), and
everything here that acts takes one. A command is run by `run`, which waits for it, or by `start`, which does not: no shell,
a deadline, the whole process group killed and reaped on a miss, and never a wait for the end of a pipe that somebody else
may hold.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from backends.clock import Clock, SystemClock, Waker
from backends.posix_signals import SIGCONT, SIGKILL, SIGSTOP

__all__ = [
    "OUTPUT_LIMIT",
    "Completed",
    "Job",
    "Liveness",
    "ProcessIdentity",
    "ProcessTable",
    "SystemProcessTable",
    "last",
]

OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes of one output of a command that is kept whole; `backends.disk.READ_LIMIT` is the same for a file."""


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


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended by itself or by a signal (then `status` is the signal's number, negative)."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


class Job(ABC):
    """A command that was started and is looked at now and then."""

    @abstractmethod
    def poll(self) -> Completed | None:
        """What came of it, `None` while it runs; never waits.

        Raises `subprocess.TimeoutExpired` once its time is up and `OSError` for too much output, when it has been ended.
        """

    @abstractmethod
    def end(self) -> None:
        """Kill its process group and reap it, if it still runs."""


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
    def foreground(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Hand this process's terminal to `argv` until it ends; its exit status, a signal's number below zero.

        It has no deadline, because a person is at it. Raises `OSError` where it cannot be started.
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
            job = _SystemJob(argv, left, stdin=stdin, cwd=cwd, env=env, newest=newest)
            return job.wait(waker)
        process = _spawn(argv, subprocess.PIPE if stdin else subprocess.DEVNULL, [subprocess.PIPE] * 2, cwd, env)
        try:
            out, err = _converse(process, stdin, left, waker, newest)
        except BaseException:
            _end_group(process)
            raise
        finally:
            _close_pipes(process)
        return Completed(tuple(argv), process.returncode, out, err)

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
        return _SystemJob(argv, self._deadline(timeout_s), cwd=cwd, env=env, newest=newest)

    def foreground(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """See `ProcessTable.foreground`."""
        process = subprocess.Popen(list(argv), env=dict(env))
        while True:
            # The terminal's Ctrl-C reaches the command as well, and what it means is for the command to say.
            with contextlib.suppress(KeyboardInterrupt):
                return process.wait()

    def _deadline(self, timeout_s: float) -> Callable[[], float]:
        clock = self._clock
        end = clock.monotonic() + timeout_s

        def host_seconds_left() -> float:
            left = end - clock.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(["command"], timeout_s)
            return clock.host_seconds(left)

        return host_seconds_left


def _act_as(signum: int, process: psutil.Process) -> None:
    """Do to the process what the signal would, as nearly as a host without signals can."""
    if signum == SIGSTOP:
        process.suspend()
    elif signum == SIGCONT:
        process.resume()
    elif signum:
        process.kill()


_POLL_S = 0.02
"""Host seconds between looks at a process whose pipes are closed, or held open by its children."""


def _converse(
    process: subprocess.Popen[bytes],
    stdin: bytes,
    left: Callable[[], float],
    waker: Waker | None,
    newest: int | None,
) -> tuple[bytes, bytes]:
    """Feed and drain the pipes until the process itself has ended.

    What a child of it goes on writing afterwards is not waited for: a stopped tmux server holds the pipes of its dead
    clients open.
    """
    received: dict[int, bytearray] = {}
    rest = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
            received[stream.fileno()] = bytearray()
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        if waker is not None:
            selector.register(waker.fileno(), selectors.EVENT_READ, "waker")
        ended = False
        while True:
            if waker is not None and waker.is_set():
                raise InterruptedError("given up by the caller")
            patience = left()
            busy = False
            for key, _ in selector.select(0 if ended else min(patience, _POLL_S)):
                if key.data == "waker":
                    continue
                if key.fileobj is process.stdin:
                    rest = _feed(process.stdin, rest, selector)
                elif _drain(key.fd, received[key.fd]):
                    busy = True
                    _bound(received[key.fd], newest)
                else:
                    selector.unregister(key.fileobj)
            if ended and not busy:
                break
            ended = ended or process.poll() is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = received[process.stdout.fileno()], received[process.stderr.fileno()]
    return (bytes(out), bytes(err)) if newest is None else (last(bytes(out), newest), last(bytes(err), newest))


def _spawn(
    argv: Sequence[str],
    stdin: int | IO[bytes],
    outputs: Sequence[int | IO[bytes]],
    cwd: str | os.PathLike[str] | None,
    env: Mapping[str, str] | None,
) -> subprocess.Popen[bytes]:
    """The process, as the leader of a group of its own."""
    return subprocess.Popen(
        list(argv),
        stdin=stdin,
        stdout=outputs[0],
        stderr=outputs[1],
        cwd=cwd,
        env=None if env is None else dict(env),
        start_new_session=True,
    )


_MOST_PASSED = 16 * OUTPUT_LIMIT
"""Bytes that a command may write into a file of which only the newest are wanted."""


class _SystemJob(Job):
    """A process of this host that writes into files, which need nobody to drain them and are gone afterwards."""

    def __init__(
        self,
        argv: Sequence[str],
        left: Callable[[], float],
        *,
        stdin: bytes = b"",
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str] | None,
        newest: int | None,
    ) -> None:
        self._argv = tuple(argv)
        self._left = left
        self._newest = newest
        self._files: list[IO[bytes]] = []
        with contextlib.ExitStack() as opened:
            if newest != 0:
                self._files = [opened.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
            given: int | IO[bytes] = subprocess.DEVNULL
            if stdin:
                given = opened.enter_context(tempfile.TemporaryFile())
                given.write(stdin)
                given.seek(0)
            self._process = _spawn(argv, given, self._files or [subprocess.DEVNULL] * 2, cwd, env)
            self._opened = opened.pop_all()

    def poll(self) -> Completed | None:
        """See `Job.poll`; what its children go on writing is not waited for."""
        try:
            # Asked first: what ended in time is not late because nobody looked.
            ended = self._process.poll() is not None
            if not ended:
                self._left()
            sizes = [os.fstat(file.fileno()).st_size for file in self._files]
            most = OUTPUT_LIMIT if self._newest is None else _MOST_PASSED
            if max(sizes, default=0) > most:
                raise OSError(errno.EFBIG, f"more than {most} bytes of output")
            if not ended:
                return None
            texts = [self._text(file, size) for file, size in zip(self._files, sizes, strict=True)] or [b"", b""]
        except BaseException:
            self.end()
            raise
        self._opened.close()
        return Completed(self._argv, self._process.returncode, *texts)

    def _text(self, file: IO[bytes], size: int) -> bytes:
        kept = size if self._newest is None else self._newest
        file.seek(max(0, size - kept))
        return file.read(kept)

    def wait(self, waker: Waker | None) -> Completed:
        """What comes of it; `InterruptedError` when `waker` is set first."""
        while (done := self.poll()) is None:
            try:
                if waker is not None and waker.is_set():
                    raise InterruptedError("given up by the caller")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_POLL_S)
            except BaseException:
                self.end()
                raise
        return done

    def end(self) -> None:
        """See `Job.end`."""
        if self._process.poll() is None:
            _end_group(self._process)
        self._opened.close()


def _bound(received: bytearray, newest: int | None) -> None:
    if newest is None and len(received) > OUTPUT_LIMIT:
        raise OSError(errno.EFBIG, f"more than {OUTPUT_LIMIT} bytes of output")
    if newest is not None and len(received) > 2 * newest + (1 << 16):
        del received[: len(received) - newest]


def last(data: bytes, count: int) -> bytes:
    """The last `count` bytes of `data`, all of it if it has no more."""
    return data[max(0, len(data) - count) :]


def _feed(pipe: IO[bytes] | None, rest: memoryview, selector: selectors.BaseSelector) -> memoryview:
    assert pipe is not None
    try:
        rest = rest[os.write(pipe.fileno(), rest[:65536]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        rest = rest[len(rest) :]
    if not rest:
        selector.unregister(pipe)
        pipe.close()
    return rest


def _drain(fd: int, into: bytearray) -> bool:
    try:
        chunk = os.read(fd, 1 << 16)
    except BlockingIOError:
        return True
    into += chunk
    return bool(chunk)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group that `process` leads (without groups: what descends from it), and reap the process."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, SIGKILL)
    else:
        _end_descendants(process)
    with contextlib.suppress(OSError):
        process.kill()
    process.wait()


def _end_descendants(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(psutil.Error, OSError):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                child.kill()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


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
