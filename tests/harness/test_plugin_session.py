"""The session's end: what is counted, said on the way, and written down."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from backends.disk import StrPath
from backends.memory_disk import MemoryDisk
from faults.coverage import Exercise, Hit, Square
from harness.plugin.deeds import Deeds, Tally
from harness.plugin.files import put_text
from harness.plugin.session import Session
from harness.plugin.summary import progress_line, sweep_line, tally_lines

pytest_plugins = ["pytester"]

HANG = Square("mux.new_window", "timeout", "after")


def deeds(world: str = "fake", *, missing: str = "", story: str = "") -> Deeds:
    """What some item did: two runs, in which one fault fired three times."""
    hits = {} if missing else {HANG: Hit(3, "again")}
    return Deeds(world, missing, story, 2, 3, Exercise(hits, {"mux.new_window", "mux.version"}))


def test_what_an_item_did_comes_over_as_plain_values() -> None:
    """A worker tells it without what it has told before, the controller hears the same."""
    told = deeds(story="completes").told(known={"mux.version"})
    heard = Deeds.heard(told)

    assert {type(value) for value in told.values()} <= {str, int, list}
    assert heard == Deeds("fake", "", "completes", 2, 3, Exercise({HANG: Hit(3, "again")}, {"mux.new_window"}))


def test_the_tally_adds_up_in_any_order() -> None:
    """Scenarios, sweeps and what was missing are counted apart; only worlds that ran bring their layers."""
    items = [deeds(), deeds(story="completes"), deeds("tmux", missing="none here"), deeds("simulated-tmux")]
    one, other = Tally(), Tally()
    for item in items:
        one.add(item)
    for item in reversed(items):
        other.add(item)

    assert one == other
    assert (one.runs, one.fired, one.points, one.swept["completes"]) == (6, 9, 1, 1)
    assert "transport" in one.exercise.layers
    assert list(tally_lines(one)) == [
        "worlds that ran: fake (1), simulated-tmux (1)",
        "NOT RUN on tmux: 1 scenarios skipped, because none here",
        "runs of the engine: 6; faults fired: 9 at 1 points",
    ]


def test_faults_outside_of_any_world_bring_their_own_layers() -> None:
    """They cover what they are about, and no world has run."""
    tally = Tally()
    tally.add(deeds(""))

    assert (tally.exercise.layers, tally.ran.total(), tally.fired) == ({"mux"}, 0, 3)


def test_a_sweep_says_how_far_and_how_fast_it_is() -> None:
    """In items, per cent and items a second."""
    tally = Tally()
    tally.add(deeds(story="completes"))

    assert progress_line(500, 2000, 3, 4.0) == "swept 500 of 2,000 (25 %), 3 failed, 125 a second"
    assert sweep_line(tally, 0.5) == "swept: 1 faults in 1 story, 2 a second"


class Terminal:
    """Keeps the lines that are written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)


def sweep(items: int, *, verbose: int = 0) -> tuple[list[str], set[tuple[str, object]]]:
    """The lines that a sweep of so many items shows, of which the seventh fails, and the signs for how items end."""
    terminal = Terminal()
    plugins = SimpleNamespace(get_plugin=lambda name: terminal)
    option = SimpleNamespace(verbose=verbose, collectonly=False)
    session = Session(cast(pytest.Config, SimpleNamespace(option=option, pluginmanager=plugins)), many=40)
    session.pytest_sessionstart(cast(pytest.Session, SimpleNamespace(testscollected=items)))
    signs = set[tuple[str, object]]()
    for number in range(items):
        for when in ("setup", "call", "teardown"):
            outcome = "failed" if number == 6 and when == "call" else "passed"
            report = pytest.TestReport("id", ("", 0, ""), {"sweep": 1}, outcome, None, when)  # type: ignore[arg-type]  # literals
            if when == "teardown":
                session.tell(report, deeds(story="completes"))
            if when == "call":
                signs.add((outcome, session.pytest_report_teststatus(report)))
            session.pytest_runtest_logreport(report)
    return terminal.lines, signs


def test_a_long_sweep_tells_how_far_it_is_instead_of_showing_dots() -> None:
    """Twenty times, with the failures so far; what fails is shown as ever."""
    lines, signs = sweep(40)

    assert len(lines) == 20
    assert lines[0].startswith("swept 2 of 40 (5 %), 0 failed, ")
    assert lines[-1].startswith("swept 40 of 40 (100 %), 1 failed, ")
    assert signs == {("passed", ("passed", "", "")), ("failed", None)}


@pytest.mark.parametrize(("items", "verbose"), [(39, 0), (40, 1)])
def test_a_short_or_a_talkative_sweep_shows_each_item(items: int, verbose: int) -> None:
    """As pytest does anyway."""
    assert sweep(items, verbose=verbose) == ([], {("passed", None), ("failed", None)})


def test_coverage_that_cannot_be_written_fails_the_session_in_one_line(pytester: pytest.Pytester) -> None:
    """Everything else is said all the same."""
    pytester.makepyfile("def test_it():\n    pass\n")
    (pytester.path / "there").write_text("")
    done = pytester.runpytest_inprocess("-p", "harness.plugin", "-q", "--mux-coverage", "there" + "x" * 250)

    assert done.ret == 1
    done.stdout.fnmatch_lines(["FAILED: --mux-coverage: * cannot be written: File name too long", "1 passed*"])


def test_coverage_is_written_over_an_older_one_and_leaves_nothing_else(pytester: pytest.Pytester) -> None:
    """Both files, whole, also where nothing ran."""
    pytester.makepyfile("def test_it():\n    pass\n")
    out = Path(pytester.mkdir("out"))
    (out / "c.json").write_text("old")
    files = ("--mux-coverage", "out/c.json", "--mux-coverage-html", "out/c.html")
    done = pytester.runpytest_inprocess("-p", "harness.plugin", "-q", *files)

    assert done.ret == 0
    assert sorted(path.name for path in out.iterdir()) == ["c.html", "c.json"]
    assert '"cells": 0' in (out / "c.json").read_text()
    assert "0 of 0 cells (0 %)" in (out / "c.html").read_text()


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "link": lambda path: path.symlink_to("elsewhere"),
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_never_takes_the_place_of_what_is_no_file(pytester: pytest.Pytester, kind: str) -> None:
    """A device, a pipe, a link or a folder of that name is refused before anything runs, and stays what it is."""
    pytester.makepyfile("def test_it():\n    raise SystemExit('it ran')\n")
    path = pytester.path / kind
    KINDS[kind](path)
    before = path.lstat()
    done = pytester.runpytest_inprocess("-p", "harness.plugin", "-q", "--mux-coverage", kind, no_reraise_ctrlc=True)

    assert done.ret == 2
    done.stderr.fnmatch_lines(
        [f"Exit: error: --mux-coverage *{kind}: no file can be written there: it is no regular file; name a file *"]
    )
    assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)


def test_a_name_that_is_too_long_is_refused_in_one_line(pytester: pytest.Pytester) -> None:
    """Before anything runs, like any other that no file can have."""
    done = pytester.runpytest_inprocess(
        "-p", "harness.plugin", "-q", "--mux-coverage-html", "x" * 300, no_reraise_ctrlc=True
    )

    assert done.ret == 2
    assert "File name too long; name a file in a directory that exists" in done.stderr.str()
    assert "Traceback" not in done.stderr.str()


def test_what_got_the_name_while_tests_ran_is_not_replaced(pytester: pytest.Pytester) -> None:
    """It is looked at again before the file is put in its place, and no draft is left."""
    pytester.makepyfile("import os\n\ndef test_it():\n    os.mkfifo('out')\n")
    done = pytester.runpytest_inprocess("-p", "harness.plugin", "-q", "--mux-coverage", "out")

    assert done.ret == 1
    done.stdout.fnmatch_lines(["FAILED: --mux-coverage: * cannot be written: it is no regular file", "1 passed*"])
    assert stat.S_ISFIFO((pytester.path / "out").lstat().st_mode)
    assert [path.name for path in pytester.path.iterdir() if path.name.startswith(".out")] == []


class NoReplacing(MemoryDisk):
    """Nothing can be given another name on it."""

    def replace(self, source: StrPath, target: StrPath) -> None:
        """Refuse."""
        raise OSError(errno.EIO, "no")


def test_a_file_that_cannot_be_put_in_place_leaves_no_draft() -> None:
    """The directory is as before."""
    disk = NoReplacing()
    disk.mkdir("/out")

    with pytest.raises(OSError, match="no"):
        put_text(Path("/out/c.json"), "{}", disk)
    assert disk.listdir("/out") == []
