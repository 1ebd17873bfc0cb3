"""The programs that every simulated host has: `sleep`, `true`, `false`, `cat`, `tail` and `sh`."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from backends.simulated_programs import FakeProcess, Program
from backends.simulated_shell import Shell

__all__ = ["builtin_program"]


class _Sleeper:
    """Ends after so many seconds; types and signals do what they do to a process that knows neither."""

    def __init__(self, process: FakeProcess) -> None:
        self._process = process

    def start(self) -> None:
        seconds = _seconds(self._process.argv[1:])
        if seconds is None:
            self._process.print("sleep: invalid time interval\n")
            self._process.exit(1)
        elif seconds != float("inf"):
            self._process.clock.call_later(seconds, self._process.exit)

    def typed(self, text: str) -> None:
        """Nobody reads it."""

    def signalled(self, signum: int) -> bool:
        return False


class _Ender(_Sleeper):
    """Ends at once with a given status."""

    def __init__(self, process: FakeProcess, status: int) -> None:
        super().__init__(process)
        self._status = status

    def start(self) -> None:
        self._process.exit(self._status)


class _Echo(_Sleeper):
    """Prints what is typed, for ever."""

    def start(self) -> None:
        """Nothing comes by itself."""

    def typed(self, text: str) -> None:
        self._process.print(text + "\n")


class _Idle(_Sleeper):
    """Reads nothing, prints nothing, ends by signal."""

    def start(self) -> None:
        """Nothing comes by itself."""


def _seconds(words: tuple[str, ...]) -> float | None:
    try:
        return sum(float(word) for word in words) if words else None
    except ValueError:
        return None


_PROGRAMS: dict[str, Callable[[FakeProcess], Program]] = {
    "sleep": _Sleeper,
    "true": lambda process: _Ender(process, 0),
    "false": lambda process: _Ender(process, 1),
    "cat": _Echo,
    "tail": _Idle,
    "sh": Shell,
}


def builtin_program(process: FakeProcess) -> Program | None:
    """The program that the first word of the argv names, by its last path component; `None` if there is none."""
    known = _PROGRAMS.get(posixpath.basename(process.argv[0])) if process.argv else None
    return None if known is None else known(process)
