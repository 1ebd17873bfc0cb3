"""The seam tells the truth: whatever fails underneath, only declared outcomes come out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError, TransportError, TransportTimeout
from backends.operations import OPERATIONS, Kind, Operation
from faults.injector import Injector
from faults.plan import FaultPlan
from harness.agents import task, works
from harness.record import RunStatus
from harness.runner import Stage, catalog_of
from harness.world import World

FAILURES = (
    "timeout",
    "hang",
    *(f"oserror({name})" for name in ("ENOENT", "EACCES", "EMFILE", "EAGAIN", "ENOMEM", "E2BIG", "EPIPE", "ETIMEDOUT")),
    'exit(1, "lost server")',
    "undecodable",
    "empty",
)
ANSWERABLE_BY_NOTHING = frozenset(
    name for name, operation in OPERATIONS.items() if operation.answers(None) or not operation.raises
)


def outcome(multiplexer: TerminalMultiplexer, operation: Operation) -> object:
    """What a call with the sample arguments answers, or the error that it raises."""
    try:
        return getattr(multiplexer, operation.name)(**operation.sample)
    except MultiplexerError as error:
        return error


@pytest.mark.parametrize("failure", FAILURES)
def test_seam_honesty_of_every_operation(
    mux_world: World, mux_coverage: Callable[[Injector], None], failure: str
) -> None:
    """Every operation under every failure gives its sentinel or a seam error that means unknown; nothing raw."""
    for operation in OPERATIONS.values():
        plan = FaultPlan.parse(f"mux.{operation.name}={failure}", catalog=catalog_of(mux_world))
        multiplexer = mux_world.multiplexer()
        injector = Injector(plan, clock=mux_world.clock, catalog=catalog_of(mux_world))
        injector.attach(multiplexer)

        seen = outcome(multiplexer, operation)
        mux_coverage(injector)

        injector.verify_fired()
        if operation.raises and not (failure == "empty" and operation.name in ANSWERABLE_BY_NOTHING):
            assert isinstance(seen, TransportError), operation.name
        elif not operation.raises:
            assert seen == operation.sentinel(), operation.name


@pytest.mark.parametrize("name", [name for name, op in OPERATIONS.items() if op.raises and op.kind is not Kind.LOCAL])
def test_seam_honesty_a_timeout_is_no_refusal(mux_world: World, name: str) -> None:
    """An operation that raises on silence raises a timeout for a timeout, with its name and the time it took."""
    multiplexer = mux_world.multiplexer()
    plan = FaultPlan.parse(f"{name}=timeout(2)", catalog=catalog_of(mux_world))
    Injector(plan, clock=mux_world.clock, catalog=catalog_of(mux_world)).attach(multiplexer)

    error = outcome(multiplexer, OPERATIONS[name])

    assert isinstance(error, TransportTimeout)
    assert error.operation == name
    assert error.elapsed_s is not None


@pytest.mark.faults("leak.list_window_ids=1*timeout(30)")
def test_seam_honesty_what_a_dishonest_backend_lets_out_is_recorded(mux_run: Stage) -> None:
    """A raw error out of the seam is a bug of the backend: the engine has crashed, and says why."""
    report = mux_run(task("1-1", agent=works(10).then_completes()))

    assert report.status is RunStatus.CRASHED
    assert "TimeoutExpired" in str(report.summary.crash_error if report.summary else "")
