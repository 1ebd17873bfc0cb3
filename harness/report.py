"""What came of a scenario, as one value to assert on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from faults.plan import FaultPlan
from faults.rule import Fault
from faults.trace import Injection, TraceEntry
from harness.engine.plan import RunPlan
from harness.engine.summary import RunSummary
from harness.record import Ending, Event, Pending, RunState, RunStatus, Status

__all__ = ["NestedReport", "Report", "TaskReport"]


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task at the end: its phase, how many attempts were used up, and what came of each launch."""

    key: str
    phase: str
    attempts: int
    outcomes: Sequence[str]
    reasons: Sequence[str]
    reason: str
    summary: str
    nudges: int

    @property
    def outcome(self) -> str:
        """What came of the newest launch."""
        return self.outcomes[-1] if self.outcomes else ""


@dataclass(frozen=True, slots=True)
class NestedReport:
    """A run inside a run, as its own record tells of it; `path` is its directory inside the outermost run's."""

    run_id: str
    path: str
    status: RunStatus
    state: RunState | None
    journal: Sequence[Event]
    crash: Mapping[str, Any] | None

    @property
    def ending(self) -> Ending | None:
        """How it ended, as recorded."""
        return None if self.state is None else self.state.ending

    def events(self, name: str) -> list[Event]:
        """The journal's lines of that event."""
        return [event for event in self.journal if event["event"] == name]


@dataclass(slots=True)
class Report:
    """Everything that a scenario can assert on.

    `summary` is `None` where the engine did not return one: it was killed (`killed`), or raised (`raised`). `crash` is the
    crash record as read back, `crash_sink` where from: `json`, `journal`, `text` (then the record has but `error`, `epoch` and
    `text`), or `stderr`, which is not read. `entries` are what happened at the failpoints. `list_row` and `header` are what a
    dashboard shows, as plain text. `elapsed_s` is in seconds of the world's clock. `typed` counts how often the engine asked
    for each text to be typed, by its digest in the ledger, in every run of the stage so far. `leftovers` are what is left of
    the run, and `others` the sessions there that are somebody else's; `None` if nobody answers. `began_at` is wall seconds,
    `stops` when its process was to get signals, in seconds after that. `nested` are the runs
    inside this one and inside those, outer ones first. `violations` are what was noticed while the run went on.
    """

    plan: RunPlan
    faults: FaultPlan
    summary: RunSummary | None
    state: RunState | None
    verdict: Status
    journal: Sequence[Event]
    crash: Mapping[str, Any] | None
    leftovers: Sequence[str] | None
    injections: Sequence[Injection]
    unfired: Sequence[Fault]
    reached: Mapping[str, int]
    entries: Sequence[TraceEntry]
    elapsed_s: float
    list_row: str
    header: str
    stderr: str
    virtual: bool
    backend: str
    call_timeout_s: float
    raised: BaseException | None = None
    killed: bool = False
    crash_sink: str | None = None
    raw: Sequence[str] = ()
    ledger: Sequence[Mapping[str, Any]] = ()
    others: Sequence[str] | None = None
    began_at: float = 0.0
    stops: Sequence[float] = ()
    typed: Mapping[str, int] = field(default_factory=dict)
    nested: Sequence[NestedReport] = ()
    violations: list[str] = field(default_factory=list)

    @property
    def trace(self) -> str:
        """Everything that happened at the failpoints, a line each: the same, byte for byte, for the same plan and seed."""
        return "".join(f"{entry}\n" for entry in self.entries)

    @property
    def status(self) -> RunStatus:
        """What `classify` says of the run now."""
        return self.verdict.name

    @property
    def ending(self) -> Ending | None:
        """How the run ended, as recorded."""
        return None if self.state is None else self.state.ending

    @property
    def pending(self) -> Sequence[Pending]:
        """What agents ask people for, as the status shows it."""
        return self.verdict.pending

    @property
    def exit_code(self) -> int | None:
        """What `seamripper run` would exit with; `None` if the engine did not come to an end."""
        return None if self.summary is None else self.summary.exit_code

    @property
    def teardown(self) -> str | None:
        """`torn-down`, `unconfirmed`, `failed`, or `None` where nothing was torn down."""
        return None if self.state is None else self.state.teardown

    def task(self, key: str) -> TaskReport:
        """The task of that key; `KeyError` if there is none."""
        if self.state is None:
            raise KeyError(f"the run left no state, so nothing is known of {key}")
        task = self.state.task(key)
        ended = [attempt for attempt in task.attempts if attempt.outcome is not None]
        return TaskReport(
            key=key,
            phase=str(task.phase),
            attempts=task.attempts_used,
            outcomes=[str(attempt.outcome) for attempt in ended],
            reasons=[attempt.reason for attempt in ended],
            reason=task.reason,
            summary=task.summary,
            nudges=sum(attempt.nudges for attempt in task.attempts),
        )

    def events(self, name: str) -> list[Event]:
        """The journal's lines of that event."""
        return [event for event in self.journal if event["event"] == name]

    def explain(self) -> str:
        """What a person needs to see why: the verdict, the journal's end, the trace around the injections."""
        lines = [f"status {self.status}: {self.verdict.reason}"]
        if self.summary is not None:
            lines += ["summary:", *(f"  {line}" for line in self.summary.render().splitlines())]
        if self.raised is not None:
            lines.append(f"raised: {type(self.raised).__name__}")
        lines.append("journal (newest last):")
        for event in list(self.journal)[-25:]:
            told = {k: v for k, v in event.items() if k not in ("seq", "epoch", "at", "event", "state", "crash")}
            lines.append(f"  #{event['seq']} {event['event']} {told}")
        lines.append("trace (newest last):")
        lines += [f"  {line}" for line in self.trace.splitlines()[-40:]]
        if self.stderr:
            lines += ["stderr:", *(f"  {line}" for line in self.stderr.splitlines()[-20:])]
        return "\n".join(lines)
