"""What stands where the record's own files belong: it is set aside, so that a run can go on, and never thrown away."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from backends.disk import READ_LIMIT, Disk

__all__ = ["DIRECTORIES", "set_aside"]

DIRECTORIES = ("events", "tasks", "logs", "crash")
"""The directories that every run has."""
_NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENOENT})
_FILES = ("state.json", "state.json.bak", "journal.jsonl", "crash.txt", "ATTENTION")


def set_aside(disk: Disk, run_dir: str, tasks: Iterable[str]) -> list[str]:
    """Rename what cannot be a file or directory of the run to `NAME.set-aside-N`, and make the directories that are missing.

    Answers a line for each thing that was moved. Raises `OSError` where it cannot be.
    """
    own = [name for name in _FILES if not _is_usable_file(disk, f"{run_dir}/{name}")]
    own += [name for name in (*DIRECTORIES, "nested") if not _is_usable_directory(disk, f"{run_dir}/{name}")]
    notes = [_move(disk, run_dir, name) for name in own]
    below = [f"tasks/{key}" for key in tasks if not _is_usable_directory(disk, f"{run_dir}/tasks/{key}")]
    notes += [_move(disk, run_dir, name) for name in below]
    for name in DIRECTORIES:
        disk.mkdir(f"{run_dir}/{name}")
    if notes:
        disk.fsync(run_dir)
    return notes


def _is_usable_file(disk: Disk, path: str) -> bool:
    found = disk.info(path)
    return found is None or (found.is_file and found.size <= READ_LIMIT)


def _is_usable_directory(disk: Disk, path: str) -> bool:
    """Whether it can be looked into, or nothing is there; a link may lead to a directory, or nowhere."""
    if disk.info(path) is None:
        return True
    try:
        disk.listdir(path)
    except OSError as problem:
        # Any other error is a moment's trouble, which is no reason to move what agents have left there.
        return problem.errno not in _NO_DIRECTORY
    return True


def _move(disk: Disk, run_dir: str, name: str) -> str:
    number = 1
    while disk.info(f"{run_dir}/{name}.set-aside-{number}") is not None:
        number += 1
    disk.replace(f"{run_dir}/{name}", f"{run_dir}/{name}.set-aside-{number}")
    return f"{name} was not what belongs there: it is {name}.set-aside-{number} now"
