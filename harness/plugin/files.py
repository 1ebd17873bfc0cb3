"""Files that somebody asked for with an option: put in place whole or not at all, never over what is no file."""

from __future__ import annotations

import errno
from pathlib import Path

from backends.disk import Disk, RealDisk
from backends.entropy import Entropy, SystemEntropy
from harness.record.files import put

__all__ = ["put_text", "refuse_irregular"]


def refuse_irregular(disk: Disk, path: Path) -> None:
    """Raise `OSError` where something that is no regular file has the name: a device, a pipe, a link, a directory."""
    there = disk.info(path)
    if there is not None and not there.is_file:
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def put_text(path: Path, text: str, disk: Disk | None = None, entropy: Entropy | None = None) -> None:
    """Give the file that content, durably, over an older one. Raises `OSError`, and then nothing half written is left."""
    disk = disk or RealDisk()
    refuse_irregular(disk, path)
    put(disk, str(path), text.encode("utf-8", "backslashreplace"), (entropy or SystemEntropy()).suffix())
