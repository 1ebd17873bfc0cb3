"""One attempt: what its events, its log and its nudges amount to."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from backends.memory_disk import MemoryDisk
from harness.agents import ScriptedProfile, completes
from harness.engine.decide import NudgeKind
from harness.engine.events import Event, EventKind
from harness.engine.plan import RunPlan, TaskPlan
from harness.engine.profiles import AgentProfile, LaunchContext
from harness.engine.sessions import Phase, Session
from harness.record import Attempt, TaskState

PATH = PurePath("/run")
CONTEXT = LaunchContext("a", 1, "token", PATH, PATH, PATH, PATH, PATH, PATH)


class NeedsTranscript(ScriptedProfile):
    """A profile whose sub-agents stop without a transcript."""

    @property
    def stops_need_transcript(self) -> bool:
        """See `AgentProfile`."""
        return True


def session(profile: AgentProfile | None = None, nudges: int = 2) -> Session:
    """A session that has just begun."""
    made = profile or ScriptedProfile("scripted", completes(), MemoryDisk())
    attempt = Attempt(number=1, token="token")
    return Session(TaskPlan("a"), TaskState(key="a"), attempt, made, CONTEXT, nudges, nudges, nudges)


def event(kind: EventKind, **about: Any) -> Event:
    """An event of that session; whatever is no field goes into the payload."""
    transcript = about.pop("transcript_path", None)
    return Event(1, kind, "token", "a", transcript_path=transcript, payload=about)


def told(kinds: list[EventKind]) -> Session:
    """A session that has taken those events, one a second from second 1."""
    one = session()
    for at, kind in enumerate(kinds, 1):
        one.take(event(kind), float(at))
    return one


def test_a_stop_ends_the_turn_and_the_next_prompt_opens_it_again() -> None:
    """The time of the newest Stop is kept."""
    one = told([EventKind.PROMPT, EventKind.STOP])
    assert (one.turn_ended_s, one.turn_open) == (2, False)

    one.take(event(EventKind.PROMPT), 3)
    assert one.turn_open

    one.take(event(EventKind.STOP), 4)
    assert (one.turn_ended_s, one.turn_open) == (4, False)


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind is not EventKind.WAITING])
def test_an_agent_waits_for_a_person_until_it_shows_that_it_goes_on_or_ends(kind: EventKind) -> None:
    """Any word of it but another question says so."""
    assert told([EventKind.PROMPT, EventKind.WAITING]).waiting
    assert told([EventKind.PROMPT, EventKind.WAITING, EventKind.WAITING]).waiting
    assert not told([EventKind.PROMPT, EventKind.WAITING, kind]).waiting


def test_an_answer_after_the_end_of_a_turn_opens_it_again() -> None:
    """Work that nobody was asked about does not: it may be a late word of the turn that has ended."""
    assert told([EventKind.STOP, EventKind.WAITING, EventKind.WORKING]).turn_open
    assert not told([EventKind.STOP, EventKind.WORKING]).turn_open
    assert not told([EventKind.WAITING, EventKind.WORKING]).turn_open


def test_a_stop_that_reports_work_in_the_background_does_not_end_the_turn() -> None:
    """The one after it does."""
    one = session()
    one.take(event(EventKind.STOP, background_tasks=[{"id": "b"}]), 1)
    assert one.turn_open

    one.take(event(EventKind.STOP, background_tasks=[], session_crons=[]), 2)
    assert not one.turn_open


def test_a_stop_after_the_end_of_the_session_is_dropped() -> None:
    """Nothing that comes after a SessionEnd changes anything."""
    one = told([EventKind.SESSION_END, EventKind.STOP, EventKind.PROMPT])

    assert one.session_ended
    assert one.turn_ended_s is None
    assert not one.turn_open


@pytest.mark.parametrize(("transcript", "counts"), [(None, False), ("", False), ("/t.jsonl", True)])
def test_a_stop_without_transcript_is_a_subagents_where_the_profile_says_so(
    transcript: str | None, counts: bool
) -> None:
    """It is dropped before anything is decided; for other profiles it is a Stop."""
    stop = event(EventKind.STOP, transcript_path=transcript)
    strict = session(NeedsTranscript("claude", completes(), MemoryDisk()))
    strict.take(stop, 1)
    lenient = session()
    lenient.take(stop, 1)

    assert (strict.turn_ended_s is not None) is counts
    assert lenient.turn_ended_s == 1


@pytest.mark.parametrize("kind", [EventKind.TURN_FAILED, EventKind.INTERRUPTED])
def test_a_failed_turn_has_ended_and_is_known_to_have_failed(kind: EventKind) -> None:
    """A later Stop is a success again."""
    one = told([kind])
    assert (one.turn_ended_s, one.turn_failed) == (1, True)

    one.take(event(EventKind.STOP), 2)
    assert not one.turn_failed


@pytest.mark.parametrize("pause", [0, -5, 1e12, "soon", None, float("nan")])
def test_a_reset_time_that_makes_no_sense_parks_nobody(pause: object) -> None:
    """Payloads come from outside."""
    one = session()
    one.take(event(EventKind.TURN_FAILED, retry_after_s=pause), 1)

    assert one.parked_until_s is None


def test_a_reset_time_parks_until_then_or_until_the_next_prompt() -> None:
    """Seconds from the moment it was seen."""
    one = session()
    one.take(event(EventKind.TURN_FAILED, retry_after_s=90), 10)
    assert one.parked_until_s == 100

    one.take(event(EventKind.PROMPT), 50)
    assert one.parked_until_s is None


def test_a_fresh_stop_restores_the_wake_ups_but_not_for_ever() -> None:
    """Once three budgets are spent none is given back: an agent that only ever stops again is stalled in the end."""
    one, wakes = session(nudges=2), 0
    while one.wakes_left:
        one.asked(NudgeKind.WAKE, wakes, confirmed=True)
        wakes += 1
        one.take(event(EventKind.STOP), wakes)

    assert wakes == 3 * 2 + 1


def test_a_nudge_that_was_sent_takes_one_from_its_own_budget() -> None:
    """Nudges and wake-ups are counted apart, and all together in the record."""
    one = session()
    one.asked(NudgeKind.RESULT, 1, confirmed=True)
    one.asked(NudgeKind.WAKE, 2, confirmed=True)

    assert (one.nudges_left, one.wakes_left, one.attempt.nudges, one.asked_s) == (1, 1, 2, 2)


@pytest.mark.parametrize("unconfirmed", [1, 2, 3])
def test_one_nudge_that_nobody_confirmed_costs_nothing_without_a_sign_of_life(unconfirmed: int) -> None:
    """The silence was the multiplexer's; what is typed again and again may arrive again and again."""
    one = session()
    for at in range(unconfirmed):
        one.asked(NudgeKind.RESULT, at, confirmed=False)

    assert one.nudges_left == 2 - (unconfirmed - 1)
    assert one.wakes_left == 2


@pytest.mark.parametrize("sign", ["event", "growth"])
def test_a_nudge_that_nobody_confirmed_counts_once_the_agent_reacts(sign: str) -> None:
    """It did arrive, so it is not typed for nothing again."""
    one = session()
    one.asked(NudgeKind.RESULT, 30, confirmed=False)
    for _ in range(2):
        if sign == "event":
            one.take(event(EventKind.PROMPT), 31)
        else:
            one.grew(one.log_size + 10, 31)

    assert one.nudges_left == 1


def test_only_growth_of_the_log_is_a_sign_of_life() -> None:
    """Not the same size again, nor a file that was cut."""
    one = session()
    for at, size in ((1.0, 10), (2.0, 10), (3.0, 4)):
        one.grew(size, at)
    assert one.grown_s == 1

    one.grew(5, 4)
    assert one.grown_s == 4


def test_any_event_of_the_launch_means_that_its_agent_ran() -> None:
    """Whatever is known of its window."""
    assert not session().heard
    assert told([EventKind.SESSION_START]).heard


def test_the_budget_is_the_plans_with_what_is_left() -> None:
    """Graces and completion from the plan, the rest from the session."""
    one = session()
    one.deadline_s = 77
    one.enter(Phase.LIVE, 7)
    one.asked(NudgeKind.RESULT, 8, confirmed=True)
    plan = RunPlan((TaskPlan("a"),), result_grace_s=3, stall_grace_s=4, completion="turn")
    budget = one.budget(plan)

    assert (budget.deadline_s, budget.result_grace_s, budget.stall_grace_s) == (77, 3, 4)
    assert (budget.nudges_left, budget.wakes_left, budget.turn_completes) == (1, 2, True)
