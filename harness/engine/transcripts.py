"""Turns that fail without a word: the tail of the transcript that an agent writes.

Some tools report no failed turn by any hook, but every one keeps a file of JSON lines. The agent says where it lies, so
nothing about it is trusted: only a regular file is read, a little at a time; what cannot be read, is no JSON or fits no
rule is passed over. What is found is an event like one that a hook reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from backends.disk import Disk
from harness.engine.events import Event, EventKind

__all__ = ["CHUNK", "TranscriptRule", "Transcripts"]

CHUNK = 1 << 20
"""Bytes read at once; a longer line is passed over."""
_CHUNKS = 8
"""Chunks of one transcript that are read in one poll."""


class TranscriptRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which line of a transcript means `event`.

    `where` gives paths into the line, keys and list indices with dots between, each with the text that stands there; a
    text that ends in `*` is a beginning, `true` is any value but null, `false` none or null. `error` is the path of what
    tells why a turn failed: a text, or a table with one called `message`.
    """

    event: EventKind
    where: dict[str, str | bool]
    error: str = ""

    def fits(self, line: object) -> bool:
        """Whether the line, as JSON values, means that."""
        return all(_agrees(_at(line, path), expected) for path, expected in self.where.items())

    def payload(self, line: object) -> dict[str, object]:
        """What the event says, as a hook's would."""
        return {"from": "transcript", **({"error": _at(line, self.error)} if self.error else {})}


def _at(value: object, path: str) -> object:
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and len(part) < 5 and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _agrees(found: object, expected: str | bool) -> bool:
    if isinstance(expected, bool):
        return (found is not None) is expected
    if not isinstance(found, str):
        return False
    return found.startswith(expected[:-1]) if expected.endswith("*") else found == expected


@dataclass(slots=True)
class _Tail:
    """How far one file was read."""

    path: str
    offset: int = 0
    overlong: bool = False
    """Whether what lies at the offset is the rest of a line that is passed over."""


class Transcripts:
    """Follows the transcript of every launch from its beginning."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._followed: dict[str, _Tail] = {}
        self._tails: dict[tuple[str, str], _Tail] = {}

    def heed(self, event: Event) -> None:
        """Learn from an event of a launch where its transcript lies; the newest word counts, and nothing is read twice."""
        path = event.transcript_path
        if path and path.startswith("/"):
            self._followed[event.token] = self._tails.setdefault((event.token, path), _Tail(path))

    def follows(self, token: str) -> bool:
        """Whether it is known where the launch's transcript lies."""
        return token in self._followed

    def poll(self, token: str, rules: Sequence[TranscriptRule]) -> list[Event]:
        """What new lines of the launch's transcript mean, in their order; nothing where it cannot be read for now."""
        tail = self._followed.get(token)
        if tail is None or not rules:
            return []
        events: list[Event] = []
        for line in self._lines(tail):
            found = _parsed(line)
            events += [
                Event(0, rule.event, token, transcript_path=tail.path, payload=rule.payload(found))
                for rule in rules
                if rule.fits(found)
            ][:1]
        return events

    def _lines(self, tail: _Tail) -> Iterator[bytes]:
        """The whole lines that are new, as far as one poll goes."""
        for _ in range(_CHUNKS):
            try:
                info = self._disk.info(tail.path)
                if info is None:
                    return
                if info.size < tail.offset:
                    # Written anew: what is in it may be old, and an old failure must not end a turn that goes on.
                    tail.offset, tail.overlong = info.size, info.size > 0
                if info.size == tail.offset:
                    return
                data = self._disk.read_part(tail.path, tail.offset, CHUNK)
            except (OSError, ValueError):
                return
            whole, newline, rest = data.rpartition(b"\n")
            if not newline and len(data) < CHUNK:
                return
            tail.offset += len(data) if not newline else len(data) - len(rest)
            lines = whole.split(b"\n") if newline else []
            yield from lines[1:] if tail.overlong else lines
            tail.overlong = not newline


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
