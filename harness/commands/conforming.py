"""`seamripper conform`: checks a backend against the contract of the seam, and certifies what came of it."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

from backends.outsiders import look_in
from harness.commands.choosing import put_file
from harness.commands.current import Drive
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE
from harness.commands.output import Output
from harness.conformance.checks import CHECKS
from harness.conformance.kit import Kit, chosen
from harness.conformance.pages import matrix_page
from harness.conformance.report_columns import Column
from harness.conformance.report_table import level_table, problem_lines
from harness.conformance.results import Level, Outcome, Result
from harness.conformance.subjects import SubjectError, spec_of, tried
from harness.conformance.waivers import Waiver, WaiverError, waivers_of
from harness.dashboard import literal
from harness.engine.signals import StopSwitch, stop_signals

__all__ = ["conform", "interruptible", "level_of_word"]

_WAIVERS_LIMIT = 1_000_000
_BAD = (Outcome.FAILED, Outcome.ERROR, Outcome.STALE_WAIVER, Outcome.NOT_RUN)


def conform(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Check a backend; see `seamripper conform --help`. Exit code 1 where it does not keep its promises."""
    output = Output(host)
    for option, name in (("--output", arguments.json), ("--html", arguments.html)):
        _refuse_unwritable(host, option, name)
    waivers = _waivers(host, arguments.waive)
    look_in(host.cwd, arguments.mux)
    try:
        spec = spec_of(arguments.mux, arguments.mux_error)
        tried(spec)
    except SubjectError as wrong:
        raise CommandError(str(wrong), wrong.advice, EXIT_USAGE) from wrong
    kit = Kit(spec, host.clock, waivers, importlib.metadata.version("seamripper"), _replay(arguments))
    with interruptible() as switch:
        certificate = kit.run(chosen(arguments.level, arguments.only), lambda result: _show(output, result, switch))
    output.say("")
    output.show(level_table(certificate))
    for line, style in problem_lines(certificate):
        output.say(line, style)
    if not arguments.only:
        reached = "no level" if certificate.level is None else f"{certificate.level.name} {certificate.level.title}"
        output.say(f"{spec.name}: {reached}", "bold")
    if arguments.json is not None:
        output.aside(f"written {put_file(host, '--output', arguments.json, certificate.to_json())}")
    if arguments.html is not None:
        page = matrix_page([Column(arguments.mux, certificate)])
        output.aside(f"written {put_file(host, '--html', arguments.html, page)}")
    return 1 if any(result.outcome in _BAD for result in certificate.results) else 0


def _refuse_unwritable(host: Host, option: str, name: str | None) -> None:
    """Raise `CommandError` where no file can be put: before minutes of checks, not after them."""
    if name is None:
        return
    path = host.cwd / name
    try:
        there, above = host.disk.info(path), host.disk.info(path.parent)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandError(f"{option}: {literal(name)} cannot be written: {why}", "name a file", EXIT_USAGE) from error
    if there is not None and not there.is_file:
        raise CommandError(f"{option}: {literal(name)} is no regular file", "choose another name", EXIT_USAGE)
    if above is None or not above.is_dir:
        why = "its directory does not exist" if above is None else "what it is in is no directory"
        raise CommandError(f"{option}: {literal(name)} cannot be written: {why}", "choose another place", EXIT_USAGE)


@contextmanager
def interruptible() -> Iterator[StopSwitch]:
    """Within, a signal ends the command after the check that it comes in, a second one at once; servers end either way."""
    switch = StopSwitch()
    switch.on_force = _at_once
    with stop_signals(switch):
        yield switch


def _at_once() -> NoReturn:
    raise KeyboardInterrupt


def _show(output: Output, result: Result, switch: StopSwitch) -> None:
    good = result.outcome in (Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.WAIVED)
    sign = "✔" if good else "✖"
    said = "" if result.outcome is Outcome.PASSED else f" ({result.outcome.value})"
    output.say(f"{sign} {result.check_id}  {result.title}{said}", "" if good else "red")
    if switch.by is not None:
        code = 128 + (switch.signum or 0)
        raise CommandError(f"stopped by {switch.by} after {result.check_id}", "nothing was certified", code)


def _replay(arguments: argparse.Namespace) -> str:
    words = ["seamripper", "conform", "--mux", arguments.mux]
    if arguments.mux_error is not None:
        words += ["--mux-error", arguments.mux_error]
    return shlex.join(words)


def _waivers(host: Host, name: str | None) -> Mapping[str, Waiver]:
    if name is None:
        return {}
    today = datetime.datetime.fromtimestamp(host.clock.wall(), datetime.UTC).date()
    try:
        text = host.disk.read(host.cwd / name, limit=_WAIVERS_LIMIT).decode("utf-8")
        return waivers_of(text, [item.check for item in CHECKS], today)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandError(f"--waive: {name} cannot be read: {why}", "name a file of waivers", EXIT_USAGE) from error
    except WaiverError as wrong:
        raise CommandError(f"--waive: {wrong}", "correct the file", EXIT_USAGE) from wrong


def level_of_word(text: str) -> Level:
    """The level that somebody typed: `L2`, `l2` or `2`."""
    try:
        return Level[f"L{text.upper().removeprefix('L')}"]
    except KeyError:
        known = ", ".join(level.name for level in Level)
        raise argparse.ArgumentTypeError(f"there is no level {text!r:.40}; known are {known}") from None
