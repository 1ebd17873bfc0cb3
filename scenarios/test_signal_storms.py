"""Signals in numbers, and stops while nobody answers: STOPPED once, by the first, with nothing left that could be ended."""

from __future__ import annotations

import signal

import pytest

from harness.agents import task, works
from harness.engine.core import STEPS
from harness.incidents import at_step, at_work, on_screen, when
from harness.record import RunStatus
from harness.rehearsals import rehearse
from harness.runner import Stage
from harness.waiting import eventually

STORMS = {
    "one": ("SIGINT",),
    "two": ("SIGTERM", "SIGTERM"),
    "three": ("SIGHUP", "SIGINT", "SIGTERM"),
}


@pytest.mark.simulated("scores of moments; a few of them are met on live hosts by the stories of stop signals")
@pytest.mark.parametrize("storm", list(STORMS))
@pytest.mark.parametrize("step", STEPS)
def test_signal_storm_at_any_step_is_one_stop(mux_run: Stage, step: str, storm: str) -> None:
    """One to three signals at one moment: STOPPED by the first within a second, with its exit code, and the session gone."""
    sent: list[float] = []

    def send() -> None:
        assert mux_run.engine is not None
        sent.append(mux_run.world.clock.monotonic())
        for name in STORMS[storm]:
            mux_run.engine.switch.deliver(signal.Signals[name])

    report = rehearse(mux_run, step, checkpoint=at_step(step, send))

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 128 + signal.Signals[STORMS[storm][0]]
    assert report.events("run-stopped")[0]["by"] == STORMS[storm][0]
    assert report.teardown == "torn-down"
    assert report.leftovers == []
    assert mux_run.world.clock.monotonic() - sent[0] <= 1


@pytest.mark.worlds("tmux")
def test_signal_storm_on_a_live_host_is_one_stop(mux_run: Stage) -> None:
    """Three real signals to a real process, at once: STOPPED by the first of them that it heard, and nothing is left."""
    table = mux_run.world.processes

    def send() -> None:
        for name in STORMS["three"]:
            table.signal(table.me(), signal.Signals[name])

    when(mux_run, at_work(mux_run), send)
    report = mux_run(task("1-1", agent=works(1000)))

    (stopped,) = report.events("run-stopped")
    assert report.status is RunStatus.STOPPED
    assert stopped["by"] in STORMS["three"]
    assert report.exit_code == 128 + signal.Signals[stopped["by"]]
    eventually(lambda: mux_run.leftovers() == [], mux_run.world.clock, 300)


@pytest.mark.simulated("the second of a forced end is one of the host's")
@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("second_s", [0.0, 0.3, 2.0, 9.0])
def test_signal_storm_forces_agents_that_heed_nothing(mux_run: Stage, first: str, second_s: float) -> None:
    """The second signal ends the grace of agents that ignore everything polite, within a second, and they are gone."""
    mux_run.stop_at(5, signal.Signals[first])
    mux_run.stop_at(5 + second_s, signal.SIGTERM)
    stubborn = works(1000).ignoring_signals("SIGTERM", "SIGHUP", "SIGINT")
    report = mux_run(task("1-1", agent=stubborn), stop_grace_s=10)

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 128 + signal.Signals[first]
    assert report.elapsed_s <= 5 + second_s + 1
    assert report.leftovers == []


@pytest.mark.simulated("a live host has it done to it by another command and by signals in test_stopping_a_hung_run")
@pytest.mark.parametrize("signals", [1, 2])
def test_stop_while_hung_is_told_as_unconfirmed_and_cleaned_up_later(mux_run: Stage, signals: int) -> None:
    """A stop of a run whose server is stopped says that it could not confirm the end; a resume cleans up and finishes."""
    mux_run.at(2, mux_run.world.freeze)
    for again in range(signals):
        mux_run.stop_at(4 + again, signal.SIGTERM)
    stopped = mux_run(task("1-1", agent=works(8).then_completes()), call_timeout_s=5, stop_grace_s=2)
    shown = on_screen(mux_run)
    mux_run.world.thaw()
    report = mux_run.resume()

    assert stopped.status is RunStatus.STOPPED
    assert stopped.teardown == "unconfirmed"
    assert "teardown: unconfirmed" in shown
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []
    assert [entry["what"] for entry in report.ledger].count("overlap") == 0


@pytest.mark.worlds("fake", "simulated-tmux")
def test_stop_while_hung_in_a_launch_is_bounded_and_leaves_no_second_agent(mux_run: Stage) -> None:
    """Not even the answer to a change is waited for: what may come of it is found by the resume, which then finishes."""
    mux_run.stop_at(3, signal.SIGTERM)
    frozen = at_step("open-window", mux_run.world.freeze)
    agent = works(8).then_completes()
    stopped = mux_run(task("1-1", agent=agent), checkpoint=frozen, call_timeout_s=30, stop_grace_s=5)
    mux_run.world.thaw()
    report = mux_run.resume()

    assert stopped.elapsed_s <= 3 + 5 + 2
    assert stopped.teardown == "unconfirmed"
    assert not stopped.events("transport-degraded")
    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []
    assert [entry["what"] for entry in report.ledger].count("overlap") == 0


@pytest.mark.simulated("the seconds of a live host are not exact")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_stop_while_hung_is_bounded_however_often_it_is_asked(mux_run: Stage, count: int) -> None:
    """One stop costs the grace, more of them a second, whatever is being asked; asking again changes nothing else."""
    mux_run.at(2, mux_run.world.freeze)
    for again in range(count):
        mux_run.stop_at(4 + again, signal.SIGINT)
    report = mux_run(task("1-1", agent=works(1000)), call_timeout_s=30, stop_grace_s=5)

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 130
    assert report.elapsed_s <= (4 + 5 + 2 if count == 1 else 4 + 1 + 1)
    assert len(report.events("run-stopped")) == 1
