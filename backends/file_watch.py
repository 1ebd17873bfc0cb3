"""Files that are told of by the kernel, through watchdog: inotify on Linux, and what other platforms have."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Sequence

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

__all__ = ["watch_directories"]

# What it warns of is found by looking now and then; nobody's terminal is its place.
logging.getLogger("watchdog").addHandler(logging.NullHandler())

_LEFT: list[type[FileSystemEvent]] = [FileClosedEvent, FileCreatedEvent, FileMovedEvent]
"""Of these the kernel is asked; of nothing that happens while a file is written or read."""


def watch_directories(directories: Sequence[str], tell: Callable[[str], None]) -> Callable[[], None]:
    """See `Disk.watch`."""
    observer = Observer()
    if isinstance(observer, PollingObserver):
        # Where the platform does not tell, watchdog would look by a thread of its own: whoever asked does that better.
        raise OSError(errno.ENOTSUP, "this platform does not tell of files")

    def unwatch() -> None:
        if observer.is_alive():
            observer.stop()
            observer.join()

    try:
        observer.start()
        for directory in directories:
            observer.schedule(_Teller(tell), directory, recursive=True, event_filter=_LEFT)
    except RuntimeError as error:
        unwatch()
        raise OSError(errno.EAGAIN, str(error)) from error
    except OSError:
        unwatch()
        raise
    return unwatch


class _Teller(FileSystemEventHandler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Tell of a file that is whole; one that is empty as it is made is being written, and closed later."""
        path = os.fsdecode(event.dest_path if isinstance(event, FileMovedEvent) else event.src_path)
        if event.is_directory or os.path.basename(path).startswith("."):
            return
        if isinstance(event, FileCreatedEvent):
            with contextlib.suppress(OSError):
                if not os.lstat(path).st_size:
                    return
        self._tell(path)
