"""Rolls a snapshot forward by what the journal says happened after it.

Lines tell parts of the state by their fields, whatever the event is called:

- `state`: a whole document, as in `state.json` (the first line of a journal has it);
- `ending`: an ending, as in `state.json`; the events in `ENDING_EVENTS` tell one by their own fields;
- `task` with `phase`, `reason`, `feedback`, `summary` or `not_before`: that task's;
- `task` with `attempt`: that attempt, whole as an object, or by number with the fields of `Attempt` beside it.

A field of another type than the state's is no part of it, and is passed over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from harness.record.errors import RecordError
from harness.record.journal import Event
from harness.record.state import (
    Attempt,
    Crashed,
    CrashRef,
    Ending,
    Finished,
    Paused,
    RunState,
    Stopped,
    TaskState,
)

__all__ = ["ENDING_EVENTS", "ending_of", "rebuild", "replay"]

ENDING_EVENTS: dict[str, type[Finished | Paused | Stopped | Crashed]] = {
    "run-complete": Finished,
    "run-finished": Finished,
    "run-paused": Paused,
    "run-stopped": Stopped,
    "run-crash": Crashed,
}
"""Events that end an epoch, and the ending whose fields they carry."""

_TASK_FIELDS = ("phase", "reason", "feedback", "summary", "not_before")
_ATTEMPT_FIELDS = tuple(name for name in Attempt.__struct_fields__ if name != "number")


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
    whole: Ending | None = _converted({**fields, "kind": kind.__struct_config__.tag}, kind)
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
    state = RunState(run_id=run_id, created_at=_number(events[0].get("at")), epoch=1)
    return replay(state, events)


def replay(state: RunState, events: Iterable[Event]) -> RunState:
    """The state after those events of `events` that it does not tell of yet; `state` itself may be changed."""
    for event in events:
        if (event["epoch"], event["seq"]) <= (state.epoch, state.seq):
            continue
        if event["epoch"] < state.epoch:
            continue
        state = _apply(state, event)
    return state


def _apply(state: RunState, event: Event) -> RunState:
    document = event.get("state")
    if isinstance(document, dict):
        with contextlib.suppress(RecordError):
            state = RunState.from_dict(document)
    if event["epoch"] > state.epoch:
        state.rearm(event["epoch"])
    state.seq = max(state.seq, event["seq"])
    state.updated_at = _number(event.get("at"))
    if isinstance(event.get("task"), str):
        _apply_task(state, event)
    ending = ending_of(event)
    if ending is not None and not state.crashed:
        state.ending = ending
    if isinstance(ending, Crashed):
        remember_crash(state, CrashRef(event["epoch"], event["seq"], ending.error, ending.record))
    return state


def remember_crash(state: RunState, crash: CrashRef) -> None:
    """Put a crash into the history, once."""
    known = any(
        (other.epoch, other.record) == (crash.epoch, crash.record) if crash.record else other == crash
        for other in state.crashes
    )
    if not known:
        state.crashes.append(crash)


def _apply_task(state: RunState, event: Event) -> None:
    told = {name: event[name] for name in _TASK_FIELDS if name in event}
    attempt = event.get("attempt")
    if "phase" not in told and attempt is None:
        return
    try:
        task = state.task(event["task"])
    except KeyError:
        task = TaskState(event["task"])
        state.tasks.append(task)
    number = attempt.get("number") if isinstance(attempt, dict) else attempt
    if type(number) is int and number > 0:
        told_of = attempt if isinstance(attempt, dict) else {n: event[n] for n in _ATTEMPT_FIELDS if n in event}
        _apply_attempt(task, number, told_of)
    if "phase" in told:
        _update(task, told)


def _apply_attempt(task: TaskState, number: int, told: Mapping[str, Any]) -> None:
    known = next((attempt for attempt in task.attempts if attempt.number == number), None)
    if known is None:
        known = Attempt(number, "")
        task.attempts.append(known)
    _update(known, {name: told[name] for name in _ATTEMPT_FIELDS if name in told})


def _update(part: Attempt | TaskState, told: Mapping[str, Any]) -> None:
    """Take over those fields whose values have the right type."""
    for name, value in told.items():
        document = msgspec.to_builtins(part) | {name: value}
        whole = _converted(document, type(part))
        if whole is not None:
            setattr(part, name, getattr(whole, name))


def _converted(document: Mapping[str, Any], kind: Any) -> Any:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
