"""What agents report: event files, written by the hook relay, and the result file.

Both lie in directories that agents write to, so nothing in them is trusted: whatever cannot be an event or a result of
the launch at hand is skipped with a note, and never raises. Both are made whole under their final name, so what is read
and found broken stays broken; a read that fails says nothing about the file and is made again.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Literal, cast

from backends.disk import Disk, StrPath
from backends.errors import printable

__all__ = ["SIZE_LIMIT", "TAKEN", "Event", "EventKind", "EventReader", "Result", "ResultReading", "read_result"]

SIZE_LIMIT = 1 << 20
"""Bytes; a larger event or result is skipped."""

TAKEN = "taken"
"""Directory below that of the events, for those that were handed out: what is looked through again and again stays small."""

_LOOKS = 600
"""Reads of one event that may fail before it is skipped: ten minutes at the usual `poll_s`, the usual `stall_grace_s`."""

_HOPELESS = frozenset({errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.EISDIR, errno.EACCES, errno.EPERM})
"""Errors that tell what lies there: no regular file, one too large, or one that is not for us; not a moment's trouble."""

_EVENT_FILE = re.compile(r"[0-9]{8}\.json\Z")

Status = Literal["done", "failed", "escalate"]


class EventKind(StrEnum):
    """What happened to an agent's turn; profiles map each tool's own names onto these."""

    SESSION_START = "SessionStart"
    PROMPT = "Prompt"
    STOP = "Stop"
    TURN_FAILED = "TurnFailed"
    INTERRUPTED = "Interrupted"
    SESSION_END = "SessionEnd"
    WAITING = "Waiting"
    """The agent waits for a person, within its turn; the payload says what for."""
    WORKING = "Working"
    """The agent goes on: whatever it waited for is answered."""


_KINDS = tuple(EventKind)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one launch; `seq` orders the events of a run."""

    seq: int
    kind: EventKind
    token: str
    task: str = ""
    session_id: str | None = None
    transcript_path: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def background(self) -> bool:
        """Whether this is a `Stop` with work still running in the background: the turn is not over."""
        if self.kind is not EventKind.STOP:
            return False
        return bool(self.payload.get("background_tasks") or self.payload.get("session_crons"))

    @property
    def asks(self) -> str:
        """What a `Waiting` agent asks a person for: in its own words, else by the tool that it wants to use."""
        message, tool = self.payload.get("message"), self.payload.get("tool_name")
        if isinstance(message, str) and message.strip():
            return message.strip()
        return f"permission to use {tool}" if isinstance(tool, str) and tool.strip() else "an answer"

    @property
    def failure(self) -> str:
        """Why a turn failed, in the agent's own words, on one line; empty where it gives no reason."""
        error = self.payload.get("error")
        told = (
            error.get("message") if isinstance(error, Mapping) else error,
            self.payload.get("last_assistant_message"),
        )
        return ": ".join(" ".join(words.split()) for words in told if isinstance(words, str) and words.strip())


@dataclass(frozen=True, slots=True)
class Result:
    """What an agent says came of its task; `extra` holds whatever else the file said."""

    status: Status
    summary: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ResultReading:
    """A valid result, or `None` with a note that says what lies there instead (no note: nothing does).

    `unknown` says that it could not be read for now, so that it may be a result.
    """

    result: Result | None = None
    note: str | None = None
    unknown: bool = False


class EventReader:
    """Hands out each event of a run once, in the order of their sequence, whichever launch they belong to.

    An event that cannot be read for now is read again at the next poll, and keeps later ones waiting. With `moves`, which is
    for the engine alone, what was handed out is moved to `TAKEN`; what cannot be moved stays, and is not handed out again.
    """

    def __init__(self, disk: Disk, events_dir: StrPath, *, moves: bool = False) -> None:
        self._disk = disk
        self._moves = moves
        self._taken_made = False
        self._dir = os.fspath(events_dir)
        self._name = os.path.basename(self._dir)
        self._seen: set[str] = set()
        self._failed: dict[str, int] = {}
        """How often each event that is still to be read could not be."""
        self._listing_failed: str | None = None

    @property
    def behind(self) -> bool:
        """Whether something could not be read and is to be read again."""
        return bool(self._failed) or self._listing_failed is not None

    def poll(self) -> tuple[list[Event], list[str]]:
        """The events that are new since the last call, and a note for each new file that is none."""
        events: list[Event] = []
        notes: list[str] = []
        try:
            names = self._disk.listdir(self._dir)
        except (OSError, ValueError) as exc:
            said = f"{self._name}: cannot be listed: {_reason(exc)}"
            repeated, self._listing_failed = said == self._listing_failed, said
            return [], [] if repeated else [said]
        self._listing_failed = None
        # Sorted names are in the order of their numbers. Names that begin with a dot are files that the relay has not finished.
        for name in [n for n in names if n not in self._seen and n != TAKEN and not n.startswith(".")]:
            try:
                found = self._read(name)
            except OSError as exc:
                if self._failed.setdefault(name, 0) == 0:
                    notes.append(self._note(name, f"{_reason(exc)}; it is tried again"))
                self._failed[name] += 1
                if self._failed[name] < _LOOKS:
                    break
                found = f"could not be read {_LOOKS} times"
            self._failed.pop(name, None)
            if not isinstance(found, Event):
                self._seen.add(name)
                notes.append(self._note(name, found))
                continue
            events.append(found)
            stays = self._move(name) if self._moves else ""
            if stays is not None:
                self._seen.add(name)
            if stays:
                notes.append(self._note(name, f"was taken in and stays here: {stays}"))
        return events, notes

    def _move(self, name: str) -> str | None:
        """Move what was handed out out of the way; why it stays where it is, if it does."""
        taken = f"{self._dir}/{TAKEN}"
        try:
            if not self._taken_made:
                self._disk.mkdir(taken)
                self._taken_made = True
            # Two relays may have given one number, the second after the first one's event was moved.
            if self._disk.info(f"{taken}/{name}") is not None:
                return f"there is another one in {TAKEN}"
            self._disk.replace(f"{self._dir}/{name}", f"{taken}/{name}")
        except (OSError, ValueError) as exc:
            return _reason(exc)
        return None

    def _note(self, name: str, reason: str) -> str:
        return printable(f"{self._name}/{name}: {reason}", 300)

    def _read(self, name: str) -> Event | str:
        """The event in that file, or why it is none; raises the `OSError` of a read that may yet succeed."""
        if not _EVENT_FILE.match(name):
            return "not an event's name"
        try:
            data = self._disk.read(f"{self._dir}/{name}", limit=SIZE_LIMIT)
        except ValueError as exc:
            return _reason(exc)
        except OSError as exc:
            if exc.errno not in _HOPELESS:
                raise
            return _reason(exc)
        loaded = _parse(data)
        return loaded if isinstance(loaded, str) else _event(loaded, int(name.partition(".")[0]))


def read_result(disk: Disk, path: StrPath, token: str, clean: Callable[[str], str] = printable) -> ResultReading:
    """The result of the launch that `token` belongs to, if a whole and valid one lies at `path`.

    `clean` makes of the agent's words what may enter the record.
    """
    name = PurePath(path).name
    try:
        if disk.info(path) is None:
            return ResultReading()
        data = disk.read(path, limit=SIZE_LIMIT)
    except ValueError as exc:
        return ResultReading(note=f"{name}: {_reason(exc)}")
    except OSError as exc:
        return ResultReading(note=f"{name}: {_reason(exc)}", unknown=exc.errno not in _HOPELESS)
    loaded = _parse(data)
    if isinstance(loaded, str):
        return ResultReading(note=f"{name}: {loaded}")
    found = loaded.pop("token", None)
    status = loaded.pop("status", None)
    summary = loaded.pop("summary", "")
    if found != token:
        return ResultReading(note=f"{name}: of another launch")
    if status not in ("done", "failed", "escalate"):
        return ResultReading(note=f'{name}: `status` is none of "done", "failed", "escalate"')
    if not isinstance(summary, str):
        return ResultReading(note=f"{name}: `summary` is not text")
    return ResultReading(Result(cast(Status, status), clean(summary), loaded))


def _parse(data: bytes) -> dict[str, Any] | str:
    """The JSON object that `data` is, or why it is none."""
    if not data.strip():
        return "empty"
    try:
        loaded = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError):
        return "not JSON"
    return loaded if isinstance(loaded, dict) else "not a JSON object"


def _event(found: Mapping[str, Any], seq: int) -> Event | str:
    if type(found.get("seq")) is not int or found["seq"] != seq:
        return "`seq` is not the number in its name"
    if found.get("event") not in _KINDS:
        return "`event` is not a known event"
    texts = {name: found.get(name) for name in ("token", "task", "session_id", "transcript_path")}
    for name, value in texts.items():
        if not isinstance(value, str) and not (value is None and name in ("session_id", "transcript_path")):
            return f"`{name}` is not text"
    payload = found.get("payload", {})
    if not isinstance(payload, dict):
        return "`payload` is not an object"
    return Event(seq, EventKind(found["event"]), payload=payload, **cast(dict[str, Any], texts))


def _reason(exc: OSError | ValueError) -> str:
    return exc.strerror.lower() if isinstance(exc, OSError) and exc.strerror else (str(exc) or type(exc).__name__)
