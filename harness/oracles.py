"""What must hold after every scenario, whatever its faults.

Each oracle takes a `Report` and answers what is wrong with it, in words; nothing if it holds. `check` runs all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from faults.actions import Raise, Signal
from faults.errors import SimulatedDeath
from harness.record import (
    Crashed,
    Ending,
    Event,
    Finished,
    Paused,
    RecordError,
    RunStatus,
    SessionOutcome,
    Stopped,
    TaskPhase,
    exit_code,
)
from harness.report import Report

__all__ = ["ORACLES", "Oracle", "OracleViolation", "check", "check_resumed", "resumable", "violations"]

Oracle = Callable[[Report], Iterator[str]]


class OracleViolation(AssertionError):
    """At least one oracle does not hold; the message says which, and what happened."""


_STATUS_OF: tuple[tuple[type, RunStatus, str], ...] = (
    (Crashed, RunStatus.CRASHED, "run-crash"),
    (Stopped, RunStatus.STOPPED, "run-stopped"),
    (Paused, RunStatus.PAUSED, "run-paused"),
    (Finished, RunStatus.FINISHED, "run-complete"),
)


def _told_by(ending: Ending) -> tuple[RunStatus, str]:
    return next((status, event) for kind, status, event in _STATUS_OF if isinstance(ending, kind))


def _disk_was_faulty(report: Report) -> bool:
    return any(injection.point.startswith("disk.") for injection in report.injections)


def _clock_was_faulty(report: Report) -> bool:
    return any(injection.point == "clock.tick" for injection in report.injections)


def _of_this_epoch(report: Report) -> list[Event]:
    """The journal of the newest epoch: what came before was judged when it ended, with the faults that it had."""
    epoch = max((entry["epoch"] for entry in report.journal), default=0)
    return [entry for entry in report.journal if entry["epoch"] == epoch]


def no_escape(report: Report) -> Iterator[str]:
    """Nothing but the documented outcome comes out of `Engine.run()`."""
    raised = report.raised
    if raised is None and report.summary is None:
        yield "the engine returned without a summary"
    if isinstance(raised, Exception) and not isinstance(raised, RecordError):
        yield f"{type(raised).__name__} came out of Engine.run()"
    if isinstance(raised, SimulatedDeath) and not report.killed:
        yield "the engine died although nothing killed it"


def honest_status(report: Report) -> Iterator[str]:
    """State, journal, crash record, summary, exit code and dashboard tell the same story."""
    if report.summary is None:
        if report.killed and report.status is RunStatus.RUNNING:
            yield "a killed run is shown as running"
        return
    ending = report.summary.ending
    status, event = _told_by(ending)
    unrecorded = _disk_was_faulty(report) and report.stderr
    if report.status is not status and not unrecorded:
        yield f"the run ended as {status}, and is classified as {report.status} ({report.verdict.reason})"
    if report.exit_code != exit_code(ending):
        yield f"exit code {report.exit_code} does not belong to {status}"
    if _disk_was_faulty(report):
        return
    if type(report.ending) is not type(ending):
        yield f"state says {report.ending}, the summary {ending}"
    epoch = max((entry["epoch"] for entry in report.journal), default=0)
    if not any(entry["event"] == event and entry["epoch"] == epoch for entry in report.journal):
        yield f"the journal has no {event}"
    if status.value not in report.list_row:
        yield f"the list shows {report.list_row!r} for {status}"
    if (report.crash is not None) != isinstance(ending, Crashed):
        yield f"{'a' if report.crash else 'no'} crash record for a run that is {status}"
    if status in (RunStatus.CRASHED, RunStatus.STOPPED) and "attach" in report.header:
        yield "an attach hint is shown for a run whose session was torn down"
    yield from _unheeded(report, ending)


def _unheeded(report: Report, ending: Ending) -> Iterator[str]:
    """What was raised at a step of the engine crashes it, and a stop that was asked for there stops it: neither is ignored."""
    for injection in report.injections:
        performed = injection.performed
        if isinstance(performed, Signal) or (
            isinstance(performed, Raise) and performed.exception == "KeyboardInterrupt"
        ):
            due: type = Stopped
        elif isinstance(performed, Raise) and injection.point.startswith("engine."):
            due = Crashed
        else:
            continue
        if not isinstance(ending, due | Crashed):
            yield f"{injection.action} at {injection.point} was not heeded: the run is {report.status}"


def honest_nested(report: Report) -> Iterator[str]:
    """A run inside an ended run has ended, and what went wrong in it went wrong for the outer one: nothing is swallowed."""
    if report.summary is None:
        return
    for inner in report.nested:
        # One that was killed before its first line has nothing to say about itself, then or later.
        told = inner.journal or _began_in_this_epoch(report, inner.run_id)
        if told and inner.status in (RunStatus.RUNNING, RunStatus.UNKNOWN) and not _disk_was_faulty(report):
            yield f"the nested run {inner.run_id} is {inner.status} although the run around it has ended"
        newest = inner.run_id == report.nested[-1].run_id and _began_in_this_epoch(report, inner.run_id)
        failed = isinstance(inner.ending, Crashed | Stopped)
        if newest and failed and not isinstance(report.summary.ending, Crashed | Stopped):
            yield f"the nested run {inner.run_id} is {inner.status}, the run around it {report.status}"


def _began_in_this_epoch(report: Report, run_id: str) -> bool:
    epoch = max((entry["epoch"] for entry in report.journal), default=0)
    return any(entry["run"] == run_id and entry["epoch"] == epoch for entry in report.events("nested-run"))


def no_false_crash(report: Report) -> Iterator[str]:
    """An agent that was alive and finished its work is never recorded as crashed, timed out or stalled."""
    yield from report.violations
    if report.state is None or _disk_was_faulty(report) or _clock_was_faulty(report):
        return
    finished = {entry["token"]: entry["at"] for entry in report.ledger if entry["what"] == "result"}
    wrong = (SessionOutcome.CRASHED, SessionOutcome.TIMED_OUT, SessionOutcome.STALLED)
    began_s = min((float(entry["at"]) for entry in _of_this_epoch(report)), default=0.0)
    for task in report.state.tasks:
        for attempt in task.attempts:
            left_s = finished.get(attempt.token)
            ended_s = attempt.ended_at or 0
            if attempt.outcome in wrong and left_s is not None and left_s <= ended_s and ended_s >= began_s:
                yield f"{task.key} #{attempt.number} left a result and is recorded as {attempt.outcome}"


def crash_recorded(report: Report) -> Iterator[str]:
    """An engine crash has a durable record with type, traceback and recent seam calls, written before teardown."""
    if report.summary is None or not isinstance(report.summary.ending, Crashed):
        return
    if report.crash is None:
        if report.crash_sink is None:
            yield "the engine crashed and no sink holds the record"
        return
    raised = report.crash.get("exceptions")
    if report.crash_sink != "text":
        if not (isinstance(raised, list) and raised and raised[0].get("frames")):
            yield "the crash record lacks the traceback"
        if not isinstance(report.crash.get("seam_calls"), list):
            yield "the crash record lacks the seam calls"
    if report.crash.get("error") != report.summary.crash_error:
        yield f"the crash record says {report.crash.get('error')!r:.200}, the summary {report.summary.crash_error!r:.200}"
    yield from _recorded_first(report, report.crash.get("epoch"))


def _recorded_first(report: Report, epoch: object) -> Iterator[str]:
    """The record before the teardown, by the order of both in the journal and in what was asked of disk and multiplexer."""
    crashes = [entry["seq"] for entry in report.events("run-crash") if entry["epoch"] == epoch]
    teardowns = [entry["seq"] for entry in report.events("teardown") if entry["epoch"] == epoch]
    if not _disk_was_faulty(report) and not (crashes and teardowns and max(teardowns) > max(crashes)):
        yield "the crash was not journaled before the teardown"
    written = [entry.number for entry in report.entries if entry.point == "disk.write:crash"]
    killed = [entry.number for entry in report.entries if entry.point.endswith(".kill_session")]
    if written and killed and max(killed) < max(written):
        yield "the session was torn down before the crash was recorded"


def bounded(report: Report) -> Iterator[str]:
    """No session is waited for longer than its deadline, one call and one poll."""
    if not report.virtual or _clock_was_faulty(report):
        return
    limit = report.plan.session_timeout_s + report.call_timeout_s + report.plan.poll_s
    started: dict[tuple[str, int], float] = {}
    for entry in _of_this_epoch(report):
        if "task" not in entry or "number" not in entry:
            continue
        key = (str(entry["task"]), int(entry["number"]))
        if entry["event"] == "session-started":
            started[key] = float(entry["at"])
        elif entry["event"] == "session-ended" and key in started:
            took = float(entry["at"]) - started[key]
            if took > limit + 0.001:
                yield f"{key[0]} #{key[1]} was waited for {took:.3f} s, {limit:.3f} s at most were due"


def single_agent(report: Report) -> Iterator[str]:
    """Never two live agents for one task; no prompt executed twice."""
    prompts: Counter[tuple[str, str]] = Counter()
    for entry in report.ledger:
        if entry["what"] == "overlap":
            yield f"two agents were at work on {entry['task']} at the same time"
        if entry["what"] == "prompt":
            prompts[(str(entry["token"]), str(entry.get("text")))] += 1
    typed: Counter[str] = Counter()
    for (token, text), count in prompts.items():
        if text in report.typed:
            typed[text] += count
        elif count > 1:
            yield f"a prompt was executed {count} times by launch {token[:8]}"
    for text, count in typed.items():
        if count > report.typed[text]:
            yield f"a text that was typed {report.typed[text]} times was executed {count} times"


def no_leftovers(report: Report) -> Iterator[str]:
    """A run that tore down and whose multiplexer answers leaves no window, session, process, lock or temporary file."""
    if report.summary is None or report.leftovers is None or isinstance(report.summary.ending, Paused):
        return
    tears_down = isinstance(report.summary.ending, Crashed | Stopped) or report.plan.cleanup_session
    if not tears_down or (report.teardown != "torn-down" and report.injections):
        return
    for leftover in report.leftovers:
        if not (leftover.startswith("file ") and _disk_was_faulty(report)):
            yield f"left behind: {leftover}"


def readable(report: Report) -> Iterator[str]:
    """Every file of the run can be read: what cannot is named by the notes of its status."""
    if report.killed or _disk_was_faulty(report) or isinstance(report.raised, RecordError):
        return
    if report.state is None:
        yield "no state can be read"
    for note in report.verdict.notes:
        yield f"not everything can be read: {note}"


def seam_honest(report: Report) -> Iterator[str]:
    """No raw exception crossed the seam, except where a `leak.` rule put it there."""
    for raw in report.raw:
        yield f"a raw error came out of {raw}"


def fired(report: Report) -> Iterator[str]:
    """Every rule of the plan fired."""
    if not report.unfired:
        return
    reached = ", ".join(f"{point} x{count}" for point, count in sorted(report.reached.items()))
    for fault in report.unfired:
        yield f"`{fault}` never fired; points that were reached: {reached}"


def resumable(before: Report, after: Report) -> Iterator[str]:
    """A resume without faults goes on where the run was: it ends well, repeats no finished task and forgets no crash."""
    if before.state is None or isinstance(after.raised, RecordError) or after.killed:
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


ORACLES: Mapping[str, Oracle] = MappingProxyType(
    {
        "no-escape": no_escape,
        "honest-status": honest_status,
        "honest-nested": honest_nested,
        "no-false-crash": no_false_crash,
        "crash-recorded": crash_recorded,
        "bounded": bounded,
        "single-agent": single_agent,
        "no-leftovers": no_leftovers,
        "readable": readable,
        "seam-honest": seam_honest,
        "fired": fired,
    }
)
"""Every oracle that one report can be held to, by its id; `resumable` compares a resume with what was resumed."""


def violations(report: Report, *, strict: bool = True) -> list[str]:
    """What does not hold, each with the id of its oracle; `strict` includes faults that did not fire."""
    return [
        f"{name}: {problem}"
        for name, oracle in ORACLES.items()
        if strict or name != "fired"
        for problem in oracle(report)
    ]


def check(report: Report, *, strict: bool = True) -> None:
    """Raise `OracleViolation` with a full explanation unless every oracle holds."""
    found = violations(report, strict=strict)
    if found:
        raise OracleViolation("\n".join([*found, "", report.explain()]))


def check_resumed(before: Report, after: Report) -> None:
    """Raise `OracleViolation` unless the resume that `after` tells of went on where `before` had ended."""
    found = [f"resumable: {problem}" for problem in resumable(before, after)]
    if found:
        raise OracleViolation("\n".join([*found, "", after.explain()]))
