"""Which task is next, and what becomes of one whose attempt is over: pure functions over plan and state."""

from __future__ import annotations

from collections.abc import Iterable

from harness.engine.plan import RunPlan, TaskPlan
from harness.record import Attempt, RunState, SessionOutcome, TaskPhase, TaskState

__all__ = ["blocked", "counted", "lost", "parked", "ready", "refused", "tally", "unfinished"]

_OVER = frozenset({TaskPhase.DONE, TaskPhase.DEFERRED, TaskPhase.ESCALATED})


def unfinished(state: RunState) -> list[TaskState]:
    """The tasks that are not over yet."""
    return [task for task in state.tasks if task.phase not in _OVER]


def ready(plan: RunPlan, state: RunState, busy: Iterable[str]) -> list[TaskPlan]:
    """The pending tasks, in the plan's order, whose needs are done; `busy` are the keys that have a session."""
    taken = set(busy)
    return [
        task
        for task in plan.order()
        if state.task(task.key).phase is TaskPhase.PENDING and task.key not in taken and _needs_done(task, state)
    ]


def _needs_done(task: TaskPlan, state: RunState) -> bool:
    return all(state.task(key).phase is TaskPhase.DONE for key in task.needs)


def blocked(plan: RunPlan, state: RunState) -> list[tuple[TaskState, str]]:
    """The pending tasks that can never start in this run, with the need that was given up."""
    given_up = {task.key for task in state.tasks if task.phase is TaskPhase.DEFERRED}
    found = []
    for task in plan.order():
        if state.task(task.key).phase is TaskPhase.PENDING:
            missing = [key for key in task.needs if key in given_up]
            if missing:
                given_up.add(task.key)
                found.append((state.task(task.key), missing[0]))
    return found


def counted(task: TaskState) -> int:
    """How many attempts the task has used up."""
    return sum(1 for attempt in task.attempts if attempt.counted and attempt.outcome is not None)


def refused(task: TaskState) -> int:
    """How many of the newest attempts in a row could not even be started."""
    count = 0
    for attempt in reversed(task.attempts):
        if attempt.outcome is not SessionOutcome.UNREACHABLE:
            break
        count += 1
    return count


def parked(task: TaskState) -> int:
    """How many of the newest finished attempts in a row were put off by a limit without being counted."""
    count = 0
    for attempt in reversed([attempt for attempt in task.attempts if attempt.outcome is not None]):
        if attempt.outcome is not SessionOutcome.STALLED or attempt.counted:
            break
        count += 1
    return count


def lost(task: TaskState) -> int:
    """How many of the newest finished attempts in a row went with their server without being counted."""
    count = 0
    for attempt in reversed([attempt for attempt in task.attempts if attempt.outcome is not None]):
        if attempt.outcome is not SessionOutcome.CRASHED or attempt.counted:
            break
        count += 1
    return count


def tally(attempts: Iterable[Attempt]) -> str:
    """What came of the attempts, in one line."""
    words = []
    for attempt in attempts:
        if attempt.outcome is not None:
            words.append(f"#{attempt.number} {attempt.outcome}" + (f": {attempt.reason}" if attempt.reason else ""))
    return "; ".join(words)
