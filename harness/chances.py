"""Trying numbers that nobody chose, with Hypothesis: the same ones for the same seed, and what failed once comes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

__all__ = ["Chance", "try_machine", "try_numbers"]

_NUMBERS = 2**32
_THOROUGH = 20


@dataclass(frozen=True, slots=True)
class Chance:
    """What a search by chance begins with, and whether it may take minutes instead of seconds."""

    seed: int
    thorough: bool = False

    def examples(self, few: int) -> int:
        """How many to try where `few` take seconds."""
        return few * _THOROUGH if self.thorough else few


def _kept() -> ExampleDatabase:
    return DirectoryBasedExampleDatabase(".hypothesis/examples")


def try_numbers(
    check: Callable[[int], None], *, seed: int, examples: int, database: ExampleDatabase | None = None
) -> None:
    """Call `check` with so many numbers drawn from `seed`; what it raises for one of them comes out.

    Numbers for which it raised are kept in `database` (default: below the working directory), and come first the next time.
    A number means nothing in itself, so a failing one is not made smaller.
    """

    # Outermost, because a seed by itself does without a database.
    @settings(
        max_examples=examples,
        deadline=None,
        phases=(Phase.reuse, Phase.generate),
        database=_kept() if database is None else database,
        suppress_health_check=list(HealthCheck),
    )
    @seeded(seed)
    @given(st.integers(0, _NUMBERS))
    def tried(number: int) -> None:
        check(number)

    tried()


def try_machine(
    machine: type[RuleBasedStateMachine],
    *,
    seed: int,
    examples: int,
    steps: int,
    database: ExampleDatabase | None = None,
) -> None:
    """Have `machine` take up to `steps` steps in so many ways drawn from `seed`; a way that fails is made short, and kept."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=_kept() if database is None else database,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seeded(seed)(machine), settings=chosen)
