"""What a run comes to, for its caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.record import Crashed, Ending, Finished, Paused, Stopped, TaskPhase, exit_code

__all__ = ["RunSummary", "TaskSummary"]


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task at the end of a run; `attempts` is how many of the plan's `max_attempts` were used up."""

    key: str
    phase: TaskPhase
    attempts: int
    reason: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended.

    `teardown` is `torn-down`, `unconfirmed`, `failed`, or `None` where nothing was to be torn down. `problems` are the
    things that went wrong while the ending was recorded. `crash_record` is a path inside the run directory.
    """

    run_id: str
    ending: Ending
    tasks: Sequence[TaskSummary] = ()
    teardown: str | None = None
    crash_record: str | None = None
    problems: Sequence[str] = field(default=())

    @property
    def crashed(self) -> bool:
        """Whether the engine crashed."""
        return isinstance(self.ending, Crashed)

    @property
    def crash_error(self) -> str | None:
        """`Type: message` of the exception that the engine crashed with."""
        return self.ending.error if isinstance(self.ending, Crashed) else None

    @property
    def exit_code(self) -> int:
        """0 finished, 1 with a deferred task or a failed command, 70 crashed, 75 paused, 128+n stopped by signal n."""
        return exit_code(self.ending)

    def render(self) -> str:
        """A few lines for people."""
        lines = [self._headline()]
        for task in self.tasks:
            tries = f", {task.attempts} attempts" if task.attempts > 1 else ""
            why = task.reason or task.summary
            lines.append(
                f"  {task.key}: {task.phase.told(over=True)}{tries}" + (f" - {why.splitlines()[0]}" if why else "")
            )
        if self.crash_record is not None:
            lines.append(f"  crash record: {self.crash_record}")
        if self.teardown not in (None, "torn-down"):
            lines.append(f"  teardown: {self.teardown}")
        lines.extend(f"  problem: {problem}" for problem in self.problems)
        return "\n".join(lines)

    def _headline(self) -> str:
        ending = self.ending
        if isinstance(ending, Crashed):
            return f"CRASHED: {ending.error}"
        if isinstance(ending, Paused):
            return f"PAUSED: {ending.reason}"
        if isinstance(ending, Stopped):
            return f"STOPPED: by {ending.by}"
        assert isinstance(ending, Finished)
        missing = [f"{len(ending.deferred)} deferred"] if ending.deferred else []
        failed = [f"{len(ending.failed)} commands failed"] if ending.failed else []
        return "FINISHED" + (f": {', '.join(missing + failed)}" if missing or failed else "")
