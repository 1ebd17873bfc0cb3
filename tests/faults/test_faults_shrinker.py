"""A failing plan is made smaller as long as it fails in the same way, every time."""

from __future__ import annotations

import pytest
from toy_machine import CATALOG, Judge, Machine, breaks_at

from faults import FaultPlan, Injection, Verdict, random_plan, shrink
from faults.actions import Timeout
from faults.shrinker import any_problem, reductions, same_oracles, weight


def planned(text: str, seed: int = 0) -> FaultPlan:
    """The plan that `text` says, for the machine."""
    return FaultPlan.parse(text, seed, CATALOG)


def any_fault_at(*points: str) -> Judge:
    """Breaks when faults happen at all of them."""
    return breaks_at(*points)


def timed_out_for(seconds: float) -> Judge:
    """Breaks when a window is silent for at least so long."""

    def judge(happened: tuple[Injection, ...]) -> list[str]:
        given = [one.performed.seconds or 99.0 for one in happened if isinstance(one.performed, Timeout)]
        return ["whole: too long"] if any(one >= seconds for one in given) else []

    return judge


def happening(times: int, point: str) -> Judge:
    """Breaks when something happens there so many times."""
    return lambda happened: ["whole: too often"] if sum(one.point == point for one in happened) >= times else []


CASES: dict[str, tuple[Judge, str, str]] = {
    "rules": (
        any_fault_at("clock.tick"),
        "mux.window_alive=timeout(5);clock.tick=1*jump(5);disk.write:state=1*oserror(EIO);agent.stall=1*occur",
        "clock.tick=1*jump(1)",
    ),
    "two rules that belong together": (
        any_fault_at("clock.tick", "agent.stall"),
        "mux.window_alive=timeout(5);clock.tick=1*jump(5);disk.write:state=1*oserror(EIO);agent.stall=1*occur(9)",
        "clock.tick=1*jump(1);agent.stall=1*occur(1)",
    ),
    "for good": (any_fault_at("mux.window_alive"), "window_alive=timeout(30)", "mux.window_alive=1*timeout(1)"),
    "chance": (any_fault_at("mux.window_alive"), "window_alive=100%*empty", "mux.window_alive=1*empty"),
    "passes": (any_fault_at("clock.tick"), "clock.tick=1*pass->1*suspend(60)", "clock.tick=1*suspend(1)"),
    "terms": (
        any_fault_at("mux.window_alive"),
        "window_alive=1*empty->1*lost:timeout(2)",
        "mux.window_alive=1*empty",
    ),
    "counts": (happening(2, "clock.tick"), "clock.tick=4*jump(1)", "clock.tick=2*jump(1)"),
    "both calls are needed": (happening(2, "clock.tick"), "clock.tick=100%*jump(7)", "clock.tick=2*jump(1)"),
    "globs": (any_fault_at("clock.tick"), "*.tick=1*jump(60)", "clock.tick=1*jump(1)"),
    "one point of many": (any_fault_at("disk.write:state"), "disk.*=oserror(EIO)", "disk.write:state=1*oserror(EIO)"),
    "filters": (any_fault_at("clock.tick"), "clock.tick[seconds=*]=1*jump(-60)", "clock.tick=1*jump(-1)"),
    "lost answers": (any_fault_at("mux.new_window"), 'new_window=1*lost:exit(9, "x")', 'new_window=1*exit(1, "")'),
    "seconds": (timed_out_for(5), "window_alive=1*timeout(3600)", "window_alive=1*timeout(5)"),
    "exceptions": (any_fault_at("engine.work"), "engine.work=raise(BadStr)", "engine.work=1*raise(RuntimeError)"),
    "sizes": (any_fault_at("disk.write:state"), "disk.write:state=torn(7)", "disk.write:state=1*torn(0)"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_failing_plan_is_reduced_to_what_it_takes(name: str) -> None:
    """Rules, terms, counts, globs, filters, lost answers and values go, one by one, as long as it still fails."""
    judge, text, least = CASES[name]
    found = shrink(Machine(judge), planned(text, seed=3))

    assert str(found.plan) == least
    assert found.plan.seed == 0
    assert found.minimal
    assert (found.failures, found.times) == (3, 3)


def test_what_is_left_of_a_random_plan_is_minimal() -> None:
    """Every single reduction of it passes, it fails again, and it is no heavier than what it came from."""
    run = Machine(happening(2, "mux.window_alive"))
    reached = run(FaultPlan()).reached
    drawn = (random_plan(seed, CATALOG, reached, ("mux", "clock")) for seed in range(300))
    plans = [plan for plan in drawn if any_problem(run(plan))]
    assert len(plans) > 20
    for plan in plans:
        found = shrink(run, plan)

        assert found.minimal
        assert any_problem(run(found.plan))
        assert not any(any_problem(run(smaller)) for smaller in reductions(found.verdict))
        assert weight(found.plan) <= weight(plan)
        assert len(found.plan.faults) <= 2


def test_every_reduction_is_lighter_and_can_be_carried_out() -> None:
    """That is why there is an end to it."""
    reached = Machine()(FaultPlan()).reached
    for seed in range(60):
        verdict = Machine()(random_plan(seed, CATALOG, reached))
        for smaller in reductions(verdict):
            assert weight(smaller.checked(CATALOG)) < weight(verdict.plan)


def test_a_smaller_plan_that_breaks_something_else_does_not_count() -> None:
    """Unless anything that does not hold will do."""

    def judge(happened: tuple[Injection, ...]) -> list[str]:
        return ["honest: no"] if len(happened) > 1 else ["tidy: no"] if happened else []

    plan = planned("clock.tick=1*jump(1);agent.stall=1*occur")
    same, anything = (shrink(Machine(judge), plan, fails=fails) for fails in (None, any_problem))

    assert same.plan == plan
    assert len(anything.plan.faults) == 1


class Moody(Machine):
    """Fails by itself, whenever the number of the run is in `bad`."""

    bad: frozenset[int] = frozenset()

    def __call__(self, plan: FaultPlan) -> Verdict:
        """The verdict of the day."""
        number = len(self.plans)
        self.judge = lambda happened: ["whole: bad day"] if number in self.bad else []
        return super().__call__(plan)


@pytest.mark.parametrize(("bad", "failures", "flaky"), [((0, 2), 2, True), ((1,), 1, True), ((), 0, False)])
def test_a_plan_that_fails_only_sometimes_is_told_and_not_reduced(
    bad: tuple[int, ...], failures: int, flaky: bool
) -> None:
    """Nothing can be said about what is smaller than chance."""
    run = Moody()
    run.bad = frozenset(bad)
    plan = planned("clock.tick=1*jump(5)")
    found = shrink(run, plan)

    assert (found.plan, found.runs, found.failures, found.flaky) == (plan, 3, failures, flaky)
    assert not found.minimal
    assert not found.failing
    assert str(found).startswith(f"{'flaky' if flaky else 'passes'}: fails {failures} of 3 times")


def test_a_reduction_that_fails_only_sometimes_is_not_taken() -> None:
    """Three times out of three, or it does not count."""
    run = Moody()
    run.bad = frozenset({0, 1, 2, 3, 4})
    found = shrink(run, planned("clock.tick=1*jump(5);agent.stall=1*occur"))

    assert len(found.plan.faults) == 2
    assert found.minimal


def test_when_the_runs_are_used_up_the_best_so_far_is_what_there_is() -> None:
    """It says that it may not be minimal, and how many runs it took."""
    judge, text, least = CASES["two rules that belong together"]
    run = Machine(judge)
    found = shrink(run, planned(text), limit=12)

    assert found.runs == len(run.plans) == 12
    assert not found.minimal
    assert found.failing
    assert weight(planned(least)) < weight(found.plan) < weight(planned(text))
    assert "the smallest found after 12 runs" in str(found)


def test_no_plan_is_tried_in_vain_twice() -> None:
    """What has passed once is not tried again on the way down."""
    judge, text, _ = CASES["two rules that belong together"]
    run = Machine(judge)
    shrink(run, planned(text))
    passed = [plan.to_json() for plan in tuple(run.plans) if not judge(run(plan).injections)]

    assert len(set(passed)) == len(passed)


def test_a_plan_without_faults_that_fails_is_its_own_minimum() -> None:
    """There is nothing to take away from it."""
    found = shrink(Machine(lambda happened: ["whole: never"]), planned(""))

    assert found.minimal
    assert found.runs == 3


def test_no_trial_at_all_is_refused() -> None:
    """Nothing fails zero times out of zero."""
    with pytest.raises(ValueError, match="at least once"):
        shrink(Machine(), planned(""), times=0)


def test_what_fails_the_same_way_breaks_the_same_oracles_at_least() -> None:
    """More may be wrong, less may not; nothing wrong is never the same."""
    honest, both, none = (
        Verdict(FaultPlan(), "x", problems) for problems in (("honest: a",), ("tidy: b", "honest: c"), ())
    )

    assert same_oracles(honest)(both)
    assert not same_oracles(both)(honest)
    assert not same_oracles(none)(none)
