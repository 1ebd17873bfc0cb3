"""Driving a run from the command line: everything around `Engine.run`, which records its own endings itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from backends.clock import Clock, Waker
from faults.catalog import PointCatalog
from faults.injector import Injector
from faults.plan import FaultPlan
from harness.commands.crashing import record_crash
from harness.commands.current import Drive, backend_of, multiplexer_of, where_of
from harness.commands.host import Host
from harness.commands.output import Output
from harness.commands.server import Claim, claim, end_idle_server, require_available
from harness.commands.watching import Watch
from harness.dashboard import literal
from harness.dashboard.render import STYLES, age
from harness.engine.core import STEPS, Surroundings
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.engine.signals import stop_signals
from harness.engine.summary import RunSummary
from harness.engine.teardown import UNCONFIRMED
from harness.record import Finished, RunStore, status_of

__all__ = ["Drive", "Order", "backend_of", "catalog_of_host", "drive", "multiplexer_of", "summary_document", "where_of"]

_INJECTABLE = frozenset({"mux", "leak", "transport", "disk", "engine", "signal", "clock"})
"""The layers that a rehearsal can put faults into; agents are real here, and the server is not ours to hurt."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be driven, and how; `where` are the options that a command needs to find the run again."""

    plan: RunPlan
    run_dir: Path
    root: Path
    mux: str | None = None
    resume: bool = False
    faults: FaultPlan = field(default_factory=FaultPlan)
    where: str = ""


def catalog_of_host() -> PointCatalog:
    """The failpoints that a rehearsal can reach."""
    return PointCatalog(STEPS, supports=_INJECTABLE)


def drive(host: Host, output: Output, order: Order, current: Drive, *, quiet: bool = False) -> int:
    """Carry out the order and answer the exit code; how far it came is in `current`.

    With `quiet` how the run ended is left for the caller to say.
    """
    current.run_dir = order.run_dir
    current.record_crash = partial(record_crash, host, current)
    plain = multiplexer_of(host, order.mux, order.root)
    require_available(plain)
    current.multiplexer = plain
    current.until_the_end.callback(plain.disconnect)
    with claim(host, order.root) as held:
        watch = Watch(host, output)
        rehearsal = _Rehearsal(host, order.faults)
        engine = current.engine = rehearsal.engine(order, watch, held)
        output.aside(f"run {order.run_dir.name} in {order.run_dir}")
        # What the engine has recorded stands: a signal that comes later must not make another ending of it.
        current.until_the_end.enter_context(stop_signals(engine.switch))
        with watch.over(engine):
            summary = engine.run()
        engine.switch.on_force = _leave
        current.summary = summary
    if not quiet:
        show_summary(output, order, engine, summary, watch.elapsed_s)
    code = rehearsal.judge(output, summary.exit_code)
    host.notify(summary)
    # Who did not answer the teardown says nothing now.
    if not engine.switch.forced and summary.teardown != UNCONFIRMED:
        end_idle_server(host, plain, order.root)
    return code


def _leave() -> None:
    """Somebody insists although the run has ended: what is left to be said is not worth their waiting."""
    raise KeyboardInterrupt


class _Rehearsal:
    """The surroundings of the engine, with a fault plan put between; with the empty plan they are the host's own."""

    def __init__(self, host: Host, plan: FaultPlan) -> None:
        self.host = host
        self.plan = plan
        self.clock = _Interruptible(host.clock)
        self.injector = Injector(plan, clock=self.clock, catalog=catalog_of_host(), real_time=True)

    def engine(self, order: Order, watch: Watch, held: Claim) -> Engine:
        host, injector = self.host, self.injector
        wrap = injector.transport if self.plan.faults else None
        multiplexer = multiplexer_of(host, order.mux, order.root, order.plan, wrap)

        def progress(line: str) -> None:
            held.release()
            watch.progress(line)

        outside = Surroundings(
            multiplexer=multiplexer,
            clock=host.clock,
            disk=host.disk,
            processes=host.processes,
            entropy=host.entropy,
            profiles=host.profiles(order.plan),
            checkpoint=watch.tick,
            progress=progress,
            stderr=host.stderr,
        )
        if self.plan.faults:
            outside = self._faulty(outside, watch)
        engine = Engine(order.plan, order.run_dir, outside, run_id=order.run_dir.name, resume=order.resume)
        injector.deliver = engine.switch.deliver
        self.clock.waker = engine.switch.waker
        return engine

    def _faulty(self, outside: Surroundings, watch: Watch) -> Surroundings:
        injector = self.injector
        injector.attach(outside.multiplexer)

        def checkpoint(step: str) -> None:
            watch.tick(step)
            injector.checkpoint(step)

        return Surroundings(
            multiplexer=injector.leaking(outside.multiplexer),
            clock=injector.clock(outside.clock),
            disk=injector.disk(outside.disk),
            processes=outside.processes,
            entropy=outside.entropy,
            profiles=outside.profiles,
            checkpoint=checkpoint,
            crash_context=self._told,
            progress=outside.progress,
            stderr=outside.stderr,
        )

    def _told(self) -> Mapping[str, object]:
        fired = [str(injection) for injection in self.injector.injections]
        return {"faults": self.plan.to_text(), "fired": fired, "seed": self.plan.seed}

    def judge(self, output: Output, code: int) -> int:
        """Say which faults happened; one that did not has shown nothing, so the command fails."""
        if not self.plan.faults:
            return code
        for injection in self.injector.injections:
            output.aside(str(injection))
        unfired = self.injector.unfired()
        for fault in unfired:
            output.aside(f"never fired: {fault}")
        return code or (1 if unfired else 0)


class _Interruptible(Clock):
    """A clock whose waits end with a stop: a simulated hang must not outlast the Ctrl-C of whoever watches it."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.waker: Waker | None = None

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._base.monotonic()

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._base.wall()

    def wait(self, seconds: float, waker: Waker | None = None) -> bool:
        """See `Clock.wait`."""
        return self._base.wait(seconds, waker or self.waker)

    def host_seconds(self, seconds: float) -> float:
        """See `Clock.host_seconds`."""
        return self._base.host_seconds(seconds)


def show_summary(output: Output, order: Order, engine: Engine, summary: RunSummary, elapsed_s: float) -> None:
    """Say how the run ended, after how many seconds, and what can be done next."""
    if output.as_json:
        output.document(_clean(engine.store, summary_document(order.run_dir, summary)))
        return
    status = status_of(summary.ending)
    shown = Text()
    for number, line in enumerate(summary.render().splitlines()):
        style = STYLES[status] if number == 0 else ""
        shown.append(literal(engine.store.clean(line), 2000) + "\n", style)
    shown.rstrip()
    output.show(shown)
    output.aside(f"took {age(elapsed_s)}")
    if not isinstance(summary.ending, Finished):
        for command in ("status", "resume"):
            output.aside(f"{command}  seamripper {command} {summary.run_id}{order.where}")


def summary_document(run_dir: Path, summary: RunSummary) -> dict[str, Any]:
    """How a run ended, for programs."""
    return {
        "run_id": summary.run_id,
        "run_dir": str(run_dir),
        "status": status_of(summary.ending).value,
        "ending": msgspec.to_builtins(summary.ending),
        "exit_code": summary.exit_code,
        "tasks": [
            {
                "key": task.key,
                "phase": task.phase.value,
                "attempts": task.attempts,
                "reason": task.reason,
                "summary": task.summary,
            }
            for task in summary.tasks
        ],
        "teardown": summary.teardown,
        "crash_record": summary.crash_record,
        "problems": list(summary.problems),
    }


def _clean(store: RunStore, value: Any) -> Any:
    """`value` with the secrets taken out of every text in it."""
    if isinstance(value, dict):
        return {key: _clean(store, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(store, inner) for inner in value]
    return store.clean(value) if isinstance(value, str) else value
