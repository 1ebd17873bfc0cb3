"""The catalog: which points there are, and what can happen at each."""

from __future__ import annotations

import pytest

from backends.clock import VirtualClock
from backends.operations import OPERATIONS
from faults import ACTIONS, Fault, FaultPlan, FaultPlanError, Hang, Injector, PointCatalog, Term
from faults.catalog import ACTIONS_OF_LAYER, DISK_FILES, DISK_OPERATIONS, LAYERS, LOSING_LAYERS


def test_every_operation_is_a_point_twice() -> None:
    """Below the guard and above it, the optional operations included."""
    points = PointCatalog().points()

    assert {f"{layer}.{name}" for layer in ("mux", "leak") for name in OPERATIONS} <= set(points)


def test_every_kind_of_file_is_a_point_of_every_disk_operation() -> None:
    """The disk's points are the product of the two."""
    points = [point for point in PointCatalog().points() if point.startswith("disk.")]

    assert len(points) == len(DISK_OPERATIONS) * len(DISK_FILES)


def test_every_action_can_happen_at_some_layer() -> None:
    """The table of layers uses all the actions that the grammar has."""
    assert tuple(ACTIONS_OF_LAYER) == LAYERS
    assert frozenset().union(*ACTIONS_OF_LAYER.values()) == frozenset(ACTIONS.values())


EXAMPLES = {
    "timeout": "timeout(1)",
    "oserror": "oserror(EIO)",
    "exit": 'exit(1, "x")',
    "output": 'output("x")',
    "truncate": "truncate(1)",
    "delay": "delay(1)",
    "raise": "raise(OSError)",
    "torn": "torn(1)",
    "signal": "signal(SIGTERM)",
    "jump": "jump(-1)",
    "suspend": "suspend(1)",
    "occur": "occur(1)",
}
POINTS = {
    "mux": "mux.has_session",
    "leak": "leak.has_session",
    "transport": "transport.new-window",
    "disk": "disk.write:state",
    "engine": "engine.boot",
    "signal": "signal.boot",
    "clock": "clock.tick",
    "agent": "agent.die",
    "live": "live.disk_full",
}
SPECIAL = {("disk", "nosync"): "disk.fsync:state"}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("keyword", ACTIONS)
def test_an_action_is_accepted_exactly_where_its_layer_can_perform_it(layer: str, keyword: str) -> None:
    """The table decides, for every layer and every action, also whether an answer can be lost."""
    point = SPECIAL.get((layer, keyword), POINTS[layer])
    action = EXAMPLES.get(keyword, keyword)
    catalog = PointCatalog(("boot",), supports=LAYERS)
    performed = ACTIONS[keyword] in ACTIONS_OF_LAYER[layer]
    lost = performed and layer in LOSING_LAYERS and ACTIONS[keyword].losable

    assert _accepted(f"{point}={action}", catalog) is performed
    assert _accepted(f"{point}=lost:{action}", catalog) is lost


def _accepted(text: str, catalog: PointCatalog) -> bool:
    try:
        FaultPlan.parse(text, catalog=catalog)
    except FaultPlanError:
        return False
    return True


@pytest.mark.parametrize("text", ["disk.fsync:state=torn(1)", "disk.write:state=nosync", "disk.*:state=torn(1)"])
def test_a_disk_action_belongs_to_its_operations(text: str) -> None:
    """Only what is written can be torn, only a sync can be skipped; a glob must fit wholly."""
    with pytest.raises(FaultPlanError, match="cannot happen at disk"):
        FaultPlan.parse(text)


def test_an_engine_step_is_checked_where_the_steps_are_known() -> None:
    """A step is believed only as long as nobody said which there are."""
    known = PointCatalog(["run.start", "run.end"])

    assert FaultPlan.parse("engine.anything=die")
    with pytest.raises(FaultPlanError) as refused:
        FaultPlan.parse("engine.run.strat=die", catalog=known)
    assert refused.value.nearest == "engine.run.start"


def test_live_points_are_known_but_need_a_backend_that_supports_them() -> None:
    """Freezing a server is no typing mistake on the fake, only impossible."""
    with pytest.raises(FaultPlanError, match=r"this backend has no live\. points"):
        FaultPlan.parse("live.freeze_server=occur(5)")

    assert FaultPlan.parse("live.freeze_server=occur(5)", catalog=PointCatalog(supports=LAYERS))


def test_a_glob_names_only_points_that_this_backend_has() -> None:
    """What is not there needs no action that fits it."""
    catalog = PointCatalog(supports={"mux", "disk"})

    points = catalog.matching(Fault("*.new_window", (Term(Hang()),)))

    assert points == ("mux.new_window",)


def test_a_glob_that_matches_nothing_is_an_error() -> None:
    """A pattern can be mistyped like a name."""
    with pytest.raises(FaultPlanError) as refused:
        FaultPlan.parse("mux.lst_*=hang")

    assert refused.value.nearest is not None


def test_a_filter_needs_an_argument_that_some_matched_operation_has() -> None:
    """`*` may be filtered by what only some operations take."""
    assert FaultPlan.parse("*[session=run-1]=hang")
    with pytest.raises(FaultPlanError, match="no argument"):
        FaultPlan.parse("engine.boot[session=run-1]=die")


def test_a_plan_of_values_is_checked_when_an_injector_takes_it() -> None:
    """A fault that was never text cannot name nothing either."""
    setting = FaultPlan((Fault("has_sesion", (Term(Hang()),)),))

    with pytest.raises(FaultPlanError) as refused:
        Injector(setting, clock=VirtualClock())
    assert refused.value.nearest == "has_session"
