"""A trial: one story told once under one fault plan, in a world of its own, and judged.

After the run every oracle is checked; then the faults are gone and the run is resumed until it is finished, as a person would
do, and judged again.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from faults.plan import FaultPlan
from faults.verdict import Run, Verdict
from harness.oracles import recovers, resumable, unharmed, violations
from harness.record import RecordError, RunStatus
from harness.report import Report
from harness.runner import Stage
from harness.stories import MOST_RESUMES, Story
from harness.world import WORLDS, World

__all__ = ["Trial", "replay_line", "run_of", "trial"]


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
        if recovers(report) and not (story.timed and report.injections):
            problems += [f"unharmed: {problem}" for problem in unharmed(_faultless(story, backend), report)]
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
    for _ in range(MOST_RESUMES):
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
    return [*problems, f"resumable: the run was not finished by {MOST_RESUMES} resumes"]


@functools.cache
def _faultless(story: Story, backend: str) -> Report:
    """What comes of the story in an honest world in which nothing goes wrong but what the story tells of."""
    world = WORLDS[backend](0)
    try:
        return story.tell(Stage(world), FaultPlan(), verify=False, strict=False)
    finally:
        world.close()


def _callers(report: Report) -> dict[str, tuple[str, ...]]:
    """For every point, the steps of the engine that were passed last before its calls."""
    step, found = "-", defaultdict[str, dict[str, None]](dict)
    for entry in report.entries:
        layer, _, name = entry.point.partition(".")
        if layer == "engine":
            step = name
        else:
            found[entry.point][step] = None
    return {point: tuple(steps) for point, steps in found.items()}
