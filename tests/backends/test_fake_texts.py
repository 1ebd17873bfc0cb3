"""No text is the simulation's own invention: each was recorded from a real server of the version that it claims to be."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from side_by_side import VERSION, Simulated, Subject, Trio, trio

from backends.fake import FakeTransport

ROOT = Path(__file__).parents[2]
Recorded = Mapping[str, Sequence[Mapping[str, Any]]]
OWN: Recorded = json.loads((ROOT / "tests" / "data" / "fake-texts.json").read_text("utf-8"))
EVERY: Recorded = {**json.loads((ROOT / "tests" / "data" / "tmux-texts.json").read_text("utf-8")), **OWN}

MADE_UP = {"if-shell runs no shell here: only -F": "tmux would run a shell; said so that a test that needs one notices"}
"""Texts of things that are not simulated at all, with the reason."""

SPEAKERS = {"Refused": 0, "_refused": 1, "ends": 2}
"""What is called with a text, and where among its arguments that stands; for `ends` by the name `complaint` as well."""


def templates() -> Iterator[tuple[str, str]]:
    """Every text that stands in the sources, as a pattern, and where it stands."""
    for path in sorted((ROOT / "backends").glob("fake*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                given = [word.value for word in node.keywords if word.arg == "complaint"]
                given += node.args[SPEAKERS[name] :][:1] if name in SPEAKERS else []
                yield from ((pattern, f"{path.name}:{node.lineno}") for text in given if (pattern := _pattern(text)))


def _pattern(text: ast.expr) -> str:
    """The literal parts of a text, with anything between them; nothing for what is no text here."""
    if isinstance(text, ast.Constant):
        return re.escape(str(text.value))
    if isinstance(text, ast.JoinedStr):
        return "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in text.values)
    return ""


def said(version: str) -> set[str]:
    """Every line that a client of that version was seen to write."""
    ends = [end for answers in EVERY.values() for end in answers if version in end["versions"].split()]
    return {line for end in ends for line in (end["stderr"] + "\n" + end["stdout"]).splitlines()}


def test_every_text_in_the_sources_was_recorded() -> None:
    """From the version that the simulation says that it is."""
    assert inspect.signature(FakeTransport).parameters["version"].default == VERSION
    lines, found = said(VERSION), list(templates())

    unknown = [(pattern, place) for pattern, place in found if not any(re.fullmatch(pattern, line) for line in lines)]

    assert [(pattern, place) for pattern, place in unknown if pattern not in map(re.escape, MADE_UP)] == []
    assert len(unknown) == len(MADE_UP)
    assert len(found) > 30


def ends(subject: Subject) -> Iterator[tuple[str, tuple[int, str, str], tuple[int, str, str]]]:
    """For every situation how the subject's client ends, and how it was recorded to end."""
    Trio.client(subject, "new-session", "-d", "-s", "S", "-n", "w", "cat")
    for situation, [recorded] in OWN.items():
        done = Trio.client(subject, *recorded["argv"])
        seen = (done.status, done.stdout.decode(), done.stderr.decode())
        yield situation, seen, (recorded["rc"], recorded["stdout"], recorded["stderr"])


def test_the_simulation_says_what_was_recorded() -> None:
    """Word for word, with the same status."""
    for situation, seen, recorded in ends(Simulated(fake=False)):
        assert seen == recorded, situation


@pytest.mark.live
def test_live_tmux_still_says_what_was_recorded() -> None:
    """Word for word, with the same status."""
    with trio() as three:
        if three.live.mux.version() != f"tmux {VERSION}":
            pytest.skip(f"the texts are those of tmux {VERSION}")
        for situation, seen, recorded in ends(three.live):
            assert seen == recorded, situation
