"""`seamripper run --detach` and `resume --detach`: the same command without it, in a parked window of the root's own server.

The window stays when the command has ended, so that what it said can be read; the run's record does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.errors import CommandRejected, TransportError
from harness.commands.current import multiplexer_of
from harness.commands.host import CommandError, Host
from harness.commands.output import Output
from harness.commands.server import CONTROL, claim, require_available
from harness.waiting import eventually

__all__ = ["RETURN_OPTION", "Detached", "detach"]

RETURN_OPTION = "@seamripper_return"
"""Window option that names where a client that looks at a control window goes back to."""

_BEGIN_S = 20.0
"""Seconds that the detached command is given to begin its run before its id is told anyway."""


@dataclass(frozen=True, slots=True)
class Detached:
    """A command to be carried out in a control window: its `words`, and how it can be told that its run has begun.

    `where` as of `Order`.
    """

    words: tuple[str, ...]
    root: Path
    run_dir: Path
    mux: str | None
    has_begun: Callable[[], bool]
    where: str = ""

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.run_dir.name


def detach(host: Host, output: Output, order: Detached) -> int:
    """Start the run in a window and answer as soon as it has begun."""
    multiplexer = multiplexer_of(host, order.mux, order.root)
    require_available(multiplexer)
    argv = (*host.again, *order.words)
    try:
        with claim(host, order.root):
            shells = _control_session(multiplexer, order.root)
            window = multiplexer.new_parked_window(CONTROL, order.run_id[:64], host.cwd, argv, RETURN_OPTION)
            for shell in shells:
                multiplexer.kill_window(shell)
    except TransportError as error:
        raise CommandError(
            f"whether the run was started is not known: {error.brief}",
            f"look at `seamripper status {order.run_id}{order.where}` before you try again",
        ) from error
    _wait_for_beginning(host, multiplexer, order, window)
    if output.as_json:
        output.document({"run_id": order.run_id, "run_dir": str(order.run_dir), "window": window})
        return 0
    output.say(order.run_id)
    output.aside(f"status  seamripper status {order.run_id}{order.where}")
    return 0


def _control_session(multiplexer: TerminalMultiplexer, root: Path) -> list[str]:
    """Make sure that the control session is there; answers the windows that nothing of ours runs in."""
    if multiplexer.has_session(CONTROL):
        return [
            window for window in multiplexer.list_window_ids(CONTROL) if multiplexer.window_exit(window) is not None
        ]
    try:
        multiplexer.new_session(CONTROL, root)
    except CommandRejected:
        # Somebody else may have made it meanwhile; if not, that is the answer.
        if not multiplexer.has_session(CONTROL):
            raise
        return []
    return multiplexer.list_window_ids(CONTROL)


def _wait_for_beginning(host: Host, multiplexer: TerminalMultiplexer, order: Detached, window: str) -> None:
    """Until the run's record is there; `CommandError` if the command ended without one."""
    ended: list[str] = []

    def begun_or_ended() -> bool:
        if order.has_begun():
            return True
        status = multiplexer.window_exit(window)
        ended.extend([] if status is None else [str(status)])
        return bool(ended)

    try:
        eventually(begun_or_ended, host.clock, _BEGIN_S, 0.1)
    except (TimeoutError, TransportError):
        return
    if ended and not order.has_begun():
        raise CommandError(f"the command ended before its run began ({ended[0]})", "do it without --detach to see why")
