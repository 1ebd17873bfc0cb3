"""Coverage: every square there is, exercised or with the reason why not, added up in any order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.actions import Action, Exit, Jump, OsError, Timeout
from faults.catalog import PointCatalog
from faults.coverage import NOT_REACHED, NOT_SELECTED, Exercise, Hit, Square, coverage_of, square_of, squares
from faults.matrix import UNKNOWABLE, cells_at
from faults.trace import Injection

CATALOG = PointCatalog(("tick", "decide"))
HANG = Square("mux.new_window", "timeout", "after")


def injection(point: str, action: Action, *, lost: bool = False) -> Injection:
    """One that fired at the first call."""
    text = f"{'lost:' if lost else ''}{action}"
    return Injection(1, 0.0, point, 1, text, f"{point}=1*{text}", action)


def exercise(*injections: Injection, replay: str = "again", layers: tuple[str, ...] = ("mux",)) -> Exercise:
    """What one run came to that reached just the points of its injections."""
    found = Exercise(reached={one.point for one in injections}, layers=set(layers))
    found.injected(injections, replay)
    return found


def test_the_grid_is_what_a_sweep_tries_and_what_it_leaves_out() -> None:
    """At every point of the catalog each cell of the matrix has its square, and so has each lie that is left out."""
    due = {
        (cell.point, str(cell.action), "after" if cell.lost else "before")
        for point in CATALOG.points()
        for cell in cells_at(point, 1, CATALOG)
    }
    found = squares(CATALOG, CATALOG.supports)
    never = {square for square, why in found.items() if why}
    lie = Square("mux.list_window_ids", 'output("nonsense")', "before")

    assert found.keys() - never == due
    assert {square.point for square in never} == {point for point, _ in UNKNOWABLE}
    assert {lie, lie._replace(moment="after")} < never


def test_an_injection_belongs_to_the_square_of_its_kind() -> None:
    """A timeout of another length is that timeout; another errno, text or jump is beside the grid."""
    assert square_of(injection("mux.new_window", Timeout(30.0), lost=True)) == HANG
    assert square_of(injection("mux.new_window", OsError("EIO"))).action == "oserror(EIO)"
    assert square_of(injection("mux.version", Exit(127, "x"))).action == 'exit(127, "x")'
    assert square_of(injection("clock.tick", Jump(5.0))).action == "jump(5)"


def test_a_square_is_exercised_or_has_a_reason() -> None:
    """Hit, never a lie to be told, reached and left alone, not reached: each is said."""
    ran = exercise(injection("mux.new_window", Timeout(), lost=True), injection("mux.list_window_ids", OsError("EIO")))
    coverage = coverage_of(ran, CATALOG)
    (point, _), why = next(iter(UNKNOWABLE.items()))

    assert coverage.grid[HANG] == Hit(1, "again")
    assert coverage.grid[HANG._replace(moment="before")] == NOT_SELECTED
    assert coverage.grid[HANG._replace(point="mux.version")] == NOT_REACHED
    assert why in {found for square, found in coverage.grid.items() if square.point == point}
    assert (coverage.exercised, coverage.others) == (1, 1)
    assert sum(count for _, count in coverage.reasons) == len(coverage.grid) - 1


def test_a_layer_that_was_not_there_is_left_out_with_its_reason() -> None:
    """It does not lower the percentage, and it is not forgotten."""
    coverage = coverage_of(exercise(layers=("disk",)), CATALOG)

    assert {square.layer for square in coverage.grid} == {"disk"}
    assert coverage.left_out["transport"] == "no world that has it ran"
    assert coverage.left_out["live"] == "it needs a live process"


def test_nothing_that_ran_covers_nothing() -> None:
    """No squares are no percentage to be proud of."""
    assert coverage_of(Exercise(), CATALOG).percent == 0.0


def test_the_document_says_all_of_it_and_can_be_read_back() -> None:
    """The numbers are those of the grid, and each exercised square comes with its line."""
    coverage = coverage_of(exercise(injection("mux.new_window", Timeout(), lost=True)), CATALOG)
    told = json.loads(json.dumps(coverage.as_json()))

    assert (told["version"], told["cells"], told["exercised"]) == (1, len(coverage.grid), 1)
    assert {**HANG._asdict(), "count": 1, "replay": "again"} in told["grid"]
    assert told["layers"]["mux"] == {"cells": len(coverage.grid), "exercised": 1}


PARTS = st.lists(
    st.builds(
        lambda point, lost, replay, layer: exercise(
            injection(point, Timeout(), lost=lost), replay=replay, layers=(layer,)
        ),
        st.sampled_from(("mux.new_window", "mux.version")),
        st.booleans(),
        st.text("ab", max_size=3),
        st.sampled_from(("mux", "disk")),
    ),
    max_size=8,
)


@given(PARTS, st.randoms(use_true_random=False), st.integers(0, 8))
def test_parts_add_up_in_any_order_and_grouping(parts: list[Exercise], chance: object, cut: int) -> None:
    """Whoever adds up first, and in what order, the sum is the same."""

    def total(some: list[Exercise]) -> Exercise:
        found = Exercise()
        for part in some:
            found.add(part)
        return found

    shuffled = list(parts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random, which tests may not import

    assert total([total(shuffled[:cut]), total(shuffled[cut:])]) == total(parts)


@pytest.mark.parametrize(("one", "other"), [("bb", "aaa"), ("ab", "aa")])
def test_the_shortest_line_is_kept(one: str, other: str) -> None:
    """The shorter one, else the first in the alphabet, whichever comes first."""
    assert (
        Hit(1, one) + Hit(2, other) == Hit(2, other) + Hit(1, one) == Hit(3, min(one, other, key=lambda x: (len(x), x)))
    )
