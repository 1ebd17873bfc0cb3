"""A report as Markdown, for the summary of a job: what each column reached, and what did not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.conformance.report_columns import (
    GLYPHS,
    Column,
    Unread,
    counted,
    host_line,
    level_line,
    problems_of,
    subject_line,
)
from harness.conformance.results import Certificate, Outcome
from harness.dashboard import literal

__all__ = ["markdown"]

_TOLD = 20
"""Problems of one column that are told; the page has all of them."""
_LENGTH_LIMIT = 900_000
"""Bytes; GitHub refuses a summary of more than 1 MiB."""
_SAFE = frozenset(" .,-/=?'%+;")
"""ASCII characters beside letters and digits that mean nothing to Markdown in the middle of a line."""
_COUNTS = (*(Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, Outcome.STALE_WAIVER, Outcome.WAIVED), Outcome.UNSUPPORTED)


def markdown(columns: Sequence[Column]) -> str:
    """The report; nothing in it that came from a certificate is taken for markup."""
    lines: list[str] = []
    length = 0
    for line in _lines(columns):
        length += len(line.encode("utf-8")) + 1
        if length > _LENGTH_LIMIT:
            lines.append("\nThe rest is too long for a summary; the page has all of it.")
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _lines(columns: Sequence[Column]) -> Iterator[str]:
    yield "## Conformance\n"
    yield f"| backend | host | level | {' | '.join(_COUNTS)} | not run |"
    yield f"|---|---|---|{'---|' * (len(_COUNTS) + 1)}"
    for column in columns:
        yield _row(column)
    for column in columns:
        if isinstance(column.found, Certificate):
            yield from _problems(column.found)


def _row(column: Column) -> str:
    empty = " |" * (len(_COUNTS) + 1)
    if isinstance(column.found, Unread):
        return f"| {_plain(column.source)} | ⚠ no certificate | {_plain(column.found.why)} |{empty}"
    found = column.found
    counts = counted(found.results)
    note = f" ({_plain(found.backend.note)})" if found.backend.note else ""
    cells = " | ".join(str(counts[outcome]) for outcome in (*_COUNTS, Outcome.NOT_RUN))
    return (
        f"| {_plain(subject_line(found))}{note} | {_plain(host_line(found))} | {_plain(level_line(found))} | {cells} |"
    )


def _problems(certificate: Certificate) -> Iterator[str]:
    found = problems_of(certificate)
    if not found:
        return
    yield f"\n### {_plain(subject_line(certificate))} on {_plain(host_line(certificate))}\n"
    yield "| check | outcome | expected | observed | again |\n|---|---|---|---|---|"
    for problem in found[:_TOLD]:
        name = f"{_plain(problem.check_id)} {_plain(problem.title)}"
        outcome = f"{GLYPHS[problem.outcome]} {problem.outcome}"
        again = f"<code>{_plain(problem.replay, 2000)}</code>" if problem.replay else ""
        yield f"| {name} | {outcome} | {_plain(problem.expected)} | {_plain(problem.observed)} | {again} |"
    if len(found) > _TOLD:
        yield f"\nand {len(found) - _TOLD} more."


def _plain(text: str, limit: int = 400) -> str:
    """`text` in one line, with every character that Markdown or HTML might take for markup as an entity."""
    return "".join(
        char if char in _SAFE or char.isalnum() or not char.isascii() else f"&#{ord(char)};"
        for char in literal(text, limit)
    )
