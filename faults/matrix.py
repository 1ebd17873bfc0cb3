"""Every single fault there is at the points that a run reaches: the cells of its matrix.

A cell is a point, the how manieth call there, an action, once or for good from that call on, before or after the effect.
`SWEPT` states which actions of each layer are tried; `UNKNOWABLE` which lies nobody could tell from the truth.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from faults.actions import (
    Action,
    Delay,
    Die,
    Empty,
    Exit,
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
from faults.rule import Fault, Term
from faults.triggers import Always, Times

__all__ = ["SWEPT", "UNKNOWABLE", "Cell", "cells", "cells_at"]

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
            *(Empty(), Output("?"), Truncate(0)),
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

UNKNOWABLE: Mapping[tuple[str, str], str] = MappingProxyType({})
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

    @property
    def label(self) -> str:
        """A name without spaces, quotes or brackets that would have to be quoted in a shell; unique within one matrix."""
        action = re.sub(r"[^A-Za-z0-9_.+-]+", "_", str(self.action)).strip("_")
        return f"{self.point}#{self.call}-{action}-{'good' if self.forever else 'once'}-{'after' if self.lost else 'before'}"

    @property
    def layer(self) -> str:
        """The first part of the point's name."""
        return self.point.partition(".")[0]


def cells_at(point: str, call: int, catalog: PointCatalog) -> Iterator[Cell]:
    """What can be tried at that call of `point`, in a fixed order."""
    layer = point.partition(".")[0]
    possible = catalog.actions_at(point)
    for action in SWEPT.get(layer, ()):
        if type(action) not in possible or (point, action.keyword) in UNKNOWABLE:
            continue
        moments = (False, True) if layer in LOSING_LAYERS and action.losable else (False,)
        for lost in moments:
            for forever in (False, True):
                yield Cell(point, call, action, forever, lost)


def cells(reached: Mapping[str, int], catalog: PointCatalog, layers: Collection[str] = LAYERS) -> Iterator[Cell]:
    """Every cell at the calls that a faultless run `reached`, layer by layer, point by point, call by call.

    Up to its fault a run goes as the faultless one did, so each of them fires, and the calls beyond are not reached.
    """
    for layer in LAYERS:
        if layer in layers:
            for point in sorted(point for point in reached if point.partition(".")[0] == layer):
                for call in range(1, reached[point] + 1):
                    yield from cells_at(point, call, catalog)
