"""What a command may use of the machine it runs on: everything as an argument, so that a story may put in its own."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from backends.base import TerminalMultiplexer
from backends.clock import Clock, SystemClock
from backends.disk import Disk, RealDisk
from backends.entropy import Entropy, SystemEntropy
from backends.later import later
from backends.processes import ProcessTable, SystemProcessTable
from backends.registry import chosen_multiplexer, get_multiplexer
from backends.transport import SubprocessTransport, Transport
from harness.commands.signs import PLAIN
from harness.record import RunStore

if TYPE_CHECKING:
    from harness.engine.plan import RunPlan
    from harness.engine.profiles import AgentProfile
    from harness.engine.summary import RunSummary

__all__ = ["CommandError", "Host", "MakeMultiplexer", "forgiving", "this_host"]

look_in = later("backends.outsiders:look_in")
outside_multiplexer = later("backends.outsiders:outside_multiplexer")
profiles_for = later("harness.agents:profiles_for")

AGAIN = (sys.executable, "-P", "-m", "seamripper")
"""Runs this command line again, in any directory, whichever folders lie there."""


class CommandError(Exception):
    """Something that was to be expected went wrong: one line for people, what to do next, and an exit code."""

    def __init__(self, message: str, advice: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.code = code


class MakeMultiplexer(Protocol):
    """Makes the backend called `name` (`None`: the one that is usual here) for the runs below `root`."""

    def __call__(
        self,
        name: str | None,
        root: Path,
        *,
        call_timeout_s: float | None = None,
        wrap: Callable[[Transport], Transport] | None = None,
    ) -> TerminalMultiplexer:
        """`wrap` goes around the backend's transport, where it has one."""


def _no_notice(summary: RunSummary) -> None:
    return None


@dataclass(frozen=True)
class Host:
    """A machine with a terminal. `notify` is told how a run ended; `again` is the argv that starts this command line."""

    stdout: TextIO
    stderr: TextIO
    environment: Mapping[str, str]
    cwd: Path
    clock: Clock
    disk: Disk
    processes: ProcessTable
    entropy: Entropy
    multiplexer: MakeMultiplexer
    profiles: Callable[[RunPlan], Mapping[str, AgentProfile]]
    notify: Callable[[RunSummary], None] = _no_notice
    again: tuple[str, ...] = AGAIN
    stdin: TextIO | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether somebody sits at both ends of this command."""
        return self.stdin is not None and self.stdin.isatty() and self.stdout.isatty()

    def store(self, run_dir: Path) -> RunStore:
        """The record in `run_dir`."""
        return RunStore.on(self, run_dir, stderr=self.stderr, environment=self.environment)


def this_host() -> Host:
    """The machine that this process runs on; `CommandError` where it is in a directory that is gone."""
    stdout = forgiving(sys.stdout)
    clock = SystemClock()
    disk = RealDisk()
    processes = SystemProcessTable(clock)

    def multiplexer(
        name: str | None,
        root: Path,
        *,
        call_timeout_s: float | None = None,
        wrap: Callable[[Transport], Transport] | None = None,
    ) -> TerminalMultiplexer:
        chosen = chosen_multiplexer(name)
        options: dict[str, Any] = {"clock": clock, "call_timeout_s": call_timeout_s}
        if chosen in ("tmux", "psmux"):
            return get_multiplexer(name, root=root, processes=processes, disk=disk, wrap=wrap, **options)
        transport: Transport = SubprocessTransport(processes)
        broken: dict[str, Any] = {"transport": transport if wrap is None else wrap(transport)}
        look_in(_here(), chosen)
        made: TerminalMultiplexer = outside_multiplexer(chosen, root, {"environment": os.environ, **broken, **options})
        return made

    return Host(
        stdout=stdout,
        stderr=forgiving(sys.stderr),
        environment=os.environ,
        cwd=_here(),
        clock=clock,
        disk=disk,
        processes=processes,
        entropy=SystemEntropy(),
        multiplexer=multiplexer,
        profiles=lambda plan: profiles_for(plan, disk, environment=os.environ),
        notify=lambda summary: _ring(stdout),
        stdin=sys.stdin,
    )


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise CommandError(f"the working directory cannot be found: {why}", "change to one that is there") from error


def forgiving(stream: TextIO | None) -> TextIO:
    """`stream`, writing what its encoding lacks as `PLAIN` does instead of failing; what is closed takes everything."""
    if stream is None:
        return io.StringIO()
    reconfigure = getattr(stream, "reconfigure", None)
    if callable(reconfigure):
        reconfigure(errors=PLAIN)
    return stream


def _ring(terminal: TextIO) -> None:
    """The bell: a run may take hours, and its terminal may be out of sight."""
    with contextlib.suppress(OSError, ValueError):
        if terminal.isatty():
            terminal.write("\a")
            terminal.flush()
