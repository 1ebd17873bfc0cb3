"""The loop: observe, decide, act, wait.

One thread drives all sessions of a run. Each tick asks the multiplexer one question for all of them, the listing of their
session; a window is asked about by itself only where its process is not seen running. Events and results are read before
and after every question, so that a hanging multiplexer delays a finished agent by one call and one poll at most.
"""

from __future__ import annotations

import os
import shlex
import signal as signal_module
from pathlib import Path

from backends.errors import CommandRejected, MultiplexerError, TargetMissing, TransportError
from backends.processes import Liveness
from harness.engine.core import Core
from harness.engine.decide import Complete, Crash, Decision, Nudge, NudgeKind, Park, Stall, TimeOut, decide
from harness.engine.events import read_result
from harness.engine.launching import launch_context, log_file, write_prompt
from harness.engine.plan import TaskPlan
from harness.engine.profiles import agent_environment
from harness.engine.sessions import Phase, Session
from harness.engine.settling import Settling
from harness.engine.tasks import blocked, ready, refused, unfinished
from harness.engine.windows import Listing, SessionTaken, Windows
from harness.record import Attempt, Paused, ProcessRef, SessionOutcome, TaskPhase, TaskState

__all__ = ["Supervisor"]

UNREACHABLE = "multiplexer-unreachable"
"""The stage of a run that is paused because nobody answers."""
_ENDING_POLL_S = 0.1
"""Seconds between looks at a session that is being ended: there is nothing to wait for but the multiplexer."""
_ENDING_FAST_S = 5.0
"""Seconds after which a session that is being ended is looked at as seldom as any other."""
_LOST_SESSIONS = 2
"""How often in one launch the multiplexer session may be gone again by the time it is needed.

Chosen: once, because the last window in it has just closed, and once more by chance; a third time somebody ends them.
"""
_NOTES = 10
"""Unreadable event files of one tick that are journaled each by itself; chosen so that a heap of them costs one line more."""
_ABSENT_LOOKS = 2
"""Listings without the window, one poll apart, that prove that an unanswered launch came to nothing."""


class Supervisor:
    """Carries the tasks of a plan through their sessions until none is left, or until somebody has to be asked."""

    def __init__(self, core: Core, windows: Windows) -> None:
        self.core = core
        self.windows = windows
        windows.between = self._between_calls
        self.settling = Settling(core)
        self.sessions: list[Session] = []
        self._known_windows: set[str] = set()
        self._strays: set[str] = set()
        self._pause: Paused | None = None

    def run(self) -> Paused | None:
        """Drive until every task is over (`None`) or the run has to pause."""
        while True:
            self.core.checkpoint("schedule")
            self._schedule()
            if self._pause is not None and not (self.sessions if self._pause.stage != UNREACHABLE else self._healthy()):
                return self._pause
            if self.sessions:
                self._tick()
            self.core.note_seam()
            if not self.sessions and not unfinished(self.core.state):
                return self._pause
            if self.sessions or (self._pause is None and self._next() is None):
                self.core.wait(self._poll_s())

    def _healthy(self) -> bool:
        """Whether there are sessions that can still come to their own end although another one cannot be started or ended."""
        core, limit = self.core, self.core.plan.session_timeout_s
        if core.seam.silent_since is not None and core.now - core.seam.silent_since >= limit:
            return False
        return any(
            session.phase is Phase.LIVE
            or (
                session.phase is Phase.ENDING
                and session.attempt.outcome is not SessionOutcome.UNREACHABLE
                and core.now - session.since < limit
            )
            for session in self.sessions
        )

    def _poll_s(self) -> float:
        core = self.core
        fresh = any(s.phase is Phase.ENDING and core.now - s.since < _ENDING_FAST_S for s in self.sessions)
        return min(core.plan.poll_s, _ENDING_POLL_S) if fresh and not core.degraded else core.plan.poll_s

    # Scheduling

    def _next(self) -> TaskPlan | None:
        """The task that can be started now; one that waits for a limit to be lifted keeps no other one waiting."""
        plan, state = self.core.plan, self.core.state
        now = self.core.outside.clock.wall()
        waiting = ready(plan, state, [session.task.key for session in self.sessions])
        return next((task for task in waiting if (state.task(task.key).not_before or 0) <= now), None)

    def _schedule(self) -> None:
        plan, state = self.core.plan, self.core.state
        while self._pause is None and len(self.sessions) < plan.max_parallel:
            task = self._next()
            if task is None:
                break
            if task.gate is not None and task.key not in state.approved:
                self._pause = Paused(reason=f"{task.gate} is needed before {task.key}", stage="gate", task=task.key)
                break
            self.sessions.append(self._prepare(task, state.task(task.key)))
        if not self.sessions and self._pause is None:
            for waiting, need in blocked(plan, state):
                self.settling.defer(waiting, f"needs {need}, which was deferred")

    def _prepare(self, task: TaskPlan, state: TaskState) -> Session:
        core = self.core
        core.checkpoint("prompt")
        number = len(state.attempts) + 1
        attempt = Attempt(number=number, token=core.outside.entropy.token(), started_at=core.outside.clock.wall())
        context = launch_context(core.plan, task, core.run_dir, attempt)
        write_prompt(core.outside.disk, context, task.prompt, state.feedback)
        state.attempts.append(attempt)
        state.phase = TaskPhase.RUNNING
        state.reason = ""
        core.save()
        core.journal("attempt", task=task.key, number=number)
        profile = core.outside.profiles[core.plan.agent_of(task)]
        nudges = core.plan.nudges
        session = Session(task, state, attempt, profile, context, nudges, nudges_left=nudges, wakes_left=nudges)
        session.enter(Phase.STARTING, core.now)
        return session

    # One tick

    def _tick(self) -> None:
        core = self.core
        core.checkpoint("tick")
        self._read()
        for session in list(self.sessions):
            if session.phase is Phase.LIVE and session.result is not None:
                self._live(session)
        listing = Listing(frozenset())
        if any(session.phase is not Phase.STARTING for session in self.sessions):
            core.checkpoint("listing")
            asked_s = core.now
            listing = self.windows.listing()
            self._read()
            self._has_hung(asked_s)
            asked_s = core.now
            self._chase_strays(listing)
            self._note_loss(listing)
            self._has_hung(asked_s)
        for session in list(self.sessions):
            asked_s = core.now
            self._step(session, listing)
            core.note_seam()
            self._has_hung(asked_s)
        self.sessions = [session for session in self.sessions if session.phase is not Phase.GONE]

    def _has_hung(self, since_s: float) -> bool:
        """Whether what was asked at `since_s` took long; then whoever has a result, or is past its time, waits no longer."""
        if self.core.now - since_s < self.core.plan.poll_s:
            return False
        self._read()
        for session in self.sessions:
            if session.phase is Phase.LIVE and (session.result is not None or self.core.now >= session.deadline_s):
                self._live(session)
            self._give_up_waiting(session)
        return True

    def _between_calls(self) -> None:
        """Within a step: a call that hung keeps nobody waiting for the next one."""
        if self.core.seam.recent:
            self._has_hung(self.core.now - self.core.seam.recent[-1].elapsed_s)

    def _read(self) -> None:
        events, notes = self.core.events.poll()
        for note in notes[:_NOTES]:
            self.core.journal("event-skipped", note=note)
        if len(notes) > _NOTES:
            self.core.journal("event-skipped", note=f"and {len(notes) - _NOTES} more")
        now = self.core.now
        by_token = {session.token: session for session in self.sessions}
        for event in events:
            session = by_token.get(event.token)
            if session is not None and session.phase not in (Phase.ENDING, Phase.GONE):
                session.take(event, now)
                self.core.journal("event", task=session.task.key, kind=str(event.kind))
        for session in self.sessions:
            if session.phase in (Phase.LIVE, Phase.UNCERTAIN):
                self._read_result(session)

    def _read_result(self, session: Session) -> None:
        if session.result is not None:
            return
        reading = read_result(self.core.outside.disk, session.context.result_file, session.token, self.core.store.clean)
        session.result = reading.result
        if reading.note is not None and reading.note != session.result_note:
            session.result_note = reading.note
            self.core.journal("result-skipped", task=session.task.key, note=reading.note)

    def _step(self, session: Session, listing: Listing) -> None:
        if session.phase is Phase.STARTING:
            self._start(session)
        elif session.phase is Phase.UNCERTAIN:
            self._reconcile(session)
        elif session.phase is Phase.LIVE:
            self._observe(session, listing)
            if session.phase is Phase.LIVE:
                self._live(session)
        elif session.phase is Phase.ENDING:
            self._confirm_end(session, listing)
        self._give_up_waiting(session)

    def _give_up_waiting(self, session: Session) -> None:
        """Pause the run if a session cannot be started or ended for as long as a session may take."""
        if session.phase in (Phase.LIVE, Phase.GONE):
            return
        core = self.core
        limit = core.plan.session_timeout_s
        silent = core.seam.silent_since is not None and core.now - core.seam.silent_since >= limit
        if not silent and core.now - session.since < limit:
            return
        wanted = "ended" if session.phase is Phase.ENDING else "started"
        why = f"{session.task.key} could not be {wanted} within {limit:g} s" + (": nobody answers" if silent else "")
        if session.attempt.outcome is None:
            self._close(session, SessionOutcome.UNREACHABLE, "the multiplexer does not answer", counted_attempt=False)
            session.state.phase = TaskPhase.PENDING
        if self._pause is None or self._pause.stage != UNREACHABLE:
            self._pause = Paused(reason=why, stage=UNREACHABLE, task=session.task.key)
            core.save()

    # Starting

    def _start(self, session: Session) -> None:
        core = self.core
        if session.heard:
            # A launch that was taken for absent has come to something after all.
            session.enter(Phase.UNCERTAIN, session.since)
            session.absent_seen = 0
            return
        core.checkpoint("session")
        try:
            self.windows.ensure_session()
        except TransportError:
            return
        except SessionTaken as taken:
            self._rename(taken)
            return
        except TargetMissing as error:
            self._look_again(session, error)
            return
        except CommandRejected as error:
            self._refuse(session, error)
            return
        self._between_calls()
        if session.phase is not Phase.STARTING:
            return
        core.checkpoint("open-window")
        launch = session.profile.launch(session.context)
        try:
            environment = {**agent_environment(session.context), **launch.env}
            command = shlex.join(launch.argv)
            window_id = self.windows.open(session.window_name, session.context.cwd, environment, command)
        except TransportError as error:
            session.enter(Phase.UNCERTAIN, session.since)
            session.absent_seen = 0
            core.journal("launch-unanswered", task=session.task.key, error=type(error).__name__)
        except TargetMissing as error:
            self._look_again(session, error)
        except CommandRejected as error:
            self._refuse(session, error)
        else:
            self._adopt(session, window_id)

    def _rename(self, taken: SessionTaken) -> None:
        core = self.core
        suffix = core.outside.entropy.suffix()
        core.state.mux_session = f"{core.state.run_id[: 63 - len(suffix)]}-{suffix}"
        self.windows.rename(core.state.mux_session)
        core.save()
        core.journal("session-renamed", reason=str(taken), session=self.windows.session)

    def _look_again(self, session: Session, error: TargetMissing) -> None:
        """The multiplexer session went while a window was being opened: it is made again in the next tick, a few times."""
        self.windows.forget()
        session.refusals += 1
        if session.refusals > _LOST_SESSIONS:
            self._refuse(session, error)

    def _refuse(self, session: Session, error: CommandRejected) -> None:
        self._close(session, SessionOutcome.UNREACHABLE, error.message, counted_attempt=False)
        session.enter(Phase.GONE, self.core.now)
        self.windows.forget()
        if refused(session.state) >= self.core.plan.max_attempts:
            self.settling.defer(session.state, f"could not be started: {error.message}")
        else:
            session.state.phase = TaskPhase.PENDING
        self.core.save()

    def _adopt(self, session: Session, window_id: str) -> None:
        core = self.core
        core.checkpoint("adopt")
        session.attempt.window_id = window_id
        session.deadline_s = core.now + core.plan.session_timeout_s
        session.grown_s = None
        session.liveness = Liveness.ALIVE
        session.enter(Phase.LIVE, core.now)
        self._known_windows.add(window_id)
        core.save()
        core.journal("session-started", task=session.task.key, number=session.attempt.number, window=window_id)
        core.checkpoint("mark")
        self._mark(session)
        if session.marked and session.phase is Phase.LIVE:
            self._identify(session)

    def _mark(self, session: Session) -> None:
        """Mark the window; if nobody confirms it, again after as long as the session has lasted."""
        core = self.core
        self._between_calls()
        if session.phase is not Phase.LIVE:
            return
        log = log_file(core.run_dir, session.task.key)
        found = core.outside.disk.info(log)
        if found is not None and not found.is_file:
            core.journal("log-skipped", task=session.task.key, note=f"logs/{log.name} is no regular file")
            log = Path(os.devnull)
        try:
            self.windows.mark(session.window_id, session.token, log)
        except MultiplexerError:
            session.mark_due_s = core.now + max(core.plan.poll_s, core.now - session.since)
        else:
            session.marked = True
        self._between_calls()

    def _identify(self, session: Session) -> None:
        table = self.core.outside.processes
        found = [table.identify(pid) for pid in self.windows.pids(session.window_id) or ()]
        session.processes = [identity for identity in found if identity is not None]
        session.attempt.pids = [ProcessRef(identity.pid, identity.started) for identity in session.processes]

    def _reconcile(self, session: Session) -> None:
        """Find out what came of a launch that nobody answered, before anything else is done for its task."""
        try:
            window_id = self.windows.find(session.window_name)
        except MultiplexerError:
            session.absent_seen = 0
            return
        if window_id is not None:
            self.core.journal("launch-adopted", task=session.task.key, window=window_id)
            self._adopt(session, window_id)
            return
        session.absent_seen += 1
        if session.absent_seen < _ABSENT_LOOKS:
            return
        self.core.journal("launch-absent", task=session.task.key)
        self.windows.forget()
        self._read_result(session)
        if session.heard or session.result is not None:
            # The agent did run: its window has come and gone, and a second launch would do its work twice.
            session.liveness = Liveness.DEAD
            session.enter(Phase.LIVE, self.core.now)
            self._live(session)
        else:
            session.enter(Phase.STARTING, session.since)

    def _chase_strays(self, listing: Listing) -> None:
        """End windows of our own session that belong to no launch: late effects of calls given up on."""
        if listing.ids is None:
            return
        new = listing.ids - self._known_windows - self._strays
        pending = any(session.phase is Phase.UNCERTAIN for session in self.sessions)
        names = self.windows.names(frozenset(new)) if new and not pending else None
        if names is not None:
            ours = {f"{task.key[:40]}-" for task in self.core.plan.tasks}
            self._known_windows |= new
            for window_id in sorted(new):
                if any(names[window_id].startswith(prefix) for prefix in ours):
                    self._strays.add(window_id)
                    self.core.journal("stray-window", window=window_id, name=names[window_id])
        for window_id in sorted(self._strays & listing.ids):
            self.windows.kill(window_id)
        self._strays &= listing.ids

    def _note_loss(self, listing: Listing) -> None:
        """Say once, for all sessions that were alive, that their server has gone with them."""
        live = [session.task.key for session in self.sessions if session.phase is Phase.LIVE]
        if listing.ids == frozenset() and live and self.windows.server_is_gone():
            self.windows.lose()
            self.core.journal("server-lost", tasks=live)

    # Living

    def _observe(self, session: Session, listing: Listing) -> None:
        core = self.core
        session.grew(self._log_size(session), core.now)
        if not session.marked and session.window_id in (listing.ids or ()) and core.now >= session.mark_due_s:
            self._mark(session)
        if session.phase is not Phase.LIVE:
            return
        if listing.ids is None:
            session.liveness = Liveness.UNKNOWN
            session.unknown_looks += 1
        elif session.window_id not in listing.ids:
            session.liveness = Liveness.DEAD
        else:
            session.liveness = self._process_liveness(session)
            session.unknown_looks += session.liveness is Liveness.UNKNOWN
        if session.liveness is Liveness.DEAD and listing.ids is not None and session.window_id in listing.ids:
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
        session.exit = session.exit or self.windows.exit(session.window_id)
        if session.exit is None and not session.exit_awaited:
            session.exit_awaited = True
            session.liveness = Liveness.UNKNOWN

    def _process_liveness(self, session: Session) -> Liveness:
        """Ask about a listed window by itself only where its process is not seen running."""
        table = self.core.outside.processes
        if any(table.liveness(identity) is Liveness.ALIVE for identity in session.processes):
            return Liveness.ALIVE
        try:
            alive = self.windows.alive(session.window_id)
        except TransportError:
            return Liveness.UNKNOWN
        self._between_calls()
        if alive and not session.processes and session.phase is Phase.LIVE:
            self._identify(session)
        return Liveness.ALIVE if alive else Liveness.DEAD

    def _live(self, session: Session) -> None:
        core = self.core
        core.checkpoint("decide")
        decision = decide(session.observation(core.now), session.budget(core.plan))
        if isinstance(decision, Crash | TimeOut | Stall | Park):
            self._read_result(session)
            decision = decide(session.observation(core.now), session.budget(core.plan))
        if isinstance(decision, Nudge):
            self._nudge(session, decision.kind)
        else:
            self._end(session, decision)

    def _nudge(self, session: Session, kind: NudgeKind) -> None:
        core = self.core
        core.checkpoint("nudge")
        make = session.profile.nudge_text if kind is NudgeKind.RESULT else session.profile.wake_text
        error = self.windows.type(session.window_id, make(session.context))
        session.asked(kind, core.now, confirmed=not isinstance(error, TransportError))
        core.save()
        outcome = "sent" if error is None else f"unconfirmed: {type(error).__name__}"
        core.journal("nudge", task=session.task.key, kind=kind.value, outcome=outcome)

    def _why_crashed(self, session: Session, decision: Crash) -> str:
        if decision.exit is None:
            return decision.why
        meaning = {
            126: f": the directory {session.context.cwd} cannot be entered, or the agent not be executed",
            127: ": the agent's program was not found",
        }.get(-1 if decision.exit.code is None else decision.exit.code, "")
        return f"{decision.why} ({decision.exit}{meaning})"

    def _end(self, session: Session, decision: Decision) -> None:
        """Record how the session ended, if `decision` ends it; only then is anything done to its window."""
        if isinstance(decision, Complete):
            self._close(session, SessionOutcome.COMPLETED, "")
        elif isinstance(decision, Crash):
            session.attempt.exit_code = None if decision.exit is None else decision.exit.code
            session.attempt.signal = None if decision.exit is None else decision.exit.signal
            self._close(session, SessionOutcome.CRASHED, self._why_crashed(session, decision))
        elif isinstance(decision, TimeOut):
            self._close(session, SessionOutcome.TIMED_OUT, f"no result within {self.core.plan.session_timeout_s:g} s")
        elif isinstance(decision, Stall):
            self._close(session, SessionOutcome.STALLED, "silent after its turn, without a result")
        elif isinstance(decision, Park):
            pause = decision.until_s - self.core.now
            session.state.not_before = self.core.outside.clock.wall() + pause
            self._close(session, SessionOutcome.STALLED, f"limited for {pause:.0f} s", counted_attempt=False)

    def _close(self, session: Session, outcome: SessionOutcome, reason: str, *, counted_attempt: bool = True) -> None:
        core = self.core
        core.checkpoint("outcome")
        attempt = session.attempt
        attempt.outcome = outcome
        attempt.reason = reason
        attempt.counted = counted_attempt
        attempt.ended_at = core.outside.clock.wall()
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

    # Ending

    def _confirm_end(self, session: Session, listing: Listing) -> None:
        """End the window and every process of it; what is not proven gone is looked at again in the next tick."""
        if session.attempt.outcome is SessionOutcome.UNREACHABLE:
            session.enter(Phase.GONE, self.core.now)
            return
        self.core.checkpoint("kill")
        if session.window_id and not self._window_gone(session, listing):
            return
        if not self._survivors_gone(session):
            return
        self.core.journal("session-gone", task=session.task.key, number=session.attempt.number)
        session.enter(Phase.GONE, self.core.now)
        paused = self.settling.settle(session.task, session.state, session.result)
        self._pause = self._pause or paused

    def _window_gone(self, session: Session, listing: Listing) -> bool:
        """Whether the window is proven gone, after it was asked to go."""
        if listing.ids is None or session.window_id not in listing.ids:
            return listing.ids is not None
        self.windows.kill(session.window_id)
        self._between_calls()
        listing = self.windows.listing()
        return listing.ids is not None and session.window_id not in listing.ids

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
            table.signal(identity, signal_module.SIGKILL if late else signal_module.SIGTERM)
        return not alive
