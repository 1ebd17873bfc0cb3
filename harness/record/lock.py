"""The one engine that drives a run holds its lock, and says in `run.lock` who it is."""

from __future__ import annotations

import contextlib
import os
from typing import Annotated

import msgspec

from backends.clock import Clock, timestamp
from backends.disk import Disk, LockHandle, LockHeld
from backends.processes import Liveness, ProcessTable
from harness.record.errors import RunLocked
from harness.record.files import put
from harness.record.plain import encode
from harness.record.state import Driver

__all__ = ["Holder", "RunLock", "read_holder", "take_lock"]

PATIENCE_S = 0.3
"""How long a lock is tried for that no living engine claims: somebody may just be looking, or about to say who it is."""
_LOOK_S = 0.02


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock (or held it last, and died): the process, the epoch it drives, and since when (wall seconds)."""

    pid: int
    started: float
    boot_id: str
    host: str
    epoch: Annotated[int, msgspec.Meta(ge=0)] = 0
    since: float = 0.0

    @property
    def driver(self) -> Driver:
        """The process alone."""
        return Driver(self.pid, self.started, self.boot_id, self.host)

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}, since {timestamp(self.since)}"


class RunLock:
    """A held lock; `release` gives it back and removes what it says."""

    def __init__(self, disk: Disk, path: str, handle: LockHandle, holder: Holder, suffix: str) -> None:
        self._disk = disk
        self._path = path
        self._handle = handle
        self._suffix = suffix
        self.holder = holder

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is being driven, once that is known."""
        self.holder = msgspec.structs.replace(self.holder, epoch=epoch)
        self._write()

    def _write(self) -> None:
        put(self._disk, self._path, encode(msgspec.structs.asdict(self.holder)), self._suffix)

    def release(self) -> None:
        """Give the lock back; harmless twice."""
        with contextlib.suppress(OSError):
            if self.held:
                self._disk.remove(self._path)
        self._held = False
        self._handle.release()

    _held = True

    @property
    def held(self) -> bool:
        """Whether it was not given back yet."""
        return self._held

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()


def take_lock(disk: Disk, path: str, holder: Holder, suffix: str, *, clock: Clock, processes: ProcessTable) -> RunLock:
    """Take the lock that `path` stands for; `RunLocked` says who has it, `OSError` that it cannot be had at all."""
    end = clock.monotonic() + PATIENCE_S
    while True:
        try:
            handle = disk.lock(path)
            break
        except LockHeld:
            other = read_holder(disk, path)
            if clock.monotonic() >= end or _may_live(other, holder.host, processes):
                who = str(other) if other else "another engine (it did not say which)"
                raise RunLocked(f"{os.path.basename(os.path.dirname(path))} is being driven by {who}") from None
        clock.sleep(_LOOK_S)
    lock = RunLock(disk, path, handle, holder, suffix)
    try:
        lock.set_epoch(holder.epoch)
    except BaseException:
        handle.release()
        raise
    return lock


def _may_live(other: Holder | None, host: str, processes: ProcessTable) -> bool:
    if other is None:
        return False
    return other.host != host or processes.liveness(other.driver.identity) is not Liveness.DEAD


def read_holder(disk: Disk, path: str) -> Holder | None:
    """What the lock file says; `None` where it is missing or unreadable."""
    try:
        return msgspec.json.decode(disk.read(path, 65536), type=Holder)
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeError):
        return None
