"""Reads runs for people to see. Only observes, and a run that cannot be read is shown as that, beside the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from backends.clock import Clock
from backends.disk import Disk, FileInfo
from backends.entropy import Entropy
from backends.processes import Liveness, ProcessTable
from harness.record import (
    Event,
    Evidence,
    RunState,
    RunStatus,
    RunStore,
    Status,
    Survey,
    classify,
    is_run,
    runs,
    survey,
)
from harness.record.crash import isolated

__all__ = ["AskSession", "Listing", "RunView", "RunsReader", "read_run", "read_runs"]

EVENTS = 50
"""The newest lines of a journal that a view has."""

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
    return _view(store.run_dir, store.survey(ask or _nobody_asks))


def _nobody_asks(state: RunState) -> Liveness:
    return Liveness.UNKNOWN


def _view(run_dir: Path, found: Survey) -> RunView:
    status = classify(found.evidence)
    return RunView(run_dir.name, run_dir, status, found.state, found.events[-EVENTS:], found.attention)


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
    reader = RunsReader(disk, root, clock=clock, processes=processes, entropy=entropy)
    return [reader.read(run_dir, ask) for run_dir in runs(disk, root)]


@dataclass(frozen=True, slots=True)
class Listing:
    """Every run that is there, sorted by name, or why they cannot be listed."""

    views: tuple[RunView, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run as it was read. `stamp` is what its directory was like, if the run can only change together with that."""

    view: RunView
    stamp: FileInfo | None = None
    alive: bool = False


_OVER = frozenset({RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.PAUSED, RunStatus.CRASHED, RunStatus.INTERRUPTED})
_FRESH_S = 2.0
"""Seconds for which a directory's time proves nothing: file systems count it in steps of up to two."""
_ROUND = 60
"""Refreshes within which every run is read again although nothing tells of a change."""


class RunsReader:
    """Reads the runs below `root` again and again, each anew only where it may have changed.

    Whoever drives a run takes its lock, which changes the run's directory. So a run that is over, that nobody drives and in
    whose record nothing is odd stays as it was read while its directory does. What changes it in another way, an edit in
    place or a change of permissions, is noticed within `_ROUND` refreshes.
    """

    def __init__(
        self, disk: Disk, root: Path | str, *, clock: Clock, processes: ProcessTable, entropy: Entropy
    ) -> None:
        self._disk = disk
        self._root = os.fspath(root)
        self._clock = clock
        self._processes = processes
        self._entropy = entropy
        self._seen: dict[str, _Seen] = {}
        self._turn = 0

    def refresh(self, ask: AskSession | None = None, watched: str = "") -> Listing:
        """Every run as it is now; `watched` is the name of one that is read anew in any case. Never raises `OSError`."""
        try:
            names = self._names()
        except OSError as problem:
            self._seen.clear()
            return Listing(problem=f"{self._root} cannot be read: {problem.strerror or type(problem).__name__}")
        self._turn = (self._turn + 1) % _ROUND
        found = {
            name: self._look(name, ask, anew=name == watched or number % _ROUND == self._turn)
            for number, name in enumerate(names)
        }
        self._seen = {name: seen for name, seen in found.items() if seen is not None}
        return Listing(tuple(seen.view for seen in self._seen.values()))

    def _names(self) -> list[str]:
        try:
            return self._disk.listdir(self._root)
        except FileNotFoundError:
            return []

    def read(self, run_dir: Path, ask: AskSession | None = None) -> RunView:
        """The run in `run_dir`, read anew; UNKNOWN where that fails."""
        return self._read(run_dir, ask, None).view

    def _look(self, name: str, ask: AskSession | None, *, anew: bool) -> _Seen | None:
        """The run of that name, read anew where it may have changed; `None` for what is no run."""
        path = f"{self._root}/{name}"
        stamp = self._stamp(path)
        seen = self._seen.get(name)
        same = seen is not None and stamp is not None and seen.stamp == stamp
        if seen is not None and same and not anew and seen.alive == _is_alive(seen.view, ask):
            return seen
        return self._read(Path(path), ask, stamp) if is_run(self._disk, path) else None

    def _stamp(self, path: str) -> FileInfo | None:
        """What tells of a change of the directory; `None` where nothing does yet."""
        try:
            found = self._disk.info(path)
        except OSError:
            return None
        return found if found is not None and self._clock.wall() - found.modified > _FRESH_S else None

    def _read(self, run_dir: Path, ask: AskSession | None, stamp: FileInfo | None) -> _Seen:
        made: list[Survey] = []
        problem = isolated(
            lambda: made.append(
                survey(
                    self._disk,
                    os.fspath(run_dir),
                    clock=self._clock,
                    processes=self._processes,
                    ask=ask or _nobody_asks,
                )
            )
        )
        if problem is not None:
            unusable = Evidence(unusable=f"it cannot be read: {problem}")
            return _Seen(RunView(run_dir.name, run_dir, classify(unusable)))
        view = _view(run_dir, made[0])
        return _Seen(view, stamp if _is_settled(view.status, made[0].evidence) else None, _is_alive(view, ask))


def _is_settled(status: Status, evidence: Evidence) -> bool:
    """Whether nothing that the status says can change while the run's directory does not."""
    return status.name in _OVER and not evidence.lock_held and not evidence.notes


def _is_alive(view: RunView, ask: AskSession | None) -> bool:
    return ask is not None and view.state is not None and ask(view.state) is Liveness.ALIVE
