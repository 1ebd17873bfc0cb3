"""Everything that the dashboard shows at one moment, gathered without waiting for a multiplexer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backends.clock import Clock
from backends.disk import Disk
from harness.dashboard.details import Details, read_details
from harness.dashboard.reader import RunsReader, RunView
from harness.dashboard.sessions import Sessions

__all__ = ["Observer", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The runs, the newest first, and the details of the one called `watched`; `problem` says why there are no runs.

    `now` is the wall clock's time at which it was made.
    """

    views: tuple[RunView, ...] = ()
    problem: str = ""
    sessions: Sessions = field(default_factory=Sessions)
    watched: str = ""
    details: Details = field(default_factory=Details)
    now: float = 0.0


class Observer:
    """Makes one snapshot after another; `settled` is called once, when the first is made, most of which later ones share."""

    def __init__(
        self,
        reader: RunsReader,
        sessions: Callable[[], Sessions],
        disk: Disk,
        clock: Clock,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._sessions = sessions
        self._disk = disk
        self._clock = clock
        self._settled: Callable[[], None] | None = settled
        self._began: dict[str, float] = {}

    def look(self, watched: str = "") -> Snapshot:
        """Everything as it is now; never raises `OSError`."""
        sessions = self._sessions()
        listing = self._reader.refresh(sessions.liveness, watched)
        views = sorted(listing.views, key=lambda view: (self._beginning(view), view.run_id), reverse=True)
        found = next((view for view in views if view.run_id == watched), views[0] if views else None)
        details = Details() if found is None else read_details(self._disk, found)
        name = "" if found is None else found.run_id
        made = Snapshot(tuple(views), listing.problem, sessions, name, details, self._clock.wall())
        if self._settled is not None:
            self._settled()
            self._settled = None
        return made

    def _beginning(self, view: RunView) -> float:
        """When the run began, or if it does not say, when its directory was first seen to have changed."""
        if view.state is not None and view.state.created_at > 0:
            return view.state.created_at
        if view.run_id not in self._began:
            self._began[view.run_id] = self._changed(view)
        return self._began[view.run_id]

    def _changed(self, view: RunView) -> float:
        try:
            found = self._disk.info(view.run_dir)
        except OSError:
            return 0.0
        return 0.0 if found is None else found.modified
