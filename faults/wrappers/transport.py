"""Around a transport: the `transport.` points, one for each command verb."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backends.errors import redact_argv
from backends.processes import Completed
from backends.transport import Transport, disconnect
from faults.actions import Action, Empty, Exit, Output, Truncate, Undecodable
from faults.ledger import Ledger
from faults.trace import TraceEntry
from faults.verbs import verb_of

__all__ = ["GARBAGE", "FaultyTransport", "line_of"]

GARBAGE = b"\xff\xfe\x00@1\xc3\n"
"""No UTF-8 decoder accepts it."""


class FaultyTransport:
    """A `backends.transport.Transport` that goes wrong as planned."""

    def __init__(self, inner: Transport, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        verb, at = verb_of(argv)
        command = _Command(argv, at)
        with self._ledger.reach(f"transport.{verb}", command, command.arguments) as reached:

            def proceed() -> object:
                return self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)

            def instead(action: Action, inner: Callable[[], object]) -> object:
                return self._instead(argv, reached, action, inner)

            completed = self._ledger.answer(reached, proceed, instead, deadline_s=timeout_s)
            assert isinstance(completed, Completed)
            reached.outcome = f"exit {completed.status}, {len(completed.stdout)} and {len(completed.stderr)} bytes"
            return completed

    def abandon(self) -> None:
        """See `Transport.abandon`."""
        self._inner.abandon()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._inner.take_up()

    def close(self) -> None:
        """See `Connection.close`."""
        disconnect(self._inner)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def _instead(
        self, argv: Sequence[str], reached: TraceEntry, action: Action, proceed: Callable[[], object]
    ) -> Completed:
        said = tuple(argv)
        if isinstance(action, Exit):
            return Completed(said, action.status, b"", line_of(action.stderr))
        if isinstance(action, Output):
            return Completed(said, 0, line_of(action.text), b"")
        if isinstance(action, Empty):
            return Completed(said, 0, b"", b"")
        if isinstance(action, Undecodable):
            return Completed(said, 0, GARBAGE, b"")
        if isinstance(action, Truncate):
            whole = proceed()
            assert isinstance(whole, Completed)
            return Completed(whole.argv, whole.status, whole.stdout[: action.size], whole.stderr)
        raise self._ledger.failure(reached, action)


class _Command:
    """A command line that is described when somebody asks: from its verb on, without payloads."""

    __slots__ = ("_argv", "_at")

    def __init__(self, argv: Sequence[str], at: int) -> None:
        self._argv = tuple(argv)
        self._at = at

    def arguments(self) -> dict[str, object]:
        """What a rule can filter by: the words from the verb on, joined by spaces."""
        return {"argv": " ".join(self._argv[self._at :])}

    def __str__(self) -> str:
        name = self._argv[0] if self._argv else ""
        return redact_argv([name, *("<path>" if "/" in word else word for word in self._argv[self._at :])])


def line_of(text: str) -> bytes:
    """`text` as a client prints it: with a line end, if there is anything; lone surrogates stand for single bytes."""
    if text and not text.endswith("\n"):
        text += "\n"
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
