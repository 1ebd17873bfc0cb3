"""A teardown, step by step: when it asks, whom it signals, and when it gives up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from backends.clock import VirtualClock
from backends.simulated_processes import SimulatedProcessTable
from harness.engine.core import Core
from harness.engine.signals import StopSwitch
from harness.engine.teardown import processes_of, tear_down, tear_down_patiently
from harness.engine.windows import Windows
from harness.record import Attempt, ProcessRef

TOKEN = {"SEAMRIPPER_TOKEN": "t"}
ASKED = [(0.0, 0.5), *((at / 10, max(1 - at / 10, 0.1)) for at in range(1, 11))]
"""When a session is asked to go within a grace of one second, and how long that may take."""


class Place:
    """Where something is taken down: time, processes, and a session that answers in turn whether it is gone."""

    def __init__(self, *answers: bool | None, grace_s: float = 1.0) -> None:
        self.answers = list(answers)
        self.clock = VirtualClock()
        self.table = SimulatedProcessTable(self.clock)
        self.asked: list[tuple[float, float]] = []
        self.steps: list[str] = []
        self.claimed = True
        self.refused = False
        self.switch = StopSwitch()
        self.plan = SimpleNamespace(stop_grace_s=grace_s, poll_s=2.0)
        self.outside = SimpleNamespace(multiplexer=self, clock=self.clock, processes=self.table)
        self.attempts = [Attempt(1, "t")]
        self.frozen = False
        self._budget_s = 0.0
        self.clock.call_at(60.0, self._late)

    def _late(self) -> None:
        raise AssertionError("still at it")

    @property
    def now(self) -> float:
        """Monotonic seconds, to the tenth."""
        return round(self.clock.monotonic(), 1)

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """What the next question may take."""
        self._budget_s = round(seconds, 1)
        yield

    def kill_session(self) -> bool | None:
        """Answers the next of `answers`, the last one again and again, while `frozen` with all the time that it may take."""
        self.asked.append((self.now, self._budget_s))
        self.clock.sleep(self._budget_s if self.frozen else 0)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def take_up(self) -> None:
        """Use the multiplexer again, which was given up."""
        self.steps.append(f"take up at {self.now}")

    def checkpoint(self, step: str) -> None:
        """Pass a step of the engine."""
        self.steps.append(f"{step} at {self.now}")

    def note_seam(self) -> None:
        """Journal what became of the seam."""
        self.steps.append("seam")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.wait(seconds)

    def torn(self) -> tuple[str, float]:
        """What came of a teardown, and when it was over."""
        return tear_down(cast(Core, self), cast(Windows, self), iter(self.attempts)), self.now


def test_what_was_never_claimed_is_not_asked_about() -> None:
    """Nor is any process looked for."""
    place = Place(False)
    place.claimed = False
    place.table.spawn(TOKEN)

    assert place.torn() == ("torn-down", 0.0)
    assert (place.asked, place.table.sent) == ([], [])


@pytest.mark.parametrize(
    ("answers", "outcome", "asked"),
    [
        ([True], ("torn-down", 0.0), ASKED[:1]),
        ([None, False, True], ("torn-down", 0.2), ASKED[:3]),
        ([None], ("unconfirmed", 1.0), ASKED),
        ([False], ("failed", 1.0), ASKED),
        ([*[False] * 10, None], ("unconfirmed", 1.0), ASKED),
    ],
)
def test_a_session_is_asked_to_go_until_the_grace_is_over(
    answers: list[bool | None], outcome: tuple[str, float], asked: list[tuple[float, float]]
) -> None:
    """Every tenth of a second, with what is left of the grace for an answer, the first time half of it; the last one counts."""
    place = Place(*answers)

    assert place.torn() == outcome
    assert place.asked == [(at, round(budget, 1)) for at, budget in asked]


def test_a_session_is_given_almost_half_a_second_whatever_the_grace() -> None:
    """Without any, nothing could ever be taken down."""
    assert Place(None, grace_s=0.0).torn() == ("unconfirmed", 0.4)


def test_a_process_is_asked_to_end_and_killed_when_the_grace_is_over() -> None:
    """The session is not asked about again once it is gone."""
    place = Place(True)
    deaf = place.table.spawn(TOKEN, on_signal=lambda signum: place.table.exit(deaf.pid) if signum == 9 else None)

    assert place.torn() == ("torn-down", 1.1)
    assert place.table.sent == [(deaf.pid, signal.SIGTERM)] * 10 + [(deaf.pid, signal.SIGKILL)]
    assert len(place.asked) == 1


@pytest.mark.parametrize(("grace_s", "told_s"), [(1.0, 0.5), (30.0, 1.0)])
def test_the_processes_of_a_frozen_server_are_asked_to_end_too(grace_s: float, told_s: float) -> None:
    """Not only killed when the grace is over: nobody else tells them."""
    place = Place(None, grace_s=grace_s)
    place.frozen = True
    told: list[tuple[float, int]] = []
    place.table.spawn(TOKEN, on_signal=lambda signum: told.append((place.now, signum)))

    assert place.torn()[0] == "unconfirmed"
    assert told[0] == (told_s, signal.SIGTERM)
    assert told[-1] == (grace_s, signal.SIGKILL)


def test_a_process_that_nothing_ends_is_waited_for_a_little_longer() -> None:
    """And then nobody knows."""
    place = Place(True)
    deaf = place.table.spawn(TOKEN, on_signal=lambda signum: None)

    assert place.torn() == ("unconfirmed", 1.4)
    assert place.table.sent[-5:] == [(deaf.pid, signal.SIGKILL)] * 5


def test_a_process_that_comes_up_meanwhile_is_ended_too() -> None:
    """Whoever it is started by; another run's is left alone."""
    place = Place(False, False, True)
    place.clock.call_at(0.05, lambda: setattr(place, "late", place.table.spawn(TOKEN)))
    other = place.table.spawn({"SEAMRIPPER_TOKEN": "another"})

    assert place.torn()[0] == "torn-down"
    assert [running.pid for running in place.table.running()] == [place.table.me().pid, other.pid]


@pytest.mark.parametrize(
    ("forced_s", "answers", "outcome"), [(0.0, [None], 0.4), (0.3, [None], 0.7), (0.8, [None], 1.0)]
)
def test_whoever_is_forced_hurries(forced_s: float, answers: list[bool | None], outcome: float) -> None:
    """From then on less than half a second, never longer than the grace; processes are killed at once."""
    place = Place(*answers)
    deaf = place.table.spawn(TOKEN, on_signal=lambda signum: None)
    place.switch.request("SIGTERM")
    if forced_s:
        place.clock.call_at(forced_s - 0.05, lambda: place.switch.request("SIGTERM"))
    else:
        place.switch.request("SIGTERM")

    assert place.torn() == ("unconfirmed", outcome)
    assert place.steps == [f"take up at {at}" for at in sorted({0.0, forced_s})]
    polite = [signum for _, signum in place.table.sent if signum == signal.SIGTERM]
    assert len(polite) == round(forced_s * 10)
    assert place.table.sent[-1] == (deaf.pid, signal.SIGKILL)


def test_whoever_is_stopped_once_is_given_the_whole_grace() -> None:
    """What the stop gave up is asked again, and once more where it comes in the middle of it."""
    place = Place(None)
    place.clock.call_at(0.25, lambda: place.switch.request("SIGTERM"))

    assert place.torn() == ("unconfirmed", 1.0)
    assert place.steps == ["take up at 0.3"]


def test_a_patient_teardown_tries_until_its_limit() -> None:
    """With a step of the engine before each time and a poll after it; the last outcome counts."""
    place = Place(*[None] * 5, False, grace_s=0.0)

    outcome = tear_down_patiently(cast(Core, place), cast(Windows, place), iter(place.attempts), 5.0)

    assert (outcome, place.now) == ("failed", 5.2)
    assert place.steps == ["kill at 0.0", "seam", "kill at 2.4", "seam", "kill at 4.8", "seam"]


def test_a_patient_teardown_that_is_refused_is_not_repeated() -> None:
    """The grace of one is all that a no is given to become a yes."""
    place = Place(*[False] * 20, grace_s=1.0)
    place.refused = True

    outcome = tear_down_patiently(cast(Core, place), cast(Windows, place), place.attempts, 50.0)

    assert (outcome, place.now) == ("failed", 1.0)


@pytest.mark.parametrize(("limit_s", "over_s"), [(0.0, 0.4), (0.4, 0.4), (0.5, 2.4)])
def test_a_patient_teardown_ends_with_its_limit_or_its_success(limit_s: float, over_s: float) -> None:
    """Whichever comes first."""
    place = Place(*[None] * 5, True, grace_s=0.0)
    end = tear_down_patiently(cast(Core, place), cast(Windows, place), place.attempts, limit_s)

    assert (end, place.now) == ("torn-down" if over_s > 0.4 else "unconfirmed", over_s)


def test_the_processes_of_attempts_are_their_trees_and_what_carries_their_tokens() -> None:
    """Each once, in the order of their pids, and only if it is the one that was seen."""
    place = Place(True)
    shell = place.table.spawn()
    agent, gone = place.table.spawn(TOKEN, parent=shell.pid), place.table.spawn()
    child = place.table.spawn(parent=agent.pid)
    refs = [ProcessRef(shell.pid, shell.started), ProcessRef(gone.pid, gone.started + 1)]
    attempts = [Attempt(1, "none"), Attempt(2, "t", pids=refs)]

    assert processes_of(cast(Core, place), iter(attempts)) == [shell, agent, child]
