"""The guard: nothing raw crosses the seam, whatever a backend overrides and however it fails."""

from __future__ import annotations

import errno
import functools
import inspect
import math
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from dict_multiplexer import HEALTHY, DictMultiplexer, Raising, call_sample

from backends.base import TerminalMultiplexer
from backends.clock import VirtualClock
from backends.errors import (
    BackendNotFound,
    CommandRejected,
    MultiplexerError,
    TargetMissing,
    TransportError,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
)
from backends.guard import Call, guard_operations, translate
from backends.operations import OPERATIONS, Kind

SECRET = "hunter2-canary"
UNAVAILABLE_ERRNOS = (
    *("ENOENT", "EACCES", "EPERM", "ENOTDIR", "ELOOP", "E2BIG", "ENOEXEC", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN"),
    *("ECONNREFUSED", "ECONNRESET", "EPIPE", "EINTR", "ENOSPC", "EIO", "EROFS", "ENAMETOOLONG", "ETXTBSY", "ESRCH"),
)


@dataclass(frozen=True)
class Failure:
    """One way to fail below the guard, and what it must mean above it."""

    name: str
    make: Callable[[], Exception]
    means: type[MultiplexerError]
    invalid: bool = False


def undecodable() -> Exception:
    """What decoding an answer strictly raises."""
    return UnicodeDecodeError("utf-8", b"\xff" + SECRET.encode(), 0, 1, "invalid start byte")


FAILURES = (
    Failure("TimeoutExpired", lambda: subprocess.TimeoutExpired(["tmux"], 5), TransportTimeout),
    Failure("ETIMEDOUT", lambda: OSError(errno.ETIMEDOUT, "timed out"), TransportTimeout),
    Failure("ETIMEDOUT-in-another-class", lambda: BlockingIOError(errno.ETIMEDOUT, "timed out"), TransportTimeout),
    Failure("TimeoutError", TimeoutError, TransportTimeout),
    *(
        Failure(name, functools.partial(OSError, getattr(errno, name), name.lower()), TransportUnavailable)
        for name in UNAVAILABLE_ERRNOS
    ),
    Failure("OSError-without-errno", lambda: OSError("odd"), TransportUnavailable),
    Failure("InterruptedError", lambda: InterruptedError("given up"), TransportUnavailable),
    Failure("SubprocessError", lambda: subprocess.SubprocessError("odd"), TransportUnavailable),
    Failure("CalledProcessError", lambda: subprocess.CalledProcessError(1, ["tmux"]), TransportUnavailable),
    Failure("UnicodeDecodeError", undecodable, TransportGarbled),
    Failure("UnicodeEncodeError", lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), TransportGarbled),
    Failure("ValueError-NUL", lambda: ValueError("embedded null byte"), CommandRejected, invalid=True),
    Failure("ValueError-of-an-answer", lambda: ValueError("invalid literal for int()"), TransportGarbled),
    Failure("TransportTimeout", lambda: TransportTimeout("no answer"), TransportTimeout),
    Failure("TransportGarbled", lambda: TransportGarbled("torn"), TransportGarbled),
    Failure("TransportUnavailable", lambda: TransportUnavailable("no server"), TransportUnavailable),
    Failure("CommandRejected", lambda: CommandRejected("unknown option", status=1), CommandRejected),
    Failure("TargetMissing", lambda: TargetMissing("no such window"), TargetMissing),
    Failure("invalid-argument", lambda: CommandRejected("no", invalid_argument=True), CommandRejected, invalid=True),
    Failure("BackendNotFound", lambda: BackendNotFound("no such backend"), BackendNotFound),
)


def fresh(**options: Any) -> DictMultiplexer:
    """A multiplexer of a class that is made, and so guarded, only now."""
    raw = {name: inspect.unwrap(getattr(DictMultiplexer, name)) for name in OPERATIONS}
    made: type[DictMultiplexer] = type("Fresh", (DictMultiplexer,), raw)
    return made(**options)


def passes_up(name: str, failure: Failure) -> bool:
    """Whether the caller sees the failure, by the contract: sentinels hide all but the caller's own mistake."""
    operation = OPERATIONS[name]
    return operation.raises or (failure.invalid and operation.kind is not Kind.LOCAL)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error with all its causes and contexts, suppressed ones too."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            yield one


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_failure_of_every_operation_is_as_declared(name: str, failure: Failure) -> None:
    """An error of the tree with its cause chained, or the stand-in; and the observer sees it in both cases."""
    multiplexer = fresh()
    multiplexer.hook = Raising(failure.make)

    if passes_up(name, failure):
        with pytest.raises(failure.means) as raised:
            call_sample(multiplexer, name)
        assert type(raised.value) is failure.means
        assert raised.value.operation == name
        raw = failure.make()
        assert isinstance(raw, MultiplexerError) or type(raised.value.__cause__) is type(raw)
    else:
        assert call_sample(multiplexer, name) == OPERATIONS[name].sentinel()

    (call,) = multiplexer.seen
    assert type(call.error) is failure.means
    assert call.outcome == ("raised" if passes_up(name, failure) else "swallowed")
    assert multiplexer.asked == []


@pytest.mark.parametrize("wrong", [b"text", 7.5, object()], ids=["bytes", "number", "object"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_of_the_wrong_type_is_garbled(name: str, wrong: object) -> None:
    """It never reaches a caller, neither from the backend nor from a hook."""
    multiplexer = fresh()
    multiplexer.answers[name] = wrong

    if OPERATIONS[name].raises:
        with pytest.raises(TransportGarbled, match="was due"):
            call_sample(multiplexer, name)
    else:
        assert call_sample(multiplexer, name) == OPERATIONS[name].sentinel()

    assert isinstance(multiplexer.seen[0].error, TransportGarbled)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, TypeError, KeyError, AssertionError])
@pytest.mark.parametrize("name", ["list_window_ids", "list_sessions", "available"])
def test_control_flow_and_bugs_pass_through_as_they_are(name: str, kind: type[BaseException]) -> None:
    """Not even a courtesy hides them, the observer sees them, and the seam works on."""
    multiplexer = fresh()
    thrown = kind("thrown")
    multiplexer.hook = Raising(lambda: thrown)

    with pytest.raises(kind) as raised:
        call_sample(multiplexer, name)
    multiplexer.hook = None

    assert raised.value is thrown
    assert multiplexer.seen[0].error is thrown
    assert call_sample(multiplexer, name) == HEALTHY[name]
    assert [call.number for call in multiplexer.seen] == [1, 2]


def test_an_error_says_operation_target_and_time() -> None:
    """What is known about a failure stands in one line."""
    clock = VirtualClock()
    multiplexer = fresh(clock=clock)

    def hang() -> BaseException:
        clock.sleep(5)
        return subprocess.TimeoutExpired(["tmux", "list-windows", "-t", "=run-1"], 5)

    multiplexer.hook = Raising(hang)
    with pytest.raises(TransportTimeout) as raised:
        multiplexer.list_window_ids("run-1")

    assert (raised.value.target, raised.value.elapsed_s) == ("run-1", 5.0)
    assert str(raised.value).startswith(
        "list_window_ids(run-1): no answer: TimeoutExpired: Command 'tmux list-windows -t =run-1'"
    )
    assert str(raised.value).endswith("[after 5.000 s]")


def test_what_an_error_already_says_is_kept() -> None:
    """A backend that knows better than the guard is not overwritten."""
    multiplexer = fresh()
    multiplexer.hook = Raising(lambda: TargetMissing("gone", operation="kill_window", target="@9", elapsed_s=1.5))

    with pytest.raises(TargetMissing) as raised:
        multiplexer.has_session("run-1")

    assert str(raised.value) == "kill_window(@9): gone [after 1.500 s]"


class Nested(DictMultiplexer):
    """Builds one operation from others."""

    def has_session(self, name: str) -> bool:
        """By way of a courtesy, whose stand-in must not decide."""
        return name in self.list_sessions()

    def list_sessions(self) -> list[str]:
        """Fails as it is told to."""
        raise subprocess.TimeoutExpired(["tmux"], 5)


def test_an_operation_inside_of_another_counts_once_and_does_not_decide() -> None:
    """The inner failure reaches the outer guard and is judged by the outer operation's policy."""
    multiplexer = Nested()

    with pytest.raises(TransportTimeout) as raised:
        multiplexer.has_session("run-1")
    outer = [call.operation.name for call in multiplexer.seen]

    assert raised.value.operation == "has_session"
    assert outer == ["has_session"]
    assert multiplexer.list_sessions() == []
    assert [call.number for call in multiplexer.seen] == [1, 2]


def test_a_hook_sees_an_operation_inside_of_another_once() -> None:
    """A fault on every operation fires once a call, however the backend is built."""

    class Counting:
        def __init__(self) -> None:
            self.names: list[str] = []

        def around(self, call: Call, proceed: Callable[[], object]) -> object:
            self.names.append(call.operation.name)
            return proceed()

    multiplexer = Nested()
    multiplexer.hook = hook = Counting()
    with pytest.raises(TransportTimeout):
        multiplexer.has_session("run-1")

    assert hook.names == ["has_session"]


class Silent:
    """A class that knows nothing of the seam, and leaks."""

    def list_window_ids(self, session: str) -> list[str]:
        """Fails raw."""
        raise OSError(errno.EIO, "input/output error")


class Mixed(Silent, DictMultiplexer):
    """Gets an operation from a class that is not guarded."""


class Decorated(DictMultiplexer):
    """Defines operations that are no plain functions."""

    @staticmethod
    def list_window_ids(session: str) -> list[str]:
        """Fails raw."""
        raise OSError(errno.EIO, "input/output error")

    has_session = functools.partialmethod(Silent.list_window_ids)


class Forgetful(DictMultiplexer):
    """Does not call its parent's constructor."""

    def __init__(self) -> None:
        pass

    list_window_ids = Silent.list_window_ids


@pytest.mark.parametrize("backend", [Mixed, Decorated, Forgetful], ids=lambda backend: backend.__name__)
def test_an_operation_is_guarded_wherever_it_comes_from(backend: type[DictMultiplexer]) -> None:
    """By inheritance, by a decorator, or without a constructor: the guard is there."""
    with pytest.raises(TransportUnavailable, match="EIO"):
        backend().list_window_ids("run-1")


def test_a_partial_method_is_guarded() -> None:
    """Also an operation that is no function is called with its instance."""
    with pytest.raises(TransportUnavailable, match="EIO"):
        Decorated().has_session("run-1")


def test_an_operation_that_is_no_function_gets_its_arguments() -> None:
    """A static method, a class method and a partial method are called as Python would call them."""

    class Made(DictMultiplexer):
        @staticmethod
        def list_window_ids(session: str) -> list[str]:
            return [session]

        @classmethod
        def list_sessions(cls) -> list[str]:
            return [cls.__name__]

        def _answer(self, what: str, name: str) -> bool:
            return (self.answers["has_session"], what, name) == (True, "is", "run-1")

        has_session = functools.partialmethod(_answer, "is")

    made = Made()

    assert made.list_window_ids("run-1") == made.list_window_ids(session="run-1") == ["run-1"]
    assert made.list_sessions() == ["Made"]
    assert made.has_session("run-1")
    assert made.has_session(name="run-1")
    assert [call.number for call in made.seen] == [1, 2, 3, 4, 5]


def test_an_operation_inside_of_another_gets_its_arguments() -> None:
    """In whichever way they are given; and what is guarded keeps its name and its documentation."""

    class Asking(DictMultiplexer):
        def has_session(self, name: str) -> bool:
            """Asks itself."""
            return self.list_window_ids(name) == [name] and self.window_alive(name, window_id="@1")

        def list_window_ids(self, session: str) -> list[str]:
            return [session]

        def window_alive(self, session: str, window_id: str) -> bool:
            return (session, window_id, self.seen) == ("run-1", "@1", [])

    asking = Asking()

    assert asking.has_session("run-1")
    assert [call.operation.name for call in asking.seen] == ["has_session"]
    assert (Asking.has_session.__name__, Asking.has_session.__doc__) == ("has_session", "Asks itself.")


def test_a_wrong_answer_is_told_by_its_type() -> None:
    """And by what was due."""
    multiplexer = fresh()
    multiplexer.answers["has_session"] = 7.5

    with pytest.raises(TransportGarbled, match=f": answered float where {OPERATIONS['has_session'].due} was due"):
        multiplexer.has_session("run-1")


def test_what_is_guarded_is_not_guarded_again() -> None:
    """A subclass has the very operations of its base, and a class without any operation is left alone."""

    class Sub(DictMultiplexer):
        pass

    class Lone:
        list_window_ids = Silent.list_window_ids

    guard_operations(Lone)
    guarded = Lone.list_window_ids
    guard_operations(Lone)

    assert Silent.list_window_ids is not guarded
    assert Lone.list_window_ids is guarded
    assert [name for name in OPERATIONS if getattr(Sub, name) is not getattr(DictMultiplexer, name)] == []


def test_a_proxy_may_stay_unguarded() -> None:
    """What wraps a backend above its guard can let raw errors through, to prove that somebody copes."""

    class Leaking(DictMultiplexer, guarded=False):  # type: ignore[call-arg]  # TerminalMultiplexer takes it
        def list_window_ids(self, session: str) -> list[str]:
            raise OSError(errno.EIO, "leaked")

    with pytest.raises(OSError, match="leaked"):
        Leaking().list_window_ids("run-1")


def test_deadlines_are_five_seconds_and_thirty_for_changes() -> None:
    """Unless one is given, which then holds for all."""
    default, own = fresh(), fresh(call_timeout_s=7)
    for name in OPERATIONS:
        call_sample(default, name)
        call_sample(own, name)

    for call in default.seen:
        assert call.deadline_s == (30.0 if call.operation.kind is Kind.CHANGE else 5.0)
    assert {call.deadline_s for call in own.seen} == {7}


@pytest.mark.parametrize("timeout_s", [math.inf, 1e300])
def test_a_deadline_that_means_none_is_one_that_a_host_can_wait_for(timeout_s: float) -> None:
    """Infinity has no date, and no lock, poll or fence of a server takes it."""
    left = fresh(call_timeout_s=timeout_s).seam.remaining_s()

    assert threading.Lock().acquire(timeout=left)
    assert 1e8 == left < threading.TIMEOUT_MAX


def test_a_budget_caps_every_call_and_is_given_back() -> None:
    """Budgets nest: the tighter one holds, and none outlives its block."""
    clock = VirtualClock()
    multiplexer = fresh(clock=clock)
    with multiplexer.budget(10):
        clock.sleep(6)
        multiplexer.kill_session("run-1")
        with multiplexer.budget(100):
            multiplexer.kill_session("run-1")
        with multiplexer.budget(1):
            multiplexer.kill_session("run-1")
    multiplexer.kill_session("run-1")

    assert [call.deadline_s for call in multiplexer.seen] == [4.0, 4.0, 1.0, 30.0]


def test_nothing_is_asked_once_the_budget_is_used_up() -> None:
    """A probe says that it could not ask, a courtesy gives its stand-in, and what asks nobody still answers."""
    clock = VirtualClock()
    multiplexer = fresh(clock=clock)
    with multiplexer.budget(1):
        clock.sleep(1)
        with pytest.raises(TransportUnavailable, match="budget is used up"):
            multiplexer.has_session("run-1")
        assert multiplexer.list_sessions() == []
        assert multiplexer.available() is True

    assert multiplexer.asked == ["available"]


def test_what_is_left_of_a_budget_is_used() -> None:
    """However little it is; that it is used up is told as such."""
    clock = VirtualClock()
    multiplexer = fresh(clock=clock)
    with multiplexer.budget(0.5):
        assert multiplexer.has_session("run-1")
        clock.sleep(0.5)
        with pytest.raises(TransportUnavailable, match=r": not asked: the caller's time budget is used up \["):
            multiplexer.has_session("run-1")


def test_a_call_that_is_under_way_has_no_outcome_yet() -> None:
    """A hook sees it with its number and its time, and nothing else."""
    multiplexer = fresh()
    seen: list[object] = []

    class Looking:
        def around(self, call: Call, proceed: Callable[[], object]) -> object:
            seen.append((call.number, call.elapsed_s, call.answer, call.error, call.swallowed, call.outcome))
            return proceed()

    multiplexer.hook = Looking()
    multiplexer.has_session("run-1")

    assert seen == [(1, 0.0, None, None, False, "answered")]


def test_a_budget_is_one_thread_s_own() -> None:
    """Another thread that uses the same backend keeps its own deadlines."""
    multiplexer = fresh()
    with multiplexer.budget(1):
        other = threading.Thread(target=multiplexer.kill_session, args=("run-1",))
        other.start()
        other.join()

    assert multiplexer.seen[0].deadline_s == 30.0


def test_a_backend_can_ask_what_is_left_of_its_deadline() -> None:
    """What several commands make up one operation share its deadline."""
    clock = VirtualClock()
    multiplexer = fresh(clock=clock)
    left: list[float] = []

    class Slow:
        def around(self, call: Call, proceed: Callable[[], object]) -> object:
            for seconds in (0, 3, 4):
                clock.sleep(seconds)
                left.append(multiplexer.seam.remaining_s())
            return proceed()

    multiplexer.hook = Slow()
    multiplexer.list_sessions()

    assert left == [5.0, 2.0, 0.0]
    assert multiplexer.seam.remaining_s() == 5.0
    assert fresh(call_timeout_s=7).seam.remaining_s() == 7


def test_an_observer_sees_what_was_answered_and_can_be_taken_off() -> None:
    """Arguments by name, the answer, and the clock's times."""
    clock = VirtualClock(start=100)
    multiplexer = fresh(clock=clock)
    multiplexer.window_alive("run-1", window_id="@1")
    multiplexer.unobserve(multiplexer.seen.append)
    multiplexer.list_sessions()

    (call,) = multiplexer.seen
    assert call.arguments == {"session": "run-1", "window_id": "@1"}
    assert (call.answer, call.error, call.outcome) == (True, None, "answered")
    assert (call.started_s, call.elapsed_s, call.target) == (100.0, 0.0, "@1")
    assert str(call) == "window_alive(session='run-1', window_id='@1')"


@pytest.mark.parametrize("name", ["list_sessions", "kill_window"])
def test_a_swallowed_failure_gives_a_stand_in_of_its_own(name: str) -> None:
    """Nobody can spoil the next caller's empty answer."""
    multiplexer = fresh()
    multiplexer.hook = Raising(lambda: TransportGarbled("torn"))
    first, second = call_sample(multiplexer, name), call_sample(multiplexer, name)

    assert first == second == multiplexer.seen[0].answer
    assert first is None or first is not second


def from_another(inner: Exception) -> Exception:
    """A `MultiplexerError` that a backend raised because of `inner`."""
    try:
        raise TransportUnavailable("could not ask") from inner
    except TransportUnavailable as error:
        return error


COMMAND = ["tmux", "new-window", "-e", f"K={SECRET}", "--", SECRET, f"-{SECRET[:6]}"]
TELLTALES: dict[str, Callable[[], Exception]] = {
    "TimeoutExpired": lambda: subprocess.TimeoutExpired(COMMAND, 5, output=SECRET.encode(), stderr=SECRET.encode()),
    "TimeoutExpired-text": lambda: subprocess.TimeoutExpired(" ".join(COMMAND), 5),
    "CalledProcessError": lambda: subprocess.CalledProcessError(1, COMMAND, SECRET, SECRET),
    "UnicodeDecodeError": undecodable,
    "UnicodeEncodeError": lambda: UnicodeEncodeError("ascii", SECRET + "ä", len(SECRET), len(SECRET) + 1, "ordinal"),
    "chained-TimeoutExpired": lambda: from_another(subprocess.TimeoutExpired(COMMAND, 5)),
    "chained-UnicodeDecodeError": lambda: from_another(undecodable()),
}
CARRYING: dict[str, dict[str, Any]] = {
    "new_window": {"env": {"K": SECRET}, "command": f"agent --key {SECRET}"},
    "new_parked_window": {"argv": ["agent", SECRET]},
    "send_text": {"text": SECRET},
    "set_session_option": {"value": SECRET},
}


@pytest.mark.parametrize("telltale", TELLTALES)
@pytest.mark.parametrize("name", CARRYING)
def test_no_error_gives_a_payload_away(name: str, telltale: str) -> None:
    """Neither its text nor that of any cause, nor their formatted traceback, holds environment, text or command."""
    multiplexer = fresh()
    multiplexer.hook = Raising(TELLTALES[telltale])

    with pytest.raises(TransportError) as raised:
        call_sample(multiplexer, name, **CARRYING[name])

    told = [text for error in chain(raised.value) for text in (str(error), repr(error), repr(vars(error)))]
    told += traceback.format_exception(raised.value)
    assert [text for text in told if SECRET in text or SECRET[:6] in text] == []
    assert SECRET not in str(multiplexer.seen[0])


BAD_CARGO: dict[str, dict[str, Any]] = {
    "new_window": {"env": {"name": f"{SECRET}\0"}},
    "new_parked_window": {"argv": ["name", f"{SECRET}\ud800"]},
    "send_text": {"text": f"{SECRET}\x1b"},
    "set_session_option": {"value": f"{SECRET}\ud800"},
}


@pytest.mark.parametrize("name", BAD_CARGO)
def test_no_refusal_gives_a_payload_away(name: str) -> None:
    """A payload that cannot be accepted is as secret as one that can."""
    with pytest.raises(CommandRejected) as raised:
        call_sample(fresh(), name, **BAD_CARGO[name])

    told = [text for error in chain(raised.value) for text in (str(error), repr(error))]
    assert [text for text in told if SECRET in text] == []


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (OSError(errno.ETIMEDOUT, "timed out"), "no answer: timed out"),
        (TimeoutError(), "no answer: TimeoutError"),
        (OSError(errno.EIO, "input/output error"), "could not ask: EIO: input/output error"),
        (OSError("odd"), "could not ask: OSError"),
        (OSError(9999, "of no name"), "could not ask: of no name"),
        (subprocess.SubprocessError("odd"), "could not ask: SubprocessError: odd"),
        (undecodable(), "unreadable answer: UnicodeDecodeError: invalid start byte"),
        (UnicodeError("odd"), "unreadable answer: UnicodeError: bad encoding"),
        (ValueError("odd"), "unreadable answer: ValueError: odd"),
        (ValueError("x" * 300), f"unreadable answer: ValueError: {'x' * 200}"),
        (ValueError("embedded null byte"), "argument refused: ValueError: embedded null byte"),
    ],
)
def test_what_was_raised_is_told_in_one_line(raw: Exception, told: str) -> None:
    """What it means, the name of the error number where it has one, and what the error said."""
    assert str(translate(raw)) == told


def test_what_the_guard_does_not_know_is_nobody_s_error() -> None:
    """Translation is an allow-list."""
    assert translate(RuntimeError("bug")) is None
    assert translate(KeyboardInterrupt()) is None


def test_a_payload_is_taken_out_of_what_was_raised_itself() -> None:
    """The chain stays visible; a command that is one text is told by its length."""
    garbled, unsendable = undecodable(), UnicodeEncodeError("ascii", SECRET + "ä", 14, 15, "ordinal")
    for raw, empty in ((garbled, b""), (unsendable, "")):
        assert str(translate(raw)).startswith("unreadable answer: ")
        assert raw.object == empty  # type: ignore[attr-defined]  # both kinds have one

    told = str(translate(subprocess.TimeoutExpired(" ".join(COMMAND), 5)))
    length = len(" ".join(COMMAND))
    assert told == f"no answer: TimeoutExpired: Command '<command: {length} chars>' timed out after 5 seconds"


def test_a_time_is_told_in_milliseconds_at_most() -> None:
    """What is left of a budget is no round number, and its digits are nothing to read."""
    raw = subprocess.TimeoutExpired(["tmux", "has"], 1.4999323423)

    assert str(translate(raw)) == "no answer: TimeoutExpired: Command 'tmux has' timed out after 1.5 seconds"


def test_an_error_of_a_process_needs_no_output() -> None:
    """Also one of a kind that nobody knows has its command withheld."""

    class Odd(subprocess.SubprocessError):
        cmd = COMMAND

    assert "--key" not in str(translate(Odd()))
    assert isinstance(translate(Odd()), TransportUnavailable)


def test_a_chain_that_bites_its_tail_is_gone_through_once() -> None:
    """Each of its errors has its payload taken out."""

    class Biting(Exception):
        looks = 0

        @property
        def __cause__(self) -> BaseException:  # type: ignore[override]  # looking at it is counted
            self.looks += 1
            assert self.looks < 100, "nobody looks for ever"
            return garbled

    garbled, biting = undecodable(), Biting()
    garbled.__cause__ = biting

    assert isinstance(translate(garbled), TransportGarbled)
    assert biting.looks == 1


def test_an_answer_that_cannot_be_read_is_no_refusal() -> None:
    """The window may be open by then: whoever takes that for a refusal opens another one."""

    class Counting(DictMultiplexer):
        def new_window(self, *args: Any, **kwargs: Any) -> str:
            return str(int(super().new_window(*args, **kwargs)))

    with pytest.raises(TransportGarbled, match="ValueError"):
        call_sample(Counting(), "new_window")


def test_a_translated_error_can_be_translated_again() -> None:
    """A second guard adds nothing and loses nothing."""
    raw = subprocess.TimeoutExpired(["tmux", "list-windows", "-t", "=run-1"], 5)
    first, second = translate(raw), translate(raw)

    assert str(first) == str(second)
    assert "list-windows -t =run-1" in str(second)


def test_a_multiplexer_is_abstract_until_all_is_there() -> None:
    """Guarding an operation does not make it look implemented."""

    class Unfinished(TerminalMultiplexer):
        def has_session(self, name: str) -> bool:
            return True

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()  # type: ignore[abstract]  # that is the point


def test_what_the_caller_is_handling_is_left_alone() -> None:
    """Payloads are taken out of the backend's errors only, not out of an error that led to the call."""
    multiplexer = fresh()
    multiplexer.hook = Raising(TELLTALES["TimeoutExpired"])
    mine = UnicodeDecodeError("utf-8", b"\xff mine", 0, 1, "invalid start byte")

    try:
        raise mine
    except UnicodeDecodeError:
        with pytest.raises(TransportTimeout):
            multiplexer.has_session("run-1")

    assert mine.object == b"\xff mine"
