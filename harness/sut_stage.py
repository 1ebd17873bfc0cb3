"""Runs somebody's orchestrator in a world under a fault plan, and judges it by what anybody could see.

The oracles here know nothing of the orchestrator but its `Outcome`: they look at what the agents wrote down about
themselves, at what is left on the host, and at what its files say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.clock import VirtualClock
from backends.errors import MultiplexerError
from faults.catalog import PointCatalog
from faults.injector import Injector
from faults.plan import FaultPlan
from faults.rule import Fault
from faults.trace import Injection
from harness.agents import TaskStory, plan_of
from harness.engine.core import STEPS
from harness.engine.plan import RunPlan, TaskPlan
from harness.oracles import OracleViolation
from harness.record import RunStatus
from harness.sut import Ability, Factory, Handle, Host, Outcome
from harness.world import World

__all__ = ["LAYERS_OF_SYSTEMS", "SutReport", "SutStage", "sut_violations", "systems_catalog"]

LAYERS_OF_SYSTEMS = frozenset({"mux", "leak", "transport", "clock", "agent", "live"})
"""The layers of faults that reach any orchestrator: its steps, its files and its signals are its own."""


def systems_catalog(world: type[World] | World) -> PointCatalog:
    """The failpoints that a run of somebody's orchestrator can reach in that kind of world."""
    return PointCatalog(STEPS, supports=LAYERS_OF_SYSTEMS & world.layers, live_events=world.live_events())


@dataclass(frozen=True)
class SutReport:
    """What came of one run.

    `outcome` is what `wait` answered, `None` where it `raised`; `recorded` is what the files say afterwards. `ledger` is what
    every agent of the run, and of the one that it resumes, wrote down about itself; `alive` has the tokens of those that live
    on. `leftovers` is `None` where the multiplexer does not answer. Times are seconds of the world's clock.
    """

    plan: RunPlan
    faults: FaultPlan
    outcome: Outcome | None
    recorded: Outcome
    raised: BaseException | None
    ledger: Sequence[Mapping[str, Any]]
    leftovers: Sequence[str] | None
    alive: frozenset[str]
    injections: Sequence[Injection]
    unfired: Sequence[Fault]
    trace: str
    elapsed_s: float

    def launches(self, key: str) -> list[str]:
        """What the files say came of each launch of the task."""
        task = self.recorded.tasks.get(key)
        return [] if task is None else list(task.launches)

    def agents(self, key: str) -> list[str]:
        """The tokens of the agents that were started for the task, in order: what really happened."""
        return [str(one["token"]) for one in self.ledger if one["what"] == "start" and one["task"] == key]

    def explain(self) -> str:
        """What a person needs to see why."""
        raised = "" if self.raised is None else f"\nraised: {type(self.raised).__name__}: {self.raised}"
        agents = "".join(f"\n  {one['what']} {one['task']} {str(one['token'])[:8]}" for one in self.ledger)
        calls = "".join(f"\n{line}" for line in self.trace.splitlines()[-40:])
        return f"recorded: {self.recorded}{raised}\nwhat the agents wrote down:{agents}\ntrace (newest last):{calls}"


def sut_violations(report: SutReport) -> list[str]:
    """What does not hold of a run that must hold whatever the orchestrator is; `oracle: what happened` each."""
    found = [f"fired: {fault} never happened" for fault in report.unfired]
    found += _recorded(report)
    found += _one_agent(report)
    if report.recorded.status in _TORN_DOWN and report.leftovers:
        found.append(f"no-leftovers: {', '.join(report.leftovers)} after the run has ended")
    return found


_TORN_DOWN = (RunStatus.FINISHED, RunStatus.CRASHED, RunStatus.STOPPED)
_ENDED = (*_TORN_DOWN, RunStatus.PAUSED)


def _recorded(report: SutReport) -> Iterator[str]:
    said, raised = report.recorded, report.raised
    if raised is not None:
        yield f"no-escape: {type(raised).__name__} came out of the run"
    if said.status not in _ENDED:
        yield f"honest-status: the run is over, and its files say {said.status}"
    elif report.outcome is not None and report.outcome != said:
        yield f"honest-status: the run says {report.outcome}, its files say {said}"
    if (raised is not None or said.status is RunStatus.CRASHED) and not said.crash:
        yield "crash-recorded: it crashed, and no file of it says why"


def _one_agent(report: SutReport) -> Iterator[str]:
    for entry in report.ledger:
        if entry["what"] == "overlap":
            yield f"single-agent: a second agent was started for {entry['task']} while the first was at work"
    finished = {str(entry["token"]) for entry in report.ledger if entry["what"] == "result"}
    for task in report.plan.tasks:
        agents, told = report.agents(task.key), report.recorded.tasks.get(task.key)
        if len(agents) > 1 and agents[0] in finished:
            yield f"no-false-crash: the first agent of {task.key} finished its work, and {len(agents)} were started"
        if (
            agents
            and agents[-1] in finished
            and report.recorded.status is RunStatus.FINISHED
            and not (told and told.done)
        ):
            yield f"no-false-crash: the agent of {task.key} finished its work, and the task is not done"
        for token, said in zip(dict.fromkeys(agents), report.launches(task.key), strict=False):
            if said == "crashed" and token in report.alive:
                yield f"no-false-crash: an agent of {task.key} is said to have crashed, and lives"


class SutStage:
    """A world to run an orchestrator in, one run after the other: a run, the resume of that run, another run."""

    def __init__(self, world: World, factory: Factory, *, seed: int = 0, faults: FaultPlan | None = None) -> None:
        """Runs in `world` what `factory` makes; `faults` is the plan of the first run that is not given one of its own."""
        self.world = world
        self.reports: list[SutReport] = []
        self.injectors: list[Injector] = []
        self._host = Host(world)
        self._factory = factory
        self._seed = seed
        self._faults = faults
        self._plan: RunPlan | None = None
        self._runs = 0
        self._written_before = 0
        """How much had been written in the ledger before the newest run that is no resume."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the orchestrator declares."""
        return self._factory(self._host).abilities

    def __call__(self, *tasks: TaskStory | TaskPlan, **options: Any) -> SutReport:
        """Run a plan of these tasks; settings of `RunPlan` and options of `run` may be mixed."""
        given = {name: options.pop(name) for name in ("faults", "stop_after_s", "verify") if name in options}
        options.setdefault("call_timeout_s", self.world.default_call_timeout_s)
        options.setdefault("project", str(self.world.project))
        self._plan = plan_of(*tasks, **options)
        return self.run(self._plan, **given)

    def resume(self, **options: Any) -> SutReport:
        """Go on with the run, without faults unless they are given."""
        if self._plan is None:
            raise ValueError("there is no run to resume yet")
        return self.run(self._plan, resume=True, **{"faults": "", **options})

    def run(
        self,
        plan: RunPlan,
        *,
        faults: FaultPlan | str | None = None,
        stop_after_s: float | None = None,
        resume: bool = False,
        verify: bool = True,
    ) -> SutReport:
        """Carry out `plan` under `faults`, stopped after so many seconds, and report.

        With `verify` every oracle must hold (`OracleViolation`).
        """
        world, catalog = self.world, systems_catalog(self.world)
        world.live.undo()
        if faults is None:
            faults, self._faults = self._faults or FaultPlan(seed=self._seed), None
        planned = FaultPlan.parse(faults, self._seed, catalog) if isinstance(faults, str) else faults
        injector = Injector(planned, clock=world.clock, catalog=catalog, live=world.live)
        self.injectors.append(injector)
        world.agents.agent_fault = injector.agent
        multiplexer = world.multiplexer(injector.transport, plan.call_timeout_s)
        injector.attach(multiplexer)
        if not resume:
            self._runs += 1
            self._written_before = len(world.ledger())
        run_dir = world.runs / f"run-{self._runs}"
        system = self._factory(self._host)
        began_s = world.clock.monotonic()
        begin = system.resume if resume else system.start
        outcome, raised = _outcome_of(
            lambda: begin(injector.leaking(multiplexer), run_dir, plan, injector.clock(world.clock)),
            lambda handle: self._stopping(handle, stop_after_s),
        )
        report = SutReport(
            plan=plan,
            faults=planned,
            outcome=outcome,
            recorded=self._factory(self._host).read(run_dir),
            raised=raised,
            ledger=tuple(world.ledger()[self._written_before :]),
            leftovers=self._leftovers(run_dir),
            alive=frozenset(one for one in self._host.tokens if world.processes.carrying("SEAMRIPPER_TOKEN", one)),
            injections=tuple(injector.injections),
            unfired=tuple(injector.unfired()),
            trace=injector.trace_text(),
            elapsed_s=world.clock.monotonic() - began_s,
        )
        self.reports.append(report)
        if verify and (problems := sut_violations(report)):
            raise OracleViolation("\n".join([*problems, "", report.explain()]))
        return report

    @contextmanager
    def _stopping(self, handle: Handle, after_s: float | None) -> Iterator[None]:
        clock = self.world.clock
        if after_s is None:
            yield
        elif isinstance(clock, VirtualClock):
            clock.call_later(after_s, handle.stop)
            yield
        else:
            timer = threading.Timer(clock.host_seconds(after_s), handle.stop)
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
                timer.join()

    def _leftovers(self, run_dir: Path) -> list[str] | None:
        """Sessions and agents of the run; in a world of its own every session is one."""
        world = self.world
        if world.frozen:
            return None
        alive = [f"agent {one.pid}" for one in world.processes.carrying("SEAMRIPPER_RUN", str(run_dir))]
        try:
            return [*(f"session {name}" for name in world.multiplexer().list_sessions()), *alive]
        except MultiplexerError:
            return None


def _outcome_of(
    begin: Callable[[], Handle], around: Callable[[Handle], Any]
) -> tuple[Outcome | None, BaseException | None]:
    try:
        handle = begin()
        with around(handle):
            return handle.wait(), None
    except (Exception, SystemExit, KeyboardInterrupt) as raised:
        return None, raised
