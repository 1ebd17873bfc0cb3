"""The probes of the catalogue: the double is what they say, in every profile, and each of them can find that it is not."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from live_psmux import eventually_true

from backends.processes import Completed, SystemProcessTable
from backends.psmux_catalogue import psmux_catalogue
from backends.psmux_double import BIN
from harness.conformance.psmux_probing import Seen, Verdict, probed, profile_of

NEEDS_TMUX = pytest.mark.skipif(shutil.which("tmux") is None, reason="the double needs a real tmux")

CATALOGUE = psmux_catalogue()
PROBED = [one.id for one in CATALOGUE.divergences.values() if not isinstance(one.probe, str)]
PATIENCE_S = 15.0

RENAMED = """#!/bin/sh
# A tmux that calls itself psmux; whoever ends it finds its process where psmux notes its own.
tmux -f /dev/null "$@"
status=$?
pid=$(tmux display-message -p '#{pid}' 2>/dev/null) && echo "$pid" > "$PSMUX_DATA_DIR/a.pid"
exit $status
"""

TMUX = "tmux"
LACKING = "lacking"
"""A plain tmux, and a double of 3.3.8 without the divergence; any other stand-in is the double of that profile."""

MISSED: Mapping[str, tuple[str, str]] = {
    "server-per-session": (TMUX, "3.3.8"),
    "state-files": (TMUX, "3.3.8"),
    "version-lines": ("3.3.6", "3.3.8"),
    "ids-per-session": (TMUX, "3.3.8"),
    "ambiguous-id": ("3.3.8", "master"),
    "exact-match": (TMUX, "3.3.8"),
    "equals-kill": ("3.3.6", "3.3.8"),
    "pane-target": (TMUX, "3.3.8"),
    "options-per-server": (LACKING, "3.3.8"),
    "option-leading-dash": (LACKING, "3.3.8"),
    "nested-session": (LACKING, "3.3.8"),
    "new-window-environment": ("3.3.6", "3.3.8"),
    "unresolvable-target": ("3.3.6", "3.3.8"),
    "error-on-stdout": ("3.3.8", "master"),
    "shell": (LACKING, "3.3.8"),
    "pipe-pane-stub": ("3.3.8", "3.3.6"),
    "pipe-pane-cat": ("master", "3.3.8"),
    "exit-status": (LACKING, "3.3.8"),
    "client-operations": (LACKING, "3.3.8"),
    "self-probe": (LACKING, "3.3.8"),
    "encoding": (TMUX, "3.3.8"),
    "buffers": (TMUX, "3.3.8"),
}
"""For each probe something that it has to find out, and the profile that this is held against."""


MARK = "SEAMRIPPER_PROBED_IN"
"""A variable by which whatever a probe leaves behind is found."""


def stand_in(name: str, divergence: str, place: Path) -> dict[str, str]:
    """The environment in which `psmux` is that stand-in."""
    first = place if name == TMUX else BIN
    changes = {
        "PATH": f"{first}{os.pathsep}{os.environ['PATH']}",
        "SEAMRIPPER_PYTHON": sys.executable,
        MARK: str(place),
    }
    lacking = {"PSMUX_DOUBLE_LACKS": divergence} if name == LACKING else {}
    return {**os.environ, **changes, **lacking, "PSMUX_DOUBLE": "3.3.8" if name == LACKING else name}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a tmux that calls itself psmux, and a `pwsh`; what probes do to our variables is undone."""
    for name in ("TMUX", "TMUX_PANE", "TMUX_TMPDIR", "PSMUX_SESSION"):
        monkeypatch.delenv(name, raising=False)
    for name, text in {"psmux": RENAMED, "pwsh": f'#!/bin/sh\nexec {BIN}/pwsh "$@"\n'}.items():
        (tmp_path / name).write_text(text, "utf-8")
        (tmp_path / name).chmod(0o700)
    return tmp_path


def together(cases: Sequence[tuple[str, str, str]], place: Path) -> list[Seen]:
    """What comes of each (divergence, stand-in, profile), several at once."""

    def one(case: tuple[str, str, str]) -> Seen:
        name, stands_in, profile = case
        return probed(CATALOGUE.divergences[name], profile, stand_in(stands_in, name, place), PATIENCE_S)

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, cases))


@NEEDS_TMUX
@pytest.mark.live
@pytest.mark.parametrize("profile", CATALOGUE.profiles)
def test_the_double_is_what_the_catalogue_says(profile: str, place: Path) -> None:
    """Each divergence is there in its profiles, and in no other."""
    found = together([(name, profile, profile) for name in PROBED], place)

    assert [seen for seen in found if seen.outcome is not Verdict.AS_CATALOGUED] == []
    assert len(found) >= 20


@NEEDS_TMUX
@pytest.mark.live
def test_every_probe_can_find_that_psmux_is_otherwise(place: Path) -> None:
    """A plain tmux, another version or a double that lacks it is found out, and nothing of them is left behind."""
    found = together([(name, *MISSED[name]) for name in PROBED], place)

    assert [seen.check_id for seen in found if seen.outcome is not Verdict.OTHERWISE] == []
    assert all(seen.seen for seen in found)
    eventually_true(lambda: not SystemProcessTable().carrying(MARK, str(place)))


def test_what_is_not_probed_says_why() -> None:
    """It is in the report, with its reason, and nothing is run for it."""
    seen = probed(CATALOGUE.divergences["kill-server"], "3.3.8", {"PATH": ""})

    assert (seen.outcome, "end what others run" in seen.seen) == (Verdict.NOT_PROBED, True)


@pytest.mark.parametrize(
    ("said", "profile"),
    [
        ("tmux 3.3.6", "3.3.6"),
        ("tmux 3.3.8\npsmux 3.3.8 (1234abc 2026-08-01)", "3.3.8"),
        ("tmux 3.3.9 (double, not psmux)\npsmux 3.3.9 (double, not psmux)", "master"),
        ("tmux 4.0.0\npsmux 4.0.0", "master"),
        ("tmux 3.3.7\npsmux 3.3.7", None),
        ("tmux 3.5a", None),
        ("tmux 3.3.8", None),
        ("", None),
    ],
)
def test_a_psmux_is_held_against_its_own_version(said: str, profile: str | None) -> None:
    """One that nobody has described is held against none, and one that is newer than all against the newest."""
    assert profile_of(said, CATALOGUE) == profile


def command(*words: str, **env: str) -> Completed:
    """`seamripper divergences` in a process of its own."""
    argv = (sys.executable, "-P", "-m", "harness.cli", "divergences", *words)
    given = {**os.environ, "SEAMRIPPER_PYTHON": sys.executable, **env}
    return SystemProcessTable().run(argv, timeout_s=60, env=given)


@NEEDS_TMUX
@pytest.mark.live
def test_the_command_writes_what_it_found_and_fails_where_that_is_otherwise(tmp_path: Path) -> None:
    """A table for people, JSON for the matrix."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    words = ("--only", "client-operations", "--only", "stall", "--json", str(tmp_path / "found.json"))
    good = command(*words, PATH=path)
    bad = command(*words, PATH=path, PSMUX_DOUBLE_LACKS="client-operations")
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))

    assert (good.status, bad.status, good.stderr + bad.stderr) == (0, 1, b"")
    assert b"client-operations  as catalogued" in good.stdout
    assert (found["profile"], "double" in found["psmux"]) == ("3.3.8", True)
    assert [(one["check_id"], one["outcome"]) for one in found["results"]] == [
        ("client-operations", "otherwise"),
        ("stall", "not probed"),
    ]


@pytest.mark.parametrize(
    ("words", "says"), [((), b"psmux is not on PATH"), (("--only", "stal"), b"did you mean stall?")]
)
def test_what_cannot_be_probed_is_one_line(words: tuple[str, ...], says: bytes, tmp_path: Path) -> None:
    """With the exit code of wrong usage."""
    done = command(*words, PATH=str(tmp_path))

    assert (done.status, done.stdout, says in done.stderr, done.stderr.count(b"\n")) == (2, b"", True, 1)
