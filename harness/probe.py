"""Checks an agent's hooks: one session, carried out by the real engine, and then which events arrived.

A probe is a run like any other, so whatever the engine survives, a probe survives: an unanswered liveness probe is asked
again at the next tick, and all of it is bounded by the session's timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.disk import Disk
from harness.engine.events import TAKEN, Event, EventKind, EventReader
from harness.engine.plan import RunPlan, TaskPlan
from harness.engine.summary import RunSummary
from harness.record import Finished, RunState, SessionOutcome

__all__ = ["EXPECTED", "PROBE_TASK", "PROBE_TIMEOUT_S", "ProbeReport", "probe_plan", "probe_report"]

PROBE_TIMEOUT_S = 120.0
"""Seconds that an agent is given for one turn that has nothing to do."""

PROBE_TASK = "probe"
"""The key of the one task of a probe."""

EXPECTED = (EventKind.SESSION_START, EventKind.PROMPT, EventKind.STOP)
"""What the hooks of a working agent report in one turn, in this order."""

_PROMPT = "This is a check of your hooks. Do nothing, change no file, and answer with the one word: ready"


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What came of a probe.

    `outcome` is that of the session (`None` where it was not started, or where the engine ended first), `events` are the
    kinds of events that arrived, in order; `skipped` are files that were none, each with the reason.
    """

    agent: str
    outcome: SessionOutcome | None
    reason: str
    events: Sequence[EventKind]
    skipped: Sequence[str] = ()

    @property
    def missing(self) -> list[EventKind]:
        """The expected events that never arrived."""
        return [kind for kind in EXPECTED if kind not in self.events]

    @property
    def ok(self) -> bool:
        """Whether the agent can be driven: its turn ended by itself, and its hooks told of all of it."""
        return self.outcome is SessionOutcome.COMPLETED and not self.missing

    def lines(self) -> list[str]:
        """The report for people, a line each."""
        shown = "not started" if self.outcome is None else str(self.outcome)
        head = f"probe of {self.agent}: {'ok' if self.ok else 'NOT OK'} - session {shown}"
        told = [head + (f": {self.reason}" if self.reason else "")]
        for kind in (*EXPECTED, *(kind for kind in dict.fromkeys(self.events) if kind not in EXPECTED)):
            count = sum(arrived is kind for arrived in self.events)
            mark = "✔" if count else "✖"
            told.append(f"  {mark} {kind:<13} {'arrived' if count else 'never arrived'}" + (f" x{count}" * (count > 1)))
        return [*told, *(f"  ? {note}" for note in self.skipped)]

    def document(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "agent": self.agent,
            "ok": self.ok,
            "outcome": None if self.outcome is None else self.outcome.value,
            "reason": self.reason,
            "events": [kind.value for kind in self.events],
            "missing": [kind.value for kind in self.missing],
            "skipped": list(self.skipped),
        }


def probe_plan(agent: str, base: RunPlan | None = None, timeout_s: float = PROBE_TIMEOUT_S, **settings: Any) -> RunPlan:
    """The plan of a probe of `agent`: one attempt, one turn, no nudge. `base` describes agents of one's own.

    `settings` are other fields of `RunPlan`. Raises `PlanError` where there is no such agent.
    """
    project = "." if base is None else base.project
    settings = {"project": project, "agents": {} if base is None else base.agents, **settings}
    return RunPlan(
        (TaskPlan(PROBE_TASK, _PROMPT),),
        agent=agent,
        session_timeout_s=timeout_s,
        completion="turn",
        max_attempts=1,
        nudges=0,
        retry_deferred="never",
        **settings,
    )


def _events_in(disk: Disk, directory: Path) -> tuple[list[Event], list[str]]:
    """The events of a run that has ended, in order, and a note for each file that is none."""
    taken = directory / TAKEN
    earlier: tuple[list[Event], list[str]] = ([], []) if disk.info(taken) is None else EventReader(disk, taken).poll()
    events, skipped = EventReader(disk, directory).poll()
    return [*earlier[0], *events], [*earlier[1], *skipped]


def probe_report(agent: str, disk: Disk, run_dir: Path, state: RunState, summary: RunSummary | None) -> ProbeReport:
    """What the probe that was run in `run_dir` has shown."""
    attempts = state.task(PROBE_TASK).attempts
    tokens = {attempt.token for attempt in attempts}
    events, skipped = _events_in(disk, run_dir / "events")
    reason = attempts[-1].reason if attempts else ""
    if summary is not None and not isinstance(summary.ending, Finished):
        reason = summary.render().splitlines()[0]
    return ProbeReport(
        agent=agent,
        outcome=attempts[-1].outcome if attempts else None,
        reason=reason,
        events=[event.kind for event in events if event.token in tokens],
        skipped=skipped,
    )
