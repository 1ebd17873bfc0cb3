"""Runs inside runs: the deferred tasks of a run get one more chance, in a run of their own."""

from __future__ import annotations

import dataclasses

from harness.engine.core import Core
from harness.engine.plan import RunPlan
from harness.record import RunState, TaskPhase

__all__ = ["absorb_child", "child_of"]


def child_of(core: Core, deferred: list[str]) -> tuple[RunPlan, str]:
    """The plan of a nested run for the tasks `deferred`, and its run id.

    Needs outside of it are done already; gates were passed.
    """
    chosen = set(deferred)
    tasks = tuple(
        dataclasses.replace(task, needs=tuple(need for need in task.needs if need in chosen), gate=None)
        for task in core.plan.tasks
        if task.key in chosen
    )
    plan = dataclasses.replace(core.plan, tasks=tasks, retry_deferred="never", post_run=(), cleanup_session=True)
    return plan, f"{core.state.run_id[:48]}-n{core.state.epoch}-{len(core.state.nested) + 1}"


def absorb_child(core: Core, child: RunState) -> None:
    """Take over what a nested run has done, so that its finished tasks are finished here too."""
    for inner in child.tasks:
        outer = core.state.task(inner.key)
        if outer.phase is TaskPhase.DONE:
            continue
        known = {attempt.token for attempt in outer.attempts}
        outer.attempts.extend(attempt for attempt in inner.attempts if attempt.token not in known)
        if inner.phase is TaskPhase.DONE:
            outer.phase = TaskPhase.DONE
        outer.reason = inner.reason
        outer.summary = inner.summary
    core.save()
    core.journal("nested-absorbed", run=child.run_id)
