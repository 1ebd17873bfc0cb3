"""What a run needs in order to go on besides its record: the plan that it was started with, and its project."""

from __future__ import annotations

from pathlib import Path

from harness.commands.host import CommandError, Host
from harness.commands.places import is_directory
from harness.engine.plan import PlanError, RunPlan, load_plan
from harness.record import RunState

__all__ = ["plan_to_resume", "why_not_resumed"]


def plan_to_resume(host: Host, run_dir: Path, state: RunState) -> RunPlan:
    """The plan that the run was started with, as it lies in the run's directory.

    Raises `CommandError` or `PlanError` where the run cannot go on with it.
    """
    if state.parent is not None:
        raise CommandError(
            f"run {run_dir.name} is a part of run {state.parent}", f"`seamripper resume {state.parent}`", 2
        )
    path = run_dir / "plan.toml"
    if host.disk.info(path) is None:
        raise CommandError(
            f"the run's plan is gone: {path}", "put the plan that the run was started with there, then resume"
        )
    plan = load_plan(path, disk=host.disk, follow=False)
    known = {task.key for task in state.tasks}
    strange = [task.key for task in plan.tasks if task.key not in known]
    if strange:
        raise PlanError([f"{path}: the run was started without the task {strange[0]!r}"])
    if not is_directory(host.disk, plan.project):
        raise CommandError(f"the run's project directory is gone: {plan.project}", "put it back, then resume")
    return plan


def why_not_resumed(host: Host, run_dir: Path, state: RunState) -> str:
    """Why a resume would be refused although nobody drives the run; empty where it would not."""
    try:
        plan_to_resume(host, run_dir, state)
    except CommandError as refused:
        return f"{refused.message}; {refused.advice}"
    except (PlanError, OSError) as error:
        return str(error)
    return ""
