"""What a call of tmux costs under the shim, as a multiple of the same call without it.

    python tests/bench/bench_shim.py [--rounds N] [--json]

Each round makes one call in every way, one after the other: bare, with a launcher that no rule concerns, with one whose rule
lets it pass, and recorded. The server is one of our own. Times are those on the wall, because what is measured are processes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from measuring import Measured, measure, whole

from backends.clock import SystemClock
from backends.disk import RealDisk
from faults.shim import Shim, shim_plan

__all__ = ["BARE", "WAYS", "main", "table"]

BARE = "the bare call"
WAYS = {
    "--plan ''": ("", False),
    "a plan about other verbs": ("transport.new-window=1*empty", False),
    "a plan about this verb": ("transport.has-session=pass", False),
    "--record": ("", True),
}
"""The shims that are measured: the plan, and whether each call is recorded."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and tell; the exit code is 2 where there is no tmux."""
    parsing = argparse.ArgumentParser(description="What a call of tmux costs under the shim.")
    parsing.add_argument("--rounds", type=whole, default=40, metavar="N", help="calls in each way (default: 40)")
    parsing.add_argument("--json", action="store_true", help="write one JSON document")
    arguments = parsing.parse_args(argv)
    tmux = shutil.which("tmux")
    if tmux is None:
        sys.stderr.write("error: there is no tmux here\n")
        return 2
    clock = SystemClock()
    with _programs(tmux) as calls:
        found = measure(calls, rounds=arguments.rounds, seconds=1e-9, now=clock.monotonic)
    if arguments.json:
        sys.stdout.write(json.dumps({name: one.costs_s for name, one in found.items()}) + "\n")
    else:
        sys.stdout.write(table(found) + "\n")
    return 0


@contextmanager
def _programs(tmux: str) -> Iterator[dict[str, Callable[[int], object]]]:
    """What makes one call of each way, to a server that is ended in the end."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    socket = str(directory / "s")
    kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    try:
        subprocess.run(
            [tmux, "-S", socket, "-f", "/dev/null", "new-session", "-d", "-s", "a", "cat"], env=kept, check=True
        )
        with ExitStack() as shims:
            programs = {BARE: tmux}
            for number, (name, (plan, recorded)) in enumerate(WAYS.items()):
                made = Shim(
                    shim_plan(plan),
                    directory / f"shim-{number}",
                    {"tmux": tmux},
                    clock=SystemClock(),
                    disk=RealDisk(),
                    die=lambda: None,
                    heard=(lambda call: None) if recorded else None,
                )
                programs[name] = str(shims.enter_context(made).directory / "tmux")
            yield {name: partial(_ask, kept, program, socket) for name, program in programs.items()}
    finally:
        subprocess.run([tmux, "-S", socket, "kill-server"], env=kept, check=False)
        shutil.rmtree(directory)


def _ask(environment: dict[str, str], program: str, socket: str, number: int) -> None:
    subprocess.run([program, "-S", socket, "has-session", "-t", "=a"], env=environment, check=True, timeout=60)


def table(found: dict[str, Measured]) -> str:
    """A line for each way: the median, and how many times as long as the bare call, round by round."""
    lines = [f"{'':<28}{'median ms':>10}{'times':>8}{'least ms':>10}"]
    for name, one in found.items():
        median, least = statistics.median(one.costs_s) * 1e3, min(one.costs_s) * 1e3
        lines.append(f"{name:<28}{median:>10.1f}{one.ratio_to(found[BARE]):>8.2f}{least:>10.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
