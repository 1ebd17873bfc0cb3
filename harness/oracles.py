"""What must hold after every scenario, whatever its faults.

Each oracle takes a `Report` and answers what is wrong with it, in words; nothing if it holds. `check` runs all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType

from backends.guard import CHANGE_TIMEOUT_S, PROBE_TIMEOUT_S
from backends.judge import Meaning, judge
from backends.operations import OPERATIONS, Kind
from backends.processes import Completed
from faults.actions import Action, Delay, Exit, Hang, OsError, Raise, Signal, Timeout, Undecodable
from faults.errors import SimulatedDeath
from faults.rule import Fault
from faults.trace import Injection, TraceEntry
from faults.triggers import Times
from harness.engine.core import LONGEST_OUTAGE
from harness.record import (
    Crashed,
    Ending,
    Event,
    Finished,
    Paused,
    RecordError,
    RunState,
    RunStatus,
    SessionOutcome,
    Stopped,
    TaskPhase,
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
Comparison = Callable[[Report, Report], Iterator[str]]
"""An oracle of what something came to: the report that it is measured by, then the one that is judged."""


class OracleViolation(AssertionError):
    """At least one oracle does not hold; the message says which, and what happened."""


_TOLD_BY: Mapping[type, str] = {
    Crashed: "run-crash",
    Stopped: "run-stopped",
    Paused: "run-paused",
    Finished: "run-complete",
}
"""The journal's last word on a run that ended so."""


_READS = ("disk.read:", "disk.listdir:")

_EVERYTHING = ("state", "journal", "crash", "lock", "other")
"""The kinds of files that the engine itself records in; `other` includes the run's directory."""


def _unwritten(report: Report, *kinds: str) -> bool:
    """Whether something went wrong while files of these kinds were written; a journal is read before it is added to."""
    points = [injection.point for injection in report.injections if injection.point.startswith("disk.")]
    written = [point for point in points if not point.startswith(_READS) or point == "disk.read:journal"]
    return any(point.rpartition(":")[2] in kinds for point in written)


def _unread_results(report: Report) -> bool:
    """Whether the engine was kept from reading a result, again and again: once is made good at the next look."""
    return sum(injection.point == "disk.read:results" for injection in report.injections) > 1


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
    unrecorded = _unwritten(report, *_EVERYTHING) and report.crash_sink == "stderr"
    if report.status is not status and not unrecorded:
        yield f"the run ended as {status}, and is classified as {report.status} ({report.verdict.reason})"
    if report.exit_code != exit_code(ending):
        yield f"exit code {report.exit_code} does not belong to {status}"
    yield from _unheeded(report, ending)
    if type(report.ending) is not type(ending) and not _unwritten(report, "state"):
        yield f"state says {report.ending}, the summary {ending}"
    if not _unwritten(report, "journal") and not any(entry["event"] == event for entry in _of_this_epoch(report)):
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
        told = inner.journal or (_began_in_this_epoch(report, inner.run_id) and not _unwritten(report, "journal"))
        if told and inner.status in (RunStatus.RUNNING, RunStatus.UNKNOWN):
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
    if report.state is None or _unread_results(report) or _clock_was_faulty(report):
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
    if report.crash_sink is None:
        yield "the engine crashed and no sink holds the record"
    elif report.crash_sink != "json" and not _unwritten(report, "crash", "other"):
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
    if not _unwritten(report, "journal") and not (crashes and teardowns and max(teardowns) > max(crashes)):
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


def bounded(report: Report) -> Iterator[str]:
    """No wait is longer than its deadline, one call and one poll, as far as the journal tells when it began and ended.

    Judged on virtual time are the start, the life and the end of every session (`session_timeout_s` each), how soon a
    result is taken up and a stop is heeded, the teardown of a stop or crash (`stop_grace_s`), what an earlier epoch had left
    and the clean-up of a finished run (with their patience). One call is the longest that was made, at most its deadline.
    """
    if not report.virtual or _clock_was_faulty(report):
        return
    slack_s = _longest_call_s(report) + report.plan.poll_s
    left: dict[str, float] = {}
    waits = [*_stops(report), *_clean_ups(report)]
    for entry in report.ledger:
        if entry["what"] == "result":
            left.setdefault(str(entry["token"]), float(entry["at"]))
    for journal, tokens in _journals(report):
        waits += [*_waits(report, journal, left, tokens), *_teardowns(report, journal)]
    for who, since_s, until_s, limit_s in waits:
        took_s, due_s = until_s - since_s, limit_s + slack_s
        if took_s > due_s + 0.001:
            yield f"{who} was waited for {took_s:.3f} s, {due_s:.3f} s at most were due"


_Key = tuple[str, int]
_Wait = tuple[str, float, float, float]
"""What was waited for, from when until when, and how long that may take."""


def _longest_call_s(report: Report) -> float:
    """How long the longest call of the multiplexer took; what lies beyond its deadline does not count."""
    longest_s = 0.0
    entries = [entry for entry in report.entries if not entry.point.startswith(("transport.", "agent.", "leak."))]
    for entry, following in pairwise(entries):
        took_s = following.at_s - entry.at_s
        operation = OPERATIONS.get(entry.point.removeprefix("mux.")) if took_s > longest_s else None
        if operation is not None:
            change = operation.kind is Kind.CHANGE
            deadline_s = report.plan.call_timeout_s or (CHANGE_TIMEOUT_S if change else PROBE_TIMEOUT_S)
            longest_s = max(longest_s, min(deadline_s, took_s))
    return longest_s


def _journals(report: Report) -> Iterator[tuple[list[Event], dict[_Key, str]]]:
    """What this epoch journaled, and the token of each launch; the same of every run inside it that began in it."""
    yield _of_this_epoch(report), _tokens_of(report.state)
    for inner in report.nested:
        if _began_in_this_epoch(report, inner.run_id):
            yield list(inner.journal), _tokens_of(inner.state)


def _tokens_of(state: RunState | None) -> dict[_Key, str]:
    tokens: dict[_Key, str] = {}
    for task in () if state is None else state.tasks:
        for attempt in task.attempts:
            # What was absorbed from a nested run comes later, under numbers of its own.
            tokens.setdefault((task.key, attempt.number), attempt.token)
    return tokens


def _waits(
    report: Report, journal: list[Event], left: Mapping[str, float], tokens: Mapping[_Key, str]
) -> Iterator[_Wait]:
    """How long each session took to start, to end and to go, and each result to be taken up."""
    limit_s = report.plan.session_timeout_s
    since: dict[_Key, float] = {}
    live: set[_Key] = set()
    for entry in journal:
        if "task" not in entry or "number" not in entry:
            continue
        key, at_s, name = (str(entry["task"]), int(entry["number"])), float(entry["at"]), entry["event"]
        who = f"{key[0]} #{key[1]}"
        if name in ("session-started", "session-ended", "session-gone") and key in since:
            yield who, since[key], at_s, limit_s
            left_s = left.get(tokens.get(key, ""))
            if name == "session-ended" and key in live and left_s is not None and not _unread_results(report):
                yield f"{who}, which had left a result,", max(left_s, since[key]), at_s, 0.0
        if name == "session-started":
            live.add(key)
        since[key] = at_s


def _asked_to_stop(report: Report) -> list[float]:
    """When the run's process was sent signals, in seconds after it began; those that were due after its end were not sent."""
    sent = [injection.at_s for injection in report.injections if isinstance(injection.performed, Signal)]
    return sorted([*sent, *(at_s for at_s in report.stops if at_s < report.elapsed_s)])


def _stops(report: Report) -> Iterator[_Wait]:
    """How soon the first request to stop was heeded, and how soon everything was over after the second."""
    asked = _asked_to_stop(report)
    heeded = [float(entry["at"]) for entry in _of_this_epoch(report) if entry["event"] == "run-stopped"]
    if asked and heeded:
        yield "the stop", report.began_at + asked[0], heeded[0], 0.0
    if len(asked) > 1:
        yield "the forced end", asked[1], report.elapsed_s, _FORCED_S


def _clean_ups(report: Report) -> Iterator[_Wait]:
    """How long a finished run, or one inside it, took to clean up, and a resumed one to end what was left before it."""
    once_s = report.plan.stop_grace_s + _FORCED_S
    patience_s = report.plan.session_timeout_s
    limits = {
        "clean-up": patience_s * LONGEST_OUTAGE + once_s,
        "reconcile": (patience_s + once_s) * (1 + len(report.nested)),
    }
    step, began_s = "", 0.0
    for entry in report.entries:
        passed = entry.point.removeprefix("engine.")
        if entry.layer != "engine" or passed == "kill":
            continue
        if step in limits:
            yield f"the end of step {step}", began_s, entry.at_s, limits[step]
        step, began_s = passed, entry.at_s


def _teardowns(report: Report, journal: list[Event]) -> Iterator[_Wait]:
    asked_s: float | None = None
    for entry in journal:
        if entry["event"] in ("run-stopped", "run-crash"):
            asked_s = float(entry["at"])
        elif entry["event"] == "teardown" and asked_s is not None:
            yield "the teardown", asked_s, float(entry["at"]), report.plan.stop_grace_s + _FORCED_S


_FORCED_S = 1.0
"""Seconds that a teardown may take beyond the grace of agents, for ending them by force; engine.md, on the second signal."""


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
    if not _unwritten(report, "journal"):
        yield from _undecided(report, launches)


def _undecided(report: Report, launches: Mapping[str, int]) -> Iterator[str]:
    """Launches that were typed to more often than the journal has decisions, or than the plan allows.

    A kind of nudge of which one was not confirmed may be decided on once more than the plan says.
    """
    for journal, tokens in _journals(report):
        newest: dict[str, _Key] = {}
        decided: dict[_Key, Counter[str]] = {}
        unconfirmed: set[tuple[_Key, str]] = set()
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
        excused = leftover.startswith("session ") or (cut_off and leftover.startswith("process "))
        if not (unanswered and excused):
            yield f"left behind: {leftover}"


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
    unreplaced = report.killed or _unwritten(report, "state", "lock", "other")
    # A last line without its end is one that nobody was told was written.
    unwritten = report.killed or _unwritten(report, "journal")
    for note in report.verdict.notes:
        if not (unreplaced and note.endswith("is missing")) and not (unwritten and "lacks its end" in note):
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

COMPARISONS: Mapping[str, Comparison] = MappingProxyType({"resumable": resumable, "unharmed": unharmed})
"""Every oracle that takes two reports: a resume after what was resumed, a run after what it comes to without faults."""


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
