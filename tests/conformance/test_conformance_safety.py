"""Nothing is tried on a backend before it is proven to harm nobody: a binary that tells what it was asked stands for theirs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plain_mux import HastyMux, TmuxError

from backends.clock import SystemClock
from harness.conformance.checks import CHECKS
from harness.conformance.kit import Kit
from harness.conformance.report_table import problem_lines
from harness.conformance.results import Level, Outcome, Result
from harness.conformance.spec import BackendSpec

HARMLESS = {"-V", "has-session", "list-sessions", "list-windows", "show-options", "display-message"}
"""What may be asked of anybody's server."""


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory in which there is room for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as made:
        yield Path(made)


class Canary:
    """A tmux that writes down what it is asked, before it answers as one without a server or as the real one."""

    def __init__(self, directory: Path, real: str | None = None) -> None:
        self.path = directory / "canary" / "tmux"
        self.log = directory / "asked"
        self.path.parent.mkdir()
        answer = "echo no server running on /nowhere >&2; exit 1" if real is None else f"exec '{real}' \"$@\""
        self.path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{self.log}'\n{answer}\n")
        self.path.chmod(0o700)

    def asked(self) -> set[str]:
        """The commands that it was given, by name."""
        return {line.split()[0] for line in self.log.read_text().splitlines()}


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    """A binary that nobody should reach."""
    return Canary(tmp_path)


def backend(binary: str, *options: str) -> type[HastyMux]:
    """A backend that runs exactly that binary."""

    class Absolute(HastyMux):
        def _run(self, *args: str) -> str:
            done = subprocess.run([binary, *options, *args], capture_output=True, text=True, timeout=5)
            if done.returncode != 0:
                raise TmuxError(done.stderr.strip())
            return done.stdout

    return Absolute


def results(spec: BackendSpec, *levels: Level, only: tuple[str, ...] = ()) -> dict[str, Result]:
    """What comes of the checks of these levels, or of those in `only`."""
    items = [item for item in CHECKS if item.check.level in levels or item.check.id in only]
    found = Kit(spec, SystemClock(), {}, "0.1.0").run(items)
    return {result.check_id: result for result in found.results}


def test_conformance_changes_nothing_through_a_binary_that_it_cannot_replace(canary: Canary) -> None:
    """A backend that runs its binary by its whole path is asked harmless questions only, and told what to do."""
    found = results(BackendSpec(backend(str(canary.path)), TmuxError, name="absolute"), Level.L0, Level.L1)

    assert canary.asked() <= HARMLESS
    honesty = [result for result in found.values() if result.level is Level.L1]
    judged = {result.outcome for result in honesty if result.check_id not in ("SEAM-CHANGE-006", "SEAM-CHANGE-007")}
    assert judged == {Outcome.NOT_RUN}
    assert "Run `tmux` by its bare name, or take a parameter `transport`" in found["SEAM-CHANGE-001"].observed


def test_conformance_changes_nothing_past_a_transport_that_is_not_used(canary: Canary) -> None:
    """That a parameter is called `transport` proves nothing."""

    class Pretending(backend(str(canary.path))):  # type: ignore[misc]  # a class that is made by a function
        def __init__(self, transport: Any) -> None:
            self.transport = transport

    found = results(BackendSpec(Pretending, TmuxError, name="pretending"), Level.L1)

    assert canary.asked() == {"has-session", "-V"}
    assert found["SEAM-CHANGE-001"].outcome is Outcome.NOT_RUN
    assert "went past it" in found["SEAM-CHANGE-001"].observed


def test_conformance_changes_nothing_where_a_backend_keeps_the_file_it_found() -> None:
    """One that cannot be made without its binary, and keeps it, cannot be seen on a host that lacks it."""

    class Keeping(HastyMux):
        def __init__(self) -> None:
            found = shutil.which("tmux")
            if found is None:
                raise TmuxError("no tmux")
            self.binary = found

        def _run(self, *args: str) -> str:
            return backend(self.binary)()._run(*args)

    found = results(BackendSpec(Keeping, TmuxError, name="keeping"), only=("SEAM-CHANGE-001", "SEAM-CHANGE-002"))

    assert found["SEAM-CHANGE-001"].outcome is Outcome.FAILED
    assert found["SEAM-CHANGE-002"].outcome is Outcome.NOT_RUN
    assert "look for `tmux` at each call" in found["SEAM-CHANGE-002"].observed


def test_conformance_says_once_why_checks_were_not_run(canary: Canary) -> None:
    """What their author can do about it is told where the checks are made, not in the certificate only."""
    items = [item for item in CHECKS if item.check.id in ("SEAM-PROBE-001", "SEAM-CHANGE-001", "SEAM-SHAPE-001")]
    spec = BackendSpec(backend(str(canary.path)), TmuxError, name="absolute")
    head, reason = (line for line, _ in problem_lines(Kit(spec, SystemClock(), {}, "0.1.0").run(items)))

    assert head == "· SEAM-PROBE-001, SEAM-CHANGE-001: not run"
    assert "Run `tmux` by its bare name" in reason


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_conformance_begins_one_session_in_a_server_that_may_be_somebody_s(tmp_path: Path, short: Path) -> None:
    """A backend with a server of its own choice is seen to have one by a session that nobody else has, and left alone."""
    canary = Canary(tmp_path, shutil.which("tmux"))
    kind = backend(str(canary.path), "-S", str(short / "s"), "-f", "/dev/null")
    found = results(BackendSpec(kind, TmuxError, name="elsewhere"), only=("SEAM-LIFE-001", "SEAM-DEAD-001"))

    assert {result.outcome for result in found.values()} == {Outcome.NOT_RUN}
    assert "was begun there and ended again" in found["SEAM-LIFE-001"].observed
    begun = [line for line in canary.log.read_text().splitlines() if "-session" in line]
    assert len(begun) == 2
    assert all(" -s seamripper-" in line or " -t seamripper-" in line for line in begun)
