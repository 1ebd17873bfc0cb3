#!/usr/bin/env python3
"""Which version is to be released, read from pyproject.toml and CHANGELOG.md.

    .ci/release.py                 `version=X.Y.Z` if the changelog has a dated section of the project's version,
                                   `version=` while that section says `unreleased`
    .ci/release.py --notes FILE    write that section there

Where the project's version is not that of the newest section it ends with 1 and one line.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\] - (?P<date>\d{4}-\d{2}-\d{2}|unreleased)$", re.MULTILINE)
VERSION = re.compile(r"\d+\.\d+\.\d+")


class Refused(Exception):
    """The files do not say what is to be released; one line says why."""


def newest(changelog: str) -> tuple[str, str, str]:
    """Version, date (or `unreleased`) and text of the newest section. Raises `Refused` if there is none."""
    headings = list(HEADING.finditer(changelog))
    if not headings or not VERSION.fullmatch(headings[0]["version"]):
        raise Refused("CHANGELOG.md has no section `## [X.Y.Z] - YYYY-MM-DD` or `- unreleased`")
    first = headings[0]
    end = headings[1].start() if len(headings) > 1 else len(changelog)
    return first["version"], first["date"], changelog[first.end() : end].strip() + "\n"


def released(project: str, changelog: str) -> str:
    """The version that is to be released; empty while it is unreleased. Raises `Refused` if the files disagree."""
    declared = tomllib.loads(project)["project"]["version"]
    version, date, _ = newest(changelog)
    if declared != version:
        raise Refused(f"pyproject.toml has version {declared}, the newest section of CHANGELOG.md is {version}")
    return "" if date == "unreleased" else version


def main(argv: Sequence[str] | None = None) -> int:
    """Print the version, or write the notes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    try:
        version = released((ROOT / "pyproject.toml").read_text("utf-8"), changelog)
        if arguments.notes is None:
            sys.stdout.write(f"version={version}\n")
        else:
            arguments.notes.write_text(newest(changelog)[2], "utf-8")
    except Refused as refused:
        sys.stderr.write(f"release: {refused}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
