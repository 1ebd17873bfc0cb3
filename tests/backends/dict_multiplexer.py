"""The smallest multiplexer there can be: it answers every operation out of a dict, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.base import TerminalMultiplexer
from backends.clock import VirtualClock
from backends.guard import Call
from backends.operations import OPERATIONS, ServerIdentity, WindowExit

__all__ = ["HEALTHY", "DictMultiplexer", "Raising", "call_sample"]

HEALTHY: dict[str, object] = {
    "has_session": True,
    "new_session": None,
    "kill_session": None,
    "list_sessions": ["run-1"],
    "session_options": {"run-1": "demo"},
    "set_session_option": None,
    "new_window": "@1",
    "new_parked_window": "@2",
    "list_window_ids": ["@1", "@2"],
    "list_windows": [("@1", "agent")],
    "window_alive": True,
    "kill_window": None,
    "select_window": None,
    "set_window_option": None,
    "unset_window_option": None,
    "show_window_option": "x",
    "pipe_pane": None,
    "send_text": None,
    "attach_target_argv": ["tmux", "attach"],
    "current_pane_id": "%1",
    "current_window_id": None,
    "current_session": "run-1",
    "detach_client": None,
    "switch_client": True,
    "available": True,
    "version": "tmux 3.3a",
    "target": "=run-1:agent",
    "window_pids": [4242],
    "window_exit": WindowExit(code=0),
    "server_identity": ServerIdentity(pid=4242, started=1),
    "batch_liveness": frozenset({"@1"}),
}
"""One answer of a healthy backend for every operation."""


def _answering(name: str) -> Callable[..., object]:
    def operation(self: DictMultiplexer, *args: object, **kwargs: object) -> object:
        self.asked.append(name)
        return self.answers[name]

    return operation


_Everything: Any = type("Everything", (TerminalMultiplexer,), {name: _answering(name) for name in OPERATIONS})


class DictMultiplexer(_Everything):  # type: ignore[misc]  # its methods are made from the table
    """Answers out of `answers`; `asked` are the operations that reached it, `seen` the calls that were observed."""

    def __init__(self, clock: VirtualClock | None = None, call_timeout_s: float | None = None) -> None:
        super().__init__(clock=clock or VirtualClock(), call_timeout_s=call_timeout_s)
        self.answers = dict(HEALTHY)
        self.asked: list[str] = []
        self.seen: list[Call] = []
        self.observe(self.seen.append)


class Raising:
    """A hook that raises a new error for every call instead of asking the backend."""

    def __init__(self, make: Callable[[], BaseException]) -> None:
        self.make = make

    def around(self, call: Call, proceed: Callable[[], object]) -> object:
        """See `Hook.around`."""
        raise self.make()


def call_sample(multiplexer: TerminalMultiplexer, name: str, /, **changes: Any) -> object:
    """Call the operation `name` with its sample arguments, less what `changes` replaces."""
    operation: Callable[..., object] = getattr(multiplexer, name)
    return operation(**{**OPERATIONS[name].sample, **changes})
