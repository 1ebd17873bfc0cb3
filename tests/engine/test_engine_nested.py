"""Runs inside runs: what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_setting import fresh_stage

from harness.agents import dies, task
from harness.engine.engine import Engine
from harness.engine.nested import absorb_child
from harness.record import Attempt, RunState, RunStatus, TaskPhase, TaskState


def family(name: str, depth: int = 4) -> list[str]:
    """The ids of a run of that name, of one inside it, of one inside that one ..."""
    stage = fresh_stage()
    stage(task("a"))
    assert stage.engine is not None
    engines = [Engine(stage.engine.plan, Path(f"/sim/runs/{name}"), stage.engine.outside)]
    while len(engines) <= depth:
        engines.append(engines[-1].nest(engines[-1].plan))
    return [engine.run_id for engine in engines]


def test_a_nested_run_is_called_after_the_one_around_it() -> None:
    """As long as there is room for it."""
    assert family("run-1", 2) == ["run-1", "run-1-n1-1", "run-1-n1-1-n1-1"]


@pytest.mark.parametrize("length", [47, 48, 59, 60, 64])
def test_no_two_runs_have_one_name_however_long_it_is(length: int) -> None:
    """Neither runs inside each other nor those of runs whose names begin alike; all fit a session's name."""
    names = [*family("x" * length), *family("x" * (length - 1) + "y")]

    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 64


def test_a_nested_run_whose_good_ending_cannot_be_recorded_fails_the_run_around_it() -> None:
    """It has crashed, and so has the outer run: nothing that went wrong inside goes by unnoticed."""
    stage = fresh_stage()
    report = stage(task("a", agent=dies(code=1)), max_attempts=1, faults="disk.fsync:state=13*pass->1*oserror(ENOSPC)")
    (inner,) = report.nested

    assert inner.events("run-complete")
    assert inner.status is RunStatus.CRASHED
    assert report.status is RunStatus.CRASHED
    assert stage.resume().status is RunStatus.FINISHED


def test_what_was_asked_inside_a_run_that_is_over_is_asked_no_more() -> None:
    """Its agents are gone, even where a kill has left the question standing in its record."""
    stage = fresh_stage()
    stage(task("a"))
    assert stage.engine is not None
    core = stage.engine.core
    core.state.task("a").phase = TaskPhase.DEFERRED

    absorb_child(core, RunState("inner", tasks=[TaskState("a", attempts=[Attempt(1, "inner", pending="to read")])]))

    assert [attempt.pending for attempt in core.state.task("a").attempts if attempt.token == "inner"] == [""]
