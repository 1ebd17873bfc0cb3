"""One attempt at one task: what was seen of it so far, and what that amounts to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from backends.operations import WindowExit
from backends.processes import Liveness, ProcessIdentity
from harness.engine.decide import Budget, NudgeKind, Observation
from harness.engine.events import Event, EventKind, Result
from harness.engine.plan import RunPlan, TaskPlan
from harness.engine.profiles import AgentProfile, LaunchContext
from harness.engine.windows import NOWHERE, Window, window_name
from harness.record import Attempt, TaskState

__all__ = ["Phase", "Session"]

_WAKE_ROUNDS = 3
"""How many times its wake-ups an agent may have used up and still get them back by ending a turn.

Chosen: the specification restores them without a limit, and an agent that ends a turn on each of them would be woken until
its deadline.
"""


class Phase(Enum):
    """Where a session stands with the multiplexer."""

    STARTING = "starting"
    """No window has been asked for, or it is proven that none came of it."""
    UNCERTAIN = "uncertain"
    """A window was asked for and nobody knows whether there is one."""
    LIVE = "live"
    """The window exists, as far as is known."""
    ENDING = "ending"
    """The outcome is recorded; the window and its processes are not yet proven gone."""
    GONE = "gone"
    """Nothing of it is left."""


@dataclass(slots=True)
class Session:
    """An agent session. Times are monotonic seconds; `None` where it has not happened."""

    task: TaskPlan
    state: TaskState
    attempt: Attempt
    profile: AgentProfile
    context: LaunchContext
    nudges: int
    """How often it may be asked for its result, and how often woken between two turns."""
    nudges_left: int
    wakes_left: int
    window: Window = NOWHERE
    phase: Phase = Phase.STARTING
    since: float = 0.0
    """When the phase began."""
    deadline_s: float = 0.0
    absent_seen: int = 0
    marked: bool = False
    """Whether the window is known to carry the token and to print into the log."""
    mark_due_s: float = 0.0
    heard: bool = False
    """Whether any event of this launch was seen: then its agent has run, whatever is known of its window."""
    refusals: int = 0
    wakes_total: int = 0
    processes: list[ProcessIdentity] = field(default_factory=list)
    survivors: list[ProcessIdentity] = field(default_factory=list)
    killed_s: float | None = None
    """When survivors were first told to go by SIGKILL."""
    result: Result | None = None
    result_note: str | None = None
    result_unknown_s: float | None = None
    """Since when it has not been known whether there is a result, because what lies there could not be read."""
    session_ended: bool = False
    session_ended_s: float = 0.0
    end_asked: bool = False
    """Whether the multiplexer was asked since the agent said that its session ends, answered or not."""
    outlived: bool = False
    """Whether the window was there after the agent had said that: no loss of the server made it end."""
    server_lost: bool = False
    """Whether it is proven to have gone because its server did."""
    turn_ended_s: float | None = None
    turn_failed: bool = False
    failure: str = ""
    """Why the newest turn that has ended failed, as the agent tells it; empty if it did not fail, or nobody tells."""
    turn_open: bool = False
    waiting: bool = False
    """Whether the agent waits for a person to decide something."""
    asked_s: float | None = None
    enter_due_s: float | None = None
    """When Enter is to be pressed once more, unless the agent shows before that it has heard."""
    unsure: NudgeKind | None = None
    """The nudge of which nobody knows whether it arrived; it counts once the agent shows any sign of life."""
    repeated: set[NudgeKind] = field(default_factory=set)
    """The kinds of nudge of which one, of unknown effect, was not counted when it was sent."""
    grown_s: float | None = None
    log_size: int = 0
    parked_until_s: float | None = None
    liveness: Liveness = Liveness.UNKNOWN
    unknown_looks: int = 0
    """How often nobody could tell whether it lives."""
    exit: WindowExit | None = None
    exit_awaited_s: float | None = None
    """Since when it is waited for word of how the window ended."""
    watched: bool = False
    """Whether the end of its process will be told."""
    ended_s: float | None = None
    """When the end of one of its processes was last told."""

    @property
    def token(self) -> str:
        """The launch token."""
        return self.attempt.token

    @property
    def window_name(self) -> str:
        """The name of the window of this launch."""
        return window_name(self.task.key, self.token)

    def enter(self, phase: Phase, now: float) -> None:
        """Go to `phase`."""
        self.phase = phase
        self.since = now

    @property
    def at_rest(self) -> bool:
        """Whether it works and nothing is open about it: what changes that is told, or is its deadline."""
        told = self.watched and self.ended_s is None and self.liveness is Liveness.ALIVE
        turn_goes_on = self.turn_ended_s is None or self.turn_open or self.waiting
        waited_for = (self.result, self.result_note, self.exit_awaited_s, self.enter_due_s, self.unsure)
        settled = self.phase is Phase.LIVE and self.marked and not self.session_ended and not any(waited_for)
        return told and turn_goes_on and settled

    def take(self, event: Event, now: float) -> None:
        """Digest one event of this launch; nothing counts after the agent ended its session."""
        self.heard = True
        self._arrived()
        if self.session_ended or self._from_subagent(event):
            return
        if event.kind in (EventKind.PROMPT, EventKind.WAITING):
            self.enter_due_s = None
        if event.kind is EventKind.WAITING:
            self.waiting = True
            return
        if event.kind is EventKind.WORKING and self.waiting:
            self.turn_open = self.turn_ended_s is not None
        self.waiting = False
        if event.kind is EventKind.SESSION_END:
            self.session_ended, self.session_ended_s = True, now
        elif event.kind is EventKind.PROMPT:
            self.turn_open = self.turn_ended_s is not None
            self.parked_until_s = None
        elif event.kind is EventKind.STOP:
            self._end_turn(now, failed=False, still_open=event.background)
            if self.wakes_total < _WAKE_ROUNDS * self.nudges:
                self.wakes_left = self.nudges
        elif event.kind in (EventKind.TURN_FAILED, EventKind.INTERRUPTED):
            self._end_turn(now, failed=True, still_open=False, failure=event.failure)
            pause = event.payload.get("retry_after_s")
            if isinstance(pause, int | float) and 0 < pause < 1e9:
                self.parked_until_s = now + pause

    def _from_subagent(self, event: Event) -> bool:
        return event.kind is EventKind.STOP and self.profile.stops_need_transcript and not event.transcript_path

    def _end_turn(self, now: float, *, failed: bool, still_open: bool, failure: str = "") -> None:
        self.turn_ended_s = now
        self.turn_failed = failed
        self.failure = failure
        self.turn_open = still_open

    def grew(self, size: int, now: float) -> None:
        """Note the size of the log in bytes."""
        if size > self.log_size:
            self.grown_s = now
            self._arrived()
        self.log_size = size

    def asked(self, kind: NudgeKind, now: float, *, confirmed: bool) -> None:
        """Note a nudge that was sent.

        The first of its kind that is not `confirmed` takes nothing from the budget before there is a sign that it arrived:
        silence of the multiplexer is not the agent's. Any other one may have been typed, and counts.
        """
        self.asked_s = now
        self.attempt.nudges += 1
        if confirmed or kind in self.repeated:
            self._spend(kind)
        else:
            self.repeated.add(kind)
            self.unsure = kind

    def _arrived(self) -> None:
        if self.unsure is not None:
            self._spend(self.unsure)

    def _spend(self, kind: NudgeKind) -> None:
        self.unsure = None
        if kind is NudgeKind.RESULT:
            self.nudges_left -= 1
        else:
            self.wakes_left -= 1
            self.wakes_total += 1

    def observation(self, now: float) -> Observation:
        """What was seen, for `decide`."""
        return Observation(
            now=now,
            has_result=self.result is not None,
            server_lost=self.server_lost,
            session_ended=self.session_ended,
            liveness=self.liveness,
            exit=self.exit,
            turn_ended_s=self.turn_ended_s,
            turn_failed=self.turn_failed,
            turn_open=self.turn_open,
            waiting=self.waiting,
            asked_s=self.asked_s,
            grown_s=self.grown_s,
            parked_until_s=self.parked_until_s,
        )

    def budget(self, plan: RunPlan) -> Budget:
        """What is left, for `decide`."""
        return Budget(
            deadline_s=self.deadline_s,
            result_grace_s=plan.result_grace_s,
            stall_grace_s=plan.stall_grace_s,
            nudges_left=self.nudges_left,
            wakes_left=self.wakes_left,
            turn_completes=plan.completion == "turn",
        )
