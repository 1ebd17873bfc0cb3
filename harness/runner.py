"""Runs the real engine in a world, under a fault plan, and reports everything about it."""

from __future__ import annotations

import contextlib
import functools
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError
from backends.guard import CHANGE_TIMEOUT_S, Call
from backends.processes import Liveness
from faults.catalog import PointCatalog
from faults.errors import SimulatedDeath
from faults.injector import Injector
from faults.plan import FaultPlan
from faults.wrappers import LET_OUT
from harness.agents import TaskStory, plan_of, profiles_for
from harness.dashboard.render import header_text, list_line
from harness.engine.core import STEPS, Surroundings
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan, TaskPlan
from harness.oracles import check, check_resumed
from harness.record import Crashed, Event, Evidence, RecordError, RunState, RunStore, Status, classify
from harness.report import NestedReport, Report
from harness.scripted import digest_of
from harness.world import WORLDS, Remains, World

__all__ = ["Stage", "catalog_of", "run_scenario"]


def catalog_of(world: type[World] | World) -> PointCatalog:
    """The failpoints that can be reached in that kind of world."""
    return _catalog(world.layers, world.live_events())


@functools.cache
def _catalog(layers: frozenset[str], live_events: tuple[str, ...]) -> PointCatalog:
    return PointCatalog(STEPS, supports=layers, live_events=live_events)


def run_scenario(
    plan: RunPlan, *, backend: str = "fake", faults: FaultPlan | str = "", seed: int = 0, **options: Any
) -> Report:
    """Carry out `plan` once in a fresh world under `faults` and report; every oracle is checked (`OracleViolation`).

    `options` are those of `Stage.run`. The world is closed again whatever happens.
    """
    world = WORLDS[backend](seed)
    try:
        return Stage(world, seed=seed).run(plan, faults=faults, **options)
    finally:
        world.close()


class Stage:
    """A world to run scenarios in, one after the other: a run, the resume of that run, another run."""

    def __init__(self, world: World, *, seed: int = 0, faults: FaultPlan | None = None) -> None:
        """Runs in `world`; `faults` is the plan of the first run that is not given one of its own."""
        self.world = world
        self.seed = seed
        self.reports: list[Report] = []
        self.engine: Engine | None = None
        self.injector: Injector | None = None
        self.typed: Counter[str] = Counter()
        self._faults = faults
        self._plan: RunPlan | None = None
        self._run_dir: Path | None = None
        self._runs = 0
        self._signals: list[tuple[float, int]] = []

    def __call__(self, *tasks: TaskStory | TaskPlan, **options: Any) -> Report:
        """Run a plan of these tasks; settings of `RunPlan` and options of `run` may be mixed."""
        given = {name: options.pop(name) for name in tuple(options) if name in _OPTIONS}
        return self.run(self.plan(*tasks, **options), **given)

    def plan(self, *tasks: TaskStory | TaskPlan, **settings: Any) -> RunPlan:
        """A plan of these tasks for this world; `settings` are those of `RunPlan`. Raises `PlanError`."""
        usual = {"call_timeout_s": self.world.default_call_timeout_s, "project": str(self.world.project)}
        return plan_of(*tasks, **{**usual, **settings})

    def run(
        self,
        plan: RunPlan,
        *,
        faults: FaultPlan | str | None = None,
        resume: bool = False,
        strict: bool = True,
        verify: bool = True,
        exceptions: Mapping[str, Callable[[], BaseException]] | None = None,
        real_time: bool = False,
        wrap: Callable[[TerminalMultiplexer], TerminalMultiplexer] | None = None,
        drive: Callable[[Engine], object] = lambda engine: engine.run(),
        make: Callable[..., Engine] = Engine,
        checkpoint: Callable[[str], None] | None = None,
        crash_context: Callable[[], Mapping[str, object]] | None = None,
        stderr: io.StringIO | None = None,
        head: Callable[[Status, RunState | None], str] = header_text,
        **engine_options: Any,
    ) -> Report:
        """Carry out `plan` under `faults` and report.

        `strict` makes a fault that did not fire an error; `verify` checks every oracle. `exceptions` are made by name for
        `raise(...)`. `wrap` goes around the multiplexer that the engine is given, `make` makes the engine, and
        `drive` is how it is run. `head` is how a dashboard shows a run.
        """
        world = self.world
        # What the run before this one was under is over: each begins in a world that is sound.
        world.live.undo()
        plan_of_faults = self.fault_plan(faults)
        injector = Injector(
            plan_of_faults,
            clock=world.clock,
            catalog=catalog_of(world),
            exceptions=exceptions or {},
            real_time=real_time,
            live=world.live,
        )
        self.injector = injector
        world.agents.agent_fault = injector.agent
        multiplexer = world.multiplexer(injector.transport, plan.call_timeout_s)
        injector.attach(multiplexer)
        watch = _Watch(self)
        multiplexer.observe(watch.call)
        offered = injector.leaking(multiplexer)
        stderr = stderr or io.StringIO()
        outside = Surroundings(
            multiplexer=offered if wrap is None else wrap(offered),
            clock=injector.clock(world.clock),
            disk=injector.disk(world.disk),
            processes=world.processes,
            entropy=world.entropy,
            profiles=profiles_for(plan, world.disk, world.python, world.scale, world.program),
            checkpoint=_checkpoint(world, injector, checkpoint),
            crash_context=crash_context or (lambda: _crash_context(injector)),
            progress=watch.progress,
            stderr=stderr,
            environment={} if world.virtual else None,
        )
        run_dir = self._place(resume)
        self.engine = engine = make(plan, run_dir, outside, run_id=run_dir.name, resume=resume, **engine_options)
        injector.deliver = engine.switch.deliver
        began, began_at = world.clock.monotonic(), world.clock.wall()
        signals, self._signals = self._signals, []
        with world.signalling(signals, engine.switch.deliver) if signals else nullcontext():
            raised = _outcome_of(drive, engine)
        elapsed_s = world.clock.monotonic() - began
        if injector.dead:
            world.driver_died()
        self._plan = plan
        report = self._report(engine, injector, plan, raised, elapsed_s, stderr.getvalue(), watch, head)
        report.began_at = began_at
        report.stops = [seconds for seconds, _ in signals]
        self.reports.append(report)
        if verify:
            check(report, strict=strict)
        return report

    def resume(self, plan: RunPlan | None = None, **options: Any) -> Report:
        """Resume the newest run, without faults unless they are given; it has to go on where that had ended."""
        if self._plan is None:
            raise ValueError("there is no run to resume yet")
        options.setdefault("faults", "")
        before = self.reports[-1]
        report = self.run(plan or self._plan, resume=True, **options)
        if options.get("verify", True):
            check_resumed(before, report)
        return report

    def take_over(self, plan: RunPlan, run_dir: Path) -> None:
        """Have the run that is recorded in `run_dir` as the newest one, whoever carried it out: a resume goes on with it."""
        self._plan, self._run_dir = plan, run_dir

    def resume_to_the_end(self, limit: int = 10) -> Report:
        """Resume, as often as the run pauses, until it is finished; the last report."""
        for _ in range(limit):
            report = self.resume()
            if report.status.name == "FINISHED":
                return report
        raise AssertionError(f"the run was not finished after {limit} resumes:\n{self.reports[-1].explain()}")

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen to the world `seconds` from now."""
        self.world.at(seconds, action)

    def stop_at(self, seconds: float, signum: int) -> None:
        """Let the process of the next run get a signal so many seconds after it began, in whatever call or wait it is."""
        self._signals.append((seconds, signum))

    def leftovers(self) -> list[str] | None:
        """What the newest run and those inside it have left behind by now; `None` where the multiplexer does not answer."""
        state = _state_of(self.store())
        remains = self._remains(state, tuple(self._nested(state)))
        return None if remains is None else remains.ours

    def store(self, *inside: str) -> RunStore:
        """The record of the newest run, or of what is `inside` its directory, read without faults."""
        environment: dict[str, str] | None = {} if self.world.virtual else None
        return RunStore.on(self.world, self.run_dir.joinpath(*inside), environment=environment)

    @property
    def run_dir(self) -> Path:
        """Where the newest run is recorded."""
        assert self._run_dir is not None
        return self._run_dir

    def fault_plan(self, faults: FaultPlan | str | None) -> FaultPlan:
        """What those faults are in this world, for which a text is read; `None` is what the first run was to be under.

        Raises `FaultPlanError`.
        """
        if faults is None:
            faults, self._faults = self._faults or FaultPlan(seed=self.seed), None
        if isinstance(faults, str):
            return FaultPlan.parse(faults, self.seed, catalog_of(self.world))
        return faults

    def _place(self, resume: bool) -> Path:
        if not resume:
            self._runs += 1
            name = f"run-{self._runs}" if self.world.virtual else f"run-{self._runs}-{self.world.entropy.suffix()}"
            self._run_dir = self.world.runs / name
        assert self._run_dir is not None
        return self._run_dir

    def _report(
        self,
        engine: Engine,
        injector: Injector,
        plan: RunPlan,
        raised: BaseException | None,
        elapsed_s: float,
        stderr: str,
        watch: _Watch,
        head: Callable[[Status, RunState | None], str],
    ) -> Report:
        store = self.store()
        state = _state_of(store)
        nested = tuple(self._nested(state))
        remains = self._remains(state, nested)
        evidence = store.evidence(_session_liveness(state, remains))
        verdict = classify(evidence)
        journal = store.events()
        sink, crash = _crash_of(store, self.world, state, evidence, journal)
        return Report(
            plan=plan,
            faults=injector.plan,
            summary=None if injector.dead else engine.summary,
            state=state,
            verdict=verdict,
            journal=journal,
            crash=crash,
            crash_sink=sink or ("stderr" if "CRASHED: " in stderr else None),
            leftovers=None if remains is None else remains.ours,
            others=None if remains is None else remains.others,
            injections=tuple(injector.injections),
            unfired=tuple(injector.unfired()),
            reached=dict(injector.reached),
            entries=tuple(injector.trace),
            elapsed_s=elapsed_s,
            list_row=list_line(verdict, state),
            header=head(verdict, state),
            stderr=stderr,
            virtual=self.world.virtual,
            backend=self.world.name,
            call_timeout_s=plan.call_timeout_s or CHANGE_TIMEOUT_S,
            raised=raised,
            killed=injector.dead,
            raw=tuple(_let_out(injector)),
            ledger=tuple(self.world.ledger()),
            typed=dict(self.typed),
            nested=nested,
            violations=watch.violations,
        )

    def _nested(self, state: RunState | None) -> Iterator[NestedReport]:
        """What the record says of the runs inside the newest one."""
        waiting = [(run_id, f"nested/{run_id}") for run_id in (() if state is None else state.nested)]
        while waiting:
            run_id, path = waiting.pop(0)
            store = self.store(path)
            inner = _state_of(store)
            waiting += [(below, f"{path}/nested/{below}") for below in (() if inner is None else inner.nested)]
            evidence, journal = store.evidence(Liveness.UNKNOWN), store.events()
            _, crash = _crash_of(store, self.world, inner, evidence, journal)
            yield NestedReport(run_id, path, classify(evidence).name, inner, journal, crash)

    def _remains(self, state: RunState | None, nested: Sequence[NestedReport]) -> Remains | None:
        states = [one for one in (state, *(inner.state for inner in nested)) if one is not None]
        tokens = {attempt.token for one in states for task in one.tasks for attempt in task.attempts}
        run_dirs = [self.run_dir, *(self.run_dir / inner.path for inner in nested)]
        if self.world.frozen:
            return None
        try:
            return self.world.remains(run_dirs, sorted(tokens))
        except MultiplexerError:
            return None


_OPTIONS = frozenset(Stage.run.__kwdefaults__ or ()) | {"handle_signals", "parent"}


class _Watch:
    """Looks on while a run goes on: what was typed, and agents declared dead while they live."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.violations: list[str] = []

    def call(self, call: Call) -> None:
        if call.operation.name == "send_text":
            self._stage.typed[digest_of(str(call.arguments["text"]))] += 1

    def progress(self, line: str) -> None:
        event, _, told = line.partition(" ")
        engine = self._stage.engine
        if event != "session-ended" or "outcome=crashed" not in told or engine is None:
            return
        task = told.split("task=", 1)[1].split(" ", 1)[0]
        for attempt in _newest_attempts(engine.core.state, task):
            for agent in self._stage.world.agents.agents:
                if agent.process.env.get("SEAMRIPPER_TOKEN") == attempt and agent.process.alive:
                    self.violations.append(f"{task} was declared crashed while its agent was alive")


def _let_out(injector: Injector) -> Iterator[str]:
    """The raw errors that came out of the seam by themselves: no rule put them there."""
    for entry in injector.trace:
        if entry.outcome.startswith(LET_OUT) and entry.layer == "leak":
            yield f"{entry.point.partition('.')[2]}: {entry.outcome.removeprefix(LET_OUT).strip()}"


def _session_liveness(state: RunState | None, remains: Remains | None) -> Liveness:
    """What a dashboard would know of the run's session."""
    if state is None or remains is None:
        return Liveness.UNKNOWN
    return Liveness.ALIVE if f"session {state.mux_session}" in remains.ours else Liveness.DEAD


def _newest_attempts(state: RunState, key: str) -> Iterable[str]:
    for task in state.tasks:
        if task.key == key and task.attempts:
            yield task.attempts[-1].token


def _checkpoint(world: World, injector: Injector, inner: Callable[[str], None] | None) -> Callable[[str], None]:
    def checkpoint(step: str) -> None:
        world.cue()
        if inner is not None:
            inner(step)
        injector.checkpoint(step)

    return checkpoint


def _outcome_of(drive: Callable[[Engine], object], engine: Engine) -> BaseException | None:
    try:
        drive(engine)
    except (Exception, SystemExit, GeneratorExit, KeyboardInterrupt, BaseExceptionGroup, SimulatedDeath) as raised:
        return raised
    except BaseException as raised:
        # What ends a test from inside of a run is of a kind of its own, and none of the run's business.
        if type(raised) is not BaseException:
            raise
        return raised
    return None


def _crash_context(injector: Injector) -> Mapping[str, object]:
    fired = [str(injection) for injection in injector.injections]
    return {"faults": [str(fault) for fault in injector.plan.faults], "fired": fired, "seed": injector.plan.seed}


def _state_of(store: RunStore) -> RunState | None:
    try:
        return store.load().state
    except (RecordError, OSError):
        return None


def _crash_of(
    store: RunStore, world: World, state: RunState | None, evidence: Evidence, journal: Sequence[Event]
) -> tuple[str | None, Mapping[str, Any] | None]:
    """The newest crash record of this epoch and the sink that holds it: JSON, else the journal, else the text."""
    epoch = state.epoch if state is not None else 1
    witnesses = [one for one in evidence.crashes if one.epoch == epoch]
    for witness in sorted(witnesses, key=lambda one: one.seq, reverse=True):
        if witness.source.endswith(".json"):
            with contextlib.suppress(OSError, ValueError):
                record: Mapping[str, Any] = json.loads(world.disk.read(store.path(witness.source)))
                return "json", record
    for event in reversed(journal):
        if event["event"] == "run-crash" and event["epoch"] == epoch and isinstance(event.get("crash"), dict):
            return "journal", event["crash"]
    for witness in witnesses:
        if witness.source == "crash.txt" and isinstance(witness.ending, Crashed):
            text = world.disk.read(store.path("crash.txt")).decode("utf-8", "replace")
            return "text", {"error": witness.ending.error, "epoch": epoch, "text": text}
    return None, None
