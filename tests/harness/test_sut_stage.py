"""What is checked of any orchestrator: each oracle fails on a toy that does just that wrong, and on no sound one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backends.base import TerminalMultiplexer
from backends.clock import Clock
from faults.errors import FaultPlanError
from harness.agents import task, works
from harness.engine.plan import RunPlan
from harness.oracles import OracleViolation
from harness.record import RunStatus
from harness.sut import Ability, Host, Outcome, SystemUnderTest, TaskOutcome
from harness.sut_bundled import BundledEngine
from harness.sut_stage import SutReport, SutStage, sut_violations
from harness.world import FakeWorld, SimulatedTmuxWorld

SESSION = "toy"
SOUND = {"status": "FINISHED", "done": True, "launches": ["completed"], "crash": ""}


class Toy:
    """An orchestrator of one task that is right, but for what it is told to do wrong."""

    abilities: frozenset[Ability] = frozenset()

    def __init__(
        self,
        host: Host,
        *,
        says: dict[str, object] | None = None,
        answers: RunStatus = RunStatus.FINISHED,
        agents: int = 1,
        patience_s: float = 20,
        cleans_up: bool = True,
        raises: type[BaseException] | None = None,
    ) -> None:
        self.host = host
        self.says = {**SOUND, **(says or {})}
        self.answers = answers
        self.agents = agents
        self.patience_s = patience_s
        self.cleans_up = cleans_up
        self.raises = raises

    def start(self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock) -> Toy:
        """See `SystemUnderTest.start`."""
        self.multiplexer, self.run_dir, self.plan, self.clock = multiplexer, run_dir, plan, clock
        return self

    resume = start

    def stop(self) -> None:
        """See `Handle.stop`."""

    def wait(self) -> Outcome:
        """See `Handle.wait`."""
        self.multiplexer.new_session(SESSION, self.plan.project)
        for attempt in range(1, self.agents + 1):
            one = self.host.launching(self.plan, self.run_dir, "1-1", attempt)
            self.multiplexer.new_window(SESSION, f"a{attempt}", one.cwd, one.env, shlex.join(one.argv))
        self.clock.sleep(self.patience_s)
        if self.cleans_up:
            self.multiplexer.kill_session(SESSION)
        self.host.disk.write(self.run_dir / "said.json", json.dumps(self.says).encode())
        if self.raises is not None:
            raise self.raises("no")
        return self._outcome(self.answers)

    def read(self, run_dir: Path) -> Outcome:
        """See `SystemUnderTest.read`."""
        said = json.loads(self.host.disk.read(run_dir / "said.json"))
        return self._outcome(RunStatus(said["status"]))

    def _outcome(self, status: RunStatus) -> Outcome:
        done, launches = bool(self.says["done"]), self.says["launches"]
        assert isinstance(launches, list)
        return Outcome(status, {"1-1": TaskOutcome(done, tuple(launches))}, str(self.says["crash"]))


def told(faults: str = "", **wrong: Any) -> SutReport:
    """The report of a toy that does that wrong."""
    make: Callable[[Host], SystemUnderTest] = partial(Toy, **wrong)
    return SutStage(FakeWorld(), make)(task("1-1", agent=works(5).then_completes()), faults=faults, verify=False)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "raises": ({"raises": ValueError, "says": {"crash": "x"}}, "no-escape: ValueError came out of the run"),
    "exits": ({"raises": SystemExit, "says": {"crash": "x"}}, "no-escape: SystemExit came out of the run"),
    "runs on in its files": (
        {"says": {"status": "RUNNING"}, "answers": RunStatus.RUNNING},
        "honest-status: the run is over, and its files say RUNNING",
    ),
    "says two things": ({"says": {"status": "PAUSED"}}, "honest-status: the run says Outcome(status="),
    "forgets why": (
        {"says": {"status": "CRASHED"}, "answers": RunStatus.CRASHED},
        "crash-recorded: it crashed, and no file of it says why",
    ),
    "starts a second agent": ({"agents": 2}, "single-agent: a second agent was started for 1-1"),
    "throws work away": (
        {"says": {"done": False}},
        "no-false-crash: the agent of 1-1 finished its work, and the task is not done",
    ),
    "declares the living dead": (
        {"says": {"launches": ["crashed"], "status": "PAUSED"}, "answers": RunStatus.PAUSED, "cleans_up": False},
        "no-false-crash: an agent of 1-1 is said to have crashed, and lives",
    ),
    "leaves its session": ({"cleans_up": False}, "no-leftovers: session toy, agent "),
}


def test_a_sound_orchestrator_violates_nothing() -> None:
    """Otherwise whatever follows would prove nothing."""
    assert sut_violations(told()) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_by_its_oracle(name: str) -> None:
    """By the one that was made for it, whatever others see as well."""
    wrong, due = WRONG[name]

    assert any(problem.startswith(due) for problem in sut_violations(told(**wrong)))


def test_a_fault_that_did_not_happen_has_proved_nothing() -> None:
    """It is told like anything else that is wrong."""
    assert sut_violations(told("pipe_pane=1*timeout")) == ["fired: pipe_pane=1*timeout never happened"]


def test_a_violation_says_what_the_agents_wrote_down_and_what_was_asked() -> None:
    """So that nobody has to run it again to see why."""
    make = partial(Toy, agents=2)
    with pytest.raises(OracleViolation) as failure:
        SutStage(FakeWorld(), make)(task("1-1", agent=works(5).then_completes()))

    assert "overlap 1-1" in str(failure.value)
    assert "mux.new_window" in str(failure.value)


@pytest.mark.parametrize("plan", ["engine.decide=1*die", "signal.decide=1*signal(SIGTERM)", "disk.write:state=torn(1)"])
def test_faults_at_the_bundled_engines_own_points_are_refused(plan: str) -> None:
    """Nobody else passes them, so that they would never happen."""
    layer = plan.partition(".")[0]
    with pytest.raises(FaultPlanError, match=f"this backend has no {layer}. points"):
        told(plan)


def test_the_time_of_a_run_is_that_of_its_world() -> None:
    """Twenty seconds of patience are twenty seconds in the report, and nobody waited for them."""
    assert told().elapsed_s == 20


@pytest.mark.parametrize("story", ["completes", "crashes", "is stopped"])
def test_the_bundled_engine_is_one_orchestrator_among_others(story: str) -> None:
    """What its files say is what it says, however it ended."""
    stage = SutStage(SimulatedTmuxWorld(), BundledEngine)
    options: dict[str, dict[str, Any]] = {
        "crashes": {"faults": "leak.new_window=1*raise(KeyError)"},
        "is stopped": {"stop_after_s": 2},
    }
    statuses = {"crashes": RunStatus.CRASHED, "is stopped": RunStatus.STOPPED}
    report = stage(task("1-1", agent=works(5).then_completes()), **options.get(story, {}))

    assert isinstance(BundledEngine(Host(stage.world)), SystemUnderTest)
    assert report.outcome == report.recorded
    assert report.recorded.status is statuses.get(story, RunStatus.FINISHED)


def test_one_run_is_not_judged_by_the_agents_of_another() -> None:
    """Two runs of one stage have a directory and agents each; a resume goes on with the newest one's."""
    stage = SutStage(FakeWorld(), BundledEngine)
    first = stage(task("1-1", agent=works(5).then_completes()))
    second = stage(task("1-1", agent=works(5).then_completes()), faults="leak.kill_window=1*raise(OSError)")
    resumed = stage.resume()

    assert [len(one.agents("1-1")) for one in (first, second, resumed)] == [1, 1, 1]
    assert resumed.agents("1-1") == second.agents("1-1") != first.agents("1-1")
    assert resumed.recorded.status is RunStatus.FINISHED


def test_a_resume_needs_a_run() -> None:
    """There is nothing to go on with before it."""
    with pytest.raises(ValueError, match="no run to resume"):
        SutStage(FakeWorld(), BundledEngine).resume()
