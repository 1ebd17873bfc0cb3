"""tmux's formats over a simulated server: names like `window_id`, and what `#{...}` makes of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from backends.simulation import FakeServer, FakeSession, FakeWindow

__all__ = ["Place", "expand", "field_value"]


def _exit_code(window: FakeWindow) -> str:
    how = window.killed or window.exit
    return "" if not window.dead or how is None or how.code is None else str(how.code)


def _exit_signal(window: FakeWindow) -> str:
    how = window.killed or window.exit
    return "" if not window.dead or how is None or how.signal is None else str(how.signal)


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
    "window_flags": lambda w: "*" if w.session.current is w else "-" if w in w.session.last[:1] else "",
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


@dataclass(frozen=True, slots=True)
class Place:
    """What a format is expanded for; `version` and `socket` are what the server says about itself."""

    server: FakeServer
    version: str
    socket: str
    session: FakeSession | None = None
    window: FakeWindow | None = None

    def at(self, session: FakeSession | None, window: FakeWindow | None = None) -> Place:
        """The same server, seen from there; a session alone stands for its current window."""
        if window is None and session is not None:
            window = session.current
        return replace(self, session=session, window=window)

    def value(self, name: str) -> str:
        """What `#{name}` is here; `''` if nothing has that name."""
        if name == "version":
            return self.version
        if name == "socket_path":
            return self.socket
        if self.window is not None:
            return field_value(self.window, name)
        return server_value(self.server, name) if self.session is None else session_value(self.session, name)


_OPERATION = re.compile(r"(?:e\|)?(==|!=|<=|>=|<|>|&&|\|\|)(?:\|[a-z]*)?:")

_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
    "&&": lambda one, other: _is_true(one) and _is_true(other),
    "||": lambda one, other: _is_true(one) or _is_true(other),
}
"""Texts are compared as texts, as tmux does without the `e|` in front."""


def expand(text: str, place: Place) -> str:
    """`text` with its formats replaced: `##`, `#{name}`, `?`, comparisons, `T:`, `E:` and the loops `S:`, `W:`, `P:`.

    What tmux would run as a command, `#(...)`, is left standing.
    """
    found = []
    start = 0
    while (mark := text.find("#", start)) >= 0:
        found.append(text[start:mark])
        if text.startswith("##", mark):
            found.append("#")
            start = mark + 2
        elif text.startswith("#{", mark):
            end = _closing(text, mark + 1)
            found.append(_evaluated(text[mark + 2 : end], place))
            start = end + 1
        else:
            found.append("#")
            start = mark + 1
    return "".join([*found, text[start:]])


def _evaluated(inner: str, place: Place) -> str:
    if inner.startswith("?"):
        condition, *branches = _arguments(inner[1:])
        chosen = 0 if _is_true(expand(condition, place) if "#" in condition else place.value(condition)) else 1
        return expand(branches[chosen], place) if chosen < len(branches) else ""
    operation = _OPERATION.match(inner)
    if operation is not None:
        one, other, *_ = [expand(argument, place) for argument in _arguments(inner[operation.end() :])] + ["", ""]
        if inner.startswith("e|"):
            one, other = _padded(one), _padded(other)
        return "1" if _COMPARISONS[operation[1]](one, other) else "0"
    modifier, colon, rest = inner.partition(":")
    if colon and modifier in _MODIFIERS:
        return _MODIFIERS[modifier](rest, place)
    return place.value(inner)


def _strftime(name: str, place: Place) -> str:
    return expand(place.value(name), place).replace("%s", str(int(place.server.clock.wall())))


def _each_session(form: str, place: Place) -> str:
    return "".join(expand(form, place.at(session)) for _, session in sorted(place.server.sessions.items()))


def _each_window(form: str, place: Place) -> str:
    windows = [] if place.session is None else place.session.windows()
    return "".join(expand(form, place.at(place.session, window)) for window in windows)


_MODIFIERS: Mapping[str, Callable[[str, Place], str]] = {
    "T": _strftime,
    "E": lambda name, place: expand(place.value(name), place),
    "S": _each_session,
    "W": _each_window,
    "P": expand,
}
"""A window has one pane, so that the loop over panes runs once."""


def _is_true(text: str) -> bool:
    return text not in ("", "0")


def _padded(number: str) -> str:
    """A text that compares as the number does; good for what is not negative."""
    return f"{int(number) if number.isdecimal() else 0:020d}"


def _closing(text: str, start: int) -> int:
    """Where the brace at `start` is closed; the end of the text if it is not."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return len(text)


def _arguments(text: str) -> list[str]:
    """`text` cut at its commas, those inside of braces left alone."""
    parts = [""]
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
