"""How files and directories of the record are put in place: whole, durable, or not at all."""

from __future__ import annotations

import contextlib
import os

from backends.disk import Disk

__all__ = ["is_temporary", "make_directory", "put", "temporary"]


def temporary(path: str, suffix: str) -> str:
    """The name under which a file is prepared, in the directory that it goes to."""
    directory, name = os.path.split(path)
    return f"{directory}/.{name}.{suffix}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a file of that name is something that was being prepared: for the record, or as an event."""
    return name.startswith(".") and name.endswith((".tmp", ".draft"))


def put(disk: Disk, path: str, data: bytes, suffix: str, previous: str | None = None) -> None:
    """Give `path` the content `data`, durably; its last content goes to `previous`, if that is named.

    At every moment the old or the new content is in place, or the old one is at `previous`. After an `OSError` the old
    content is back in place where the disk lets it be (after one in the very last step, the new one), and no temporary
    file is left.
    """
    prepared = temporary(path, suffix)
    kept: str | None = None
    try:
        disk.write(prepared, data)
        disk.fsync(prepared)
        if previous is not None:
            with contextlib.suppress(FileNotFoundError):
                disk.replace(path, previous)
                kept = previous
        disk.replace(prepared, path)
    except OSError:
        with contextlib.suppress(OSError):
            disk.remove(prepared)
        if kept is not None:
            with contextlib.suppress(OSError):
                disk.replace(kept, path)
        raise
    disk.fsync(os.path.dirname(path))


def make_directory(disk: Disk, path: str, *, private: bool = False) -> None:
    """Make the directory, with `private` for us alone, and those above it, each durably entered into the one above."""
    made = []
    directory = path
    while directory and disk.info(directory) is None:
        made.append(directory)
        directory = os.path.dirname(directory)
    disk.mkdir(path, private=private)
    for directory in reversed(made):
        disk.fsync(os.path.dirname(directory) or ".")
