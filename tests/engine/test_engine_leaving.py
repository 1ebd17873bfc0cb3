"""The end of a session: whatever was its agent's goes, and nothing that has its ids by then."""

from __future__ import annotations

import pytest
from engine_setting import RUN, fresh_stage, launches_of

from backends.posix_signals import SIGHUP, SIGKILL
from backends.processes import Liveness, ProcessIdentity
from harness.agents import ScriptedAgent, completes, task, works
from harness.record import RunStatus

LOST = "the multiplexer's server was lost, and the session with it"


def test_a_child_that_has_cleared_its_environment_is_ended_with_its_agent() -> None:
    """It is known by its parents, which have to be asked for before they are gone."""
    stage = fresh_stage()
    table = stage.world.processes
    children: list[ProcessIdentity] = []

    def split_off() -> None:
        (agent,) = stage.world.agents_at_work()
        children.append(table.spawn({}, parent=agent.pid))

    stage.at(2.5, split_off)
    report = stage(task("a", agent=ScriptedAgent.attempts(works(1000), completes())), session_timeout_s=8)

    assert report.task("a").outcomes == ["timed_out", "completed"]
    assert [table.liveness(child) for child in children] == [Liveness.DEAD]


def test_a_stray_that_went_with_its_server_costs_nobody_who_has_its_id_now() -> None:
    """What could not be ended in time has gone; the next server gives its id to an agent."""
    stage = fresh_stage()
    windows = stage.world.multiplexer()

    def open_stray() -> None:
        windows.new_window(RUN, "a-0123456789abcdef", "/sim", {}, "sleep 1000")

    stage.at(2.5, open_stray)
    stage.at(6.5, stage.world.kill_server)
    stories = [task(key, agent=ScriptedAgent.attempts(works(1000), works(4).then_completes())) for key in ("a", "b")]
    late = task("c", agent=works(4).then_completes(), needs=["a"])
    report = stage(*stories, late, max_parallel=3, faults="kill_window=8*empty", strict=False)

    (stray,) = report.events("stray-window")
    assert report.status is RunStatus.FINISHED
    assert stray["window"] in [event["window"] for event in report.events("session-started")]
    assert report.task("c").outcomes == ["completed"]
    assert len(launches_of(report, "c")) == 1


def test_a_servers_death_is_told_of_agents_that_said_first_that_they_had_ended() -> None:
    """They lose their terminal before anybody can prove why: while a server ends it answers nothing at all."""
    stage = fresh_stage()
    stage.at(3.5, stage.world.kill_server)
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = stage(task("a", agent=agent), faults="list_window_ids=3*pass->1*empty")

    (ended,) = [event for event in report.events("session-ended") if event["outcome"] == "crashed"]
    assert (ended["reason"], ended["counted"]) == (LOST, False)
    assert [event["tasks"] for event in report.events("server-lost")] == [["a"]]


@pytest.mark.parametrize(
    ("silent", "faults"),
    [(False, ""), (False, "list_window_ids=3*pass->1*empty"), (True, "")],
    ids=["says so", "says so first", "silent"],
)
def test_agents_that_went_with_their_server_twice_have_used_up_nothing(silent: bool, faults: str) -> None:
    """Whether they say that they end or not, and whichever is noticed first, it is charged to the server."""
    stage = fresh_stage()

    def lose() -> None:
        for agent in stage.world.agents_at_work() if silent else ():
            stage.world.processes.signal(agent, SIGKILL)
        stage.world.kill_server()

    stage.at(3.5, lose)
    stage.at(12.5, lose)
    keys = ["a", "b", "c", "d", "e"]
    agent = ScriptedAgent.attempts(works(1000), works(1000), completes())
    report = stage(*(task(key, agent=agent) for key in keys), max_parallel=5, max_attempts=2, faults=faults)

    crashes = [event for event in report.events("session-ended") if event["outcome"] == "crashed"]
    assert report.status is RunStatus.FINISHED
    assert {(event["reason"], event["counted"]) for event in crashes} == {(LOST, False)}
    assert [report.task(key).outcomes for key in keys] == [["crashed", "crashed", "completed"]] * 5
    assert [sorted(event["tasks"]) for event in report.events("server-lost")] == [keys, keys]
    assert not report.events("task-deferred")


def test_a_server_that_goes_with_every_attempt_uses_them_up_in_the_end() -> None:
    """Three losses in a row are free: a task that itself ends the server each time comes to an end."""
    stage = fresh_stage()
    for number in range(8):
        stage.at(3.5 + 6 * number, stage.world.kill_server)
    report = stage(task("a", agent=works(1000)), max_attempts=1, retry_deferred="never")

    assert report.task("a").phase == "deferred"
    assert [event["counted"] for event in report.events("session-ended")] == [False, False, False, True]


@pytest.mark.parametrize("faults", ["", "list_window_ids=5*pass->1*empty"], ids=["answered", "unanswered"])
def test_an_agent_that_had_ended_before_its_server_went_has_crashed(faults: str) -> None:
    """It said so while its server was there to be asked: that attempt is used up."""
    stage = fresh_stage()
    stage.at(5.5, stage.world.kill_server)
    agent = ScriptedAgent.attempts(works(1.2).then_emits("SessionEnd").then_works(30), completes())
    report = stage(task("a", agent=agent), faults=faults)

    (ended,) = [event for event in report.events("session-ended") if event["outcome"] == "crashed"]
    assert ended["reason"].startswith("the agent ended its session without a result")
    assert ended["counted"]


@pytest.mark.parametrize("lost", [True, False])
def test_a_stop_tells_of_a_server_that_had_gone_by_then(lost: bool) -> None:
    """A driver in a window of that server is hung up with it: the stop can be resumed, and says what went."""
    stage = fresh_stage()

    def hang_up() -> None:
        if lost:
            stage.world.kill_server()
        else:
            stage.world.freeze()
        assert stage.engine is not None
        stage.engine.switch.deliver(SIGHUP)

    stage.at(3.5, hang_up)
    agent = ScriptedAgent.attempts(works(1000), completes())
    stopped = stage(task("a", agent=agent), task("b", agent=agent), max_parallel=2)
    stage.world.thaw()
    report = stage.resume()

    assert stopped.status is RunStatus.STOPPED
    assert [event["tasks"] for event in stopped.events("server-lost")] == [["a", "b"]] * lost
    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in ("a", "b")] == [["stopped", "completed"]] * 2


def test_an_unanswered_question_is_no_loss() -> None:
    """An agent that ends while its server only does not answer has crashed by itself."""
    agent = ScriptedAgent.attempts(works(2.5).then_exits(0), completes())
    report = fresh_stage()(task("a", agent=agent), faults="list_window_ids=3*pass->12*empty")

    (ended,) = [event for event in report.events("session-ended") if event["outcome"] == "crashed"]
    assert ended["counted"]
    assert not report.events("server-lost")


def test_an_agent_that_said_that_it_ends_is_given_time_to_leave() -> None:
    """How it ended is known only then."""
    agent = ScriptedAgent.attempts(works(1).then_emits("SessionEnd").then_works(3).then_dies(code=7), completes())
    report = fresh_stage()(task("a", agent=agent))

    (ended,) = [event for event in report.events("session-ended") if event["outcome"] == "crashed"]
    assert ended["reason"].startswith("the agent ended its session without a result")
    assert ended["exit_code"] == 7
