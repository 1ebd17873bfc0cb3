"""The table of stories in `docs/scenarios.md` is what `scenarios/` tells."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable
from pathlib import Path

from harness.world import WORLDS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "scenarios.md"
ROW = re.compile(r"^\| (?!id )(?P<id>[a-z0-9-]+) \| (?P<story>[^|]+) \|[^|]*\|[^|]*\|$", re.MULTILINE)
NOT_YET = "not yet"
WORLDLY = {"mux", "mux_run", "mux_world", "mux_clock", "mux_faults", "shell"}


def worlds_of(test: ast.FunctionDef, marks: Iterable[ast.expr]) -> set[str]:
    """The worlds that a test is run in by default, as its markers say; none for one that needs no world."""
    if not WORLDLY & {argument.arg for argument in test.args.args}:
        return set()
    found = {"fake", "tmux"}
    for mark in marks:
        call = ast.unparse(mark)
        name = call.removeprefix("pytest.mark.").partition("(")[0]
        if name == "worlds" and isinstance(mark, ast.Call):
            found = {ast.literal_eval(argument) for argument in mark.args}
        elif name == "simulated":
            found -= {"tmux"}
        elif name == "live":
            found = {"tmux"}
    return found


def module_marks(tree: ast.Module) -> list[ast.expr]:
    """The markers of all tests of a module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node.targets[0]):
            return list(node.value.elts) if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return []


@functools.cache
def told() -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Every test below `scenarios/`: its name, its file's name, its worlds."""
    found = []
    for path in sorted((ROOT / "scenarios").rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = [*module_marks(tree), *node.decorator_list]
                found.append((node.name, path.stem, frozenset(worlds_of(node, marks))))
    return tuple(found)


def due(story_id: str) -> tuple[str, str]:
    """The last two cells of that story's row."""
    name = f"test_{story_id.replace('-', '_')}_"
    found = [(file, worlds) for test, file, worlds in told() if test.startswith(name)]
    files = sorted({f"`{file}`" for file, _ in found})
    worlds = [world for world in WORLDS if any(world in some for _, some in found)]
    return (", ".join(files) or NOT_YET, ", ".join(worlds) or "-")


def test_the_table_of_stories_is_what_is_told() -> None:
    """Every id is in a test's name, in these files and worlds; on a difference, put in what is printed here."""
    rows = list(ROW.finditer(DOCUMENT.read_text("utf-8")))
    shown = [row[0] for row in rows]
    wanted = ["| {} | {} | {} | {} |".format(row["id"], row["story"], *due(row["id"])) for row in rows]

    assert shown == wanted, "the table should be\n\n" + "\n".join(wanted)
    assert len(rows) == len({row["id"] for row in rows}) == 52


def test_no_story_is_told_under_a_name_that_begins_like_two() -> None:
    """An id that is the beginning of another one would be found in tests that do not tell it."""
    ids = [row["id"] for row in ROW.finditer(DOCUMENT.read_text("utf-8"))]

    assert [(one, other) for one in ids for other in ids if one != other and other.startswith(f"{one}-")] == []


def test_a_story_that_nobody_tells_is_noticed() -> None:
    """The rows are worked out from the tests, so that an id without one says so."""
    assert due("nobody-tells-this") == (NOT_YET, "-")
