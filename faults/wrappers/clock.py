"""Around a clock: the `clock.tick` point, at every wait."""

from __future__ import annotations

from backends.clock import Clock, VirtualClock, Waker
from faults.actions import Jump, Suspend
from faults.ledger import Ledger

__all__ = ["FaultyClock"]


class FaultyClock(Clock):
    """A clock whose wall time goes wrong as planned; durations and deadlines stay right."""

    def __init__(self, inner: Clock, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger
        self._offset_s = 0.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._inner.monotonic()

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._inner.wall() + self._offset_s

    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """See `Clock.wait`; a jump or a suspend comes before the wait, and only the wall clock sees it."""
        about = f"{seconds:.3f} s"
        entry = self._ledger.passing("clock.tick", about)
        if entry is not None:
            try:
                woken = self._inner.wait(seconds, waker)
            except BaseException as raised:
                entry.outcome = f"raised {type(raised).__name__}"
                raise
            entry.outcome = "woken" if woken else "passed"
            return woken
        with self._ledger.reach("clock.tick", about, lambda: {"seconds": seconds}) as reached:
            if isinstance(reached.action, Jump | Suspend):
                self._step(reached.action.seconds)
            woken = self._inner.wait(seconds, waker)
            reached.outcome = "woken" if woken else "passed"
            return woken

    def host_seconds(self, seconds: float) -> float:
        """See `Clock.host_seconds`."""
        return self._inner.host_seconds(seconds)

    def _step(self, seconds: float) -> None:
        # A simulated host has one wall clock, which its files and processes see as well.
        if isinstance(self._inner, VirtualClock):
            self._inner.jump_wall(seconds)
        else:
            self._offset_s += seconds
