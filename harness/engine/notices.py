"""Telling people what they have to do: the file `ATTENTION`, and the plan's `notify` command.

Nothing that fails here changes anything else: it is journaled (`notify-failed`) if that is possible, and forgotten.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

from backends.processes import Job, ProcessTable
from harness.engine.core import Core
from harness.engine.plan import RunPlan
from harness.record import RunStatus

__all__ = ["NOTIFY_TIMEOUT_S", "Notices", "notification"]

NOTIFY_TIMEOUT_S = 5.0
"""Seconds that a notification may take, and by which it can delay the end of a run."""
_MOST_AT_ONCE = 4
"""Notifications that may run at the same time, so that an agent that asks and asks starts no heap of them; chosen."""
_LOOK_S = 0.1
"""Seconds between two looks at what still runs when the run has ended."""


def notification(processes: ProcessTable, plan: RunPlan, run_dir: Path, status: RunStatus, reason: str) -> Job:
    """The plan's command, started; who is notified learns the run, its status and the reason by variables.

    Raises `OSError` and `ValueError` where it cannot be started.
    """
    about = {"SEAMRIPPER_RUN": str(run_dir), "SEAMRIPPER_STATUS": status.value, "SEAMRIPPER_REASON": reason}
    return processes.start(plan.notify, timeout_s=NOTIFY_TIMEOUT_S, newest=0, cwd=plan.project or None, variables=about)


class Notices:
    """What people are told about one run, and about those inside it."""

    def __init__(self, core: Core, *, said: bool) -> None:
        """Speak for the run of `core`; `said` is whether something may have been said in an earlier epoch."""
        self.core = core
        self._said = said
        self._asked: tuple[tuple[str, str], ...] = ()
        self._running: list[Job] = []

    @property
    def busy(self) -> bool:
        """Whether a notification still runs."""
        return bool(self._running)

    def look(self, asked: Iterable[tuple[str, str]]) -> None:
        """Tell of what agents ask for now, by task, and see what became of notifications; never waits."""
        asked = tuple(asked)
        if asked != self._asked:
            new = [one for one in asked if one not in self._asked]
            self._asked = asked
            self.say("\n".join(map(_waits, asked)) or None)
            for one in new:
                self._notify(RunStatus.RUNNING, _waits(one))
        self._reap()

    def say(self, text: str | None) -> None:
        """Put `text` into `ATTENTION`; `None` where nothing is to be done any more."""
        if text is None and not self._said:
            return
        self._said = text is not None
        try:
            self.core.store.attention(text)
        except OSError as error:
            self._failed(f"ATTENTION: {self.core.store.describe(error)}")

    def end(self, status: RunStatus, reason: str) -> None:
        """Tell that the run has ended, unless somebody stopped it, and give notifications their time; a stop takes it away."""
        core = self.core
        limit_s = core.now + NOTIFY_TIMEOUT_S
        if status is not RunStatus.STOPPED:
            self._notify(status, reason)
        self._reap()
        while self._running and status is not RunStatus.STOPPED and not core.switch.requests and core.now < limit_s:
            core.outside.clock.wait(_LOOK_S, core.switch.waker)
            self._reap()
        for job in self._running:
            job.end()
            self._failed("it was given up")
        self._running.clear()

    def _notify(self, status: RunStatus, reason: str) -> None:
        """Start the command, if there is one."""
        core = self.core
        if not core.plan.notify:
            return
        if len(self._running) >= _MOST_AT_ONCE:
            self._failed("too many at the same time")
            return
        try:
            job = notification(core.outside.processes, core.plan, core.run_dir, status, reason)
        except (OSError, ValueError) as error:
            self._failed(f"it could not be run: {core.store.describe(error)}")
        else:
            self._running.append(job)

    def _reap(self) -> None:
        running = []
        for job in self._running:
            try:
                done = job.poll()
            except subprocess.TimeoutExpired:
                self._failed(f"it did not end within {NOTIFY_TIMEOUT_S:g} s")
            except OSError as error:
                self._failed(self.core.store.describe(error))
            else:
                if done is None:
                    running.append(job)
                elif done.status != 0:
                    self._failed(f"exit {done.status}")
        self._running = running

    def _failed(self, problem: str) -> None:
        with contextlib.suppress(OSError):
            self.core.journal("notify-failed", problem=problem)


def _waits(one: tuple[str, str]) -> str:
    return f"{one[0]} waits for a person: {one[1]}"
