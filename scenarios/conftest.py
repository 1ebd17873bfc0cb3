"""What scenarios share that is about how much of something is tried."""

from __future__ import annotations

import pytest

from harness.plugin.selection import selected


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether everything there is shall be tried, instead of a part of it that takes seconds.

    It is where `--mux-sweep` selects the layer `disk` of the test's story, or of any where the test is about none.
    """
    callspec = getattr(request.node, "callspec", None)
    story = None if callspec is None else callspec.params.get("story")
    chosen = selected(request.config.getoption("--mux-sweep") or ("off",))
    return any("disk" in layers for name, layers in chosen.items() if story in (None, name))
