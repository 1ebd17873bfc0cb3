"""What a pytest that is begun inside of a test does without."""

from __future__ import annotations

__all__ = ["LEAN"]

LEAN = {"PYTEST_ADDOPTS": "-p no:libtmux -p no:hypothesispytest"}
"""An environment without two plugins that nothing there is about, and that take half as long again to load as all others."""
