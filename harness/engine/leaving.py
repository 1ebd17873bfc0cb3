"""A session whose outcome is recorded: its window and its processes are ended, and that is proven."""

from __future__ import annotations

from signal import SIGTERM

from backends.posix_signals import SIGKILL
from backends.processes import Liveness
from harness.engine.core import Core
from harness.engine.sessions import Session
from harness.engine.windows import NOWHERE, Listing, Windows

__all__ = ["Leaving"]


class Leaving:
    """Ends windows and processes; who does not go politely goes by force."""

    def __init__(self, core: Core, windows: Windows) -> None:
        self.core = core
        self.windows = windows
        self._without_window: set[str] = set()
        """The launches whose windows are proven gone: the next server gives their ids to other windows."""

    def is_gone(self, session: Session, listing: Listing) -> bool:
        """End the window and every process of it; false while that is not proven, then it is to be asked again."""
        self.core.checkpoint("kill")
        if session.window is not NOWHERE and session.token not in self._without_window:
            if not self._window_gone(session, listing):
                return False
            self._without_window.add(session.token)
        return self._survivors_gone(session)

    def _window_gone(self, session: Session, listing: Listing) -> bool:
        """Whether the window is proven gone; if it is still there it is asked to go, and the next listing tells."""
        shown = listing.shows(session.window)
        if shown:
            self.windows.kill(session.window)
        return shown is False

    def _survivors_gone(self, session: Session) -> bool:
        table = self.core.outside.processes
        table_of_token = table.carrying("SEAMRIPPER_TOKEN", session.token)
        known = {identity.pid: identity for identity in [*session.survivors, *table_of_token]}
        alive = [one for _, one in sorted(known.items()) if table.liveness(one) is not Liveness.DEAD]
        grace_s, now = self.core.plan.stop_grace_s, self.core.now
        if alive and session.killed_s is not None and now - session.killed_s >= max(grace_s, self.core.plan.poll_s):
            # What SIGKILL did not end, no signal of ours ends: it may belong to another user.
            self.core.journal("survivors", task=session.task.key, pids=[one.pid for one in alive])
            return True
        late = now - session.since >= grace_s
        if late and session.killed_s is None:
            session.killed_s = now
        for identity in alive:
            table.signal(identity, SIGKILL if late else SIGTERM)
        return not alive
