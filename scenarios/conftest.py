"""What scenarios share that is about how much of something is tried."""

from __future__ import annotations

import gc

import pytest

from backends.entropy import SystemEntropy
from harness.chances import Chance
from harness.plugin.selection import selected

SEED = 20261122
"""Where searches by chance begin that are a part of every run of the scenarios, so that they find the same each time."""


_MANY = 20_000
"""New objects after which garbage is looked for: those of some twenty runs. The interpreter's own number is reached in each."""


def pytest_collection_finish() -> None:
    """What was collected stays until the end: it is no garbage, and is not gone through as often as a run leaves some."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MANY, *gc.get_threshold()[1:])


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether everything there is shall be tried, instead of a part of it that takes seconds.

    It is where `--mux-sweep` selects the layer `disk` of the test's story, or of any where the test is about none.
    """
    callspec = getattr(request.node, "callspec", None)
    story = None if callspec is None else callspec.params.get("story")
    chosen = selected(request.config.getoption("--mux-sweep") or ("off",))
    return any("disk" in layers for name, layers in chosen.items() if story in (None, name))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> Chance:
    """What a search by chance begins with: the same number each time, another one in each sweep, or `--mux-seed`."""
    config = request.config
    sweeping = bool(selected(config.getoption("--mux-sweep") or ("off",)))
    drawn = int(SystemEntropy().token()[:8], 16) if sweeping else SEED
    seed = config.getoption("--mux-seed") or drawn
    request.node.add_report_section("call", "seed", f"the search is repeated by --mux-seed {seed}")
    return Chance(seed, sweeping)
