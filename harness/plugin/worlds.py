"""Which worlds a test runs in, and what the markers on it say."""

from __future__ import annotations

import difflib
import math
from typing import Any

import pytest

from backends.registry import multiplexer_names
from backends.tmux import FLOOR, TmuxMultiplexer
from faults.plan import FaultPlan
from harness.dashboard import literal
from harness.runner import catalog_of
from harness.world import WORLDS, World

__all__ = [
    "LIVE_SCALE",
    "MARKERS",
    "NOWHERE",
    "check_markers",
    "marked_plan",
    "marked_scale",
    "plan_of",
    "refuse_unknown_worlds",
    "selected_worlds",
    "why_missing",
    "world_of",
    "worlds_of",
]

LIVE_SCALE = 5.0
"""How many times as fast a live scenario's clock runs unless its marker says otherwise."""

NOWHERE = "nowhere"
"""Stands for the worlds of a test that runs in none of the selected ones: it is deselected."""

MARKERS = (
    "faults(plan): the fault plan that the scenario's first run is carried out under",
    "live(scale=5): runs on live multiplexers only, with a clock that passes `scale` times as fast",
    "simulated(why): cannot be produced on a live multiplexer, for the reason given",
    "worlds(*names): runs in these worlds only",
    "sweep: walks over many fault points",
)
"""The markers of the plugin, as `pytest --markers` shows them."""


def refuse_unknown_worlds(config: pytest.Config) -> None:
    """Raise `UsageError` if `--mux` names neither a world nor, by name or as `module:Attribute`, a backend for conformance."""
    known = {*WORLDS, *multiplexer_names()}
    unknown = [name for name in config.getoption("--mux") or () if name not in known and ":" not in name]
    if unknown:
        near = difflib.get_close_matches(unknown[0], sorted(known), 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(WORLDS)}"
        raise pytest.UsageError(f"--mux {literal(unknown[0])}: there is no such world; {hint}")


def selected_worlds(config: pytest.Config, *otherwise: str) -> list[str]:
    """The worlds that `--mux` names, each once; `otherwise` where it names nothing."""
    return [name for name in dict.fromkeys(config.getoption("--mux") or otherwise) if name in WORLDS]


def worlds_of(definition: Any, config: pytest.Config) -> list[str]:
    """The worlds that a test runs in: those selected, as far as its markers allow."""
    allowed = selected_worlds(config, "fake", "tmux")
    named = definition.get_closest_marker("worlds")
    if named is not None:
        extra = [name for name in named.args if not config.getoption("--mux")]
        allowed = [name for name in WORLDS if name in named.args and name in {*allowed, *extra}]
    if definition.get_closest_marker("live") is not None:
        allowed = [name for name in allowed if not WORLDS[name].virtual]
    if definition.get_closest_marker("simulated") is not None:
        allowed = [name for name in allowed if WORLDS[name].virtual]
    return allowed


def world_of(item: pytest.Item) -> str | None:
    """The name of the world that the item happens in; `None` if it has nothing to do with worlds."""
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("mux_world")


def check_markers(item: pytest.Item) -> None:
    """Raise `UsageError` unless the arguments of this plugin's markers are what they are documented to be."""
    names = getattr(item, "fixturenames", ())
    if marked_plan(item) is not None and "mux_run" not in names and "mux_faults" not in names:
        raise pytest.UsageError(f"{item.nodeid}: faults(plan) is for tests that use mux_run or mux_faults")
    marked_scale(item)
    worlds = item.get_closest_marker("worlds")
    unknown = [] if worlds is None else [name for name in worlds.args if name not in WORLDS]
    if worlds is not None and (unknown or worlds.kwargs or not worlds.args):
        said = f"there is no world {unknown[0]!r}" if unknown else "worlds(*names) takes names"
        raise pytest.UsageError(f"{item.nodeid}: {said}; known are {', '.join(WORLDS)}")


def marked_plan(item: pytest.Item) -> FaultPlan | str | None:
    """What the `faults` marker says; `None` if there is none."""
    marker = item.get_closest_marker("faults")
    if marker is None:
        return None
    if len(marker.args) == 1 and not marker.kwargs and isinstance(marker.args[0], FaultPlan | str):
        given: FaultPlan | str = marker.args[0]
        return given
    raise pytest.UsageError(f"{item.nodeid}: faults(plan) takes one plan, as text or as a FaultPlan, by position")


def marked_scale(item: pytest.Item) -> float:
    """How many times as fast the clock of a live scenario runs."""
    marker = item.get_closest_marker("live")
    if marker is None:
        return LIVE_SCALE
    given = [*marker.args, *marker.kwargs.values()]
    scale = given[0] if given else LIVE_SCALE
    known = len(given) <= 1 and set(marker.kwargs) <= {"scale"}
    if known and isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale < math.inf:
        return float(scale)
    raise pytest.UsageError(f"{item.nodeid}: live(scale={LIVE_SCALE:g}) takes one positive number")


def plan_of(given: FaultPlan | str, config: pytest.Config, world: type[World]) -> FaultPlan:
    """The plan for that kind of world. Raises `FaultPlanError` for one that cannot be carried out there."""
    catalog = catalog_of(world)
    if isinstance(given, FaultPlan):
        return given.checked(catalog)
    return FaultPlan.parse(given, config.getoption("--mux-seed"), catalog)


_availability: dict[str, str | None] = {}


def why_missing(name: str) -> str | None:
    """Why that world cannot be had on this host; `None` if it can."""
    if name not in _availability:
        missing = None
        if not WORLDS[name].virtual and not TmuxMultiplexer().available():
            missing = f"tmux is not installed, or older than {'.'.join(map(str, FLOOR[:2]))}{FLOOR[2]}"
        _availability[name] = missing
    return _availability[name]
