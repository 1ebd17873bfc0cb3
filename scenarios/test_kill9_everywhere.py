"""SIGKILL at any moment: every file can be read, the status is right, nothing acknowledged is lost, a resume finishes."""

from __future__ import annotations

import functools
import signal
import sys
from pathlib import Path

import pytest

from backends.clock import SystemClock
from backends.disk import RealDisk
from backends.entropy import SystemEntropy
from backends.processes import SystemProcessTable
from faults.actions import Die
from faults.matrix import Cell
from faults.plan import FaultPlan
from harness.agents import completes, task, works
from harness.crash_images import Recording, kills, record
from harness.crash_verdicts import go_on, survey
from harness.dashboard.reader import read_run
from harness.killed_run import RUN, carry_out
from harness.record import Finished, RunStatus, RunStore
from harness.runner import Stage
from harness.stories import STORIES
from harness.trials import replay_line, trial

CRASHES = {
    "at-the-end": ("completes", "engine.complete=1*raise(RuntimeError)"),
    "after-the-end": ("completes", "engine.record=1*raise(RuntimeError)"),
    "inside": ("deferred", "engine.prompt=1*pass->1*raise(RuntimeError)"),
    "stopped-inside": ("deferred", "signal.prompt=1*pass->1*signal(SIGTERM)"),
    "state-refused": ("completes", "disk.replace:state=8*pass->1*oserror(EIO)"),
    "line-torn": ("completes", "disk.append:journal=5*pass->1*torn(7)->1*oserror(ENOSPC)"),
    "crash-refused": ("completes", "engine.settle=1*raise(OSError);disk.write:crash=1*oserror(ENOSPC)"),
}
"""Runs that end badly, each as a story and its faults: their ends are cut off as well."""


@functools.cache
def recorded(story: str, faults: str = "") -> Recording:
    """The story, told once."""
    return record(STORIES[story], faults)


@pytest.mark.parametrize("story", list(STORIES))
def test_kill9_everywhere_leaves_what_was_promised(story: str) -> None:
    """Readable, complete, INTERRUPTED or as the last acknowledged ending says; never FINISHED without one, never RUNNING."""
    assert survey(recorded(story), kills(recorded(story))).problems == []


@pytest.mark.parametrize("name", list(CRASHES))
def test_kill9_everywhere_in_a_bad_end_leaves_what_was_promised(name: str) -> None:
    """A crash that was filed stays filed, whatever else could not be written any more."""
    recording = recorded(*CRASHES[name])

    assert survey(recording, kills(recording)).problems == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", list(STORIES))
def test_kill9_everywhere_of_all_there_is_can_be_gone_on_from(story: str, thorough: bool) -> None:
    """Killed with everything around it, a run is resumed until it is finished, and nothing that was done is done again."""
    moments = list(kills(recorded(story)))

    for cut in moments if thorough else moments[3::90]:
        assert go_on(recorded(story), cut) == [], str(cut)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", list(STORIES))
def test_kill9_everywhere_of_the_engine_alone_can_be_gone_on_from(story: str, thorough: bool) -> None:
    """The engine dies alone: its windows and agents live on, and the resume reconciles them."""
    reached = recorded(story).report.reached
    calls = [
        Cell(point, call, Die(), lost=lost)
        for point in sorted(reached)
        if point.startswith("disk.")
        for call in range(1, reached[point] + 1)
        for lost in (False, True)
    ]

    for cell in calls if thorough else calls[7::90]:
        verdict = trial(STORIES[story], FaultPlan((cell.fault,))).verdict
        assert verdict.fired, cell.label
        assert verdict.held, (verdict.problems, replay_line(story, verdict.plan))


@pytest.mark.worlds("fake", "simulated-tmux")
@pytest.mark.parametrize("faults", ["disk.fsync:journal=6*pass->1*die", "disk.replace:state=6*pass->1*lost:die"])
def test_kill9_everywhere_in_a_world_that_goes_on(mux_run: Stage, faults: str) -> None:
    """The window and the agent in it live on without an engine; the resume ends them, or takes over what they left."""
    killed = mux_run(task("1-1", agent=works(2).then_completes()), task("1-2", agent=completes()), faults=faults)
    report = mux_run.resume()

    assert killed.killed
    assert report.status is RunStatus.FINISHED
    assert [report.task(key).phase for key in ("1-1", "1-2")] == ["done", "done"]


MOMENTS = (19, 26, 47, 68, 111, 150, 181, 191)
"""Changes of the disk after which a process is killed; the whole run makes a little less than two hundred."""


@pytest.mark.parametrize("changes", MOMENTS)
def test_kill9_everywhere_of_a_real_process_can_be_gone_on_from(changes: int, tmp_path: Path) -> None:
    """A real process on a real disk: the kernel gives the lock back, what was acknowledged is there, a resume finishes."""
    processes, disk = SystemProcessTable(SystemClock()), RealDisk()
    argv = (sys.executable, "-P", "-m", "harness.killed_run", str(tmp_path), "in-order", str(changes))
    killed = processes.run(argv, timeout_s=60)
    store = RunStore(
        tmp_path / RUN, disk=disk, clock=SystemClock(), entropy=SystemEntropy(), processes=processes, environment={}
    )
    view = read_run(store)
    journaled = [event["event"] for event in store.events()]
    summary = carry_out(tmp_path, "in-order", disk=disk, processes=processes, resume=True)

    assert killed.status == -signal.SIGKILL, killed.stderr
    assert view.status.name is (RunStatus.FINISHED if "run-complete" in journaled else RunStatus.INTERRUPTED)
    assert [note for note in view.status.notes if note != "state.json is missing"] == []
    assert not set(words(killed.stdout)) - set(journaled)
    assert len(words(killed.stdout)) <= len(journaled)
    assert isinstance(summary.ending, Finished), summary.render()


def words(told: bytes) -> list[str]:
    """The events that the engine said were durable."""
    return [line.split(" ", 1)[0] for line in told.decode().splitlines()]
