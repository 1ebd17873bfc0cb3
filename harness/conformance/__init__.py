"""The conformance kit: whether somebody's backend keeps the contract of the seam, check by check.

Names are loaded when they are first asked for, so that whoever needs one module in here does not wait for all of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.conformance.results import Certificate, Level, Outcome
    from harness.conformance.spec import BackendSpec, KnownBug, Unsupported
    from harness.conformance.suite import MultiplexerConformance

__all__ = ["BackendSpec", "Certificate", "KnownBug", "Level", "MultiplexerConformance", "Outcome", "Unsupported"]

_HOMES = (
    "harness.conformance.results",
    "harness.conformance.spec",
    "harness.conformance.suite",
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The public name, from the module that it is at home in."""
        if name in __all__:
            for home in map(importlib.import_module, _HOMES):
                if hasattr(home, name):
                    return getattr(home, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
