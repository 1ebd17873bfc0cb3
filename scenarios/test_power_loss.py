"""Power lost at any moment: whatever was not synced is gone, in any combination, and nothing that was acknowledged is."""

from __future__ import annotations

import functools

import pytest

from harness.crash_images import Cut, Recording, cuts, kills, record
from harness.crash_verdicts import Survey, go_on, survey
from harness.stories import STORIES

CRASH = "engine.complete=1*raise(RuntimeError)"
COUNTED = (("completes", ""), ("nudged", ""), ("stopped", ""), ("approved", ""), ("completes", CRASH))
"""Stories, with faults, of which every cut is made whenever scenarios run."""


@functools.cache
def recorded(story: str, faults: str = "") -> Recording:
    """The story, told once."""
    return record(STORIES[story], faults)


def test_at_least_five_thousand_images_hold_what_was_promised() -> None:
    """Kills and power cuts together: none unreadable, no acknowledged record lost, no wrong status."""
    found = sum((survey(recorded(*one), cuts(recorded(*one))) for one in COUNTED), Survey())

    print(f"{found.images} crash images, {found.distinct} of them with a record of their own")  # noqa: T201  # the count
    assert found.images >= 5000
    assert {kind: found.count(kind) for kind in ("unreadable", "lost", "status")} == dict.fromkeys(
        ("unreadable", "lost", "status"), 0
    )
    assert found.problems == []


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("story", list(STORIES))
def test_whatever_a_power_cut_takes_with_it_nothing_promised_is_lost(story: str, thorough: bool) -> None:
    """Any subset of what was not synced, and the end of a write: at every change of the disk, in every story."""
    tried = cuts(recorded(story), every=1 if thorough else 16, thorough=thorough)

    assert survey(recorded(story), tried).problems == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", list(STORIES))
def test_a_run_is_resumed_from_the_least_that_a_power_cut_leaves(story: str, thorough: bool) -> None:
    """With everything lost that could be, the run goes on where its promises end."""
    recording = recorded(story)
    moments = list(kills(recording))

    for kill in moments if thorough else moments[40::90]:
        unsynced = recording.disk.unsynced(kill.changes)
        cut = Cut(kill.changes, frozenset(loss for loss in unsynced if loss.number >= recording.begun))
        assert go_on(recording, cut) == [], str(cut)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("story", list(STORIES))
def test_a_run_is_resumed_whatever_a_power_cut_took(story: str, thorough: bool) -> None:
    """With half a write, or one name and not the other, the resume finds its way just as well."""
    tried = list(cuts(recorded(story), every=1 if thorough else 32))[3 :: 10 if thorough else 30]

    for cut in tried:
        assert go_on(recorded(story), cut) == [], str(cut)
