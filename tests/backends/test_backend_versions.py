"""What differs between the versions of tmux is handled by what was measured: the floor, and how values are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from canned_tmux import Answer, canned, completed, healthy

from backends.tmux import FLOOR, parse_version
from backends.words import value_as_set

TEXTS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data" / "tmux-texts.json").read_text("utf-8"))
VERSIONS = ("3.2a", "3.3a", "3.4", "3.5a", "3.6b", "3.7c", "master")
"""The measured ones from the floor on."""

LOSSY = ("p.ctrl", "p.nonutf8", "p.locale", "p.long10k")
"""Situations whose record does not tell what was set: bytes that are no text, a locale without them, and a text cut short."""

VALUES = [name for name in TEXTS if name.startswith("p.") and name.endswith(".show-v") and not name.startswith(LOSSY)]


def written(situation: str, version: str) -> str:
    """What that version wrote in the situation."""
    found = [answer["stdout"] for answer in TEXTS[situation] if version in answer["versions"].split()]
    assert len(found) == 1
    return str(found[0])


@pytest.mark.parametrize("line", ["3.0a", "3.1c", *VERSIONS[:-1], "next-3.8", "3.2", "3.10", "4.0"])
def test_tmux_will_do_from_its_floor_on(line: str) -> None:
    """Older ones lack what is used here; what comes after is not held against it."""
    mux, _ = canned(lambda argv, stdin: healthy(argv, stdin, version=line))
    version = parse_version(f"tmux {line}")
    assert version is not None

    assert mux.available() is (version >= FLOOR) is (line not in ("3.0a", "3.1c", "3.2"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("situation", VALUES)
def test_a_value_is_read_as_the_same_from_every_version(situation: str, version: str) -> None:
    """Of a window and of a session; 3.4 writes a backslash before `$HOME` that was not set."""
    text = written(situation, version)
    server = "next-3.8" if version == "master" else version

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        if "show-options" in argv:
            ends = "\t-- end of value --\t\n" if "display-message" in argv else ""
            return completed(stdout=f"{text}{ends}".encode())
        return healthy(argv, stdin, version=server)

    mux, _ = canned(reply)
    meant = written(situation, "3.7c").removesuffix("\n")

    assert mux.show_window_option("@1", "@v") == meant
    assert mux.session_options("@v") == ({"run-1": meant} if text else {})


@pytest.mark.parametrize("version", VERSIONS)
def test_a_value_in_a_listing_is_read_as_the_same_from_every_version(version: str) -> None:
    """There, too, 3.4 writes a backslash before a name with `$`."""
    text = written("p.quote.list-F", version).removesuffix("\n")
    mux, _ = canned(lambda argv, stdin: healthy(argv, stdin, version=version, **{"window_name": text}))

    assert mux.list_windows("run-1", ["window_name"]) == [("a'b\"c $HOME `x`",)]


@pytest.mark.parametrize(
    ("shown", "meant"),
    [(r"\$HOME", "$HOME"), (r"\${x}", "${x}"), (r"\$_", "$_"), (r"\\$HOME", r"\$HOME"), (r"\$1", r"\$1"), ("$", "$")],
)
def test_only_the_backslash_that_was_added_is_taken_away(shown: str, meant: str) -> None:
    """One that was set stays, and no other version's is touched."""
    assert value_as_set(shown, "3.4") == meant
    assert [value_as_set(shown, version) for version in ("3.3a", "3.5a", "")] == [shown] * 3


def test_every_measured_value_is_compared() -> None:
    """A comparison of nothing would pass."""
    assert len(VALUES) == 13
