"""What a bug report about a run needs, without what must not leave the host: bounded texts, each redacted.

Prompts are withheld whole, and so is what looks like a secret in one. Logs are the last lines of what agents have shown, in
which only values of the environment, words of prompts and known shapes of secrets can be recognised.
"""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.errors import printable
from harness.commands.host import Host
from harness.engine.plan import PlanError, RunPlan, load_plan
from harness.record.redact import Redactor

__all__ = ["Member", "files_of", "packed", "redactor_for", "within"]

LIMIT = 400_000
"""Characters of one member."""
WHOLE = 8_000_000
"""Characters of all of them; what comes later is left out, and said."""
LOG_LINES = 200
JOURNAL_LINES = 2000
CRASHES = 5
LOGS = 50
_TAIL = 512 * 1024
"""Bytes of the end of a file that its last lines are taken from."""
_SHORTEST_WORD = 12
"""Characters; a word of a prompt that is as long and has a digit in it is withheld wherever it shows up."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the bundle; `note` says what of it is missing, and why."""

    name: str
    text: str
    note: str = ""

    @classmethod
    def of(cls, name: str, value: object) -> Member:
        """A JSON document."""
        return cls(name, json.dumps(value, indent=1, ensure_ascii=True) + "\n")


def redactor_for(host: Host, run_dir: Path) -> Redactor:
    """Knows the values of this environment and the prompts of the run, as far as its plan can be read."""
    plan = _plan(host, run_dir)
    prompts = [task.prompt for task in plan.tasks] if isinstance(plan, RunPlan) else []
    words = [word for prompt in prompts for word in prompt.split() if _is_telling(word)]
    return Redactor(host.environment, [*prompts, *words])


def _is_telling(word: str) -> bool:
    return len(word) >= _SHORTEST_WORD and any(letter.isdigit() for letter in word)


def _plan(host: Host, run_dir: Path) -> RunPlan | PlanError:
    try:
        return load_plan(run_dir / "plan.toml", disk=host.disk, follow=False)
    except PlanError as error:
        return error


def files_of(host: Host, run_dir: Path, redactor: Redactor) -> Iterator[Member]:
    """What is told by the run's directory; a file that cannot be read is a note."""
    yield _plan_member(host, run_dir, redactor)
    for name in ("state.json", "state.json.bak"):
        yield from _document(host, run_dir, name, redactor)
    yield from _journal(host, run_dir, redactor)
    for name in ("crash.txt", "ATTENTION", "run.lock"):
        yield from _text(host, run_dir, name, redactor)
    crashes = [name for name in _names(host, run_dir / "crash") if name.endswith(".json")]
    for name in sorted(crashes, key=_number)[-CRASHES:]:
        yield from _document(host, run_dir, f"crash/{name}", redactor)
    for name in _names(host, run_dir / "logs")[:LOGS]:
        yield from _text(host, run_dir, f"logs/{name}", redactor, lines=LOG_LINES)


def _number(name: str) -> list[int]:
    return [int(part) for part in name.removesuffix(".json").split("-") if part.isdecimal()]


def _names(host: Host, directory: Path) -> list[str]:
    try:
        return host.disk.listdir(directory)
    except OSError:
        return []


def _plan_member(host: Host, run_dir: Path, redactor: Redactor) -> Member:
    plan = _plan(host, run_dir)
    if isinstance(plan, PlanError):
        return Member("plan.toml", "", f"left out: {redactor.text(str(plan), 400)}")
    tasks = tuple(dataclasses.replace(task, prompt=f"(withheld: {len(task.prompt)} characters)") for task in plan.tasks)
    return Member("plan.toml", redactor.text(dataclasses.replace(plan, tasks=tasks).to_toml(), LIMIT))


def _read(host: Host, run_dir: Path, name: str) -> bytes | Member | None:
    """The content, or what to say about it; `None` where there is no such file."""
    try:
        return host.disk.read(run_dir / name)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Member(_safe(name), "", f"cannot be read: {error.strerror or type(error).__name__}")


def _document(host: Host, run_dir: Path, name: str, redactor: Redactor) -> Iterator[Member]:
    found = _read(host, run_dir, name)
    if isinstance(found, bytes):
        try:
            yield Member.of(_safe(name), redactor.tree(json.loads(found)))
        except (ValueError, RecursionError):
            yield Member(_safe(name), redactor.text(_decoded(found), LIMIT), "not JSON: as text")
    elif found is not None:
        yield found


def _journal(host: Host, run_dir: Path, redactor: Redactor) -> Iterator[Member]:
    found = _read(host, run_dir, "journal.jsonl")
    if isinstance(found, bytes):
        lines = found.splitlines()
        kept = "\n".join(_journal_line(line, redactor) for line in lines[-JOURNAL_LINES:])
        yield Member("journal.jsonl", kept + "\n", _cut(len(lines), JOURNAL_LINES))
    elif found is not None:
        yield found


def _journal_line(line: bytes, redactor: Redactor) -> str:
    try:
        return json.dumps(redactor.tree(json.loads(line)))
    except (ValueError, RecursionError):
        return redactor.text(_decoded(line))


def _text(host: Host, run_dir: Path, name: str, redactor: Redactor, lines: int = 10_000) -> Iterator[Member]:
    found = _read(host, run_dir, name)
    if isinstance(found, bytes):
        whole = found if len(found) <= _TAIL else found[-_TAIL:].partition(b"\n")[2]
        told = _decoded(whole).splitlines()
        # What is cut off begins no secret: a line is removed whole.
        yield Member(
            _safe(name), redactor.text("\n".join(told[-lines:]), LIMIT) + "\n", _cut(found.count(b"\n") + 1, lines)
        )
    elif found is not None:
        yield found


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _cut(count: int, kept: int) -> str:
    return f"the last {kept} of {count} lines" if count > kept else ""


def _safe(name: str) -> str:
    """A member's name, which leads nowhere but into the bundle."""
    return printable(name, 200).replace("..", "_")


def within(members: Iterable[Member]) -> list[Member]:
    """All of them that fit; of the others only that they are left out."""
    kept: list[Member] = []
    size = 0
    for member in members:
        text = member.text[: LIMIT * 2]
        size += len(text)
        fits = size <= WHOLE
        kept.append(Member(member.name, text if fits else "", member.note if fits else "left out: the bundle is full"))
    return kept


def packed(members: Iterable[Member], at: float) -> bytes:
    """The members as a compressed archive, dated `at` (wall seconds)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            data = member.text.encode("utf-8", "backslashreplace")
            told: Any = tarfile.TarInfo(f"diagnose/{member.name}")
            told.size, told.mode, told.mtime = len(data), 0o600, int(at)
            archive.addfile(told, io.BytesIO(data))
    return buffer.getvalue()
