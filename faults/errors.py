"""What can be wrong with a fault plan, and what a planned death looks like."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["FaultPlanError", "SimulatedDeath", "UnfiredFault", "close_name", "nearest_name", "shortened"]


class FaultPlanError(ValueError):
    """A plan that cannot be read or carried out.

    `position` is the offset into the text form, counted in characters from 0, or `None` where the plan did not come from
    text. `nearest` is the valid name that is most like the wrong one, if the mistake is a name.
    """

    def __init__(self, message: str, position: int | None = None, *, nearest: str | None = None) -> None:
        hint = "" if nearest is None else f"; the nearest valid name is {nearest!r}"
        where = "" if position is None else f"position {position}: "
        super().__init__(f"{where}{message}{hint}")
        self.message = message
        self.position = position
        self.nearest = nearest


class UnfiredFault(AssertionError):
    """A planned fault never happened, so the run has proved nothing about it."""


class SimulatedDeath(BaseException):
    """The process is dead, as by SIGKILL: no handler runs, nothing more can be written or asked.

    Derives from `BaseException` so that only the one who planned the death catches it.
    """


def nearest_name(wrong: str, valid: Iterable[str]) -> str | None:
    """The one of `valid` that is most like `wrong`; `None` only if `valid` is empty."""
    found = get_close_matches(wrong, sorted(valid), n=1, cutoff=0.0)
    return found[0] if found else None


def close_name(wrong: str, valid: Iterable[str]) -> str | None:
    """The one of `valid` that `wrong` may be a slip of; `None` where none is like it."""
    found = get_close_matches(wrong, sorted(valid), n=1)
    return found[0] if found else None


def shortened(text: str, most: int = 200) -> str:
    """`text`, or where it is longer than `most` characters its beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
