"""The table of a mutation run is honest about what was not killed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import yaml
from mutation_table import (
    ROOT,
    SUBJECTS,
    Mutant,
    Outcome,
    RunError,
    Subject,
    changed,
    chosen,
    listed,
    main,
    read,
    table,
)

SOURCE = """\
def x_half__mutmut_orig(value):
    return value / 2
def x_half__mutmut_1(value):
    return value * 2
def xǁSumǁ_of__mutmut_orig(self):
    return 1
def xǁSumǁ_of__mutmut_1(self):
    return 2
"""
SPANS = {name.partition("(")[0][4:]: [2 * at + 1, 2 * at + 2] for at, name in enumerate(SOURCE.splitlines()[::2])}
SUBJECT = Subject("backends.guard")


def mutated(root: Path, first: int | None = 1, second: int | None = 0) -> Path:
    """A directory as mutmut leaves it, with two mutants of the guard that came to those exit statuses."""
    base = root / "mutants" / "backends" / "guard.py"
    base.parent.mkdir(parents=True)
    base.write_text(SOURCE, "utf-8")
    keys = {"backends.guard.x_half__mutmut_1": first, "backends.guard.xǁSumǁ_of__mutmut_1": second}
    Path(f"{base}.meta").write_text(json.dumps({"exit_code_by_key": keys, "durations_by_key": {}}), "utf-8")
    Path(f"{base}.spans").write_text(json.dumps({"version": 1, "spans": SPANS}), "utf-8")
    return base


def test_a_mutant_is_told_by_module_function_and_change(tmp_path: Path) -> None:
    """However mutmut numbers it."""
    mutated(tmp_path)

    first, second = read(SUBJECT, tmp_path)

    assert first == Mutant("backends.guard", "half", Outcome.KILLED, "return value / 2 => return value * 2")
    assert str(second) == "backends.guard.Sum._of: return 1 => return 2"
    assert read(Subject("backends.guard", ("Sum._of",)), tmp_path) == [second]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(1, Outcome.KILLED), (3, Outcome.KILLED), (0, Outcome.SURVIVED), (33, Outcome.SURVIVED), (36, Outcome.TIMED_OUT),
     (-24, Outcome.TIMED_OUT), (-11, Outcome.BROKEN), (2, Outcome.BROKEN), (None, Outcome.NOT_RUN)],
)  # fmt: skip
def test_only_a_failing_test_kills(tmp_path: Path, status: int | None, outcome: Outcome) -> None:
    """Neither a time-out nor a process that broke down is a kill, and what no test ran has survived."""
    mutated(tmp_path, first=status)

    assert read(SUBJECT, tmp_path)[0].outcome is outcome


@pytest.mark.parametrize(
    ("suffix", "garbage"),
    [
        *(("", garbage) for garbage in (None, b"\xff")),
        *itertools.product(
            (".meta", ".spans"), (None, b"", b"\xff", b"[]", b"{}", b'{"exit_code_by_key": 3, "spans": [1]}')
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, suffix: str, garbage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of mutmut's that is missing, torn or of another shape says what to do, and never that all is well."""
    path = Path(f"{mutated(tmp_path, 1, 1)}{suffix}")
    if garbage is None:
        path.unlink()
    else:
        path.write_bytes(garbage)

    assert main(["table", "guard"], tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("first", "second", "code", "said"),
    [(1, 1, 0, "100.0 %"), (1, 0, 1, "less than 90%"), (1, -24, 1, "less than 90%"), (1, None, 1, "cut off")],
)
def test_too_few_kills_fail(
    tmp_path: Path, first: int, second: int | None, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the rest timed out, or was never run."""
    mutated(tmp_path, first, second)

    assert main(["table", "backends.guard"], tmp_path) == code
    assert said in capsys.readouterr().out


def test_a_survivor_that_no_document_names_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is listed with its reason is not told again."""
    mutated(tmp_path, 0, 0)
    (tmp_path / "docs").mkdir()
    document = "Why.\n\n```mutants\nbackends.guard.Sum._of: return 1 => return 2\n```\n"
    (tmp_path / "docs" / "mutants.md").write_text(document, "utf-8")

    assert main(["table", "guard"], tmp_path) == 1
    said = capsys.readouterr().out
    assert "backends.guard.half: return value / 2 => return value * 2" in said
    assert "Sum._of" not in said


def test_a_table_counts_by_module_and_in_all() -> None:
    """Whatever was not killed lowers the ratio."""
    mutants = [Mutant(module, "f", outcome, "") for module in ("a", "b") for outcome in Outcome]

    rows = [line.split() for line in table(mutants).splitlines()]

    assert [row[0] for row in rows] == ["module", "a", "b", "all"]
    assert rows[-1][1:] == ["10", "2", "2", "2", "2", "2", "20.0", "%"]
    assert table([]).splitlines()[-1].split()[-2:] == ["0.0", "%"]


def test_a_change_of_several_lines_is_one_line() -> None:
    """Only the lines that differ."""
    assert changed(["a = [", "1,", "]"], ["a = None"]) == "a = [ 1, ] => a = None"


def test_only_marked_blocks_list_survivors() -> None:
    """Other code in the document does not."""
    assert listed("```sh\nmake mutants\n```\n\n```mutants\none => two\n\n```\n```mutants\nthree\n```\n") == {
        "one => two",
        "three",
    }


def test_every_subject_exists() -> None:
    """Each module is there, and each function that is named is in it."""
    for subject in SUBJECTS:
        source = (ROOT / subject.path).read_text("utf-8")
        assert all(f"def {name.rpartition('.')[2]}(" in source for name in subject.functions), subject.module


def test_an_unknown_module_is_refused_with_the_nearest() -> None:
    """And a known one goes by its last part, too."""
    assert chosen(["guard"]) == chosen(["backends.guard"]) == [SUBJECT]
    assert len(chosen([])) == len(SUBJECTS)
    with pytest.raises(RunError, match="'gaurd': did you mean guard"):
        chosen(["gaurd"])


def test_the_names_for_mutmut_are_patterns(capsys: pytest.CaptureFixture[str]) -> None:
    """A whole module, or the functions that count."""
    assert main(["names", "guard", "engine"]) == 0

    names = capsys.readouterr().out.split()
    assert names[0] == "backends.guard.*"
    assert "harness.engine.engine.xǁEngineǁ_record__mutmut_*" in names
    assert "harness.engine.engine.x__lines__mutmut_*" in names


def test_every_module_that_is_mutated_is_mutated_every_night() -> None:
    """In one of the parts that run side by side, and in one only."""
    job = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text("utf-8"))["jobs"]["mutants"]
    names = [name for part in job["strategy"]["matrix"]["include"] for name in part["modules"].split()]

    assert sorted(names) == sorted(subject.module.rpartition(".")[2] for subject in SUBJECTS)
