"""Makes a failing plan smaller, as long as it fails in the same way.

A reduction counts only if the smaller plan fails every single time that it is tried. Each makes the plan's `weight` less, so
that there is an end to it; what is left is minimal when none of its own reductions fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from faults.actions import Action, Form, Pass, form_of, parameters
from faults.plan import FaultPlan
from faults.rule import Fault, Term
from faults.trace import Injection
from faults.triggers import Always, Percent, Times, Trigger
from faults.verdict import Run, Verdict

__all__ = ["Shrunk", "any_problem", "reductions", "same_oracles", "shrink", "weight"]

_SECONDS = (1.0, 2.0, 5.0, 30.0, 60.0, 3600.0)
"""What a duration is made to be, smallest first."""
_EXCEPTION = "RuntimeError"
"""What an exception is made to be: nothing about it is special."""
_SPELLED = 8
"""Up to how many calls a rule of chance is spelled out, call by call."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest failing plan that was found, and how sure that is.

    `runs` counts all runs that it took. `failures` of the last `times` runs of `plan` failed, and `verdict` is one of those, or
    the last one if none did. `minimal`: every single reduction was tried, and passes at least once in `times`.
    """

    plan: FaultPlan
    verdict: Verdict
    runs: int
    minimal: bool
    failures: int
    times: int

    @property
    def failing(self) -> bool:
        """Whether the plan fails every time."""
        return self.failures == self.times

    @property
    def flaky(self) -> bool:
        """Whether the plan fails sometimes: nothing can be said about smaller ones."""
        return 0 < self.failures < self.times

    def __str__(self) -> str:
        if not self.failing:
            kind = "flaky" if self.flaky else "passes"
            return f"{kind}: fails {self.failures} of {self.times} times: {self.plan}"
        known = "minimal" if self.minimal else "the smallest found"
        return f"{self.plan}  ({known} after {self.runs} runs, fails {self.failures} of {self.times} times)"


def any_problem(verdict: Verdict) -> bool:
    """Whether anything at all does not hold."""
    return not verdict.held


def same_oracles(original: Verdict) -> Callable[[Verdict], bool]:
    """Tells whether every oracle that `original` breaks is broken again."""
    broken = set(original.oracles)
    return lambda verdict: bool(broken) and broken.issubset(verdict.oracles)


def shrink(
    run: Run,
    plan: FaultPlan,
    *,
    fails: Callable[[Verdict], bool] | None = None,
    times: int = 3,
    limit: int = 1000,
) -> Shrunk:
    """The smallest plan that can be had from `plan` step by step, and that fails `times` times out of `times`.

    `fails` tells which verdicts count as failing; unless it is given, those that break every oracle that the first failing run
    of `plan` breaks. After `limit` runs the best plan so far is returned. A plan that does not fail every time is not reduced.
    """
    if times < 1:
        raise ValueError(f"a plan must be tried at least once, not {times} times")
    verdicts = [run(plan) for _ in range(times)]
    first = next((verdict for verdict in verdicts if (fails or any_problem)(verdict)), None)
    if first is None:
        return Shrunk(plan, verdicts[-1], times, False, 0, times)
    attempts = _Attempts(run, fails or same_oracles(first), times, limit)
    attempts.runs = times
    failures = sum(map(attempts.fails, verdicts))
    best, minimal = first, False
    while failures == times and not minimal:
        smaller = next(filter(None, map(attempts.failing, reductions(best))), None)
        if smaller is None:
            minimal = not attempts.used_up
            break
        best = smaller
    return Shrunk(best.plan, best, attempts.runs, minimal, failures, times)


class _Attempts:
    """Tries smaller plans, none of them twice, until the runs are used up."""

    def __init__(self, run: Run, fails: Callable[[Verdict], bool], times: int, limit: int) -> None:
        self.fails = fails
        self.runs = 0
        self.used_up = False
        self._run = run
        self._times = times
        self._limit = limit
        self._passing: set[str] = set()

    def failing(self, plan: FaultPlan) -> Verdict | None:
        """The verdict on `plan` if it fails every time; `None` if it passes once, or if that can no longer be tried."""
        form = plan.to_json()
        if form in self._passing:
            return None
        verdict = None
        for _ in range(self._times):
            if self.runs >= self._limit:
                self.used_up = True
                return None
            self.runs += 1
            verdict = self._run(plan)
            if not self.fails(verdict):
                self._passing.add(form)
                return None
        return verdict


def weight(plan: FaultPlan) -> tuple[float, ...]:
    """How much there is to a plan; of two the one with less is the simpler one.

    In this order: rules, rules without an end (by chance twice), wildcards, filters, terms, calls counted, answers lost, and
    what the actions are given.
    """
    terms = [term for fault in plan.faults for term in fault.terms]
    return (
        len(plan.faults),
        sum(term.trigger.endless + isinstance(term.trigger, Percent) for term in terms),
        sum(1 for fault in plan.faults if _wild(fault)),
        sum(len(fault.where) for fault in plan.faults),
        len(terms),
        sum(term.trigger.count for term in terms if isinstance(term.trigger, Times)),
        sum(1 for term in terms if term.lost),
        sum(_weight_of(term.action) for term in terms),
        int(plan.seed != 0),
    )


def reductions(verdict: Verdict) -> Iterator[FaultPlan]:
    """Every plan that is one step simpler than that of `verdict`, those that save most first.

    What has happened in that run says to which points and calls a rule can be narrowed.
    """
    plan = verdict.plan
    heavy = weight(plan)
    seen = {plan}
    for faults in _fewer(plan.faults):
        yield FaultPlan(faults, plan.seed)
    for index, fault in enumerate(plan.faults):
        fired = [one for one in verdict.injections if one.rule == str(fault)]
        for smaller in _simpler(fault, fired):
            candidate = FaultPlan((*plan.faults[:index], smaller, *plan.faults[index + 1 :]), plan.seed)
            if candidate not in seen and weight(candidate) < heavy:
                seen.add(candidate)
                yield candidate
    if plan.seed:
        yield replace(plan, seed=0)


def _fewer(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    """Without half of the rules, a quarter of them, and so on down to each one; as delta debugging does."""
    size = len(faults) // 2
    while size > 1:
        for start in range(0, len(faults), size):
            yield (*faults[:start], *faults[start + size :])
        size //= 2
    if len(faults) > 1:
        for index in range(len(faults)):
            yield (*faults[:index], *faults[index + 1 :])


def _simpler(fault: Fault, fired: Sequence[Injection]) -> Iterator[Fault]:
    points = dict.fromkeys(one.point for one in fired)
    for point in points:
        at = [one for one in fired if one.point == point]
        if len(points) == 1 and len(at) <= _SPELLED:
            yield Fault(point, _spelled(at))
        for one in (at[0], at[-1]):
            yield Fault(point, _spelled([one]))
        if _wild(fault):
            yield replace(fault, point=point)
    for name in fault.where:
        yield replace(fault, where={key: glob for key, glob in fault.where.items() if key != name})
    for index, term in enumerate(fault.terms):
        rest = (*fault.terms[:index], *fault.terms[index + 1 :])
        if any(not isinstance(one.action, Pass) for one in rest):
            yield replace(fault, terms=rest)
        for simpler in _simpler_terms(term):
            yield replace(fault, terms=(*fault.terms[:index], simpler, *fault.terms[index + 1 :]))


def _spelled(fired: Sequence[Injection]) -> tuple[Term, ...]:
    """What has happened at one point, call by call; the same thing at consecutive calls is one term."""
    terms: list[Term] = []
    before = 0
    for one in fired:
        term = Term(one.performed, Times(1), one.action.startswith("lost:"))
        if one.call_number > before + 1:
            terms.append(Term(Pass(), Times(one.call_number - before - 1)))
        elif terms and isinstance(trigger := terms[-1].trigger, Times) and replace(terms[-1], trigger=Times(1)) == term:
            term = replace(terms.pop(), trigger=Times(trigger.count + 1))
        terms.append(term)
        before = one.call_number
    return tuple(terms)


def _simpler_terms(term: Term) -> Iterator[Term]:
    for trigger in _simpler_triggers(term.trigger):
        yield replace(term, trigger=trigger)
    if term.lost:
        yield replace(term, lost=False)
    for action in _simpler_actions(term.action):
        yield replace(term, action=action)


def _simpler_triggers(trigger: Trigger) -> Iterator[Trigger]:
    if isinstance(trigger, Times):
        for count in dict.fromkeys((1, trigger.count // 2, trigger.count - 1)):
            if 0 < count < trigger.count:
                yield Times(count)
    else:
        yield Times(1)
        if isinstance(trigger, Percent):
            yield Always()


def _simpler_actions(action: Action) -> Iterator[Action]:
    """The action with one of its values made simpler: seconds to the smallest of a ladder, sizes to 0, texts to nothing."""
    for one in parameters(type(action)):
        value = getattr(action, one.name)
        for simple in _simpler_values(form_of(one), value):
            yield replace(action, **{one.name: simple})  # type: ignore[type-var]  # every action is a dataclass


def _simpler_values(form: Form, value: object) -> tuple[object, ...]:
    if isinstance(value, float) and form.is_seconds:
        return tuple(math.copysign(seconds, value) for seconds in _SECONDS if seconds < abs(value))
    if form is Form.SIZE and value != 0:
        return (0,)
    if form is Form.TEXT and value != "":
        return ("",)
    if form is Form.STATUS and value != 1:
        return (1,)
    return (_EXCEPTION,) if form is Form.EXCEPTION and value != _EXCEPTION else ()


def _weight_of(action: Action) -> float:
    total = 0.0
    for one in parameters(type(action)):
        value = getattr(action, one.name)
        if isinstance(value, float):
            total += abs(value)
        elif _simpler_values(form_of(one), value):
            total += 1
    return total


def _wild(fault: Fault) -> bool:
    return not frozenset("*?").isdisjoint(fault.point)
