"""What becomes of a task when an attempt at it is over."""

from __future__ import annotations

from collections.abc import Sequence

from engine_setting import FakeStage, fresh_stage, launches_of

from backends.processes import Completed
from harness.agents import ScriptedAgent, dies, task, works
from harness.record import Finished, Paused, RunStatus

DONE = works(3).then_completes("well done")


def says(status: str, summary: str = "because") -> ScriptedAgent:
    """An agent whose result has that status."""
    return works(2).then_writes_result(status, summary).then_stops().then_idles()


def answering(stage: FakeStage, *statuses: int) -> str:
    """A command that ends with those statuses, one after the other; what it says names the one at hand."""
    left = list(statuses)

    def check(argv: Sequence[str]) -> Completed:
        status = left.pop(0)
        return Completed(tuple(argv), status, b"checked\n", f"status {status}\n".encode())

    stage.world.processes.commands["check"] = check
    return "check it"


def prompt_of(stage: FakeStage, key: str) -> str:
    """The prompt of the newest launch of that task."""
    return stage.world.disk.read(stage.run_dir / "tasks" / key / "prompt.md").decode()


def test_a_task_is_done_when_its_commands_pass() -> None:
    """The summary of the result stands for it."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE, verify=[answering(stage, 0)]))

    assert (report.task("a").phase, report.task("a").summary) == ("done", "well done")
    assert report.events("verified")[0]["problem"] is None


def test_what_a_failing_command_said_is_told_to_the_next_attempt() -> None:
    """The prompt of the second attempt has the reason, that of the first had none."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE, prompt="Do it.", verify=[answering(stage, 3, 0)]))

    assert report.task("a").attempts == 2
    assert report.task("a").phase == "done"
    assert prompt_of(stage, "a").startswith(
        "Do it.\n\nAn earlier attempt was not enough:\n\n`check it` failed: exit 3\nchecked\nstatus 3\n"
    )


def test_a_first_attempt_is_told_of_no_earlier_one() -> None:
    """Only what its task says, and where the result belongs."""
    stage = fresh_stage()
    stage(task("a", agent=DONE, prompt="Do it."))

    assert prompt_of(stage, "a").startswith("Do it.\n\n---\n")


def test_a_task_that_never_passes_is_deferred_with_the_newest_reason() -> None:
    """The run is finished all the same, and says so by its exit code."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE, verify=[answering(stage, 1, 2)]), retry_deferred="never")

    assert report.task("a").phase == "deferred"
    assert report.task("a").reason.startswith("`check it` failed: exit 2")
    assert report.ending == Finished(deferred=["a"])
    assert report.exit_code == 1


def test_a_command_that_cannot_be_run_fails_the_attempt_not_the_run() -> None:
    """The reason says what is wrong with it."""
    report = fresh_stage()(task("a", agent=DONE, verify=["no-such"]), max_attempts=1, retry_deferred="never")

    assert report.status is RunStatus.FINISHED
    assert report.task("a").reason.startswith("`no-such` failed: it could not be run")


def test_a_command_belongs_to_the_launch_that_it_verifies() -> None:
    """Whatever is left of it when the engine is killed is found by that launch's token, as its agent is."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE, verify=["true"]))

    assert report.state is not None
    (attempt,) = report.state.task("a").attempts
    assert stage.world.processes.started == [(("true",), {"SEAMRIPPER_TOKEN": attempt.token})]


def test_a_command_after_the_last_task_belongs_to_the_newest_launch() -> None:
    """A resume that carries it out again finds by that token what a killed engine has left of it, and ends that first."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE), post_run=["true"])

    assert report.state is not None
    (attempt,) = report.state.task("a").attempts
    assert stage.world.processes.started == [(("true",), {"SEAMRIPPER_TOKEN": attempt.token})]


def test_a_person_is_asked_although_the_engine_crashed_before_it_could_say_so() -> None:
    """An escalation that a resume finds pauses the run like any other."""
    stage = fresh_stage()
    stage(task("a", agent=says("escalate", "which colour?")), faults="engine.settle=1*raise(RuntimeError)")
    report = stage.resume()

    assert report.ending == Paused(reason="a needs a person: which colour?", stage="escalated", task="a")


def test_a_result_that_says_failed_is_tried_again() -> None:
    """With what the agent said as the reason."""
    stage = fresh_stage()
    report = stage(task("a", agent=ScriptedAgent.attempts(says("failed", "no time"), DONE), prompt="P"))

    assert report.task("a").phase == "done"
    assert report.events("task-retry")[0]["reason"] == "the agent gave up: no time"
    assert "the agent gave up: no time" in prompt_of(stage, "a")


def test_attempts_that_died_are_tallied_in_the_reason() -> None:
    """Each with how it ended."""
    report = fresh_stage()(task("a", agent=dies(code=3)), retry_deferred="never")

    assert report.task("a").reason.count("crashed: the window died without a result (exit 3)") == 2


def test_what_needs_a_deferred_task_is_deferred_with_its_reason() -> None:
    """It is never begun; what needs nothing is done."""
    tasks = task("a", agent=dies()), task("b", agent=DONE, needs=["a"]), task("c", agent=DONE)
    report = fresh_stage()(*tasks, max_attempts=1, retry_deferred="never")

    assert report.task("b").phase == "deferred"
    assert report.task("b").reason == "needs a, which was deferred"
    assert launches_of(report, "b") == []
    assert report.task("c").phase == "done"


def test_an_escalation_pauses_the_run_and_a_resume_takes_the_task_up_again() -> None:
    """A person has looked at it: that is what the resume says."""
    stage = fresh_stage()
    agent = ScriptedAgent.attempts(says("escalate", "which colour?"), DONE)
    report = stage(task("a", agent=agent), task("b", agent=DONE))

    assert report.ending == Paused(reason="a needs a person: which colour?", stage="escalated", task="a")
    assert report.task("a").phase == "escalated"

    report = stage.resume()
    assert report.status is RunStatus.FINISHED
    assert (report.task("a").phase, report.task("b").phase) == ("done", "done")


def test_a_gate_pauses_once_sessions_that_run_are_over() -> None:
    """The resume is the approval; what was done is not done again."""
    stage = fresh_stage()
    tasks = task("a", agent=works(20).then_completes()), task("b", agent=DONE, gate="a person's word")
    report = stage(*tasks, max_parallel=2)

    assert report.ending == Paused(reason="a person's word is needed before b", stage="gate", task="b")
    assert report.task("a").phase == "done"

    report = stage.resume()
    assert report.status is RunStatus.FINISHED
    assert len(launches_of(report, "a")) == 1


def test_a_nested_run_gives_deferred_tasks_one_more_chance() -> None:
    """Its finished tasks are finished in the run around it, whose attempts tell all of it."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE, verify=[answering(stage, 1, 0)]), max_attempts=1)

    assert report.ending == Finished()
    assert report.task("a").phase == "done"
    assert report.task("a").attempts == 2
    assert [event["tasks"] for event in report.events("nested-run")] == [["a"]]
