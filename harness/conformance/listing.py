"""A check as it is carried out: what is promised, as data, and the function that looks for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.conformance.bench import Bench
from harness.conformance.results import Check, Level

__all__ = ["Item", "Listing", "Look"]

Look = Callable[[Bench], Iterator[str]]
"""Yields what is wrong, a line each; nothing if the promise is kept."""


@dataclass(frozen=True)
class Item:
    """One check: `expected` says in words what `look` looks for. `shared` ones need no server of their own."""

    check: Check
    expected: str
    look: Look
    shared: bool


class Listing:
    """The checks of one level, in the order in which they were listed."""

    def __init__(self, level: Level, *, shared: bool = False) -> None:
        self.level = level
        self.shared = shared
        self.items: list[Item] = []

    def check(
        self, id: str, title: str, *, expected: str, why: str, source: str, needs: tuple[str, ...] = ()
    ) -> Callable[[Look], Look]:
        """List the function as the check of that id."""

        def listed(look: Look) -> Look:
            self.add(id, title, look, expected=expected, why=why, source=source, needs=needs)
            return look

        return listed

    def add(
        self, id: str, title: str, look: Look, *, expected: str, why: str, source: str, needs: tuple[str, ...] = ()
    ) -> None:
        """List one more check."""
        found = Check(id, title, self.level, "0.1", why, source, needs)
        self.items.append(Item(found, expected, look, self.shared))
