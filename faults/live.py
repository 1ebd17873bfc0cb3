"""Live faults: what happens to the multiplexer's server, its clients, its host or its agents, and is undone again.

A `live.<event>` point is reached by each call of the seam that is made while a server runs, stopped or not, before the call is
asked: `live.freeze_server=3*pass->1*occur(20)` stops the server under the fourth call that finds one. Calls that come before
the first server, or between two, are not counted, so that what is planned always has something to happen to; nor are, for what
happens to agents, calls that find none at work. Points that no rule of the plan is about are not reached at all: on a real host
each look at the server costs one at its process.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from backends.clock import Clock, VirtualClock, Waker
from backends.guard import Call
from faults.actions import Occur
from faults.ledger import Ledger

__all__ = ["LiveEvent", "LiveHost", "LivePoints"]


def _nothing() -> None:
    return None


def _always() -> bool:
    return True


class LiveEvent(NamedTuple):
    """Something that can be done to a host, also twice in a row, and how it is undone; both take no longer than a moment.

    `ready` tells whether there is something for it to happen to, besides the server. `prepare` is called before each run that
    it is planned for.
    """

    happen: Callable[[], None]
    undo: Callable[[], None] = _nothing
    ready: Callable[[], bool] = _always
    prepare: Callable[[], None] = _nothing


class LiveHost:
    """The server of one host, what can happen to it, and what of that is in force.

    What shall last for a time is undone when that has passed on `clock`, whatever everybody else is doing then: by an event of
    a virtual clock, by a thread on any other. Where the same thing happens again meanwhile, the last end counts.
    """

    def __init__(self, clock: Clock, running: Callable[[], bool], events: Mapping[str, LiveEvent]) -> None:
        """`running` tells whether there is a server process; `events` are by the name that follows `live.`."""
        self._running = running
        self._clock = clock
        self._events = dict(events)
        self._in_force: Counter[str] = Counter()
        self._round = 0
        self._lock = threading.Lock()
        self._watchdogs: list[tuple[threading.Thread, Waker]] = []

    def prepare(self, event: str) -> None:
        """Put up what the host needs for it to happen later."""
        self._events[event].prepare()

    def ready(self, event: str) -> bool:
        """Whether there is a server, and whatever else it needs to happen to."""
        return self._running() and self._events[event].ready()

    def happen(self, event: str, seconds: float | None) -> None:
        """Do it now, and undo it after `seconds`, else with `undo`."""
        with self._lock:
            # Counted first: of what fails halfway the first half has to be undone.
            self._in_force[event] += 1
            self._events[event].happen()
            end = partial(self._end, event, self._round)
        if seconds is None:
            return
        if isinstance(self._clock, VirtualClock):
            self._clock.call_later(seconds, end)
        else:
            self._watch(seconds, end)

    def undo(self) -> None:
        """Undo whatever is in force, the newest first; each of them, also if one fails. Harmless twice."""
        with self._lock, ExitStack() as undoing:
            # What was to end later belongs to the round that is over.
            self._round += 1
            for event in list(self._in_force):
                undoing.callback(self._undo, event)
        watchdogs, self._watchdogs = self._watchdogs, []
        for thread, over in watchdogs:
            over.wake()
            thread.join()
            over.close()

    def _undo(self, event: str) -> None:
        # What cannot be undone stays in force, to be tried again.
        self._events[event].undo()
        del self._in_force[event]

    def _end(self, event: str, round_: int) -> None:
        with self._lock:
            if round_ != self._round:
                return
            if self._in_force[event] > 1:
                self._in_force[event] -= 1
                return
            self._undo(event)

    def _watch(self, seconds: float, end: Callable[[], None]) -> None:
        over = Waker()

        def wait() -> None:
            if not self._clock.wait(seconds, over):
                end()

        thread = threading.Thread(target=wait, name="live fault", daemon=True)
        self._watchdogs.append((thread, over))
        thread.start()


class LivePoints:
    """The `live.` points that the plan is about, at each call of one multiplexer."""

    def __init__(self, ledger: Ledger, host: LiveHost, points: tuple[str, ...]) -> None:
        self._ledger = ledger
        self._host = host
        self._events = {point: point.partition(".")[2] for point in points}
        for event in self._events.values():
            host.prepare(event)

    def reach(self, call: Call) -> None:
        """Let happen what is planned for this call, which has not been asked yet."""
        for point, event in self._events.items():
            # What happened at the point before may have been the server's end.
            if not self._host.ready(event):
                continue
            with self._ledger.reach(point, call, quiet=True) as reached:
                if isinstance(reached.action, Occur):
                    self._host.happen(event, reached.action.seconds)
                    reached.outcome = "occurs"
