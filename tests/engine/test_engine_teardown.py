"""Taking down what a run has put up: bounded, and honest about what could not be confirmed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from engine_setting import RUN, foreign_session, fresh_stage

from backends.clock import VirtualClock
from backends.processes import ProcessIdentity
from backends.simulated_processes import SimulatedProcessTable
from faults.errors import SimulatedDeath
from harness.agents import task, works
from harness.engine.core import Core
from harness.engine.teardown import processes_of
from harness.engine.windows import RUN_OPTION
from harness.record import Attempt, RunStatus

CRASH = "engine.tick=3*pass->1*raise(ValueError)"
WORK = works(1000)


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ("", "torn-down"),
        ("kill_session=4*oserror(EPIPE)", "torn-down"),
        ("kill_session=oserror(EPIPE)", "failed"),
        ("kill_session=timeout", "unconfirmed"),
        ("has_session=1*pass->timeout", "unconfirmed"),
    ],
)
def test_a_teardown_says_what_came_of_it_in_time(faults: str, outcome: str) -> None:
    """Proven gone, proven there, or nobody knows; within the grace, one look and one half second."""
    plan = f"{CRASH};{faults}".rstrip(";")
    report = fresh_stage()(task("a", agent=WORK), faults=plan, stop_grace_s=10)

    assert report.status is RunStatus.CRASHED
    assert report.teardown == outcome
    assert report.events("teardown")[-1]["outcome"] == outcome
    assert report.elapsed_s <= 4 + 10 + 0.6


@pytest.mark.parametrize("step", ["begin", "schedule", "prompt", "session"])
def test_a_crash_before_anything_was_opened_has_nothing_to_take_down(step: str) -> None:
    """The multiplexer is not even asked, and the summary is silent about it."""
    report = fresh_stage()(task("a", agent=WORK), faults=f"engine.{step}=1*raise(ValueError)")

    assert report.status is RunStatus.CRASHED
    assert report.teardown == "torn-down"
    assert report.summary is not None
    assert report.summary.teardown is None
    assert not [point for point in report.reached if point.startswith("mux.")]


class CountingTable(SimulatedProcessTable):
    """A process table that counts how often it is looked through."""

    scans = 0

    def carrying(self, name: str, *values: str) -> list[ProcessIdentity]:
        """See `ProcessTable.carrying`."""
        self.scans += 1
        return super().carrying(name, *values)


def test_the_processes_of_all_attempts_are_looked_for_at_once() -> None:
    """A forced end must not take longer with every attempt; a token that no attempt has names nobody."""
    table = CountingTable(VirtualClock())
    ours = [table.spawn({"SEAMRIPPER_TOKEN": f"t{number}"}) for number in range(5)]
    table.spawn({"SEAMRIPPER_TOKEN": "another"})
    table.spawn()
    core = SimpleNamespace(outside=SimpleNamespace(processes=table))
    attempts = [Attempt(number=number, token=f"t{number}") for number in range(5)]

    assert processes_of(cast(Core, core), attempts) == ours
    assert processes_of(cast(Core, core), []) == []
    assert table.scans <= 2


def test_a_process_that_ignores_every_polite_signal_is_killed_at_the_end_of_the_grace() -> None:
    """Also one that has left its window's process group."""
    deaf = works(1).ignoring_signals("SIGHUP", "SIGTERM").then_leaves_child(4000, setsid=True, ignore=["SIGTERM"])
    report = fresh_stage()(task("a", agent=deaf.then_works(1000)), faults=CRASH, stop_grace_s=5)

    assert report.teardown == "torn-down"
    assert report.leftovers == []


def test_a_short_outage_at_the_clean_up_of_a_finished_run_leaves_nothing_behind() -> None:
    """One call that hangs for longer than the whole grace is no reason to give up."""
    report = fresh_stage()(
        task("a", agent=works(1).then_completes()),
        faults="kill_session=3*timeout",
        stop_grace_s=10,
        session_timeout_s=600,
    )

    assert report.status is RunStatus.FINISHED
    assert report.teardown == "torn-down"
    assert report.leftovers == []


def test_a_clean_up_that_never_succeeds_is_given_up_and_told() -> None:
    """The tasks are done: the run is finished after half a session timeout, whatever is left of its session."""
    report = fresh_stage()(
        task("a", agent=works(1).then_completes()), faults="kill_session=oserror(EPIPE)", session_timeout_s=120
    )

    assert report.status is RunStatus.FINISHED
    assert report.teardown == "failed"
    assert report.elapsed_s <= 3 + 60 + 10 + 2


def test_a_finished_run_that_keeps_its_session_takes_nothing_down() -> None:
    """Only the windows of its tasks are gone."""
    stage = fresh_stage()
    report = stage(task("a", agent=works(1).then_completes()), cleanup_session=False)

    assert report.teardown is None
    assert stage.world.multiplexer().list_sessions() == [RUN]


@pytest.mark.parametrize("step", ["load", "reconcile"])
def test_a_resume_that_crashes_before_it_looked_takes_down_no_foreign_session(step: str) -> None:
    """Whoever has the name by then keeps the session."""
    stage = fresh_stage()
    multiplexer = stage.world.multiplexer()
    stage(task("a", agent=WORK), faults=CRASH)
    foreign_session(multiplexer)
    report = stage.resume(faults=f"engine.{step}=1*raise(ValueError)")

    assert report.status is RunStatus.CRASHED
    assert multiplexer.session_options(RUN_OPTION) == {RUN: "somebody"}


def test_a_death_while_the_lock_is_given_back_is_a_death() -> None:
    """Giving it back is the last step, and stands alone like all others; the ending that was recorded before it stands."""
    report = fresh_stage()(task("a", agent=works(1).then_completes()), faults="disk.remove:lock=1*die")

    assert isinstance(report.raised, SimulatedDeath)
    assert report.status is RunStatus.FINISHED
