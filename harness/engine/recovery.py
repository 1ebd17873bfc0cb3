"""Going on with a run: what the last epoch may have left is found and ended before anything new begins."""

from __future__ import annotations

from harness.engine.core import Core
from harness.engine.events import read_result
from harness.engine.launching import launch_context
from harness.engine.nested import absorb_child, nested_states
from harness.engine.supervisor import UNREACHABLE, Supervisor
from harness.engine.teardown import TORN_DOWN, tear_down_patiently
from harness.engine.windows import Windows
from harness.record import Attempt, Paused, RunState, SessionOutcome, TaskPhase, TaskState

__all__ = ["recover"]


def recover(core: Core, windows: Windows, supervisor: Supervisor) -> Paused | None:
    """End the sessions of earlier epochs, take over the results they left, and put every other task back in line.

    Answers the pause that the run goes back to if the multiplexer does not say whether the old session is gone.
    """
    children = list(nested_states(core))
    own = (core.state.run_id, windows.session, _attempts(core.state))
    for run_id, session, attempts in [own, *(_left_by(*child) for child in children)]:
        old = Windows(windows.multiplexer, session, run_id, windows.cwd)
        old.claimed = True
        paused = _end_leftovers(core, old, attempts)
        if paused is not None:
            return paused
    windows.forget()
    for _, child in children:
        if child is not None:
            absorb_child(core, child)
    for task in core.state.tasks:
        if task.phase in (TaskPhase.RUNNING, TaskPhase.VERIFYING):
            _pick_up(core, task, supervisor)
    return None


def _left_by(run_id: str, state: RunState | None) -> tuple[str, str, list[Attempt]]:
    """What a nested run may have left: its id, its multiplexer session, its attempts."""
    return (run_id, run_id[:64], []) if state is None else (run_id, state.mux_session or run_id[:64], _attempts(state))


def _end_leftovers(core: Core, old: Windows, attempts: list[Attempt]) -> Paused | None:
    began_s = core.now
    if tear_down_patiently(core, old, attempts, core.plan.session_timeout_s) == TORN_DOWN:
        return None
    why = f"session {old.session} of the last epoch could not be ended{core.trouble(began_s)}"
    return Paused(reason=why, stage=UNREACHABLE, task=None)


def _attempts(state: RunState) -> list[Attempt]:
    return [attempt for task in state.tasks for attempt in task.attempts]


def _pick_up(core: Core, task: TaskState, supervisor: Supervisor) -> None:
    """Settle a task whose session had ended; put any other one back in line without using up an attempt."""
    planned = core.plan.task(task.key)
    result = None
    if task.attempts:
        attempt = task.attempts[-1]
        context = launch_context(core.plan, planned, core.run_dir, attempt)
        result = read_result(core.outside.disk, context.result_file, attempt.token, core.store.clean).result
        if attempt.outcome is None:
            attempt.outcome = SessionOutcome.STOPPED if result is None else SessionOutcome.COMPLETED
            attempt.counted = result is not None
            attempt.reason = "" if result is not None else "the engine ended first"
            attempt.ended_at = core.outside.clock.wall()
            told = {} if result is None else {"summary": result.summary}
            core.journal(
                "session-ended",
                task=task.key,
                number=attempt.number,
                outcome=str(attempt.outcome),
                reason=attempt.reason,
                counted=attempt.counted,
                **told,
            )
        if attempt.outcome not in (SessionOutcome.STOPPED, SessionOutcome.UNREACHABLE):
            task.summary = "" if result is None else result.summary
            core.journal("outcome-recovered", task=task.key, outcome=str(attempt.outcome))
            supervisor.settle(planned, task, result)
            return
    task.phase = TaskPhase.PENDING
    core.save()
