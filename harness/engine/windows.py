"""The engine's dealings with the multiplexer: its session, and the windows in it.

Nothing here waits or retries. What could not be asked comes out as `TransportError`; whoever calls decides when to ask
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from backends.base import StrPath, TerminalMultiplexer
from backends.errors import CommandRejected, MultiplexerError, TargetMissing, TransportError
from backends.guard import Call
from backends.operations import ServerIdentity, WindowExit

__all__ = ["RUN_OPTION", "TOKEN_OPTION", "Listing", "SessionTaken", "Windows", "every_answer", "window_name"]

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


def _nothing() -> None:
    return None


def window_name(task_key: str, token: str) -> str:
    """The name of the window of one launch: the token in it tells launches apart when an answer was lost."""
    return f"{task_key[:40]}-{token[:16]}"


@contextmanager
def every_answer(multiplexer: TerminalMultiplexer) -> Iterator[None]:
    """Within, a courtesy or best effort that came to nothing is no answer: its error is raised at the end."""
    swallowed: list[MultiplexerError] = []

    def note(call: Call) -> None:
        if call.swallowed and isinstance(call.error, MultiplexerError):
            swallowed.append(call.error)

    multiplexer.observe(note)
    try:
        yield
    finally:
        multiplexer.unobserve(note)
    if swallowed:
        raise swallowed[0]


class Windows:
    """One multiplexer session that belongs to one run."""

    def __init__(self, multiplexer: TerminalMultiplexer, session: str, run_id: str, cwd: StrPath) -> None:
        self.multiplexer = multiplexer
        self.session = session
        self.cwd = cwd
        self.claimed = False
        """Whether this run has ever asked for the session to be made, or found it to be its own: then an untagged one is."""
        self.run_id = run_id
        self.between: Callable[[], None] = _nothing
        """Called between two calls of one method; what it raises ends the method."""
        self.making = False
        """Whether the session is being asked for right now."""
        self.server: ServerIdentity | None = None
        """Who answered when the session was last made sure of, for crash records."""
        self._ready = False
        """Whether the session is known to be there and to be tagged as this run's."""
        self._made = False
        """Whether this object asked for the session when there was none, and was not refused."""
        self._lost = False
        """Whether the session went with its server, and was not asked for again: what has its name now is somebody else's."""

    def ensure_session(self) -> None:
        """Make sure that the session exists and is tagged as this run's.

        Raises `SessionTaken` if it is somebody else's, and whatever the operations raise.
        """
        if self._ready:
            return
        found = self.multiplexer.has_session(self.session)
        self.between()
        if not found:
            self._make_session()
        elif self._owner_is_foreign():
            raise SessionTaken(f"session {self.session} belongs to somebody else")
        self.claimed = True
        self.between()
        self.multiplexer.set_session_option(self.session, RUN_OPTION, self.run_id)
        self._ready = True
        self.between()
        self._note_server()

    def _note_server(self) -> None:
        try:
            self.server = self.multiplexer.server_identity()
        except MultiplexerError:
            # Only a crash record tells it; what is known from before still stands.
            return

    def lose(self) -> None:
        """Heed that the session has gone with its server."""
        self._ready = self._made = False
        self._lost = True

    def server_is_gone(self) -> bool:
        """Whether the server that the session was made on is proven gone; false where a backend has none, or nobody knows."""
        if self.server is None:
            return False
        try:
            return self.multiplexer.server_identity() != self.server
        except MultiplexerError:
            return False

    def _make_session(self) -> None:
        before = self.claimed, self._lost
        self.claimed, self._lost, self._made = True, False, True
        self.making = True
        try:
            self.multiplexer.new_session(self.session, self.cwd)
        except CommandRejected as refusal:
            # What stands there now came from elsewhere, or from an earlier call of which only its tag can tell.
            (self.claimed, self._lost), self._made = before, False
            if self._lost:
                raise SessionTaken(f"session {self.session} is refused by a server that is not ours") from refusal
            raise
        finally:
            self.making = False

    def _owner_is_foreign(self) -> bool:
        """Whether the session, which is there, is tagged as another's, or has no tag although this run never asked for it."""
        with every_answer(self.multiplexer):
            owner = self.multiplexer.session_options(RUN_OPTION).get(self.session, "")
        return owner != self.run_id and (bool(owner) or not self.claimed or self._lost)

    def rename(self, session: str) -> None:
        """Leave the session's name to whoever has it, and go by another one."""
        self.session = session
        self._ready = self._made = self._lost = False

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
        """Put the launch token on the window and its output into `log_file`; may be asked for again.

        Raises the `MultiplexerError` of what could not be confirmed.
        """
        with every_answer(self.multiplexer):
            self.multiplexer.set_window_option(window_id, TOKEN_OPTION, token)
        self.between()
        with every_answer(self.multiplexer):
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
        self.between()
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
        """End the session if it is this run's.

        True once it is proven absent or somebody else's, false if it is still there, `None` if nobody answers.
        """
        try:
            if self._is_foreign():
                return True
            self.multiplexer.kill_session(self.session)
            if self.multiplexer.has_session(self.session):
                return False
        except TargetMissing:
            pass
        except CommandRejected:
            return False
        except MultiplexerError:
            return None
        self._ready = self._made = False
        return True

    def _is_foreign(self) -> bool:
        """Whether a session of that name is proven to be somebody else's."""
        if self._ready or self._made or not self.multiplexer.has_session(self.session):
            return False
        return self._owner_is_foreign()
