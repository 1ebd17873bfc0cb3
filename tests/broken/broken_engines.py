"""Engines that are wrong on purpose: each makes one mistake that an oracle has to notice."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from harness.engine.core import Surroundings
from harness.engine.endings import Captured, Isolation
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.engine.summary import RunSummary
from harness.record import Crashed, Finished, Loaded, Paused, Stopped, TaskPhase


class LosesTheCrash(Engine):
    """Says that it crashed, and writes down nothing of why."""

    def _record_crash(self, error: BaseException) -> RunSummary:
        ending = Crashed(error="lost")
        self.core.state.ending = ending
        self.core.save()
        self.core.journal("run-crash", error="lost")
        self._tear_down(Isolation())
        return self._summarize(ending, ())


class RecordsTooLate(Engine):
    """Takes the session down, and only then writes down why."""

    def _record_crash(self, error: BaseException) -> RunSummary:
        self._tear_down(Isolation())
        self.windows.claimed = False
        return super()._record_crash(error)


class FinishedMasksCrashed(Engine):
    """Takes a crash after the last task for a good end, in everything that it says."""

    def _record(self, captured: Captured) -> RunSummary:
        if isinstance(captured.ending, Crashed):
            self.core.journal("run-complete", deferred=[], failed=[])
            captured = Captured(Finished())
        return super()._record(captured)


class SaysFinished(Engine):
    """Records its crash as it should, and tells its caller that all went well."""

    def _record_crash(self, error: BaseException) -> RunSummary:
        return dataclasses.replace(super()._record_crash(error), ending=Finished())


class PausesWhenStopped(Engine):
    """Takes a stop for a pause."""

    def _record(self, captured: Captured) -> RunSummary:
        if isinstance(captured.ending, Stopped):
            captured = Captured(Paused("a signal came"))
            self.core.journal("run-paused", reason="a signal came")
        return super()._record(captured)


class LetsFailuresOut(Engine):
    """Records its crash and raises all the same."""

    def run(self) -> RunSummary:
        """See `Engine.run`."""
        summary = super().run()
        if summary.crashed:
            raise RuntimeError(summary.crash_error)
        return summary


class IgnoresItsDeadline(Engine):
    """Waits ten times as long as its plan allows."""

    def __init__(self, plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> None:
        patient = dataclasses.replace(plan, session_timeout_s=10 * plan.session_timeout_s)
        super().__init__(patient, run_dir, outside, **options)


class SwallowsNestedFailures(Engine):
    """Goes on as if nothing had happened when a run inside it fails."""

    def run_nested(self, child: Engine) -> RunSummary:
        """See `Engine.run_nested`."""
        try:
            return super().run_nested(child)
        except RuntimeError:
            self._child = None
            assert child.summary is not None
            return child.summary


class RepeatsFinishedTasks(Engine):
    """Begins everything anew when it resumes."""

    def _reopen(self, loaded: Loaded) -> None:
        for task in loaded.state.tasks:
            task.phase = TaskPhase.PENDING
        super()._reopen(loaded)


class LeavesGarbage(Engine):
    """Ends its journal in the middle of a line."""

    def _record(self, captured: Captured) -> RunSummary:
        summary = super()._record(captured)
        self.outside.disk.append(self.run_dir / "journal.jsonl", b'{"seq": 99, "epo')
        return summary


class LeavesItsSession(Engine):
    """Says that its session was taken down without having asked for it."""

    def _complete(self) -> Finished:
        self.plan = dataclasses.replace(self.plan, cleanup_session=False)
        finished = super()._complete()
        self.core.state.teardown = "torn-down"
        return finished
