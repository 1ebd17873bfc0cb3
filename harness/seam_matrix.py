"""The seam by itself: one cell at a time, what comes out of an operation, and whether that was declared.

Each cell is asked for twice of a small backend of its own, with nothing around it but the injector: no engine, no story.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from types import MappingProxyType

from backends.clock import VirtualClock
from backends.errors import (
    CommandRejected,
    TransportError,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
)
from backends.fake import FakeMultiplexer
from backends.guard import PROBE_TIMEOUT_S, Call, Hook
from backends.memory_disk import MemoryDisk
from backends.operations import OPERATIONS, Operation
from faults.actions import Action, Delay, Die, Empty, Exit, Hang, OsError, Output, Raise, Timeout, Truncate, Undecodable
from faults.catalog import PointCatalog
from faults.errors import SimulatedDeath
from faults.exceptions import EXCEPTIONS
from faults.injector import Injector
from faults.matrix import Cell

__all__ = ["fault_of", "raw"]

_CATALOG = PointCatalog(supports=("mux", "leak"))
_MEANINGS: Mapping[type[Action], type[TransportError]] = MappingProxyType(
    {
        Timeout: TransportTimeout,
        Hang: TransportTimeout,
        Delay: TransportTimeout,
        OsError: TransportUnavailable,
        Exit: TransportUnavailable,
        Undecodable: TransportGarbled,
    }
)
"""What a failure below the guard means above it; a lie is an answer, or garbled."""


class _Underneath:
    """Counts what a hook lets through to the multiplexer itself."""

    def __init__(self, hook: Hook | None) -> None:
        assert hook is not None
        self.hook = hook
        self.carried_out = 0

    def around(self, call: Call, proceed: Callable[[], object]) -> object:
        """See `Hook.around`."""

        def counted() -> object:
            self.carried_out += 1
            return proceed()

        return self.hook.around(call, counted)


def _asked(cell: Cell, make: Callable[..., FakeMultiplexer]) -> tuple[Injector, list[object], int]:
    """Ask the operation of that cell twice; what came out each time, and how often the first one was carried out."""
    clock = VirtualClock()
    multiplexer = make(clock=clock, disk=MemoryDisk(clock))
    multiplexer.new_session("run-1", "/")
    multiplexer.new_window("run-1", "agent", "/", {}, "sleep 60")
    injector = Injector(cell.plan(), clock=clock, catalog=_CATALOG)
    injector.attach(multiplexer)
    multiplexer.seam.hook = underneath = _Underneath(multiplexer.seam.hook)
    offered = injector.leaking(multiplexer)
    operation = OPERATIONS[cell.point.partition(".")[2]]
    seen: list[object] = []
    carried_out: list[int] = []
    for _ in range(2):
        try:
            seen.append(getattr(offered, operation.name)(**operation.sample))
        except (Exception, SimulatedDeath) as raised:  # noqa: BLE001  # whatever comes out is what this is about
            seen.append(raised)
        carried_out.append(underneath.carried_out)
        # What the first call has made must not be what refuses the second.
        FakeMultiplexer(multiplexer.server).kill_session("run-2")
    return injector, seen, carried_out[0]


def _takes_effect(cell: Cell) -> bool:
    """Whether the operation is carried out although the fault of the cell happens to it."""
    late = isinstance(cell.action, Delay) and cell.action.seconds < PROBE_TIMEOUT_S
    return cell.lost or late or isinstance(cell.action, Truncate)


def _declared(cell: Cell, operation: Operation, seen: object) -> bool:
    """Whether that is what has to come out of the operation when the fault of the cell happens to it."""
    action = cell.action
    if isinstance(action, Die):
        return isinstance(seen, SimulatedDeath)
    if cell.layer == "leak":
        return type(seen) is raw(action)
    if isinstance(action, Delay) and action.seconds < PROBE_TIMEOUT_S:
        return _answered(operation, seen)
    if isinstance(action, Output | Empty | Truncate):
        garbled = type(seen) is TransportGarbled if operation.raises else seen == operation.sentinel()
        return garbled or operation.answers(seen)
    meant = TransportTimeout if action == OsError("ETIMEDOUT") else _MEANINGS[type(action)]
    return type(seen) is meant if operation.raises else seen == operation.sentinel()


def raw(action: Action) -> type[BaseException]:
    """The exception that a dishonest backend lets out."""
    if isinstance(action, Raise):
        return type(EXCEPTIONS[action.exception](""))
    return type(OSError(action.errno, "")) if isinstance(action, OsError) else subprocess.TimeoutExpired


def _answered(operation: Operation, seen: object) -> bool:
    """Whether the multiplexer has answered: with an answer, or that it will not."""
    return operation.answers(seen) if not isinstance(seen, BaseException) else isinstance(seen, CommandRejected)


def _uncounted(injector: Injector) -> None:
    return None


def fault_of(
    cell: Cell,
    count: Callable[[Injector], None] = _uncounted,
    *,
    make: Callable[..., FakeMultiplexer] = FakeMultiplexer,
) -> str:
    """What is wrong with what comes out of the seam under that cell; empty if nothing is.

    `count` is given what has happened, `make` makes the backend from `clock` and `disk`.
    """
    operation = OPERATIONS[cell.point.partition(".")[2]]
    injector, (first, second), carried_out = _asked(cell, make)
    ends = cell.forever or isinstance(cell.action, Die)
    count(injector)
    due = 2 if cell.forever else 1
    if len(injector.injections) != due or injector.unfired():
        return f"{cell.label}: {len(injector.injections)} injections where {due} were due"
    if carried_out != _takes_effect(cell):
        return f"{cell.label}: carried out {carried_out} times"
    if not _declared(cell, operation, first):
        return f"{cell.label}: {first!r} came out"
    if not (_declared(cell, operation, second) if ends else _answered(operation, second)):
        return f"{cell.label}: {second!r} came out of the second call"
    return ""
