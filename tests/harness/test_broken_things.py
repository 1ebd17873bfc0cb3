"""Everything that is wrong on purpose is caught, by the oracle it was built for, under a plan of at most two faults."""

from __future__ import annotations

from pathlib import Path

import broken_backends
import broken_engines
import pytest
from broken_backends import world_with
from broken_things import BROKEN, BROKEN_BACKENDS, BROKEN_ENGINES, LEFT_TO_CHECKS, Broken

from backends.base import TerminalMultiplexer
from faults.plan import FaultPlan
from faults.shrinker import shrink
from harness.engine.engine import Engine
from harness.oracles import COMPARISONS, ORACLES
from harness.stories import STORIES
from harness.trials import run_of

BESIDE = "mux.has_session=1*delay(0); mux.set_session_option=1*delay(0); mux.window_pids=1*delay(0)"
"""Faults that have nothing to do with it, for the shrinker to take away."""


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_is_broken_is_caught_by_the_oracle_it_was_built_for(name: str) -> None:
    """A search finds a fault that shows it, what is left of that fails each time, and what is honest holds under the same."""
    broken: Broken = BROKEN[name]
    found = broken.found()
    assert found is not None, f"the search of {broken.story.name} ended, and {broken.oracle} told nothing"

    beside = () if broken.oracle == "fired" else FaultPlan.parse(BESIDE).faults
    shrunk = shrink(broken.run(), FaultPlan((*found.plan.faults, *beside), found.plan.seed), fails=broken.tells)
    honest = broken.honest()(shrunk.plan)

    assert shrunk.failing
    assert len(shrunk.plan.faults) <= 2, shrunk
    assert honest.held, honest.explain()
    assert honest.fired


def test_every_oracle_is_what_something_broken_was_built_for() -> None:
    """An oracle that nothing was ever caught by has not earned its place."""
    assert {broken.oracle for broken in BROKEN.values()} == {*ORACLES, *COMPARISONS}


def test_the_page_about_oracles_names_each_with_what_it_was_built_for() -> None:
    """The table of docs/oracles.md is the code's, row by row; what is left to checks stands below it."""
    page = (Path(__file__).parents[2] / "docs" / "oracles.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    told = {row[0].strip("`"): [name.strip(" `") for name in row[3].split(",")] for row in rows}

    assert told == {oracle: [name for name, one in BROKEN.items() if one.oracle == oracle] for oracle in told}
    assert list(told) == [*ORACLES, *COMPARISONS]
    assert all(row[1] and row[2] for row in rows)
    assert all(f"- `{name}`: {why}." in page for name, (_, why) in LEFT_TO_CHECKS.items())


def test_enough_is_broken_and_in_different_ways() -> None:
    """There are at least eight engines and twelve backends, and nothing is there under two names."""
    made = [(str(broken.options), broken.backend) for broken in BROKEN.values()]

    assert len(BROKEN_ENGINES) >= 8
    assert len(BROKEN_BACKENDS) + len(LEFT_TO_CHECKS) >= 12
    assert len(set(made)) == len(made) == len(BROKEN_ENGINES) + len(BROKEN_BACKENDS)


def test_nothing_is_broken_that_is_caught_by_nothing() -> None:
    """Every backend and every engine that is wrong on purpose stands in one of the lists."""
    listed = {broken.backend for broken in BROKEN.values()} | {broken.options.get("make") for broken in BROKEN.values()}
    listed |= {kind for kind, _ in LEFT_TO_CHECKS.values()}
    made = {
        kind
        for module, base in ((broken_backends, TerminalMultiplexer), (broken_engines, Engine))
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind.__module__ == module.__name__
    }

    assert made - listed == set()


@pytest.mark.parametrize("name", list(LEFT_TO_CHECKS))
def test_what_is_left_to_a_check_of_backends_gets_past_every_oracle(name: str) -> None:
    """With it every run goes as it should: should an oracle tell one day, it belongs to the others."""
    kind, why = LEFT_TO_CHECKS[name]
    run = run_of(STORIES["completes"], backend="simulated-tmux", make_world=world_with(kind))

    assert why
    assert run(FaultPlan()).held
