"""Below the guard of a multiplexer: the `mux.` points, and the calls of the seam in the trace."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial

from backends.guard import Call
from backends.operations import OPERATIONS, Operation
from faults.actions import Action, Empty, Exit, Output, Truncate
from faults.ledger import Ledger
from faults.live import LivePoints
from faults.trace import TraceEntry, answer_text

__all__ = ["MuxPoint"]

_POINTS = {name: f"mux.{name}" for name in OPERATIONS}


class MuxPoint:
    """A `backends.guard.Hook`, and an observer that notes what the caller got to see.

    As a hook alone it notes what came out of the backend, which is what the guard gets to see.
    """

    def __init__(self, ledger: Ledger, live: LivePoints | None = None) -> None:
        """Reach the points of `live` as well, before each call."""
        self._ledger = ledger
        self._live = live
        self._open: dict[int, TraceEntry] = {}
        self._observes = False

    def around(self, call: Call, proceed: Callable[[], object]) -> object:
        """See `backends.guard.Hook.around`."""
        if self._live is not None:
            self._live.reach(call)
        ledger, point = self._ledger, _POINTS[call.operation.name]
        entry = ledger.passing(point, call) or ledger.reach(point, call, partial(getattr, call, "arguments"))
        if self._observes:
            self._open[call.number] = entry
            if entry.injection is None:
                # How it ended is noted by `finished`.
                return proceed()
        return self._answer(call, entry, proceed)

    def observe(self) -> None:
        """Expect every call to be shown to `finished` as well."""
        self._observes = True

    def finished(self, call: Call) -> None:
        """A `backends.guard.Observer`: note the outcome, also of calls that were refused before they were asked."""
        outcome = answer_text(call.answer) if call.error is None else f"{call.outcome} {type(call.error).__name__}"
        entry = self._open.pop(call.number, None)
        if entry is not None:
            entry.outcome = outcome
        else:
            self._ledger.note(f"mux.{call.operation.name}", call, f"not asked, {outcome}")

    def _answer(self, call: Call, reached: TraceEntry, proceed: Callable[[], object]) -> object:
        with reached:

            def instead(action: Action, inner: Callable[[], object]) -> object:
                return self._instead(call.operation, reached, action, inner)

            answer = self._ledger.answer(reached, proceed, instead, deadline_s=call.deadline_s)
            reached.answered(answer)
            return answer

    def _instead(
        self, operation: Operation, reached: TraceEntry, action: Action, proceed: Callable[[], object]
    ) -> object:
        if isinstance(action, Exit):
            error = subprocess.CalledProcessError(action.status, [operation.name], output="", stderr=action.stderr)
            raise self._ledger.marked(reached, error)
        if isinstance(action, Output):
            return _lie(operation, action.text)
        if isinstance(action, Empty):
            return None
        if isinstance(action, Truncate):
            return _cut(proceed(), action.size)
        raise self._ledger.failure(reached, action)


def _lie(operation: Operation, text: str) -> object:
    """`text` as the answer; as its lines where the operation answers with a list of texts."""
    lines = text.splitlines()
    return lines if lines and not operation.answers(text) and operation.answers(lines) else text


def _cut(answer: object, size: int) -> object:
    """What is left of an answer of which only the first `size` characters or items arrived.

    What has no parts (yes or no, an identity) arrives as nothing.
    """
    if isinstance(answer, str | list | tuple):
        return answer[:size]
    if isinstance(answer, dict):
        return dict(list(answer.items())[:size])
    if isinstance(answer, frozenset):
        return frozenset(sorted(answer)[:size])
    return None
