"""The persistent client of a driver: there while a run goes on, and gone with it, however the run ends."""

from __future__ import annotations

import pytest

from harness.agents import ScriptedAgent, completes, task, works
from harness.incidents import ask_tmux, at_step, clients_of, stop_when
from harness.runner import Stage


@pytest.mark.worlds("tmux")
@pytest.mark.parametrize("ending", ["finished", "stopped", "crashed"])
def test_a_run_that_ended_leaves_no_client_and_no_keeper(mux_run: Stage, ending: str) -> None:
    """Somebody else's session keeps the server: in it there is nothing else, whether the run finished, stopped or crashed."""
    world = mux_run.world
    world.multiplexer().new_session("others", world.project)
    during = list[str]()
    if ending == "stopped":
        stop_when(mux_run, lambda: bool(during))
    faults = "engine.decide=10*pass->1*raise(RuntimeError)" if ending == "crashed" else ""
    agent = works(20 if ending == "finished" else 1000).then_completes()
    look = at_step("decide", lambda: during.extend(clients_of(world)), nth=8)
    report = mux_run(task("1-1", agent=agent), checkpoint=look, faults=faults)

    assert report.status.value == ending.upper()
    assert len(during) == 1
    assert clients_of(world) == []
    assert ask_tmux(world, "list-sessions", "-F", "#{session_name}") == "others\n"


@pytest.mark.worlds("tmux")
def test_a_client_that_is_killed_in_the_middle_of_a_run_costs_nothing(mux_run: Stage) -> None:
    """Questions go on by processes until the next client is connected; nothing is concluded from it."""
    world = mux_run.world
    world.multiplexer().new_session("others", world.project)
    ended = list[int]()

    def end() -> None:
        for pid in clients_of(world):
            identity = world.processes.identify(int(pid))
            assert identity is not None
            assert world.processes.signal(identity, 9)
            ended.append(int(pid))

    agent = ScriptedAgent.attempts(works(90).then_completes(), completes())
    report = mux_run(task("1-1", agent=agent), checkpoint=at_step("decide", end, nth=8))

    assert report.status.value == "FINISHED"
    assert len(ended) == 1
    assert report.task("1-1").outcomes == ["completed"]
    assert clients_of(world) == []
