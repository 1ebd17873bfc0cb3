"""The loop: observe, decide, act, wait.

One thread drives all sessions of a run. Each tick asks the multiplexer one question for all of them, the listing of their
session; a window is asked about by itself only where its process is not seen running. Events and results are read before
and after every question, so that a hanging multiplexer delays a finished agent by one call and one poll at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.engine.attention import Attention
from harness.engine.commands import Commands
from harness.engine.core import GRACEFULLY, Core
from harness.engine.decide import next_due
from harness.engine.events import Result
from harness.engine.hearing import Hearing
from harness.engine.launching import launch_context, write_prompt
from harness.engine.leaving import Leaving
from harness.engine.living import Living
from harness.engine.notices import Notices
from harness.engine.plan import TaskPlan
from harness.engine.sessions import Phase, Session
from harness.engine.settling import Settling
from harness.engine.signals import RunStopped
from harness.engine.starting import Starting
from harness.engine.strays import Strays
from harness.engine.tasks import blocked, ready, unfinished
from harness.engine.windows import Listing, Windows
from harness.record import Attempt, Paused, SessionOutcome, TaskPhase, TaskState

__all__ = ["UNREACHABLE", "Supervisor"]

UNREACHABLE = "multiplexer-unreachable"
"""The stage of a run that is paused because nobody answers."""
_FAST_POLL_S = 0.1
"""Seconds between looks at what should be over soon: a session that is being ended, a command that was just started."""
_SELDOM_S = 30.0
_EVER_MORE = 0.25
"""While nothing is open about any session the next look is this part of the time for which that has lasted away, and no more
seconds than that: what should have been told and was not is found by it."""
_SOON_S = 0.005
"""Seconds after a process was told to have ended until its window is looked at again; then twice as long, and so on."""
_PAUSE = 4.0
"""After what agents left was heard, the next is heard no sooner than after so many times as long: a flood of it has its share
of the processor, and no more."""
_FAST_S = 5.0
"""Seconds after which these are looked at as seldom as anything else."""


class Supervisor:
    """Carries the tasks of a plan through their sessions until none is left, or until somebody has to be asked."""

    def __init__(self, core: Core, windows: Windows, commands: Commands, notices: Notices) -> None:
        self.core = core
        self.windows = windows
        self.notices = notices
        windows.between = self._between_calls
        self.settling = Settling(core, commands)
        self.hearing = Hearing(core)
        outside = core.outside
        self.attention = Attention(outside.disk, outside.processes, core.switch.waker, outside.multiplexer.news)
        self.living = Living(core, windows, self.hearing, self.attention)
        self.strays = Strays(core, windows)
        self.starting = Starting(core, windows, self.settling, self.living, self.strays)
        self.leaving = Leaving(core, windows)
        self.sessions: list[Session] = []
        self._pause: Paused | None = None
        self._calm_since_s = 0.0
        self._blind = False

    def run(self) -> Paused | None:
        """Drive until every task is over (`None`) or the run has to pause."""
        with self.attention.on(self.core.run_dir):
            if self.attention.problem is not None:
                self.core.journal("files-not-watched", why=self.core.store.describe(self.attention.problem))
            return self._drive()

    def _drive(self) -> Paused | None:
        while True:
            self.core.checkpoint("schedule")
            if not self.core.winding_down():
                self._schedule()
            if self._pause is not None and not (self._busy() if self._pause.stage != UNREACHABLE else self._healthy()):
                return self._pause
            if self.sessions:
                self._tick()
            self.settling.advance()
            self.notices.look((s.task.key, s.attempt.pending) for s in self.sessions if s.attempt.pending)
            self.core.note_seam()
            self._note_blindness()
            if not self._busy() and not unfinished(self.core.state):
                return self._pause
            if not self._busy() and self._pause is None and self.core.winding_down():
                raise RunStopped(GRACEFULLY, None)
            if self._busy() or (self._pause is None and self._next() is None):
                self._rest()

    def _note_blindness(self) -> None:
        """Say once why windows are looked at, and not told of, for the rest of the run."""
        if not self._blind and self.attention.blind:
            self._blind = True
            self.core.journal("windows-not-told", why=self.attention.blind)

    def _rest(self) -> None:
        """Wait until it is time to look, or a process is told to have ended; hear what agents leave meanwhile."""
        core = self.core
        until_s = min(core.now + self._look_s(), self._due_s(self.sessions))
        while core.now < until_s:
            told = core.wait(min(until_s - core.now, core.plan.poll_s), self.attention.waker)
            if (told and self._note_ends()) or (not told and core.now >= until_s):
                return
            core.winding_down()
            began_s = core.now
            if self.attention.windows_changed():
                # However many are told, they are looked at together.
                until_s = min(until_s, core.now + _FAST_POLL_S)
            heard, ended = self._hear()
            if ended:
                return
            until_s = min(until_s, core.now + self._look_s(), self._due_s(heard))
            pause_s = min(_PAUSE * (core.now - began_s), until_s - core.now)
            if pause_s > 0:
                core.wait(pause_s)

    def _note_ends(self) -> bool:
        """Note for their sessions which processes have ended; whether any has."""
        ended = self.attention.ended()
        for session in self.sessions if ended else ():
            if any(process in ended for process in session.processes):
                session.ended_s = self.core.now
        return bool(ended)

    def _hear(self) -> tuple[list[Session], bool]:
        """Act upon what agents have left: which sessions it was about, and whether that ended one."""
        heard = self.hearing.read_in(self.sessions, self.attention.directories())
        live = [session for session in heard if session.phase is Phase.LIVE]
        for session in live:
            self.living.act(session)
        return heard, any(session.phase is not Phase.LIVE for session in live)

    def _due_s(self, sessions: Sequence[Session]) -> float:
        """When time alone is the next to change what is to be done about one of `sessions`, in monotonic seconds."""
        plan, now = self.core.plan, self.core.now
        live = [session for session in sessions if session.phase is Phase.LIVE]
        times = [next_due(session.observation(now), session.budget(plan)) for session in live]
        times += [s.enter_due_s for s in live if s.enter_due_s is not None and s.enter_due_s > now]
        return min(times, default=math.inf)

    def settle(self, task: TaskPlan, state: TaskState, result: Result | None) -> None:
        """Move the task on from its newest attempt, which is over; the first that needs a person pauses the run."""
        paused = self.settling.settle(task, state, result)
        self._pause = self._pause or paused

    def _busy(self) -> int:
        """How many tasks are at work or are verified."""
        return len(self.sessions) + len(self.settling.verifications)

    def _healthy(self) -> bool:
        """Whether there are sessions that can still come to their own end although another one cannot be started or ended."""
        core, limit = self.core, self.core.plan.session_timeout_s
        if self.settling.verifications:
            return True
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

    def _look_s(self) -> float:
        """Seconds until everything is to be looked at: ever more of them while nothing is open and all that matters is told."""
        core = self.core
        if not self._is_calm():
            self._calm_since_s = core.now
            return self._poll_s()
        since_s = max(self._calm_since_s, *(session.since for session in self.sessions))
        return max(core.plan.poll_s, min(_SELDOM_S, (core.now - since_s) * _EVER_MORE))

    def _is_calm(self) -> bool:
        core = self.core
        put_off = any(task.not_before for task in core.state.tasks if task.phase is TaskPhase.PENDING)
        elsewhere = self.settling.verifications or self.notices.busy or self.strays.chasing or put_off
        told = self.attention.sees_files and self.attention.sees_windows
        unheard = not told or core.events.behind or core.seam.silent_since is not None
        return bool(self.sessions) and not (elsewhere or unheard) and all(one.at_rest for one in self.sessions)

    def _poll_s(self) -> float:
        core = self.core
        told = [session.ended_s for session in self.sessions if session.ended_s is not None]
        if told and core.now - max(told) < core.plan.poll_s:
            # The multiplexer learns of it at about the same time as we do.
            return min(core.plan.poll_s, max(_SOON_S, core.now - max(told)))
        begun = [session.since for session in self.sessions if session.phase is Phase.ENDING]
        begun += [one.since for one in self.settling.verifications]
        fresh = any(core.now - since < _FAST_S for since in begun)
        return min(core.plan.poll_s, _FAST_POLL_S) if fresh else core.plan.poll_s

    # Scheduling

    def _next(self) -> TaskPlan | None:
        """The task that can be started now; one that waits for a limit to be lifted keeps no other one waiting."""
        plan, state = self.core.plan, self.core.state
        now = self.core.outside.clock.wall()
        waiting = ready(plan, state, [session.task.key for session in self.sessions])
        return next((task for task in waiting if (state.task(task.key).not_before or 0) <= now), None)

    def _schedule(self) -> None:
        plan, state = self.core.plan, self.core.state
        while self._pause is None and self._busy() < plan.max_parallel:
            task = self._next()
            if task is None:
                break
            if task.gate is not None and task.key not in state.approved:
                self._pause = Paused(reason=f"{task.gate} is needed before {task.key}", stage="gate", task=task.key)
                break
            self.sessions.append(self._prepare(task, state.task(task.key)))
        if not self._busy() and self._pause is None:
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
        self.hearing.read(self.sessions)
        for session in list(self.sessions):
            if session.phase is Phase.LIVE and session.result is not None:
                self.living.act(session)
        listing = Listing(frozenset())
        if any(session.phase is not Phase.STARTING for session in self.sessions):
            core.checkpoint("listing")
            asked_s = core.now
            leaving = [session for session in self.sessions if session.session_ended]
            listing = self.windows.listing()
            for session in leaving:
                session.end_asked = True
                session.outlived = session.outlived or bool(listing.shows(session.window))
            self.hearing.read(self.sessions)
            self._has_hung(asked_s)
            asked_s = core.now
            self.strays.chase(listing, self.sessions)
            self.strays.note_loss(listing, self.sessions)
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
        self.hearing.read(self.sessions)
        for session in self.sessions:
            if session.phase is Phase.LIVE and (session.result is not None or self.core.now >= session.deadline_s):
                self.living.act(session)
            self._give_up_waiting(session)
        return True

    def _between_calls(self) -> None:
        """Within a step: a call that hung keeps nobody waiting for the next one, a stop that was asked for least of all."""
        if self.core.seam.recent:
            self._has_hung(self.core.now - self.core.seam.recent[-1].elapsed_s)
        self.core.switch.check()

    def _step(self, session: Session, listing: Listing) -> None:
        if session.phase is Phase.STARTING:
            self.starting.start(session)
            if self.starting.refusal is not None:
                self._pause_unreachable(session, self.starting.refusal)
        elif session.phase is Phase.UNCERTAIN:
            self.starting.reconcile(session)
        elif session.phase is Phase.LIVE:
            self.living.observe(session, listing)
            if session.phase is Phase.LIVE:
                self.living.act(session)
        elif session.phase is Phase.ENDING:
            self._see_off(session, listing)
        self._give_up_waiting(session)

    def _see_off(self, session: Session, listing: Listing) -> None:
        """Once nothing is left of the session, its task moves on."""
        if session.attempt.outcome is not SessionOutcome.UNREACHABLE:
            if not self.leaving.is_gone(session, listing):
                return
            self.core.journal("session-gone", task=session.task.key, number=session.attempt.number)
            self.settle(session.task, session.state, session.result)
        session.enter(Phase.GONE, self.core.now)
        for process in session.processes:
            self.attention.drop(process)

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
        why = f"{session.task.key} could not be {wanted} within {limit:g} s{core.trouble(session.since)}"
        if session.attempt.outcome is None:
            self.living.close(
                session, SessionOutcome.UNREACHABLE, "the multiplexer does not answer", counted_attempt=False
            )
            session.state.phase = TaskPhase.PENDING
        self._pause_unreachable(session, why)

    def _pause_unreachable(self, session: Session, why: str) -> None:
        if self._pause is None or self._pause.stage != UNREACHABLE:
            self._pause = Paused(reason=why, stage=UNREACHABLE, task=session.task.key)
            self.core.save()
