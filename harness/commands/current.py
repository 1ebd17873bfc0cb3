"""How far a command has come, and with what it drives: what commands know that may never drive a run.

Nobody waits here for the engine.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backends.base import TerminalMultiplexer
from backends.registry import chosen_multiplexer
from backends.transport import Transport
from harness.commands.host import CommandError, Host

if TYPE_CHECKING:
    from harness.engine.engine import Engine
    from harness.engine.plan import RunPlan
    from harness.engine.summary import RunSummary

__all__ = ["Drive", "backend_of", "multiplexer_of", "where_of"]


def _no_run(error: BaseException) -> str:
    return ""


@dataclass(slots=True)
class Drive:
    """How far a command has come that drives a run: what whoever stands behind it needs to know when it fails.

    `run_dir` is set once the run is chosen, `engine` once there is one, `summary` once it has come to its end. What is to
    last until the command itself ends is entered into `until_the_end`. Whoever sets `run_dir` sets `record_crash`, too: it is
    loaded by then, records what came out around the engine, and answers where.
    """

    run_dir: Path | None = None
    engine: Engine | None = None
    summary: RunSummary | None = None
    multiplexer: TerminalMultiplexer | None = None
    until_the_end: ExitStack = field(default_factory=ExitStack)
    record_crash: Callable[[BaseException], str] = _no_run

    @property
    def recorded(self) -> RunSummary | None:
        """How the run ended, as soon as its engine has recorded that."""
        return None if self.engine is None else self.engine.summary


def backend_of(host: Host, given: str | None) -> str:
    """The name of the backend to drive with; `CommandError` for the one in memory, which has no real agents."""
    name = chosen_multiplexer(given, host.environment)
    if name == "fake":
        raise CommandError(
            "the fake multiplexer lives in memory and runs no real agents",
            "rehearse with `pytest scenarios/ --mux fake`, or choose --mux tmux",
            2,
        )
    return name


def multiplexer_of(
    host: Host,
    name: str | None,
    root: Path,
    plan: RunPlan | None = None,
    wrap: Callable[[Transport], Transport] | None = None,
) -> TerminalMultiplexer:
    """The backend for the runs below `root`, with the deadlines of `plan`."""
    timeout_s = None if plan is None else plan.call_timeout_s
    return host.multiplexer(name, root, call_timeout_s=timeout_s, wrap=wrap)


def where_of(arguments: argparse.Namespace) -> str:
    """The options with which a later command finds the same runs: nothing where it finds them by itself."""
    return "".join(
        f" --{name} {shlex.quote(value)}" for name in ("root", "mux") if (value := getattr(arguments, name)) is not None
    )
