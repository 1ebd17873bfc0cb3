"""Replay files: one trial written down, so that it can be sent to somebody and repeated.

A JSON object with the keys `version`, `scenario`, `plan` (text, or the plan's own JSON form), `seed` and `mux`.
Reading one runs nothing. Repeating one whose scenario is `module:attribute` imports that module: look at a stranger's first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from faults.errors import FaultPlanError, nearest_name, shortened
from faults.numbers import is_whole
from faults.plan import FaultPlan
from harness.runner import catalog_of
from harness.world import WORLDS

__all__ = ["MOST_SEED", "REPLAY_LIMIT", "SIMULATED", "Replay", "ReplayError", "parse_replay"]

VERSION = 1
REPLAY_LIMIT = 1 << 20
"""Bytes; a longer file is no replay file."""
MOST_SEED = 2**63 - 1
"""The largest seed: what every JSON reader that knows whole numbers can hold."""
SIMULATED = tuple(name for name, world in WORLDS.items() if world.virtual)
"""The worlds that a story can be told in again, exactly."""

_NEEDED = ("version", "scenario", "plan")
_KNOWN = (*_NEEDED, "seed", "mux")


class ReplayError(ValueError):
    """A replay file that cannot be read or repeated; the message says where and what."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One trial: the name of a scenario, the plan with its seed, the world."""

    scenario: str
    plan: FaultPlan
    mux: str = "fake"

    def to_json(self) -> str:
        """The replay file, as `parse_replay` reads it."""
        plan = self.plan.to_text()
        said = {"version": VERSION, "scenario": self.scenario, "plan": plan, "seed": self.plan.seed, "mux": self.mux}
        return json.dumps(said, indent=2) + "\n"


def parse_replay(data: bytes) -> Replay:
    """The trial that a replay file tells of. Raises `ReplayError`."""
    said = _keys(_loaded(data))
    version, scenario, mux = said["version"], said["scenario"], said.get("mux", "fake")
    if not is_whole(version) or version != VERSION:
        raise ReplayError(f"version {_json(version)} cannot be read here, only {VERSION}")
    if not isinstance(scenario, str) or not scenario:
        raise ReplayError(f"scenario must be the name of one, not {_json(scenario)}")
    if not isinstance(mux, str) or mux not in SIMULATED:
        near = nearest_name(str(mux)[:80], SIMULATED)
        raise ReplayError(f"mux: unknown world {mux!r:.80}; the nearest valid name is {near!r}")
    return Replay(scenario, _plan(said["plan"], said.get("seed"), mux), mux)


def _plan(said: object, seed: object, mux: str) -> FaultPlan:
    if seed is not None and not (is_whole(seed) and 0 <= seed <= MOST_SEED):
        raise ReplayError(f"seed must be a whole number from 0 to {MOST_SEED}, not {_json(seed)}")
    catalog = catalog_of(WORLDS[mux])
    try:
        if isinstance(said, str):
            return FaultPlan.parse(said, int(seed or 0), catalog)
        if not isinstance(said, Mapping):
            raise ReplayError(f"plan must be text or a JSON object, not {_json(said)}")
        plan = FaultPlan.from_json({**said, "seed": said.get("seed", seed or 0)}, catalog)
    except FaultPlanError as wrong:
        raise ReplayError(f"plan: {wrong}") from wrong
    if not 0 <= plan.seed <= MOST_SEED or seed not in (None, plan.seed):
        raise ReplayError(f"plan: its seed is {plan.seed!r:.40}, that of the file {_json(seed)}")
    return plan


def _keys(document: object) -> Mapping[str, object]:
    if not isinstance(document, dict):
        raise ReplayError(f"expected a JSON object, not {_json(document)}")
    for key in document:
        if key not in _KNOWN:
            raise ReplayError(f"unknown key {key!r:.80}; the nearest valid name is {nearest_name(key[:80], _KNOWN)!r}")
    missing = [key for key in _NEEDED if key not in document]
    if missing:
        raise ReplayError(f"it lacks its {' and '.join(missing)}")
    return document


def _json(value: object) -> str:
    """What was read, as it was written."""
    return shortened(json.dumps(value, ensure_ascii=True), 80)


def _loaded(data: bytes) -> object:
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once_each)
    except UnicodeDecodeError as wrong:
        raise ReplayError(f"position {wrong.start}: not UTF-8: byte {data[wrong.start]:#04x}") from wrong
    except json.JSONDecodeError as wrong:
        raise ReplayError(f"position {wrong.pos}: not JSON: {wrong.msg}") from wrong
    except RecursionError as wrong:
        raise ReplayError("not JSON that can be read: it is nested too deeply") from wrong
    except ReplayError:
        raise
    except ValueError as wrong:
        raise ReplayError("not JSON that can be read: a number in it is too long") from wrong


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ReplayError(f"it says {key!r:.80} twice")
        found[key] = value
    return found
