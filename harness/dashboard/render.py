"""What a run looks like: list, status screen, dashboard and reports all show these lines.

A status is a glyph and a word, never colour alone. Text from agents, errors and names is shown literally: it is never
read as markup, and no control character of it reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backends.clock import timestamp
from backends.errors import printable
from harness.dashboard.reader import RunView
from harness.record import CUT_OFF, Attempt, Badge, Event, Hint, RunState, RunStatus, Status, TaskPhase, TaskState

__all__ = [
    "GLYPHS",
    "PHASE_GLYPHS",
    "PHASE_STYLES",
    "STYLES",
    "age",
    "event_fields",
    "events_table",
    "header",
    "header_text",
    "is_over",
    "list_line",
    "list_lines",
    "list_row",
    "list_screen",
    "literal",
    "phase_text",
    "progress",
    "screen",
    "session_words",
    "status_line",
    "task_table",
]

GLYPHS: Mapping[RunStatus, str] = {
    RunStatus.RUNNING: "▶",
    RunStatus.FINISHED: "✔",
    RunStatus.STOPPED: "■",
    RunStatus.PAUSED: "‖",
    RunStatus.CRASHED: "✖",
    RunStatus.INTERRUPTED: "↯",
    RunStatus.UNKNOWN: "?",
}
"""One per status; always shown with its word."""

STYLES: Mapping[RunStatus, str] = {
    RunStatus.RUNNING: "cyan",
    RunStatus.FINISHED: "green",
    RunStatus.STOPPED: "magenta",
    RunStatus.PAUSED: "yellow",
    RunStatus.CRASHED: "bold red",
    RunStatus.INTERRUPTED: "bold yellow",
    RunStatus.UNKNOWN: "bold",
}
"""One per status, for terminals that have colours."""

PHASE_GLYPHS: Mapping[TaskPhase, str] = {
    TaskPhase.PENDING: "·",
    TaskPhase.RUNNING: "▶",
    TaskPhase.VERIFYING: "?",
    TaskPhase.DONE: "✔",
    TaskPhase.DEFERRED: "»",
    TaskPhase.ESCALATED: "!",
}

PHASE_STYLES: Mapping[TaskPhase, str] = {
    TaskPhase.RUNNING: "cyan",
    TaskPhase.VERIFYING: "cyan",
    TaskPhase.DONE: "green",
    TaskPhase.DEFERRED: "yellow",
    TaskPhase.ESCALATED: "bold yellow",
}

_OWN_EVENT_FIELDS = frozenset({"seq", "epoch", "at", "event", "state", "crash"})


def literal(text: object, limit: int = 300) -> str:
    """`text` in one line with every control, format and bidirectional character escaped, at most about `limit` long."""
    shown = printable(text if isinstance(text, str) else str(text), limit)
    return shown.replace("\t", "\\t").replace("\n", "\\n")


def status_line(status: Status, *, keys: bool = True) -> Text:
    """The status in words with what to do about it, as in `✖ engine crashed - see crash.txt - press e to resume`.

    Without `keys`, where nobody listens to them, what to do is left to whoever shows the line.
    """
    words = "engine crashed" if status.name is RunStatus.CRASHED else status.name.value.lower()
    parts = [f"{GLYPHS[status.name]} {words}"]
    if status.see:
        parts.append(f"see {literal(status.see)}")
    if keys and Hint.ATTACH in status.hints:
        parts.append("press a to attach and answer" if status.pending else "press a to attach")
    if keys and Hint.RESUME in status.hints:
        parts.append("press e to resume")
    return Text(" - ".join(parts), style=STYLES[status.name])


def list_row(status: Status, state: RunState | None, run_id: str = "") -> Text:
    """One run in one line: glyph and word, id, progress, badges, reason; `.plain` is the line as text."""
    row = Text(no_wrap=True, overflow="ellipsis")
    for part, style in _row_parts(status, state, run_id):
        row.append(part, style)
    row.rstrip()
    return row


def list_line(status: Status, state: RunState | None, run_id: str = "") -> str:
    """The same as text; a thousand of them cost little."""
    return "".join(part for part, _ in _row_parts(status, state, run_id)).rstrip()


def _row_parts(status: Status, state: RunState | None, run_id: str) -> Iterator[tuple[str, str]]:
    yield f"{GLYPHS[status.name]} {status.name.value:<11}", STYLES[status.name]
    yield f"  {literal(_name(state, run_id), 60):<22}", ""
    yield f"  {progress(state):<12}", ""
    for badge in status.badges:
        yield f"  [{badge.value}]", "yellow"
    told = _last_known(status) or status.reason
    if told:
        yield f"  {literal(told)}", ""


def header(status: Status, state: RunState | None, run_id: str = "", *, keys: bool = True) -> Text:
    """A run's head: what it is, its status and what to do, the error or reason below, badges, notes."""
    lines = [_title(state, run_id), status_line(status, keys=keys)]
    if status.reason:
        style = "red" if status.name is RunStatus.CRASHED else ""
        lines.append(Text(f"  {literal(status.reason, 2000)}", style=style))
    if state is not None and _name(state, run_id) != state.run_id:
        lines.append(Text(f"  recorded as run {literal(state.run_id)}"))
    lines += [Text(f"  {line}") for line in _details(status, state)]
    return Text("\n").join(lines)


def header_text(status: Status, state: RunState | None, run_id: str = "") -> str:
    """The same head as plain text."""
    return header(status, state, run_id).plain


def _name(state: RunState | None, run_id: str) -> str:
    """What a run is called: as it is found, since that is what commands take; a copy's record says another name."""
    return run_id or ("" if state is None else state.run_id)


def _title(state: RunState | None, run_id: str) -> Text:
    title = Text(literal(_name(state, run_id), 200), style="bold")
    if state is not None:
        facts = [fact for fact in (state.project, state.backend) if fact]
        facts.append(f"epoch {state.epoch}")
        title.append("  " + "  ".join(literal(fact) for fact in facts), "not bold")
    return title


def _details(status: Status, state: RunState | None) -> list[str]:
    lines = []
    last_known = _last_known(status)
    if last_known:
        lines.append(last_known)
    if status.name is not RunStatus.RUNNING:
        lines += [f"pending decision: {literal(one.task)} asks: {literal(one.asks)}" for one in status.pending]
    if state is not None:
        lines.append(f"tasks: {progress(state)}")
        if Badge.DEGRADED in status.badges and state.degraded_since is not None:
            why = f": {literal(state.degraded_why)}" if state.degraded_why else ""
            lines.append(f"degraded: the multiplexer has not answered since {timestamp(state.degraded_since)}{why}")
        if Badge.ORPHANED in status.badges:
            lines.append(f"orphaned: the session {literal(state.mux_session)} is still there")
        if state.teardown:
            lines.append(f"teardown: {literal(state.teardown)}")
        earlier = [crash for crash in state.crashes if crash.epoch < state.epoch]
        if earlier:
            times = "once" if len(earlier) == 1 else f"{len(earlier)} times"
            lines.append(f"crashed {times} before, last: {literal(earlier[-1].error)}")
        lines += [f"approved: {literal(', '.join(state.approved))}"] if state.approved else []
        lines += [f"nested run: {literal(nested)}" for nested in state.nested]
    if Badge.STALE in status.badges:
        lines.append("stale: this is the newest that can be read")
    return lines + [f"note: {literal(note)}" for note in status.notes]


def _last_known(status: Status) -> str:
    if status.age_s is None:
        return ""
    known = status.last_known.value if status.last_known is not None else "nothing"
    return f"last known: {known}, {age(status.age_s)} ago"


def age(seconds: float) -> str:
    """A length of time for people: seconds, minutes, hours or days."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def progress(state: RunState | None) -> str:
    """How many tasks are done, and how many were put off or handed to a person."""
    if state is None:
        return "?"
    done = sum(task.phase is TaskPhase.DONE for task in state.tasks)
    words = [f"{done}/{len(state.tasks)} done"]
    for phase in (TaskPhase.DEFERRED, TaskPhase.ESCALATED):
        count = sum(task.phase is phase for task in state.tasks)
        words += [f"{count} {phase.value}"] if count else []
    return ", ".join(words)


_UNDER_WAY = frozenset({RunStatus.RUNNING, RunStatus.UNKNOWN})


def is_over(status: Status) -> bool:
    """Whether nobody drives the run any more, so that nothing of it is under way."""
    return status.name not in _UNDER_WAY


def phase_text(phase: TaskPhase, *, over: bool = False) -> Text:
    """Glyph and word for where a task is; what was under way when its run ended (`over`) is cut off."""
    if (word := phase.told(over=over)) == CUT_OFF:
        return Text(f"◌ {word}", style="yellow")
    return Text(f"{PHASE_GLYPHS[phase]} {phase.value}", style=PHASE_STYLES.get(phase, ""))


def task_table(tasks: Iterable[TaskState], *, over: bool = False) -> Table:
    """The tasks with phase, attempts, and how the last session went; `over` says that their run has ended."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("task", "phase", "attempts", "last session", "what is said"):
        table.add_column(title, overflow="fold")
    for task in tasks:
        last = task.attempts[-1] if task.attempts else None
        table.add_row(
            Text(literal(task.key)),
            phase_text(task.phase, over=over),
            Text(str(task.attempts_used)),
            Text(session_words(last, over=over)),
            Text(literal(task.reason or (last.reason if last is not None else "") or task.summary)),
        )
    return table


def session_words(attempt: Attempt | None, *, over: bool = False) -> str:
    """How a session went, or that it is under way or was when its run ended (`over`); nothing where there was none."""
    if attempt is None:
        return ""
    going_on = CUT_OFF if over else "under way"
    words = [attempt.outcome.value if attempt.outcome is not None else going_on]
    if attempt.exit_code is not None:
        words.append(f"exit {attempt.exit_code}")
    if attempt.signal is not None:
        words.append(f"signal {attempt.signal}")
    if attempt.nudges:
        words.append(f"{attempt.nudges} nudge{'s' if attempt.nudges > 1 else ''}")
    return ", ".join(words)


def events_table(events: Sequence[Event], count: int = 10) -> Table:
    """The last events of a journal: number, time, name, fields; what is too long goes on below its own column."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for style in ("dim", "dim", "", ""):
        table.add_column(style=style, overflow="fold")
    for row in _event_rows(events, count):
        table.add_row(*(Text(cell) for cell in row))
    return table


def _event_rows(events: Sequence[Event], count: int) -> list[tuple[str, str, str, str]]:
    """Number, time, name and fields of the last events."""
    rows = []
    for event in events[-count:] if count > 0 else []:
        at = event.get("at")
        when = timestamp(at) if isinstance(at, int | float) and 0 <= at < 4e9 else "?"
        rows.append((f"{event['seq']:>5}", when, literal(event["event"], 60), event_fields(event)))
    return rows


def event_fields(event: Event) -> str:
    """What a line of the journal says besides its number, time and name."""
    return " ".join(
        f"{literal(key, 40)}={literal(value, 120)}"
        for key, value in event.items()
        if key not in _OWN_EVENT_FIELDS and value not in (None, "", [])
    )


def screen(view: RunView, events: int = 10, *, keys: bool = True) -> RenderableType:
    """Everything about one run: head, tasks, last events, what wants attention."""
    parts: list[RenderableType] = [header(view.status, view.state, view.run_id, keys=keys)]
    if view.state is not None and view.state.tasks:
        parts += [Text(), task_table(view.state.tasks, over=is_over(view.status))]
    if view.events:
        parts += [Text(), Text("last events", style="bold"), events_table(view.events, events)]
    if view.attention:
        lines = [literal(line) for line in view.attention.splitlines()[:20]]
        parts += [Text(), Text("attention", style="bold yellow"), Text("\n".join(lines))]
    return Group(*parts)


def list_screen(views: Iterable[RunView]) -> RenderableType:
    """All runs for a terminal, one row each, cut at its width."""
    return Group(*(list_row(view.status, view.state, view.run_id) for view in views))


def list_lines(views: Iterable[RunView]) -> list[str]:
    """All runs as text of any width, one line each."""
    return [list_line(view.status, view.state, view.run_id) for view in views]
