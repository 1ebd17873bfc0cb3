"""What is recorded of an ending stays true when the recording itself goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from backends.guard import Call
from backends.processes import Completed
from faults.errors import SimulatedDeath
from harness.agents import task, works
from harness.engine.signals import RunStopped
from harness.record import RecordError, RunStatus, TaskPhase
from harness.runner import Stage
from harness.world import FakeWorld

AGENT = works(3).then_completes()


class Raising:
    """A step of a disk or a multiplexer that raises once, the nth time it is taken."""

    def __init__(self, error: BaseException, nth: int = 1) -> None:
        self.error = error
        self.left = nth

    def __call__(self) -> None:
        """Take the step."""
        self.left -= 1
        if self.left == 0:
            raise self.error


class Interposed:
    """A disk whose operation `name` on a path that ends in `suffix` takes a step first."""

    def __init__(self, inner: Any, name: str, suffix: str, step: Raising) -> None:
        self._inner, self._name, self._suffix, self._step = inner, name, suffix, step

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._inner, name)

        def interposed(path: Any, *args: Any, **kwargs: Any) -> Any:
            if name == self._name and self._suffix in str(path):
                self._step()
            return operation(path, *args, **kwargs)

        return interposed if callable(operation) else operation


def paused(stage: Stage) -> None:
    """A run with one finished task that waits for an approval."""
    stage(task("a", agent=AGENT), task("b", agent=AGENT, gate="approval", needs=["a"]))


@pytest.mark.parametrize(
    "error", [MemoryError("no room"), OverflowError("too large"), KeyboardInterrupt(), SystemExit(3)]
)
def test_a_resume_that_cannot_read_the_record_leaves_it_alone(error: BaseException) -> None:
    """Whatever reading raises, state and backup are those of before, and the next resume repeats nothing."""
    stage = Stage(FakeWorld())
    paused(stage)
    disk = stage.world.disk
    stage.world.disk = Interposed(disk, "read", "journal.jsonl", Raising(error))  # type: ignore[assignment]  # stands in

    report = stage.resume(verify=False)

    assert isinstance(report.raised, RecordError if isinstance(error, Exception) else type(error))
    stage.world.disk = disk
    state = stage.store().load().state
    assert (state.epoch, state.task("a").phase) == (1, TaskPhase.DONE)
    assert stage.resume().events("attempt")[-1]["task"] == "b"


@pytest.mark.parametrize("error", [SystemExit(9), GeneratorExit(), SimulatedDeath("x")])
def test_control_flow_while_a_crash_is_filed_goes_on_after_everything_is_recorded(error: BaseException) -> None:
    """The other sinks hold the record, the session is gone, and only then does it come out of the engine."""
    stage = Stage(FakeWorld())
    disk = stage.world.disk
    stage.world.disk = Interposed(disk, "write", "crash/", Raising(error))  # type: ignore[assignment]  # stands in

    report = stage(task("a", agent=AGENT), faults="engine.decide=1*raise(ValueError)", verify=False)

    assert report.raised is error
    assert report.status is RunStatus.CRASHED
    assert report.teardown == "torn-down"
    assert report.summary is not None


def test_control_flow_out_of_a_teardown_goes_on() -> None:
    """What raises `SystemExit` while a stop is recorded is not swallowed."""
    stage = Stage(FakeWorld())

    class Exiting:
        def around(self, call: Call, proceed: Any) -> object:
            if call.operation.name == "kill_session":
                raise SystemExit(9)
            return proceed()

    def wrap(multiplexer: Any) -> Any:
        multiplexer.hook = Exiting()
        return multiplexer

    report = stage(task("a", agent=AGENT), faults="", wrap=wrap, checkpoint=Stopping(), verify=False)

    assert isinstance(report.raised, SystemExit)
    assert report.status is RunStatus.STOPPED


class Stopping:
    """A checkpoint that asks for a stop once the first session lives."""

    def __call__(self, step: str) -> None:
        """Pass a step of the engine."""
        if step == "decide":
            raise RunStopped("a test", 15)


def test_commands_after_the_last_task_run_once() -> None:
    """A resume goes on with the first command that was not run."""
    stage = Stage(FakeWorld())
    ran: list[str] = []

    def run(argv: Any) -> Completed:
        ran.append(argv[0])
        return Completed(tuple(argv), 0, b"", b"")

    stage.world.processes.commands |= {"build": run, "deploy": run}  # type: ignore[attr-defined]  # a simulated table
    settings = {"post_run": ["build", "deploy"]}
    stage(task("a", agent=AGENT), faults="engine.post-run=1*pass->1*raise(ValueError)", **settings)
    report = stage.resume()

    assert ran == ["build", "deploy"]
    assert report.status is RunStatus.FINISHED


def test_a_crash_record_names_the_server_and_the_faults() -> None:
    """Who answered, what was planned and what fired stand in the record."""
    stage = Stage(FakeWorld())
    report = stage(task("a", agent=AGENT), faults="engine.decide=1*raise(ValueError)")

    assert report.crash is not None
    assert report.crash["server"].startswith("pid ")
    assert "engine.decide=1*raise(ValueError)" in report.crash["faults"]
    assert any("call 1 of engine.decide" in line for line in report.crash["faults"])
