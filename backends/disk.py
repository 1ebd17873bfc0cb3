"""Files as an argument: the one module that reads and writes the record of a run.

`RealDisk` is the file system, `MemoryDisk` a simulation that fails the same way (same `OSError`s for the same misuse).
The operations are the ones that a crash can fall between, so that faults can be put between them: nothing here is
atomic except `replace` and `link`, and nothing is durable before `fsync`.

Files are made 0600, directories 0700. Symbolic links are never followed for the last part of a path, and only regular
files are read: a FIFO or a directory in a file's place is an `OSError`, never a wait.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import stat as stat_module
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, cast

from backends.later import later

_POSIX = importlib.util.find_spec("fcntl") is not None

if _POSIX:
    import fcntl

__all__ = ["Disk", "FileInfo", "LockHandle", "LockHeld", "RealDisk", "StrPath"]

take_lock = later("backends.locks:take")
watch_directories = later("backends.file_watch:watch_directories")

StrPath = str | os.PathLike[str]

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_OWN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags of opening that a host may lack. Windows has none of POSIX's, and alters newlines unless it is told not to."""

READ_LIMIT = 64 * 1024 * 1024
"""Bytes; a larger file is refused with EFBIG, so that a hostile one cannot exhaust memory."""


class FileInfo(NamedTuple):
    """Size in bytes, modification time in seconds since the epoch, and kind of a file.

    `node` tells it from another file that has its name at another time.
    """

    size: int
    modified: float
    is_file: bool
    is_dir: bool
    node: int = 0


class LockHeld(OSError):
    """Somebody else holds the lock."""

    def __init__(self, path: StrPath) -> None:
        super().__init__(errno.EWOULDBLOCK, "lock is held", os.fspath(path))


class LockHandle(ABC):
    """A lock that is held until `release`, or until the process ends."""

    @abstractmethod
    def release(self) -> None:
        """Give the lock back; harmless twice."""

    def __enter__(self) -> LockHandle:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


class Disk(ABC):
    """The file operations that a run's record is made of; every one may raise `OSError`."""

    @abstractmethod
    def read(self, path: StrPath, limit: int = READ_LIMIT) -> bytes:
        """The whole regular file; EFBIG if it is longer than `limit` bytes, EINVAL if it is no regular file."""

    def read_part(self, path: StrPath, start: int, size: int) -> bytes:
        """At most `size` bytes of the regular file from the offset `start` on, empty at its end; EINVAL as `read`."""
        return self.read(path)[start : start + size]

    def read_end(self, path: StrPath, count: int) -> bytes:
        """The last `count` bytes of the regular file, however long it is where the disk can begin to read anywhere."""
        return self.read(path)[-count:]

    @abstractmethod
    def write(self, path: StrPath, data: bytes) -> None:
        """Make a new file (EEXIST if there is one) and fill it; not durable, not atomic."""

    @abstractmethod
    def append(self, path: StrPath, data: bytes) -> int:
        """One `write` at the end of the file, which is made if missing; how many bytes were taken."""

    @abstractmethod
    def truncate(self, path: StrPath, size: int) -> None:
        """Cut the file to `size` bytes."""

    @abstractmethod
    def fsync(self, path: StrPath) -> None:
        """Make the file's content durable, or a directory's entries if `path` is a directory."""

    @abstractmethod
    def replace(self, source: StrPath, target: StrPath) -> None:
        """Atomically give `source` the name `target`, whatever had that name."""

    @abstractmethod
    def remove(self, path: StrPath) -> None:
        """Remove one file or symbolic link; ENOENT if there is none."""

    @abstractmethod
    def remove_tree(self, path: StrPath) -> None:
        """Remove a directory with everything in it, without following links; ENOENT if there is none."""

    @abstractmethod
    def remove_directory(self, path: StrPath) -> None:
        """Remove an empty directory; ENOTEMPTY if anything is in it."""

    @abstractmethod
    def mkdir(self, path: StrPath, *, private: bool = False) -> None:
        """Make the directory and its parents; fine if it is there. If `private`, nobody else can enter it afterwards."""

    @abstractmethod
    def listdir(self, path: StrPath) -> list[str]:
        """Names in the directory, sorted."""

    @abstractmethod
    def info(self, path: StrPath) -> FileInfo | None:
        """What is at `path` (a link is not followed), `None` if nothing is."""

    @abstractmethod
    def lock(self, path: StrPath) -> LockHandle:
        """Take the exclusive lock that the file stands for, without waiting; `LockHeld` if somebody else has it.

        The empty file `PATH.held` that it is taken on stays for good: were it removed, two could each hold a lock of that name.
        """

    @abstractmethod
    def locked(self, path: StrPath) -> bool:
        """Whether somebody (this process included) holds that lock now."""

    @abstractmethod
    def free_bytes(self, path: StrPath) -> int:
        """Room left where `path` is."""

    def watch(self, directories: Sequence[StrPath], tell: Callable[[str], None]) -> Callable[[], None]:
        """Tell the path of each file that is left in one of `directories`, or below, soon after it is whole there.

        Left is what is renamed or linked there, or was written and closed; names that begin with a dot are passed over. `tell`
        is called from any thread and must not wait. What comes back ends the watch and is harmless twice. Raises `OSError`
        where nothing tells; and as telling may fail at any time, whoever must not miss a file looks now and then.
        """
        raise OSError(errno.ENOTSUP, "nothing tells of files here")


class RealDisk(Disk):
    """The host's file system.

    On one without POSIX, which is Windows, a directory is not synced: its file system keeps a journal of names by itself, and
    a name that was new at a power cut may be gone. Locks are not shared there: see `locked`.
    """

    def __init__(self, *, posix: bool = _POSIX) -> None:
        """Do without what only POSIX has unless `posix`."""
        self._posix = posix

    def read(self, path: StrPath, limit: int = READ_LIMIT) -> bytes:
        """See `Disk.read`."""
        fd = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT | _OWN)
        try:
            found = os.fstat(fd)
            if not stat_module.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
            if found.st_size > limit:
                raise OSError(errno.EFBIG, f"longer than {limit} bytes", os.fspath(path))
            chunks = []
            left = limit + 1
            while left > 0 and (chunk := os.read(fd, min(left, 1 << 20))):
                chunks.append(chunk)
                left -= len(chunk)
            if left <= 0:
                raise OSError(errno.EFBIG, f"longer than {limit} bytes", os.fspath(path))
            return b"".join(chunks)
        finally:
            os.close(fd)

    def read_part(self, path: StrPath, start: int, size: int) -> bytes:
        """See `Disk.read_part`; a file of any length, of which no more is looked at."""
        fd = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT | _OWN)
        try:
            if not stat_module.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
            os.lseek(fd, start, os.SEEK_SET)
            return os.read(fd, size)
        finally:
            os.close(fd)

    def read_end(self, path: StrPath, count: int) -> bytes:
        """See `Disk.read_end`."""
        fd = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT | _OWN)
        try:
            found = os.fstat(fd)
            if not stat_module.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
            os.lseek(fd, max(0, found.st_size - count), os.SEEK_SET)
            return os.read(fd, count)
        finally:
            os.close(fd)

    def write(self, path: StrPath, data: bytes) -> None:
        """See `Disk.write`."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _OWN, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
        finally:
            os.close(fd)

    def append(self, path: StrPath, data: bytes) -> int:
        """See `Disk.append`."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _NO_WAIT | _OWN
        fd = os.open(path, flags, 0o600)
        try:
            if not stat_module.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
            return os.write(fd, data)
        finally:
            os.close(fd)

    def truncate(self, path: StrPath, size: int) -> None:
        """See `Disk.truncate`."""
        fd = os.open(path, os.O_WRONLY | _NO_LINK | _NO_WAIT | _OWN)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)

    def fsync(self, path: StrPath) -> None:
        """See `Disk.fsync`."""
        if not self._posix and os.path.isdir(path):
            return
        # Elsewhere only what may be written can be synced.
        fd = os.open(path, (os.O_RDONLY if self._posix else os.O_RDWR) | _NO_LINK | _NO_WAIT | _OWN)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def replace(self, source: StrPath, target: StrPath) -> None:
        """See `Disk.replace`."""
        os.replace(source, target)

    def remove(self, path: StrPath) -> None:
        """See `Disk.remove`."""
        os.unlink(path)

    def remove_tree(self, path: StrPath) -> None:
        """See `Disk.remove_tree`."""
        root = Path(path)
        if root.is_symlink() or (root.exists() and not root.is_dir()):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", os.fspath(path))
        for name in os.listdir(root):
            inner = root / name
            if inner.is_dir() and not inner.is_symlink():
                self.remove_tree(inner)
            else:
                inner.unlink()
        root.rmdir()

    def remove_directory(self, path: StrPath) -> None:
        """See `Disk.remove_directory`."""
        os.rmdir(path)

    def mkdir(self, path: StrPath, *, private: bool = False) -> None:
        """See `Disk.mkdir`; directories made here are 0700, others keep their mode unless `private` takes from it."""
        missing = []
        directory = Path(path)
        while not directory.exists():
            missing.append(directory)
            directory = directory.parent
        for new in reversed(missing):
            new.mkdir(mode=0o700, exist_ok=True)
        if not Path(path).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", os.fspath(path))
        if private and stat_module.S_IMODE(os.stat(path).st_mode) & 0o077:
            os.chmod(path, 0o700)

    def listdir(self, path: StrPath) -> list[str]:
        """See `Disk.listdir`."""
        return sorted(os.listdir(path))

    def info(self, path: StrPath) -> FileInfo | None:
        """See `Disk.info`."""
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileInfo(
            found.st_size,
            found.st_mtime,
            stat_module.S_ISREG(found.st_mode),
            stat_module.S_ISDIR(found.st_mode),
            found.st_ino,
        )

    def lock(self, path: StrPath) -> LockHandle:
        """See `Disk.lock`; an advisory lock of the kernel, gone with the process that holds it."""
        lock = take_lock(os.fspath(path) + ".held")
        if lock is None:
            raise LockHeld(path)
        return _RealLock(lock)

    def locked(self, path: StrPath) -> bool:
        """See `Disk.locked`; looks through a shared lock, so that who looks is never held for a holder by others who look.

        Where locks cannot be shared it is taken for a moment: who looks or takes it in that very moment finds it held.
        """
        if not self._posix:
            return self._is_refused(path)
        try:
            fd = os.open(os.fspath(path) + ".held", os.O_RDONLY | _NO_LINK | _NO_WAIT | _OWN)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
        finally:
            os.close(fd)
        return False

    def _is_refused(self, path: StrPath) -> bool:
        if self.info(os.fspath(path) + ".held") is None:
            return False
        try:
            self.lock(path).release()
        except LockHeld:
            return True
        return False

    def free_bytes(self, path: StrPath) -> int:
        """See `Disk.free_bytes`."""
        return shutil.disk_usage(path).free

    def watch(self, directories: Sequence[StrPath], tell: Callable[[str], None]) -> Callable[[], None]:
        """See `Disk.watch`."""
        return cast(Callable[[], None], watch_directories([os.fspath(one) for one in directories], tell))


class _RealLock(LockHandle):
    def __init__(self, lock: object) -> None:
        self._lock = lock

    def release(self) -> None:
        """Give the lock back."""
        release = getattr(self._lock, "release", None)
        if callable(release):
            release(force=True)
