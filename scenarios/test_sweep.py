"""Every fault there is, one at a time: the sweep that `--mux-sweep` selects, one item for each fault."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.sweep
def test_sweep(mux_sweep: Callable[[], None]) -> None:
    """Whatever goes wrong at that call, it happens, every oracle holds, and the run can be finished afterwards."""
    mux_sweep()
