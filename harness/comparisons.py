"""What a run came to, measured by another one: a resume by what was resumed, a run by what it comes to without faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from backends.judge import Meaning, judge
from backends.processes import Completed
from faults.actions import Action, Delay, Exit, Hang, OsError, Timeout, Undecodable
from faults.rule import Fault
from faults.trace import Injection
from faults.triggers import Times
from harness.engine.core import LONGEST_OUTAGE
from harness.record import Finished, Paused, RecordError, Stopped, TaskPhase
from harness.report import Report

__all__ = ["COMPARISONS", "Comparison", "recovers", "resumable", "unharmed"]

Comparison = Callable[[Report, Report], Iterator[str]]
"""An oracle of what something came to: the report that it is measured by, then the one that is judged."""


def resumable(before: Report, after: Report) -> Iterator[str]:
    """A resume without faults goes on where the run was: it ends well, repeats no finished task and forgets no crash."""
    if before.state is None or after.killed or (isinstance(after.raised, RecordError) and after.injections):
        return
    if after.state is None:
        yield "the resume left no state"
        return
    if after.state.epoch <= before.state.epoch:
        yield f"epoch {after.state.epoch} does not come after {before.state.epoch}"
    if not after.injections and not isinstance(after.ending, Finished | Paused | Stopped):
        yield f"without faults the resume ended as {after.status}"
    forgotten = {crash.error for crash in before.state.crashes} - {crash.error for crash in after.state.crashes}
    for error in sorted(forgotten):
        yield f"the crash {error:.200} was forgotten"
    started = {entry["task"] for entry in after.ledger[len(before.ledger) :] if entry["what"] == "start"}
    for task in before.state.tasks:
        if task.phase is TaskPhase.DONE and (task.key in started or after.task(task.key).phase != TaskPhase.DONE):
            yield f"{task.key} was done and was taken up again"


def recovers(report: Report) -> bool:
    """Whether nothing went wrong but that the multiplexer gave no answers for a while: then it must have made no difference.

    It answered again for good no later than half the session timeout after it began; design.md, the fault model.
    """
    silences = report.injections
    if not all(map(_is_silence, silences)) or not all(map(_ends, report.faults.faults)):
        return False
    outage_s = silences[-1].at_s + report.call_timeout_s - silences[0].at_s if silences else 0.0
    return outage_s <= report.plan.session_timeout_s * LONGEST_OUTAGE


def _is_silence(injection: Injection) -> bool:
    """Whether it left somebody without an answer; what is read as an answer, and is none, is left out."""
    layer, action = injection.point.partition(".")[0], injection.performed
    if layer == "transport" and isinstance(action, Exit):
        said = Completed((), action.status, b"", f"{action.stderr}\n".encode() if action.stderr else b"")
        return judge(said, "").meaning in (Meaning.UNAVAILABLE, Meaning.GARBLED)
    silent: tuple[type[Action], ...] = (Timeout, Hang, Delay, OsError, Undecodable)
    return layer in ("mux", "transport") and isinstance(action, silent if layer == "transport" else (*silent, Exit))


def _ends(fault: Fault) -> bool:
    return all(isinstance(term.trigger, Times) for term in fault.terms)


def unharmed(faultless: Report, report: Report) -> Iterator[str]:
    """A run that `recovers` came to what it came to without: the same ending, the same for each task, nobody else disturbed."""
    for due, told in zip(_came_to(faultless), _came_to(report), strict=False):
        if due != told:
            yield f"without the silence it came to {due}, with it to {told}"
    if len(_came_to(faultless)) != len(_came_to(report)):
        yield f"without the silence it came to {_came_to(faultless)}, with it to {_came_to(report)}"


def _came_to(report: Report) -> list[tuple[object, ...]]:
    """How a run came out, as far as anybody would notice: its ending, each of its tasks, the sessions of others."""
    finished = isinstance(report.ending, Finished)
    told: list[tuple[object, ...]] = [
        (report.status.value, report.exit_code, report.teardown if finished else None),
        ("others", *(report.others or ())),
    ]
    for state in () if report.state is None else report.state.tasks:
        task = report.task(state.key)
        told.append((task.key, task.phase, task.attempts, *task.outcomes, task.summary))
    return told


COMPARISONS: Mapping[str, Comparison] = MappingProxyType({"resumable": resumable, "unharmed": unharmed})
"""Every oracle that takes two reports: a resume after what was resumed, a run after what it comes to without faults."""
