"""The hook relay: turns one hook call of an agent into one event file.

    python -E -P -S relay.py EVENT < payload.json

Runs by absolute path in somebody else's repository, so it imports nothing but the standard library. It never fails its
caller: whatever goes wrong is said on standard error, and the status is 0. Who it speaks for stands in its environment
(`SEAMRIPPER_TOKEN`, `SEAMRIPPER_TASK`), as does where events belong (`SEAMRIPPER_EVENTS`).

`Working` is said after every use of a tool, and told only to end a `Waiting`: in between, nobody needs to know.

An event file is made whole under its final name by an exclusive link, which allocates its sequence number as well.
Event files are never removed while a run lives, only moved to a directory beside them once they were taken in, so numbers
grow. Only of two events that are told at the same moment may both get one number, the first having been taken in between.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
from collections.abc import Iterable, Mapping

__all__ = ["EVENTS", "TAKEN", "event_bytes", "first_free", "publish", "read_payload"]

EVENTS = ("SessionStart", "Prompt", "Stop", "TurnFailed", "Interrupted", "SessionEnd", "Waiting", "Working")

PAYLOAD_LIMIT = 1 << 20
"""Bytes; a longer payload is withheld, the event is kept."""

SILENCE_S = 2.0
"""How long a caller that holds standard input open without writing is waited for; agents give a hook about ten seconds."""

_VALUE_LIMIT = 4000
_KEY_LIMIT = 100
_EVENT_FILE = re.compile(r"[0-9]{8}\.json\Z")
TAKEN = "taken"
"""Where events are moved once they were taken in, below the directory of events."""
_TRIES = 10_000


def first_free(names: Iterable[str]) -> int:
    """Where to begin to look for a free sequence number, `names` being those of new events and of those taken in.

    One more than the number of events: an outsized number planted by somebody cannot use the numbers up.
    """
    return sum(1 for name in names if _EVENT_FILE.match(name)) + 1


def event_bytes(seq: int, event: str, environ: Mapping[str, str], payload: Mapping[str, object]) -> bytes:
    """The content of an event file, well below the size that its reader accepts; `ValueError` for what is no event."""
    if event not in EVENTS:
        raise ValueError(f"unknown event, expected one of {' '.join(EVENTS)}")
    if not environ.get("SEAMRIPPER_TOKEN"):
        raise ValueError("SEAMRIPPER_TOKEN is not set")
    document = {
        "seq": seq,
        "event": event,
        "token": environ["SEAMRIPPER_TOKEN"],
        "task": environ.get("SEAMRIPPER_TASK", ""),
        "session_id": _text_of(payload, "session_id", "sessionId"),
        "transcript_path": _text_of(payload, "transcript_path", "transcriptPath"),
        "payload": _shortened(payload),
    }
    return json.dumps(document).encode("ascii") + b"\n"


def publish(event: str, environ: Mapping[str, str], payload: Mapping[str, object]) -> int:
    """Write the event and answer its sequence number; `OSError` or `ValueError` where that cannot be done."""
    directory = environ.get("SEAMRIPPER_EVENTS")
    if not directory:
        raise ValueError("SEAMRIPPER_EVENTS is not set")
    # In this order: what is moved between the two looks is counted twice, and never not at all.
    first = first_free([*os.listdir(directory), *_names_in(os.path.join(directory, TAKEN))])
    for seq in range(first, first + _TRIES):
        draft = _write_draft(directory, event_bytes(seq, event, environ, payload))
        try:
            os.link(draft, os.path.join(directory, f"{seq:08d}.json"), follow_symlinks=False)
        except FileExistsError:
            continue
        finally:
            os.unlink(draft)
        return seq
    raise OSError(f"no free sequence number from {first} on")


def read_payload(descriptor: int) -> dict[str, object]:
    """The JSON object that the caller sent; what cannot be read is described instead."""
    received = bytearray()
    while len(received) <= PAYLOAD_LIMIT:
        try:
            if not select.select([descriptor], [], [], SILENCE_S)[0]:
                break
            chunk = os.read(descriptor, 1 << 16)
        except (OSError, ValueError):
            break
        if not chunk:
            break
        received += chunk
    if len(received) > PAYLOAD_LIMIT:
        return {"unreadable": f"longer than {PAYLOAD_LIMIT} bytes"}
    if not received.strip():
        return {}
    try:
        payload = json.loads(received)
    except (ValueError, RecursionError):
        return {"unreadable": f"{len(received)} bytes that are not JSON"}
    return (
        payload if isinstance(payload, dict) else {"unreadable": f"JSON, but not an object: {type(payload).__name__}"}
    )


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _write_draft(directory: str, data: bytes) -> str:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    for attempt in range(_TRIES):
        draft = os.path.join(directory, f".{os.getpid()}-{attempt}.draft")
        try:
            descriptor = os.open(draft, flags, 0o600)
        except FileExistsError:
            continue
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            os.unlink(draft)
            raise
        finally:
            os.close(descriptor)
        return draft
    raise OSError(f"no free name for a draft in {directory}")


def _shortened(payload: Mapping[str, object]) -> dict[str, object]:
    """The payload with long values replaced by as much as fits; empty stays empty and non-empty non-empty."""
    short: dict[str, object] = {}
    for key, value in list(payload.items())[:_KEY_LIMIT]:
        size = len(json.dumps(value))
        if size <= _VALUE_LIMIT:
            short[key[:200]] = value
        elif isinstance(value, str):
            short[key[:200]] = f"{value[: _VALUE_LIMIT // 8]}... ({len(value)} characters)"
        else:
            short[key[:200]] = [f"withheld: {size} characters"]
    return short


def _text_of(payload: Mapping[str, object], *keys: str) -> str | None:
    for key in keys:
        value = payload.get(key)
        if isinstance(value, str) and value:
            return value[:_VALUE_LIMIT]
    return None


def _relay(event: str, environ: Mapping[str, str]) -> None:
    """Publish the event, unless it says that an agent goes on which has not been waiting."""
    name = "".join(c for c in environ.get("SEAMRIPPER_TOKEN", "") if c.isalnum())[:64]
    mark = os.path.join(environ.get("SEAMRIPPER_EVENTS", ""), f".waiting-{name}")
    if event == "Working":
        try:
            os.unlink(mark)
        except FileNotFoundError:
            return
    publish(event, environ, read_payload(0))
    if event == "Waiting":
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Relay one hook call; 0 whatever happened."""
    try:
        if len(argv) != 2:
            raise ValueError("usage: relay.py EVENT")
        _relay(argv[1], environ)
    except (OSError, ValueError, RecursionError) as exc:
        said = f"seamripper relay: {exc}\n".encode("utf-8", "backslashreplace")
        try:
            os.write(2, said)
        except OSError:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv, os.environ))
