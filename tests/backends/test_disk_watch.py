"""Being told of files: the same on the real disk and in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from backends.clock import SystemClock
from backends.disk import Disk, RealDisk
from backends.memory_disk import MemoryDisk
from harness.waiting import eventually


class Told(Protocol):
    """What a watch of `events` and `tasks` below `base` has told, below `base`, in order."""

    disk: Disk
    base: Path
    unwatch: Callable[[], None]

    def paths(self) -> list[str]:
        """See the class."""


class _Watched:
    def __init__(self, disk: Disk, base: Path) -> None:
        self.disk, self.base = disk, base
        self._told: list[str] = []
        for name in ("events", "tasks/1-1", "elsewhere"):
            disk.mkdir(base / name)
        self.unwatch = disk.watch([base / "events", base / "tasks"], self._told.append)

    def paths(self) -> list[str]:
        return [os.path.relpath(path, self.base) for path in self._told]


@pytest.fixture(params=["real", "memory"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    """A watch on a disk of either kind."""
    made = _Watched(RealDisk(), tmp_path) if request.param == "real" else _Watched(MemoryDisk(), Path("/run"))
    yield made
    made.unwatch()


def told(watched: Told, *expected: str) -> bool:
    """Whether exactly these were told, in the end; each may be told more than once."""
    return bool(eventually(lambda: set(watched.paths()) == set(expected), SystemClock(), 20))


def test_a_file_that_is_renamed_into_its_place_is_told(watched: Told) -> None:
    """Under its final name; the draft under its own is not."""
    draft, result = watched.base / "tasks/1-1/.7-0.draft", watched.base / "tasks/1-1/result.json"
    watched.disk.write(draft, b"{}")
    watched.disk.replace(draft, result)

    assert told(watched, "tasks/1-1/result.json")


def test_a_file_that_comes_from_elsewhere_is_told(watched: Told) -> None:
    """A draft may lie in any directory."""
    watched.disk.write(watched.base / "elsewhere/draft", b"{}")
    watched.disk.replace(watched.base / "elsewhere/draft", watched.base / "tasks/1-1/result.json")

    assert told(watched, "tasks/1-1/result.json")


def test_a_file_that_is_written_in_its_place_is_told(watched: Told) -> None:
    """Not every agent renames; what it wrote is whole once it has closed the file."""
    watched.disk.write(watched.base / "events/00000001.json", b"{}")

    assert told(watched, "events/00000001.json")


def test_a_file_in_a_directory_that_is_made_later_is_told(watched: Told) -> None:
    """Each task gets its directory when it begins."""
    watched.disk.mkdir(watched.base / "tasks/1-2")
    watched.disk.write(watched.base / "tasks/1-2/result.json", b"{}")

    assert told(watched, "tasks/1-2/result.json")


def test_nothing_else_is_told(watched: Told) -> None:
    """Neither drafts nor what lies beside the directories, nor what is taken away."""
    watched.disk.write(watched.base / "events/.waiting-x", b"1")
    watched.disk.write(watched.base / "elsewhere/result.json", b"{}")
    watched.disk.write(watched.base / "tasks/1-1/result.json", b"{}")
    watched.disk.remove(watched.base / "tasks/1-1/result.json")
    watched.disk.write(watched.base / "events/00000001.json", b"{}")

    assert told(watched, "tasks/1-1/result.json", "events/00000001.json")


def test_an_ended_watch_tells_nothing(watched: Told) -> None:
    """And is ended twice without harm."""
    watched.unwatch()
    watched.unwatch()
    watched.disk.write(watched.base / "events/00000001.json", b"{}")

    assert watched.paths() == []


def test_a_directory_that_is_not_there_cannot_be_watched(watched: Told) -> None:
    """Whoever asks learns that nothing will be told."""
    with pytest.raises(FileNotFoundError):
        watched.disk.watch([watched.base / "nowhere"], lambda path: None)


def test_a_hard_link_is_told(tmp_path: Path) -> None:
    """That is how the hook relay publishes an event."""
    watched = _Watched(RealDisk(), tmp_path)
    (tmp_path / "events/.7-0.draft").write_bytes(b"{}")
    os.link(tmp_path / "events/.7-0.draft", tmp_path / "events/00000001.json")

    assert told(watched, "events/00000001.json")
    watched.unwatch()


def test_no_thread_outlives_its_watch(tmp_path: Path) -> None:
    """A run leaves nothing behind in its process, whether its directories could be watched or not."""
    before = set(threading.enumerate())
    _Watched(RealDisk(), tmp_path).unwatch()
    with pytest.raises(FileNotFoundError):
        RealDisk().watch([tmp_path / "events", tmp_path / "nowhere"], lambda path: None)

    assert eventually(lambda: set(threading.enumerate()) <= before, SystemClock(), 20)


def test_a_disk_that_tells_of_nothing_says_so() -> None:
    """A disk of somebody else's need not know what a watch is."""
    with pytest.raises(OSError, match="nothing tells of files"):
        Disk.watch(MemoryDisk(), ["/"], lambda path: None)
