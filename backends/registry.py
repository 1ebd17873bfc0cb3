"""Which backend stands behind the seam: chosen by name, by environment, or by platform.

Backends outside of this tree are found through the entry-point group `seamripper.backends`, or named as
`module:Attribute`. One that is broken is reported by `known_multiplexers`, and hides no other.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from backends.base import TerminalMultiplexer
from backends.errors import BackendNotFound
from backends.later import later

__all__ = [
    "ENTRY_POINT_GROUP",
    "ENVIRONMENT_VARIABLE",
    "BackendInfo",
    "Factory",
    "chosen_multiplexer",
    "get_multiplexer",
    "known_multiplexers",
    "multiplexer_names",
    "multiplexer_reference",
    "register_multiplexer",
]

announced = later("backends.installed:announced")

ENTRY_POINT_GROUP = "seamripper.backends"
ENVIRONMENT_VARIABLE = "SEAMRIPPER_MUX"
_PLATFORM_DEFAULTS: Mapping[str, str] = {"win32": "psmux"}
_DEFAULT = "tmux"

Factory = Callable[..., TerminalMultiplexer]
"""Makes a backend from the options of `get_multiplexer`; a class will do."""


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend that can be chosen: where it comes from, whether this host can run it, and if not, why."""

    name: str
    source: str
    available: bool
    problem: str | None = None


_BUILT_IN: Mapping[str, str] = {
    "fake": "backends.fake:FakeMultiplexer",
    "psmux": "backends.psmux:PsmuxMultiplexer",
    "tmux": "backends.tmux:TmuxMultiplexer",
}
"""Where they are; each is loaded when it is asked for, and none of them waits for another."""
_registered: dict[str, Factory] = {}


def register_multiplexer(name: str, factory: Factory) -> None:
    """Make `factory` known as `name`, in this process, before every other backend of that name."""
    _registered[name] = factory


def get_multiplexer(
    name: str | None = None, *, environment: Mapping[str, str] | None = None, **options: object
) -> TerminalMultiplexer:
    """The backend called `name`, else by `SEAMRIPPER_MUX`, else the platform's; made with `options`.

    `name` may be `module:Attribute`. `environment` stands in for this process's. Raises `BackendNotFound` where there is
    none of that name or it cannot be loaded; whatever the backend's own constructor raises passes through.
    """
    return _factory(chosen_multiplexer(name, environment))(**options)


def chosen_multiplexer(name: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """The name of the backend that `get_multiplexer` would make; it need not exist."""
    given = os.environ if environment is None else environment
    return name or given.get(ENVIRONMENT_VARIABLE) or _PLATFORM_DEFAULTS.get(sys.platform, _DEFAULT)


def known_multiplexers() -> list[BackendInfo]:
    """Every backend that can be chosen by a bare name, in order of name."""
    sources = {name: f"entry point {ENTRY_POINT_GROUP}" for name in _entry_points()}
    sources.update(dict.fromkeys(_BUILT_IN, "built in"))
    sources.update(dict.fromkeys(_registered, "registered"))
    return [_info(name, sources[name]) for name in sorted(sources)]


def _info(name: str, source: str) -> BackendInfo:
    try:
        made = _factory(name)()
        available = made.available()
        problem = None if available else _missing(made)
    except BackendNotFound as missing:
        return BackendInfo(name, source, False, missing.message)
    except (Exception, SystemExit) as broken:
        return BackendInfo(name, source, False, f"cannot be made: {_why(broken)}")
    return BackendInfo(name, source, available, problem)


def _missing(multiplexer: TerminalMultiplexer) -> str:
    """Why this host cannot run it: what it needs, and what was found instead."""
    requirement = getattr(multiplexer, "requirement", "")
    if not requirement:
        return "this host cannot run it"
    found = multiplexer.version()
    return f"needs {requirement}" + (f"; found {found}" if found else "")


def _factory(name: str) -> Factory:
    if ":" in name:
        return _loaded(name, name)
    if name in _registered:
        return _registered[name]
    if name in _BUILT_IN:
        return _loaded(name, _BUILT_IN[name])
    points = _entry_points()
    if name in points:
        return _loaded(name, points[name])
    known = multiplexer_names()
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    raise BackendNotFound(f"no backend named {name}{hint} known are {', '.join(known)}", known=known)


def _entry_points() -> dict[str, str]:
    found: dict[str, str] = announced(ENTRY_POINT_GROUP)
    return found


def _loaded(name: str, reference: str) -> Factory:
    found = _referred(name, reference)
    if not callable(found):
        raise BackendNotFound(f"backend {name} is no class and no factory", known=multiplexer_names())
    return cast(Factory, found)


def multiplexer_reference(name: str) -> object:
    """What `name` stands for, before anything is made of it: a class, a factory, or whatever `module:Attribute` is.

    Raises `BackendNotFound` as `get_multiplexer` does.
    """
    points = _entry_points()
    if ":" in name:
        return _referred(name, name)
    if name in points and name not in {**_registered, **_BUILT_IN}:
        return _referred(name, points[name])
    return _factory(name)


def multiplexer_names() -> list[str]:
    """Every bare name that a backend can be chosen by, without loading any."""
    return sorted({*_entry_points(), *_BUILT_IN, *_registered})


def _referred(name: str, reference: str) -> object:
    """What `module:Attribute` refers to; a dotted attribute is followed."""
    module_name, _, attribute = reference.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as broken:
        raise BackendNotFound(f"backend {name} cannot be loaded: {_why(broken)}", known=multiplexer_names()) from broken
    return found


def _why(broken: BaseException) -> str:
    """What somebody else's package raised, in one line."""
    return f"{type(broken).__name__}: {' '.join(str(broken).split()):.200}"
