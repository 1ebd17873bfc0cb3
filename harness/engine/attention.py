"""What ends a wait of the engine before its time: a stop, a file of an agent, the end of a watched process, news of windows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from backends.base import News
from backends.clock import Gathered, Waker
from backends.disk import Disk
from backends.processes import Deaths, ProcessIdentity, ProcessTable

__all__ = ["EVENTS", "RESULTS", "Attention"]

EVENTS, RESULTS = "events", "tasks"
"""Directories of a run that agents leave files in: events directly, results in one directory for each task."""


class Attention:
    """Gathers what is told between two looks; what was told is taken once.

    Nothing here has to work: whatever is not told of is found by looking, as seldom or often as `sees_files`, `sees_windows`
    and `watch` say that it has to be.
    """

    def __init__(self, disk: Disk, processes: ProcessTable, stop: Waker, news: News | None = None) -> None:
        self._disk = disk
        self._processes = processes
        self._stop = stop
        self._news = news
        self._named: SimpleQueue[str] = SimpleQueue()
        self._files = Waker()
        self._deaths = Deaths()
        self.waker: Waker = stop
        """Ends the engine's waits."""
        self.sees_files = False
        """Whether files of agents are told of."""
        self.problem: OSError | None = None
        """Why they are not."""

    @contextmanager
    def on(self, run_dir: Path) -> Iterator[None]:
        """Within, what happens in that run is told."""
        with contextlib.ExitStack() as open_things:
            self._deaths = self._processes.deaths()
            open_things.callback(self._deaths.close)
            open_things.callback(self._files.close)
            try:
                open_things.callback(self._disk.watch([run_dir / EVENTS, run_dir / RESULTS], self._tell))
                self.sees_files = True
            except OSError as problem:
                self.problem = problem
            news = () if self._news is None else (self._news.told,)
            self.waker = Gathered(self._files, self._deaths, *news, self._stop)
            open_things.callback(self.waker.close)
            try:
                yield
            finally:
                self.waker, self.sees_files = self._stop, False

    def _tell(self, path: str) -> None:
        # What the engine itself leaves for agents lies there as well.
        directory, name = os.path.split(path)
        if name == "result.json" or os.path.basename(directory) == EVENTS:
            self._named.put(directory)
            self._files.wake()

    def directories(self) -> set[str]:
        """The directories in which files were left since the last time."""
        self._files.clear()
        found: set[str] = set()
        with contextlib.suppress(Empty):
            while True:
                found.add(self._named.get_nowait())
        return found

    def ended(self) -> list[ProcessIdentity]:
        """The watched processes that have ended since the last time."""
        return self._deaths.take()

    @property
    def sees_windows(self) -> bool:
        """Whether it is told that a window has gone."""
        return self._news is not None and self._news.connected

    @property
    def blind(self) -> str:
        """Why it will not be told that a window has gone although others are; empty where it may be, or nobody is."""
        return "" if self._news is None else self._news.why

    def windows_changed(self) -> bool:
        """Whether anything was told of windows since the last time, or may have been lost."""
        if self._news is None or not self._news.told.is_set():
            return False
        self._news.notices()
        return True

    def watch(self, process: ProcessIdentity) -> bool:
        """Watch that process; whether its end will be told."""
        return self._deaths.watch(process)

    def drop(self, process: ProcessIdentity) -> None:
        """Watch it no longer."""
        self._deaths.drop(process)
