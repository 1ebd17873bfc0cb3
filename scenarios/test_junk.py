"""Something else stands where a file or a directory of the run belongs: a resume sets it aside, and goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from backends.disk import READ_LIMIT, StrPath
from harness.agents import ScriptedAgent, completes, task, works
from harness.record import RecordError, RunStatus
from harness.record.junk import DIRECTORIES
from harness.runner import Stage

AGENT = ScriptedAgent.attempts(works(1000).then_completes(), completes())


def empty(stage: Stage, path: StrPath) -> None:
    """Nothing is at `path` any more."""
    found = stage.world.disk.info(path)
    if found is not None and found.is_dir:
        stage.world.disk.remove_tree(path)
    elif found is not None:
        stage.world.disk.remove(path)


def a_file(stage: Stage, path: StrPath) -> None:
    """A file where a directory belongs."""
    empty(stage, path)
    stage.world.disk.write(path, b"junk")


def a_directory(stage: Stage, path: StrPath) -> None:
    """A directory with something in it where a file belongs."""
    empty(stage, path)
    stage.world.disk.mkdir(f"{path}/full")


def a_flood(stage: Stage, path: StrPath) -> None:
    """A file that is too long to be read."""
    empty(stage, path)
    stage.world.disk.write(path, b"\n" * (READ_LIMIT + 1))


JUNK: Mapping[str, Callable[[Stage, StrPath], None]] = {
    "journal.jsonl": a_directory,
    "state.json": a_directory,
    "state.json.bak": a_directory,
    "crash.txt": a_directory,
    "ATTENTION": a_directory,
    "events": a_file,
    "tasks": a_file,
    "tasks/1-1": a_file,
    "logs": a_file,
    "crash": a_file,
    "nested": a_file,
}


def broken(stage: Stage, name: str, junk: Callable[[Stage, StrPath], None]) -> None:
    """A run that has crashed with its agent at work, and has that junk at that name now."""
    stage(task("1-1", agent=AGENT), faults="engine.decide=2*pass->1*raise(RuntimeError)")
    junk(stage, f"{stage.run_dir}/{name}")


@pytest.mark.simulated("every place there is; one of them is met on live hosts below")
@pytest.mark.parametrize("name", JUNK)
def test_junk_is_set_aside_by_a_resume(mux_run: Stage, name: str) -> None:
    """The run is finished, nothing is thrown away, and the journal says what was moved."""
    broken(mux_run, name, JUNK[name])
    report = mux_run.resume(verify=False)

    assert report.status is RunStatus.FINISHED
    assert mux_run.world.disk.info(f"{mux_run.run_dir}/{name}.set-aside-1") is not None
    assert all(mux_run.world.disk.listdir(mux_run.run_dir / there) is not None for there in DIRECTORIES)
    (resumed,) = report.events("run-resumed")
    assert f"{name} was not what belongs there: it is {name}.set-aside-1 now" in resumed["notes"]


@pytest.mark.simulated("64 MB are written into memory")
def test_junk_that_is_a_journal_without_end_is_set_aside_by_a_resume(mux_run: Stage) -> None:
    """What the snapshot says is enough to go on."""
    broken(mux_run, "journal.jsonl", a_flood)
    report = mux_run.resume(verify=False)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["stopped", "completed"]


def test_junk_that_comes_again_gets_a_name_of_its_own(mux_run: Stage) -> None:
    """The second one takes the second number."""
    broken(mux_run, "events", a_file)
    mux_run.resume(faults="engine.reconcile=1*raise(OSError)", verify=False)
    a_file(mux_run, f"{mux_run.run_dir}/events")
    report = mux_run.resume(verify=False)

    assert report.status is RunStatus.FINISHED
    assert mux_run.world.disk.read(f"{mux_run.run_dir}/events.set-aside-2") == b"junk"


@pytest.mark.simulated("a disk that fails is made on simulated hosts")
@pytest.mark.parametrize("error", ["EIO", "EACCES", "ENOMEM"])
def test_junk_is_not_what_cannot_be_looked_into_for_a_moment(mux_run: Stage, error: str) -> None:
    """Directories that are sound stay where they are, with the results in them."""
    broken(mux_run, "crash.txt", empty)
    report = mux_run.resume(faults=f"disk.listdir:other=1*oserror({error})", strict=False, verify=False)

    assert report.status is RunStatus.FINISHED
    assert not [name for name in mux_run.world.disk.listdir(mux_run.run_dir) if "set-aside" in name]


def test_junk_all_over_is_refused_in_one_line_and_left_alone(mux_run: Stage) -> None:
    """Where nothing can be read there is no run to go on with, however often it is asked for."""
    broken(mux_run, "state.json", a_directory)
    for name in ("state.json.bak", "journal.jsonl"):
        a_directory(mux_run, f"{mux_run.run_dir}/{name}")

    store = mux_run.store()
    with store.lock():
        for _ in range(2):
            with pytest.raises(RecordError, match=r"\Ano run can be read in [^\n]*\Z"):
                store.load()
    assert not [name for name in mux_run.world.disk.listdir(mux_run.run_dir) if "set-aside" in name]
