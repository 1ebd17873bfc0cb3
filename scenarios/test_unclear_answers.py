"""Answers that are none: what the multiplexer's client says while nothing is proven, and what it says when something is."""

from __future__ import annotations

import pytest

from backends.processes import Liveness
from harness.agents import ScriptedAgent, completes, task, works
from harness.incidents import at_work, simulated, socket_directory_of, when
from harness.record import RunStatus
from harness.runner import Stage
from harness.waiting import eventually

UNCLEAR = {
    "lost-server": 'exit(1, "lost server")',
    "version": 'exit(1, "protocol version mismatch (client 8, server 7)")',
    "permission": 'exit(1, "error connecting to /sim/socket (Permission denied)")',
    "exited": 'exit(1, "server exited unexpectedly")',
    "nothing": 'exit(1, "")',
    "not-utf-8": 'exit(1, "can\'t find session: \\udcff\\udcfe")',
    "two-lines": 'exit(1, "can\'t find session: run-1\\nlost server")',
    "no-program": 'exit(127, "")',
    "killed": 'exit(-9, "")',
    "success-of-nothing": "empty",
    "garbage": "undecodable",
}


@pytest.mark.worlds("simulated-tmux")
@pytest.mark.parametrize("said", list(UNCLEAR))
def test_rc1_is_not_gone_while_nothing_is_proven(mux_run: Stage, said: str) -> None:
    """A client that fails says nothing about a window: for as long as it does the session is unknown, and then completes."""
    report = mux_run(
        task("1-1", agent=works(10).then_completes()), faults=f"transport.list-windows=3*pass->4*{UNCLEAR[said]}"
    )

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.events("transport-degraded")[0]["operation"] == "list_window_ids"
    assert report.events("transport-recovered")


@pytest.mark.worlds("simulated-tmux")
@pytest.mark.parametrize("said", list(UNCLEAR))
def test_rc1_is_not_gone_for_good_either(mux_run: Stage, said: str) -> None:
    """A client that fails from some moment on costs the session its deadline: timed out and paused, never crashed."""
    report = mux_run(
        task("1-1", agent=works(1000)), faults=f"transport.*=30*pass->{UNCLEAR[said]}", session_timeout_s=20
    )

    assert report.task("1-1").outcomes == ["timed_out"]
    assert report.status is RunStatus.PAUSED
    assert report.events("run-paused")[0]["stage"] == "multiplexer-unreachable"


@pytest.mark.worlds("tmux")
def test_rc1_is_not_gone_on_a_live_server(mux_run: Stage) -> None:
    """The same on a live server: a client that says `lost server` four times has lost no window."""
    report = mux_run(
        task("1-1", agent=works(5).then_completes()), faults='transport.list-windows=3*pass->4*exit(1, "lost server")'
    )

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]


@pytest.mark.worlds("simulated-tmux")
@pytest.mark.parametrize("socket", ["there", "gone"])
def test_limbo_of_a_server_that_is_proven_dead_ends_within_two_probes(mux_run: Stage, socket: str) -> None:
    """A dead server is no hanging one: with its socket or without, the session has crashed two polls later."""
    world = simulated(mux_run.world)

    def end() -> None:
        world.kill_server()
        world.server.socket_unlinked = socket == "gone"

    mux_run.at(7, end)
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), max_attempts=1, retry_deferred="never", poll_s=3)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["crashed", "completed"]
    began, ended = (report.events(name)[0]["at"] for name in ("run-started", "session-ended"))
    assert ended - began <= 7 + 2 * 3
    assert not report.events("transport-degraded")


@pytest.mark.worlds("tmux")
def test_limbo_on_a_live_host_ends_and_the_next_attempt_has_a_server_again(mux_run: Stage) -> None:
    """The server is dead, its directory gone with socket and record: crashed, and made good on a server that is made anew."""
    world = mux_run.world

    def end() -> None:
        server = world.multiplexer().server_identity()
        process = None if server is None else world.processes.identify(server.pid)
        assert process is not None
        world.kill_server()
        eventually(lambda: world.processes.liveness(process) is Liveness.DEAD, world.clock, 300)
        world.disk.remove_tree(socket_directory_of(world))

    when(mux_run, at_work(mux_run), end)
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), session_timeout_s=300)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert not report.events("transport-degraded")
    assert len(report.events("server-lost")) == 1


@pytest.mark.worlds("fake", "simulated-tmux")
def test_limbo_after_a_reboot_ends_with_the_first_resume(mux_run: Stage) -> None:
    """After a reboot nothing of the run can be left: INTERRUPTED, and a resume that waits for nobody finishes it."""
    world = simulated(mux_run.world)
    killed = mux_run(task("1-1", agent=works(5).then_completes()), faults="engine.decide=3*pass->1*die")
    world.kill_server()
    world.server.socket_unlinked = True
    world.processes.reboot()
    report = mux_run.resume()

    assert killed.status is RunStatus.INTERRUPTED
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["stopped", "completed"]
    assert report.elapsed_s <= 5 + 3
    assert world.processes.sent == []
