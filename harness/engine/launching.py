"""Where a launch keeps its files, and what it is told."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePath

from backends.disk import Disk
from harness.engine.plan import RunPlan, TaskPlan
from harness.engine.profiles import LaunchContext, prompt_footer
from harness.record import Attempt

__all__ = ["clear", "launch_context", "log_file", "put_file", "write_prompt"]


@lru_cache(maxsize=256)
def log_file(run_dir: Path, task_key: str) -> Path:
    """What the windows of a task print, all attempts one after the other."""
    return run_dir / "logs" / f"{task_key}.log"


def launch_context(plan: RunPlan, task: TaskPlan, run_dir: Path, attempt: Attempt) -> LaunchContext:
    """Everything that one launch of `task` needs to know."""
    directory = run_dir / "tasks" / task.key
    return LaunchContext(
        task_key=task.key,
        attempt=attempt.number,
        token=attempt.token,
        prompt_file=directory / "prompt.md",
        events_dir=run_dir / "events",
        result_file=directory / "result.json",
        run_dir=run_dir,
        cwd=PurePath(plan.project, task.cwd or ""),
        scripts_dir=directory,
    )


def write_prompt(disk: Disk, context: LaunchContext, prompt: str, feedback: str) -> None:
    """Write the prompt of this launch where the last one's was, and take the last one's result away.

    `feedback` is why the attempt before this one was not enough.
    """
    disk.mkdir(context.scripts_dir)
    for stale in (context.prompt_file, context.result_file):
        clear(disk, stale)
    text = prompt
    if feedback:
        text += f"\n\nAn earlier attempt was not enough:\n\n{feedback}\n"
    disk.write(context.prompt_file, (text + prompt_footer(context)).encode("utf-8", "backslashreplace"))


def put_file(disk: Disk, path: PurePath, data: bytes) -> None:
    """Make the file whole under its name, whatever an earlier launch left there; no reader of it finds it missing."""
    draft = path.with_suffix(".draft")
    clear(disk, draft)
    disk.write(draft, data)
    if (found := disk.info(path)) is not None and found.is_dir:
        disk.remove_tree(path)
    disk.replace(draft, path)


def clear(disk: Disk, path: PurePath) -> None:
    """Take away whatever is there, a directory included: agents can leave one anywhere."""
    found = disk.info(path)
    if found is not None and found.is_dir:
        disk.remove_tree(path)
    elif found is not None:
        disk.remove(path)
