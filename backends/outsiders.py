"""Backends of other people: which keywords they are made with, and for the runs of a root, on a server of its own."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backends.base import TerminalMultiplexer
from backends.errors import BackendNotFound, MultiplexerError
from backends.psmux import data_directory
from backends.registry import multiplexer_reference
from backends.tmux import private_directory, socket_directory

__all__ = ["accepted", "look_in", "outside_multiplexer"]


def accepted(factory: Callable[..., Any], options: Mapping[str, object]) -> dict[str, object]:
    """Those of `options` that `factory` has parameters for; all of them if it takes any."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return {}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(options)
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
    return {name: value for name, value in options.items() if name in named}


def look_in(directory: Path, name: str) -> None:
    """Have a backend that is named as `module:Attribute` looked for in that directory as well, after all others."""
    if ":" in name and str(directory) not in sys.path:
        # Last, so that folders of the author's that are called as ours do not come before them.
        sys.path.append(str(directory))


def outside_multiplexer(name: str, root: Path, offered: Mapping[str, object]) -> TerminalMultiplexer:
    """The backend of that name for the runs below `root`, made with what it has parameters for of `offered` and `socket_dir`.

    Raises `BackendNotFound` where there is none, it cannot be made, or no engine can drive it.
    """
    factory = multiplexer_reference(name)
    if not callable(factory):
        raise BackendNotFound(f"backend {name} is no class and no factory")
    options = accepted(factory, {**offered, "socket_dir": None})
    if "socket_dir" in options:
        options["socket_dir"] = _private_place(root)
    try:
        made = factory(**options)
    except MultiplexerError:
        raise
    except (Exception, SystemExit) as broken:
        said = " ".join(str(broken).split())
        raise BackendNotFound(f"backend {name} cannot be made: {type(broken).__name__}: {said:.200}") from broken
    if not isinstance(made, TerminalMultiplexer):
        raise BackendNotFound(f"backend {name} is no TerminalMultiplexer, which is what an engine drives")
    return made


def _private_place(root: Path) -> Path:
    """The directory of the root's own server, which is there and ours."""
    if sys.platform == "win32":
        place = data_directory(root, os.environ)
        place.mkdir(parents=True, exist_ok=True)
        return place
    place = socket_directory(root, os.environ)
    private_directory(place)
    return place
