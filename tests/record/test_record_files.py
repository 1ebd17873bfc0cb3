"""Directories of the record: durable from the first one that was missing, wherever they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backends.disk import RealDisk
from backends.memory_disk import MemoryDisk
from harness.record.files import make_directory


def test_every_directory_that_is_made_is_durable() -> None:
    """Nothing that leads there can be lost any more."""
    disk = MemoryDisk()
    make_directory(disk, "/a/b/c")

    assert disk.unsynced() == []
    assert disk.crash_image().paths() == ["/", "/a", "/a/b", "/a/b/c"]


def test_what_is_there_is_left_as_it_is() -> None:
    """Nothing is made, and nothing is synced."""
    disk = MemoryDisk()
    make_directory(disk, "/a")
    before = len(disk.mutations)
    make_directory(disk, "/a")

    assert len(disk.mutations) == before


def test_a_path_from_here_is_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is one like any other."""
    monkeypatch.chdir(tmp_path)
    make_directory(RealDisk(), os.path.join("a", "b"), private=True)

    assert (tmp_path / "a" / "b").is_dir()
