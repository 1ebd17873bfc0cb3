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
from faults.errors import FaultPlanError, SimulatedDeath, UnfiredFault
from faults.injector import Injector
from faults.plan import FaultPlan
from faults.rule import Fault, Term
from faults.trace import Injection, TraceEntry
from faults.triggers import Always, Percent, Times, Trigger

__all__ = [
    "ACTIONS",
    "Action",
    "Always",
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
    "Signal",
    "SimulatedDeath",
    "Suspend",
    "Term",
    "Timeout",
    "Times",
    "Torn",
    "TraceEntry",
    "Trigger",
    "Truncate",
    "Undecodable",
    "UnfiredFault",
]
