"""A disk in memory, for simulated runs: it fails as the real one does, and remembers what a power cut could undo.

Every change is appended to `MemoryDisk.mutations`. `crash_image` makes the disk as it stood after the first so many of
them; `unsynced` names those that a power cut at that moment may lose, because no `fsync` of the file (for its data) or
of its directory (for its name) had followed.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from backends.clock import Clock
from backends.disk import READ_LIMIT, Disk, FileInfo, LockHandle, LockHeld, StrPath

__all__ = ["CrashImages", "Loss", "MemoryDisk", "Mutation", "Part"]

_LINKS_FOLLOWED = 40
"""Linux gives up with ELOOP after as many links in one path; path_resolution(7)."""


class Part(Enum):
    """What of a mutation can be lost on its own."""

    DATA = "data"
    """The bytes of a file."""
    ENTRY = "entry"
    """A name in a directory."""


class Loss(NamedTuple):
    """One part of the mutation with that number (an index of `MemoryDisk.mutations`)."""

    number: int
    part: Part


class Mutation(NamedTuple):
    """One change: `size` is in bytes of `data`, or the length that a truncation leaves; `node` says which file it was.

    `operation` is one of write, append, truncate, fsync, replace, remove, mkdir; `target` is the second path of a replace.
    `made` is true where an append made its file; `directory` is the node of the directory whose names changed, for a replace
    the one that it moved into. A tree is removed as one mutation for each file and directory in it.
    """

    operation: str
    path: str
    node: int
    size: int = 0
    data: bytes = b""
    target: str = ""
    made: bool = False
    directory: int = 0

    @property
    def parts(self) -> tuple[Part, ...]:
        """What of it can be lost."""
        return _PARTS["write" if self.made else self.operation]


_PARTS: Mapping[str, tuple[Part, ...]] = {
    "write": (Part.ENTRY, Part.DATA),
    "append": (Part.DATA,),
    "truncate": (Part.DATA,),
    "fsync": (),
    "replace": (Part.ENTRY,),
    "remove": (Part.ENTRY,),
    "mkdir": (Part.ENTRY,),
}
"""What of each operation can be lost; an append that makes its file loses what a write does."""


class _Kind(Enum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    FIFO = "fifo"


class _Node:
    """What a name stands for. `names` is used by directories, `data` by files, `points_to` by links."""

    __slots__ = ("data", "kind", "modified", "names", "number", "points_to")

    def __init__(self, kind: _Kind, number: int, modified: float) -> None:
        self.kind = kind
        self.number = number
        self.modified = modified
        self.data = bytearray()
        self.names: set[str] = set()
        self.points_to = ""

    def copy(self) -> _Node:
        """Another file with the same content, or directory with the same names."""
        other = _Node.__new__(_Node)
        other.kind, other.number, other.modified = self.kind, self.number, self.modified
        other.data, other.names, other.points_to = self.data[:], self.names.copy(), self.points_to
        return other


class MemoryDisk(Disk):
    """Files in memory, shared by whoever holds this object; relative paths start at the root.

    Locks belong to the disk: they are held until released or until `forget_locks`. Modification times are read from
    `clock` (all zero without one). `free` is what `free_bytes` answers, whatever is written; only where it is 0 nothing can be.
    `tells` is whether files can be watched.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._numbers = 0
        self._links = 0
        self._nodes: dict[str, _Node] = {"/": self._new(_Kind.DIRECTORY)}
        self._locks: dict[str, _MemoryLock] = {}
        self._watches: list[tuple[tuple[str, ...], Callable[[str], None]]] = []
        self.mutations: list[Mutation] = []
        self.free = 1 << 40
        self.tells = True

    def read(self, path: StrPath, limit: int = READ_LIMIT) -> bytes:
        """See `Disk.read`."""
        _, node = self._existing(path)
        if node.kind is not _Kind.FILE:
            raise _error(errno.ELOOP if node.kind is _Kind.LINK else errno.EINVAL, path)
        if len(node.data) > limit:
            raise _error(errno.EFBIG, path)
        return bytes(node.data)

    def write(self, path: StrPath, data: bytes) -> None:
        """See `Disk.write`."""
        name = self._resolved(path)
        if name in self._nodes:
            raise _error(errno.EEXIST, path)
        node = self._new(_Kind.FILE)
        directory = self._enter(name, node)
        if data and not self.free:
            self.mutations.append(Mutation("write", name, node.number, 0, b"", directory=directory.number))
            raise _error(errno.ENOSPC, path)
        node.data += data
        self.mutations.append(Mutation("write", name, node.number, len(data), bytes(data), directory=directory.number))
        self._tell(name)

    def append(self, path: StrPath, data: bytes) -> int:
        """See `Disk.append`; takes everything."""
        name = self._resolved(path)
        node = self._nodes.get(name)
        made = node is None
        if node is None:
            node = self._link(name, _Kind.FILE)
        elif node.kind is not _Kind.FILE:
            raise _error(_NOT_WRITABLE[node.kind], path)
        if data and not self.free:
            raise _error(errno.ENOSPC, path)
        node.data += data
        node.modified = self._now()
        directory = self._above(name) if made else 0
        self.mutations.append(Mutation("append", name, node.number, len(data), bytes(data), "", made, directory))
        self._tell(name)
        return len(data)

    def truncate(self, path: StrPath, size: int) -> None:
        """See `Disk.truncate`; as the kernel's, it also lengthens, with zeros."""
        name, node = self._existing(path)
        if node.kind is not _Kind.FILE:
            raise _error(_NOT_WRITABLE[node.kind], path)
        if size < 0:
            raise _error(errno.EINVAL, path)
        _resize(node.data, size)
        node.modified = self._now()
        self.mutations.append(Mutation("truncate", name, node.number, size))

    def fsync(self, path: StrPath) -> None:
        """See `Disk.fsync`."""
        name, node = self._existing(path)
        if node.kind in (_Kind.LINK, _Kind.FIFO):
            raise _error(errno.ELOOP if node.kind is _Kind.LINK else errno.EINVAL, path)
        self.mutations.append(Mutation("fsync", name, node.number))

    def replace(self, source: StrPath, target: StrPath) -> None:
        """See `Disk.replace`."""
        old, new = self._resolved(source), self._resolved(target)
        self._directory(old, source)
        directory = self._directory(new, target)
        node = self._nodes.get(old)
        if node is None:
            raise _error(errno.ENOENT, source)
        self._check_replaceable(node, old, new, target)
        if old == new:
            return
        self._move(node, old, new)
        mutation = Mutation("replace", old, node.number, len(node.data), target=new, directory=directory.number)
        self.mutations.append(mutation)
        self._tell(new)

    def remove(self, path: StrPath) -> None:
        """See `Disk.remove`."""
        name = self._resolved(path)
        node = self._nodes.get(name)
        if node is None:
            raise self._absent(name, path)
        if node.kind is _Kind.DIRECTORY:
            raise _error(errno.EISDIR, path)
        self._unlink(name)
        self.mutations.append(Mutation("remove", name, node.number, directory=self._above(name)))

    def remove_tree(self, path: StrPath) -> None:
        """See `Disk.remove_tree`."""
        name = self._resolved(path)
        node = self._nodes.get(name)
        if node is None:
            raise self._absent(name, path)
        if node.kind is not _Kind.DIRECTORY:
            raise _error(errno.ENOTDIR, path)
        if name == "/":
            raise _error(errno.EBUSY, path)
        for inner in self._below(name):
            removed = self._nodes[inner].number
            self._unlink(inner)
            self.mutations.append(Mutation("remove", inner, removed, directory=self._above(inner)))

    def remove_directory(self, path: StrPath) -> None:
        """See `Disk.remove_directory`."""
        node = self._nodes.get(self._resolved(path))
        if node is not None and node.kind is _Kind.DIRECTORY and node.names:
            raise _error(errno.ENOTEMPTY, path)
        self.remove_tree(path)

    def mkdir(self, path: StrPath, *, private: bool = False) -> None:
        """See `Disk.mkdir`; there is nobody else."""
        name = self._followed(path)
        missing = []
        while (node := self._nodes.get(name)) is None:
            missing.append(name)
            name = _split(name)[0]
        if node.kind is not _Kind.DIRECTORY:
            raise _error(errno.EEXIST if node.kind is _Kind.LINK else errno.ENOTDIR, path)
        for new in reversed(missing):
            made = self._new(_Kind.DIRECTORY)
            directory = self._enter(new, made)
            self.mutations.append(Mutation("mkdir", new, made.number, directory=directory.number))

    def listdir(self, path: StrPath) -> list[str]:
        """See `Disk.listdir`."""
        node = self._nodes.get(self._followed(path))
        if node is None:
            raise self._absent(self._followed(path), path)
        if node.kind is not _Kind.DIRECTORY:
            raise _error(errno.ENOENT if node.kind is _Kind.LINK else errno.ENOTDIR, path)
        return sorted(node.names)

    def info(self, path: StrPath) -> FileInfo | None:
        """See `Disk.info`."""
        node = self._nodes.get(self._resolved(path))
        if node is None:
            return None
        size = len(node.points_to) if node.kind is _Kind.LINK else len(node.data)
        return FileInfo(size, node.modified, node.kind is _Kind.FILE, node.kind is _Kind.DIRECTORY, node.number)

    def lock(self, path: StrPath) -> LockHandle:
        """See `Disk.lock`; like the real one it makes the directory, and a file that stays."""
        name = self._resolved(os.fspath(path) + ".held")
        parent = self._nodes.get(_split(name)[0])
        if parent is not None and parent.kind is _Kind.FILE:
            raise _error(errno.EEXIST, path)
        self.mkdir(_split(name)[0])
        node = self._nodes.get(name)
        if node is None:
            self.append(name, b"")
        elif node.kind in (_Kind.DIRECTORY, _Kind.LINK):
            raise _error(_NOT_WRITABLE[node.kind], path)
        if name in self._locks:
            raise LockHeld(path)
        handle = self._locks[name] = _MemoryLock(self._locks, name)
        return handle

    def locked(self, path: StrPath) -> bool:
        """See `Disk.locked`."""
        name = self._resolved(os.fspath(path) + ".held")
        node = self._nodes.get(name)
        if node is not None and node.kind in (_Kind.DIRECTORY, _Kind.LINK):
            raise _error(_NOT_WRITABLE[node.kind], path)
        return name in self._locks and node is not None

    def free_bytes(self, path: StrPath) -> int:
        """See `Disk.free_bytes`; `free`, whatever is written."""
        name = self._followed(path)
        if name not in self._nodes:
            raise self._absent(name, path)
        return self.free

    def watch(self, directories: Sequence[StrPath], tell: Callable[[str], None]) -> Callable[[], None]:
        """See `Disk.watch`; tells within the operation that leaves the file."""
        if not self.tells:
            raise _error(errno.ENOSPC, "inotify")
        for path in directories:
            self.listdir(path)
        watch = tuple(self._followed(path).rstrip("/") + "/" for path in directories), tell
        self._watches.append(watch)

        def unwatch() -> None:
            if watch in self._watches:
                self._watches.remove(watch)

        return unwatch

    def _tell(self, name: str) -> None:
        """Tell whoever watches that there is a whole file of that name."""
        for above, tell in list(self._watches):
            if name.startswith(above) and not _split(name)[1].startswith("."):
                tell(name)

    def forget_locks(self) -> None:
        """Give every lock back, as the kernel does when its holder dies."""
        self._locks.clear()

    def plant_fifo(self, path: StrPath) -> None:
        """Put a FIFO at `path`, with the directories above it; not a mutation."""
        self._link(self._room_for(path), _Kind.FIFO)

    def plant_link(self, path: StrPath, points_to: str) -> None:
        """Put a symbolic link at `path`, with the directories above it; not a mutation."""
        self._link(self._room_for(path), _Kind.LINK).points_to = points_to
        self._links += 1

    def paths(self) -> list[str]:
        """Every path that exists, sorted; to see what a run left behind."""
        return sorted(self._nodes)

    def unsynced(self, operations: int | None = None) -> list[Loss]:
        """What a power cut after the first `operations` mutations (default: all) may lose, oldest first.

        A name is durable once its directory was synced after it, bytes once their file was; a rename counts for the
        directory it moves into.
        """
        done = self.mutations if operations is None else self.mutations[:operations]
        synced_later: set[int] = set()
        losses = []
        for number in range(len(done) - 1, -1, -1):
            mutation = done[number]
            if mutation.operation == "fsync":
                synced_later.add(mutation.node)
            for part in reversed(mutation.parts):
                holder = mutation.directory if part is Part.ENTRY else mutation.node
                if holder not in synced_later:
                    losses.append(Loss(number, part))
        return losses[::-1]

    def crash_image(
        self,
        operations: int | None = None,
        lost: Collection[tuple[int, Part]] = (),
        torn: Mapping[int, int] = MappingProxyType({}),
    ) -> MemoryDisk:
        """A new disk as it stood after the first `operations` mutations, without the parts in `lost`, and without locks.

        With nothing lost it is what the next process finds after a kill; with any part of `unsynced(operations)` lost, what
        it may find after a power cut. `torn` names writes and appends of which only so many bytes arrived. Bytes lost before
        bytes that were kept read as zeros. What was planted is missing.
        """
        return CrashImages(self).make(len(self.mutations) if operations is None else operations, lost, torn)

    def _now(self) -> float:
        return 0.0 if self._clock is None else self._clock.wall()

    def _new(self, kind: _Kind) -> _Node:
        self._numbers += 1
        return _Node(kind, self._numbers, self._now())

    def _resolved(self, path: StrPath) -> str:
        """The key of `path`; links in it are followed, except for its last part."""
        name = _normal(os.fspath(path))
        return self._through_links(name, last=False) if self._links else name

    def _followed(self, path: StrPath) -> str:
        """The key of `path`, with a link in its last part followed too, if it leads anywhere."""
        name = _normal(os.fspath(path))
        return self._through_links(name, last=True) if self._links else name

    def _through_links(self, name: str, last: bool) -> str:
        for _ in range(_LINKS_FOLLOWED):
            for upto in _prefixes(name, last):
                node = self._nodes.get(upto)
                if node is not None and node.kind is _Kind.LINK:
                    pointed = _normal(posixpath.join(_split(upto)[0], node.points_to))
                    if upto == name and pointed not in self._nodes:
                        return name
                    name = _normal(pointed + name[len(upto) :])
                    break
            else:
                return name
        raise _error(errno.ELOOP, name)

    def _existing(self, path: StrPath) -> tuple[str, _Node]:
        """The key of `path` and what is there; `OSError` if there is nothing."""
        name = self._resolved(path)
        node = self._nodes.get(name)
        if node is None:
            raise self._absent(name, path)
        return name, node

    def _absent(self, name: str, path: StrPath) -> OSError:
        """Why there is nothing at `name`: the part above it is missing, or is no directory."""
        while (node := self._nodes.get(name)) is None:
            name = _split(name)[0]
        return _error(errno.ENOENT if node.kind in (_Kind.DIRECTORY, _Kind.LINK) else errno.ENOTDIR, path)

    def _above(self, name: str) -> int:
        """The number of the directory that `name` is in."""
        return self._nodes[_split(name)[0]].number

    def _directory(self, name: str, path: StrPath) -> _Node:
        """The directory that `name` is in, which must be there; `path` is what was asked for."""
        above = _split(name)[0]
        parent = self._nodes.get(above)
        if parent is None or parent.kind is not _Kind.DIRECTORY:
            raise self._absent(above, path)
        return parent

    def _link(self, name: str, kind: _Kind) -> _Node:
        """Make a node of that kind under a name that is free."""
        node = self._new(kind)
        self._enter(name, node)
        return node

    def _enter(self, name: str, node: _Node) -> _Node:
        """Give `node` a name that is free; the directory that it is in."""
        parent = self._directory(name, name)
        parent.names.add(_split(name)[1])
        parent.modified = node.modified
        self._nodes[name] = node
        return parent

    def _unlink(self, name: str) -> _Node:
        node = self._nodes.pop(name)
        above, last = _split(name)
        parent = self._nodes[above]
        parent.names.discard(last)
        parent.modified = self._now()
        if node.kind is _Kind.LINK:
            self._links -= 1
        return node

    def _room_for(self, path: StrPath) -> str:
        name = self._resolved(path)
        self.mkdir(_split(name)[0])
        return name

    def _check_replaceable(self, node: _Node, old: str, new: str, target: StrPath) -> None:
        there = self._nodes.get(new)
        is_directory = node.kind is _Kind.DIRECTORY
        if is_directory and new.startswith(old + "/"):
            raise _error(errno.EINVAL, target)
        if old.startswith(new + "/"):
            raise _error(errno.ENOTEMPTY, target)
        if there is None or there is node:
            return
        if there.kind is _Kind.DIRECTORY:
            if not is_directory:
                raise _error(errno.EISDIR, target)
            if there.names:
                raise _error(errno.ENOTEMPTY, target)
        elif is_directory:
            raise _error(errno.ENOTDIR, target)

    def _move(self, node: _Node, old: str, new: str) -> None:
        inside = [name for name in self._below(old) if name != old] if node.kind is _Kind.DIRECTORY else []
        if new in self._nodes:
            self._unlink(new)
        self._unlink(old)
        if node.kind is _Kind.LINK:
            self._links += 1
        self._enter(new, node)
        for name in inside:
            self._nodes[new + name[len(old) :]] = self._nodes.pop(name)

    def _below(self, name: str) -> list[str]:
        """Every path under `name`, contents before their directory, `name` itself last."""
        found: list[str] = []
        node = self._nodes[name]
        for inner in sorted(node.names):
            path = f"{name}/{inner}" if name != "/" else f"/{inner}"
            found += self._below(path) if self._nodes[path].kind is _Kind.DIRECTORY else [path]
        return [*found, name]


class CrashImages:
    """Makes images of `disk`, which must not change meanwhile; for many of them, what they have in common is replayed once."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._mutations = disk.mutations
        image = MemoryDisk(disk._clock)
        image.free = disk.free
        self._beginnings = [_Replay(image, {disk._nodes["/"].number: image._nodes["/"]}, {})]

    def make(
        self,
        operations: int,
        lost: Collection[tuple[int, Part]] = (),
        torn: Mapping[int, int] = MappingProxyType({}),
    ) -> MemoryDisk:
        """See `MemoryDisk.crash_image`."""
        gone = frozenset((number, part) for number, part in lost)
        whole = min((operations, *torn, *(number for number, _ in gone)))
        replay = self._beginning(whole // _STEP).copy()
        for number in range(whole // _STEP * _STEP, operations):
            mutation = self._mutations[number]
            kept = mutation.parts if number < whole else [one for one in mutation.parts if (number, one) not in gone]
            replay.apply(mutation, kept, torn.get(number, mutation.size))
        replay.image.mutations.clear()
        return replay.image

    def _beginning(self, steps: int) -> _Replay:
        """The disk after so many times `_STEP` mutations, of which nothing was lost."""
        while len(self._beginnings) <= steps:
            done = len(self._beginnings) * _STEP
            replay = self._beginnings[-1].copy()
            for mutation in self._mutations[done - _STEP : done]:
                replay.apply(mutation, mutation.parts, mutation.size)
            self._beginnings.append(replay)
        return self._beginnings[steps]


_STEP = 8
"""After so many mutations each the image is kept: a copy of it costs about as much as replaying them."""


class _Replay:
    """Applies logged mutations to an empty disk; files are known by the numbers that they had on the old one."""

    def __init__(self, image: MemoryDisk, known: dict[int, _Node], holes: dict[int, int]) -> None:
        self.image = self._image = image
        self._known = known
        self._holes = holes

    def copy(self) -> _Replay:
        """Another one that is as far, and goes on by itself."""
        image = MemoryDisk(self._image._clock)
        image.free, image._numbers = self._image.free, self._image._numbers
        copies = {node: node.copy() for node in self._known.values()}
        image._nodes = {name: copies[node] for name, node in self._image._nodes.items()}
        return _Replay(image, {number: copies[node] for number, node in self._known.items()}, dict(self._holes))

    def apply(self, mutation: Mutation, kept: Collection[Part], arrived: int) -> None:
        """Do again what of `mutation` was kept, and of its data the first `arrived` bytes."""
        parts = mutation.parts
        if Part.ENTRY in parts:
            self._entry(mutation, Part.ENTRY in kept)
        if Part.DATA in parts:
            self._data(mutation, Part.DATA in kept, arrived)

    def _entry(self, mutation: Mutation, kept: bool) -> None:
        image = self._image
        node = self._node(mutation)
        if not kept:
            return
        there = image._nodes.get(mutation.path) is node
        target = mutation.target or mutation.path
        if mutation.operation == "remove":
            self._clear(mutation.path if there else "")
        elif not self._has_room(target):
            self._clear(mutation.path if there and mutation.target else "")
        else:
            self._clear(target)
            if there and mutation.target:
                image._move(node, mutation.path, target)
            else:
                image._enter(target, node)

    def _has_room(self, name: str) -> bool:
        """Whether the directory for `name` is there; it may have been lost."""
        parent = self._image._nodes.get(_split(name)[0])
        return parent is not None and parent.kind is _Kind.DIRECTORY

    def _clear(self, name: str) -> None:
        """Take away what has that name, with everything in it."""
        if name in self._image._nodes:
            for inner in self._image._below(name):
                self._image._unlink(inner)

    def _data(self, mutation: Mutation, kept: bool, arrived: int) -> None:
        node = self._node(mutation)
        if mutation.operation == "truncate":
            if kept:
                _resize(node.data, mutation.size)
            return
        data = mutation.data[:arrived] if kept else b""
        hole = self._holes.pop(mutation.node, 0)
        if data:
            node.data += b"\0" * hole + data
            hole = 0
        self._holes[mutation.node] = hole + mutation.size - len(data)

    def _node(self, mutation: Mutation) -> _Node:
        node = self._known.get(mutation.node)
        if node is None:
            kind = _Kind.DIRECTORY if mutation.operation == "mkdir" else _Kind.FILE
            node = self._known[mutation.node] = self._image._new(kind)
        return node


class _MemoryLock(LockHandle):
    def __init__(self, locks: dict[str, _MemoryLock], name: str) -> None:
        self._locks = locks
        self._name = name

    def release(self) -> None:
        """Give the lock back, if it is still this one that is held."""
        if self._locks.get(self._name) is self:
            del self._locks[self._name]


_NOT_WRITABLE = {
    _Kind.DIRECTORY: errno.EISDIR,
    _Kind.LINK: errno.ELOOP,
    _Kind.FIFO: errno.ENXIO,
}
"""What opening such a thing for writing answers on Linux, with O_NOFOLLOW and O_NONBLOCK."""


@lru_cache(maxsize=1 << 16)
def _normal(path: str) -> str:
    """`path` from the root, without `.`, `..` and doubled slashes; refuses what no file system takes."""
    if "\0" in path:
        raise ValueError("embedded null byte")
    if not path:
        raise _error(errno.ENOENT, path)
    if not path.isascii() or len(path) > 255:
        encoded = os.fsencode(path)
        if len(encoded) > 4095 or any(len(part) > 255 for part in encoded.split(b"/")):
            raise _error(errno.ENAMETOOLONG, path)
    return posixpath.normpath("/" + path.lstrip("/"))


@lru_cache(maxsize=1 << 16)
def _split(name: str) -> tuple[str, str]:
    """The path of the directory that `name`, a key, is in, and what it is called there."""
    above, _, last = name.rpartition("/")
    return above or "/", last


def _prefixes(name: str, last: bool) -> Iterator[str]:
    """`/a`, `/a/b`, ... up to `name`, which is there only if `last`."""
    position = name.find("/", 1)
    while position > 0:
        yield name[:position]
        position = name.find("/", position + 1)
    if last:
        yield name


def _resize(data: bytearray, size: int) -> None:
    if size < len(data):
        del data[size:]
    else:
        data.extend(b"\0" * (size - len(data)))


def _error(code: int, path: StrPath) -> OSError:
    """The subclass of `OSError` that the kernel's answer `code` comes out as."""
    return OSError(code, os.strerror(code), os.fspath(path))
