"""A run that is asked to stop once its sessions have ended: nothing is cut short, nothing new begins."""

from __future__ import annotations

from engine_setting import FakeStage, fresh_stage, launches_of

from harness.agents import ScriptedAgent, dies, task, works
from harness.engine.core import GRACEFULLY, STOP_FILE
from harness.record import RunStatus, Stopped
from harness.report import Report

LONG = works(20).then_completes()


def asked_at(stage: FakeStage, seconds: float) -> None:
    """Somebody asks the run for it so many seconds from now."""
    stage.at(seconds, lambda: stage.world.disk.write(stage.run_dir / STOP_FILE, b""))


def phases(report: Report) -> list[str]:
    """The phase of every task."""
    assert report.state is not None
    return [task.phase.value for task in report.state.tasks]


def test_running_sessions_end_by_themselves_and_no_other_one_begins() -> None:
    """Two of four are at work: both are done, the run is STOPPED, and a resume does the rest."""
    stage = fresh_stage()
    asked_at(stage, 5)

    report = stage(
        *(task(f"{number}", agent=works(10 + number).then_completes()) for number in range(4)), max_parallel=2
    )

    assert report.ending == Stopped(by=GRACEFULLY)
    assert phases(report) == ["done", "done", "pending", "pending"]
    assert stage.world.disk.info(stage.run_dir / STOP_FILE) is None
    resumed = stage.resume()
    assert resumed.status is RunStatus.FINISHED
    assert [len(launches_of(resumed, str(number))) for number in range(4)] == [1, 1, 1, 1]


def test_an_attempt_that_fails_meanwhile_is_not_tried_again() -> None:
    """The next attempt would be a new session; a resume begins it."""
    stage = fresh_stage()
    asked_at(stage, 5)

    report = stage(task("a", agent=ScriptedAgent.attempts(works(20).then_dies(), LONG)))

    assert report.status is RunStatus.STOPPED
    assert report.task("a").outcomes == ["crashed"]
    assert stage.resume().status is RunStatus.FINISHED


def test_a_run_that_has_nothing_more_to_begin_finishes() -> None:
    """The last session was running already: there is nothing that could be left out."""
    stage = fresh_stage()
    asked_at(stage, 5)

    report = stage(task("a", agent=LONG))

    assert report.status is RunStatus.FINISHED
    assert stage.world.disk.info(stage.run_dir / STOP_FILE) is None


def test_a_nested_run_is_asked_with_its_parent() -> None:
    """What was deferred is not taken up in a run inside of the run."""
    stage = fresh_stage()
    asked_at(stage, 5)

    report = stage(task("a", agent=works(20).then_dies()), task("b", agent=LONG), max_parallel=2, max_attempts=1)

    assert report.status is RunStatus.STOPPED
    assert len(launches_of(report, "a")) == 1


def test_a_request_of_an_earlier_life_does_not_stop_a_resumed_run() -> None:
    """A run that was killed leaves the request behind; who resumes it wants it to go on."""
    stage = fresh_stage()
    asked_at(stage, 5)
    stage(task("a", agent=dies()), task("b", agent=LONG), faults="engine.tick=12*pass->1*die", max_attempts=1)
    assert stage.world.disk.info(stage.run_dir / STOP_FILE) is not None

    assert stage.resume().status is RunStatus.FINISHED


def test_a_directory_in_the_place_of_the_request_is_one_and_goes_like_one() -> None:
    """An agent can make one there; the run ends, and a resume is not refused because of it."""
    stage = fresh_stage()
    stage.at(5, lambda: stage.world.disk.mkdir(stage.run_dir / STOP_FILE / "inside"))

    report = stage(task("1", agent=LONG), task("2", agent=LONG))

    assert report.ending == Stopped(by=GRACEFULLY)
    assert stage.world.disk.info(stage.run_dir / STOP_FILE) is None
    assert stage.resume().status is RunStatus.FINISHED
