"""How long anything may take: the oracle `bounded`, and the waits that it measures in journal, ledger and trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from backends.guard import CHANGE_TIMEOUT_S, PROBE_TIMEOUT_S
from backends.operations import OPERATIONS, Kind
from faults.actions import Signal
from harness.engine.core import LONGEST_OUTAGE
from harness.readings import Key, clock_was_faulty, journals, of_this_epoch, unread_results
from harness.record import Event
from harness.report import Report

__all__ = ["bounded"]


def bounded(report: Report) -> Iterator[str]:
    """No wait is longer than its deadline, one call and one poll, as far as the journal tells when it began and ended.

    Judged on virtual time are the start, the life and the end of every session (`session_timeout_s` each), how soon a
    result is taken up and a stop is heeded, the teardown of a stop or crash (`stop_grace_s`), what an earlier epoch had left
    and the clean-up of a finished run (with their patience). One call is the longest that was made, at most its deadline.
    """
    if not report.virtual or clock_was_faulty(report):
        return
    slack_s = _longest_call_s(report) + report.plan.poll_s
    left: dict[str, float] = {}
    waits = [*_stops(report), *_clean_ups(report)]
    for entry in report.ledger:
        if entry["what"] == "result":
            left.setdefault(str(entry["token"]), float(entry["at"]))
    for journal, tokens in journals(report):
        waits += [*_waits(report, journal, left, tokens), *_teardowns(report, journal)]
    for who, since_s, until_s, limit_s in waits:
        took_s, due_s = until_s - since_s, limit_s + slack_s
        if took_s > due_s + 0.001:
            yield f"{who} was waited for {took_s:.3f} s, {due_s:.3f} s at most were due"


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


def _waits(
    report: Report, journal: list[Event], left: Mapping[str, float], tokens: Mapping[Key, str]
) -> Iterator[_Wait]:
    """How long each session took to start, to end and to go, and each result to be taken up."""
    limit_s = report.plan.session_timeout_s
    since: dict[Key, float] = {}
    live: set[Key] = set()
    for entry in journal:
        if "task" not in entry or "number" not in entry:
            continue
        key, at_s, name = (str(entry["task"]), int(entry["number"])), float(entry["at"]), entry["event"]
        who = f"{key[0]} #{key[1]}"
        if name in ("session-started", "session-ended", "session-gone") and key in since:
            yield who, since[key], at_s, limit_s
            left_s = left.get(tokens.get(key, ""))
            if name == "session-ended" and key in live and left_s is not None and not unread_results(report):
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
    heeded = [float(entry["at"]) for entry in of_this_epoch(report) if entry["event"] == "run-stopped"]
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
        layer, _, passed = entry.point.partition(".")
        if layer != "engine" or passed == "kill":
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
