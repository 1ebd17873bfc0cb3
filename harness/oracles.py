"""What must hold after every scenario, whatever its faults.

Each oracle takes a `Report` and answers what is wrong with it, in words; nothing if it holds. `check` runs all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from faults.actions import Raise, Signal
from faults.errors import SimulatedDeath
from faults.trace import TraceEntry
from faults.wrappers.disk import file_kind
from harness.bounds import bounded
from harness.comparisons import COMPARISONS, Comparison, recovers, resumable, unharmed
from harness.readings import (
    Key,
    began_in_this_epoch,
    clock_was_faulty,
    journals,
    of_this_epoch,
    unread_results,
    unwritten,
)
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
    exit_code,
    status_of,
)
from harness.report import Report

__all__ = [
    "COMPARISONS",
    "ORACLES",
    "Comparison",
    "Oracle",
    "OracleViolation",
    "check",
    "check_resumed",
    "recovers",
    "resumable",
    "unharmed",
    "violations",
]

Oracle = Callable[[Report], Iterator[str]]


class OracleViolation(AssertionError):
    """At least one oracle does not hold; the message says which, and what happened."""


_TOLD_BY: Mapping[type, str] = {
    Crashed: "run-crash",
    Stopped: "run-stopped",
    Paused: "run-paused",
    Finished: "run-complete",
}
"""The journal's last word on a run that ended so."""


_EVERYTHING = ("state", "journal", "crash", "lock", "other")
"""The kinds of files that the engine itself records in; `other` includes the run's directory."""


def no_escape(report: Report) -> Iterator[str]:
    """Nothing but the documented outcome comes out of `Engine.run()`."""
    raised = report.raised
    if raised is None and report.summary is None:
        yield "the engine returned without a summary"
    if isinstance(raised, RecordError):
        if report.summary is not None:
            yield f"{type(raised).__name__} came out of Engine.run() although the run had begun"
    elif isinstance(raised, Exception | KeyboardInterrupt) or (
        raised is not None and not isinstance(raised, SimulatedDeath) and not report.injections
    ):
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
    status, event = status_of(ending), _TOLD_BY[type(ending)]
    unrecorded = unwritten(report, *_EVERYTHING) and report.crash_sink == "stderr"
    if report.status is not status and not unrecorded:
        yield f"the run ended as {status}, and is classified as {report.status} ({report.verdict.reason})"
    if report.exit_code != exit_code(ending):
        yield f"exit code {report.exit_code} does not belong to {status}"
    yield from _unheeded(report, ending)
    if type(report.ending) is not type(ending) and not unwritten(report, "state") and not unrecorded:
        yield f"state says {report.ending}, the summary {ending}"
    if not unwritten(report, "journal") and not any(entry["event"] == event for entry in of_this_epoch(report)):
        yield f"the journal has no {event}"
    if not unrecorded:
        yield from _shown(report, ending, status)


def _shown(report: Report, ending: Ending, status: RunStatus) -> Iterator[str]:
    """What a person is shown, and whether there is a crash record."""
    if status.value not in report.list_row:
        yield f"the list shows {report.list_row!r} for {status}"
    if (report.crash is not None) != isinstance(ending, Crashed):
        yield f"{'a' if report.crash else 'no'} crash record for a run that is {status}"
    if status in (RunStatus.CRASHED, RunStatus.STOPPED) and "attach" in report.header:
        yield "an attach hint is shown for a run whose session was torn down"


def _unheeded(report: Report, ending: Ending) -> Iterator[str]:
    """What was raised at a step of the engine crashes it, and a stop that was asked for there stops it: neither is ignored."""
    for injection in report.injections:
        performed = injection.performed
        if injection.point.startswith("agent."):
            # An agent is another process.
            continue
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
    if not isinstance(ending, Stopped | Crashed) and any(at_s < report.elapsed_s for at_s in report.stops):
        yield f"a signal to stop was not heeded: the run is {report.status}"


def honest_nested(report: Report) -> Iterator[str]:
    """A run inside an ended run has ended, and what went wrong in it went wrong for the outer one: nothing is swallowed."""
    if report.summary is None:
        return
    for inner in report.nested:
        # One that was killed before its first line has nothing to say about itself, then or later; and who could not write down
        # that it begins one does not begin it.
        told = inner.journal or (began_in_this_epoch(report, inner.run_id) and not unwritten(report, "journal"))
        if told and inner.status in (RunStatus.RUNNING, RunStatus.UNKNOWN):
            yield f"the nested run {inner.run_id} is {inner.status} although the run around it has ended"
        newest = inner.run_id == report.nested[-1].run_id and began_in_this_epoch(report, inner.run_id)
        failed = isinstance(inner.ending, Crashed | Stopped)
        if newest and failed and not isinstance(report.summary.ending, Crashed | Stopped):
            yield f"the nested run {inner.run_id} is {inner.status}, the run around it {report.status}"


def no_false_crash(report: Report) -> Iterator[str]:
    """An agent that was alive and finished its work is never recorded as crashed, timed out or stalled."""
    yield from report.violations
    if report.state is None or unread_results(report) or clock_was_faulty(report):
        return
    finished = {entry["token"]: entry["at"] for entry in report.ledger if entry["what"] == "result"}
    wrong = (SessionOutcome.CRASHED, SessionOutcome.TIMED_OUT, SessionOutcome.STALLED)
    began_s = min((float(entry["at"]) for entry in of_this_epoch(report)), default=0.0)
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
    if report.crash_sink is None:
        yield "the engine crashed and no sink holds the record"
    elif report.crash_sink != "json" and not unwritten(report, "crash", "other"):
        yield f"the crash record is in the sink {report.crash_sink}, although nothing kept it from its file"
    if report.crash is None:
        return
    raised = report.crash.get("exceptions")
    if report.crash_sink != "text":
        if not (isinstance(raised, list) and raised and raised[0].get("frames")):
            yield "the crash record lacks the traceback"
        calls = report.crash.get("seam_calls")
        if not isinstance(calls, list) or (_asked_before(report, "disk.write:crash") and not calls):
            yield "the crash record lacks the seam calls"
    if report.crash.get("error") != report.summary.crash_error:
        yield f"the crash record says {report.crash.get('error')!r:.200}, the summary {report.summary.crash_error!r:.200}"
    yield from _recorded_first(report, report.crash.get("epoch"))


def _asked_before(report: Report, point: str) -> bool:
    """Whether the multiplexer was asked anything before that point was first reached."""
    passed = [entry.point for entry in report.entries if entry.layer == "mux" or entry.point == point]
    return point in passed and passed[0] != point


def _recorded_first(report: Report, epoch: object) -> Iterator[str]:
    """The record before the teardown, by the order of both in the journal and in what was asked of disk and multiplexer."""
    crashes = [entry["seq"] for entry in report.events("run-crash") if entry["epoch"] == epoch]
    teardowns = [entry["seq"] for entry in report.events("teardown") if entry["epoch"] == epoch]
    if not unwritten(report, "journal") and not (crashes and teardowns and max(teardowns) > max(crashes)):
        yield "the crash was not journaled before the teardown"
    step, killed = "", False
    for entry in report.entries:
        if entry.layer == "engine":
            step, killed = entry.point.partition(".")[2], False
        elif entry.point.endswith(".kill_session"):
            killed = True
        elif entry.point == "disk.write:crash":
            # Some steps end a session by themselves: what was killed in one of these may not have been the teardown.
            if killed and step not in _ENDING_STEPS:
                yield "the session was torn down before the crash was recorded"
            return


_ENDING_STEPS = ("reconcile", "kill", "clean-up")


def single_agent(report: Report) -> Iterator[str]:
    """Never two live agents for one task; no prompt executed twice, no text more often than it was decided on."""
    prompts: Counter[tuple[str, str]] = Counter()
    for entry in report.ledger:
        if entry["what"] == "overlap":
            yield f"two agents were at work on {entry['task']} at the same time"
        if entry["what"] == "prompt":
            prompts[(str(entry["token"]), str(entry.get("text")))] += 1
    typed: Counter[str] = Counter()
    launches: Counter[str] = Counter()
    for (token, text), count in prompts.items():
        if text in report.typed:
            typed[text] += count
            launches[token] += count
        elif count > 1:
            yield f"a prompt was executed {count} times by launch {token[:8]}"
    for text, count in typed.items():
        if count > report.typed[text]:
            yield f"a text that was typed {report.typed[text]} times was executed {count} times"
    if not unwritten(report, "journal"):
        yield from _undecided(report, launches)


def _undecided(report: Report, launches: Mapping[str, int]) -> Iterator[str]:
    """Launches that were typed to more often than the journal has decisions, or than the plan allows.

    A kind of nudge of which one was not confirmed may be decided on once more than the plan says.
    """
    for journal, tokens in journals(report):
        newest: dict[str, Key] = {}
        decided: dict[Key, Counter[str]] = {}
        unconfirmed: set[tuple[Key, str]] = set()
        for entry in journal:
            if entry["event"] == "attempt":
                newest[entry["task"]] = (entry["task"], entry["number"])
            elif entry["event"] == "nudge" and entry["task"] in newest and not _was_refused(entry):
                key = newest[entry["task"]]
                decided.setdefault(key, Counter())[entry["kind"]] += 1
                if entry["outcome"] != "sent":
                    unconfirmed.add((key, entry["kind"]))
        # What was typed last may not have been journaled by a run that ended in the middle of something.
        open_ended = not any(entry["event"] in ("run-complete", "run-paused") for entry in journal)
        for key in newest.values():
            nudges = decided.get(key, Counter())
            executed, asked = launches.get(tokens.get(key, ""), 0), nudges.total()
            if executed > asked + open_ended:
                yield f"{key[0]} #{key[1]} was typed to {executed} times on {asked} decisions"
            for kind, count in nudges.items():
                due = report.plan.nudges * (1 if kind == "result" else _WAKE_ROUNDS) + ((key, kind) in unconfirmed)
                if count > due:
                    yield f"{key[0]} #{key[1]} was nudged {count} times ({kind}), {due} at most were due"


_WAKE_ROUNDS = 4
"""How often an agent that takes up its turns again may be given its wake-ups; one round, and three more at most."""


def _was_refused(nudge: Event) -> bool:
    """Whether it was answered that nothing was typed."""
    return str(nudge["outcome"]).endswith((": CommandRejected", ": TargetMissing"))


def no_leftovers(report: Report) -> Iterator[str]:
    """A run that tore down and whose multiplexer answers leaves no window, session, process, lock or temporary file."""
    if report.summary is None or report.leftovers is None or isinstance(report.summary.ending, Paused):
        return
    tears_down = isinstance(report.summary.ending, Crashed | Stopped) or report.plan.cleanup_session
    if not tears_down:
        return
    unanswered = _end_was_unanswered(report)
    # A raw error ends the whole teardown: that is a bug of the backend, and how a bug is met.
    cut_off = any(injection.point.startswith("leak.") for injection in report.injections)
    for leftover in report.leftovers:
        kind, _, name = leftover.partition(" ")
        excused = unanswered and (kind == "session" or (cut_off and kind == "process"))
        if not (excused or (kind == "file" and _could_not_be_removed(report, name))):
            yield f"left behind: {leftover}"


def _could_not_be_removed(report: Report, name: str) -> bool:
    """Whether removing a file of that kind failed in this run."""
    point = f"disk.remove:{file_kind(name)}"
    return any(injection.point == point for injection in report.injections)


def _end_was_unanswered(report: Report) -> bool:
    """Whether the run says that it could not confirm its teardown, and a call of it failed or lied; nothing else excuses it."""
    told = [report.teardown, *(inner.state.teardown for inner in report.nested if inner.state is not None)]
    if all(outcome in (None, "torn-down") for outcome in told):
        return False
    steps = [entry.number for entry in report.entries if entry.layer == "engine"]
    clean_ups = [entry.number for entry in report.entries if entry.point == "engine.clean-up"]
    began = min(clean_ups) if clean_ups else max(steps, default=0)
    return any(
        entry.number > began
        and entry.layer in ("mux", "leak")
        and entry.point.rpartition(".")[2] in _ENDING_CALLS
        and (entry.injection is not None or _failed(entry))
        for entry in report.entries
    )


def _failed(entry: TraceEntry) -> bool:
    return not entry.outcome.startswith("answered") and "TargetMissing" not in entry.outcome


_ENDING_CALLS = ("kill_session", "has_session", "session_options")
"""What a teardown asks the multiplexer."""


def readable(report: Report) -> Iterator[str]:
    """Every file of the run can be read: what cannot is named by the notes of its status."""
    if report.state is None and report.journal:
        yield "no state can be read"
    unreplaced = report.killed or unwritten(report, "state", "lock", "other")
    # A last line without its end is one that nobody was told was written.
    cut_short = report.killed or unwritten(report, "journal")
    for note in report.verdict.notes:
        if not (unreplaced and note.endswith("is missing")) and not (cut_short and "lacks its end" in note):
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
"""Every oracle that one report can be held to, by its id."""


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
