"""Fault plans drawn by chance: what nobody would have thought of, and the same ones for the same seed everywhere.

What is drawn can be carried out, and no lie is among it that nobody could tell from the truth.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from backends import errors as seam_errors
from faults.actions import Action, Form, Pass, form_of, optional, parameters
from faults.catalog import LAYERS, LOSING_LAYERS, PointCatalog
from faults.exceptions import HOSTILE
from faults.matrix import UNKNOWABLE, points_of
from faults.plan import FaultPlan
from faults.rule import Fault, Term
from faults.triggers import Always, Percent, Times, Trigger

__all__ = ["random_plan"]

_RULES = (1, 1, 2, 2, 3, 4)
"""How many rules a plan has, each number as likely as it is listed often; the same holds for every table below."""
_VALUES: Mapping[Form, tuple[object, ...]] = MappingProxyType(
    {
        Form.SECONDS: (0.0, 0.5, 1.0, 2.0, 5.0, 12.5, 30.0, 60.0, 3600.0, 86400.0),
        Form.STEP: (-86400.0, -3600.0, -1.0, 0.5, 2.0, 60.0, 3600.0, 86400.0),
        Form.SIZE: (0, 1, 2, 7, 64, 4096),
        Form.STATUS: (1, 1, 2, 127, -9, -11),
        Form.TEXT: (
            "",
            "lost server",
            "protocol version mismatch",
            "server exited unexpectedly",
            "fork failed: x",
            "é\n;",
        ),
        Form.ERRNO: (
            *("ENOENT", "EACCES", "EPERM", "EIO", "ENOSPC", "EROFS", "EDQUOT", "EMFILE", "ENFILE", "ENOMEM"),
            *("EAGAIN", "EINTR", "EPIPE", "ECONNREFUSED", "ETIMEDOUT", "E2BIG", "ENOEXEC", "ESTALE"),
        ),
        Form.SIGNAL: ("SIGTERM", "SIGINT", "SIGHUP"),
    }
)
"""What the actions are given."""
_GLOBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "session": ("run-*", "*-nested-*"),
        "name": ("run-*", "?-?*"),
        "task": ("1-1", "1-?"),
        "attempt": ("1", "2"),
        "path": ("*.json", "*events*", "*/state.json*"),
        "argv": ("* -t *",),
    }
)
"""What a rule filters by, beside `*`, by the name of the argument; other arguments are filtered by what any text has."""
_COMMON_GLOBS = ("*", "?*", "*1*")
_PLAIN = ("RuntimeError", "OSError", "KeyError", "ValueError", "KeyboardInterrupt", "MemoryError", "SystemExit")
_COSTLY = "HugeMessage"
"""Fifty megabytes: drawn once in a while, not once in five."""


def random_plan(
    seed: int, catalog: PointCatalog, reached: Mapping[str, int], layers: Collection[str] = LAYERS
) -> FaultPlan:
    """A plan of one to four rules at points that a run without faults has `reached`, each layer as likely as any other.

    The same for the same seed and the same points, whatever the interpreter's hash seed. It is the empty plan if nothing can be
    done at any of these points.
    """
    dice = random.Random(f"plan {seed}")
    by_layer: dict[str, list[str]] = {}
    for point in points_of(reached, layers):
        if _kinds([point], catalog):
            by_layer.setdefault(point.partition(".")[0], []).append(point)
    if not by_layer:
        return FaultPlan(seed=seed)
    faults = []
    for _ in range(dice.choice(_RULES)):
        layer = dice.choice(list(by_layer))
        faults.append(_fault(dice, catalog, layer, dice.choice(by_layer[layer]), reached))
    return FaultPlan(tuple(faults), seed)


def _fault(dice: random.Random, catalog: PointCatalog, layer: str, point: str, reached: Mapping[str, int]) -> Fault:
    calls = reached[point]
    points: Sequence[str] = (point,)
    if dice.random() < 0.08:
        glob = f"{layer}.*"
        anywhere = catalog.matching(Fault(glob, (Term(Pass()),)))
        if _kinds(anywhere, catalog):
            point, points = glob, anywhere
            calls = sum(count for name, count in reached.items() if name in anywhere)
    kinds = _kinds(points, catalog)
    terms = [
        Term(action, trigger, action.losable and layer in LOSING_LAYERS and dice.random() < 0.4)
        for trigger, passes in _triggers(dice, calls)
        for action in (Pass() if passes else _action(dice, dice.choice(kinds), catalog),)
    ]
    return Fault(point, tuple(terms), _where(dice, point, points, catalog))


def _kinds(points: Sequence[str], catalog: PointCatalog) -> list[type[Action]]:
    """What can happen at every one of these points, and is known from the truth there."""
    if not points:
        return []
    common = frozenset[type[Action]].intersection(*map(catalog.actions_at, points)) - {Pass}
    known = [kind for kind in common if not any((point, kind.keyword) in UNKNOWABLE for point in points)]
    return sorted(known, key=lambda kind: kind.keyword)


def _triggers(dice: random.Random, calls: int) -> list[tuple[Trigger, bool]]:
    """When the terms of one rule apply, with whether they pass; at least one does not, and it is within `calls` calls."""
    found: list[tuple[Trigger, bool]] = []
    if calls > 1 and dice.random() < 0.6:
        found.append((Times(dice.randint(1, calls - 1)), True))
    if dice.random() < 0.15:
        found += [(Times(dice.randint(1, 2)), False), (Times(dice.randint(1, 3)), True)]
    chance = dice.random()
    last: Trigger = Times(1)
    if chance < 0.15:
        last = Percent(dice.choice((5.0, 12.5, 30.0, 50.0, 100.0)))
    elif chance < 0.35:
        last = Always()
    elif chance < 0.55:
        last = Times(dice.randint(2, 5))
    return [*found, (last, False)]


def _action(dice: random.Random, kind: type[Action], catalog: PointCatalog) -> Action:
    given: dict[str, object] = {}
    for one in parameters(kind):
        if not optional(one) or dice.random() < 0.5:
            form = form_of(one)
            given[one.name] = _exception(dice, catalog) if form is Form.EXCEPTION else dice.choice(_VALUES[form])
    return kind(**given)


def _exception(dice: random.Random, catalog: PointCatalog) -> str:
    """A common one, a hostile one, or any: except for what the seam says with an error, which would be a lie."""
    chance = dice.random()
    if chance < 0.4:
        return dice.choice(_PLAIN)
    if chance < 0.7:
        return dice.choice(sorted(HOSTILE.keys() - {_COSTLY}))
    if chance < 0.71:
        return _COSTLY
    return dice.choice(sorted(catalog.exceptions - {_COSTLY} - frozenset(seam_errors.__all__)))


def _where(dice: random.Random, point: str, points: Sequence[str], catalog: PointCatalog) -> dict[str, str]:
    names = sorted(frozenset[str]().union(*map(catalog.arguments_at, points)))
    if not names or dice.random() < 0.8:
        return {}
    name = dice.choice(names)
    return {name: dice.choice((*_COMMON_GLOBS, *_GLOBS.get(name, ())))}
