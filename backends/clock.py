"""Time as an argument: the one module that may read or spend it.

Every wait of the project is a `Clock.wait`, every reading a `Clock.monotonic` (durations, deadlines) or `Clock.wall`
(labels for people). `SystemClock` is the host's time, `ScaledClock` the host's time at another speed, `VirtualClock` a
simulation in which waiting is free: it jumps from one scheduled event to the next.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import os
import select
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

__all__ = ["Clock", "Gathered", "ScaledClock", "SystemClock", "VirtualClock", "Waker", "timestamp"]


class Waker:
    """A flag that ends waits, safe to set from a signal handler and from any thread.

    `wake` sets the flag for good (until `clear`). A `select`-able file descriptor is made on first use by a real wait, so
    a simulated run costs none.
    """

    def __init__(self) -> None:
        self._set = False
        self._fds: tuple[int, int] | None = None
        self._making = threading.Lock()

    def is_set(self) -> bool:
        """Whether `wake` was called since the last `clear`."""
        return self._set

    def wake(self) -> None:
        """End the wait in progress and every later one."""
        self._set = True
        fds = self._fds
        if fds is not None:
            try:
                os.write(fds[1], b"!")
            except OSError:
                # A full pipe is already readable, a closed one has nobody waiting.
                return

    def clear(self) -> None:
        """Let waits run their full time again."""
        self._set = False
        if self._fds is not None:
            _drain(self._fds[0])

    def settle(self) -> None:
        """Drain a descriptor that is readable although the flag is down: a `wake` that a `clear` overtook wrote last."""
        if not self._set and self._fds is not None:
            _drain(self._fds[0])
            if Waker.is_set(self):
                self.wake()

    def fileno(self) -> int:
        """A descriptor that is readable once the waker is set."""
        with self._making:
            if self._fds is None:
                read_end, write_end = os.pipe()
                os.set_blocking(read_end, False)
                os.set_blocking(write_end, False)
                self._fds = (read_end, write_end)
                _with_descriptors.add(self)
                if self._set:
                    os.write(write_end, b"!")
            return self._fds[0]

    def descriptors(self) -> Sequence[int]:
        """Descriptors of which one is readable once the waker is set: what a real wait waits for."""
        return (self.fileno(),)

    def close(self) -> None:
        """Give the descriptors back; the flag stays as it is."""
        with self._making:
            fds, self._fds = self._fds, None
        if fds is not None:
            os.close(fds[0])
            os.close(fds[1])

    def begin_anew(self) -> None:
        """For a process that was forked: what it and its parent write would end each other's waits, and never the next ones."""
        self._making = threading.Lock()
        with contextlib.suppress(OSError):
            Waker.close(self)

    def __del__(self) -> None:
        if getattr(self, "_fds", None) is not None:
            self.close()


def _drain(descriptor: int) -> None:
    """Read away what there is in a pipe that does not block."""
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            continue


_with_descriptors: weakref.WeakSet[Waker] = weakref.WeakSet()


def _begin_anew() -> None:
    for waker in list(_with_descriptors):
        waker.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class Gathered(Waker):
    """A waker that is set by `wake`, and while any of `others` is set; `clear` clears what `wake` has set."""

    def __init__(self, *others: Waker) -> None:
        super().__init__()
        self._others = others

    def is_set(self) -> bool:
        """Whether anything ends a wait now."""
        return super().is_set() or any(other.is_set() for other in self._others)

    def descriptors(self) -> Sequence[int]:
        """See `Waker.descriptors`."""
        return [*super().descriptors(), *(fd for other in self._others for fd in other.descriptors())]

    def settle(self) -> None:
        """See `Waker.settle`."""
        super().settle()
        for other in self._others:
            other.settle()


class Clock(ABC):
    """Reads and spends time, in seconds."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back."""

    @abstractmethod
    def wall(self) -> float:
        """Seconds since the epoch, for labels only: it may jump either way."""

    @abstractmethod
    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """Let `seconds` pass, or less if `waker` is set; true if the waker ended it."""

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.wait(seconds)

    def host_seconds(self, seconds: float) -> float:
        """How long `seconds` of this clock last on the host; what a real poll or `select` is given."""
        return seconds


class SystemClock(Clock):
    """The host's own time."""

    def monotonic(self) -> float:
        """See `Clock.monotonic`; does not count the time a host was suspended."""
        return time.monotonic()

    def wall(self) -> float:
        """See `Clock.wall`."""
        return time.time()

    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """See `Clock.wait`."""
        if waker is None:
            time.sleep(max(0.0, seconds))
            return False
        end = time.monotonic() + seconds
        while not waker.is_set():
            left = end - time.monotonic()
            if left <= 0:
                return False
            _wait_for_one(waker.descriptors(), left)
            waker.settle()
        return True


def _wait_for_one(descriptors: Sequence[int], seconds: float) -> None:
    """Until one of them is readable, `seconds` at most."""
    if not hasattr(select, "poll"):
        select.select(descriptors, [], [], seconds)
        return
    # A process with many descriptors open has some that `select` cannot take.
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(min(math.ceil(seconds * 1000), _LONGEST_POLL_MS))


_LONGEST_POLL_MS = 2**31 - 1
"""What the system call takes; whoever waits longer waits again."""


class ScaledClock(Clock):
    """Host time that passes `factor` times as fast, for live runs whose story takes minutes."""

    def __init__(self, factor: float, base: Clock | None = None) -> None:
        if factor <= 0:
            raise ValueError(f"a clock cannot run at {factor} times the speed")
        self.factor = factor
        self._base = base or SystemClock()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._base.monotonic() * self.factor

    def wall(self) -> float:
        """See `Clock.wall`; unscaled, it is a label."""
        return self._base.wall()

    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """See `Clock.wait`."""
        return self._base.wait(seconds / self.factor, waker)

    def host_seconds(self, seconds: float) -> float:
        """See `Clock.host_seconds`."""
        return self._base.host_seconds(seconds / self.factor)


class VirtualClock(Clock):
    """Simulated time: waiting jumps to the next scheduled event, so an hour costs what its events cost.

    One thread drives it. Events run inside the wait that reaches them, in order of time and then of scheduling; an event
    may schedule others but may not wait. Time is kept as a float of seconds from `start`.
    """

    def __init__(self, start: float = 0.0, wall: float = 1_767_225_600.0) -> None:
        self._now = start
        self._wall_offset = wall - start
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._in_event = False

    def monotonic(self) -> float:
        """Simulated seconds since the simulation began."""
        return self._now

    def wall(self) -> float:
        """Simulated seconds since the epoch; begins at 2026-01-01 unless told otherwise."""
        return self._now + self._wall_offset

    def jump_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as `settimeofday` or a suspended host does."""
        self._wall_offset += seconds

    def call_at(self, when: float, event: Callable[[], None]) -> None:
        """Run `event` when the time is `when` (at once, within the next wait, if that is past)."""
        self._scheduled += 1
        heapq.heappush(self._events, (when, self._scheduled, event))

    def call_later(self, seconds: float, event: Callable[[], None]) -> None:
        """Run `event` `seconds` from now."""
        self.call_at(self._now + seconds, event)

    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """See `Clock.wait`; runs every event due on the way."""
        if self._in_event:
            raise RuntimeError("a scheduled event may not wait: schedule what comes after it")
        end = self._now + max(0.0, seconds)
        while not (waker is not None and waker.is_set()):
            if not self._events or self._events[0][0] > end:
                self._now = end
                return False
            when, _, event = heapq.heappop(self._events)
            self._now = max(self._now, when)
            self._in_event = True
            try:
                event()
            finally:
                self._in_event = False
        return True


def timestamp(wall: float) -> str:
    """`wall` (seconds since the epoch) as UTC in ISO 8601 with milliseconds; `?` for what is no time of any calendar."""
    try:
        when = datetime.fromtimestamp(wall, UTC)
    except (OverflowError, OSError, ValueError):
        return "?"
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
