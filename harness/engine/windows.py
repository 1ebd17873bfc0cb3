"""The engine's dealings with the multiplexer: its session, and the windows in it.

Nothing here waits or retries. What could not be asked comes out as `TransportError`; whoever calls decides when to ask
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backends.base import StrPath, TerminalMultiplexer
from backends.errors import CommandRejected, MultiplexerError, TargetMissing, TransportError
from backends.operations import WindowExit

__all__ = ["RUN_OPTION", "TOKEN_OPTION", "Listing", "SessionTaken", "Windows", "window_name"]

RUN_OPTION = "@seamripper_run"
"""Session option that names the run a session belongs to."""
TOKEN_OPTION = "@seamripper_token"
"""Window option that carries the launch token."""


class SessionTaken(Exception):
    """A session of our name is there and belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The windows of the session at one moment; `ids` is `None` when nobody answered, empty when there is none."""

    ids: frozenset[str] | None
    error: MultiplexerError | None = None


def window_name(task_key: str, token: str) -> str:
    """The name of the window of one launch: the token in it tells launches apart when an answer was lost."""
    return f"{task_key[:40]}-{token[:16]}"


class Windows:
    """One multiplexer session that belongs to one run."""

    def __init__(self, multiplexer: TerminalMultiplexer, session: str, run_id: str, cwd: StrPath) -> None:
        self.multiplexer = multiplexer
        self.session = session
        self.cwd = cwd
        self.claimed = False
        """Whether this run has ever asked for the session to be made: then an untagged one is its own."""
        self.run_id = run_id
        self._ready = False

    def ensure_session(self) -> None:
        """Make sure that the session exists and is tagged as this run's.

        Raises `SessionTaken` if it is somebody else's, and whatever the operations raise.
        """
        if self._ready:
            return
        if self.multiplexer.has_session(self.session):
            owner = self.multiplexer.session_options(RUN_OPTION).get(self.session, "")
            if owner != self.run_id and (owner or not self.claimed):
                raise SessionTaken(f"session {self.session} belongs to {owner or 'somebody else'}")
        else:
            self.claimed = True
            self.multiplexer.new_session(self.session, self.cwd)
        self.multiplexer.set_session_option(self.session, RUN_OPTION, self.run_id)
        self._ready = True

    def forget(self) -> None:
        """Look for the session again before the next window is opened."""
        self._ready = False

    def open(self, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """Open a window; its native id."""
        try:
            return self.multiplexer.new_window(self.session, name, cwd, env, command)
        except TargetMissing:
            self.forget()
            raise

    def mark(self, window_id: str, token: str, log_file: StrPath) -> None:
        """Put the launch token on the window and its output into `log_file`."""
        self.multiplexer.set_window_option(window_id, TOKEN_OPTION, token)
        self.multiplexer.pipe_pane(window_id, log_file)

    def listing(self) -> Listing:
        """The ids of the session's windows, dead ones included."""
        try:
            return Listing(frozenset(self.multiplexer.list_window_ids(self.session)))
        except TargetMissing:
            return Listing(frozenset())
        except MultiplexerError as error:
            return Listing(None, error)

    def names(self, ids: frozenset[str]) -> dict[str, str] | None:
        """The name of every window of `ids` by id; `None` unless all of them could be learned."""
        if not ids:
            return {}
        rows = self.multiplexer.list_windows(self.session, ("window_id", "window_name"))
        names = {row[0]: row[1] for row in rows if len(row) == 2}
        return names if ids <= names.keys() else None

    def find(self, name: str) -> str | None:
        """The window of that name, `None` if there is proven to be none; raises `TransportError` when unknown."""
        listing = self.listing()
        if listing.ids is None:
            raise listing.error if isinstance(listing.error, TransportError) else TransportError("nobody answers")
        names = self.names(listing.ids)
        if names is None:
            raise TransportError("the windows' names could not be read")
        return next((window_id for window_id, found in sorted(names.items()) if found == name), None)

    def alive(self, window_id: str) -> bool:
        """Whether the window's process runs; `False` only when proven otherwise."""
        try:
            return self.multiplexer.window_alive(self.session, window_id)
        except TargetMissing:
            return False

    def pids(self, window_id: str) -> list[int] | None:
        """The pids of the window's process, `None` if nobody tells."""
        try:
            return self.multiplexer.window_pids(window_id)
        except MultiplexerError:
            return None

    def exit(self, window_id: str) -> WindowExit | None:
        """How the window's process ended, `None` if nobody can tell."""
        try:
            return self.multiplexer.window_exit(window_id)
        except MultiplexerError:
            return None

    def type(self, window_id: str, text: str) -> MultiplexerError | None:
        """Type `text` and Enter; the error if that cannot be told to have happened."""
        try:
            self.multiplexer.send_text(window_id, text)
        except MultiplexerError as error:
            return error
        return None

    def kill(self, window_id: str) -> None:
        """Ask for the window to go; whether it went is for a listing to tell."""
        self.multiplexer.kill_window(window_id)

    def kill_session(self) -> bool | None:
        """End the session: true once it is proven absent, false if it is still there, `None` if nobody answers."""
        self.forget()
        self.multiplexer.kill_session(self.session)
        try:
            return not self.multiplexer.has_session(self.session)
        except TargetMissing:
            return True
        except CommandRejected:
            return False
        except MultiplexerError:
            return None
