"""The state of a run when somebody begins to drive it: a new one, or what is recorded of it, made ready to go on."""

from __future__ import annotations

import hashlib

from backends.processes import ProcessTable
from harness.engine.core import Surroundings
from harness.engine.plan import RunPlan
from harness.record import Driver, Ending, Paused, RunState, TaskPhase, TaskState

__all__ = ["approve", "driver_on", "fill_in", "fresh_state"]


def fresh_state(plan: RunPlan, plan_text: str, run_id: str, outside: Surroundings, parent: str | None) -> RunState:
    """The state of a run of `plan` that has not begun; `plan_text` is its file, `parent` the run that it is inside of."""
    now = outside.clock.wall()
    return RunState(
        run_id=run_id,
        project=plan.project,
        backend=outside.multiplexer.backend_name,
        mux_session=run_id[:64],
        created_at=now,
        updated_at=now,
        driver=driver_on(outside.processes),
        tasks=[TaskState(key=task.key) for task in plan.tasks],
        parent=parent,
        plan_sha256=hashlib.sha256(plan_text.encode("utf-8")).hexdigest(),
    )


def driver_on(processes: ProcessTable) -> Driver:
    """This process, as who drives a run."""
    me = processes.me()
    return Driver(pid=me.pid, started=me.started, boot_id=me.boot_id, host=processes.host())


def fill_in(state: RunState, plan: RunPlan, run_id: str) -> None:
    """Take from the plan what a record that has lost its beginning does not tell."""
    state.mux_session = state.mux_session or run_id[:64]
    known = {task.key: task for task in state.tasks}
    state.tasks = [known.pop(task.key, TaskState(key=task.key)) for task in plan.tasks] + list(known.values())


def approve(state: RunState, before: Ending | None) -> None:
    """Take a resume for the approval of what the run was paused for; `before` is how it had ended."""
    if isinstance(before, Paused) and before.stage == "gate" and before.task is not None:
        state.approved.append(before.task)
    for task in state.tasks:
        if task.phase is TaskPhase.ESCALATED:
            task.phase = TaskPhase.PENDING
