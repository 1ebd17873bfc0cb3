"""Stories that broken engines tell, for commands that have to find out; and one thing that is no story."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from broken_engines import LeavesItsSession, ReadsUnknownAsDead, SaysFinished, TypesAgain

from faults.plan import FaultPlan
from harness.agents import completes, task, works
from harness.engine.engine import Engine
from harness.report import Report
from harness.runner import Stage
from harness.stories import Story

__all__ = ["BLIND", "BOASTING", "FORGETFUL", "MESSY", "NO_STORY", "STOPPED_LATER", "STUTTERING"]

NO_STORY = 1


@dataclass(frozen=True, eq=False)
class _Mistold(Story):
    """A story whose runs are those of a broken engine."""

    engine: type[Engine] = Engine

    def tell(self, stage: Stage, faults: FaultPlan, **options: Any) -> Report:
        """See `Story.tell`."""
        return super().tell(stage, faults, make=self.engine, **options)


class _Forgetful(Story):
    """A story that takes no faults along until it is too late for them."""

    def tell(self, stage: Stage, faults: FaultPlan, **options: Any) -> Report:
        """See `Story.tell`."""
        late = FaultPlan.parse("clock.tick=99*pass->1*jump(1)")
        return super().tell(stage, late if faults.faults else faults, **options)


class _StoppedLater(_Mistold):
    """A story in the middle of which somebody stops the process that tells it, as soon as agents stall for good."""

    def tell(self, stage: Stage, faults: FaultPlan, **options: Any) -> Report:
        """See `Story.tell`."""
        if faults.to_text() == "agent.stall=occur":
            signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)  # type: ignore[operator, misc]  # the handler at hand
        return super().tell(stage, faults, **options)


_TASK = (task("1-1", agent=completes()),)

BOASTING = _Mistold("boasting", "a crash that is not owned up to", _TASK, engine=SaysFinished)
MESSY = _Mistold("messy", "a session is left behind, whatever happens", _TASK, engine=LeavesItsSession)
BLIND = _Mistold(
    "blind",
    "an unanswered listing is taken for an empty one",
    (task("1-1", agent=works(9).then_completes()),),
    engine=ReadsUnknownAsDead,
)
FORGETFUL = _Forgetful("forgetful", "nothing goes wrong, whatever is planned", _TASK)
_SHORT = {"result_grace_s": 1, "stall_grace_s": 3}
STUTTERING = _Mistold("stuttering", "whatever is typed is typed twice", _TASK, _SHORT, engine=TypesAgain)
STOPPED_LATER = _StoppedLater("stopped-later", "the same, and somebody stops it", _TASK, _SHORT, engine=TypesAgain)
