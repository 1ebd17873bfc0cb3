"""Every point of the seam, under every action, before and after the effect, once and for good: what comes out is declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from backends.errors import MultiplexerError
from backends.operations import OPERATIONS
from faults.injector import Injector
from faults.matrix import seam_cells
from harness.seam_matrix import fault_of, raw

CELLS = tuple(seam_cells())


@pytest.mark.sweep
@pytest.mark.parametrize("name", OPERATIONS)
def test_seam_points_of_one_operation(mux_coverage: Callable[[Injector], None], name: str) -> None:
    """Every fault of the operation happens, gives what the contract declares, and is over after it or is not."""
    mine = [cell for cell in CELLS if cell.point.partition(".")[2] == name]
    wrong = [told for cell in mine if (told := fault_of(cell, mux_coverage))]

    assert mine
    assert not wrong, "\n".join(wrong)


def test_seam_points_are_at_least_2500_and_all_different() -> None:
    """Operation x action x before or after x once or for good, for every operation alike."""
    share = Counter(cell.point.partition(".")[2] for cell in CELLS)

    assert len(set(CELLS)) == len(CELLS) >= 2500
    assert set(share) == set(OPERATIONS)
    assert len(set(share.values())) == 1
    assert not any(
        issubclass(kind, MultiplexerError) for kind in map(raw, {c.action for c in CELLS if c.layer == "leak"})
    )
