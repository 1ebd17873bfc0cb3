"""Which task is next, and what becomes of one whose attempts are over."""

from __future__ import annotations

import pytest

from harness.agents import plan_of, task
from harness.engine.plan import RunPlan
from harness.engine.tasks import blocked, counted, ready, refused, tally, unfinished
from harness.record import Attempt, RunState, SessionOutcome, TaskPhase, TaskState

CHAIN = plan_of(task("a"), task("b", needs=["a"]), task("c", needs=["b"]), task("d"))


def state_of(plan: RunPlan, **phases: TaskPhase) -> RunState:
    """A run of `plan`; tasks that are not named are pending."""
    tasks = [TaskState(key=each.key, phase=phases.get(each.key, TaskPhase.PENDING)) for each in plan.tasks]
    return RunState(run_id="run-1", tasks=tasks)


def attempts(*outcomes: SessionOutcome | None, counted: bool = True) -> list[Attempt]:
    """Attempts with those outcomes, numbered from 1."""
    return [
        Attempt(number=number, token=f"t{number}", outcome=outcome, counted=counted)
        for number, outcome in enumerate(outcomes, 1)
    ]


def keys(plan: RunPlan, state: RunState, *busy: str) -> list[str]:
    """The keys of the tasks that are ready."""
    return [each.key for each in ready(plan, state, busy)]


def test_tasks_without_needs_are_ready_in_the_order_of_the_plan() -> None:
    """What needs another task waits for it."""
    assert keys(CHAIN, state_of(CHAIN)) == ["a", "d"]


def test_a_task_is_ready_once_its_needs_are_done() -> None:
    """Done, and nothing less."""
    assert keys(CHAIN, state_of(CHAIN, a=TaskPhase.DONE)) == ["b", "d"]
    assert keys(CHAIN, state_of(CHAIN, a=TaskPhase.VERIFYING)) == ["d"]


def test_a_task_that_has_a_session_is_not_ready_again() -> None:
    """One agent for each task."""
    assert keys(CHAIN, state_of(CHAIN), "a") == ["d"]


@pytest.mark.parametrize("phase", [TaskPhase.RUNNING, TaskPhase.DONE, TaskPhase.DEFERRED, TaskPhase.ESCALATED])
def test_only_pending_tasks_are_ready(phase: TaskPhase) -> None:
    """Whatever else a task is, it is not begun."""
    assert "d" not in keys(CHAIN, state_of(CHAIN, d=phase))


def test_what_needs_a_deferred_task_is_blocked_and_so_is_what_needs_that() -> None:
    """Each with the need that was given up."""
    found = blocked(CHAIN, state_of(CHAIN, a=TaskPhase.DEFERRED))

    assert [(state.key, need) for state, need in found] == [("b", "a"), ("c", "b")]


def test_nothing_is_blocked_while_its_needs_may_still_be_done() -> None:
    """A task that is running or waits for a person has not been given up."""
    assert blocked(CHAIN, state_of(CHAIN, a=TaskPhase.RUNNING)) == []
    assert blocked(CHAIN, state_of(CHAIN, a=TaskPhase.ESCALATED)) == []


def test_a_task_that_is_done_is_not_blocked_by_what_it_needed() -> None:
    """Only pending tasks are."""
    assert blocked(CHAIN, state_of(CHAIN, a=TaskPhase.DEFERRED, b=TaskPhase.DONE, c=TaskPhase.DONE)) == []


def test_tasks_that_are_done_deferred_or_escalated_are_over() -> None:
    """Everything else is unfinished."""
    state = state_of(CHAIN, a=TaskPhase.DONE, b=TaskPhase.DEFERRED, c=TaskPhase.ESCALATED, d=TaskPhase.VERIFYING)

    assert [task.key for task in unfinished(state)] == ["d"]


def test_attempts_that_do_not_count_or_still_run_use_nothing_up() -> None:
    """Only what has ended and counts is counted."""
    spent = attempts(SessionOutcome.CRASHED, None) + attempts(SessionOutcome.UNREACHABLE, counted=False)

    assert counted(TaskState(key="a", attempts=spent)) == 1


def test_refusals_are_counted_from_the_newest_attempt_back() -> None:
    """An attempt that was started in between begins the count anew."""
    no = SessionOutcome.UNREACHABLE

    assert refused(TaskState(key="a", attempts=attempts(no, no))) == 2
    assert refused(TaskState(key="a", attempts=attempts(no, SessionOutcome.CRASHED, no))) == 1
    assert refused(TaskState(key="a", attempts=attempts(no, SessionOutcome.CRASHED))) == 0
    assert refused(TaskState(key="a")) == 0


def test_the_tally_names_every_attempt_that_ended() -> None:
    """With the reason where there is one."""
    told = attempts(SessionOutcome.TIMED_OUT, SessionOutcome.CRASHED, None)
    told[1].reason = "signal 9"

    assert tally(told) == "#1 timed_out; #2 crashed: signal 9"
