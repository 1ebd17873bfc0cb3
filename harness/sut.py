"""Somebody's own orchestrator under test: what an adapter for it has to offer, and what its runs come to.

The adapter is the one thing that an author writes. It is given a multiplexer that goes wrong as planned and a `Host` with
everything else that is outside; it drives the orchestrator and reads its files.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from backends.base import TerminalMultiplexer
from backends.clock import Clock
from backends.disk import Disk
from backends.entropy import Entropy
from backends.processes import ProcessTable
from harness.agents import profiles_for
from harness.engine.launching import launch_context, write_prompt
from harness.engine.plan import RunPlan
from harness.engine.profiles import AgentProfile, agent_environment
from harness.record import Attempt, RunStatus
from harness.world import World

__all__ = [
    "Ability",
    "Factory",
    "Handle",
    "Host",
    "Launching",
    "Outcome",
    "SystemUnderTest",
    "TaskOutcome",
    "UnknownSystem",
    "system_of",
]


class Ability(StrEnum):
    """What an orchestrator may be able to do, and need not: scenarios that are about it are run where it is declared."""

    RETRY = "retry"
    """A task whose agent failed is given to another one, up to `max_attempts` of the plan."""
    STOP = "stop"
    """A run can be stopped; it ends its agents then."""
    RESUME = "resume"
    """A run that has crashed can be gone on with."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """One task: whether it is done, and what came of each launch, as far as the files tell.

    The words `completed`, `crashed` and `timed_out` are understood; any other is the orchestrator's own.
    """

    done: bool
    launches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `crash` is what its record says of the orchestrator's own crash; empty where it says nothing."""

    status: RunStatus
    tasks: Mapping[str, TaskOutcome]
    crash: str = ""


class Handle(Protocol):
    """A run that was started."""

    def wait(self) -> Outcome:
        """Let the run come to its end, in this thread, waiting on the clock alone; what it raises is let out."""

    def stop(self) -> None:
        """Ask it to stop; may be called while somebody waits, from another thread or from an event of the clock."""


@runtime_checkable
class SystemUnderTest(Protocol):
    """An orchestrator with its adapter; a fresh one is made for every run, as a fresh process would be."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do beyond carrying out a plan."""

    def start(self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock) -> Handle:
        """Begin to carry out `plan`, keeping every file in `run_dir`, which does not exist yet."""

    def resume(self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock) -> Handle:
        """Go on with the run of `run_dir`; called only where `RESUME` is declared."""

    def read(self, run_dir: Path) -> Outcome:
        """What its files say now; `UNKNOWN` where they say nothing. Must not raise."""


@dataclass(frozen=True, slots=True)
class Launching:
    """How one agent is started: `argv` in a window, in `cwd`, with `env` on top of what windows have.

    A finished agent has left a JSON object with `status` (`done` or `failed`) in the file `result`, and stays until its window
    is closed. `token` is its own: whoever keeps it knows which agent an answer came from.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    result: Path
    token: str


class Host:
    """Everything outside an orchestrator but the multiplexer: disk, processes, chance, and the agents of a plan."""

    def __init__(self, world: World) -> None:
        """The host of `world`."""
        self.clock: Clock = world.clock
        self.disk: Disk = world.disk
        self.processes: ProcessTable = world.processes
        self.entropy: Entropy = world.entropy
        self.virtual = world.virtual
        self.tokens: list[str] = []
        """Of every launch so far."""
        self._world = world

    def launching(self, plan: RunPlan, run_dir: Path, key: str, attempt: int) -> Launching:
        """How the `attempt`th agent (from 1) of the task `key` is started; its prompt lies ready, no result does."""
        token = self.entropy.token()
        self.tokens.append(token)
        task = plan.task(key)
        context = launch_context(plan, task, run_dir, Attempt(number=attempt, token=token))
        self.disk.mkdir(run_dir / "events")
        write_prompt(self.disk, context, task.prompt, "")
        launch = self.profiles(plan)[plan.agent_of(task)].launch(context)
        env = {**agent_environment(context), **launch.env}
        return Launching(launch.argv, env, str(context.cwd), Path(context.result_file), token)

    def profiles(self, plan: RunPlan) -> Mapping[str, AgentProfile]:
        """The agents of the plan, for an orchestrator that knows the engine's own profiles."""
        world = self._world
        return profiles_for(plan, self.disk, world.python, world.scale, world.program)


Factory = Callable[[Host], SystemUnderTest]
"""Makes an orchestrator under test that lives on that host."""


class UnknownSystem(LookupError):
    """There is no such orchestrator; the message is one line."""


def system_of(reference: str) -> Factory:
    """The factory that `package.module:name` stands for, which is imported: its code is run. Raises `UnknownSystem`."""
    module, colon, attribute = reference.partition(":")
    if not (module and colon and attribute):
        raise UnknownSystem(f"{reference!r:.80} names no factory; write it as package.module:name")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise UnknownSystem(f"{reference!r:.80} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise UnknownSystem(f"{reference!r:.80} is no factory but {type(found).__name__}; name a class or a function")
    factory: Factory = found
    return factory
