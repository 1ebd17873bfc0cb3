"""When a term of a rule applies: for so many calls, for good, or by chance.

A trigger is a value without state. Who uses it says how many calls the term has had, and hands it the rule's own dice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faults.errors import FaultPlanError
from faults.numbers import is_finite, is_whole, number_text

__all__ = ["Always", "Percent", "Times", "Trigger"]


class Trigger:
    """Decides which calls a term applies to, and when the term is used up."""

    __slots__ = ()

    @property
    def endless(self) -> bool:
        """Whether the term is never used up, so that no later term can be reached."""
        return True

    def applies(self, draw: Callable[[], float]) -> bool:
        """Whether the term applies to the call at hand; `draw` gives a number from 0 up to but not including 1."""
        return True

    def used_up(self, calls: int) -> bool:
        """Whether the next term's turn has come, after `calls` calls of this one."""
        return False

    def prefix(self) -> str:
        """What stands before the action in the text form."""
        return ""


@dataclass(frozen=True, slots=True)
class Always(Trigger):
    """For good: every call from the term's turn on."""


@dataclass(frozen=True, slots=True)
class Times(Trigger):
    """The next `count` calls, at least one."""

    count: int

    def __post_init__(self) -> None:
        if not is_whole(self.count) or self.count < 1:
            raise FaultPlanError(f"a count must be a whole number from 1 on, not {self.count!r}")

    @property
    def endless(self) -> bool:
        """See `Trigger.endless`: a count runs out."""
        return False

    def used_up(self, calls: int) -> bool:
        """See `Trigger.used_up`."""
        return calls >= self.count

    def prefix(self) -> str:
        """See `Trigger.prefix`."""
        return f"{self.count}*"


@dataclass(frozen=True, slots=True)
class Percent(Trigger):
    """Each call with a chance of `percent` in a hundred, for good; the dice are the plan's seed."""

    percent: float

    def __post_init__(self) -> None:
        if not is_finite(self.percent) or not 0 < self.percent <= 100:
            raise FaultPlanError(f"a percentage must be above 0 and at most 100, not {self.percent!r}")
        object.__setattr__(self, "percent", float(self.percent))

    def applies(self, draw: Callable[[], float]) -> bool:
        """See `Trigger.applies`."""
        return draw() * 100 < self.percent

    def prefix(self) -> str:
        """See `Trigger.prefix`."""
        return f"{number_text(self.percent)}%*"
