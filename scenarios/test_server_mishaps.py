"""What happens to the multiplexer's server: killed, cut off from its socket, replaced, or not ours at all."""

from __future__ import annotations

from dataclasses import replace
from signal import SIGTERM

import pytest

from backends.operations import ServerIdentity
from backends.processes import Liveness
from backends.tmux import TmuxMultiplexer
from harness.agents import ScriptedAgent, completes, exits, task, works
from harness.engine.windows import TOKEN_OPTION
from harness.incidents import (
    at_step,
    at_work,
    both,
    cut_socket,
    foreign_windows,
    replace_server,
    socket_directory_of,
    when,
)
from harness.record import RunStatus
from harness.report import Report
from harness.runner import Stage
from harness.waiting import eventually
from harness.world import LiveTmuxWorld, World


@pytest.mark.parametrize("sessions", [1, 5])
def test_server_killed_is_told_once_and_no_session_of_it_succeeds(mux_run: Stage, sessions: int) -> None:
    """With its server every session is lost: one line says so, each has crashed, uses up nothing and is made good."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    stories = [task(f"1-{number}", agent=agent) for number in range(sessions)]
    killed = at_step("listing", mux_run.world.kill_server, nth=2)
    report = mux_run(*stories, max_parallel=5, max_attempts=1, session_timeout_s=200, checkpoint=killed)

    assert report.status is RunStatus.FINISHED
    assert [event["counted"] for event in report.events("session-ended")] == [False] * sessions + [True] * sessions
    assert [report.task(story.plan.key).outcomes for story in stories] == [["crashed", "completed"]] * sessions
    (lost,) = report.events("server-lost")
    assert sorted(lost["tasks"]) == [story.plan.key for story in stories]


def test_server_killed_under_five_sessions_of_a_stopped_run_is_made_good_by_its_resume(mux_run: Stage) -> None:
    """One line for the five of them, none of them a success; the run is stopped then, and its resume recovers each."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    stories = [task(f"1-{number}", agent=agent) for number in range(5)]
    when(mux_run, at_work(mux_run, *(story.plan.key for story in stories)), mux_run.world.kill_server)

    def stop() -> None:
        assert mux_run.engine is not None
        mux_run.engine.switch.deliver(SIGTERM)

    # All five are known to have ended by then, and the first is about to make room for its next attempt.
    stopped = mux_run(*stories, max_parallel=5, session_timeout_s=500, checkpoint=at_step("kill", stop))
    report = mux_run.resume()

    assert stopped.status is RunStatus.STOPPED
    assert [stopped.task(story.plan.key).phase for story in stories] == ["running"] * 5
    assert [stopped.task(story.plan.key).outcomes for story in stories] == [["crashed"]] * 5
    (lost,) = report.events("server-lost")
    assert sorted(lost["tasks"]) == [story.plan.key for story in stories]
    assert report.status is RunStatus.FINISHED
    assert [report.task(story.plan.key).outcomes for story in stories] == [["crashed", "completed"]] * 5
    assert report.leftovers == []


def test_server_killed_under_the_last_attempts_leaves_nothing_running(mux_run: Stage) -> None:
    """The loss uses up none, the end of the next one does: the tasks are deferred then, and nobody is shown at work."""
    when(mux_run, at_work(mux_run, "1-1", "1-2"), mux_run.world.kill_server)
    agent = ScriptedAgent.attempts(works(1000), exits(3))
    stories = [task(key, agent=agent) for key in ("1-1", "1-2")]
    report = mux_run(*stories, max_parallel=2, max_attempts=1, retry_deferred="never")

    assert report.exit_code == 1
    assert [report.task(key).phase for key in ("1-1", "1-2")] == ["deferred", "deferred"]
    assert "0/2 done, 2 deferred" in report.list_row
    assert len(report.events("server-lost")) == 1


@pytest.mark.faults("new_window=1*pass->1*timeout(3)")
def test_server_killed_between_a_listing_and_a_launch_is_told_although_its_ids_are_others_by_then(
    mux_run: Stage,
) -> None:
    """The launch starts the next server, whose first window has the id of one that went: nobody takes it for that one."""
    stories = [
        task("1-1", agent=ScriptedAgent.attempts(works(1000), completes())),
        task("1-2", agent=works(6).then_completes()),
    ]
    # The second launch came to nothing, and is made again: by a tick that has just seen the first one's window.
    killed = at_step("session", mux_run.world.kill_server, nth=3)
    report = mux_run(*stories, max_parallel=2, session_timeout_s=100, checkpoint=killed)

    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in ("1-1", "1-2")] == [["crashed", "completed"], ["completed"]]
    assert [event["tasks"] for event in report.events("server-lost")] == [["1-1"]]
    started = [(event["task"], event["window"]) for event in report.events("session-started")]
    assert started[1][0] == "1-2"
    # On a live host there may be a window more, of the client that asks.
    assert not report.virtual or started[1][1] == started[0][1]


@pytest.mark.simulated("when a window cannot be ended is known to the second on a simulated host only")
@pytest.mark.faults("new_window=1*pass->1*timeout(3);kill_window=4*empty")
def test_server_killed_while_a_window_of_it_was_to_be_ended_costs_no_other_its_window(mux_run: Stage) -> None:
    """What is left to be killed went with its server; the launch that has its id on the next one goes on."""
    stories = [task("1-1", agent=works(1).then_completes()), task("1-2", agent=works(6).then_completes())]
    killed = at_step("session", mux_run.world.kill_server, nth=3)
    report = mux_run(*stories, max_parallel=2, session_timeout_s=100, checkpoint=killed)

    started = [(event["task"], event["window"]) for event in report.events("session-started")]
    assert started == [("1-1", "@1"), ("1-2", "@1")]
    assert [report.task(key).outcomes for key in ("1-1", "1-2")] == [["completed"], ["completed"]]


@pytest.mark.worlds("simulated-tmux", "tmux-process")
def test_socket_unlinked_is_unknown_until_the_server_has_made_it_anew(mux_run: Stage) -> None:
    """Nothing is concluded from it: the server is told to make its socket anew, and goes on with the agents that it has."""
    world, servers = mux_run.world, list[ServerIdentity | None]()

    def cut() -> None:
        servers.append(world.multiplexer().server_identity())
        cut_socket(world)

    steps = both(
        at_step("listing", cut, nth=2),
        at_step("clean-up", lambda: servers.append(world.multiplexer().server_identity())),
    )
    stories = [task("1-1", agent=works(5).then_completes()), task("1-2", agent=completes(), needs=["1-1"])]
    report = mux_run(*stories, checkpoint=steps)

    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in ("1-1", "1-2")] == [["completed"], ["completed"]]
    assert "told to make its socket anew" in report.events("transport-degraded")[0]["why"]
    assert report.events("transport-recovered")
    assert len(servers) == 2
    assert len(set(servers)) == 1


def crashed_while_stopped(stage: Stage) -> Report:
    """A run that crashes while its server is stopped, so that its session is left."""
    stopped = at_step("decide", stage.world.freeze, nth=3)
    settings = {"session_timeout_s": 300, "call_timeout_s": 5, "stop_grace_s": 2}
    agent = ScriptedAgent.attempts(works(1000), completes())
    faults = "engine.decide=4*pass->1*raise(RuntimeError)"
    return stage(task("1-1", agent=agent), checkpoint=stopped, faults=faults, **settings)


@pytest.mark.worlds("simulated-tmux", "tmux")
def test_socket_unlinked_while_nobody_drove_the_run_is_there_again_in_its_resume(mux_run: Stage) -> None:
    """What the last epoch left is found and ended in the server that it was left in."""
    crashed = crashed_while_stopped(mux_run)
    mux_run.world.thaw()
    cut_socket(mux_run.world)
    report = mux_run.resume()

    assert crashed.teardown == "unconfirmed"
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["stopped", "completed"]
    assert report.leftovers == []
    assert not [entry for entry in report.ledger if entry["what"] == "overlap"]


@pytest.mark.worlds("simulated-tmux", "tmux")
def test_socket_unlinked_of_a_stopped_server_pauses_a_resume_and_starts_no_second_one(mux_run: Stage) -> None:
    """What the last epoch left cannot be ended: the resume waits, then pauses; the next one, once it is thawed, finishes."""
    plan = crashed_while_stopped(mux_run).plan
    cut_socket(mux_run.world)
    paused = mux_run.resume(replace(plan, session_timeout_s=10))
    mux_run.world.thaw()
    report = mux_run.resume(plan)

    assert paused.status is RunStatus.PAUSED
    assert paused.events("run-paused")[0]["stage"] == "multiplexer-unreachable"
    assert "transport.new-session" not in paused.reached
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []


@pytest.mark.worlds("tmux")
def test_socket_in_a_directory_that_others_can_enter_pauses_a_resume_at_once_and_says_why(mux_run: Stage) -> None:
    """Waiting makes no directory private: the pause carries the refusal and what to do, and once that is done it goes on."""
    crashed_while_stopped(mux_run)
    mux_run.world.thaw()
    place = socket_directory_of(mux_run.world)
    place.chmod(0o755)
    try:
        paused = mux_run.resume()
    finally:
        place.chmod(0o700)
    report = mux_run.resume()

    reason = paused.verdict.reason
    assert paused.status is RunStatus.PAUSED
    assert f"has_session is refused: the socket's directory can be entered by others (chmod 700 it): {place}" in reason
    assert reason.endswith("; `seamripper doctor` shows what to mend, then resume")
    assert paused.elapsed_s < paused.plan.session_timeout_s / 2
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []


@pytest.mark.worlds("tmux")
def test_socket_in_a_directory_that_others_can_enter_pauses_a_fresh_run_and_says_why(mux_run: Stage) -> None:
    """No task is given up over it, none is tried for long, and once it is private a resume carries all of them out."""
    place = socket_directory_of(mux_run.world)
    place.mkdir(mode=0o700, exist_ok=True)
    place.chmod(0o755)
    try:
        paused = mux_run(task("1-1", agent=completes()), task("1-2", agent=completes()))
    finally:
        place.chmod(0o700)
    report = mux_run.resume()

    reason = paused.verdict.reason
    assert paused.status is RunStatus.PAUSED
    assert f"has_session is refused: the socket's directory can be entered by others (chmod 700 it): {place}" in reason
    assert reason.endswith("; `seamripper doctor` shows what to mend, then resume")
    assert not paused.events("task-deferred")
    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes[-1] for key in ("1-1", "1-2")] == ["completed", "completed"]
    assert report.leftovers == []


@pytest.mark.worlds("simulated-tmux", "tmux")
def test_server_replaced_by_somebody_elses_is_left_alone(mux_run: Stage) -> None:
    """A session of our name with windows of our ids in another server is not ours: ours has crashed, theirs is untouched."""
    world = mux_run.world
    when(mux_run, at_work(mux_run), lambda: replace_server(world, mux_run.run_dir.name))
    report = mux_run(task("1-1", agent=ScriptedAgent.attempts(works(1000), completes())), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert report.events("session-renamed")
    assert foreign_windows(world, mux_run.run_dir.name) == {"@0": "", "@1": ""}


@pytest.mark.worlds("simulated-tmux", "tmux")
def test_server_replaced_before_a_nudge_gets_nothing_typed(mux_run: Stage) -> None:
    """What is meant for an agent of ours is never typed into a window of another server that has its id."""
    world = mux_run.world
    report = mux_run(
        task("1-1", agent=ScriptedAgent.attempts(works(2).then_stops().then_idles(), completes())),
        checkpoint=at_step("nudge", lambda: replace_server(world, mux_run.run_dir.name)),
        max_attempts=1,
        retry_deferred="never",
    )

    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert [event["outcome"] for event in report.events("nudge")] == ["unconfirmed: TargetMissing"]
    assert foreign_windows(world, mux_run.run_dir.name) == {"@0": "", "@1": ""}


@pytest.mark.worlds("simulated-tmux", "tmux")
def test_server_replaced_before_a_window_is_ended_loses_none_of_its_own(mux_run: Stage) -> None:
    """The window of a session that is over went with our server: nothing of another one is killed in its place."""
    world = mux_run.world
    replaced = at_step("kill", lambda: replace_server(world, mux_run.run_dir.name))
    report = mux_run(task("1-1", agent=works(1).then_completes()), checkpoint=replaced)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert foreign_windows(world, mux_run.run_dir.name) == {"@0": "", "@1": ""}


def another_runs_windows(world: World) -> list[str]:
    """The server dies, and another run of the same root starts the next one: its windows, with the ids that ours had."""
    other, ours = world.multiplexer(), world.multiplexer().server_identity()
    process = None if ours is None else world.processes.identify(ours.pid)
    assert process is not None
    world.kill_server()
    eventually(lambda: world.processes.liveness(process) is Liveness.DEAD, world.clock, 300)
    other.new_session("other", world.project)
    theirs = [other.new_window("other", f"w{number}", world.project, {}, "cat") for number in range(3)]
    for window in theirs:
        other.pipe_pane(window, world.project / "theirs.log")
    return theirs


@pytest.mark.parametrize("faults", ["", "server_identity=1*timeout(5)"], ids=["told", "untold"])
@pytest.mark.parametrize("step", ["mark", "nudge", "kill"])
def test_server_that_another_run_has_started_is_not_taken_for_the_one_that_went(
    mux_run: Stage, step: str, faults: str
) -> None:
    """Its windows have our ids: nothing is typed into them, none of them is ended or marked, and the loss is told.

    So it is where nobody told at first which server had the session; only that it has gone cannot be told if nobody ever did.
    """
    world = mux_run.world
    theirs: list[str] = []
    agent = works(2).then_completes() if step == "kill" else works(2).then_stops().then_idles()
    report = mux_run(
        task("1-1", agent=ScriptedAgent.attempts(agent, completes())),
        checkpoint=at_step(step, lambda: theirs.extend(another_runs_windows(world))),
        max_attempts=1,
        retry_deferred="never",
        faults=faults,
    )

    other, log = world.multiplexer(), world.disk.info(world.project / "theirs.log")
    assert report.events("session-started")[0]["window"] in theirs
    assert {*theirs} < {*other.list_window_ids("other")}
    assert [other.show_window_option(window, TOKEN_OPTION) for window in theirs] == ["", "", ""]
    assert log is None or log.size == 0
    never_told = bool(faults) and step == "mark"
    made_good = [] if never_told or step == "kill" else ["completed"]
    assert report.task("1-1").outcomes == ["completed" if step == "kill" else "crashed", *made_good]
    assert len(report.events("server-lost")) == (step != "kill" and not never_told)


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
