"""Counts the calls at every point, decides which rule acts on which, and remembers it all.

The wrappers report each call with `reach` and carry out what it tells them; nothing here knows how. One `Ledger` belongs to
one run. It may be used from several threads.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType

from backends.clock import Clock, VirtualClock
from faults.actions import Action, Delay, Die, Hang, OsError, Pass, Raise, Timeout, Undecodable
from faults.catalog import PointCatalog
from faults.errors import SimulatedDeath
from faults.plan import FaultPlan
from faults.rule import Fault, Term, glob_pattern
from faults.trace import Injection, TraceEntry, answer_text

__all__ = ["Ledger", "Reached"]

Arguments = Callable[[], Mapping[str, object]]
"""Tells the arguments of a call; asked only by rules that filter."""


class _Rule:
    """One fault of the plan with how far it has come."""

    def __init__(self, fault: Fault, index: int, seed: int) -> None:
        self.fault = fault
        self.text = str(fault)
        self.point = glob_pattern(fault.full_point)
        self.fired = False
        self._where = {name: glob_pattern(glob) for name, glob in fault.where.items()}
        # Seeded by text, so that the dice do not depend on the interpreter's hash seed.
        self._dice = random.Random(f"{seed}:{index}")
        self._term = 0
        self._calls = 0
        self.only_passes = all(isinstance(term.action, Pass) for term in fault.terms)

    def matches(self, arguments: Arguments) -> bool:
        if not self._where:
            return True
        given = arguments()
        return all(name in given and glob.fullmatch(str(given[name])) for name, glob in self._where.items())

    def next_term(self) -> Term | None:
        """The term whose turn it is, if it applies to the call at hand; counts the call."""
        if self._term == len(self.fault.terms):
            return None
        term = self.fault.terms[self._term]
        self._calls += 1
        if term.trigger.used_up(self._calls):
            self._term += 1
            self._calls = 0
        return term if term.trigger.applies(self._dice.random) else None


class Reached:
    """One call at one point, from before it is made until it is over: a context that notes how it ended."""

    __slots__ = ("_entry", "injection", "lost", "point")

    def __init__(self, point: str, entry: TraceEntry | None, injection: Injection | None, lost: bool) -> None:
        self.point = point
        self.injection = injection
        self.lost = lost
        self._entry = entry

    @property
    def action(self) -> Action | None:
        """What shall happen instead of the call or after it; `None`: nothing."""
        return None if self.injection is None else self.injection.performed

    def answered(self, answer: object) -> None:
        """Note what the call was answered with."""
        if self._entry is not None:
            self._entry.outcome = answer_text(answer)

    def ended(self, outcome: str) -> None:
        """Note how the call ended, in the words of whoever saw the end."""
        if self._entry is not None:
            self._entry.outcome = outcome

    def __enter__(self) -> Reached:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.ended(f"raised {kind.__name__}")


def _choose(rules: tuple[_Rule, ...], arguments: Arguments) -> tuple[_Rule, Term] | None:
    """The first rule that acts on this call, if any does; every rule that matches counts it."""
    chosen: tuple[_Rule, Term] | None = None
    for rule in rules:
        if not rule.matches(arguments):
            continue
        term = rule.next_term()
        rule.fired = rule.fired or rule.only_passes
        if term is not None and not isinstance(term.action, Pass) and chosen is None:
            chosen = (rule, term)
    return chosen


class Ledger:
    """What was planned, what was reached, and what was done about it."""

    def __init__(self, plan: FaultPlan, clock: Clock, catalog: PointCatalog, real_time: bool) -> None:
        """Carry out `plan`; times are seconds of `clock`, which simulated waits are spent on.

        On a clock that is not virtual, a simulated timeout is spent only with `real_time`.
        """
        self.plan = plan.checked(catalog)
        self.clock = clock
        self.reached: Counter[str] = Counter()
        self.injections: list[Injection] = []
        self.trace: list[TraceEntry] = []
        self.dead = False
        self.at_death: list[Callable[[], None]] = []
        self._catalog = catalog
        self._spends = real_time or isinstance(clock, VirtualClock)
        self._began_s = clock.monotonic()
        self._rules = [_Rule(fault, index, plan.seed) for index, fault in enumerate(plan.faults)]
        self._rules_at: dict[str, tuple[_Rule, ...]] = {}
        self._lock = threading.Lock()

    def reach(
        self,
        point: str,
        about: object = "",
        arguments: Arguments = dict,
        *,
        quiet: bool = False,
        outlives: bool = False,
    ) -> Reached:
        """Count a call at `point` and say what shall happen to it; `SimulatedDeath` if the process is dead.

        `about` is what the trace shows of it. With `quiet` it shows the call only if something is injected.
        With `outlives` somebody else's process is calling, which the death of this one does not touch.
        """
        if self.dead and not outlives:
            raise SimulatedDeath(f"the process is dead: nobody reaches {point}")
        with self._lock:
            self.reached[point] += 1
            rules = self._rules_at.get(point)
            if rules is None:
                rules = self._rules_for(point)
            chosen = _choose(rules, arguments) if rules else None
            if chosen is None and quiet:
                return Reached(point, None, None, False)
            at_s = self.clock.monotonic() - self._began_s
            injection = None if chosen is None else self._inject(*chosen, point, at_s)
            entry = self._note(point, at_s, about, injection)
        return Reached(point, entry, injection, chosen is not None and chosen[1].lost)

    def passes(self, point: str) -> bool:
        """Count a call at `point` if no rule is about that: then nothing happens there; `SimulatedDeath` like `reach`."""
        if self.dead:
            raise SimulatedDeath(f"the process is dead: nobody reaches {point}")
        with self._lock:
            rules = self._rules_at.get(point)
            if rules is None:
                rules = self._rules_for(point)
            if rules:
                return False
            self.reached[point] += 1
            return True

    def _rules_for(self, point: str) -> tuple[_Rule, ...]:
        rules = self._rules_at[point] = tuple(rule for rule in self._rules if rule.point.fullmatch(point))
        return rules

    def note(self, point: str, about: object, outcome: str) -> None:
        """Put something into the trace that never came as far as a point."""
        with self._lock:
            self._note(point, self.clock.monotonic() - self._began_s, about, None).outcome = outcome

    def unfired(self) -> list[Fault]:
        """The faults that never happened; a rule of passes alone happens where its point is reached."""
        return [rule.fault for rule in self._rules if not rule.fired]

    def _inject(self, rule: _Rule, term: Term, point: str, at_s: float) -> Injection:
        rule.fired = True
        action = f"{'lost:' if term.lost else ''}{term.action}"
        number, call_number = len(self.injections) + 1, self.reached[point]
        injection = Injection(number, at_s, point, call_number, action, rule.text, term.action)
        self.injections.append(injection)
        return injection

    def _note(self, point: str, at_s: float, about: object, injection: Injection | None) -> TraceEntry:
        entry = TraceEntry(len(self.trace) + 1, at_s, point, about, injection)
        self.trace.append(entry)
        return entry

    def answer(
        self,
        reached: Reached,
        proceed: Callable[[], object],
        instead: Callable[[Action, Callable[[], object]], object],
        *,
        deadline_s: float,
    ) -> object:
        """Answer a call at a point where somebody is asked: by `proceed`, or `instead` of it, or after it.

        `instead` carries out an action that is not a plain delay; with `lost` it is given the answer that was had.
        """
        action = reached.action
        if action is None:
            return proceed()
        began_s = self.clock.monotonic()
        if reached.lost:
            had = proceed()
            return self._delayed(reached, action, lambda: had, instead, began_s, deadline_s)
        return self._delayed(reached, action, proceed, instead, began_s, deadline_s)

    def _delayed(
        self,
        reached: Reached,
        action: Action,
        proceed: Callable[[], object],
        instead: Callable[[Action, Callable[[], object]], object],
        began_s: float,
        deadline_s: float,
    ) -> object:
        if isinstance(action, Delay) and action.seconds < deadline_s:
            self.clock.sleep(action.seconds)
            return proceed()
        if isinstance(action, Timeout | Hang | Delay):
            given = deadline_s if isinstance(action, Hang) or action.seconds is None else action.seconds
            limit = max(0.0, min(given, deadline_s))
            if self._spends:
                self.clock.sleep(max(0.0, began_s + limit - self.clock.monotonic()))
            raise self.marked(reached, subprocess.TimeoutExpired([reached.point.partition(".")[2]], limit))
        return instead(action, proceed)

    def failure(self, reached: Reached, action: Action) -> BaseException:
        """A fresh exception for an action that is the same at every layer."""
        if isinstance(action, OsError):
            return self.marked(reached, OSError(action.errno, os.strerror(action.errno)))
        if isinstance(action, Undecodable):
            return self.marked(reached, UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "injected"))
        if isinstance(action, Raise):
            rule = "" if reached.injection is None else reached.injection.rule
            return self.marked(reached, self._catalog.exception(action.exception, f"injected by {rule}"))
        if isinstance(action, Die):
            return self._death(reached)
        raise AssertionError(f"{action.keyword} has no effect at {reached.point}")

    def marked(self, reached: Reached, error: BaseException) -> BaseException:
        """`error` with a note that names the rule that raised it."""
        if reached.injection is not None:
            error.add_note(
                f"injected by {reached.injection.rule} (call {reached.injection.call_number} of {reached.point})"
            )
        return error

    def _death(self, reached: Reached) -> BaseException:
        self.dead = True
        for release in self.at_death:
            release()
        return self.marked(reached, SimulatedDeath(f"the process dies at {reached.point}"))
