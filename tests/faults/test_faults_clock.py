"""Around a clock: wall time that jumps, durations that stay right."""

from __future__ import annotations

import pytest

from backends.clock import ScaledClock, VirtualClock, Waker
from faults import FaultPlan, Injector, SimulatedDeath


@pytest.mark.parametrize(
    ("action", "step_s"), [("jump(-3600)", -3600.0), ("jump(5)", 5.0), ("suspend(28800)", 28800.0)]
)
def test_the_wall_clock_steps_at_the_planned_wait(action: str, step_s: float) -> None:
    """Labels move, durations do not; the simulated host sees the same time."""
    inner = VirtualClock()
    clock = Injector(FaultPlan.parse(f"clock.tick=1*pass->1*{action}"), clock=inner).clock(inner)
    began = clock.wall()

    clock.sleep(1)
    assert clock.wall() == began + 1
    clock.sleep(1)

    assert clock.wall() == began + 2 + step_s == inner.wall()
    assert clock.monotonic() == 2.0


def test_a_real_clock_is_stepped_for_its_user_only() -> None:
    """The host's own clock stays as it is."""
    inner = ScaledClock(1000.0)
    clock = Injector(FaultPlan.parse("clock.tick=1*jump(-3600)"), clock=inner).clock(inner)

    clock.wait(0.0)

    assert clock.wall() < inner.wall() - 3000
    assert clock.host_seconds(1000.0) == 1.0


def test_a_rule_can_filter_by_the_length_of_the_wait() -> None:
    """The wait is known by its seconds."""
    inner = VirtualClock()
    injector = Injector(FaultPlan.parse("clock.tick[seconds=5.0]=jump(1)"), clock=inner)
    clock = injector.clock(inner)

    clock.sleep(1.0)
    clock.sleep(5.0)

    assert [(one.point, one.call_number) for one in injector.injections] == [("clock.tick", 2)]


def test_a_wait_is_ended_by_its_waker_as_before() -> None:
    """The wrapper neither swallows nor invents a wake-up."""
    inner, waker = VirtualClock(), Waker()
    clock = Injector(FaultPlan(), clock=inner).clock(inner)

    assert clock.wait(1.0, waker) is False
    waker.wake()
    assert clock.wait(1.0, waker) is True
    assert clock.monotonic() == 1.0


def test_nobody_waits_after_death() -> None:
    """A loop that goes on after SIGKILL would never end."""
    inner = VirtualClock()
    injector = Injector(FaultPlan.parse("engine.boot=die"), clock=inner)
    with pytest.raises(SimulatedDeath):
        injector.checkpoint("boot")

    with pytest.raises(SimulatedDeath):
        injector.clock(inner).sleep(1)
