"""One call of tmux under `seamripper shim`: asks what shall become of it, and does that.

    python -I -S -X utf8 -c ... DIRECTORY REAL LOCALE NAME [ARGUMENT ...]

It is run in the place of a client, so it begins as fast as it can: it imports only what an interpreter has ready by itself.
What nothing shall happen to is left to the real program: this process becomes it, with the same pid, terminal, pipes and
environment. LOCALE is `x` and the value of `LC_CTYPE`, or empty where that is not set: an interpreter that finds the C
locale changes it.

A call that waits does as a client of a stopped server (measured with tmux 3.3a): SIGTERM and SIGHUP end it with status 0
and no word, SIGINT, SIGQUIT and SIGTSTP do not touch it. When the shim is over, it ends.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the part of `signal` that needs no `enum`, which nobody has stubs for
import _socket
import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]

_DEAF = (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGTSTP)
_ENDING = (_signal.SIGTERM, _signal.SIGHUP)
_IGNORED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)
_HUNG_UP = (errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE)
"""What asking fails with where the shim is over, or comes to its end meanwhile."""
_OVER = 1
"""The status of a call that the shim's end ends."""


class _Call:
    """One command line, and the connection to who says what shall become of it."""

    def __init__(self, directory: str, real: str, words: list[str]) -> None:
        self.argv = [real, *words[1:]]
        self._directory = directory
        self._words = words
        self._before = {signum: _signal.getsignal(signum) for signum in (*_DEAF, *_ENDING)}
        self._child = 0
        self._link: _socket.socket

    def answer(self) -> tuple[list[bytes], bytes, bytes] | None:
        """What shall become of it, see `faults.shim.answer_to`; `None` if nobody is there to say it any more."""
        try:
            self._link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            self._link.connect(f"{self._directory}/ask")
            said = b"\0".join([b"%d" % os.getpid(), *map(os.fsencode, self._words)])
            self._link.sendall(b"%d\n" % len(said) + said)
            told = self._link.recv(1 << 16)
            while told:
                head, end, rest = told.partition(b"\n")
                fields = head.split()
                if end and len(rest) == int(fields[4]) + int(fields[5]):
                    return fields, rest[: int(fields[4])], rest[int(fields[4]) :]
                more = self._link.recv(1 << 16)
                told = told + more if more else b""
        except OSError as error:
            if error.errno not in _HUNG_UP:
                self._uncounted()
            return None
        return None

    def _uncounted(self) -> None:
        """Note that there was a call of which the shim knows nothing; needs neither a descriptor nor room on the disk."""
        try:
            os.chmod(f"{self._directory}/passed", 0o700)
        except OSError:
            # The shim is over.
            return

    def waits(self) -> None:
        """From now on signals do to this process what they do to a client that waits for its server."""
        for signum in _DEAF:
            _signal.signal(signum, _signal.SIG_IGN)
        for signum in _ENDING:
            _signal.signal(signum, self._told_to_end)

    def _told_to_end(self, signum: int, frame: object) -> None:
        if self._child:
            os.kill(self._child, signum)
        os._exit(0)

    def wait(self, seconds: float) -> None:
        """Let time pass; ends the process if the shim ends first."""
        self._link.settimeout(None if seconds == float("inf") else max(seconds, 0.001))
        try:
            self._link.recv(1)
        except TimeoutError:
            return
        except OSError:
            os._exit(_OVER)
        os._exit(_OVER)

    def become_real(self) -> NoReturn:
        """Be the real program."""
        for signum, handler in self._before.items():
            _signal.signal(signum, handler)
        # A handler, as Python has one for SIGINT, ends with this program.
        for signum in _IGNORED_BY_PYTHON:
            _signal.signal(signum, _signal.SIG_DFL)
        try:
            os.execv(self.argv[0], self.argv)
        except OSError as error:
            _write(2, os.fsencode(f"{self.argv[0]}: {error.strerror}\n"))
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)

    def really(self) -> tuple[int, bytes, bytes]:
        """Run the real program to its end: its status (negative: a signal), what it said, and what it said on standard error.

        Its outputs are files, because a server may keep the pipes of its clients open.
        """
        files = [self._nameless(fd) for fd in (1, 2)]
        self._child = os.fork()
        if not self._child:
            for fd, file in zip((1, 2), files, strict=True):
                os.dup2(file, fd)
            self.become_real()
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        out, err = map(_whole, files)
        return os.waitstatus_to_exitcode(status), out, err

    def _nameless(self, fd: int) -> int:
        # In memory where the host can do that: the disk may be full.
        if hasattr(os, "memfd_create"):
            return os.memfd_create(f"answer-{fd}")
        name = f"{self._directory}/{os.getpid()}-{fd}"
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(name)
        return file

    def end(self, status: int, out: bytes, err: bytes) -> NoReturn:
        """Say this, tell the shim about it, and end."""
        _write(1, out)
        _write(2, err)
        self.tell(f"exit {status}, {len(out)} and {len(err)} bytes")
        _end(status)

    def fail(self, error: OSError) -> NoReturn:
        """End as a program that cannot be run: what is to happen to it cannot be done."""
        why = error.strerror or "unknown"
        _write(2, os.fsencode(f"{self.argv[0]}: {why}\n"))
        self.tell(f"failed: {why}")
        os._exit(126)

    def tell(self, outcome: str) -> None:
        """Say how it ended to who keeps count, if anybody still does."""
        _send(self._link, outcome.encode())


def main(argv: list[str]) -> NoReturn:
    """Carry out one call."""
    directory, real, locale = argv[1:4]
    if locale:
        os.environ["LC_CTYPE"] = locale[1:]
    else:
        os.environ.pop("LC_CTYPE", None)
    call = _Call(directory, real, argv[4:])
    call.waits()
    told = call.answer()
    if told is None:
        call.become_real()
    (lost, wait, then, number, *_), out, err = told
    if then == b"run" and float(wait) == 0 and lost == b"0" and int(number) < 0:
        call.become_real()
    has_limit = then == b"run" and int(number) >= 0
    try:
        had = call.really() if lost == b"1" or has_limit else None
    except OSError as error:
        call.fail(error)
    if float(wait):
        call.wait(float(wait))
    if then == b"die":
        call.tell("dies")
        call.wait(float("inf"))
    if then == b"end":
        call.end(int(number), out, err)
    if had is None:
        call.tell("passed on")
        call.become_real()
    status, said, complained = had
    call.end(status, said[: int(number)] if has_limit else said, complained)


def _whole(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    return b"".join(iter(lambda: os.read(file, 1 << 20), b""))


def _write(fd: int, data: bytes) -> None:
    """All of it, unless nobody reads."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        return


def _send(link: _socket.socket, data: bytes) -> None:
    try:
        link.sendall(data)
    except OSError:
        return


def _end(status: int) -> NoReturn:
    if status < 0:
        if -status not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(-status, _signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status & 0xFF)


if __name__ == "__main__":
    main(sys.argv)
