"""What sessions are heard to say: the events and results that their agents leave."""

from __future__ import annotations

from collections.abc import Sequence

from harness.engine.core import Core
from harness.engine.events import read_result
from harness.engine.sessions import Phase, Session

__all__ = ["Hearing"]

_NOTES = 10
"""Unreadable event files of one tick that are journaled each by itself; chosen so that a heap of them costs one line more."""


class Hearing:
    """Hands what agents report to the sessions that it is about."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def read(self, sessions: Sequence[Session]) -> None:
        """Take in whatever is new, for all of `sessions`."""
        events, notes = self.core.events.poll()
        for note in notes[:_NOTES]:
            self.core.journal("event-skipped", note=note)
        if len(notes) > _NOTES:
            self.core.journal("event-skipped", note=f"and {len(notes) - _NOTES} more")
        now = self.core.now
        by_token = {session.token: session for session in sessions}
        for event in events:
            session = by_token.get(event.token)
            if session is not None and session.phase not in (Phase.ENDING, Phase.GONE):
                session.take(event, now)
                self.core.journal("event", task=session.task.key, kind=str(event.kind))
        for session in sessions:
            if session.phase in (Phase.LIVE, Phase.UNCERTAIN):
                self.read_result(session)

    def read_result(self, session: Session) -> None:
        """Take in the result of that launch if it is there."""
        if session.result is not None:
            return
        reading = read_result(self.core.outside.disk, session.context.result_file, session.token, self.core.store.clean)
        session.result = reading.result
        if reading.note is not None and reading.note != session.result_note:
            session.result_note = reading.note
            self.core.journal("result-skipped", task=session.task.key, note=reading.note)
