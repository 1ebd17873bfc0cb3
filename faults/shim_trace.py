"""What is kept of the calls under a shim: one JSON document a line, and the plan that makes the same faults happen again.

The first line says what was planned, each other one tells a call (see `faults.shim.ShimCall`), in the order in which their
outcomes came to be known. Nothing of an environment, of standard input, or of a payload is in it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from backends.clock import timestamp
from faults.errors import FaultPlanError, shortened
from faults.numbers import is_whole
from faults.plan import FaultPlan
from faults.shim import ShimCall, shim_catalog, shim_plan
from faults.trace import Injection

__all__ = ["Fired", "ShimTraceError", "again", "call_line", "fired", "first_line", "read_fired"]

_KIND = "seamripper shim"
_SCHEMA = 1


class ShimTraceError(ValueError):
    """A file that is no trace of a shim, or not a whole one; says which line is wrong.

    `of_a_call` is true where it is the line of a call: without that line the others can still be read.
    """

    def __init__(self, message: str, *, of_a_call: bool = False) -> None:
        super().__init__(message)
        self.of_a_call = of_a_call


class Fired(NamedTuple):
    """A fault that happened: where, at the how manieth call of that point, and what, as text."""

    point: str
    call: int
    action: str


def fired(injections: Iterable[Injection]) -> list[Fired]:
    """What has happened, as far as it can be made to happen again."""
    return [Fired(one.point, one.call_number, one.action) for one in injections]


def again(what: Iterable[Fired]) -> FaultPlan:
    """The plan under which the same happens at the same calls, without any chance."""
    by_point: defaultdict[str, list[Fired]] = defaultdict(list)
    for one in sorted(what):
        by_point[one.point].append(one)
    rules = (f"{point}={'->'.join(_terms(found))}" for point, found in by_point.items())
    return shim_plan(";".join(rules))


def _terms(found: list[Fired]) -> list[str]:
    terms: list[tuple[int, str]] = []
    due = 1
    for one in found:
        if one.call > due:
            terms.append((one.call - due, "pass"))
        if terms and terms[-1][1] == one.action:
            terms[-1] = (terms[-1][0] + 1, one.action)
        else:
            terms.append((1, one.action))
        due = one.call + 1
    return [f"{count}*{action}" for count, action in terms]


def first_line(plan: FaultPlan, began: float) -> bytes:
    """How a trace begins; `began` is seconds since the epoch."""
    return _line({"kind": _KIND, "schema": _SCHEMA, "began": timestamp(began), "plan": str(plan), "seed": plan.seed})


def call_line(call: ShimCall) -> bytes:
    """One call."""
    injection = call.injection and {
        "number": call.injection.number,
        "point": call.injection.point,
        "call": call.injection.call_number,
        "action": call.injection.action,
        "rule": call.injection.rule,
    }
    about = {"number": call.number, "at_s": round(call.at_s, 6), "pid": call.pid, "points": call.points}
    return _line({**about, "argv": call.argv, "outcome": call.outcome, "injection": injection})


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode("ascii") + b"\n"


def read_fired(data: bytes) -> list[Fired]:
    """What happened, as a trace tells it.

    Raises `ShimTraceError` for what is no such trace, and for one whose last line lacks its end, as where the shim was killed:
    what that line told would not happen again, and nobody would know.
    """
    lines = data.split(b"\n")
    torn = len(lines) if lines[-1] else 0
    if not torn:
        lines.pop()
    if not lines:
        raise ShimTraceError(_NO_TRACE)
    _check_head(_document(lines[0], 1, torn))
    found: list[Fired] = []
    seen: set[tuple[str, int]] = set()
    for number, line in enumerate(lines[1:], 2):
        injection = _document(line, number, torn).get("injection", _NOT_TOLD)
        if injection is not None:
            one = _fired_in(injection, number)
            if (one.point, one.call) in seen:
                raise _wrong(number, f": something happened at call {one.call} of {one.point} already")
            seen.add((one.point, one.call))
            found.append(one)
    return found


_NO_TRACE = "this is no trace of `seamripper shim --record`"
_NOT_TOLD = object()


def _wrong(number: int, what: str) -> ShimTraceError:
    return ShimTraceError(f"line {number}{what}", of_a_call=number > 1)


def _check_head(head: Mapping[str, Any]) -> None:
    if head.get("kind") != _KIND:
        raise ShimTraceError(_NO_TRACE)
    if (schema := head.get("schema")) != _SCHEMA:
        raise ShimTraceError(f"its schema is {schema!r:.20}, and {_SCHEMA} is what can be read here")
    plan, seed = head.get("plan"), head.get("seed")
    if not is_whole(seed) or seed < 0:
        raise _wrong(1, f": its seed is {seed!r:.20}, and has to be a whole number from 0 on")
    if not isinstance(plan, str):
        raise _wrong(1, f": its plan is {plan!r:.20}, and has to be a text")
    try:
        shim_plan(plan, seed)
    except FaultPlanError as wrong:
        raise _wrong(1, f": its plan: {shortened(str(wrong))}") from wrong


def _document(line: bytes, number: int, torn: int) -> Mapping[str, Any]:
    """What is on that line; the line `torn`, if not 0, is one that no newline ends."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong(number, " is torn: its end is missing" if number == torn else " is no JSON") from error
    if not isinstance(found, dict):
        raise _wrong(number, " is no JSON object")
    return found


def _fired_in(injection: object, number: int) -> Fired:
    match injection:
        case {"point": str(point), "call": int(call), "action": str(action)} if call >= 1 and not isinstance(
            call, bool
        ):
            try:
                faults = shim_plan(f"{point}=1*{action}").faults
            except FaultPlanError as wrong:
                raise _wrong(number, f": {shortened(str(wrong))}") from wrong
            if len(faults) != 1 or len(faults[0].terms) != 1 or shim_catalog().matching(faults[0]) != (point,):
                raise _wrong(number, f": {shortened(f'{action!r} at {point!r}')} is not one action at one point")
            return Fired(point, call, action)
    raise _wrong(number, " does not tell what was injected")
