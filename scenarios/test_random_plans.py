"""Plans that nobody thought of: drawn by Hypothesis, found failing, made small, and tried first the next time."""

from __future__ import annotations

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from backends.processes import Completed, SystemProcessTable
from faults.chance import random_plan
from faults.plan import FaultPlan
from faults.shrinker import shrink
from harness.chances import Chance, try_numbers
from harness.runner import Stage, catalog_of
from harness.stories import STORIES
from harness.trials import replay_line, run_of, trial
from harness.world import FakeWorld

SEEDS = 1000
"""How many seeds are told twice in a sweep; a twentieth of them elsewhere, as of everything that is tried by chance."""
TELL_ALL = "import sys; from scenarios import test_random_plans as told; told.tell(range(*map(int, sys.argv[1:])))"


@cache
def drawn(story: str, number: int) -> FaultPlan:
    """The plan of that number for the story."""
    return random_plan(number, catalog_of(FakeWorld), reached(story))


@cache
def reached(story: str) -> dict[str, int]:
    """How often the story reaches each point without faults."""
    return dict(STORIES[story].tell(Stage(FakeWorld()), FaultPlan(), verify=False, strict=False).reached)


def tell(numbers: range) -> None:
    """Write, for each seed, a digest of everything that happened under its plan."""
    names = list(STORIES)
    for number in numbers:
        story = names[number % len(names)]
        reports = trial(STORIES[story], drawn(story, number)).reports
        told = "".join(f"{report.status} {report.elapsed_s}\n{report.journal}\n{report.trace}" for report in reports)
        sys.stdout.write(f"{number} {story} {len(told)} {hashlib.sha256(told.encode()).hexdigest()}\n")


def told_elsewhere(hash_seed: str, seeds: int) -> Completed:
    """What a fresh interpreter with that hash seed tells of so many seeds."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", TELL_ALL, "0", str(seeds)]
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
