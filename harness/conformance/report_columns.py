"""What a report is drawn from: certificates side by side, one column each, with a place for those that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from harness.conformance.results import VERSION, Certificate, CertificateError, Level, Outcome, Result, level_reached
from harness.dashboard import literal

__all__ = [
    "CERTIFICATE_LIMIT",
    "GLYPHS",
    "PROBLEMS",
    "Column",
    "Row",
    "Unread",
    "check_rows",
    "column_of",
    "counted",
    "host_line",
    "level_line",
    "level_of",
    "problems_of",
    "subject_line",
    "worst",
]

CERTIFICATE_LIMIT = 16 * 1024 * 1024
"""Bytes of a certificate; one of a thousand checks has about half a million."""

PROBLEMS = (Outcome.FAILED, Outcome.ERROR, Outcome.STALE_WAIVER)
"""What somebody has to do something about."""

_WORST_FIRST = (*PROBLEMS, Outcome.NOT_RUN, Outcome.WAIVED, Outcome.UNSUPPORTED, Outcome.PASSED)

GLYPHS: Mapping[Outcome, str] = {
    Outcome.PASSED: "✔",
    Outcome.FAILED: "✖",
    Outcome.UNSUPPORTED: "-",
    Outcome.WAIVED: "~",
    Outcome.STALE_WAIVER: "!",
    Outcome.NOT_RUN: "·",
    Outcome.ERROR: "⚠",
}
"""A sign beside the word, so that nothing depends on colours."""


@dataclass(frozen=True)
class Unread:
    """There is no certificate, and why."""

    why: str


@dataclass(frozen=True)
class Column:
    """One certificate of a report; `source` is the file it came from, or what else names it to a reader."""

    source: str
    found: Certificate | Unread


@dataclass(frozen=True)
class Row:
    """One check: for each column what came of it there, nothing where the certificate does not have it."""

    check_id: str
    title: str
    level: Level
    cells: tuple[tuple[Result, ...], ...]


@dataclass(frozen=True)
class _Versioned:
    version: int


def column_of(source: str, data: bytes) -> Column:
    """The column of a file's content; whatever is wrong with it becomes the column's text."""
    try:
        return Column(source, Certificate.from_json(data))
    except CertificateError as refused:
        newer = _newer(data)
        why = str(refused)
        if newer is not None:
            why = f"written by a newer kit (version {newer}, this one reads {VERSION}): update seamripper"
    except RecursionError:
        why = "no certificate: nested too deeply"
    return Column(source, Unread(why))


def _newer(data: bytes) -> int | None:
    try:
        found = msgspec.json.decode(data, type=_Versioned)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found.version if found.version > VERSION else None


def check_rows(columns: Sequence[Column]) -> list[Row]:
    """Every check that any column has, by level and id; a check is told as the first column tells it."""
    first: dict[str, Result] = {}
    cells: dict[str, dict[int, list[Result]]] = {}
    for index, column in enumerate(columns):
        for result in column.found.results if isinstance(column.found, Certificate) else ():
            first.setdefault(result.check_id, result)
            cells.setdefault(result.check_id, {}).setdefault(index, []).append(result)
    return [
        Row(name, told.title, told.level, tuple(tuple(cells[name].get(i, ())) for i in range(len(columns))))
        for name, told in sorted(first.items(), key=lambda item: (item[1].level, item[0]))
    ]


def worst(results: Iterable[Result]) -> Result:
    """The one that a cell with several shows. Raises `ValueError` if there is none."""
    return min(results, key=lambda result: _WORST_FIRST.index(result.outcome))


def problems_of(certificate: Certificate) -> list[Result]:
    """What somebody has to do something about, by level."""
    found = [result for result in certificate.results if result.outcome in PROBLEMS]
    return sorted(found, key=lambda result: (result.level, result.check_id))


def counted(results: Iterable[Result]) -> Mapping[Outcome, int]:
    """How many there are of each outcome, zeros included."""
    found = Counter(result.outcome for result in results)
    return {outcome: found[outcome] for outcome in Outcome}


def level_of(certificate: Certificate) -> Level | None:
    """The level that its results show, whatever it claims."""
    return level_reached(certificate.results)


def level_line(certificate: Certificate) -> str:
    """As in `L3 truth under faults`; a claim that the results do not show is named as one."""
    shown = level_of(certificate)
    line = "no level" if shown is None else f"{shown.name} {shown.title}"
    if certificate.level is not shown:
        line += f" (claims {'none' if certificate.level is None else certificate.level.name})"
    return line


def subject_line(certificate: Certificate) -> str:
    """The backend with its version, in one line without control characters."""
    name, version = literal(certificate.backend.name, 80), literal(certificate.backend.version or "", 80)
    return name if not version else version if version.startswith(f"{name} ") else f"{name}: {version}"


def host_line(certificate: Certificate) -> str:
    """Where it was checked, in one line without control characters."""
    host = certificate.host
    return f"{literal(host.system, 40)} {literal(host.release, 80)}, Python {literal(host.python, 40)}"
