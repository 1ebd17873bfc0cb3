"""What happens to the multiplexer's server: killed, cut off from its socket, replaced, or not ours at all."""

from __future__ import annotations

import pytest

from backends.tmux import TmuxMultiplexer
from harness.agents import ScriptedAgent, completes, task, works
from harness.incidents import at_step, cut_socket, foreign_windows, mend_socket, replace_server, simulated
from harness.record import RunStatus
from harness.runner import Stage
from harness.world import LiveTmuxWorld


@pytest.mark.parametrize("sessions", [1, 5])
def test_server_killed_is_told_once_and_no_session_of_it_succeeds(mux_run: Stage, sessions: int) -> None:
    """With its server every session is lost: one line says so, each has crashed, and is made good by the next attempt."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    stories = [task(f"1-{number}", agent=agent) for number in range(sessions)]
    killed = at_step("listing", mux_run.world.kill_server, nth=2)
    report = mux_run(*stories, max_parallel=5, session_timeout_s=200, checkpoint=killed)

    assert report.status is RunStatus.FINISHED
    assert [report.task(story.plan.key).outcomes for story in stories] == [["crashed", "completed"]] * sessions
    (lost,) = report.events("server-lost")
    assert sorted(lost["tasks"]) == [story.plan.key for story in stories]


def test_server_killed_under_the_last_attempts_leaves_nothing_running(mux_run: Stage) -> None:
    """Where no attempt is left the tasks are deferred with the reason, and a dashboard shows nobody at work."""
    mux_run.at(3, mux_run.world.kill_server)
    stories = [task(key, agent=works(1000)) for key in ("1-1", "1-2")]
    report = mux_run(*stories, max_parallel=2, max_attempts=1, retry_deferred="never")

    assert report.exit_code == 1
    assert [report.task(key).phase for key in ("1-1", "1-2")] == ["deferred", "deferred"]
    assert "0/2 done, 2 deferred" in report.list_row
    assert len(report.events("server-lost")) == 1


@pytest.mark.worlds("simulated-tmux", "tmux")
def test_socket_unlinked_is_unknown_until_it_is_back(mux_run: Stage) -> None:
    """Without its socket the server cannot be asked, and nothing is concluded from that: no second server, no second agent."""
    world = mux_run.world

    def cut() -> None:
        identity = world.multiplexer().server_identity()
        server = None if identity is None else world.processes.identify(identity.pid)
        assert server is not None
        cut_socket(world)
        world.at(6, lambda: mend_socket(world, server))

    mux_run.at(3, cut)
    report = mux_run(task("1-1", agent=works(5).then_completes()), task("1-2", agent=completes(), needs=["1-1"]))

    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in ("1-1", "1-2")] == [["completed"], ["completed"]]
    assert report.events("transport-degraded")
    assert report.events("transport-recovered")


@pytest.mark.worlds("simulated-tmux")
def test_socket_unlinked_pauses_a_resume_instead_of_starting_a_second_server(mux_run: Stage) -> None:
    """What the last epoch left cannot be ended without the socket: the resume waits, then pauses; the next one finishes."""
    server = simulated(mux_run.world).server
    mux_run(task("1-1", agent=works(20).then_completes()), faults="engine.decide=3*pass->1*die", session_timeout_s=30)
    cut_socket(mux_run.world)
    paused = mux_run.resume()
    identity = server.identity
    assert identity is not None
    mend_socket(mux_run.world, identity)
    report = mux_run.resume()

    assert paused.status is RunStatus.PAUSED
    assert paused.events("run-paused")[0]["stage"] == "multiplexer-unreachable"
    assert "transport.new-session" not in paused.reached
    assert report.status is RunStatus.FINISHED


@pytest.mark.worlds("simulated-tmux", "tmux")
def test_server_replaced_by_somebody_elses_is_left_alone(mux_run: Stage) -> None:
    """A session of our name with windows of our ids in another server is not ours: ours has crashed, theirs is untouched."""
    world = mux_run.world
    mux_run.at(3, lambda: replace_server(world, mux_run.run_dir.name))
    report = mux_run(task("1-1", agent=ScriptedAgent.attempts(works(1000), completes())), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert report.events("session-renamed")
    assert foreign_windows(world, mux_run.run_dir.name) == {"@0": "", "@1": ""}


@pytest.mark.worlds("simulated-tmux")
def test_server_replaced_before_a_nudge_gets_nothing_typed(mux_run: Stage) -> None:
    """What is meant for an agent of ours is never typed into a window of another server that has its id."""
    world = mux_run.world
    report = mux_run(
        task("1-1", agent=works(2).then_stops().then_idles()),
        checkpoint=at_step("nudge", lambda: replace_server(world, "run-1")),
        max_attempts=1,
        retry_deferred="never",
    )

    assert report.task("1-1").outcomes == ["crashed"]
    assert [event["outcome"] for event in report.events("nudge")] == ["unconfirmed: TargetMissing"]
    assert foreign_windows(world, "run-1") == {"@0": "", "@1": ""}


@pytest.mark.worlds("tmux")
def test_foreign_server_of_the_user_is_never_contacted(mux_run: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run inside the user's own tmux, beside the user's sessions, leaves them as they are."""
    users = LiveTmuxWorld()
    try:
        theirs = users.multiplexer()
        theirs.new_session("mine", users.project)
        (window,) = theirs.list_window_ids("mine")
        assert isinstance(theirs, TmuxMultiplexer)
        monkeypatch.setenv("TMUX", f"{theirs.socket_path},{users.server().pid},0")
        monkeypatch.setenv("TMUX_PANE", "%0")
        # A stopped server answers nobody: whoever asked it anything would wait.
        users.freeze()
        report = mux_run(task("1-1", agent=works(1).then_completes()), call_timeout_s=20)
        users.thaw()

        assert report.status is RunStatus.FINISHED
        assert not report.events("transport-degraded")
        assert theirs.list_sessions() == ["mine"]
        assert theirs.list_window_ids("mine") == [window]
    finally:
        users.close()
