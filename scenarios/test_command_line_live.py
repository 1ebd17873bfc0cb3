"""The command in a real terminal: finished, stopped, killed, detached. Real processes, and a server of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal as signal_module
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from backends.errors import MultiplexerError
from backends.processes import Completed
from backends.tmux import TmuxMultiplexer
from harness.agents import ScriptedAgent, plan_of, task, works
from harness.commands.server import CONTROL
from harness.record import RunStatus
from harness.waiting import eventually
from harness.world import World

pytestmark = pytest.mark.live(scale=1)

PATIENCE_S = 40.0
SEAMRIPPER = (sys.executable, "-P", "-m", "harness.cli")


class Shell:
    """Somebody's shell on this host: runs `seamripper`, in a terminal or without, with a root of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.root = world.runs
        self.ledger_file = world.project / "ledger.jsonl"
        runtime = world.runs.parent / "r"
        runtime.mkdir(mode=0o700)
        own = {"XDG_RUNTIME_DIR": str(runtime), "SEAMRIPPER_LEDGER": str(self.ledger_file), "TERM": "xterm-256color"}
        self.environment = {**os.environ, **own, "SEAMRIPPER_ROOT": str(self.root)}
        for name in ("TMUX", "TMUX_PANE", "NO_COLOR", "SEAMRIPPER_MUX"):
            self.environment.pop(name, None)
        self.multiplexer = TmuxMultiplexer(root=self.root, environment=self.environment)
        self.children: list[pexpect.spawn[str]] = []

    def run(self, *words: str) -> Completed:
        """A command to its end, without a terminal."""
        argv = (*SEAMRIPPER, *words)
        return self.world.processes.run(argv, timeout_s=PATIENCE_S, env=self.environment, cwd=self.world.project)

    def spawn(self, *words: str) -> pexpect.spawn[str]:
        """A command in a terminal of its own."""
        child = pexpect.spawn(
            SEAMRIPPER[0],
            [*SEAMRIPPER[1:], *words],
            env=self.environment,
            cwd=str(self.world.project),
            encoding="utf-8",
            timeout=PATIENCE_S,
            dimensions=(30, 100),
        )
        self.children.append(child)
        return child

    def status(self) -> dict[str, Any]:
        """What `seamripper status --json` says of the newest run."""
        answer = self.run("status", "--json")
        found: dict[str, Any] = json.loads(answer.stdout)["run"] if answer.stdout else {"status": "", "state": None}
        return found

    def ledger(self, what: str) -> list[dict[str, Any]]:
        """What agents wrote down about themselves, of that kind."""
        with contextlib.suppress(FileNotFoundError):
            lines = [json.loads(line) for line in self.world.disk.read(self.ledger_file).splitlines()]
            return [entry for entry in lines if entry["what"] == what]
        return []

    def eventually(self, condition: Callable[[], Any]) -> Any:
        """Wait for it."""
        return eventually(condition, self.world.clock, PATIENCE_S, 0.2)

    def wait_for_start(self, key: str) -> None:
        """Until an agent is at work on that task."""
        self.eventually(lambda: [entry for entry in self.ledger("prompt") if entry["task"] == key])

    def starts(self) -> list[str]:
        """The tasks whose agents were started, in order."""
        return [str(entry["task"]) for entry in self.ledger("start")]

    def is_server_gone(self) -> bool:
        """Whether nothing of the root's server is left, its socket included."""
        return not self.multiplexer.socket_path.exists() and self.multiplexer.server_identity() is None

    def close(self) -> None:
        """End whatever was started."""
        for child in self.children:
            child.close(force=True)
        with contextlib.suppress(MultiplexerError):
            self.multiplexer.shutdown()
        for token in {entry["token"] for entry in self.ledger("start")}:
            for one in self.world.processes.carrying("SEAMRIPPER_TOKEN", token):
                self.world.processes.signal(one, signal_module.SIGKILL)


@pytest.fixture
def shell(mux_world: World) -> Iterator[Shell]:
    """A shell whose runs and server end with the test."""
    made = Shell(mux_world)
    try:
        yield made
    finally:
        made.close()


def write_plan(shell: Shell, *agents: ScriptedAgent, **settings: Any) -> str:
    """A plan with tasks 1-1, 1-2, ... for these agents, as a file."""
    stories = [task(f"1-{number}", agent) for number, agent in enumerate(agents, 1)]
    settings = {"poll_s": 0.3, "stop_grace_s": 3.0, "session_timeout_s": 60.0, **settings}
    path: Path = shell.world.project / "plan.toml"
    shell.world.disk.write(path, plan_of(*stories, project=str(shell.world.project), **settings).to_toml().encode())
    return str(path)


def ended(child: pexpect.spawn[str]) -> tuple[int | None, str]:
    """The exit status of a command in a terminal, and what the terminal was sent since the last look."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, child.before or ""


SOON = works(0.5).then_completes()
LONG = works(30).then_completes()


def test_a_run_in_a_terminal_shows_its_tasks_and_leaves_no_server(shell: Shell) -> None:
    """The screen shows what goes on, the end is told, the exit code is 0, and the private server is gone."""
    child = shell.spawn("run", write_plan(shell, SOON, SOON))

    child.expect("1-1.*running")
    code, screen = ended(child)

    assert code == 0
    assert "FINISHED" in screen
    assert shell.starts() == ["1-1", "1-2"]
    assert shell.is_server_gone()


def test_ctrl_c_in_the_terminal_stops_the_run(shell: Shell) -> None:
    """One Ctrl-C: STOPPED, exit code 130, the session gone, the agent with it."""
    child = shell.spawn("run", write_plan(shell, LONG))
    shell.wait_for_start("1-1")

    child.sendintr()
    code, screen = ended(child)

    assert code == 130
    assert "STOPPED: by SIGINT" in screen
    status = shell.status()
    assert (status["status"], status["state"]["teardown"]) == (RunStatus.STOPPED, "torn-down")
    assert shell.is_server_gone()
    token = shell.ledger("start")[0]["token"]
    assert shell.world.processes.carrying("SEAMRIPPER_TOKEN", token) == []


def test_a_killed_engine_is_interrupted_and_resumes_without_repeating(shell: Shell) -> None:
    """SIGKILL half-way: `status` says INTERRUPTED, `resume` ends what is left, does the rest, and repeats nothing."""
    child = shell.spawn("run", write_plan(shell, SOON, works(2).then_completes(), SOON))
    shell.wait_for_start("1-2")
    engine = shell.world.processes.identify(child.pid or 0)
    assert engine is not None
    shell.world.processes.signal(engine, signal_module.SIGKILL)
    ended(child)

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
    plan = write_plan(shell, SOON)
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
    started = shell.run("run", write_plan(shell, LONG), "--detach")
    assert started.status == 0, started.stderr
    shell.wait_for_start("1-1")

    shell.multiplexer.kill_session(CONTROL)
    shell.eventually(lambda: shell.status()["status"] == RunStatus.STOPPED)

    ending = shell.status()["state"]["ending"]
    assert (ending["by"], ending["signum"]) == ("SIGHUP", signal_module.SIGHUP)
