"""A badge: the level that all columns of a report have reached, in the form of an endpoint of shields.io."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.conformance.report_columns import Column, Unread, level_of

__all__ = ["badge"]

_COLOURS = ("orange", "yellow", "yellowgreen", "green", "brightgreen")


def badge(columns: Sequence[Column]) -> str:
    """The badge as JSON: the lowest level of all columns; a column without a certificate has reached none."""
    levels = [None if isinstance(column.found, Unread) else level_of(column.found) for column in columns]
    known = [level for level in levels if level is not None]
    lowest = min(known) if known and len(known) == len(levels) else None
    message = "no level" if lowest is None else f"{lowest.name} {lowest.title}"
    colour = "red" if lowest is None else _COLOURS[lowest]
    return json.dumps({"schemaVersion": 1, "label": "seamripper", "message": message, "color": colour}) + "\n"
