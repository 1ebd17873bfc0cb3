"""What a backend was checked for and what came of it, as values that are written to a file and read again."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import msgspec

__all__ = [
    "VERSION",
    "Certificate",
    "CertificateError",
    "Check",
    "Host",
    "Level",
    "Outcome",
    "Result",
    "Subject",
    "level_reached",
    "whole",
]

VERSION = 1
"""Of the form in which certificates are written."""


class Level(IntEnum):
    """How far the promises reach; each level builds on the ones below."""

    L0 = 0
    """Shape: every operation is there, with its signature and the type of its sentinel."""
    L1 = 1
    """Honesty: nothing raw crosses the seam, and unknown is never reported as absent."""
    L2 = 2
    """Life cycle on the real binary: exact targets, faithful text, environment, names."""
    L3 = 3
    """Truth while the server is frozen, killed, replaced, or loses its replies."""
    L4 = 4
    """The core stories of an engine pass on it."""

    @property
    def title(self) -> str:
        """What it is called in reports."""
        return ("shape", "honesty", "life cycle", "truth under faults", "engine")[self]


class Outcome(StrEnum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """Declared as not to be had, and honestly refused when it was asked for."""
    WAIVED = "waived"
    """Failed, as a waiver or a known bug said that it would."""
    STALE_WAIVER = "stale waiver"
    """Passed, although a waiver or a known bug says that it fails: that has to go."""
    NOT_RUN = "not run"
    ERROR = "error"
    """The check itself could not be carried out."""

    @property
    def keeps(self) -> bool:
        """Whether a level with this outcome in it may still be whole."""
        return self in (Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.WAIVED)


@dataclass(frozen=True)
class Check:
    """One promise that a backend is held to.

    `id` never changes its meaning and is never given again. `since` is the first version of the contract that has it,
    `rationale` why it matters, `source` the rule or measurement behind it, `needs` the capabilities without which the
    check cannot be made.
    """

    id: str
    title: str
    level: Level
    since: str
    rationale: str
    source: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of one check: `expected` and `observed` in words, `replay` the command line that repeats it."""

    check_id: str
    title: str
    level: Level
    outcome: Outcome
    expected: str = ""
    observed: str = ""
    seconds: float = 0.0
    replay: str = ""


@dataclass(frozen=True)
class Subject:
    """The backend that was checked; `binary` is the path of what it runs, `note` anything a reader has to know."""

    name: str
    version: str | None = None
    binary: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Host:
    """Where it was checked."""

    system: str
    release: str
    python: str


class CertificateError(ValueError):
    """What was read is no certificate; one line says where."""


@dataclass(frozen=True)
class Certificate:
    """Everything that came of checking one backend on one host.

    `kit` and `contract` are versions. `capabilities` maps names to `supported`, `unsupported: why` or `known_bug: ref`.
    `level` is the highest one that is whole together with all below it, `None` if not even the lowest is; whole is a level
    that nothing breaks and of which at least one check passed.
    """

    kit: str
    contract: str
    backend: Subject
    host: Host
    capabilities: Mapping[str, str]
    level: Level | None
    results: tuple[Result, ...]
    version: int = VERSION

    def to_json(self) -> str:
        """As a text that `from_json` reads; a line for every value."""
        return msgspec.json.format(msgspec.json.encode(self)).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Certificate:
        """What `to_json` wrote; raises `CertificateError` for anything else, other versions and unknown keys included."""
        try:
            raw = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError) as broken:
            raise CertificateError(f"no JSON: {broken}") from None
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            found = raw.get("version") if isinstance(raw, dict) else None
            raise CertificateError(f"no certificate of version {VERSION}: its version is {found!r:.40}")
        _refuse_unknown_keys(raw)
        try:
            return msgspec.convert(raw, cls)
        except msgspec.ValidationError as wrong:
            raise CertificateError(f"no certificate: {wrong}") from None


def whole(results: Iterable[Result]) -> bool:
    """Whether a level with these results is whole: nothing breaks it, and at least one of its promises was seen to be kept."""
    outcomes = {result.outcome for result in results}
    return Outcome.PASSED in outcomes and all(outcome.keeps for outcome in outcomes)


def level_reached(results: Iterable[Result]) -> Level | None:
    """The highest level that is whole, with all below it."""
    found = tuple(results)
    reached = None
    for level in Level:
        if not whole(result for result in found if result.level is level):
            break
        reached = level
    return reached


def _refuse_unknown_keys(raw: Mapping[str, Any]) -> None:
    results = raw.get("results")
    parts: list[tuple[str, object, type]] = [
        ("certificate", raw, Certificate),
        ("backend", raw.get("backend"), Subject),
        ("host", raw.get("host"), Host),
        *(("result", result, Result) for result in (results if isinstance(results, list) else ())),
    ]
    for where, part, kind in parts:
        known = [field.name for field in dataclasses.fields(kind)]
        for key in part if isinstance(part, dict) else ():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                raise CertificateError(f"{where} has an unknown key {key!a:.60}: {hint}")
