"""The command in a real terminal: finished, stopped, killed, detached. Real processes, and a server of their own."""

from __future__ import annotations

import json
import signal as signal_module
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.tmux import TmuxMultiplexer
from harness.agents import works
from harness.commands.server import CONTROL
from harness.commands.shells import Shell
from harness.record import RunStatus
from harness.world import World

pytestmark = pytest.mark.live(scale=1)


@pytest.fixture
def shell(mux_world: World) -> Iterator[Shell]:
    """A shell whose runs and server end with the test."""
    made = Shell(mux_world)
    try:
        yield made
    finally:
        made.close()


SOON = works(0.5).then_completes()
LONG = works(30).then_completes()


def test_a_run_in_a_terminal_shows_its_tasks_and_leaves_no_server(shell: Shell) -> None:
    """The screen shows what goes on, the end is told, the exit code is 0, and the private server is gone."""
    child = shell.spawn("run", shell.plan(SOON, SOON))

    child.expect("1-1.*running")
    code, screen = shell.ended(child)

    assert code == 0
    assert "FINISHED" in screen
    assert shell.starts() == ["1-1", "1-2"]
    assert shell.is_server_gone()


def test_ctrl_c_in_the_terminal_stops_the_run(shell: Shell) -> None:
    """One Ctrl-C: STOPPED, exit code 130, the session gone, the agent with it."""
    child = shell.spawn("run", shell.plan(LONG))
    shell.wait_for_start("1-1")

    child.sendintr()
    code, screen = shell.ended(child)

    assert code == 130
    assert "STOPPED: by SIGINT" in screen
    status = shell.status()
    assert (status["status"], status["state"]["teardown"]) == (RunStatus.STOPPED, "torn-down")
    assert shell.is_server_gone()
    token = shell.ledger("start")[0]["token"]
    assert shell.world.processes.carrying("SEAMRIPPER_TOKEN", token) == []


def test_a_killed_engine_is_interrupted_and_resumes_without_repeating(shell: Shell) -> None:
    """SIGKILL half-way: `status` says INTERRUPTED, `resume` ends what is left, does the rest, and repeats nothing."""
    child = shell.spawn("run", shell.plan(SOON, works(2).then_completes(), SOON))
    shell.wait_for_start("1-2")
    engine = shell.world.processes.identify(child.pid or 0)
    assert engine is not None
    shell.world.processes.signal(engine, signal_module.SIGKILL)
    shell.ended(child)

    status = shell.status()
    assert status["status"] == RunStatus.INTERRUPTED
    assert "attach" not in status["hints"]
    assert "resume" in status["hints"]
    resumed = shell.run("resume", status["run_id"])

    assert resumed.status == 0, resumed.stderr
    assert shell.status()["status"] == RunStatus.FINISHED
    assert shell.starts().count("1-1") == 1
    assert shell.ledger("overlap") == []
    assert shell.is_server_gone()


def test_crash_in_detached_window_survives_the_window(shell: Shell) -> None:
    """The engine in a parked window raises, the window is pruned: the record and CRASHED are still there."""
    plan = shell.plan(SOON)
    started = shell.run("run", plan, "--detach", "--faults", "engine.outcome=1*raise(RuntimeError)", "--json")
    assert started.status == 0, started.stderr
    run = json.loads(started.stdout)
    shell.eventually(lambda: shell.status()["status"] == RunStatus.CRASHED)
    shell.eventually(lambda: shell.multiplexer.window_exit(run["window"]) is not None)

    assert str(shell.multiplexer.window_exit(run["window"])) == "exit 70"
    shell.multiplexer.kill_session(CONTROL)

    status = shell.status()
    assert (status["run_id"], status["status"]) == (run["run_id"], RunStatus.CRASHED)
    assert (Path(run["run_dir"]) / "crash.txt").is_file()
    assert shell.run("resume", run["run_id"]).status == 0
    assert shell.is_server_gone()


def test_a_detached_run_whose_window_is_killed_has_stopped(shell: Shell) -> None:
    """The terminal of a detached run hangs up: that is a stop by SIGHUP, not a crash, and nothing goes on."""
    started = shell.run("run", shell.plan(LONG), "--detach")
    assert started.status == 0, started.stderr
    shell.wait_for_start("1-1")

    shell.multiplexer.kill_session(CONTROL)
    shell.eventually(lambda: shell.status()["status"] == RunStatus.STOPPED)

    ending = shell.status()["state"]["ending"]
    assert (ending["by"], ending["signum"]) == ("SIGHUP", signal_module.SIGHUP)


def test_a_detached_run_whose_server_is_killed_has_stopped_and_resumes(shell: Shell) -> None:
    """The server takes the driver's own window along: a stop by SIGHUP that tells of the loss once, and nothing runs twice."""
    agents = [works(4).then_completes()] * 2
    started = shell.run("run", shell.plan(*agents, max_parallel=2), "--detach", "--json")
    assert started.status == 0, started.stderr
    for key in ("1-1", "1-2"):
        shell.wait_for_start(key)
    server = shell.multiplexer.server_identity()
    assert server is not None
    process = shell.world.processes.identify(server.pid)
    assert process is not None

    shell.world.processes.signal(process, signal_module.SIGKILL)
    shell.eventually(lambda: shell.status()["state"]["teardown"] == "torn-down")

    run = json.loads(started.stdout)
    lines = (Path(run["run_dir"]) / "journal.jsonl").read_text().splitlines()
    lost = [entry for entry in map(json.loads, lines) if entry["event"] == "server-lost"]
    assert [sorted(entry["tasks"]) for entry in lost] == [["1-1", "1-2"]]
    status = shell.status()
    assert (status["status"], status["state"]["ending"]["by"]) == (RunStatus.STOPPED, "SIGHUP")
    resumed = shell.run("resume", run["run_id"])
    assert resumed.status == 0, resumed.stderr
    assert shell.ledger("overlap") == []
    assert shell.is_server_gone()


def test_a_program_that_only_looks_keeps_no_server(shell: Shell) -> None:
    """Its control client is attached to a session of its own, which nobody needs: the run's server ends with the run."""
    child = shell.spawn("run", shell.plan(works(2).then_completes()))
    shell.wait_for_start("1-1")
    looking = TmuxMultiplexer(root=shell.root, environment=shell.environment, transport_kind="control")
    assert looking.list_sessions()
    assert looking.list_sessions()
    clients = shell.tmux("list-clients", "-F", "#{client_pid}").split()

    code, _ = shell.ended(child)

    assert clients
    assert code == 0
    assert shell.is_server_gone()
    assert looking.list_sessions() == []
    looking.disconnect()
