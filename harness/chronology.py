"""What happened in the runs of a trial, in one order: the model that a timeline is drawn from.

The order is that of the trace. A journal line belongs to the write that put it into the journal; what agents wrote down about
themselves is put in by its time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from faults.actions import Jump, Suspend
from faults.trace import TraceEntry
from harness.record import Event
from harness.record.plain import encode
from harness.report import Report

__all__ = [
    "AGENTS",
    "CALLS",
    "ENGINE",
    "NESTED",
    "RECORD",
    "RUN",
    "TASK",
    "TRANSPORT",
    "Bar",
    "Item",
    "Mark",
    "Section",
    "chronology",
]

ENGINE, CALLS, TRANSPORT, RUN, TASK, AGENTS, RECORD = (
    *("engine", "multiplexer", "transport", "run", "task ", "agent ", "recordings"),
)
NESTED = " (nested)"
"""The lanes, in this order; those of tasks and agents go on with a name, those of runs inside the run end so."""

_AT_ONCE_S = 0.05
"""Seconds within which things happen at the same time, on a host whose time passes by itself."""

_WRITING = frozenset({"write", "append", "fsync", "replace", "truncate", "mkdir", "remove"})


@dataclass(frozen=True, slots=True)
class Mark:
    """Something in one lane: a short `label`, a `kind` that says how it is drawn, and everything about it as `title`."""

    lane: str
    label: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened, in every lane that it shows in, from `at_s` to `end_s` seconds after the run began.

    `order` is its place in the run. `injection` is the number of the fault that happened there, `action` what it was, `rule`
    the rule that said so.
    """

    order: float
    at_s: float
    end_s: float
    marks: tuple[Mark, ...]
    injection: int | None = None
    action: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasts, from the item of order `first` to that of `last`; `cut` says that its end was not seen."""

    lane: str
    label: str
    kind: str
    title: str
    first: float
    last: float
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One run: its items in order, its bars, and how it ended; `lines` are its journal lines with their orders."""

    title: str
    report: Report
    items: tuple[Item, ...]
    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, str, Event], ...]

    @property
    def at_once_s(self) -> float:
        """Seconds within which things of this run count as simultaneous."""
        return 1e-6 if self.report.virtual else _AT_ONCE_S


def chronology(reports: Sequence[Report]) -> list[Section]:
    """The runs one after the other: the one under the faults and its resumes, or whatever runs there were."""
    seen: set[tuple[str, str, object, object]] = set()
    sections: list[Section] = []
    known: dict[str, int] = {}
    newest, notes = "", 0
    for report in reports:
        newest = newest if report.state is None else report.state.run_id
        resumes = known[newest] = known.get(newest, -1) + 1
        title = f"resume {resumes}" if resumes else "the run" if len(known) == 1 else f"run {len(known)}"
        told = f"{title}, under faults" if report.faults.faults else f"{title}, without faults"
        lines = dict(_aligned(report.entries, _unseen(report, newest, seen)))
        sections.append(_section(told, report, lines, report.ledger[notes:]))
        notes = len(report.ledger)
    return sections


def _section(title: str, report: Report, lines: Mapping[int, Line], ledger: Sequence[Mapping[str, Any]]) -> Section:
    entries = report.entries
    clock = _WallClock.of(report, lines, ledger)
    items = list(_items(entries, lines, report.elapsed_s))
    told: list[tuple[float, str, Event]] = []
    for index, (source, event) in lines.items():
        if index >= 0:
            told.append((entries[index].number, source, event))
            continue
        at_s = clock.nominal(_number(event.get("at")))
        order = _order_at(entries, at_s) + 0.9 - index * 1e-6
        items.append(Item(order, at_s, at_s, _line_marks(source, event)))
        told.append((order, source, event))
    notes = list(_notes(entries, ledger, clock))
    items += [item for item, _ in notes]
    items.sort(key=lambda item: item.order)
    told.sort(key=lambda one: one[0])
    last = items[-1].order if items else 0.0
    return Section(title, report, tuple(items), (*_attempts(told, last), *_lives(notes, last)), tuple(told))


Line = tuple[str, Event]
"""A journal line and the run inside the run that it is of, nothing for the outer one."""


def _unseen(report: Report, run_id: str, seen: set[tuple[str, str, object, object]]) -> list[deque[Line]]:
    """The lines of this run that no report before has shown, for each journal."""
    epoch = report.state.epoch if report.state is not None else None
    journals = [("", report.journal), *((inner.path, inner.journal) for inner in report.nested)]
    found = []
    for source, journal in journals:
        new = []
        for event in journal:
            key = (run_id, source, repr(event.get("epoch")), repr(event.get("seq")))
            older = source == "" and epoch is not None and _number(event.get("epoch")) < epoch
            if key not in seen and not older:
                new.append((source, event))
            seen.add(key)
        found.append(deque(new))
    return found


def _aligned(entries: Sequence[TraceEntry], journals: Sequence[deque[Line]]) -> Iterator[tuple[int, Line]]:
    """Each line with the index of the entry that wrote it, told by its length; negative for lines that none did."""
    for index, entry in enumerate(entries):
        if entry.point != "disk.append:journal" or not entry.outcome.startswith("answered"):
            continue
        size = entry.outcome.removeprefix("answered").strip()
        heads = [queue for queue in journals if queue]
        fitting = [queue for queue in heads if size in _sizes(queue[0][1])]
        if heads:
            yield index, (fitting or heads)[0].popleft()
    for missing, line in enumerate((line for queue in journals for line in queue), 1):
        yield -missing, line


def _sizes(event: Event) -> tuple[str, str]:
    """The lengths that the line may have been written with: after a torn line it begins with a line break."""
    size = len(encode(event)) + 1
    return str(size), str(size + 1)


def _items(entries: Sequence[TraceEntry], lines: Mapping[int, Line], elapsed_s: float) -> Iterator[Item]:
    """The entries that are worth a place, each with what was written down by it."""
    saving: Item | None = None
    for index, entry in enumerate(entries):
        item = _item(entries, index, lines.get(index), elapsed_s)
        kind = entry.point.partition(":")[2]
        if saving is not None and entry.injection is None and _belongs(entry, saving):
            told = "\n".join((saving.marks[0].title, str(entry)))
            saving = replace(saving, marks=(replace(saving.marks[0], title=told), *saving.marks[1:]))
            continue
        if item is None and entry.layer == "agent":
            continue
        if saving is not None:
            yield saving
            saving = None
        if item is not None and kind and entry.injection is None:
            saving = item
        elif item is not None:
            yield item
    if saving is not None:
        yield saving


def _belongs(entry: TraceEntry, saving: Item) -> bool:
    """Whether the entry is one more step of the recording at hand: the same file, or its directory, and no new line."""
    operation, _, kind = entry.point.removeprefix("disk.").partition(":")
    if entry.layer != "disk" or operation not in _WRITING or operation == "append":
        return False
    return (
        f"save {kind}" == saving.marks[0].label
        or kind == "other"
        or (kind, saving.marks[0].kind) == ("journal", "line")
    )


def _item(entries: Sequence[TraceEntry], index: int, line: Line | None, elapsed_s: float) -> Item | None:
    entry = entries[index]
    injection = entry.injection
    mark = _mark(entry)
    if mark is None:
        return None
    written = _line_marks(*line) if line is not None else ()
    item = Item(entry.number, entry.at_s, _end(entries, index, elapsed_s), (mark, *written))
    if injection is None:
        return item
    return replace(item, injection=injection.number, action=injection.action, rule=injection.rule)


def _mark(entry: TraceEntry) -> Mark | None:
    """How an entry is shown; `None` where it is no more than a question that was asked."""
    layer, _, name = entry.point.partition(".")
    operation, _, kind = name.partition(":")
    injected = entry.injection is not None
    title = " ".join(str(entry).split())
    if layer == "disk":
        if not injected and operation not in _WRITING:
            return None
        if injected or operation == "remove":
            return Mark(RECORD, f"{operation} {kind}", "injected" if injected else "save", title)
        return Mark(
            RECORD, "line" if kind == "journal" else f"save {kind}", "line" if kind == "journal" else "save", title
        )
    if layer == "agent" and not injected:
        return None
    if layer == "clock" and not injected:
        return Mark(ENGINE, "wait", "wait", title)
    lane = {"mux": CALLS, "leak": CALLS, "transport": TRANSPORT, "agent": ENGINE}.get(layer, ENGINE)
    failed = entry.outcome.startswith("raised") or entry.outcome == "unfinished"
    shown = "injected" if injected else "failed" if failed and lane != ENGINE else "step" if lane == ENGINE else "call"
    return Mark(lane, name if layer in ("mux", "engine", "transport") else entry.point, shown, title)


def _end(entries: Sequence[TraceEntry], index: int, elapsed_s: float) -> float:
    """When the call or the wait was over: when the next thing began that the engine did; what agents do falls into it."""
    own = entries[index].layer
    inner = {"agent", "transport"} if own in ("mux", "leak") else {"agent"}
    if own not in ("mux", "leak", "transport", "clock"):
        return entries[index].at_s
    return next((later.at_s for later in entries[index + 1 :] if later.layer not in inner), elapsed_s)


def _line_marks(source: str, event: Event) -> tuple[Mark, ...]:
    name = str(event.get("event"))
    task = event.get("task")
    lane = RUN if task is None else f"{TASK}{task}"
    own = {"seq", "epoch", "at", "event", "state", "crash", "task"}
    told = {key: value for key, value in event.items() if key not in own and value not in (None, "", [])}
    where = f" of {source}" if source else ""
    title = " ".join([f"journal line {event.get('seq')}{where}:", name, *(f"{k}={v}" for k, v in told.items())])
    kind = _LINE_KINDS.get(name, "note")
    return (Mark(f"{lane}{NESTED}" if source else lane, _short(name, told), kind, title),)


_LINE_KINDS: Mapping[str, str] = {
    "run-crash": "bad",
    "transport-degraded": "bad",
    "transport-recovered": "good",
    "nudge": "decision",
    "session-ended": "decision",
    "task-done": "good",
    "task-deferred": "bad",
    "teardown": "decision",
    "run-complete": "good",
    "run-stopped": "decision",
    "run-paused": "decision",
}


def _short(name: str, told: Mapping[str, Any]) -> str:
    """What a journal line says, in a few characters."""
    words = {
        "attempt": ("attempt", "number"),
        "event": ("event", "kind"),
        "nudge": ("nudge", "outcome"),
        "session-started": ("window", "window"),
        "session-ended": ("ended", "outcome"),
        "teardown": ("teardown", "outcome"),
        "transport-degraded": ("no answer", "operation"),
    }.get(name)
    return name if words is None else f"{words[0]}: {told.get(words[1], '?')}"


@dataclass(frozen=True, slots=True)
class _WallClock:
    """Turns times of the host's wall clock into seconds since a run began; `steps` says when that clock stood how far off."""

    steps: tuple[tuple[float, float], ...]
    end_s: float
    rate: float = 1.0

    @classmethod
    def of(cls, report: Report, lines: Mapping[int, Line], ledger: Sequence[Mapping[str, Any]]) -> _WallClock:
        """The clock of a run, as far as its journal tells.

        On a simulated host everybody sees it jump. On a real one it may pass at another rate than the run's own seconds.
        """
        known = [
            (_number(event.get("at")), report.entries[index].at_s) for index, (_, event) in lines.items() if index >= 0
        ]
        if not known:
            known = [(_number(one.get("at")), 0.0) for one in (*(event for _, event in lines.values()), *ledger)][:1]
        (wall, at_s), (last_wall, last_s) = (known[0], known[-1]) if known else ((0.0, 0.0), (0.0, 0.0))
        rate = (
            (last_s - at_s) / (last_wall - wall) if not report.virtual and last_wall > wall and last_s > at_s else 1.0
        )
        steps = [(0.0, wall - at_s / rate)]
        for injection in report.injections:
            if report.virtual and isinstance(injection.performed, Jump | Suspend):
                steps.append((injection.at_s, steps[-1][1] + injection.performed.seconds))
        return cls(tuple(steps), report.elapsed_s, rate)

    def nominal(self, wall: float) -> float:
        """When it was that time, had the clock never jumped."""
        return (wall - self.steps[0][1]) * self.rate

    def seconds(self, wall: float, since_s: float) -> float | None:
        """When it was that time, not before `since_s`; `None` if it never was."""
        ends = (*(began for began, _ in self.steps[1:]), self.end_s)
        for (began, offset), end in zip(self.steps, ends, strict=True):
            at_s = (wall - offset) * self.rate
            if max(began, since_s) - 1e-6 <= at_s <= end + 1e-6:
                return max(0.0, at_s)
        return None


def _notes(
    entries: Sequence[TraceEntry], ledger: Sequence[Mapping[str, Any]], clock: _WallClock
) -> Iterator[tuple[Item, Mapping[str, Any]]]:
    """What agents wrote down, each at its time; after what they were asked at that time, or after they were killed.

    Of an agent that was there before this run its start is told, at the beginning, unless it had ended by then.
    """
    before = [note for note in ledger if _is_before(note, clock)]
    over = {_agent_lane(note) for note in before if note.get("what") == "end"}
    newest_s = 0.0
    for index, note in enumerate(ledger):
        what, earlier = str(note.get("what")), note in before
        if _agent_lane(note) in over or (earlier and what != "start"):
            continue
        at_s = 0.0 if earlier else clock.seconds(_number(note.get("at")), newest_s)
        newest_s = newest_s if at_s is None else at_s
        order = 0.0 if earlier else _order_of_note(entries, what, newest_s)
        title = f"agent {note.get('pid')} of {note.get('task')}: {what}" + (", before this run" if earlier else "")
        mark = Mark(_agent_lane(note), what, f"agent-{_AGENT_KINDS.get(what, 'note')}", title)
        yield Item(order + index * 1e-6, newest_s, newest_s, (mark,)), note


def _is_before(note: Mapping[str, Any], clock: _WallClock) -> bool:
    """Whether it was written before the run, as far as the clock had not jumped by then."""
    at = _number(note.get("at"))
    return at < clock.steps[0][1] - 1e-6 and clock.seconds(at, 0.0) is None


def _order_of_note(entries: Sequence[TraceEntry], what: str, at_s: float) -> float:
    same = [entry for entry in entries if abs(entry.at_s - at_s) < 1e-6]
    asked = [entry.number for entry in same if entry.layer == "agent"]
    killed = [entry.number for entry in same if entry.point.startswith("mux.kill_")]
    if asked:
        return (asked[-1] if what in ("result", "end") else asked[0]) + 0.5
    return (killed[0] if what == "end" and killed else _order_at(entries, at_s)) + 0.5


_AGENT_KINDS: Mapping[str, str] = {one: one for one in ("start", "prompt", "result", "end", "overlap")}


def _agent_lane(note: Mapping[str, Any]) -> str:
    return f"{AGENTS}{note.get('pid')}"


def _order_at(entries: Sequence[TraceEntry], at_s: float) -> int:
    """The place of the newest entry that had begun by then."""
    return max((entry.number for entry in entries if entry.at_s <= at_s + 1e-6), default=0)


def _attempts(lines: Iterable[tuple[float, str, Event]], last: float) -> Iterator[Bar]:
    """Each session, from its window to its end; one that nobody ended lasts until the run does."""
    begun: dict[str, tuple[float, str]] = {}
    for order, source, event in lines:
        lane = _line_marks(source, event)[0].lane
        name = event.get("event")
        if name == "session-started" or (name == "attempt" and lane not in begun):
            begun[lane] = begun.get(lane, (order, ""))[0], f"attempt {event.get('number')}"
        elif name == "session-ended" and lane in begun:
            first, label = begun.pop(lane)
            told = f"{label}: {event.get('outcome')}" + (f", {event['reason']}" if event.get("reason") else "")
            yield Bar(lane, told, f"session-{_outcome_kind(event)}", told, first, order)
    for lane, (first, label) in begun.items():
        yield Bar(lane, label, "session-open", f"{label}: its end was not recorded in this run", first, last, cut=True)


def _outcome_kind(event: Event) -> str:
    return "good" if event.get("outcome") == "completed" else "bad"


def _lives(notes: Sequence[tuple[Item, Mapping[str, Any]]], last: float) -> Iterator[Bar]:
    """Each agent, from its start to its end; where it could not write that down, to its last sign, and what may be after it."""
    lives: dict[str, list[tuple[Item, Mapping[str, Any]]]] = {}
    for item, note in notes:
        lives.setdefault(_agent_lane(note), []).append((item, note))
    for lane, told in lives.items():
        task, heard = str(told[0][1].get("task")), told[-1][0].order
        yield Bar(lane, task, "life", f"{lane}, at work on {task}", told[0][0].order, heard)
        if not any(note.get("what") == "end" for _, note in told):
            yield Bar(lane, task, "unheard", f"{lane} wrote no end down: it was killed, or goes on", heard, last)


def _number(value: object) -> float:
    """`value` where it is a finite number, else 0: ledgers and journals may hold anything."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    return 0.0
