"""Which sessions a multiplexer has, asked once for all runs."""

from __future__ import annotations

from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError, TransportGarbled
from backends.processes import Liveness
from harness.commands.current import multiplexer_of
from harness.commands.host import Host
from harness.commands.server import CONTROL, has_no_server
from harness.dashboard.sessions import Answer, Sessions
from harness.record import RunState

__all__ = ["EverySession", "sessions_there"]


class EverySession:
    """Tells of any run below `root` whether its session is there; the multiplexer is asked once, for `patience_s` at most."""

    def __init__(self, host: Host, root: Path, mux: str | None, patience_s: float) -> None:
        self._host = host
        self._root = root
        self._mux = mux
        self._patience_s = patience_s
        self._known: Sessions | None = None

    def __call__(self, state: RunState) -> Liveness:
        """Whether the session of that run is there; never raises."""
        if self._known is None:
            self._known = self._asked()
        return self._known.liveness(state)

    def _asked(self) -> Sessions:
        now = self._host.clock.wall()
        try:
            multiplexer = multiplexer_of(self._host, self._mux, self._root)
            with multiplexer.budget(self._patience_s):
                return Sessions(Answer(type(multiplexer).__name__, sessions_there(self._host, multiplexer)), now)
        except MultiplexerError as error:
            return Sessions(silent_since=now, why=error.brief)
        except OSError as error:
            return Sessions(silent_since=now, why=str(error))


def sessions_there(host: Host, multiplexer: TerminalMultiplexer) -> frozenset[str]:
    """The names of all its sessions; raises `MultiplexerError` where it did not answer.

    An empty list is also what silence looks like, so it counts only once a question that cannot be mistaken was answered.
    """
    if has_no_server(host, multiplexer):
        return frozenset()
    names = multiplexer.list_sessions()
    if not names and multiplexer.has_session(CONTROL):
        raise TransportGarbled("a session is there, and the list of all sessions is empty")
    return frozenset(names)
