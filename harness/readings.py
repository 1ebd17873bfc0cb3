"""What more than one oracle reads out of a report: which faults excuse what, and which journal tells of which session."""

from __future__ import annotations

from collections.abc import Iterator

from harness.record import Event, RunState
from harness.report import Report

__all__ = [
    "Key",
    "began_in_this_epoch",
    "clock_was_faulty",
    "journals",
    "of_this_epoch",
    "tokens_of",
    "unread_results",
    "unwritten",
]

_READS = ("disk.read:", "disk.listdir:")


def unwritten(report: Report, *kinds: str) -> bool:
    """Whether something went wrong while files of these kinds were written; a journal is read before it is added to.

    A host whose disk ran full has none of them written.
    """
    if any(injection.point == "live.disk_full" for injection in report.injections):
        return True
    points = [injection.point for injection in report.injections if injection.point.startswith("disk.")]
    written = [point for point in points if not point.startswith(_READS) or point == "disk.read:journal"]
    return any(point.rpartition(":")[2] in kinds for point in written)


def unread_results(report: Report) -> bool:
    """Whether the engine was kept from reading a result, again and again: once is made good at the next look."""
    return sum(injection.point == "disk.read:results" for injection in report.injections) > 1


def clock_was_faulty(report: Report) -> bool:
    """Whether the clock was made to jump: what the journal tells of times means nothing then."""
    return any(injection.point == "clock.tick" for injection in report.injections)


def of_this_epoch(report: Report) -> list[Event]:
    """The journal of the newest epoch: what came before was judged when it ended, with the faults that it had."""
    epoch = max((entry["epoch"] for entry in report.journal), default=0)
    return [entry for entry in report.journal if entry["epoch"] == epoch]


def began_in_this_epoch(report: Report, run_id: str) -> bool:
    """Whether the run inside of this one, called `run_id`, was begun in its newest epoch."""
    epoch = max((entry["epoch"] for entry in report.journal), default=0)
    return any(entry["run"] == run_id and entry["epoch"] == epoch for entry in report.events("nested-run"))


Key = tuple[str, int]
"""A launch: the key of its task, and the number of the attempt."""


def journals(report: Report) -> Iterator[tuple[list[Event], dict[Key, str]]]:
    """What this epoch journaled, and the token of each launch; the same of every run inside it that began in it."""
    yield of_this_epoch(report), tokens_of(report.state)
    for inner in report.nested:
        if began_in_this_epoch(report, inner.run_id):
            yield list(inner.journal), tokens_of(inner.state)


def tokens_of(state: RunState | None) -> dict[Key, str]:
    """The token of each launch; empty where no state can be read."""
    tokens: dict[Key, str] = {}
    for task in () if state is None else state.tasks:
        for attempt in task.attempts:
            # What was absorbed from a nested run comes later, under numbers of its own.
            tokens.setdefault((task.key, attempt.number), attempt.token)
    return tokens
