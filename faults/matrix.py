"""Every single fault there is at the points that a run reaches: the cells of its matrix.

A cell is a point, the how manieth call there, an action, once or for good from that call on, before or after the effect.
`SWEPT` states which actions of each layer are tried, `SEAM` those that are tried on the seam alone, `COARSE` those that are
tried in pairs, and `UNKNOWABLE` which lies nobody could tell from the truth.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from backends.operations import OPERATIONS, Kind
from faults.actions import (
    Action,
    Delay,
    Die,
    Empty,
    Exit,
    Hang,
    Jump,
    NoSync,
    Occur,
    OsError,
    Output,
    Pass,
    Raise,
    Signal,
    Suspend,
    Timeout,
    Torn,
    Truncate,
    Undecodable,
)
from faults.catalog import LAYERS, LOSING_LAYERS, PointCatalog
from faults.errors import FaultPlanError, nearest_name
from faults.plan import FaultPlan
from faults.rule import Fault, Term
from faults.trace import Injection
from faults.triggers import Always, Times
from faults.verbs import ASKING_VERBS

__all__ = [
    "COARSE",
    "SEAM",
    "SWEPT",
    "UNKNOWABLE",
    "Calls",
    "Cell",
    "Exclusion",
    "calls_of",
    "cells",
    "cells_at",
    "chosen_calls",
    "coarse_cells",
    "excluded",
    "excluded_at",
    "points_of",
    "seam_cells",
    "unknowable",
]

SWEPT: Mapping[str, tuple[Action, ...]] = MappingProxyType(
    {
        "mux": (
            *(
                Timeout(),
                OsError("ENOENT"),
                OsError("EMFILE"),
                Exit(1, "lost server"),
                Undecodable(),
                Delay(2.0),
                Die(),
            ),
            *(Empty(), Output("nonsense"), Truncate(0)),
        ),
        "leak": (Timeout(), OsError("EPIPE"), Raise("RuntimeError"), Raise("KeyError")),
        "transport": (
            *(Timeout(), OsError("ENOENT"), OsError("EAGAIN"), Exit(1, "lost server"), Exit(1, ""), Exit(-9, "")),
            *(
                Exit(1, "protocol version mismatch"),
                Undecodable(),
                Delay(2.0),
                Die(),
                Empty(),
                Output("?"),
                Truncate(3),
            ),
        ),
        "disk": (OsError("ENOSPC"), OsError("EIO"), OsError("EROFS"), Torn(0), Torn(7), NoSync(), Die()),
        "engine": (Raise("RuntimeError"), Raise("OSError"), Raise("KeyboardInterrupt"), Raise("MemoryError"), Die()),
        "signal": (Signal("SIGTERM"), Signal("SIGINT"), Signal("SIGHUP")),
        "clock": (Jump(3600.0), Jump(-3600.0), Suspend(28800.0)),
        "agent": (Occur(),),
    }
)
"""The actions that are tried at the points of each layer that needs no live process.

One of each kind that the code below the point can tell apart, and the errno values that the field reports."""

SEAM: Mapping[str, tuple[Action, ...]] = MappingProxyType(
    {
        "mux": (
            *(Timeout(), Timeout(30.0), Hang(), Delay(2.0), Delay(3600.0)),
            *(
                OsError(name)
                for name in (
                    *("ENOENT", "EACCES", "EPERM", "ENOEXEC", "E2BIG", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "ETXTBSY"),
                    *("EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "EIO", "EBADF", "EINTR"),
                    *("ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT"),
                )
            ),
            *(Exit(1, "lost server"), Exit(1, ""), Exit(1, "no server running on /tmp/s"), Exit(2, "usage: tmux")),
            *(Exit(1, "can't find window: @1"), Exit(127, "tmux: command not found"), Exit(-9, ""), Exit(-11, "")),
            *(Output("nonsense"), Output(""), Empty(), Truncate(0), Truncate(1), Undecodable(), Die()),
        ),
        "leak": (
            *(Timeout(), Timeout(30.0), Hang()),
            *(OsError(name) for name in ("ENOENT", "EPIPE", "EMFILE", "ECONNREFUSED")),
            *(Raise(name) for name in ("RuntimeError", "KeyError", "ValueError", "UnicodeDecodeError")),
            *(Raise(name) for name in ("CalledProcessError", "MemoryError", "RecursionError", "BadStr")),
        ),
    }
)
"""The actions that are tried at every operation of the seam alone, where one more costs next to nothing."""

COARSE: Mapping[str, tuple[Action, ...]] = MappingProxyType(
    {
        "mux": (Timeout(),),
        "leak": (Raise("RuntimeError"),),
        "transport": (Timeout(),),
        "disk": (OsError("ENOSPC"),),
        "engine": (Raise("RuntimeError"), Die()),
        "signal": (Signal("SIGTERM"),),
        "clock": (Jump(3600.0),),
        "agent": (Occur(),),
    }
)
"""What stands for a whole layer where faults are tried together: one or two actions, at the first and the last call.

At `mux` and `transport` the answer of what makes a change is lost, and the question of what asks is not answered."""

UNKNOWABLE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("mux.list_window_ids", "output"): "a list of other windows is an answer: what is not on it is proven gone",
        ("mux.list_window_ids", "truncate"): "a list without the window is an answer: it is proven gone",
    }
)
"""By point and keyword of the action: why the lie cannot be told from the truth, so that no oracle can hold."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault: at the `call`th call of `point` (from 1), and `forever` after or just then; `lost` lets the effect happen."""

    point: str
    call: int
    action: Action
    forever: bool = False
    lost: bool = False

    @property
    def fault(self) -> Fault:
        """The rule that makes it happen."""
        term = Term(self.action, Always() if self.forever else Times(1), self.lost)
        return Fault(self.point, (term,) if self.call == 1 else (Term(Pass(), Times(self.call - 1)), term))

    def plan(self, seed: int = 0) -> FaultPlan:
        """The plan that makes nothing else happen."""
        return FaultPlan((self.fault,), seed)

    @property
    def label(self) -> str:
        """A name without spaces, quotes or brackets that would have to be quoted in a shell; unique within one matrix."""
        action = re.sub(r"[^A-Za-z0-9_.+-]+", "_", str(self.action)).strip("_")
        return f"{self.point}#{self.call}-{action}-{'good' if self.forever else 'once'}-{'after' if self.lost else 'before'}"

    @property
    def layer(self) -> str:
        """The first part of the point's name."""
        return self.point.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A fault that is left out at `point`, whatever call it would be: the text form of the `action`, and why."""

    point: str
    action: str
    why: str

    def __str__(self) -> str:
        return f"{self.point}={self.action} is left out: {self.why}"


class Calls(Enum):
    """Which calls of a point are tried."""

    EVERY = "every"
    ENDS = "ends"
    """The first, the second and the last."""


def calls_of(text: str) -> Calls | int:
    """What `text` says: `every`, `ends`, or a number, which means the first so many. Raises `FaultPlanError`."""
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    names = [one.value for one in Calls]
    if text in names:
        return Calls(text)
    nearest = nearest_name(text, names)
    raise FaultPlanError(f"{text!r:.80} says neither which calls nor how many from the first on", nearest=nearest)


def chosen_calls(count: int, calls: Calls | int = Calls.EVERY) -> tuple[int, ...]:
    """Which of `count` calls are tried, in order, counted from 1; with a number for `calls`, the first so many."""
    if calls is Calls.ENDS:
        return tuple(sorted({call for call in (1, 2, count) if 1 <= call <= count}))
    return tuple(range(1, (count if calls is Calls.EVERY else min(count, calls)) + 1))


def cells_at(point: str, call: int, catalog: PointCatalog) -> Iterator[Cell]:
    """What can be tried at that call of `point`, in a fixed order."""
    for action in _swept(point, catalog):
        if (point, action.keyword) not in UNKNOWABLE:
            yield from _variants(point, call, action)


def cells(
    reached: Mapping[str, int],
    catalog: PointCatalog,
    layers: Collection[str] = LAYERS,
    calls: Calls | int = Calls.EVERY,
) -> Iterator[Cell]:
    """Every cell at the calls that a faultless run `reached`, layer by layer, point by point, call by call.

    Up to its fault a run goes as the faultless one did, so each of them fires, and the calls beyond are not reached.
    """
    for point in points_of(reached, layers):
        for call in chosen_calls(reached[point], calls):
            yield from cells_at(point, call, catalog)


def coarse_cells(
    reached: Mapping[str, int], catalog: PointCatalog, layers: Collection[str] = LAYERS
) -> tuple[Cell, ...]:
    """The few cells that stand for all of them where faults are tried together; see `COARSE`. Each of them happens once."""
    found = []
    for point in points_of(reached, layers):
        possible = catalog.actions_at(point)
        for call in sorted({1, reached[point]}):
            for action in COARSE.get(point.partition(".")[0], ()):
                if type(action) in possible and (point, action.keyword) not in UNKNOWABLE:
                    found.append(Cell(point, call, action, lost=action.losable and _changes(point)))
    return tuple(found)


def excluded(reached: Iterable[str], catalog: PointCatalog, layers: Collection[str] = LAYERS) -> Iterator[Exclusion]:
    """What `cells` leaves out at these points though it could be done there, with the reason."""
    for point in points_of(dict.fromkeys(reached, 1), layers):
        for cell, why in excluded_at(point, catalog):
            if not cell.lost and not cell.forever:
                yield Exclusion(point, str(cell.action), why)


def excluded_at(point: str, catalog: PointCatalog) -> Iterator[tuple[Cell, str]]:
    """The cells of the first call of `point` that `cells_at` leaves out, each with the reason."""
    for action in _swept(point, catalog):
        if why := UNKNOWABLE.get((point, action.keyword)):
            yield from ((cell, why) for cell in _variants(point, 1, action))


def unknowable(injections: Iterable[Injection]) -> tuple[str, ...]:
    """Why what has happened was a lie that nobody could tell from the truth: each reason once, none for an honest fault."""
    reasons = (UNKNOWABLE.get((one.point, one.performed.keyword)) for one in injections)
    return tuple(dict.fromkeys(why for why in reasons if why))


def points_of(reached: Mapping[str, int], layers: Collection[str] = LAYERS) -> Iterator[str]:
    """The points that were reached in these layers: layer by layer, by name."""
    for layer in LAYERS:
        if layer in layers:
            yield from sorted(point for point in reached if reached[point] and point.partition(".")[0] == layer)


def seam_cells() -> Iterator[Cell]:
    """Every cell of the first call of every operation, below the guard and above it; see `SEAM`."""
    for layer, actions in SEAM.items():
        for name in OPERATIONS:
            for action in actions:
                yield from _variants(f"{layer}.{name}", 1, action)


def _swept(point: str, catalog: PointCatalog) -> Iterator[Action]:
    possible = catalog.actions_at(point)
    return (action for action in SWEPT.get(point.partition(".")[0], ()) if type(action) in possible)


def _variants(point: str, call: int, action: Action) -> Iterator[Cell]:
    """Before and after the effect, once and for good, as far as it makes a difference."""
    losable = action.losable and point.partition(".")[0] in LOSING_LAYERS
    # What is left of an answer was answered: truncated, it is after the effect in any case.
    for lost in (False, True) if losable and not isinstance(action, Truncate) else (False,):
        # Nobody dies a second time.
        for forever in (False,) if isinstance(action, Die) else (False, True):
            yield Cell(point, call, action, forever, lost)


def _changes(point: str) -> bool:
    layer, _, name = point.partition(".")
    if layer == "mux":
        return OPERATIONS[name].kind is Kind.CHANGE
    return layer == "transport" and not name.startswith(ASKING_VERBS)
