"""Engines that are wrong on purpose: each makes one mistake that an oracle has to notice."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.base import StrPath
from backends.clock import Clock, Waker
from backends.errors import MultiplexerError, TransportError
from harness.dashboard.render import header_text
from harness.engine.core import Surroundings
from harness.engine.endings import Captured, Isolation
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.engine.signals import RunStopped
from harness.engine.summary import RunSummary
from harness.engine.windows import Listing, Window, Windows
from harness.record import Crashed, Finished, Loaded, Paused, RunState, Status, Stopped, TaskPhase


class LosesTheCrash(Engine):
    """Says that it crashed, and writes down nothing of why."""

    def _record_crash(self, error: BaseException, recording: Isolation) -> RunSummary:
        ending = Crashed(error="lost")
        self.core.state.ending = ending
        self.core.save()
        self.core.journal("run-crash", error="lost")
        self._tear_down(recording)
        return self._summarize(ending, ())


class RecordsTooLate(Engine):
    """Takes the session down, and only then writes down why."""

    def _record_crash(self, error: BaseException, recording: Isolation) -> RunSummary:
        self._tear_down(recording)
        self.windows.claimed = False
        return super()._record_crash(error, recording)


class FinishedMasksCrashed(Engine):
    """Takes a crash after the last task for a good end, in everything that it says."""

    def _record(self, captured: Captured, recording: Isolation) -> RunSummary:
        if isinstance(captured.ending, Crashed):
            self.core.journal("run-complete", deferred=[], failed=[])
            captured = Captured(Finished())
        return super()._record(captured, recording)


class SaysFinished(Engine):
    """Records its crash as it should, and tells its caller that all went well."""

    def _record_crash(self, error: BaseException, recording: Isolation) -> RunSummary:
        return dataclasses.replace(super()._record_crash(error, recording), ending=Finished())


class PausesWhenStopped(Engine):
    """Takes a stop for a pause."""

    def _record(self, captured: Captured, recording: Isolation) -> RunSummary:
        if isinstance(captured.ending, Stopped):
            captured = Captured(Paused("a signal came"))
            self.core.journal("run-paused", reason="a signal came")
        return super()._record(captured, recording)


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


class TypesAgain(Engine):
    """Types whatever it types once more, in case it got lost."""

    def _windows(self) -> Windows:
        return Retyping(*_made_like(super()._windows()))


class NagsItsAgents(Engine):
    """Asks for a result far more often than its plan allows."""

    def __init__(self, plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> None:
        super().__init__(dataclasses.replace(plan, nudges=10), run_dir, outside, **options)


class NeverAsksToEnd(Engine):
    """Takes nothing down, and says that this could not be confirmed."""

    def _tear_down(self, recording: Isolation) -> None:
        self.core.state.teardown = "unconfirmed"
        self.core.journal("teardown", outcome="unconfirmed")


class TakesItsTime(Engine):
    """Looks for results once in a minute, and hears of nothing in between."""

    def __init__(self, plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> None:
        deaf = dataclasses.replace(outside, clock=_Unwoken(outside.clock))
        super().__init__(dataclasses.replace(plan, poll_s=60), run_dir, deaf, **options)


class _Unwoken(Clock):
    """A clock whose waits nothing ends."""

    def __init__(self, inner: Clock) -> None:
        self._inner = inner

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._inner.monotonic()

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._inner.wall()

    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """See `Clock.wait`."""
        return self._inner.wait(seconds)


class LingersAtTheEnd(Engine):
    """Spends a minute on a teardown that has a second."""

    def _tear_down(self, recording: Isolation) -> None:
        self.outside.clock.wait(60)
        super()._tear_down(recording)


class DawdlesWhenStopped(Engine):
    """Takes a minute to notice that it was asked to stop."""

    def _record(self, captured: Captured, recording: Isolation) -> RunSummary:
        if isinstance(captured.ending, Stopped):
            self.outside.clock.wait(60)
        return super()._record(captured, recording)


class NeverGivesUpCleaning(Engine):
    """Waits ten times as long as it may for a multiplexer that does not end its session."""

    def _complete(self) -> Finished:
        self.plan = dataclasses.replace(self.plan, session_timeout_s=10 * self.plan.session_timeout_s)
        return super()._complete()


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


class SwallowsNestedStops(Engine):
    """Takes a stop of the run inside it for that run's end, and goes on."""

    def run_nested(self, child: Engine) -> RunSummary:
        """See `Engine.run_nested`."""
        try:
            return super().run_nested(child)
        except RunStopped:
            self._child, self.switch.by = None, None
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

    def _record(self, captured: Captured, recording: Isolation) -> RunSummary:
        summary = super()._record(captured, recording)
        self.outside.disk.append(self.run_dir / "journal.jsonl", b'{"seq": 99, "epo')
        return summary


class LeavesItsSession(Engine):
    """Says that its session was taken down without having asked for it."""

    def _complete(self) -> Finished:
        self.plan = dataclasses.replace(self.plan, cleanup_session=False)
        finished = super()._complete()
        self.core.state.teardown = "torn-down"
        return finished


class ReadsUnknownAsDead(Engine):
    """Takes a listing that nobody answered for one without windows."""

    def _windows(self) -> Windows:
        return Hasty(*_made_like(super()._windows()))


class RetriesBlindly(Engine):
    """Opens a window once more when nobody says what came of the first one."""

    def _windows(self) -> Windows:
        return Reopening(*_made_like(super()._windows()))


class FailsOnSilence(Engine):
    """Takes a listing that nobody answered for a failure of its own."""

    def _windows(self) -> Windows:
        return Helpless(*_made_like(super()._windows()))


class SkipsItsSteps(Engine):
    """Passes no checkpoint, so that nothing can be made to happen there."""

    def __init__(self, plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> None:
        super().__init__(plan, run_dir, dataclasses.replace(outside, checkpoint=lambda step: None), **options)


class Retyping(Windows):
    """Types everything twice."""

    def type(self, window: Window, text: str) -> MultiplexerError | None:
        """See `Windows.type`; nobody is asked whose window that is by now."""
        with contextlib.suppress(MultiplexerError):
            self.multiplexer.send_text(window.id, text)
        try:
            self.multiplexer.send_text(window.id, text)
        except MultiplexerError as error:
            return error
        return None


class Hasty(Windows):
    """Knows no silence."""

    def listing(self) -> Listing:
        """See `Windows.listing`."""
        return Listing(super().listing().ids or frozenset())


class Reopening(Windows):
    """Opens windows until one is confirmed."""

    def open(self, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> Window:
        """See `Windows.open`."""
        try:
            return super().open(name, cwd, env, command)
        except TransportError:
            return super().open(name, cwd, env, command)


class Helpless(Windows):
    """Lets the seam's errors through."""

    def listing(self) -> Listing:
        """See `Windows.listing`."""
        return Listing(frozenset(self.multiplexer.list_window_ids(self.session)))


def _made_like(windows: Windows) -> tuple[Any, str, str, StrPath]:
    """What to make other windows of, that are those of the same run."""
    return windows.multiplexer, windows.session, windows.run_id, windows.cwd


def attaches_to_all(status: Status, state: RunState | None) -> str:
    """A dashboard that offers to attach, whatever became of the run."""
    return f"{header_text(status, state)}\npress a to attach"
