"""The engine's dealings with the multiplexer: its session, and the windows in it.

Nothing here waits or retries. What could not be asked comes out as `TransportError`; whoever calls decides when to ask
again.

A native id names a window of one server only: the next one gives the same ids to other windows, another run's among them. A
`Window` therefore knows in which era of our session it was learnt, and every id that goes to the multiplexer passes through
here. One of an earlier era is gone, and nobody is asked. Within its era a window is addressed by id only where the server that
has our session is the one that answers: asked before anything is typed, killed or marked, and after anything was told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from backends.base import StrPath, TerminalMultiplexer
from backends.errors import CommandRejected, MultiplexerError, TargetMissing, TransportError, TransportUnavailable
from backends.guard import Call
from backends.operations import ServerIdentity, WindowExit
from backends.processes import Liveness, ProcessIdentity, ProcessTable

__all__ = [
    "NOWHERE",
    "RUN_OPTION",
    "TOKEN_OPTION",
    "Listing",
    "SessionTaken",
    "Window",
    "Windows",
    "every_answer",
    "is_window_name",
    "window_name",
]

T = TypeVar("T")

RUN_OPTION = "@seamripper_run"
"""Session option that names the run a session belongs to."""
TOKEN_OPTION = "@seamripper_token"
"""Window option that carries the launch token."""


class SessionTaken(Exception):
    """A session of our name is there and belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window of our session: its native id, and the era of the session in which that was learnt."""

    id: str
    era: int = 0


NOWHERE = Window("", -1)
"""The window of a launch that has none."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The windows of the session at one moment; `ids` is `None` when nobody answered, empty when there is none."""

    ids: frozenset[str] | None
    error: MultiplexerError | None = None
    era: int = 0

    def shows(self, window: Window) -> bool | None:
        """Whether that window is there; `None` where this does not tell: nobody answered, or it was learnt in a later era."""
        if self.ids is None or window.era > self.era:
            return None
        return window.era == self.era and window.id in self.ids

    def windows(self) -> frozenset[Window]:
        """All that it shows."""
        return frozenset(Window(native, self.era) for native in self.ids or ())


def _nothing() -> None:
    return None


def window_name(task_key: str, token: str) -> str:
    """The name of the window of one launch: the token in it tells launches apart when an answer was lost."""
    return f"{task_key[:40]}-{token[:16]}"


def is_window_name(name: str, task_key: str) -> bool:
    """Whether that is the name of the window of some launch of that task: a person may call one `build-notes`."""
    head, _, tail = name.rpartition("-")
    return head == task_key[:40] and re.fullmatch("[0-9a-f]{16}", tail) is not None


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
        self._era = 0
        """How often the session, with every window that it had, was proven gone."""
        self._servers: dict[int, ServerIdentity | None] = {}
        """Which server had the session in which era, where somebody told; `None` where the backend has none to tell of."""
        self._learnt = False
        """Whether any window was learnt in this era."""
        self.refused = False
        """Whether the multiplexer answered the newest wish to end the session with no: that does not change by waiting."""

    def ensure_session(self) -> None:
        """Make sure that the session exists and is tagged as this run's.

        Raises `SessionTaken` if it is somebody else's, and whatever the operations raise.
        """
        if self._ready:
            return
        found = self.multiplexer.has_session(self.session)
        self.between()
        if found and self.server_is_gone():
            # Its name is on another server now.
            self.lose()
        if not found:
            self._end_era()
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
        """Note who has the session, about which that server has just answered; where nobody tells, it is asked again later."""
        try:
            self._note(self._told_server())
        except MultiplexerError:
            # What is known from before still stands, unless that is proven gone.
            return

    def _told_server(self) -> ServerIdentity | None:
        try:
            return self.multiplexer.server_identity()
        except CommandRejected:
            # A backend that has none says so.
            return None

    def _note(self, server: ServerIdentity | None) -> None:
        if server is not None or self._servers.get(self._era) is None:
            self._servers[self._era] = server
        self.server = server or self.server

    def _learn_server(self) -> None:
        """Ask who has the session where that is still unknown: who answers, and then whether the session there is ours.

        Where nobody tells it stays unknown.
        """
        if not self._ready or self._era in self._servers:
            return
        try:
            server = self._told_server()
            if self.multiplexer.session_options(RUN_OPTION).get(self.session) == self.run_id:
                self._note(server)
        except MultiplexerError:
            return

    def _end_era(self) -> None:
        """Heed that the session is proven gone, and every window with it."""
        if self._learnt:
            self._era += 1
            self._learnt = False
        else:
            self._servers.pop(self._era, None)

    def lose(self) -> None:
        """Heed that the session has gone with its server."""
        self._end_era()
        self._ready = self._made = False
        self._lost = True

    def ended_with_its_server(self, era: int) -> bool:
        """Whether another server answers, or none, than the one that had the session in that era; asks only about the last."""
        if era == self._era:
            return self.server_is_gone()
        had, has = self._servers.get(era), self._servers.get(self._era)
        return had is not None and has is not None and had != has

    def server_is_gone(self) -> bool:
        """Whether none answers, or another than the session was made on; false where a backend has none, or nobody knows."""
        had = self._servers.get(self._era)
        if had is None:
            return False
        try:
            return self.multiplexer.server_identity() != had
        except MultiplexerError:
            return False

    def server_has_died(self, table: ProcessTable) -> bool:
        """Whether the process of that server is proven gone, without asking any; false where nobody told which."""
        had = self._servers.get(self._era)
        return had is not None and table.liveness(ProcessIdentity(had.pid, -1.0, table.boot_id())) is Liveness.DEAD

    def _require(self, window: Window) -> None:
        """Let the id of that window be used: raises `TargetMissing` if it is proven to mean another one by now.

        Raises what the questions raise, and `TransportUnavailable` where another server answers while ours may live, or where
        nobody tells who has the session. None is asked about an earlier era, nor where the backend has no server to tell of.
        """
        if window.era == self._era:
            self._learn_server()
            if self._ready and self._era not in self._servers:
                raise TransportUnavailable("nobody tells which server has the session")
            had = self._servers.get(self._era)
            if had is None or (seen := self.multiplexer.server_identity()) == had:
                return
            if seen is not None and self.multiplexer.has_session(self.session):
                raise TransportUnavailable(f"another server answers (pid {seen.pid}) than the one that has the session")
        raise TargetMissing(f"window {window.id} is gone: its session was on another server")

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
        self._end_era()
        self._ready = self._made = self._lost = False

    def forget(self) -> None:
        """Look for the session again before the next window is opened."""
        self._ready = False

    def open(self, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> Window:
        """Open a window."""
        try:
            return self._learn(self.multiplexer.new_window(self.session, name, cwd, env, command))
        except TargetMissing:
            self.forget()
            raise

    def _learn(self, native: str) -> Window:
        self._learnt = True
        return Window(native, self._era)

    def mark(self, window: Window, token: str, log_file: StrPath) -> None:
        """Put the launch token on the window and its output into `log_file`; may be asked for again.

        Raises the `MultiplexerError` of what could not be confirmed.
        """
        self._require(window)
        self.between()
        with every_answer(self.multiplexer):
            self.multiplexer.set_window_option(window.id, TOKEN_OPTION, token)
        self.between()
        with every_answer(self.multiplexer):
            self.multiplexer.pipe_pane(window.id, log_file)

    def listing(self) -> Listing:
        """The ids of the session's windows, dead ones included."""
        try:
            ids = frozenset(self.multiplexer.list_window_ids(self.session))
        except TargetMissing:
            ids = frozenset()
        except MultiplexerError as error:
            return Listing(None, error, era=self._era)
        self._learnt = self._learnt or bool(ids)
        # After it, and only behind an answer: of one silent server there is one call to wait for.
        self._learn_server()
        return Listing(ids, era=self._era)

    def names(self, ids: frozenset[str]) -> dict[str, str] | None:
        """The name of every window of `ids` by id; `None` unless all of them could be learned."""
        if not ids:
            return {}
        rows = self.multiplexer.list_windows(self.session, ("window_id", "window_name"))
        names = {row[0]: row[1] for row in rows if len(row) == 2}
        return names if ids <= names.keys() else None

    def find(self, name: str) -> Window | None:
        """The window of that name, `None` if there is proven to be none; raises `TransportError` when unknown."""
        listing = self.listing()
        if listing.ids is None:
            raise listing.error if isinstance(listing.error, TransportError) else TransportError("nobody answers")
        self.between()
        names = self.names(listing.ids)
        if names is None:
            raise TransportError("the windows' names could not be read")
        found = next((native for native, known in sorted(names.items()) if known == name), None)
        return None if found is None else self._learn(found)

    def alive(self, window: Window) -> bool:
        """Whether the window's process runs; `False` only when proven otherwise."""
        if window.era != self._era:
            return False
        try:
            return self.multiplexer.window_alive(self.session, window.id)
        except TargetMissing:
            return False

    def pids(self, window: Window) -> list[int] | None:
        """The pids of the window's process, `None` if nobody tells."""
        return self._told(window, self.multiplexer.window_pids)

    def exit(self, window: Window) -> WindowExit | None:
        """How the window's process ended, `None` if nobody can tell."""
        return self._told(window, self.multiplexer.window_exit)

    def _told(self, window: Window, ask: Callable[[str], T]) -> T | None:
        """What is answered about the window, `None` for silence, or where it may have been said of another one."""
        if window.era != self._era:
            return None
        try:
            answer = ask(window.id)
            if answer:
                self._require(window)
        except MultiplexerError:
            return None
        return answer

    def type(self, window: Window, text: str) -> MultiplexerError | None:
        """Type `text` and Enter; the error if that cannot be told to have happened."""
        try:
            self._require(window)
            self.multiplexer.send_text(window.id, text)
        except MultiplexerError as error:
            return error
        return None

    def kill(self, window: Window) -> None:
        """Ask for the window to go; whether it went is for a listing to tell."""
        try:
            self._require(window)
        except MultiplexerError:
            return
        self.multiplexer.kill_window(window.id)

    def kill_session(self) -> bool | None:
        """End the session if it is this run's.

        True once it is proven absent or somebody else's, false if it is still there, `None` if nobody answers.
        """
        self.refused = False
        try:
            if self._is_foreign():
                return True
            self.multiplexer.kill_session(self.session)
            if self.multiplexer.has_session(self.session):
                return False
        except TargetMissing:
            pass
        except CommandRejected:
            self.refused = True
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
