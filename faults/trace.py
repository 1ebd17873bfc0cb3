"""What happened at the points of one run, in order: the trace that a failure is explained with.

The text is the same, byte for byte, for the same plan and seed: no addresses, no paths, no payloads in it, times rounded to
milliseconds. An entry keeps what it was told and is written out only when somebody asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import TracebackType

import msgspec

from faults.actions import Action

__all__ = ["Injection", "TraceEntry", "answer_text"]

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_PATH = re.compile(r"(?<![\w<])/[^\s'\",)\]]*")
_NATIVE_ID = re.compile(r"[@%$][0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault that fired.

    `number` counts injections from 1, `at_s` is seconds since the injector was made, `call_number` says the how manieth call
    of `point` it was; `action` and `rule` are text forms, `performed` is the action itself. With
    `lost` the call is made first, and its answer is lost.
    """

    number: int
    at_s: float
    point: str
    call_number: int
    action: str
    rule: str
    performed: Action
    lost: bool = False

    @property
    def seconds(self) -> float | None:
        """The duration of the action, if it has one that was given."""
        seconds: float | None = getattr(self.performed, "seconds", None)
        return seconds

    def __str__(self) -> str:
        return f"injection {self.number} at {self.at_s:.3f} s, call {self.call_number} of {self.point}: {self.action}"


class TraceEntry(msgspec.Struct, eq=False):
    """One call at one point: when it began, in seconds, about what, what came of it, and what was injected.

    `about` is shown as text, later, if at all; `number` is given out by who has the whole trace. One is made at every call of
    a run, which is why it is of the kind that is made quickest. As a context it notes that the call raised.
    """

    point: str
    at_s: float
    about: object
    injection: Injection | None = None
    outcome: str = "unfinished"
    number: int = 0

    @property
    def layer(self) -> str:
        """The first part of the point's name."""
        return self.point.partition(".")[0]

    @property
    def action(self) -> Action | None:
        """What shall happen instead of the call or after it; `None`: nothing."""
        return None if self.injection is None else self.injection.performed

    @property
    def lost(self) -> bool:
        """Whether the call is made before what shall happen."""
        return self.injection is not None and self.injection.lost

    @property
    def arguments(self) -> str:
        """What the call was about, without payloads, paths and addresses."""
        return _PATH.sub("<path>", _ADDRESS.sub("", str(self.about)))

    def answered(self, answer: object) -> None:
        """Note what the call was answered with."""
        self.outcome = answer_text(answer)

    def __enter__(self) -> TraceEntry:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.outcome = f"raised {kind.__name__}"

    def __str__(self) -> str:
        said = f"{self.number:>5} {self.at_s:>11.3f} {self.point:<28} {self.arguments} -> {self.outcome}"
        if self.injection is None:
            return said
        return f"{said}  !! {self.injection.action} (injection {self.injection.number}, rule {self.injection.rule})"


def answer_text(answer: object) -> str:
    """What was answered, as far as it is no payload: truth values, native ids and amounts."""
    if answer is None:
        return "answered"
    if answer is True or answer is False:
        return "answered yes" if answer else "answered no"
    if isinstance(answer, str):
        return f"answered {answer}" if _NATIVE_ID.fullmatch(answer) else "answered text"
    if isinstance(answer, _MANY):
        return f"answered {len(answer)} items"
    if isinstance(answer, bytes):
        return f"answered {len(answer)} bytes"
    return f"answered {answer}" if isinstance(answer, int) else f"answered {type(answer).__name__}"


_MANY = (list, dict, tuple, frozenset, set)
