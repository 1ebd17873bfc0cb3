"""The options of the plugin, and what they come to."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from backends.disk import RealDisk
from faults.matrix import Calls
from harness.dashboard import literal
from harness.plugin.files import refuse_irregular
from harness.plugin.selection import DEFAULT, DEFAULT_CALLS, OFF, Selected, SelectionError, calls_from, selected
from harness.plugin.worlds import refuse_unknown_worlds

__all__ = ["add_to", "check", "coverage_due", "coverage_file", "sweep_of", "timeline_directory"]

_FILES = ("--mux-coverage", "--mux-coverage-html")


def add_to(parser: pytest.Parser) -> None:
    """Make the options known."""
    group = parser.getgroup("seamripper", "terminal multiplexers under fault")
    group.addoption(
        "--mux",
        action="append",
        metavar="NAME",
        help="world to run scenarios in, repeatable: fake, simulated-tmux, tmux, tmux-process (default: fake and tmux);"
        " for conformance also a backend as module:Attribute",
    )
    group.addoption(
        "--mux-error", metavar="NAME", help="base of what the backend under conformance raises, as module:Error"
    )
    group.addoption("--mux-faults", metavar="PLAN", help="fault plan for every scenario, instead of its own")
    group.addoption("--mux-seed", type=int, default=0, metavar="N", help="seed of names and chances (default: 0)")
    group.addoption(
        "--mux-sweep",
        action="append",
        metavar="SELECTION",
        help="stories to sweep, repeatable: STORY[:LAYER[,LAYER]] with globs, module:NAME of one's own, or off"
        " (default: `completes` at the first call of each point, except for the layer `transport`)",
    )
    group.addoption(
        "--mux-sweep-calls",
        metavar="WHICH",
        help="calls of each point to sweep: first, ends (the first two and the last), every, or how many from the first on"
        " (default: every)",
    )
    group.addoption("--mux-coverage", metavar="FILE", help="write the fault coverage there as JSON")
    group.addoption("--mux-coverage-html", metavar="FILE", help="write the fault coverage there as a page to look at")
    group.addoption(
        "--mux-timeline",
        metavar="DIR",
        help="write a page there for each scenario or fault of a sweep that fails, with what happened when",
    )
    group.addoption(
        "--mux-coverage-fail-under",
        metavar="PERCENT",
        help="fail if fewer of a hundred cells of the fault coverage were exercised",
    )


def check(config: pytest.Config) -> None:
    """Raise `UsageError` for what means nothing."""
    refuse_unknown_worlds(config)
    sweep_of(config)
    coverage_due(config)
    if config.getoption("--mux-sweep") and config.getoption("--mux-faults") is not None:
        raise pytest.UsageError("--mux-faults: a sweep has its own fault plans; leave out one of this and --mux-sweep")
    for option in _FILES:
        path = coverage_file(config, option)
        if path is not None:
            _check_file(option, path)
    _make_directory(config)


def sweep_of(config: pytest.Config) -> tuple[Selected, Calls | int]:
    """What is to be swept, and at which calls. Raises `UsageError` for what selects nothing."""
    texts, which = config.getoption("--mux-sweep"), config.getoption("--mux-sweep-calls")
    usual = Calls.EVERY.value
    if texts is None:
        texts, usual = DEFAULT if config.getoption("--mux-faults") is None else (OFF,), DEFAULT_CALLS
    try:
        chosen = selected(texts)
    except SelectionError as error:
        raise pytest.UsageError(f"--mux-sweep: {error}") from error
    try:
        return chosen, calls_from(usual if which is None else which)
    except SelectionError as error:
        raise pytest.UsageError(f"--mux-sweep-calls: {error}") from error


def coverage_file(config: pytest.Config, option: str) -> Path | None:
    """The file that the option names, relative to where pytest was called; `None` if it names none."""
    name = config.getoption(option)
    return None if name is None else config.invocation_params.dir / name


def timeline_directory(config: pytest.Config) -> Path | None:
    """Where a page of each failure is asked for, relative to where pytest was called; `None` if it is not."""
    name = config.getoption("--mux-timeline")
    return None if name is None else config.invocation_params.dir / name


def _make_directory(config: pytest.Config) -> None:
    """Make the directory of the pages, for us alone; one that is there stays as it is. Raises `UsageError`."""
    path = timeline_directory(config)
    if path is None:
        return
    try:
        if not config.getoption("--mux-timeline"):
            raise ValueError("it has no name")
        RealDisk().mkdir(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise pytest.UsageError(f"--mux-timeline {literal(path)}: {why}; name a directory, or a new one") from error


def _check_file(option: str, path: Path) -> None:
    """Raise `UsageError` unless a file can be written there without taking the place of something else."""
    shown, advice = literal(path), "name a file in a directory that exists"
    try:
        if not path.parent.is_dir():
            raise pytest.UsageError(f"{option} {shown}: no file can be written there; {advice}")
        refuse_irregular(RealDisk(), path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise pytest.UsageError(f"{option} {shown}: no file can be written there: {why}; {advice}") from error


def coverage_due(config: pytest.Config) -> float | None:
    """How many of a hundred cells have to be exercised; `None` if nobody says. Raises `UsageError` for any other."""
    text = config.getoption("--mux-coverage-fail-under")
    if text is None:
        return None
    try:
        percent = float(text)
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        raise pytest.UsageError(f"--mux-coverage-fail-under: {text!r:.80} is no number from 0 to 100")
    return percent
