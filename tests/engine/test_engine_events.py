"""Events and results: what counts, and what is skipped with a note."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from backends.disk import RealDisk, StrPath
from backends.memory_disk import MemoryDisk
from harness import relay
from harness.engine.events import SIZE_LIMIT, TAKEN, Event, EventKind, EventReader, Result, read_result
from harness.relay import EVENTS

GOOD: dict[str, Any] = {
    "seq": 1,
    "event": "Stop",
    "token": "t",
    "task": "a",
    "session_id": "s",
    "transcript_path": None,
    "payload": {"background_tasks": []},
}


def file_of(number: int, **changes: Any) -> bytes:
    """An event file's content."""
    return json.dumps({**GOOD, "seq": number, **changes}).encode()


def reader_of(*files: tuple[str, bytes]) -> tuple[MemoryDisk, EventReader]:
    """A directory with these files, and a reader of it."""
    disk = MemoryDisk()
    disk.mkdir("/run/events")
    for name, data in files:
        disk.write(f"/run/events/{name}", data)
    return disk, EventReader(disk, "/run/events")


def test_the_relay_and_the_engine_know_the_same_events() -> None:
    """The relay cannot import the engine's list, so it has its own."""
    assert tuple(EventKind) == EVENTS
    assert relay.TAKEN == TAKEN


def test_each_event_is_handed_out_once_in_order() -> None:
    """What came later is handed out later, whatever the directory says first."""
    disk, reader = reader_of(("00000002.json", file_of(2, event="Stop")), ("00000001.json", file_of(1, event="Prompt")))

    assert [event.seq for event in reader.poll()[0]] == [1, 2]
    disk.write("/run/events/00000003.json", file_of(3, event="SessionEnd"))
    events, notes = reader.poll()

    assert events == [Event(3, EventKind.SESSION_END, "t", "a", "s", None, {"background_tasks": []})]
    assert (reader.poll(), notes) == (([], []), [])


def test_what_was_handed_out_is_moved_out_of_the_way() -> None:
    """The engine's own reader does it; nothing is lost or told twice by that, junk stays where it is."""
    disk, _ = reader_of(("00000001.json", file_of(1)), ("00000002.json", b"junk"))
    reader = EventReader(disk, "/run/events", moves=True)

    assert [event.seq for event in reader.poll()[0]] == [1]
    assert disk.listdir("/run/events") == ["00000002.json", "taken"]
    assert disk.read("/run/events/taken/00000001.json") == file_of(1)
    disk.write("/run/events/00000003.json", file_of(3))

    assert [event.seq for event in reader.poll()[0]] == [3]
    assert disk.listdir("/run/events/taken") == ["00000001.json", "00000003.json"]
    assert reader.poll() == ([], [])
    assert [event.seq for event in EventReader(disk, "/run/events/taken").poll()[0]] == [1, 3]


def test_a_number_that_was_given_twice_loses_no_event() -> None:
    """A relay may have looked for a number before another's event was told, and take it once that was moved."""
    disk, _ = reader_of(("00000001.json", file_of(1, token="first")))
    reader = EventReader(disk, "/run/events", moves=True)
    reader.poll()
    disk.write("/run/events/00000001.json", file_of(1, token="second"))

    events, notes = reader.poll()

    assert [event.token for event in events] == ["second"]
    assert notes == ["events/00000001.json: was taken in and stays here: there is another one in taken"]
    assert disk.read("/run/events/taken/00000001.json") == file_of(1, token="first")
    assert reader.poll() == ([], [])


def test_an_event_that_cannot_be_moved_is_handed_out_once() -> None:
    """An agent may have put anything in the way; it stays, and why is said."""
    disk, _ = reader_of(("00000001.json", file_of(1)), ("taken", b"a file"))
    reader = EventReader(disk, "/run/events", moves=True)

    events, notes = reader.poll()

    assert [event.seq for event in events] == [1]
    assert notes == ["events/00000001.json: was taken in and stays here: not a directory"]
    assert reader.poll() == ([], [])
    assert disk.listdir("/run/events") == ["00000001.json", "taken"]


@pytest.mark.parametrize(
    ("payload", "asks"),
    [
        ({"message": " to write ", "tool_name": "Bash"}, "to write"),
        ({"tool_name": "Bash"}, "permission to use Bash"),
        ({"message": 3, "tool_name": ["Bash"]}, "an answer"),
        ({"message": " ", "tool_name": ""}, "an answer"),
        ({}, "an answer"),
    ],
)
def test_what_a_person_is_asked_is_said_in_the_words_of_the_agent(payload: dict[str, Any], asks: str) -> None:
    """Or by the tool it wants to use, and in any case by something."""
    assert Event(1, EventKind.WAITING, "token", payload=payload).asks == asks


@pytest.mark.parametrize(
    ("kind", "payload", "background"),
    [
        ("Stop", {"background_tasks": [{"id": 1}]}, True),
        ("Stop", {"background_tasks": [], "session_crons": ["x"]}, True),
        ("Stop", {"background_tasks": [], "session_crons": []}, False),
        ("Stop", {}, False),
        ("SessionEnd", {"background_tasks": [1]}, False),
    ],
)
def test_a_stop_says_whether_work_goes_on_behind_it(kind: str, payload: dict[str, Any], background: bool) -> None:
    """Background tasks and scheduled prompts keep a turn open."""
    _, reader = reader_of(("00000001.json", file_of(1, event=kind, payload=payload)))

    assert reader.poll()[0][0].background is background


BROKEN = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "empty"),
    "partial": (file_of(1)[:-9], "not JSON"),
    "not utf-8": (b'{"seq": 1, "token": "\xff"}', "not UTF-8"),
    "utf-16": (file_of(1).decode().encode("utf-16"), "not UTF-8"),
    "nul": (b"\0" * 50, "not JSON"),
    "huge": (file_of(1, payload={"x": "x" * SIZE_LIMIT}), "file too large"),
    "deep": (b"[" * 100_000, "not JSON"),
    "huge number": (b"9" * 9000, "not JSON"),
    "list": (b"[1]", "not a JSON object"),
    "other number": (file_of(2), "`seq` is not the number in its name"),
    "seq as flag": (file_of(1, seq=True), "`seq` is not the number in its name"),
    "seq as text": (file_of(1, seq="1"), "`seq` is not the number in its name"),
    "unknown event": (file_of(1, event="Stopp"), "`event` is not a known event"),
    "event as list": (file_of(1, event=["Stop"]), "`event` is not a known event"),
    "token missing": (json.dumps({"seq": 1, "event": "Stop"}).encode(), "`token` is not text"),
    "token as number": (file_of(1, token=7), "`token` is not text"),
    "task as null": (file_of(1, task=None), "`task` is not text"),
    "session as list": (file_of(1, session_id=[]), "`session_id` is not text"),
    "transcript as number": (file_of(1, transcript_path=1), "`transcript_path` is not text"),
    "payload as list": (file_of(1, payload=[]), "`payload` is not an object"),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_event_is_skipped_with_one_note(data: bytes, reason: str) -> None:
    """It hides no other event, and is noted once."""
    _, reader = reader_of(("00000001.json", data), ("00000002.json", file_of(2)))
    events, notes = reader.poll()

    assert [event.seq for event in events] == [2]
    assert notes == [f"events/00000001.json: {reason}"]
    assert reader.poll() == ([], [])


class Failing(MemoryDisk):
    """A disk on which the next reads fail, one for each of `errors`."""

    def __init__(self, *errors: int) -> None:
        super().__init__()
        self.errors = list(errors)

    def read(self, path: StrPath, limit: int = SIZE_LIMIT) -> bytes:
        """See `Disk.read`."""
        if self.errors:
            raise OSError(self.errors.pop(0), "not now")
        return super().read(path, limit)


def test_an_event_that_cannot_be_read_for_now_is_read_later_and_in_order() -> None:
    """It is noted once, and no later event is handed out before it."""
    disk = Failing(errno.EMFILE, errno.EIO)
    disk.mkdir("/run/events")
    for number in (1, 2):
        disk.write(f"/run/events/{number:08d}.json", file_of(number))
    reader = EventReader(disk, "/run/events")

    assert reader.poll() == ([], ["events/00000001.json: not now; it is tried again"])
    assert reader.poll() == ([], [])
    events, notes = reader.poll()
    assert [event.seq for event in events] == [1, 2]
    assert (notes, reader.poll()) == ([], ([], []))


@pytest.mark.parametrize("errors", [[errno.ELOOP], [errno.EIO] * 600])
def test_an_event_that_is_never_read_is_skipped_in_the_end(errors: list[int]) -> None:
    """At once where the error says so, after many looks otherwise; the events after it are not lost."""
    disk = Failing(*errors)
    disk.mkdir("/run/events")
    for number in (1, 2):
        disk.write(f"/run/events/{number:08d}.json", file_of(number))
    reader = EventReader(disk, "/run/events")
    polls = [reader.poll() for _ in errors]

    assert [event.seq for events, _ in polls for event in events] == [2]
    assert polls[-1][1]


def test_what_is_no_file_is_skipped_without_waiting(tmp_path: Path) -> None:
    """A FIFO is not opened for reading, a link not followed, a directory not entered."""
    os.mkfifo(tmp_path / "00000001.json")
    (tmp_path / "00000002.json").mkdir()
    (tmp_path / "target").write_bytes(file_of(3))
    (tmp_path / "00000003.json").symlink_to(tmp_path / "target")
    (tmp_path / "00000004.json").write_bytes(file_of(4))
    (tmp_path / ".77-0.draft").write_bytes(b"")
    events, notes = EventReader(RealDisk(), tmp_path).poll()

    assert [event.seq for event in events] == [4]
    assert [note.split("/", 1)[1].split(": ")[0] for note in notes] == [
        *("00000001.json", "00000002.json", "00000003.json", "target"),
    ]


def test_a_hostile_name_is_noted_in_printable_text() -> None:
    """No escape sequence of a name reaches a journal as it is."""
    _, reader = reader_of(("\x1b]52;c;x\x07.json", b""), ("0000000\u0661.json", b""), ("x" * 200, b""))
    notes = reader.poll()[1]

    assert len(notes) == 3
    assert all(note.isprintable() and len(note) < 400 for note in notes)


def test_a_directory_that_cannot_be_listed_is_noted_once_and_tried_again() -> None:
    """The note is not repeated at every poll, and the events are not lost."""
    disk = MemoryDisk()
    reader = EventReader(disk, "/run/events")

    assert reader.poll() == ([], ["events: cannot be listed: no such file or directory"])
    assert reader.poll() == ([], [])
    disk.mkdir("/run/events")
    disk.write("/run/events/00000001.json", file_of(1))
    assert len(reader.poll()[0]) == 1


def result_of(data: bytes) -> tuple[Result | None, str | None]:
    """What is read where `data` lies."""
    disk = MemoryDisk()
    disk.mkdir("/t")
    disk.write("/t/result.json", data)
    reading = read_result(disk, "/t/result.json", "t")
    return reading.result, reading.note


@pytest.mark.parametrize("status", ["done", "failed", "escalate"])
def test_a_whole_result_of_this_launch_is_read(status: str) -> None:
    """Whatever else the agent wrote is kept beside it."""
    result, note = result_of(json.dumps({"token": "t", "status": status, "summary": "x", "files": [1]}).encode())

    assert note is None
    assert result is not None
    assert (result.status, result.summary, result.extra) == (status, "x", {"files": [1]})


NO_RESULTS = {
    "empty": (b"", "empty"),
    "half": (b'{"token": "t", "status": "do', "not JSON"),
    "not utf-8": (b'{"token": "\xff"}', "not UTF-8"),
    "other token": (b'{"token": "u", "status": "done", "summary": ""}', "of another launch"),
    "no token": (b'{"status": "done", "summary": ""}', "of another launch"),
    "token as list": (b'{"token": ["t"], "status": "done"}', "of another launch"),
    "unknown status": (b'{"token": "t", "status": "Done"}', '`status` is none of "done", "failed", "escalate"'),
    "status as list": (b'{"token": "t", "status": ["done"]}', '`status` is none of "done", "failed", "escalate"'),
    "summary as number": (b'{"token": "t", "status": "done", "summary": 3}', "`summary` is not text"),
    "list": (b"[]", "not a JSON object"),
    "huge": (b" " * (SIZE_LIMIT + 1), "file too large"),
}


@pytest.mark.parametrize(("data", "reason"), NO_RESULTS.values(), ids=list(NO_RESULTS))
def test_what_is_no_result_of_this_launch_is_none_with_a_note(data: bytes, reason: str) -> None:
    """A result is whole and ours, or it is no result."""
    assert result_of(data) == (None, f"result.json: {reason}")


def test_a_result_that_is_not_there_needs_no_note(tmp_path: Path) -> None:
    """Most looks at a result find nothing, and that is nothing to write home about."""
    reading = read_result(RealDisk(), tmp_path / "result.json", "t")

    assert (reading.result, reading.note) == (None, None)


def test_something_else_in_a_results_place_is_a_note(tmp_path: Path) -> None:
    """A FIFO does not hang the engine, a directory or a link does not end it."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    readings = [read_result(RealDisk(), path, "t") for path in (tmp_path / "fifo", tmp_path / "link", tmp_path)]

    assert all(reading.result is None and reading.note for reading in readings)


def test_an_unencodable_summary_is_made_encodable() -> None:
    """A lone surrogate in a result must not end the run that records it."""
    result, _ = result_of(b'{"token": "t", "status": "done", "summary": "a\\ud800\\u001b[0m"}')

    assert result is not None
    assert result.summary.encode() == rb"a\ud800\x1b[0m"
