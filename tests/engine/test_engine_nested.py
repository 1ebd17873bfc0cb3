"""Runs inside runs: what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_setting import fresh_stage

from harness.agents import task
from harness.engine.engine import Engine


def family(name: str, depth: int = 4) -> list[str]:
    """The ids of a run of that name, of one inside it, of one inside that one ..."""
    stage = fresh_stage()
    stage(task("a"))
    assert stage.engine is not None
    engines = [Engine(stage.engine.plan, Path(f"/sim/runs/{name}"), stage.engine.outside)]
    while len(engines) <= depth:
        engines.append(engines[-1].nest(engines[-1].plan))
    return [engine.run_id for engine in engines]


def test_a_nested_run_is_called_after_the_one_around_it() -> None:
    """As long as there is room for it."""
    assert family("run-1", 2) == ["run-1", "run-1-n1-1", "run-1-n1-1-n1-1"]


@pytest.mark.parametrize("length", [47, 48, 59, 60, 64])
def test_no_two_runs_have_one_name_however_long_it_is(length: int) -> None:
    """Neither runs inside each other nor those of runs whose names begin alike; all fit a session's name."""
    names = [*family("x" * length), *family("x" * (length - 1) + "y")]

    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 64
