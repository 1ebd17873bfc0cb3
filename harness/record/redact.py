"""Keeps secrets out of the record: by value, as the environment holds them, and by shape, as they are known to look."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from backends.errors import printable
from harness.record.plain import encode, plain

__all__ = ["Redactor", "is_harmless"]

SHORTEST = 6
"""Characters; a shorter value is no secret worth the name, and would tear ordinary words apart.

Chosen: settings as common as `true`, `debug` and `5432` are shorter; what services hand out (see `_SHAPES`) is longer.
"""
LONGEST = 16_384
"""Characters of a secret that are looked for; the rest of a longer one is removed line by line."""

BUDGET = 400_000
"""Characters of one part of a record; several parts have room within a megabyte."""

_HARMLESS_NAMES = re.compile(
    r"""(?x) (?: PATH | HOME | PWD | OLDPWD | USER | LOGNAME | USERNAME | HOSTNAME | HOST | SHELL | SHLVL | LANG | LANGUAGE
    | LC_\w+ | TERM | TERM_\w+ | COLORTERM | COLUMNS | LINES | TZ | EDITOR | VISUAL | PAGER | LESS\w* | LS_COLORS | DISPLAY
    | WAYLAND_DISPLAY | MAIL | TMPDIR | TEMP | TMP | XDG_\w+_(?:HOME|DIRS?|TYPE|CLASS|DESKTOP) | XDG_\w+_ID | TMUX | TMUX_PANE
    | TMUX_TMPDIR | VIRTUAL_ENV\w* | PYTHON(?!_)\w* | PYTEST_\w+ | CONDA_\w+
    | NO_COLOR | FORCE_COLOR | CLICOLOR\w* | CI | DEBIAN_FRONTEND
    | BASH_FUNC_.* | _ | PS[0-4] | MAKE\w* | MFLAGS | LD_LIBRARY_PATH | MANPATH | INFOPATH | NVM_\w+ | SSH_TTY
    | GITHUB_(?:ACTIONS?|WORKFLOW\w*|JOB|RUN_\w+|REF\w*|SHA|REPOSITORY\w*|WORKSPACE|ACTOR\w*|EVENT_\w+)
    | RUNNER_(?:OS|ARCH|NAME|TEMP|TOOL_CACHE|WORKSPACE|ENVIRONMENT)
    | SEAMRIPPER_(?:ROOT|MUX|RUN|TASK|EVENTS|RESULT|PROMPT) )\Z"""
)

_SHAPES = re.compile(
    r"""(?x)
      -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | \b(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}
    | \bgh[opsur]_[A-Za-z0-9]{16,}
    | \bgithub_pat_\w{16,}
    | \bglpat-[\w-]{16,}
    | \b(?:AKIA|ASIA)[0-9A-Z]{12,}
    | \bAIza[\w-]{30,}
    | \bxox[a-z]-[\w-]{8,}
    | \beyJ[\w-]{8,999}\.[\w-]{8,999}\.[\w-]*
    | (?<=://)[^\s/@:]+:[^\s/@]+(?=@)
    | (?i:(?<=\bbearer[ ]))[\w.~+/=-]{8,}
    """,
    re.DOTALL,
)

_ASSIGNED = re.compile(
    r"""(?x)
    ( \b[A-Z0-9_]{0,60}(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)[A-Z0-9_]{0,60}=
    | (?i:\b(?:api[_-]?key|access[_-]?key|auth[_-]?token|secret|password|passwd|x-api-key|authorization)\b)
      (?:\\?["'])?\s*[:=]\s*
    )
    ((?:\\?["'])?) (?!<) (?:(?i:basic|bearer|digest|token)[ ]+)? [^\s"'\\,;&)}\]]{4,}
    """
)

_SECRET_KEY = re.compile(r"(?i)(?:\A|_|-)(?:token|secret|password|passwd|api[_-]?key|authorization|credentials?)\Z")

_FREE_TEXT = frozenset(
    (
        *(
            "by",
            "command",
            "detail",
            "details",
            "error",
            "feedback",
            "line",
            "message",
            "name",
            "note",
            "notes",
            "output",
        ),
        *("problem", "problems", "reason", "stderr", "stdout", "summary", "teardown", "text", "what", "why"),
        *("crash_error", "paused_reason"),
    )
)
"""Fields of state and journal that hold words from elsewhere; the others hold names that must survive unchanged."""


class Redactor:
    """Removes the values of `environment` that no allow-list names, the `secrets` given, and whatever looks like a secret."""

    def __init__(self, environment: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
        found = {value: f"<env {printable(name, 80)}>" for name, value in environment.items() if not is_harmless(name)}
        found.update(dict.fromkeys(secrets, "<secret>"))
        self._values = _variants(found)
        self._needles = tuple({msgspec.json.encode(_encodable(value))[1:-1] for value, _ in self._values})
        self._longest = max((len(value) for value, _ in self._values), default=0)
        self._known: dict[tuple[str, int], str] = {}

    def text(self, text: str, limit: int = 4000) -> str:
        """`text` without secrets, encodable, without control characters, at most about `limit` characters."""
        key = (text, limit)
        if len(text) > 400:
            return self._text(text, limit)
        known = self._known.get(key)
        if known is None:
            if len(self._known) > 5000:
                self._known.clear()
            known = self._known[key] = self._text(text, limit)
        return known

    def _text(self, text: str, limit: int) -> str:
        total = len(text)
        window = limit + self._longest
        cut = total > window
        if cut:
            text = text[:window]
        for value, label in self._values:
            if value in text:
                text = text.replace(value, label)
        if cut and self._longest:
            # What is left of a secret that the window cut in two is at the very end, and shorter than the longest.
            text = text[: -self._longest]
        text = _SHAPES.sub("<secret>", text)
        text = _ASSIGNED.sub(r"\1\2<secret>", text)
        if len(text) > limit or cut:
            text = f"{text[:limit]}... ({total} characters in all)"
        return printable(text, limit + 100)

    def values(self, text: str) -> str:
        """`text` without the known values; nothing else is changed."""
        for value, label in self._values:
            if value in text:
                text = text.replace(value, label)
        return text

    def line(self, encoded: bytes) -> bytes:
        """A JSON document as it is, or without the known values in its free text."""
        if not any(needle in encoded for needle in self._needles):
            return encoded
        return encode(self._free_text(msgspec.json.decode(encoded), False))

    def _free_text(self, value: Any, free: bool) -> Any:
        if isinstance(value, dict):
            return {key: self._free_text(inner, key in _FREE_TEXT) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._free_text(inner, free) for inner in value]
        return self.values(value) if free and isinstance(value, str) else value

    def tree(self, value: object, limit: int = 4000) -> Any:
        """`value` made plain, every string in it without secrets; what a secret-sounding key holds is withheld.

        After `BUDGET` characters in all, strings are left out.
        """
        left = BUDGET

        def clean(text: str) -> str:
            nonlocal left
            if left <= 0:
                return "..."
            text = self.text(text, limit)
            left -= len(text)
            return text

        return self._withheld(plain(value, clean))

    def _withheld(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: "<secret>" if _SECRET_KEY.search(key) and isinstance(inner, str) else self._withheld(inner)
                for key, inner in value.items()
            }
        return [self._withheld(inner) for inner in value] if isinstance(value, list) else value


@functools.lru_cache(maxsize=4096)
def is_harmless(name: str) -> bool:
    """Whether the value of the environment variable `name` is known to be no secret."""
    return _HARMLESS_NAMES.match(name) is not None


def _variants(found: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each value as it is, as `repr`, JSON and `printable` write it, and line by line; longest first."""
    variants: dict[str, str] = {}
    for whole, label in found.items():
        lines = [line.strip() for line in whole.splitlines()] if "\n" in whole else []
        for value in (whole, whole.strip(), *(line for line in lines if len(line) >= 12)):
            if len(value) < SHORTEST:
                continue
            value = value[:LONGEST]
            simple = value.isascii() and value.isalnum()
            for shape in {value} if simple else {value, *_spellings(value)}:
                variants.setdefault(shape, label)
    return sorted(variants.items(), key=lambda item: (-len(item[0]), item[0]))


def _spellings(value: str) -> Iterator[str]:
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield printable(value, LONGEST)
    yield _encodable(value)
    yield json.dumps(_encodable(value))[1:-1]


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
