"""Turns of which no hook tells that they failed, and words that come too late to mean anything."""

from __future__ import annotations

import pytest

from harness.agents import task, works
from harness.runner import Stage

FAILS = works(1).then_notes_in_transcript(type="turn_failed")
LIMITS = {"max_attempts": 1, "retry_deferred": "never", "session_timeout_s": 60}


def test_silent_failure_is_found_in_the_transcript(mux_run: Stage) -> None:
    """The agent is asked for its result instead of being waited for until its deadline."""
    agent = FAILS.on_nudge(works(1).then_completes()).then_idles()
    report = mux_run(task("1-1", agent=agent), result_grace_s=2, **LIMITS)

    assert (report.task("1-1").outcomes, report.task("1-1").nudges) == (["completed"], 1)
    assert [line["kind"] for line in report.events("event") if line.get("source") == "transcript"] == ["TurnFailed"]


@pytest.mark.simulated("takes a minute")
@pytest.mark.parametrize(("kind", "outcome"), [("turn_failed", "stalled"), ("turn_completed", "timed_out")])
def test_silent_failure_of_a_deaf_agent_is_no_wait_for_its_deadline(mux_run: Stage, kind: str, outcome: str) -> None:
    """Only the lines that the profile names count: another one leaves the turn open."""
    agent = works(1).then_notes_in_transcript(type=kind).then_stalls()
    report = mux_run(task("1-1", agent=agent), result_grace_s=1, stall_grace_s=0, nudges=0, **LIMITS)

    assert report.task("1-1").outcomes == [outcome]


def test_silent_failure_that_a_hook_told_of_as_well_is_one(mux_run: Stage) -> None:
    """The turn has ended already: what the transcript says of it afterwards is nothing new."""
    agent = works(1).then_fails_turn().then_works(2).then_notes_in_transcript(type="turn_aborted").then_works(2)
    report = mux_run(task("1-1", agent=agent.then_completes()), **LIMITS)

    assert report.task("1-1").outcomes == ["completed"]
    assert [line for line in report.events("event") if line.get("source") == "transcript"] == []


def test_late_words_after_the_end_change_nothing(mux_run: Stage) -> None:
    """Claude Code says Stop once more after its session has ended: a turn that was cut off did not complete."""
    agent = works(1).then_emits("SessionEnd", reason="other").then_stops().then_dies(code=0)
    report = mux_run(task("1-1", agent=agent), completion="turn", **LIMITS)

    assert report.task("1-1").outcomes == ["crashed"]


def test_late_words_of_work_in_the_background_are_waited_for(mux_run: Stage) -> None:
    """A Stop that tells of background work ends nothing, even where the end of a turn is all that is asked for."""
    agent = works(1).then_stops(background=True).then_works(4).then_writes_result(summary="later").then_stops()
    report = mux_run(task("1-1", agent=agent.then_idles()), completion="turn", **LIMITS)

    assert (report.task("1-1").outcomes, report.task("1-1").summary) == (["completed"], "later")
