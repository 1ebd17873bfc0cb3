"""A session whose window is there: it is looked at, and what is to be done about it is done."""

from __future__ import annotations

import os
from pathlib import Path

from backends.errors import MultiplexerError, TransportError
from backends.processes import Liveness
from harness.engine.attention import Attention
from harness.engine.core import Core
from harness.engine.decide import Complete, Crash, Decision, Lost, Nudge, NudgeKind, Park, Stall, TimeOut, Wait, decide
from harness.engine.hearing import Hearing
from harness.engine.launching import log_file
from harness.engine.sessions import Phase, Session
from harness.engine.tasks import lost, parked
from harness.engine.windows import Listing, Windows
from harness.record import ProcessRef, SessionOutcome

__all__ = ["Living"]

_LEAVING_S = 5.0
"""Seconds that an agent which has said that it ends is given to do so, before it has crashed in an unknown way."""
_FREE_PARKS = 3
"""How often in a row a task may be put off by a limit without using up an attempt.

Chosen: a limit that is lifted leads on; one that is reported again and again must come to an end some time.
"""
_FREE_LOSSES = 3
"""How often in a row a task may lose its server without using up an attempt.

Chosen as for limits: an agent that itself ends the server every time must come to an end.
"""

_FAILURE = 300
"""Characters of why a turn failed that are kept."""


class Living:
    """Observes sessions, decides, and acts; the last act is to record how a session ended."""

    def __init__(self, core: Core, windows: Windows, hearing: Hearing, attention: Attention) -> None:
        self.core = core
        self.attention = attention
        self.windows = windows
        self.hearing = hearing

    def mark(self, session: Session) -> None:
        """Mark the window; if nobody confirms it, again after as long as the session has lasted."""
        core = self.core
        self.windows.between()
        if session.phase is not Phase.LIVE:
            return
        log = log_file(core.run_dir, session.task.key)
        found = core.outside.disk.info(log)
        if found is not None and not found.is_file:
            core.journal("log-skipped", task=session.task.key, note=f"logs/{log.name} is no regular file")
            log = Path(os.devnull)
        try:
            self.windows.mark(session.window, session.token, log)
        except MultiplexerError:
            session.mark_due_s = core.now + max(core.plan.poll_s, core.now - session.since)
        else:
            session.marked = True
        self.windows.between()

    def identify(self, session: Session) -> None:
        """Learn which processes run in the window, and make that durable: they may outlive the window and this engine."""
        table = self.core.outside.processes
        found = [table.identify(pid) for pid in self.windows.pids(session.window) or ()]
        session.processes = [identity for identity in found if identity is not None]
        watched = [self.attention.watch(identity) for identity in session.processes]
        # Of a window that no process is known of nothing is told.
        session.watched = bool(found) and len(watched) == len(found) and all(watched)
        session.attempt.pids = [ProcessRef(identity.pid, identity.started) for identity in session.processes]
        if session.processes:
            self.core.save()

    def observe(self, session: Session, listing: Listing) -> None:
        """Find out whether the session lives, and whether it shows signs of it."""
        core = self.core
        session.grew(self._log_size(session), core.now)
        if not session.marked and listing.shows(session.window) and core.now >= session.mark_due_s:
            self.mark(session)
        if session.phase is not Phase.LIVE:
            return
        shown = listing.shows(session.window)
        if shown is None:
            session.liveness = Liveness.UNKNOWN
            session.unknown_looks += 1
        elif not shown:
            session.liveness = Liveness.DEAD
        else:
            session.liveness = self._process_liveness(session)
            session.unknown_looks += session.liveness is Liveness.UNKNOWN
        if session.liveness is Liveness.DEAD and shown:
            self._ask_for_exit(session)

    def _log_size(self, session: Session) -> int:
        """Bytes that the session's window has printed; 0 while nobody can tell, which is no sign of life."""
        core = self.core
        try:
            info = core.outside.disk.info(log_file(core.run_dir, session.task.key))
        except OSError:
            return 0
        return 0 if info is None else info.size

    def _ask_for_exit(self, session: Session) -> None:
        """Learn how a dead window ended; a multiplexer may see the end of the output before it has reaped the process."""
        session.exit = session.exit or self.windows.exit(session.window)
        if session.exit is not None:
            return
        if session.exit_awaited_s is None:
            session.exit_awaited_s = self.core.now
            session.liveness = Liveness.UNKNOWN
        elif self.core.now - session.exit_awaited_s < self.core.plan.poll_s:
            session.liveness = Liveness.UNKNOWN

    def _process_liveness(self, session: Session) -> Liveness:
        """Ask about a listed window by itself only where its process is not seen running."""
        if session.watched and session.ended_s is None:
            return Liveness.ALIVE
        table = self.core.outside.processes
        if any(table.liveness(identity) is Liveness.ALIVE for identity in session.processes):
            return Liveness.ALIVE
        try:
            alive = self.windows.alive(session.window)
        except TransportError:
            return Liveness.UNKNOWN
        self.windows.between()
        if alive and not session.processes and session.phase is Phase.LIVE:
            self.identify(session)
        return Liveness.ALIVE if alive else Liveness.DEAD

    def act(self, session: Session) -> None:
        """Decide what is to be done about the session by what was seen of it, and do it."""
        core = self.core
        core.checkpoint("decide")
        decision = decide(session.observation(core.now), session.budget(core.plan))
        if isinstance(decision, Lost | Crash | TimeOut | Stall | Park):
            self.hearing.read_result(session)
            decision = decide(session.observation(core.now), session.budget(core.plan))
            if session.result is None and self._may_have_a_result(session):
                return
        if isinstance(decision, Crash) and self._is_about_to_end(session):
            return
        if isinstance(decision, Nudge):
            self._nudge(session, decision.kind)
        elif isinstance(decision, Wait):
            self._enter_again(session)
        else:
            self._end(session, decision)

    def _may_have_a_result(self, session: Session) -> bool:
        """Whether what lies in the result's place could not be read, and was not tried again a poll later."""
        since_s = session.result_unknown_s
        return since_s is not None and self.core.now - since_s < self.core.plan.poll_s

    def _is_about_to_end(self, session: Session) -> bool:
        """Whether the agent has only just said that it ends: how, will be known in a moment, which is waited for.

        That is as long as a program needs to leave where its process is seen or nobody answers, else a poll; and in any case
        until the multiplexer was asked once more, because it may be the loss of its server that made the agent say so.
        """
        unknown = session.exit is None and session.liveness is not Liveness.DEAD
        leaving = session.processes or session.liveness is Liveness.UNKNOWN
        patience_s = max(_LEAVING_S, self.core.plan.poll_s) if leaving else self.core.plan.poll_s
        fresh = not session.end_asked or self.core.now - session.session_ended_s < patience_s
        return session.session_ended and unknown and fresh

    def _enter_again(self, session: Session) -> None:
        """Press Enter behind a nudge of which nothing was heard, where the agent is proven to be there."""
        due_s = session.enter_due_s
        if due_s is not None and self.core.now >= due_s and session.liveness is Liveness.ALIVE:
            session.enter_due_s = None
            self.windows.type(session.window, "")

    def _nudge(self, session: Session, kind: NudgeKind) -> None:
        core = self.core
        core.checkpoint("nudge")
        make = session.profile.nudge_text if kind is NudgeKind.RESULT else session.profile.wake_text
        error = self.windows.type(session.window, make(session.context))
        if error is None and session.profile.enter_again_s > 0:
            session.enter_due_s = core.now + session.profile.enter_again_s
        session.asked(kind, core.now, confirmed=not isinstance(error, TransportError))
        core.save()
        outcome = "sent" if error is None else f"unconfirmed: {type(error).__name__}"
        core.journal("nudge", task=session.task.key, kind=kind.value, outcome=outcome)

    def _besides(self, session: Session) -> str:
        """What else is known that may explain why no result came."""
        words = self.core.store.clean(session.failure, _FAILURE)
        return f"; its last turn failed: {words}" if words else ""

    def _why_timed_out(self, session: Session) -> str:
        why = f"no result within {self.core.plan.session_timeout_s:g} s{self._besides(session)}"
        if session.heard:
            return why
        return f"{why}; none of its hooks reported (`seamripper probe {session.profile.name}` shows more)"

    def _why_crashed(self, session: Session, decision: Crash) -> str:
        if decision.exit is None:
            return decision.why + self._besides(session)
        meaning = {
            126: f": the directory {session.context.cwd} cannot be entered, or the agent not be executed",
            127: ": the agent's program was not found",
        }.get(-1 if decision.exit.code is None else decision.exit.code, "")
        return f"{decision.why} ({decision.exit}{meaning}){self._besides(session)}"

    def _end(self, session: Session, decision: Decision) -> None:
        """Record how the session ended, if `decision` ends it; only then is anything done to its window."""
        if isinstance(decision, Complete):
            self.close(session, SessionOutcome.COMPLETED, "")
        elif isinstance(decision, Lost):
            why = "the multiplexer's server was lost, and the session with it" + self._besides(session)
            counts = lost(session.state) >= _FREE_LOSSES
            self.close(session, SessionOutcome.CRASHED, why, counted_attempt=counts)
        elif isinstance(decision, Crash):
            session.attempt.exit_code = None if decision.exit is None else decision.exit.code
            session.attempt.signal = None if decision.exit is None else decision.exit.signal
            self.close(session, SessionOutcome.CRASHED, self._why_crashed(session, decision))
        elif isinstance(decision, TimeOut):
            self.close(session, SessionOutcome.TIMED_OUT, self._why_timed_out(session))
        elif isinstance(decision, Stall):
            why = "silent after its turn, without a result" + self._besides(session)
            self.close(session, SessionOutcome.STALLED, why)
        elif isinstance(decision, Park):
            pause = decision.until_s - self.core.now
            session.state.not_before = self.core.outside.clock.wall() + pause
            counts = parked(session.state) >= _FREE_PARKS
            self.close(session, SessionOutcome.STALLED, f"limited for {pause:.0f} s", counted_attempt=counts)

    def close(self, session: Session, outcome: SessionOutcome, reason: str, *, counted_attempt: bool = True) -> None:
        """Record how the session ended; nothing is done to its window before that."""
        core = self.core
        core.checkpoint("outcome")
        attempt = session.attempt
        attempt.outcome = outcome
        attempt.reason = reason
        attempt.counted = counted_attempt
        attempt.ended_at = core.outside.clock.wall()
        attempt.pending = ""
        session.enter(Phase.ENDING, core.now)
        if session.result is not None:
            session.state.summary = session.result.summary
        core.journal(
            "session-ended",
            task=session.task.key,
            number=attempt.number,
            outcome=str(outcome),
            reason=reason,
            counted=attempt.counted,
            exit_code=attempt.exit_code,
            signal=attempt.signal,
            unknown_looks=session.unknown_looks or None,
            not_before=session.state.not_before,
            summary=session.state.summary,
        )
        core.save()
        table = core.outside.processes
        session.survivors = [one for identity in session.processes for one in table.tree(identity)]
