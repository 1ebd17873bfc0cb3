"""Waiting for live things, on a clock that is handed in."""

from __future__ import annotations

import pytest

from backends.clock import VirtualClock
from harness.waiting import eventually


def test_waiting_ends_with_the_first_answer_that_is_true() -> None:
    """It polls at the pace it was told, and spends no more time than it has to."""
    clock = VirtualClock()

    assert eventually(lambda: "yes" if clock.monotonic() >= 3 else "", clock, 60, 1.0) == "yes"
    assert clock.monotonic() == 3


def test_an_answer_that_is_there_costs_no_time() -> None:
    """The question comes before the wait."""
    clock = VirtualClock()

    assert eventually(lambda: [1], clock, 60) == [1]
    assert clock.monotonic() == 0


def test_waiting_in_vain_ends_in_time_and_tells_the_last_answer() -> None:
    """The limit is counted on the same clock."""
    clock = VirtualClock()

    with pytest.raises(TimeoutError, match=r"not within 10 s; the last answer was \[\]"):
        eventually(list, clock, 10, 0.5)
    assert clock.monotonic() == 10


def test_what_the_question_raises_is_not_asked_again() -> None:
    """An error is an answer of its own."""
    asked = []

    def question() -> bool:
        asked.append(1)
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        eventually(question, VirtualClock(), 10)
    assert asked == [1]
