"""The guard: nothing raw crosses the seam.

Every operation of every backend runs as `guard(hook(operation))`, whatever a subclass overrides: `TerminalMultiplexer`
wraps the operations of each subclass when the class is made. Below the guard a hook may interpose (fault injection);
above it only an answer, a sentinel or a `MultiplexerError` is seen. What became a sentinel is shown to the observers.

An operation that is built from other operations counts once: the inner ones run as plain methods, so their failures
reach the outer guard as they are, and are judged by the outer operation's policy.
"""

from __future__ import annotations

import errno
import functools
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from backends.clock import Clock
from backends.errors import (
    CommandRejected,
    MultiplexerError,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
    redact_argv,
)
from backends.operations import OPERATIONS, Kind, Operation, check_arguments

__all__ = ["Call", "Hook", "Observer", "Seam", "guard_operations", "translate"]

PROBE_TIMEOUT_S = 5.0
"""Deadline of a probe or courtesy unless told otherwise; contract.md, rule 9."""
CHANGE_TIMEOUT_S = 30.0
"""Deadline of a change unless told otherwise; contract.md, rule 9."""
_LONGEST_S = 1e8
"""What any deadline is at most, three years: who gives more, or infinity, means none, and no wait of a host takes that."""


class Call:
    """One call of one operation, from before it is made until after it was judged.

    `number` counts the calls of this backend from 1. `deadline_s` is what the call may take. `error` is what the caller
    got to see, or what was swallowed into a sentinel (`swallowed`). Times are seconds of the backend's clock.
    """

    __slots__ = (
        "_args",
        "_kwargs",
        "_parameters",
        "answer",
        "deadline_s",
        "elapsed_s",
        "error",
        "number",
        "operation",
        "started_s",
        "swallowed",
    )

    def __init__(
        self,
        operation: Operation,
        parameters: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        number: int,
        started_s: float,
        deadline_s: float,
    ) -> None:
        self.operation = operation
        self._parameters = parameters
        self._args = args
        self._kwargs = kwargs
        self.number = number
        self.started_s = started_s
        self.deadline_s = deadline_s
        self.elapsed_s = 0.0
        self.answer: object = None
        self.error: BaseException | None = None
        self.swallowed = False

    @property
    def arguments(self) -> dict[str, object]:
        """The call's arguments by parameter name; omitted ones are absent."""
        arguments: dict[str, object] = dict(zip(self._parameters, self._args, strict=False))
        arguments.update(self._kwargs)
        return arguments

    @property
    def target(self) -> str | None:
        """What the call is about, see `Operation.target_of`."""
        return self.operation.target_of(self.arguments)

    @property
    def outcome(self) -> str:
        """`answered`, `swallowed` or `raised`."""
        if self.swallowed:
            return "swallowed"
        return "answered" if self.error is None else "raised"

    def __str__(self) -> str:
        return self.operation.described(self.arguments)


class Hook(Protocol):
    """Where a test interposes, below the guard."""

    def around(self, call: Call, proceed: Callable[[], object]) -> object:
        """Answer `call`, by calling `proceed` or instead of it; may raise anything that a broken transport could."""


Observer = Callable[[Call], None]
"""Called after every call, with what came of it."""


class _Inside(threading.local):
    """What a thread is inside of: a call, and a budget that ends at a time of the clock."""

    call: Call | None = None
    end: float | None = None


class Seam:
    """What one backend instance needs to be guarded: its clock, deadlines, hook and observers."""

    def __init__(self, clock: Clock, call_timeout_s: float | None) -> None:
        self.clock = clock
        self.call_timeout_s = None if call_timeout_s is None else min(call_timeout_s, _LONGEST_S)
        self.hook: Hook | None = None
        self.observers: list[Observer] = []
        self.calls = 0
        self._inside = _Inside()

    @property
    def current(self) -> Call | None:
        """The call that this thread is inside of."""
        return self._inside.call

    @current.setter
    def current(self, call: Call | None) -> None:
        self._inside.call = call

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """Within, no call of this thread may take longer than what is left of `seconds`."""
        outer = self._inside.end
        end = self.clock.monotonic() + seconds
        self._inside.end = end if outer is None else min(outer, end)
        try:
            yield
        finally:
            self._inside.end = outer

    def deadline_s(self, operation: Operation) -> float:
        """How long a call of `operation` made now may take; not positive when the budget is used up."""
        own = self.call_timeout_s
        if own is None:
            own = CHANGE_TIMEOUT_S if operation.kind is Kind.CHANGE else PROBE_TIMEOUT_S
        end = self._inside.end
        return own if end is None else min(own, end - self.clock.monotonic())

    def remaining_s(self) -> float:
        """What is left of the deadline of the call that this thread is inside of; never negative."""
        call = self._inside.call
        if call is None:
            return PROBE_TIMEOUT_S if self.call_timeout_s is None else self.call_timeout_s
        return max(0.0, call.started_s + call.deadline_s - self.clock.monotonic())


def translate(raw: BaseException, outside: BaseException | None = None) -> MultiplexerError | None:
    """The error that `raw` means at the seam, or `None` for what is not the multiplexer's: a bug, or control flow.

    Payloads that Python puts into its exceptions (command lines, outputs, undecodable text) are taken out of `raw` and of
    what is chained to it, in place, because the chain stays visible; it ends before `outside`, which the caller handles.
    """
    for error in _chain(raw, outside):
        _withhold(error)
    if isinstance(raw, MultiplexerError):
        return raw
    for kinds, make in _TRANSLATIONS:
        if isinstance(raw, kinds):
            return make(raw)
    return None


def _chain(raw: BaseException, outside: BaseException | None) -> Iterator[BaseException]:
    waiting: list[BaseException | None] = [raw]
    seen = {id(None), id(outside)}
    while waiting:
        error = waiting.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            waiting += (error.__cause__, error.__context__)
            yield error


class _Shown(str):
    """A command line that is redacted already."""

    __slots__ = ()


def _withhold(error: BaseException) -> None:
    if isinstance(error, subprocess.TimeoutExpired) and isinstance(error.timeout, float):
        # What was left of a budget has as many digits as the clock.
        error.timeout = round(error.timeout, 3)
    command = getattr(error, "cmd", None)
    if isinstance(error, subprocess.SubprocessError) and not isinstance(command, _Shown | None):
        many = isinstance(command, list | tuple)
        shown = _Shown(redact_argv(command) if many else f"<command: {len(str(command))} chars>")
        error.cmd = shown  # type: ignore[attr-defined]  # both kinds that have a command take another one
        error.args = (shown,)
        for stream in ("output", "stderr"):
            if getattr(error, stream, None) is not None:
                setattr(error, stream, None)
    elif isinstance(error, UnicodeDecodeError | UnicodeEncodeError):
        error.object = error.object[:0]
        error.args = (error.encoding, error.object, error.start, error.end, error.reason)


def _timed_out(raw: BaseException) -> MultiplexerError:
    return TransportTimeout(f"no answer: {_short(raw)}")


def _from_os(raw: OSError) -> MultiplexerError:
    if raw.errno == errno.ETIMEDOUT or isinstance(raw, TimeoutError):
        return _timed_out(raw)
    code = errno.errorcode.get(raw.errno or 0)
    return TransportUnavailable(f"could not ask: {f'{code}: ' if code else ''}{_short(raw)}")


def _unavailable(raw: BaseException) -> MultiplexerError:
    return TransportUnavailable(f"could not ask: {_short(raw)}")


def _garbled(raw: BaseException) -> MultiplexerError:
    return TransportGarbled(f"unreadable answer: {_short(raw)}")


def _of_value(raw: BaseException) -> MultiplexerError:
    if _NUL.search(str(raw)):
        return CommandRejected(f"argument refused: {_short(raw)}", invalid_argument=True)
    return _garbled(raw)


_NUL = re.compile(r"embedded null (?:byte|character)")
"""What Python says of an argument with a NUL, before anything is spawned or opened.

Any other `ValueError` may come from reading an answer, when a change is made already: that is unknown, never a refusal.
"""


_TRANSLATIONS: tuple[tuple[type[BaseException], Callable[[Any], MultiplexerError]], ...] = (
    (subprocess.TimeoutExpired, _timed_out),
    (subprocess.SubprocessError, _unavailable),
    (OSError, _from_os),
    (UnicodeError, _garbled),
    (ValueError, _of_value),
)
"""From most to least specific: `UnicodeError` is a `ValueError`, `TimeoutExpired` a `SubprocessError`."""


def _short(raw: BaseException) -> str:
    if isinstance(raw, OSError):
        return raw.strerror or type(raw).__name__
    if isinstance(raw, UnicodeError):
        return f"{type(raw).__name__}: {getattr(raw, 'reason', 'bad encoding')}"
    if isinstance(raw, subprocess.SubprocessError):
        return f"{type(raw).__name__}: {raw}"
    return f"{type(raw).__name__}: {str(raw)[:200]}"


class _Guarded(Protocol):
    @property
    def seam(self) -> Seam: ...


def guard_operations(cls: type) -> None:
    """Wrap every operation that `cls` has and that is not wrapped yet, whichever of its bases it comes from."""
    for name, operation in OPERATIONS.items():
        method = inspect.getattr_static(cls, name, None)
        if method is not None and not hasattr(method, "__seam_operation__"):
            setattr(cls, name, _guarded(operation, method))


def _guarded(operation: Operation, defined: Any) -> Callable[..., object]:
    """`defined`, as it stands in a class body, behind the guard."""
    parameters = tuple(operation.arguments)

    def bound(self: _Guarded, *args: Any, **kwargs: Any) -> object:
        return defined.__get__(self, type(self))(*args, **kwargs)

    method: Callable[..., object] = defined if inspect.isfunction(defined) else bound

    def run(self: _Guarded, *args: Any, **kwargs: Any) -> object:
        seam = self.seam
        if seam.current is not None:
            return method(self, *args, **kwargs)
        outside = sys.exception()
        seam.calls += 1
        call = Call(operation, parameters, args, kwargs, seam.calls, seam.clock.monotonic(), seam.deadline_s(operation))
        try:
            seam.current = call
            try:
                call.answer = _answer(seam, call, functools.partial(method, self, *args, **kwargs))
            finally:
                seam.current = None
                call.elapsed_s = seam.clock.monotonic() - call.started_s
        except BaseException as raw:
            return _judge(seam, call, raw, outside)
        for observer in tuple(seam.observers):
            observer(call)
        return call.answer

    functools.update_wrapper(run, defined)
    run.__seam_operation__ = operation  # type: ignore[attr-defined]  # a marker on a function object
    return run


def _answer(seam: Seam, call: Call, proceed: Callable[[], object]) -> object:
    check_arguments(call.operation, call.arguments)
    if call.deadline_s <= 0 and call.operation.kind is not Kind.LOCAL:
        raise TransportUnavailable("not asked: the caller's time budget is used up")
    answer = proceed() if seam.hook is None else seam.hook.around(call, proceed)
    if not call.operation.answers(answer):
        raise TransportGarbled(f"answered {type(answer).__name__} where {call.operation.due} was due")
    return answer


def _judge(seam: Seam, call: Call, raw: BaseException, outside: BaseException | None) -> object:
    error = translate(raw, outside)
    call.error = raw if error is None else error
    if error is not None:
        _complete(error, call)
        invalid = isinstance(error, CommandRejected) and error.invalid_argument
        refusing = call.operation.raises or (invalid and call.operation.kind is not Kind.LOCAL)
        call.swallowed = not refusing
    for observer in tuple(seam.observers):
        observer(call)
    if call.swallowed:
        call.answer = call.operation.sentinel()
        return call.answer
    if error is None or error is raw:
        raise raw
    raise error from raw


def _complete(error: MultiplexerError, call: Call) -> None:
    if error.operation is None:
        error.operation = call.operation.name
    if error.target is None:
        error.target = call.target
    if error.elapsed_s is None:
        error.elapsed_s = call.elapsed_s
