"""The kit on this host: tmux keeps every promise, and a backend that knows nothing of us is told each of its mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from conform_twins import ELSEWHERE
from plain_mux import HastyMux, TmuxError

from backends.clock import SystemClock
from backends.tmux import TmuxMultiplexer
from harness.conformance.bench import Bench
from harness.conformance.checks import CHECKS
from harness.conformance.kit import Kit
from harness.conformance.places import ForeignWorld
from harness.conformance.results import Certificate, Level, Outcome
from harness.conformance.spec import BackendSpec
from harness.conformance.subjects import spec_of
from harness.conformance.troubles import Trying, seen_under

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not TmuxMultiplexer(Path("/tmp/sm-none")).available(), reason="no tmux of 3.2a or later here"),
]

MISTAKES = {
    "SEAM-SHAPE-003": "list_windows raised TmuxError",
    "SEAM-PROBE-001": "has_session raised TimeoutExpired",
    "SEAM-PROBE-002": "list_window_ids raised FileNotFoundError",
    "SEAM-PROBE-003": "unknown was reported as absent",
    "SEAM-PROBE-004": "window_alive raised UnicodeDecodeError",
    "SEAM-PROBE-005": "list_window_ids answered []",
    "SEAM-CHANGE-005": "new_window answered ''",
    "SEAM-LOCAL-002": "available raised FileNotFoundError",
    "SEAM-ARGS-001": "has_session raised ValueError",
    "SEAM-LIFE-004": "show_window_option raised TmuxError",
    "SEAM-TARGET-001": "has_session('run-1') says yes, and only run-10 exists",
    "SEAM-TARGET-002": "kill_session('run-1') killed run-10",
    "SEAM-NAME-001": "new_session answered None for '..'",
    "SEAM-TEXT-008": "what was refused arrived",
    "SEAM-ENV-002": "has the environment among its arguments",
    "SEAM-CWD-002": "it ran in",
    "SEAM-FROZEN-001": "has_session raised TimeoutExpired",
    "SEAM-DEAD-003": "has_session answered False, and the server lives",
    "SEAM-DEAD-004": "window_alive answered True",
}
"""What the backend of somebody's first evening gets wrong, by the check that says so."""


def certified(spec: BackendSpec, *only: str) -> Certificate:
    """What the kit says of the backend about these checks; about all if none is named."""
    items = [item for item in CHECKS if not only or item.check.id in only]
    return Kit(spec, SystemClock(), {}, "0.1.0").run(items)


def test_conformance_of_the_real_tmux_is_whole() -> None:
    """Every promise is kept, without anything that could not be checked."""
    found = certified(spec_of("tmux"))

    assert [result for result in found.results if result.outcome is not Outcome.PASSED] == []
    assert found.level is Level.L4


def test_conformance_names_each_usual_mistake() -> None:
    """A backend outside of our classes is broken from outside, and its mistakes are told in words of its own."""
    found = certified(BackendSpec(HastyMux, name="plain_mux:HastyMux"), *MISTAKES)

    told = {result.check_id: result.observed for result in found.results if result.outcome is Outcome.FAILED}
    assert {check_id for check_id, words in MISTAKES.items() if words not in told.get(check_id, "")} == set()
    assert set(ELSEWHERE) <= set(told)


def test_conformance_finds_the_error_of_a_foreign_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own error type is found where it is defined, and what is the user's is not touched."""
    monkeypatch.setenv("TMUX", "/nowhere,1,0")
    before = dict(os.environ)
    (named,) = certified(BackendSpec(HastyMux, TmuxError, name="named"), "SEAM-CHANGE-003").results
    (found,) = certified(BackendSpec(HastyMux, name="found"), "SEAM-CHANGE-003").results

    assert (named.outcome, found.outcome) == (Outcome.PASSED, Outcome.PASSED)
    assert dict(os.environ) == before


def test_conformance_breaks_a_backend_that_keeps_the_path_it_was_made_with() -> None:
    """A host without the binary is one for it too, although its clients see the environment of its beginning."""
    spec = BackendSpec(lambda socket_dir: TmuxMultiplexer(socket_dir), name="keeps")
    found = certified(spec, "SEAM-PROBE-002", "SEAM-CHANGE-002", "SEAM-LOCAL-002")

    assert [result for result in found.results if result.outcome is not Outcome.PASSED] == []


def test_conformance_leaves_nothing_on_the_host() -> None:
    """No process of a misbehaving binary, no server and no directory is left."""
    spec = BackendSpec(HastyMux, name="plain")
    world = ForeignWorld(spec)
    bench = Bench(spec, world)
    bench.session()
    seen = seen_under(bench, Trying.LATE)
    bench.close()

    left = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
    assert seen
    assert left == []
    assert not world.base.exists()
