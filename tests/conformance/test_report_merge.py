"""`seamripper report merge`: what it writes, and that no file of somebody's stops it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sample_certificates import GOOD, HOSTILE, MIXED

from backends.disk import RealDisk
from harness.commands.staged import CommandLine
from harness.world import FakeWorld

MERGE = ("report", "merge")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with two certificates."""
    (tmp_path / "good.json").write_text(GOOD.to_json(), "utf-8")
    (tmp_path / "mixed.json").write_text(MIXED.to_json(), "utf-8")
    return tmp_path


@pytest.fixture
def seamripper(here: Path) -> CommandLine:
    """The command line in that directory of a real disk."""
    return CommandLine(FakeWorld(), disk=RealDisk(), cwd=here)


def test_certificates_are_shown_side_by_side(seamripper: CommandLine) -> None:
    """A line each, and what did not hold with how to do it again; that something failed is no failure of the merge."""
    answer = seamripper(*MERGE, "good.json", "mixed.json")

    assert (answer.code, answer.stderr) == (0, "")
    assert "✔  tmux 3.3a" in answer.stdout
    assert (
        "» mine in mixed.json\n✖ SEAM-MIX-001 title of SEAM-MIX-001: failed\n  expected  TransportError"
        in answer.stdout
    )


def test_page_summary_and_badge_are_written(seamripper: CommandLine, here: Path) -> None:
    """Each where it was asked for, over what was there before, and said."""
    (here / "badge.json").write_text("old", "utf-8")
    words = ("-o", "matrix.html", "--markdown", "summary.md", "--badge", "badge.json")
    answer = seamripper(*MERGE, "good.json", "mixed.json", *words)

    assert answer.code == 0
    assert (here / "matrix.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert (here / "summary.md").read_text("utf-8").startswith("## Conformance")
    assert json.loads((here / "badge.json").read_text("utf-8"))["message"] == "L0 shape"
    assert f"markdown  {here / 'summary.md'}\n" in answer.stdout


def test_json_has_a_column_for_each_file(seamripper: CommandLine) -> None:
    """With its level, counts and problems, or with why it could not be read; annotations go beside it."""
    answer = seamripper(*MERGE, "good.json", "mixed.json", "lost.json", "--json", "--annotations")
    good, mixed, lost = answer.document["columns"]

    assert (answer.code, good["level"], good["counts"]["passed"], good["problems"]) == (1, "L1", 2, [])
    assert [problem["check"] for problem in mixed["problems"]] == ["SEAM-MIX-001", "SEAM-MIX-004", "SEAM-MIX-006"]
    assert lost == {"source": "lost.json", "problem": "cannot be read: No such file or directory"}
    assert answer.stderr.count("::error title=") == 4


def make_bad(path: Path, kind: str) -> None:
    """Something in a certificate's place that is none."""
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "huge":
            with path.open("wb") as file:
                file.truncate(17 * 1024 * 1024)
        case _:
            path.write_bytes(CONTENTS[kind])


CONTENTS = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "no JSON": b"{",
    "deep": b"[" * 200_000,
    "deep value": b'{"version": 1, "kit": ' + b"[" * 200_000,
    "a list": b"[]",
    "surrogate": b'{"version": "\\ud800"}',
    "huge number": b'{"version": ' + b"9" * 5000 + b"}",
    "newer": GOOD.to_json().replace('"version": 1', '"version": 12').encode(),
    "unknown key": GOOD.to_json().replace('"kit"', '"\x1b[31mkit\u202e"').encode(),
    "lying": GOOD.to_json().replace('"passed"', '"perfect"').encode(),
}
SAID = {
    "directory": "cannot be read: ",
    "fifo": "cannot be read: ",
    "huge": "longer than 16777216 bytes",
    "newer": "written by a newer kit (version 12, this one reads 1): update seamripper",
    "no JSON": "no JSON",
}


@pytest.mark.parametrize("kind", ["directory", "fifo", "loop", "huge", *CONTENTS])
def test_a_file_that_is_no_certificate_is_one_line_and_a_column(seamripper: CommandLine, here: Path, kind: str) -> None:
    """The others are merged; the exit code says that not all were."""
    make_bad(here / "bad.json", kind)
    answer = seamripper(*MERGE, "bad.json", "good.json", "-o", "matrix.html")

    assert (answer.code, answer.stderr.count("\n")) == (1, 1)
    assert answer.stderr.startswith("error: bad.json: ")
    assert SAID.get(kind, "") in answer.stderr
    assert answer.stderr.strip().isprintable()
    assert "✔  tmux 3.3a" in answer.stdout
    assert "⚠ no certificate" in (here / "matrix.html").read_text("utf-8")


def test_a_file_that_cannot_have_that_name_is_one_line_and_a_column(seamripper: CommandLine) -> None:
    """Names with a NUL, without a character that is printed, or too long."""
    answer = seamripper(*MERGE, "a\0b", "", "\x1b[31m\n", "x" * 5000, "good.json")

    assert (answer.code, answer.stderr.count("\n")) == (1, 4)
    assert all(line.isprintable() for line in answer.stderr.splitlines())


def test_a_copy_is_left_out_and_said(seamripper: CommandLine, here: Path) -> None:
    """The same file twice is one column."""
    (here / "copy.json").write_bytes((here / "good.json").read_bytes())
    answer = seamripper(*MERGE, "good.json", "./good.json", "copy.json", "--json")

    assert (answer.code, len(answer.document["columns"])) == (0, 1)
    assert "left out  copy.json: the same as good.json" in answer.stderr


def test_a_linked_certificate_is_read(seamripper: CommandLine, here: Path) -> None:
    """Where it leads to."""
    (here / "link.json").symlink_to("good.json")

    assert seamripper(*MERGE, "link.json").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "the following arguments are required: FILE"),
        (("good.json", "-o", ""), "expected the name of a file, got ''"),
        (("good.json", "-o", "./good.json"), "--output: ./good.json is a certificate"),
        (("good.json", "-o", "x", "--badge", "x"), "--badge: x is the file of --output"),
        (("good.json", "-o", "."), "is no regular file"),
        (("good.json", "--html", "x"), "unrecognized arguments: --html"),
    ],
)
def test_what_means_nothing_is_refused(seamripper: CommandLine, here: Path, words: tuple[str, ...], says: str) -> None:
    """One line, exit code 2, and the certificate is as it was."""
    answer = seamripper(*MERGE, *words)

    assert (answer.code, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert says in answer.stderr
    assert (here / "good.json").read_text("utf-8") == GOOD.to_json()


def test_a_page_that_cannot_be_written_is_said(seamripper: CommandLine) -> None:
    """With the option and the reason; exit code 1."""
    answer = seamripper(*MERGE, "good.json", "-o", "nowhere/matrix.html")

    assert (answer.code, "--output: nowhere/matrix.html cannot be written" in answer.stderr) == (1, True)


def test_hostile_texts_reach_no_terminal_and_no_log(seamripper: CommandLine, here: Path) -> None:
    """Every line that is printed is printable, and none but the annotations is a workflow command."""
    (here / "hostile.json").write_text(HOSTILE.to_json(), "utf-8")
    answer = seamripper(*MERGE, "hostile.json", "--annotations")
    lines = answer.stdout.splitlines()

    assert answer.code == 0
    assert all(line.isprintable() for line in lines)
    assert len([line for line in lines if line.lstrip().startswith("::")]) == 1


def test_a_backend_that_is_checked_gets_its_page_and_a_certificate_that_merges(
    seamripper: CommandLine, here: Path
) -> None:
    """The page is the matrix with one column; the certificate is read as any."""
    words = ("--only", "SEAM-SHAPE-001", "--json", "made.json", "--html", "made.html")
    answer = seamripper("conform", "--mux", "fake", *words)
    merged = seamripper(*MERGE, "made.json", "--json")

    assert (answer.code, answer.stderr) == (0, "")
    assert "SEAM-SHAPE-001" in (here / "made.html").read_text("utf-8")
    assert merged.document["columns"][0]["counts"]["passed"] == 1
