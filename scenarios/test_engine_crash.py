"""The engine itself raises: recorded before anything is torn down, and never taken for anything else."""

from __future__ import annotations

import pytest

from harness.engine.core import STEPS
from harness.record import RunStatus, TaskPhase
from harness.rehearsals import deferring, gated, nudged, off_the_main_thread, rehearse, whole
from harness.runner import Stage

EXCEPTIONS = (
    *("OSError", "MemoryError", "RecursionError"),
    *("BadStr", "LoneSurrogates", "CyclicCause", "NestedGroup"),
)
"""What is a failure of the engine: ordinary exceptions, scarce resources, hostile shapes."""
FOREIGN = ("SystemExit", "GeneratorExit", "BaseException", "BaseExceptionGroup")
"""Somebody else's control flow: recorded, then raised again."""
AFTER_THE_LAST_TASK = ("clean-up", "post-run", "complete", "record")


def test_engine_crash_rehearsals_pass_every_step(mux_run: Stage) -> None:
    """The plans of this file reach every checkpoint that the engine has."""
    for story, settings in (whole(), nudged(), deferring(), gated()):
        mux_run(story, faults="", **settings)
    mux_run.resume()

    reached = {point for report in mux_run.reports for point in report.reached}
    assert {f"engine.{step}" for step in STEPS} <= reached


@pytest.mark.simulated("hundreds of moments; a sample of them is taken on live hosts below")
@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("step", STEPS)
def test_engine_crash_is_recorded_wherever_it_is_raised(mux_run: Stage, step: str, exception: str) -> None:
    """Whatever is raised at whichever step: CRASHED everywhere, exit 70, session gone, never out of the engine."""
    report = rehearse(mux_run, step, f"engine.{step}=1*raise({exception})")

    assert report.status is RunStatus.CRASHED
    assert report.exit_code == 70
    assert report.raised is None
    assert report.teardown == "torn-down"


@pytest.mark.simulated("hundreds of moments; a sample of them is taken on live hosts below")
@pytest.mark.parametrize("exception", FOREIGN)
@pytest.mark.parametrize("step", STEPS)
def test_engine_crash_by_foreign_control_flow_is_recorded_and_raised(mux_run: Stage, step: str, exception: str) -> None:
    """What is somebody else's control flow is recorded as a crash and then goes on its way."""
    report = rehearse(mux_run, step, f"engine.{step}=1*raise({exception})")

    assert report.status is RunStatus.CRASHED
    assert report.exit_code == 70
    assert type(report.raised).__name__ == exception


@pytest.mark.simulated("hundreds of moments; stops have their own scenarios on live hosts")
@pytest.mark.parametrize("step", ["begin", "decide", "record"])
def test_engine_crash_is_not_what_a_keyboard_interrupt_is(mux_run: Stage, step: str) -> None:
    """KeyboardInterrupt is a request to stop, wherever it is raised."""
    report = rehearse(mux_run, step, f"engine.{step}=1*raise(KeyboardInterrupt)")

    assert report.status is RunStatus.STOPPED
    assert report.exit_code == 130
    assert report.crash is None


@pytest.mark.live(scale=5)
@pytest.mark.parametrize("step", ["session", "mark", "decide", "nudge", "nested", "load"])
def test_engine_crash_on_a_live_host_is_recorded(mux_run: Stage, step: str) -> None:
    """A crash beside a real server and real agents: recorded, and nothing of either stays."""
    report = rehearse(mux_run, step, f"engine.{step}=1*raise(BadStr)")

    assert report.status is RunStatus.CRASHED
    assert report.teardown == "torn-down"
    assert report.leftovers == []


@pytest.mark.parametrize("step", ["open-window", "post-run"])
def test_engine_crash_with_a_message_of_fifty_megabytes_stays_small(mux_run: Stage, step: str) -> None:
    """A message of fifty megabytes is recorded within a megabyte, and shown in a line."""
    report = rehearse(mux_run, step, f"engine.{step}=1*raise(HugeMessage)")

    assert report.status is RunStatus.CRASHED
    assert report.crash is not None
    assert report.summary is not None
    assert max(len(report.list_row), len(report.summary.render())) < 10_000
    files = ("crash.txt", "state.json", "journal.jsonl", str(report.summary.crash_record))
    assert all(len(mux_run.world.disk.read(mux_run.run_dir / name)) <= 1 << 20 for name in files)


@pytest.mark.parametrize("step", AFTER_THE_LAST_TASK)
def test_crash_after_finish_is_a_crash(mux_run: Stage, step: str) -> None:
    """When the last task is done and the end of the run raises, the run has crashed and not finished."""
    report = rehearse(mux_run, step, f"engine.{step}=1*raise(OSError)")

    assert report.task("1-1").phase == TaskPhase.DONE
    assert report.status is RunStatus.CRASHED
    assert report.exit_code == 70
    assert "engine crashed" in report.header


@pytest.mark.simulated("which line of the journal it is must be known beforehand")
@pytest.mark.parametrize("from_last", [0, 1, 2], ids=["run-complete", "post-run", "teardown"])
def test_crash_after_finish_when_a_last_journal_line_cannot_be_written(mux_run: Stage, from_last: int) -> None:
    """A disk that takes one of the journal's last lines no more makes a crash of a run whose tasks are all done."""
    story, settings = whole()
    calm = mux_run(story, faults="", **settings)
    before = calm.reached["disk.append:journal"] - 1 - from_last
    report = mux_run(story, faults=f"disk.append:journal={before}*pass->1*oserror(EIO)", **settings)

    assert report.task("1-1").phase == TaskPhase.DONE
    assert report.status is RunStatus.CRASHED
    assert report.exit_code == 70


@pytest.mark.parametrize("step", ["pause", "record"])
def test_crash_while_paused_is_a_crash(mux_run: Stage, step: str) -> None:
    """A raise while the run pauses, before and after the pause is journaled, makes it CRASHED and not PAUSED."""
    story, settings = gated()
    report = mux_run(story, faults=f"engine.{step}=1*raise(RuntimeError)", **settings)

    assert report.status is RunStatus.CRASHED
    assert bool(report.events("run-paused")) == (step == "record")
    assert "PAUSED" not in report.list_row


def test_crash_while_paused_over_a_recorded_pause_is_a_crash(mux_run: Stage) -> None:
    """A run that was paused, and whose resume crashes before it has begun anything, is CRASHED."""
    story, settings = gated()
    paused = mux_run(story, faults="", **settings)
    report = mux_run.resume(faults="engine.load=1*raise(RuntimeError)")

    assert paused.status is RunStatus.PAUSED
    assert report.status is RunStatus.CRASHED
    assert report.exit_code == 70


def test_unprintable_exception_is_recorded_by_its_type(mux_run: Stage) -> None:
    """An exception whose `str()` raises is told by its type, everywhere."""
    report = rehearse(mux_run, "settle", "engine.settle=1*raise(BadStr)")

    assert report.summary is not None
    assert report.summary.crash_error == "BadStr: BadStr"
    assert report.summary.render().startswith("CRASHED: BadStr: BadStr")
    assert report.events("run-crash")[0]["error"] == "BadStr: BadStr"
    assert mux_run.world.disk.read(mux_run.run_dir / "crash.txt").startswith(b"CRASHED: BadStr: BadStr\n")


@pytest.mark.parametrize("exception", ["LoneSurrogates", "CyclicCause", "NestedGroup"])
def test_unprintable_exception_of_any_shape_leaves_readable_files(mux_run: Stage, exception: str) -> None:
    """Surrogates, cycles and groups are recorded whole, in files that everybody can read."""
    report = rehearse(mux_run, "prompt", f"engine.prompt=1*raise({exception})")

    assert report.crash is not None
    assert len(report.crash["exceptions"]) >= (1 if exception == "LoneSurrogates" else 2)
    text = mux_run.world.disk.read(mux_run.run_dir / "crash.txt").decode("utf-8")
    assert text.splitlines()[0] == f"CRASHED: {report.crash['error']}"


@pytest.mark.parametrize("step", ["mark", "complete"])
def test_crash_off_main_thread_is_recorded_and_not_raised(mux_run: Stage, step: str) -> None:
    """A top-level run in a worker thread records its crash and returns its summary, as on the main thread."""
    report = rehearse(mux_run, step, f"engine.{step}=1*raise(RuntimeError)", drive=off_the_main_thread)

    assert report.raised is None
    assert report.status is RunStatus.CRASHED
    assert report.exit_code == 70
    assert report.leftovers == []
