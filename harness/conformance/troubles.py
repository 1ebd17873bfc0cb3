"""What may go wrong underneath a backend, in five classes, and the three ways in which it is made to happen.

A backend of ours is broken below its guard, and in its transport where it takes one. Any other is broken from outside:
the binary that it runs is another one, first on PATH, which hangs, fails, or prints what cannot be read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import psutil

from backends.guard import Call
from backends.operations import OPERATIONS, Kind
from backends.posix_signals import SIGKILL
from backends.processes import Completed
from backends.transport import Transport, disconnect
from harness.conformance.bench import Answer, Bench, CannotCheck
from harness.conformance.outside import ending, real_binary, replaced
from harness.conformance.places import ForeignWorld
from harness.conformance.safety import made_amid, require_reached

__all__ = [
    "TROUBLES",
    "FailingTransport",
    "LosingTransport",
    "RaisingHook",
    "Seen",
    "Trouble",
    "Trying",
    "lost",
    "seen_under",
    "shown_argv",
]


class Trying(Enum):
    """The classes of trouble."""

    LATE = "no answer in time"
    HOST = "the host refuses to run the binary"
    EXIT = "the client fails without saying anything about the target"
    GARBAGE = "bytes that are no text"
    EMPTY = "success, and nothing else"


Raw = Callable[[tuple[str, ...], float], BaseException]


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong: an exception (`raw`, given the argv and the deadline) or the end of a client."""

    name: str
    trying: Trying
    raw: Raw | None = None
    status: int = 0
    stdout: bytes = b""
    stderr: bytes = b""

    def carried(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """What a transport in this trouble does."""
        if self.raw is not None:
            raise self.raw(tuple(argv), timeout_s)
        return Completed(tuple(argv), self.status, self.stdout, self.stderr)


def _os_error(code: int) -> Trouble:
    return Trouble(errno.errorcode[code], Trying.HOST, raw=lambda argv, _: OSError(code, os.strerror(code), argv[0]))


def _exit(status: int, stderr: str) -> Trouble:
    said = f"exit {status}" if status >= 0 else f"killed by signal {-status}"
    return Trouble(f"{said}, {stderr!r}" if stderr else said, Trying.EXIT, status=status, stderr=stderr.encode())


TROUBLES: tuple[Trouble, ...] = (
    Trouble("a hang", Trying.LATE, raw=lambda argv, timeout_s: subprocess.TimeoutExpired(list(argv), timeout_s)),
    *map(
        _os_error,
        (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.EMFILE, errno.EAGAIN, errno.ENOMEM, errno.E2BIG, errno.EPIPE),
    ),
    _exit(1, "lost server\n"),
    _exit(1, "server exited unexpectedly\n"),
    _exit(1, "error connecting to /tmp/tmux-0/default (Permission denied)\n"),
    _exit(1, ""),
    _exit(127, "tmux: not found\n"),
    _exit(-SIGKILL, ""),
    Trouble("undecodable output", Trying.GARBAGE, stdout=b"\xff\xfe\x80\n"),
    Trouble("undecodable complaint", Trying.GARBAGE, status=1, stderr=b"\xff\xfe\x80\n"),
    Trouble("empty success", Trying.EMPTY),
)
"""Every trouble; the texts are those of tmux-facts.md that say nothing about the target."""

_OUTSIDE_HOST = (errno.errorcode[errno.ENOENT], errno.errorcode[errno.EACCES], errno.errorcode[errno.ENOEXEC])
"""The refusals of a host that can be had by what stands on PATH."""


@dataclass(frozen=True)
class Seen:
    """What came of one operation in one trouble; `way` says where it was broken, `asked` how often that was reached."""

    trouble: Trouble
    way: str
    answer: Answer
    asked: int

    def __str__(self) -> str:
        return f"{self.answer} ({self.trouble.name}, {self.way})"


class RaisingHook:
    """A hook in trouble, below the guard."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self.asked = 0

    def around(self, call: Call, proceed: Callable[[], object]) -> object:
        """See `Hook.around`."""
        self.asked += 1
        if self._trouble.trying is Trying.GARBAGE:
            raise UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "invalid start byte")
        self._trouble.carried(("tmux", call.operation.name), call.deadline_s)
        return None


class FailingTransport:
    """A transport in trouble."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self.asked = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        self.asked += 1
        return self._trouble.carried(argv, timeout_s)

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""


def seen_under(bench: Bench, trying: Trying) -> list[Seen]:
    """What comes of every operation in every trouble of that class, by every way there is; asked once for each bench.

    Raises `CannotCheck` where there is none.
    """
    if trying not in bench.kept:
        bench.kept[trying] = [
            seen for trouble in TROUBLES if trouble.trying is trying for seen in _ways(bench, trouble)
        ]
    found: list[Seen] = bench.kept[trying]
    return found


def _ways(bench: Bench, trouble: Trouble) -> Iterator[Seen]:
    if bench.ours and trouble.trying is not Trying.EXIT:
        yield from _below_the_guard(bench, trouble)
    if bench.has_transport:
        require_reached(bench)
        yield from _in_the_transport(bench, trouble)
    elif isinstance(bench.world, ForeignWorld) and bench.spec.binary is not None:
        yield from _from_outside(bench, bench.world, bench.spec.binary, trouble)
    elif not bench.ours:
        raise CannotCheck("it runs no binary and takes no transport: give a BackendSpec with one of them")


def _asked_of(bench: Bench) -> list[str]:
    return [name for name in OPERATIONS if callable(getattr(bench.mux, name, None))]


def _below_the_guard(bench: Bench, trouble: Trouble) -> Iterator[Seen]:
    for name in _asked_of(bench):
        mux, hook = bench.make(), RaisingHook(trouble)
        mux.hook = hook
        yield Seen(trouble, "below the guard", bench.attempt(mux, name, **OPERATIONS[name].sample), hook.asked)


def _in_the_transport(bench: Bench, trouble: Trouble) -> Iterator[Seen]:
    for name in _asked_of(bench):
        made: list[FailingTransport] = []

        def wrap(inner: Transport, made: list[FailingTransport] = made) -> Transport:
            made.append(FailingTransport(trouble))
            return made[-1]

        answer = bench.attempt(bench.make(wrap=wrap), name, **OPERATIONS[name].sample)
        asked = sum(one.asked for one in made)
        if asked or OPERATIONS[name].name == "available":
            yield Seen(trouble, "in the transport", answer, asked)


def _from_outside(bench: Bench, world: ForeignWorld, binary: str, trouble: Trouble) -> Iterator[Seen]:
    if trouble.trying is Trying.HOST and trouble.name not in _OUTSIDE_HOST:
        return
    require_reached(bench)
    names = [name for name in _asked_of(bench) if OPERATIONS[name].kind is not Kind.LOCAL or name == "available"]
    before = bench.make()
    with _misbehaving(world, binary, trouble):
        mux = made_amid(bench, before)
        answers: dict[str, Answer] = {}

        def ask(name: str) -> None:
            answers[name] = bench.attempt(mux, name, **OPERATIONS[name].sample)

        if trouble.trying is Trying.LATE:
            callers = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
        else:
            for name in names:
                ask(name)
    for name in names:
        yield Seen(trouble, f"{binary} replaced on PATH", answers[name], 0)


@contextmanager
def _misbehaving(world: ForeignWorld, binary: str, trouble: Trouble) -> Iterator[Path]:
    """Within, `binary` is one that is in that trouble; the file that is answered gets a line for each start of it."""
    nothing = trouble.name == errno.errorcode[errno.ENOENT]
    runs = trouble.name != errno.errorcode[errno.EACCES]
    alone = trouble.trying is Trying.HOST
    with replaced(world, binary, lambda log: None if nothing else _script(trouble, log), runs=runs, alone=alone) as log:
        try:
            yield log
        finally:
            for pid in _pids(world, log):
                identity = world.processes.identify(pid)
                if identity is not None:
                    world.processes.signal(identity, SIGKILL)


class LosingTransport:
    """Hands on every command, and loses the replies to those that are made while it is `losing`; remembers all argv."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.losing = False
        self.argv: list[str] = []

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        self.argv += argv
        found = self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)
        if self.losing:
            raise subprocess.TimeoutExpired(list(argv), timeout_s)
        return found

    def abandon(self) -> None:
        """See `Transport.abandon`."""
        self._inner.abandon()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._inner.take_up()

    def close(self) -> None:
        """See `Connection.close`."""
        disconnect(self._inner)


class _LosingHook:
    """Lets everything happen, and answers that it was late."""

    def around(self, call: Call, proceed: Callable[[], object]) -> object:
        """See `Hook.around`."""
        proceed()
        raise subprocess.TimeoutExpired(["fake"], call.deadline_s)


def lost(bench: Bench, *call: Any) -> Answer:
    """What comes of a call that takes effect, and whose reply is lost."""
    if bench.has_transport:
        made: list[LosingTransport] = []

        def wrap(inner: Transport) -> Transport:
            made.append(LosingTransport(inner))
            return made[-1]

        mux = bench.make(wrap=wrap)
        # A look beforehand is not what is lost.
        for one in made:
            one.losing = True
        return bench.attempt(mux, *call)
    if bench.ours:
        mux = bench.make()
        mux.hook = _LosingHook()
        return bench.attempt(mux, *call)
    assert isinstance(bench.world, ForeignWorld)
    real = real_binary(bench)
    require_reached(bench)
    before = bench.make()
    with replaced(bench.world, str(bench.spec.binary), lambda log: _losing_script(real, log)):
        return bench.attempt(made_amid(bench, before), *call)


def _losing_script(real: str, log: Path) -> bytes:
    return f"#!/bin/sh\n'{real}' \"$@\" > /dev/null 2>&1\necho $$ >> '{log}'\nexit 1\n".encode()


def shown_argv(bench: Bench, *call: Any) -> tuple[Answer, str]:
    """What comes of a call, and every word of every client that was run for it."""
    if bench.has_transport:
        made: list[LosingTransport] = []

        def wrap(inner: Transport) -> Transport:
            made.append(LosingTransport(inner))
            return made[-1]

        answer = bench.attempt(bench.make(wrap=wrap), *call)
        return answer, "\n".join(word for one in made for word in one.argv)
    assert isinstance(bench.world, ForeignWorld)
    real = real_binary(bench)
    require_reached(bench)
    before = bench.make()
    with replaced(bench.world, str(bench.spec.binary), lambda log: _spying_script(real, log)) as log:
        answer = bench.attempt(made_amid(bench, before), *call)
        return answer, bench.read(log).decode("utf-8", "backslashreplace")


def _spying_script(real: str, log: Path) -> bytes:
    return f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{log}'\nexec '{real}' \"$@\"\n".encode()


def _script(trouble: Trouble, log: Path) -> bytes:
    if trouble.trying is Trying.HOST:
        return b"\x7fnot a program\n"
    if trouble.trying is not Trying.LATE and trouble.status >= 0:
        return ending(log, trouble.status, trouble.stdout, trouble.stderr)
    last = "exec sleep 120" if trouble.trying is Trying.LATE else f"kill -{-trouble.status} $$"
    return f"#!/bin/sh\necho $$ >> '{log}'\n{last}\n".encode()


def _pids(world: ForeignWorld, log: Path) -> list[int]:
    """The processes that the script became and that may still run, by the program that it ends as."""
    with contextlib.suppress(OSError):
        return [int(line) for line in world.disk.read(log).split() if _sleeps(int(line))]
    return []


def _sleeps(pid: int) -> bool:
    try:
        return psutil.Process(pid).name() == "sleep"
    except psutil.Error:
        return False
