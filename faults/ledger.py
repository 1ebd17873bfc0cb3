"""Counts the calls at every point, decides which rule acts on which, and remembers it all.

The wrappers report each call with `reach` and carry out what it tells them; nothing here knows how. At a point that no rule is
about nothing can happen: `passes` and `passing` are all that such a call costs. One `Ledger` belongs to one run. It may be used
from several threads: what rules decide is decided by one at a time, and passing is remembered by appending, which is one step.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from backends.clock import Clock, VirtualClock
from faults.actions import Action, Delay, Die, Hang, OsError, Pass, Raise, Timeout, Undecodable
from faults.catalog import PointCatalog
from faults.errors import SimulatedDeath
from faults.plan import FaultPlan
from faults.rule import Fault, Term, glob_pattern, is_literal
from faults.trace import Injection, TraceEntry

__all__ = ["Ledger"]

Arguments = Callable[[], Mapping[str, object]]
"""Tells the arguments of a call; asked only by rules that filter."""


class _Rule:
    """One fault of the plan with how far it has come."""

    def __init__(self, fault: Fault, index: int, seed: int) -> None:
        self.fault = fault
        self.text = str(fault)
        self._point = None if is_literal(fault.full_point) else glob_pattern(fault.full_point)
        self.fired = False
        self._where = {name: glob_pattern(glob) for name, glob in fault.where.items()}
        # Seeded by text, so that the dice do not depend on the interpreter's hash seed.
        self._draw = random.Random(f"{seed}:{index}").random
        self._later = iter(fault.terms)
        self._term = next(self._later, None)
        self._calls = 0
        self._only_passes = all(isinstance(term.action, Pass) for term in fault.terms)

    def is_about(self, point: str) -> bool:
        """Whether calls at `point` may be what the fault is about."""
        return point == self.fault.full_point if self._point is None else self._point.fullmatch(point) is not None

    def _matches(self, arguments: Arguments) -> bool:
        given = arguments()
        return all(name in given and glob.fullmatch(str(given[name])) for name, glob in self._where.items())

    def acting(self, arguments: Arguments) -> Term | None:
        """The term that acts on the call at hand, if any does; counts the call if it is one that the rule is about."""
        if self._where and not self._matches(arguments):
            return None
        self.fired |= self._only_passes
        term = self._term
        if term is None:
            return None
        self._calls += 1
        if term.trigger.used_up(self._calls):
            self._term = next(self._later, None)
            self._calls = 0
        return None if isinstance(term.action, Pass) or not term.trigger.applies(self._draw) else term


class _RulesAt(dict[str, tuple[_Rule, ...]]):
    """The rules about each point, which are always the same: found when it is reached first."""

    def __init__(self, rules: list[_Rule]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, point: str) -> tuple[_Rule, ...]:
        rules = self[point] = tuple(rule for rule in self._rules if rule.is_about(point))
        return rules


def _nobody_reaches(point: str) -> SimulatedDeath:
    return SimulatedDeath(f"the process is dead: nobody reaches {point}")


class Ledger:
    """What was planned, what was reached, and what was done about it."""

    def __init__(self, plan: FaultPlan, clock: Clock, catalog: PointCatalog, real_time: bool) -> None:
        """Carry out `plan`; times are seconds of `clock`, which simulated waits are spent on.

        On a clock that is not virtual, a simulated timeout is spent only with `real_time`.
        """
        self.plan = plan.checked(catalog)
        self.clock = clock
        self.injections: list[Injection] = []
        self.dead = False
        self.at_death: list[Callable[[], None]] = []
        self._catalog = catalog
        self._spends = real_time or isinstance(clock, VirtualClock)
        self._monotonic = clock.monotonic
        self._began_s = clock.monotonic()
        self._rules = [_Rule(fault, index, plan.seed) for index, fault in enumerate(plan.faults)]
        self._rules_at = _RulesAt(self._rules)
        self._lock = threading.Lock()
        self._entries: list[TraceEntry] = []
        self._numbered = 0
        self._calls: list[str] = []
        self._ruled_calls: Counter[str] = Counter()

    @property
    def reached(self) -> Counter[str]:
        """How often each point was reached."""
        return Counter(self._calls)

    @property
    def trace(self) -> list[TraceEntry]:
        """Everything that happened at the points, in order of its beginning, numbered from 1."""
        entries = self._entries
        for index in range(self._numbered, len(entries)):
            entries[index].number = index + 1
        self._numbered = len(entries)
        return entries

    def reach(
        self,
        point: str,
        about: object = "",
        arguments: Arguments = dict,
        *,
        quiet: bool = False,
        outlives: bool = False,
    ) -> TraceEntry:
        """Count a call at `point` and say what shall happen to it; `SimulatedDeath` if the process is dead.

        `about` is what the trace shows of it. With `quiet` the trace has the entry only if something is injected.
        With `outlives` somebody else's process is calling, which the death of this one does not touch.
        """
        if self.dead and not outlives:
            raise _nobody_reaches(point)
        with self._lock:
            self._calls.append(point)
            self._ruled_calls[point] += 1
            acting: tuple[_Rule, Term] | None = None
            for rule in self._rules_at[point]:
                # Every rule that matches counts the call; the first that acts decides.
                term = rule.acting(arguments)
                if term is not None and acting is None:
                    acting = (rule, term)
            entry = TraceEntry(point, self._monotonic() - self._began_s, about)
            if acting is not None:
                entry.injection = self._inject(*acting, point, entry.at_s)
                self._entries.append(entry)
            elif not quiet:
                self._entries.append(entry)
            return entry

    def passes(self, point: str) -> bool:
        """Count a call at `point` if no rule is about that: then nothing happens there; `SimulatedDeath` like `reach`."""
        if self.dead:
            raise _nobody_reaches(point)
        if self._rules_at[point]:
            return False
        self._calls.append(point)
        return True

    def passing(self, point: str, about: object = "") -> TraceEntry | None:
        """Like `passes`, with the call in the trace: its entry, whose outcome is the caller's to say; `None` if a rule is."""
        if self.dead:
            raise _nobody_reaches(point)
        if self._rules_at[point]:
            return None
        self._calls.append(point)
        entry = TraceEntry(point, self._monotonic() - self._began_s, about)
        self._entries.append(entry)
        return entry

    def note(self, point: str, about: object, outcome: str) -> None:
        """Put something into the trace that never came as far as a point."""
        with self._lock:
            self._entries.append(TraceEntry(point, self._monotonic() - self._began_s, about, None, outcome))

    def unfired(self) -> list[Fault]:
        """The faults that never happened; a rule of passes alone happens where its point is reached."""
        return [rule.fault for rule in self._rules if not rule.fired]

    def _inject(self, rule: _Rule, term: Term, point: str, at_s: float) -> Injection:
        rule.fired = True
        action = f"{'lost:' if term.lost else ''}{term.action}"
        number, call_number = len(self.injections) + 1, self._ruled_calls[point]
        injection = Injection(number, at_s, point, call_number, action, rule.text, term.action, term.lost)
        self.injections.append(injection)
        return injection

    def answer(
        self,
        reached: TraceEntry,
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
        reached: TraceEntry,
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

    def failure(self, reached: TraceEntry, action: Action) -> BaseException:
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

    def marked(self, reached: TraceEntry, error: BaseException) -> BaseException:
        """`error` with a note that names the rule that raised it."""
        if reached.injection is not None:
            error.add_note(
                f"injected by {reached.injection.rule} (call {reached.injection.call_number} of {reached.point})"
            )
        return error

    def _death(self, reached: TraceEntry) -> BaseException:
        self.dead = True
        for release in self.at_death:
            release()
        return self.marked(reached, SimulatedDeath(f"the process dies at {reached.point}"))
