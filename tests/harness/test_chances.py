"""What is tried by chance: as many as were asked for, the same for the same seed, and what failed comes first."""

from __future__ import annotations

import pytest
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.stateful import RuleBasedStateMachine, rule

from harness.chances import try_machine, try_numbers


def numbers_of(seed: int) -> list[int]:
    """What is tried for that seed."""
    tried: list[int] = []
    try_numbers(tried.append, seed=seed, examples=20, database=InMemoryExampleDatabase())
    return tried


def test_the_same_seed_tries_the_same_numbers_and_another_one_others() -> None:
    """So a search can be done again, and another one looks elsewhere."""
    assert len(set(numbers_of(1))) > 10
    assert numbers_of(1) == numbers_of(1)
    assert numbers_of(1) != numbers_of(2)


def test_a_number_that_failed_is_tried_first_the_next_time() -> None:
    """Whatever the seed is then."""
    database = InMemoryExampleDatabase()
    tried: list[int] = []

    def check(number: int) -> None:
        tried.append(number)
        assert number < 1000

    with pytest.raises(AssertionError):
        try_numbers(check, seed=1, examples=50, database=database)
    failed = tried[-1]
    tried.clear()
    with pytest.raises(AssertionError):
        try_numbers(check, seed=2, examples=50, database=database)

    assert failed >= 1000
    assert tried[0] == failed


class Counts(RuleBasedStateMachine):
    """Fails at its third step."""

    steps = 0

    @rule()
    def step(self) -> None:
        """Take one."""
        self.steps += 1
        assert self.steps < 3


def test_a_machine_that_can_fail_is_found_to_fail() -> None:
    """And is given the steps that it needs for that."""
    with pytest.raises(AssertionError):
        try_machine(Counts, seed=1, examples=20, steps=5, database=InMemoryExampleDatabase())
    try_machine(Counts, seed=1, examples=20, steps=2, database=InMemoryExampleDatabase())
