"""What is kept of the calls under a shim, and how the same faults are made to happen again."""

from __future__ import annotations

import json

import pytest

from faults.shim import ShimCall, shim_plan
from faults.shim_trace import Fired, ShimTraceError, again, call_line, first_line, read_fired
from faults.trace import Injection

PLAN = shim_plan('transport.new-window=50%*exit(1, "no")', seed=7)
HEAD = first_line(PLAN, 1_767_225_600.0)


def call(number: int, at: int | None = None) -> bytes:
    """The line of a call, to which something has happened if it is the how manieth of its point."""
    action = PLAN.faults[0].terms[0].action
    rule = str(PLAN.faults[0])
    injection = None if at is None else Injection(1, 0.1, "transport.new-window", at, str(action), rule, action)
    return call_line(ShimCall(number, 0.1234567, 42, ("transport.new-window",), "tmux new-window", injection, "exit 1"))


def saying(action: str, point: str = "transport.new-window") -> bytes:
    """The line of a first call of that point with that action."""
    return json.dumps({"injection": {"point": point, "call": 1, "action": action}}).encode() + b"\n"


@pytest.mark.parametrize(
    ("calls", "plan"),
    [
        ({"a": [1]}, "transport.a=1*empty"),
        ({"a": [3]}, "transport.a=2*pass->1*empty"),
        ({"a": [4, 2, 3], "b": [1]}, "transport.a=1*pass->3*empty;transport.b=1*empty"),
        ({"a": [1, 3]}, "transport.a=1*empty->1*pass->1*empty"),
        ({}, ""),
    ],
)
def test_what_happened_is_planned_again_at_the_same_calls(calls: dict[str, list[int]], plan: str) -> None:
    """However it came about; passes lie between."""
    names = {"a": "has-session", "b": "new-window"}
    what = [Fired(f"transport.{names[point]}", at, "empty") for point, found in calls.items() for at in found]

    due = plan.replace("transport.a", "transport.has-session").replace("transport.b", "transport.new-window")
    assert str(again(what)) == due


def test_different_actions_stay_apart() -> None:
    """Also where they follow each other, lost answers included."""
    what = [Fired("transport.new-window", 2, 'lost:exit(1, "x")'), Fired("transport.new-window", 1, "timeout(3)")]

    assert str(again(what)) == 'transport.new-window=1*timeout(3)->1*lost:exit(1, "x")'


def test_a_trace_tells_each_call_on_a_line() -> None:
    """As JSON, with the plan and its seed before them."""
    head, passed, failed = (json.loads(line) for line in (HEAD, call(1), call(2, at=2)))

    assert (head["plan"], head["seed"], head["began"]) == (str(PLAN), 7, "2026-01-01T00:00:00.000Z")
    assert passed["injection"] is None
    assert failed["injection"]["call"] == 2
    assert (failed["number"], failed["at_s"], failed["pid"]) == (2, 0.123457, 42)


def test_what_a_trace_tells_is_what_happened() -> None:
    """Also where an editor has taken the end of its last line."""
    data = HEAD + call(1) + call(2, at=2)

    assert read_fired(data) == read_fired(data[:-1]) == [Fired("transport.new-window", 2, 'exit(1, "no")')]


def test_a_trace_that_is_cut_within_a_line_is_never_read() -> None:
    """Wherever that is: what the line told would not happen again, and nobody would know."""
    last = call(2, at=2)[:-1]

    for size in range(1, len(last)):
        with pytest.raises(ShimTraceError, match="line 3 is torn: its end is missing") as refused:
            read_fired(HEAD + call(1) + last[:size])
        assert refused.value.of_a_call
    for size in range(1, len(HEAD) - 1):
        with pytest.raises(ShimTraceError, match="line 1 is torn") as refused:
            read_fired(HEAD[:size])
        assert not refused.value.of_a_call


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no trace"),
        (b"{}\n", "no trace"),
        (b"\xff\n", "line 1 is no JSON"),
        (b"[" * 100_000 + b"\n", "line 1 is no JSON"),
        (HEAD.replace(b'"schema": 1', b'"schema": 2'), "its schema is 2"),
        (HEAD.replace(b'"seed": 7', b'"seed": "x"'), "line 1: its seed is 'x'"),
        (HEAD.replace(b'"seed": 7', b'"seed": true'), "line 1: its seed is True"),
        (HEAD.replace(b'"seed": 7', b'"seed": -1'), "line 1: its seed is -1"),
        (b'{"kind": "seamripper shim", "schema": 1, "plan": 5, "seed": 0}\n', "line 1: its plan is 5"),
        (b'{"kind": "seamripper shim", "schema": 1, "seed": 0}\n', "line 1: its plan is None"),
        (b'{"kind": "seamripper shim", "schema": 1, "plan": "x=y", "seed": 0}\n', "line 1: its plan: "),
        (HEAD + b"[]\n", "line 2 is no JSON object"),
        (HEAD + b'{"number": 1}\n', "line 2 does not tell"),
        (HEAD + call(1) + b"{\n", "line 3 is no JSON"),
        (HEAD + b'{"injection": {"point": "transport.new-window"}}\n', "line 2 does not tell"),
        (HEAD + call(2, at=2).replace(b'"call": 2', b'"call": 0'), "line 2 does not tell"),
        (HEAD + call(2, at=2).replace(b'"transport.new-window", "call"', b'"transport.x", "call"'), "unknown point"),
        (HEAD + call(2, at=2).replace(b'"call": 2', b'"call": true'), "line 2 does not tell"),
        (HEAD + call(1, at=2) + call(2, at=2), "line 3: something happened at call 2 of transport.new-window already"),
        (HEAD + saying("empty;transport.*=die"), "line 2: .* is not one action"),
        (HEAD + saying("empty->1*die"), "line 2: .* is not one action"),
        (HEAD + saying("empty", point="transport.new-window=die;transport.list-keys"), "line 2: .* is not one action"),
        (HEAD + saying("2*empty"), "line 2: "),
        (HEAD + saying("empty", point="transport.*"), "line 2: .* is not one action at one point"),
        (HEAD + saying("empty", point="transport.new-w*"), "line 2: .* is not one action at one point"),
        (HEAD + saying("empty", point='transport.new-window[argv="x"]'), "line 2: .* is not one action at one point"),
    ],
)
def test_what_is_no_trace_is_refused(data: bytes, why: str) -> None:
    """With the line that is wrong."""
    with pytest.raises(ShimTraceError, match=why):
        read_fired(data)
