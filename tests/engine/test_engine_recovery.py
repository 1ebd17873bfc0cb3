"""Going on with a run: what the last epoch left is ended, and what it had done stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from engine_setting import RUN, FakeStage, foreign_session, fresh_stage, launches_of

from backends.processes import Completed
from harness.agents import ScriptedAgent, plan_of, task, works
from harness.engine.windows import RUN_OPTION
from harness.record import Paused, RunStatus
from harness.record.replay import rebuild

DONE = works(5).then_completes()


def killed(agent: ScriptedAgent = DONE, *, at: str = "tick=3*pass->", **settings: object) -> FakeStage:
    """A stage on which the engine was killed at that step, and its agents lived on."""
    stage = fresh_stage()
    step, _, before = at.partition("=")
    report = stage(task("a", agent=agent), faults=f"engine.{step}={before}1*die", **settings)
    assert report.killed
    return stage


def fails_once() -> Callable[[Sequence[str]], Completed]:
    """A command that succeeds from its second time on."""
    statuses = [1]
    return lambda argv: Completed(tuple(argv), statuses.pop() if statuses else 0, b"", b"")


def test_agents_of_the_last_epoch_are_ended_before_anything_new_begins() -> None:
    """Nobody is at work on the task twice, and the attempt that was cut off does not count."""
    stage = killed(works(1000).then_completes())
    old = [agent.process for agent in stage.world.agents.agents]
    report = stage.resume(plan=plan_of(task("a", agent=DONE), project="/sim/project"))

    assert not any(process.alive for process in old)
    assert report.task("a").outcomes == ["stopped", "completed"]
    assert report.task("a").attempts == 1


def test_a_result_that_came_while_no_engine_ran_is_taken_over() -> None:
    """The agent is not asked to do its work again."""
    stage = killed(works(60).then_completes("all by myself"))
    stage.world.clock.wait(100)
    report = stage.resume()

    assert report.task("a").phase == "done"
    assert report.task("a").summary == "all by myself"
    assert len(launches_of(report, "a")) == 1
    assert report.events("outcome-recovered")


@pytest.mark.parametrize("at", ["outcome", "kill", "settle", "verify"])
def test_an_outcome_that_was_not_settled_is_settled_by_the_resume(at: str) -> None:
    """Between the end of a session and the end of its task nothing is lost and nothing is done twice."""
    stage = fresh_stage()
    stage(task("a", agent=DONE, verify=["true"]), faults=f"engine.{at}=1*die")
    report = stage.resume()

    assert report.task("a").outcomes == ["completed"]
    assert len(launches_of(report, "a")) == 1
    assert report.events("verified")


def test_a_result_of_another_launch_is_not_taken_over() -> None:
    """It carries no token of this run's attempts."""
    stage = killed(works(10).then_writes_result("done").then_idles())
    result = stage.run_dir / "tasks" / "a" / "result.json"
    stage.world.disk.write(result, b'{"token": "another", "status": "done", "summary": ""}')
    report = stage.resume()

    assert report.task("a").outcomes == ["stopped", "completed"]


def test_a_limit_is_kept_by_the_resume_of_a_run_that_was_killed_before_its_state_was_written() -> None:
    """The journal alone tells until when, and how often nobody could tell whether the agent lived."""
    limited = works(3).then_fails_turn(retry_after_s=5000).then_idles()
    stage = fresh_stage()
    faults = "list_window_ids=1*timeout;engine.kill=1*die"
    stage(task("a", agent=ScriptedAgent.attempts(limited, DONE)), faults=faults, session_timeout_s=600)
    state = stage.run_dir / "state.json"
    disk = stage.world.disk
    for name in ("state.json", "state.json.bak"):
        if disk.info(state.with_name(name)) is not None:
            disk.remove(state.with_name(name))
    report = stage.resume(verify=False)

    begun = launches_of(report, "a")
    assert len(begun) == 2
    assert begun[1] - begun[0] >= 5000
    assert report.events("session-ended")[0]["unknown_looks"] == 1


def test_a_task_that_was_done_is_not_done_again() -> None:
    """Only what was left of the plan."""
    stage = fresh_stage()
    stage(task("a", agent=DONE), task("b", agent=DONE), faults="engine.adopt=1*pass->1*die")
    report = stage.resume()

    assert report.status is RunStatus.FINISHED
    assert len(launches_of(report, "a")) == 1


@pytest.mark.parametrize("silence", ["", "session_options=2*timeout", "has_session=2*timeout"])
def test_a_foreign_session_of_the_runs_name_is_left_alone(silence: str) -> None:
    """Even if nobody answers at first when asked whose it is."""
    stage = killed(at="session")
    multiplexer = stage.world.multiplexer()
    foreign_session(multiplexer)
    report = stage.resume(faults=silence)

    assert report.status is RunStatus.FINISHED
    assert multiplexer.session_options(RUN_OPTION) == {RUN: "somebody"}


def test_an_untagged_session_of_the_runs_name_is_a_leftover() -> None:
    """The engine died between making it and tagging it."""
    stage = fresh_stage()
    stage(task("a", agent=DONE), faults="set_session_option=1*die")
    report = stage.resume()

    assert report.status is RunStatus.FINISHED
    assert not report.events("session-renamed")
    assert report.leftovers == []


@pytest.mark.parametrize("outage", ["timeout", "oserror(ENOENT)"])
def test_leftovers_that_nobody_can_end_pause_the_run(outage: str) -> None:
    """Nothing new is begun beside them; the next resume tries again."""
    stage = killed(works(1000).then_completes(), session_timeout_s=60)
    report = stage.resume(faults=f"has_session={outage}")

    assert isinstance(report.ending, Paused)
    assert report.ending.stage == "multiplexer-unreachable"
    assert len(launches_of(report, "a")) == 1
    assert report.elapsed_s <= 60 + 11


def test_a_short_outage_at_the_resume_is_waited_for() -> None:
    """It ends as it would have without."""
    stage = killed(works(20).then_completes())
    report = stage.resume(faults="has_session=5*timeout")

    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []


def test_what_a_nested_run_left_is_ended_and_what_it_did_stands() -> None:
    """Its session as well as the result that its agent had in the end."""
    stage = fresh_stage()
    stage.world.processes.commands["check"] = fails_once()
    stage(task("a", agent=DONE, verify=["check"]), max_attempts=1, faults="engine.tick=12*pass->1*die")
    assert stage.world.multiplexer().list_sessions() == [RUN, f"{RUN}-n1-1"]
    report = stage.resume()

    assert report.status is RunStatus.FINISHED
    assert report.task("a").phase == "done"
    assert stage.world.multiplexer().list_sessions() == []


@pytest.mark.parametrize("point", ["write:lock", "fsync:lock", "write:other", "write:state", "append:journal"])
def test_a_nested_run_that_was_cut_off_leaves_no_file_half_made(point: str) -> None:
    """Nobody ever drives it again: the run around it tidies up."""
    stage = fresh_stage()
    stage.world.processes.commands["check"] = fails_once()
    faults = f"disk.{point}[path=*nested*]=1*lost:die"
    stage(task("a", agent=DONE, verify=["check"]), max_attempts=1, faults=faults)
    report = stage.resume()

    assert report.status is RunStatus.FINISHED
    assert not [path for path in stage.world.disk.paths() if path.endswith((".tmp", "run.lock"))]


@pytest.mark.parametrize(("agent", "outcome"), [(works(1000).then_completes(), "stopped"), (DONE, "completed")])
def test_what_became_of_a_session_of_the_last_epoch_stands_in_the_journal(agent: ScriptedAgent, outcome: str) -> None:
    """The journal alone knows how it ended and whether it used up an attempt, should every snapshot be lost."""
    stage = killed(agent)
    stage.world.clock.wait(100)
    report = stage.resume(plan=plan_of(task("a", agent=DONE), project="/sim/project"))

    told = rebuild(report.journal, "run-1")
    assert told is not None
    assert report.state is not None
    attempts = [(one.number, one.outcome, one.counted, one.reason) for one in told.task("a").attempts]
    assert attempts == [(one.number, one.outcome, one.counted, one.reason) for one in report.state.task("a").attempts]
    assert attempts[0][1] == outcome


def test_what_a_record_without_its_beginning_does_not_tell_is_taken_from_the_plan() -> None:
    """A crash before the first line was written leaves a run that knows neither its session nor its tasks, and it finishes."""
    stage = fresh_stage()
    crashed = stage(task("a", agent=DONE), task("b", agent=DONE), faults="disk.mkdir:other=2*pass->1*oserror(ENOSPC)")
    report = stage.resume()

    assert crashed.status is RunStatus.CRASHED
    assert not crashed.events("run-created")
    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in ("a", "b")] == [["completed"], ["completed"]]
