"""What grows with the number of sessions: a run of many on a simulated host, what an injector and a record add to each step.

    python tests/bench/bench_scale.py                            1 to 1,000 sessions at once
    python tests/bench/bench_scale.py --sizes 10,100 --rounds 3
    python tests/bench/bench_scale.py --sizes 1000 --hosts 10    ten thousand sessions, a run for each of ten hosts

A run is one task for each session, all at once, whose agents work for a simulated minute: the real engine, in a process of its
own, on FakeMultiplexer, VirtualClock and MemoryDisk. Told are its processor time and by how much its memory grew. An injector
is measured by a call of `list_window_ids` with nothing around it, with an injector whose plan is empty, and with one that has
a rule for this call, which lets it pass; both write a trace. A record is measured by its lines and states on the real disk.
Watching idle sessions is what a run costs whose agents work a simulated hour longer, over that hour.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import Measured, measure, whole

from backends.clock import SystemClock
from faults.injector import Injector
from faults.plan import FaultPlan
from harness.agents import plan_of, profiles_for, task, works
from harness.commands.host import this_host
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.record import Finished, RunState, TaskPhase, TaskState
from harness.runner import catalog_of
from harness.world import FakeWorld

__all__ = ["WORK_S", "Grown", "calls", "document", "main", "records", "run_one", "table"]

WORK_S = 60
"""Simulated seconds that each agent works."""

IDLE_S = 3600
"""Simulated seconds over which watching is measured."""

WANTED_IDLE = {100: 0.0005, 1000: 0.005}
"""The parts of a core that were asked for."""

_KEPT = 10_000
"""Entries of a trace after which it is begun anew: a run of some thousand calls."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What one run of `sessions` sessions at once took: seconds of processor time, simulated seconds, MB of memory."""

    sessions: int
    cpu_s: float
    simulated_s: float
    memory_mb: float


def run_one(sessions: int, seed: int, work_s: float = WORK_S) -> Grown:
    """Carry out one run in this process, whose agents work for so many simulated seconds."""
    world = FakeWorld(seed)
    tasks = [
        task(f"{one // 1000 + 1}-{one % 1000 + 1}", agent=works(work_s).then_completes()) for one in range(sessions)
    ]
    plan = plan_of(*tasks, project="/sim/project", max_parallel=sessions)
    outside = Surroundings(
        multiplexer=world.multiplexer(),
        clock=world.clock,
        disk=world.disk,
        processes=world.processes,
        entropy=world.entropy,
        profiles=profiles_for(plan, world.disk, world.python, world.scale, world.program),
        # The simulated disk remembers every change for crash images; a real one does not.
        checkpoint=lambda step: world.disk.mutations.clear(),
        stderr=io.StringIO(),
        environment={},
    )
    before_kb, began_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    summary = Engine(plan, world.runs / "run-1", outside).run()
    if not isinstance(summary.ending, Finished):
        raise AssertionError(f"the run did not finish: {summary.render()}")
    spent_s = time.process_time() - began_s
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / (1 << 10)
    return Grown(sessions, spent_s, world.clock.monotonic(), grown_mb)


def runs(
    sizes: Sequence[int], hosts: int, jobs: int, begun: Callable[[str], object], work_s: float = WORK_S
) -> list[Grown]:
    """A run of each size for each of the hosts, `jobs` at a time, each in a process of its own."""
    due = [(size, seed) for size in sizes for seed in range(1, hosts + 1)]
    found: list[Grown] = []
    going: list[subprocess.Popen[bytes]] = []
    try:
        while due or going:
            while due and len(going) < jobs:
                size, seed = due.pop(0)
                begun(f"{size} sessions, host {seed} of {hosts}, {len(due)} more to begin")
                words = [sys.executable, __file__, "--one", str(size), "--seed", str(seed), "--work", str(work_s)]
                going.append(subprocess.Popen(words, stdout=subprocess.PIPE))
            out, _ = going[0].communicate()
            if going.pop(0).returncode != 0:
                raise AssertionError("a run failed")
            found.append(Grown(**json.loads(out)))
    finally:
        for process in going:
            process.kill()
            process.communicate()
    return found


def watched(sizes: Sequence[int], begun: Callable[[str], object]) -> dict[int, float]:
    """The part of a core that it takes to watch so many sessions in which nothing happens, in simulated time.

    What a run costs whose agents work an hour longer, over that hour: with the simulated host, and without system calls.
    """
    short = runs(sizes, 1, 1, begun)
    longer = runs(sizes, 1, 1, begun, WORK_S + IDLE_S)
    return {one.sessions: max(0.0, two.cpu_s - one.cpu_s) / IDLE_S for one, two in zip(short, longer, strict=True)}


def calls() -> dict[str, Callable[[int], object]]:
    """A call of the seam, bare and under injectors."""
    plans = {"bare": None, "injector, inactive": "", "injector, active": "list_window_ids=1000000*pass->1*timeout(1)"}
    return {name: _call(plan) for name, plan in plans.items()}


def _call(plan: str | None) -> Callable[[int], object]:
    world = FakeWorld(0)
    multiplexer = world.multiplexer()
    multiplexer.new_session("run-1", "/")
    if plan is None:
        return lambda number: multiplexer.list_window_ids("run-1")
    injector = Injector(FaultPlan.parse(plan), clock=world.clock, catalog=catalog_of(world))
    injector.attach(multiplexer)
    around = injector.leaking(multiplexer)

    def call(number: int) -> None:
        if number % _KEPT == 0:
            injector.trace.clear()
        around.list_window_ids("run-1")

    return call


@contextmanager
def records() -> Iterator[dict[str, Callable[[int], object]]]:
    """What a run writes, on the real disk: lines of its journal and saves of its state."""
    host = this_host()
    with tempfile.TemporaryDirectory(prefix="sm-") as directory:
        stores = {}
        for count in (3, 1000):
            state = RunState(f"run-{count}", tasks=[TaskState(f"1-{one + 1}", TaskPhase.DONE) for one in range(count)])
            store = stores[count] = host.store(Path(directory, f"run-{count}"))
            store.create(state, "")

        journal = stores[3].journal
        saves = {f"state of {count}": _saving(host, Path(directory, f"run-{count}")) for count in stores}
        yield {
            "journal line": lambda number: journal.append("event", durable=False, task="1-1", number=number),
            "journal line, synced": lambda number: journal.append("event", durable=True, task="1-1", number=number),
            **saves,
        }


def _saving(host: Any, run_dir: Path) -> Callable[[int], object]:
    store = host.store(run_dir)
    state = store.load().state
    return lambda number: store.save(state)


def table(small: dict[str, Measured], grown: Sequence[Grown], idle: Mapping[int, float]) -> str:
    """The findings for people."""
    bare = small["bare"]
    lines = [f"{'us':<24}{'min':>10}{'median':>10}{'max':>10}{'over bare':>11}"]
    for name, one in small.items():
        over = f"{(one.median_s - bare.median_s) * 1e6:.1f}" if name.startswith("injector") else ""
        low, middle, high = min(one.costs_s) * 1e6, one.median_s * 1e6, max(one.costs_s) * 1e6
        lines.append(f"{name:<24}{low:>10.1f}{middle:>10.1f}{high:>10.1f}{over:>11}".rstrip())
    lines += ["", f"{'sessions':>8}{'cpu s':>9}{'ms each':>9}{'simulated s':>13}{'MB':>8}{'KB each':>9}"]
    for run in grown:
        each_ms, each_kb = run.cpu_s / run.sessions * 1e3, run.memory_mb / run.sessions * 1024
        lines.append(
            f"{run.sessions:>8}{run.cpu_s:>9.2f}{each_ms:>9.1f}{run.simulated_s:>13.0f}{run.memory_mb:>8.1f}{each_kb:>9.1f}"
        )
    if len(grown) > 1:
        lines.append(f"{sum(run.sessions for run in grown):>8}{sum(run.cpu_s for run in grown):>9.2f}  all of them")
    for sessions, share in idle.items():
        wanted = f", wanted {WANTED_IDLE[sessions]:.2%}" if sessions in WANTED_IDLE else ""
        lines.append(f"watching {sessions} idle sessions: {share:.3%} of a core{wanted}")
    return "\n".join(lines) + "\n"


def document(
    small: dict[str, Measured], grown: Sequence[Grown], idle: Mapping[int, float], load: Sequence[float]
) -> dict[str, Any]:
    """The findings for programs."""
    us = {name: [round(cost_s * 1e6, 2) for cost_s in one.costs_s] for name, one in small.items()}
    told = {"schema": 1, "load": [round(one, 2) for one in load], "us": us, "runs": [asdict(one) for one in grown]}
    return told | {"idle": {str(sessions): share for sessions, share in idle.items()}}


def sizes(text: str) -> tuple[int, ...]:
    """Numbers of sessions, for `argparse`."""
    return tuple(sorted({whole(part) for part in text.split(",")}))


def main(argv: Sequence[str]) -> int:
    """Measure, and write what was found; the exit status says nothing of any time."""
    described, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="bench_scale.py",
        description=described,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--rounds", type=whole, default=15, metavar="N", help="how often each step is measured (15)")
    parser.add_argument(
        "--sizes", type=sizes, default=(1, 10, 100, 1000), metavar="N,N", help="sessions (1,10,100,1000)"
    )
    parser.add_argument("--hosts", type=whole, default=1, metavar="N", help="how many runs there are of each size (1)")
    parser.add_argument("--jobs", type=whole, default=1, metavar="N", help="how many of them at a time (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there as well")
    parser.add_argument("--idle", type=sizes, default=(10, 100), metavar="N,N", help="idle sessions to watch (10,100)")
    parser.add_argument("--one", type=whole, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=float, default=WORK_S, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=whole, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one is not None:
        sys.stdout.write(json.dumps(asdict(run_one(options.one, options.seed, options.work))))
        return 0
    load, dice = os.getloadavg(), random.Random(1)
    small = measure(calls(), rounds=options.rounds, seconds=0.05, now=time.process_time, dice=dice)
    with records() as written:
        small |= measure(written, rounds=options.rounds, seconds=0.02, now=SystemClock().monotonic, dice=dice)

    def begun(said: str) -> None:
        sys.stderr.write(f"{said} ...\n")

    grown = runs(options.sizes, options.hosts, options.jobs, begun)
    idle = watched(options.idle, begun)
    sys.stdout.write(table(small, grown, idle))
    if options.json is not None:
        options.json.write_text(json.dumps(document(small, grown, idle, load), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
