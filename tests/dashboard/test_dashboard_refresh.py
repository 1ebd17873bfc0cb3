"""Reading again and again: what has not changed is not read, and what has changed is never missed."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest
from made_up_runs import MadeUpRuns
from rich.console import Console, RenderableType

from backends.clock import SystemClock
from backends.disk import RealDisk, StrPath
from backends.entropy import SeededEntropy
from backends.memory_disk import MemoryDisk
from backends.processes import Liveness, SystemProcessTable
from harness.damage import ODD_DOCUMENTS
from harness.dashboard.details import read_details
from harness.dashboard.observer import Observer
from harness.dashboard.panes import detail, row
from harness.dashboard.reader import Listing, RunsReader
from harness.dashboard.sessions import Sessions
from harness.record import Crashed, Finished, RunStatus, TaskPhase

DONE = {"a": TaskPhase.DONE}


class CountingDisk(MemoryDisk):
    """Counts what is read, and fails to list where it is told to."""

    reads = 0
    refuses = False

    def read(self, path: StrPath, limit: int = 1 << 26) -> bytes:
        """Reads, and counts."""
        self.reads += 1
        return super().read(path, limit)

    def listdir(self, path: StrPath) -> list[str]:
        """Lists, unless it refuses to."""
        if self.refuses:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return super().listdir(path)


class Setting:
    """Made-up runs, and a reader of them."""

    def __init__(self) -> None:
        self.runs = MadeUpRuns()
        self.disk = CountingDisk(self.runs.clock)
        self.runs.disk = self.disk
        self.disk.mkdir(self.runs.root)
        where = {"clock": self.runs.clock, "processes": self.runs.processes, "entropy": SeededEntropy(2)}
        self.reader = RunsReader(self.disk, "/runs", **where)  # type: ignore[arg-type]  # each under its own name

    def refresh(self) -> dict[str, RunStatus]:
        """The status of each run."""
        return {view.run_id: view.status.name for view in self.reader.refresh().views}

    def reads(self) -> int:
        """How many files one more refresh reads."""
        before = self.disk.reads
        self.refresh()
        return self.disk.reads - before


def test_a_run_that_is_over_is_read_once() -> None:
    """Afterwards its directory is looked at, and no file of it; one that goes on is read each time."""
    setting = Setting()
    for number in range(120):
        setting.runs.make(f"r-{number:03}", DONE, Finished())

    first, later = setting.reads(), setting.reads()

    assert first >= 120 * 3
    assert later <= first / 50
    setting.runs.make("s-driven", DONE, driven=True)
    assert setting.reads() > 0
    assert setting.reads() > later


def test_whoever_wants_to_know_is_told_of_the_first_snapshot() -> None:
    """Once: what is there by then is what later ones share."""
    runs, told = MadeUpRuns(), []
    reader = RunsReader(runs.disk, "/runs", clock=runs.clock, processes=runs.processes, entropy=SeededEntropy(2))
    observer = Observer(reader, Sessions, runs.disk, runs.clock, settled=lambda: told.append("settled"))

    assert told == []
    observer.look()
    observer.look()

    assert told == ["settled"]


def test_a_run_that_was_just_over_is_read_again() -> None:
    """Within two seconds of a change the directory's time proves nothing."""
    setting = Setting()
    setting.runs.make("r", DONE, Finished())
    setting.runs.clock.sleep(-299)
    store = setting.runs.store("r")
    store.attention("x")

    assert [setting.reads() > 0 for _ in range(3)] == [True] * 3


def test_a_resume_and_a_crash_are_seen_at_the_next_look() -> None:
    """Whoever drives a run takes its lock first, and that is seen."""
    setting = Setting()
    store, state = setting.runs.make("r", DONE, Crashed("X"))
    assert setting.refresh() == setting.refresh() == {"r": RunStatus.CRASHED}

    with store.lock() as lock:
        state.rearm(2)
        lock.set_epoch(2)
        store.save(state)
        assert setting.refresh() == {"r": RunStatus.RUNNING}
    setting.runs.clock.sleep(60)
    state.ending = Finished()
    store.save(state)
    assert setting.refresh() == {"r": RunStatus.FINISHED}


def test_what_changes_behind_the_directory_is_noticed_within_sixty_refreshes() -> None:
    """A file that is edited in place leaves the directory as it was."""
    setting = Setting()
    store, _ = setting.runs.make("r", DONE, Finished())
    assert setting.refresh() == {"r": RunStatus.FINISHED}
    setting.disk.append(store.path("journal.jsonl"), b'{"seq":9,"epoch":1,"at":1,"event":"run-crash","error":"X"}\n')

    seen = [setting.refresh()["r"] for _ in range(60)]

    assert seen[-1] is RunStatus.CRASHED


def test_a_session_that_comes_up_is_noticed_at_once() -> None:
    """A run that is over and whose session is not is orphaned, as soon as the multiplexer says so."""
    setting = Setting()
    setting.runs.make("r", DONE, Finished())
    alive = [Liveness.UNKNOWN, Liveness.ALIVE, Liveness.UNKNOWN]

    badges = [setting.reader.refresh(lambda state, now=now: now).views[0].status.badges for now in alive]  # type: ignore[misc]  # bound now

    assert [bool(found) for found in badges] == [False, True, False]


def test_a_root_that_cannot_be_read_says_why_and_comes_back() -> None:
    """One that is missing has no runs."""
    setting = Setting()
    setting.runs.make("r", DONE, Finished())
    setting.disk.refuses = True

    assert setting.reader.refresh() == Listing(problem="/runs cannot be read: Permission denied")
    setting.disk.refuses = False
    assert setting.refresh() == {"r": RunStatus.FINISHED}
    setting.disk.remove_tree("/runs")
    assert setting.reader.refresh() == Listing()


def test_details_of_what_is_missing_or_no_file_are_told() -> None:
    """A log that is a FIFO or a link is not read; the newest one is, from its end."""
    setting = Setting()
    store, _ = setting.runs.make("r", DONE, Finished())
    view = setting.reader.refresh().views[0]
    assert read_details(setting.disk, view).log == []
    setting.disk.write(store.path("logs", "a.log"), b"x" * 100_000 + b"\r\nthe end\r\n")
    setting.disk.plant_fifo(store.path("logs", "z.log"))

    details = read_details(setting.disk, view)

    assert (details.log_name, details.log[-1], details.crash) == ("a.log", "the end", [])
    assert len(details.log[0]) < 40_000


def test_on_a_real_disk_a_change_is_seen_too(tmp_path: Path) -> None:
    """Directories, times and numbers of files as the host has them."""
    clock = SystemClock()
    runs = MadeUpRuns(str(tmp_path), RealDisk())
    store, state = runs.make("r", DONE, Finished())
    reader = RunsReader(
        RealDisk(), tmp_path, clock=clock, processes=SystemProcessTable(clock), entropy=SeededEntropy(2)
    )
    before = [reader.refresh().views[0].status.name for _ in range(2)]
    state.ending = Crashed("X")
    store.save(state)

    assert before == [RunStatus.FINISHED] * 2
    assert reader.refresh().views[0].status.name is RunStatus.CRASHED


@pytest.mark.parametrize("file", ["state.json", "journal.jsonl", "run.lock", "crash.txt", "ATTENTION", "logs/a.log"])
@pytest.mark.parametrize("content", [*ODD_DOCUMENTS.values(), None])
def test_a_run_that_is_broken_has_a_row_and_hides_no_other(file: str, content: bytes | None) -> None:
    """Whatever stands in a file, or a FIFO in its place; what is shown of it is one row and a page."""
    setting = Setting()
    for name in ("a", "b"):
        setting.runs.crashed(name)
    path = setting.runs.store("a").path(*file.split("/"))
    if setting.disk.info(path) is not None:
        setting.disk.remove(path)
    if content is None:
        setting.disk.plant_fifo(path)
    else:
        setting.disk.write(path, content)

    for _ in range(2):
        broken, whole = setting.reader.refresh(watched="a").views
        shown = "".join(line.plain for line in row(broken, 25)) + text_of(
            detail(broken, read_details(setting.disk, broken))
        )
        assert (broken.run_id, whole.run_id) == ("a", "b")
        assert (broken.status.name, whole.status.name) == (RunStatus.CRASHED, RunStatus.CRASHED)
        assert not [char for char in shown if not char.isprintable() and char != "\n"]


def text_of(shown: RenderableType) -> str:
    """What a terminal without colours is sent."""
    console = Console(file=io.StringIO(), width=52, color_system=None, _environ={})
    with console.capture() as captured:
        console.print(shown)
    return captured.get()
