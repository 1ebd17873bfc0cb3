"""The fake, the simulation and live tmux side by side: the same calls of all three, and what each of them came to.

Ids of windows, panes, servers and processes differ and are never compared: each window has a *handle*, its number in the
order of making, and every id that is answered is replaced by the handle that it stands for.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import tenacity
from canned_tmux import Outcome, outcome

from backends.base import TerminalMultiplexer
from backends.clock import Clock, SystemClock, VirtualClock
from backends.disk import Disk, RealDisk
from backends.errors import CommandRejected, MultiplexerError, TargetMissing, TransportTimeout
from backends.fake import FakeMultiplexer, FakeServer, FakeTransport
from backends.guard import Call
from backends.operations import ServerIdentity, WindowExit
from backends.processes import Completed, Liveness, ProcessIdentity, ProcessTable, SystemProcessTable
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport, Transport

__all__ = [
    "FROZEN_S",
    "NOWHERE_DIR",
    "VERSION",
    "File",
    "Lost",
    "Said",
    "Subject",
    "Trio",
    "Window",
    "eventually",
    "frozen",
    "trio",
]

T = TypeVar("T")

VERSION = "3.3a"
"""What the simulation speaks, and so the tmux that it is compared with."""

NOWHERE_DIR = "/no/such/dir"
"""A directory that none of the three has."""

PATIENCE_S = 30.0
"""Seconds that live tmux is given to come to the state that the others are in; generous, because the host may be busy."""

FROZEN_S = 0.5
"""Seconds that a call of a frozen server is given; long enough that it is asked at all."""

CALL_S = 60.0
"""Seconds that any other call is given, so that only one that hangs is late."""

_WINDOW_ID = re.compile(r"@\d+\b")
_PANE_ID = re.compile(r"%\d+\b")
_NUMBER = re.compile(r"\b(pid|process|client) \d+")


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a call, made comparable: what was answered, what was raised or swallowed, and what was said of that."""

    answer: object
    error: str = ""
    swallowed: str = ""
    line: str = ""
    """The text class of the refusal: the line of the server, else what the seam itself says."""
    message: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Window:
    """The native id of a window that is there, or with `ever` of one that ever was; `number` is counted around."""

    number: int
    ever: bool = False
    pane: bool = False

    def __call__(self, subject: Subject) -> str:
        """What this subject calls it, or its pane."""
        handles = range(len(subject.ids)) if self.ever else subject.present
        if not handles:
            return "%999" if self.pane else "@999"
        return subject.ids[handles[self.number % len(handles)]][self.pane]


@dataclass(frozen=True, slots=True)
class File:
    """A file of the subject's own."""

    name: str

    def __call__(self, subject: Subject) -> str:
        """Where it is."""
        return subject.file(self.name)


class Recorder:
    """A transport that notes how each client ended."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.ends: list[Completed] = []

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        done = self.inner.run(argv, stdin=stdin, timeout_s=timeout_s)
        self.ends.append(done)
        return done

    def abandon(self) -> None:
        """See `Transport.abandon`."""
        self.inner.abandon()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self.inner.take_up()


class Subject(ABC):
    """One of the three: a multiplexer, and what stands behind it."""

    name: str
    mux: TerminalMultiplexer
    clock: Clock
    disk: Disk
    processes: ProcessTable
    directory: str
    """Where its files are; the socket, if there is one, is below it too."""
    recorder: Recorder | None = None

    def __init__(self) -> None:
        self.ids: list[tuple[str, str]] = []
        """Window and pane id by handle; `("", "")` for a window that this one never had."""
        self.present: Sequence[int] = ()
        """The handles of the windows that are there."""
        self.servers: list[ServerIdentity] = []

    @abstractmethod
    def server(self) -> ProcessIdentity | None:
        """The server's process, while there is one."""

    def signal_server(self, signum: int) -> None:
        """Send a signal to the server's process, if there is one."""
        server = self.server()
        if server is not None:
            self.processes.signal(server, signum)

    def kill_server(self) -> None:
        """End the server as a crash does, and wait until its process is gone."""
        server = self.server()
        if server is not None:
            self.processes.signal(server, signal.SIGKILL)
            eventually(lambda: self.processes.liveness(server) is Liveness.DEAD)

    @abstractmethod
    def unlink(self) -> None:
        """Take the socket away."""

    @abstractmethod
    def settle(self) -> None:
        """Let happen what is due."""

    def said(self, came: Outcome) -> Said:
        """`came`, without anything that only this subject would say."""
        error = came.error or came.degraded
        kind = type(error).__name__ if error is not None else ""
        message = error.message if isinstance(error, MultiplexerError) else ""
        line = error.stderr if isinstance(error, CommandRejected) and error.stderr is not None else None
        if line is None:
            # Of what was not answered in time it does not matter what it was being asked then.
            line = "" if isinstance(error, TransportTimeout) else message.split(": ", 1)[0]
        invalid = isinstance(error, CommandRejected) and error.invalid_argument
        return Said(
            self.plain(came.answer),
            kind + (" (argument)" if invalid else "") if came.error else "",
            kind if came.degraded else "",
            self.text(line),
            self.text(message),
        )

    def plain(self, value: object) -> object:
        """An answer without ids, pids and paths of this subject."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, frozenset):
            return frozenset(self.plain(item) for item in value)
        if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
            return ["pid"] * len(value)
        if isinstance(value, list | tuple):
            return type(value)(self.plain(item) for item in value)
        if isinstance(value, dict):
            return {key: self.plain(item) for key, item in value.items()}
        if isinstance(value, ServerIdentity):
            if value not in self.servers:
                self.servers.append(value)
            return f"server {self.servers.index(value)}"
        return value

    def text(self, text: str) -> str:
        """A text of an answer or of an error, without ids, pids and paths of this subject."""
        text = _WINDOW_ID.sub(lambda found: self._handle(found[0], 0), text)
        text = _PANE_ID.sub(lambda found: self._handle(found[0], 1), text)
        return _NUMBER.sub(r"\1 N", text.replace(self.directory, "DIR"))

    def _handle(self, id: str, which: int) -> str:
        found = [number for number, ids in enumerate(self.ids) if ids[which] == id]
        return f"{'@%'[which]}<{found[0]}>" if found else id

    def file(self, name: str) -> str:
        """The path of a file of its own."""
        return f"{self.directory}/{name}"

    def lines(self, name: str) -> Counter[str]:
        """How often each line stands in a file of its own."""
        path = self.file(name)
        data = self.disk.read(path) if self.disk.info(path) is not None else b""
        return Counter(data.replace(b"\r", b"").decode("utf-8", "backslashreplace").splitlines())


class Simulated(Subject):
    """A subject in virtual time."""

    clock: VirtualClock

    def __init__(self, *, fake: bool) -> None:
        super().__init__()
        self.name = "fake" if fake else "simulated tmux"
        self.clock = VirtualClock()
        self.fake_server = FakeServer(self.clock, exit_empty=True)
        self.fake_server.missing_dirs.add(NOWHERE_DIR)
        self.disk = self.fake_server.disk
        self.processes = self.fake_server.processes
        self.directory = "/sim/files"
        self.disk.mkdir(self.directory)
        self.fake_server.socket = f"{self.directory}/tmux"
        if fake:
            self.mux = FakeMultiplexer(self.fake_server, call_timeout_s=CALL_S)
            return
        self.transport = FakeTransport(self.fake_server)
        self.recorder = Recorder(self.transport)
        self.mux = TmuxMultiplexer(
            Path(self.directory),
            transport=self.recorder,
            clock=self.clock,
            call_timeout_s=CALL_S,
            processes=self.processes,
            disk=self.disk,
            environment={},
            prepare=self.disk.mkdir,
        )

    def server(self) -> ProcessIdentity | None:
        """See `Subject.server`."""
        return self.fake_server.identity

    def unlink(self) -> None:
        """See `Subject.unlink`."""
        self.fake_server.socket_unlinked = True

    def settle(self) -> None:
        """See `Subject.settle`."""
        self.clock.wait(1.0)


class Live(Subject):
    """A private tmux server."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "live tmux"
        self.clock = SystemClock()
        self.disk = RealDisk()
        self.processes = SystemProcessTable()
        self.directory = tempfile.mkdtemp(prefix="sm-", dir="/tmp")
        self.recorder = Recorder(SubprocessTransport(self.processes))
        self._process: ProcessIdentity | None = None
        self._tmux = TmuxMultiplexer(
            Path(self.directory), transport=self.recorder, call_timeout_s=CALL_S, environment={}
        )
        self.mux = self._tmux

    def server(self) -> ProcessIdentity | None:
        """See `Subject.server`; the process is remembered, because a frozen server does not say who it is."""
        if self._process is None or self.processes.liveness(self._process) is Liveness.DEAD:
            seen = self.mux.server_identity()
            self._process = None if seen is None else self.processes.identify(seen.pid)
        return self._process

    def unlink(self) -> None:
        """See `Subject.unlink`."""
        self._tmux.socket_path.unlink()

    def settle(self) -> None:
        """See `Subject.settle`; here things happen by themselves."""

    def close(self) -> None:
        """End the server and remove its directory."""
        if self._process is not None:
            self.processes.signal(self._process, signal.SIGCONT)
        with contextlib.suppress(MultiplexerError):
            self._tmux.shutdown()
        if self._process is not None and self.processes.liveness(self._process) is not Liveness.DEAD:
            self.processes.signal(self._process, signal.SIGKILL)
        shutil.rmtree(self.directory)


FIELDS = (
    *("window_id", "pane_id", "window_index", "window_name", "window_active", "window_flags", "pane_dead", "pane_pipe"),
    *("window_width", "window_height", "session_windows", "session_attached", "window_panes", "pane_in_mode", "nope"),
)
"""What is looked at of every window after each step."""

State = dict[str, Any]


class Trio:
    """The three, the windows that were made in them, and the steps that were taken."""

    def __init__(self) -> None:
        self.fake = Simulated(fake=True)
        self.simulated = Simulated(fake=False)
        self.live = Live()
        self.all: tuple[Subject, ...] = (self.fake, self.simulated, self.live)
        self.state: State = {}
        self.logs: set[str] = set()
        """Files to which windows are piped that run `cat`, since before anything was typed."""
        self.complaints: dict[str, list[tuple[int, str]]] = {}
        """What the clients of the last call wrote on stderr, with their status; the fake has none."""
        self.uttered: set[bytes] = set()
        """Everything that clients of the simulation ever wrote on stderr."""
        self.exits: dict[tuple[str, int], WindowExit | None] = {}

    # What is asked.

    def ask(
        self, operation: str, arguments: Mapping[str, Any], *subjects: Subject, within_s: float = CALL_S
    ) -> dict[Subject, Outcome]:
        """What comes of the call with each of the `subjects` (else of all); arguments may be functions of a subject."""
        came = {}
        self.complaints.clear()
        for subject in subjects or self.all:
            own = {name: value(subject) if callable(value) else value for name, value in arguments.items()}
            if subject.recorder is not None:
                subject.recorder.ends.clear()
            with subject.mux.budget(within_s):
                came[subject] = outcome(subject.mux, operation, own)
            if subject.recorder is not None:
                ends = [done for done in subject.recorder.ends if done.stderr]
                self.complaints[subject.name] = [(done.status, subject.text(done.stderr.decode())) for done in ends]
                self.uttered.update(done.stderr for done in ends if subject is self.simulated)
        return came

    def said(self, came: Mapping[Subject, Outcome]) -> dict[str, Said]:
        """What came of a call, comparable; what was made must have been seen by now."""
        return {subject.name: subject.said(each) for subject, each in came.items()}

    @property
    def sessions(self) -> list[str]:
        """The names of the sessions that there are."""
        return [name for name, rows in self.state.items() if isinstance(rows, list)]

    def is_shell(self, window: Window) -> bool:
        """Whether a person's shell runs in the window."""
        id = self.fake.text(window(self.fake))
        return any(
            row[0] == id and row[3] == "shell" for rows in self.state.values() if isinstance(rows, list) for row in rows
        )

    def signal_window(self, window: Window, signum: int) -> None:
        """Send a signal to the process that a window was made with, if it runs."""
        assert len({self.signal_window_of(subject, window, signum) for subject in self.all}) == 1

    def signal_window_of(self, subject: Subject, window: Window, signum: int) -> bool:
        """Send it to the one of that subject; whether there was any."""
        pids = subject.mux.window_pids(window(subject))
        process = subject.processes.identify(pids[0]) if pids else None
        return process is not None and subject.processes.signal(process, signum)

    @staticmethod
    def client(subject: Subject, *words: str) -> Completed:
        """What comes of a client that somebody else runs."""
        assert subject.recorder is not None
        argv = ["tmux", "-S", subject.file("tmux"), *words]
        return subject.recorder.inner.run(argv, timeout_s=PATIENCE_S)

    # What is seen.

    def look(self, subject: Subject) -> State:
        """Everything that can be seen of `subject` by asking it; windows that nobody has seen get handles."""
        mux = subject.mux
        seen: State = {}
        for session in mux.list_sessions():
            rows = mux.list_windows(session, FIELDS)
            for row in rows:
                if not any(ids[0] == row[0] for ids in subject.ids):
                    subject.ids.append((row[0], row[1]))
            seen[session] = [subject.plain(row) for row in rows]
            for row in rows:
                if row[6] == "1":
                    seen[subject.text(row[0])] = self._exit(subject, row[0])
        for log in sorted(self.logs):
            seen[log] = subject.lines(log) if subject is self.live else _echoed(subject.lines(log))
        return seen

    def _exit(self, subject: Subject, window: str) -> WindowExit | None:
        """How a window's process ended, asked for until it is known."""
        number = next(number for number, ids in enumerate(subject.ids) if ids[0] == window)
        key = (subject.name, number)
        if self.exits.get(key) is None:
            with contextlib.suppress(TargetMissing):
                self.exits[key] = subject.mux.window_exit(window)
        return self.exits.get(key)

    def settle(self) -> None:
        """Let all three come to rest, and see that they have come to the same."""
        for virtual in (self.fake, self.simulated):
            virtual.settle()
        self.state = self.look(self.fake)
        seen = {row[0] for rows in self.state.values() if isinstance(rows, list) for row in rows}
        for subject in self.all:
            subject.present = [number for number in range(len(self.fake.ids)) if f"@<{number}>" in seen]
        assert self.look(self.simulated) == self.state, self.told(self.simulated)
        eventually(lambda: self.look(self.live) == self.state, lambda: self.told(self.live))

    def told(self, subject: Subject) -> str:
        """In what `subject` is not as the fake is."""
        seen = self.look(subject)
        keys = [key for key in {**self.state, **seen} if self.state.get(key) != seen.get(key)]
        lines = [f"{key}\n    fake: {self.state.get(key)}\n    {subject.name}: {seen.get(key)}" for key in keys]
        return "\n".join(["not the same:", *lines])

    def forget(self) -> None:
        """The servers are gone: their ids mean nothing any more."""
        for subject in self.all:
            subject.ids.clear()
            subject.present = ()
        self.logs.clear()
        self.exits.clear()


def eventually(holds: Callable[[], object], told: Callable[[], str] = str) -> None:
    """Wait until it `holds`; what `told` says is the failure."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_not_result(bool),
        wait=tenacity.wait_fixed(0.01),
        stop=tenacity.stop_after_delay(PATIENCE_S),
        sleep=SystemClock().sleep,
    )
    try:
        retrying(holds)
    except tenacity.RetryError:
        raise AssertionError(told()) from None


class Lost:
    """A hook that loses the answer of every call, or, with `question`, the question."""

    def __init__(self, *, question: bool) -> None:
        self._question = question

    def around(self, call: Call, proceed: Callable[[], object]) -> object:
        """See `backends.guard.Hook.around`."""
        if not self._question:
            with contextlib.suppress(MultiplexerError):
                proceed()
        raise subprocess.TimeoutExpired([call.operation.name], call.deadline_s)


def _echoed(lines: Counter[str]) -> Counter[str]:
    """What stands in the log where the terminal writes down what is typed, as a real one does and a simulated one does not."""
    return Counter({line: 2 * count for line, count in lines.items()})


@contextmanager
def trio() -> Iterator[Trio]:
    """All three, without a session; the live server is ended and its directory removed, whatever happens."""
    three = Trio()
    try:
        yield three
    finally:
        three.live.close()


@contextmanager
def frozen(three: Trio) -> Iterator[None]:
    """Within, the servers of all three are stopped."""
    with contextlib.ExitStack() as thawing:
        for subject in three.all:
            subject.signal_server(signal.SIGSTOP)
            thawing.callback(subject.signal_server, signal.SIGCONT)
        yield
