"""The decision table: every row, its order, and what it must never say."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest

from backends.operations import WindowExit
from backends.processes import Liveness
from harness.engine.decide import (
    ROWS,
    Budget,
    Complete,
    Crash,
    Decision,
    Lost,
    Nudge,
    NudgeKind,
    Observation,
    Park,
    Stall,
    TimeOut,
    Wait,
    decide,
    next_due,
)

NOW = 1000.0
CALM = Observation(now=NOW)
BUDGET = Budget(deadline_s=2000.0, result_grace_s=15, stall_grace_s=600, nudges_left=2, wakes_left=2)
STOPPED = replace(CALM, turn_ended_s=NOW - 20)
SPENT = replace(BUDGET, nudges_left=0, wakes_left=0)

CASES: dict[str, tuple[Observation, Budget, Decision]] = {
    "nothing happened": (CALM, BUDGET, Wait("the agent is at work")),
    "a result": (replace(CALM, has_result=True), BUDGET, Complete()),
    "a result at the deadline": (replace(CALM, now=2000, has_result=True), BUDGET, Complete()),
    "a result from a dead window": (replace(CALM, has_result=True, liveness=Liveness.DEAD), BUDGET, Complete()),
    "a result while nobody answers": (replace(CALM, has_result=True, liveness=Liveness.UNKNOWN), BUDGET, Complete()),
    "the session was ended": (
        replace(CALM, session_ended=True, exit=WindowExit(code=0)),
        BUDGET,
        Crash("the agent ended its session without a result", WindowExit(code=0)),
    ),
    "the server was lost": (
        replace(CALM, now=2000, server_lost=True, session_ended=True, liveness=Liveness.DEAD),
        BUDGET,
        Lost(),
    ),
    "a result of a lost server": (replace(CALM, has_result=True, server_lost=True), BUDGET, Complete()),
    "the window died": (
        replace(CALM, liveness=Liveness.DEAD, exit=WindowExit(signal=9)),
        BUDGET,
        Crash("the window died without a result", WindowExit(signal=9)),
    ),
    "a death beats the deadline": (
        replace(CALM, now=2000, liveness=Liveness.DEAD),
        BUDGET,
        Crash("the window died without a result"),
    ),
    "the deadline": (replace(CALM, now=2000), BUDGET, TimeOut()),
    "the deadline while nobody answers": (replace(CALM, now=2000, liveness=Liveness.UNKNOWN), BUDGET, TimeOut()),
    "the deadline within a grace": (replace(CALM, now=2000, turn_ended_s=1999), BUDGET, TimeOut()),
    "parked beyond the deadline": (replace(CALM, parked_until_s=2001), BUDGET, Park(2001)),
    "parked until before it": (
        replace(CALM, parked_until_s=1500),
        BUDGET,
        Wait("the agent waits for a limit to be lifted"),
    ),
    "parked until the deadline": (
        replace(CALM, parked_until_s=2000),
        BUDGET,
        Wait("the agent waits for a limit to be lifted"),
    ),
    "parked until now": (replace(CALM, parked_until_s=NOW), BUDGET, Wait("the agent is at work")),
    "the end of the grace": (replace(CALM, turn_ended_s=NOW - 15), BUDGET, Nudge(NudgeKind.RESULT)),
    "a nudge before the turn": (
        replace(CALM, turn_ended_s=NOW - 14, asked_s=NOW - 90),
        BUDGET,
        Wait("a result may still come"),
    ),
    "the last nudge": (STOPPED, replace(SPENT, nudges_left=1), Nudge(NudgeKind.RESULT)),
    "the end of the stall grace": (
        replace(CALM, turn_ended_s=NOW - 600),
        replace(SPENT, wakes_left=1),
        Nudge(NudgeKind.WAKE),
    ),
    "a stall grace of a second": (
        replace(CALM, turn_ended_s=NOW - 20),
        replace(SPENT, wakes_left=1, stall_grace_s=1),
        Nudge(NudgeKind.WAKE),
    ),
    "signs of life within a second": (
        replace(STOPPED, grown_s=NOW - 0.5),
        replace(SPENT, stall_grace_s=1),
        Wait("there were signs of life"),
    ),
    "a person is asked": (replace(CALM, waiting=True), BUDGET, Wait("a person has to decide")),
    "a person is asked after a turn": (replace(STOPPED, waiting=True), BUDGET, Wait("a person has to decide")),
    "a person is asked in long silence": (
        replace(CALM, turn_ended_s=NOW - 700, waiting=True),
        SPENT,
        Wait("a person has to decide"),
    ),
    "nobody has decided by the deadline": (replace(CALM, now=2000, waiting=True), BUDGET, TimeOut()),
    "a result although a person is asked": (replace(CALM, waiting=True, has_result=True), BUDGET, Complete()),
    "a limit beyond the deadline although a person is asked": (
        replace(CALM, waiting=True, parked_until_s=2001),
        BUDGET,
        Park(2001),
    ),
    "no longer parked": (replace(CALM, parked_until_s=999), BUDGET, Wait("the agent is at work")),
    "work in the background": (replace(STOPPED, turn_open=True), BUDGET, Wait("the turn is not over")),
    "nobody answers": (replace(CALM, liveness=Liveness.UNKNOWN), BUDGET, Wait("the multiplexer does not answer")),
    "a stop while nobody answers": (
        replace(STOPPED, liveness=Liveness.UNKNOWN),
        BUDGET,
        Wait("the multiplexer does not answer"),
    ),
    "a turn is enough": (STOPPED, replace(BUDGET, turn_completes=True), Complete()),
    "a failed turn is not": (
        replace(STOPPED, turn_failed=True),
        replace(BUDGET, turn_completes=True),
        Nudge(NudgeKind.RESULT),
    ),
    "within the grace": (replace(CALM, turn_ended_s=NOW - 14), BUDGET, Wait("a result may still come")),
    "the grace begins anew with a nudge": (
        replace(STOPPED, asked_s=NOW - 1),
        BUDGET,
        Wait("a result may still come"),
    ),
    "after the grace": (STOPPED, BUDGET, Nudge(NudgeKind.RESULT)),
    "no nudges left": (STOPPED, replace(BUDGET, nudges_left=0), Wait("there were signs of life")),
    "log growth": (
        replace(CALM, turn_ended_s=NOW - 700, grown_s=NOW - 10),
        replace(BUDGET, nudges_left=0),
        Wait("there were signs of life"),
    ),
    "silence": (replace(CALM, turn_ended_s=NOW - 700), replace(BUDGET, nudges_left=0), Nudge(NudgeKind.WAKE)),
    "silence without wake-ups": (replace(CALM, turn_ended_s=NOW - 700), SPENT, Stall()),
    "no stall grace": (STOPPED, replace(SPENT, stall_grace_s=0), Stall()),
    "no stall grace, wake-ups left": (STOPPED, replace(BUDGET, nudges_left=0, stall_grace_s=0), Stall()),
    "silence without a stop": (replace(CALM, grown_s=NOW - 900), SPENT, Wait("the agent is at work")),
}


@pytest.mark.parametrize("case", list(CASES))
def test_each_row_of_the_table_decides_as_specified(case: str) -> None:
    """What is seen and what is left decide, row by row."""
    seen, budget, expected = CASES[case]

    assert decide(seen, budget) == expected


def everything() -> list[tuple[Observation, Budget]]:
    """A grid over every field, with the values on both sides of each border."""
    values: list[tuple[Any, ...]] = [
        (1000.0, 2000.0),
        (False, True),
        (False, True),
        (False, True),
        tuple(Liveness),
        (None,),
        (None, 300.0, 999.0),
        (False, True),
        (False, True),
        (None, 998.0),
        (None, 990.0),
        (None, 1500.0, 2500.0),
        (False, True),
    ]
    seen = [Observation(*chosen) for chosen in itertools.product(*values)]
    budgets = [
        Budget(2000.0, 15, stall, nudges, wakes, turn)
        for stall, nudges, wakes, turn in itertools.product((0, 600), (0, 1), (0, 1), (False, True))
    ]
    return list(itertools.product(seen, budgets))


def test_the_table_never_lies() -> None:
    """Over the whole grid: a result completes, unknown is no crash, nothing outlives the deadline, nobody is hurried."""
    for seen, budget in everything():
        decision = decide(seen, budget)
        assert isinstance(decision, Complete) or not seen.has_result
        if isinstance(decision, Lost):
            assert seen.server_lost
        if isinstance(decision, Crash):
            assert not seen.server_lost
            assert seen.session_ended or seen.liveness is Liveness.DEAD
        if seen.now >= budget.deadline_s:
            assert isinstance(decision, Complete | Lost | Crash | TimeOut)
        if isinstance(decision, Nudge):
            left = budget.nudges_left if decision.kind is NudgeKind.RESULT else budget.wakes_left
            assert left > 0
            assert seen.liveness is Liveness.ALIVE
            assert not seen.waiting
        if isinstance(decision, Stall):
            assert seen.turn_ended_s is not None
            assert not seen.waiting


def test_every_row_decides_something() -> None:
    """No row of the table is dead: each one makes a decision that no other row would have made before it."""
    deciding = set()
    for seen, budget in everything():
        for row in ROWS:
            if row(seen, budget) is not None:
                deciding.add(row)
                break

    assert deciding == set(ROWS)


TIMES = (None, NOW - 700, NOW - 20, NOW - 10)
LATER = [
    Observation(now=NOW, turn_ended_s=ended, asked_s=asked, grown_s=grown, parked_until_s=parked, liveness=liveness)
    for ended, asked, grown in itertools.product(TIMES, repeat=3)
    for parked in (None, NOW - 1, NOW + 30, NOW + 3000)
    for liveness in (Liveness.ALIVE, Liveness.UNKNOWN)
]


@pytest.mark.parametrize("budget", [BUDGET, SPENT, replace(BUDGET, stall_grace_s=0, result_grace_s=0)])
def test_nothing_else_is_decided_before_the_next_thing_is_due(budget: Budget) -> None:
    """Whoever looks again only then, unless something is seen, misses nothing that time alone would have brought."""
    for seen in LATER:
        now, due = decide(seen, budget), next_due(seen, budget)
        assert due > seen.now
        for share in (0.001, 0.5, 0.999):
            assert decide(replace(seen, now=seen.now + (due - seen.now) * share), budget) == now


@pytest.mark.parametrize(
    ("seen", "due"),
    [
        (CALM, 2000.0),
        (replace(CALM, turn_ended_s=NOW), NOW + 15),
        (replace(CALM, turn_ended_s=NOW - 20, asked_s=NOW - 5), NOW + 10),
        (replace(CALM, turn_ended_s=NOW - 20, grown_s=NOW - 5), NOW + 595),
        (replace(CALM, parked_until_s=NOW + 60), NOW + 60),
        (replace(CALM, now=2000.0), math.inf),
    ],
)
def test_the_next_thing_is_due_when_the_first_of_all_times_comes(seen: Observation, due: float) -> None:
    """The deadline, the end of a limit, and that of either grace."""
    assert next_due(seen, BUDGET) == due
