"""How does it behave? The engine, its record, and the means to run and judge it.

A name is loaded when it is first asked for, so that the command line is there at once and may be interrupted quietly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.agents import ScriptedAgent
    from harness.engine.engine import Engine
    from harness.engine.plan import RunPlan
    from harness.engine.summary import RunSummary
    from harness.record import RunState, RunStatus, classify
    from harness.report import Report
    from harness.runner import run_scenario
    from harness.sut import Outcome, SystemUnderTest

__all__ = [
    "Engine",
    "Outcome",
    "Report",
    "RunPlan",
    "RunState",
    "RunStatus",
    "RunSummary",
    "ScriptedAgent",
    "SystemUnderTest",
    "classify",
    "run_scenario",
]

_HOMES = {
    "Engine": "harness.engine.engine",
    "Outcome": "harness.sut",
    "Report": "harness.report",
    "RunPlan": "harness.engine.plan",
    "RunState": "harness.record",
    "RunStatus": "harness.record",
    "RunSummary": "harness.engine.summary",
    "ScriptedAgent": "harness.agents",
    "SystemUnderTest": "harness.sut",
    "classify": "harness.record",
    "run_scenario": "harness.runner",
}


def __getattr__(name: str) -> object:
    """The public name, from the module that it is at home in."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
