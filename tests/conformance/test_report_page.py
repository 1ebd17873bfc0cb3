"""The matrix as a page: whole, readable without scripts or network, and nothing of a certificate is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from sample_certificates import COLUMNS, GOOD, HOSTILE_COLUMNS, certificate, result

from harness.conformance.pages import matrix_page
from harness.conformance.report_columns import Column
from harness.conformance.results import Outcome

VOID = {"meta", "br"}
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "table", "thead", "tbody", "tr", "th"),
    *("td", "span", "b", "br", "code", "details", "summary", "dl", "dt", "dd"),
}


class Matrix(HTMLParser):
    """The rows of the first table of a page as texts, and every tag and attribute that is anywhere on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.rows: list[list[str]] = []
        self.kinds: list[list[str | None]] = []
        self.titles: list[str] = []
        self.open: list[str] = []
        self.feed(text.split("<h2>")[0])
        self.feed(text[len(text.split("<h2>")[0]) :])
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it; a row or a cell begins a new text."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.kinds.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.kinds[-1].append(dict(attrs).get("class"))
            self.titles.append(dict(attrs).get("title") or "")

    def handle_endtag(self, tag: str) -> None:
        """It must be the innermost one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """It belongs to the cell that is open."""
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("columns", [COLUMNS, HOSTILE_COLUMNS, ()], ids=["usual", "hostile", "none"])
def test_the_matrix_is_whole_and_needs_nothing(columns: tuple[Column, ...]) -> None:
    """Every element is closed, none loads or runs anything, and hostile texts bring none in."""
    page = matrix_page(columns)
    seen = Matrix(page)

    assert seen.open == []
    assert seen.tags <= KNOWN
    assert seen.attributes <= {"class", "title", "scope", "lang", "charset", "http-equiv", "content", "name"}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", page)
    assert "prefers-color-scheme: dark" in page


def test_the_matrix_has_a_cell_for_each_check_and_backend() -> None:
    """Checks stand below their level, each with sign and word; what a certificate does not have is empty."""
    rows = {row[0].split("title of")[0]: row[1:] for row in Matrix(matrix_page(COLUMNS)).rows[:14]}

    assert list(rows)[2:5] == ["L0 shape", "SEAM-SHAPE-001", "L1 honesty"]
    assert rows["L0 shape"] == ["✔ 1 of 1", "✔ 1 of 1", ""]
    assert rows["L1 honesty"] == ["✔ 1 of 1", "✖ 3 of 7", ""]
    assert rows["SEAM-PROBE-001"] == ["✔ passed", "", ""]
    assert rows["SEAM-MIX-001"][1].startswith("✖ failed")
    assert rows["SEAM-MIX-004"][1].startswith("! stale waiver")
    assert rows["totals"][2] == "cannot be read: No such file or directory"


def test_the_head_of_a_column_says_who_where_and_how_far() -> None:
    """Backend, version, host, note and the level that its results show; or that there is no certificate."""
    head = Matrix(matrix_page(COLUMNS)).rows[0]

    assert head[1] == "tmux 3.3aLinux 6.1, Python 3.11.2/usr/bin/tmuxL1 honesty"
    assert "double, not psmux" in head[2]
    assert head[3] == "lost.json⚠ no certificate"


def test_a_cell_says_what_was_expected_and_observed_and_how_to_do_it_again() -> None:
    """In its title for a pointer, and behind a fold for everybody else."""
    seen = Matrix(matrix_page(COLUMNS))
    cell = next(row for row in seen.rows if row[0].startswith("SEAM-MIX-001"))[2]

    told = "expected: TransportError\nobserved: []\nreplay: seamripper conform --only SEAM-MIX-001"
    assert told in seen.titles
    assert cell == "✖ failedexpectedTransportErrorobserved[]replayseamripper conform --only SEAM-MIX-001"


def test_a_check_that_was_made_twice_shows_the_worse() -> None:
    """One cell for both; neither hides the other."""
    twice = certificate(result("SEAM-A-001", 0, Outcome.PASSED), result("SEAM-A-001", 0, Outcome.FAILED))
    seen = Matrix(matrix_page([Column("a.json", twice)]))

    assert next(row for row in seen.rows if row[0].startswith("SEAM-A"))[1].startswith("✖ failed")
    assert ["level", "level"] in seen.kinds
    assert next(row for row in seen.rows if row[0].startswith("L0"))[1] == "✖ 1 of 2"


def test_a_level_of_which_nothing_passed_is_not_drawn_as_whole() -> None:
    """Unsupported alone is said to show nothing."""
    column = Column("a.json", certificate(result("SEAM-A-001", 0, Outcome.UNSUPPORTED)))

    rows = Matrix(matrix_page([column])).rows
    assert next(row for row in rows if row[0].startswith("L0"))[1] == "· not shown: none of 1 passed"


def test_many_columns_stay_apart() -> None:
    """The same backend on the same host twice is two columns, each with its file."""
    seen = Matrix(matrix_page([Column(f"{i}.json", GOOD) for i in range(30)]))

    assert {len(row) for row in seen.rows if row[0].startswith(("check", "SEAM", "L", "totals"))} == {31}
    assert {f"{i}.json" for i in range(30)} <= set(seen.titles)
