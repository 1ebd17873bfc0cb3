"""The page that shows why: what stands on it, in which order, and that nothing hostile gets out of its place."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from backends.processes import SystemProcessTable
from faults.plan import FaultPlan
from harness.agents import completes, task
from harness.chronology import Section, chronology
from harness.record import RunStatus
from harness.report import Report
from harness.runner import Stage, catalog_of
from harness.stories import story_of
from harness.timeline import timeline_page
from harness.trials import Trial, trial
from harness.world import WORLDS, FakeWorld

HANGS = "list_window_ids=2*timeout(30)"
CRASH = "engine.decide=1*raise(RuntimeError)"


def told(story: str, plan: str, backend: str = "fake") -> Trial:
    """A trial of that story."""
    return trial(story_of(story), FaultPlan.parse(plan, 0, catalog_of(WORLDS[backend])), backend=backend)


def page_of(story: str, plan: str, backend: str = "fake", **options: Any) -> str:
    """The page of a trial of that story."""
    return timeline_page(told(story, plan, backend).reports, title=story, **options)


def labels(section: Section, lane: str) -> list[str]:
    """What stands in a lane of a run, in order."""
    return [mark.label for item in section.items for mark in item.marks if mark.lane == lane]


class Tags(HTMLParser):
    """Every tag and attribute of a page; scripts and links are what it must not have."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See `HTMLParser`."""
        assert self.open.pop() == tag


def drawings(page: str) -> list[ElementTree.Element]:
    """The pictures of a page, which have to be well-formed."""
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_a_hang_is_seen_from_the_call_to_its_end_and_to_what_was_written_down() -> None:
    """Each injection has a row: when, which call, what its caller saw after how long, and the next journal line."""
    page = page_of("nudged", HANGS)
    rows = re.findall(r"<tr><td>(\d)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", page)

    assert rows[0][:4] == ("1", "0.55 s", "1. call of mux.list_window_ids", "timeout(30)")
    assert rows[0][4] == "raised TransportTimeout, after 5 s"
    assert rows[0][5].startswith("transport-degraded operation=list_window_ids error=TransportTimeout why=")
    assert rows[1][:3] == ("2", "6.55 s", "2. call of mux.list_window_ids")
    assert page.count('class="silence"') == page.count('class="badge"') / 2 == 2


def test_the_heading_says_story_plan_seed_verdict_and_replay_line() -> None:
    """What does not hold stands there in red; what does is said too."""
    good = page_of("nudged", HANGS, replay="seamripper faults replay nudged")
    bad = page_of("nudged", HANGS, problems=("no-escape: [/bad]",))
    idle = page_of("completes", "send_text=timeout")

    for word in ("<h1>nudged</h1>", HANGS, "seed 0, on fake", "<b>FINISHED</b>", "seamripper faults replay nudged"):
        assert word in good
    assert 'class="verdict"' in good
    assert 'class="verdict failed"' in bad
    assert "✖ no-escape: [/bad]" in bad
    assert "✖ never fired: <code>send_text=timeout</code>" in idle


def test_every_journal_line_stands_where_it_was_written_and_in_the_table() -> None:
    """Task lines in the lane of their task, the others in that of the run, in the order of the engine's steps."""
    (section,) = chronology(told("nudged", HANGS).reports)
    report = section.report

    assert labels(section, "run") == [
        *("run-created", "run-started", "no answer: list_window_ids"),
        *("transport-recovered", "teardown: torn-down", "run-complete"),
    ]
    assert labels(section, "task 1-1")[:3] == ["attempt: 1", "window: @1", "event: SessionStart"]
    assert len(section.lines) == len(report.journal)
    steps = [mark.label for item in section.items for mark in item.marks]
    assert steps.index("nudge") < steps.index("send_text") < steps.index("nudge: sent")


@pytest.mark.parametrize("story", ["nudged", "deferred", "parallel", "stalled", "server-lost"])
@pytest.mark.parametrize("plan", ["", "disk.append:journal=3*pass->1*torn(7)", "clock.tick=jump(-3600)", CRASH])
def test_no_line_and_no_sign_of_an_agent_is_lost(story: str, plan: str) -> None:
    """Whatever the disk and the clock do: each journal line and each note of an agent is drawn once."""
    sections = chronology(told(story, plan).reports)
    last = sections[-1].report
    drawn = [mark for section in sections for item in section.items for mark in item.marks]

    lines = len(last.journal) + sum(len(inner.journal) for inner in last.nested)
    assert sum(len(section.lines) for section in sections) == lines
    assert sum(mark.title.startswith("journal line") for mark in drawn) == lines
    assert sum(mark.kind.startswith("agent-") for mark in drawn) == len(last.ledger)


def test_lines_that_no_traced_write_accounts_for_stand_at_their_time() -> None:
    """As of somebody's own engine that writes past the injector: none of them is left out."""
    (report,) = told("nudged", HANGS).reports
    (section,) = chronology([replace(report, entries=[])])

    last = [item.at_s for item in section.items if item.marks[0].lane == "task 1-1"][-1]
    assert 0 <= report.elapsed_s - last < 1
    assert len(section.lines) == len(report.journal)
    assert labels(section, "run")[-1] == "run-complete"


def test_agents_stand_beside_what_happened_where_the_run_has_seconds_of_its_own() -> None:
    """On a real host the wall clock is not the one that a run may pass faster by: the journal's times tell at which rate."""
    (report,) = told("nudged", HANGS).reports
    began = report.journal[0]["at"]
    lines = [{**event, "at": began + (event["at"] - began) / 5} for event in report.journal]
    notes = [{**note, "at": began + (note["at"] - began) / 5} for note in report.ledger]
    (scaled,) = chronology([replace(report, journal=lines, ledger=notes, virtual=False)])
    (due,) = chronology([report])

    for one, other in zip(scaled.items, due.items, strict=True):
        assert one.at_s == pytest.approx(other.at_s, abs=1e-3)


def test_an_agent_that_outlived_its_engine_is_there_from_the_first_moment_of_the_resume() -> None:
    """Of what was before the story its start is drawn, and no journal line."""
    section = chronology(told("after-a-kill", "").reports)[0]
    starts = [(item, mark) for item in section.items for mark in item.marks if mark.label == "start"]

    assert section.lines[0][2]["event"] == "run-resumed"
    assert [(item.at_s == 0, "before this run" in mark.title) for item, mark in starts] == [
        (True, True),
        (False, False),
    ]
    assert len([bar for bar in section.bars if bar.kind == "life"]) == 2


def test_an_agent_that_had_ended_before_the_story_is_not_drawn() -> None:
    """Of three tasks one was done in the run before: the agents of the others are left."""
    story = replace(story_of("in-order"), earlier="engine.decide=1*pass->1*raise(RuntimeError)")
    reports = trial(story, FaultPlan()).reports
    (section,) = chronology(reports)
    agents = list(dict.fromkeys(f"agent {note['pid']}" for note in reports[0].ledger))
    drawn = {mark.lane for item in section.items for mark in item.marks}

    assert [lane in drawn for lane in agents] == [False] + [True] * (len(agents) - 1)


def test_a_crash_and_the_resume_after_it_stand_side_by_side() -> None:
    """The attempt that nobody ended is cut off, the next one completes; each run says how it ended."""
    reports = told("completes", CRASH).reports
    first, second = chronology(reports)

    assert [(bar.label, bar.cut) for bar in first.bars if bar.lane == "task 1-1"] == [("attempt 1", True)]
    assert [(bar.label, bar.cut) for bar in second.bars if bar.lane == "task 1-1"] == [("attempt 2: completed", False)]
    page = timeline_page(reports, title="completes")
    assert "the run, under faults: CRASHED" in page
    assert "resume 1, without faults: FINISHED" in page
    assert "RuntimeError: injected by engine.decide" in page


def test_an_agent_that_wrote_no_end_down_is_drawn_as_not_heard_of() -> None:
    """It may be dead, or be the second agent that must not be: the picture does not know better than the ledger."""
    (section,) = chronology(told("deferred", "").reports)
    lives = [bar.kind for bar in section.bars if bar.lane.startswith("agent ")]

    assert lives == ["life", "unheard"] * 2
    assert any(mark.lane.endswith("(nested)") for item in section.items for mark in item.marks)


def test_what_repeats_itself_is_folded_and_says_how_often() -> None:
    """Minutes of waiting take no more room than a look, and an injected fault in them is still there."""
    story = replace(story_of("timed-out"), settings={**story_of("timed-out").settings, "session_timeout_s": 600})
    plan = FaultPlan.parse("list_window_ids=20*pass->1*timeout")
    page = timeline_page(trial(story, plan).reports, title="timed-out")

    folded = [int(number) for number in re.findall(r">(\d+) times the same, ", page)]
    assert len(folded) >= 2
    assert sum(folded) > 500
    assert page.count('class="silence"') == 1
    assert len(page) < 200_000


def test_the_transport_has_a_lane_where_there_is_one() -> None:
    """A call and the commands that it came to stand side by side."""
    assert ">transport</text>" in page_of("completes", "", "simulated-tmux")
    assert ">transport</text>" not in page_of("completes", "")


@pytest.mark.parametrize("plan", ["", HANGS, CRASH, "new_window=1*lost:timeout", "disk.write:state=2*pass->die"])
def test_the_page_needs_nothing_but_itself(plan: str) -> None:
    """No script, no link, no address to fetch from; well-formed, with something in every picture, in light and dark."""
    page = page_of("nudged", plan)
    found = Tags(page)

    assert found.tags.isdisjoint({"script", "link", "img", "iframe", "object", "use", "image", "a"})
    assert found.attributes.isdisjoint({"href", "src", "onclick", "onload", "action"})
    assert (found.open, [len(svg) > 5 for svg in drawings(page)]) == ([], [True, True])
    assert re.findall(r"https?://\S+?(?=\")", page.replace("http://www.w3.org/2000/svg", "")) == []
    assert "prefers-color-scheme: dark" in page
    assert "url(" not in page


HOSTILE = "</title></svg><script>alert(1)</script><!-- ]]> &amp; \"'` [/bad]\x00\x1b[31m\x9b\u202e\ud800\n" * 3


def test_what_others_say_is_shown_literally() -> None:
    """Names, reasons, exceptions, ledgers and journals full of markup: the page has the same tags as a harmless one."""
    (report,) = told("nudged", HANGS).reports
    lines = [
        {**event, "task": HOSTILE, "reason": HOSTILE, "event": HOSTILE, HOSTILE: HOSTILE} for event in report.journal
    ]
    notes = [{**note, "task": HOSTILE, "what": HOSTILE, "pid": HOSTILE} for note in report.ledger]
    hostile = replace(report, raised=ValueError(HOSTILE), crash={"error": HOSTILE}, backend=HOSTILE, ledger=notes)
    page = timeline_page([replace(hostile, journal=lines)], title=HOSTILE, problems=(HOSTILE,), replay=HOSTILE)

    assert page.encode("utf-8")
    assert Tags(page).tags == Tags(timeline_page([report], title="x", problems=("x",), replay="x")).tags
    assert len(drawings(page)) == 2
    assert [character for character in page if not character.isprintable() and character != "\n"] == []


@pytest.mark.parametrize(
    "odd",
    [
        {"at": float("nan")},
        {"at": None},
        {"at": "yesterday"},
        {"at": 1e300},
        {"seq": []},
        {"epoch": {}},
        {"event": None},
    ],
    ids=str,
)
def test_records_that_make_no_sense_are_drawn_all_the_same(odd: dict[str, object]) -> None:
    """A picture of a broken record is what its reader needs most."""
    (report,) = told("nudged", HANGS).reports
    lines = [{**event, **odd} for event in report.journal]
    notes = [{**note, **odd} for note in report.ledger]

    for broken in (
        replace(report, journal=lines),
        replace(report, journal=lines, entries=[]),
        replace(report, ledger=notes),
        replace(report, journal=[], state=None),
    ):
        page = timeline_page([broken], title="x")
        assert len(drawings(page)) == 2
        assert "> nan" not in page.replace(">nan", "> nan")
    assert "nothing was run" in timeline_page([], title="x")


def test_a_run_that_fails_before_it_begins_has_a_page() -> None:
    """Nothing was passed, nothing was recorded, and that is shown."""
    reports = told("completes", "disk.mkdir:other=oserror(EROFS)").reports

    assert reports[0].status is not RunStatus.FINISHED
    assert len(drawings(timeline_page(reports, title="x"))) == 2


RUNS = ("the run", "run 2", "resume 1")
ENDINGS = ("FINISHED", "PAUSED", "FINISHED")


def test_reports_of_a_stage_are_drawn_without_a_story() -> None:
    """Whoever has reports, as a test of their own has, gets the same page."""
    stage = Stage(FakeWorld())
    stage(task("1-1", agent=completes()))
    stage(task("1-1", agent=completes(), gate="approval"))
    stage.resume_to_the_end()
    page = timeline_page(stage.reports, title="tests/test_mine.py::test_x")

    titles = re.findall(r'<text class="section".*?>(.*?)</text>', page)
    assert titles == [f"{one}, without faults: {status}" for one, status in zip(RUNS, ENDINGS, strict=True)]
    assert page.count(">run-complete</text>") == 2


def test_the_same_run_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Whatever the interpreter's hash seed is."""
    pages = []
    for seed in ("1", "2"):
        target = tmp_path / f"{seed}.html"
        argv = [sys.executable, "-m", "harness.cli", "faults", "replay", "deferred", "--plan", CRASH]
        ran = SystemProcessTable().run(
            [*argv, "--timeline", str(target)],
            timeout_s=120,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert ran.status == 0, ran.stderr.decode()
        pages.append(target.read_bytes())

    assert pages[0] == pages[1]
    assert pages[0].decode() in {page_of("deferred", CRASH, replay=_line("deferred", CRASH))}


def _line(story: str, plan: str) -> str:
    return f"seamripper faults replay {story} --plan '{plan}' --seed 0"


def test_pictures_know_no_more_than_their_reports(tmp_path: Path) -> None:
    """The page is a function of its reports: asked twice, it says the same."""
    reports: tuple[Report, ...] = told("after-a-kill", HANGS).reports

    assert timeline_page(reports, title="x") == timeline_page(reports, title="x")
