"""`seamripper report merge`: certificates of many hosts as one table, page, summary and badge."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.disk import RealDisk
from harness.commands.choosing import put_file
from harness.commands.current import Drive
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE, complain
from harness.commands.output import Output
from harness.conformance.pages import matrix_page
from harness.conformance.report_annotations import error_commands
from harness.conformance.report_badge import badge
from harness.conformance.report_columns import (
    CERTIFICATE_LIMIT,
    Column,
    Unread,
    column_of,
    counted,
    level_of,
    problems_of,
    subject_line,
)
from harness.conformance.report_markdown import markdown
from harness.conformance.report_table import problem_lines, summary_table
from harness.dashboard import literal

__all__ = ["merge"]

_WRITERS: Mapping[str, tuple[str, Callable[[Sequence[Column]], str]]] = {
    "output": ("--output", matrix_page),
    "markdown": ("--markdown", markdown),
    "badge": ("--badge", badge),
}
"""For each argument that names a file: its option, and what is written there."""


def merge(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Draw certificates side by side; see `seamripper report merge --help`."""
    output = Output(host, as_json=arguments.json)
    _refuse_overwriting(arguments, host)
    columns = _columns(arguments.files, host, output)
    for column in columns:
        if isinstance(column.found, Unread):
            complain(host.stderr, f"{literal(column.source)}: {column.found.why}")
    written = {
        option: put_file(host, option, getattr(arguments, name), write(columns))
        for name, (option, write) in _WRITERS.items()
        if getattr(arguments, name) is not None
    }
    if output.as_json:
        output.document({"columns": [_document(column) for column in columns]})
    else:
        _show(output, columns)
    if arguments.annotations:
        put = output.aside if output.as_json else output.copyable
        for line in error_commands(columns):
            put(line)
    for option, path in written.items():
        output.aside(f"{option[2:]:<9} {path}")
    return 1 if any(isinstance(column.found, Unread) for column in columns) else 0


def _refuse_overwriting(arguments: argparse.Namespace, host: Host) -> None:
    """Raise `CommandError` if one file would be written twice, or over a certificate."""
    taken = {_place(host, name): "a certificate" for name in arguments.files}
    for name, (option, _) in _WRITERS.items():
        given = getattr(arguments, name)
        if given is None:
            continue
        path = _place(host, given)
        if path in taken:
            raise CommandError(f"{option}: {literal(given)} is {taken[path]}", "choose another name", EXIT_USAGE)
        taken[path] = f"the file of {option}"


def _place(host: Host, name: str) -> str:
    """Where `name` leads to; a name that no file can have leads to itself."""
    try:
        return os.path.realpath(host.cwd / name)
    except (OSError, ValueError):
        return name


def _columns(names: Sequence[str], host: Host, output: Output) -> list[Column]:
    """A column for each file; one whose content was there before is said and left out."""
    columns: list[Column] = []
    seen: dict[bytes, str] = {}
    for name in names:
        try:
            data = _read(host, name)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            columns.append(Column(name, Unread(f"cannot be read: {why}")))
            continue
        if data in seen:
            output.aside(f"left out  {literal(name)}: the same as {literal(seen[data])}")
            continue
        seen[data] = name
        columns.append(column_of(name, data))
    return columns


def _read(host: Host, name: str) -> bytes:
    path: Path | str = host.cwd / name
    return host.disk.read(os.path.realpath(path) if isinstance(host.disk, RealDisk) else path, limit=CERTIFICATE_LIMIT)


def _show(output: Output, columns: Sequence[Column]) -> None:
    output.show(summary_table(columns))
    for column in columns:
        if isinstance(column.found, Unread) or not problems_of(column.found):
            continue
        output.say(f"» {subject_line(column.found)} in {literal(column.source)}", "bold")
        for line, style in problem_lines(column.found):
            output.say(line, style)


def _document(column: Column) -> dict[str, Any]:
    if isinstance(column.found, Unread):
        return {"source": column.source, "problem": column.found.why}
    found = column.found
    level = level_of(found)
    return {
        "source": column.source,
        "backend": found.backend.name,
        "version": found.backend.version,
        "host": f"{found.host.system} {found.host.release}",
        "python": found.host.python,
        "level": None if level is None else level.name,
        "counts": {outcome.value: count for outcome, count in counted(found.results).items()},
        "problems": [
            {"check": result.check_id, "outcome": result.outcome.value, "replay": result.replay}
            for result in problems_of(found)
        ],
    }
