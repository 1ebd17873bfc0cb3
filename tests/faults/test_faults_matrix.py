"""The matrix of a run: every cell happens where it says, none is there twice, and what is left out is told."""

from __future__ import annotations

from collections import Counter

import pytest
from toy_machine import CATALOG, Machine

from backends.operations import OPERATIONS
from faults import FaultPlan, FaultPlanError, Injection
from faults.actions import Die, Truncate
from faults.catalog import LAYERS
from faults.matrix import (
    COARSE,
    SEAM,
    SWEPT,
    UNKNOWABLE,
    Calls,
    Cell,
    calls_of,
    cells,
    cells_at,
    chosen_calls,
    coarse_cells,
    excluded,
    points_of,
    seam_cells,
)

REACHED = Machine()(FaultPlan()).reached


def test_every_cell_happens_at_its_call() -> None:
    """The fault of a cell fires at that call of that point, and before that nothing does."""
    run = Machine()
    for cell in cells(REACHED, CATALOG):
        first: Injection = run(cell.plan()).injections[0]
        assert (first.point, first.call_number, first.performed) == (cell.point, cell.call, cell.action)


def test_a_cell_for_good_goes_on_and_one_for_once_does_not() -> None:
    """Once is one injection, for good is one at every call from there."""
    run = Machine()
    once, good = (Cell("clock.tick", 1, SWEPT["clock"][0], forever) for forever in (False, True))

    assert len(run(once.plan()).injections) == 1
    assert len(run(good.plan()).injections) == REACHED["clock.tick"]


def test_cells_have_labels_that_need_no_quotes_and_are_unique() -> None:
    """A label stands for one cell in the name of a test and on a command line."""
    labels = [cell.label for cell in cells(REACHED, CATALOG)]

    assert max(Counter(labels).values()) == 1
    assert not set("".join(labels)) & set(" \"'()[]$;&|*?")


@pytest.mark.parametrize(
    ("calls", "count", "chosen"),
    [
        (Calls.EVERY, 4, (1, 2, 3, 4)),
        (Calls.ENDS, 7, (1, 2, 7)),
        (Calls.ENDS, 2, (1, 2)),
        (Calls.ENDS, 1, (1,)),
        (3, 5, (1, 2, 3)),
        (3, 2, (1, 2)),
        (Calls.EVERY, 0, ()),
        (Calls.ENDS, 0, ()),
    ],
)
def test_which_calls_are_chosen(calls: Calls | int, count: int, chosen: tuple[int, ...]) -> None:
    """Every one, the first two and the last, or the first so many; none of no calls."""
    assert chosen_calls(count, calls) == chosen


@pytest.mark.parametrize("text", ["0", "-1", "evry", "", "²"])
def test_what_says_no_calls_is_refused_with_the_nearest_name(text: str) -> None:
    """A mistyped choice is told, not taken for another one."""
    with pytest.raises(FaultPlanError, match="nearest valid name is 'e"):
        calls_of(text)


def test_calls_are_read_from_text() -> None:
    """The names of the choices, or a number."""
    assert [calls_of(text) for text in ("every", "ends", "12")] == [Calls.EVERY, Calls.ENDS, 12]


def test_what_makes_no_difference_is_tried_once() -> None:
    """Nobody dies a second time, and what is left of an answer is always after the effect."""
    found = [cell for cell in cells_at("mux.list_window_ids", 1, CATALOG) if isinstance(cell.action, Die | Truncate)]

    assert not any(cell.forever for cell in found if isinstance(cell.action, Die))
    assert not any(cell.lost for cell in found if isinstance(cell.action, Truncate))


def test_every_layer_without_a_live_process_is_in_the_tables() -> None:
    """A new layer is swept, or said to be live."""
    assert set(SWEPT) == set(COARSE) == set(LAYERS) - {"live"}


def test_what_is_left_out_is_told_with_its_reason() -> None:
    """Each unknowable lie names a point and an action that would be tried there, and is in no cell."""
    points = {point: 1 for point, _ in UNKNOWABLE}
    told = {(one.point, one.action.partition("(")[0]) for one in excluded(points, CATALOG) if one.why}

    assert told == set(UNKNOWABLE)
    assert not {(cell.point, cell.action.keyword) for cell in cells(points, CATALOG)} & set(UNKNOWABLE)


def test_coarse_cells_are_few_and_stand_at_the_first_and_the_last_call() -> None:
    """One or two actions at each end, once; a change has happened, and its answer is lost."""
    found = coarse_cells(REACHED, CATALOG)

    assert {cell.point for cell in found} == set(points_of(REACHED))
    assert all(cell.call in (1, REACHED[cell.point]) and not cell.forever for cell in found)
    assert {cell.lost for cell in found if cell.point == "mux.new_window"} == {True}
    assert {cell.lost for cell in found if cell.point == "mux.window_alive"} == {False}
    assert max(Counter((cell.point, cell.call) for cell in found).values()) == 2


def test_a_layer_that_is_not_asked_for_has_no_cells() -> None:
    """Layers are chosen by name, and come in their own order."""
    found = list(cells(REACHED, CATALOG, layers=("engine", "mux")))

    assert list(dict.fromkeys(cell.layer for cell in found)) == ["mux", "engine"]


def test_the_seam_has_every_operation_under_every_action() -> None:
    """Before and after, once and for good, below the guard and above it; at least 2,500 different ones, all possible."""
    found = list(seam_cells())

    assert len({cell.label for cell in found}) == len(found) >= 2500
    assert {cell.point for cell in found} == {f"{layer}.{name}" for layer in ("mux", "leak") for name in OPERATIONS}
    assert {(cell.forever, cell.lost) for cell in found} == {(a, b) for a in (False, True) for b in (False, True)}
    for layer, actions in SEAM.items():
        assert {type(action) for action in actions} <= CATALOG.actions_at(f"{layer}.version")
