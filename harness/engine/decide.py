"""What to do with a session: one pure function over what was seen and what is left.

`decide` is the decision table of the engine. It reads no clock and asks nobody; times are monotonic seconds. First match
wins, in the order of `ROWS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from backends.operations import WindowExit
from backends.processes import Liveness

__all__ = [
    "ROWS",
    "Budget",
    "Complete",
    "Crash",
    "Decision",
    "Lost",
    "Nudge",
    "NudgeKind",
    "Observation",
    "Park",
    "Stall",
    "TimeOut",
    "Wait",
    "decide",
    "next_due",
]


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything seen of one session up to `now`.

    `turn_ended_s` is when the newest Stop or TurnFailed was seen, `turn_failed` whether it was a TurnFailed, and
    `turn_open` whether that turn goes on after all (background work, or a prompt since). `asked_s` is when the agent was
    last nudged. `grown_s` is when its log last grew. `parked_until_s` is when a rate limit ends. `waiting` is whether the
    agent waits for a person. `server_lost` is whether the session went because its multiplexer's server did.
    """

    now: float
    has_result: bool = False
    server_lost: bool = False
    session_ended: bool = False
    liveness: Liveness = Liveness.ALIVE
    exit: WindowExit | None = None
    turn_ended_s: float | None = None
    turn_failed: bool = False
    turn_open: bool = False
    asked_s: float | None = None
    grown_s: float | None = None
    parked_until_s: float | None = None
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What the session may still take: its deadline, its graces in seconds, its nudges and wake-ups."""

    deadline_s: float
    result_grace_s: float = 15.0
    stall_grace_s: float = 600.0
    nudges_left: int = 2
    wakes_left: int = 2
    turn_completes: bool = False


class NudgeKind(Enum):
    """Why an agent is typed to."""

    RESULT = "result"
    """It stopped and left no result: ask for it."""
    WAKE = "wake"
    """It fell silent after its turn: wake it up."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The session did what it was for."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The session ended without a result; `exit` as far as the backend knows."""

    why: str
    exit: WindowExit | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The session went because the multiplexer's server did: that is no failure of its agent."""


@dataclass(frozen=True, slots=True)
class TimeOut:
    """The deadline passed without a result."""


@dataclass(frozen=True, slots=True)
class Park:
    """The agent cannot go on before `until_s`, which lies beyond the deadline: end without using up an attempt."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Nudge:
    """Type to the agent."""

    kind: NudgeKind


@dataclass(frozen=True, slots=True)
class Stall:
    """The agent ended its turn, left no result and does not react any more."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now, and why."""

    why: str


Decision = Complete | Lost | Crash | TimeOut | Park | Nudge | Stall | Wait


def decide(seen: Observation, budget: Budget) -> Decision:
    """The first decision that a row of the table makes."""
    for row in ROWS:
        decision = row(seen, budget)
        if decision is not None:
            return decision
    return Wait("the agent is at work")


def next_due(seen: Observation, budget: Budget) -> float:
    """When `decide` may come to something else by time alone, in monotonic seconds; infinite where it never will."""
    times = [budget.deadline_s]
    if seen.parked_until_s is not None:
        times.append(seen.parked_until_s)
    if seen.turn_ended_s is not None:
        asked_s = seen.turn_ended_s if seen.asked_s is None else max(seen.turn_ended_s, seen.asked_s)
        lively_s = asked_s if seen.grown_s is None else max(asked_s, seen.grown_s)
        times += [asked_s + budget.result_grace_s, lively_s + budget.stall_grace_s]
    return min((time for time in times if time > seen.now), default=math.inf)


def _result(seen: Observation, budget: Budget) -> Decision | None:
    return Complete() if seen.has_result else None


def _lost(seen: Observation, budget: Budget) -> Decision | None:
    return Lost() if seen.server_lost else None


def _session_end(seen: Observation, budget: Budget) -> Decision | None:
    return Crash("the agent ended its session without a result", seen.exit) if seen.session_ended else None


def _death(seen: Observation, budget: Budget) -> Decision | None:
    return Crash("the window died without a result", seen.exit) if seen.liveness is Liveness.DEAD else None


def _deadline(seen: Observation, budget: Budget) -> Decision | None:
    return TimeOut() if seen.now >= budget.deadline_s else None


def _parked(seen: Observation, budget: Budget) -> Decision | None:
    if seen.parked_until_s is None or seen.parked_until_s <= seen.now:
        return None
    if seen.parked_until_s > budget.deadline_s:
        return Park(seen.parked_until_s)
    return Wait("the agent waits for a limit to be lifted")


def _waiting(seen: Observation, budget: Budget) -> Decision | None:
    return Wait("a person has to decide") if seen.waiting else None


def _turn_open(seen: Observation, budget: Budget) -> Decision | None:
    return Wait("the turn is not over") if seen.turn_open else None


def _unknown(seen: Observation, budget: Budget) -> Decision | None:
    return Wait("the multiplexer does not answer") if seen.liveness is Liveness.UNKNOWN else None


def _turn_completes(seen: Observation, budget: Budget) -> Decision | None:
    ended = seen.turn_ended_s is not None and not seen.turn_failed
    return Complete() if ended and budget.turn_completes else None


def _grace(seen: Observation, budget: Budget) -> Decision | None:
    if seen.turn_ended_s is None:
        return None
    since = max(seen.turn_ended_s, seen.asked_s if seen.asked_s is not None else seen.turn_ended_s)
    return Wait("a result may still come") if seen.now < since + budget.result_grace_s else None


def _ask(seen: Observation, budget: Budget) -> Decision | None:
    if seen.turn_ended_s is None or budget.nudges_left <= 0:
        return None
    return Nudge(NudgeKind.RESULT)


def _lively(seen: Observation, budget: Budget) -> Decision | None:
    if seen.turn_ended_s is None:
        return None
    signs = [seen.turn_ended_s, seen.asked_s, seen.grown_s]
    last = max(sign for sign in signs if sign is not None)
    return Wait("there were signs of life") if seen.now < last + budget.stall_grace_s else None


def _wake(seen: Observation, budget: Budget) -> Decision | None:
    if seen.turn_ended_s is None or budget.stall_grace_s <= 0 or budget.wakes_left <= 0:
        return None
    return Nudge(NudgeKind.WAKE)


def _stall(seen: Observation, budget: Budget) -> Decision | None:
    return None if seen.turn_ended_s is None else Stall()


ROWS: tuple[Callable[[Observation, Budget], Decision | None], ...] = (
    _result,
    _lost,
    _session_end,
    _death,
    _deadline,
    _parked,
    _waiting,
    _turn_open,
    _unknown,
    _turn_completes,
    _grace,
    _ask,
    _lively,
    _wake,
    _stall,
)
"""The table, row by row, first match first."""
