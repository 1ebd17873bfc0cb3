"""What a run of the engine costs on the embedded backend.

    python tests/bench/bench_engine.py              about half a minute
    python tests/bench/bench_engine.py --rounds 3 --seconds 0.2
    python tests/bench/bench_engine.py --json > engine.json

A run is of three tasks whose agents complete at once, one after the other (`max_parallel` 1, defaults otherwise), in a
fresh world: the real engine on FakeMultiplexer, VirtualClock and MemoryDisk. It is measured bare; with the injector around
everything and a trace written (no rule fires); and as a trial does it, with a report and every oracle. The plan is made
once, before.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import LayerClock, Measured, measure, positive, whole

from backends.base import TerminalMultiplexer
from backends.clock import Clock
from backends.disk import Disk
from faults.injector import Injector
from faults.plan import FaultPlan
from harness.agents import completes, plan_of, profiles_for, task
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.engine.events import EventReader
from harness.engine.plan import RunPlan
from harness.engine.summary import RunSummary
from harness.record import Finished
from harness.report import Report
from harness.runner import Stage, catalog_of
from harness.world import FakeWorld

__all__ = ["WANTED_PER_S", "Findings", "bare", "judged", "layer_of", "main", "make_up", "pieces", "table", "traced"]

ROOT = Path(__file__).resolve().parent.parent.parent

WANTED_PER_S = 2000
"""Bare runs in a second that were asked for; docs/decisions/0010-what-a-run-costs.md says what stands against it."""

_LAYERS = (
    ("seam", ("backends/guard.py", "backends/operations.py", "backends/base.py", "backends/errors.py")),
    ("disk", ("backends/memory_disk.py", "backends/disk.py")),
    ("agents", ("harness/agents.py", "harness/relay.py", "harness/scripted.py", "harness/simulated.py")),
    ("record", ("harness/record/",)),
    ("engine", ("harness/engine/",)),
    ("server", ("backends/",)),
    ("world", ("harness/world.py", "tests/bench/")),
)
"""What a source file is part of, the first that fits: `server` is the simulated host, `world` the making of it."""


def layer_of(file: str) -> str | None:
    """The layer of a source file of this project, `None` for any other file."""
    name = os.path.relpath(file, ROOT).replace(os.sep, "/") if os.path.isabs(file) else ""
    return next((layer for layer, begins in _LAYERS if name.startswith(begins)), None)


PLAN = plan_of(*(task(f"1-{number}", agent=completes()) for number in (1, 2, 3)), project="/sim/project")


def bare(seed: int, plan: RunPlan = PLAN) -> RunSummary:
    """One run with nothing around it."""
    return _carried_out(plan, FakeWorld(seed), None)


def traced(seed: int, plan: RunPlan = PLAN) -> RunSummary:
    """One run with every point of faults on its way, and a trace of it."""
    world = FakeWorld(seed)
    return _carried_out(plan, world, Injector(FaultPlan(seed=seed), clock=world.clock, catalog=catalog_of(world)))


def judged(seed: int, plan: RunPlan = PLAN) -> Report:
    """One run as a trial carries it out, held to every oracle."""
    return Stage(FakeWorld(seed), seed=seed).run(plan)


def _carried_out(plan: RunPlan, world: FakeWorld, injector: Injector | None) -> RunSummary:
    multiplexer: TerminalMultiplexer = world.multiplexer()
    clock: Clock = world.clock
    disk: Disk = world.disk
    if injector is not None:
        world.agents.agent_fault = injector.agent
        injector.attach(multiplexer)
        multiplexer, clock, disk = injector.leaking(multiplexer), injector.clock(clock), injector.disk(disk)
    outside = Surroundings(
        multiplexer=multiplexer,
        clock=clock,
        disk=disk,
        processes=world.processes,
        entropy=world.entropy,
        profiles=profiles_for(plan, world.disk, world.python, world.scale, world.program),
        checkpoint=_pass if injector is None else injector.checkpoint,
        stderr=io.StringIO(),
        environment={},
    )
    summary = Engine(plan, world.runs / "run-1", outside).run()
    if not isinstance(summary.ending, Finished):
        raise AssertionError(f"the run did not finish: {summary.render()}")
    return summary


def _pass(step: str) -> None:
    """What a step costs nobody."""


def make_up() -> dict[str, int]:
    """What one run consists of, as counted in its trace and on its disk."""
    world = FakeWorld(0)
    reached = Counter(Stage(world).run(PLAN).reached)
    layers = Counter[str]()
    for point, count in reached.items():
        layers[point.partition(".")[0]] += count
    return {
        "calls of the seam": layers["mux"],
        "operations of the engine on the disk": layers["disk"],
        "of these, syncs": sum(count for point, count in reached.items() if point.startswith("disk.fsync:")),
        "changes of the disk, with those of the agents": len(world.disk.mutations),
        "saves of the state": reached["disk.write:state"],
        "lines of the journal": reached["disk.append:journal"],
        "looks at the events": reached["disk.listdir:events"],
        "ticks": reached["engine.tick"],
        "steps": layers["engine"],
    }


def pieces() -> dict[str, Callable[[int], object]]:
    """What a run does most often, each by itself, in a world in which a run has ended; named as in `make_up`."""
    world = FakeWorld(0)
    stage = Stage(world)
    state = stage.run(PLAN).state
    assert state is not None
    store = stage.store()
    multiplexer = world.multiplexer()
    events = EventReader(world.disk, stage.run_dir / "events")
    events.poll()

    def save(number: int) -> None:
        # What the disk remembers of its changes must not pile up.
        world.disk.mutations.clear()
        store.save(state)

    def write_line(number: int) -> None:
        world.disk.mutations.clear()
        store.journal.append("session-gone", task="1-1", number=number)

    return {
        "calls of the seam": lambda number: multiplexer.list_window_ids("run-1"),
        "saves of the state": save,
        "lines of the journal": write_line,
        "looks at the events": lambda number: events.poll(),
    }


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was measured: runs and pieces in seconds of processor time, shares of a bare run, counts of one run."""

    runs: Mapping[str, Measured]
    shares: Mapping[str, float]
    counts: Mapping[str, int]
    pieces: Mapping[str, Measured]

    def as_json(self) -> dict[str, Any]:
        """The same as plain values; times in milliseconds a run and microseconds a piece."""
        first = next(iter(self.runs.values()))
        runs = {
            name: {
                "runs_per_s": round(1 / one.median_s, 1),
                "ms": round(one.median_s * 1e3, 3),
                "noise": round(one.noise, 3),
                "ratio_to_bare": round(one.ratio_to(first), 3),
                "rounds_ms": [round(cost_s * 1e3, 3) for cost_s in one.costs_s],
            }
            for name, one in self.runs.items()
        }
        pieces = {
            name: {"count": self.counts[name], "us": round(one.median_s * 1e6, 1), "noise": round(one.noise, 3)}
            for name, one in self.pieces.items()
        }
        shares = {layer: round(share, 4) for layer, share in self.shares.items()}
        return {
            "schema": 1,
            "wanted_per_s": WANTED_PER_S,
            "runs": runs,
            "layers": shares,
            "counts": dict(self.counts),
            "pieces": pieces,
        }


def table(found: Findings) -> str:
    """The findings for people."""
    bare_run = next(iter(found.runs.values()))
    lines = [
        "runs of three tasks on one core (processor time)",
        f"{'':26}{'runs/s':>8}{'ms/run':>9}{'noise':>8}{'ratio':>8}",
    ]
    lines += [
        f"  {name:24}{1 / one.median_s:8.0f}{one.median_s * 1e3:9.2f}{one.noise:8.1%}{one.ratio_to(bare_run):8.2f}"
        for name, one in found.runs.items()
    ]
    lines += ["", f"wanted: {WANTED_PER_S} bare runs/s, which is {bare_run.median_s * WANTED_PER_S:.1f} times as fast"]
    lines += ["", "where a bare run spends its time (shares; how is in measuring.LayerClock)"]
    lines += [f"  {layer:24}{share:8.1%}" for layer, share in found.shares.items()]
    lines += [
        "",
        "what a run consists of, and what the pieces cost",
        f"{'':48}{'count':>6}{'us each':>9}{'of a run':>10}",
    ]
    for name, count in found.counts.items():
        one = found.pieces.get(name)
        cost = "" if one is None else f"{one.median_s * 1e6:9.1f}{count * one.median_s / bare_run.median_s:10.1%}"
        lines.append(f"  {name:46}{count:6}{cost}")
    return "\n".join(lines) + "\n"


def found_in(rounds: int, seconds: float, begun: Callable[[int, str], object]) -> Findings:
    """Measure everything, each thing for `seconds` in each of `rounds`."""
    now = time.process_time
    subjects: dict[str, Callable[[int], object]] = {
        "bare engine": bare,
        "injector and trace": traced,
        "report and oracles": judged,
    }
    for subject in subjects.values():
        # The first run of all fills caches that every later one finds full.
        subject(0)
    runs = measure(subjects, rounds=rounds, seconds=seconds, now=now, begun=begun)
    small = measure(pieces(), rounds=rounds, seconds=seconds / 10, now=now, begun=begun)
    with LayerClock(layer_of, time.perf_counter, outside="world") as layers:
        for seed in range(20):
            bare(seed)
    return Findings(runs, layers.shares(), make_up(), small)


def main(argv: Sequence[str]) -> int:
    """Measure, and write what was found; the exit status."""
    described, _, _ = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="bench_engine.py",
        description=described,
        epilog=(__doc__ or "").removeprefix(described).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--rounds", type=whole, default=15, metavar="N", help="how often everything is measured (15)")
    parser.add_argument(
        "--seconds", type=positive, default=0.5, metavar="S", help="seconds for each thing in each round (0.5)"
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")
    options = parser.parse_args(argv)
    shows = sys.stderr.isatty()

    def begun(number: int, name: str) -> None:
        if shows:
            sys.stderr.write(f"\r\x1b[Kround {number} of {options.rounds}: {name}")
            sys.stderr.flush()

    found = found_in(options.rounds, options.seconds, begun)
    if shows:
        sys.stderr.write("\r\x1b[K")
    sys.stdout.write(json.dumps(found.as_json(), indent=2) + "\n" if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
