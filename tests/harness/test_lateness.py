"""The cases of changes that come late: all kinds of them are drawn, they happen, and what an engine does wrong is found."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import broken_engines as engines
import pytest

from backends.processes import Liveness, ProcessIdentity, ProcessTable
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.lateness import CHANGES, LATE_WORLDS, Late, LateFake, LateSimulatedTmux, Told, late, tell, unaccounted
from harness.record import RunStatus


class Trusting:
    """A process table that takes whoever was sent a signal for gone."""

    def __init__(self, inner: ProcessTable) -> None:
        self._inner = inner
        self._sent: set[ProcessIdentity] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def signal(self, identity: ProcessIdentity, signum: int) -> bool:
        """See `ProcessTable.signal`."""
        self._sent.add(identity)
        return self._inner.signal(identity, signum)

    def liveness(self, identity: ProcessIdentity) -> Liveness:
        """See `ProcessTable.liveness`."""
        return Liveness.DEAD if identity in self._sent else self._inner.liveness(identity)


def trusting(plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> Engine:
    """An engine that begins the next attempt when the last one was asked to end."""
    processes: Any = Trusting(outside.processes)
    return Engine(plan, run_dir, dataclasses.replace(outside, processes=processes), **options)


def told(case: Late, kind: type[LateFake | LateSimulatedTmux], **options: Any) -> Told:
    """What comes of the case in a new world."""
    world = kind()
    try:
        return tell(case, world, handle_signals=False, **options)
    finally:
        world.close()


def test_every_kind_of_case_is_drawn() -> None:
    """Each change, in time, soon, late, and when nobody waits; with and without further answers that are lost."""
    cases = [late(number) for number in range(2000)]
    kinds = Counter((one.operation, one.nth, one.thaw_s is None, bool(one.faults)) for one in cases)

    assert len(kinds) == 9 * 2 * 2
    assert {operation for operation, *_ in kinds} == set(CHANGES)
    assert len({(one.operation, one.nth, one.thaw_s is None) for one in cases[:36]}) == 9 * 2
    assert min(one.thaw_s for one in cases if one.thaw_s is not None) < 1
    assert late(12345) == late(12345)


@pytest.mark.parametrize("kind", LATE_WORLDS)
@pytest.mark.parametrize("operation", CHANGES)
def test_the_server_stops_at_the_change_that_a_case_names(kind: Any, operation: str) -> None:
    """It has come to it, and nobody waits for it any more when it goes on."""
    found = told(Late(operation, 1, 12.0), kind)
    calls = [call for call in found.reports[0].entries if call.point == f"mux.{operation}"]

    assert found.problems == ()
    assert any("TransportTimeout" in call.outcome for call in calls)


@pytest.mark.parametrize("kind", LATE_WORLDS)
def test_a_run_whose_server_goes_on_when_nobody_waits_is_resumed_to_its_end(kind: Any) -> None:
    """The launch that was asked for last comes to something, or not, just before the resume."""
    found = told(Late("new_window", 1, None), kind)

    assert found.problems == ()
    assert [report.status for report in found.reports] == [RunStatus.PAUSED, RunStatus.FINISHED]


@pytest.mark.parametrize(("kind", "event"), [(LateFake, "launch-adopted"), (LateSimulatedTmux, "launch-absent")])
def test_a_window_that_comes_late_is_adopted_and_behind_a_fence_never_comes(kind: Any, event: str) -> None:
    """Either way one agent is started for the launch."""
    found = told(Late("new_window", 1, 7.0), kind)

    assert found.problems == ()
    assert [one["task"] for one in found.reports[0].events(event)] == ["1-1"]


@pytest.mark.parametrize(
    ("make", "case", "oracle"),
    [
        (engines.RetriesBlindly, Late("new_window", 1, 12.0), "two agents were at work on 1-1"),
        (engines.ReadsUnknownAsDead, Late("send_text", 1, None), "was declared crashed while its agent was alive"),
        (engines.TypesAgain, Late("send_text", 1, 12.0), "was typed to"),
        (engines.LeavesItsSession, Late("kill_window", 1, 7.0), "left behind: session"),
        (trusting, Late("kill_window", 2, 7.0), "two agents were at work on 1-1"),
    ],
)
def test_an_engine_that_is_wrong_about_what_came_late_is_found(
    make: Callable[..., Engine], case: Late, oracle: str
) -> None:
    """Each by what became of its agents and windows."""
    found = told(case, LateFake, make=make)

    assert oracle in "\n".join(found.problems)


def test_a_case_that_does_not_happen_is_no_good_case() -> None:
    """Nothing is proven by a server that never stopped."""
    assert told(Late("new_session", 9, 1.0), LateFake).problems == ("the server never stopped",)


ONE, OTHER = "a" * 32, "b" * 32
UNACCOUNTED: dict[str, dict[str, Any]] = {
    "": {},
    "launch aaaaaaaa was started 2 times": {"started": [ONE, ONE]},
    "nobody launched bbbbbbbb": {"started": [ONE, OTHER]},
    "left behind: session run-1": {"left": ["session run-1"]},
    "the multiplexer does not say what is left": {"left": None},
    "a session of somebody else's was ended": {"others": False},
    "no state can be read": {"state": None},
}


@pytest.mark.parametrize("problem", UNACCOUNTED)
def test_what_became_of_every_window_has_to_be_known(problem: str) -> None:
    """Whichever oracle holds: a window that nobody can account for is a problem of its own."""
    given: dict[str, Any] = {"started": [ONE], "left": [], "others": True, **UNACCOUNTED[problem]}
    attempts = [SimpleNamespace(token=ONE)]
    state = given.get("state", SimpleNamespace(tasks=[SimpleNamespace(attempts=attempts)], teardown="torn-down"))
    report: Any = SimpleNamespace(ledger=[{"what": "start", "token": token} for token in given["started"]], state=state)
    world = SimpleNamespace(multiplexer=lambda: SimpleNamespace(has_session=lambda name: given["others"]))
    stage: Any = SimpleNamespace(leftovers=lambda: given["left"], world=world)

    assert list(unaccounted(stage, report)) == ([problem] if problem else [])


def test_the_fence_keeps_a_blind_retry_from_doubling_an_agent() -> None:
    """Where a server can tell that it is too late, even an engine that asks twice has one agent."""
    found = told(Late("new_window", 1, 12.0), LateSimulatedTmux, make=engines.RetriesBlindly)

    assert not [problem for problem in found.problems if "two agents" in problem]
