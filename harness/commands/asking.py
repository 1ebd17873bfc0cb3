"""Which sessions a multiplexer has, asked once for all runs."""

from __future__ import annotations

from backends.base import TerminalMultiplexer
from backends.errors import TransportGarbled
from harness.commands.host import Host
from harness.commands.server import CONTROL, has_no_server

__all__ = ["sessions_there"]


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
