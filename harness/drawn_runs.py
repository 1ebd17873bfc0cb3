"""Stories under plans that are drawn by chance, and what came of them, to be compared from one process to another.

As a program, `FIRST END`: tells what came of each number from FIRST up to but not including END, a line each.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from functools import cache

from faults.chance import random_plan
from faults.plan import FaultPlan
from harness.runner import Stage, catalog_of
from harness.stories import STORIES
from harness.trials import trial
from harness.world import FakeWorld

__all__ = ["drawn", "main", "told"]


@cache
def drawn(story: str, number: int) -> FaultPlan:
    """The plan of that number for the story."""
    return random_plan(number, catalog_of(FakeWorld), _reached(story))


@cache
def _reached(story: str) -> dict[str, int]:
    """How often the story reaches each point without faults."""
    return dict(STORIES[story].tell(Stage(FakeWorld()), FaultPlan(), verify=False, strict=False).reached)


def told(number: int) -> str:
    """A digest of everything that happens under the plan of that number, with the story that it is for."""
    names = list(STORIES)
    story = names[number % len(names)]
    reports = trial(STORIES[story], drawn(story, number)).reports
    text = "".join(f"{report.status} {report.elapsed_s}\n{report.journal}\n{report.trace}" for report in reports)
    return f"{number} {story} {len(text)} {hashlib.sha256(text.encode()).hexdigest()}"


def main(argv: Sequence[str]) -> int:
    """See the module."""
    for number in range(*map(int, argv)):
        sys.stdout.write(f"{told(number)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
