"""What happens when a fault fires: each action is one small frozen value.

An action says what, never how: the wrappers carry it out, each at its own layer. Its text form is its `keyword` with
its fields in brackets, its JSON form `{"action": keyword, field: value, ...}`; both are derived from the fields.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar

from faults.errors import FaultPlanError, nearest_name
from faults.numbers import is_finite, is_whole, number_text

__all__ = [
    "ACTIONS",
    "Action",
    "Delay",
    "Die",
    "Empty",
    "Exit",
    "Form",
    "Hang",
    "Jump",
    "NoSync",
    "Occur",
    "OsError",
    "Output",
    "Pass",
    "Raise",
    "Signal",
    "Suspend",
    "Timeout",
    "Torn",
    "Truncate",
    "Undecodable",
    "check_value",
    "form_of",
    "optional",
    "parameters",
    "string_text",
    "whole_text",
]

_ERRNO_NAMES = frozenset(name for name in dir(errno) if name.startswith("E") and name.isupper())
_SIGNAL_NAMES = frozenset({"SIGTERM", "SIGINT", "SIGHUP"})
"""The signals that mean *stop* to an engine; SIGKILL is `Die`."""


class Form(Enum):
    """What a field of an action holds, which decides how it is written and checked."""

    SECONDS = "a number of seconds, not negative"
    STEP = "a number of seconds"
    SIZE = "a whole number, not negative"
    STATUS = "an exit status (a whole number)"
    TEXT = "a JSON string"
    ERRNO = "the name of an errno"
    SIGNAL = "the name of a signal"
    EXCEPTION = "the name of an exception"

    @property
    def is_number(self) -> bool:
        """Whether it is written as a number."""
        return self in (Form.SECONDS, Form.STEP, Form.SIZE, Form.STATUS)

    @property
    def is_seconds(self) -> bool:
        """Whether it is a duration, which may have a fraction."""
        return self in (Form.SECONDS, Form.STEP)


class Action:
    """What a fault does when it fires."""

    __slots__ = ()
    keyword: ClassVar[str] = ""
    """The action's name in the text and JSON forms."""
    losable: ClassVar[bool] = False
    """Whether `lost:` makes sense: the effect happens, then this instead of the answer."""

    def __post_init__(self) -> None:
        for one in parameters(type(self)):
            value = getattr(self, one.name)
            if value is not None or not optional(one):
                object.__setattr__(self, one.name, check_value(self.keyword, form_of(one), value))

    def __str__(self) -> str:
        given = [(form_of(one), getattr(self, one.name)) for one in parameters(type(self))]
        shown = [_value_text(form, value) for form, value in given if value is not None]
        return f"{self.keyword}({', '.join(shown)})" if shown else self.keyword


def parameters(kind: type[Action]) -> tuple[Field[Any], ...]:
    """The fields of an action in the order in which they are written."""
    return fields(kind)  # type: ignore[arg-type]  # every action is a dataclass; the base class alone is not


def form_of(one: Field[Any]) -> Form:
    """What the field of an action holds."""
    form = one.metadata["form"]
    assert isinstance(form, Form)
    return form


def optional(one: Field[Any]) -> bool:
    """Whether the field may be left out."""
    return one.default is None


def string_text(text: str) -> str:
    """`text` as a JSON string on one line, escaped only where it could not be shown or encoded."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def whole_text(text: str) -> str:
    """`text` with each pair of surrogates as the one character that it means: JSON cannot tell the two apart."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _value_text(form: Form, value: Any) -> str:
    if form is Form.TEXT:
        return string_text(value)
    return number_text(value) if form.is_seconds else str(value)


def check_value(keyword: str, form: Form, value: object) -> object:
    """`value` as a field of that form holds it (seconds as float), or `FaultPlanError`."""
    if form.is_seconds:
        if not is_finite(value) or (form is Form.SECONDS and value < 0):
            raise _unfit(keyword, form, value)
        return float(value) + 0.0
    if form.is_number:
        if not is_whole(value) or (form is Form.SIZE and value < 0):
            raise _unfit(keyword, form, value)
    elif not isinstance(value, str):
        raise _unfit(keyword, form, value)
    elif form is Form.TEXT:
        return whole_text(value)
    else:
        _check_name(keyword, form, value)
    return value


def _check_name(keyword: str, form: Form, value: str) -> None:
    valid = {Form.ERRNO: _ERRNO_NAMES, Form.SIGNAL: _SIGNAL_NAMES}.get(form)
    if valid is not None and value not in valid:
        raise FaultPlanError(f"{keyword}: {value!r:.80} is not {form.value}", nearest=nearest_name(value, valid))
    if valid is None and not all(part.isidentifier() for part in value.split(".")):
        raise _unfit(keyword, form, value)


def _unfit(keyword: str, form: Form, value: object) -> FaultPlanError:
    return FaultPlanError(f"{keyword}: {value!r:.80} is not {form.value}")


_SECONDS: Mapping[str, Form] = {"form": Form.SECONDS}
_STEP: Mapping[str, Form] = {"form": Form.STEP}
_SIZE: Mapping[str, Form] = {"form": Form.SIZE}
_TEXT: Mapping[str, Form] = {"form": Form.TEXT}


@dataclass(frozen=True, slots=True)
class Pass(Action):
    """Nothing: this rule leaves the call alone, other rules may still act on it."""

    keyword: ClassVar[str] = "pass"


@dataclass(frozen=True, slots=True)
class Timeout(Action):
    """No answer: `seconds` pass, or the whole deadline if that is less or none are given; then `TimeoutExpired`."""

    keyword: ClassVar[str] = "timeout"
    losable: ClassVar[bool] = True
    seconds: float | None = field(default=None, metadata=_SECONDS)


@dataclass(frozen=True, slots=True)
class Hang(Action):
    """No answer until the deadline, whatever it is; then `TimeoutExpired`."""

    keyword: ClassVar[str] = "hang"
    losable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class OsError(Action):
    """An `OSError` with the errno of that name, for instance `ENOSPC`."""

    keyword: ClassVar[str] = "oserror"
    losable: ClassVar[bool] = True
    errno_name: str = field(metadata={"form": Form.ERRNO})

    @property
    def errno(self) -> int:
        """The number that the name stands for on this host."""
        return int(getattr(errno, self.errno_name))


@dataclass(frozen=True, slots=True)
class Exit(Action):
    """The client ends with `status` (negative: by that signal) and says `stderr`, without any output."""

    keyword: ClassVar[str] = "exit"
    losable: ClassVar[bool] = True
    status: int = field(metadata={"form": Form.STATUS})
    stderr: str = field(metadata=_TEXT)


@dataclass(frozen=True, slots=True)
class Output(Action):
    """The client ends with status 0 and says `text`, whatever is true."""

    keyword: ClassVar[str] = "output"
    losable: ClassVar[bool] = True
    text: str = field(metadata=_TEXT)


@dataclass(frozen=True, slots=True)
class Empty(Action):
    """The client ends with status 0 and says nothing at all."""

    keyword: ClassVar[str] = "empty"
    losable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Truncate(Action):
    """The effect happens, and only the first `size` bytes (characters, items) of the answer arrive."""

    keyword: ClassVar[str] = "truncate"
    losable: ClassVar[bool] = True
    size: int = field(metadata=_SIZE)


@dataclass(frozen=True, slots=True)
class Undecodable(Action):
    """The answer is no text: bytes that no UTF-8 decoder accepts."""

    keyword: ClassVar[str] = "undecodable"
    losable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Delay(Action):
    """`seconds` pass first; a delay longer than the call's deadline is a call that was not answered."""

    keyword: ClassVar[str] = "delay"
    losable: ClassVar[bool] = True
    seconds: float = field(metadata=_SECONDS)


@dataclass(frozen=True, slots=True)
class Raise(Action):
    """An exception of that name, see `faults.exceptions`."""

    keyword: ClassVar[str] = "raise"
    losable: ClassVar[bool] = True
    exception: str = field(metadata={"form": Form.EXCEPTION})


@dataclass(frozen=True, slots=True)
class Torn(Action):
    """Only the first `size` bytes land: an append answers with that number, a write fails with ENOSPC."""

    keyword: ClassVar[str] = "torn"
    size: int = field(metadata=_SIZE)


@dataclass(frozen=True, slots=True)
class NoSync(Action):
    """The sync says that it is done, and has done nothing."""

    keyword: ClassVar[str] = "nosync"


@dataclass(frozen=True, slots=True)
class Die(Action):
    """The process ends as by SIGKILL: from here on nothing can be persisted or asked."""

    keyword: ClassVar[str] = "die"
    losable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Signal(Action):
    """The signal of that name is delivered to the engine: SIGTERM, SIGINT or SIGHUP."""

    keyword: ClassVar[str] = "signal"
    name: str = field(metadata={"form": Form.SIGNAL})


@dataclass(frozen=True, slots=True)
class Jump(Action):
    """The wall clock steps by `seconds`, backwards if negative; durations are not touched."""

    keyword: ClassVar[str] = "jump"
    seconds: float = field(metadata=_STEP)


@dataclass(frozen=True, slots=True)
class Suspend(Action):
    """The host sleeps for `seconds`: the wall clock has moved on, durations have not."""

    keyword: ClassVar[str] = "suspend"
    seconds: float = field(metadata=_SECONDS)


@dataclass(frozen=True, slots=True)
class Occur(Action):
    """What the point is named for happens, for `seconds`, or until it is undone at the end."""

    keyword: ClassVar[str] = "occur"
    seconds: float | None = field(default=None, metadata=_SECONDS)


ACTIONS: Mapping[str, type[Action]] = MappingProxyType(
    {
        kind.keyword: kind
        for kind in (
            *(Pass, Timeout, OsError, Exit, Output, Empty, Truncate, Undecodable, Delay, Hang),
            *(Raise, Torn, NoSync, Die, Signal, Jump, Suspend, Occur),
        )
    }
)
"""Every action by its keyword."""
