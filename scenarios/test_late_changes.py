"""Changes that a server carries out after their calls have given up: no agent twice, no prompt twice, no window unknown."""

from __future__ import annotations

import pytest

from harness.chances import Chance, try_numbers
from harness.lateness import LATE_WORLDS, LateLiveTmux, late, tell
from harness.world import World

LIVE = 50
"""How many cases are told on a real tmux in a sweep: every change, at both of its calls, at every moment, and some twice."""
FEW = (27, 12, 23, 16)
"""Those that are told elsewhere: a window when nobody waits any more, a nudge, and the end of a window and of a session."""


@pytest.mark.timeout(900)
def test_late_changes_lose_and_double_nothing(chance: Chance) -> None:
    """Whatever is asked of a server that stops, and whenever it goes on: every oracle holds, and every window is accounted for.

    A sweep tries a thousand.
    """

    def check(number: int) -> None:
        world = LATE_WORLDS[number % len(LATE_WORLDS)](number)
        try:
            told = tell(late(number), world, handle_signals=False)
        finally:
            world.close()
        if told.problems:
            pytest.fail(f"{world.name}, number {number}: {late(number)}\n{told.explain()}", pytrace=False)

    try_numbers(check, seed=chance.seed, examples=chance.examples(50))


@pytest.mark.live(scale=4)
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(len(FEW)))
def test_late_changes_of_a_real_server_lose_and_double_nothing(mux_world: World, chance: Chance, part: int) -> None:
    """A real tmux gets SIGSTOP as it is asked, the call gives up, and SIGCONT lets it go on with what it was asked."""
    for number in range(part, LIVE, len(FEW)) if chance.thorough else FEW[part : part + 1]:
        world = LateLiveTmux(number, mux_world.scale)
        try:
            told = tell(late(number), world)
        finally:
            world.close()
        if told.problems:
            pytest.fail(f"number {number}: {late(number)}\n{told.explain()}", pytrace=False)
