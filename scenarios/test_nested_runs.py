"""Runs inside runs: what goes wrong in the inner one is recorded there and above, linked, and nothing of either stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.engine.engine import Engine
from harness.record import Crashed, RunStatus
from harness.rehearsals import Nesting, deferring, off_the_main_thread, whole
from harness.runner import Stage

DRIVES = {"main-thread": Engine.run, "worker-thread": off_the_main_thread}
SECOND = {
    "prompt": "1*pass->",
    "decide": "1*pass->",
    "settle": "1*pass->",
    "clean-up": "",
    "complete": "",
}
"""Steps of the nested run, and what keeps a fault off them while the outer run passes them."""


@pytest.mark.parametrize("drive", DRIVES.values(), ids=list(DRIVES))
@pytest.mark.parametrize("step", ["prompt", "complete"])
def test_nested_crash_is_recorded_in_both_runs_and_linked(
    mux_run: Stage, step: str, drive: Callable[[Engine], object]
) -> None:
    """A nested run that raises leaves its own record, and the record of the run around it names that one."""
    story, settings = deferring()
    report = mux_run(story, faults=f"engine.{step}={SECOND[step]}1*raise(OSError)", drive=drive, **settings)

    (child,) = report.nested
    assert report.status is child.status is RunStatus.CRASHED
    assert report.crash is not None
    assert child.crash is not None
    assert report.crash["error"] == child.crash["error"]
    assert isinstance(child.ending, Crashed)
    assert report.crash["child"] == f"{child.path}/{child.ending.record}"


@pytest.mark.simulated("the moments of a live run are not exact; two of them are met on live hosts above")
@pytest.mark.parametrize("exception", ["BadStr", "SystemExit"])
@pytest.mark.parametrize("step", list(SECOND))
def test_nested_crash_of_any_kind_goes_through_both_runs(mux_run: Stage, step: str, exception: str) -> None:
    """Whatever is raised in the nested run, both records have it, and nobody's sessions stay."""
    story, settings = deferring()
    report = mux_run(story, faults=f"engine.{step}={SECOND[step]}1*raise({exception})", **settings)

    assert [run.status for run in report.nested] == [RunStatus.CRASHED]
    assert report.status is RunStatus.CRASHED
    assert (report.raised is not None) == exception.endswith("Exit")
    assert report.leftovers == []


def test_nested_crash_two_runs_deep_is_recorded_and_linked_in_all_three(mux_run: Stage) -> None:
    """The innermost of three runs raises: three records, each but the innermost naming the one below."""
    story, settings = whole()
    nesting = Nesting(mux_run, depth=2)
    report = mux_run(story, checkpoint=nesting, faults="engine.complete=1*raise(RuntimeError)", **settings)

    middle, inner = report.nested
    assert report.status is middle.status is inner.status is RunStatus.CRASHED
    for outer, below, path in ((report, middle, middle.path), (middle, inner, f"nested/{inner.run_id}")):
        assert isinstance(below.ending, Crashed)
        assert outer.crash is not None
        assert outer.crash["child"] == f"{path}/{below.ending.record}"
    assert inner.crash is not None
    assert inner.crash["child"] is None


@pytest.mark.parametrize("drive", DRIVES.values(), ids=list(DRIVES))
def test_nested_stop_stops_everything(mux_run: Stage, drive: Callable[[Engine], object]) -> None:
    """A stop that comes while the nested run works ends both as stopped by it, and nothing stays."""
    story, settings = deferring()
    report = mux_run(story, faults="signal.mark=1*pass->1*signal(SIGHUP)", drive=drive, **settings)

    assert [run.status for run in report.nested] == [RunStatus.STOPPED]
    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 129
    assert report.leftovers == []


@pytest.mark.simulated("the moments of a live run are not exact; one of them is met on live hosts above")
@pytest.mark.parametrize("step", list(SECOND))
def test_nested_stop_at_any_step_stops_everything(mux_run: Stage, step: str) -> None:
    """Whichever step of the nested run the stop falls on, it passes through both runs unswallowed."""
    story, settings = deferring()
    report = mux_run(story, faults=f"signal.{step}={SECOND[step]}1*signal(SIGTERM)", **settings)

    assert [run.status for run in report.nested] == [RunStatus.STOPPED]
    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 143


def test_nested_stop_two_runs_deep_stops_everything(mux_run: Stage) -> None:
    """A stop in the innermost of three runs ends all three."""
    story, settings = whole()
    nesting = Nesting(mux_run, depth=2)
    report = mux_run(story, checkpoint=nesting, faults="signal.complete=1*signal(SIGINT)", **settings)

    assert [run.status for run in report.nested] == [RunStatus.STOPPED, RunStatus.STOPPED]
    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 130


def test_nested_runs_that_go_well_leave_nothing_but_their_records(mux_run: Stage) -> None:
    """Three runs within one another finish one after the other, innermost first."""
    story, settings = whole()
    report = mux_run(story, checkpoint=Nesting(mux_run, depth=2), faults="", **settings)

    assert [run.status for run in report.nested] == [RunStatus.FINISHED, RunStatus.FINISHED]
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []


@pytest.mark.simulated("the end of a live engine by SIGKILL is told in the scenarios of the command line")
def test_nested_run_of_a_killed_engine_is_made_good_by_a_resume(mux_run: Stage) -> None:
    """SIGKILL in the middle of a nested run: both are interrupted, and the resume takes the task up again."""
    story, settings = deferring()
    killed = mux_run(story, faults="engine.mark=1*pass->1*die", **settings)
    report = mux_run.resume()

    assert killed.status is killed.nested[0].status is RunStatus.INTERRUPTED
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []


def test_nested_crash_is_made_good_by_a_resume(mux_run: Stage) -> None:
    """What the inner run left undone is taken up by the resume of the outer one, in a nested run of its own."""
    story, settings = deferring()
    mux_run(story, faults="engine.mark=1*pass->1*raise(RuntimeError)", **settings)
    report = mux_run.resume()

    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []
    assert [run.status for run in report.nested] == [RunStatus.CRASHED, RunStatus.FINISHED]
