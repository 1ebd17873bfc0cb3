"""The command line on this host, as somebody in a shell would type it: in a terminal of its own, or without one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import psutil

from backends.errors import MultiplexerError
from backends.posix_signals import SIGCONT, SIGKILL, SIGSTOP
from backends.processes import Completed, ProcessIdentity
from backends.tmux import TmuxMultiplexer
from harness.agents import ScriptedAgent, plan_of, task
from harness.commands.staged import CommandLine
from harness.waiting import eventually
from harness.world import World

__all__ = ["HungRun", "Shell"]

PATIENCE_S = 60.0
"""Seconds of the host that anything is waited for."""
SEAMRIPPER = (sys.executable, "-P", "-m", "harness")


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

    @staticmethod
    def words(*words: str) -> list[str]:
        """The argv of a command."""
        return [*SEAMRIPPER, *words]

    def spawn(self, *words: str) -> pexpect.spawn[str]:
        """A command in a terminal of its own."""
        return self.program(*SEAMRIPPER, *words)

    def program(self, *argv: str) -> pexpect.spawn[str]:
        """Any program in a terminal of its own."""
        child = pexpect.spawn(
            argv[0],
            list(argv[1:]),
            env=self.environment,
            cwd=str(self.world.project),
            encoding="utf-8",
            timeout=PATIENCE_S,
            dimensions=(30, 100),
            preexec_fn=_heed_interrupts,
        )
        self.children.append(child)
        return child

    def tmux(self, *words: str) -> str:
        """What a tmux that knows nothing of us answers at the root's socket."""
        argv = (self.multiplexer.binary, "-S", str(self.multiplexer.socket_path), *words)
        return self.world.processes.run(argv, timeout_s=PATIENCE_S, env=self.environment).stdout.decode()

    def shown(self) -> list[str]:
        """The sessions that terminals show; a driver's own client shows none to anybody."""
        clients = self.tmux("list-clients", "-F", "#{client_control_mode} #{session_name}").splitlines()
        return [name for mode, _, name in (line.partition(" ") for line in clients) if mode != "1"]

    def status(self) -> dict[str, Any]:
        """What `seamripper status --json` says of the newest run, asked in this process: it is asked again and again."""
        answer = CommandLine(self.world)("status", "--json")
        found: dict[str, Any] = answer.document["run"] if answer.stdout else {"status": "", "state": None}
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

    def plan(self, *agents: ScriptedAgent, name: str = "plan.toml", **settings: Any) -> str:
        """A plan with tasks 1-1, 1-2, ... for these agents, as a file."""
        stories = [task(f"1-{number}", agent) for number, agent in enumerate(agents, 1)]
        settings = {"poll_s": 0.3, "stop_grace_s": 3.0, "session_timeout_s": 60.0, **settings}
        path: Path = self.world.project / name
        self.world.disk.write(path, plan_of(*stories, project=str(self.world.project), **settings).to_toml().encode())
        return str(path)

    @staticmethod
    def ended(child: pexpect.spawn[str]) -> tuple[int | None, str]:
        """The exit status of a command in a terminal, and what the terminal was sent since the last look."""
        child.expect(pexpect.EOF)
        child.close()
        return child.exitstatus, child.before or ""

    def close(self) -> None:
        """End whatever was started."""
        for child in self.children:
            child.close(force=True)
        # What drove a run has lost its window, records that, and would make the root anew if it were removed now; it may
        # have been about to start a server, or an agent.
        try:
            eventually(self._is_quiet, self.world.clock, PATIENCE_S, 0.5)
        except TimeoutError:
            left = "; ".join(f"{one.pid} {_words(one)}" for one in self._left())
            raise TimeoutError(f"not ended within {PATIENCE_S:g} s: {left}") from None

    def _is_quiet(self) -> bool:
        with contextlib.suppress(MultiplexerError):
            self.multiplexer.shutdown()
        for token in {entry["token"] for entry in self.ledger("start")}:
            for one in self.world.processes.carrying("SEAMRIPPER_TOKEN", token):
                self.world.processes.signal(one, SIGKILL)
        return not self._left()

    def _left(self) -> list[ProcessIdentity]:
        return self.world.processes.carrying("XDG_RUNTIME_DIR", self.environment["XDG_RUNTIME_DIR"])


def _heed_interrupts() -> None:
    """A program that was started in the background may ignore Ctrl-C, and whatever it starts would as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _words(process: ProcessIdentity) -> str:
    try:
        return " ".join(psutil.Process(process.pid).cmdline())
    except psutil.Error as error:
        return type(error).__name__


class HungRun:
    """A run in a terminal whose agent is at work, on a server that has then been stopped and answers nobody."""

    def __init__(self, shell: Shell, agent: ScriptedAgent) -> None:
        self.child = shell.spawn("run", shell.plan(agent))
        shell.wait_for_start("1-1")
        (self.run_id,) = [path.parent.name for path in shell.root.glob("*/state.json")]
        self._shell = shell
        self._table = shell.world.processes
        seen = shell.multiplexer.server_identity()
        server = None if seen is None else self._table.identify(seen.pid)
        if server is None or not self._table.signal(server, SIGSTOP):
            raise RuntimeError("the run has no server that could be stopped")
        self._server = server

    def thaw(self) -> None:
        """Let it answer again."""
        self._table.signal(self._server, SIGCONT)

    def agents(self) -> list[ProcessIdentity]:
        """The processes of its launches that still run."""
        tokens = {entry["token"] for entry in self._shell.ledger("start")}
        return self._table.carrying("SEAMRIPPER_TOKEN", *tokens)
