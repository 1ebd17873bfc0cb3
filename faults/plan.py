"""A fault plan: faults and a seed, as Python values, as one line of text, as JSON. The three say exactly the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass

from faults.actions import ACTIONS, parameters
from faults.catalog import PointCatalog
from faults.dsl import read_rules
from faults.errors import FaultPlanError, nearest_name
from faults.numbers import is_whole
from faults.rule import Fault, Term
from faults.triggers import Always, Percent, Times, Trigger

__all__ = ["FaultPlan"]


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What shall go wrong in one run, and the dice for what is left to chance.

    The text form does not say the seed: it is printed, and given, beside it.
    """

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "faults", tuple(self.faults))
        if not is_whole(self.seed):
            raise FaultPlanError(f"a seed must be a whole number, not {self.seed!r:.80}")

    @classmethod
    def parse(cls, text: str, seed: int = 0, catalog: PointCatalog | None = None) -> FaultPlan:
        """The plan that `text` says; blank text is the plan without faults.

        Raises `FaultPlanError`, with position and nearest valid name, for what does not fit the grammar, names nothing
        in `catalog`, can never be reached or cannot be carried out.
        """
        known = catalog or PointCatalog()
        faults = []
        for fault, places in read_rules(text):
            known.check(fault, places)
            faults.append(fault)
        return cls(tuple(faults), seed)

    def checked(self, catalog: PointCatalog) -> FaultPlan:
        """This plan, if it can be carried out where `catalog` holds; else `FaultPlanError`."""
        for fault in self.faults:
            catalog.check(fault)
        return self

    def to_text(self) -> str:
        """The plan on one line, as `parse` reads it."""
        return ";".join(map(str, self.faults))

    def to_json(self) -> str:
        """The plan as one line of JSON, seed included, as `from_json` reads it."""
        faults = [
            {
                "point": fault.point,
                **({"where": dict(fault.where)} if fault.where else {}),
                "terms": [_term_to_json(term) for term in fault.terms],
            }
            for fault in self.faults
        ]
        return json.dumps({"seed": self.seed, "faults": faults})

    @classmethod
    def from_json(cls, document: str | bytes | Mapping[str, object], catalog: PointCatalog | None = None) -> FaultPlan:
        """The plan that a JSON document says; checked as by `parse`, with the position only where it is no JSON at all."""
        known = catalog or PointCatalog()
        outer = _keys(_loaded(document), "the plan", {"faults"}, {"seed"})
        faults = tuple(_fault_from_json(item) for item in _list(outer["faults"], "faults"))
        seed = outer.get("seed", 0)
        if not is_whole(seed):
            raise FaultPlanError(f"seed must be a whole number, not {seed!r:.80}")
        return cls(faults, seed).checked(known)

    def __str__(self) -> str:
        return self.to_text()


def _term_to_json(term: Term) -> dict[str, object]:
    shown: dict[str, object] = {"action": term.action.keyword}
    for one in parameters(type(term.action)):
        value = getattr(term.action, one.name)
        if value is not None:
            shown[one.name] = value
    if isinstance(term.trigger, Times):
        shown["times"] = term.trigger.count
    elif isinstance(term.trigger, Percent):
        shown["percent"] = term.trigger.percent
    if term.lost:
        shown["lost"] = True
    return shown


def _loaded(document: str | bytes | Mapping[str, object]) -> object:
    if isinstance(document, Mapping):
        return document
    try:
        return json.loads(document, object_pairs_hook=_once_each)
    except json.JSONDecodeError as wrong:
        raise FaultPlanError(f"not JSON: {wrong.msg}", wrong.pos) from None
    except (UnicodeDecodeError, RecursionError) as wrong:
        raise FaultPlanError(f"not JSON: {type(wrong).__name__}") from None


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FaultPlanError("an object of the plan says the same key twice")
    return found


def _fault_from_json(item: object) -> Fault:
    rule = _keys(item, "a fault", {"point", "terms"}, {"where"})
    where = _mapping(rule.get("where", {}), "where")
    terms = tuple(_term_from_json(term) for term in _list(rule["terms"], "terms"))
    return Fault(_text(rule["point"], "point"), terms, {name: _text(glob, "a glob") for name, glob in where.items()})


_TRIGGERS: Mapping[str, Callable[[object], Trigger]] = {
    "times": lambda count: Times(count),  # type: ignore[arg-type]  # the trigger itself refuses what is no number
    "percent": lambda percent: Percent(percent),  # type: ignore[arg-type]  # as above
}


def _term_from_json(item: object) -> Term:
    said = dict(_mapping(item, "a term"))
    keyword = _text(said.pop("action", None), "action")
    kind = ACTIONS.get(keyword)
    if kind is None:
        raise FaultPlanError(f"unknown action {keyword!r:.80}", nearest=nearest_name(keyword, ACTIONS))
    fields = parameters(kind)
    names = {one.name for one in fields}
    values = {name: said.pop(name) for name in names & said.keys()}
    due = [one.name for one in fields if one.default is MISSING and one.name not in values]
    if due:
        raise FaultPlanError(f"{keyword} needs its {' and '.join(due)}")
    _keys(said, f"a term of {keyword}", set(), {"lost", *_TRIGGERS})
    triggers = [make(said[name]) for name, make in _TRIGGERS.items() if name in said]
    if len(triggers) > 1:
        raise FaultPlanError(f"a term of {keyword} says both times and percent")
    lost = said.get("lost", False)
    if not isinstance(lost, bool):
        raise FaultPlanError(f"lost must be true or false, not {lost!r:.80}")
    return Term(kind(**values), triggers[0] if triggers else Always(), lost)


def _keys(value: object, what: str, needed: Iterable[str], allowed: Iterable[str]) -> Mapping[str, object]:
    found = _mapping(value, what)
    needed, allowed = set(needed), set(allowed)
    for name in found:
        if name not in needed | allowed:
            raise FaultPlanError(f"{what} has no key {name!r:.80}", nearest=nearest_name(str(name), needed | allowed))
    missing = sorted(needed - found.keys())
    if missing:
        raise FaultPlanError(f"{what} needs its {' and '.join(missing)}")
    return found


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise FaultPlanError(f"{what} must be a JSON object, not {value!r:.80}")
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise FaultPlanError(f"{what} must be a JSON list, not {value!r:.80}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise FaultPlanError(f"{what} must be a JSON string, not {value!r:.80}")
    return value
