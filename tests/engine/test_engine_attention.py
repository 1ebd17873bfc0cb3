"""What is told to the engine ends its wait: it acts when something happens, and not when it would have looked next."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine_setting import FakeStage, answers_when_asked, fresh_stage

from harness.agents import ScriptedAgent, stalls, task, works
from harness.engine.core import STOP_FILE
from harness.record import RunStatus
from harness.report import Report

SELDOM = {"poll_s": 60.0, "max_attempts": 1, "retry_deferred": "never"}
"""So that whatever is done in between is not done by looking."""


def deaf_stage() -> FakeStage:
    """A host on which nothing is told."""
    stage = fresh_stage()
    stage.world.disk.tells = stage.world.processes.tells = False
    return stage


def after_start(report: Report, event: str) -> float:
    """How long after the start of its session that happened, in seconds."""
    started, happened = report.events("session-started")[0], report.events(event)[0]
    return round(float(happened["at"]) - float(started["at"]), 3)


def result_left(report: Report) -> float:
    """How long after the start of its session the agent left its result."""
    entry = next(entry for entry in report.ledger if entry["what"] == "result")
    return round(float(entry["at"]) - float(report.events("session-started")[0]["at"]), 3)


def test_a_result_is_taken_up_when_it_is_left() -> None:
    """Nobody waits for the next look."""
    report = fresh_stage()(task("a", agent=works(5).then_completes()), **SELDOM)

    assert report.status is RunStatus.FINISHED
    assert after_start(report, "session-ended") == result_left(report)


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_a_death_is_known_when_it_happens(signal: str) -> None:
    """With the signal that it was."""
    report = fresh_stage()(task("a", agent=works(5).then_dies(signal=signal)), **SELDOM)

    assert report.task("a").outcomes == ["crashed"]
    assert 5.0 <= after_start(report, "session-ended") < 5.1


def test_a_deadline_is_kept_to_the_moment() -> None:
    """Also one that no look falls on."""
    report = fresh_stage()(task("a", agent=stalls()), **SELDOM, session_timeout_s=133.25)

    assert report.task("a").outcomes == ["timed_out"]
    assert after_start(report, "session-ended") == 133.25


def test_an_agent_is_nudged_when_its_grace_is_over() -> None:
    """It was heard to stop when it did."""
    report = fresh_stage()(task("a", agent=answers_when_asked()), **SELDOM, result_grace_s=7.25)

    stopped = next(float(entry["at"]) for entry in report.events("event") if entry["kind"] == "Stop")
    assert float(report.events("nudge")[0]["at"]) - stopped == pytest.approx(7.25, abs=0.001)
    assert report.status is RunStatus.FINISHED


@pytest.mark.parametrize(
    ("agent", "outcome"),
    [(works(5).then_completes(), "completed"), (works(5).then_dies(), "crashed"), (stalls(), "timed_out")],
)
def test_where_nothing_is_told_it_is_looked(agent: ScriptedAgent, outcome: str) -> None:
    """As often as the plan says; and the journal says that files are not watched."""
    report = deaf_stage()(task("a", agent=agent), poll_s=2.0, session_timeout_s=20, max_attempts=1)

    assert report.task("a").outcomes[0] == outcome
    assert report.events("files-not-watched")
    limit_s = 20 if outcome == "timed_out" else 5
    assert limit_s <= after_start(report, "session-ended") <= limit_s + 2.2


@pytest.mark.parametrize("why", ["", "connecting failed 3 times"])
def test_where_windows_are_not_told_of_the_journal_says_why(why: str) -> None:
    """Once, however long the run takes."""
    stage = fresh_stage()
    stage.world.server.mute = why

    report = stage(task("a", agent=works(50).then_completes()), poll_s=2.0)

    assert report.status is RunStatus.FINISHED
    assert [entry["why"] for entry in report.events("windows-not-told")] == ([why] if why else [])


def test_what_is_told_is_told_of_nobody_else() -> None:
    """One agent's result ends no other session."""
    tasks = [task(f"a{number}", agent=works(5 * number).then_completes()) for number in (1, 2, 3)]
    report = fresh_stage()(*tasks, **SELDOM, max_parallel=3)

    ended = {entry["task"]: float(entry["at"]) - report.began_at for entry in report.events("session-ended")}
    assert [round(ended[f"a{number}"]) for number in (1, 2, 3)] == [5, 10, 15]
    assert report.status is RunStatus.FINISHED


LONG = works(600, silent=True)
"""An agent of which nobody hears anything for ten minutes."""


@pytest.mark.parametrize(("made", "looks"), [(fresh_stage, range(10, 60)), (deaf_stage, range(590, 620))])
def test_the_longer_nothing_is_open_the_less_often_it_is_looked(made: Callable[[], FakeStage], looks: range) -> None:
    """Where it is told what happens; elsewhere as often as ever. The end is taken up as soon in both."""
    report = made()(task("a", agent=LONG.then_completes()))

    assert report.reached["mux.list_window_ids"] in looks
    assert after_start(report, "session-ended") - result_left(report) <= 1.0


@pytest.mark.parametrize("faults", ["window_pids=1*empty", "window_pids=1*timeout"])
def test_the_death_of_a_process_that_nobody_knows_is_found_within_two_polls(faults: str) -> None:
    """One that died before it was asked for is no process that is watched."""
    report = fresh_stage()(task("a", agent=works(5).then_dies(code=3)), faults=faults, max_attempts=1)

    assert report.task("a").outcomes[0] == "crashed"
    assert 5 <= after_start(report, "session-ended") <= 7.2


@pytest.mark.parametrize("made", [fresh_stage, deaf_stage])
def test_a_window_that_goes_without_its_process_is_found_within_two_polls(made: Callable[[], FakeStage]) -> None:
    """However long nothing was open, and whether its server tells of it or not."""
    stage = made()
    deaf = LONG.ignoring_signals("SIGHUP", "SIGTERM")
    stage.at(400, lambda: stage.world.multiplexer().kill_window("@1"))
    report = stage(task("a", agent=deaf), max_attempts=1, retry_deferred="never", verify=False)

    assert report.task("a").outcomes == ["crashed"]
    assert 400 <= after_start(report, "session-ended") <= 402.2


@pytest.mark.parametrize(
    ("agent", "faults", "what"),
    [
        (LONG.then_writes_result().then_works(300), "disk.read:results=1*oserror(EIO)", "session-ended"),
        (LONG.then_stops().then_idles(), "disk.read:events=2*pass->1*oserror(EIO)", "nudge"),
    ],
)
def test_what_cannot_be_read_at_once_is_read_again_a_poll_later(agent: ScriptedAgent, faults: str, what: str) -> None:
    """However seldom it was looked before."""
    one = {"max_attempts": 1, "retry_deferred": "never", "result_grace_s": 0}
    report = fresh_stage()(task("a", agent=agent), faults=faults, **one)

    assert 600 <= after_start(report, what) <= 602.2


@pytest.mark.parametrize(("faults", "outcome"), [("4*oserror(EIO)", "completed"), ("oserror(EIO)", "crashed")])
def test_a_session_whose_result_cannot_be_read_is_not_over_before_it_was_tried_again(faults: str, outcome: str) -> None:
    """That it cannot be read does not say that there is none; what stays unreadable for a poll counts as none."""
    agent = works(5).then_writes_result().then_exits()
    one = {"max_attempts": 1, "retry_deferred": "never", "verify": False}
    report = fresh_stage()(task("a", agent=agent), faults=f"disk.read:results={faults}", **one)

    assert report.task("a").outcomes == [outcome]
    assert after_start(report, "session-ended") <= 5 + 2.2


def test_a_turn_that_fails_without_a_hook_is_heard_of_within_a_poll() -> None:
    """A transcript lies where nobody tells of it."""
    fails = works(500).then_notes_in_transcript(type="turn_failed", error={"message": "no credit"})
    one = {"max_attempts": 1, "retry_deferred": "never", "session_timeout_s": 800}
    report = fresh_stage()(task("a", agent=fails.then_works(1000)), **one)

    heard = next(entry for entry in report.events("event") if entry.get("source") == "transcript")
    assert 500 <= float(heard["at"]) - report.began_at <= 501.2


def test_a_graceful_stop_is_heeded_within_a_poll() -> None:
    """Whoever asks for it sees soon that it was."""
    stage = fresh_stage()
    stage.at(500, lambda: stage.world.disk.write(stage.run_dir / STOP_FILE, b""))
    report = stage(task("a", agent=LONG.then_completes()), task("b", agent=LONG))

    (heeded,) = report.events("winding-down")
    assert 500 <= float(heeded["at"]) - report.began_at <= 501.2
