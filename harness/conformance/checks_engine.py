"""L4: the core stories of the engine end on this backend as they do everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from faults.plan import FaultPlan
from harness.conformance.bench import Bench
from harness.conformance.listing import Listing
from harness.conformance.places import world_for
from harness.conformance.results import Level
from harness.record import RunStatus
from harness.stories import CORE, STORIES
from harness.trials import trial

__all__ = ["ENGINE"]

ENGINE = Listing(Level.L4)


def _told(name: str, bench: Bench) -> Iterator[str]:
    make_world = world_for(bench.spec)
    verdict = trial(STORIES[name], FaultPlan(), make_world=lambda seed: make_world()).verdict
    yield from verdict.problems
    if verdict.outcome != RunStatus.FINISHED.value:
        yield f"the run ended as {verdict.outcome}"


for _number, _name in enumerate(CORE, 1):
    ENGINE.add(
        f"SEAM-ENGINE-{_number:03d}",
        f"the story `{_name}` is told: {STORIES[_name].about}",
        partial(_told, _name),
        expected="every oracle holds, and the run is finished",
        why="what an engine needs of a backend is more than the sum of its operations",
        source="scenarios.md, the core stories",
        needs=("engine",),
    )
