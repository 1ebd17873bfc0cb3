"""What is shown of the one run that is looked at, besides its status: the end of its newest log, and its crash."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from backends.disk import Disk
from harness.dashboard.reader import RunView
from harness.record import RunStatus

__all__ = ["Details", "read_details"]

_BYTES = 32_768
"""The end of a log that is read, and the beginning of a crash."""
_CRASH_LIMIT = 4 << 20
_LINES = 200


@dataclass(frozen=True, slots=True)
class Details:
    """Lines of files, as they are there: `log` of the file `log_name`, `crash` of `crash.txt`."""

    log_name: str = ""
    log: list[str] = field(default_factory=list)
    crash: list[str] = field(default_factory=list)


def read_details(disk: Disk, view: RunView) -> Details:
    """The details of the run; what cannot be read says why in its place. Never raises `OSError`."""
    directory = os.fspath(view.run_dir)
    name = _newest_log(disk, f"{directory}/logs")
    log = _lines(disk, f"{directory}/logs/{name}", newest=True)[-_LINES:] if name else []
    crashed = view.status.name is RunStatus.CRASHED and view.status.see == "crash.txt"
    crash = _lines(disk, f"{directory}/crash.txt", newest=False)[:_LINES] if crashed else []
    return Details(name, log, crash)


def _newest_log(disk: Disk, directory: str) -> str:
    """The log that was written to last; empty if there is none."""
    try:
        found = [(name, disk.info(f"{directory}/{name}")) for name in disk.listdir(directory) if name.endswith(".log")]
    except OSError:
        return ""
    return max(((info.modified, name) for name, info in found if info is not None and info.is_file), default=(0, ""))[1]


def _lines(disk: Disk, path: str, *, newest: bool) -> list[str]:
    try:
        data = disk.read_end(path, _BYTES) if newest else disk.read(path, _CRASH_LIMIT)[:_BYTES]
    except OSError as problem:
        return [f"({os.path.basename(path)} cannot be read: {problem.strerror or type(problem).__name__})"]
    return (
        [line.rstrip("\r") for line in data.decode(errors="backslashreplace").rstrip("\n").split("\n")] if data else []
    )
