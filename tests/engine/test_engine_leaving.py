"""The end of a session: whatever was its agent's goes, and nothing that has its ids by then."""

from __future__ import annotations

from engine_setting import RUN, fresh_stage, launches_of

from backends.processes import Liveness, ProcessIdentity
from harness.agents import ScriptedAgent, completes, task, works
from harness.record import RunStatus


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

    (ended,) = [event["reason"] for event in report.events("session-ended") if event["outcome"] == "crashed"]
    assert "ended its session" in ended
    assert [event["tasks"] for event in report.events("server-lost")] == [["a"]]


def test_an_agent_that_said_that_it_ends_is_given_time_to_leave() -> None:
    """How it ended is known only then."""
    agent = ScriptedAgent.attempts(works(1).then_emits("SessionEnd").then_works(3).then_dies(code=7), completes())
    report = fresh_stage()(task("a", agent=agent))

    (ended,) = [event for event in report.events("session-ended") if event["outcome"] == "crashed"]
    assert ended["reason"].startswith("the agent ended its session without a result")
    assert ended["exit_code"] == 7
