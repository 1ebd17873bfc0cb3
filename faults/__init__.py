"""What may go wrong: faults as values, and the machinery that makes them happen.

Names are loaded when they are first asked for, so that whoever needs one module in here does not wait for all of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.actions import (
        ACTIONS,
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
    from faults.catalog import PointCatalog
    from faults.chance import random_plan
    from faults.errors import FaultPlanError, SimulatedDeath, UnfiredFault
    from faults.injector import Injector
    from faults.matrix import Calls, Cell, cells, coarse_cells
    from faults.plan import FaultPlan
    from faults.rule import Fault, Term
    from faults.shrinker import Shrunk, shrink
    from faults.sweeps import Sweep, Together, covering, pairs, sweep, sweep_together, try_together
    from faults.trace import Injection, TraceEntry
    from faults.triggers import Always, Percent, Times, Trigger
    from faults.verdict import Run, Verdict

__all__ = [
    "ACTIONS",
    "Action",
    "Always",
    "Calls",
    "Cell",
    "Delay",
    "Die",
    "Empty",
    "Exit",
    "Fault",
    "FaultPlan",
    "FaultPlanError",
    "Hang",
    "Injection",
    "Injector",
    "Jump",
    "NoSync",
    "Occur",
    "OsError",
    "Output",
    "Pass",
    "Percent",
    "PointCatalog",
    "Raise",
    "Run",
    "Shrunk",
    "Signal",
    "SimulatedDeath",
    "Suspend",
    "Sweep",
    "Term",
    "Timeout",
    "Times",
    "Together",
    "Torn",
    "TraceEntry",
    "Trigger",
    "Truncate",
    "Undecodable",
    "UnfiredFault",
    "Verdict",
    "cells",
    "coarse_cells",
    "covering",
    "pairs",
    "random_plan",
    "shrink",
    "sweep",
    "sweep_together",
    "try_together",
]

_HOMES = (
    "faults.actions",
    "faults.catalog",
    "faults.chance",
    "faults.errors",
    "faults.injector",
    "faults.matrix",
    "faults.plan",
    "faults.rule",
    "faults.shrinker",
    "faults.sweeps",
    "faults.trace",
    "faults.triggers",
    "faults.verdict",
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The public name, from the module that it is at home in."""
        if name in __all__:
            for home in map(importlib.import_module, _HOMES):
                if hasattr(home, name):
                    return getattr(home, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
