"""Which directories below a root hold runs."""

from __future__ import annotations

import os
from pathlib import Path

from backends.disk import Disk

__all__ = ["is_run", "runs"]

_MARKS = ("state.json", "state.json.bak", "journal.jsonl", "plan.toml", "run.lock")
"""Any of them makes a directory that of a run: one that has lost all others must be seen, too."""


def runs(disk: Disk, root: Path | str) -> list[Path]:
    """The directories below `root` that hold a run, readable or not, sorted by name; none if `root` is missing."""
    try:
        names = disk.listdir(root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(root, name) for name in names if is_run(disk, f"{os.fspath(root)}/{name}")]


def is_run(disk: Disk, path: str) -> bool:
    """Whether `path` is a directory that holds a run, readable or not."""
    try:
        found = disk.info(path)
        return found is not None and found.is_dir and any(disk.info(f"{path}/{mark}") is not None for mark in _MARKS)
    except OSError:
        return True
