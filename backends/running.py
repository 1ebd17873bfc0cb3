"""Running a command of this host: through pipes, into files, or at this process's own terminal.

No shell; the command leads a process group of its own, which is killed and reaped when its time is up or its caller gives it
up; and the end of a pipe that somebody else may hold is never waited for. `backends.processes` is who calls this.

Statuses are told by `subprocess`: in a program that ignores SIGCHLD, or reaps children which it has not started, they are lost,
and Python says 0.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import psutil

from backends.clock import Waker
from backends.posix_signals import SIGKILL

__all__ = [
    "OUTPUT_LIMIT",
    "REAP_S",
    "Completed",
    "Job",
    "SystemJob",
    "hearing",
    "last",
    "run_in_foreground",
    "run_piped",
]

OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes of one output of a command that is kept whole; `backends.disk.READ_LIMIT` is the same for a file."""
REAP_S = 1.0
"""Host seconds that a killed process is waited for. An interrupt within `Popen.poll` leaves a lock that is never free again."""
_POLL_S = 0.02
"""Host seconds between looks at a process whose pipes are closed, or held open by its children."""


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


def run_piped(
    argv: Sequence[str],
    left: Callable[[], float],
    *,
    stdin: bytes,
    cwd: str | os.PathLike[str] | None,
    env: Mapping[str, str] | None,
    waker: Waker | None,
    newest: int | None,
) -> Completed:
    """Run `argv` to its end through pipes; see `ProcessTable.run`. `left` is how many seconds remain, or raises."""
    process = _spawn(argv, subprocess.PIPE if stdin else subprocess.DEVNULL, [subprocess.PIPE] * 2, cwd, env)
    try:
        out, err = _converse(process, stdin, left, waker, newest)
    except BaseException:
        _end_group(process)
        raise
    finally:
        _close_pipes(process)
    return Completed(tuple(argv), process.returncode, out, err)


def run_in_foreground(argv: Sequence[str], env: Mapping[str, str], started: Callable[[int], object]) -> int:
    """Hand this process's terminal to `argv` until it ends; see `ProcessTable.foreground`. `started` is told its pid."""
    # What was opened for us is for the command: a shell may have named it on the command line.
    process = subprocess.Popen(list(argv), env=dict(env), close_fds=False)
    started(process.pid)
    while True:
        # The terminal's Ctrl-C reaches the command as well, and what it means is for the command to say.
        with contextlib.suppress(KeyboardInterrupt):
            return process.wait()


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
    """The process, as the leader of a group of its own, with no signal blocked."""
    return subprocess.Popen(
        hearing(argv, env),
        stdin=stdin,
        stdout=outputs[0],
        stderr=outputs[1],
        cwd=cwd,
        env=None if env is None else dict(env),
        start_new_session=True,
    )


def hearing(argv: Sequence[str], env: Mapping[str, str] | None) -> list[str]:
    """`argv` as it is started where this thread blocks signals, which a child would do as well.

    A tmux server hands that on to its windows: it hears of no death, and no agent can be ended. GNU `env` unblocks what it
    sets to its default, in the child alone: here somebody may wait for just these signals. Another `env` cannot.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) if sys.platform == "linux" else set()
    # What has a "=" in its name would be a variable for `env`.
    if not blocked or "=" in argv[0]:
        return list(argv)
    path = (os.environ if env is None else env).get("PATH")
    unblocks = shutil.which("env", path=path)
    # What cannot be found is not found by whoever starts it.
    if unblocks is None or shutil.which(argv[0], path=path) is None or not _is_gnu(unblocks):
        return list(argv)
    names = ",".join(str(int(number)) for number in sorted(blocked))
    return [unblocks, f"--default-signal={names}", *argv]


@functools.cache
def _is_gnu(env: str) -> bool:
    """Whether that `env` knows of signals, which that of coreutils does since 8.31."""
    told = subprocess.run([env, "--default-signal=HUP", "--version"], capture_output=True, check=False)
    return told.returncode == 0


_MOST_PASSED = 16 * OUTPUT_LIMIT
"""Bytes that a command may write into a file of which only the newest are wanted."""


class SystemJob(Job):
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
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(REAP_S)


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
