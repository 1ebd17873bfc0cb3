"""A fault: where, when and what, as one value, and how it is written on one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from faults.actions import Action, string_text, whole_text
from faults.errors import FaultPlanError
from faults.triggers import Always, Trigger

__all__ = ["BARE_GLOB", "Fault", "Places", "Term", "glob_pattern", "is_literal"]

POINT = re.compile(r"[A-Za-z0-9_.:*?-]+")
"""What a point may be written with."""
ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BARE_GLOB = re.compile(r'[^\s",\[\]]+')
"""A glob that needs no quotes; any other is written as a JSON string."""


@dataclass(frozen=True, slots=True)
class Term:
    """One step of a rule: `action` for the calls that `trigger` names; `lost` lets the effect happen first."""

    action: Action
    trigger: Trigger = field(default_factory=Always)
    lost: bool = False

    def __post_init__(self) -> None:
        if self.lost and not self.action.losable:
            raise FaultPlanError(f"lost: there is no answer to lose with {self.action.keyword!r}")

    def __str__(self) -> str:
        return f"{self.trigger.prefix()}{'lost:' if self.lost else ''}{self.action}"


@dataclass(frozen=True, slots=True)
class Fault:
    """At `point`, for calls whose arguments match `where`, the `terms` one after the other.

    `point` is a failpoint, a glob of failpoints (`*` and `?` only), or the bare name of an operation, which means
    `mux.<operation>`. `where` maps names of arguments to globs over their text. A term is used up by the calls that match
    point and `where`; after the last counted term the point passes.
    """

    point: str
    terms: tuple[Term, ...]
    where: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        if not isinstance(self.point, str) or not POINT.fullmatch(self.point):
            raise FaultPlanError(f"{self.point!r:.80} is not the name of a point")
        if not self.terms:
            raise FaultPlanError(f"{self.point}: a rule needs at least one term")
        for before, after in zip(self.terms, self.terms[1:], strict=False):
            if before.trigger.endless:
                raise FaultPlanError(f"{self.point}: {str(after)!r} can never be reached, {str(before)!r} has no count")
        for name, glob in self.where.items():
            if not isinstance(name, str) or not ARGUMENT.fullmatch(name) or not isinstance(glob, str):
                raise FaultPlanError(f"{self.point}: {name!r:.80} is not the name of an argument with a glob")
        where = {name: whole_text(glob) for name, glob in self.where.items()}
        object.__setattr__(self, "where", MappingProxyType(where))

    @property
    def full_point(self) -> str:
        """The point with its layer, also where a bare operation was named."""
        return self.point if "." in self.point else f"mux.{self.point}"

    def __reduce__(self) -> tuple[type[Fault], tuple[str, tuple[Term, ...], dict[str, str]]]:
        return Fault, (self.point, self.terms, dict(self.where))

    def __str__(self) -> str:
        filters = ",".join(f"{name}={_glob_text(glob)}" for name, glob in self.where.items())
        return f"{self.point}{f'[{filters}]' if filters else ''}={'->'.join(map(str, self.terms))}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a rule stand in the text it was read from: offsets in characters from 0."""

    point: int
    where: Mapping[str, int]
    terms: tuple[int, ...]


def glob_pattern(glob: str) -> re.Pattern[str]:
    """What `glob` matches, wholly: `*` is any text, `?` any one character, everything else itself."""
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(character) or re.escape(character) for character in glob), re.DOTALL)


def is_literal(glob: str) -> bool:
    """Whether `glob` matches nothing but itself."""
    return "*" not in glob and "?" not in glob


def _glob_text(glob: str) -> str:
    return glob if BARE_GLOB.fullmatch(glob) and glob.isprintable() else string_text(glob)
