"""What is out there: the seam, and everything that stands behind it."""

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
