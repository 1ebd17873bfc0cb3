"""The bundled engine as one orchestrator under test among others."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.clock import Clock
from backends.processes import Liveness
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.record import Crashed, RecordError, RunStore, TaskPhase, classify
from harness.sut import Ability, Host, Outcome, TaskOutcome

__all__ = ["BundledEngine"]


@dataclass(frozen=True)
class _Run:
    """One run of the engine."""

    engine: Engine
    system: BundledEngine

    def wait(self) -> Outcome:
        """See `Handle.wait`."""
        self.engine.run()
        return self.system.read(self.engine.run_dir)

    def stop(self) -> None:
        """See `Handle.stop`."""
        self.engine.request_stop()


@dataclass(frozen=True)
class BundledEngine:
    """`harness.engine` on that host; see `SystemUnderTest`."""

    host: Host
    abilities: frozenset[Ability] = field(default=frozenset(Ability))

    def start(self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock) -> _Run:
        """See `SystemUnderTest.start`."""
        return self._run(multiplexer, run_dir, plan, clock, resume=False)

    def resume(self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock) -> _Run:
        """See `SystemUnderTest.resume`."""
        return self._run(multiplexer, run_dir, plan, clock, resume=True)

    def read(self, run_dir: Path) -> Outcome:
        """See `SystemUnderTest.read`."""
        store = self._store(run_dir)
        status = classify(store.evidence(Liveness.UNKNOWN)).name
        try:
            state = store.load().state
        except (RecordError, OSError):
            return Outcome(status, {})
        tasks = {
            task.key: TaskOutcome(
                task.phase is TaskPhase.DONE,
                tuple(str(one.outcome) for one in task.attempts if one.outcome is not None),
            )
            for task in state.tasks
        }
        return Outcome(status, tasks, state.ending.error if isinstance(state.ending, Crashed) else "")

    def _run(
        self, multiplexer: TerminalMultiplexer, run_dir: Path, plan: RunPlan, clock: Clock, *, resume: bool
    ) -> _Run:
        host = self.host
        outside = Surroundings(
            multiplexer=multiplexer,
            clock=clock,
            disk=host.disk,
            processes=host.processes,
            entropy=host.entropy,
            profiles=host.profiles(plan),
            environment={} if host.virtual else None,
        )
        return _Run(Engine(plan, run_dir, outside, resume=resume, handle_signals=False), self)

    def _store(self, run_dir: Path) -> RunStore:
        return RunStore.on(self.host, run_dir, environment={} if self.host.virtual else None)
