"""A sweep as items of pytest: what is selected, what fails and how it is told, in one process and in two."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from plugin_runs import ROOT, run_pytest, text

from backends.processes import Completed
from faults.actions import Timeout
from faults.matrix import Calls, Cell, cells
from faults.sweeps import Due
from harness.plugin.selection import DEFAULT, SelectionError, calls_from, selected
from harness.plugin.sweeping import SWEEP_WORLDS, Step, failure_of, steps
from harness.runner import catalog_of
from harness.stories import STORIES
from harness.world import WORLDS

pytest_plugins = ["pytester"]

OWN = "faulty_stories:BOASTING"
QUIET = ("-p", "harness.plugin", "-p", "no:cacheprovider", "-q")
SWEEP = """
import pytest

@pytest.mark.sweep
def test_sweep(mux_sweep):
    mux_sweep()
"""
MIXED = (
    SWEEP
    + """
from harness.agents import completes, task

@pytest.mark.faults("list_window_ids=1*timeout(3)")
def test_story(mux_run):
    assert mux_run(task("1-1", agent=completes())).task("1-1").attempts == 1
"""
)


@pytest.mark.parametrize(
    ("texts", "due"),
    [
        (["off"], {}),
        (["completes:engine,signal"], {"completes": ("engine", "signal")}),
        (["completes:signal", "completes:disk"], {"completes": ("disk", "signal")}),
        (["after-a-[ck]*:disk"], {"after-a-crash": ("disk",), "after-a-kill": ("disk",)}),
        ([f"{OWN}:engine"], {OWN: ("engine",)}),
        (["*:a*"], dict.fromkeys(STORIES, ("agent",))),
    ],
)
def test_a_selection_names_stories_and_layers(texts: list[str], due: dict[str, tuple[str, ...]]) -> None:
    """Globs stand for all that fit, layers are in their usual order, and what is said twice is meant once."""
    assert selected(texts) == due


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["complets"], "unknown story 'complets'; the nearest valid name is 'completes'"),
        (["complets:disk"], "unknown story 'complets'; the nearest valid name is 'completes'"),
        (["completes:dsik"], "unknown layer 'dsik'; the nearest valid name is 'disk'"),
        (["completes:live"], "unknown layer 'live'; there are mux, leak, "),
        (["completes:mux,"], "unknown layer ''; there are mux, leak, "),
        (["completes:z*"], "unknown layer 'z*'; there are mux, leak, "),
        (["completes:"], "'completes:' names no layer after its last colon; leave that out for all layers"),
        ([f"{OWN}:"], f"'{OWN}:' names no layer after its last colon"),
        (["z*"], "unknown story 'z*'; there are completes, verified, "),
        ([":"], "unknown story ''; there are completes, verified, "),
        (["::"], "unknown story ''; there are completes, verified, "),
        ([":completes"], "unknown story ''; there are completes, verified, "),
        (["faulty_stories:NO_STORY"], "is no Story but int"),
        (["off", "completes"], "'off' goes alone"),
        ([""], "unknown story ''; there are completes, verified, "),
    ],
)
def test_a_selection_of_nothing_is_refused_with_the_near_name_or_all(texts: list[str], told: str) -> None:
    """One line that says which part is wrong."""
    with pytest.raises(SelectionError, match=re.escape(told)):
        selected(texts)


def test_where_the_module_is_missing_the_hint_is_that_of_the_command() -> None:
    """Under pytest the directory that one is in is not on the path by itself."""
    with pytest.raises(SelectionError) as refused:
        selected(["nowhere.at_all:STORY"])

    assert str(refused.value) == (
        "'nowhere.at_all:STORY' cannot be imported: ModuleNotFoundError: No module named 'nowhere';"
        " `PYTHONPATH=.` lets a module of this directory be found"
    )


SOURCES = [
    "raise RuntimeError('half done')",
    "def",
    "raise SystemExit(3)",
    "raise ValueError('a\\nb\\rc\\u2028d\\x1be')",
]


@pytest.mark.parametrize("source", SOURCES)
def test_a_module_that_cannot_be_imported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Whatever it raises is one line, not the end of pytest."""
    name = f"half_written_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(SelectionError, match=f"'{name}:STORY' cannot be imported: ") as refused:
        selected([f"{name}:STORY"])
    assert str(refused.value).isprintable()


def test_calls_are_the_first_the_ends_every_one_or_a_number() -> None:
    """Anything else is refused with the nearest name."""
    assert [calls_from(word) for word in ("first", "ends", "every", "3")] == [1, Calls.ENDS, Calls.EVERY, 3]
    with pytest.raises(SelectionError, match="; the nearest valid name is 'ends', or a number"):
        calls_from("end")
    for wrong in ("", "0", "all of them"):
        with pytest.raises(SelectionError, match="; there are first, every, ends, or a number"):
            calls_from(wrong)


def test_every_cell_is_an_item_and_every_point_has_its_end() -> None:
    """In the one world that a layer is swept in, each under a name of its own."""
    found = list(steps(selected(["completes"]), 1, SWEEP_WORLDS, 0))
    ends = [step.cell for step in found if step.due is Due.END]
    firing = {step.cell for step in found if step.due is Due.FIRES}
    reached = {cell.point: 1 for cell in firing}

    assert firing == set(cells(reached, catalog_of(WORLDS["simulated-tmux"])))
    assert {end.point for end in ends} == {cell.point for cell in firing}
    assert {step.world for step in found if step.cell.layer == "transport"} == {"simulated-tmux"}
    assert {step.world for step in found if step.cell.layer != "transport"} == {"fake"}
    assert len({step.label for step in found}) == len(found)


def test_the_default_is_small() -> None:
    """It is a part of every run of the scenarios."""
    assert 1000 < len(list(steps(selected(DEFAULT), calls_from("first"), SWEEP_WORLDS, 0))) < 1500


def test_a_look_at_all_stories_is_more_than_ten_thousand_faults() -> None:
    """The first calls of two layers are enough for that, in fifteen stories at least."""
    found = list(steps(selected(["*:mux,engine"]), calls_from("first"), SWEEP_WORLDS, 0))

    assert len({step.story for step in found}) >= 15
    assert len({(step.story, step.label) for step in found}) == len(found) >= 10_000


@pytest.mark.parametrize(
    ("call", "due", "wrong"),
    [(1, Due.FIRES, ""), (1, Due.END, "happened"), (9, Due.FIRES, "did not happen"), (9, Due.END, "")],
)
def test_a_fault_has_to_happen_just_where_it_is_due(call: int, due: Due, wrong: str) -> None:
    """A call that is not reached fails a step, and so does one that is reached beyond the end."""
    step = Step("completes", "fake", Cell("mux.new_window", call, Timeout()), due, 7)
    failure = failure_of(step, step.carried_out())

    assert bool(failure) is bool(wrong)
    assert wrong in failure
    assert failure.endswith(f"replay: {step.replay}" if wrong else "")
    assert step.replay.endswith("--seed 7")


def test_a_failure_tells_all_and_how_to_repeat_it(pytester: pytest.Pytester) -> None:
    """Problems, journal, trace, and the replay line: as text, and as a property in JUnit's file."""
    pytester.makepyfile(SWEEP)
    options = ("--mux-sweep", f"{OWN}:engine", "--mux-sweep-calls", "first", "-k", "decide and RuntimeError and once")
    done = pytester.runpytest_inprocess(*QUIET, *options, "--junit-xml", "out.xml", syspathinsert=True)
    line = f"seamripper faults replay {OWN} --plan 'engine.decide=1*raise(RuntimeError)' --seed 0"

    assert done.ret == 1
    done.stdout.fnmatch_lines(
        ["*honest-status: *", "*journal (newest last):*", "*trace (newest last):*", f"replay: {line}"]
    )
    (told,) = ElementTree.parse(pytester.path / "out.xml").iter("property")
    assert told.attrib == {"name": "replay", "value": line}


IDLE = """
import pytest

def test_sweep(mux_sweep):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "outcomes", "said"),
    [
        ("pass", {"passed": 3, "errors": 3}, 3),
        ("mux_sweep", {"passed": 3, "errors": 3}, 3),
        ("assert not mux_sweep", {"failed": 3}, 0),
        ("pytest.skip('not today')", {"skipped": 3}, 0),
    ],
)
def test_a_sweep_that_is_never_made_is_not_green(
    pytester: pytest.Pytester, body: str, outcomes: dict[str, int], said: int
) -> None:
    """Unless the test says anyway that it did not come to its end."""
    pytester.makepyfile(IDLE.format(body=body))
    options = ("--mux-sweep", "completes:clock", "--mux-sweep-calls", "first", "-k", "once")
    done = pytester.runpytest_inprocess(*QUIET, *options)

    assert done.parseoutcomes() == {**outcomes, "deselected": 4}
    assert done.stdout.str().count("\nmux_sweep() was never called: the test has swept nothing\n") == said


FAILING = """
import pytest
from harness.agents import completes, task

{marker}
def test_story(mux_run):
    {body}
"""


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        ("", "assert mux_run(task('1-1', agent=completes())).task('1-1').attempts == 2"),
        ('@pytest.mark.faults("switch_client=timeout")', "mux_run(task('1-1', agent=completes()))"),
        ('@pytest.mark.faults("list_windows=timeout")', "pass"),
    ],
)
def test_whatever_fails_has_its_replay_line(pytester: pytest.Pytester, marker: str, body: str) -> None:
    """A wrong claim, an oracle, a plan that nothing ran under: once as text, once as a property."""
    pytester.makepyfile(test_it=FAILING.format(marker=marker, body=body))
    done = pytester.runpytest_inprocess(*QUIET, "--mux", "fake", "--mux-seed", "3", "--junit-xml", "out.xml")
    line = "pytest 'test_it.py::test_story[fake]' --mux fake --mux-seed 3"

    assert done.ret == 1
    assert done.stdout.str().splitlines().count(line) == 1
    (told,) = ElementTree.parse(pytester.path / "out.xml").iter("property")
    assert told.attrib == {"name": "replay", "value": line}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--mux-sweep", "complets"), "--mux-sweep: unknown story 'complets'; the nearest valid name is 'completes'"),
        (("--mux-sweep-calls", "end"), "--mux-sweep-calls: 'end' says neither"),
        (("--mux-sweep-calls", ""), "--mux-sweep-calls: '' says neither"),
        (("--mux-sweep", "completes", "--mux-sweep-calls", ""), "--mux-sweep-calls: '' says neither"),
        (
            ("--mux-sweep", "completes", "--mux-faults", "version=empty"),
            "--mux-faults: a sweep has its own fault plans",
        ),
        (("--mux-coverage-fail-under", "most"), "'most' is no number from 0 to 100"),
        (("--mux-coverage-fail-under", "nan"), "'nan' is no number from 0 to 100"),
        (("--mux-coverage-fail-under", "101"), "'101' is no number from 0 to 100"),
        (("--mux-coverage", "no/such/file.json"), "no file can be written there"),
        (("--mux-coverage-html", "."), "no file can be written there: it is no regular file"),
    ],
)
def test_an_option_that_means_nothing_is_one_line(
    pytester: pytest.Pytester, options: tuple[str, ...], told: str
) -> None:
    """Before anything is collected."""
    done = pytester.runpytest_inprocess(*QUIET, *options, no_reraise_ctrlc=True)

    assert done.ret == 2
    assert told in done.stderr.str()
    assert "INTERNALERROR" not in done.stderr.str()


@pytest.mark.parametrize(
    ("options", "outcomes"),
    [
        (("--mux-sweep", "off"), {"deselected": 1}),
        (("--mux", "tmux"), {"deselected": 1}),
        (("--mux-faults", "version=empty"), {"deselected": 1}),
    ],
)
def test_where_no_sweep_is_asked_for_it_is_deselected(
    pytester: pytest.Pytester, options: tuple[str, ...], outcomes: dict[str, int]
) -> None:
    """Nothing is called swept that was not."""
    pytester.makepyfile(SWEEP)
    done = pytester.runpytest_inprocess(*QUIET, *options)

    assert done.parseoutcomes() == outcomes


MINE = """
from harness.agents import completes, task
from harness.stories import Story

def breaks(stage):
    raise RuntimeError("not\\nready")

TASKS = (task("1-1", agent=completes()),)
UNREADY = Story("unready", "", TASKS, meanwhile=breaks)
MISSET = Story("misset", "", TASKS, {"sesion_timeout_s": 3})
"""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("completes:clock", "--mux", "tmux"), "nothing to sweep: for clock add `--mux fake`, in tmux there is none"),
        (
            ("completes:transport", "--mux", "fake"),
            "nothing to sweep: for transport add `--mux simulated-tmux`, in fake ",
        ),
        (
            ("paused:agent",),
            "nothing to sweep: without faults no point of agent is reached in paused; select another layer",
        ),
        (("faulty_stories:MESSY:clock",), "'faulty_stories:MESSY' fails on fake without any fault: no-leftovers: "),
        (("mine:MISSET:clock",), "'mine:MISSET' cannot be told: story 'misset': settings: unknown name"),
        (
            ("mine:UNREADY:clock",),
            "'mine:UNREADY' cannot be told: story 'unready': its meanwhile raised RuntimeError: not\\n",
        ),
    ],
)
def test_a_sweep_that_cannot_be_made_is_one_line_that_says_what_to_do(
    pytester: pytest.Pytester, options: tuple[str, ...], told: str
) -> None:
    """Nothing that was asked for is left out in silence, and no story is swept that fails by itself."""
    pytester.makepyfile(SWEEP, mine=MINE)
    done = pytester.runpytest_inprocess(*QUIET, "--mux-sweep", *options, no_reraise_ctrlc=True, syspathinsert=True)
    lines = [line for line in (*done.outlines, *done.errlines) if f"--mux-sweep: {told}" in line]

    assert done.ret == 2
    assert len(lines) == 1, (done.outlines, done.errlines)
    assert "Traceback" not in f"{done.stdout}\n{done.stderr}"


def test_too_little_coverage_fails_and_says_so(pytester: pytest.Pytester) -> None:
    """Although every item holds."""
    pytester.makepyfile(SWEEP)
    options = ("--mux-sweep", "completes:clock", "--mux-sweep-calls", "first", "--mux-coverage-fail-under")
    held = pytester.runpytest_inprocess(*QUIET, *options, "0.1")
    failed = pytester.runpytest_inprocess(*QUIET, *options, "5")

    assert (held.ret, failed.ret) == (0, 1)
    failed.stdout.fnmatch_lines(["FAILED: fault coverage is 0.1? %, less than the 5 % required", "7 passed*"])


COUNTED = """
from backends.clock import VirtualClock
from backends.fake import FakeMultiplexer
from faults.injector import Injector
from faults.plan import FaultPlan

def test_it(mux_coverage):
    clock = VirtualClock()
    mux = FakeMultiplexer(clock=clock)
    injector = Injector(FaultPlan.parse("version=lost:timeout"), clock=clock)
    injector.attach(mux)
    mux.version()
    mux_coverage(injector)
"""


def test_an_injector_of_one_s_own_can_be_counted(pytester: pytest.Pytester) -> None:
    """It covers what it has done, with the test as the line that does it again."""
    pytester.makepyfile(test_own=COUNTED)
    done = pytester.runpytest_inprocess(*QUIET, "--mux", "fake", "--mux-coverage", "c.json")
    told = json.loads((pytester.path / "c.json").read_text())
    hits = [cell for cell in told["grid"] if "count" in cell]

    done.stdout.fnmatch_lines(["runs of the engine: 0; faults fired: 1 at 1 points"])
    line = "pytest test_own.py::test_it --mux fake"
    assert hits == [{"point": "mux.version", "action": "timeout", "moment": "after", "count": 1, "replay": line}]


def summary(done: Completed) -> list[str]:
    """The lines of the plugin's summary, without those that tell of time or of files."""
    lines = text(done).partition(" seamripper ")[2].splitlines()[1:]
    return [
        re.sub(r", \d+ a second$", "", line) for line in lines if " passed" not in line and "written to" not in line
    ]


def test_two_processes_say_the_same_as_one(tmp_path: Path) -> None:
    """The summary and the coverage, with its counts and lines, do not depend on who ran what."""
    (tmp_path / "test_mixed.py").write_text(MIXED)
    options = ("-q", "--mux", "fake", "--mux-sweep", "completes:agent", "--mux-sweep-calls", "first", "--mux-coverage")
    one = run_pytest(tmp_path, *options, "one.json")
    two = run_pytest(tmp_path, *options, "two.json", "-n", "2")
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))

    assert (one.status, two.status) == (0, 0), text(two)
    assert "bringing up nodes" in text(two)
    assert summary(one) == summary(two)
    assert "worlds that ran: fake (1)" in summary(one)
    assert first == second
    assert {
        cell["replay"] for cell in first["grid"] if cell["point"] == "mux.list_window_ids" and "replay" in cell
    } == {"pytest 'test_mixed.py::test_story[fake]' --mux fake"}


def test_a_live_scenario_that_is_required_is_missed_on_workers_too(tmp_path: Path) -> None:
    """SEAMRIPPER_REQUIRE_LIVE fails the session, and the summary counts what every worker skipped."""
    (tmp_path / "test_live.py").write_text(MIXED)
    environment = {"PATH": str(tmp_path), "SEAMRIPPER_REQUIRE_LIVE": "1"}
    done = run_pytest(tmp_path, "-q", "--mux", "tmux", "-n", "2", environment=environment)

    assert done.status == 1
    assert "NOT RUN on tmux: 1 scenarios skipped" in text(done)


def test_somebody_s_own_story_is_swept_without_a_file(tmp_path: Path) -> None:
    """The installed scenario sweeps a story by module and name."""
    (tmp_path / "mine.py").write_text("from harness.stories import STORIES\nSTORY = STORIES['paused']\n")
    done = run_pytest(tmp_path, "-q", "--pyargs", "scenarios.test_sweep", "--mux-sweep", "mine:STORY:signal")

    assert done.status == 0, text(done)
    assert "faults in 1 story" in text(done)


SWEEPING = (ROOT / "docs" / "sweeping.md").read_text("utf-8")


@pytest.mark.parametrize("command", re.findall(r"^\$ pytest (.*?) *(?:#.*)?$", SWEEPING, re.MULTILINE))
def test_the_commands_of_the_document_select_something(command: str) -> None:
    """Each of them, as far as collecting goes."""
    done = run_pytest(ROOT, *shlex.split(command), "--collect-only", "-qq")

    assert done.status == 0, text(done)
    assert re.search(r"^scenarios/\w+\.py: [1-9]", text(done), re.MULTILINE)


def test_the_selections_of_the_document_are_selections() -> None:
    """Those of stories that exist, in the table and in the command for `make`."""
    named = re.findall(r"--mux-sweep '?([^\s'`]+)", SWEEPING)
    ours = [name for name in named if not name.startswith("my.")]

    assert len(ours) >= 6
    assert [name for name in ours if name != "off" and not selected([name])] == []
