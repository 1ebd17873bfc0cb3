"""What is held against the seam by itself: backends that are wrong are noticed where they are wrong, an honest one is not."""

from __future__ import annotations

import broken_backends
import pytest

from faults.matrix import Cell, seam_cells
from harness.seam_matrix import fault_of

WRONG = {
    "LeaksTimeouts": "list_window_ids",
    "LeaksOsErrors": "list_window_ids",
    "LeaksDecodingErrors": "list_window_ids",
    "LeaksRawErrors": "list_window_ids",
    "TakesSilenceForDeath": "list_window_ids",
    "AnswersNothing": "list_window_ids",
    "RetriesTimedOutChanges": "new_window",
    "LosesTheId": "new_window",
}
"""What makes its mistake at the seam itself, and the operation that is wrong."""


def cells_of(operation: str) -> list[Cell]:
    """The cells of one operation, below the guard and above it."""
    return [cell for cell in seam_cells() if cell.point.partition(".")[2] == operation]


@pytest.mark.parametrize("name", WRONG)
def test_a_backend_that_is_wrong_is_noticed_at_the_operation_that_is_wrong(name: str) -> None:
    """At one of its cells at least, which is named, and at none of an operation that it leaves alone."""
    make = getattr(broken_backends, name)
    noticed = next(filter(None, (fault_of(cell, make=make) for cell in cells_of(WRONG[name]))), "")
    accused = {fault_of(cell, make=make) for cell in cells_of("kill_window")}

    assert WRONG[name] in noticed
    assert accused == {""}


@pytest.mark.parametrize("operation", sorted(set(WRONG.values())))
def test_an_honest_backend_is_not_accused(operation: str) -> None:
    """At no cell of the operations that others are wrong at."""
    assert {fault_of(cell) for cell in cells_of(operation)} == {""}
