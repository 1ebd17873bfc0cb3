"""Stories that broken engines tell, for commands that have to find out; and one thing that is no story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broken_engines import LeavesItsSession, ReadsUnknownAsDead, SaysFinished, TypesAgain

from faults.plan import FaultPlan
from harness.agents import completes, task, works
from harness.engine.engine import Engine
from harness.report import Report
from harness.runner import Stage
from harness.stories import Story

__all__ = ["BLIND", "BOASTING", "MESSY", "NO_STORY", "STUTTERING"]

NO_STORY = 1


@dataclass(frozen=True, eq=False)
class _Mistold(Story):
    """A story whose runs are those of a broken engine."""

    engine: type[Engine] = Engine

    def tell(self, stage: Stage, faults: FaultPlan, **options: Any) -> Report:
        """See `Story.tell`."""
        return super().tell(stage, faults, make=self.engine, **options)


_TASK = (task("1-1", agent=completes()),)

BOASTING = _Mistold("boasting", "a crash that is not owned up to", _TASK, engine=SaysFinished)
MESSY = _Mistold("messy", "a session is left behind, whatever happens", _TASK, engine=LeavesItsSession)
BLIND = _Mistold(
    "blind",
    "an unanswered listing is taken for an empty one",
    (task("1-1", agent=works(9).then_completes()),),
    engine=ReadsUnknownAsDead,
)
STUTTERING = _Mistold(
    "stuttering",
    "whatever is typed is typed twice",
    _TASK,
    {"result_grace_s": 1, "stall_grace_s": 3},
    engine=TypesAgain,
)
