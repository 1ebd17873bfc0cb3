"""Runs that are begun, stopped, killed, resumed, frozen and thawed in any order, as Hypothesis can think of it.

What was found to fail is kept in Hypothesis's example database and is tried first the next time.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from harness.agents import TaskStory, completes, dies, stops, task, works, writes_result
from harness.chances import Chance, try_machine
from harness.engine.core import STEPS
from harness.oracles import check, check_resumed
from harness.record import RunStatus
from harness.report import Report
from harness.runner import Stage
from harness.world import FakeWorld

ANSWER = writes_result().then_stops().then_idles()
TASKS = {
    "works": task("works", agent=works(3).then_completes()),
    "nudged": task("nudged", agent=stops().then_idles().on_nudge(ANSWER)),
    "retried": task("retried", agent=dies(code=3).attempts(dies(code=3), completes())),
    "gated": task("gated", agent=completes(), gate="approval"),
    "checked": task("checked", agent=completes(), verify=["true"]),
}
SETTINGS: dict[str, Any] = {"session_timeout_s": 60, "result_grace_s": 1, "call_timeout_s": 4, "stop_grace_s": 2}


@dataclass(frozen=True)
class Mishap:
    """What happens during one run: after so many seconds a signal, or a freeze of so many seconds; or a plan of faults."""

    at_s: float = 0.0
    signum: int = 0
    frozen_s: float = 0.0
    faults: str = ""

    def prepare(self, stage: Stage) -> None:
        """Have it happen in the next run of `stage`."""
        if self.signum:
            stage.stop_at(self.at_s, self.signum)
        if self.frozen_s:
            stage.at(self.at_s, stage.world.freeze)
            stage.at(self.at_s + self.frozen_s, stage.world.thaw)


SECONDS = st.integers(0, 60).map(lambda tenths: tenths / 10)
STOPS = st.builds(Mishap, at_s=SECONDS, signum=st.sampled_from([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
FREEZES = st.builds(Mishap, at_s=SECONDS, frozen_s=st.sampled_from([1.0, 5.0, 25.0, 300.0]))
DEATHS = st.builds(
    lambda step, passed: Mishap(faults=f"engine.{step}=" + (f"{passed}*pass->" if passed else "") + "1*die"),
    st.sampled_from(STEPS),
    st.integers(0, 6),
)
CRASHES = st.sampled_from(STEPS).map(lambda step: Mishap(faults=f"engine.{step}=1*raise(RuntimeError)"))
MISHAPS = st.one_of(st.just(Mishap()), STOPS, FREEZES, DEATHS, CRASHES)


class AnyOrder(RuleBasedStateMachine):
    """One simulated host, and somebody who does not leave its runs alone."""

    def __init__(self) -> None:
        super().__init__()
        self.world = FakeWorld()
        self.stage = Stage(self.world)
        self.newest: Report | None = None

    @property
    def unfinished(self) -> bool:
        """Whether there is a run to go on with; one that was killed before its first record is none."""
        return (
            self.newest is not None and self.newest.state is not None and self.newest.status is not RunStatus.FINISHED
        )

    @precondition(lambda self: not self.unfinished)
    @rule(keys=st.lists(st.sampled_from(sorted(TASKS)), min_size=1, max_size=3, unique=True), mishap=MISHAPS)
    def run(self, keys: list[str], mishap: Mishap) -> None:
        """Begin a run."""
        tasks: list[TaskStory] = [TASKS[key] for key in keys]
        mishap.prepare(self.stage)
        self.newest = self.stage(*tasks, faults=mishap.faults, strict=False, **SETTINGS)

    @precondition(lambda self: self.unfinished)
    @rule(mishap=MISHAPS)
    def resume(self, mishap: Mishap) -> None:
        """Go on with the run that has not come to its end."""
        before = self.newest
        assert before is not None
        mishap.prepare(self.stage)
        self.newest = self.stage.resume(faults=mishap.faults, verify=False)
        check(self.newest, strict=False)
        if self.newest.state is not None and not mishap.faults:
            check_resumed(before, self.newest)

    @rule()
    def freeze(self) -> None:
        """The multiplexer stops answering, whoever asks."""
        self.world.freeze()

    @rule()
    def thaw(self) -> None:
        """The multiplexer goes on."""
        self.world.thaw()

    @rule()
    def kill_server(self) -> None:
        """The multiplexer's server is killed, with everything in it."""
        self.world.kill_server()

    @rule(seconds=st.sampled_from([1, 100, 100_000]))
    def wait(self, seconds: float) -> None:
        """Nobody does anything for a while; agents that were left go on."""
        self.world.clock.sleep(seconds)

    def teardown(self) -> None:
        """With nothing wrong any more the run comes to its end, and leaves nothing."""
        self.world.thaw()
        self.world.clock.sleep(1000)
        if self.unfinished:
            assert self.stage.resume_to_the_end().status is RunStatus.FINISHED
        if self.newest is not None and self.newest.state is not None:
            assert self.stage.leftovers() == []


@pytest.mark.timeout(900)
def test_any_order_of_run_stop_kill_resume_freeze_thaw(chance: Chance) -> None:
    """Whatever happens in whatever order, every oracle holds, and in the end every run can be finished."""
    try_machine(AnyOrder, seed=chance.seed, examples=chance.examples(40), steps=8)
