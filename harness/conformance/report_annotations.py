"""What GitHub shows beside a change: a workflow command for each check that did not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.conformance.report_columns import Column, Unread, problems_of, subject_line
from harness.conformance.results import Result
from harness.dashboard import literal

__all__ = ["error_commands"]

_PART_LIMIT = 400
"""Characters of one part of a message: all of it fits into one line of a log."""


def error_commands(columns: Sequence[Column]) -> Iterator[str]:
    """One line `::error ...` for each problem of each column, and for each column that could not be read."""
    for column in columns:
        if isinstance(column.found, Unread):
            yield _error("no certificate", f"{literal(column.source)}: {literal(column.found.why, _PART_LIMIT)}")
            continue
        where = subject_line(column.found)
        for problem in problems_of(column.found):
            yield _error(f"{literal(problem.check_id, 60)} on {where}", "\n".join(_told(problem)))


def _told(problem: Result) -> Iterator[str]:
    yield f"{literal(problem.title)}: {problem.outcome}"
    for what, text in (("expected", problem.expected), ("observed", problem.observed), ("replay", problem.replay)):
        if text:
            yield f"{what}: {literal(text, _PART_LIMIT)}"


def _error(title: str, message: str) -> str:
    """The command; what would end a line or a property is written as GitHub reads it back."""
    message = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    title = title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    return f"::error title={title}::{message}"
