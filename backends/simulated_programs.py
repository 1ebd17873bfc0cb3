"""Simulated processes, and what a program sees of its world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from backends.clock import VirtualClock
from backends.disk import Disk
from backends.operations import WindowExit
from backends.posix_signals import SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGURG, SIGWINCH
from backends.processes import ProcessIdentity
from backends.simulated_processes import SimulatedProcessTable

__all__ = ["FakeProcess", "Program", "Programs", "Stage"]

IGNORED_BY_DEFAULT = frozenset({0, SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH})
"""Signals that end no process; a stopped program of the simulation simply goes on."""

NOWHERE = "/dev/null"
"""Takes everything, holds nothing, exists on every disk."""

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

    def lacks_directory(self, path: str) -> bool:
        """Whether that directory is missing."""

    def program_for(self, process: FakeProcess) -> Program | None:
        """What runs as `process`; `None` if there is no such program."""


class FakeProcess:
    """A process in a window, as its program sees it.

    `argv` is the command split as a shell would, `env` the whole environment, `cwd` the directory it was started in.
    `alive` turns false for good with `exit` or `die`; `ended` then tells how. Signals in `ignored` do nothing, to it and to
    the children that it runs later.
    """

    def __init__(
        self,
        stage: Stage,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        parent: int,
        on_end: Callable[[FakeProcess], None],
        on_print: Callable[[bytes], None],
    ) -> None:
        self._stage = stage
        self._on_end = on_end
        self._on_print = on_print
        self._children: list[ProcessIdentity] = []
        self._programs: list[FakeProcess] = []
        self.argv = tuple(argv)
        self.env = dict(env)
        self.cwd = cwd
        self.alive = True
        self.ignored: set[int] = set()
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
            self._on_print(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)

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
        if signum == SIGKILL:
            self.die(signum)
            return
        handled = signum in self.ignored or (self.program is not None and self.program.signalled(signum))
        if not handled and signum not in IGNORED_BY_DEFAULT:
            self.die(signum)

    def spawn_child(
        self, *, detached: bool = False, ignored: Collection[int] = (), orphan: bool = False
    ) -> ProcessIdentity:
        """A child process with the same environment; it ends with this one unless it is `detached`, as by `setsid`.

        The signals in `ignored` do nothing to it. An `orphan` is nobody's child.
        """

        def deliver(signum: int) -> None:
            if signum not in ignored and signum not in IGNORED_BY_DEFAULT:
                self._stage.processes.exit(child.pid)

        child = self._stage.processes.spawn(self.env, parent=None if orphan else self.pid, on_signal=deliver)
        if not detached:
            self._children.append(child)
        return child

    def run_child(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        on_end: Callable[[FakeProcess], None],
        on_print: Callable[[bytes], None] | None = None,
    ) -> FakeProcess:
        """A child that runs the program `argv` names, in the same terminal unless `on_print` takes its output."""
        child = FakeProcess(self._stage, argv, env, self.cwd, self.pid, on_end, on_print or self._on_print)
        child.ignored = set(self.ignored)
        self._programs.append(child)
        self.clock.call_later(0.0, child.run)
        return child

    def run(self) -> None:
        """Enter the directory, then look up the program and start it; the clock event that begins a process."""
        if not self.alive:
            return
        if self.lacks_directory(self.cwd):
            self.exit(NO_SUCH_DIRECTORY)
        else:
            self.become(self.argv)

    def become(self, argv: Sequence[str]) -> None:
        """Go on as another program, as `exec` does; end with status 127 if there is no such program."""
        self.argv = tuple(argv)
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

    def signal_group(self, signum: int) -> None:
        """What the terminal does on a hangup or an interrupt: the signal to this process and to those that it runs."""
        for child in tuple(self._programs):
            child.signal_group(signum)
        self.deliver(signum)

    def lacks_directory(self, path: str) -> bool:
        """Whether that directory is missing in the simulation."""
        return self._stage.lacks_directory(path)

    def signal_pid(self, pid: int, signum: int) -> bool:
        """Send a signal to a process of the simulation; whether there was one."""
        identity = self._stage.processes.identify(pid)
        return identity is not None and self._stage.processes.signal(identity, signum)

    def _end(self, how: WindowExit) -> None:
        if not self.alive:
            return
        self.alive = False
        self.ended = how
        self._stage.processes.exit(self.pid)
        for plain in self._children:
            self._stage.processes.exit(plain.pid)
        for child in tuple(self._programs):
            child.signal_group(SIGHUP)
        self._on_end(self)


Programs = Callable[[FakeProcess], Program | None]
"""Decides what a process does by its `argv` and `env`; `None` for a program it does not know."""
