"""The command line inside of a world: its arguments, standard streams and exit codes, without a process of its own."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from backends.base import TerminalMultiplexer
from backends.transport import Transport
from harness.agents import profiles_for
from harness.cli import main
from harness.commands.host import Host
from harness.engine.plan import RunPlan
from harness.world import World

__all__ = ["Answer", "CommandLine"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered: its exit code, and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document that it wrote."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


class CommandLine:
    """`seamripper` as somebody in that world would type it; `root` is where its runs are kept."""

    def __init__(self, world: World, **changes: Any) -> None:
        """`changes` are fields of `Host` that are other than the world's."""
        self.world = world
        self.root = world.runs
        self._changes = changes

    def __call__(self, *words: str, **changes: Any) -> Answer:
        """Run a command to its end; `changes` are fields of `Host` that are other for this command."""
        host = self.host(**{**self._changes, **changes})
        code = main(words, host)
        return Answer(code, _written(host.stdout), _written(host.stderr))

    def host(self, **changes: Any) -> Host:
        """The machine that a command of this world sees."""
        world = self.world

        def multiplexer(
            name: str | None,
            root: Path,
            *,
            call_timeout_s: float | None = None,
            wrap: Callable[[Transport], Transport] | None = None,
        ) -> TerminalMultiplexer:
            return world.multiplexer(wrap, call_timeout_s)

        host = Host(
            stdout=io.StringIO(),
            stderr=io.StringIO(),
            environment={"SEAMRIPPER_ROOT": str(world.runs), "HOME": "/home/somebody"},
            cwd=world.project,
            clock=world.clock,
            disk=world.disk,
            processes=world.processes,
            entropy=world.entropy,
            multiplexer=multiplexer,
            profiles=lambda plan: profiles_for(plan, world.disk, world.python, world.scale, world.program),
        )
        return dataclasses.replace(host, **changes)

    def plan(self, plan: RunPlan | str | bytes, name: str = "plan.toml") -> str:
        """Write a plan into the project; answers its path."""
        path = self.world.project / name
        text = plan.to_toml() if isinstance(plan, RunPlan) else plan
        self.world.disk.write(path, text if isinstance(text, bytes) else text.encode("utf-8"))
        return str(path)


def _written(stream: TextIO) -> str:
    return stream.getvalue() if isinstance(stream, io.StringIO) and not stream.closed else ""
