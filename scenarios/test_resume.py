"""Going on after the engine has ended early: nothing finished is repeated, nothing left is forgotten."""

from __future__ import annotations

import pytest

from harness.agents import completes, task, works
from harness.engine.core import STEPS
from harness.engine.engine import Engine
from harness.record import RunLocked, RunStatus
from harness.rehearsals import rehearse
from harness.runner import Stage

TWO = (task("1-1", agent=completes("first")), task("1-2", agent=works(2).then_completes("second")))
SECOND = {"prompt": 1, "open-window": 1, "mark": 1, "settle": 1, "clean-up": 0, "record": 0}
"""Steps of the second of two tasks, and how often the first one passes them before."""


def at_second(step: str, action: str) -> str:
    """The fault plan that does `action` at that step of the second task."""
    return f"engine.{step}=" + (f"{SECOND[step]}*pass->" if SECOND[step] else "") + f"1*{action}"


@pytest.mark.parametrize("step", list(SECOND))
def test_resume_after_crash_finishes_without_repeating(mux_run: Stage, step: str) -> None:
    """A run that crashed at its second task is finished by a resume; the first task's agent does not start again."""
    crashed = mux_run(*TWO, faults=at_second(step, "raise(RuntimeError)"))
    report = mux_run.resume()

    assert crashed.status is RunStatus.CRASHED
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.state is not None
    assert [crash.epoch for crash in report.state.crashes] == [1]
    assert report.state.epoch == 2


@pytest.mark.parametrize("step", ["adopt", "mark", "outcome"])
def test_resume_after_crash_ends_the_leftovers_first(mux_run: Stage, step: str) -> None:
    """Where the teardown of the crash failed, the old agent is ended before another one begins."""
    crashed = rehearse(mux_run, step, f"engine.{step}=1*raise(RuntimeError); leak.kill_session=raise(OSError)")
    report = mux_run.resume()

    assert crashed.teardown == "failed"
    assert crashed.leftovers
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []


def test_resume_after_crash_takes_over_a_result_that_was_left(mux_run: Stage) -> None:
    """A result that was written and not yet settled when the engine crashed is the result: no second agent."""
    rehearse(mux_run, "settle", "engine.settle=1*raise(RuntimeError)")
    report = mux_run.resume()

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert [entry["what"] for entry in report.ledger].count("start") == 1
    assert report.events("outcome-recovered")


def test_resume_after_crash_and_crash_again_keeps_the_whole_history(mux_run: Stage) -> None:
    """A run may crash in every epoch: each crash stays on record, newest last, and the third drive finishes."""
    rehearse(mux_run, "mark", "engine.mark=1*raise(RuntimeError)")
    mux_run.resume(faults="engine.reconcile=1*raise(OSError)")
    report = mux_run.resume()

    assert report.status is RunStatus.FINISHED
    assert report.state is not None
    assert [(crash.epoch, crash.error.split(":")[0]) for crash in report.state.crashes] == [
        (1, "RuntimeError"),
        (2, "OSError"),
    ]
    assert [event["epoch"] for event in report.events("run-crash")] == [1, 2]


@pytest.mark.simulated("dozens of moments; a sample of them is taken on live hosts above")
@pytest.mark.parametrize("step", STEPS)
def test_resume_after_crash_at_any_step_finishes(mux_run: Stage, step: str) -> None:
    """Wherever the engine crashed, with whatever its failed teardown left, resuming drives the run to its end."""
    faults = f"engine.{step}=1*raise(MemoryError); leak.kill_session=raise(OSError)"
    crashed = rehearse(mux_run, step, faults, strict=False)

    assert crashed.status is RunStatus.CRASHED
    assert mux_run.resume_to_the_end().leftovers == []


@pytest.mark.simulated(
    "the engine of a live scenario lives in the process of the test; the command line is killed for real"
)
@pytest.mark.parametrize("step", STEPS)
def test_resume_after_sigkill_at_any_step_finishes(mux_run: Stage, step: str) -> None:
    """SIGKILL at any step: INTERRUPTED, or the ending that was already journaled; resuming finishes."""
    killed = rehearse(mux_run, step, f"engine.{step}=1*die")
    report = mux_run.resume_to_the_end()

    assert killed.killed
    assert killed.status is (RunStatus.FINISHED if step == "record" else RunStatus.INTERRUPTED)
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []


@pytest.mark.simulated(
    "the engine of a live scenario lives in the process of the test; the command line is killed for real"
)
@pytest.mark.parametrize("step", list(SECOND))
def test_resume_after_sigkill_does_not_repeat_what_is_finished(mux_run: Stage, step: str) -> None:
    """Killed at its second task, the run goes on there: one agent was started for the first task in all."""
    killed = mux_run(*TWO, faults=at_second(step, "die"))
    report = mux_run.resume()

    assert killed.status is (RunStatus.FINISHED if step == "record" else RunStatus.INTERRUPTED)
    assert report.status is RunStatus.FINISHED
    assert [entry["what"] for entry in report.ledger if entry["task"] == "1-1"].count("start") == 1


def test_resume_of_a_gated_run_is_the_approval(mux_run: Stage) -> None:
    """A run that pauses before a gate goes through it when it is resumed, and repeats nothing."""
    gated = task("1-2", agent=completes(), gate="approval", needs=["1-1"])
    paused = mux_run(TWO[0], gated)
    report = mux_run.resume()

    assert paused.status is RunStatus.PAUSED
    assert paused.exit_code == 75
    assert report.status is RunStatus.FINISHED
    assert [report.task(key).attempts for key in ("1-1", "1-2")] == [1, 1]


def test_resume_of_a_run_that_is_driven_says_by_whom(mux_run: Stage) -> None:
    """The second of two resumes does nothing but say who holds the run; the first one is not disturbed."""
    told: list[str] = []

    def second(step: str) -> None:
        first = mux_run.engine
        if step == "decide" and first is not None and not told:
            with pytest.raises(RunLocked) as locked:
                Engine(first.plan, first.run_dir, first.outside, resume=True).run()
            told.append(str(locked.value))

    report = mux_run(task("1-1", agent=works(2).then_completes()), checkpoint=second)

    me = mux_run.world.processes.me()
    assert f"pid {me.pid} on {mux_run.world.processes.host()}" in told[0]
    assert report.status is RunStatus.FINISHED


def test_resume_of_a_finished_run_changes_nothing_that_was_done(mux_run: Stage) -> None:
    """A finished run may be resumed: no agent starts, and it is finished again."""
    mux_run(TWO[0])
    report = mux_run.resume()

    assert report.status is RunStatus.FINISHED
    assert [entry["what"] for entry in report.ledger].count("start") == 1
