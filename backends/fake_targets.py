"""How tmux finds what `-t` names, and the texts with which it says that there is no such thing (3.3a)."""

from __future__ import annotations

from fnmatch import fnmatchcase

from backends.fake_words import Refused
from backends.simulation import FakeServer, FakeSession, FakeWindow

__all__ = ["current_session", "find_pane", "find_session", "find_window", "look_up_session"]


def current_session(server: FakeServer) -> FakeSession:
    """The session that stands for "here" where nobody is attached: the newest."""
    if not server.sessions:
        raise Refused("no current target")
    return list(server.sessions.values())[-1]


def look_up_session(server: FakeServer, name: str) -> FakeSession | None:
    """The session that a name finds: exactly, or unless it begins with `=` by unique prefix or pattern."""
    if name.startswith("$"):
        return next((session for session in server.sessions.values() if session.id == name), None)
    if name.startswith("="):
        return server.sessions.get(name[1:])
    if name in server.sessions:
        return server.sessions[name]
    for matches in (str.startswith, fnmatchcase):
        found = [session for key, session in server.sessions.items() if matches(key, name)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def find_session(server: FakeServer, target: str | None) -> FakeSession:
    """The session that `-t` names to a command about sessions."""
    here = _here(server, target)
    if not target:
        return here
    if target[0] in "@%":
        return find_window(server, target).session
    name = target.partition(":")[0]
    session = look_up_session(server, name) if name else here
    if session is None:
        raise Refused(f"can't find session: {name.removeprefix('=')}")
    return session


def find_window(server: FakeServer, target: str | None) -> FakeWindow:
    """The window that `-t` names to a command about windows or panes."""
    here = _here(server, target)
    if not target:
        return _current(here)
    if target.startswith("@"):
        window = server.windows.get(target)
        if window is None:
            raise Refused(f"can't find window: {target}")
        return window
    if target.startswith("%"):
        window = server.windows.get("@" + target[1:])
        if window is None:
            raise Refused(f"can't find pane: {target}")
        return window
    name, colon, inner = target.partition(":")
    if not colon:
        session = find_session(server, name) if name.startswith("$") else look_up_session(server, name)
        return _current(session) if session is not None else _in_session(here, name)
    return _in_session(find_session(server, target), inner)


def find_pane(server: FakeServer, target: str | None) -> FakeWindow:
    """The window of the pane that `-t` names to a command about panes: `=NAME` needs its colon here."""
    if target and target.startswith("=") and ":" not in target:
        _here(server, target)
        raise Refused(f"can't find pane: {target}")
    return find_window(server, target)


def _here(server: FakeServer, target: str | None) -> FakeSession:
    here = current_session(server)
    if target == "=":
        raise Refused("no mouse target")
    return here


def _in_session(session: FakeSession, word: str) -> FakeWindow:
    """The window that the part behind the colon names: an index first, then a name."""
    word = word.partition(".")[0]
    if not word:
        return _current(session)
    name = word.removeprefix("=")
    if name.startswith("@"):
        found = [window for window in session.windows() if window.id == name]
    elif name.isdecimal() and int(name) in session.by_index:
        found = [session.by_index[int(name)]]
    else:
        found = session.named(name)
        if not found and name == word:
            found = [window for window in session.windows() if window.name.startswith(name)]
    if len(found) != 1:
        raise Refused(f"can't find window: {name}")
    return found[0]


def _current(session: FakeSession) -> FakeWindow:
    if session.current is None:
        raise Refused("no current target")
    return session.current
