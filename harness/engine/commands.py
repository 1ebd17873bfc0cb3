"""Commands of the plan: each runs beside everything else, with a deadline of its own, until it has passed or failed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from backends.processes import Job
from harness.engine.core import Core
from harness.engine.plan import command_argv

__all__ = ["Commands", "Outcome", "RunningCommand"]

OUTPUT_LIMIT = 2000
"""Characters of a failed command's output that are kept, the newest."""
_LOOK_S = 0.1
"""Seconds between two looks at a command that is waited for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command: the `problem`, `None` if it passed."""

    problem: str | None = None


class RunningCommand:
    """One command that was started, or could not be."""

    def __init__(self, core: Core, command: str, token: str) -> None:
        self._core = core
        self._job: Job | None = None
        self._problem = ""
        try:
            self._job = core.outside.processes.start(
                command_argv(command),
                timeout_s=core.plan.session_timeout_s,
                newest=4 * OUTPUT_LIMIT,
                cwd=core.plan.project or None,
                variables={"SEAMRIPPER_TOKEN": token} if token else None,
            )
        except (OSError, ValueError) as error:
            self._problem = f"it could not be run: {error}"

    def poll(self) -> Outcome | None:
        """What came of it, `None` while it runs; never waits."""
        if self._job is None:
            return Outcome(self._problem)
        try:
            done = self._job.poll()
        except subprocess.TimeoutExpired:
            return Outcome(f"it did not end within {self._core.plan.session_timeout_s:g} s")
        except OSError as error:
            return Outcome(f"it could not be run: {error}")
        if done is None:
            return None
        if done.status == 0:
            return Outcome()
        output = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        # Cleaned before it is cut: half of a secret would not be known for one.
        tail = self._core.store.clean(output, len(output)).strip()[-OUTPUT_LIMIT:]
        return Outcome(f"exit {done.status}" + (f"\n{tail}" if tail else ""))

    def end(self) -> None:
        """Kill it with everything that it started in its process group; harmless once it has ended."""
        if self._job is not None:
            self._job.end()


class Commands:
    """Starts commands in the project, and knows which ones may still run."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._started: list[RunningCommand] = []

    def start(self, command: str, token: str = "") -> RunningCommand:
        """Start `command` as one that belongs to the launch of that token: what is left of it goes with that launch."""
        started = RunningCommand(self.core, command, token)
        self._started.append(started)
        return started

    def over(self, started: RunningCommand) -> None:
        """That command has ended."""
        self._started.remove(started)

    def run(self, command: str, token: str = "") -> Outcome:
        """Run `command` to its end; `token` as for `start`."""
        started = self.start(command, token)
        while (outcome := started.poll()) is None:
            self.core.wait(_LOOK_S)
        self.over(started)
        return outcome

    def end(self) -> None:
        """Kill whatever still runs."""
        while self._started:
            self._started.pop().end()
