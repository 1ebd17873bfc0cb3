"""Which backend is to be checked: a name, `module:Attribute`, or a `BackendSpec` somewhere, as it is given to each door."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from backends.errors import BackendNotFound
from backends.fake import FakeMultiplexer
from backends.operations import OPERATIONS
from backends.registry import multiplexer_reference
from backends.tmux import TmuxMultiplexer
from harness.conformance.bench import Bench
from harness.conformance.places import world_for
from harness.conformance.psmux_world import PSMUX
from harness.conformance.spec import BackendSpec
from harness.world import WORLDS

__all__ = ["SubjectError", "spec_of", "tried"]

_DOUBLE = 'put its double first: PATH="$(python -c "from backends.psmux_double import BIN; print(BIN)"):$PATH"'

_OURS: Mapping[str, BackendSpec] = {
    "fake": BackendSpec(FakeMultiplexer, name="fake", binary=None, world=WORLDS["fake"]),
    "psmux": dataclasses.replace(PSMUX, advice=_DOUBLE),
    "simulated-tmux": BackendSpec(TmuxMultiplexer, name="simulated-tmux", binary=None, world=WORLDS["simulated-tmux"]),
    "tmux": BackendSpec(TmuxMultiplexer, name="tmux", world=WORLDS["tmux"]),
}


class SubjectError(Exception):
    """There is no such backend, or it cannot be checked here; `advice` says what to do next."""

    def __init__(self, message: str, advice: str = "`seamripper backends` lists those that are known") -> None:
        super().__init__(message)
        self.advice = advice


def spec_of(name: str, error: str | None = None) -> BackendSpec:
    """The backend that `name` stands for; `error` names the base of what it raises, as `module:Attribute`.

    Raises `SubjectError`, whatever importing somebody's module raises.
    """
    if name in _OURS:
        found = _OURS[name]
    else:
        reference = _reference(name, "--mux")
        if isinstance(reference, BackendSpec):
            found = dataclasses.replace(reference, name=reference.name or name)
        elif callable(reference):
            found = BackendSpec(reference, name=name, world=WORLDS.get(name))
        else:
            raise SubjectError(
                f"{name} is no backend: a {type(reference).__name__}, no class, no factory and no BackendSpec",
                "name the class",
            )
    return found if error is None else dataclasses.replace(found, error=_error_type(error))


def _error_type(name: str) -> type[Exception]:
    found = _reference(name, "--mux-error") if ":" in name else None
    if not isinstance(found, type) or not issubclass(found, Exception):
        raise SubjectError(f"--mux-error {name!a:.80} names no exception", "name it as module:Error")
    return found


def _reference(name: str, option: str) -> object:
    try:
        return multiplexer_reference(name)
    except BackendNotFound as unknown:
        if ":" in name:
            advice = "check the name; it is looked for from this directory as well"
            raise SubjectError(f"{option}: {unknown.message}", advice) from unknown
        raise SubjectError(f"{option}: {unknown.message}") from unknown


def tried(spec: BackendSpec) -> None:
    """Make one, and let it go again. Raises `SubjectError` where that is no backend or this host cannot run it."""
    world = world_for(spec)()
    try:
        bench = Bench(spec, world)
        known = [name for name, operation in OPERATIONS.items() if callable(getattr(bench.mux, name, None))]
        if len(known) < 5:
            raise SubjectError(
                f"{spec.name} is no backend: a {type(bench.mux).__name__} with {len(known)} of the contract's operations",
                "name a class or a factory of one",
            )
        answer = bench.attempt(bench.mux, "available")
        if answer.value is False:
            requirement = getattr(bench.mux, "requirement", "") or "what it runs"
            install = f"install {requirement}" + (f", or {spec.advice}" if spec.advice else "")
            raise SubjectError(f"{spec.name} says that this host cannot run it", install)
    except SubjectError:
        raise
    except (Exception, SystemExit) as broken:
        said = " ".join(str(broken).split())
        raise SubjectError(
            f"{spec.name} cannot be made: {type(broken).__name__}: {said:.200}",
            "correct it, or name a factory that needs no arguments",
        ) from broken
    finally:
        world.close()
