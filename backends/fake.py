"""The embedded backend: a terminal multiplexer in memory and in virtual time.

`FakeMultiplexer` answers every operation, optional ones included, at no cost in simulated time. Its `server` can be
frozen, thawed, killed and restarted; while frozen, each call spends its deadline and fails as unknown, and what was asked
takes effect at the thaw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from backends.base import StrPath, TerminalMultiplexer
from backends.clock import VirtualClock
from backends.disk import Disk
from backends.errors import CommandRejected, TargetMissing
from backends.fake_transport import FakeTransport
from backends.operations import ServerIdentity, WindowExit, split_command
from backends.simulated_processes import SimulatedProcessTable
from backends.simulated_programs import FakeProcess, Program, Programs
from backends.simulation import FakeServer, FakeSession, FakeWindow
from backends.simulation_formats import field_value

__all__ = ["FakeMultiplexer", "FakeProcess", "FakeServer", "FakeTransport", "Program", "Programs"]

T = TypeVar("T")


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
        super().__init__(clock=self.server.clock, call_timeout_s=call_timeout_s)

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
                raise CommandRejected(f"duplicate session: {name}")
            session = self.server.make_session(name, os.fspath(cwd), cols, lines)
            self.server.make_window(session, "sh", os.fspath(cwd), {}, ["sh"])

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
        return self._ask(lambda: sorted(self.server.sessions))

    def session_options(self, option: str) -> dict[str, str]:
        """See `TerminalMultiplexer.session_options`."""

        def collect() -> dict[str, str]:
            sessions = self.server.sessions
            return {
                name: sessions[name].options[option] for name in sorted(sessions) if option in sessions[name].options
            }

        return self._ask(collect)

    def set_session_option(self, name: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_session_option`."""

        def put() -> None:
            self._session(name).options[option] = value

        self._ask(put)

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        argv = split_command(command)
        environment = dict(env)

        def make() -> str:
            found = self._session(session)
            return self.server.make_window(found, name, os.fspath(cwd), environment, argv).id

        return self._ask(make)

    def new_parked_window(self, session: str, name: str, cwd: StrPath, argv: Sequence[str], return_opt: str) -> str:
        """See `TerminalMultiplexer.new_parked_window`; there is never an attached client to send back."""
        words = list(argv)

        def make() -> str:
            found = self._session(session)
            return self.server.make_window(found, name, os.fspath(cwd), {}, words, parked=True).id

        return self._ask(make)

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""

        def collect() -> list[str]:
            found = self.server.sessions.get(session)
            return [] if found is None else [window.id for window in found.windows()]

        return self._ask(collect)

    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TerminalMultiplexer.list_windows`."""
        names = tuple(fields)

        def collect() -> list[tuple[str, ...]]:
            windows = self._session(session).windows()
            return [tuple(field_value(window, name) for name in names) for window in windows]

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
            window = self._find(target)
            if window is not None:
                self.server.close_window(window)

        self._ask(kill)

    def select_window(self, target: str) -> None:
        """See `TerminalMultiplexer.select_window`."""

        def select() -> None:
            window = self._window(target)
            window.session.current = window

        self._ask(select)

    def set_window_option(self, target: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_window_option`."""

        def put() -> None:
            self._window(target).options[option] = value

        self._ask(put)

    def unset_window_option(self, target: str, option: str) -> None:
        """See `TerminalMultiplexer.unset_window_option`."""

        def take() -> None:
            self._window(target).options.pop(option, None)

        self._ask(take)

    def show_window_option(self, target: str, option: str) -> str:
        """See `TerminalMultiplexer.show_window_option`."""
        return self._ask(lambda: self._window(target).options.get(option, ""))

    def pipe_pane(self, window_id: str, log_file: StrPath) -> None:
        """See `TerminalMultiplexer.pipe_pane`."""

        def pipe() -> None:
            window = self._find(window_id)
            if window is not None and not window.dead:
                window.log = os.fspath(log_file)

        self._ask(pipe)

    def send_text(self, window_id: str, text: str) -> None:
        """See `TerminalMultiplexer.send_text`; refused by a dead window, where tmux drops the text."""

        def deliver() -> None:
            window = self._window(window_id)
            if window.dead:
                raise CommandRejected("the window is dead: nothing was typed")
            window.type(text)

        self._ask(deliver)

    def attach_target_argv(self, target: str) -> list[str]:
        """See `TerminalMultiplexer.attach_target_argv`; there is no such command."""
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
        return self._ask(lambda: False)

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
            window = self._window(target)
            return [] if window.dead else [window.pid]

        return self._ask(look)

    def window_exit(self, target: str) -> WindowExit | None:
        """See `TerminalMultiplexer.window_exit`."""
        return self._ask(lambda: self._window(target).exit)

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

    def _session(self, name: str) -> FakeSession:
        session = self.server.sessions.get(name)
        if session is None:
            raise TargetMissing(f"can't find session: {name}")
        return session

    def _window(self, target: str) -> FakeWindow:
        window = self._find(target)
        if window is None:
            raise TargetMissing(f"can't find window: {target}")
        return window

    def _find(self, target: str) -> FakeWindow | None:
        """The window that a native id or `=session[:window]` names; `None` is proof that there is none."""
        if target.startswith("@"):
            return self.server.windows.get(target)
        if not target.startswith("="):
            raise CommandRejected(f"{target} is no target of this backend", invalid_argument=True)
        session_name, _, window_name = target[1:].partition(":")
        session = self.server.sessions.get(session_name)
        if session is None or not window_name:
            return None if session is None else session.current
        named = session.named(window_name)
        if len(named) > 1:
            raise CommandRejected(f"{target} names {len(named)} windows")
        return named[0] if named else None
