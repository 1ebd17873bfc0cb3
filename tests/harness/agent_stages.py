"""Two stages on which an agent can be launched, watched and talked to: a simulated window, and a real terminal."""

from __future__ import annotations

import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pexpect

from backends.clock import SystemClock
from backends.disk import Disk, RealDisk
from backends.entropy import SeededEntropy, SystemEntropy
from backends.fake import FakeMultiplexer
from backends.processes import ProcessIdentity, SystemProcessTable
from harness.agents import ScriptedAgent, plan_of, profiles_for, task
from harness.engine.events import EventReader, read_result
from harness.engine.profiles import LaunchContext, agent_environment
from harness.simulated import Agents

__all__ = ["RealStage", "Seen", "SimulatedStage", "Stage"]


@dataclass(frozen=True)
class Seen:
    """What a story left behind; `ended` is an exit status, or a signal's number below zero, or `None` if it goes on."""

    events: tuple[str, ...]
    result: str | None
    ledger: tuple[str, ...]
    log: str
    ended: int | None


class Stage(ABC):
    """One launch of one agent; `kinds` are the events that were read so far."""

    def __init__(self, disk: Disk, run: Path, scale: float, token: str) -> None:
        self.disk = disk
        self.run = run
        directory = run / "tasks" / "a"
        prompt, result = directory / "prompt.md", directory / "result.json"
        self.context = LaunchContext("a", 1, token, prompt, run / "events", result, run, run, directory)
        self.scale = scale
        self.reader = EventReader(disk, run / "events")
        self.kinds: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """What the agent's window says."""
        return {**agent_environment(self.context), "SEAMRIPPER_LEDGER": str(self.run / "ledger.jsonl")}

    def launch(self, agent: ScriptedAgent) -> None:
        """Do what the engine does before it opens a window, and open it."""
        for directory in (self.context.events_dir, self.context.scripts_dir):
            self.disk.mkdir(directory)
        self.disk.write(self.context.prompt_file, b"do it")
        profile = profiles_for(plan_of(task("a", agent)), self.disk, scale=self.scale)["script-1"]
        launch = profile.launch(self.context)
        self.start(launch.argv, {**self.environment, **launch.env})

    def until(self, count: int) -> None:
        """Let time pass until there have been so many events."""
        for _ in range(2000):
            events, notes = self.reader.poll()
            assert notes == []
            self.kinds += [str(event.kind) for event in events]
            if len(self.kinds) >= count:
                return
            self.pass_time()
        raise AssertionError(f"only {self.kinds}")

    def seen(self, expected: Seen | None = None) -> Seen:
        """What is left when nothing more happens; what is `expected` is waited for."""
        if expected is not None:
            self.until(len(expected.events))
        ended = self.end(surely=expected is not None and expected.ended is not None)
        self.until(0)
        result = read_result(self.disk, self.context.result_file, self.context.token).result
        summary = None if result is None else result.summary
        return Seen(tuple(self.kinds), summary, tuple(self.ledger()), self.log(), ended)

    @abstractmethod
    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Run `argv` there."""

    @abstractmethod
    def pass_time(self) -> None:
        """Wait a moment."""

    @abstractmethod
    def type(self, line: str) -> None:
        """Type that line."""

    @abstractmethod
    def signal(self, signum: int) -> None:
        """Send that signal."""

    @abstractmethod
    def end(self, *, surely: bool = False) -> int | None:
        """Wait, for as long as it takes if it will `surely` end; how the agent ended."""

    @abstractmethod
    def ledger(self) -> list[str]:
        """What the ledger says happened."""

    @abstractmethod
    def log(self) -> str:
        """Everything that was printed."""


class SimulatedStage(Stage):
    """A window of the fake multiplexer."""

    def __init__(self) -> None:
        self.agents = Agents()
        self.mux = FakeMultiplexer(programs=self.agents)
        super().__init__(self.mux.server.disk, Path("/run/x"), 1.0, SeededEntropy(1).token())

    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """See `Stage`."""
        self.mux.new_session("run", "/")
        window = self.mux.new_window("run", "a", "/", env, shlex.join(argv))
        self.mux.pipe_pane(window, self.run / "log")
        self.pass_time()

    def pass_time(self) -> None:
        """See `Stage`."""
        self.mux.clock.sleep(0.5)

    def type(self, line: str) -> None:
        """See `Stage`."""
        self.agents.agents[0].process.type(line)

    def signal(self, signum: int) -> None:
        """See `Stage`."""
        self.agents.agents[0].process.deliver(signum)

    def end(self, *, surely: bool = False) -> int | None:
        """See `Stage`; no story here takes a minute."""
        self.mux.clock.sleep(60)
        ended = self.agents.agents[0].process.ended
        return None if ended is None else ended.code if ended.signal is None else -ended.signal

    def ledger(self) -> list[str]:
        """See `Stage`."""
        return [record["what"] for record in self.agents.ledger]

    def log(self) -> str:
        """See `Stage`."""
        return self.disk.read(self.run / "log").decode()


class RealStage(Stage):
    """A process in a terminal of its own, forty times as fast."""

    def __init__(self, run: Path) -> None:
        # Real processes are found by their token, so it must be theirs alone on this host.
        super().__init__(RealDisk(), run, 40.0, SystemEntropy().token())
        self.clock = SystemClock()
        self.table = SystemProcessTable()
        self.argv: list[str] = []
        self._child: pexpect.spawn[str] | None = None
        self._output = ""

    @property
    def child(self) -> pexpect.spawn[str]:
        """The process in its terminal."""
        assert self._child is not None
        return self._child

    @property
    def identity(self) -> ProcessIdentity:
        """Names the process."""
        assert self.child.pid is not None
        identity = self.table.identify(self.child.pid)
        assert identity is not None
        return identity

    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """See `Stage`."""
        self.argv = list(argv)
        self._child = pexpect.spawn(argv[0], self.argv[1:], env=dict(env), cwd=str(self.run), encoding="utf-8")

    def pass_time(self) -> None:
        """See `Stage`; takes what was printed, so that nobody waits for room in the terminal."""
        try:
            self._output += self.child.read_nonblocking(65536, timeout=0.02)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            self.clock.sleep(0.02)

    def type(self, line: str) -> None:
        """See `Stage`."""
        self.child.sendline(line)

    def signal(self, signum: int) -> None:
        """See `Stage`."""
        self.table.signal(self.identity, signum)

    def end(self, *, surely: bool = False) -> int | None:
        """See `Stage`; otherwise for a fifth of a second, which is eight of its own."""
        for _ in range(1500 if surely else 10):
            self.pass_time()
            if not self.child.isalive():
                break
        else:
            return None
        self.pass_time()
        return self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus

    def ledger(self) -> list[str]:
        """See `Stage`."""
        lines = self.disk.read(self.run / "ledger.jsonl").splitlines()
        return [json.loads(line)["what"] for line in lines]

    def log(self) -> str:
        """See `Stage`."""
        return self._output.replace("\r\n", "\n")

    def close(self) -> None:
        """Leave no process behind."""
        if self._child is not None:
            self._child.close(force=True)
