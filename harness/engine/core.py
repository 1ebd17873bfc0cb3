"""What every part of the engine is handed: the outside world as arguments, and the run's own record."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from backends.base import TerminalMultiplexer
from backends.clock import Clock, Waker
from backends.disk import Disk
from backends.entropy import Entropy
from backends.errors import MultiplexerError, TargetMissing, TransportError, TransportTimeout
from backends.guard import Call
from backends.operations import Kind
from backends.processes import ProcessTable
from harness.engine.events import EventReader
from harness.engine.plan import RunPlan
from harness.engine.profiles import AgentProfile
from harness.engine.signals import StopSwitch
from harness.record import RunState, RunStore

__all__ = ["GRACEFULLY", "LONGEST_OUTAGE", "STEPS", "STOP_FILE", "Core", "SeamWatch", "Surroundings"]

LONGEST_OUTAGE = 0.5
"""How long the multiplexer may fail to answer without any consequence, as a part of the session timeout; design.md, the fault
model."""

STOP_FILE = "STOP-GRACEFULLY"
"""In the directory of a run it asks for a stop once the sessions that run have come to their end."""
GRACEFULLY = "stop --graceful"
"""Who has stopped a run that ended so."""

STEPS: tuple[str, ...] = (
    "begin",
    "load",
    "reconcile",
    "schedule",
    "prompt",
    "session",
    "open-window",
    "adopt",
    "mark",
    "tick",
    "listing",
    "decide",
    "nudge",
    "outcome",
    "kill",
    "verify",
    "settle",
    "nested",
    "clean-up",
    "post-run",
    "complete",
    "pause",
    "record",
)
"""Every checkpoint of the engine, in the order in which a run first passes them; the fault points `engine.<step>`."""


_WHY = 300
"""Characters of why nobody answered that are kept."""
_WORDS = 160
"""Characters of them that stand in the one line that people read."""


def _no_checkpoint(step: str) -> None:
    return None


def _no_context() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything outside the engine, as arguments.

    `checkpoint(step)` is called at every step of `STEPS` and may raise; the mapping that `crash_context()` answers goes into
    crash records. `progress(line)` is shown to whoever watches. `stderr` is the last sink of a crash record. The values
    of `environment` (default: this process's own) must not get into the record.
    """

    multiplexer: TerminalMultiplexer
    clock: Clock
    disk: Disk
    processes: ProcessTable
    entropy: Entropy
    profiles: Mapping[str, AgentProfile]
    checkpoint: Callable[[str], None] = _no_checkpoint
    crash_context: Callable[[], Mapping[str, object]] = _no_context
    progress: Callable[[str], None] = _no_checkpoint
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    environment: Mapping[str, str] | None = None

    def store(self, run_dir: Path) -> RunStore:
        """The record of the run in `run_dir`."""
        return RunStore.on(self, run_dir, stderr=self.stderr, environment=self.environment)


class SeamWatch:
    """Observes the seam: the newest calls, and since when nobody has answered.

    It only remembers, because an observer runs inside the call; the engine writes the journal between calls.
    """

    def __init__(self) -> None:
        self.recent: deque[Call] = deque(maxlen=200)
        self.silent_since: float | None = None
        self.silenced_by: Call | None = None

    def __call__(self, call: Call) -> None:
        """Remember a finished call."""
        self.recent.append(call)
        if call.operation.kind is Kind.LOCAL:
            return
        if isinstance(call.error, TransportError):
            if self.silent_since is None:
                self.silent_since = call.started_s
                self.silenced_by = call
        elif self.silenced_by is not None and self._ends_silence(call, self.silenced_by):
            self.silent_since = None
            self.silenced_by = None

    def _ends_silence(self, call: Call, silenced_by: Call) -> bool:
        """A courtesy that is answered says nothing about a probe or change that was not."""
        return call.operation.kind is not Kind.COURTESY or silenced_by.operation.kind is Kind.COURTESY

    def trouble(self, since_s: float) -> Call | None:
        """The newest probe or change that ended no earlier and got no answer, or a refusal, and was not answered since."""
        answered: set[str] = set()
        for call in reversed(self.recent):
            if call.started_s + call.elapsed_s < since_s:
                break
            if call.operation.kind in (Kind.LOCAL, Kind.COURTESY) or call.operation.name in answered:
                continue
            if call.error is not None and not isinstance(call.error, TargetMissing):
                return call
            answered.add(call.operation.name)
        return None

    def lines(self) -> list[str]:
        """The newest calls, oldest first, one line each, with every payload withheld."""
        return [
            f"#{call.number} {call.started_s:.3f}s +{call.elapsed_s:.3f}s {call} {call.outcome}"
            + (f": {type(call.error).__name__}" if call.error is not None else "")
            for call in self.recent
        ]


@dataclass(slots=True)
class Core:
    """The run as the parts of the engine share it."""

    plan: RunPlan
    run_dir: Path
    outside: Surroundings
    store: RunStore
    state: RunState
    switch: StopSwitch
    seam: SeamWatch
    events: EventReader
    degraded: bool = False

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.outside.clock.monotonic()

    def checkpoint(self, step: str) -> None:
        """Pass a step: a test may interpose here, and a stop that was asked for unwinds from here."""
        self.outside.checkpoint(step)
        self.switch.check()

    def winding_down(self) -> bool:
        """Whether the run is to end with the sessions that it has: no other one may be started then."""
        switch = self.switch
        with contextlib.suppress(OSError):
            there = switch.stop_file is not None and self.outside.disk.info(switch.stop_file) is not None
            if there and not switch.winding_down:
                switch.winding_down = True
                self.journal("winding-down")
        return switch.winding_down

    def journal(self, event: str, **fields: Any) -> None:
        """Write one durable line into the journal, and tell whoever watches."""
        self.store.journal.append(event, **fields)
        words = [f"{key}={value}" for key, value in fields.items() if value not in (None, "")]
        self.outside.progress(" ".join([event, *words]))

    def save(self) -> None:
        """Make the state durable."""
        self.store.save(self.state)

    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """Let time pass; a stop ends it early, and so does `waker`, which a stop has to set as well: whether it did."""
        woken = self.outside.clock.wait(seconds, waker or self.switch.waker)
        self.switch.check()
        return woken

    def trouble(self, since_s: float) -> str:
        """What the multiplexer has said or left unsaid since then, and what a person can do; nothing if it answers."""
        call = self.seam.trouble(since_s)
        if call is None:
            return ""
        return f": {self._words(call)}; `seamripper doctor` shows what to mend, then resume"

    def _words(self, call: Call) -> str:
        """What came of a call that was not answered, or refused, in one line."""
        if isinstance(call.error, TransportTimeout):
            return call.error.brief
        words = call.error.message if isinstance(call.error, MultiplexerError) else str(call.error)
        verdict = "is not answered" if isinstance(call.error, TransportError) else "is refused"
        return f"{call.operation.name} {verdict}: {' '.join(self.store.clean(words, _WORDS).split())}"

    def note_seam(self) -> None:
        """Journal that the multiplexer fell silent, or that it answers again; whoever is stopped does not wait for answers."""
        silent = self.seam.silent_since is not None
        if silent and not self.degraded and self.switch.by is None:
            self.degraded = True
            call = self.seam.silenced_by
            self.state.degraded_since = self.outside.clock.wall()
            told = {"operation": "", "error": ""}
            if call is not None:
                told_of = call.error.brief if isinstance(call.error, MultiplexerError) else str(call.error)
                why = self.store.clean(told_of, _WHY)
                self.state.degraded_why = self._words(call)
                told = {"operation": call.operation.name, "error": type(call.error).__name__, "why": why}
            self.journal("transport-degraded", **told)
            self.save()
        elif self.degraded and not silent:
            self.degraded = False
            self.state.degraded_since = None
            self.state.degraded_why = ""
            self.journal("transport-recovered")
            self.save()
