"""Runs inside runs: the deferred tasks of a run get one more chance, in a run of their own."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import msgspec

from harness.engine.core import Core
from harness.engine.plan import RunPlan
from harness.record import RecordError, RunState, TaskPhase

__all__ = ["absorb_child", "child_id", "nested_states", "plan_of_deferred"]


_LONGEST_ID = 64
"""Characters of a run id, which names directories and multiplexer sessions; as many as `seamripper run --run-id` takes."""


def child_id(core: Core) -> str:
    """The name of the next nested run: its parent's with a suffix, shortened so that no other run can have it."""
    state = core.state
    suffix = f"-n{state.epoch}-{len(state.nested) + 1}"
    if len(state.run_id) + len(suffix) <= _LONGEST_ID:
        return state.run_id + suffix
    suffix = f"-{hashlib.sha256(state.run_id.encode()).hexdigest()[:8]}{suffix}"
    return state.run_id[: _LONGEST_ID - len(suffix)] + suffix


def plan_of_deferred(core: Core, deferred: list[str]) -> RunPlan:
    """The plan of a nested run for the tasks `deferred`.

    Needs outside of it are done already; gates were passed.
    """
    chosen = set(deferred)
    tasks = tuple(
        dataclasses.replace(task, needs=tuple(need for need in task.needs if need in chosen), gate=None)
        for task in core.plan.tasks
        if task.key in chosen
    )
    return dataclasses.replace(core.plan, tasks=tasks, retry_deferred="never", post_run=(), cleanup_session=True)


def absorb_child(core: Core, child: RunState) -> None:
    """Take over what a nested run that is over has done, so that its finished tasks are finished here too."""
    ours = {task.key: task for task in core.state.tasks}
    for inner in child.tasks:
        outer = ours.get(inner.key)
        if outer is None or outer.phase is TaskPhase.DONE:
            continue
        known = {attempt.token for attempt in outer.attempts}
        new = [attempt for attempt in inner.attempts if attempt.token not in known]
        outer.attempts.extend(msgspec.structs.replace(attempt, pending="") for attempt in new)
        if inner.phase is TaskPhase.DONE:
            outer.phase = TaskPhase.DONE
        outer.reason = inner.reason
        outer.summary = inner.summary
    core.save()
    core.journal("nested-absorbed", run=child.run_id)


def nested_states(core: Core) -> Iterator[tuple[str, RunState | None]]:
    """Every run inside this one and inside those, outer ones first: its id, and its state if that can be read."""
    waiting = [(core.run_dir, run_id) for run_id in core.state.nested]
    while waiting:
        above, run_id = waiting.pop(0)
        directory = above / "nested" / run_id
        state = _state_in(core, directory)
        if state is not None:
            waiting += [(directory, inner) for inner in state.nested]
        yield run_id, state


def _state_in(core: Core, run_dir: Path) -> RunState | None:
    outside = core.outside
    store = outside.store(run_dir)
    try:
        # Who holds a run's lock tidies its directory; a nested run that was cut off has nobody else to do it.
        with nullcontext() if outside.disk.info(run_dir) is None else store.lock():
            return store.load().state
    except (RecordError, OSError) as error:
        core.journal("nested-unreadable", run=run_dir.name, problem=str(error))
        return None
