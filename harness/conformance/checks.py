"""Every check of the kit, in the order in which they are carried out."""

from __future__ import annotations

from harness.conformance.checks_engine import ENGINE
from harness.conformance.checks_faults import TRUTH
from harness.conformance.checks_fidelity import FIDELITY
from harness.conformance.checks_honesty import HONESTY
from harness.conformance.checks_life import LIFE
from harness.conformance.checks_shape import SHAPE
from harness.conformance.listing import Item

__all__ = ["CHECKS"]

CHECKS: tuple[Item, ...] = (*SHAPE.items, *HONESTY.items, *LIFE.items, *FIDELITY.items, *TRUTH.items, *ENGINE.items)
"""Ordered by level; ids are unique."""
