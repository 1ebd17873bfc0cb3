"""The tail of a transcript: which turns failed, whatever else lies in or at the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from backends.disk import Disk, RealDisk
from backends.memory_disk import MemoryDisk
from harness.engine.events import Event, EventKind
from harness.engine.transcripts import CHUNK, TranscriptRule, Transcripts

PATH = "/home/user/session.jsonl"
RULES = (
    TranscriptRule(EventKind.TURN_FAILED, {"type": "turn", "payload.error": True}),
    TranscriptRule(EventKind.INTERRUPTED, {"content.0.text": "[Interrupted*"}),
)
FAILED = json.dumps({"type": "turn", "payload": {"error": {"message": "no"}}}).encode() + b"\n"
ENDED = json.dumps({"type": "turn", "payload": {"error": None}}).encode() + b"\n"
INTERRUPTED = b'{"content": [{"text": "[Interrupted by user]"}]}\n'


def said(path: str | None = PATH, token: str = "t") -> Event:
    """An event that names a transcript."""
    return Event(1, EventKind.SESSION_START, token, transcript_path=path)


def following(disk: Disk, path: str = PATH) -> Transcripts:
    """What follows the transcript of launch `t` there."""
    transcripts = Transcripts(disk)
    transcripts.heed(said(path))
    return transcripts


def kinds(transcripts: Transcripts) -> list[EventKind]:
    """What one poll finds."""
    return [event.kind for event in transcripts.poll("t", RULES)]


def test_a_failed_turn_is_told_once_as_an_event_of_its_launch() -> None:
    """What was read before is not read again; what is added later is."""
    disk = MemoryDisk()
    transcripts = following(disk)
    assert kinds(transcripts) == []

    disk.mkdir("/home/user")
    disk.append(PATH, ENDED + FAILED)
    first = transcripts.poll("t", RULES)
    assert [(event.kind, event.token, event.transcript_path) for event in first] == [(EventKind.TURN_FAILED, "t", PATH)]
    assert kinds(transcripts) == []

    disk.append(PATH, ENDED + INTERRUPTED)
    assert kinds(transcripts) == [EventKind.INTERRUPTED]


def test_a_transcript_that_is_named_again_is_gone_on_with() -> None:
    """Events of a sub-agent name another file; what was read of the first one is not news when it is its turn again."""
    disk = MemoryDisk()
    transcripts = following(disk)
    disk.mkdir("/home/user")
    disk.append(PATH, FAILED)
    assert kinds(transcripts) == [EventKind.TURN_FAILED]

    transcripts.heed(said("/home/user/other.jsonl"))
    assert kinds(transcripts) == []
    transcripts.heed(said())

    assert kinds(transcripts) == []


@pytest.mark.parametrize(
    ("where", "line", "fits"),
    [
        ({"a": "x"}, {"a": "x"}, True),
        ({"a": "x"}, {"a": "xy"}, False),
        ({"a": "x*"}, {"a": "xy"}, True),
        ({"a": "x"}, {"a": ["x"]}, False),
        ({"a.b": True}, {"a": {"b": False}}, True),
        ({"a.b": True}, {"a": {"b": None}}, False),
        ({"a.b": False}, {"a": 3}, True),
        ({"a.b": False}, {"a": {"b": 0}}, False),
        ({"a.1": "x"}, {"a": [None, "x"]}, True),
        ({"a.2": False}, {"a": [None, "x"]}, True),
        ({"a": "x", "b": "y"}, {"a": "x"}, False),
        ({"a": "x"}, ["a"], False),
    ],
)
def test_a_rule_says_what_stands_at_its_paths(where: dict[str, Any], line: Any, fits: bool) -> None:
    """All of its paths, through objects and lists; any other shape is no match and no error."""
    assert TranscriptRule(EventKind.TURN_FAILED, where).fits(line) is fits


def test_a_torn_line_is_read_when_it_is_whole() -> None:
    """The agent writes while it is read."""
    disk = MemoryDisk()
    disk.mkdir("/home/user")
    transcripts = following(disk)
    disk.append(PATH, ENDED + FAILED[:9])
    assert kinds(transcripts) == []

    disk.append(PATH, FAILED[9:])
    assert kinds(transcripts) == [EventKind.TURN_FAILED]


@pytest.mark.parametrize("junk", [b"\n", b"not JSON\n", b"\xff\xfe\0\n", b"[" * 100_000 + b"\n", b"null\n", b"3\n"])
def test_junk_hides_no_line_after_it(junk: bytes) -> None:
    """Whatever a line is, the next one is read."""
    disk = MemoryDisk()
    disk.mkdir("/home/user")
    disk.append(PATH, junk + FAILED)

    assert kinds(following(disk)) == [EventKind.TURN_FAILED]


def test_a_line_without_an_end_is_passed_over() -> None:
    """However long it grows, no more than a chunk of it is held, and it never becomes a match by its tail."""
    disk = MemoryDisk()
    disk.mkdir("/home/user")
    transcripts = following(disk)
    disk.append(PATH, b"x" * (2 * CHUNK))
    assert kinds(transcripts) == []

    disk.append(PATH, FAILED + FAILED)
    assert kinds(transcripts) == [EventKind.TURN_FAILED]


def test_a_large_transcript_is_caught_up_with() -> None:
    """One poll reads a bounded part, the next ones the rest."""
    disk = MemoryDisk()
    disk.mkdir("/home/user")
    disk.append(PATH, (b"x" * 99 + b"\n") * (10 * CHUNK // 100) + FAILED)
    transcripts = following(disk)

    assert [kinds(transcripts), kinds(transcripts)] == [[], [EventKind.TURN_FAILED]]


def test_a_file_that_was_written_anew_is_followed_from_its_end() -> None:
    """An old failure in it must not end a turn that goes on."""
    disk = MemoryDisk()
    disk.mkdir("/home/user")
    disk.append(PATH, ENDED * 9)
    transcripts = following(disk)
    assert kinds(transcripts) == []

    disk.remove(PATH)
    disk.append(PATH, FAILED)
    assert kinds(transcripts) == []
    disk.append(PATH, ENDED + FAILED)
    assert kinds(transcripts) == [EventKind.TURN_FAILED]


def test_the_newest_word_says_where_the_transcript_lies() -> None:
    """A session that was cleared begins another one; an event without a path changes nothing, a relative one neither."""
    disk = MemoryDisk()
    disk.mkdir("/home/user")
    disk.append("/home/user/new.jsonl", FAILED)
    transcripts = following(disk)
    for path in ("/home/user/new.jsonl", None, "session.jsonl"):
        transcripts.heed(said(path))

    assert kinds(transcripts) == [EventKind.TURN_FAILED]
    assert transcripts.poll("other", RULES) == []


@pytest.mark.live
@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "beside a file", "NUL"])
def test_nothing_but_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    """A link may lead anywhere, and a pipe would be waited for."""
    (tmp_path / "real").write_bytes(FAILED)
    path = tmp_path / "t.jsonl"
    if kind == "link":
        path.symlink_to(tmp_path / "real")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "beside a file":
        path = tmp_path / "real" / "t.jsonl"
    named = f"{path}\0" if kind == "NUL" else str(path)

    assert kinds(following(RealDisk(), named)) == []


@pytest.mark.live
def test_a_real_transcript_is_read_by_parts(tmp_path: Path) -> None:
    """The host's disk does as the simulated one."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"x" * (CHUNK + 5) + b"\n" + FAILED)
    transcripts = following(RealDisk(), str(path))

    assert kinds(transcripts) == [EventKind.TURN_FAILED]
    with path.open("ab") as file:
        file.write(INTERRUPTED)
    assert kinds(transcripts) == [EventKind.INTERRUPTED]
