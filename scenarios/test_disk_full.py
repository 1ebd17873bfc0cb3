"""Disks that take no more: what was recorded stays, the reason is told, and the record lands somewhere."""

from __future__ import annotations

import os

import pytest

from faults.actions import OsError
from harness.agents import task, works
from harness.record import RunStatus
from harness.runner import Stage

REFUSALS = ("ENOSPC", "EIO", "EROFS", "EDQUOT")
WRITES = ("write:state", "fsync:state", "replace:state", "append:journal", "fsync:journal")


@pytest.mark.simulated("no live disk is filled for it; the whole record is written through one object")
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("times", ["once", "for-good"])
@pytest.mark.parametrize("write", WRITES)
def test_disk_full_while_a_run_goes_on_is_a_crash_with_its_reason(
    mux_run: Stage, write: str, times: str, refusal: str
) -> None:
    """What cannot be recorded any more ends the run, which tells why; the old state is whole, and a resume finishes."""
    count = "1*" if times == "once" else ""
    broken = mux_run(
        task("1-1", agent=works(2).then_completes()), faults=f"disk.{write}=4*pass->{count}oserror({refusal})"
    )
    kept = mux_run.store().load().state
    report = mux_run.resume()

    reason = os.strerror(OsError(refusal).errno)
    assert broken.summary is not None
    assert broken.status is RunStatus.CRASHED
    assert reason in broken.summary.render()
    assert broken.crash_sink == "json"
    assert [story.key for story in kept.tasks] == ["1-1"]
    assert report.status is RunStatus.FINISHED


@pytest.mark.simulated("no live disk is filled for it; the whole record is written through one object")
@pytest.mark.parametrize("write", WRITES)
def test_disk_full_of_every_file_leaves_the_record_to_the_last_sink(mux_run: Stage, write: str) -> None:
    """With no room for anything the record is told on stderr, in the summary, and the old state can still be resumed."""
    broken = mux_run(
        task("1-1", agent=works(2).then_completes()),
        faults=f"disk.{write}=4*pass->oserror(ENOSPC); disk.*:crash=oserror(ENOSPC); disk.append:journal=9*pass->oserror(EIO)",
        strict=False,
    )

    assert broken.summary is not None
    assert broken.exit_code == 70
    assert "No space left on device" in str(broken.summary.crash_error)
    assert broken.crash_sink in ("journal", "stderr")
    assert mux_run.resume_to_the_end().task("1-1").phase == "done"


@pytest.mark.simulated("no live disk is filled for it; the whole record is written through one object")
@pytest.mark.parametrize("refusal", REFUSALS)
def test_disk_full_from_the_start_begins_nothing(mux_run: Stage, refusal: str) -> None:
    """A run whose record cannot even be begun starts no agent, and says why."""
    report = mux_run(task("1-1", agent=works(2).then_completes()), faults=f"disk.*:*=oserror({refusal})")

    assert report.summary is not None
    assert report.exit_code == 70
    assert os.strerror(OsError(refusal).errno) in str(report.summary.crash_error)
    assert not report.ledger


@pytest.mark.simulated("no live disk is filled for it; the whole record is written through one object")
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("what", ["read", "listdir"])
def test_disk_full_of_trouble_with_events_is_no_trouble_of_the_run(mux_run: Stage, what: str, refusal: str) -> None:
    """Events that cannot be read for a while are read later; the result is enough to complete."""
    report = mux_run(task("1-1", agent=works(3).then_completes()), faults=f"disk.{what}:events=3*oserror({refusal})")

    assert report.task("1-1").outcomes == ["completed"]
    assert os.strerror(OsError(refusal).errno).lower() in report.events("event-skipped")[0]["note"]


def test_disk_full_once_on_a_live_host_is_a_crash_with_its_reason(mux_run: Stage) -> None:
    """With real files and a real multiplexer: CRASHED, nothing left behind, and the resume finishes."""
    broken = mux_run(task("1-1", agent=works(1).then_completes()), faults="disk.write:state=4*pass->1*oserror(ENOSPC)")
    report = mux_run.resume()

    assert broken.status is RunStatus.CRASHED
    assert "No space left on device" in broken.list_row
    assert broken.leftovers == []
    assert report.status is RunStatus.FINISHED
