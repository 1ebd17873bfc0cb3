"""A report as Markdown, as workflow commands, as a table and as a badge."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import pytest
from rich.console import Console
from sample_certificates import COLUMNS, GOOD, HOSTILE, HOSTILE_COLUMNS, MIXED, certificate, result

from harness.conformance.report_annotations import error_commands
from harness.conformance.report_badge import badge
from harness.conformance.report_columns import Column, Unread, level_line
from harness.conformance.report_markdown import markdown
from harness.conformance.report_table import level_table, problem_lines, summary_table
from harness.conformance.results import Level, Outcome


def drawn(table: object) -> list[str]:
    """The lines of something rich, as a pipe gets them."""
    out = io.StringIO()
    Console(file=out, width=2000, color_system=None).print(table, markup=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_summary_of_a_job_has_a_line_a_column_and_every_problem() -> None:
    """What holds is counted, what does not is told with how to do it again."""
    lines = markdown(COLUMNS).splitlines()

    assert lines[4].startswith("| tmux 3.3a | Linux 6.1, Python 3.11.2 | L1 honesty | 2 | 0 | 0 |")
    assert lines[6].startswith("| lost.json | ⚠ no certificate | cannot be read&#58; No such file or directory |")
    problems = [line for line in lines if line.startswith("| SEAM-MIX")]
    assert [line.split("|")[2].strip() for line in problems] == ["✖ failed", "! stale waiver", "⚠ error"]
    assert "<code>seamripper conform --only SEAM-MIX-001</code>" in problems[0]


def test_nothing_in_a_summary_is_taken_for_markup() -> None:
    """Whatever a certificate says, the tables keep their columns, and there is no tag, link or heading of its making."""
    lines = markdown(HOSTILE_COLUMNS).splitlines()

    assert {line.count("|") for line in lines if line.startswith("|")} == {11, 6}
    assert set(re.findall(r"<[^>]*>", "".join(lines))) == {"<code>", "</code>"}
    assert not [line for line in lines if not line.startswith(("|", "#", "\n")) and line]
    assert not re.search(r"[`*\[\]{}$\\~@\x00-\x1f]|:(?!-)|\)\(|- -", "".join(lines[4:]))


def test_a_summary_fits_into_what_github_takes() -> None:
    """A thousand columns with problems are cut at the end, and that is said."""
    text = markdown([Column(f"{i}.json", HOSTILE) for i in range(1000)])

    assert len(text.encode()) < 1_000_000
    assert text.endswith("The rest is too long for a summary; the page has all of it.\n")


def test_of_many_problems_the_summary_tells_some_and_counts_the_rest() -> None:
    """Twenty are told."""
    text = markdown([Column("a", certificate(*(result(f"S-{i:03}", 1, Outcome.FAILED) for i in range(25))))])

    assert (text.count("<code>"), "\nand 5 more." in text) == (20, True)


def test_each_problem_is_an_annotation() -> None:
    """One command a line: the check and the backend as its title, then what was seen."""
    lines = list(error_commands(COLUMNS))

    assert lines[0] == (
        "::error title=SEAM-MIX-001 on mine::title of SEAM-MIX-001: failed%0Aexpected: TransportError%0Aobserved: []"
        "%0Areplay: seamripper conform --only SEAM-MIX-001"
    )
    assert lines[-1] == "::error title=no certificate::lost.json: cannot be read: No such file or directory"
    assert len(lines) == 4


def test_an_annotation_cannot_be_left() -> None:
    """Nothing ends the line, the title or the command early."""
    for line in error_commands(HOSTILE_COLUMNS):
        title, message = re.fullmatch(r"::error title=([^:,\n\r]*)::([^\n\r]*)", line, re.DOTALL).groups()  # type: ignore[union-attr]  # a line that does not fit fails here

        assert line.isprintable()
        assert len(line) < 2000
        assert "%" not in re.sub(r"%(25|0A|3A|2C)", "", title + message)


def test_a_table_for_a_terminal_has_a_line_a_column() -> None:
    """Each with a sign for whole or not; a column without a certificate says why."""
    lines = drawn(summary_table(COLUMNS))

    assert [line[0] for line in lines[1:]] == ["✔", "✖", "⚠"]
    assert "L0 shape" in lines[2]
    assert "double, not psmux" in lines[2]
    assert "cannot be read: No such file or directory" in lines[3]


def test_the_levels_of_one_certificate_are_told_one_by_one() -> None:
    """A level without checks is neither whole nor broken."""
    assert [line[0] for line in drawn(level_table(MIXED))[1:]] == ["✔", "✖", "·", "·", "·"]


def test_a_level_of_which_nothing_was_seen_is_neither_whole_nor_broken() -> None:
    """Where every check is unsupported, nothing was shown: the sign says so."""
    shown = certificate(result("SEAM-A-001", 0, Outcome.PASSED), result("SEAM-B-001", 1, Outcome.UNSUPPORTED))

    assert [line[0] for line in drawn(level_table(shown))[1:]] == ["✔", "·", "·", "·", "·"]
    assert level_line(shown) == "L0 shape (claims none)"


def test_no_line_of_a_log_can_pass_for_a_command() -> None:
    """A runner reads commands from any line that begins with one; none of ours begins with somebody's text."""
    lines = [*drawn(summary_table(HOSTILE_COLUMNS)), *(line for line, _ in problem_lines(HOSTILE))]

    assert not [line for line in lines if line.lstrip().startswith(("::", "##[", "</td>"))]
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("columns", "message", "colour"),
    [
        (COLUMNS[:1], "L1 honesty", "yellow"),
        (COLUMNS[:2], "L0 shape", "orange"),
        (COLUMNS, "no level", "red"),
        ((), "no level", "red"),
        ((Column("x", certificate(result("S-1", 0, Outcome.FAILED))),), "no level", "red"),
    ],
)
def test_a_badge_shows_what_all_have_reached(columns: tuple[Column, ...], message: str, colour: str) -> None:
    """The lowest level of all of them, in the form that shields.io reads."""
    found = json.loads(badge(columns))

    assert found == {"schemaVersion": 1, "label": "seamripper", "message": message, "color": colour}


def test_a_level_that_was_only_claimed_is_told_as_claimed() -> None:
    """The results decide, not what the file says of itself."""
    assert level_line(GOOD) == "L1 honesty"
    assert level_line(dataclasses.replace(GOOD, level=Level.L4)) == "L1 honesty (claims L4)"
    assert level_line(dataclasses.replace(MIXED, level=Level.L0, results=())) == "no level (claims L0)"
    assert level_line(dataclasses.replace(GOOD, level=None)) == "L1 honesty (claims none)"


def test_a_column_that_was_not_read_has_no_problems_of_its_own() -> None:
    """It is one annotation, and one line."""
    column = Column("a", Unread("gone"))

    assert (len(list(error_commands([column]))), len(drawn(summary_table([column])))) == (1, 2)
