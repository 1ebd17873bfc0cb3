"""Reads runs for people to see. Only observes, and a run that cannot be read is shown as that, beside the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from backends.clock import Clock
from backends.disk import Disk
from backends.entropy import Entropy
from backends.processes import Liveness, ProcessTable
from harness.record import Event, Evidence, RecordError, RunState, RunStore, Status, classify, gather, runs
from harness.record.crash import isolated

__all__ = ["AskSession", "RunView", "read_run", "read_runs"]

AskSession = Callable[[RunState], Liveness]
"""Whether the multiplexer session of that run is there; who asks bounds how long that may take."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as it is shown. `state` is `None` where none can be read; `events` are the journal's last fifty."""

    run_id: str
    run_dir: Path
    status: Status
    state: RunState | None = None
    events: list[Event] = field(default_factory=list)
    attention: str = ""


def read_run(store: RunStore, ask: AskSession | None = None) -> RunView:
    """The run in `store`; `ask` is asked about its session unless no state can be read. Never raises `OSError`."""
    state: RunState | None = None
    try:
        state = store.load().state
    except (OSError, RecordError):
        session = Liveness.UNKNOWN
    else:
        session = ask(state) if ask is not None else Liveness.UNKNOWN
    status = classify(gather(store, session))
    return RunView(store.run_dir.name, store.run_dir, status, state, store.journal.tail(), store.read_attention())


def read_runs(
    disk: Disk,
    root: Path | str,
    *,
    clock: Clock,
    processes: ProcessTable,
    entropy: Entropy,
    ask: AskSession | None = None,
) -> list[RunView]:
    """Every run below `root`, sorted by name; UNKNOWN where reading fails. `OSError` where `root` itself cannot be listed."""
    found: list[RunView] = []
    for run_dir in runs(disk, root):
        store = RunStore(run_dir, disk=disk, clock=clock, entropy=entropy, processes=processes)
        problem = isolated(lambda store=store: found.append(read_run(store, ask)))  # type: ignore[misc]  # bound now
        if problem is not None:
            found.append(RunView(run_dir.name, run_dir, classify(Evidence(unusable=f"it cannot be read: {problem}"))))
    return found
