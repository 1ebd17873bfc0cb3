"""The pytest plugin as it is installed: the same module that a checkout loads, whichever folders the tests lie beside."""

from __future__ import annotations

from harness import plugin

__all__ = ["plugin"]
