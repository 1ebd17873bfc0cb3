"""Triggers: for how many calls a term applies."""

from __future__ import annotations

import pytest

from faults import Always, FaultPlanError, Percent, Times


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "2"])
def test_a_count_is_a_whole_number_from_one_on(count: object) -> None:
    """A term for no call at all could never be reached."""
    with pytest.raises(FaultPlanError):
        Times(count)  # type: ignore[arg-type]  # the wrong value is the point


@pytest.mark.parametrize("percent", [0, -5, 100.5, float("nan"), "7"])
def test_a_percentage_is_above_zero_and_at_most_a_hundred(percent: object) -> None:
    """Nothing is more certain than certain."""
    with pytest.raises(FaultPlanError):
        Percent(percent)  # type: ignore[arg-type]  # the wrong value is the point


def test_a_count_is_used_up_after_so_many_calls() -> None:
    """The turn of the next term comes exactly then."""
    assert [Times(2).used_up(calls) for calls in (1, 2)] == [False, True]
    assert not Always().used_up(1_000_000)


def test_a_percentage_applies_below_its_share_of_the_dice() -> None:
    """A draw from 0 up to 1 is compared with the percentage."""
    assert Percent(25).applies(lambda: 0.2499)
    assert not Percent(25).applies(lambda: 0.25)
    assert Percent(100).applies(lambda: 0.9999999)
