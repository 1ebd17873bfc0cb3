"""The switch that stops a run, and the one place that installs handlers."""

from __future__ import annotations

import signal
import threading

import pytest

from backends.clock import VirtualClock
from harness.engine.signals import STOP_SIGNALS, RunStopped, StopSwitch, not_ignored, stop_signals


def test_a_switch_that_nobody_touched_lets_everything_pass() -> None:
    """No stop, no force, no wake-up."""
    switch = StopSwitch()

    switch.check()

    assert not switch.forced
    assert not switch.waker.is_set()


def test_a_stop_is_raised_at_the_next_check_with_its_cause() -> None:
    """And at every later one: nobody can swallow it for good."""
    switch = StopSwitch()
    switch.deliver(signal.SIGTERM)

    for _ in range(2):
        with pytest.raises(RunStopped, match="SIGTERM") as stopped:
            switch.check()
        assert (stopped.value.by, stopped.value.signum) == ("SIGTERM", signal.SIGTERM)


def test_a_stop_is_no_exception_that_a_handler_of_failures_would_eat() -> None:
    """`except Exception` lets it pass."""
    assert not issubclass(RunStopped, Exception)


def test_the_first_request_is_the_one_that_is_told() -> None:
    """A second signal of another kind forces, and changes no name."""
    switch = StopSwitch()
    switch.deliver(signal.SIGHUP)
    switch.deliver(signal.SIGINT)

    assert (switch.by, switch.signum, switch.forced) == ("SIGHUP", signal.SIGHUP, True)


def test_a_request_ends_a_wait_at_once_and_every_later_one() -> None:
    """The waker stays set."""
    switch, clock = StopSwitch(), VirtualClock()
    clock.call_later(3, lambda: switch.request("somebody"))

    assert clock.wait(100, switch.waker)
    assert clock.wait(100, switch.waker)
    assert clock.monotonic() == 3


def test_the_first_request_stops_and_every_later_one_forces() -> None:
    """Each of them gives up calls, and the second one the rest of the grace as well."""
    switch = StopSwitch()
    told: list[str] = []
    switch.on_stop = lambda: told.append("stop")
    switch.on_force = lambda: told.append("force")

    for _ in range(3):
        switch.request("somebody")
    assert told == ["stop", "force", "force"]


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_a_real_signal_sets_the_switch_and_the_old_handler_comes_back(signum: signal.Signals) -> None:
    """Within, nothing else happens to the process."""
    with not_ignored([signum]):
        switch, before = StopSwitch(), signal.getsignal(signum)

        with stop_signals(switch):
            signal.raise_signal(signum)
            assert switch.signum == signum
            assert signal.getsignal(signum) is not before

        assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(signum: signal.Signals) -> None:
    """As `nohup` and background jobs have it: the run goes on without its terminal."""
    switch, before = StopSwitch(), signal.signal(signum, signal.SIG_IGN)
    try:
        with stop_signals(switch):
            signal.raise_signal(signum)
        with not_ignored([signum]):
            assert signal.getsignal(signum) is signal.SIG_DFL
        assert signal.getsignal(signum) is signal.SIG_IGN
    finally:
        signal.signal(signum, before)

    assert switch.requests == 0


def test_handlers_come_back_after_a_failure_too() -> None:
    """Whatever comes out of the run."""
    before = [signal.getsignal(signum) for signum in STOP_SIGNALS]

    with pytest.raises(LookupError), stop_signals(StopSwitch()):
        raise LookupError

    assert [signal.getsignal(signum) for signum in STOP_SIGNALS] == before


def test_off_the_main_thread_no_handler_is_touched() -> None:
    """Python could not handle a signal there; the run goes on without."""
    seen: list[object] = []

    def look() -> None:
        with stop_signals(StopSwitch()):
            seen.extend(signal.getsignal(signum) for signum in STOP_SIGNALS)

    before = [signal.getsignal(signum) for signum in STOP_SIGNALS]
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert seen == before
