"""The journal: append only, one JSON object a line, the durable truth of a run.

A line is `{"seq", "epoch", "at", "event", ...}`: its number (gaps are allowed, repetitions are not), the drive of the run
that wrote it, wall clock seconds, and what happened. A line counts once its newline is written and synced.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from backends.clock import Clock
from backends.disk import Disk
from harness.record.plain import encode

__all__ = ["Event", "Journal", "JournalReading", "parse_journal", "read_journal"]

Event = dict[str, Any]
"""One line of a journal."""

TAIL = 50
"""Events kept at hand for a crash record; engine.md asks for the last 50."""

_DECODER = msgspec.json.Decoder(dict[str, Any])
_LINE_START = b'{"seq":'
_CLOSING = "torn_before"
"""Set on a line that was written to close off what came before it: a line that was cut off there, or nothing at all."""
_RESERVED = frozenset({"seq", "epoch", "at", _CLOSING})
_NUMBERS = 10**18
"""No epoch and no line number gets there; the name of a crash record has room for eighteen digits."""


@dataclass(frozen=True, slots=True)
class JournalReading:
    """The events of a journal in file order, and what was odd about it.

    `torn` is whether its last line lacks its end, so that nobody was ever told that it was written; `damaged` is whether a
    line that has its end cannot be read.
    """

    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    torn: bool = False
    damaged: bool = False

    @property
    def last(self) -> tuple[int, int]:
        """The highest epoch, and the highest line number of the whole journal."""
        epoch = max((event["epoch"] for event in self.events), default=0)
        return epoch, max((event["seq"] for event in self.events), default=0)


def read_journal(disk: Disk, path: str) -> JournalReading:
    """All events that can be read; a missing journal has none. Raises `OSError` where the file itself cannot be read."""
    try:
        return parse_journal(disk.read(path))
    except FileNotFoundError:
        return JournalReading()


def parse_journal(data: bytes) -> JournalReading:
    """See `read_journal`; a line that is no event is skipped with a note, and never takes another line with it.

    A line that was cut off, and that the next one closed off and tells of, was never acknowledged: it is not noted.
    """
    whole = _parse_whole(data)
    if whole is not None:
        return JournalReading(whole)
    events: list[Event] = []
    odd: dict[int, str] = {}
    lines = data.split(b"\n")
    tail = lines.pop()
    for number, line in enumerate([*lines, tail], 1):
        if not line.strip():
            continue
        event = _parse(line)
        if event is None:
            rest = line.rfind(_LINE_START)
            event = _parse(line[rest:]) if rest > 0 else None
            what = "is damaged" if number <= len(lines) else "lacks its end"
            odd[number] = f"journal line {number} {what} ({len(line)} bytes)"
        elif event.get(_CLOSING) is True:
            odd.pop(number - 1, None)
        if event is not None:
            events.append(event)
    damaged = any(number <= len(lines) for number in odd)
    return JournalReading(events, list(odd.values()), bool(tail), damaged)


def _parse_whole(data: bytes) -> list[Event] | None:
    """The events of a journal in which every line is one and has its end, read at once; `None` for any other."""
    if not data.endswith(b"\n"):
        return None
    try:
        events = _DECODER.decode_lines(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return events if len(events) == data.count(b"\n") and _are_events(events) else None


def _parse(line: bytes) -> Event | None:
    try:
        event = _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return event if _is_event(event) else None


def _are_events(events: list[Event]) -> bool:
    """Whether `_is_event` is true of each; many at once take a fraction of the time."""
    try:
        numbers = [event["seq"] for event in events] + [event["epoch"] for event in events]
        names = [event["event"] for event in events]
    except KeyError:
        return False
    if not set(map(type, numbers)) <= {int} or not set(map(type, names)) <= {str}:
        return False
    return not numbers or (min(numbers) >= 0 and max(numbers) < _NUMBERS)


def _is_event(event: Event) -> bool:
    seq, epoch = event.get("seq"), event.get("epoch")
    if type(seq) is not int or type(epoch) is not int:
        return False
    return 0 <= seq < _NUMBERS and 0 <= epoch < _NUMBERS and type(event.get("event")) is str


class Journal:
    """Writes one run's journal. Nothing is read or repaired before the first `append`, `open` or `tail`.

    `epoch` is put on every line. `scrub` sees every line before it is written, and answers the one to write.
    """

    def __init__(
        self,
        disk: Disk,
        path: str,
        clock: Clock,
        *,
        epoch: int = 1,
        scrub: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._disk = disk
        self._path = str(path)
        self._clock = clock
        self._scrub = scrub
        self._seq = 0
        self._open = False
        self._torn = False
        self._fresh = False
        self._tail: deque[bytes] | None = None
        self.epoch = epoch

    @property
    def path(self) -> str:
        """The journal's file."""
        return self._path

    @property
    def seq(self) -> int:
        """The number of the newest line, whether or not it could be written whole."""
        return self._seq

    def at_least(self, seq: int) -> None:
        """Never use a number up to `seq`: something else of the run's record has it."""
        self._seq = max(self._seq, seq)

    def open(self) -> JournalReading | None:
        """Make ready to append: go on counting, close a torn tail off and note it; what was read, if anything was."""
        if self._open:
            return None
        self._fresh = self._disk.info(self._path) is None
        reading = read_journal(self._disk, self._path)
        self.at_least(reading.last[1])
        self._remember(reading)
        self._torn = reading.torn
        self._open = True
        if reading.torn:
            self.append("journal-repaired", notes=reading.notes[:20] or ["the last line lacked its end"])
        return reading

    def append(self, event: str, /, *, durable: bool = True, **fields: object) -> int:
        """Write one line and answer its number; durable unless told otherwise. `OSError` if it could not be written whole."""
        if not self._open:
            self.open()
        if not _RESERVED.isdisjoint(fields):
            raise ValueError(f"a journal line has its own {sorted(_RESERVED & fields.keys())}")
        self._seq += 1
        closing = {_CLOSING: True} if self._torn else {}
        entry = {"seq": self._seq, "epoch": self.epoch, "at": self._clock.wall(), "event": event, **fields, **closing}
        line = encode(entry)
        if self._scrub is not None:
            line = self._scrub(line)
        self._write(line + b"\n")
        if self._tail is not None:
            self._tail.append(line)
        if durable:
            self._disk.fsync(self._path)
            if self._fresh:
                self._disk.fsync(os.path.dirname(self._path))
                self._fresh = False
        return self._seq

    def _write(self, line: bytes) -> None:
        rest = b"\n" + line if self._torn else line
        self._torn = True
        while rest:
            taken = self._disk.append(self._path, rest)
            if taken <= 0:
                raise OSError(errno.ENOSPC, "the journal takes no more", self._path)
            rest = rest[taken:]
        self._torn = False

    def tail(self, count: int = TAIL) -> list[Event]:
        """The last events, at most `count` and at most fifty, oldest first; none if the journal cannot be read."""
        if self._tail is None:
            try:
                self._remember(read_journal(self._disk, self._path))
            except OSError:
                return []
        lines = list(self._tail or ())
        return [_DECODER.decode(line) for line in lines[-count:]] if count > 0 else []

    def _remember(self, reading: JournalReading) -> None:
        self._tail = deque((encode(event) for event in reading.events[-TAIL:]), maxlen=TAIL)
