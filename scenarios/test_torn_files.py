"""Files cut off, zeroed, mistaken, from the future: what another copy holds is not lost, and no run hides another."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

import pytest

from harness.crash_images import record
from harness.damage import ODD_DOCUMENTS, Specimen, odd_journals, shortened, wrong_types
from harness.dashboard.reader import RunView
from harness.record import NewerSchema, RecordError, RunStatus
from harness.record.journal import parse_journal
from harness.record.state import decode_state
from harness.stories import STORIES

CRASH = "engine.complete=1*raise(RuntimeError)"
KINDS = {
    "finished": ("after-a-crash", ""),
    "crashed": ("completes", CRASH),
    "stopped": ("stopped", ""),
    "paused": ("paused", ""),
    "killed": ("parallel", "engine.decide=3*pass->1*die"),
}
"""Runs of every status that a record can tell of, each as a story and its faults."""


@functools.cache
def specimen(kind: str) -> Specimen:
    """The directory of a run that came to that."""
    story, faults = KINDS[kind]
    return Specimen(record(STORIES[story], faults))


def shown(view: RunView) -> tuple[object, ...]:
    """What must not depend on which copy was read: status, ending, crashes, and where every task is."""
    assert view.state is not None, view.status.notes
    tasks = [(task.key, task.phase, [attempt.outcome for attempt in task.attempts]) for task in view.state.tasks]
    return view.status.name, view.status.ending, view.state.ending, [one.error for one in view.state.crashes], tasks


def says(view: RunView, name: str) -> bool:
    """Whether the notes name that file."""
    return any(name in note for note in view.status.notes)


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_a_snapshot_cut_at_any_byte_costs_nothing(kind: str, thorough: bool) -> None:
    """The backup and the journal know everything that it said; the notes say that it could not be read."""
    run = specimen(kind)
    whole = shown(run.view({}))

    for cut in shortened(run.content("state.json").rstrip(), 1 if thorough else 16):
        view = run.view({"state.json": cut})
        assert shown(view) == whole, cut
        assert says(view, "state.json cannot be read"), cut
        assert run.loaded({"state.json": cut}).source == "state.json.bak"


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_both_snapshots_cut_at_any_byte_cost_nothing(kind: str, thorough: bool) -> None:
    """The journal alone tells the whole story."""
    run = specimen(kind)
    whole = shown(run.view({}))

    for cut in shortened(run.content("state.json").rstrip(), 1 if thorough else 32):
        files = {"state.json": cut, "state.json.bak": cut[: len(cut) // 2]}
        assert shown(run.view(files)) == whole, cut
        assert run.loaded(files).source == "journal"


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_a_journal_cut_at_any_byte_takes_no_other_line_with_it(kind: str, thorough: bool) -> None:
    """The snapshot still stands; what is missing at the end is noted unless the cut is between two lines."""
    run = specimen(kind)
    whole, data = shown(run.view({})), run.content("journal.jsonl")

    for cut in shortened(data, 1 if thorough else 32):
        view = run.view({"journal.jsonl": cut})
        assert shown(view) == whole, cut[-80:]
        clean = cut.endswith(b"\n") or not cut or data[len(cut) :].startswith(b"\n")
        assert says(view, "lacks its end") is not clean, cut[-80:]


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_a_journal_cut_at_any_byte_has_every_line_before(kind: str) -> None:
    """Each beginning of the file has just the lines that are whole in it."""
    data = specimen(kind).content("journal.jsonl")
    events = parse_journal(data).events

    for size in range(len(data)):
        reading = parse_journal(data[:size])
        whole = data.count(b"\n", 0, size) + (data[size : size + 1] == b"\n")
        assert reading.events == events[:whole]
        assert not reading.damaged


def endings(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """The journal cut at every byte of its last line, each with whether the line is whole."""
    start = data.rstrip(b"\n").rfind(b"\n") + 1
    yield from ((data[:size], size >= len(data) - 1) for size in range(start, len(data)))


@pytest.mark.parametrize(("story", "status"), [("completes", "FINISHED"), ("paused", "PAUSED")])
def test_torn_files_an_ending_that_is_not_whole_is_none(story: str, status: str) -> None:
    """With the journal alone a run has ended once the line about it is whole, and not a byte before."""
    run = Specimen(record(STORIES[story]))

    for cut, is_whole in endings(run.content("journal.jsonl")):
        view = run.view({"journal.jsonl": cut, "state.json": None, "state.json.bak": None})
        assert view.status.name.value == (status if is_whole else "INTERRUPTED"), cut[-80:]


@pytest.mark.parametrize("name", ["crash.txt", "crash/1-12.json"])
def test_torn_files_a_crash_record_cut_at_any_byte_leaves_the_run_crashed(name: str, thorough: bool) -> None:
    """The other record, the journal and the snapshot know of it; even all of them but one may be lost."""
    run = specimen("crashed")
    error = run.view({}).status.reason
    others = {"state.json": None, "state.json.bak": None}
    lost = others | {other: None for other in ("crash.txt", "crash/1-12.json") if other != name}

    for cut in shortened(run.content(name), 8 if thorough else 256):
        view, alone = run.view({name: cut}), run.view(lost | {name: cut})
        assert (view.status.name, view.status.reason) == (RunStatus.CRASHED, error)
        assert (alone.status.name, alone.status.reason) == (RunStatus.CRASHED, error)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("odd", list(ODD_DOCUMENTS))
def test_torn_files_what_is_no_state_is_passed_over(kind: str, odd: str) -> None:
    """Whatever stands where the snapshot should be, and the backup, and the crash records: the journal knows."""
    run = specimen(kind)
    document = ODD_DOCUMENTS[odd]
    whole = shown(run.view({}))
    crashes = {name: document for name in ("crash.txt", "crash/1-12.json") if kind == "crashed"}

    assert shown(run.view({"state.json": document})) == whole
    assert shown(run.view({"state.json": document, "state.json.bak": document})) == whole
    assert shown(run.view({"state.json": document, "run.lock": document, **crashes}))[0] == whole[0]


@pytest.mark.parametrize("kind", ["finished", "crashed"])
def test_torn_files_a_snapshot_with_something_wrong_in_it_is_passed_over(kind: str, thorough: bool) -> None:
    """Each thing in it as each wrong type: where it is refused, the backup is used and the notes say so."""
    run = specimen(kind)
    whole, document = shown(run.view({})), json.loads(run.content("state.json"))

    for what, data in wrong_types(document, 1 if thorough else 8):
        view = run.view({"state.json": data})
        try:
            decode_state(data)
        except NewerSchema:
            assert view.status.name is RunStatus.UNKNOWN, what
        except RecordError:
            assert shown(view) == whole, what
            assert says(view, "state.json cannot be read"), what


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_a_record_of_a_newer_version_is_not_judged(kind: str) -> None:
    """It is UNKNOWN, says which version wrote it, and is never taken up."""
    run = specimen(kind)
    newer = json.dumps(json.loads(run.content("state.json")) | {"schema": 99}).encode()

    view = run.view({"state.json": newer})
    with pytest.raises(NewerSchema, match="schema 99"):
        run.loaded({"state.json": newer})
    assert (view.status.name, view.status.hints) == (RunStatus.UNKNOWN, ())
    assert "newer version (schema 99" in view.status.reason


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_a_journal_with_something_in_between_tells_the_same_story(kind: str) -> None:
    """Lines twice, other line ends, garbage between them: with the snapshot and without it."""
    run = specimen(kind)
    whole = shown(run.view({}))

    for what, data in odd_journals(run.content("journal.jsonl")):
        assert shown(run.view({"journal.jsonl": data})) == whole, what
        assert shown(run.view({"journal.jsonl": data, "state.json": None, "state.json.bak": None})) == whole, what


@pytest.mark.parametrize("odd", [*ODD_DOCUMENTS, "newer"])
def test_torn_files_a_run_that_cannot_be_read_hides_no_other(odd: str) -> None:
    """It stands in the list between two others, as what it is."""
    run = specimen("finished")
    document = ODD_DOCUMENTS.get(odd, b'{"schema": 99}')
    names = ("state.json", "state.json.bak", "journal.jsonl", "plan.toml", "run.lock")

    listed = run.listed(dict.fromkeys(names, document))

    assert list(listed) == ["run-0", "run-1", "run-2"]
    assert [listed[name].status.name for name in ("run-0", "run-2")] == [RunStatus.FINISHED] * 2
    assert listed["run-1"].status.name in (RunStatus.UNKNOWN, RunStatus.CRASHED)
    assert listed["run-1"].status.reason


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_that_end_in_zeros_cost_nothing(kind: str, thorough: bool) -> None:
    """A file system may have made room for what it never wrote: what is before the zeros counts, what is elsewhere stands."""
    run = specimen(kind)
    whole = shown(run.view({}))

    for name in ("state.json", "state.json.bak", "journal.jsonl", "run.lock", "plan.toml"):
        data = run.content(name) if run.has(name) else b"{}"
        for cut in shortened(data, 4 if thorough else 128):
            assert shown(run.view({name: cut + bytes(len(data) - len(cut))})) == whole, (name, cut[-80:])


@pytest.mark.parametrize("kind", list(KINDS))
def test_torn_files_a_lock_file_cut_at_any_byte_says_nothing_and_hides_nothing(kind: str) -> None:
    """Who drove the run last stands in its state, too."""
    run = specimen(kind)
    whole = shown(run.view({}))
    holder = b'{"pid":1000,"started":1767225600.0,"boot_id":"boot-1","host":"simhost","epoch":1,"since":1767225600.0}'

    for size in range(len(holder) + 1):
        assert shown(run.view({"run.lock": holder[:size]})) == whole, holder[:size]
