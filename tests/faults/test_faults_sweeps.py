"""A sweep walks over all of the matrix, says what did not hold, and proves where it ends."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from toy_machine import CATALOG, SCRIPT, Machine, breaks_at

from faults import Calls, Cell, FaultPlan, Verdict, cells, coarse_cells, covering, pairs, sweep, try_together
from faults.actions import Jump, Raise
from faults.sweeps import Due, pair_of, shadows, sweep_together, trying

REACHED = Machine()(FaultPlan()).reached
COARSE = coarse_cells(REACHED, CATALOG)


def test_a_sweep_tries_every_cell_once_and_one_call_beyond_at_each_point() -> None:
    """All plans are the faultless one, each cell, and the proof of each point's end."""
    run = Machine()
    found = sweep(run, CATALOG)

    assert found.held
    assert found.plans == len(run.plans) == 1 + len(list(cells(REACHED, CATALOG))) + len(REACHED)
    assert found.unreached == len(found.ends)
    assert found.fired == found.plans - found.unreached - 1
    assert found.calls == REACHED
    assert {point: str(one.plan).split("*")[0] for point, one in found.ends.items()} == {
        point: f"{point}={count}" for point, count in REACHED.items()
    }


def test_the_end_is_a_run_in_which_the_fault_was_not_reached() -> None:
    """Nobody takes the end of a point on trust."""
    assert all(one.unfired and one.held for one in sweep(Machine(), CATALOG).ends.values())


def test_a_sweep_finds_what_breaks() -> None:
    """A point whose fault does harm is told with each of the faults that does it."""
    found = sweep(Machine(breaks_at("clock.tick")), CATALOG)

    assert {one.injections[0].point for one in found.failed} == {"clock.tick"}
    assert len(found.failed) == len([cell for cell in cells(REACHED, CATALOG) if cell.point == "clock.tick"])
    assert {problem for one in found.failed for problem in one.problems} == {"whole: it broke"}


def test_nothing_is_tried_if_all_is_not_well_without_faults() -> None:
    """What is broken anyway says nothing about faults."""
    found = sweep(Machine(lambda happened: ["whole: never is"]), CATALOG)

    assert not found.held
    assert found.plans == 1


class Forgetful(Machine):
    """Passes a point now and then, as a run does that depends on something else than its plan."""

    def __call__(self, plan: FaultPlan) -> Verdict:
        """The verdict on a run that goes on for longer, or for shorter, than the first did."""
        self.script = SCRIPT if not self.plans else self.later
        return super().__call__(plan)

    later: tuple[str, ...] = SCRIPT


def test_a_fault_that_was_due_and_did_not_happen_is_a_failure() -> None:
    """A point that is there without faults, and not when its fault is planned."""
    run = Forgetful()
    run.later = tuple(point for point in SCRIPT if point != "agent.stall")
    found = sweep(run, CATALOG)

    assert {problem.partition("=")[0] for one in found.failed for problem in one.problems} == {"fired: agent.stall"}


def test_a_fault_beyond_the_last_call_that_happens_all_the_same_is_a_failure_and_the_sweep_goes_on() -> None:
    """The run without faults was not the whole truth: every action is tried at the further call, and its end is proved."""
    run = Forgetful()
    run.later = (*SCRIPT, "agent.stall")
    found = sweep(run, CATALOG, layers=["agent"])

    assert [str(one.plan) for one in found.failed] == ["agent.stall=1*pass->1*occur", "agent.stall=1*pass->occur"]
    assert str(found.ends["agent.stall"].plan).startswith("agent.stall=2*pass")


def test_a_point_that_has_no_end_does_not_keep_the_sweep() -> None:
    """Where every call that is asked for is there, the sweep gives up at twice the calls there should be."""

    def run(plan: FaultPlan) -> Verdict:
        verdict = Machine()(plan)
        return replace(verdict, unfired=())

    found = sweep(run, CATALOG, layers=["agent"])

    assert not found.held
    assert found.ends == {}


def test_calls_and_layers_choose_what_is_tried() -> None:
    """Only these calls of the points of these layers, and still one beyond the last."""
    run = Machine(script=("clock.tick",) * 9)
    found = sweep(run, CATALOG, layers=["clock"], calls=Calls.ENDS)

    before = {str(plan).count("pass") and int(str(plan).split("=")[1].split("*")[0]) for plan in run.plans[1:]}
    assert before == {0, 1, 8, 9}
    assert found.calls == {"clock.tick": 9}


def test_a_sweep_can_be_walked_through_one_by_one() -> None:
    """Who looks at one fault has not run the next."""
    run = Machine()
    first, second = itertools.islice(trying(run, CATALOG, REACHED), 2)

    assert len(run.plans) == 2
    assert first.due is second.due is Due.FIRES
    assert first.cell != second.cell


def test_progress_is_told_after_every_run_up_to_the_end() -> None:
    """How many are done, and how many there are going to be."""
    told: list[tuple[int, int]] = []
    found = sweep(Machine(), CATALOG, progress=lambda done, about: told.append((done, about)))

    assert [done for done, _ in told] == list(range(1, found.plans + 1))
    assert {about for _, about in told[1:]} == {found.plans}


def test_pairs_are_all_there_are_except_for_two_at_one_call() -> None:
    """Of two faults at the same call only one could happen."""
    plans = list(pairs(COARSE))

    assert len({str(plan) for plan in plans}) == len(plans)
    excluded = [(a, b) for a, b in itertools.combinations(COARSE, 2) if (a.point, a.call) == (b.point, b.call)]
    assert len(plans) + len(excluded) == len(COARSE) * (len(COARSE) - 1) // 2
    assert excluded


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_covering_puts_every_combination_together_somewhere(strength: int) -> None:
    """Any two (three) cells of different points stand together in a plan; no plan has two rules at one point."""
    plans = covering(COARSE, strength)
    together = {chosen for plan in plans for chosen in itertools.combinations(map(str, plan.faults), strength)}

    for chosen in itertools.combinations(COARSE, strength):
        if len({cell.point for cell in chosen}) == strength:
            assert tuple(str(cell.fault) for cell in chosen) in together
    assert all(len({fault.point for fault in plan.faults}) == len(plan.faults) <= 4 for plan in plans)


def test_covering_is_much_smaller_than_all_pairs_and_always_the_same() -> None:
    """With four rules a plan it takes less than a quarter of the plans (a sixth would be perfect)."""
    many = coarse_cells({point: 3 for point in CATALOG.points()[:30]}, CATALOG)
    plans = covering(many)

    assert len(plans) * 4 < len(list(pairs(many)))
    assert plans == covering(many)


def test_a_covering_that_cannot_be_is_refused() -> None:
    """Five cells do not fit into plans of four rules."""
    with pytest.raises(ValueError, match="5 cells together into plans of 4"):
        covering(COARSE, 5)


def test_every_pair_is_accounted_for() -> None:
    """Each has happened together, or is shadowed by a run in which one of them was not reached."""
    found = try_together(Machine(), covering(COARSE))
    due = {pair_of(a.fault, b.fault) for a, b in itertools.combinations(COARSE, 2) if a.point != b.point}

    assert found.together | found.shadowed.keys() == due
    assert not found.together & found.shadowed.keys()
    for pair, verdict in found.shadowed.items():
        assert {str(fault) for fault in verdict.unfired} & set(pair)


def test_a_third_fault_shadows_no_pair() -> None:
    """What only happened apart because something else ended the run is tried on its own; without that it stays open."""
    plans = covering(COARSE)
    once, again = (try_together(Machine(), plans, retry=retry) for retry in (False, True))

    assert once.plans == len(plans) < again.plans
    assert once.together < again.together
    assert all(len(verdict.plan.faults) == 2 for verdict in again.shadowed.values())


@pytest.mark.parametrize("exhaustive", [False, True])
def test_what_cannot_happen_together_is_proved_by_single_faults(exhaustive: bool) -> None:
    """The same pairs are found to happen together, in a fraction of the runs, and the others have their proof."""
    found = sweep_together(Machine(), COARSE, exhaustive=exhaustive)
    by_trying = try_together(Machine(), pairs(COARSE))
    one_point = {pair_of(a.fault, b.fault) for a, b in itertools.combinations(COARSE, 2) if a.point == b.point}

    assert found.together - one_point == by_trying.together - one_point
    assert found.plans < by_trying.plans * 0.75
    assert found.shadowed.keys() >= by_trying.shadowed.keys() - one_point
    for pair, verdict in found.shadowed.items():
        (happened,) = (str(fault) for fault in verdict.plan.faults)
        assert happened in pair


def test_a_single_fault_proves_which_calls_are_not_reached_after_it() -> None:
    """After a crash at the first work there is no second tick; after the tick there is still the crash."""
    first = Cell("engine.work", 1, Raise("RuntimeError"))
    second = Cell("clock.tick", 2, Jump(1.0))
    alone = {cell: Machine()(cell.plan()) for cell in (first, second)}

    assert shadows([first, second], alone) == {pair_of(first.fault, second.fault): alone[first]}
    assert list(pairs([first, second], apart=shadows([first, second], alone))) == []
    assert covering([first, second], apart=shadows([first, second], alone)) == ()


def test_faults_that_do_harm_alone_or_together_are_told() -> None:
    """A sweep of pairs begins with single ones, and forgets none of what it sees."""
    found = sweep_together(Machine(breaks_at("mux.new_window")), COARSE)

    assert not found.held
    assert min(len(verdict.plan.faults) for verdict in found.failed) == 1
    assert max(len(verdict.plan.faults) for verdict in found.failed) > 1


def test_what_breaks_under_two_faults_only_is_found_by_pairs_and_by_their_covering() -> None:
    """No single fault does it."""
    judge = breaks_at("mux.new_window", "agent.stall")

    assert sweep(Machine(judge), CATALOG).held
    for plans in (list(pairs(COARSE)), covering(COARSE)):
        found = try_together(Machine(judge), plans)
        assert {one.oracles for one in found.failed} == {("whole",)}


def test_a_failure_holds_on_to_its_text_only() -> None:
    """What explains a failure is asked for while it is fresh."""
    told: list[str] = []

    def run(plan: FaultPlan) -> Verdict:
        def explain() -> str:
            told.append(str(plan))
            return told[-1]

        return replace(Machine(breaks_at("clock.tick"))(plan), explain=explain)

    found = sweep(run, CATALOG, layers=["clock"])
    before = len(told)

    assert found.failed[0].explain() == str(found.failed[0].plan)
    assert before == len(told) == len(found.failed)


def test_the_results_say_what_they_are_in_one_line() -> None:
    """A person sees the figures at a glance."""
    assert str(sweep(Machine(), CATALOG)).endswith("0 left out; all held")
    assert "pairs of faults happened together" in str(try_together(Machine(), covering(COARSE)))
