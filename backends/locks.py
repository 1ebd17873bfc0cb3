"""Takes locks of the kernel."""

from __future__ import annotations

from filelock import FileLock, Timeout

__all__ = ["take"]


def take(path: str) -> FileLock | None:
    """The exclusive lock on the file `path`, taken without waiting; `None` if somebody else has it."""
    lock = FileLock(path, mode=0o600, blocking=False, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock
