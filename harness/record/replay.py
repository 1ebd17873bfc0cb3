"""Rolls a snapshot forward by what the journal says happened after it.

`state` on a line is a whole document, as in `state.json`; the first line of a journal has it. `ENDING_EVENTS`,
`TASK_EVENTS` and `SESSION_EVENTS` name the lines that tell of a part of the state, by the fields that they carry. A field
of another type than the state's is passed over, and so is any other line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from harness.record.errors import RecordError
from harness.record.journal import Event
from harness.record.plain import seconds
from harness.record.state import (
    Attempt,
    Crashed,
    CrashRef,
    Ending,
    Finished,
    Paused,
    RunState,
    Stopped,
    TaskPhase,
    TaskState,
)

__all__ = [
    "ENDING_EVENTS",
    "SESSION_EVENTS",
    "TASK_EVENTS",
    "ending_of",
    "endings_in",
    "rebuild",
    "remember_crash",
    "replay",
]

ENDING_EVENTS: dict[str, type[Finished | Paused | Stopped | Crashed]] = {
    "run-complete": Finished,
    "run-finished": Finished,
    "run-paused": Paused,
    "run-stopped": Stopped,
    "run-crash": Crashed,
}
"""Events that end an epoch, and the ending whose fields they carry."""

TASK_EVENTS: dict[str, TaskPhase] = {
    "attempt": TaskPhase.RUNNING,
    "task-retry": TaskPhase.PENDING,
    "task-done": TaskPhase.DONE,
    "task-deferred": TaskPhase.DEFERRED,
    "task-escalated": TaskPhase.ESCALATED,
}
"""Events that move the task `task` into a phase; those with a `reason` give the task that reason."""

SESSION_EVENTS = frozenset({"attempt", "session-started", "decision-pending", "decision-made", "session-ended"})
"""Events about attempt `number` of the task `task`; they carry fields of `Attempt`, `window` for `window_id`, and the last
of them also the task's `not_before` and `summary`."""

_ATTEMPTS = 10**9
"""No attempt has that number: a line that says so is damaged."""

_ATTEMPT_FIELDS = tuple(name for name in Attempt.__struct_fields__ if name not in ("number", "pids"))


def endings_in(events: Iterable[Event]) -> list[Event]:
    """The lines that may tell of an ending; `ending_of` says of which."""
    return [event for event in events if "ending" in event or event["event"] in ENDING_EVENTS]


def ending_of(event: Mapping[str, Any]) -> Ending | None:
    """The ending that a line tells of, if it does."""
    told = event.get("ending")
    if isinstance(told, dict):
        converted: Ending | None = _converted(told, Ending)
        return converted
    kind = ENDING_EVENTS.get(event["event"])
    if kind is None:
        return None
    fields = {name: event[name] for name in kind.__struct_fields__ if name in event}
    whole: Ending | None = _converted(fields, kind)
    return whole or _LEAST[kind]()


_LEAST: dict[type, Callable[[], Ending]] = {
    Finished: Finished,
    Paused: lambda: Paused("unknown reason"),
    Stopped: lambda: Stopped("unknown"),
    Crashed: lambda: Crashed("unknown error"),
}


def rebuild(events: Iterable[Event], run_id: str) -> RunState | None:
    """A state out of nothing but the journal; `None` if it has no lines."""
    events = list(events)
    if not events:
        return None
    state = RunState(run_id=run_id, created_at=seconds(events[0].get("at")))
    return replay(state, events)


def replay(state: RunState, events: Iterable[Event]) -> RunState:
    """The state after those events of `events` that it does not tell of yet; `state` itself may be changed.

    An ending of its epoch stands, whatever the snapshot says after it: a crash always, another where it has none.
    """
    events = list(events)
    for event in events:
        if event["epoch"] >= state.epoch and event["seq"] > state.seq:
            state = _apply(state, event)
    for event in endings_in(events):
        if event["epoch"] == state.epoch:
            _end(state, event)
    return state


def _apply_command(state: RunState, event: Event) -> None:
    number = event.get("number")
    if type(number) is int and number == state.commands_done + 1:
        state.commands_done = number
        if event.get("problem") is not None:
            state.commands_failed.append(str(event.get("command")))


def _apply(state: RunState, event: Event) -> RunState:
    document = event.get("state")
    if isinstance(document, dict):
        with contextlib.suppress(RecordError):
            state = RunState.from_dict(document)
    if event["epoch"] > state.epoch:
        state.rearm(event["epoch"])
    state.seq = max(state.seq, event["seq"])
    state.updated_at = seconds(event.get("at"))
    name = event["event"]
    if isinstance(event.get("task"), str) and (name in TASK_EVENTS or name in SESSION_EVENTS):
        _apply_task(state, event)
    elif name == "teardown" and isinstance(event.get("outcome"), str):
        state.teardown = event["outcome"]
    elif name == "nested-run" and isinstance(event.get("run"), str) and event["run"] not in state.nested:
        state.nested.append(event["run"])
    elif name == "post-run":
        _apply_command(state, event)
    ending = ending_of(event)
    if ending is not None and not state.crashed:
        state.ending = ending
    _remember(state, event, ending)
    return state


def _remember(state: RunState, event: Event, ending: Ending | None) -> None:
    if isinstance(ending, Crashed):
        remember_crash(state, CrashRef(event["epoch"], event["seq"], ending.error, ending.record))


def _end(state: RunState, event: Event) -> None:
    ending = ending_of(event)
    if ending is None:
        return
    _remember(state, event, ending)
    if not state.crashed and (state.ending is None or isinstance(ending, Crashed)):
        state.ending = ending


def remember_crash(state: RunState, crash: CrashRef) -> None:
    """Put a crash into the history, once: the same record, or where there is none the same error in the same epoch."""
    for other in state.crashes:
        same = other.record == crash.record if other.record and crash.record else other.error == crash.error
        if other.epoch == crash.epoch and same:
            return
    state.crashes.append(crash)


def _apply_task(state: RunState, event: Event) -> None:
    try:
        task = state.task(event["task"])
    except KeyError:
        task = TaskState(event["task"])
        state.tasks.append(task)
    number = event.get("number")
    if event["event"] in SESSION_EVENTS and type(number) is int and 0 < number < _ATTEMPTS:
        _apply_attempt(task, number, event)
    if event["event"] == "session-ended":
        _tell_task(task, event)
    phase = TASK_EVENTS.get(event["event"])
    if phase is not None:
        task.phase = phase
        task.reason = reason if isinstance(reason := event.get("reason"), str) else ""


def _tell_task(task: TaskState, event: Event) -> None:
    """What the end of a session says about its task."""
    for name in ("not_before", "summary"):
        whole = _converted({"key": task.key, name: event[name]}, TaskState) if name in event else None
        if whole is not None:
            setattr(task, name, getattr(whole, name))


def _apply_attempt(task: TaskState, number: int, event: Event) -> None:
    attempt = next((attempt for attempt in task.attempts if attempt.number == number), None)
    if attempt is None:
        attempt = Attempt(number, "", started_at=seconds(event.get("at")))
        task.attempts.append(attempt)
    told = {name: event[name] for name in _ATTEMPT_FIELDS if name in event}
    if event["event"] == "session-ended":
        told.setdefault("ended_at", event.get("at"))
        told["pending"] = ""
    if "window" in event:
        told["window_id"] = event["window"]
    for name, value in told.items():
        whole = _converted({"number": number, "token": "", name: value}, Attempt)
        if whole is not None:
            setattr(attempt, name, getattr(whole, name))


def _converted(document: Mapping[str, Any], kind: Any) -> Any:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return None
