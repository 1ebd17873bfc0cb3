"""What each item did, and the sum of it: told by the process that ran the item to the one that sums up.

Where pytest-xdist spreads the items, what an item did travels on its report, as plain JSON types. Without it, the same way is
taken inside of one process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faults.coverage import Exercise, Hit, Square
from faults.trace import Injection
from harness.report import Report
from harness.world import WORLDS

__all__ = ["Deeds", "Tally"]


@dataclass(slots=True)
class Deeds:
    """What one item did in `world`: it carried out `runs`, in which faults fired; blank: outside of any world.

    `missing` says why the world could not be had, `story` what was swept.
    """

    world: str = ""
    missing: str = ""
    story: str = ""
    runs: int = 0
    fired: int = 0
    exercise: Exercise = field(default_factory=Exercise)

    def add(self, report: Report, replay: str) -> None:
        """Count a run, which `replay` repeats."""
        self.runs += 1
        self.injected(report.injections, report.reached, replay)

    def injected(self, injections: Collection[Injection], reached: Iterable[str], replay: str) -> None:
        """Count what happened at the points that were `reached`, which `replay` repeats."""
        self.fired += len(injections)
        self.exercise.injected(injections, replay)
        self.exercise.reached.update(reached)

    def told(self, known: Collection[str] = ()) -> dict[str, Any]:
        """The same as plain JSON types, without the points that are `known` to have been reached."""
        hits = [[*square, hit.count, hit.replay] for square, hit in self.exercise.hits.items()]
        reached = [point for point in self.exercise.reached if point not in known]
        plain = {"world": self.world, "missing": self.missing, "story": self.story}
        return {**plain, "runs": self.runs, "fired": self.fired, "hits": hits, "reached": reached}

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Deeds:
        """What was `told`."""
        hits = {Square(point, action, moment): Hit(count, line) for point, action, moment, count, line in told["hits"]}
        exercise = Exercise(hits, set(told["reached"]))
        return cls(told["world"], told["missing"], told["story"], told["runs"], told["fired"], exercise)


@dataclass(slots=True)
class Tally:
    """What ran where, and what came of it: the sum over all items, in whatever order they ended."""

    ran: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    why: dict[str, str] = field(default_factory=dict)
    swept: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    fired: int = 0
    exercise: Exercise = field(default_factory=Exercise)

    def add(self, deeds: Deeds) -> None:
        """Count what one item did."""
        if deeds.missing:
            self.missing[deeds.world] += 1
            self.why[deeds.world] = deeds.missing
            return
        if deeds.story:
            self.swept[deeds.story] += 1
        elif deeds.world:
            self.ran[deeds.world] += 1
        self.runs += deeds.runs
        self.fired += deeds.fired
        self.exercise.add(deeds.exercise)
        layers = WORLDS[deeds.world].layers if deeds.world else {square.layer for square in deeds.exercise.hits}
        self.exercise.layers |= layers

    @property
    def points(self) -> int:
        """At how many points faults fired."""
        return len({square.point for square in self.exercise.hits})
