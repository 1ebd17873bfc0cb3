"""Probes that hang: an unanswered question is not a death."""

from __future__ import annotations

import pytest

from harness.agents import task, works
from harness.incidents import at_work, when
from harness.record import RunStatus
from harness.report import Report
from harness.runner import Stage


def ended_after_s(report: Report, key: str) -> float:
    """Seconds of wall time from the start of the task's first session to its recorded end."""
    times = {
        entry["event"]: entry["at"] for entry in report.journal if entry.get("task") == key and entry.get("number") == 1
    }
    return float(times["session-ended"] - times["session-started"])


@pytest.mark.faults("list_window_ids=2*timeout(30)")
def test_probe_transient_hang_is_not_a_crash(mux_run: Stage) -> None:
    """Two unanswered liveness probes are not a death: the session completes."""
    report = mux_run(task("1-1", agent=works(10).then_completes()), call_timeout_s=30)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").attempts == 1
    if report.virtual:
        assert report.elapsed_s >= 60


@pytest.mark.worlds("fake", "simulated-tmux")
@pytest.mark.parametrize("hangs", [1, 2, 3, 4, 5])
def test_probe_transient_hang_ends_as_if_nothing_had_happened(mux_run: Stage, hangs: int) -> None:
    """One to five hanging probes cost time and nothing else: no teardown, no retry, the same outcome as without."""
    agent = works(10).then_completes("well done")
    faulty = mux_run(task("1-1", agent=agent), faults=f"list_window_ids=1*pass->{hangs}*timeout(30)", call_timeout_s=30)
    calm = mux_run(task("1-1", agent=agent), faults="", call_timeout_s=30)

    assert faulty.task("1-1") == calm.task("1-1")
    assert faulty.ending == calm.ending
    assert not faulty.events("task-retry")
    assert faulty.events("transport-degraded")
    assert faulty.events("transport-recovered")


@pytest.mark.parametrize("operation", ["list_window_ids", "window_alive", "window_pids", "has_session"])
def test_probe_transient_hang_of_any_probe_is_no_crash(mux_run: Stage, operation: str) -> None:
    """Whichever probe hangs once, the session completes at its first attempt."""
    report = mux_run(task("1-1", agent=works(5).then_completes()), faults=f"{operation}=1*timeout", strict=False)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]


@pytest.mark.faults("list_window_ids=3*pass->timeout(30)")
def test_probe_persistent_hang_times_out_and_pauses(mux_run: Stage) -> None:
    """When no probe is answered any more, the session times out and the run pauses; nothing is called crashed."""
    report = mux_run(task("1-1", agent=works(1000)), session_timeout_s=12, call_timeout_s=5)

    assert report.task("1-1").outcomes == ["timed_out"]
    assert report.status is RunStatus.PAUSED
    assert report.events("run-paused")[0]["stage"] == "multiplexer-unreachable"
    if report.virtual:
        assert ended_after_s(report, "1-1") <= 12 + 5 + 1


@pytest.mark.live(scale=2)
def test_probe_persistent_hang_of_a_frozen_server_times_out(mux_run: Stage) -> None:
    """A stopped tmux server: timed out by the deadline, one call and one poll; never crashed."""
    when(mux_run, at_work(mux_run), mux_run.world.freeze)
    report = mux_run(task("1-1", agent=works(1000)), session_timeout_s=12, call_timeout_s=5)

    assert report.task("1-1").outcomes == ["timed_out"]
    assert report.status is RunStatus.PAUSED
    assert "crashed" not in [event.get("outcome") for event in report.journal]


@pytest.mark.live(scale=2)
def test_result_during_hang_of_a_frozen_server_completes(mux_run: Stage) -> None:
    """A result that is written while the server is stopped completes the session; the end of its window waits."""
    when(mux_run, at_work(mux_run), mux_run.world.freeze)
    when(mux_run, lambda: "result" in [entry["what"] for entry in mux_run.world.ledger()], mux_run.world.thaw)
    report = mux_run(task("1-1", agent=works(8).then_completes()), session_timeout_s=120, call_timeout_s=3)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.events("transport-degraded")


def test_probe_transient_hang_on_a_live_host_ends_as_if_nothing_had_happened(mux_run: Stage) -> None:
    """Five hanging probes in a row, between two that are answered, change nothing."""
    report = mux_run(
        task("1-1", agent=works(10).then_completes()), faults="list_window_ids=1*pass->5*timeout(30)", call_timeout_s=30
    )

    assert report.task("1-1").outcomes == ["completed"]
    assert report.events("transport-recovered")


@pytest.mark.simulated("the seconds of a live host are not exact")
def test_result_during_hang_is_seen_within_one_call_and_one_poll(mux_run: Stage) -> None:
    """A result written during a freeze completes the session one call deadline and one poll later at most."""
    mux_run.at(4, mux_run.world.freeze)
    mux_run.at(300, mux_run.world.thaw)
    report = mux_run(task("1-1", agent=works(8).then_completes()), session_timeout_s=600, call_timeout_s=30)

    assert report.task("1-1").outcomes == ["completed"]
    assert ended_after_s(report, "1-1") <= 8.1 + 30 + 1


@pytest.mark.simulated("the seconds of a live host are not exact")
def test_probe_persistent_hang_ends_no_later_than_it_may(mux_run: Stage) -> None:
    """A frozen server costs a session its deadline, one call and one poll, to the second."""
    mux_run.at(5, mux_run.world.freeze)
    report = mux_run(task("1-1", agent=works(1000)), session_timeout_s=12, call_timeout_s=5)

    assert report.task("1-1").outcomes == ["timed_out"]
    assert 12 <= ended_after_s(report, "1-1") <= 12 + 5 + 1
