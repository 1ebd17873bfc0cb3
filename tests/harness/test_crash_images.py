"""Cuts earn their place: a record, or a reader of records, that is wrong in its way does not get past them."""

from __future__ import annotations

import dataclasses
import functools

import broken_stores as broken
import pytest

from backends.memory_disk import Loss, Part
from faults.plan import FaultPlan
from harness.crash_images import Cut, Recording, cuts, kills, record
from harness.crash_verdicts import Judge, go_on, survey
from harness.dashboard.reader import RunView, read_run
from harness.promises import Promise
from harness.record import CrashFiling, CrashRef, RunStore
from harness.stories import STORIES
from harness.trials import trial

CRASH = "engine.complete=1*raise(RuntimeError)"


@functools.cache
def recorded(faults: str = "", store: str = "") -> Recording:
    """One task is done, as that store keeps it: a sound one, or the broken one of that name."""
    open_store = broken.STORES[store][0].on if store else RunStore.on
    return record(STORIES["completes"], faults, open_store=open_store)


@pytest.mark.parametrize("name", list(broken.STORES))
def test_a_store_that_is_wrong_does_not_get_past_the_cuts(name: str) -> None:
    """What it lost, or left unreadable, is told."""
    problem = broken.STORES[name][1]
    recording = recorded(CRASH, name)
    judge = Judge(recording)

    assert any(one.startswith(problem) for cut in cuts(recording) for one in judge.problems(cut))


@pytest.mark.parametrize("name", list(broken.READERS))
def test_a_reader_that_is_wrong_does_not_get_past_the_cuts(name: str) -> None:
    """What it shows of a sound record is told."""
    read, problem = broken.READERS[name]
    judge = Judge(recorded(), read)

    assert any(one.startswith(problem) for cut in cuts(recorded()) for one in judge.problems(cut))


def test_nothing_but_the_line_being_written_may_be_unreadable() -> None:
    """Whatever else is noted where a write was cut off is told."""

    def read(store: RunStore) -> RunView:
        view = read_run(store)
        notes = (*view.status.notes, "plan.toml cannot be read")
        return dataclasses.replace(view, status=dataclasses.replace(view.status, notes=notes))

    judge = Judge(recorded(), read)
    torn = [judge.problems(cut) for cut in cuts(recorded()) if cut.torn]

    assert torn
    assert all(problems == ["unreadable: plan.toml cannot be read"] for problems in torn)


@pytest.mark.parametrize("faults", ["", CRASH])
def test_a_sound_record_gets_past_every_cut(faults: str) -> None:
    """Nothing is wrong wherever it is cut off."""
    found = survey(recorded(faults), cuts(recorded(faults)))

    assert found.problems == []
    assert found.images > 900
    assert found.images > found.distinct > 80


def test_every_change_is_a_place_for_a_kill_and_every_cut_is_made_once() -> None:
    """Before the first change, after the last, and between any two."""
    recording = recorded()
    every = list(cuts(recording))

    assert [cut for cut in every if cut.is_kill] == list(kills(recording))
    assert len(list(kills(recording))) == len(recording.disk.mutations) - recording.begun + 1
    assert len(set(every)) == len(every)


def test_thorough_cuts_are_all_the_others_and_more() -> None:
    """Whatever is tried quickly is tried thoroughly, too."""
    recording = recorded()
    quick, thorough = set(cuts(recording)), set(cuts(recording, thorough=True))

    assert quick < thorough


def test_what_was_there_before_the_story_is_not_lost() -> None:
    """The directory that runs are kept in was made long ago."""
    recording = recorded()

    assert all(loss.number >= recording.begun for cut in cuts(recording) for loss in cut.lost)


def test_a_cut_says_where_it_is() -> None:
    """Enough to make it again."""
    cut = Cut(9, frozenset({Loss(7, Part.DATA), Loss(3, Part.ENTRY)}), ((8, 12),))

    assert str(cut) == "after 9 changes without 3:entry, 7:data, 8:12 bytes"
    assert str(Cut(9)) == "after 9 changes"


def test_promises_are_given_when_a_call_returns() -> None:
    """Before that they are open: they may be kept already, and need not be."""
    recording = recorded()
    ending = next(one for one in recording.promises if one.ending is not None)
    assert ending.given is not None

    assert not ending.is_open(ending.begun)
    assert ending.is_open(ending.given - 1)
    assert not ending.is_open(ending.given)
    assert ending.stands(ending.given)


def after_line(recording: Recording, event: str) -> Cut:
    """Just after that line was acknowledged for the first time, without anything that was not synced."""
    lines = [one for one in recording.promises if isinstance(one.content, dict) and one.content["event"] == event]
    changes = lines[0].given
    assert changes is not None
    return Cut(changes, frozenset(loss for loss in recording.disk.unsynced(changes) if loss.number >= recording.begun))


def test_a_run_whose_beginning_was_lost_cannot_be_resumed_and_is_told() -> None:
    """Where the first line was acknowledged, a resume has to go on."""
    broken_one = recorded("", "never-syncs-its-journal")

    assert go_on(recorded(), after_line(recorded(), "run-created")) == []
    assert "cannot be resumed" in go_on(broken_one, after_line(broken_one, "run-created"))[0]


def test_a_resume_that_repeats_a_task_or_forgets_a_crash_is_told() -> None:
    """What was promised and not kept shows in what the resume does."""
    run_dir, cut = recorded().run_dirs[0], after_line(recorded(), "attempt")
    done = {"event": "task-done", "task": "1-1", "seq": 1, "epoch": 1}
    filing = CrashFiling("OSError: x", None, ["text"], [], CrashRef(1, 1, "OSError: x"))
    made = (Promise(run_dir, done, 1, 1, 1), Promise(run_dir, filing, 1, 1, 1))
    lied = dataclasses.replace(recorded(), promises=(*recorded().promises, *made))

    assert go_on(recorded(), cut) == []
    assert go_on(lied, cut) == [
        "resumable: 1-1 was done and was taken up again",
        "resumable: the crash OSError: x was forgotten",
    ]


def test_before_anything_was_acknowledged_there_is_nothing_to_resume() -> None:
    """A resume says so, and that is no problem."""
    assert go_on(recorded(), Cut(recorded().begun)) == []
    assert go_on(recorded(), Cut(recorded().begun + 6)) == []


@pytest.mark.parametrize("then", ["1*oserror(ENOSPC)", "1*die"])
def test_a_line_that_was_cut_off_in_the_middle_of_a_run_is_no_damage(then: str) -> None:
    """Nobody was told that it was written; the next line, of this drive or of the resume, closes it off and says so."""
    plan = FaultPlan.parse(f"disk.append:journal=5*pass->1*torn(7)->{then}", 0)
    found = trial(STORIES["completes"], plan)

    assert found.verdict.problems == ()
    assert any(event.get("torn_before") for event in found.reports[-1].journal)
