"""Stories by name: short runs that together pass everything the engine does, to be told under any fault plan.

A story makes no claim of its own. What must hold is what the oracles say, whatever goes wrong.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from backends.processes import Completed
from backends.simulated_processes import SimulatedProcessTable
from faults.errors import FaultPlanError, nearest_name
from faults.plan import FaultPlan
from harness.agents import ScriptedAgent, TaskStory, completes, dies, exits, stalls, stops, task, works, writes_result
from harness.engine.plan import PlanError, RunPlan
from harness.record import describe
from harness.story_error import StoryError

if TYPE_CHECKING:
    # A story is told by whoever has a stage for it; what it consists of is known without.
    from harness.report import Report
    from harness.runner import Stage

__all__ = ["CORE", "MOST_RESUMES", "STORIES", "Story", "StoryError", "UnknownStory", "story_of"]


LIMITS: Mapping[str, float] = MappingProxyType({"session_timeout_s": 24.0, "call_timeout_s": 5.0})
"""Of a story that does not say so: half a session outlasts two calls, and little is waited for where nobody answers."""


def _nothing(stage: Stage) -> None:
    return None


@dataclass(frozen=True, eq=False)
class Story:
    """A run of `tasks` with `settings` of `RunPlan`, that faults can be put into.

    With `earlier` it is the resume of a run that was carried out before under that fault plan. `meanwhile` is told the stage
    just before the run begins, and may let something happen to the world later (`Stage.at`). `timed` says that what this comes
    to depends on how far the run is by then: kept waiting, it is another story.
    """

    name: str
    about: str
    tasks: tuple[TaskStory, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    earlier: str | None = None
    meanwhile: Callable[[Stage], None] = _nothing
    timed: bool = False

    def tell(self, stage: Stage, faults: FaultPlan, **options: Any) -> Report:
        """The report of the run under `faults`; `options` are those of `Stage.run`, for every run of the story.

        Raises `StoryError` for settings, tasks or an earlier plan that cannot be carried out, and whatever `meanwhile` raises.
        """
        plan = self._plan(stage)
        if self.earlier is None:
            self._meanwhile(stage)
            return stage.run(plan, faults=faults, **options)
        stage.run(plan, faults=self._earlier(stage, self.earlier), **options)
        self._meanwhile(stage)
        return stage.resume(faults=faults, **options)

    def _plan(self, stage: Stage) -> RunPlan:
        known = [one.name for one in fields(RunPlan) if one.name not in ("tasks", "agent")] + ["agent"]
        for name in self.settings:
            if name not in known:
                near = nearest_name(name[:80], known)
                raise StoryError(self.name, f"settings: unknown name {name!r:.80}; the nearest valid name is {near!r}")
        try:
            return stage.plan(*self.tasks, **{**LIMITS, **self.settings})
        except (TypeError, ValueError, AttributeError) as wrong:
            raise StoryError(self.name, str(wrong) if isinstance(wrong, PlanError) else describe(wrong)) from wrong

    def _earlier(self, stage: Stage, text: str) -> FaultPlan:
        try:
            return stage.fault_plan(text)
        except FaultPlanError as wrong:
            raise StoryError(self.name, f"earlier: {wrong}") from wrong

    def _meanwhile(self, stage: Stage) -> None:
        try:
            self.meanwhile(stage)
        except Exception as raised:
            raise StoryError(self.name, f"its meanwhile raised {describe(raised)}") from raised


class UnknownStory(LookupError):
    """There is no such story; the message names the nearest."""


def story_of(name: str) -> Story:
    """The story of that name: one of `STORIES`, or `module:attribute` of somebody's own, which is imported: its code is run.

    Raises `UnknownStory`, whatever importing somebody's module raises.
    """
    if name in STORIES:
        return STORIES[name]
    if ":" not in name:
        near = nearest_name(name, STORIES)
        raise UnknownStory(f"unknown scenario {name!r:.80}; the nearest valid name is {near!r}")
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise UnknownStory(f"{name!r:.80} cannot be imported: {describe(error)}") from error
    if not isinstance(found, Story):
        raise UnknownStory(f"{name!r:.80} is no Story but {type(found).__name__}")
    return found


def _freezes(after_s: float, for_s: float) -> Callable[[Stage], None]:
    def meanwhile(stage: Stage) -> None:
        stage.at(after_s, stage.world.freeze)
        stage.at(after_s + for_s, stage.world.thaw)

    return meanwhile


def _loses_its_server(after_s: float) -> Callable[[Stage], None]:
    return lambda stage: stage.at(after_s, stage.world.kill_server)


def _check_fails_once(stage: Stage) -> None:
    statuses = iter((1,))

    def check(argv: Sequence[str]) -> Completed:
        return Completed(tuple(argv), next(statuses, 0), b"", b"")

    processes = stage.world.processes
    if not isinstance(processes, SimulatedProcessTable):
        raise TypeError("this story needs a simulated host, where a command can be made to fail once")
    processes.commands["check"] = check
    processes.lasting["check"] = 2.0


_DONE = works(1).then_completes()
_ANSWERS = writes_result().then_stops().then_idles()
_WORKS_AND_ANSWERS = works(1).then_writes_result().then_stops().then_idles()
_QUICK: Mapping[str, Any] = MappingProxyType({"result_grace_s": 1, "stall_grace_s": 3, "nudges": 1})

STORIES: Mapping[str, Story] = MappingProxyType(
    {
        story.name: story
        for story in (
            Story("completes", "one task is done", (task("1-1", agent=_DONE),)),
            Story(
                "verified",
                "one task is done and verified, and a command is run after it",
                (task("1-1", agent=completes(), verify=["true"]),),
                {"post_run": ("true",)},
            ),
            Story(
                "nudged",
                "an agent ends its turn without a result, and writes it when it is asked to",
                (task("1-1", agent=stops().then_idles().on_nudge(_WORKS_AND_ANSWERS)),),
                {"result_grace_s": 0.5},
            ),
            Story(
                "woken",
                "an agent falls silent after a turn that failed, and goes on when it is woken",
                (task("1-1", agent=works(1).then_fails_turn().then_idles().on_nudge(_ANSWERS)),),
                _QUICK,
            ),
            Story(
                "asked",
                "an agent asks a person, and goes on once that is decided",
                (task("1-1", agent=works(1).then_waits("permission to write", 2).then_completes()),),
                {"notify": ("true",)},
            ),
            Story(
                "retried",
                "the first agent dies, the second completes",
                (task("1-1", agent=dies(code=3).attempts(dies(code=3), completes())),),
            ),
            Story(
                "mended",
                "the first result does not pass its check, the second agent is told so and does",
                (task("1-1", agent=completes(), verify=["check"]),),
                meanwhile=_check_fails_once,
            ),
            Story(
                "deferred",
                "a task is deferred, and taken up again by a nested run",
                (task("1-1", agent=dies(signal="SIGSEGV"), verify=["true"]),),
                {"max_attempts": 1},
            ),
            Story(
                "needed",
                "a task needs one that is deferred, a third one needs neither",
                (
                    task("1-1", agent=exits(1)),
                    task("1-2", agent=completes(), needs=["1-1"]),
                    task("1-3", agent=completes()),
                ),
                {"max_attempts": 1, "retry_deferred": "never"},
            ),
            Story(
                "parallel",
                "two agents are at work at the same time",
                (task("1-1", agent=works(2).then_completes()), task("1-2", agent=completes())),
                {"max_parallel": 2},
            ),
            Story(
                "in-order",
                "three tasks, one after the other",
                tuple(task(key, agent=completes()) for key in ("1-1", "1-2", "1-3")),
            ),
            Story(
                "turn",
                "the end of the turn is the end of the task",
                (task("1-1", agent=works(1).then_stops().then_idles()),),
                {"completion": "turn"},
            ),
            Story(
                "paused", "a task has to be approved before it is begun", (task("1-1", agent=_DONE, gate="approval"),)
            ),
            Story(
                "approved",
                "the resume of a run that waited for approval",
                (task("1-1", agent=completes(), gate="approval"),),
                earlier="",
            ),
            Story(
                "stalled",
                "an agent ends its turn and does not react any more, twice",
                (task("1-1", agent=works(1).then_stops().then_stalls()),),
                {**_QUICK, "retry_deferred": "never"},
            ),
            Story(
                "timed-out",
                "an agent never comes to an end",
                (task("1-1", agent=stalls()),),
                {"session_timeout_s": 5, "max_attempts": 1, "retry_deferred": "never", "call_timeout_s": 2},
            ),
            Story(
                "frozen",
                "the multiplexer does not answer for a while",
                (task("1-1", agent=works(3).then_completes()),),
                {"session_timeout_s": 60},
                meanwhile=_freezes(2, 20),
            ),
            Story(
                "server-lost",
                "the multiplexer's server is killed, with everything in it",
                (task("1-1", agent=works(3).then_completes()),),
                meanwhile=_loses_its_server(2),
                # A run that is kept waiting for its session has nothing to lose by then.
                timed=True,
            ),
            Story(
                "after-a-crash",
                "the resume of a run that crashed with an agent at work",
                (task("1-1", agent=_DONE), task("1-2", agent=completes())),
                earlier="engine.decide=1*raise(RuntimeError)",
            ),
            Story(
                "after-a-kill",
                "the resume of a run whose engine was killed with an agent at work",
                (task("1-1", agent=ScriptedAgent.attempts(stalls(), completes())),),
                earlier="engine.decide=1*pass->1*die",
            ),
            Story(
                "after-a-stop",
                "the resume of a run that was stopped",
                (task("1-1", agent=_DONE),),
                earlier="signal.decide=1*signal(SIGTERM)",
            ),
            Story(
                "stopped",
                "somebody stops the run while an agent is at work",
                (task("1-1", agent=works(60).then_completes()),),
                meanwhile=lambda stage: stage.stop_at(2.5, 15),
                # A stop waits for nobody: what a silent multiplexer holds on to is ended by the resume.
                timed=True,
            ),
        )
    }
)
"""Every story by its name."""

MOST_RESUMES = 10
"""How often a run may be resumed until it has to be finished: every story pauses less often than that."""

CORE = ("completes", "nudged", "after-a-kill")
"""The stories whose pairs of faults are tried exhaustively: a session's whole life, typing, and taking over."""
