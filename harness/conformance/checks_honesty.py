"""L1: whatever fails underneath, only what is declared comes out, and what is unknown is never reported as absent.

The checks are made from the contract's table: each kind of operation in each class of trouble.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from backends.operations import OPERATIONS, Kind, Operation
from harness.conformance.bench import Answer, Bench
from harness.conformance.listing import Listing
from harness.conformance.places import ForeignWorld
from harness.conformance.results import Level
from harness.conformance.safety import muted, require_reached
from harness.conformance.troubles import TROUBLES, FailingTransport, RaisingHook, Seen, Trouble, Trying, seen_under

__all__ = ["HONESTY"]

HONESTY = Listing(Level.L1, shared=True)

SECRET = "s3cret-of-the-kit"
"""Stands in an environment and in a text; an error that shows it would end up in a journal."""


def _wrong(bench: Bench, seen: Seen) -> str | None:
    """What is wrong with what came of one operation in one trouble; `None` if nothing is."""
    operation, answer = OPERATIONS[seen.answer.operation], seen.answer
    if answer.late:
        return str(seen)
    if answer.error is not None and not bench.knows_of(answer.error):
        return f"{seen}: raw, {_own_errors(bench)}"
    if operation.kind is Kind.LOCAL:
        return _wrong_locally(bench, seen)
    if not operation.raises:
        return _no_sentinel(operation, seen)
    if answer.error is None:
        return None if _may_be_silent(operation, seen) else f"{seen}: {_taken_for(answer)}"
    return None if bench.is_unknown(answer.error) else f"{seen}: a refusal, where nothing is known"


def _own_errors(bench: Bench) -> str:
    if bench.error is None:
        return "and no error type of its own was found (--mux-error package:Error names one)"
    return f"and not a {bench.error.__name__}"


def _wrong_locally(bench: Bench, seen: Seen) -> str | None:
    if seen.answer.operation != "available":
        return None
    if seen.answer.error is not None or seen.answer.value is not False:
        return f"{seen}, where False is due: it cannot be run"
    return None


def _no_sentinel(operation: Operation, seen: Seen) -> str | None:
    value, sentinel = seen.answer.value, operation.sentinel()
    if seen.answer.error is not None:
        return f"{seen}, where {sentinel!r} stands in"
    readable = seen.trouble.trying in (Trying.GARBAGE, Trying.EMPTY) and operation.answers(value)
    same = type(value) is type(sentinel) and value == sentinel
    return None if same or readable else f"{seen}, where {sentinel!r} stands in"


def _may_be_silent(operation: Operation, seen: Seen) -> bool:
    """Whether success without a word can be an answer: of a change, and where there may be nothing to tell."""
    return seen.trouble.trying is Trying.EMPTY and operation.answers(None) and seen.answer.value is None


def _taken_for(answer: Answer) -> str:
    absent = answer.value is False or answer.value in ([], frozenset())
    return "unknown was reported as absent" if absent else "an answer, where nothing is known"


def _concerns(operation: Operation, area: str) -> bool:
    if area == "COURTESY":
        return not operation.raises and operation.kind is not Kind.LOCAL
    return operation.kind.name == area and (operation.raises or area == "LOCAL")


def _look(area: str, trying: Trying, bench: Bench) -> Iterator[str]:
    """Each way of going wrong of each operation, once."""
    told: dict[tuple[str, str], list[str]] = {}
    for seen in seen_under(bench, trying):
        wrong = _wrong(bench, seen) if _concerns(OPERATIONS[seen.answer.operation], area) else None
        if wrong is not None:
            came = type(seen.answer.error).__name__ if seen.answer.error else repr(seen.answer.value)
            told.setdefault((seen.answer.operation, came), []).append(wrong)
    for first, *others in told.values():
        yield first + (f", and so in {len(others)} more" if others else "")


_AREAS = {
    "PROBE": (
        "a probe says that it does not know",
        "each probe raises an error of the backend that means unknown",
        "an empty list or a no where nobody answered makes a healthy agent dead",
    ),
    "CHANGE": (
        "a change says that it was not answered",
        "each change that has to be answered raises an error of the backend that means unknown",
        "its effect is unknown then, and has to be looked for before it is tried again",
    ),
    "COURTESY": (
        "a courtesy or a best-effort change answers its sentinel",
        "each one answers exactly the sentinel of the contract, and raises nothing",
        "callers are promised that they need not handle its failures",
    ),
    "LOCAL": (
        "`available` says no",
        "`available` answers False, and the local operations let nothing raw out",
        "a host that lacks the backend is found out with it",
    ),
}
_TRYING = (Trying.LATE, Trying.HOST, Trying.EXIT, Trying.GARBAGE, Trying.EMPTY)

for _area, (_title, _expected, _why) in _AREAS.items():
    for _number, _trying in enumerate(_TRYING, 1):
        HONESTY.add(
            f"SEAM-{_area}-{_number:03d}",
            f"{_title}: {_trying.value}",
            partial(_look, _area, _trying),
            expected=_expected,
            why=_why,
            source="contract.md, rules 1, 4 and 5; tmux-facts.md, answers, refusals and silence",
            needs=("clients",) if _trying is Trying.EXIT else (),
        )


@HONESTY.check(
    "SEAM-CHANGE-006",
    "a change that was not answered is not made again",
    expected="each change is asked for once, however late its answer",
    why="a timed-out change may take effect later: the second one starts a second agent",
    source="tmux-facts.md: a timed-out change still happens",
    needs=("calls",),
)
def not_retried(bench: Bench) -> Iterator[str]:
    """Changes that were asked for more than once."""
    for seen in seen_under(bench, Trying.LATE):
        if OPERATIONS[seen.answer.operation].kind is Kind.CHANGE and seen.asked > 1:
            yield f"{seen.answer.operation} asked {seen.asked} times ({seen.trouble.name}, {seen.way})"


@HONESTY.check(
    "SEAM-CHANGE-007",
    "what a best-effort change swallows is shown to the observers",
    expected="the observers of kill_session and kill_window see the error that became None",
    why="swallowed must never mean invisible: a run that cannot end its windows has to say so",
    source="contract.md, rule 2",
    needs=("observers",),
)
def swallowed_is_visible(bench: Bench) -> Iterator[str]:
    """Kills that failed without anybody having been told."""
    require_reached(bench)
    ways = (Trying.LATE, Trying.EXIT) if bench.has_transport else (Trying.LATE,)
    failed = [one for one in TROUBLES if one.trying in ways]
    for trouble, name in itertools.product(failed, ("kill_session", "kill_window")):
        mux = _mux_in_trouble(bench, trouble)
        calls: list[object] = []
        mux.observe(calls.append)
        bench.attempt(mux, name, **OPERATIONS[name].sample)
        if not calls or getattr(calls[-1], "error", None) is None:
            yield f"{name} failed ({trouble.name}), and no observer was told"


def _mux_in_trouble(bench: Bench, trouble: Trouble) -> Any:
    """A backend that nobody answers: by its transport, or below its guard where it has none."""
    failing = FailingTransport(trouble)
    mux = bench.make(wrap=lambda inner: failing)
    if bench.ours and not bench.has_transport:
        mux.hook = RaisingHook(trouble)
    return mux


_INVALID: tuple[tuple[str, dict[str, object]], ...] = (
    ("has_session", {"name": "a\0b"}),
    ("new_session", {"name": "run-2", "cwd": "/a\0b"}),
    ("set_session_option", {"name": "run-1", "option": "@a", "value": "a\0b"}),
    ("new_window", {"session": "run-1", "name": "w", "cwd": "/", "env": {"A": "a\0b"}, "command": "true"}),
    ("new_window", {"session": "run-1", "name": "w", "cwd": "/", "env": {}, "command": "echo 'open"}),
    ("send_text", {"window_id": "@1", "text": "a\0b"}),
    ("send_text", {"window_id": "@1", "text": "lone \udcff surrogate"}),
    ("list_window_ids", {"session": "lone-\udcff"}),
)


@HONESTY.check(
    "SEAM-ARGS-001",
    "arguments that can never be accepted are refused by an error of the backend",
    expected="NUL, lone surrogates and open quotes are refused with the backend's own error",
    why="ValueError and UnicodeEncodeError of the spawn are as raw as any",
    source="contract.md, rules 1, 6 and 7",
)
def invalid_arguments(bench: Bench) -> Iterator[str]:
    """What came of arguments that no process can be started with."""
    with _asked_in_vain(bench) as mux:
        for name, arguments in _INVALID:
            if not callable(getattr(mux, name, None)):
                continue
            answer = bench.attempt(mux, name, **arguments)
            if answer.late or not bench.knows_of(answer.error):
                shown = ", ".join(f"{value!a:.30}" for value in arguments.values())
                yield f"{answer} for ({shown}), where it had to be refused"


@contextmanager
def _asked_in_vain(bench: Bench) -> Iterator[Any]:
    """A backend whose clients all succeed and do nothing, so that what is not refused is seen; one of ours as it is."""
    if isinstance(bench.world, ForeignWorld):
        with muted(bench, lambda inner: FailingTransport(_NOTHING), 0) as mux:
            yield mux
    else:
        yield bench.mux


(_NOTHING,) = (trouble for trouble in TROUBLES if trouble.trying is Trying.EMPTY)


_TELLING: tuple[tuple[str, dict[str, object]], ...] = (
    (
        "new_window",
        {"session": "run-1", "name": "w", "cwd": "/", "env": {"TOKEN": SECRET}, "command": f"echo {SECRET}"},
    ),
    ("send_text", {"window_id": "@1", "text": SECRET}),
)


@HONESTY.check(
    "SEAM-SECRET-001",
    "errors show no environment and no typed text",
    expected="neither the error nor anything chained to it shows what was given as environment, command or text",
    why="an error message ends up in crash records and journals",
    source="contract.md, rule 3",
)
def no_secret_in_errors(bench: Bench) -> Iterator[str]:
    """Errors that show what was given in confidence."""
    for name, arguments in _TELLING:
        with _unanswered(bench) as mux:
            answer = bench.attempt(mux, name, **arguments)
        if _shows(answer.error, SECRET):
            yield f"{name} raised {type(answer.error).__name__}, which shows what was given"
    for seen in seen_under(bench, Trying.LATE):
        given = {"new_window": "A=1", "send_text": "hello"}.get(seen.answer.operation)
        if given is not None and _shows(seen.answer.error, given):
            yield f"{seen.answer.operation} raised {type(seen.answer.error).__name__}, which shows what was given"


@contextmanager
def _unanswered(bench: Bench) -> Iterator[Any]:
    """A backend that nobody answers."""
    if isinstance(bench.world, ForeignWorld):
        with muted(bench, lambda inner: FailingTransport(TROUBLES[0]), 1, b"lost server\n") as mux:
            yield mux
    else:
        yield _mux_in_trouble(bench, TROUBLES[0])


def _shows(error: BaseException | None, secret: str) -> bool:
    """Whether the error, or one that is chained to it, has the secret in it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if secret in f"{error} {error!r} {vars(error)}":
            return True
        error = error.__cause__ or error.__context__
    return False
