"""How benchmarks measure: several things in turn, round after round, so that a noisy host is noisy for all of them.

Costs are seconds of processor time of this process, which other processes on the same cores change less than they change
the time on the wall. What is told of several rounds is their median, with the distance of their quartiles as the noise.
"""

from __future__ import annotations

import argparse
import gc
import math
import random
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType

__all__ = ["LayerClock", "Measured", "measure", "positive", "whole"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one call of something cost in each round, in seconds."""

    costs_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """What a call cost in the round in the middle."""
        return statistics.median(self.costs_s)

    @property
    def noise(self) -> float:
        """The distance between the quartiles of the rounds, as a part of the median; 0.0 for a single round."""
        if len(self.costs_s) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.costs_s, n=4, method="inclusive")
        return (third - first) / self.median_s

    def ratio_to(self, other: Measured) -> float:
        """How many times as much as `other` it cost: the median of what each round says by itself."""
        return statistics.median(mine / its for mine, its in zip(self.costs_s, other.costs_s, strict=True))


def measure(
    subjects: Mapping[str, Callable[[int], object]],
    *,
    rounds: int,
    seconds: float,
    now: Callable[[], float],
    begun: Callable[[int, str], object] = lambda number, name: None,
    dice: random.Random | None = None,
) -> dict[str, Measured]:
    """Call every subject for `seconds` in each of `rounds`, and once at least; a subject is given the number of its call.

    `now` answers seconds. `begun` is told the number of each round, from 1, and what is measured in it. With `dice` each round
    has an order of its own, so that nobody always comes after the same one.
    """
    costs: dict[str, list[float]] = {name: [] for name in subjects}
    calls = Counter[str]()
    for number in range(1, rounds + 1):
        order = list(subjects.items())
        if dice is not None:
            dice.shuffle(order)
        for name, subject in order:
            begun(number, name)
            gc.collect()
            first = done = calls[name]
            due, taken_s, start_s = first + 1, -1.0, now()
            while taken_s < seconds:
                while done < due:
                    subject(done)
                    done += 1
                taken_s = now() - start_s
                # As many again as there were: the clock is read seldom where a call costs as little as reading it.
                due = 2 * done - first
            calls[name] = done
            costs[name].append(taken_s / (done - first))
    return {name: Measured(tuple(found)) for name, found in costs.items()}


class LayerClock:
    """Adds up, within, the seconds spent in each layer: that of the innermost function that has one.

    `layer_of` names the layer of a source file; whatever has none (libraries, the interpreter) counts for its caller, and
    before the first layer for `outside`. The time that the adding up takes itself is left out, but calls look dearer than they
    are: the result tells shares, not costs.
    """

    def __init__(
        self, layer_of: Callable[[str], str | None], now: Callable[[], float], outside: str = "outside"
    ) -> None:
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self._layer_of = layer_of
        self._now = now
        self._layers = [outside]
        self._since_s = 0.0

    def __enter__(self) -> LayerClock:
        self._since_s = self._now()
        sys.setprofile(self._switch)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.setprofile(None)

    def _switch(self, frame: FrameType, event: str, arg: object) -> None:
        self.spent_s[self._layers[-1]] += self._now() - self._since_s
        if event == "call":
            self._layers.append(self._layer_of(frame.f_code.co_filename) or self._layers[-1])
        elif event == "return" and len(self._layers) > 1:
            self._layers.pop()
        self._since_s = self._now()

    def shares(self) -> dict[str, float]:
        """The part of the whole that each layer took, the largest first."""
        whole_s = sum(self.spent_s.values())
        ranked = sorted(self.spent_s.items(), key=lambda spent: -spent[1])
        return {layer: spent_s / whole_s for layer, spent_s in ranked} if whole_s > 0 else {}


def whole(text: str) -> int:
    """A whole number from 1 on, for `argparse`."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1000000, got {text[:40]!r}")
    return int(text)


def positive(text: str) -> float:
    """A number above zero, for `argparse`."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 86_400:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, at most 86400, got {text[:40]!r}")
    return number
