"""What may go wrong: faults as values, and the machinery that makes them happen."""

from __future__ import annotations

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
