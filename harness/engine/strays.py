"""Windows of our own session that belong to no launch, and a session that has gone with its server."""

from __future__ import annotations

from collections.abc import Sequence

from backends.operations import ServerIdentity
from harness.engine.core import Core
from harness.engine.sessions import Phase, Session
from harness.engine.windows import Listing, Windows
from harness.record import SessionOutcome

__all__ = ["Strays"]


class Strays:
    """Knows which windows belong to launches, and ends others that look as if they did."""

    def __init__(self, core: Core, windows: Windows) -> None:
        self.core = core
        self.windows = windows
        self._known: set[str] = set()
        self._strays: set[str] = set()
        self._told: ServerIdentity | None = None

    @property
    def chasing(self) -> bool:
        """Whether a window that belongs to no launch is still to be ended."""
        return bool(self._strays)

    def know(self, window_id: str) -> None:
        """That window belongs to a launch."""
        self._known.add(window_id)

    def chase(self, listing: Listing, sessions: Sequence[Session]) -> None:
        """End windows of our own session that belong to no launch: late effects of calls given up on."""
        if listing.ids is None:
            return
        new = listing.ids - self._known - self._strays
        pending = any(session.phase is Phase.UNCERTAIN for session in sessions)
        names = self.windows.names(frozenset(new)) if new and not pending else None
        if names is not None:
            ours = {f"{task.key[:40]}-" for task in self.core.plan.tasks}
            self._known |= new
            for window_id in sorted(new):
                if any(names[window_id].startswith(prefix) for prefix in ours):
                    self._strays.add(window_id)
                    self.core.journal("stray-window", window=window_id, name=names[window_id])
        for window_id in sorted(self._strays & listing.ids):
            self.windows.kill(window_id)
        self._strays &= listing.ids

    def note_loss(self, listing: Listing, sessions: Sequence[Session]) -> None:
        """Say once, for all sessions that it took along, that their server has gone.

        An agent that loses its terminal may say that its session has ended before it can be proven why.
        """
        taken = [session.task.key for session in sessions if _was_alive(session)]
        told = self._told is not None and self._told == self.windows.server
        if listing.ids == frozenset() and taken and not told and self.windows.server_is_gone():
            self._told = self.windows.server
            self.windows.lose()
            self.core.journal("server-lost", tasks=taken)


def _was_alive(session: Session) -> bool:
    crashed = session.attempt.outcome is SessionOutcome.CRASHED
    return session.phase is Phase.LIVE or (session.phase is Phase.ENDING and crashed)
