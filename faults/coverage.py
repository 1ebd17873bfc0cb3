"""Which of all the faults there are were made to happen, which were not, and why not.

The squares of the grid are every point of a catalog, every action of `SWEPT` that can happen there, before and after the
effect. What several runs exercised is added up in any order, with the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from faults.actions import Action, form_of, parameters
from faults.catalog import LAYERS, PointCatalog
from faults.matrix import SWEPT, Cell, cells_at, excluded_at
from faults.trace import Injection

__all__ = [
    "JSON_VERSION",
    "NOT_REACHED",
    "NOT_SELECTED",
    "Coverage",
    "Exercise",
    "Hit",
    "LayerCoverage",
    "Square",
    "coverage_of",
    "square_of",
    "squares",
]

JSON_VERSION = 1
"""The version of what `Coverage.as_json` answers; it grows when a reader of the one before could be misled."""

NOT_REACHED = "nothing that ran reached this point"
NOT_SELECTED = "reached, but this was not made to happen there"
_BEFORE, _AFTER = "before", "after"


class Square(NamedTuple):
    """One square of the grid: the `action` in its text form at `point`, `before` or `after` the effect."""

    point: str
    action: str
    moment: str

    @property
    def layer(self) -> str:
        """The first part of the point's name."""
        return self.point.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Hit:
    """How often a square was exercised, and the shortest line that does it again."""

    count: int
    replay: str

    def __add__(self, other: Hit) -> Hit:
        """Both together; of two lines of one length the first in the alphabet is kept."""
        return Hit(self.count + other.count, min(self.replay, other.replay, key=lambda line: (len(line), line)))


@dataclass(slots=True)
class Exercise:
    """What some runs came to, so far: the squares that were `hits`, the points `reached`, the `layers` that they had."""

    hits: dict[Square, Hit] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)

    def injected(self, injections: Iterable[Injection], replay: str) -> None:
        """Count these injections, which `replay` repeats."""
        for square, count in Counter(map(square_of, injections)).items():
            self._hit(square, Hit(count, replay))

    def add(self, other: Exercise) -> None:
        """Count what `other` came to as well."""
        for square, hit in other.hits.items():
            self._hit(square, hit)
        self.reached |= other.reached
        self.layers |= other.layers

    def _hit(self, square: Square, hit: Hit) -> None:
        known = self.hits.get(square)
        self.hits[square] = hit if known is None else known + hit


class LayerCoverage(NamedTuple):
    """How many squares of a layer there are, and how many of them were exercised."""

    layer: str
    exercised: int
    total: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """The grid: for each square there is how it was exercised, or in words why it was not.

    `left_out` says of each layer that is not in the grid why. `others` counts the injections beside the grid: other errnos,
    other texts.
    """

    grid: Mapping[Square, Hit | str]
    left_out: Mapping[str, str]
    others: int = 0

    @property
    def exercised(self) -> int:
        """How many squares were exercised."""
        return sum(isinstance(found, Hit) for found in self.grid.values())

    @property
    def percent(self) -> float:
        """Out of a hundred squares, how many were exercised; 0 if there are none."""
        return 100 * self.exercised / len(self.grid) if self.grid else 0.0

    @property
    def layers(self) -> tuple[LayerCoverage, ...]:
        """The same for each layer of the grid, in their usual order."""
        total = Counter(square.layer for square in self.grid)
        done = Counter(square.layer for square, found in self.grid.items() if isinstance(found, Hit))
        return tuple(LayerCoverage(layer, done[layer], total[layer]) for layer in LAYERS if layer in total)

    @property
    def reasons(self) -> tuple[tuple[str, int], ...]:
        """Why squares were not exercised, and how many each time, the most frequent reason first."""
        found = Counter(why for why in self.grid.values() if isinstance(why, str))
        return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def as_json(self) -> dict[str, object]:
        """Everything as a JSON document."""
        return {
            "format": "seamripper fault coverage",
            "version": JSON_VERSION,
            "cells": len(self.grid),
            "exercised": self.exercised,
            "percent": round(self.percent, 2),
            "beside_the_grid": self.others,
            "layers": {one.layer: {"cells": one.total, "exercised": one.exercised} for one in self.layers},
            "left_out": dict(self.left_out),
            "grid": [{**square._asdict(), **_found_to_json(found)} for square, found in self.grid.items()],
        }


def _found_to_json(found: Hit | str) -> dict[str, object]:
    return {"why_not": found} if isinstance(found, str) else {"count": found.count, "replay": found.replay}


def square_of(injection: Injection) -> Square:
    """The square that an injection belongs to.

    An action that differs in nothing but a duration from the only one of its kind that is swept there counts as that one. Any
    other one stands for itself, which may be beside the grid.
    """
    layer = injection.point.partition(".")[0]
    moment = _AFTER if injection.action.startswith("lost:") else _BEFORE
    return Square(injection.point, str(_swept_like(injection.performed, layer)), moment)


def _swept_like(action: Action, layer: str) -> Action:
    alike = [one for one in SWEPT.get(layer, ()) if type(one) is type(action)]
    return alike[0] if len(alike) == 1 and _differ_in_time_alone(alike[0], action) else action


def _differ_in_time_alone(one: Action, other: Action) -> bool:
    values = (field for field in parameters(type(one)) if not form_of(field).is_seconds)
    return all(getattr(one, value.name) == getattr(other, value.name) for value in values)


def squares(catalog: PointCatalog, layers: Iterable[str]) -> dict[Square, str]:
    """Every square of the grid in these layers, in order, and why it is never exercised; blank for those that can be."""
    wanted = frozenset(layers)
    points = [point for point in catalog.points() if point.partition(".")[0] in wanted]
    return {square: why for point in points for square, why in _squares_at(point, catalog)}


def _squares_at(point: str, catalog: PointCatalog) -> Iterator[tuple[Square, str]]:
    for cell in cells_at(point, 1, catalog):
        yield _square_at(cell), ""
    for cell, why in excluded_at(point, catalog):
        yield _square_at(cell), why


def _square_at(cell: Cell) -> Square:
    return Square(cell.point, str(cell.action), _AFTER if cell.lost else _BEFORE)


def coverage_of(exercise: Exercise, catalog: PointCatalog) -> Coverage:
    """What `exercise` comes to on the grid of `catalog`, as far as the layers were there."""
    grid: dict[Square, Hit | str] = {}
    for square, never in squares(catalog, exercise.layers).items():
        why = NOT_SELECTED if square.point in exercise.reached else NOT_REACHED
        grid[square] = exercise.hits.get(square) or never or why
    others = sum(hit.count for square, hit in exercise.hits.items() if square not in grid)
    return Coverage(grid, {layer: _why_left_out(layer) for layer in LAYERS if layer not in exercise.layers}, others)


def _why_left_out(layer: str) -> str:
    return "no world that has it ran" if layer in SWEPT else "it needs a live process"
