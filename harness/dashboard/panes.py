"""What the parts of the dashboard look like: values in, rich text out; nothing here reads, asks or waits.

As everywhere, a status is a glyph and a word, and text from elsewhere is shown literally.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from backends.clock import timestamp
from harness.dashboard.details import Details
from harness.dashboard.observer import Snapshot
from harness.dashboard.reader import RunView
from harness.dashboard.render import (
    GLYPHS,
    STYLES,
    age,
    event_fields,
    header,
    is_over,
    literal,
    phase_text,
    session_words,
)
from harness.dashboard.sessions import Sessions
from harness.record import Badge, Event, Hint, TaskPhase, TaskState

__all__ = [
    "HELP",
    "ROW_HEIGHT",
    "Outcome",
    "Verb",
    "detail",
    "empty_detail",
    "fitting",
    "question",
    "row",
    "title",
    "verbs",
]

ROW_HEIGHT = 2
"""Lines that a run takes in the list."""


class Verb(StrEnum):
    """What can be done about a run from here; each is a command of the same name."""

    ATTACH = "attach"
    RESUME = "resume"
    STOP = "stop"
    CLEANUP = "cleanup"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command: whether it did what it was asked, and the one line that it said."""

    done: bool
    line: str


_HINT_OF: Mapping[Verb, Hint] = {
    Verb.ATTACH: Hint.ATTACH,
    Verb.RESUME: Hint.RESUME,
    Verb.STOP: Hint.STOP,
    Verb.CLEANUP: Hint.CLEANUP,
}

_QUESTIONS: Mapping[Verb, str] = {
    Verb.STOP: "Stop {run}? Its sessions are ended; it can be resumed.",
    Verb.CLEANUP: "Clean up {run}? What it has left running is ended.",
}


def verbs(view: RunView | None) -> frozenset[Verb]:
    """What the status of the run allows now."""
    return (
        frozenset() if view is None else frozenset(verb for verb, hint in _HINT_OF.items() if hint in view.status.hints)
    )


def question(verb: Verb, view: RunView) -> str:
    """What is asked before it is done; empty where it is done at once."""
    return _QUESTIONS.get(verb, "").format(run=literal(view.run_id, 60))


def fitting(views: Iterable[RunView], words: str) -> list[RunView]:
    """The runs in whose name, status, badges, project or tasks each of `words` occurs, in whatever case."""
    wanted = words.casefold().split()
    return [view for view in views if all(word in _searched(view) for word in wanted)] if wanted else list(views)


def _searched(view: RunView) -> str:
    state = view.state
    parts = [view.run_id, view.status.name.value, *view.status.badges]
    parts += [] if state is None else [state.project, *(task.key for task in state.tasks)]
    return "\n".join(parts).casefold()


def row(view: RunView, width: int, *, chosen: bool = False) -> tuple[Text, Text]:
    """A run in the list, in two lines of exactly `width` cells: status, progress and badges; below it the name's end.

    A badge is there as a whole word, or there is a sign that it is missing.
    """
    status = view.status
    first = Text(">" if chosen else " ")
    first.append(f"{GLYPHS[status.name]} {status.name.value}", STYLES[status.name])
    if view.state is not None and view.state.tasks:
        first.append(f" {sum(task.phase is TaskPhase.DONE for task in view.state.tasks)}/{len(view.state.tasks)}")
    badges = sorted(status.badges, key=lambda badge: badge is not Badge.PENDING)
    for badge in badges:
        if first.cell_len + 1 + len(_MARKS[badge]) + 2 * (badge is not badges[-1]) > width:
            first.append(" …", "yellow")
            break
        first.append(f" {_MARKS[badge]}", "bold yellow" if badge is Badge.PENDING else "yellow")
    first.truncate(width, overflow="ellipsis", pad=True)
    return first, Text(
        "   " + _end_of(literal(view.run_id, 200), width - 4).ljust(max(0, width - 3)), "dim" * (not chosen)
    )


_MARKS: Mapping[Badge, str] = {
    Badge.PENDING: "! asks",
    Badge.DEGRADED: "degraded",
    Badge.ORPHANED: "orphaned",
    Badge.STALE: "stale",
}


def _end_of(name: str, width: int) -> str:
    """The end of `name`, because that is where one run's name differs from another's."""
    if cell_len(name) <= width:
        return name
    while name and cell_len(name) > width - 1:
        name = name[1:]
    return set_cell_size("…" + name, width).rstrip()


def title(snapshot: Snapshot, root: str, shown: int, words: str) -> Text:
    """The topmost line: how many runs there are, where, and when the multiplexer last answered."""
    count = len(snapshot.views)
    told = f"{shown:,} of {count:,} runs fit {literal(words, 20)!r}" if words else f"{count:,} run{'s' * (count != 1)}"
    line = Text(f"seamripper  {told}", style="bold", no_wrap=True, overflow="ellipsis")
    line.append_text(_answered(snapshot.sessions, snapshot.now))
    line.append(f"  {literal(root, 200)}", "not bold dim")
    return line


def _answered(sessions: Sessions, now: float) -> Text:
    if sessions.silent_since is not None:
        clock = timestamp(sessions.silent_since)[11:19]
        gone = age(max(0.0, now - sessions.silent_since))
        return Text(f"  ‼ multiplexer not answering since {clock} UTC ({gone})", style="bold yellow")
    if sessions.answered_at is None:
        return Text("  multiplexer: asking ...", style="not bold dim")
    return Text(f"  multiplexer answered {age(max(0.0, now - sessions.answered_at))} ago", style="not bold dim")


def empty_detail(snapshot: Snapshot, root: str, words: str) -> Text:
    """What stands on the right where no run is chosen, because there is none."""
    if snapshot.problem:
        return Text(f"✖ {literal(snapshot.problem, 1000)}", style="bold red")
    if words:
        return Text(f"no run fits {literal(words, 60)!r}; escape shows all of them")
    return Text(f"no runs in {literal(root, 500)}\n\n`seamripper run PLAN` begins one; it will appear here.")


def detail(view: RunView, details: Details) -> RenderableType:
    """Everything about the chosen run, the most urgent first."""
    parts: list[RenderableType] = [_indented(line) for line in header(view.status, view.state, view.run_id).split("\n")]
    if view.attention.strip():
        parts += _section("attention", _lines(view.attention.splitlines()[:20]), "bold yellow")
    if view.state is not None and view.state.tasks:
        parts += _section("tasks", _tasks(view.state.tasks, over=is_over(view.status)))
    if details.crash:
        parts += _section("crash.txt", _lines(details.crash), "bold red")
    if view.events:
        parts += _section("journal", _journal(view.events[-12:]))
    if details.log:
        parts += _section(f"log  {literal(details.log_name, 60)}", _lines(details.log[-40:]))
    return Group(*parts)


def _indented(line: Text) -> RenderableType:
    """A line whose indentation holds for what is wrapped of it, too."""
    return Padding(line[2:], (0, 0, 0, 2)) if line.plain.startswith("  ") else line


def _section(name: str, content: RenderableType, style: str = "bold") -> list[RenderableType]:
    return [Text(), Text(f"── {name} ──", style=style), content]


def _lines(lines: Sequence[str]) -> Text:
    return Text("\n".join(literal(line, 400) for line in lines), overflow="fold")


def _tasks(tasks: Iterable[TaskState], *, over: bool) -> Table:
    """Each task with its phase, and below that how its last session went and what is said of it."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for task in tasks:
        last = task.attempts[-1] if task.attempts else None
        said = task.reason or (last.reason if last is not None else "") or task.summary
        words = [literal(word) for word in (session_words(last, over=over), said) if word]
        if task.attempts_used > 1:
            words.insert(0, f"attempt {task.attempts_used}")
        name = Text(literal(task.key), style="bold")
        name.append(f"  {' - '.join(words)}" if words else "", "not bold")
        if last is not None and last.pending:
            name.append(f"  ! asks: {literal(last.pending)}", "bold yellow")
        table.add_row(phase_text(task.phase, over=over), name)
    return table


def _journal(events: Sequence[Event]) -> Table:
    """The last lines of the journal, the newest below: time of day (UTC), name, fields."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for event in events:
        at = event.get("at")
        when = timestamp(at)[11:19] if isinstance(at, int | float) and 0 <= at < 4e9 else "?"
        line = Text(literal(event["event"], 60))
        line.append(f" {event_fields(event)}", "dim")
        table.add_row(Text(when), line)
    return table


HELP = """\
a     attach to the run's session; C-b d comes back
e     resume a run that crashed, was stopped or waits
x     stop a run that is being driven (asks first)
c     clean up what a run has left that is over (asks first)
/     filter by name, status, project or task; escape ends it
tab   go to the other side; arrows and pages move there
?     this help
q     quit; runs go on

Keys are shown below while they apply to the chosen run.

▶ running   ✔ finished   ■ stopped   ‖ paused   ✖ crashed
↯ interrupted: whoever drove it is gone   ? cannot be known
! asks: an agent waits for a person

Times are UTC. An attach is offered only while the
multiplexer confirms that the session is there."""
