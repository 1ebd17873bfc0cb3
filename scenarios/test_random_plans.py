"""Plans that nobody thought of: drawn by Hypothesis, found failing, made small, and tried first the next time."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.processes import Completed, SystemProcessTable
from faults.shrinker import shrink
from harness.chances import Chance, try_numbers
from harness.drawn_runs import drawn
from harness.stories import STORIES
from harness.trials import replay_line, run_of

SEEDS = 1000
"""How many seeds are told twice in a sweep; a twentieth of them elsewhere, as of everything that is tried by chance."""


def told_elsewhere(hash_seed: str, seeds: int) -> Completed:
    """What a fresh interpreter with that hash seed tells of so many seeds."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-m", "harness.drawn_runs", "0", str(seeds)]
    return SystemProcessTable().run(argv, timeout_s=600, env=environment)


@pytest.mark.timeout(900)
def test_random_plans_hold_every_oracle(chance: Chance) -> None:
    """Under whatever plan, every oracle holds; a plan under which one does not is told as small as it can be."""
    names = sorted(STORIES)

    def check(number: int) -> None:
        story = names[number % len(names)]
        run = run_of(STORIES[story], handle_signals=False)
        verdict = run(drawn(story, number))
        if not verdict.held:
            small = shrink(run, verdict.plan)
            lines = [*small.verdict.problems, f"replay: {replay_line(story, small.plan)}", "", small.verdict.explain()]
            pytest.fail("\n".join(lines), pytrace=False)

    try_numbers(check, seed=chance.seed, examples=chance.examples(60))


@pytest.mark.timeout(900)
def test_determinism_of_random_plans_across_processes(chance: Chance) -> None:
    """Two fresh processes with different hash seeds tell what came of every seed alike, to the byte."""
    seeds = chance.examples(SEEDS // 20)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(told_elsewhere, ("1", "4242"), (seeds, seeds))

    assert one.status == other.status == 0, one.stderr.decode()
    assert one.stdout.count(b"\n") == seeds
    assert one.stdout.splitlines() == other.stdout.splitlines()
