"""The page on the fake says what the fake does not imitate: neither less nor more."""

from __future__ import annotations

from pathlib import Path

from fake_differences import DIFFERENCES

PAGE = Path(__file__).parents[2] / "docs" / "fake.md"


def test_the_page_lists_every_known_difference() -> None:
    """Row by row, as the tests show them."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]

    assert rows == [f"| {d.name} | {d.who} | {d.live} | {d.instead} | {d.why} |" for d in DIFFERENCES]
