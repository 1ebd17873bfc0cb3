"""A report for a terminal: a line for each column, and a few lines for each check that did not hold.

Every line begins with a sign or a blank of ours, so that nothing in a certificate can pass for a command to whoever reads
the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from harness.conformance.report_columns import (
    GLYPHS,
    PROBLEMS,
    Column,
    Unread,
    counted,
    host_line,
    level_line,
    level_of,
    problems_of,
    subject_line,
)
from harness.conformance.results import Certificate, Level, Outcome, Result, whole
from harness.dashboard import literal

__all__ = ["level_table", "problem_lines", "summary_table"]

_COUNTED = (Outcome.PASSED, *PROBLEMS, Outcome.WAIVED, Outcome.UNSUPPORTED, Outcome.NOT_RUN)


def summary_table(columns: Sequence[Column]) -> Table:
    """Each column in one line: backend, host, level and how many checks came to what."""
    table = _table("", "backend", "host", "level", *_COUNTED)
    for column in columns:
        if isinstance(column.found, Unread):
            source, why = Text(literal(column.source)), Text(literal(column.found.why))
            table.add_row(Text("⚠", style="red"), source, Text("no certificate", style="red"), why)
            continue
        found = column.found
        counts = counted(found.results)
        good = level_of(found) is not None and not any(counts[outcome] for outcome in PROBLEMS)
        sign = Text("✔", style="green") if good else Text("✖", style="red")
        name = Text(subject_line(found))
        if found.backend.note:
            name.append(f" ({literal(found.backend.note, 80)})", "dim")
        numbers = (str(counts[outcome]) for outcome in _COUNTED)
        table.add_row(sign, name, Text(host_line(found)), Text(level_line(found)), *numbers)
    return table


def level_table(certificate: Certificate) -> Table:
    """Each level of one certificate in one line: whole, broken or not shown (`·`), and how many checks came to what."""
    table = _table("", "level", "", *_COUNTED)
    for level in Level:
        own = [result for result in certificate.results if result.level is level]
        counts = counted(own)
        broken = not all(result.outcome.keeps for result in own)
        style = "green" if whole(own) else "red" if broken else "dim"
        sign = "✔" if whole(own) else "✖" if broken else "·"
        numbers = (str(counts[outcome]) for outcome in _COUNTED)
        table.add_row(Text(sign, style=style), level.name, level.title, *numbers)
    return table


def problem_lines(certificate: Certificate) -> Iterator[tuple[str, str]]:
    """What did not hold, as lines each with its style: the check, what was expected and observed, and how to do it again."""
    for problem in problems_of(certificate):
        yield from _told(problem)
    yield from _why_not_run(certificate)


def _why_not_run(certificate: Certificate) -> Iterator[tuple[str, str]]:
    """Each reason once, with the checks that it keeps from being made."""
    kept: dict[str, list[str]] = {}
    for result in certificate.results:
        if result.outcome is Outcome.NOT_RUN:
            kept.setdefault(result.observed, []).append(literal(result.check_id, 60))
    for reason, names in kept.items():
        yield f"{GLYPHS[Outcome.NOT_RUN]} {', '.join(names)}: {Outcome.NOT_RUN}", "bold red"
        if reason:
            yield f"  because   {literal(reason, 2000)}", ""


def _told(problem: Result) -> Iterator[tuple[str, str]]:
    name, title = literal(problem.check_id, 60), literal(problem.title)
    yield f"{GLYPHS[problem.outcome]} {name} {title}: {problem.outcome}", "bold red"
    for what, text in (("expected", problem.expected), ("observed", problem.observed), ("replay", problem.replay)):
        if text:
            yield f"  {what}  {literal(text, 2000)}", ""


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        numeric = title in _COUNTED
        table.add_column(title, justify="right" if numeric else "left", overflow="fold")
    return table
