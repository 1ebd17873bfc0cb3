"""A verdict as text."""

from __future__ import annotations

from faults.actions import Timeout
from faults.plan import FaultPlan
from faults.trace import Injection
from faults.verdict import Verdict

PLAN = FaultPlan.parse("new_window=1*timeout;send_text=9*pass->1*timeout", 3)
HAPPENED = Injection(1, 0.5, "mux.new_window", 1, "timeout", "new_window=1*timeout", Timeout())


def test_a_verdict_as_text_says_the_outcome_what_fired_and_what_does_not_hold() -> None:
    """One line for the outcome, one for each problem."""
    verdict = Verdict(PLAN, "FINISHED", ("bounded: it took long",), (HAPPENED,), (PLAN.faults[1],))

    assert str(verdict) == (
        "FINISHED under `new_window=1*timeout;send_text=9*pass->1*timeout`, seed 3: 1 injection, 1 fault never fired\n"
        "bounded: it took long"
    )
    assert str(Verdict(FaultPlan(), "FINISHED")) == "FINISHED without faults, seed 0: every oracle holds"


def test_a_verdict_as_text_is_short_whatever_it_holds() -> None:
    """Neither what was reached nor a problem of any length makes a page of it."""
    many = {f"mux.point_{number}": number for number in range(1000)}
    verdict = Verdict(PLAN, "CRASHED", tuple("bounded: " + "x" * 5000 for _ in range(50)), reached=many)

    assert len(str(verdict)) < 3000
    assert str(verdict).endswith("and 40 more")
