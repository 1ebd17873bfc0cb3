"""The page about conformance says what the kit does."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from harness.conformance.checks import CHECKS
from harness.conformance.results import Outcome
from harness.conformance.waivers import waivers_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text("utf-8")


def test_conformance_page_lists_every_check() -> None:
    """Each with its level, its promise and what it needs, and no other."""
    listed = re.findall(r"^\| `(SEAM-[A-Z]+-\d+)` \| (L\d) \| (.*) \| (.*) \|$", PAGE, re.M)
    checks = [item.check for item in CHECKS]

    assert listed == [
        (check.id, check.level.name, check.title, ", ".join(f"`{need}`" for need in check.needs)) for check in checks
    ]


def test_conformance_page_names_every_outcome() -> None:
    """Each stands with what it means for its level."""
    rows = dict(re.findall(r"^\| (.*) \| (whole|not whole) \|$", PAGE, re.M))
    told = {name: meaning == "whole" for row, meaning in rows.items() for name in re.findall(r"`([a-z ]+)`", row)}

    assert told == {outcome.value: outcome.keeps for outcome in Outcome}


def test_conformance_page_shows_a_waiver_that_is_one() -> None:
    """The example can be used as it stands."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)

    assert list(waivers_of(example, [item.check for item in CHECKS], datetime.date(2026, 11, 22))) == ["SEAM-TEXT-006"]
