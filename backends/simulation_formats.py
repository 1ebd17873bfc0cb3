"""What a simulated server answers for a format name, `window_id` and the like."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from backends.simulation import FakeServer, FakeSession, FakeWindow

__all__ = ["field_value", "server_value", "session_value"]


def _exit_code(window: FakeWindow) -> str:
    return "" if not window.dead or window.exit is None or window.exit.code is None else str(window.exit.code)


def _exit_signal(window: FakeWindow) -> str:
    return "" if not window.dead or window.exit is None or window.exit.signal is None else str(window.exit.signal)


def _running_command(window: FakeWindow) -> str:
    process = window.process
    return posixpath.basename(process.argv[0]) if process is not None and process.alive and process.argv else "sh"


_WINDOW: Mapping[str, Callable[[FakeWindow], str]] = {
    "window_id": lambda w: w.id,
    "window_name": lambda w: w.name,
    "window_index": lambda w: str(w.index),
    "window_active": lambda w: "1" if w.session.current is w else "0",
    "window_panes": lambda w: "1",
    "window_width": lambda w: str(w.session.cols),
    "window_height": lambda w: str(w.session.lines),
    "window_flags": lambda w: "*" if w.session.current is w else "",
    "pane_id": lambda w: w.pane_id,
    "pane_index": lambda w: "0",
    "pane_active": lambda w: "1",
    "pane_pid": lambda w: str(w.pid),
    "pane_dead": lambda w: "1" if w.dead else "0",
    "pane_dead_status": _exit_code,
    "pane_dead_signal": _exit_signal,
    "pane_pipe": lambda w: "0" if w.log is None else "1",
    "pane_in_mode": lambda w: "0",
    "pane_current_command": _running_command,
    "pane_current_path": lambda w: w.cwd,
    "pane_start_path": lambda w: w.cwd,
    "pane_start_command": lambda w: w.command,
    "pane_width": lambda w: str(w.session.cols),
    "pane_height": lambda w: str(w.session.lines),
}

_SESSION: Mapping[str, Callable[[FakeSession], str]] = {
    "session_name": lambda s: s.name,
    "session_id": lambda s: s.id,
    "session_windows": lambda s: str(len(s.by_index)),
    "session_attached": lambda s: "0",
    "session_created": lambda s: str(s.created),
}

_SERVER: Mapping[str, Callable[[FakeServer], str]] = {
    "pid": lambda s: "" if s.identity is None else str(s.identity.pid),
    "start_time": lambda s: str(s.started),
    "host": lambda s: s.processes.host(),
}


def field_value(window: FakeWindow, name: str) -> str:
    """What `#{name}` is for a window: its own value or option, else its session's, else the server's; `''` if unknown."""
    of_window = _WINDOW.get(name)
    if of_window is not None:
        return of_window(window)
    option = window.options.get(name)
    return session_value(window.session, name) if option is None else option


def session_value(session: FakeSession, name: str) -> str:
    """What `#{name}` is for a session."""
    of_session = _SESSION.get(name)
    if of_session is not None:
        return of_session(session)
    option = session.options.get(name)
    return server_value(session.server, name) if option is None else option


def server_value(server: FakeServer, name: str) -> str:
    """What `#{name}` is where nothing nearer has it: the server's own values, then its global options."""
    of_server = _SERVER.get(name)
    if of_server is not None:
        return of_server(server)
    for options in (server.window_defaults, server.session_defaults, server.options):
        if name in options:
            return options[name]
    return ""
