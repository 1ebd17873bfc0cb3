"""Counting: which rule acts on which call, and what is remembered of it."""

from __future__ import annotations

import pytest

from backends.clock import VirtualClock
from faults import FaultPlan, Injection, PointCatalog, SimulatedDeath
from faults.ledger import Ledger


def ledger_of(text: str, seed: int = 0) -> Ledger:
    """A ledger with that plan."""
    return Ledger(FaultPlan.parse(text, seed), VirtualClock(), PointCatalog(), real_time=False)


def actions_at(ledger: Ledger, point: str, calls: int, **arguments: object) -> list[str]:
    """What was injected into each of so many calls, `-` for nothing."""
    reached = [ledger.reach(point, arguments=lambda: arguments) for _ in range(calls)]
    return ["-" if one.injection is None else one.injection.action for one in reached]


def test_terms_are_used_up_in_order_and_then_the_point_passes() -> None:
    """The third probe hangs for thirty seconds, and no other."""
    ledger = ledger_of("list_window_ids=2*pass->1*timeout(30)")

    assert actions_at(ledger, "mux.list_window_ids", 5) == ["-", "-", "timeout(30)", "-", "-"]


def test_every_term_has_its_own_count() -> None:
    """The second term's calls are counted from its turn on."""
    ledger = ledger_of("version=2*hang->2*empty->2*undecodable")

    assert actions_at(ledger, "mux.version", 7) == [*["hang"] * 2, *["empty"] * 2, *["undecodable"] * 2, "-"]


def test_a_last_term_without_a_count_lasts_for_good() -> None:
    """Once it is reached, nothing else ever happens."""
    ledger = ledger_of("version=1*hang->empty")

    assert actions_at(ledger, "mux.version", 4) == ["hang", "empty", "empty", "empty"]


def test_a_percentage_is_decided_by_the_seed() -> None:
    """The same dice for the same seed, other dice for another one, about the right share of the calls."""
    draws = {seed: actions_at(ledger_of("version=30%*hang", seed), "mux.version", 1000) for seed in (1, 2)}

    assert draws[1] == actions_at(ledger_of("version=30%*hang", 1), "mux.version", 1000)
    assert draws[1] != draws[2]
    assert 250 < draws[1].count("hang") < 350


def test_each_rule_has_its_own_dice() -> None:
    """Two rules with the same chance do not fire in step."""
    ledger = ledger_of("version=50%*hang;available=50%*hang")

    assert actions_at(ledger, "mux.version", 100) != actions_at(ledger, "mux.available", 100)


def test_a_filtered_rule_counts_only_the_calls_that_match() -> None:
    """Others do not use up its terms."""
    ledger = ledger_of("kill_window[target=@1?]=1*pass->1*hang")

    assert actions_at(ledger, "mux.kill_window", 3, target="@2") == ["-"] * 3
    assert actions_at(ledger, "mux.kill_window", 3, target="@12") == ["-", "hang", "-"]


def test_a_filter_on_an_argument_that_was_left_out_does_not_match() -> None:
    """An omitted argument has no text."""
    ledger = ledger_of("new_session[cols=*]=hang")

    assert actions_at(ledger, "mux.new_session", 1) == ["-"]
    assert actions_at(ledger, "mux.new_session", 1, cols=80) == ["hang"]


@pytest.mark.parametrize(("glob", "text", "matches"), [("a.c", "abc", False), ("[ab]", "a", False), ("?", "\n", True)])
def test_only_star_and_question_mark_are_special_in_a_glob(glob: str, text: str, matches: bool) -> None:
    """Everything else stands for itself."""
    ledger = ledger_of(f'kill_window[target="{glob}"]=hang')

    assert actions_at(ledger, "mux.kill_window", 1, target=text) == (["hang"] if matches else ["-"])


def test_the_first_rule_acts_and_every_rule_counts() -> None:
    """Rules do not shift each other's calls; what another rule pre-empted has not fired."""
    ledger = ledger_of('version=1*hang;version=1*empty;*=2*pass->1*exit(1, "x")')

    assert actions_at(ledger, "mux.version", 4) == ["hang", "-", 'exit(1, "x")', "-"]
    assert [str(fault) for fault in ledger.unfired()] == ["version=1*empty"]


def test_a_pass_leaves_the_call_to_the_other_rules() -> None:
    """It spares the call from its own rule only."""
    ledger = ledger_of("version=1*pass->1*hang;*=1*empty")

    assert actions_at(ledger, "mux.version", 2) == ["empty", "hang"]


def test_a_rule_fires_when_something_was_injected() -> None:
    """Reaching the point is not enough, unless passing is all that the rule says."""
    ledger = ledger_of("version=1*pass->1*hang;available=pass;has_session=pass")

    actions_at(ledger, "mux.version", 1)
    actions_at(ledger, "mux.available", 1)

    assert [fault.point for fault in ledger.unfired()] == ["version", "has_session"]


def test_an_injection_says_what_when_where_and_why() -> None:
    """It names the call by its number at that point, and the whole rule."""
    ledger = ledger_of("*=2*pass->1*lost:timeout(3)")
    ledger.clock.sleep(12.5)

    actions_at(ledger, "mux.version", 1)
    actions_at(ledger, "mux.available", 2)

    (one,) = ledger.injections
    assert isinstance(one, Injection)
    assert (one.number, one.at_s, one.point, one.call_number) == (1, 12.5, "mux.available", 2)
    assert (one.action, one.rule) == ("lost:timeout(3)", "*=2*pass->1*lost:timeout(3)")


def test_every_call_is_counted_where_it_was_reached() -> None:
    """Also at points that nobody planned anything for."""
    ledger = ledger_of("version=hang")

    actions_at(ledger, "mux.version", 2)
    actions_at(ledger, "disk.read:state", 3)

    assert ledger.reached == {"mux.version": 2, "disk.read:state": 3}


def test_nothing_is_reached_after_death() -> None:
    """A dead process asks nobody."""
    ledger = ledger_of("version=die")
    ledger.dead = True

    with pytest.raises(SimulatedDeath):
        ledger.reach("mux.available")
    assert not ledger.reached


def test_a_point_that_no_rule_is_about_is_only_counted() -> None:
    """It takes no place in the trace, and is not passed by where a rule is about it or the process is dead."""
    ledger = ledger_of("leak.version=1*timeout")

    assert [ledger.passes("leak.has_session"), ledger.passes("leak.version"), ledger.passes("leak.has_session")] == [
        True,
        False,
        True,
    ]
    assert ledger.reached == {"leak.has_session": 2}
    assert ledger.trace == []
    ledger.dead = True
    with pytest.raises(SimulatedDeath):
        ledger.passes("leak.has_session")
