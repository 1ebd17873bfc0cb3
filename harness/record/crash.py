"""What is recorded of a crash of the engine, for any exception whatever.

Nothing here lets an exception of the exception through: `str()` that raises, lone surrogates, megabytes of message,
cycles among causes and groups within groups are all put on record within fixed bounds. Local variables never are.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from types import FrameType, TracebackType
from typing import Any

import msgspec

from backends.clock import timestamp
from backends.errors import printable
from backends.later import later
from harness.record.plain import encode
from harness.record.redact import Redactor, is_harmless

__all__ = ["CrashContext", "build_crash_record", "crash_text", "describe", "isolated", "redactor_of"]

version_of = later("backends.installed:version_of")

SIZE_LIMIT = 1 << 20
"""Bytes of a crash record, at most."""
SEAM_CALLS = 200
JOURNAL_EVENTS = 50
"""Engine.md: the last 200 seam calls and the last 50 journal events."""
_MESSAGE = 2000
_EXCEPTIONS = 40
_NOTES = 20
_FRAMES = (15, 60)
_THREADS = 64


@dataclass(frozen=True)
class CrashContext:
    """What the engine can tell of the moment, as plain data.

    `seam_calls` are lines, oldest first; `faults` says what was planned and what fired; `server` is the identity of the
    multiplexer's server; `secrets` are further values that must not be recorded (prompts, for one).
    """

    seam_calls: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    backend: str = ""
    server: str = ""
    faults: Sequence[str] = ()
    extra: Mapping[str, object] = field(default_factory=dict)
    secrets: Sequence[str] = ()

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> CrashContext:
        """The context that a mapping describes; keys that have no field of their own go into `extra`."""
        known = {item.name for item in fields(cls)}
        own = {key: value for key, value in mapping.items() if key in known and key != "extra"}
        rest = {key: value for key, value in mapping.items() if key not in known}
        extra = mapping.get("extra")
        return cls(**own, extra={**(extra if isinstance(extra, Mapping) else {}), **rest})


def describe(exc: BaseException, redactor: Redactor | None = None) -> str:
    """`Type: message` in one line, without secrets; `Type` where there is no message, `Type: Type` where `str()` fails."""
    name = _type_name(exc)
    message = (redactor or redactor_of(os.environ)).text(_message(exc), _MESSAGE)
    return f"{name}: {message}".replace("\n", "\\n").replace("\t", "\\t") if message else name


def attempt(step: Callable[[], object]) -> BaseException | None:
    """Take `step`; what it raised, whatever that is, `None` if it came through."""
    try:
        step()
    except BaseException as raised:
        return raised
    return None


def isolated(step: Callable[[], object]) -> str | None:
    """Take `step`; what it raised as `Type: message`, `None` if it came through. Control flow passes."""
    try:
        step()
    except Exception as problem:
        return describe(problem)
    return None


def redactor_of(environment: Mapping[str, str], secrets: Iterable[str] = ()) -> Redactor:
    """A redactor for that environment, made once for all that hold the same secrets."""
    kept = tuple(item for item in environment.items() if not is_harmless(item[0]))
    return _redactor(kept, tuple(secrets))


@functools.lru_cache(maxsize=8)
def _redactor(environment: tuple[tuple[str, str], ...], secrets: tuple[str, ...]) -> Redactor:
    return Redactor(dict(environment), secrets)


def build_crash_record(
    exc: BaseException,
    context: CrashContext | None = None,
    *,
    run_id: str = "",
    epoch: int = 0,
    seq: int = 0,
    at: float = 0.0,
    journal: Sequence[Mapping[str, object]] = (),
    host: Mapping[str, object] | None = None,
    free_bytes: int | None = None,
    child: str | None = None,
    redactor: Redactor | None = None,
) -> dict[str, Any]:
    """The record of one crash as plain data, without secrets and of bounded size. Never raises an `Exception`.

    `at` is wall clock seconds, `child` the crash record of the nested run that this crash came out of.
    """
    context = context or CrashContext()
    redactor = redactor or redactor_of(os.environ, context.secrets)
    record: dict[str, Any] = {"schema": 1, "run_id": run_id, "epoch": epoch, "seq": seq, "at": at, "child": child}
    parts: tuple[tuple[str, Any], ...] = (
        ("when", lambda: timestamp(at)),
        ("error", lambda: describe(exc, redactor)),
        ("exceptions", lambda: _exceptions(exc, redactor)),
        ("seam_calls", lambda: redactor.tree(list(context.seam_calls)[-SEAM_CALLS:], 500)),
        ("journal", lambda: redactor.tree(list(journal)[-JOURNAL_EVENTS:], 1000)),
        ("faults", lambda: redactor.tree(list(context.faults), 1000)),
        ("backend", lambda: redactor.text(context.backend)),
        ("server", lambda: redactor.text(context.server)),
        ("versions", lambda: {**_versions(), **redactor.tree(dict(context.versions), 200)}),
        ("host", lambda: redactor.tree(dict(host or {}), 200)),
        ("free_bytes", lambda: free_bytes),
        ("threads", lambda: _threads(redactor)),
        ("extra", lambda: redactor.tree(dict(context.extra), 2000)),
    )
    for name, part in parts:
        try:
            record[name] = part()
        except Exception as problem:
            record[name] = f"not recorded: {type(problem).__name__}"
    return _bounded(record)


def crash_text(record: Mapping[str, Any]) -> str:
    """The record for people: what happened, where, and what went before. Its second line names run, epoch and seq."""
    lines = [
        f"CRASHED: {record.get('error')}",
        f"run {_one_line(str(record.get('run_id')))}, epoch {record.get('epoch')}, seq {record.get('seq')}, "
        f"{record.get('when')}",
    ]
    if record.get("child"):
        lines.append(f"the nested run's own record: {_one_line(record['child'])}")
    lines += ["", *_exception_lines(record.get("exceptions"))]
    for title, key in (("Faults", "faults"), ("Last seam calls", "seam_calls"), ("Last journal events", "journal")):
        items = record.get(key)
        if isinstance(items, list) and items:
            lines += [f"{title}:", *(f"  {_one_line(item)}" for item in items[-30:]), ""]
    for key in ("backend", "server", "host", "free_bytes", "versions", "extra"):
        if record.get(key):
            lines.append(f"{key}: {_one_line(record[key])}")
    lines += ["", *_thread_lines(record.get("threads"))]
    return "\n".join(lines) + "\n"


def _type_name(exc: BaseException) -> str:
    try:
        return redactor_of({}).text(str.__str__(type(exc).__qualname__), 200).replace("\n", " ")
    except Exception:
        return "Exception"


def _message(exc: BaseException) -> str:
    try:
        return str.__str__(str(exc))
    except BaseException:  # the exception's own code may raise anything, even control flow that nobody asked for
        return _type_name(exc)


def _exceptions(first: BaseException, redactor: Redactor) -> list[dict[str, Any]]:
    """`first` and all that it names as cause, context or member, breadth first, each once."""
    queue: list[tuple[BaseException, str, int | None]] = [(first, "raised", None)]
    seen = {id(first)}
    found: list[dict[str, Any]] = []
    while queue and len(found) < _EXCEPTIONS:
        exc, relation, of = queue.pop(0)
        index = len(found)
        found.append({"relation": relation, "of": of, **_one_exception(exc, redactor)})
        for other, how in _related(exc):
            if id(other) not in seen and len(seen) < 4 * _EXCEPTIONS:
                seen.add(id(other))
                queue.append((other, how, index))
    if queue:
        found.append(
            {"relation": "omitted", "of": None, "error": f"{len(queue)} more exceptions", "notes": [], "frames": []}
        )
    return found


def _related(exc: BaseException) -> list[tuple[BaseException, str]]:
    related: list[tuple[object, str]] = []
    with contextlib.suppress(Exception):
        cause = exc.__cause__
        related.append((cause, "cause"))
        if cause is None and not exc.__suppress_context__:
            related.append((exc.__context__, "context"))
        if isinstance(exc, BaseExceptionGroup):
            related += [(member, "member") for member in islice(exc.exceptions, 4 * _EXCEPTIONS)]
    return [(other, how) for other, how in related if isinstance(other, BaseException)]


def _one_exception(exc: BaseException, redactor: Redactor) -> dict[str, Any]:
    try:
        raw = getattr(exc, "__notes__", ())
        notes = redactor.tree(list(islice(raw, _NOTES)), _MESSAGE) if isinstance(raw, list | tuple) else []
    except Exception:
        notes = ["(notes not readable)"]
    return {
        "error": describe(exc, redactor),
        "module": redactor.text(str(getattr(type(exc), "__module__", "")), 200),
        "notes": notes,
        "frames": _traceback_frames(exc.__traceback__, redactor),
    }


def _traceback_frames(tb: TracebackType | None, redactor: Redactor) -> list[str]:
    found: list[tuple[FrameType, int]] = []
    while tb is not None and len(found) < 20_000:
        found.append((tb.tb_frame, tb.tb_lineno))
        tb = tb.tb_next
    return _frames(found, redactor)


def _stack_frames(frame: FrameType | None, redactor: Redactor) -> list[str]:
    found: list[tuple[FrameType, int]] = []
    while frame is not None and len(found) < 20_000:
        found.append((frame, frame.f_lineno))
        frame = frame.f_back
    found.reverse()
    return _frames(found, redactor)


def _frames(found: list[tuple[FrameType, int]], redactor: Redactor) -> list[str]:
    first, last = _FRAMES
    if len(found) <= first + last:
        return [_frame(frame, line, redactor) for frame, line in found]
    left_out = f"... {len(found) - first - last} frames left out ..."
    head = [_frame(frame, line, redactor) for frame, line in found[:first]]
    return [*head, left_out, *(_frame(frame, line, redactor) for frame, line in found[-last:])]


def _frame(frame: FrameType, line: int, redactor: Redactor) -> str:
    code = frame.f_code
    try:
        source = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    except Exception:
        source = ""
    return redactor.text(f"{code.co_filename}:{line} in {code.co_qualname}: {source}", 500).replace("\n", " ")


def _threads(redactor: Redactor) -> list[dict[str, Any]]:
    names = {thread.ident: (thread.name, thread.daemon) for thread in threading.enumerate()}
    found = []
    for ident, frame in list(sys._current_frames().items())[:_THREADS]:
        name, daemon = names.get(ident, ("unknown", False))
        frames = _stack_frames(frame, redactor)
        found.append({"name": redactor.text(str(name), 200), "daemon": daemon, "frames": frames})
    return found


@functools.cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("seamripper", "msgspec", "psutil", "rich"):
        versions[name] = version_of(name) or "unknown"
    return versions


def _bounded(record: dict[str, Any]) -> dict[str, Any]:
    """The record in at most `SIZE_LIMIT` bytes: the least telling parts are shortened first."""
    for name, kept in (
        ("extra", 0),
        ("threads", 4),
        ("journal", 10),
        ("seam_calls", 50),
        ("exceptions", 5),
        ("threads", 0),
        ("faults", 10),
        ("journal", 0),
        ("seam_calls", 0),
        ("host", 0),
        ("versions", 0),
        ("exceptions", 1),
    ):
        if len(encode(record)) <= SIZE_LIMIT:
            break
        part = record.get(name)
        record[name] = _part_of(part, name, kept)
        record["shortened"] = True
    return record


def _part_of(part: object, name: str, kept: int) -> object:
    """The first exceptions, the last of anything else; what is left out altogether leaves its size behind."""
    if isinstance(part, list) and kept:
        return part[:kept] if name == "exceptions" else part[-kept:]
    return f"left out: {len(encode({'': part}))} bytes"


def _exception_lines(exceptions: object) -> list[str]:
    if not isinstance(exceptions, list):
        return [str(exceptions), ""]
    words = {"cause": "caused by", "context": "while handling", "member": "with member", "omitted": "and"}
    lines: list[str] = []
    for position, item in enumerate(exceptions):
        of = f" (of {item['of']})" if item.get("of") else ""
        lead = words.get(item["relation"])
        lines.append(f"{position}. {lead + ' ' if lead else ''}{item['error']}{of}")
        lines += [f"   note: {note}" for note in item["notes"]]
        lines += [f"     {frame}" for frame in item["frames"]]
    return [*lines, ""]


def _thread_lines(threads: object) -> list[str]:
    if not isinstance(threads, list):
        return []
    lines: list[str] = []
    for thread in threads:
        lines += [f"thread {thread['name']}:", *(f"     {frame}" for frame in thread["frames"])]
    return lines


def _one_line(item: object) -> str:
    text = item if isinstance(item, str) else msgspec.json.encode(item).decode()
    return printable(text, 100_000).replace("\n", "\\n")
