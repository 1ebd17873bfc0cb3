"""What sessions are heard to say: the events and results that their agents leave."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from harness.engine.core import Core
from harness.engine.events import Event, EventKind, read_result
from harness.engine.sessions import Phase, Session
from harness.engine.transcripts import Transcripts

__all__ = ["Hearing"]

_NOTES = 10
"""Unreadable event files of one tick that are journaled each by itself; chosen so that a heap of them costs one line more."""
_QUESTION = 300
"""Characters of what an agent asks a person that are kept."""


class Hearing:
    """Hands what agents report to the sessions that it is about."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.transcripts = Transcripts(core.outside.disk)

    def read(self, sessions: Sequence[Session]) -> None:
        """Take in whatever is new, for all of `sessions`."""
        self._read_events(sessions)
        for session in sessions:
            self._read_files(session)

    def read_in(self, sessions: Sequence[Session], directories: Collection[str]) -> list[Session]:
        """Take in what was left in these directories, and in transcripts; which of `sessions` it was about."""
        heard = self._read_events(sessions) if directories else set()
        for session in sessions:
            if os.path.dirname(session.context.result_file) in directories or session.token in heard:
                heard.add(session.token)
                self._read_files(session)
            elif self.follows(session) and self._read_transcript(session):
                heard.add(session.token)
        return [session for session in sessions if session.token in heard]

    def follows(self, session: Session) -> bool:
        """Whether the session has a transcript that has to be looked at, because nobody tells of it."""
        return bool(session.profile.transcript_rules) and self.transcripts.follows(session.token)

    def _read_files(self, session: Session) -> None:
        if session.phase in (Phase.LIVE, Phase.UNCERTAIN):
            self._read_transcript(session)
            self.read_result(session)

    def _read_events(self, sessions: Sequence[Session]) -> set[str]:
        """Hand out the new events; the tokens of those that one was about."""
        events, notes = self.core.events.poll()
        for note in notes[:_NOTES]:
            self.core.journal("event-skipped", note=note)
        if len(notes) > _NOTES:
            self.core.journal("event-skipped", note=f"and {len(notes) - _NOTES} more")
        now = self.core.now
        heard = set()
        by_token = {session.token: session for session in sessions}
        for event in events:
            session = by_token.get(event.token)
            if session is not None and session.phase not in (Phase.ENDING, Phase.GONE):
                session.take(event, now)
                self.transcripts.heed(event)
                self.core.journal("event", task=session.task.key, kind=str(event.kind))
                self._note_decision(session, event)
                heard.add(session.token)
        return heard

    def _read_transcript(self, session: Session) -> bool:
        """Take in the turns that failed without a hook, if any; a turn of which a hook has told has ended already."""
        events = self.transcripts.poll(session.token, session.profile.transcript_rules)
        for event in events:
            if session.turn_ended_s is None or session.turn_open:
                session.take(event, self.core.now)
                self.core.journal("event", task=session.task.key, kind=str(event.kind), source="transcript")
                self._note_decision(session, event)
        return bool(events)

    def _note_decision(self, session: Session, event: Event) -> None:
        """Make durable what a person is asked, once for each question, and that nothing is asked any more."""
        attempt = session.attempt
        asks = attempt.pending if session.waiting else ""
        if session.waiting and event.kind is EventKind.WAITING:
            asks = self.core.store.clean(event.asks, _QUESTION)
        if asks != attempt.pending:
            attempt.pending = asks
            name = "decision-pending" if asks else "decision-made"
            self.core.journal(name, task=session.task.key, number=attempt.number, pending=asks)
            self.core.save()

    def read_result(self, session: Session) -> None:
        """Take in the result of that launch if it is there."""
        if session.result is not None:
            return
        reading = read_result(self.core.outside.disk, session.context.result_file, session.token, self.core.store.clean)
        session.result = reading.result
        if not reading.unknown:
            session.result_unknown_s = None
        elif session.result_unknown_s is None:
            session.result_unknown_s = self.core.now
        if reading.note is not None and reading.note != session.result_note:
            session.result_note = reading.note
            self.core.journal("result-skipped", task=session.task.key, note=reading.note)
