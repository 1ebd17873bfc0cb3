"""The pytest plugin: fixtures, options and markers, all of them prefixed `mux` where pytest has one namespace.

A test that uses `mux` or `mux_run` is run once in every world that was selected and that its markers allow: on the fake
always, on live tmux where tmux is installed. What did not run is said in the summary, never hidden.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from backends.base import TerminalMultiplexer
from backends.clock import Clock
from backends.tmux import FLOOR, TmuxMultiplexer
from faults.errors import FaultPlanError
from faults.plan import FaultPlan
from harness.oracles import OracleViolation
from harness.report import Report
from harness.runner import Stage, catalog_of
from harness.world import WORLDS, World

LIVE_SCALE = 5.0
"""How many times as fast a live scenario's clock runs unless its marker says otherwise."""

_NOWHERE = "nowhere"
"""Stands for the worlds of a test that runs in none of the selected ones: it is deselected."""

_STAGE = pytest.StashKey[Stage]()
_FAILED = pytest.StashKey[bool]()
_TALLY = pytest.StashKey["_Tally"]()


class _Tally:
    """What ran where, for the summary."""

    def __init__(self) -> None:
        self.ran: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        self.why: dict[str, str] = {}
        self.points: dict[str, int] = {}
        self.reports = 0
        self.fired = 0

    def add(self, report: Report) -> None:
        self.reports += 1
        self.fired += len(report.injections)
        for injection in report.injections:
            self.points[injection.point] = self.points.get(injection.point, 0) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """See the pytest documentation."""
    group = parser.getgroup("seamripper", "terminal multiplexers under fault")
    group.addoption(
        "--mux",
        action="append",
        metavar="NAME",
        help="world to run scenarios in, repeatable: fake, simulated-tmux, tmux (default: fake and tmux)",
    )
    group.addoption("--mux-faults", metavar="PLAN", help="fault plan for every scenario, instead of its own")
    group.addoption("--mux-seed", type=int, default=0, metavar="N", help="seed of names and chances (default: 0)")


def pytest_configure(config: pytest.Config) -> None:
    """See the pytest documentation."""
    config.stash[_TALLY] = _Tally()
    for line in (
        "faults(plan): the fault plan that the scenario's first run is carried out under",
        "live(scale=5): runs on live multiplexers only, with a clock that passes `scale` times as fast",
        "simulated(why): cannot be produced on a live multiplexer, for the reason given",
        "worlds(*names): runs in these worlds only",
        "sweep: walks over many fault points",
    ):
        config.addinivalue_line("markers", line)
    unknown = [name for name in config.getoption("--mux") or () if name not in WORLDS]
    if unknown:
        raise pytest.UsageError(f"--mux {unknown[0]}: there is no such world; known are {', '.join(WORLDS)}")


def _selected(config: pytest.Config) -> list[str]:
    return list(dict.fromkeys(config.getoption("--mux") or ("fake", "tmux")))


def _worlds_of(definition: Any, config: pytest.Config) -> list[str]:
    allowed = _selected(config)
    named = definition.get_closest_marker("worlds")
    if named is not None:
        extra = [name for name in named.args if not config.getoption("--mux")]
        allowed = [name for name in WORLDS if name in named.args and name in {*allowed, *extra}]
    if definition.get_closest_marker("live") is not None:
        allowed = [name for name in allowed if not WORLDS[name].virtual]
    if definition.get_closest_marker("simulated") is not None:
        allowed = [name for name in allowed if WORLDS[name].virtual]
    return allowed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of multiplexers in every world; a world without any is a parameter set of its own that is not collected."""
    if "mux_world" in metafunc.fixturenames:
        names = _worlds_of(metafunc.definition, metafunc.config) or [_NOWHERE]
        params = [pytest.param(name, id=name, marks=()) for name in names]
        metafunc.parametrize("mux_world", params, indirect=True, scope="function")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse markers that say nothing and fault plans that name nothing, before anything runs."""
    for item in items:
        if _world_of(item) is not None:
            _check_markers(item)
        elif item.get_closest_marker("faults") is not None:
            raise pytest.UsageError(f"{item.nodeid}: faults(plan) is for tests that use mux_run or mux_faults")
    nowhere = [item for item in items if _world_of(item) == _NOWHERE]
    if nowhere:
        config.hook.pytest_deselected(items=nowhere)
        items[:] = [item for item in items if _world_of(item) != _NOWHERE]
    text = config.getoption("--mux-faults")
    for item in items:
        world = _world_of(item)
        if world is None:
            continue
        given = _marked_plan(item) if text is None else text
        if given is None:
            continue
        try:
            _plan_of(given, config, WORLDS[world])
        except FaultPlanError as error:
            where = "--mux-faults" if text is not None else item.nodeid
            raise pytest.UsageError(f"{where}: {error}") from error


def _check_markers(item: pytest.Item) -> None:
    """Raise `UsageError` unless the arguments of this plugin's markers are what they are documented to be."""
    names = getattr(item, "fixturenames", ())
    if _marked_plan(item) is not None and "mux_run" not in names and "mux_faults" not in names:
        raise pytest.UsageError(f"{item.nodeid}: faults(plan) is for tests that use mux_run or mux_faults")
    _marked_scale(item)
    worlds = item.get_closest_marker("worlds")
    unknown = [] if worlds is None else [name for name in worlds.args if name not in WORLDS]
    if worlds is not None and (unknown or worlds.kwargs or not worlds.args):
        said = f"there is no world {unknown[0]!r}" if unknown else "worlds(*names) takes names"
        raise pytest.UsageError(f"{item.nodeid}: {said}; known are {', '.join(WORLDS)}")


def _marked_plan(item: pytest.Item) -> FaultPlan | str | None:
    """What the `faults` marker says; `None` if there is none."""
    marker = item.get_closest_marker("faults")
    if marker is None:
        return None
    if len(marker.args) == 1 and not marker.kwargs and isinstance(marker.args[0], FaultPlan | str):
        given: FaultPlan | str = marker.args[0]
        return given
    raise pytest.UsageError(f"{item.nodeid}: faults(plan) takes one plan, as text or as a FaultPlan, by position")


def _marked_scale(item: pytest.Item) -> float:
    """How many times as fast the clock of a live scenario runs."""
    marker = item.get_closest_marker("live")
    if marker is None:
        return LIVE_SCALE
    given = [*marker.args, *marker.kwargs.values()]
    scale = given[0] if given else LIVE_SCALE
    known = len(given) <= 1 and set(marker.kwargs) <= {"scale"}
    if known and isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale < math.inf:
        return float(scale)
    raise pytest.UsageError(f"{item.nodeid}: live(scale={LIVE_SCALE:g}) takes one positive number")


def _world_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("mux_world")


def _plan_of(given: FaultPlan | str, config: pytest.Config, world: type[World]) -> FaultPlan:
    catalog = catalog_of(world)
    if isinstance(given, FaultPlan):
        return given.checked(catalog)
    return FaultPlan.parse(given, config.getoption("--mux-seed"), catalog)


_availability: dict[str, str | None] = {}


def _why_missing(name: str) -> str | None:
    """Why that world cannot be had on this host; `None` if it can."""
    if name not in _availability:
        missing = None
        if not WORLDS[name].virtual and not TmuxMultiplexer().available():
            missing = f"tmux is not installed, or older than {'.'.join(map(str, FLOOR[:2]))}{FLOOR[2]}"
        _availability[name] = missing
    return _availability[name]


@pytest.fixture
def mux_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The world of this test; whatever was begun in it is ended with the test, timed out or not."""
    config = request.config
    name = request.param
    tally = config.stash[_TALLY]
    missing = _why_missing(name)
    if missing is not None:
        tally.missing[name] = tally.missing.get(name, 0) + 1
        tally.why[name] = missing
        pytest.skip(f"{name}: {missing}")
    tally.ran[name] = tally.ran.get(name, 0) + 1
    world = WORLDS[name](config.getoption("--mux-seed"), _marked_scale(request.node))
    try:
        yield world
    finally:
        world.close()


@pytest.fixture
def mux(mux_world: World) -> TerminalMultiplexer:
    """A multiplexer in this test's world, without faults."""
    return mux_world.multiplexer()


@pytest.fixture
def mux_clock(mux_world: World) -> Clock:
    """The clock of this test's world."""
    return mux_world.clock


@pytest.fixture
def mux_faults(request: pytest.FixtureRequest, mux_world: World) -> FaultPlan:
    """The fault plan of this test: `--mux-faults`, else its `faults` marker, else no faults."""
    config = request.config
    text = config.getoption("--mux-faults")
    given = _marked_plan(request.node) if text is None else text
    return _plan_of("" if given is None else given, config, type(mux_world))


@pytest.fixture
def mux_run(request: pytest.FixtureRequest, mux_world: World, mux_faults: FaultPlan) -> Iterator[Stage]:
    """Runs plans in this test's world and reports; the first run is under the test's fault plan, every oracle is checked."""
    stage = Stage(mux_world, seed=request.config.getoption("--mux-seed"), faults=mux_faults)
    request.node.stash[_STAGE] = stage
    yield stage
    for report in stage.reports:
        request.config.stash[_TALLY].add(report)
    if not stage.reports and mux_faults.faults and not request.node.stash.get(_FAILED, False):
        pytest.fail(f"`{mux_faults.to_text()}` never fired: the test has a fault plan and ran nothing under it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Explain a failure without a second run: the newest report, and the line that repeats it."""
    result = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or not result.passed
    stage = item.stash.get(_STAGE, None)
    if call.when == "call" and result.failed and stage is not None:
        if stage.reports and not (call.excinfo and call.excinfo.errisinstance(OracleViolation)):
            result.sections.append(("scenario", stage.reports[-1].explain()))
        result.sections.append(("replay", _replay_line(item)))
    return result


def _replay_line(item: pytest.Item) -> str:
    config = item.config
    words = ["pytest", item.nodeid]
    seed = config.getoption("--mux-seed")
    faults = config.getoption("--mux-faults")
    if faults is not None:
        words += ["--mux-faults", faults]
    if seed:
        words += ["--mux-seed", str(seed)]
    return shlex.join(words)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which worlds ran, which did not, and what the faults came to."""
    tally = config.stash[_TALLY]
    if not tally.ran and not tally.missing:
        return
    terminalreporter.write_sep("-", "seamripper")
    ran = ", ".join(f"{name} ({count})" for name, count in sorted(tally.ran.items()))
    terminalreporter.write_line(f"worlds that ran: {ran or 'none'}")
    for name, count in sorted(tally.missing.items()):
        terminalreporter.write_line(f"NOT RUN on {name}: {count} scenarios skipped, because {tally.why[name]}")
    terminalreporter.write_line(
        f"runs of the engine: {tally.reports}; faults fired: {tally.fired} at {len(tally.points)} points"
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where live scenarios are required, a skipped one is a failure."""
    tally = session.config.stash.get(_TALLY, None)
    if tally is not None and tally.missing and os.environ.get("SEAMRIPPER_REQUIRE_LIVE"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
