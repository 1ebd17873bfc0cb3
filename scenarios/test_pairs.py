"""Two faults in one run: all of them on the core stories, each with each elsewhere in as few runs as can be."""

from __future__ import annotations

from itertools import combinations

import pytest

from faults.matrix import coarse_cells
from faults.plan import FaultPlan
from faults.sweeps import pair_of, sweep_together
from harness.plugin.selection import selected
from harness.runner import catalog_of
from harness.stories import CORE, story_of
from harness.trials import replay_line, run_of
from harness.world import FakeWorld

ALWAYS = {"completes": ("mux",)}
"""What is tried where no sweep is asked for; a sweep tries every story that it selects, in the layers that it selects."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item for each story, with the layers of it that are tried."""
    texts = metafunc.config.getoption("--mux-sweep")
    chosen = ALWAYS if texts is None else selected(texts)
    known = {story: layers for story, layers in chosen.items() if set(layers) & FakeWorld.layers}
    metafunc.parametrize(("story", "layers"), list(known.items()), ids=list(known))


@pytest.mark.timeout(1800)
def test_pairs_of_faults_hold_every_oracle(story: str, layers: tuple[str, ...]) -> None:
    """Whatever two things go wrong in one run, every oracle holds, and every pair has happened or is proven not to."""
    run = run_of(story_of(story), handle_signals=False)
    given = coarse_cells(run(FaultPlan()).reached, catalog_of(FakeWorld), layers)
    tried = sweep_together(run, given, exhaustive=story in CORE)

    apart = [pair for pair in combinations(given, 2) if (pair[0].point, pair[0].call) != (pair[1].point, pair[1].call)]
    known = tried.together | set(tried.shadowed)
    if story in CORE:
        assert known >= {pair_of(one.fault, other.fault) for one, other in apart}
    else:
        assert known >= {pair_of(one.fault, other.fault) for one, other in apart if one.point != other.point}
    if not tried.held:
        failed = [f"{failure.problems[0]}\n  replay: {replay_line(story, failure.plan)}" for failure in tried.failed]
        pytest.fail(f"{tried}\n" + "\n".join(failed), pytrace=False)
