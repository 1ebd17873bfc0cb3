"""The pytest plugin: fixtures, options and markers, all of them prefixed `mux` where pytest has one namespace.

A test that uses `mux` or `mux_run` is run once in every world that was selected and that its markers allow: on the fake
always, on live tmux where tmux is installed. A test that uses `mux_sweep` is run once for every fault that was selected. What
did not run is said in the summary, never hidden.

PYTEST_DONT_REWRITE: there is no `assert` here, and it may be imported before pytest is told of it (`seamripper.plugin`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Iterator

import pytest

from backends.base import TerminalMultiplexer
from backends.clock import Clock
from faults.errors import FaultPlanError
from faults.injector import Injector
from faults.plan import FaultPlan
from harness.oracles import OracleViolation
from harness.plugin import options, systems
from harness.plugin.deeds import Deeds
from harness.plugin.namesakes import look_here
from harness.plugin.namesakes import pytest_load_initial_conftests as pytest_load_initial_conftests
from harness.plugin.namesakes import pytest_report_header as pytest_report_header
from harness.plugin.pictures import Failure, problems_in, put_page
from harness.plugin.refusals import refusing
from harness.plugin.selection import SelectionError
from harness.plugin.session import Session
from harness.plugin.sweeping import SWEEP_WORLDS, Step, failure_of, problems_of, steps, why_nothing
from harness.plugin.worlds import (
    MARKERS,
    NOWHERE,
    check_markers,
    marked_plan,
    marked_scale,
    plan_of,
    selected_worlds,
    why_missing,
    world_of,
    worlds_of,
)
from harness.runner import Stage
from harness.world import WORLDS, World

_STAGE = pytest.StashKey[Stage]()
_CUT_SHORT = pytest.StashKey[bool]()
"""Whether the test failed or was skipped, so that what it did not do says nothing."""
_DEEDS = pytest.StashKey[Deeds]()
_FAILURE = pytest.StashKey[Failure]()
_SESSION = pytest.StashKey[Session]()
_REFUSED = pytest.StashKey[str]()
"""Why nothing is swept though a sweep was asked for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """See the pytest documentation."""
    options.add_to(parser)
    systems.add_to(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that mean nothing, before anything is collected."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    look_here(config)
    with refusing(config):
        options.check(config)
    session = config.stash[_SESSION] = Session(config)
    config.pluginmanager.register(session, "seamripper-session")
    config.pluginmanager.register(systems, "seamripper-systems")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of multiplexers in every world, and a sweep for every fault; where there is none, deselect them."""
    if "mux_world" in metafunc.fixturenames:
        names = worlds_of(metafunc.definition, metafunc.config) or [NOWHERE]
        metafunc.parametrize("mux_world", [pytest.param(name, id=name) for name in names], indirect=True)
    if "mux_sweep" in metafunc.fixturenames:
        found = [pytest.param(step, id=step.label) for step in _steps(metafunc.config)]
        metafunc.parametrize("mux_sweep", found or [pytest.param(None, id=NOWHERE)], indirect=True)


def _steps(config: pytest.Config) -> list[Step]:
    """What is to be swept. Why that is not what was asked for is kept until collecting is over: a usage error ends it."""
    (chosen, calls), worlds = options.sweep_of(config), selected_worlds(config, *SWEEP_WORLDS)
    try:
        found = list(steps(chosen, calls, worlds, config.getoption("--mux-seed")))
        if not found and chosen and config.getoption("--mux-sweep"):
            raise SelectionError(why_nothing(chosen, worlds))
    except SelectionError as error:
        if hasattr(config, "workerinput"):
            # Who would tell of a worker's usage error knows of no such thing; that it could not collect is told.
            raise pytest.Collector.CollectError(f"--mux-sweep: {error}") from error
        config.stash[_REFUSED] = str(error)
        return []
    return found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse sweeps of nothing, markers that say nothing and fault plans that name nothing, before anything runs."""
    with refusing(config, items):
        _refuse_and_deselect(config, items)


def _refuse_and_deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _REFUSED in config.stash:
        raise pytest.UsageError(f"--mux-sweep: {config.stash[_REFUSED]}")
    for item in items:
        if world_of(item) is not None:
            check_markers(item)
        elif item.get_closest_marker("faults") is not None:
            raise pytest.UsageError(f"{item.nodeid}: faults(plan) is for tests that use mux_run or mux_faults")
    nowhere = [item for item in items if _runs_nowhere(item)]
    if nowhere:
        config.hook.pytest_deselected(items=nowhere)
        items[:] = [item for item in items if not _runs_nowhere(item)]
    text = config.getoption("--mux-faults")
    for item in items:
        world = world_of(item)
        if world is None:
            continue
        given = marked_plan(item) if text is None else text
        if given is None:
            continue
        try:
            plan_of(given, config, WORLDS[world])
        except FaultPlanError as error:
            where = "--mux-faults" if text is not None else item.nodeid
            raise pytest.UsageError(f"{where}: {error}") from error


def _runs_nowhere(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return world_of(item) == NOWHERE or (callspec is not None and callspec.params.get("mux_sweep", "") is None)


def _step_of(item: pytest.Item) -> Step | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("mux_sweep")


@pytest.fixture
def mux_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The world of this test; whatever was begun in it is ended with the test, timed out or not."""
    name = request.param
    missing = why_missing(name)
    request.node.stash[_DEEDS] = Deeds(name, missing or "")
    if missing is not None:
        pytest.skip(f"{name}: {missing}")
    world = WORLDS[name](request.config.getoption("--mux-seed"), marked_scale(request.node))
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
    given = marked_plan(request.node) if text is None else text
    return plan_of("" if given is None else given, config, type(mux_world))


@pytest.fixture
def mux_run(request: pytest.FixtureRequest, mux_world: World, mux_faults: FaultPlan) -> Iterator[Stage]:
    """Runs plans in this test's world and reports; the first run is under the test's fault plan, every oracle is checked."""
    stage = Stage(mux_world, seed=request.config.getoption("--mux-seed"), faults=mux_faults)
    request.node.stash[_STAGE] = stage
    yield stage
    replay = _replay_line(request.node) or ""
    for report in stage.reports:
        request.node.stash[_DEEDS].add(report, replay)
    if not stage.reports and mux_faults.faults and not request.node.stash.get(_CUT_SHORT, False):
        pytest.fail(f"`{mux_faults.to_text()}` never fired: the test has a fault plan and ran nothing under it")


@pytest.fixture
def mux_sweep(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """Makes one of the faults that `--mux-sweep` selected happen, and fails unless everything that must hold does."""
    step: Step = request.param
    tried: list[Step] = []

    def sweep() -> None:
        tried.append(step)
        told = step.carried_out()
        deeds = request.node.stash[_DEEDS] = Deeds(step.world, story=step.story)
        for report in told.reports:
            deeds.add(report, step.replay)
        if problems := problems_of(step, told):
            request.node.stash[_FAILURE] = Failure(told.reports, problems)
            pytest.fail(failure_of(step, told), pytrace=False)

    yield sweep
    if not tried and not request.node.stash.get(_CUT_SHORT, False):
        pytest.fail("mux_sweep() was never called: the test has swept nothing", pytrace=False)


@pytest.fixture
def mux_coverage(request: pytest.FixtureRequest) -> Callable[[Injector], None]:
    """Counts as coverage what an injector of one's own has done; `mux_run` and `mux_sweep` count by themselves."""
    replay = _replay_line(request.node) or ""

    def count(injector: Injector) -> None:
        deeds = request.node.stash.setdefault(_DEEDS, Deeds())
        deeds.injected(injector.injections, injector.reached, replay)

    return count


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Explain a failure without a second run: the newest report, and the line that repeats it. Say what the item did."""
    result = yield
    if not result.passed:
        item.stash[_CUT_SHORT] = True
    if result.failed:
        _explain(item, call, result)
    if call.when == "teardown" and (deeds := item.stash.get(_DEEDS, None)) is not None:
        item.config.stash[_SESSION].tell(result, deeds)
        # Items live as long as the session does: what they did must not.
        del item.stash[_DEEDS]
        if _FAILURE in item.stash:
            del item.stash[_FAILURE]
    return result


def _explain(item: pytest.Item, call: pytest.CallInfo[None], result: pytest.TestReport) -> None:
    replay = _replay_line(item)
    if replay is None:
        return
    stage = item.stash.get(_STAGE, None)
    told = call.excinfo is not None and call.excinfo.errisinstance(OracleViolation)
    if call.when == "call" and stage is not None and stage.reports and not told:
        result.sections.append(("scenario", stage.reports[-1].explain()))
    result.sections.append(("replay", replay))
    _note(item, result, "replay", replay)
    if "timeline" not in dict(item.user_properties) and (failure := _failure_of(item, call)) is not None:
        _draw(item, result, failure, replay)


def _note(item: pytest.Item, result: pytest.TestReport, name: str, value: str) -> None:
    """Make it a property of the item, once: JUnit's file has it then."""
    if (name, value) not in item.user_properties:
        item.user_properties.append((name, value))
        result.user_properties.append((name, value))


def _failure_of(item: pytest.Item, call: pytest.CallInfo[None]) -> Failure | None:
    """What there is to draw of an item that failed; `None` where the engine did not run."""
    if _FAILURE in item.stash:
        return item.stash[_FAILURE]
    stage = item.stash.get(_STAGE, None)
    if stage is None or not stage.reports or call.excinfo is None:
        return None
    return Failure(stage.reports, problems_in(call.excinfo.value))


def _draw(item: pytest.Item, result: pytest.TestReport, failure: Failure, replay: str) -> None:
    """Put the page where `--mux-timeline` asks for it, and say where that is."""
    directory = options.timeline_directory(item.config)
    if directory is None:
        return
    try:
        path = put_page(directory, item.nodeid, failure, replay)
    except OSError as error:
        result.sections.append(("timeline", f"{directory}: it cannot be written: {error.strerror or error}"))
        return
    result.sections.append(("timeline", str(path)))
    _note(item, result, "timeline", str(path))


def _address(item: pytest.Item) -> list[str]:
    """What pytest is given to run the item again; one of an installed package has no path below the root."""
    module = item.getparent(pytest.Module)
    if module is None or item.path.is_relative_to(item.config.rootpath):
        return [item.nodeid]
    return ["--pyargs", f"{module.obj.__name__}::{item.nodeid.partition('::')[2]}"]


def _replay_line(item: pytest.Item) -> str | None:
    """The command line that repeats the item; `None` if it has nothing to do with faults."""
    step = _step_of(item)
    if step is not None:
        return step.replay
    if world_of(item) is None and "mux_coverage" not in getattr(item, "fixturenames", ()):
        return None
    config = item.config
    words = ["pytest", *_address(item)]
    for name in config.getoption("--mux") or ():
        words += ["--mux", name]
    if config.getoption("--sut") is not None:
        words += ["--sut", config.getoption("--sut")]
    if config.getoption("--mux-faults") is not None:
        words += ["--mux-faults", config.getoption("--mux-faults")]
    if config.getoption("--mux-seed"):
        words += ["--mux-seed", str(config.getoption("--mux-seed"))]
    return shlex.join(words)
