"""One pytest session: sums up what its items did, on the process that reports, and says so at the end.

With pytest-xdist that is the controller; a worker only puts on each item's report what the item did.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from backends.clock import SystemClock
from faults.catalog import PointCatalog
from faults.coverage import Coverage, coverage_of
from harness.coverage_page import coverage_page
from harness.engine.core import STEPS
from harness.plugin.deeds import Deeds, Tally
from harness.plugin.files import put_text
from harness.plugin.options import coverage_due, coverage_file
from harness.plugin.summary import coverage_lines, progress_line, sweep_line, tally_lines

__all__ = ["Session"]

_TOLD = "seamripper"
"""The attribute of a report that says what its item did."""

_MANY = 2000
"""From so many items on, dots say less than numbers."""

_LINES = 20
"""How often it says so."""


class Session:
    """The hooks of one session, and the tally."""

    def __init__(self, config: pytest.Config, many: int = _MANY) -> None:
        """Sum up for `config`; from so `many` items on, a sweep says how far it is instead of showing a dot for each."""
        self._many = many
        self._config = config
        self._clock = SystemClock()
        self._began_s = self._clock.monotonic()
        self._is_worker = hasattr(config, "workerinput")
        self._known: set[str] = set()
        self._session: pytest.Session | None = None
        self._swept = 0
        self._failed = 0
        self._notes: list[str] = []
        self.tally = Tally()

    def tell(self, report: pytest.TestReport, deeds: Deeds) -> None:
        """Put on the report of an item what it did, without what an earlier one of this process has said."""
        setattr(report, _TOLD, deeds.told(self._known))
        self._known |= deeds.exercise.reached

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember who knows how many items there are."""
        self._session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show no dot for what was swept and holds, where there are very many."""
        held = report.when == "call" and report.passed and "sweep" in report.keywords
        return ("passed", "", "") if held and self._every else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what the item did, here or on a worker."""
        self._failed += report.failed and "sweep" in report.keywords
        told: dict[str, Any] | None = getattr(report, _TOLD, None)
        if told is None:
            return
        deeds = Deeds.heard(told)
        self.tally.add(deeds)
        if not self._is_worker:
            # The terminal keeps every report, and there may be a hundred thousand.
            delattr(report, _TOLD)
        self._swept += bool(deeds.story)
        if deeds.story and self._every and self._swept % self._every == 0:
            self._say_how_far()

    @property
    def _every(self) -> int:
        """After how many items of a sweep to say how far it is; 0 where each item has a dot or a line of its own."""
        items = 0 if self._session is None else self._session.testscollected
        quiet = not self._is_worker and self._config.option.verbose <= 0
        return items // _LINES if quiet and items >= self._many else 0

    def _say_how_far(self) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._session is not None:
            items = self._session.testscollected
            line = progress_line(self._swept, items, self._failed, self._clock.monotonic() - self._began_s)
            terminal.write_line(line)

    @property
    def coverage(self) -> Coverage:
        """What was covered so far."""
        return coverage_of(self.tally.exercise, PointCatalog(STEPS))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the coverage; where live scenarios are required a skipped one is a failure, and so is too little coverage."""
        if self._is_worker or self._config.option.collectonly:
            return
        failed = bool(self.tally.missing and os.environ.get("SEAMRIPPER_REQUIRE_LIVE"))
        coverage = self.coverage
        failed |= not self._written("--mux-coverage", json.dumps(coverage.as_json(), indent=1) + "\n")
        failed |= not self._written("--mux-coverage-html", coverage_page(coverage))
        least = coverage_due(self._config)
        if least is not None and coverage.percent < least:
            self._notes.append(
                f"FAILED: fault coverage is {coverage.percent:.2f} %, less than the {least:g} % required"
            )
            failed = True
        if failed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which worlds ran, which did not, and what the faults came to."""
        tally = self.tally
        if not (tally.ran or tally.missing or tally.swept or tally.fired or self._notes):
            return
        terminalreporter.write_sep("-", "seamripper")
        lines = list(tally_lines(tally))
        if tally.swept:
            lines.append(sweep_line(tally, self._clock.monotonic() - self._began_s))
        if tally.exercise.hits:
            lines += coverage_lines(self.coverage)
        for line in (*lines, *self._notes):
            terminalreporter.write_line(line)

    def _written(self, option: str, text: str) -> bool:
        """Whether the file that the option asks for is there, whole; so it is if none is asked for."""
        path = coverage_file(self._config, option)
        if path is None:
            return True
        try:
            put_text(path, text)
        except OSError as error:
            self._notes.append(f"FAILED: {option}: {path} cannot be written: {error.strerror or error}")
            return False
        self._notes.append(f"fault coverage is written to {path}")
        return True
