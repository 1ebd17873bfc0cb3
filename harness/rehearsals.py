"""Short runs that together pass every step of the engine, so that something can be made to happen at each of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness.agents import TaskStory, completes, dies, stops, task, works
from harness.engine.engine import Engine
from harness.engine.summary import RunSummary
from harness.report import Report
from harness.runner import Stage

__all__ = ["RESUMED", "Nesting", "deferring", "gated", "nudged", "off_the_main_thread", "rehearse", "whole"]

RESUMED = ("load", "reconcile")
"""Steps that only the resume of a run passes."""


def whole() -> tuple[TaskStory, dict[str, Any]]:
    """One task that is done and verified, and a command after it; with the settings of its run."""
    return task("1-1", agent=completes(), verify=["true"]), {"post_run": ["true"]}


def nudged() -> tuple[TaskStory, dict[str, Any]]:
    """An agent that ends its turn without a result, and writes it when it is asked to."""
    answer = works(1).then_writes_result().then_stops().then_idles()
    return task("1-1", agent=stops().then_idles().on_nudge(answer)), {"result_grace_s": 0.5}


def deferring() -> tuple[TaskStory, dict[str, Any]]:
    """A task that is deferred and taken up again by a nested run, where its agent is at work long enough to be met."""
    return task("1-1", agent=dies(), verify=["true"]), {"max_attempts": 1}


def gated() -> tuple[TaskStory, dict[str, Any]]:
    """A task that has to be approved before it is begun."""
    return task("1-1", agent=works(1).then_completes(), gate="approval"), {}


_BY_STEP = {"nudge": nudged, "nested": deferring, "pause": gated}


def rehearse(stage: Stage, step: str, faults: str = "", **options: Any) -> Report:
    """The report of a run that passes `step`, under `faults`; `options` are settings of the plan or of `Stage.run`.

    For a step of `RESUMED` it is the report of the resume, of a run that was paused before without faults.
    """
    if step not in RESUMED:
        story, settings = _BY_STEP.get(step, whole)()
        return stage(story, faults=faults, **settings, **options)
    story, settings = gated()
    stage(story, faults="", **settings)
    return stage.resume(faults=faults, **options)


class Nesting:
    """A checkpoint at which every run, once its tasks are over, carries out one more run inside it, `depth` deep."""

    def __init__(self, stage: Stage, depth: int) -> None:
        self._stage = stage
        self._depth = depth
        self._runs: list[Engine] = []

    def __call__(self, step: str) -> None:
        """Pass `step`."""
        if step != "clean-up" or len(self._runs) > self._depth:
            return
        if not self._runs:
            assert self._stage.engine is not None
            self._runs.append(self._stage.engine)
        if len(self._runs) <= self._depth:
            outer = self._runs[-1]
            self._runs.append(outer.nest(outer.plan))
            outer.run_nested(self._runs[-1])


def off_the_main_thread(engine: Engine) -> RunSummary:
    """Run `engine` in a thread of its own, to its end; for `Stage.run(drive=...)`."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(engine.run).result()
