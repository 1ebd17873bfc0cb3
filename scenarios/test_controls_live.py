"""Stopping, attaching and tidying up on a real host: other processes, a real terminal, a real server with others on it."""

from __future__ import annotations

import json
import os
import signal as signal_module
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest

from backends.processes import Liveness
from harness.agents import ScriptedAgent, works
from harness.commands.server import CONTROL
from harness.commands.shells import Shell
from harness.record import RunStatus
from harness.world import World

pytestmark = [pytest.mark.live(scale=1), pytest.mark.timeout(240)]

SOON = works(0.5).then_completes()
LONG = works(60).then_completes()
TALKS = works(0.5).then_says("HELLO-FROM-INSIDE").then_works(60).then_completes()


@pytest.fixture
def shell(mux_world: World) -> Iterator[Shell]:
    """A shell whose runs and server end with the test."""
    made = Shell(mux_world)
    try:
        yield made
    finally:
        made.close()


def detached(shell: Shell, *agents: ScriptedAgent, at_work: str = "1-1", **settings: Any) -> str:
    """A run that is driven in a window of its own, once its agent is at work on that task; its id."""
    answer = shell.run("run", shell.plan(*agents, **settings), "--detach", "--json")
    assert answer.status == 0, answer.stderr
    shell.wait_for_start(at_work)
    run_id: str = json.loads(answer.stdout)["run_id"]
    return run_id


def assert_nothing_is_left(shell: Shell) -> None:
    """No agent, no engine, no window, no socket, and no file that somebody was preparing."""
    shell.eventually(shell.is_server_gone)
    tokens = {entry["token"] for entry in shell.ledger("start")}
    assert shell.world.processes.carrying("SEAMRIPPER_TOKEN", *tokens) == []
    names = [path.name for path in shell.root.rglob("*")]
    assert [
        name for name in names if name.endswith((".tmp", ".draft")) or name in ("run.lock", "STOP-GRACEFULLY")
    ] == []


def test_a_run_in_a_terminal_can_be_stopped_from_another_one(shell: Shell) -> None:
    """Its terminal shows that it was stopped, with the exit code of the signal; the other one is told as well."""
    child = shell.spawn("run", shell.plan(LONG))
    shell.wait_for_start("1-1")

    answer = shell.run("stop", shell.status()["run_id"])
    code, screen = shell.ended(child)

    assert (answer.status, answer.stderr) == (0, b"")
    assert "■ stopped - by SIGTERM" in answer.stdout.decode()
    assert code == 128 + signal_module.SIGTERM
    assert "STOPPED: by SIGTERM" in screen
    assert_nothing_is_left(shell)


def test_a_stopped_detached_run_leaves_no_window_and_no_server(shell: Shell) -> None:
    """Whoever stops it has seen how it ended: nothing waits for a key any more."""
    run_id = detached(shell, LONG)

    assert shell.run("stop", run_id, "--json").status == 0
    assert_nothing_is_left(shell)
    assert shell.status()["status"] == RunStatus.STOPPED


def test_a_graceful_stop_lets_the_agent_finish_and_a_resume_does_the_rest(shell: Shell) -> None:
    """The task at work is done, the next one was never begun."""
    run_id = detached(shell, works(15).then_completes(), SOON)

    assert shell.run("stop", run_id, "--graceful").status == 0

    assert [task["phase"] for task in shell.status()["state"]["tasks"]] == ["done", "pending"]
    assert shell.run("resume", run_id).status == 0
    assert shell.starts() == ["1-1", "1-2"]
    assert_nothing_is_left(shell)


STUBBORN = LONG.ignoring_signals("SIGTERM", "SIGHUP", "SIGINT")


def test_a_stop_now_ends_an_agent_that_heeds_no_signal(shell: Shell) -> None:
    """A grace of a minute is not waited for."""
    run_id = detached(shell, STUBBORN, stop_grace_s=60.0)
    began = shell.world.clock.monotonic()

    answer = shell.run("stop", run_id, "--now")

    assert answer.status == 0, answer.stdout
    assert shell.world.clock.monotonic() - began < 20
    assert_nothing_is_left(shell)


def test_a_second_ctrl_c_in_the_terminal_forces_the_stop(shell: Shell) -> None:
    """The first one is tidy and takes its time; exit code 130 both ways, and no traceback."""
    child = shell.spawn("run", shell.plan(STUBBORN, stop_grace_s=60.0))
    shell.wait_for_start("1-1")
    began = shell.world.clock.monotonic()

    child.sendintr()
    shell.eventually(lambda: "run-stopped" in (shell.root / shell.status()["run_id"] / "journal.jsonl").read_text())
    child.sendintr()
    code, screen = shell.ended(child)

    assert code == 130
    assert "STOPPED: by SIGINT" in screen
    assert "Traceback" not in screen
    assert shell.world.clock.monotonic() - began < 20


def test_attaching_shows_the_agent_and_detaching_leaves_it_at_work(shell: Shell) -> None:
    """A terminal is handed over, keys reach the multiplexer, and the run goes on afterwards."""
    run_id = detached(shell, TALKS)

    child = shell.spawn("attach", run_id, "--task", "1-1")
    child.expect("HELLO-FROM-INSIDE")
    child.send("\x02d")
    code, _ = shell.ended(child)

    assert code == 0
    assert shell.status()["status"] == RunStatus.RUNNING
    assert shell.run("stop", run_id).status == 0


def test_inside_of_the_same_server_the_client_is_switched(shell: Shell) -> None:
    """No client inside of a client: the terminal that shows a window of that server shows the run instead."""
    run_id = detached(shell, TALKS)
    shell.multiplexer.new_session("desk", shell.world.project)
    argv = shell.multiplexer.attach_target_argv(shell.multiplexer.target("desk"))
    desk = shell.program(*argv)
    shell.eventually(lambda: shell.shown() == ["desk"])

    desk.sendline(" ".join(["exec", *shell.words("attach", run_id, "--task", "1-1")]))
    desk.expect("HELLO-FROM-INSIDE")

    assert shell.shown() == [run_id]
    assert shell.run("stop", run_id).status == 0


def test_inside_of_another_multiplexer_a_client_is_run_in_it(shell: Shell) -> None:
    """It is told of no other one, so that it does not refuse; and which keys count first is said."""
    run_id = detached(shell, TALKS)
    shell.environment |= {"TMUX": "/nowhere/default,1,0", "TMUX_PANE": "%0"}

    child = shell.spawn("attach", run_id, "--task", "1-1")
    child.expect("press it twice")
    child.expect("HELLO-FROM-INSIDE")
    child.send("\x02d")

    assert shell.ended(child)[0] == 0
    assert shell.run("stop", run_id).status == 0


def test_a_cleanup_ends_what_a_killed_run_has_left_and_spares_the_others(shell: Shell) -> None:
    """A canary's session on the same server, and another run with its driver, go on."""
    child = shell.spawn("run", shell.plan(LONG))
    shell.wait_for_start("1-1")
    dead = shell.status()["run_id"]
    engine = shell.world.processes.identify(child.pid or 0)
    assert engine is not None
    shell.world.processes.signal(engine, signal_module.SIGKILL)
    shell.ended(child)
    shell.multiplexer.new_session("canary", shell.world.project)
    living = detached(shell, LONG, name="other.toml")

    answer = json.loads(shell.run("cleanup", "--all", "--json").stdout)

    assert [(one["kind"], one["name"], one["outcome"]) for one in answer["found"]] == [("session", dead, "ended")]
    assert [one["run_id"] for one in answer["left"]] == [living]
    assert set(shell.multiplexer.list_sessions()) == {"canary", living, CONTROL}
    assert shell.status()["status"] == RunStatus.RUNNING
    assert shell.run("stop", living).status == 0
    assert shell.multiplexer.list_sessions()[:1] == ["canary"]


def test_a_finished_detached_run_leaves_what_cleanup_lists_and_nothing_else(shell: Shell) -> None:
    """Its window waits for a key, with what the run has said in it; afterwards there is no server."""
    run_id = detached(shell, SOON)
    shell.eventually(lambda: shell.status()["status"] == RunStatus.FINISHED)
    window = shell.multiplexer.list_window_ids(CONTROL)[0]
    shell.eventually(lambda: shell.multiplexer.window_exit(window) is not None)

    answer = json.loads(shell.run("cleanup", run_id, "--json").stdout)

    assert [(one["kind"], one["outcome"]) for one in answer["found"]] == [("window", "ended"), ("server", "ended")]
    assert_nothing_is_left(shell)


def test_a_crash_in_a_window_that_is_killed_at_once_is_recorded(shell: Shell) -> None:
    """Nobody may ever have looked at that window."""
    answer = shell.run("run", shell.plan(SOON), "--detach", "--faults", "engine.decide=1*raise(MemoryError)")
    assert answer.status == 0, answer.stderr
    shell.eventually(lambda: shell.status()["status"] == RunStatus.CRASHED)

    shell.run("cleanup", "--all")

    run = shell.status()
    assert (run["status"], run["reason"].partition(":")[0]) == (RunStatus.CRASHED, "MemoryError")
    assert shell.run("resume", run["run_id"]).status == 0
    assert_nothing_is_left(shell)


def test_a_run_is_resumed_in_a_window_of_its_own(shell: Shell) -> None:
    """The command answers as soon as the run goes on; the window beside it has the rest."""
    run_id = detached(shell, works(10).then_completes(), SOON)
    assert shell.run("stop", run_id).status == 0

    answer = shell.run("resume", run_id, "--detach")

    assert (answer.status, answer.stderr) == (0, b"")
    assert answer.stdout.decode().splitlines()[0] == run_id
    shell.eventually(lambda: shell.status()["status"] == RunStatus.FINISHED)
    assert shell.run("cleanup", "--all").status == 0
    assert_nothing_is_left(shell)


def test_ctrl_c_while_the_command_begins_is_quiet(shell: Shell) -> None:
    """While it loads its modules and afterwards: no traceback through a module of ours, and the exit code of an interrupt.

    Before the first of them runs, while the package is found, the interpreter may say its own and end with its own code.
    """
    for delay in (0.1, 0.15, 0.2, 0.3, 0.5, 0.8):
        child = shell.spawn("list")
        shell.world.clock.sleep(delay)
        if child.isalive():
            child.sendintr()
        child.expect(pexpect.EOF)
        child.close()

        said = child.before or ""
        assert f"{os.sep}harness{os.sep}" not in said.replace(f"{os.sep}harness{os.sep}__init__.py", ""), (delay, said)
        codes = (0, 1, 130) if "KeyboardInterrupt" in said else (0, 130)
        assert child.exitstatus in codes or child.signalstatus == signal_module.SIGINT, (delay, said)


def test_twelve_tasks_run_four_at_a_time_are_stopped_and_resumed(shell: Shell) -> None:
    """Never a fifth beside four; `stop` ends it within the grace; `resume` does the rest; nothing is left."""
    run_id = detached(shell, *[works(4).then_completes()] * 12, at_work="1-6", max_parallel=4)
    began = shell.world.clock.monotonic()
    assert shell.run("stop", run_id).status == 0
    assert shell.world.clock.monotonic() - began < 3 + 10

    stopped = shell.status()
    assert stopped["status"] == RunStatus.STOPPED
    # Four at a time, the sixth is begun when two are done.
    assert 2 <= stopped["state"]["counts"]["done"] < 12
    assert shell.run("resume", run_id).status == 0

    finished = shell.status()
    assert (finished["status"], finished["state"]["counts"]["done"]) == (RunStatus.FINISHED, 12)
    assert most_at_once(shell) == 4
    assert_nothing_is_left(shell)


def most_at_once(shell: Shell) -> int:
    """How many agents were at work at the same time, as they wrote down themselves."""
    moments = [(entry["at"], 1) for entry in shell.ledger("start")] + [
        (entry["at"], -1) for entry in shell.ledger("end")
    ]
    at_once = most = 0
    for _, change in sorted(moments):
        at_once += change
        most = max(most, at_once)
    return most


def test_a_driver_that_died_is_nobody_to_stop(shell: Shell) -> None:
    """Whoever has its number by now is not asked."""
    child = shell.spawn("run", shell.plan(LONG))
    shell.wait_for_start("1-1")
    engine = shell.world.processes.identify(child.pid or 0)
    assert engine is not None
    shell.world.processes.signal(engine, signal_module.SIGKILL)
    shell.ended(child)
    assert shell.world.processes.liveness(engine) is Liveness.DEAD

    answer = shell.run("stop", shell.status()["run_id"])

    assert answer.status == 1
    assert b"is not running: it is INTERRUPTED" in answer.stderr
