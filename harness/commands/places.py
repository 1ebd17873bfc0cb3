"""The directories that a plan's agents and commands work in: whether they are there."""

from __future__ import annotations

import os

from backends.disk import Disk, StrPath
from harness.engine.plan import PlanError, RunPlan

__all__ = ["is_directory", "require_places"]


def is_directory(disk: Disk, path: StrPath) -> bool:
    """Whether `path` leads to a directory; one that may not be looked into is one, too."""
    try:
        disk.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def require_places(disk: Disk, plan: RunPlan, source: str) -> None:
    """Raise `PlanError`, naming every one of them, where directories of the plan are missing."""
    if not is_directory(disk, plan.project):
        raise PlanError([f"{source}: [run] project: there is no directory {plan.project}"])
    problems = []
    for task in plan.tasks:
        place = os.path.join(plan.project, task.cwd or "")
        if not is_directory(disk, place):
            problems.append(f"{source}: task {task.key} cwd: there is no directory {place}")
    if problems:
        raise PlanError(problems)
