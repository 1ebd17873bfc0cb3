"""`--mux-timeline`: a page for each scenario and each fault of a sweep that fails, and for nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from plugin_runs import run_pytest, text

from harness.plugin.pictures import page_name, problems_in

pytest_plugins = ["pytester"]

QUIET = ("-p", "harness.plugin", "-p", "no:cacheprovider", "-q", "--mux", "fake")
STORIES = """
import pytest
from harness.agents import completes, task

@pytest.mark.parametrize("attempts", [1, 2])
def test_story(mux_run, attempts):
    assert mux_run(task("1-1", agent=completes())).task("1-1").attempts == attempts

def test_without_any_run(mux_run):
    assert False

def test_of_something_else():
    assert False
"""
SWEEP = """
import pytest

@pytest.mark.sweep
def test_sweep(mux_sweep):
    mux_sweep()
"""


def test_a_scenario_that_fails_has_a_page(pytester: pytest.Pytester) -> None:
    """It says what did not hold and what repeats it; where it is stands in the failure and in JUnit's file."""
    pytester.makepyfile(test_it=STORIES)
    done = pytester.runpytest_inprocess(*QUIET, "--mux-timeline", "a/b", "--junit-xml", "out.xml")
    (path,) = (pytester.path / "a" / "b").iterdir()
    noted = [
        one.attrib["value"] for one in ElementTree.parse("out.xml").iter("property") if one.get("name") == "timeline"
    ]
    page = path.read_text("utf-8")

    assert done.parseoutcomes() == {"failed": 3, "passed": 1}
    assert path.name.startswith("test_it.py_test_story_")
    assert done.stdout.str().splitlines().count(str(path)) == len(noted) == 1
    assert noted == [str(path)]
    assert "test_it.py::test_story[fake-2]" in page or "test_it.py::test_story[2-fake]" in page
    assert "✖ assert 1 == 2" in page
    assert "replay <code>pytest" in page
    assert [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]


def test_every_fault_of_a_sweep_that_fails_has_a_page_whoever_ran_it(tmp_path: Path) -> None:
    """Two processes put theirs into the same directory, and none takes another's place."""
    (tmp_path / "test_it.py").write_text(SWEEP)
    options = ("--mux-sweep", "faulty_stories:BOASTING:engine", "--mux-sweep-calls", "first", "-k", "decide")
    done = run_pytest(tmp_path, "-q", *options, "-n", "2", "--mux-timeline", "out", "--junit-xml", "out.xml")
    cases = [
        case for case in ElementTree.parse(tmp_path / "out.xml").iter("testcase") if case.find("failure") is not None
    ]
    noted = [one.attrib["value"] for one in ElementTree.parse(tmp_path / "out.xml").iter("property")]
    pages = [str(path) for path in (tmp_path / "out").iterdir()]

    assert len(pages) == len(cases) > 1, text(done)
    assert sorted(pages) == sorted(value for value in noted if value.endswith(".html"))
    assert all("✖ honest-status: " in Path(page).read_text("utf-8") for page in pages)


def test_the_name_of_a_page_is_safe_and_no_other_item_s() -> None:
    """Whatever is in the item's id, and however long that is."""
    ids = [
        "t.py::x[a b]",
        "t.py::x[a/b]",
        "t.py::x[../../a]",
        "../x.py::t",
        "t.py::x[\udce4]",
        "t.py::" + "x" * 999,
        "",
    ]
    names = [page_name(one) for one in ids]

    assert len(set(names)) == len(ids)
    assert all(len(name) < 200 and "/" not in name and name[0] != "." for name in names)
    assert page_name("t.py::x") == page_name("t.py::x")


def test_what_did_not_hold_is_the_first_paragraph_of_what_was_raised() -> None:
    """What nothing is said with is named."""
    assert problems_in(AssertionError("one: x\n  two: y\n\njournal")) == ["one: x", "two: y"]
    assert problems_in(KeyError()) == ["KeyError"]
    assert len(problems_in(ValueError("line\n" * 999))) == 20


@pytest.mark.parametrize("name", ["file", "pipe", "file/below", "dangling", ""])
def test_pages_go_into_a_directory_or_nowhere(pytester: pytest.Pytester, name: str) -> None:
    """Whatever else has that name is refused before anything runs, in one line."""
    (pytester.path / "file").write_text("here")
    os.mkfifo(pytester.path / "pipe")
    (pytester.path / "dangling").symlink_to("gone")
    done = pytester.runpytest_inprocess(*QUIET, "--mux-timeline", name, no_reraise_ctrlc=True)

    assert done.ret == 2
    done.stderr.fnmatch_lines(["Exit: error: --mux-timeline *; name a directory, or a new one"])
    assert sorted(os.listdir(pytester.path)) == ["dangling", "file", "pipe"]


def test_a_page_that_cannot_be_written_is_told_with_the_failure(pytester: pytest.Pytester) -> None:
    """The failure is as long as ever."""
    pytester.makepyfile(
        test_it=STORIES.replace("    assert mux_run", "    __import__('os').rmdir('out')\n    assert mux_run")
    )
    done = pytester.runpytest_inprocess(*QUIET, "--mux-timeline", "out", "-k", "story and 2")

    assert done.parseoutcomes() == {"failed": 1, "deselected": 3}
    done.stdout.fnmatch_lines(["*/out: it cannot be written: No such file or directory"])
    assert "INTERNALERROR" not in done.stdout.str()
