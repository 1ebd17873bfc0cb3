"""Plans drawn by chance can be carried out, are the same everywhere, and leave nothing out."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter

from toy_machine import CATALOG, Machine

from backends import errors as seam_errors
from backends.processes import SystemProcessTable
from faults import Always, FaultPlan, Percent, PointCatalog, Term, Times, random_plan
from faults.actions import ACTIONS, Pass, Raise
from faults.catalog import LAYERS
from faults.exceptions import HOSTILE
from faults.matrix import UNKNOWABLE

REACHED = {
    **{point: 1 + index % 4 for index, point in enumerate(CATALOG.points()) if not point.startswith("transport.")},
    "transport.list-windows": 3,
    "transport.new-window": 1,
}


@functools.cache
def drawn(count: int = 600) -> tuple[FaultPlan, ...]:
    """The plans of so many seeds."""
    return tuple(random_plan(seed, CATALOG, REACHED) for seed in range(count))


def drawn_terms() -> list[Term]:
    """Every term of all of them."""
    return [term for plan in drawn() for fault in plan.faults for term in fault.terms]


def test_every_random_plan_can_be_carried_out_and_written_down() -> None:
    """Whatever the seed, the catalog has nothing against it, and text and JSON say exactly the same."""
    for seed, plan in enumerate(drawn()):
        assert plan.seed == seed
        assert plan.checked(CATALOG) is plan
        assert FaultPlan.parse(plan.to_text(), seed, CATALOG) == plan
        assert FaultPlan.from_json(plan.to_json(), CATALOG) == plan


def test_everything_occurs() -> None:
    """Every layer, every action, one to four rules, filters, globs, passes, percents, counts, for good, lost answers."""
    terms = drawn_terms()
    layers = Counter(fault.full_point.partition(".")[0] for plan in drawn() for fault in plan.faults)

    assert set(layers) == set(LAYERS)
    assert {term.action.keyword for term in terms} == set(ACTIONS)
    assert {len(plan.faults) for plan in drawn()} == {1, 2, 3, 4}
    assert any(fault.where for plan in drawn() for fault in plan.faults)
    assert any("*" in fault.point for plan in drawn() for fault in plan.faults)
    assert {type(term.trigger) for term in terms} == {Always, Percent, Times}
    assert any(term.lost for term in terms)
    assert any(isinstance(term.action, Pass) for term in terms)


def test_hostile_exceptions_are_drawn_and_what_costs_much_is_rare() -> None:
    """Fifty megabytes are not made for every fifth plan; what the seam says with an error is never said in its name."""
    names = Counter(term.action.exception for term in drawn_terms() if isinstance(term.action, Raise))

    assert set(names) >= set(HOSTILE) - {"HugeMessage"}
    assert names["HugeMessage"] < 0.05 * names.total()
    assert not set(names) & set(seam_errors.__all__)


def test_no_lie_is_drawn_that_nobody_could_tell_from_the_truth() -> None:
    """What the matrix leaves out is left out here, too."""
    for plan in drawn():
        for fault in plan.faults:
            for point in CATALOG.matching(fault):
                assert not any((point, term.action.keyword) in UNKNOWABLE for term in fault.terms)


def test_most_random_plans_do_something() -> None:
    """Counts are drawn from the calls there are."""
    run = Machine()
    reached = run(FaultPlan()).reached
    verdicts = [run(random_plan(seed, CATALOG, reached)) for seed in range(300)]

    assert sum(1 for verdict in verdicts if verdict.injections) > 250


def test_only_points_that_are_reached_in_the_chosen_layers_are_drawn() -> None:
    """Nothing is planned where nobody comes by; without any point there is no fault."""
    plans = [random_plan(seed, CATALOG, {"clock.tick": 2, "engine.boot": 1}, ["clock"]) for seed in range(50)]

    assert {fault.point for plan in plans for fault in plan.faults} <= {"clock.tick", "clock.*"}
    assert random_plan(3, CATALOG, {}) == FaultPlan(seed=3)
    assert random_plan(3, PointCatalog(), {"engine.boot": 1}, ["engine"]).faults


def test_a_seed_means_the_same_plan_whatever_the_hash_seed() -> None:
    """Two fresh interpreters draw the same hundred plans."""
    told = "import test_faults_chance as t; print(*(plan.to_json() for plan in t.drawn(100)), sep=chr(10))"
    heard = []
    for hash_seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        heard.append(SystemProcessTable().run([sys.executable, "-c", told], timeout_s=60, env=environment).stdout)

    assert heard[0] == heard[1]
    assert heard[0].decode().splitlines() == [plan.to_json() for plan in drawn(100)]
