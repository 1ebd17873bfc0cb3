"""Orchestrators under test: the option `--sut`, the fixture `mux_engine`, and which tests are for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.errors import nearest_name
from faults.injector import Injector
from faults.plan import FaultPlan
from harness.plugin.refusals import refusing
from harness.sut import Ability, Factory, UnknownSystem, system_of
from harness.sut_bundled import BundledEngine
from harness.sut_stage import SutStage
from harness.world import World

__all__ = ["add_to", "mux_engine", "pytest_collection_modifyitems", "pytest_configure"]

_FACTORY = pytest.StashKey[Factory]()
_ABILITIES = ", ".join(Ability)


def add_to(parser: pytest.Parser) -> None:
    """Make the option known."""
    parser.getgroup("seamripper").addoption(
        "--sut",
        metavar="PACKAGE:FACTORY",
        help="orchestrator to run the scenarios of `mux_engine` with, and no others (default: the bundled engine)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the orchestrator before anything is collected."""
    config.addinivalue_line(
        "markers", f"needs(*abilities): for orchestrators that declare all of these abilities: {_ABILITIES}"
    )
    reference = config.getoption("--sut")
    with refusing(config):
        try:
            config.stash[_FACTORY] = BundledEngine if reference is None else system_of(reference)
        except UnknownSystem as error:
            raise pytest.UsageError(f"--sut: {error}") from error


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse markers that say nothing. Where an orchestrator is named, what is not about it is no test of it."""
    with refusing(config, items):
        for item in items:
            _needed(item)
    if config.getoption("--sut") is None:
        return
    others = [item for item in items if not _is_about_systems(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture
def mux_engine(
    request: pytest.FixtureRequest, mux_world: World, mux_faults: FaultPlan, mux_coverage: Callable[[Injector], None]
) -> Iterator[SutStage]:
    """Runs plans with the orchestrator under test in this test's world; every oracle that holds for anybody is checked."""
    seed = request.config.getoption("--mux-seed")
    stage = SutStage(mux_world, request.config.stash[_FACTORY], seed=seed, faults=mux_faults)
    missing = sorted(_needed(request.node) - stage.abilities)
    if missing:
        pytest.skip(f"the orchestrator does not declare {', '.join(missing)}")
    yield stage
    for injector in stage.injectors:
        mux_coverage(injector)


def _is_about_systems(item: pytest.Item) -> bool:
    return "mux_engine" in getattr(item, "fixturenames", ())


def _needed(item: pytest.Item) -> set[Ability]:
    """What the test's `needs` markers name. Raises `UsageError` for what is no ability."""
    named = [name for marker in item.iter_markers("needs") for name in marker.args]
    if named and not _is_about_systems(item):
        raise pytest.UsageError(f"{item.nodeid}: needs(*abilities) is for tests that use mux_engine")
    for name in named:
        if name not in list(Ability):
            nearest = nearest_name(str(name), list(Ability))
            raise pytest.UsageError(f"{item.nodeid}: needs({name!r}): the nearest ability is '{nearest}'")
    return {Ability(name) for name in named}
