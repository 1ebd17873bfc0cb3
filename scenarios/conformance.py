"""The conformance kit over backends that `--mux` names: `pytest --pyargs scenarios.conformance --mux mypackage:MyMux`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

import pytest

from backends.clock import SystemClock
from harness.conformance.checks import CHECKS
from harness.conformance.kit import Kit, Opened
from harness.conformance.listing import Item
from harness.conformance.subjects import SubjectError, spec_of, tried
from harness.conformance.suite import judge

_DEFAULT = ("fake", "tmux")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every check on every backend; one that is no backend ends the session before anything runs."""
    named = metafunc.config.getoption("--mux")
    names = list(dict.fromkeys(named or _DEFAULT))
    for name in names if named else ():
        try:
            tried(spec_of(name, metafunc.config.getoption("--mux-error")))
        except SubjectError as wrong:
            pytest.exit(f"{wrong}; {wrong.advice}", 2)
    metafunc.parametrize("conformance_opened", names, indirect=True, scope="module")
    metafunc.parametrize("conformance_item", CHECKS, ids=[item.check.id for item in CHECKS])


@pytest.fixture(scope="module")
def conformance_opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """The kit at work on that backend; skipped where it cannot be run here and nobody asked for it by name."""
    spec = spec_of(request.param, request.config.getoption("--mux-error"))
    try:
        tried(spec)
    except SubjectError as missing:
        pytest.skip(str(missing))
    replay = f"seamripper conform --mux {request.param}"
    with Kit(spec, SystemClock(), {}, importlib.metadata.version("seamripper"), replay).opened() as opened:
        yield opened


def test_conformance(conformance_opened: Opened, conformance_item: Item) -> None:
    """The backend keeps the promise."""
    __tracebackhide__ = True
    judge(conformance_item, conformance_opened)
