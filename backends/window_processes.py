"""The processes that windows were made with, watched for their end wherever the host tells of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Set

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError
from backends.processes import Liveness, ProcessIdentity, ProcessTable

__all__ = ["Window", "WindowProcesses"]

Window = tuple[str, str]
"""A session and the native id of a window in it."""

_FIELDS = ("window_id", "window_panes", "pane_pid")

_FIRST_DOUBT_S = 0.002
"""Seconds after which a window is asked about again whose process has ended and that is listed as alive; doubled each time."""


class WindowProcesses:
    """Watches one process for each living window. `works` says whether this host tells of ends at all.

    A process that has ended, and a window that is listed as alive all the same, is a doubt: the multiplexer may not have seen
    it yet, something else may hold the window's terminal, or another process runs in it now. `doubt_s` says after how many
    seconds from now the multiplexer is to be asked again, infinite while there is no doubt.
    """

    def __init__(self, multiplexer: TerminalMultiplexer, processes: ProcessTable) -> None:
        """Learn the pids from `multiplexer`, whose windows' processes are in `processes`."""
        self._multiplexer = multiplexer
        self._processes = processes
        self._seen: dict[Window, ProcessIdentity | None] = {}
        self._watched: dict[ProcessIdentity, Window] = {}
        self._doubts: dict[Window, float] = {}
        self.deaths = processes.deaths()
        me = processes.me()
        self.works = self.deaths.watch(me)
        self.deaths.drop(me)

    @property
    def watched(self) -> int:
        """How many processes are watched."""
        return len(self._watched)

    @property
    def doubt_s(self) -> float:
        """See the class."""
        return min(self._doubts.values(), default=float("inf"))

    def ended(self) -> bool:
        """Whether a process has ended since the last time; from now on its window is a doubt."""
        windows = [self._watched[process] for process in self.deaths.take() if process in self._watched]
        for window in windows:
            self._drop(window)
            self._doubts[window] = _FIRST_DOUBT_S / 2
        return bool(windows)

    def follow(self, alive: Mapping[str, Set[str]]) -> None:
        """Watch the processes of the windows that were just listed as alive, by session, and nobody else."""
        living = {(session, window) for session, windows in alive.items() for window in windows}
        for gone in self._seen.keys() - living:
            self._drop(gone)
        self._doubts = {doubted: 2 * delay for doubted, delay in self._doubts.items() if doubted in living}
        new = living - self._seen.keys() if self.works else set()
        for session in {session for session, _ in new}:
            for window, pid in self._pids(session, {window for of, window in new if of == session}):
                self._watch((session, window), pid)

    def close(self) -> None:
        """Watch nobody any more, and give every descriptor back."""
        self._seen.clear()
        self._watched.clear()
        self._doubts.clear()
        self.deaths.close()

    def _watch(self, window: Window, pid: int) -> None:
        process = self._processes.identify(pid)
        if process is not None and process not in self._watched and self.deaths.watch(process):
            self._watched[process] = window
        elif process is None or self._processes.liveness(process) is not Liveness.ALIVE:
            self._doubts.setdefault(window, _FIRST_DOUBT_S)
            return
        self._seen[window] = process
        self._doubts.pop(window, None)

    def _drop(self, window: Window) -> None:
        process = self._seen.pop(window)
        if process is not None and self._watched.get(process) == window:
            del self._watched[process]
            self.deaths.drop(process)

    def _pids(self, session: str, windows: Set[str]) -> Iterator[tuple[str, int]]:
        """The pid of the process that each of the windows was made with, where it is told."""
        for row in self._multiplexer.list_windows(session, _FIELDS):
            if len(row) != len(_FIELDS) or row[0] not in windows:
                continue
            window, panes, pid = row
            if panes == "1" and pid.isdecimal():
                yield window, int(pid)
                continue
            # The pane that is listed need not be the one that the window was made with.
            with contextlib.suppress(MultiplexerError):
                yield from ((window, one) for one in self._multiplexer.window_pids(window)[:1])
