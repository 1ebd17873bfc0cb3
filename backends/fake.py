"""The embedded backend: a terminal multiplexer in memory and in virtual time.

`FakeMultiplexer` answers every operation, optional ones included, at no cost in simulated time. Its `server` can be
frozen, thawed, killed and restarted; while frozen, each call spends its deadline and fails as unknown, and what was asked
takes effect at the thaw.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from backends.base import News, StrPath, TerminalMultiplexer
from backends.clock import VirtualClock, Waker
from backends.disk import Disk
from backends.errors import (
    CommandRejected,
    MultiplexerError,
    TargetMissing,
    TransportGarbled,
    TransportUnavailable,
)
from backends.fake_options import put_option, scope_of, table_of
from backends.fake_transport import FakeTransport
from backends.fake_words import Refused
from backends.judge import Meaning, judge
from backends.operations import ServerIdentity, WindowExit, split_command
from backends.processes import Completed
from backends.simulated_processes import SimulatedProcessTable
from backends.simulated_programs import FakeProcess, Program, Programs
from backends.simulation import FakeServer, FakeSession, FakeWindow
from backends.simulation_formats import field_value
from backends.words import absence_lines, split_target

__all__ = ["FakeMultiplexer", "FakeProcess", "FakeServer", "FakeTransport", "Program", "Programs"]

T = TypeVar("T")

_NATIVE = {"@": "window", "%": "pane", "$": "session"}
"""What the first character of a native id names."""


class FakeNews:
    """See `News`: it is told when windows of a simulated server go, as tmux tells its persistent clients."""

    def __init__(self, server: FakeServer) -> None:
        self.epoch = 0
        self.told = Waker()
        self._server = server
        server.listeners.append(self.told)

    @property
    def why(self) -> str:
        """See `News`."""
        return self._server.mute

    @property
    def connected(self) -> bool:
        """See `News.connected`."""
        return self._server.running and not self.why

    def notices(self) -> list[str]:
        """See `News.notices`; which windows those were nobody says."""
        came = ["%sessions-changed"] if self.told.is_set() else []
        self.told.clear()
        return came


class FakeMultiplexer(TerminalMultiplexer):
    """The seam over a `FakeServer`; several instances may share one server, as several orchestrators would."""

    def __init__(
        self,
        server: FakeServer | None = None,
        *,
        clock: VirtualClock | None = None,
        processes: SimulatedProcessTable | None = None,
        disk: Disk | None = None,
        programs: Programs | None = None,
        call_timeout_s: float | None = None,
    ) -> None:
        """Use `server`, or make one out of the other arguments; what is not given is made as well."""
        self.server = server or FakeServer(clock, processes, disk, programs)
        self._abandoned = False
        self._news = FakeNews(self.server)
        super().__init__(clock=self.server.clock, call_timeout_s=call_timeout_s)

    @property
    def news(self) -> News | None:
        """See `TerminalMultiplexer.news`."""
        return self._news

    def abandon(self) -> None:
        """See `TerminalMultiplexer.abandon`."""
        self._abandoned = True
        self.server.interrupt()

    def take_up(self) -> None:
        """See `TerminalMultiplexer.take_up`."""
        self._abandoned = False

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`."""
        return self._ask(lambda: name in self.server.sessions)

    def new_session(self, name: str, cwd: StrPath, cols: int | None = None, lines: int | None = None) -> None:
        """See `TerminalMultiplexer.new_session`."""

        def make() -> None:
            if name in self.server.sessions:
                raise self._refused("new-session", f"duplicate session: {name}")
            session = self.server.make_session(name, os.fspath(cwd), cols, lines)
            self.server.make_window(session, "shell", os.fspath(cwd), {}, ["sh"])

        self._ask(make)

    def kill_session(self, name: str) -> None:
        """See `TerminalMultiplexer.kill_session`."""

        def kill() -> None:
            session = self.server.sessions.get(name)
            if session is not None:
                self.server.end_session(session)

        self._ask(kill)

    def list_sessions(self) -> list[str]:
        """See `TerminalMultiplexer.list_sessions`; sorted, as tmux does."""
        return self._ask(self._names)

    def session_options(self, option: str) -> dict[str, str]:
        """See `TerminalMultiplexer.session_options`."""

        def value(name: str) -> str | None:
            try:
                return table_of(option, self.server.sessions[name]).get(option)
            except Refused:
                return None

        def collect() -> dict[str, str]:
            return {name: shown for name in self._names() if (shown := value(name)) is not None}

        return self._ask(collect)

    def set_session_option(self, name: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_session_option`."""

        def put() -> None:
            self._running("set-option")
            with self._saying("set-option"):
                scope_of(option, server=False, window=False)
            session = self.server.sessions.get(name)
            if session is None:
                raise self._refused("set-option", f"no such session: ={name}:", name)
            with self._saying("set-option"):
                put_option(table_of(option, session), option, value)

        self._ask(put)

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        argv = split_command(command)
        environment = dict(env)

        def make() -> str:
            found = self._session("source-file", session)
            return self.server.make_window(found, name, os.fspath(cwd), environment, argv).id

        return self._ask(make)

    def new_parked_window(self, session: str, name: str, cwd: StrPath, argv: Sequence[str], return_opt: str) -> str:
        """See `TerminalMultiplexer.new_parked_window`; there is never an attached client to send back."""
        words = list(argv)

        def make() -> str:
            found = self._session("source-file", session)
            return self.server.make_window(found, name, os.fspath(cwd), {}, words, parked=True).id

        return self._ask(make)

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""

        def collect() -> list[str]:
            found = self.server.sessions.get(session)
            return [] if found is None else [window.id for window in found.windows()]

        return self._ask(collect)

    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TerminalMultiplexer.list_windows`; as unreadable as tmux's answer where a value has a TAB or a newline."""
        names = tuple(fields)

        def collect() -> list[tuple[str, ...]]:
            windows = self._session("list-windows", session).windows()
            rows = [tuple(field_value(window, name) for name in names) for window in windows]
            if any("\t" in value or "\n" in value for row in rows for value in row):
                raise TransportGarbled("the answer is cut off, or not of the form that was asked for")
            return rows

        return self._ask(collect)

    def window_alive(self, session: str, window_id: str) -> bool:
        """See `TerminalMultiplexer.window_alive`."""

        def look() -> bool:
            window = self.server.windows.get(window_id)
            return window is not None and not window.dead and window.session.name == session

        return self._ask(look)

    def kill_window(self, target: str) -> None:
        """See `TerminalMultiplexer.kill_window`."""

        def kill() -> None:
            with contextlib.suppress(TargetMissing):
                self.server.close_window(self._window("kill-window", target))

        self._ask_about(target, kill)

    def select_window(self, target: str) -> None:
        """See `TerminalMultiplexer.select_window`."""

        def select() -> None:
            window = self._window("select-window", target)
            window.session.select(window)

        self._ask_about(target, select)

    def set_window_option(self, target: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_window_option`."""

        def put() -> None:
            table = self._options("set-option", target, option)
            with self._saying("set-option"):
                put_option(table, option, value)

        self._ask_about(target, put)

    def unset_window_option(self, target: str, option: str) -> None:
        """See `TerminalMultiplexer.unset_window_option`."""

        def take() -> None:
            self._options("set-option", target, option).pop(option, None)

        self._ask_about(target, take)

    def show_window_option(self, target: str, option: str) -> str:
        """See `TerminalMultiplexer.show_window_option`."""

        def show() -> str:
            try:
                return self._options("show-options", target, option).get(option, "")
            except CommandRejected as refusal:
                if refusal.stderr == f"invalid option: {option}":
                    return ""
                raise

        return self._ask_about(target, show)

    def pipe_pane(self, window_id: str, log_file: StrPath) -> None:
        """See `TerminalMultiplexer.pipe_pane`."""

        def pipe() -> None:
            window = self._window("pipe-pane", window_id)
            if window.dead:
                raise self._refused("pipe-pane", "target pane has exited")
            window.log = os.fspath(log_file)

        self._ask_about(window_id, pipe)

    def send_text(self, window_id: str, text: str) -> None:
        """See `TerminalMultiplexer.send_text`; refused by a dead window, where tmux drops the text."""

        def deliver() -> None:
            window = self._window("list-panes", window_id)
            if window.dead:
                raise CommandRejected(f"the process of {window.id} has ended: nothing was typed")
            window.type(text)

        self._ask_about(window_id, deliver)

    def attach_target_argv(self, target: str) -> list[str]:
        """See `TerminalMultiplexer.attach_target_argv`; there is no such command."""
        split_target(target)
        return ["fake-attach", target]

    def current_pane_id(self) -> str | None:
        """See `TerminalMultiplexer.current_pane_id`; no process of this host runs in the fake."""
        return None

    def current_window_id(self) -> str | None:
        """See `TerminalMultiplexer.current_window_id`; no process of this host runs in the fake."""
        return None

    def current_session(self) -> str | None:
        """See `TerminalMultiplexer.current_session`; no process of this host runs in the fake."""
        return None

    def detach_client(self) -> None:
        """See `TerminalMultiplexer.detach_client`; there is never a client."""
        self._ask(lambda: None)

    def switch_client(self, target: str, last_fallback: bool = False) -> bool:
        """See `TerminalMultiplexer.switch_client`; there is never a client."""
        split_target(target)

        def switch() -> bool:
            self._running("display-message")
            return False

        return self._ask(switch)

    def available(self) -> bool:
        """See `TerminalMultiplexer.available`."""
        return True

    def version(self) -> str | None:
        """See `TerminalMultiplexer.version`."""
        return "fake 1"

    def target(self, session: str, window: str | None = None) -> str:
        """See `TerminalMultiplexer.target`."""
        return f"={session}" if window is None else f"={session}:{window}"

    def window_pids(self, target: str) -> list[int]:
        """See `TerminalMultiplexer.window_pids`; none for a dead window."""

        def look() -> list[int]:
            window = self._window("list-panes", target)
            return [] if window.dead else [window.pid]

        return self._ask_about(target, look)

    def window_exit(self, target: str) -> WindowExit | None:
        """See `TerminalMultiplexer.window_exit`."""
        return self._ask_about(target, lambda: self._window("list-panes", target).exit)

    def server_identity(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.server_identity`."""

        def look() -> ServerIdentity | None:
            identity = self.server.identity
            return None if identity is None else ServerIdentity(identity.pid, int(identity.started))

        return self._ask(look)

    def batch_liveness(self, session: str) -> frozenset[str]:
        """See `TerminalMultiplexer.batch_liveness`."""

        def look() -> frozenset[str]:
            found = self.server.sessions.get(session)
            windows = () if found is None else found.by_index.values()
            return frozenset(window.id for window in windows if not window.dead)

        return self._ask(look)

    def _ask(self, effect: Callable[[], T]) -> T:
        if self._abandoned:
            raise InterruptedError("given up by the caller")
        if not self.server.frozen:
            return effect()
        try:
            return self.server.ask(effect, self.seam.remaining_s(), "fake")
        finally:
            if self._abandoned:
                raise InterruptedError("given up by the caller")

    def _ask_about(self, target: str, effect: Callable[[], T]) -> T:
        """Like `_ask`; a word that is no target is refused before anybody is asked, though the server does not answer."""
        split_target(target)
        return self._ask(effect)

    def _refused(self, verb: str, line: str, about: str | None = None) -> MultiplexerError:
        """What it means that tmux refuses `verb` with that line; `about` is the target whose absence it would prove."""
        said = Completed((verb,), 1, b"", f"{line}\n".encode("utf-8", "surrogateescape"))
        verdict = judge(said, self.server.socket, absence_lines(about) if about else frozenset())
        if verdict.meaning in (Meaning.ABSENT, Meaning.NO_SERVER, Meaning.NO_SOCKET):
            return TargetMissing(line, verb=verb, status=1, stderr=line)
        if verdict.meaning is Meaning.REFUSED:
            return CommandRejected(line, verb=verb, status=1, stderr=line)
        kind = TransportGarbled if verdict.meaning is Meaning.GARBLED else TransportUnavailable
        return kind(verdict.why)

    @contextlib.contextmanager
    def _saying(self, verb: str) -> Iterator[None]:
        """Within, what tmux refuses comes out as what it means."""
        try:
            yield
        except Refused as refusal:
            raise self._refused(verb, str(refusal)) from refusal

    def _running(self, verb: str) -> None:
        """Refuse where there is no server, which proves that there is nothing in it."""
        server = self.server
        if not server.running:
            silent = f"error connecting to {server.socket} (No such file or directory)"
            raise self._refused(verb, f"no server running on {server.socket}" if server.ever_started else silent)

    def _names(self) -> list[str]:
        self._running("list-sessions")
        return sorted(self.server.sessions)

    def _session(self, verb: str, name: str) -> FakeSession:
        self._running(verb)
        session = self.server.sessions.get(name)
        if session is None:
            raise self._refused(verb, f"can't find session: {name}", name)
        return session

    def _options(self, verb: str, target: str, option: str) -> dict[str, str]:
        """Where the option of a window is kept; of a native id the option's name is read first, as tmux does."""
        missing = ""
        if split_target(target)[0] == target and not target.startswith("$"):
            self._running(verb)
            with self._saying(verb):
                missing = f"no such {scope_of(option, server=False, window=True).value}"
        window = self._window(verb, target, missing)
        with self._saying(verb):
            return table_of(option, window.session, window)

    def _window(self, verb: str, target: str, missing: str = "") -> FakeWindow:
        """The window that a native id or `=session[:window]` names; `missing` is how `verb` says that there is none."""
        name, window_name = split_target(target)
        if name == target:
            self._running(verb)
            window = self._by_id(target)
            if window is None:
                absent = f"can't find {_NATIVE[target[0]]}"
                raise self._refused(verb, f"{missing or absent}: {target}", target)
            return window
        session = self._session("list-windows", name)
        found = session.named(window_name) if window_name else [session.current] if session.current else []
        if not found:
            raise TargetMissing(f"session {name} has no window {window_name}")
        if len(found) > 1:
            raise CommandRejected(f"session {name} has {len(found)} windows named {window_name}")
        return found[0]

    def _by_id(self, target: str) -> FakeWindow | None:
        if target.startswith("$"):
            return next((s.current for s in self.server.sessions.values() if s.id == target), None)
        return self.server.windows.get("@" + target[1:])
