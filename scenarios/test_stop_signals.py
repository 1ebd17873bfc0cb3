"""Stop signals: the first one unwinds, the second one forces, and an ending that is there stands."""

from __future__ import annotations

import signal

import pytest

from harness.agents import completes, task, works
from harness.engine.core import STEPS
from harness.engine.engine import Engine
from harness.incidents import at_work, stop_when
from harness.record import RunStatus
from harness.rehearsals import rehearse
from harness.runner import Stage
from harness.waiting import eventually

SIGNALS = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}


@pytest.mark.simulated("scores of moments; a sample of them is met on live hosts below")
@pytest.mark.parametrize("step", STEPS)
def test_stop_signal_at_any_step_stops(mux_run: Stage, step: str) -> None:
    """Wherever the signal falls before the run has ended, the run is STOPPED by it, and its session is gone."""
    report = rehearse(mux_run, step, f"signal.{step}=1*signal(SIGTERM)")

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 143
    assert report.teardown == "torn-down"
    assert report.crash is None


@pytest.mark.parametrize(
    ("step", "name"),
    [("mark", "SIGHUP"), ("nudge", "SIGINT"), ("verify", "SIGHUP"), ("pause", "SIGINT"), ("record", "SIGHUP")],
)
def test_stop_signal_leaves_nothing_behind(mux_run: Stage, step: str, name: str) -> None:
    """A stopped run leaves no session, no process and no lock, and says which signal it was."""
    report = rehearse(mux_run, step, f"signal.{step}=1*signal({name})")

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == SIGNALS[name]
    assert report.leftovers == []
    assert report.events("run-stopped")[0]["by"] == name


@pytest.mark.parametrize("name", list(SIGNALS))
def test_stop_signal_ends_a_wait_and_handlers_are_restored(mux_run: Stage, name: str) -> None:
    """A signal between two polls (a real one, to a real process) ends the wait; afterwards the old handlers are back."""
    before = signal.getsignal(signal.Signals[name])
    mux_run.stop_at(5, signal.Signals[name])
    report = mux_run(task("1-1", agent=works(1000)), poll_s=500)

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == SIGNALS[name]
    assert report.elapsed_s <= (5 if report.virtual else 100)
    assert signal.getsignal(signal.Signals[name]) is before


@pytest.mark.simulated("the seconds of a live host are not exact")
@pytest.mark.faults("mux.*=delay(2)")
def test_stop_signal_between_slow_calls_waits_for_one_of_them(mux_run: Stage) -> None:
    """Where each answer takes two seconds, a launch of many calls is left after the one that the signal fell into."""
    mux_run.stop_at(3, signal.SIGTERM)
    report = mux_run(task("1-1", agent=works(1000)))

    (stopped,) = report.events("run-stopped")
    assert stopped["at"] - report.began_at <= 3 + 2


@pytest.mark.live(scale=5)
def test_stop_signal_ends_a_command_of_the_plan(mux_run: Stage) -> None:
    """A stop does not wait for a command that verifies a task: the command is ended."""
    mux_run.stop_at(15, signal.SIGTERM)
    report = mux_run(task("1-1", agent=completes(), verify=["sleep 1000"]))

    assert report.status is RunStatus.STOPPED
    assert report.elapsed_s < 200


def test_stop_signal_leaves_agents_their_grace_and_no_more(mux_run: Stage) -> None:
    """An agent that does not want to end has the plan's grace for it, and is then made to."""
    stop_when(mux_run, at_work(mux_run))
    report = mux_run(task("1-1", agent=works(1000).ignoring_signals("SIGTERM", "SIGHUP")), stop_grace_s=4)

    assert report.status is RunStatus.STOPPED
    assert report.elapsed_s >= 4
    assert report.teardown == "torn-down" or not report.virtual
    eventually(lambda: mux_run.leftovers() == [], mux_run.world.clock, 300)


@pytest.mark.simulated("a live host has it done to it in test_stopping_a_hung_run")
def test_stop_signal_while_the_server_is_frozen_is_bounded(mux_run: Stage) -> None:
    """One signal during a hang: STOPPED after the grace, whatever is being asked, with the teardown unconfirmed."""
    mux_run.at(3, mux_run.world.freeze)
    mux_run.stop_at(8, signal.SIGTERM)
    report = mux_run(task("1-1", agent=works(1000)), call_timeout_s=30, stop_grace_s=5)
    mux_run.world.thaw()

    assert report.status is RunStatus.STOPPED
    assert report.teardown == "unconfirmed"
    assert report.elapsed_s <= 8 + 5 + 2


@pytest.mark.simulated("a live host has it done to it in test_stopping_a_hung_run")
def test_stop_signal_given_twice_forces_within_a_second(mux_run: Stage) -> None:
    """The second signal gives up the call in progress: a frozen server delays the end by a second of the host at most."""
    mux_run.at(3, mux_run.world.freeze)
    mux_run.stop_at(8, signal.SIGTERM)
    mux_run.stop_at(10, signal.SIGINT)
    report = mux_run(task("1-1", agent=works(1000)), call_timeout_s=300)

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 143
    assert report.elapsed_s <= 10 + 1
    mux_run.world.thaw()


@pytest.mark.simulated("a forced teardown has less than a second, which a clock five times as fast makes too short")
@pytest.mark.parametrize("seconds", [(5, 5), (5, 5, 5), (5, 5.2, 5.3)], ids=["twice", "three-times", "during-teardown"])
def test_stop_signal_given_again_is_one_stop_with_nothing_left(mux_run: Stage, seconds: tuple[float, ...]) -> None:
    """However often it is asked, a run whose multiplexer answers is stopped once, by the first, and leaves nothing."""
    for second, name in zip(seconds, ("SIGHUP", "SIGINT", "SIGTERM"), strict=False):
        mux_run.stop_at(second, signal.Signals[name])
    report = mux_run(task("1-1", agent=works(1000).ignoring_signals("SIGTERM", "SIGHUP")))

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 129
    assert report.teardown == "torn-down"
    assert report.leftovers == []


@pytest.mark.live(scale=1)
def test_stop_signal_given_again_on_a_live_host_leaves_nothing(mux_run: Stage) -> None:
    """A second Ctrl-C is no reason to leave the session and its agent behind."""
    mux_run.stop_at(2, signal.SIGINT)
    mux_run.stop_at(2.1, signal.SIGINT)
    report = mux_run(task("1-1", agent=works(1000).ignoring_signals("SIGTERM", "SIGHUP")))

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 130
    assert report.leftovers == []


@pytest.mark.parametrize("count", [1, 2])
def test_stop_signal_while_a_crash_is_recorded_leaves_it_a_crash(mux_run: Stage, count: int) -> None:
    """A run that is crashing is not stopped any more: the record is made, and the session taken down.

    A second signal leaves the teardown no time to wait for a slow host's confirmation.
    """

    def context() -> dict[str, object]:
        for _ in range(count):
            assert mux_run.engine is not None
            mux_run.engine.request_stop("SIGTERM", signal.SIGTERM)
        return {}

    report = rehearse(mux_run, "decide", "engine.decide=1*raise(RuntimeError)", crash_context=context)

    assert report.status is RunStatus.CRASHED
    assert report.exit_code == 70
    assert report.teardown == "torn-down" or (count == 2 and not report.virtual and report.teardown == "unconfirmed")


def test_stop_signal_after_the_end_changes_nothing(mux_run: Stage) -> None:
    """After the end of the run the ending stands."""

    def late(engine: Engine) -> None:
        engine.run()
        engine.request_stop("SIGTERM", signal.SIGTERM)

    report = rehearse(mux_run, "record", drive=late)

    assert report.status is RunStatus.FINISHED
    assert report.exit_code == 0
