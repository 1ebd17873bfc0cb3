"""Above the guard of a multiplexer: the `leak.` points, where a dishonest backend lets raw errors out."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, cast

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError
from backends.operations import OPERATIONS, Operation
from faults.actions import Action
from faults.ledger import Ledger

__all__ = ["LET_OUT", "leaking"]

LET_OUT = "let out"
"""How the outcome of a call begins that raised what is no error of the seam, by itself: the name of its type follows."""


class _Proxy(TerminalMultiplexer, guarded=False):
    """Hands everything on to what it wraps; `leaking` adds the operations."""

    def __init__(self, inner: TerminalMultiplexer, ledger: Ledger) -> None:
        # Clock, hook, observers and budgets are those of the seam, so sharing it shares them all.
        self._seam = inner.seam
        self._inner = inner
        self._ledger = ledger
        self.capabilities = inner.capabilities

    @property
    def backend_name(self) -> str:
        """See `TerminalMultiplexer.backend_name`."""
        return self._inner.backend_name

    def abandon(self) -> None:
        """See `TerminalMultiplexer.abandon`."""
        self._inner.abandon()

    def take_up(self) -> None:
        """See `TerminalMultiplexer.take_up`."""
        self._inner.take_up()

    def disconnect(self) -> None:
        """See `TerminalMultiplexer.disconnect`."""
        self._inner.disconnect()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def _call(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        def proceed() -> object:
            try:
                return getattr(self._inner, operation.name)(*args, **kwargs)
            except MultiplexerError:
                raise
            except Exception as raw:
                self._ledger.note(f"leak.{operation.name}", about, f"{LET_OUT} {type(raw).__name__}")
                raise

        def arguments() -> dict[str, object]:
            return {**dict(zip(operation.arguments, args, strict=False)), **kwargs}

        about = _About(operation, arguments)
        with self._ledger.reach(f"leak.{operation.name}", about, arguments, quiet=True) as reached:

            def instead(action: Action, _: Callable[[], object]) -> object:
                raise self._ledger.failure(reached, action)

            answer = self._ledger.answer(reached, proceed, instead, deadline_s=self._seam.deadline_s(operation))
            reached.answered(answer)
            return answer


class _About:
    """A call that is described when somebody asks."""

    __slots__ = ("_arguments", "_operation")

    def __init__(self, operation: Operation, arguments: Callable[[], dict[str, object]]) -> None:
        self._operation = operation
        self._arguments = arguments

    def __str__(self) -> str:
        return self._operation.described(self._arguments())


def _handing_on(operation: Operation) -> Callable[..., object]:
    def run(self: _Proxy, *args: Any, **kwargs: Any) -> object:
        return self._call(operation, args, kwargs)

    # The wrapped function's own attributes are left behind: they would make the method abstract.
    return functools.wraps(getattr(TerminalMultiplexer, operation.name), updated=())(run)


def _add_operations(namespace: dict[str, Any]) -> None:
    namespace["__doc__"] = _Proxy.__doc__
    namespace["__module__"] = __name__
    namespace.update((name, _handing_on(operation)) for name, operation in OPERATIONS.items())


LeakingMultiplexer = cast(
    "type[_Proxy]", types.new_class("LeakingMultiplexer", (_Proxy,), {"guarded": False}, _add_operations)
)


def leaking(inner: TerminalMultiplexer, ledger: Ledger) -> TerminalMultiplexer:
    """`inner`, except where a `leak.` rule puts a raw error above its guard."""
    return LeakingMultiplexer(inner, ledger)
