"""A run whose server is frozen is stopped from outside, by another command and by signals, and cleaned up once it thaws."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from harness.agents import ScriptedAgent, completes, works
from harness.commands.shells import HungRun, Shell
from harness.record import RunStatus
from harness.world import World

pytestmark = [pytest.mark.live(scale=1), pytest.mark.timeout(240)]

AGENT = ScriptedAgent.attempts(works(300), completes())


@pytest.fixture
def shell(mux_world: World) -> Iterator[Shell]:
    """A shell whose runs and server end with the test."""
    made = Shell(mux_world)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def hung(shell: Shell) -> Iterator[HungRun]:
    """A run in a terminal whose agent is at work, on a server that has just been frozen; thawed at the end in any case."""
    made = HungRun(shell, AGENT)
    try:
        yield made
    finally:
        made.thaw()


def test_stop_while_hung_by_another_command_says_so_and_cleanup_does_the_rest(shell: Shell, hung: HungRun) -> None:
    """STOPPED within the grace, its agent ended, its teardown unconfirmed; after the thaw `cleanup` ends session and server."""
    answer = json.loads(shell.run("stop", hung.run_id, "--json").stdout)
    code, screen = shell.ended(hung.child)
    agents = hung.agents()
    hung.thaw()
    cleaned = json.loads(shell.run("cleanup", hung.run_id, "--json").stdout)

    assert (answer["ended"], answer["status"]) == (True, RunStatus.STOPPED)
    assert code == 128 + signal.SIGTERM
    assert "teardown: unconfirmed" in screen
    assert agents == []
    assert [(one["kind"], one["outcome"]) for one in cleaned["found"]] == [("session", "ended"), ("server", "ended")]
    shell.eventually(shell.is_server_gone)


def test_stop_while_hung_by_two_signals_is_forced_and_a_resume_does_the_rest(shell: Shell, hung: HungRun) -> None:
    """The second signal waits for nobody; after the thaw `resume` ends what was left, and finishes on the same server."""
    hung.child.kill(signal.SIGTERM)
    journal = shell.root / hung.run_id / "journal.jsonl"
    shell.eventually(lambda: "run-stopped" in journal.read_text())
    hung.child.kill(signal.SIGINT)
    code, screen = shell.ended(hung.child)
    hung.thaw()
    resumed = shell.run("resume", hung.run_id)

    assert code == 128 + signal.SIGTERM
    assert "STOPPED: by SIGTERM" in screen
    assert "Traceback" not in screen
    assert resumed.status == 0, resumed.stderr
    assert shell.starts() == ["1-1", "1-1"]
    assert hung.agents() == []
    shell.eventually(shell.is_server_gone)
