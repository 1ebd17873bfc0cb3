"""What is out there: the seam, and everything that stands behind it.

Names are loaded when they are first asked for, so that whoever needs one module in here does not wait for all of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.base import TerminalMultiplexer
    from backends.clock import Clock, SystemClock, VirtualClock
    from backends.errors import (
        BackendNotFound,
        CommandRejected,
        MultiplexerError,
        TargetMissing,
        TransportError,
        TransportGarbled,
        TransportTimeout,
        TransportUnavailable,
    )
    from backends.fake import FakeMultiplexer
    from backends.operations import OPERATIONS
    from backends.psmux import PsmuxMultiplexer
    from backends.registry import get_multiplexer, register_multiplexer
    from backends.tmux import TmuxMultiplexer

__all__ = [
    "OPERATIONS",
    "BackendNotFound",
    "Clock",
    "CommandRejected",
    "FakeMultiplexer",
    "MultiplexerError",
    "PsmuxMultiplexer",
    "SystemClock",
    "TargetMissing",
    "TerminalMultiplexer",
    "TmuxMultiplexer",
    "TransportError",
    "TransportGarbled",
    "TransportTimeout",
    "TransportUnavailable",
    "VirtualClock",
    "get_multiplexer",
    "register_multiplexer",
]

_HOMES = (
    "backends.base",
    "backends.clock",
    "backends.errors",
    "backends.fake",
    "backends.operations",
    "backends.psmux",
    "backends.registry",
    "backends.tmux",
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The public name, from the module that it is at home in."""
        if name in __all__:
            for home in map(importlib.import_module, _HOMES):
                if hasattr(home, name):
                    return getattr(home, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
