"""Windows that come late, do not go, belong to others, or outlive their agents."""

from __future__ import annotations

import pytest

from backends.base import TerminalMultiplexer
from harness.agents import ScriptedAgent, completes, task, works
from harness.incidents import at_step, at_work, simulated, split_off_shell, stop_when, when, window_of
from harness.record import RunStatus
from harness.runner import Stage
from harness.waiting import eventually


@pytest.mark.simulated("a live host makes one of them below")
@pytest.mark.parametrize("fault", ["1*lost:timeout(3)", "1*lost:empty", "1*timeout(3)", "1*empty"])
def test_ghost_window_is_adopted_or_made_once(mux_run: Stage, fault: str) -> None:
    """Whether or not a window came of a launch that nobody confirmed, one agent is started for it."""
    report = mux_run(task("1-1", agent=works(3).then_completes()), faults=f"new_window={fault}")

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert [entry["what"] for entry in report.ledger].count("start") == 1
    assert bool(report.events("launch-adopted")) == ("lost" in fault)


@pytest.mark.worlds("tmux")
@pytest.mark.faults("new_window=1*lost:timeout(3)")
def test_ghost_window_on_a_live_host_is_adopted(mux_run: Stage) -> None:
    """A real window whose id was lost is found by its name, and no other one is opened."""
    report = mux_run(task("1-1", agent=works(3).then_completes()))

    assert report.task("1-1").outcomes == ["completed"]
    assert [entry["what"] for entry in report.ledger].count("start") == 1
    assert report.events("launch-adopted")


def test_ghost_window_of_a_server_that_goes_on_later_is_one_agent(mux_run: Stage) -> None:
    """A server that is stopped when the window is asked for, and makes it after the call was given up: one agent."""

    def freeze() -> None:
        mux_run.world.freeze()
        mux_run.at(8, mux_run.world.thaw)

    report = mux_run(
        task("1-1", agent=works(3).then_completes()),
        checkpoint=at_step("open-window", freeze),
        call_timeout_s=3,
    )

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert [entry["what"] for entry in report.ledger].count("start") == 1
    assert report.events("launch-unanswered")


@pytest.mark.simulated("an agent that is to be started minutes late would keep a live host for minutes")
def test_ghost_window_that_comes_when_nobody_waits_any_more_is_ended(mux_run: Stage) -> None:
    """The run has paused when its window appears: the resume ends it before it starts another one."""
    paused = mux_run(
        task("1-1", agent=works(30).then_completes()),
        checkpoint=at_step("open-window", mux_run.world.freeze),
        session_timeout_s=60,
        call_timeout_s=5,
    )
    mux_run.world.thaw()
    report = mux_run.resume()

    assert paused.status is RunStatus.PAUSED
    assert paused.task("1-1").outcomes == ["unreachable"]
    assert report.task("1-1").outcomes == ["unreachable", "completed"]
    assert not [entry for entry in report.ledger if entry["what"] == "overlap"]


@pytest.mark.simulated("a live host has one kill swallowed below")
@pytest.mark.parametrize("failure", ["empty", 'exit(1, "lost server")', "oserror(EAGAIN)", "timeout(1)"])
def test_swallowed_kill_keeps_the_second_attempt_waiting(mux_run: Stage, failure: str) -> None:
    """Attempt 2 starts when attempt 1 is proven gone, however often the kill of its window came to nothing."""
    first = works(1000).ignoring_signals("SIGTERM", "SIGHUP")
    report = mux_run(
        task("1-1", agent=ScriptedAgent.attempts(first, completes())),
        faults=f"kill_window=4*{failure}",
        session_timeout_s=8,
        stop_grace_s=3,
    )

    starts = [entry["at"] for entry in report.ledger if entry["what"] == "start"]
    (gone,) = [event["at"] for event in report.events("session-gone") if event["number"] == 1]
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["timed_out", "completed"]
    assert starts[0] < gone <= starts[1]


@pytest.mark.worlds("tmux")
@pytest.mark.faults("kill_window=2*empty")
def test_swallowed_kill_on_a_live_host_lets_no_two_agents_meet(mux_run: Stage) -> None:
    """The kernel's own lock on the task says whether the second agent began beside the first."""
    first = works(1000).ignoring_signals("SIGTERM", "SIGHUP")
    report = mux_run(task("1-1", agent=ScriptedAgent.attempts(first, completes())), session_timeout_s=4, stop_grace_s=2)

    assert report.task("1-1").outcomes == ["timed_out", "completed"]
    assert not [entry for entry in report.ledger if entry["what"] == "overlap"]


def test_prefix_target_of_a_run_that_is_gone_is_no_other_run(mux_run: Stage, mux: TerminalMultiplexer) -> None:
    """When `run-1` is ended from outside, `run-10` is neither taken for it nor touched."""
    seen: list[list[str]] = []
    other = ""

    def end() -> None:
        nonlocal other
        other = f"{mux_run.run_dir.name}0"
        mux.new_session(other, mux_run.world.project)
        mux.kill_session(mux_run.run_dir.name)
        seen.append(mux.list_window_ids(other))

    when(mux_run, at_work(mux_run), end)
    report = mux_run(task("1-1", agent=ScriptedAgent.attempts(works(1000), completes())), session_timeout_s=200)

    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert [mux.list_window_ids(other)] == seen
    assert mux.window_alive(other, seen[0][0])


def test_dead_agent_live_shell_cannot_be_because_the_agent_is_the_window(mux_run: Stage) -> None:
    """No shell stands between a window and its agent, so that an agent which dies takes its window along."""
    report = mux_run(
        task("1-1", agent=works(3).then_dies(signal="SIGKILL")), max_attempts=1, retry_deferred="never", poll_s=2
    )

    assert report.state is not None
    (window,) = [ref.pid for ref in report.state.task("1-1").attempts[0].pids]
    (agent,) = [entry["pid"] for entry in report.ledger if entry["what"] == "start"]
    assert window == agent
    assert report.task("1-1").outcomes == ["crashed"]
    if report.virtual:
        assert report.elapsed_s <= 3.1 + 2 * 2 + 1


@pytest.mark.worlds("tmux")
def test_dead_agent_live_shell_in_a_pane_that_somebody_split_off_is_seen(mux_run: Stage) -> None:
    """A shell that a person opened beside the agent keeps the window, and not the session, alive."""
    when(mux_run, at_work(mux_run), lambda: split_off_shell(mux_run.world, window_of(mux_run, "1-1")))
    report = mux_run(task("1-1", agent=works(6).then_dies(code=3)), max_attempts=1, retry_deferred="never")

    assert report.task("1-1").outcomes == ["crashed"]
    assert "exit 3" in report.task("1-1").reason
    assert report.elapsed_s <= 60


def test_survivor_tree_of_an_agent_does_not_survive_its_session(mux_run: Stage) -> None:
    """Children that have left the terminal or their parent, and ignore what is polite, are ended with the session."""
    seen: list[int] = []

    def look() -> None:
        token = mux_run.store().load().state.task("1-1").attempts[0].token
        seen.extend(one.pid for one in mux_run.world.processes.carrying("SEAMRIPPER_TOKEN", token))

    agent = (
        works(1)
        .then_leaves_child(1000)
        .then_leaves_child(1000, ignore=["SIGHUP"])
        .then_leaves_child(1000, setsid=True)
        .then_leaves_child(1000, setsid=True, orphan=True, ignore=["SIGTERM", "SIGHUP", "SIGINT"])
        .then_leaves_child(1000, setsid=True, ignore=["SIGTERM", "SIGHUP", "SIGINT"])
        .then_completes()
    )
    report = mux_run(task("1-1", agent=agent), checkpoint=at_step("kill", look), stop_grace_s=3)

    assert report.status is RunStatus.FINISHED
    assert len(seen) == 6
    assert report.leftovers == []
    if report.virtual:
        assert report.elapsed_s >= 1 + 3


@pytest.mark.worlds("fake", "tmux-process")
def test_survivor_tree_of_a_lost_server_costs_nobody_the_window_that_has_its_id_by_now(mux_run: Stage) -> None:
    """While what an agent left is being ended, the next server gives the id of its window to another agent, who lives."""
    world = mux_run.world
    stubborn = works(1).then_leaves_child(1000, setsid=True, ignore=["SIGTERM", "SIGHUP"]).then_works(1000)
    stories = [
        task("1-1", agent=ScriptedAgent.attempts(stubborn, completes())),
        task("1-2", agent=ScriptedAgent.attempts(works(1000), works(4).then_completes())),
    ]

    def has_child() -> bool:
        known = at_work(mux_run, "1-1", "1-2")()
        token = mux_run.store().load().state.task("1-1").attempts[0].token if known else ""
        return known and len(world.processes.carrying("SEAMRIPPER_TOKEN", token)) > 1

    when(mux_run, has_child, world.kill_server)
    report = mux_run(*stories, max_parallel=2, session_timeout_s=200, stop_grace_s=8)

    assert [report.task(key).outcomes for key in ("1-1", "1-2")] == [["crashed", "completed"]] * 2
    started = [(event["task"], event["window"]) for event in report.events("session-started")]
    assert started[2] == ("1-2", started[0][1])
    assert report.leftovers == []


@pytest.mark.worlds("tmux")
@pytest.mark.parametrize("ending", ["finished", "stopped", "crashed"])
def test_survivor_tree_of_somebody_else_lives_on_beside_a_live_run(mux_run: Stage, ending: str) -> None:
    """A process of another launch, and one that only names the run, outlive it; every one of the agent's is ended."""
    table = mux_run.world.processes
    marks = [{"SEAMRIPPER_TOKEN": "0" * 32}, {"SEAMRIPPER_RUN": "run-1", "SEAMRIPPER_TASK": "1-1"}]
    theirs = [table.start(["sleep", "600"], timeout_s=6000, newest=0, variables=mark) for mark in marks]
    agent = works(1).then_leaves_child(1000, setsid=True, orphan=True, ignore=["SIGTERM", "SIGHUP"])
    if ending == "stopped":
        stop_when(mux_run, at_work(mux_run))
    faults = "engine.decide=3*pass->1*raise(RuntimeError)" if ending == "crashed" else ""
    try:
        left = 2 if ending == "finished" else 1000
        report = mux_run(task("1-1", agent=agent.then_works(left).then_completes()), faults=faults)
        assert report.status.value == ending.upper()
        eventually(lambda: mux_run.leftovers() == [], mux_run.world.clock, 300)
        assert [job.poll() for job in theirs] == [None, None]
    finally:
        for job in theirs:
            job.end()


@pytest.mark.simulated("whose processes they are is known for certain on a simulated host only")
@pytest.mark.parametrize("ending", ["finished", "stopped", "crashed"])
def test_survivor_tree_of_somebody_else_is_not_touched(mux_run: Stage, ending: str) -> None:
    """However a run ends, no process that does not carry its token or descend from its windows gets a signal."""
    table = simulated(mux_run.world).processes
    theirs = [table.spawn({"SEAMRIPPER_TOKEN": "0" * 32}), table.spawn({"SEAMRIPPER_RUN": "/sim/runs/run-1"})]
    agent = works(2).then_leaves_child(1000, setsid=True, ignore=["SIGTERM"]).then_works(2).then_completes()
    if ending == "stopped":
        mux_run.stop_at(3, 15)
    faults = "engine.decide=3*pass->1*raise(RuntimeError)" if ending == "crashed" else ""
    report = mux_run(task("1-1", agent=agent), faults=faults)

    assert report.status.value == ending.upper()
    assert report.leftovers == []
    assert not {one.pid for one in theirs} & {pid for pid, _ in table.sent}
    assert all(table.liveness(one).name == "ALIVE" for one in theirs)
