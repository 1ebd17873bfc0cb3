"""Carries out a fault plan in one run: gives out the wrappers, and says afterwards what happened.

An injector is handed around, never global, and serves one run. A fault that never fired is an error.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from backends.base import TerminalMultiplexer
from backends.clock import Clock
from backends.disk import Disk
from backends.guard import Hook
from backends.transport import Transport
from faults.actions import Die, Raise, Signal
from faults.catalog import PointCatalog
from faults.errors import UnfiredFault
from faults.ledger import Ledger
from faults.live import LiveHost, LivePoints
from faults.plan import FaultPlan
from faults.rule import Fault
from faults.trace import Injection, TraceEntry
from faults.wrappers import FaultyClock, FaultyDisk, FaultyTransport, MuxPoint, leaking

__all__ = ["Injector"]


@cache
def _points_of(step: str) -> tuple[str, str]:
    """The points of a checkpoint, in order."""
    return f"signal.{step}", f"engine.{step}"


class Injector:
    """Counts, fires, remembers; `deliver` is called with the number of each signal that a `signal.` rule sends."""

    def __init__(
        self,
        plan: FaultPlan,
        *,
        clock: Clock,
        catalog: PointCatalog | None = None,
        exceptions: Mapping[str, Callable[[], BaseException]] = MappingProxyType({}),
        real_time: bool = False,
        live: LiveHost | None = None,
    ) -> None:
        """Carry out `plan`, which must fit `catalog` (`FaultPlanError` otherwise).

        Simulated waits are spent on `clock`, which must not be one that this injector gave out; on a clock that is not
        virtual, timeouts cost nothing unless `real_time`. `exceptions` make exceptions that the catalog does not know.
        `live` is the host of the server that `live.` rules are about; who gave it undoes what is still in force in the end.
        """
        self.plan = plan
        self.catalog = (catalog or PointCatalog()).knowing(exceptions)
        self.deliver: Callable[[int], None] | None = None
        self._ledger = Ledger(plan, clock, self.catalog, real_time)
        self._live = None if live is None else self._live_points(live)
        self._attached: list[tuple[TerminalMultiplexer, MuxPoint]] = []

    def mux_hook(self) -> Hook:
        """What stands below a multiplexer's guard; `attach` also shows the trace what the caller got to see."""
        return MuxPoint(self._ledger, self._live)

    def attach(self, multiplexer: TerminalMultiplexer) -> None:
        """Inject `mux.` faults into `multiplexer`, and trace every one of its calls, until `detach`."""
        if multiplexer.hook is not None:
            raise ValueError("this multiplexer has a hook already")
        point = MuxPoint(self._ledger, self._live)
        point.observe()
        multiplexer.hook = point
        multiplexer.observe(point.finished)
        self._attached.append((multiplexer, point))

    def detach(self, multiplexer: TerminalMultiplexer) -> None:
        """Undo `attach`; harmless where it was not attached."""
        for known, point in [pair for pair in self._attached if pair[0] is multiplexer]:
            known.hook = None
            known.unobserve(point.finished)
            self._attached.remove((known, point))

    def leaking(self, multiplexer: TerminalMultiplexer) -> TerminalMultiplexer:
        """`multiplexer` with the `leak.` points above its guard."""
        return leaking(multiplexer, self._ledger)

    def transport(self, inner: Transport) -> Transport:
        """`inner` with the `transport.` points around it."""
        return FaultyTransport(inner, self._ledger)

    def disk(self, inner: Disk) -> Disk:
        """`inner` with the `disk.` points around it, for the engine; agents, who outlive it, write on `inner` itself."""
        return FaultyDisk(inner, self._ledger)

    def clock(self, inner: Clock) -> Clock:
        """`inner` with the `clock.tick` point at every wait."""
        return FaultyClock(inner, self._ledger)

    def checkpoint(self, step: str) -> None:
        """Reach `signal.<step>` and then `engine.<step>`: signals are delivered, exceptions raised."""
        ledger, (signal_point, engine_point) = self._ledger, _points_of(step)
        if not ledger.passes(signal_point):
            with ledger.reach(signal_point, quiet=True) as reached:
                if isinstance(reached.action, Signal):
                    self._send(reached.action)
                    reached.outcome = "delivered"
        entry = ledger.passing(engine_point)
        if entry is not None:
            entry.outcome = "passed"
            return
        with ledger.reach(engine_point) as reached:
            if isinstance(reached.action, Raise | Die):
                raise ledger.failure(reached, reached.action)
            reached.outcome = "passed"

    def agent(self, event: str, **about: object) -> Injection | None:
        """Reach `agent.<event>`: what shall happen to the agent there, if anything.

        `about` is what rules may filter by: `task` and `attempt`. An agent is a process of its own: it goes on when the engine
        has died.
        """
        shown = ", ".join(f"{name}={value}" for name, value in about.items())
        with self._ledger.reach(f"agent.{event}", shown, lambda: about, outlives=True) as reached:
            if isinstance(reached.action, Raise):
                raise self._ledger.failure(reached, reached.action)
            reached.outcome = "passed" if reached.injection is None else "occurs"
            return reached.injection

    @property
    def dead(self) -> bool:
        """Whether a `die` has fired: every wrapper and checkpoint raises `SimulatedDeath` from then on."""
        return self._ledger.dead

    @property
    def reached(self) -> Counter[str]:
        """How often each point was reached."""
        return self._ledger.reached

    @property
    def injections(self) -> list[Injection]:
        """The faults that fired, in order."""
        return self._ledger.injections

    @property
    def trace(self) -> list[TraceEntry]:
        """Everything that happened at the points, in order of its beginning."""
        return self._ledger.trace

    def trace_text(self) -> str:
        """The trace, a line an entry: the same, byte for byte, for the same plan and seed."""
        return "".join(f"{entry}\n" for entry in self.trace)

    def unfired(self) -> list[Fault]:
        """The faults of the plan that never happened."""
        return self._ledger.unfired()

    def verify_fired(self) -> None:
        """Raise `UnfiredFault`, with the points that were reached, unless every fault of the plan happened."""
        unfired = self.unfired()
        if not unfired:
            return
        rules = "\n".join(f"  {fault}" for fault in unfired)
        reached = "\n".join(f"  {count:>6}  {point}" for point, count in sorted(self.reached.items()))
        raise UnfiredFault(f"never fired:\n{rules}\npoints that were reached:\n{reached or '  none'}")

    def _live_points(self, host: LiveHost) -> LivePoints | None:
        planned = {point for fault in self.plan.faults for point in self.catalog.matching(fault)}
        points = tuple(point for point in self.catalog.points() if point in planned and point.startswith("live."))
        return LivePoints(self._ledger, host, points) if points else None

    def _send(self, action: Signal) -> None:
        if self.deliver is None:
            raise RuntimeError(f"{action} has nobody to go to: set `deliver`")
        self.deliver(signal.Signals[action.name].value)
