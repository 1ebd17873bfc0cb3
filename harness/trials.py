"""A trial: one story told once under one fault plan, in a world of its own, and judged.

After the run every oracle is checked; then the faults are gone and the run is resumed until it is finished, as a person would
do, and judged again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from faults.actions import Delay, Hang, OsError, Pass, Timeout
from faults.plan import FaultPlan
from faults.rule import Fault
from faults.triggers import Times
from faults.verdict import Run, Verdict
from harness.oracles import resumable, violations
from harness.record import RecordError, RunStatus
from harness.report import Report
from harness.runner import Stage
from harness.stories import Story
from harness.world import WORLDS, World

__all__ = ["Trial", "replay_line", "run_of", "trial"]

_RESUMES = 10
"""How often a run may be resumed until it has to be finished: every story pauses less often than that."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A story told under a plan: the verdict, and the reports of its runs, the one under the faults first."""

    story: Story
    verdict: Verdict
    reports: tuple[Report, ...]


def trial(
    story: Story,
    plan: FaultPlan,
    *,
    backend: str = "fake",
    make_world: Callable[[int], World] | None = None,
    **options: Any,
) -> Trial:
    """Tell `story` under `plan` in a fresh world and judge it; `options` are those of `Stage.run`, for every run.

    Raises `FaultPlanError` for a plan that cannot be carried out there.
    """
    world = (make_world or WORLDS[backend])(plan.seed)
    try:
        stage = Stage(world, seed=plan.seed)
        report = story.tell(stage, plan, verify=False, strict=False, **options)
        problems = violations(report, strict=False)
        problems += _harm(story, report, backend)
        problems += _resumed(stage, report, options)
        reports = tuple(stage.reports[stage.reports.index(report) :])
    finally:
        world.close()
    verdict = Verdict(
        plan=plan,
        outcome=report.status.value,
        problems=tuple(problems),
        injections=tuple(report.injections),
        unfired=tuple(report.unfired),
        reached=report.reached,
        callers=_callers(report),
        explain=lambda: "\n\n".join(one.explain() for one in reports),
    )
    return Trial(story, verdict, reports)


def run_of(story: Story, *, backend: str = "fake", **options: Any) -> Run:
    """`trial` of that story as those who search through plans take it."""
    return lambda plan: trial(story, plan, backend=backend, **options).verdict


def replay_line(story: str, plan: FaultPlan, backend: str = "fake") -> str:
    """The command line that repeats a trial."""
    words = ["seamripper", "faults", "replay", story, "--plan", _quoted(plan.to_text()), "--seed", str(plan.seed)]
    return " ".join(words if backend == "fake" else [*words, "--mux", backend])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _resumed(stage: Stage, report: Report, options: Mapping[str, Any]) -> list[str]:
    """What does not hold when the run is resumed without faults, again and again until it is finished."""
    problems: list[str] = []
    before = report
    for _ in range(_RESUMES):
        if before.status is RunStatus.FINISHED or (before.state is None and before.killed):
            return problems
        stage.world.thaw()
        after = stage.resume(faults="", verify=False, strict=False, **options)
        if isinstance(after.raised, RecordError) and before.state is None:
            return problems
        problems += [f"resumable: {problem}" for problem in resumable(before, after)]
        problems += [f"{problem} (in the resume)" for problem in violations(after, strict=False)]
        if problems:
            return problems
        before = after
    return [*problems, f"resumable: the run was not finished by {_RESUMES} resumes"]


def _harm(story: Story, report: Report, backend: str) -> list[str]:
    """Whether a multiplexer that failed to answer for a while, and then recovered, changed anything; design.md, fault model."""
    silences = report.faults.faults
    if not silences or not all(map(_passes, silences)):
        return []
    due, told = _faultless(story, backend), _told(report)
    return [] if due == told else [f"unharmed: without the silence it came to {due}, with it to {told}"]


def _passes(fault: Fault) -> bool:
    """Whether the fault is a silence of the multiplexer that comes to an end by itself."""
    layer = fault.full_point.partition(".")[0]
    silent = all(isinstance(term.action, Pass | Timeout | Hang | Delay | OsError) for term in fault.terms)
    return layer in ("mux", "transport") and silent and all(isinstance(term.trigger, Times) for term in fault.terms)


@functools.cache
def _faultless(story: Story, backend: str) -> tuple[Any, ...]:
    world = WORLDS[backend](0)
    try:
        return _told(story.tell(Stage(world), FaultPlan(), verify=False, strict=False))
    finally:
        world.close()


def _told(report: Report) -> tuple[Any, ...]:
    """How a run came out, as far as a person would notice: its status, and each task with its attempts."""
    tasks = () if report.state is None else report.state.tasks
    outcomes = [(one.key, *_task(report, one.key)) for one in tasks]
    return (report.status.value, *outcomes)


def _task(report: Report, key: str) -> tuple[str, int, tuple[str, ...]]:
    task = report.task(key)
    return task.phase, task.attempts, tuple(task.outcomes)


def _callers(report: Report) -> dict[str, tuple[str, ...]]:
    """For every point, the steps of the engine that were passed last before its calls."""
    step, found = "-", dict[str, dict[str, None]]()
    for entry in report.entries:
        if entry.layer == "engine":
            step = entry.point.partition(".")[2]
        else:
            found.setdefault(entry.point, {})[step] = None
    return {point: tuple(steps) for point, steps in found.items()}
