"""What came of one run under one fault plan, as far as those who search through plans need to know.

Whoever can run something under a plan and judge it offers that as a `Run`; nothing here knows what is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from faults.errors import shortened
from faults.plan import FaultPlan
from faults.rule import Fault
from faults.trace import Injection

__all__ = ["Run", "Verdict", "counted"]


_TOLD = 10
"""Problems that a verdict names as text; it has all of them."""


def counted(number: int, noun: str) -> str:
    """So many of them, in words: `1 plan`, `2 plans`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


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

    def __str__(self) -> str:
        faults = f"under `{shortened(self.plan.to_text())}`" if self.plan.faults else "without faults"
        said = [counted(len(self.injections), "injection")] if self.plan.faults else []
        said += [f"{counted(len(self.unfired), 'fault')} never fired"] if self.unfired else []
        said += ["every oracle holds"] if self.held else []
        lines = [f"{self.outcome} {faults}, seed {self.plan.seed}: {', '.join(said)}".removesuffix(": ")]
        lines += [shortened(problem) for problem in self.problems[:_TOLD]]
        more = len(self.problems) - _TOLD
        return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


Run = Callable[[FaultPlan], Verdict]
"""Runs something under a plan, from the beginning, and judges it: the same plan gives the same verdict."""
