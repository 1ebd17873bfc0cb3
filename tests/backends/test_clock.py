"""Time as an argument: virtual time in order, scaled time, and waits that can be ended."""

from __future__ import annotations

import os
import random
import select
import threading
from functools import partial
from itertools import pairwise

import pytest

from backends.clock import Clock, Gathered, ScaledClock, SystemClock, VirtualClock, Waker, timestamp


@pytest.mark.parametrize("seed", range(20))
def test_events_run_in_order_of_time_and_then_of_scheduling(seed: int) -> None:
    """Whatever the order in which they were scheduled, and however the waits cut the time."""
    chance = random.Random(seed)
    clock = VirtualClock()
    ran: list[tuple[float, int]] = []
    for number in range(100):
        when = float(chance.randrange(10))
        clock.call_at(when, partial(ran.append, (when, number)))
    while clock.monotonic() < 10:
        clock.wait(chance.random() * 3)

    assert len(ran) == 100
    assert ran == sorted(ran)


@pytest.mark.parametrize("seed", range(5))
def test_each_event_sees_the_time_that_it_was_scheduled_for(seed: int) -> None:
    """Also one that an event schedules; and time never goes back."""
    chance = random.Random(seed)
    clock = VirtualClock(start=5.0)
    seen: list[tuple[float, float]] = []

    def note(when: float) -> None:
        seen.append((when, clock.monotonic()))
        if len(seen) < 50:
            schedule(clock.monotonic() + chance.random())

    def schedule(when: float) -> None:
        clock.call_at(when, lambda: note(when))

    schedule(6.0)
    clock.wait(1000)

    assert len(seen) == 50
    assert all(when == now for when, now in seen)
    assert all(one[1] <= other[1] for one, other in pairwise(seen))


def test_an_event_in_the_past_runs_in_the_next_wait_without_turning_time_back() -> None:
    """Even in a wait of no time at all."""
    clock = VirtualClock(start=10.0)
    ran: list[float] = []
    clock.call_at(3.0, lambda: ran.append(clock.monotonic()))

    assert ran == []
    assert clock.wait(0) is False
    assert ran == [10.0]


def test_an_event_that_waits_is_refused() -> None:
    """Time inside an event would pass twice; the clock is usable afterwards."""
    clock = VirtualClock()
    clock.call_later(1, lambda: clock.sleep(1))

    with pytest.raises(RuntimeError, match="may not wait"):
        clock.wait(5)

    assert clock.monotonic() == 1
    assert clock.wait(1) is False


def test_an_hour_of_nothing_costs_as_much_as_what_happens_in_it() -> None:
    """The number of events is what a wait costs, not its length."""
    clock = VirtualClock()
    ran: list[float] = []
    clock.call_later(3599, lambda: ran.append(clock.monotonic()))
    clock.call_later(3601, lambda: ran.append(clock.monotonic()))

    assert clock.wait(3600) is False
    assert clock.monotonic() == 3600
    assert ran == [3599]


def test_a_waker_ends_a_virtual_wait_at_the_moment_it_is_set() -> None:
    """What would have come later has not happened yet."""
    clock = VirtualClock()
    waker = Waker()
    later: list[str] = []
    clock.call_later(2, waker.wake)
    clock.call_later(3, lambda: later.append("happened"))

    assert clock.wait(10, waker) is True
    assert clock.monotonic() == 2
    assert clock.wait(10, waker) is True
    assert later == []
    waker.clear()
    assert clock.wait(10, waker) is False
    assert (clock.monotonic(), later) == (12, ["happened"])


def test_the_wall_clock_jumps_alone() -> None:
    """Deadlines are counted on the other one."""
    clock = VirtualClock()
    clock.jump_wall(-3600)
    clock.sleep(10)

    assert clock.monotonic() == 10
    assert timestamp(clock.wall()) == "2025-12-31T23:00:10.000Z"


@pytest.mark.parametrize("wall", [1e300, -1e300, 1e18, float("inf"), float("nan")])
def test_what_is_no_time_is_shown_as_unknown(wall: float) -> None:
    """A damaged record may say anything, and is shown nevertheless."""
    assert timestamp(wall) == "?"


def test_a_negative_wait_takes_no_time() -> None:
    """A deadline that has passed is not a reason to turn back."""
    clock = VirtualClock()

    assert clock.wait(-5) is False
    assert clock.monotonic() == 0


def test_a_scaled_clock_asks_the_host_for_less() -> None:
    """A minute at sixty times the speed is a second of its base."""
    base = VirtualClock()
    clock = ScaledClock(60, base)

    clock.sleep(60)

    assert base.monotonic() == 1
    assert clock.monotonic() == 60
    assert clock.host_seconds(30) == 0.5
    assert clock.wall() == base.wall()


@pytest.mark.parametrize("factor", [0, -1])
def test_a_clock_that_stands_or_runs_backwards_is_refused(factor: float) -> None:
    """No wait on it would ever end."""
    with pytest.raises(ValueError, match="cannot run"):
        ScaledClock(factor)


def test_a_waker_set_before_or_during_a_real_wait_ends_it() -> None:
    """From another thread as from a signal handler; nobody waits the full minute."""
    clock = SystemClock()
    waker = Waker()
    setter = threading.Timer(0.02, waker.wake)
    setter.start()

    assert clock.wait(60, waker) is True
    setter.join()
    assert clock.wait(60, waker) is True
    waker.clear()
    assert clock.wait(0.01, waker) is False
    waker.close()


def test_a_waker_that_was_set_is_readable_from_its_descriptor() -> None:
    """Whether the descriptor was made before or after, and again after a clear."""
    waker = Waker()
    waker.wake()
    waker.fileno()
    assert SystemClock().wait(0, waker) is True
    waker.clear()
    assert not waker.is_set()
    waker.wake()
    assert waker.is_set()
    waker.close()
    waker.wake()


def test_a_wake_that_was_overtaken_by_a_clear_keeps_no_wait_busy() -> None:
    """Its byte comes when the flag is down again: a wait reads it away, and lasts its time."""
    waker = Waker()
    waker.fileno()
    assert waker._fds is not None
    os.write(waker._fds[1], b"!")

    assert SystemClock().wait(0.05, Gathered(waker)) is False
    assert select.select([waker.fileno()], [], [], 0)[0] == []
    waker.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes are forked")
def test_a_process_that_was_forked_has_its_wakers_for_itself() -> None:
    """Else it would be woken from each wait by what its parent is told, and take away what wakes that."""
    waker = Waker()
    waker.fileno()
    child = os.fork()
    if child == 0:
        waker.clear()
        waker.wake()
        os._exit(0)
    os.waitpid(child, 0)
    here, _, _ = select.select([waker.fileno()], [], [], 0)
    waker.wake()
    child = os.fork()
    if child == 0:
        waker.clear()
        there, _, _ = select.select([waker.fileno()], [], [], 0)
        os._exit(len(there))
    _, status = os.waitpid(child, 0)
    still, _, _ = select.select([waker.fileno()], [], [], 0)

    assert (here, os.waitstatus_to_exitcode(status), still) == ([], 0, [waker.fileno()])


def test_system_time_passes_in_seconds() -> None:
    """Monotonic time moves by what was slept, and the wall clock shows this century."""
    clock = SystemClock()
    before = clock.monotonic()

    clock.sleep(0.01)

    assert clock.monotonic() - before >= 0.01
    assert clock.wall() > 1_700_000_000
    assert clock.host_seconds(3) == 3


@pytest.mark.parametrize("clock", [VirtualClock(), SystemClock()], ids=["virtual", "system"])
@pytest.mark.parametrize("woken", [0, 1, 2])
def test_a_gathered_waker_is_set_while_any_of_its_wakers_is(clock: Clock, woken: int) -> None:
    """Also where another one was never waited for; and clearing it clears nothing of theirs."""
    one, other = Waker(), Waker()
    gathered = Gathered(one, other)
    [gathered, one, other][woken].wake()

    assert clock.wait(3600, gathered)
    gathered.clear()
    assert clock.wait(0, gathered) == (woken != 0)


def test_a_gathered_waker_ends_a_real_wait_from_another_thread() -> None:
    """Whichever of its wakers is set there."""
    one = Waker()
    gathered = Gathered(Waker(), one)
    thread = threading.Timer(0.05, one.wake)
    thread.start()

    assert SystemClock().wait(60, gathered)
    thread.join()
