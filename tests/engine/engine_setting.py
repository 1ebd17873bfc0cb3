"""What the tests of the engine stand on: a fake world and a stage in it, and the engine's dealings with its multiplexer."""

from __future__ import annotations

from backends.base import TerminalMultiplexer
from backends.guard import Call
from harness.agents import ScriptedAgent, works
from harness.engine.windows import RUN_OPTION, Windows
from harness.report import Report
from harness.runner import Stage
from harness.world import FakeWorld

RUN = "run-1"


class FakeStage(Stage):
    """A stage in a fake world of its own."""

    world: FakeWorld


def fresh_stage() -> FakeStage:
    """A new one."""
    return FakeStage(FakeWorld())


def windows_of(multiplexer: TerminalMultiplexer, run_id: str = RUN) -> Windows:
    """The session of a run of that name."""
    return Windows(multiplexer, RUN, run_id, "/sim")


def foreign_session(multiplexer: TerminalMultiplexer, name: str = RUN, owner: str = "somebody") -> None:
    """A session of that name which another run has tagged."""
    multiplexer.new_session(name, "/sim")
    multiplexer.set_session_option(name, RUN_OPTION, owner)


def answers_when_asked(after_s: float = 2.0) -> ScriptedAgent:
    """An agent that ends its turn without a result, and has it `after_s` seconds after the first nudge."""
    return works(3).on_nudge(works(after_s).then_completes()).then_stops().then_idles()


class Counting:
    """An observer that counts the calls of each operation."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, call: Call) -> None:
        """Remember the name of a finished call."""
        self.calls.append(call.operation.name)


def prompts_of(report: Report, task: str) -> int:
    """How many prompts and nudges all launches of that task have executed."""
    return sum(1 for entry in report.ledger if entry["what"] == "prompt" and entry["task"] == task)


def launches_of(report: Report, task: str) -> list[float]:
    """When each launch of that task began to run, in seconds of wall time."""
    return [entry["at"] for entry in report.ledger if entry["what"] == "start" and entry["task"] == task]
