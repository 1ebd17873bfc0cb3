"""What is wrong on purpose, as data: the oracle that each was built for, and where a fault is looked for that shows it.

The list is conformance.md's, and more. What no oracle of the engine can notice names the check of a backend that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import broken_backends as backends
import broken_engines as engines

from backends.base import TerminalMultiplexer
from backends.tmux import TmuxMultiplexer
from faults.matrix import Calls, cells
from faults.plan import FaultPlan
from faults.verdict import Run, Verdict
from harness.agents import task, works
from harness.engine.engine import Engine
from harness.runner import Stage, catalog_of
from harness.stories import STORIES, Story
from harness.trials import run_of
from harness.world import WORLDS, FakeWorld


def _with_a_neighbour(stage: Stage) -> None:
    stage.at(0.5, lambda: stage.world.multiplexer().new_session("run-1-younger", "/sim"))


def _without_a_namesake(stage: Stage) -> None:
    assert isinstance(stage.world, FakeWorld)
    stage.world.server.missing_dirs.add("/sim/tasks")


_DONE = task("1-1", agent=works(1).then_completes())
_NEIGHBOURS = Story("neighbours", "the name of another session begins as ours", (_DONE,), meanwhile=_with_a_neighbour)
_SEMICOLON = Story(
    "semicolon",
    "the project's directory ends in `;`",
    (_DONE,),
    {"project": "/sim/tasks;"},
    meanwhile=_without_a_namesake,
)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Something that is wrong in one way, which `oracle` has to notice when `story` is told.

    `options` are those of a run with the broken engine or dashboard; `backend` is the broken backend. What shows the mistake
    is looked for without any fault first, and then among the `faults`, globs of their texts.
    """

    oracle: str
    story: Story
    faults: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    backend: type[TerminalMultiplexer] | None = None

    @property
    def world(self) -> str:
        """The name of the world that the story is told in."""
        return "simulated-tmux" if self.backend is not None and issubclass(self.backend, TmuxMultiplexer) else "fake"

    def run(self) -> Run:
        """The story with what is broken."""
        make_world = None if self.backend is None else backends.world_with(self.backend)
        return run_of(self.story, backend=self.world, make_world=make_world, **self.options)

    def honest(self) -> Run:
        """The story with everything as it should be."""
        return run_of(self.story, backend=self.world)

    def tells(self, verdict: Verdict) -> bool:
        """Whether the oracle does not hold."""
        return self.oracle in verdict.oracles or (self.oracle == "fired" and not verdict.fired)

    def found(self) -> Verdict | None:
        """The first verdict in which the oracle tells; `None` if there is none."""
        run = self.run()
        return next(filter(self.tells, map(run, self._plans())), None)

    def _plans(self) -> Iterator[FaultPlan]:
        faultless = self.honest()(FaultPlan())
        yield faultless.plan
        for cell in cells(faultless.reached, catalog_of(WORLDS[self.world]), calls=Calls.ENDS):
            if any(fnmatchcase(str(cell.fault), glob) for glob in self.faults):
                yield cell.plan()


def _engine(oracle: str, make: Callable[..., Engine], story: str, *faults: str) -> Broken:
    return Broken(oracle=oracle, story=STORIES[story], faults=faults, options=MappingProxyType({"make": make}))


def _backend(oracle: str, kind: type[TerminalMultiplexer], story: str | Story, *faults: str) -> Broken:
    told = STORIES[story] if isinstance(story, str) else story
    return Broken(oracle=oracle, story=told, faults=faults, backend=kind)


_DASHBOARD = Broken(
    oracle="honest-status",
    story=STORIES["completes"],
    faults=("engine.decide=*",),
    options=MappingProxyType({"head": engines.attaches_to_all}),
)

BROKEN_ENGINES: Mapping[str, Broken] = MappingProxyType(
    {
        "reads-unknown-as-dead": _engine(
            "no-false-crash", engines.ReadsUnknownAsDead, "completes", "mux.list_window_ids=*"
        ),
        "loses-the-crash": _engine("crash-recorded", engines.LosesTheCrash, "completes", "engine.*"),
        "finished-masks-crashed": _engine(
            "honest-status", engines.FinishedMasksCrashed, "completes", "engine.complete=*"
        ),
        "swallows-the-nested-stop": _engine(
            "honest-nested", engines.SwallowsNestedStops, "deferred", "signal.prompt=*"
        ),
        "swallows-nested-failures": _engine(
            "honest-nested", engines.SwallowsNestedFailures, "deferred", "engine.prompt=*"
        ),
        "tears-down-before-recording": _engine(
            "crash-recorded", engines.RecordsTooLate, "completes", "engine.decide=*"
        ),
        "retries-blindly": _engine("single-agent", engines.RetriesBlindly, "completes", "mux.new_window=*"),
        "attaches-to-the-crashed": _DASHBOARD,
        "resumes-finished-tasks": _engine("resumable", engines.RepeatsFinishedTasks, "in-order", "engine.complete=*"),
        "fails-on-silence": _engine("unharmed", engines.FailsOnSilence, "completes", "mux.list_window_ids=*"),
        "says-finished": _engine("honest-status", engines.SaysFinished, "completes", "engine.*"),
        "pauses-when-stopped": _engine("honest-status", engines.PausesWhenStopped, "completes", "signal.*"),
        "lets-failures-out": _engine("no-escape", engines.LetsFailuresOut, "completes", "engine.*"),
        "ignores-its-deadline": _engine("bounded", engines.IgnoresItsDeadline, "timed-out"),
        "takes-its-time": _engine("bounded", engines.TakesItsTime, "completes"),
        "lingers-at-the-end": _engine("bounded", engines.LingersAtTheEnd, "completes", "engine.decide=*"),
        "dawdles-when-stopped": _engine("bounded", engines.DawdlesWhenStopped, "stopped"),
        "never-gives-up-cleaning": _engine(
            "bounded", engines.NeverGivesUpCleaning, "timed-out", "mux.kill_session=*timeout"
        ),
        "types-again": _engine("single-agent", engines.TypesAgain, "nudged"),
        "nags-its-agents": _engine("single-agent", engines.NagsItsAgents, "stalled"),
        "never-asks-to-end": _engine("no-leftovers", engines.NeverAsksToEnd, "completes", "engine.decide=*"),
        "leaves-its-session": _engine("no-leftovers", engines.LeavesItsSession, "completes"),
        "leaves-garbage": _engine("readable", engines.LeavesGarbage, "completes"),
        "skips-its-steps": _engine("fired", engines.SkipsItsSteps, "completes", "engine.*"),
    }
)
"""Engines, and a dashboard."""

BROKEN_BACKENDS: Mapping[str, Broken] = MappingProxyType(
    {
        "leaks-timeouts": _backend("seam-honest", backends.LeaksTimeouts, "completes", "mux.list_window_ids=*"),
        "leaks-os-errors": _backend("seam-honest", backends.LeaksOsErrors, "completes", "mux.list_window_ids=*"),
        "leaks-decoding-errors": _backend(
            "seam-honest", backends.LeaksDecodingErrors, "completes", "mux.list_window_ids=*undecodable"
        ),
        "leaks-raw-errors": _backend("seam-honest", backends.LeaksRawErrors, "completes"),
        "takes-silence-for-death": _backend(
            "no-false-crash", backends.TakesSilenceForDeath, "completes", "mux.list_window_ids=*oserror*"
        ),
        "takes-any-failure-for-death": _backend(
            "no-false-crash", backends.TakesAnyFailureForDeath, "completes", "transport.list-windows=*exit*"
        ),
        "matches-prefixes": _backend("unharmed", backends.MatchesPrefixes, _NEIGHBOURS),
        "loses-the-id": _backend("unharmed", backends.LosesTheId, "completes"),
        "swallows-failed-kills": _backend(
            "no-leftovers", backends.SwallowsFailedKills, "timed-out", "transport.kill-session=*empty"
        ),
        "drops-the-semicolon": _backend("unharmed", backends.DropsTheSemicolon, _SEMICOLON),
        "types-nothing": _backend("unharmed", backends.TypesNothing, "nudged"),
        "only-says-it-kills": _backend("no-leftovers", backends.OnlySaysItKills, "completes"),
        "loses-the-environment": _backend("unharmed", backends.LosesTheEnvironment, "completes"),
        "answers-nothing": _backend("unharmed", backends.AnswersNothing, "completes", "mux.list_window_ids=*"),
        "retries-timed-out-changes": _backend(
            "single-agent", backends.RetriesTimedOutChanges, "completes", "mux.new_window=*"
        ),
        "opens-twice": _backend("single-agent", backends.RetriesBlindly, "completes"),
        "types-twice": _backend("single-agent", backends.TypesTwice, "nudged"),
    }
)
"""Backends, in simulated worlds."""

LEFT_TO_CHECKS: Mapping[str, tuple[type[TerminalMultiplexer], str]] = MappingProxyType(
    {
        "calls-itself-psmux": (
            backends.CallsItselfPsmux,
            "L0: the version line must name the binary that was asked; to the engine it is text like any other",
        ),
    }
)
"""Backends with which every run goes well: what they do wrong is asked for by a check of the conformance kit alone."""

BROKEN: Mapping[str, Broken] = MappingProxyType({**BROKEN_ENGINES, **BROKEN_BACKENDS})
