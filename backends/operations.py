"""The contract of the seam, as data.

`OPERATIONS` names every operation of `TerminalMultiplexer` once: its kind, what it answers when nobody answers it, what
its arguments must look like, what its answer must look like, and one set of sample arguments. The guard, the fault
points, the sweep, the conformance suite and the documentation are derived from this table; a test proves that it equals
the abstract class.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from types import MappingProxyType

from backends.errors import CommandRejected, MultiplexerError

__all__ = [
    "OPERATIONS",
    "Argument",
    "Kind",
    "Operation",
    "ServerIdentity",
    "WindowExit",
    "check_name",
    "split_command",
]


class Kind(Enum):
    """What an operation is for, which decides what its silence may be taken for."""

    PROBE = "probe"
    """A question whose answer decides something: silence is never an answer."""
    CHANGE = "change"
    """Alters the multiplexer: after silence the effect is unknown."""
    COURTESY = "courtesy"
    """Nice to have: after silence its sentinel is as good as an answer."""
    LOCAL = "local"
    """Asks nobody."""


class Argument(Enum):
    """What an argument must look like before anything is spawned."""

    NAME = "name"
    """Session or window name: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`."""
    OPTIONAL_NAME = "optional name"
    TARGET = "target"
    """Composed by the backend (`target()`, a native id): text without control characters, not a flag."""
    PATH = "path"
    ENVIRONMENT = "environment"
    ARGV = "argv"
    COMMAND = "command"
    """A POSIX-quoted argv."""
    TEXT = "text"
    """Typed into a window: encodable, no control characters but newline and tab."""
    OPTION = "option"
    """An option's name: letters, digits, `-`, `_`, with `@` in front for a user option."""
    VALUE = "value"
    FIELDS = "fields"
    """Format names without `#{}`."""
    SIZE = "size"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Which server process answers: ids of windows mean something only together with this.

    `pid` and `started` (the process start in seconds since the epoch, as the server itself reports it) name one process
    of one boot of the host.
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class WindowExit:
    """How the process of a dead window ended: by exit `code` or by `signal` number, the other one is `None`."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"signal {self.signal}"
        return "exit unknown" if self.code is None else f"exit {self.code}"


class _Raises(Enum):
    RAISE = "raise"


RAISE = _Raises.RAISE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_OPTION = re.compile(r"@?[A-Za-z][A-Za-z0-9_-]{0,100}\Z")
_FIELD = re.compile(r"@?[A-Za-z][A-Za-z0-9_-]{0,100}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_text_list(answer: object) -> bool:
    return type(answer) is list and all(isinstance(item, str) and item for item in answer)


def _is_rows(answer: object) -> bool:
    return type(answer) is list and all(
        isinstance(row, tuple) and all(isinstance(cell, str) for cell in row) for row in answer
    )


def _is_text_map(answer: object) -> bool:
    return isinstance(answer, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in answer.items())


def _is_bool(answer: object) -> bool:
    return answer is True or answer is False


def _is_text(answer: object) -> bool:
    return isinstance(answer, str)


def _is_id(answer: object) -> bool:
    return isinstance(answer, str) and answer.strip() != ""


def _is_text_or_none(answer: object) -> bool:
    return answer is None or _is_id(answer)


def _is_none(answer: object) -> bool:
    return answer is None


def _is_argv(answer: object) -> bool:
    return type(answer) is list and bool(answer) and all(isinstance(word, str) for word in answer)


def _is_pids(answer: object) -> bool:
    return type(answer) is list and all(type(pid) is int and pid > 0 for pid in answer)


def _is_exit(answer: object) -> bool:
    return answer is None or isinstance(answer, WindowExit)


def _is_identity(answer: object) -> bool:
    return answer is None or isinstance(answer, ServerIdentity)


def _is_ids(answer: object) -> bool:
    return isinstance(answer, frozenset) and all(isinstance(item, str) and item for item in answer)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the seam.

    `silence` makes the answer that stands in when nobody answers, or is `RAISE`. `answers` tells whether a value is an
    answer at all; `due` says in words what was due. `sample` are arguments that a healthy backend accepts.
    """

    name: str
    kind: Kind
    arguments: Mapping[str, Argument]
    sample: Mapping[str, object]
    due: str
    answers: Callable[[object], bool]
    silence: Callable[[], object] | _Raises = RAISE
    optional: bool = False
    checks: tuple[tuple[str, Argument], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checks", tuple(self.arguments.items()))

    @property
    def raises(self) -> bool:
        """Whether silence comes out as an error rather than as a sentinel."""
        return isinstance(self.silence, _Raises)

    @property
    def best_effort(self) -> bool:
        """A change whose failure its caller need not handle."""
        return self.kind is Kind.CHANGE and not self.raises

    def sentinel(self) -> object:
        """A fresh stand-in answer; only for operations whose silence has one."""
        if isinstance(self.silence, _Raises):
            raise LookupError(f"{self.name} has no sentinel: its failures are raised")
        return self.silence()

    def target_of(self, arguments: Mapping[str, object]) -> str | None:
        """The session or window that a call is about, for messages; `None` where it is about neither."""
        for name in ("window_id", "target", "session"):
            if isinstance(arguments.get(name), str):
                return str(arguments[name])
        if self.name in _SESSION_BY_NAME and isinstance(arguments.get("name"), str):
            return str(arguments["name"])
        return None

    def described(self, arguments: Mapping[str, object]) -> str:
        """The call with its payloads withheld: what may stand in a trace, a journal or a crash record."""
        shown = []
        for name, value in arguments.items():
            kind = self.arguments.get(name)
            if kind in _WITHHELD and value is not None:
                size = len(value) if isinstance(value, str | bytes | Mapping | Sequence) else 1
                shown.append(f"{name}=<{kind.value if kind else 'value'}: {size}>")
            elif kind is Argument.PATH:
                shown.append(f"{name}=<path>")
            else:
                shown.append(f"{name}={value!r:.120}")
        return f"{self.name}({', '.join(shown)})"


_WITHHELD = frozenset({Argument.ENVIRONMENT, Argument.ARGV, Argument.COMMAND, Argument.TEXT, Argument.VALUE})
_SESSION_BY_NAME = frozenset({"has_session", "new_session", "kill_session", "set_session_option"})


def _none() -> None:
    return None


def _false() -> bool:
    return False


def _no_text() -> str:
    return ""


def _operations() -> Mapping[str, Operation]:
    probe, change, courtesy, local = Kind.PROBE, Kind.CHANGE, Kind.COURTESY, Kind.LOCAL
    name, target, option = Argument.NAME, Argument.TARGET, Argument.OPTION
    window = {"session": name, "name": name, "cwd": Argument.PATH}
    table = [
        Operation("has_session", probe, {"name": name}, {"name": "run-1"}, "yes or no", _is_bool),
        Operation(
            "new_session",
            change,
            {"name": name, "cwd": Argument.PATH, "cols": Argument.SIZE, "lines": Argument.SIZE},
            {"name": "run-2", "cwd": "/"},
            "nothing",
            _is_none,
        ),
        Operation("kill_session", change, {"name": name}, {"name": "run-1"}, "nothing", _is_none, _none),
        Operation("list_sessions", courtesy, {}, {}, "a list of session names", _is_text_list, list),
        Operation("session_options", courtesy, {"option": option}, {"option": "@project"}, "a map", _is_text_map, dict),
        Operation(
            "set_session_option",
            change,
            {"name": name, "option": option, "value": Argument.VALUE},
            {"name": "run-1", "option": "@project", "value": "demo"},
            "nothing",
            _is_none,
        ),
        Operation(
            "new_window",
            change,
            {**window, "env": Argument.ENVIRONMENT, "command": Argument.COMMAND},
            {"session": "run-1", "name": "agent", "cwd": "/", "env": {"A": "1"}, "command": "sleep 60"},
            "a window id",
            _is_id,
        ),
        Operation(
            "new_parked_window",
            change,
            {**window, "argv": Argument.ARGV, "return_opt": option},
            {"session": "run-1", "name": "parked", "cwd": "/", "argv": ["sleep", "60"], "return_opt": "@return"},
            "a window id",
            _is_id,
        ),
        Operation("list_window_ids", probe, {"session": name}, {"session": "run-1"}, "window ids", _is_text_list),
        Operation(
            "list_windows",
            courtesy,
            {"session": name, "fields": Argument.FIELDS},
            {"session": "run-1", "fields": ("window_id", "window_name")},
            "a list of rows",
            _is_rows,
            list,
        ),
        Operation(
            "window_alive",
            probe,
            {"session": name, "window_id": target},
            {"session": "run-1", "window_id": "@1"},
            "yes or no",
            _is_bool,
        ),
        Operation("kill_window", change, {"target": target}, {"target": "@1"}, "nothing", _is_none, _none),
        Operation("select_window", courtesy, {"target": target}, {"target": "@1"}, "nothing", _is_none, _none),
        Operation(
            "set_window_option",
            courtesy,
            {"target": target, "option": option, "value": Argument.VALUE},
            {"target": "@1", "option": "@token", "value": "x"},
            "nothing",
            _is_none,
            _none,
        ),
        Operation(
            "unset_window_option",
            courtesy,
            {"target": target, "option": option},
            {"target": "@1", "option": "@token"},
            "nothing",
            _is_none,
            _none,
        ),
        Operation(
            "show_window_option",
            courtesy,
            {"target": target, "option": option},
            {"target": "@1", "option": "@token"},
            "text",
            _is_text,
            _no_text,
        ),
        Operation(
            "pipe_pane",
            courtesy,
            {"window_id": target, "log_file": Argument.PATH},
            {"window_id": "@1", "log_file": "/dev/null"},
            "nothing",
            _is_none,
            _none,
        ),
        Operation(
            "send_text",
            change,
            {"window_id": target, "text": Argument.TEXT},
            {"window_id": "@1", "text": "hello"},
            "nothing",
            _is_none,
        ),
        Operation("attach_target_argv", local, {"target": target}, {"target": "=run-1"}, "an argv", _is_argv),
        Operation("current_pane_id", courtesy, {}, {}, "a pane id or none", _is_text_or_none, _none),
        Operation("current_window_id", courtesy, {}, {}, "a window id or none", _is_text_or_none, _none),
        Operation("current_session", courtesy, {}, {}, "a session name or none", _is_text_or_none, _none),
        Operation("detach_client", courtesy, {}, {}, "nothing", _is_none, _none),
        Operation(
            "switch_client",
            courtesy,
            {"target": target, "last_fallback": Argument.FLAG},
            {"target": "=run-1"},
            "yes or no",
            _is_bool,
            _false,
        ),
        Operation("available", local, {}, {}, "yes or no", _is_bool, _false),
        Operation("version", courtesy, {}, {}, "one line or none", _is_text_or_none, _none),
        Operation(
            "target",
            local,
            {"session": name, "window": Argument.OPTIONAL_NAME},
            {"session": "run-1", "window": "agent"},
            "a target",
            _is_id,
            optional=True,
        ),
        Operation("window_pids", probe, {"target": target}, {"target": "@1"}, "pids", _is_pids, optional=True),
        Operation(
            "window_exit", probe, {"target": target}, {"target": "@1"}, "an exit or none", _is_exit, optional=True
        ),
        Operation("server_identity", probe, {}, {}, "an identity or none", _is_identity, optional=True),
        Operation(
            "batch_liveness", probe, {"session": name}, {"session": "run-1"}, "a set of ids", _is_ids, optional=True
        ),
    ]
    return MappingProxyType({operation.name: operation for operation in table})


OPERATIONS: Mapping[str, Operation] = _operations()
"""Every operation of the seam by name, in the order of the contract; the optional ones last."""


def check_name(value: object, what: str = "name") -> str:
    """`value` if it is a usable session or window name, else `CommandRejected` with `invalid_argument`."""
    if isinstance(value, str) and _NAME.match(value):
        return value
    raise _invalid(what, value, "must be 1 to 64 of A-Z a-z 0-9 _ -, beginning with a letter or digit", show=True)


@lru_cache(maxsize=1024)
def split_command(command: str) -> tuple[str, ...]:
    """The argv that `command` is the POSIX-quoted form of; `ValueError` if it is none."""
    return tuple(shlex.split(command))


def check_arguments(operation: Operation, arguments: Mapping[str, object]) -> None:
    """Refuse what no backend may be asked, before anything is spawned.

    Raises `CommandRejected` with `invalid_argument` for the first argument that does not fit `operation.arguments`.
    """
    for name, kind in operation.checks:
        if name in arguments:
            try:
                _CHECKS[kind](name, arguments[name])
            except MultiplexerError as refusal:
                refusal.operation = operation.name
                raise


def _invalid(what: str, value: object, rule: str, *, show: bool = False) -> CommandRejected:
    """The refusal of `value`; only what can be no secret (`show`) stands in it."""
    shown = ascii(value[:40]) if show and isinstance(value, str) else type(value).__name__
    return CommandRejected(f"{what} {shown} refused: {rule}", invalid_argument=True)


def _check_name(what: str, value: object) -> None:
    check_name(value, what)


def _check_optional_name(what: str, value: object) -> None:
    if value is not None:
        check_name(value, what)


def _check_target(what: str, value: object) -> None:
    if not isinstance(value, str) or not value or value.startswith("-") or not value.isprintable():
        raise _invalid(what, value, "must be a target made by target() or a native id")
    if len(value) > 200 or not value.isascii():
        raise _invalid(what, value, "is no target: too long, or not ASCII")


def _check_path(what: str, value: object) -> None:
    if not isinstance(value, str | os.PathLike):
        raise _invalid(what, value, "must be a path")
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise _invalid(what, value, "must be a non-empty text path without NUL")


def _check_environment(what: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise _invalid(what, value, "must map names to text")
    for name, text in value.items():
        if not isinstance(name, str) or not _VARIABLE.match(name):
            raise _invalid(what, name, "variable name must be letters, digits and _")
        _check_value(f"{what}[{name}]", text)


def _check_argv(what: str, value: object) -> None:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or not value:
        raise _invalid(what, value, "must be a non-empty sequence of words")
    for word in value:
        _check_value(what, word)


def _check_value(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise _invalid(what, value, "must be text")
    if "\0" in value:
        raise _invalid(what, value, "must not contain NUL")
    _check_encodable(what, value)


def _check_encodable(what: str, value: str) -> None:
    if lone := _SURROGATE.search(value):
        raise _invalid(what, value, f"is not encodable as UTF-8 at character {lone.start()}")


def _check_command(what: str, value: object) -> None:
    _check_value(what, value)
    if not str(value).strip():
        raise _invalid(what, value, "must not be empty")
    try:
        split_command(str(value))
    except ValueError as error:
        raise _invalid(what, value, f"is no argv joined by shlex: {error}") from None


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise _invalid(what, value, "must be text")
    _check_encodable(what, value)
    if value.isprintable():
        return
    for position, character in enumerate(value):
        if character not in "\n\t" and unicodedata.category(character) == "Cc":
            raise _invalid(what, value, f"has control character {character!a} at {position}: nothing was typed")


def _check_option(what: str, value: object) -> None:
    if not isinstance(value, str) or not _OPTION.match(value):
        raise _invalid(what, value, "must be an option's name", show=True)


def _check_fields(what: str, value: object) -> None:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or not value:
        raise _invalid(what, value, "must be a non-empty sequence of format names")
    for item in value:
        if not isinstance(item, str) or not _FIELD.match(item):
            raise _invalid(what, item, "must be a format name without #{}", show=True)


def _check_size(what: str, value: object) -> None:
    if value is not None and (type(value) is not int or not 1 <= value <= 10_000):
        raise _invalid(what, value, "must be between 1 and 10000 cells")


def _check_flag(what: str, value: object) -> None:
    if type(value) is not bool:
        raise _invalid(what, value, "must be true or false")


_CHECKS: Mapping[Argument, Callable[[str, object], None]] = {
    Argument.NAME: _check_name,
    Argument.OPTIONAL_NAME: _check_optional_name,
    Argument.TARGET: _check_target,
    Argument.PATH: _check_path,
    Argument.ENVIRONMENT: _check_environment,
    Argument.ARGV: _check_argv,
    Argument.COMMAND: _check_command,
    Argument.TEXT: _check_text,
    Argument.OPTION: _check_option,
    Argument.VALUE: _check_value,
    Argument.FIELDS: _check_fields,
    Argument.SIZE: _check_size,
    Argument.FLAG: _check_flag,
}
