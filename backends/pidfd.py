"""A descriptor that becomes readable when exactly one process ends, where the kernel has such a thing (Linux 5.3)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

__all__ = ["open_pidfd", "pidfd_works"]


def open_pidfd(pid: int, is_the_one: Callable[[], bool]) -> int | None:
    """A pidfd of the process that `is_the_one` speaks of, for the caller to close; `None` where none can be had.

    The descriptor is opened first and the identity is looked at afterwards: while the holder of a pid lives nobody else can
    have it, so who is found to live then is who the descriptor is of. Only for processes of this host, not for simulated:
    `lambda: table.liveness(identity) is Liveness.ALIVE`.
    """
    found = _open(pid)
    if found is None:
        return None
    mine = False
    try:
        mine = is_the_one()
    finally:
        if not mine:
            os.close(found)
    return found if mine else None


def pidfd_works() -> bool:
    """Whether this platform, kernel and sandbox give pidfds at all."""
    mine = open_pidfd(os.getpid(), lambda: True)
    if mine is not None:
        os.close(mine)
    return mine is not None


def _open(pid: int) -> int | None:
    if sys.platform == "linux" and hasattr(os, "pidfd_open") and pid > 0:
        try:
            return os.pidfd_open(pid)
        except OSError:
            return None
    return None
