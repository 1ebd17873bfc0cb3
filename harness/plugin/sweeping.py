"""The items of a sweep: each fault at each call that a story makes, and the end of the walk at each point."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from faults.matrix import SWEPT, Calls, Cell, cells, cells_at, points_of
from faults.plan import FaultPlan
from faults.sweeps import Due, Trying
from harness.dashboard import literal
from harness.plugin.selection import Selected, SelectionError
from harness.record import describe
from harness.runner import catalog_of
from harness.stories import StoryError, story_of
from harness.trials import Trial, replay_line, trial
from harness.world import WORLDS

__all__ = ["SWEEP_WORLDS", "Step", "failure_of", "problems_of", "steps", "why_nothing"]

SWEEP_WORLDS = ("fake", "simulated-tmux")
"""The worlds that are swept. What is in both is swept in the first one only, which is the faster one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One item of a sweep: the fault of `cell` in that story and world, and whether it is due to happen."""

    story: str
    world: str
    cell: Cell
    due: Due
    seed: int

    @property
    def label(self) -> str:
        """The item's id: unique within a sweep, and without anything that a shell would have to be told about."""
        what = self.cell.label if self.due is Due.FIRES else f"{self.cell.point}#{self.cell.call}-end"
        return f"{self.story}-{what}"

    @property
    def replay(self) -> str:
        """The command line that repeats it."""
        return replay_line(self.story, self.cell.plan(self.seed), self.world)

    def carried_out(self) -> Trial:
        """What comes of it; a fresh world each time."""
        return trial(story_of(self.story), self.cell.plan(self.seed), backend=self.world, handle_signals=False)


def steps(selected: Selected, calls: Calls | int, worlds: Collection[str], seed: int) -> Iterator[Step]:
    """Every step of a sweep in these worlds, in an order that depends on nothing else.

    Each story is run once in each world without faults, to learn what it reaches. Raises `SelectionError` for one that cannot
    be told, or for which not everything holds then.
    """
    for story, layers in selected.items():
        for world in SWEEP_WORLDS:
            here = [layer for layer in layers if layer in _swept_in(world)]
            if world in worlds and here:
                yield from _steps_in(story, world, here, calls, seed)


def why_nothing(selected: Selected, worlds: Collection[str]) -> str:
    """Why `steps` has none for that selection in these worlds, and what to do."""
    layers = [layer for layer in SWEPT if any(layer in chosen for chosen in selected.values())]
    listed = ", ".join(layers)
    where = [world for world in SWEEP_WORLDS if _swept_in(world) & set(layers)]
    if not set(where) & set(worlds):
        return f"nothing to sweep: for {listed} add `--mux {where[0]}`, in {', '.join(worlds)} there is none"
    stories = ", ".join(selected)
    return f"nothing to sweep: without faults no point of {listed} is reached in {stories:.200}; select another layer"


def problems_of(step: Step, told: Trial) -> list[str]:
    """What is wrong; nothing if every oracle held and the fault happened just where it was due."""
    wrong = Trying(step.cell, step.due, told.verdict).wrong
    return [*told.verdict.problems, *([] if wrong is None else [wrong])]


def failure_of(step: Step, told: Trial) -> str:
    """What is wrong, at length; blank if nothing is."""
    verdict, problems = told.verdict, problems_of(step, told)
    if not problems:
        return ""
    listed = "\n".join(f"  {problem}" for problem in problems)
    return f"{step.label}: {len(problems)} of what must hold does not\n{listed}\n\n{verdict.explain()}\n\nreplay: {step.replay}"


def _swept_in(world: str) -> frozenset[str]:
    before = SWEEP_WORLDS[: SWEEP_WORLDS.index(world)]
    return WORLDS[world].layers.difference(*(WORLDS[one].layers for one in before))


def _steps_in(story: str, world: str, layers: Collection[str], calls: Calls | int, seed: int) -> Iterator[Step]:
    catalog, reached = catalog_of(WORLDS[world]), _reached(story, world, seed)
    for cell in cells(reached, catalog, layers, calls):
        yield Step(story, world, cell, Due.FIRES, seed)
    for point in points_of(reached, layers):
        for cell in islice(cells_at(point, reached[point] + 1, catalog), 1):
            yield Step(story, world, cell, Due.END, seed)


@functools.cache
def _reached(story: str, world: str, seed: int) -> Mapping[str, int]:
    calm = FaultPlan(seed=seed)
    try:
        verdict = trial(story_of(story), calm, backend=world, handle_signals=False).verdict
    except (Exception, SystemExit) as error:
        why = str(error) if isinstance(error, StoryError) else describe(error)
        raise SelectionError(f"{story!r:.80} cannot be told: {literal(why, 600)}; correct it") from error
    if verdict.problems:
        line = replay_line(story, calm, world)
        problem = literal(verdict.problems[0])
        raise SelectionError(f"{story!r:.80} fails on {world} without any fault: {problem}; see `{line}`")
    return dict(verdict.reached)
