"""Stories that cannot be told as they are written: each is somebody's mistake, and none of ours."""

from __future__ import annotations

from harness.agents import completes, task
from harness.runner import Stage
from harness.stories import Story

__all__ = ["EARLIER", "MISSPELT", "NEGATIVE", "RAISING", "TASKLESS"]


def _raising(stage: Stage) -> None:
    raise ZeroDivisionError("by nothing")


_TASK = (task("1-1", agent=completes()),)

MISSPELT = Story("mine", "a setting is misspelt", _TASK, {"sesion_timeout_s": 3})
NEGATIVE = Story("mine", "a setting cannot be", _TASK, {"session_timeout_s": -3})
RAISING = Story("mine", "what is to happen meanwhile is broken", _TASK, meanwhile=_raising)
EARLIER = Story("mine", "what happened before is misspelt", _TASK, earlier="new_windw=timeout")
TASKLESS = Story("mine", "nothing is to be done", ())
