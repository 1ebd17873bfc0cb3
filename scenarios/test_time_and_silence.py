"""Agents that are silent, or answer without end, while clocks jump and the multiplexer hangs."""

from __future__ import annotations

import pytest

from harness.agents import ScriptedAgent, stops, task, works, writes_result
from harness.incidents import at_work, when
from harness.record import RunStatus
from harness.runner import Stage

ANSWER = writes_result().then_stops().then_idles()
JUMPS = {"suspend-8h": "suspend(28800)", "back-1h": "jump(-3600)", "on-8h": "jump(28800)"}


@pytest.mark.simulated("a live host sees one jump below")
@pytest.mark.parametrize("jump", list(JUMPS))
def test_clock_jumps_end_no_session_that_is_well(mux_run: Stage, jump: str) -> None:
    """Eight hours that did not pass time nobody out: the session takes as long as its agent works."""
    report = mux_run(
        task("1-1", agent=works(30).then_completes()),
        task("1-2", agent=works(10).then_stops().then_works(8, silent=True).then_writes_result().then_idles()),
        faults=f"clock.tick=5*pass->1*{JUMPS[jump]}",
        session_timeout_s=60,
        stall_grace_s=20,
        max_parallel=2,
    )

    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in ("1-1", "1-2")] == [["completed"], ["completed"]]
    assert report.task("1-2").nudges == 0
    assert report.elapsed_s <= 30 + 2


@pytest.mark.simulated("a live host sees one jump below")
@pytest.mark.parametrize("jump", list(JUMPS))
def test_clock_jumps_move_no_deadline(mux_run: Stage, jump: str) -> None:
    """A session that is not well is timed out when its seconds have passed, whatever the calendar says."""
    report = mux_run(
        task("1-1", agent=works(1000)),
        faults=f"clock.tick=5*pass->1*{JUMPS[jump]}",
        session_timeout_s=60,
        max_attempts=1,
        retry_deferred="never",
    )

    assert report.task("1-1").outcomes == ["timed_out"]
    assert 60 <= report.elapsed_s <= 60 + 2


@pytest.mark.worlds("tmux")
@pytest.mark.faults("clock.tick=3*pass->1*suspend(28800)->1*jump(-36000)")
def test_clock_jumps_of_a_live_session_end_nothing(mux_run: Stage) -> None:
    """A real session under a clock that goes eight hours on and ten back completes."""
    report = mux_run(task("1-1", agent=works(6).then_completes()), session_timeout_s=100)

    assert report.task("1-1").outcomes == ["completed"]


@pytest.mark.simulated("takes twenty minutes")
@pytest.mark.parametrize(
    "agent",
    [
        works(1200, silent=True).then_completes(),
        works(5).then_stops(background=True).then_works(1200, silent=True).then_completes(),
        works(5).then_stops().then_emits("Prompt").then_works(1200, silent=True).then_completes(),
    ],
    ids=["one-turn", "in-the-background", "next-turn"],
)
def test_slow_tool_is_no_stall(mux_run: Stage, agent: ScriptedAgent) -> None:
    """Twenty minutes of silence with work in flight are waited for, without a nudge."""
    report = mux_run(task("1-1", agent=agent), poll_s=10)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").nudges == 0


@pytest.mark.simulated("takes twenty minutes")
@pytest.mark.parametrize("turn", ["stopped", "failed"])
def test_slow_tool_is_told_from_an_api_that_is_gone_after_a_turn(mux_run: Stage, turn: str) -> None:
    """Silence after a turn that is over is a stall, once nudges and wake-ups are used up, long before the deadline."""
    begun = works(5).then_stops() if turn == "stopped" else works(5).then_fails_turn(error="overloaded")
    report = mux_run(task("1-1", agent=begun.then_stalls()), poll_s=10, max_attempts=1, retry_deferred="never")

    assert report.task("1-1").outcomes == ["stalled"]
    assert report.task("1-1").nudges == 4
    assert report.elapsed_s < 5400 / 2
    assert "silent after its turn" in report.task("1-1").reason
    assert ("failed: overloaded" in report.task("1-1").reason) == (turn == "failed")


@pytest.mark.simulated("takes hours")
@pytest.mark.parametrize("nudges", [0, 1, 2])
@pytest.mark.parametrize("stall_grace_s", [0, 60])
def test_nudge_livelock_is_capped(mux_run: Stage, nudges: int, stall_grace_s: int) -> None:
    """An agent that answers every nudge with another empty turn is nudged so many times, and has then stalled."""
    report = mux_run(
        task("1-1", agent=works(2).then_stops().then_idles().on_nudge(works(3).then_stops())),
        nudges=nudges,
        stall_grace_s=stall_grace_s,
        poll_s=5,
        max_attempts=1,
        retry_deferred="never",
    )

    assert report.task("1-1").outcomes == ["stalled"]
    assert report.task("1-1").nudges <= nudges * (1 if stall_grace_s == 0 else 5)
    assert report.elapsed_s < 5400


def test_hang_during_nudge_defers_it(mux_run: Stage) -> None:
    """A turn that ends without a result while the multiplexer hangs: nothing is typed or concluded until it answers again."""

    def freeze() -> None:
        mux_run.world.freeze()
        mux_run.at(20, mux_run.world.thaw)

    when(mux_run, at_work(mux_run), freeze)
    report = mux_run(
        task("1-1", agent=works(4).then_stops().then_idles().on_nudge(ANSWER)), result_grace_s=3, call_timeout_s=4
    )

    (degraded,), (nudge,) = report.events("transport-degraded"), report.events("nudge")
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert degraded["seq"] < nudge["seq"]
    assert nudge["outcome"] == "sent"
    if report.virtual:
        assert nudge["at"] - report.events("run-started")[0]["at"] >= 20


@pytest.mark.simulated("the seconds of a live host are not exact")
@pytest.mark.parametrize("action", ["timeout(20)", 'exit(1, "lost server")', "oserror(EAGAIN)", "undecodable"])
def test_hang_during_nudge_of_the_nudge_itself_is_an_observation(mux_run: Stage, action: str) -> None:
    """A nudge that cannot be sent is no exception and no crash: it is sent again, and the task completes."""
    report = mux_run(
        task("1-1", agent=stops().then_idles().on_nudge(ANSWER)), faults=f"send_text=1*{action}", result_grace_s=5
    )

    assert report.task("1-1").outcomes == ["completed"]
    assert [event["outcome"].partition(":")[0] for event in report.events("nudge")] == ["unconfirmed", "sent"]


@pytest.mark.simulated("the seconds of a live host are not exact")
def test_result_during_hang_of_several_sessions_waits_for_one_call(mux_run: Stage) -> None:
    """Agents that finish in the middle of an endless hang have completed one call and one poll later, each of them."""
    mux_run.at(4, mux_run.world.freeze)
    mux_run.at(900, mux_run.world.thaw)
    stories = [task(f"1-{n}", agent=works(6 + 40 * n).then_completes()) for n in range(3)]
    report = mux_run(*stories, max_parallel=3, session_timeout_s=2000, call_timeout_s=30)

    ended = {event["task"]: event["at"] for event in report.events("session-ended")}
    left = {entry["task"]: entry["at"] for entry in report.ledger if entry["what"] == "result"}
    assert [report.task(story.plan.key).outcomes for story in stories] == [["completed"]] * 3
    assert all(ended[key] - left[key] <= 30 + 1 for key in left)
