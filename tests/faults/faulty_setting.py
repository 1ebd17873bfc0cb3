"""A small simulated world with a planned fault in it, for the tests of the injector and its wrappers."""

from __future__ import annotations

from dataclasses import dataclass

from backends.base import TerminalMultiplexer
from backends.clock import VirtualClock
from backends.fake import FakeMultiplexer
from backends.memory_disk import MemoryDisk
from backends.operations import OPERATIONS
from faults import FaultPlan, Injector, PointCatalog

SESSION = "run-1"


@dataclass
class Setting:
    """A multiplexer with one session of two windows, a disk, and the injector that stands between."""

    clock: VirtualClock
    mux: FakeMultiplexer
    disk: MemoryDisk
    injector: Injector


def planned(text: str, seed: int = 0, *, steps: tuple[str, ...] | None = None) -> Setting:
    """A prepared world in which `text` is what shall go wrong from now on."""
    clock = VirtualClock()
    disk = MemoryDisk(clock)
    mux = FakeMultiplexer(clock=clock, disk=disk)
    mux.new_session(SESSION, "/")
    mux.new_window(SESSION, "agent", "/", {}, "sleep 60")
    catalog = PointCatalog(steps)
    injector = Injector(FaultPlan.parse(text, seed, catalog), clock=clock, catalog=catalog)
    injector.attach(mux)
    return Setting(clock, mux, disk, injector)


def call_sample(mux: TerminalMultiplexer, operation: str) -> object:
    """The answer to `operation` with its sample arguments."""
    return getattr(mux, operation)(**OPERATIONS[operation].sample)
