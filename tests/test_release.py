"""One version: the project's, the command's and the changelog's; and when it becomes a release."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from test_workflows import ROOT, script

from harness.commands.staged import CommandLine
from harness.world import FakeWorld

RELEASE: Any = script("release")
PROJECT = '[project]\nversion = "1.2.0"\n'
LOG = "# Changelog\n\n## [1.2.0] - 2026-12-01\n\n### Added\n\n- More.\n\n## [1.1.0] - 2026-11-01\n\n- Less.\n"


def test_the_version_is_one_everywhere() -> None:
    """In pyproject.toml, in what the command says, and in the newest section of the changelog."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    answer = CommandLine(FakeWorld())("--version")

    assert (answer.code, answer.stdout) == (0, f"seamripper {declared}\n")
    assert RELEASE.newest((ROOT / "CHANGELOG.md").read_text("utf-8"))[0] == declared


def test_a_dated_version_is_released_with_its_section_as_notes() -> None:
    """And nothing of the section before."""
    assert RELEASE.released(PROJECT, LOG) == "1.2.0"
    assert RELEASE.newest(LOG) == ("1.2.0", "2026-12-01", "### Added\n\n- More.\n")


def test_an_unreleased_version_is_not() -> None:
    """The workflow reads an empty version then, and does nothing."""
    assert RELEASE.released(PROJECT, LOG.replace("2026-12-01", "unreleased")) == ""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[1.2.0]", "[1.3.0]", "pyproject.toml has version 1.2.0, the newest section of CHANGELOG.md is 1.3.0"),
        ("## [", "## ", "CHANGELOG.md has no section"),
        ("[1.2.0]", "[next]", "CHANGELOG.md has no section"),
        ("[1.2.0]", "[$(id)]", "CHANGELOG.md has no section"),
    ],
)
def test_files_that_disagree_release_nothing(old: str, new: str, says: str) -> None:
    """One line that says which; nothing but numbers is ever taken for a version."""
    with pytest.raises(RELEASE.Refused) as refused:
        RELEASE.released(PROJECT, LOG.replace(old, new))

    assert str(refused.value).startswith(says)


def test_the_notes_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are the newest section, and standard output stays empty."""
    assert RELEASE.main(["--notes", str(tmp_path / "notes.md")]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "notes.md").read_text("utf-8").startswith("### ")
