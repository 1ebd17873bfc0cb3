"""Numbers of a plan: which values count as one, and how they are written."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TypeGuard

__all__ = ["is_finite", "is_whole", "number_text"]

_EXACT = 2.0**53
"""Up to here every whole number is a float."""


def is_whole(value: object) -> TypeGuard[int]:
    """Whether `value` is an integer; truth values are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """Whether `value` is a number that a float can hold: neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def number_text(value: float) -> str:
    """The shortest text that reads back as exactly `value`; up to 2**53 without an exponent."""
    if abs(value) > _EXACT:
        return repr(value)
    return str(int(value)) if value == int(value) else format(Decimal(repr(value)), "f")
