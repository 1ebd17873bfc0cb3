"""Walks over the matrix of a run: every fault one by one, and faults together.

A sweep begins with a run without faults, which tells what is reached. At each point it goes on call by call until a run comes
to its end in which the fault was not reached: that run proves that there is no further call. A fault that was due and did not
happen is a failure like any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from faults.catalog import LAYERS, PointCatalog
from faults.matrix import Calls, Cell, Exclusion, cells, cells_at, chosen_calls, excluded, points_of
from faults.plan import FaultPlan
from faults.rule import Fault
from faults.verdict import Run, Verdict, counted

__all__ = [
    "Due",
    "Pair",
    "Progress",
    "Sweep",
    "Together",
    "Trying",
    "covering",
    "pair_of",
    "pairs",
    "shadows",
    "sweep",
    "sweep_together",
    "try_together",
    "trying",
]

Progress = Callable[[int, int], None]
"""Called after each run with how many are done, and how many there are going to be, as far as that is known by then."""


class Due(Enum):
    """What the run without faults lets expect of a fault."""

    FIRES = "fires"
    END = "is not reached"


@dataclass(frozen=True, slots=True)
class Trying:
    """One step of a sweep: the fault, what was due, and what came of it."""

    cell: Cell
    due: Due
    verdict: Verdict

    @property
    def fired(self) -> bool:
        """Whether the fault happened."""
        return self.verdict.fired

    @property
    def wrong(self) -> str | None:
        """What is wrong with the reach of the fault, if anything; an oracle that does not hold is in the verdict."""
        if self.due is Due.FIRES and not self.fired:
            return f"fired: {self.cell.fault} did not happen, though its call was reached without it"
        if self.due is Due.END and self.fired:
            return f"fired: {self.cell.fault} happened, though its call was not reached without it"
        return None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What came of a sweep.

    `failed` are the verdicts that do not hold; one of `fired` in their problems tells that the reach of a fault was not as in
    the run without faults. `plans` counts all runs, `fired` those whose fault happened, `unreached` those whose fault did not.
    `calls` is how often each point was reached without faults, `ends` the run that proved so, `excluded` what was left out.
    """

    faultless: Verdict
    failed: tuple[Verdict, ...] = ()
    plans: int = 1
    fired: int = 0
    unreached: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, Verdict] = field(default_factory=dict)
    excluded: tuple[Exclusion, ...] = ()

    @property
    def held(self) -> bool:
        """Whether every oracle held, whatever went wrong, and every fault happened that was due."""
        return not self.failed

    def __str__(self) -> str:
        return (
            f"{counted(self.plans, 'plan')} at {counted(len(self.calls), 'point')}: {self.fired} fired,"
            f" {self.unreached} beyond the last call of {counted(len(self.ends), 'point')},"
            f" {len(self.excluded)} left out; {_judged(self.failed)}"
        )


def trying(
    run: Run,
    catalog: PointCatalog,
    reached: Mapping[str, int],
    *,
    layers: Collection[str] = LAYERS,
    calls: Calls | int = Calls.EVERY,
    seed: int = 0,
) -> Iterator[Trying]:
    """Try every fault at the points that a run without faults has `reached`, one after the other, lazily.

    At each point the last one tried comes one call after the last, and must not be reached. Should it be, that call is tried
    like those before it, and the next, up to twice as many as there were.
    """
    for point in points_of(reached, layers):
        count = reached[point]
        for call in chosen_calls(count, calls):
            for cell in cells_at(point, call, catalog):
                yield Trying(cell, Due.FIRES, run(cell.plan(seed)))
        for call in range(count + 1, 2 * count + 2):
            # The fault of the first is not reached: neither is any other there, for up to then all runs are alike.
            beyond = (Trying(cell, Due.END, run(cell.plan(seed))) for cell in cells_at(point, call, catalog))
            tried = list(itertools.islice(beyond, 1))
            yield from tried
            if not any(one.fired for one in tried):
                break
            yield from beyond


def sweep(
    run: Run,
    catalog: PointCatalog,
    *,
    layers: Collection[str] = LAYERS,
    calls: Calls | int = Calls.EVERY,
    seed: int = 0,
    progress: Progress | None = None,
    failing: Callable[[Verdict], None] | None = None,
) -> Sweep:
    """Try every fault that `catalog` knows at every point that a run without faults reaches, and say what came of it.

    If the run without faults does not hold, nothing else is tried. `failing` is given each verdict that does not hold, as soon
    as there is one, just as it will stand in `Sweep.failed`; what it raises ends the sweep.
    """
    tell = progress or _nobody
    faultless = run(FaultPlan(seed=seed))
    tell(1, 1)
    if not faultless.held:
        if failing is not None:
            failing(faultless)
        return Sweep(faultless, failed=(faultless,))
    points = tuple(points_of(faultless.reached, layers))
    about = 1 + len(points) + sum(1 for _ in cells(faultless.reached, catalog, layers, calls))
    failed: list[Verdict] = []
    ends: dict[str, Verdict] = {}
    plans, fired, unreached = 1, 0, 0
    for one in trying(run, catalog, faultless.reached, layers=layers, calls=calls, seed=seed):
        plans += 1
        fired += one.fired
        unreached += not one.fired
        verdict = one.verdict if one.wrong is None else _with_problem(one.verdict, one.wrong)
        if not verdict.held:
            failed.append(_told(verdict))
            if failing is not None:
                failing(failed[-1])
        if one.due is Due.END and not one.fired:
            ends[one.cell.point] = _brief(one.verdict)
        tell(plans, max(plans, about))
    return Sweep(
        faultless=_brief(faultless),
        failed=tuple(failed),
        plans=plans,
        fired=fired,
        unreached=unreached,
        calls=MappingProxyType({point: faultless.reached[point] for point in points}),
        ends=MappingProxyType(ends),
        excluded=tuple(excluded(points, catalog, layers)),
    )


Pair = tuple[str, str]
"""Two faults as text, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Together:
    """What came of plans of several faults.

    `together` are the pairs of which both have happened in one run, `shadowed` those that never did so, each with the run in
    which one of them was not reached any more, because the other one had changed the run's course.
    """

    failed: tuple[Verdict, ...]
    plans: int
    together: frozenset[Pair]
    shadowed: Mapping[Pair, Verdict]

    @property
    def held(self) -> bool:
        """Whether every oracle held under every plan."""
        return not self.failed

    def __str__(self) -> str:
        return (
            f"{counted(self.plans, 'plan')}: {counted(len(self.together), 'pair')} of faults happened together,"
            f" {len(self.shadowed)} could not; {_judged(self.failed)}"
        )


def pair_of(one: Fault, other: Fault) -> Pair:
    """The two faults as a pair, whichever comes first."""
    first, second = sorted((str(one), str(other)))
    return first, second


def shadows(given: Sequence[Cell], alone: Mapping[Cell, Verdict]) -> dict[Pair, Verdict]:
    """The pairs of these cells that cannot happen together, each with the run that proves it.

    `alone` are the verdicts on each cell by itself. Where a fault has happened and the call of another one is not reached any
    more, a run with both goes as the one with the first: the second would be later, for up to a fault all runs are alike.
    """
    found = {}
    for one, other in itertools.permutations(given, 2):
        if alone[one].reached.get(other.point, 0) < other.call:
            found[pair_of(one.fault, other.fault)] = alone[one]
    return found


def pairs(given: Sequence[Cell], *, apart: Collection[Pair] = (), seed: int = 0) -> Iterator[FaultPlan]:
    """A plan for every two of these cells, except for two at the same call, and for those known to stay `apart`."""
    for one, other in itertools.combinations(given, 2):
        if (one.point, one.call) != (other.point, other.call) and pair_of(one.fault, other.fault) not in apart:
            yield FaultPlan((one.fault, other.fault), seed)


def covering(
    given: Sequence[Cell], strength: int = 2, *, rules: int = 4, apart: Collection[Pair] = (), seed: int = 0
) -> tuple[FaultPlan, ...]:
    """A small set of plans of up to `rules` rules, such that any `strength` cells of different points stand together in one.

    Pairs that are known to stay `apart` are in none. Greedy, and the same for the same cells: each plan begins with the first
    combination that no plan has yet, and takes in the cell that brings most new ones with it, the first among equals. At most
    one rule of a plan is about a point.
    """
    if not 1 <= strength <= rules:
        raise ValueError(f"cannot put {strength} cells together into plans of {rules} rules")
    fits = [[a.point != b.point and pair_of(a.fault, b.fault) not in apart for b in given] for a in given]
    due = dict.fromkeys(
        chosen
        for chosen in itertools.combinations(range(len(given)), strength)
        if all(fits[one][other] for one, other in itertools.combinations(chosen, 2))
    )
    found = []
    while due:
        chosen = _grown(next(iter(due)), due, fits, strength, rules)
        for covered in itertools.combinations(chosen, strength):
            due.pop(covered, None)
        found.append(FaultPlan(tuple(given[index].fault for index in chosen), seed))
    return tuple(found)


def sweep_together(
    run: Run,
    given: Sequence[Cell],
    *,
    exhaustive: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Together:
    """Try every two of these cells together that can happen together.

    First each by itself, which proves of most pairs that they cannot; then, if `exhaustive`, the others two by two, else in a
    `covering`, and once more by themselves where a third one came between them.
    """
    tell = progress or _nobody
    alone: dict[Cell, Verdict] = {}
    failed: list[Verdict] = []
    for done, cell in enumerate(given, 1):
        verdict = run(cell.plan(seed))
        alone[cell] = _brief(verdict)
        if not verdict.held:
            failed.append(_told(verdict))
        tell(done, len(given))
    apart = shadows(given, alone)
    plans = list(pairs(given, apart=apart, seed=seed)) if exhaustive else covering(given, apart=apart, seed=seed)
    found = try_together(run, plans, progress=lambda done, about: tell(done + len(given), about + len(given)))
    return replace(
        found,
        failed=(*failed, *found.failed),
        plans=found.plans + len(given),
        shadowed=MappingProxyType({**apart, **found.shadowed}),
    )


def try_together(
    run: Run, plans: Iterable[FaultPlan], *, retry: bool = True, progress: Progress | None = None
) -> Together:
    """Try these plans, and account for every pair of faults that stands together in one of them.

    Of three faults the first may end the run, so that the other two do not happen: with `retry` such pairs are tried once more
    in a plan of their own.
    """
    tell = progress or _nobody
    first = list(plans)
    account = _Account()
    for done, plan in enumerate(first, 1):
        account.add(run(plan))
        tell(done, len(first))
    second = account.alone() if retry else ()
    for done, plan in enumerate(second, len(first) + 1):
        account.add(run(plan))
        tell(done, len(first) + len(second))
    return Together(
        failed=tuple(account.failed),
        plans=len(first) + len(second),
        together=frozenset(account.together),
        shadowed=MappingProxyType(account.shadowed),
    )


class _Account:
    """Which pairs of faults have happened together so far, and which have not."""

    def __init__(self) -> None:
        self.failed: list[Verdict] = []
        self.together: set[Pair] = set()
        self.shadowed: dict[Pair, Verdict] = {}

    def add(self, verdict: Verdict) -> None:
        if not verdict.held:
            self.failed.append(_told(verdict))
        unfired = {str(fault) for fault in verdict.unfired}
        for one, other in itertools.combinations(verdict.plan.faults, 2):
            pair = pair_of(one, other)
            if unfired.isdisjoint(pair):
                self.together.add(pair)
                self.shadowed.pop(pair, None)
            elif pair not in self.together:
                self.shadowed[pair] = _brief(verdict)

    def alone(self) -> tuple[FaultPlan, ...]:
        """A plan for each pair that has only been tried with others beside it."""
        found = []
        for pair, verdict in self.shadowed.items():
            if len(verdict.plan.faults) > 2:
                faults = tuple(fault for fault in verdict.plan.faults if str(fault) in pair)
                found.append(FaultPlan(faults, verdict.plan.seed))
        return tuple(found)


def _grown(
    begun: tuple[int, ...],
    due: Collection[tuple[int, ...]],
    fits: Sequence[Sequence[bool]],
    strength: int,
    rules: int,
) -> tuple[int, ...]:
    """The cells of one plan, in order: those it was `begun` with, and what fits to them and brings most that is `due`."""
    chosen = begun
    while len(chosen) < rules:
        best, most = None, 0
        for index in range(len(fits)):
            if all(fits[index][one] for one in chosen):
                others = itertools.combinations(chosen, strength - 1)
                news = sum(tuple(sorted((*some, index))) in due for some in others)
                if news > most:
                    best, most = index, news
        if best is None:
            break
        chosen = tuple(sorted((*chosen, best)))
    return chosen


def _brief(verdict: Verdict) -> Verdict:
    """The same verdict without what holds on to everything that happened."""
    return replace(verdict, explain=str)


def _told(verdict: Verdict) -> Verdict:
    """The same verdict with its explanation as text: whoever explains holds on to everything that happened."""
    told = verdict.explain()
    return replace(verdict, explain=lambda: told)


def _with_problem(verdict: Verdict, problem: str) -> Verdict:
    return replace(verdict, problems=(*verdict.problems, problem))


def _judged(failed: Sequence[Verdict]) -> str:
    return f"{len(failed)} failed" if failed else "all held"


def _nobody(done: int, about: int) -> None:
    return None
