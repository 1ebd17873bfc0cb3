"""What scenarios share that is about how much of something is tried."""

from __future__ import annotations

import pytest


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether everything there is shall be tried (`--mux-sweep`), instead of a part of it that takes seconds."""
    return any(one != "off" for one in request.config.getoption("--mux-sweep") or ())
