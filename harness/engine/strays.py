"""Windows of our own session that belong to no launch, and a session that has gone with its server."""

from __future__ import annotations

from collections.abc import Sequence

from harness.engine.core import Core
from harness.engine.sessions import Phase, Session
from harness.engine.windows import Listing, Window, Windows, is_window_name
from harness.record import SessionOutcome

__all__ = ["Strays"]


class Strays:
    """Knows which windows belong to launches, and ends others that look as if they did."""

    def __init__(self, core: Core, windows: Windows) -> None:
        self.core = core
        self.windows = windows
        self._known: set[Window] = set()
        self._strays: set[Window] = set()
        self._told: set[int] = set()
        """The eras of the session of which it was said that they ended with their server."""

    @property
    def chasing(self) -> bool:
        """Whether a window that belongs to no launch is still to be ended."""
        return bool(self._strays)

    def know(self, window: Window) -> None:
        """That window belongs to a launch."""
        self._known.add(window)

    def chase(self, listing: Listing, sessions: Sequence[Session]) -> None:
        """End windows of our own session that belong to no launch: late effects of calls given up on."""
        if listing.ids is None:
            return
        shown = listing.windows()
        new = shown - self._known - self._strays
        pending = any(session.phase is Phase.UNCERTAIN for session in sessions)
        names = self.windows.names(frozenset(window.id for window in new)) if new and not pending else None
        if names is not None:
            keys = [task.key for task in self.core.plan.tasks]
            self._known |= new
            for window in sorted(new, key=_by_id):
                if any(is_window_name(names[window.id], key) for key in keys):
                    self._strays.add(window)
                    self.core.journal("stray-window", window=window.id, name=names[window.id])
        self._strays &= shown
        for window in sorted(self._strays, key=_by_id):
            self.windows.kill(window)

    def note_loss(self, listing: Listing, sessions: Sequence[Session]) -> None:
        """Say once, for all sessions that it took along, that their server has gone.

        An agent that loses its terminal may say that its session has ended before it can be proven why: that is the server's
        doing, unless the window was seen after it was said. A launch may have made the session anew, on the next server, before
        anybody looked.
        """
        alive = [session for session in sessions if _was_alive(session) and session.window.era not in self._told]
        gone = [session for session in alive if listing.ids == frozenset() or session.window.era < listing.era]
        eras = {session.window.era for session in gone}
        lost = {era for era in eras if self.windows.ended_with_its_server(era)}
        if not lost:
            return
        self._told |= lost
        for session in gone:
            session.server_lost = session.window.era in lost and not session.outlived
        if listing.era in lost:
            self.windows.lose()
        self.core.journal("server-lost", tasks=[one.task.key for one in gone if one.window.era in lost])


def _by_id(window: Window) -> str:
    return window.id


def _was_alive(session: Session) -> bool:
    crashed = session.attempt.outcome is SessionOutcome.CRASHED
    return session.phase is Phase.LIVE or (session.phase is Phase.ENDING and crashed)
