"""How does it behave? The engine, its record, and the means to run and judge it."""

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
