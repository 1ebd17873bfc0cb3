"""The same story, fault plan and seed give the same trace, byte for byte, in whatever process."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from backends.processes import Completed, SystemProcessTable
from harness.agents import dies, plan_of, stops, task, works
from harness.runner import run_scenario

STORIES = {
    "hangs": "list_window_ids=30%*timeout(3); window_pids=1*timeout",
    "lost-launch": "new_window=1*lost:timeout(30)",
    "crash": "engine.settle=1*raise(NestedGroup)",
    "full-disk": "disk.append:journal=9*pass->oserror(ENOSPC)",
    "stop": "signal.decide=2*pass->1*signal(SIGTERM)",
    "kill": "engine.outcome=1*die",
}
TELL_ALL = "from scenarios import test_determinism as story; print(*map(story.told, story.STORIES), sep='')"


def told(name: str, seed: int = 7) -> str:
    """How that story ended, what was recorded of it, and its trace."""
    plan = plan_of(
        task("1-1", agent=stops().then_idles()),
        task("1-2", agent=dies(signal="SIGKILL")),
        task("1-3", agent=works(2).then_completes()),
        max_parallel=2,
        nudges=1,
        session_timeout_s=20,
        result_grace_s=1,
        project="/sim/project",
    )
    report = run_scenario(plan, faults=STORIES[name], seed=seed, strict=False)
    return f"{name}: {report.status} after {report.elapsed_s} s\n{report.journal}\n{report.crash_sink}\n{report.trace}"


def told_elsewhere(hash_seed: str) -> Completed:
    """All stories, told by a fresh interpreter with that hash seed."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return SystemProcessTable().run([sys.executable, "-c", TELL_ALL], timeout_s=60, env=environment)


def test_determinism_across_processes_and_hash_seeds() -> None:
    """Two fresh processes with different hash seeds tell every story alike, to the byte."""
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(told_elsewhere, ("1", "4242"))

    assert one.status == other.status == 0, one.stderr.decode()
    assert one.stdout.count(b"\n") > 1000
    assert one.stdout.splitlines() == other.stdout.splitlines()


def test_determinism_does_not_come_from_ignoring_the_seed() -> None:
    """Another seed throws other dice and draws other names."""
    assert told("hangs", seed=7) != told("hangs", seed=8)
