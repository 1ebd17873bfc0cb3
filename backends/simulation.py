"""A multiplexer server that does not exist: sessions, windows and processes in virtual time.

`FakeServer` is the state that `FakeMultiplexer` and `FakeTransport` put a face on. It behaves as tmux was measured to:
ids count from 0 with each new server, a session ends with its last window, a dead window stays while `remain-on-exit` is
on, and what is asked of a stopped server takes effect when it continues, whoever still waits for it.

Programs run as events of the virtual clock: never inside the call that started them or typed to them, but in the next
wait. What a program raises therefore comes out of that wait, not out of the multiplexer.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from subprocess import TimeoutExpired
from typing import Any, Generic, TypeVar

from backends.builtin_programs import builtin_program
from backends.clock import VirtualClock, Waker
from backends.disk import Disk
from backends.errors import MultiplexerError
from backends.memory_disk import MemoryDisk
from backends.operations import WindowExit
from backends.posix_signals import SIGCONT, SIGHUP, SIGSTOP, SIGUSR1
from backends.processes import Liveness, ProcessIdentity
from backends.simulated_processes import SimulatedProcessTable
from backends.simulated_programs import IGNORED_BY_DEFAULT, NOWHERE, FakeProcess, Program, Programs

__all__ = ["FakeServer", "FakeSession", "FakeWindow", "ServerLost"]

T = TypeVar("T")

DEFAULT_COLS = 80
DEFAULT_LINES = 24
"""The size of a detached session, in cells; `default-size` of tmux."""


class ServerLost(ConnectionResetError):
    """The server went away while it was being asked."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "server exited unexpectedly")


class FakeWindow:
    """One window with one pane. `exit` is how its process ended; `dead` says that the window is kept after that.

    A *parked* window is run by a shell, which waits for a key when the program has ended: it is not dead until then.
    `killed` is the signal that has ended such a shell.
    """

    def __init__(self, session: FakeSession, id: str, pane_id: str, index: int, name: str, cwd: str) -> None:
        self.session = session
        self.server = session.server
        self.id = id
        self.pane_id = pane_id
        self.index = index
        self.name = name
        self.cwd = cwd
        self.command = ""
        self.options: dict[str, str] = {}
        self.log: str | None = None
        self.process: FakeProcess | None = None
        self.shell: ProcessIdentity | None = None
        self.dead = False
        self.exit: WindowExit | None = None
        self.killed: WindowExit | None = None
        self.typing: list[str] = []

    @property
    def pid(self) -> int:
        """The pid of the process that the pane was started with; it stays when that has ended."""
        if self.shell is not None:
            return self.shell.pid
        return 0 if self.process is None else self.process.pid

    @property
    def session_name(self) -> str:
        """See `Stage`."""
        return self.session.name

    @property
    def clock(self) -> VirtualClock:
        """See `Stage`."""
        return self.server.clock

    @property
    def disk(self) -> Disk:
        """See `Stage`."""
        return self.server.disk

    @property
    def processes(self) -> SimulatedProcessTable:
        """See `Stage`."""
        return self.server.processes

    def program_for(self, process: FakeProcess) -> Program | None:
        """See `Stage`."""
        return self.server.program_for(process)

    def lacks_directory(self, path: str) -> bool:
        """See `Stage`."""
        return path in self.server.missing_dirs

    def process_ended(self, process: FakeProcess) -> None:
        """Take note of how the window's process ended, when the server runs."""
        self.server.when_running(lambda: self._reap(process))

    @property
    def _shell_is_gone(self) -> bool:
        """Whether the shell of a parked window has ended, so that how its program ends is nobody's any more."""
        return self.shell is not None and self.server.processes.liveness(self.shell) is Liveness.DEAD

    def _reap(self, process: FakeProcess) -> None:
        if process is not self.process or self._shell_is_gone:
            return
        self.exit = process.ended
        if self.shell is None:
            self.server.settle(self)
        elif process.program is None and self.lacks_directory(process.cwd):
            # The shell could not enter the directory, so that there is nothing to wait for.
            self.end_shell()
        elif process.ended is not None and process.ended.signal is not None:
            # The shell of a parked window can tell a death by signal only as its own kind of status.
            self.exit = WindowExit(code=128 + process.ended.signal)

    def show(self, output: bytes) -> None:
        """Append what was printed to the log, now or when the server reads it."""
        if self.log is not None:
            log = self.log
            self.server.when_running(lambda: self._append(log, output))

    def _append(self, log: str, output: bytes) -> None:
        if log == NOWHERE:
            return
        try:
            self.server.disk.append(log, output)
        except OSError as failure:
            # tmux pipes to a `cat` that dies on a failed write, which ends the pipe and nothing else.
            self.server.log_failures.append((log, failure))
            self.log = None

    def type(self, text: str) -> None:
        """Type `text` and Enter: to the program, or to a parked shell as the key that it waits for."""
        process = self.process
        if self.dead or process is None:
            return
        if not process.alive:
            self.end_shell()
            return
        self.server.clock.call_later(0.0, lambda: process.type(text))

    def end_shell(self) -> None:
        """The shell of a parked window got its key."""
        if self.shell is not None:
            self.server.processes.exit(self.shell.pid)
            self.server.settle(self)

    def shell_signalled(self, signum: int) -> None:
        """The shell of a parked window dies of a signal, which closes the terminal of what it runs."""
        if signum not in IGNORED_BY_DEFAULT and not self.dead:
            how = self.exit or WindowExit(signal=signum)
            self._end_processes()
            self.server.when_running(lambda: self._shell_ended(how, WindowExit(signal=signum)))

    def _shell_ended(self, how: WindowExit, killed: WindowExit) -> None:
        self.exit, self.killed = how, killed
        self.server.settle(self)

    def hang_up(self) -> None:
        """What closing the terminal does to the processes in it; what survives prints to nobody."""
        self.log = None
        self._end_processes()

    def _end_processes(self) -> None:
        if self.shell is not None:
            self.server.processes.exit(self.shell.pid)
        if self.process is not None:
            self.process.signal_group(SIGHUP)


class FakeSession:
    """Windows by index, in a session with an exact name."""

    def __init__(self, server: FakeServer, id: str, name: str, cols: int, lines: int) -> None:
        self.server = server
        self.id = id
        self.name = name
        self.cols = cols
        self.lines = lines
        self.created = int(server.clock.wall())
        self.options: dict[str, str] = {}
        self.by_index: dict[int, FakeWindow] = {}
        self.current: FakeWindow | None = None
        self.last: list[FakeWindow] = []
        """The windows that were current before, the latest first."""
        self._free_index = 0

    def windows(self) -> list[FakeWindow]:
        """Its windows, by index."""
        return [self.by_index[index] for index in sorted(self.by_index)]

    def named(self, name: str) -> list[FakeWindow]:
        """Its windows of exactly that name."""
        return [window for window in self.windows() if window.name == name]

    def take_index(self) -> int:
        """The lowest index that is free, as tmux gives to a new window."""
        while self._free_index in self.by_index:
            self._free_index += 1
        return self._free_index

    def select(self, window: FakeWindow) -> None:
        """Make `window` the current one."""
        if self.current is window:
            return
        if self.current is not None:
            self.last.insert(0, self.current)
        self.last = [one for one in self.last if one is not window]
        self.current = window

    def give_back(self, window: FakeWindow) -> None:
        """Unlink `window`; the current window becomes the one that was it last, else the one before it, around the end."""
        del self.by_index[window.index]
        self._free_index = min(self._free_index, window.index)
        if self.current is window:
            below = [index for index in self.by_index if index < window.index]
            if self.last:
                self.select(self.last[0])
            else:
                self.current = self.by_index[max(below or self.by_index)] if self.by_index else None
        self.last = [one for one in self.last if one is not window]


class _Asked(Generic[T]):
    """A question that a stopped server has not read yet."""

    __slots__ = ("_answer", "_effect", "_error", "done")

    def __init__(self, effect: Callable[[], T]) -> None:
        self._effect = effect
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self.done = False

    def carry_out(self) -> None:
        self.done = True
        try:
            self._answer.append(self._effect())
        except (MultiplexerError, ServerLost) as refusal:
            self._error = refusal

    def lose(self) -> None:
        self.done = True
        self._error = ServerLost()

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answer[0]


class FakeServer:
    """A simulated tmux server, not running until it is started (or its first session is made).

    `programs` decides what a window's process does; what it declines, `clients` (the
    multiplexer's own client, run in a window) and the built-in programs do. Directories in
    `missing_dirs` do not exist, all others do. `remain_on_exit` keeps dead windows; `exit_empty` ends the server with its
    last session. `asked` counts what reached the server or its queue.
    """

    def __init__(
        self,
        clock: VirtualClock | None = None,
        processes: SimulatedProcessTable | None = None,
        disk: Disk | None = None,
        programs: Programs | None = None,
        *,
        remain_on_exit: bool = True,
        exit_empty: bool = False,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.processes = processes or SimulatedProcessTable(self.clock)
        self.disk = disk or MemoryDisk(self.clock)
        self.programs = programs
        self.clients: Programs | None = None
        self.remain_on_exit = remain_on_exit
        self.exit_empty = exit_empty
        self.missing_dirs: set[str] = set()
        self.log_failures: list[tuple[str, OSError]] = []
        self.ever_started = False
        self.socket_unlinked = False
        self.has_ptys = True
        """Whether the host has a terminal left for another window."""
        self.socket = "sim"
        """What `TMUX` says in a window."""
        self.frozen = False
        self.identity: ProcessIdentity | None = None
        self._queue: list[_Asked[Any]] = []
        self._thawed = Waker()
        self.listeners: list[Waker] = []
        """Are woken when windows have gone."""
        self.mute = ""
        """Why nobody can be told of that; empty where somebody is."""
        self._forget()

    def _forget(self) -> None:
        self.sessions: dict[str, FakeSession] = {}
        self.windows: dict[str, FakeWindow] = {}
        self.options: dict[str, str] = {}
        self.session_defaults: dict[str, str] = {}
        self.window_defaults: dict[str, str] = {"remain-on-exit": "on" if self.remain_on_exit else "off"}
        self.buffers: dict[str, bytes] = {}
        self._next_session = 0
        self._next_window = 0

    @property
    def running(self) -> bool:
        """Whether there is a server process, stopped or not."""
        return self.identity is not None

    @property
    def started(self) -> int:
        """When the server began, in whole seconds since the epoch; 0 while there is none."""
        return 0 if self.identity is None else int(self.identity.started)

    def start(self) -> None:
        """Run, with a new identity and ids from 0; nothing if it runs."""
        if self.identity is None:
            self._forget()
            self.ever_started = True
            self.socket_unlinked = False
            self.identity = self.processes.spawn(on_signal=self._signalled)

    def kill(self) -> None:
        """The server dies, and with it every window; processes get SIGHUP, and whoever waits for an answer gets none.

        After that everything is absent, and the next session starts a new server.
        """
        if self.identity is None:
            return
        windows = list(self.windows.values())
        self.processes.exit(self.identity.pid)
        self.identity = None
        self.frozen = False
        queue, self._queue = self._queue, []
        self._forget()
        for asked in queue:
            asked.lose()
        self._thawed.wake()
        self._tell()
        for window in windows:
            window.hang_up()

    def restart(self) -> None:
        """The server dies, and another one runs in its place at once."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Answer nothing until `thaw`, as a server that got SIGSTOP; its windows' processes go on."""
        if self.running:
            self.frozen = True
            self._thawed.clear()

    def thaw(self) -> None:
        """Continue: carry out everything that was asked meanwhile, in order, for whoever still waits and for nobody."""
        if not self.frozen:
            return
        self.frozen = False
        queue, self._queue = self._queue, []
        for asked in queue:
            asked.carry_out()
        self._thawed.wake()

    def ask(self, effect: Callable[[], T], deadline_s: float, what: str) -> T:
        """What `effect` answers, carried out now, or when the server thaws.

        Raises `subprocess.TimeoutExpired` when it does not thaw within `deadline_s` clock seconds (the effect then still
        happens when it does), and `ServerLost` when it dies meanwhile.
        """
        if not self.frozen:
            return effect()
        asked = _Asked(effect)
        self._queue.append(asked)
        self.clock.wait(deadline_s, self._thawed)
        if self.frozen:
            self._thawed.clear()
        if not asked.done:
            raise TimeoutExpired(what, deadline_s)
        return asked.outcome()

    def interrupt(self) -> None:
        """End the wait of whoever is being kept waiting by a stopped server; what it asked still happens later."""
        self._thawed.wake()

    def when_running(self, effect: Callable[[], None]) -> None:
        """Let the server itself do something: now, or first thing when it continues."""
        if self.frozen:
            self._queue.append(_Asked(effect))
        else:
            effect()

    def make_session(self, name: str, cwd: str, cols: int | None = None, lines: int | None = None) -> FakeSession:
        """A new session without windows; the caller makes its first one, or none."""
        self.start()
        sized = cols is not None and lines is not None
        session = FakeSession(
            self,
            f"${self._next_session}",
            name,
            cols if sized and cols else DEFAULT_COLS,
            lines if sized and lines else DEFAULT_LINES,
        )
        self._next_session += 1
        self.sessions[name] = session
        return session

    def make_window(
        self,
        session: FakeSession,
        name: str,
        cwd: str,
        env: Mapping[str, str],
        argv: Sequence[str],
        *,
        parked: bool = False,
        select: bool = False,
    ) -> FakeWindow:
        """A new window in which `argv` is started by the next wait; with `parked`, under a shell that outlives it."""
        number = self._next_window
        self._next_window += 1
        window = FakeWindow(session, f"@{number}", f"%{number}", session.take_index(), name, cwd)
        session.by_index[window.index] = window
        self.windows[window.id] = window
        if select or session.current is None:
            session.select(window)
        self.run_in(window, env, argv, cwd, parked=parked)
        return window

    def run_in(
        self, window: FakeWindow, env: Mapping[str, str], argv: Sequence[str], cwd: str, *, parked: bool = False
    ) -> None:
        """Start `argv` in `window` by the next wait; what ran there before gets SIGHUP."""
        assert self.identity is not None
        before, window.process = window.process, None
        if before is not None:
            before.signal_group(SIGHUP)
        window.dead, window.exit, window.killed = False, None, None
        window.typing.clear()
        parent = self.identity.pid
        place = {"TMUX": f"{self.socket},{parent},{window.session.id[1:]}", "TMUX_PANE": window.pane_id}
        inherited = {**_BASE_ENVIRONMENT, **place}
        if parked:
            window.shell = self.processes.spawn(inherited, parent=parent, on_signal=window.shell_signalled)
            parent = window.shell.pid
        environment = {**inherited, **env}
        process = FakeProcess(window, argv, environment, cwd, parent, window.process_ended, window.show)
        window.process = process
        window.command = " ".join(argv)
        self.clock.call_later(0.0, process.run)

    def close_window(self, window: FakeWindow) -> None:
        """The window is gone, its processes get SIGHUP; the session goes with its last window."""
        if self.windows.pop(window.id, None) is None:
            return
        session = window.session
        session.give_back(window)
        if not session.by_index:
            self._drop(session)
        self._tell()
        window.hang_up()

    def _tell(self) -> None:
        for listener in () if self.mute else self.listeners:
            listener.wake()

    def end_session(self, session: FakeSession) -> None:
        """Close all windows of the session, and with the last one the session."""
        windows = session.windows()
        for window in windows:
            self.close_window(window)
        if not windows:
            self._drop(session)

    def settle(self, window: FakeWindow) -> None:
        """Nothing runs in the window any more: keep it dead where `remain-on-exit` says so, else close it."""
        if self.windows.get(window.id) is not window:
            return
        kept = window.options.get("remain-on-exit", self.window_defaults.get("remain-on-exit"))
        if kept == "on" or (kept == "failed" and window.exit != WindowExit(code=0)):
            window.dead = True
        else:
            self.close_window(window)

    def program_for(self, process: FakeProcess) -> Program | None:
        """What runs as `process`: the first of `programs` and the built-in ones that knows its argv."""
        for known in (self.programs, self.clients, builtin_program):
            program = None if known is None else known(process)
            if program is not None:
                return program
        return None

    def _drop(self, session: FakeSession) -> None:
        self.sessions.pop(session.name, None)
        if self.exit_empty and not self.sessions:
            self.kill()

    def _make_socket(self) -> None:
        self.socket_unlinked = False

    def _signalled(self, signum: int) -> None:
        if signum == SIGSTOP:
            self.freeze()
        elif signum == SIGCONT:
            self.thaw()
        elif signum == SIGUSR1:
            self.when_running(self._make_socket)
        elif signum not in IGNORED_BY_DEFAULT:
            self.kill()


_BASE_ENVIRONMENT = {
    "HOME": "/home/sim",
    "PATH": "/usr/bin:/bin",
    "SHELL": "/bin/sh",
    "TERM": "screen",
    "LANG": "C.UTF-8",
}
