"""Something small to put faults into: a machine that passes its points in order, and breaks as it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backends.clock import VirtualClock
from faults import FaultPlan, Injection, PointCatalog, Verdict
from faults.actions import Die, Raise
from faults.catalog import LAYERS
from faults.ledger import Ledger

STEPS = ("boot", "work", "end")
CATALOG = PointCatalog(STEPS, supports=LAYERS)
SCRIPT = (
    *("engine.boot", "disk.write:state", "mux.new_window"),
    *("engine.work", "clock.tick", "mux.window_alive", "disk.write:state"),
    *("engine.work", "clock.tick", "mux.window_alive", "agent.stall", "engine.end"),
)

Judge = Callable[[tuple[Injection, ...]], Sequence[str]]
"""What does not hold, given what has happened."""


def content(injections: tuple[Injection, ...]) -> Sequence[str]:
    """Whatever happens, all is well."""
    return ()


def breaks_at(*points: str, oracle: str = "whole") -> Judge:
    """Something is wrong if a fault has happened at every one of these points."""
    return lambda happened: [f"{oracle}: it broke"] if {one.point for one in happened}.issuperset(points) else []


@dataclass
class Machine:
    """Runs a script of points under a plan, and remembers the plans; an exception or a death ends it."""

    judge: Judge = content
    script: Sequence[str] = SCRIPT
    plans: list[FaultPlan] = field(default_factory=list)

    def __call__(self, plan: FaultPlan) -> Verdict:
        """The verdict on a run under `plan`."""
        self.plans.append(plan)
        ledger = Ledger(plan, VirtualClock(), CATALOG, False)
        outcome = "whole"
        for point in self.script:
            with ledger.reach(point, arguments=lambda: {"seconds": 1.0}) as reached:
                if isinstance(reached.action, Raise | Die):
                    outcome = "broken"
                    break
        happened = tuple(ledger.injections)
        return Verdict(
            plan=plan,
            outcome=outcome,
            problems=tuple(self.judge(happened)),
            injections=happened,
            unfired=tuple(ledger.unfired()),
            reached=dict(ledger.reached),
        )
