"""Around a disk: the `disk.` points, one for each operation on each kind of file of a run."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from backends.disk import READ_LIMIT, Disk, FileInfo, LockHandle, LockHeld, StrPath
from faults.actions import Action, NoSync, OsError, Torn
from faults.errors import SimulatedDeath
from faults.ledger import Ledger
from faults.trace import TraceEntry, answer_text

__all__ = ["FaultyDisk", "file_kind"]

_T = TypeVar("_T")

_KIND_OF_NAME = {
    "state.json": "state",
    "state.json.bak": "state",
    "journal.jsonl": "journal",
    "crash.txt": "crash",
    "run.lock": "lock",
    "result.json": "results",
}
_KIND_OF_DIRECTORY = {"events": "events", "crash": "crash"}
_TEMPORARY = re.compile(r"\.(.+\.(?:json|jsonl|txt|lock|bak))\..+")
"""A temporary is named `.<name>.<anything>`, in the directory of the file that it will be."""


def file_kind(path: StrPath) -> str:
    """Which kind of file of a run `path` is: state, journal, crash, lock, events, results or other.

    Temporaries count as what they will be; directories of events and crashes as their files.
    """
    grandparent, parent, name = ("", "", *_slashed(path).rsplit("/", 2))[-3:]
    grandparent = grandparent.rpartition("/")[2]
    temporary = _TEMPORARY.fullmatch(name) if name.startswith(".") else None
    final = temporary.group(1) if temporary else name.removesuffix(".held")
    if final in _KIND_OF_NAME:
        return _KIND_OF_NAME[final]
    if "tasks" in (parent, grandparent):
        # Tasks are named by people: one may be called `events`.
        return "other"
    return _KIND_OF_DIRECTORY.get(parent) or _KIND_OF_DIRECTORY.get(name) or "other"


@lru_cache(maxsize=4096)
def _point(operation: str, path: str) -> str:
    """The point of `operation` on the file at `path`."""
    return f"disk.{operation}:{file_kind(path)}"


def _slashed(path: StrPath) -> str:
    text = os.fspath(path)
    return text if os.sep == "/" else text.replace(os.sep, "/")


def _not_at_all(action: Action, reached: TraceEntry) -> None:
    """What a sync does that is reported and not done."""


class FaultyDisk(Disk):
    """A disk that goes wrong as planned; what has no point (`info`, `locked`, `free_bytes`, `watch`) only stops at death."""

    def __init__(self, inner: Disk, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger
        self._locks: list[LockHandle] = []
        self._watches: list[Callable[[], None]] = []
        # The kernel gives back what a process that dies has held.
        ledger.at_death.append(self._release_all)

    def read(self, path: StrPath, limit: int = READ_LIMIT) -> bytes:
        """See `Disk.read`."""
        return self._at("read", path, self._inner.read, path, limit)

    def write(self, path: StrPath, data: bytes) -> None:
        """See `Disk.write`."""

        def partly(action: Action, reached: TraceEntry) -> None:
            assert isinstance(action, Torn)
            self._inner.write(path, data[: action.size])
            raise self._ledger.failure(reached, OsError("ENOSPC"))

        self._at("write", path, self._inner.write, path, data, partly=partly)

    def append(self, path: StrPath, data: bytes) -> int:
        """See `Disk.append`."""

        def partly(action: Action, reached: TraceEntry) -> int:
            assert isinstance(action, Torn)
            return self._inner.append(path, data[: action.size])

        return self._at("append", path, self._inner.append, path, data, partly=partly)

    def truncate(self, path: StrPath, size: int) -> None:
        """See `Disk.truncate`."""
        self._at("truncate", path, self._inner.truncate, path, size)

    def fsync(self, path: StrPath) -> None:
        """See `Disk.fsync`."""
        self._at("fsync", path, self._inner.fsync, path, partly=_not_at_all)

    def replace(self, source: StrPath, target: StrPath) -> None:
        """See `Disk.replace`; the kind of file is that of `target`."""
        self._at("replace", target, self._inner.replace, source, target)

    def remove(self, path: StrPath) -> None:
        """See `Disk.remove`."""
        self._at("remove", path, self._inner.remove, path)

    def remove_tree(self, path: StrPath) -> None:
        """See `Disk.remove_tree`; its point is `remove`."""
        self._at("remove", path, self._inner.remove_tree, path)

    def remove_directory(self, path: StrPath) -> None:
        """See `Disk.remove_directory`; its point is `remove`."""
        self._at("remove", path, self._inner.remove_directory, path)

    def mkdir(self, path: StrPath, *, private: bool = False) -> None:
        """See `Disk.mkdir`."""
        self._at("mkdir", path, lambda: self._inner.mkdir(path, private=private))

    def listdir(self, path: StrPath) -> list[str]:
        """See `Disk.listdir`."""
        return self._at("listdir", path, self._inner.listdir, path)

    def lock(self, path: StrPath) -> LockHandle:
        """See `Disk.lock`; its point is `open`, where `oserror(EWOULDBLOCK)` means that somebody else holds it."""
        held = len(self._locks)

        def taken() -> LockHandle:
            handle = self._inner.lock(path)
            self._locks.append(handle)
            return handle

        try:
            return self._at("open", path, taken)
        except BaseException:
            # Nobody got a handle to it: the kernel gives a lock back when its file is closed.
            for handle in self._locks[held:]:
                handle.release()
            raise

    def info(self, path: StrPath) -> FileInfo | None:
        """See `Disk.info`."""
        return self._alive().info(path)

    def locked(self, path: StrPath) -> bool:
        """See `Disk.locked`."""
        return self._alive().locked(path)

    def free_bytes(self, path: StrPath) -> int:
        """See `Disk.free_bytes`."""
        return self._alive().free_bytes(path)

    def watch(self, directories: Sequence[StrPath], tell: Callable[[str], None]) -> Callable[[], None]:
        """See `Disk.watch`."""
        unwatch = self._alive().watch(directories, tell)
        self._watches.append(unwatch)
        return unwatch

    def _alive(self) -> Disk:
        if self._ledger.dead:
            raise SimulatedDeath("the process is dead: nobody looks at the disk")
        return self._inner

    def _release_all(self) -> None:
        for handle in self._locks:
            handle.release()
        for unwatch in self._watches:
            unwatch()

    def _at(
        self,
        operation: str,
        path: StrPath,
        proceed: Callable[..., _T],
        *arguments: Any,
        partly: Callable[[Action, TraceEntry], _T] | None = None,
    ) -> _T:
        """Carry out `operation` on `path`, which is `proceed(*arguments)`, as planned; `partly` is what half of it is."""
        named = os.fspath(path)
        point = _point(operation, named)
        entry = self._ledger.passing(point)
        if entry is None:
            return self._planned(point, path, proceed, *arguments, partly=partly)
        try:
            answer = proceed(*arguments)
        except BaseException as raised:
            entry.outcome = f"raised {type(raised).__name__}"
            raise
        entry.outcome = answer_text(answer)
        return answer

    def _planned(
        self,
        point: str,
        path: StrPath,
        proceed: Callable[..., _T],
        *arguments: Any,
        partly: Callable[[Action, TraceEntry], _T] | None,
    ) -> _T:
        """The same at a point that a rule is about."""
        with self._ledger.reach(point, "", lambda: {"path": os.fspath(path)}) as reached:
            action = reached.action
            if action is None:
                answer = proceed(*arguments)
            elif partly is not None and isinstance(action, Torn | NoSync):
                answer = partly(action, reached)
            else:
                if reached.lost:
                    proceed(*arguments)
                raise self._failure(reached, action, path)
            reached.answered(answer)
            return answer

    def _failure(self, reached: TraceEntry, action: Action, path: StrPath) -> BaseException:
        if isinstance(action, OsError) and action.errno == errno.EWOULDBLOCK and reached.point.startswith("disk.open:"):
            return self._ledger.marked(reached, LockHeld(path))
        return self._ledger.failure(reached, action)
