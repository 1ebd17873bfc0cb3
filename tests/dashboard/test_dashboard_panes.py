"""How the parts of the dashboard look, as tables: every status with every badge, and all that is asked and said."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_runs import HOSTILE
from rich.cells import cell_len
from rich.console import Console

from harness.dashboard.details import Details
from harness.dashboard.observer import Snapshot
from harness.dashboard.panes import Verb, detail, empty_detail, fitting, question, row, title, verbs
from harness.dashboard.reader import RunView
from harness.dashboard.render import GLYPHS, list_row, status_line
from harness.dashboard.sessions import Answer, Sessions
from harness.record import Badge, Hint, Pending, RunState, RunStatus, Status, TaskPhase, TaskState

PENDING = (Pending("build", "may I?"),)


def view_of(status: Status, run_id: str = "20260101-120000-3f9a2c") -> RunView:
    """A run with one of two tasks done."""
    tasks = [TaskState("plan", TaskPhase.DONE), TaskState("build", TaskPhase.RUNNING)]
    return RunView(run_id, Path("/runs", run_id), status, RunState(run_id, "/home/you/shop", tasks=tasks))


@pytest.mark.parametrize("width", [12, 25, 39])
@pytest.mark.parametrize("badges", [(), *((badge,) for badge in Badge), tuple(Badge)])
@pytest.mark.parametrize("name", RunStatus)
def test_every_row_is_as_wide_as_it_may_be(name: RunStatus, badges: tuple[Badge, ...], width: int) -> None:
    """Whatever its status and badges; glyph and word come first, and the end of the name is kept."""
    lines = row(view_of(Status(name, badges=badges)), width)

    assert [cell_len(line.plain) for line in lines] == [width, width]
    assert lines[0].plain[1:].startswith(f"{GLYPHS[name]} {name.value}"[: width - 2])
    assert lines[1].plain.rstrip().endswith("3f9a2c")


@pytest.mark.parametrize("width", [18, 20, 21, 22, 26, 28, 29, 40])
def test_a_badge_is_a_whole_word_or_is_seen_to_be_missing(width: int) -> None:
    """Half a word is read as another one."""
    text = row(view_of(Status(RunStatus.UNKNOWN, badges=(Badge.STALE, Badge.ORPHANED))), width)[0].plain

    shown = text.removeprefix(" ? UNKNOWN 1/2").split()
    assert shown in (["…"], ["stale", "…"], ["stale", "orphaned"])


def test_what_is_wrapped_of_an_indented_line_is_indented(capsys: pytest.CaptureFixture[str]) -> None:
    """So that a long reason is seen to be one."""
    view = view_of(Status(RunStatus.CRASHED, "OSError: disk quota exceeded while saving"))

    Console(width=30).print(detail(view, Details()))

    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[3:5] == ["  OSError: disk quota exceeded", "  while saving"]


@pytest.mark.parametrize("name", [RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.UNKNOWN])
def test_a_pending_decision_stands_before_other_badges(name: RunStatus) -> None:
    """It is what somebody is waited for; a mark and a word, in the narrowest list as well."""
    text = row(view_of(Status(name, badges=tuple(Badge), pending=PENDING)), 25)[0].plain

    assert " ! asks" in text


@pytest.mark.parametrize("name", RunStatus)
@pytest.mark.parametrize("attach", [True, False])
@pytest.mark.parametrize("pending", [(), PENDING])
def test_who_waits_is_answered_only_where_an_attach_is_offered(
    name: RunStatus, attach: bool, pending: tuple[Pending, ...]
) -> None:
    """Every status, with and without a pending decision, with and without a session that is proven to be there."""
    status = Status(name, hints=(Hint.ATTACH,) * attach, pending=pending)

    line = status_line(status).plain

    assert ("press a to attach and answer" in line) == (attach and bool(pending))
    assert ("press a" in line) == attach


def test_a_list_names_a_pending_decision_with_its_badge() -> None:
    """What for is the reason, as `classify` tells it."""
    status = Status(RunStatus.RUNNING, "build waits for a person: may I?", (Badge.PENDING,), pending=PENDING)

    assert list_row(status, None, "r").plain.endswith("[pending decision]  build waits for a person: may I?")


def test_keys_are_the_hints_of_the_status() -> None:
    """Each hint is one of them; without a run there is none."""
    assert verbs(None) == frozenset()
    for verb in Verb:
        assert verbs(view_of(Status(RunStatus.RUNNING, hints=(Hint(verb.value),)))) == {verb}
    assert {verb for verb in Verb if question(verb, view_of(Status(RunStatus.RUNNING)))} == {Verb.STOP, Verb.CLEANUP}


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ("", True),
        ("3F9A", True),
        ("crash", True),
        ("orphan 2026", True),
        ("shop build", True),
        ("crash running", False),
    ],
)
def test_a_filter_looks_at_name_status_badges_project_and_tasks(words: str, fits: bool) -> None:
    """In whatever case, and for every word of it."""
    view = view_of(Status(RunStatus.CRASHED, badges=(Badge.ORPHANED,)))

    assert (fitting([view], words) == [view]) is fits


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        (Sessions(), "multiplexer: asking ..."),
        (Sessions(Answer("T", frozenset()), 100.0), "multiplexer answered 23 s ago"),
        (Sessions(None, 90.0, 93.0), "‼ multiplexer not answering since 00:01:33 UTC (30 s)"),
    ],
)
def test_the_title_tells_when_the_multiplexer_last_answered(sessions: Sessions, told: str) -> None:
    """Or since when it does not."""
    assert told in title(Snapshot(sessions=sessions, now=123.0), "/runs", 0, "").plain


def test_nothing_to_show_is_explained() -> None:
    """A root that cannot be read, a filter that fits nothing, no runs at all; hostile words stay text."""
    unreadable = Snapshot(problem="/runs cannot be read: Permission denied")

    assert empty_detail(unreadable, "/runs", "").plain == "✖ /runs cannot be read: Permission denied"
    assert empty_detail(Snapshot(), "/runs", HOSTILE).plain.isprintable()
    assert "no runs in /runs" in empty_detail(Snapshot(), "/runs", "").plain
