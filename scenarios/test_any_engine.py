"""What has to hold for any orchestrator: the bundled engine, or the one that `--sut` names."""

from __future__ import annotations

import pytest

from harness.agents import ScriptedAgent, completes, dies, stalls, task, works
from harness.record import RunStatus
from harness.sut_stage import SutStage

RETRIED = ScriptedAgent.attempts(works(1000), completes())


def test_engine_carries_out_a_plan(mux_engine: SutStage) -> None:
    """Where nothing goes wrong every task is done by one agent, each after those that it needs."""
    report = mux_engine(task("1-2", agent=completes(), needs=["1-1"]), task("1-1", agent=works(2).then_completes()))

    assert report.recorded.status is RunStatus.FINISHED
    assert [report.launches(key) for key in ("1-1", "1-2")] == [["completed"], ["completed"]]


@pytest.mark.needs("retry")
def test_engine_gives_a_task_of_a_dead_agent_to_another_one(mux_engine: SutStage) -> None:
    """An agent that died has crashed, and the next one does its task."""
    report = mux_engine(task("1-1", agent=ScriptedAgent.attempts(dies(code=3), completes())))

    assert report.launches("1-1") == ["crashed", "completed"]
    assert report.recorded.status is RunStatus.FINISHED


def test_engine_times_out_an_agent_that_never_ends(mux_engine: SutStage) -> None:
    """An agent that does nothing for ever has timed out, and is gone."""
    report = mux_engine(task("1-1", agent=stalls()), session_timeout_s=10, max_attempts=1, retry_deferred="never")

    assert report.launches("1-1") == ["timed_out"]
    assert not report.recorded.tasks["1-1"].done


@pytest.mark.faults("live.freeze_server=4*pass->1*occur(20)")
def test_engine_waits_for_a_server_that_does_not_answer(mux_engine: SutStage) -> None:
    """Twenty seconds without an answer are no death: the same agent goes on, and no second one is started."""
    report = mux_engine(task("1-1", agent=works(30).then_completes()), session_timeout_s=200, call_timeout_s=5)

    assert report.launches("1-1") == ["completed"]
    assert len(report.agents("1-1")) == 1


@pytest.mark.faults("live.freeze_server=8*pass->1*occur")
def test_engine_calls_nobody_crashed_whom_it_could_not_ask_about(mux_engine: SutStage) -> None:
    """Where the server never answers again, the session times out, and the run ends within bounds."""
    report = mux_engine(task("1-1", agent=works(1000)), session_timeout_s=15, call_timeout_s=5, max_attempts=1)

    assert "crashed" not in report.launches("1-1")
    assert report.elapsed_s < 200


@pytest.mark.faults("new_window=1*lost:timeout")
def test_engine_looks_for_the_window_before_it_opens_another(mux_engine: SutStage) -> None:
    """A window that opened although nobody heard of it has an agent in it: there must not be two."""
    report = mux_engine(task("1-1", agent=works(10).then_completes()), session_timeout_s=200, call_timeout_s=5)

    assert len(report.agents("1-1")) == 1
    assert report.recorded.tasks["1-1"].done


@pytest.mark.faults("leak.new_window=1*raise(RuntimeError)")
def test_engine_leaves_a_record_of_its_own_crash(mux_engine: SutStage) -> None:
    """Whatever is raised inside of it, its files say afterwards that it has crashed, and of what."""
    report = mux_engine(task("1-1", agent=completes()))

    assert report.recorded.status is RunStatus.CRASHED
    assert "RuntimeError" in report.recorded.crash


@pytest.mark.needs("retry")
@pytest.mark.faults("live.kill_server=6*pass->1*occur")
def test_engine_survives_the_death_of_the_server(mux_engine: SutStage) -> None:
    """With the server its agents are gone: the task is given to another one, in a server of its own."""
    report = mux_engine(task("1-1", agent=RETRIED), session_timeout_s=200)

    assert report.recorded.tasks["1-1"].done
    assert report.launches("1-1")[0] == "crashed"


@pytest.mark.needs("stop")
def test_engine_that_is_stopped_ends_its_agents(mux_engine: SutStage) -> None:
    """A stop is neither a crash nor an end of the work, and leaves nobody behind."""
    report = mux_engine(task("1-1", agent=works(1000)), stop_after_s=5)

    assert report.recorded.status is RunStatus.STOPPED
    assert report.leftovers == []


@pytest.mark.needs("resume")
@pytest.mark.faults("leak.new_window=1*pass->1*raise(RuntimeError)")
def test_engine_goes_on_after_its_crash_without_repeating_what_is_done(mux_engine: SutStage) -> None:
    """The resume of a crashed run finishes it; the agent of the finished task is not started again."""
    crashed = mux_engine(task("1-1", agent=completes()), task("1-2", agent=completes(), needs=["1-1"]))
    report = mux_engine.resume()

    assert crashed.recorded.status is RunStatus.CRASHED
    assert report.recorded.status is RunStatus.FINISHED
    assert [len(report.agents(key)) for key in ("1-1", "1-2")] == [1, 1]
