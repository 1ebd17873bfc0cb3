"""What can go wrong while a crash is being recorded: each sink, the teardown, the context, even stderr."""

from __future__ import annotations

import io

import pytest

from harness.record import RunStatus
from harness.rehearsals import rehearse, whole
from harness.runner import Stage

CRASH = "engine.settle=1*raise(RuntimeError)"
NO_JOURNAL = "disk.append:journal=6*pass->oserror(EIO)"
NO_STATE = "disk.write:state=3*pass->oserror(EROFS)"
SINKS = {
    "json": (f"{CRASH}; disk.write:crash=1*oserror(ENOSPC)", "text"),
    "text": (f"{CRASH}; disk.write:crash=1*pass->1*oserror(ENOSPC)", "json"),
    "json-and-text": (f"{CRASH}; disk.write:crash=oserror(ENOSPC)", "journal"),
    "renames": (f"{CRASH}; disk.replace:crash=oserror(EIO)", "journal"),
    "syncs": (f"{CRASH}; disk.fsync:crash=oserror(EIO)", "journal"),
    "journal": (NO_JOURNAL, "json"),
    "state": (NO_STATE, "json"),
    "json-and-journal": (f"{NO_JOURNAL}; disk.write:crash=1*oserror(EDQUOT)", "text"),
    "all-but-state": (f"{NO_JOURNAL}; disk.write:crash=oserror(ENOSPC)", "stderr"),
    "every-file": (f"{NO_JOURNAL}; disk.write:crash=oserror(ENOSPC); {NO_STATE}", "stderr"),
}
"""What fails, by which faults, and the first sink that then holds the record."""

FIRST = {
    "disk.append:journal": "OSError: [Errno 5] Input/output error",
    "disk.write:state": "OSError: [Errno 30] Read-only file system",
}
"""The error of a sink that fails first; how often the state was saved by then depends on whether pids can be known."""


class BrokenStderr(io.StringIO):
    """A standard error that nobody listens to any more."""

    def write(self, text: str) -> int:
        """Fail."""
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("failing", list(SINKS))
def test_crash_in_crash_handler_lands_in_the_next_sink(mux_run: Stage, failing: str) -> None:
    """Whichever sinks fail, the next one holds the record, the first error is told, and the session is gone."""
    faults, sink = SINKS[failing]
    report = rehearse(mux_run, "settle", faults)

    assert report.summary is not None
    assert report.summary.crashed
    assert report.exit_code == 70
    assert report.crash_sink == sink
    assert report.summary.problems
    assert report.summary.teardown == "torn-down"


@pytest.mark.parametrize("failing", ["json-and-text", "json-and-journal", "state"])
def test_crash_in_crash_handler_leaves_a_run_that_resumes(mux_run: Stage, failing: str) -> None:
    """With the disk in order again, the run is CRASHED to everybody, and a resume finishes it."""
    crashed = rehearse(mux_run, "settle", SINKS[failing][0])
    report = mux_run.resume()

    assert crashed.status is RunStatus.CRASHED
    assert report.status is RunStatus.FINISHED
    assert report.state is not None
    assert crashed.summary is not None
    assert [crash.error for crash in report.state.crashes] == [crashed.summary.crash_error]


def test_crash_in_crash_handler_with_no_sink_left_still_ends_the_run(mux_run: Stage) -> None:
    """When even stderr is broken, the summary tells of the first error, and of everything that failed after it."""
    report = rehearse(mux_run, "settle", SINKS["every-file"][0], stderr=BrokenStderr(), verify=False)

    assert report.raised is None
    assert report.summary is not None
    assert report.summary.crash_error == FIRST[report.injections[0].point]
    assert [problem.split(":")[0] for problem in report.summary.problems][:4] == ["json", "text", "journal", "stderr"]
    assert report.leftovers == []


def test_crash_in_crash_handler_whose_context_raises_is_recorded_without_it(mux_run: Stage) -> None:
    """A context that cannot be had is a problem that is told, and nothing more."""

    def context() -> dict[str, object]:
        raise LookupError("no context")

    report = rehearse(mux_run, "settle", CRASH, crash_context=context)

    assert report.crash is not None
    assert report.crash["error"].startswith("RuntimeError: injected by engine.settle")
    assert report.summary is not None
    assert report.summary.problems == ("crash-context: LookupError: no context",)


@pytest.mark.parametrize("raised", ["ValueError", "BadStr", "SystemExit"])
def test_crash_in_crash_handler_whose_teardown_raises_tells_of_the_first_error(mux_run: Stage, raised: str) -> None:
    """A teardown that raises is recorded as failed; what the engine crashed with stays what it was."""
    report = rehearse(mux_run, "settle", f"{CRASH}; leak.kill_session=raise({raised})")

    assert report.status is RunStatus.CRASHED
    assert report.summary is not None
    assert str(report.summary.crash_error).startswith("RuntimeError: injected by engine.settle")
    assert report.summary.teardown == "failed"
    assert [problem.split(":")[1].strip() for problem in report.summary.problems] == [raised]


def test_crash_in_crash_handler_whose_teardown_hangs_is_bounded(mux_run: Stage) -> None:
    """A server that answers nothing any more costs a crashed run its grace to stop, and is ended by the resume."""
    story, settings = whole()
    freeze = {"decide": mux_run.world.freeze}
    report = mux_run(
        story,
        checkpoint=lambda step: freeze.pop(step, bool)() and None,
        faults="engine.decide=1*raise(RuntimeError)",
        stop_grace_s=5,
        **settings,
    )
    mux_run.world.thaw()

    assert report.status is RunStatus.CRASHED
    assert report.teardown == "unconfirmed"
    assert report.elapsed_s <= (1 + 5 if report.virtual else 60)
    assert mux_run.resume().status is RunStatus.FINISHED
