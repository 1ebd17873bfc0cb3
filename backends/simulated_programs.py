"""Simulated processes: what a program sees of its world, and the programs that every simulated host has.

Built in are `sleep`, `true`, `false`, `cat`, `tail -f` and an idle `sh`.
"""

from __future__ import annotations

import posixpath
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from backends.clock import VirtualClock
from backends.disk import Disk
from backends.operations import WindowExit
from backends.processes import ProcessIdentity
from backends.simulated_processes import SimulatedProcessTable

__all__ = ["FakeProcess", "Program", "Programs", "Stage", "builtin_program"]

IGNORED_BY_DEFAULT = frozenset({0, signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGURG, signal.SIGWINCH})
"""Signals that end no process; a stopped program of the simulation simply goes on."""

NO_SUCH_DIRECTORY = 126
"""Exit status of a window whose directory is missing; contract.md, rule 5."""
NO_SUCH_PROGRAM = 127
"""Exit status of a shell that finds no such command."""


class Program(Protocol):
    """What a simulated process does. It may schedule events on the clock, but never wait."""

    def start(self) -> None:
        """The process runs from now on."""

    def typed(self, text: str) -> None:
        """`text` was typed, and Enter after it (which is not part of `text`)."""

    def signalled(self, signum: int) -> bool:
        """That signal came; true if it was handled and the process goes on. Not called for SIGKILL."""


class Stage(Protocol):
    """What a process needs of the window that it runs in."""

    @property
    def id(self) -> str:
        """The window's native id."""

    @property
    def session_name(self) -> str:
        """The name of the window's session."""

    @property
    def clock(self) -> VirtualClock:
        """The time of the simulation."""

    @property
    def disk(self) -> Disk:
        """The disk of the simulation."""

    @property
    def processes(self) -> SimulatedProcessTable:
        """The processes of the simulation."""

    def show(self, output: bytes) -> None:
        """Take what was printed."""

    def lacks_directory(self, path: str) -> bool:
        """Whether that directory is missing."""

    def program_for(self, process: FakeProcess) -> Program | None:
        """What runs as `process`; `None` if there is no such program."""

    def process_ended(self, process: FakeProcess) -> None:
        """Told once, after `process.ended` was set."""


class FakeProcess:
    """A process in a window, as its program sees it.

    `argv` is the command split as a shell would, `env` the whole environment, `cwd` the directory it was started in.
    `alive` turns false for good with `exit` or `die`; `ended` then tells how.
    """

    def __init__(
        self,
        stage: Stage,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        parent: int,
    ) -> None:
        self._stage = stage
        self._children: list[tuple[ProcessIdentity, bool]] = []
        self.argv = tuple(argv)
        self.env = dict(env)
        self.cwd = cwd
        self.alive = True
        self.ended: WindowExit | None = None
        self.program: Program | None = None
        self.identity = self._stage.processes.spawn(self.env, parent=parent, on_signal=self.deliver)

    @property
    def pid(self) -> int:
        """Its pid in the simulated process table."""
        return self.identity.pid

    @property
    def window_id(self) -> str:
        """The native id of its window."""
        return self._stage.id

    @property
    def session(self) -> str:
        """The name of its session."""
        return self._stage.session_name

    @property
    def clock(self) -> VirtualClock:
        """The time it lives in."""
        return self._stage.clock

    @property
    def disk(self) -> Disk:
        """The disk it writes to."""
        return self._stage.disk

    def print(self, text: str | bytes) -> None:
        """Show `text` in the window, and so in its log, if it has one by now; nothing once the process has ended."""
        if self.alive:
            self._stage.show(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)

    def exit(self, code: int = 0) -> None:
        """End by itself with that exit status; nothing if it has ended already."""
        self._end(WindowExit(code=code & 0xFF))

    def die(self, signum: int) -> None:
        """End by that signal, handled or not; nothing if it has ended already."""
        self._end(WindowExit(signal=int(signum)))

    def deliver(self, signum: int) -> None:
        """Do what the signal does: the program's handler first (never for SIGKILL), else the default action."""
        if not self.alive:
            return
        handled = signum != signal.SIGKILL and self.program is not None and self.program.signalled(signum)
        if not handled and signum not in IGNORED_BY_DEFAULT:
            self.die(signum)

    def spawn_child(self, *, detached: bool = False) -> ProcessIdentity:
        """A child process with the same environment; it ends with this one unless it is `detached`, as by `setsid`."""
        child = self._stage.processes.spawn(self.env, parent=self.pid)
        self._children.append((child, detached))
        return child

    def run(self) -> None:
        """Look up the program and start it; the window's clock event."""
        if not self.alive:
            return
        if self._stage.lacks_directory(self.cwd):
            self.exit(NO_SUCH_DIRECTORY)
            return
        self.program = self._stage.program_for(self)
        if self.program is None:
            self.print(f"{self.argv[0] if self.argv else ''}: not found\n")
            self.exit(NO_SUCH_PROGRAM)
        else:
            self.program.start()

    def type(self, text: str) -> None:
        """Hand typed text to the program, if it still runs."""
        if self.alive and self.program is not None:
            self.program.typed(text)

    def _end(self, how: WindowExit) -> None:
        if not self.alive:
            return
        self.alive = False
        self.ended = how
        self._stage.processes.exit(self.pid)
        for child, detached in self._children:
            if not detached:
                self._stage.processes.exit(child.pid)
        self._stage.process_ended(self)


Programs = Callable[[FakeProcess], Program | None]
"""Decides what a process does by its `argv` and `env`; `None` for a program it does not know."""


class _Sleeper:
    """Ends after so many seconds; types and signals do what they do to a process that knows neither."""

    def __init__(self, process: FakeProcess) -> None:
        self._process = process

    def start(self) -> None:
        seconds = _seconds(self._process.argv[1:])
        if seconds is None:
            self._process.print("sleep: invalid time interval\n")
            self._process.exit(1)
        elif seconds != float("inf"):
            self._process.clock.call_later(seconds, self._process.exit)

    def typed(self, text: str) -> None:
        """Nobody reads it."""

    def signalled(self, signum: int) -> bool:
        return False


class _Ender(_Sleeper):
    """Ends at once with a given status."""

    def __init__(self, process: FakeProcess, status: int) -> None:
        super().__init__(process)
        self._status = status

    def start(self) -> None:
        self._process.exit(self._status)


class _Echo(_Sleeper):
    """Prints what is typed, for ever."""

    def start(self) -> None:
        """Nothing comes by itself."""

    def typed(self, text: str) -> None:
        self._process.print(text + "\n")


class _Idle(_Sleeper):
    """Reads nothing, prints nothing, ends by signal."""

    def start(self) -> None:
        """Nothing comes by itself."""


class _Shell(_Idle):
    """Waits for `exit [N]`."""

    def typed(self, text: str) -> None:
        words = text.split()
        if words[:1] == ["exit"]:
            self._process.exit(int(words[1]) if len(words) > 1 and words[1].isdigit() else 0)


def _seconds(words: tuple[str, ...]) -> float | None:
    try:
        return sum(float(word) for word in words) if words else None
    except ValueError:
        return None


_PROGRAMS: dict[str, Callable[[FakeProcess], Program]] = {
    "sleep": _Sleeper,
    "true": lambda process: _Ender(process, 0),
    "false": lambda process: _Ender(process, 1),
    "cat": _Echo,
    "tail": _Idle,
    "sh": _Shell,
}


def builtin_program(process: FakeProcess) -> Program | None:
    """The program that the first word of the argv names, by its last path component; `None` if there is none."""
    known = _PROGRAMS.get(posixpath.basename(process.argv[0])) if process.argv else None
    return None if known is None else known(process)
