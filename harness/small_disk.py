"""A small file system that really runs full, without privileges where the kernel lets everybody mount in a namespace.

A process of its own namespace mounts it, and everybody reaches it below `/proc/PID/root`. With that process it is gone, however
the process ends: nothing is mounted on the host, and nothing is left of it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from backends.clock import SystemClock
from backends.disk import RealDisk
from backends.processes import Job, SystemProcessTable
from harness.waiting import eventually

__all__ = ["SmallDisk", "small_disks_are_possible"]

SIZE = 1 << 20
"""Bytes; a run of a scenario takes a tenth of it."""

_MOUNT = f'mount -t tmpfs -o size={SIZE},mode=700 small "$0"'
_NAMESPACES = (("unshare", "--user", "--map-root-user", "--mount"), ("unshare", "--mount"))
"""The first works for everybody, where users may have namespaces; the second for root, where they may not."""
_LASTS_S = 86_400.0


class SmallDisk:
    """The file system; `path` is where everybody finds it."""

    def __init__(self, directory: Path, note: Path, variables: Mapping[str, str]) -> None:
        """Mount it over `directory`, in a process with these `variables` that writes its pid into `note`.

        Raises `OSError` where this host does not let us.
        """
        namespace = _namespace()
        if namespace is None:
            raise PermissionError("no small file system can be mounted here")
        script = f'{_MOUNT} && echo $$ >"$1" && exec sleep {_LASTS_S:.0f}'
        argv = (*namespace, "sh", "-c", script, str(directory), str(note))
        clock, self._disk = SystemClock(), RealDisk()

        def noted() -> bytes:
            return self._disk.read(note) if self._disk.info(note) is not None else b""

        self._job: Job = SystemProcessTable(clock).start(argv, timeout_s=_LASTS_S, newest=0, variables=variables)
        # The note is there before its line is.
        eventually(lambda: noted().endswith(b"\n"), clock, 10)
        self.path = Path(f"/proc/{int(noted())}/root{directory}")
        self._filling = self.path / "filling"

    def fill(self) -> None:
        """Leave no room for another page: a file grows no further than to the end of its last one, and no new one has any."""
        try:
            while True:
                self._disk.append(self._filling, bytes(4096))
        except OSError as error:
            # Anything else would leave it as it was, and nobody would know.
            if error.errno != errno.ENOSPC:
                raise

    def empty(self) -> None:
        """Give the room back."""
        with contextlib.suppress(FileNotFoundError):
            self._disk.remove(self._filling)

    def end(self) -> None:
        """The file system is gone, with everything in it."""
        self._job.end()


def small_disks_are_possible() -> bool:
    """Whether this host lets us have one."""
    return sys.platform == "linux" and _namespace() is not None


@functools.cache
def _namespace() -> tuple[str, ...] | None:
    table = SystemProcessTable()
    for words in _NAMESPACES:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            # Mounted over any directory, and gone at once.
            if table.run((*words, "sh", "-c", _MOUNT, os.path.realpath("/tmp")), timeout_s=10).status == 0:
                return words
    return None
