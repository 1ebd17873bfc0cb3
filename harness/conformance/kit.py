"""Carries out the checks of a backend, and says what came of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from subprocess import SubprocessError

from backends.base import Unsupported
from backends.clock import Clock
from harness.conformance.bench import Bench, CannotCheck, Refused, Unexpected, captured
from harness.conformance.checks import CHECKS
from harness.conformance.listing import Item
from harness.conformance.places import on_path, world_for
from harness.conformance.results import Certificate, Host, Level, Outcome, Result, Subject, level_reached
from harness.conformance.safety import without_private_server
from harness.conformance.spec import BackendSpec, Capability, KnownBug, described
from harness.conformance.waivers import Waiver

__all__ = ["CONTRACT", "Kit", "Opened", "chosen", "explained"]

CONTRACT = "0.1"
"""Version of the contract that the checks are about."""

_MOST = 8
"""Findings of one check that are told; the number of the others is."""


def chosen(level: Level | None = None, only: Iterable[str] = ()) -> tuple[Item, ...]:
    """The checks up to `level`, or those of the ids `only`."""
    ids = tuple(only)
    if ids:
        return tuple(item for item in CHECKS if item.check.id in ids)
    return tuple(item for item in CHECKS if level is None or item.check.level <= level)


@dataclass
class Kit:
    """Checks one backend. `clock` is the host's, for what each check took; `waivers` are by the id of their check."""

    spec: BackendSpec
    clock: Clock
    waivers: Mapping[str, Waiver]
    version: str
    replay: str = "seamripper conform"

    def run(self, items: Iterable[Item], progress: Callable[[Result], None] = lambda result: None) -> Certificate:
        """Carry out the checks, show each result to `progress`, and certify; whatever was begun is ended."""
        with self.opened() as opened:
            for item in items:
                progress(opened.result(item))
            return opened.certificate()

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """Within, single checks can be carried out."""
        shared = self._bench()
        try:
            yield Opened(self, shared)
        finally:
            shared.close()

    def _bench(self) -> Bench:
        world = world_for(self.spec)()
        try:
            return Bench(self.spec, world)
        except BaseException:
            world.close()
            raise

    def result(self, item: Item, shared: Bench) -> Result:
        """What comes of one check; those that need no server of their own are made on `shared`."""
        began = self.clock.monotonic()
        outcome, observed = self._outcome(item, shared)
        check = item.check
        return Result(
            check_id=check.id,
            title=check.title,
            level=check.level,
            outcome=outcome,
            expected=item.expected,
            observed=observed,
            seconds=round(self.clock.monotonic() - began, 3),
            replay=f"{self.replay} --only {check.id}",
        )

    def _outcome(self, item: Item, shared: Bench) -> tuple[Outcome, str]:
        if item.shared:
            return self._carried_out(item, shared)
        if missing := lacking(item, shared):
            return Outcome.UNSUPPORTED, missing
        if unsafe := without_private_server(shared):
            return Outcome.NOT_RUN, unsafe
        bench, error = captured(self._bench)
        if bench is None:
            return Outcome.FAILED, f"it could not be made once more: {type(error).__name__}: {error}"
        try:
            found = self._carried_out(item, bench)
        finally:
            _, left = captured(bench.close)
        if left is not None and found[0] is Outcome.PASSED:
            return Outcome.ERROR, f"what was begun could not be ended: {type(left).__name__}: {left}"
        return found

    def _carried_out(self, item: Item, bench: Bench) -> tuple[Outcome, str]:
        if missing := lacking(item, bench):
            return Outcome.UNSUPPORTED, missing
        try:
            findings = list(item.look(bench))
        except Refused as refused:
            return self._judged(item, bench, [str(refused)], refused=True)
        except Unexpected as wrong:
            return self._judged(item, bench, [str(wrong)])
        except CannotCheck as why:
            return Outcome.NOT_RUN, str(why)
        except (LookupError, OSError, SubprocessError) as broken:
            return Outcome.ERROR, f"{type(broken).__name__}: {broken}"
        return self._judged(item, bench, findings)

    def _judged(self, item: Item, bench: Bench, findings: list[str], *, refused: bool = False) -> tuple[Outcome, str]:
        observed = told(findings)
        unsupported, bug = self._excuses(item, bench)
        if unsupported is not None:
            if refused:
                return Outcome.UNSUPPORTED, f"{unsupported.reason}: {observed}"
            if findings:
                return Outcome.FAILED, f"declared as unsupported ({unsupported.reason}), and pretends: {observed}"
            return Outcome.STALE_WAIVER, f"declared as unsupported ({unsupported.reason}), and works"
        waiver = self.waivers.get(item.check.id)
        reference = bug.reference if bug is not None else None if waiver is None else waiver.told
        if reference is None:
            return (Outcome.FAILED, observed) if findings else (Outcome.PASSED, "")
        if findings:
            return Outcome.WAIVED, f"{reference}: {observed}"
        return Outcome.STALE_WAIVER, f"passes, although {reference} says that it fails: take that away"

    def _excuses(self, item: Item, bench: Bench) -> tuple[Unsupported | None, KnownBug | None]:
        names = (item.check.id, *item.check.needs)
        declared = [bench.declared(name) for name in names]
        unsupported = next((one for one in declared if isinstance(one, Unsupported)), None)
        bugs = [one for one in declared if isinstance(one, KnownBug) and item.check.level is not Level.L1]
        return unsupported, next((bug for bug in bugs if _has(bug, _version(bench))), None)

    def about(self, bench: Bench) -> tuple[str | None, Mapping[str, str]]:
        """The backend's version, and its capabilities as a certificate writes them."""
        found: dict[str, Capability | None] = {need: None for item in CHECKS for need in item.check.needs}
        own = getattr(bench.mux, "capabilities", None)
        for declared in (own, self.spec.capabilities):
            found.update(declared if isinstance(declared, Mapping) else {})
        told = {name: described(found[name]) for name in sorted(found)}
        for name, why in bench.lacks.items():
            told[name] = f"unsupported: {why}"
        return _version(bench), told

    def certificate(self, results: Iterable[Result], bench: Bench) -> Certificate:
        """What is certified after these results."""
        version, capabilities = self.about(bench)
        found = tuple(results)
        return Certificate(
            kit=self.version,
            contract=CONTRACT,
            backend=Subject(self.spec.name, version, _binary(self.spec, bench)),
            host=Host(platform.system(), platform.release(), platform.python_version()),
            capabilities=capabilities,
            level=level_reached(found),
            results=found,
        )


def explained(item: Item, result: Result) -> str:
    """Why a check did not pass, so that nobody needs a second run: what was due, what came, why it matters, a replay."""
    lines = (
        f"{result.check_id} {result.title}: {result.outcome.value}",
        f"  expected  {result.expected}",
        f"  observed  {result.observed}",
        f"  because   {item.check.rationale}",
        f"  source    {item.check.source}",
        f"  replay    {result.replay}",
    )
    return "\n".join(lines)


class Opened:
    """A kit at work on one backend: `results` are those so far."""

    def __init__(self, kit: Kit, shared: Bench) -> None:
        self._kit = kit
        self._shared = shared
        self.results: list[Result] = []

    def result(self, item: Item) -> Result:
        """Carry out one more check."""
        self.results.append(self._kit.result(item, self._shared))
        return self.results[-1]

    def certificate(self) -> Certificate:
        """What is certified after the checks so far."""
        return self._kit.certificate(self.results, self._shared)


def lacking(item: Item, bench: Bench) -> str:
    """What the check needs and cannot be had here, with the reason; nothing if it can be made."""
    return next((f"{need}: {bench.lacks[need]}" for need in item.check.needs if need in bench.lacks), "")


def told(findings: list[str]) -> str:
    """Findings as one text, not too many."""
    shown = findings[:_MOST]
    if len(findings) > _MOST:
        shown.append(f"and {len(findings) - _MOST} more")
    return "; ".join(shown)


def _binary(spec: BackendSpec, bench: Bench) -> str | None:
    return None if spec.binary is None or bench.world.virtual else on_path(spec.binary)


def _has(bug: KnownBug, version: str | None) -> bool:
    return not bug.versions or any(fnmatchcase(version or "", pattern) for pattern in bug.versions)


def _version(bench: Bench) -> str | None:
    answer = bench.attempt(bench.mux, "version")
    return answer.value if isinstance(answer.value, str) else None
