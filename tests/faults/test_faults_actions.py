"""Actions as values: what they hold, what they refuse, how they are written."""

from __future__ import annotations

import errno
from dataclasses import FrozenInstanceError

import pytest

from faults import (
    ACTIONS,
    Delay,
    Exit,
    FaultPlanError,
    Jump,
    Occur,
    OsError,
    Output,
    Pass,
    Raise,
    Signal,
    Timeout,
    Torn,
)

WRITTEN = [
    (Pass(), "pass"),
    (Timeout(), "timeout"),
    (Timeout(30), "timeout(30)"),
    (Timeout(0.25), "timeout(0.25)"),
    (Delay(1e-7), "delay(0.0000001)"),
    (Jump(-3600), "jump(-3600)"),
    (Jump(1e300), "jump(1e+300)"),
    (OsError("ENOSPC"), "oserror(ENOSPC)"),
    (Exit(-9, ""), 'exit(-9, "")'),
    (Exit(1, 'a "b" \\ c'), 'exit(1, "a \\"b\\" \\\\ c")'),
    (Output("é\n"), 'output("\\u00e9\\n")'),
    (Output("日本"), 'output("日本")'),
    (Torn(3), "torn(3)"),
    (Signal("SIGTERM"), "signal(SIGTERM)"),
    (Occur(), "occur"),
]


@pytest.mark.parametrize(("action", "text"), WRITTEN, ids=[text for _, text in WRITTEN])
def test_an_action_is_written_as_its_keyword_with_its_values(action: object, text: str) -> None:
    """The text form shows exactly what the action holds."""
    assert str(action) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timeout(-1),
        lambda: Timeout(float("nan")),
        lambda: Timeout(float("inf")),
        lambda: Timeout(10**400),
        lambda: Delay(True),
        lambda: Torn(-1),
        lambda: Torn(1.5),  # type: ignore[arg-type]  # the wrong type is the point
        lambda: Exit("1", ""),  # type: ignore[arg-type]  # the wrong type is the point
        lambda: Output(b"x"),  # type: ignore[arg-type]  # the wrong type is the point
        lambda: Raise("not a name"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(make: object) -> None:
    """What could not be written and read back never becomes an action."""
    with pytest.raises(FaultPlanError):
        make()  # type: ignore[operator]  # a list of lambdas is typed as objects


def test_an_unknown_errno_is_refused_with_the_nearest_name() -> None:
    """A misspelt errno names the one that was probably meant."""
    with pytest.raises(FaultPlanError) as refused:
        OsError("ENOSPCE")

    assert refused.value.nearest == "ENOSPC"


def test_an_errno_stands_for_its_number() -> None:
    """The number is the host's."""
    assert OsError("ENOSPC").errno == errno.ENOSPC


def test_actions_are_equal_by_value_and_frozen() -> None:
    """An action can be a key and cannot be changed."""
    assert {Timeout(30): 1}[Timeout(30.0)] == 1
    with pytest.raises(FrozenInstanceError):
        Timeout(30).seconds = 1.0  # type: ignore[misc]  # assigning to a frozen field is the point


def test_every_action_is_known_by_its_keyword() -> None:
    """The grammar's list of actions is complete."""
    expected = (
        "pass timeout oserror exit output empty truncate undecodable delay hang raise torn nosync die signal jump"
    )

    assert list(ACTIONS) == [*expected.split(), "suspend", "occur"]
