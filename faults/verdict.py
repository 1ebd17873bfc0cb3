"""What came of one run under one fault plan, as far as those who search through plans need to know.

Whoever can run something under a plan and judge it offers that as a `Run`; nothing here knows what is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from faults.plan import FaultPlan
from faults.rule import Fault
from faults.trace import Injection

__all__ = ["Run", "Verdict"]


def _nothing_more() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run under `plan`.

    `outcome` is one word for how it ended. `problems` are what does not hold, each as `oracle-id: sentence`. `reached`
    counts the calls at every point, `callers` says from where each was called. `explain()` tells at length what happened.
    """

    plan: FaultPlan
    outcome: str
    problems: tuple[str, ...] = ()
    injections: tuple[Injection, ...] = ()
    unfired: tuple[Fault, ...] = ()
    reached: Mapping[str, int] = field(default_factory=dict)
    callers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    explain: Callable[[], str] = field(default=_nothing_more, compare=False, repr=False)

    @property
    def held(self) -> bool:
        """Whether everything that must hold does."""
        return not self.problems

    @property
    def fired(self) -> bool:
        """Whether every fault of the plan happened."""
        return not self.unfired

    @property
    def oracles(self) -> tuple[str, ...]:
        """The ids of the oracles that do not hold, each once, in order."""
        return tuple(dict.fromkeys(problem.partition(":")[0] for problem in self.problems))


Run = Callable[[FaultPlan], Verdict]
"""Runs something under a plan, from the beginning, and judges it: the same plan gives the same verdict."""
