"""The search for faults on the real engine: a story swept, pairs of faults in it, and a failing plan made small."""

from __future__ import annotations

import broken_engines as engines
import pytest

from faults import FaultPlan, coarse_cells, random_plan, shrink, sweep, sweep_together
from harness.runner import catalog_of
from harness.stories import STORIES
from harness.trials import run_of
from harness.world import FakeWorld

CATALOG = catalog_of(FakeWorld)
COMPLETES = run_of(STORIES["completes"], handle_signals=False)


def test_a_sweep_of_a_real_story_holds_and_proves_its_ends() -> None:
    """Whatever an agent or a clock does to a session that completes, every oracle holds; no point has further calls."""
    found = sweep(COMPLETES, CATALOG, layers=["agent", "clock"])

    assert found.held, [(str(one.plan), one.problems) for one in found.failed]
    assert found.ends.keys() == found.calls.keys() >= {"agent.die", "clock.tick"}
    assert found.fired == found.plans - len(found.ends) - 1 > 30


def test_pairs_of_faults_in_a_real_story_are_accounted_for() -> None:
    """Each two faults of the clock and the seam have happened in one run, or cannot."""
    cells = coarse_cells(COMPLETES(FaultPlan()).reached, CATALOG, ["clock", "mux"])
    found = sweep_together(COMPLETES, cells)
    pairs = len(cells) * (len(cells) - 1) // 2

    assert found.held, [(str(one.plan), one.problems) for one in found.failed]
    assert pairs * 0.8 < len(found.together) <= pairs


@pytest.mark.parametrize("chances", ["disk.read:events=30%*oserror(EIO)", "list_window_ids=1*pass->2*timeout(2)"])
def test_a_failing_plan_of_a_broken_engine_is_made_small(chances: str) -> None:
    """Of four rules the one that shows the mistake is left, in its simplest form."""
    text = f"{chances};engine.c*=raise(NestedGroup);clock.tick=1*jump(60);agent.flood=1*occur"
    run = run_of(STORIES["completes"], make=engines.LosesTheCrash, handle_signals=False)
    found = shrink(run, FaultPlan.parse(text, 7, CATALOG), fails=lambda verdict: "crash-recorded" in verdict.oracles)

    assert str(found.plan) in ("engine.complete=1*raise(RuntimeError)", "engine.clean-up=1*raise(RuntimeError)")
    assert found.minimal
    assert found.runs < 60


def test_random_plans_of_a_real_story_can_be_carried_out_and_are_the_same_twice() -> None:
    """What is drawn from a seed is one run, and nothing but the oracles' sentences comes out of it."""
    reached = COMPLETES(FaultPlan()).reached
    for seed in range(12):
        plan = random_plan(seed, CATALOG, reached)
        once, again = COMPLETES(plan), COMPLETES(plan)

        assert (once.outcome, once.problems, once.injections) == (again.outcome, again.problems, again.injections)
        assert once.reached == again.reached
