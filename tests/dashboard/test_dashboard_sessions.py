"""Asking for sessions beside everything else: an answer, silence, and a question that never comes back."""

from __future__ import annotations

import threading

import pytest

from backends.clock import SystemClock, VirtualClock
from backends.errors import TransportTimeout
from backends.processes import Liveness
from harness.dashboard.sessions import Answer, Sessions, SessionWatch
from harness.record import RunState
from harness.waiting import eventually

STATE = RunState("r", backend="TmuxMultiplexer", mux_session="sr-r")
THERE = Answer("TmuxMultiplexer", frozenset({"sr-r"}))


@pytest.mark.parametrize(
    ("sessions", "liveness"),
    [
        (Sessions(), Liveness.UNKNOWN),
        (Sessions(THERE, 5.0), Liveness.ALIVE),
        (Sessions(Answer("TmuxMultiplexer", frozenset()), 5.0), Liveness.DEAD),
        (Sessions(Answer("PsmuxMultiplexer", frozenset({"sr-r"})), 5.0), Liveness.UNKNOWN),
        (Sessions(THERE, 5.0, silent_since=6.0), Liveness.UNKNOWN),
    ],
)
def test_only_a_multiplexer_that_answers_proves_anything(sessions: Sessions, liveness: Liveness) -> None:
    """Nobody asked, there, gone, somebody else's, and silence since."""
    assert sessions.liveness(STATE) is liveness


def test_silence_counts_from_the_first_question_that_was_not_answered() -> None:
    """The last answer and its time stay known; one answer ends the silence."""
    clock = VirtualClock(wall=100.0)
    answers: list[Answer] = [THERE]

    def question() -> Answer:
        clock.sleep(2)
        if not answers:
            raise TransportTimeout("list-sessions")
        return answers.pop()

    watch = SessionWatch(question, clock)
    watch.ask()
    assert watch.sessions() == Sessions(THERE, 102.0)
    for _ in range(3):
        watch.ask()
    assert watch.sessions() == Sessions(THERE, 102.0, 102.0, "TransportTimeout: list-sessions")
    answers.append(THERE)
    watch.ask()
    assert watch.sessions() == Sessions(THERE, 110.0)


def test_a_question_that_never_comes_back_is_silence_too() -> None:
    """Whatever deadline it was given; nobody who looks waits for it, and leaving ends it."""
    clock, host = VirtualClock(wall=100.0), SystemClock()
    asked, given_up = threading.Event(), threading.Event()

    def question() -> Answer:
        asked.set()
        given_up.wait(20)
        return THERE

    watch = SessionWatch(question, clock, given_up.set)
    watch.start()
    try:
        assert eventually(asked.is_set, host, 10.0)
        assert watch.sessions() == Sessions()
        clock.sleep(4)
        assert watch.sessions() == Sessions(silent_since=100.0, why="no answer yet")
    finally:
        watch.stop()
    assert given_up.is_set()


def test_whatever_a_question_raises_is_silence() -> None:
    """The thread goes on, whoever wrote the backend."""

    def question() -> Answer:
        raise RuntimeError("odd")

    watch = SessionWatch(question, VirtualClock(wall=100.0))
    watch.ask()

    assert watch.sessions() == Sessions(silent_since=100.0, why="RuntimeError: odd")
