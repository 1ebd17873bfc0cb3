"""What people see: glyph and word, what to do next, and nothing that reaches the terminal as a command."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from backends.processes import Liveness
from harness.dashboard import (
    RunView,
    header,
    header_text,
    list_lines,
    list_row,
    list_screen,
    literal,
    screen,
    status_line,
)
from harness.dashboard.render import GLYPHS, age, events_table
from harness.record import (
    Attempt,
    Badge,
    Crashed,
    CrashRef,
    Ending,
    Evidence,
    Finished,
    Hint,
    Paused,
    RunState,
    RunStatus,
    SessionOutcome,
    Status,
    Stopped,
    TaskPhase,
    TaskState,
    Witness,
    classify,
)

HOSTILE = "\x1b]52;c;aGk=\x07 \x1b[31m[/bad][bold]x[/bold] \x9b31m \u202egnp.exe \ud800 \x00 :smile: \r\n\tend"


def judged(ending: Ending | None, **evidence: object) -> Status:
    """The status of a run with that ending."""
    witness = Witness("state.json", 1, 5, 100.0, ending)
    return classify(Evidence(state=witness, **{"driver": Liveness.DEAD, "now": 400.0, **evidence}))  # type: ignore[arg-type]  # fields by name


def full_state() -> RunState:
    """A run with a task in every phase."""
    attempt = Attempt(1, "t" * 32, "@1", outcome=SessionOutcome.CRASHED, exit_code=1, reason="exit 1")
    tasks = [TaskState(f"t-{phase.value}", phase, [attempt]) for phase in TaskPhase]
    return RunState("r-1", "/project", "fake", "sr-1", tasks=tasks, crashes=[CrashRef(1, 3, "X: y")], epoch=2)


def shown(renderable: RenderableType, *, color: bool = False, width: int = 120) -> str:
    """What reaches a terminal of that width."""
    out = io.StringIO()
    environment = {} if color else {"NO_COLOR": "1"}
    console = Console(file=out, force_terminal=True, width=width, color_system="truecolor", _environ=environment)
    console.print(renderable)
    return out.getvalue()


def test_a_crashed_run_says_where_to_look_and_what_to_press() -> None:
    """The exact words of engine.md, with the error below."""
    lines = header_text(judged(Crashed("ValueError: boom")), full_state()).splitlines()

    assert lines[1:3] == ["✖ engine crashed - see crash.txt - press e to resume", "  ValueError: boom"]
    assert "bold red" in str(status_line(judged(Crashed("X"))).style)


def test_a_crashed_run_that_is_still_driven_cannot_be_resumed_yet() -> None:
    """While the lock is held there is no hint to resume."""
    status = judged(Crashed("X"), lock_held=True)

    assert status_line(status).plain == "✖ engine crashed - see crash.txt"


def test_where_crash_txt_is_missing_nobody_is_sent_there() -> None:
    """The file that is named exists."""
    assert "see crash/ -" in status_line(judged(Crashed("X"), crash_file="crash/")).plain


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (judged(None, lock_held=True), "▶ running"),
        (judged(None, lock_held=True, session=Liveness.ALIVE), "▶ running - press a to attach"),
        (judged(None), "↯ interrupted - press e to resume"),
        (judged(Paused("why"), session=Liveness.ALIVE), "‖ paused - press a to attach - press e to resume"),
        (judged(Paused("why")), "‖ paused - press e to resume"),
        (judged(Stopped("SIGTERM", 15)), "■ stopped - press e to resume"),
        (judged(Finished()), "✔ finished"),
        (judged(None, driver=Liveness.UNKNOWN), "? unknown"),
        (judged(Crashed("X"), session=Liveness.ALIVE), "✖ engine crashed - see crash.txt - press e to resume"),
    ],
)
def test_each_status_has_its_line(status: Status, line: str) -> None:
    """Glyph, word, and the keys that apply now."""
    assert status_line(status).plain == line


def test_every_status_has_a_glyph_and_a_word_of_its_own() -> None:
    """No two statuses look the same without colour."""
    rows = [list_row(Status(name), None, "r").plain for name in RunStatus]

    assert len(set(GLYPHS.values())) == len(RunStatus)
    assert all(name.value in row and GLYPHS[name] in row for name, row in zip(RunStatus, rows, strict=True))


def test_a_row_tells_id_progress_badges_and_reason() -> None:
    """One line has all that a list needs."""
    status = judged(Stopped("SIGTERM", 15), session=Liveness.ALIVE)

    row = list_row(status, full_state()).plain

    assert "\n" not in row
    assert all(
        part in row for part in ("■ STOPPED", "r-1", "1/6 done, 1 deferred, 1 escalated", "[orphaned]", "by SIGTERM")
    )


def test_the_head_tells_badges_history_and_notes() -> None:
    """What else is to be known stands below the status."""
    state = full_state()
    state.degraded_since, state.teardown, state.nested = 0.0, "unconfirmed", ["r-1-sweep"]
    badges = (Badge.DEGRADED, Badge.ORPHANED, Badge.STALE)

    text = header_text(Status(RunStatus.RUNNING, badges=badges, notes=("state.json is torn",)), state)

    for part in (
        "not answered since 1970-01-01",
        "session sr-1",
        "stale",
        "crashed once before, last: X: y",
        "unconfirmed",
    ):
        assert part in text
    assert "note: state.json is torn" in text
    assert "nested run: r-1-sweep" in text


def test_an_unknown_run_tells_its_last_known_status_and_age() -> None:
    """The age is given in words for people."""
    status = judged(None, driver=Liveness.UNKNOWN)

    assert "last known: RUNNING, 5 min ago" in header_text(status, full_state())
    assert "last known: RUNNING, 5 min ago" in list_row(status, full_state()).plain
    assert [age(seconds) for seconds in (3, 119, 120, 7200, 172800)] == ["3 s", "119 s", "2 min", "2 h", "2 d"]


def hostile_view() -> RunView:
    """A run in which every text is hostile."""
    attempt = Attempt(1, HOSTILE, HOSTILE, outcome=SessionOutcome.CRASHED, reason=HOSTILE)
    tasks = [TaskState(HOSTILE, TaskPhase.ESCALATED, [attempt], HOSTILE, HOSTILE, None, HOSTILE)]
    state = RunState(
        HOSTILE, HOSTILE, HOSTILE, HOSTILE, tasks=tasks, teardown=HOSTILE, nested=[HOSTILE], approved=[HOSTILE]
    )
    state.crashes, state.epoch = [CrashRef(1, 1, HOSTILE)], 2
    status = Status(RunStatus.CRASHED, HOSTILE, tuple(Badge), tuple(Hint), see=HOSTILE, notes=(HOSTILE,))
    events = [{"seq": 1, "epoch": 1, "at": "x", "event": HOSTILE, HOSTILE: HOSTILE, "list": [HOSTILE]}]
    return RunView(HOSTILE, None, status, state, events, HOSTILE)  # type: ignore[arg-type]  # the directory is not shown


@pytest.mark.parametrize(("color", "width"), [(False, 80), (False, 120), (True, 80), (True, 120)])
def test_no_text_reaches_the_terminal_as_a_command(color: bool, width: int) -> None:
    """Only rich's own colours are escapes; markup is shown as it was written, controls and bidi as escapes."""
    view = hostile_view()

    for renderable in (screen(view), list_screen([view])):
        out = shown(renderable, color=color, width=width)
        for own in ("0", "1", "2", "22", "31", "33", "1;31", "1;33"):
            out = out.replace(f"\x1b[{own}m", "")
        assert not [char for char in out if not char.isprintable() and char != "\n"]
        out.encode("utf-8")


def test_no_text_reaches_a_pipe_as_a_command() -> None:
    """There nothing of rich stands between; the line is that of a terminal which is wide enough."""
    view = hostile_view()

    (line,) = list_lines([view])

    assert line.isprintable()
    assert line.encode("utf-8")
    assert line == list_row(view.status, view.state, view.run_id).plain


def test_markup_is_shown_as_it_was_written() -> None:
    """Square brackets and emoji names in text from elsewhere mean nothing."""
    out = shown(header(Status(RunStatus.CRASHED, "[/bad] [red]x :smile:"), full_state()))

    assert "[/bad] [red]x :smile:" in out


def test_without_colour_there_is_no_colour() -> None:
    """With NO_COLOR set the words are the same, and no colour is sent."""
    row = list_row(judged(Crashed("X: y")), full_state())

    assert "\x1b[1;31m" in shown(row, color=True)
    assert "31m" not in shown(row)
    assert "✖ CRASHED" in shown(row)


@pytest.mark.parametrize("width", [80, 120])
def test_the_whole_screen_fits_its_width(width: int) -> None:
    """No line is longer than the terminal."""
    view = RunView("r-1", None, judged(Crashed("E: " + "long " * 80)), full_state(), [], "look\nhere")  # type: ignore[arg-type]  # the directory is not shown

    for renderable in (screen(view), list_screen([view, view])):
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown(renderable, width=width)).splitlines()
        assert max(map(cell_len, lines)) <= width
    assert len(lines) == 2


def test_every_task_is_shown_with_phase_attempts_and_last_session() -> None:
    """The table has a row for each task, glyph and word for its phase."""
    out = shown(screen(RunView("r-1", None, judged(None), full_state())))  # type: ignore[arg-type]  # the directory is not shown

    for phase in TaskPhase:
        assert f"t-{phase.value}" in out
    assert "✔ done" in out
    assert "crashed, exit 1" in out


@pytest.mark.parametrize("ending", [Crashed("X: y"), Stopped("SIGTERM"), Finished()])
def test_nothing_is_under_way_in_a_run_that_is_over(ending: Ending) -> None:
    """What was under way when it ended is cut off, in phase and session alike."""
    tasks = [TaskState(f"t-{n}", phase, [Attempt(1, "t")]) for n, phase in enumerate(TaskPhase)]
    out = shown(screen(RunView("r-1", None, judged(ending), RunState("r-1", tasks=tasks))))  # type: ignore[arg-type]  # the directory is not shown

    assert "running" not in out
    assert "under way" not in out
    assert out.count("◌ cut off") == 2


def test_the_last_events_are_shown_with_their_fields() -> None:
    """Sequence, time, name, and what else the line says."""
    events = [{"seq": n, "epoch": 1, "at": 0, "event": "went", "task": f"a-{n}", "none": None} for n in range(9)]

    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown(events_table(events, 2))).splitlines()

    assert lines == [f"    {n}  1970-01-01T00:00:00.000Z  went  task=a-{n}" for n in (7, 8)]
    assert shown(events_table(events, 0)).strip() == ""


def test_text_is_cut_at_its_limit() -> None:
    """A 50 MB line becomes a short one that says how long it was."""
    line = literal("x" * 50_000_000)

    assert len(line) < 400
    assert "49999700 more characters" in line


def test_a_run_without_a_state_is_shown_by_its_name() -> None:
    """What cannot be read still has a row and a head."""
    status = Status(RunStatus.UNKNOWN, "nothing of the run's record can be read")

    assert "r-9" in list_row(status, None, "r-9").plain
    assert header_text(status, None, "r-9").startswith("r-9\n? unknown\n  nothing of the run's record")
