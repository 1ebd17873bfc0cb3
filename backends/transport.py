"""From an argv to what came of it: the one place that spawns a multiplexer's client."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from backends.clock import Clock, Waker
from backends.processes import Completed, ProcessTable, SystemProcessTable

__all__ = [
    "Connection",
    "Outcome",
    "SubprocessTransport",
    "Transport",
    "decode",
    "disconnect",
    "one_by_one",
    "run_many",
    "without_server",
]

_INHERITED = frozenset({"TMUX", "TMUX_PANE", "TMUX_TMPDIR", "PSMUX_SESSION"})
"""Never handed to a client: they would choose a server."""


class Transport(Protocol):
    """Carries one command of a multiplexer to its server and back."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """What came of `argv`; may raise anything that spawning and waiting can raise."""

    def abandon(self) -> None:
        """Give up the command in progress and every later one, until `take_up`; they fail as `InterruptedError`."""

    def take_up(self) -> None:
        """Carry commands again, after `abandon`."""


@runtime_checkable
class Connection(Protocol):
    """What a `Transport` is as well that keeps something open between commands."""

    def close(self) -> None:
        """Let go of it; the commands that follow are carried as well. Raises nothing, and waits for a moment at most."""


Outcome = Completed | Exception
"""What came of one of several commands: how it ended, or what `Transport.run` would have raised."""


def run_many(transport: Transport, argvs: Sequence[Sequence[str]], *, timeout_s: float, clock: Clock) -> list[Outcome]:
    """The outcome of each of `argvs`, none of which depends on another, all within `timeout_s` seconds of `clock`.

    A transport that has a `run_many` of its own (`ControlTransport`) sends all of them before it waits for the first; with any
    other one they are run one after the other.
    """
    # Asked of the class: who wraps a transport and hands on what it does not know must not be passed by.
    if hasattr(type(transport), "run_many"):
        outcomes: list[Outcome] = transport.run_many(argvs, timeout_s=timeout_s)  # type: ignore[attr-defined]  # it has one
        return outcomes
    return one_by_one(transport, argvs, timeout_s=timeout_s, clock=clock)


def one_by_one(
    transport: Transport, argvs: Sequence[Sequence[str]], *, timeout_s: float, clock: Clock
) -> list[Outcome]:
    """See `run_many`; each is run when the one before it has ended."""
    end = clock.monotonic() + timeout_s
    return [_outcome(transport, argv, end - clock.monotonic(), timeout_s) for argv in argvs]


def _outcome(transport: Transport, argv: Sequence[str], left: float, timeout_s: float) -> Outcome:
    if left <= 0:
        return subprocess.TimeoutExpired(list(argv), timeout_s)
    try:
        return transport.run(argv, timeout_s=left)
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        return error


def disconnect(transport: Transport) -> None:
    """Have `transport` let go of what it keeps open, if it keeps anything."""
    if isinstance(transport, Connection):
        transport.close()


class SubprocessTransport:
    """One client process per command, ended with its process group when the deadline passes."""

    def __init__(self, processes: ProcessTable | None = None, *, environment: Mapping[str, str] | None = None) -> None:
        """Spawn through `processes`; clients see `environment` (default: this process's) less what names a server."""
        self._processes = processes or SystemProcessTable()
        self._environment = without_server(os.environ if environment is None else environment)
        self._waker = Waker()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`; raises `subprocess.TimeoutExpired` with the argv that was not answered."""
        try:
            return self._processes.run(argv, timeout_s=timeout_s, stdin=stdin, env=self._environment, waker=self._waker)
        except subprocess.TimeoutExpired as expired:
            raise subprocess.TimeoutExpired(list(argv), expired.timeout) from None

    def abandon(self) -> None:
        """See `Transport.abandon`; may be called from a signal handler."""
        self._waker.wake()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._waker.clear()


def decode(data: bytes | None) -> str | None:
    """Output as text, undecodable bytes as escapes; `None` stays `None`, for the guard to see."""
    return None if data is None else data.decode("utf-8", "backslashreplace")


def without_server(environment: Mapping[str, str]) -> dict[str, str]:
    """What of `environment` a client is given: nothing that would choose a server."""
    return {name: value for name, value in environment.items() if name not in _INHERITED}
