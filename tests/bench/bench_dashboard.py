"""What it costs to look at many runs, and to go on looking while the multiplexer hangs.

    python tests/bench/bench_dashboard.py              a thousand runs, twenty rounds
    python tests/bench/bench_dashboard.py --runs 100 --rounds 3 --json

The runs are on the real disk, in a directory that goes again: most of them finished, every tenth stopped or crashed. `list`
is the command with its arguments, in this process, everything read anew; `startup` is what starting the command takes before
that, as a process that only tells its version, and `command` is `list` as a process of its own, from its start to its end.
`snapshot` is what the dashboard's reading thread does each second,
`interface` what its interface then does until the screen is drawn; both while the thread that asks the multiplexer waits for
an answer that never comes. All in milliseconds of processor time, as in the other benchmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from measuring import whole

from backends.disk import RealDisk
from backends.processes import SystemProcessTable
from harness.__main__ import collect_seldom
from harness.cli import main as seamripper
from harness.commands.host import Host, this_host
from harness.dashboard.app import Dashboard
from harness.dashboard.observer import Observer
from harness.dashboard.panes import Outcome
from harness.dashboard.reader import RunsReader
from harness.dashboard.sessions import Answer, SessionWatch
from harness.record import Crashed, Driver, Ending, Finished, RunState, Stopped, TaskPhase, TaskState

__all__ = ["WANTED_MS", "main", "make_runs", "measured", "table"]

WANTED_MS = {"list": 300.0, "command": 300.0, "snapshot": 50.0, "interface": 50.0}
"""What was asked for, for a thousand runs."""

_ENDINGS: tuple[Ending, ...] = (*[Finished()] * 8, Stopped("SIGTERM", 15), Crashed("ValueError: odd"))


def make_runs(host: Host, root: Path, count: int) -> None:
    """Put so many runs below `root`, each with three tasks, thirty lines of journal and a backup."""
    me = host.processes.me()
    driver = Driver(me.pid, -1.0, "another boot", host.processes.host())
    for number in range(count):
        tasks = [TaskState(key, TaskPhase.DONE) for key in ("plan", "build", "test")]
        name = f"20260101-{number:06}-abcdef"
        state = RunState(name, "/home/you/shop", "TmuxMultiplexer", name, 1.0 + number, tasks=tasks, driver=driver)
        store = host.store(root / name)
        store.create(state, "")
        for line in range(29):
            store.journal.append("event", durable=False, task=tasks[line % 3].key, kind="Prompt", number=line)
        state.ending = _ENDINGS[number % len(_ENDINGS)]
        store.save(state)


def measured(root: Path, rounds: int) -> dict[str, list[float]]:
    """The milliseconds that each thing took, in each round."""
    found: dict[str, list[float]] = {"startup": [], "list": [], "command": []}
    collect_seldom()
    for _ in range(rounds):
        found["list"].append(_ms(lambda: _list(root)))
    for _ in range(min(rounds, 5)):
        found["startup"].append(_ms(lambda: _start("--version"), _of_children))
        found["command"].append(_ms(lambda: _start("list", "--root", str(root)), _of_children))
    return found | asyncio.run(_refreshed(root, rounds))


def _ms(step: Callable[[], object], now: Callable[[], float] = time.process_time) -> float:
    began = now()
    step()
    return (now() - began) * 1e3


def _of_children() -> float:
    """Seconds of processor time of the processes that this one has waited for."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _start(*words: str) -> None:
    subprocess.run([sys.executable, "-P", "-m", "harness", *words], check=True, capture_output=True)


def _list(root: Path) -> None:
    host = dataclasses.replace(this_host(), stdout=io.StringIO())
    if seamripper(["list", "--root", str(root)], host) != 0:
        raise AssertionError("the runs could not be listed")


async def _refreshed(root: Path, rounds: int) -> dict[str, list[float]]:
    """A dashboard of the runs, whose multiplexer never answers."""
    host = this_host()
    thawed = threading.Event()

    def frozen() -> Answer:
        thawed.wait()
        raise TimeoutError

    watch = SessionWatch(frozen, host.clock, thawed.set)
    reader = RunsReader(RealDisk(), root, clock=host.clock, processes=SystemProcessTable(), entropy=host.entropy)
    observer = Observer(reader, watch.sessions, host.disk, host.clock, settled=gc.freeze)
    nothing = Outcome(True, "")
    app = Dashboard(observer.look, root=str(root), launch=lambda verb, view: nothing, attach=lambda view: nothing)
    found: dict[str, list[float]] = {"snapshot": [], "interface": []}
    # A directory that has only just changed has to be read again, so nothing begins before that.
    await asyncio.sleep(2.5)
    watch.start()
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await app.workers.wait_for_complete()
            observer.look()
            for _ in range(rounds):
                began = time.process_time()
                snapshot = observer.look("")
                seen = time.process_time()
                app.show(snapshot)
                app.screen.refresh(layout=False)
                app.screen._on_timer_update()
                found["snapshot"].append((seen - began) * 1e3)
                found["interface"].append((time.process_time() - seen) * 1e3)
                await pilot.pause(0)
    finally:
        watch.stop()
    return found


def table(found: Mapping[str, Sequence[float]], runs: int) -> str:
    """The findings for people."""
    lines = [f"looking at {runs} runs (ms of processor time)", f"{'':12}{'min':>8}{'median':>8}{'max':>8}{'wanted':>8}"]
    for name, costs in found.items():
        wanted = f"{WANTED_MS[name]:8.0f}" if name in WANTED_MS else ""
        lines.append(f"  {name:10}{min(costs):8.1f}{statistics.median(costs):8.1f}{max(costs):8.1f}{wanted}")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str]) -> int:
    """Measure, and write what was found; the exit status."""
    described, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="bench_dashboard.py",
        description=described,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--runs", type=whole, default=1000, metavar="N", help="how many runs there are (1000)")
    parser.add_argument("--rounds", type=whole, default=20, metavar="N", help="how often everything is measured (20)")
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="sm-") as directory:
        make_runs(this_host(), Path(directory, "runs"), options.runs)
        found = measured(Path(directory, "runs"), options.rounds)
    document: dict[str, Any] = {"schema": 1, "runs": options.runs, "wanted_ms": WANTED_MS, "ms": found}
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if options.json else table(found, options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
