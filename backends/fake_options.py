"""Which options a simulated tmux knows, where they belong, and which values they take."""

from __future__ import annotations

from enum import Enum

from backends.fake_words import Refused
from backends.simulation import FakeSession, FakeWindow

__all__ = ["OptionScope", "put_option", "scope_of", "table_of"]


class OptionScope(Enum):
    """Whose option it is."""

    SERVER = "server"
    SESSION = "session"
    WINDOW = "window"


_SERVER = "buffer-limit default-terminal escape-time exit-empty exit-unattached focus-events history-file set-clipboard"
_SESSION = (
    "base-index bell-action default-command default-shell default-size destroy-unattached detach-on-destroy display-time "
    "history-limit message-limit mouse prefix renumber-windows set-titles status status-interval status-left status-right "
    "update-environment visual-activity visual-bell"
)
_WINDOW = (
    "aggressive-resize allow-rename alternate-screen automatic-rename main-pane-width mode-keys monitor-activity monitor-bell "
    "pane-base-index remain-on-exit synchronize-panes window-size wrap-search"
)

_SCOPES = {
    **dict.fromkeys(_SERVER.split(), OptionScope.SERVER),
    **dict.fromkeys(_SESSION.split(), OptionScope.SESSION),
    **dict.fromkeys(_WINDOW.split(), OptionScope.WINDOW),
}
"""A part of what tmux 3.3a knows; any other name is refused unless it begins with `@`."""

_SWITCHES = (
    "aggressive-resize allow-rename alternate-screen automatic-rename destroy-unattached exit-empty exit-unattached "
    "focus-events monitor-activity mouse renumber-windows set-titles synchronize-panes wrap-search"
)
_SWITCHED = {"on": "on", "yes": "on", "1": "on", "off": "off", "no": "off", "0": "off"}
_CHOICES = {
    "remain-on-exit": ("on", "off", "failed"),
    "status": ("on", "off", "2", "3", "4", "5"),
}


def scope_of(option: str | None, *, server: bool, window: bool) -> OptionScope:
    """Where `option` belongs: by its name, or for user options and listings by the flags; `Refused` for an unknown name."""
    if option is None or option.startswith("@"):
        return OptionScope.SERVER if server else OptionScope.WINDOW if window else OptionScope.SESSION
    scope = _SCOPES.get(option)
    if scope is None:
        raise Refused(f"invalid option: {option}")
    return scope


def table_of(option: str, session: FakeSession, window: FakeWindow | None = None) -> dict[str, str]:
    """Where an option that is asked for of a window (else of a session) is kept; `Refused` for an unknown name.

    Whatever was asked for, an option that tmux knows belongs to a server, a session or a window by its name.
    """
    scope = scope_of(option, server=False, window=window is not None)
    if scope is OptionScope.SERVER:
        return session.server.options
    shown = window or session.current
    return session.options if scope is OptionScope.SESSION or shown is None else shown.options


def put_option(table: dict[str, str], option: str, value: str) -> None:
    """Set the option, or refuse a value that it does not take."""
    choices = _CHOICES.get(option)
    if choices is not None and value not in choices:
        raise Refused(f"unknown value: {value}")
    if option in _SWITCHES.split():
        if value.lower() not in _SWITCHED:
            raise Refused(f"bad value: {value}")
        value = _SWITCHED[value.lower()]
    table[option] = value
