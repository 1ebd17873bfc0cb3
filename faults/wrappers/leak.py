"""Above the guard of a multiplexer: the `leak.` points, where a dishonest backend lets raw errors out."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from backends.base import News, TerminalMultiplexer
from backends.errors import MultiplexerError
from backends.operations import OPERATIONS, Operation, ServerIdentity
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

    @property
    def news(self) -> News | None:
        """See `TerminalMultiplexer.news`."""
        return self._inner.news

    @property
    def answered_by(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.answered_by`."""
        return self._inner.answered_by

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def _call(self, operation: Operation, point: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        arguments = partial(_by_name, operation, args, kwargs)
        with self._ledger.reach(point, _About(operation, arguments), arguments, quiet=True) as reached:

            def proceed() -> object:
                try:
                    return getattr(self._inner, operation.name)(*args, **kwargs)
                except Exception as raw:
                    self._let_out(raw, operation, point, args, kwargs)
                    raise

            def instead(action: Action, _: Callable[[], object]) -> object:
                raise self._ledger.failure(reached, action)

            answer = self._ledger.answer(reached, proceed, instead, deadline_s=self._seam.deadline_s(operation))
            reached.answered(answer)
            return answer

    def _let_out(
        self, raw: Exception, operation: Operation, point: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not isinstance(raw, MultiplexerError):
            about = _About(operation, partial(_by_name, operation, args, kwargs))
            self._ledger.note(point, about, f"{LET_OUT} {type(raw).__name__}")


def _by_name(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, object]:
    return {**dict(zip(operation.arguments, args, strict=False)), **kwargs}


class _About:
    """A call that is described when somebody asks."""

    __slots__ = ("_arguments", "_operation")

    def __init__(self, operation: Operation, arguments: Callable[[], dict[str, object]]) -> None:
        self._operation = operation
        self._arguments = arguments

    def __str__(self) -> str:
        return self._operation.described(self._arguments())


def _handing_on(operation: Operation) -> Callable[..., object]:
    name, point = operation.name, f"leak.{operation.name}"

    def run(self: _Proxy, *args: Any, **kwargs: Any) -> object:
        if not self._ledger.passes(point):
            return self._call(operation, point, args, kwargs)
        try:
            return getattr(self._inner, name)(*args, **kwargs)
        except Exception as raw:
            self._let_out(raw, operation, point, args, kwargs)
            raise

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
