"""Puts the orchestrator under test: `pytest --pyargs scenarios.test_any_engine --sut little_orchestrator.under_test:make`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backends import MultiplexerError, TargetMissing, TerminalMultiplexer
from backends.clock import Clock
from harness import RunPlan, RunStatus
from harness.sut import Ability, Host, Outcome, TaskOutcome
from little_orchestrator.orchestrator import Job, Orchestrator, TerminalError

SESSION = "little"
STATUS = {"finished": RunStatus.FINISHED, "stopped": RunStatus.STOPPED, "running": RunStatus.RUNNING}


class Windows:
    """The orchestrator's terminal, over the seam."""

    def __init__(self, multiplexer: TerminalMultiplexer, cwd: str) -> None:
        """Windows of one session."""
        self._multiplexer = multiplexer
        self._cwd = cwd

    def open_window(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: str) -> str:
        """See `Terminal.open_window`."""
        try:
            if not self._multiplexer.has_session(SESSION):
                self._multiplexer.new_session(SESSION, self._cwd)
            return self._multiplexer.new_window(SESSION, name, cwd, env, shlex.join(command))
        except MultiplexerError as error:
            raise TerminalError(str(error)) from error

    def is_alive(self, window: str) -> bool:
        """See `Terminal.is_alive`."""
        try:
            return self._multiplexer.window_alive(SESSION, window)
        except TargetMissing:
            return False
        except MultiplexerError as error:
            raise TerminalError(str(error)) from error

    def close_window(self, window: str) -> None:
        """See `Terminal.close_window`."""
        self._multiplexer.kill_window(window)

    def close(self) -> None:
        """See `Terminal.close`."""
        self._multiplexer.kill_session(SESSION)


@dataclass
class Run:
    """One run, see `harness.sut.Handle`."""

    system: UnderTest
    orchestrator: Orchestrator
    run_dir: Path
    plan: RunPlan

    def wait(self) -> Outcome:
        """See `Handle.wait`."""
        self.orchestrator.run([task.key for task in self.plan.order()])
        return self.system.read(self.run_dir)

    def stop(self) -> None:
        """See `Handle.stop`."""
        self.orchestrator.stop()


class Files:
    """The orchestrator's disk, which replaces what it writes."""

    def __init__(self, host: Host) -> None:
        """The disk of `host`."""
        self._disk = host.disk

    def read(self, path: Path) -> bytes:
        """See `orchestrator.Files.read`."""
        return self._disk.read(path)

    def write(self, path: Path, data: bytes) -> None:
        """See `orchestrator.Files.write`."""
        draft = path.with_suffix(".new")
        self._disk.write(draft, data)
        self._disk.replace(draft, path)


class UnderTest:
    """The orchestrator as `harness.sut.SystemUnderTest`: it tries again and can be stopped, and cannot resume."""

    abilities = frozenset({Ability.RETRY, Ability.STOP})
    drives: type[Orchestrator] = Orchestrator
    """What is put under test; a subclass of it can be, too."""

    def __init__(self, host: Host) -> None:
        """Live on `host`."""
        self._host = host

    def start(self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock) -> Run:
        """See `SystemUnderTest.start`."""

        def prepare(task: str, attempt: int) -> Job:
            one = self._host.launching(plan, run_dir, task, attempt)
            return Job(one.argv, one.env, one.cwd, one.result)

        self._host.disk.mkdir(run_dir)
        orchestrator = self.drives(
            prepare,
            Windows(multiplexer, plan.project),
            Files(self._host),
            clock,
            run_dir / "state.json",
            timeout_s=plan.session_timeout_s,
            tries=plan.max_attempts,
        )
        return Run(self, orchestrator, run_dir, plan)

    def resume(self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock) -> Run:
        """See `SystemUnderTest.resume`; never asked for, since it is not among the abilities."""
        raise NotImplementedError("this orchestrator begins anew instead of resuming; it does not declare the ability")

    def read(self, run_dir: Path) -> Outcome:
        """See `SystemUnderTest.read`."""
        try:
            state = json.loads(self._host.disk.read(run_dir / "state.json"))
        except (OSError, ValueError):
            return Outcome(RunStatus.UNKNOWN, {})
        tasks = {key: TaskOutcome(one["done"], tuple(one["attempts"])) for key, one in state["tasks"].items()}
        return Outcome(STATUS[state["status"]], tasks)


def make(host: Host) -> UnderTest:
    """What `--sut` names."""
    return UnderTest(host)
