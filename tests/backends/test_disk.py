"""The disks: the real one and the one in memory answer the same, misuse included."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from backends.disk import Disk, FileInfo, LockHeld, RealDisk
from backends.memory_disk import MemoryDisk

Misuse = Callable[[Disk, str], object]


@dataclass(frozen=True)
class Place:
    """A disk with a directory `root` in it that holds one thing of every kind."""

    disk: Disk
    root: str

    def __truediv__(self, name: str) -> str:
        return f"{self.root}/{name}"


@pytest.fixture(params=["real", "memory", "without posix"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """`file`, `empty/`, `full/inner`, `fifo`, and links `link`, `dirlink`, `dangling`, `loop` to what their names say."""
    if request.param != "memory" and sys.platform != "linux":
        pytest.skip("the codes are those of Linux")
    root = str(tmp_path)
    disk: Disk = RealDisk(posix=request.param == "real")
    if request.param == "memory":
        disk = memory = MemoryDisk()
        memory.mkdir(root)
        memory.plant_fifo(f"{root}/fifo")
        link: Callable[[str, str], None] = memory.plant_link
    else:
        os.mkfifo(f"{root}/fifo")

        def link(path: str, points_to: str) -> None:
            os.symlink(points_to, path)

    disk.write(f"{root}/file", b"content")
    disk.mkdir(f"{root}/empty")
    disk.mkdir(f"{root}/full")
    disk.write(f"{root}/full/inner", b"x")
    link(f"{root}/link", "file")
    link(f"{root}/dirlink", "full")
    link(f"{root}/dangling", "nowhere")
    link(f"{root}/loop", "loop")
    return Place(disk, root)


MISUSES: dict[str, tuple[Misuse, int]] = {
    "read nothing": (lambda d, r: d.read(f"{r}/none"), errno.ENOENT),
    "read below nothing": (lambda d, r: d.read(f"{r}/none/x"), errno.ENOENT),
    "read below a file": (lambda d, r: d.read(f"{r}/file/x"), errno.ENOTDIR),
    "read below a fifo": (lambda d, r: d.read(f"{r}/fifo/x"), errno.ENOTDIR),
    "read below a dangling link": (lambda d, r: d.read(f"{r}/dangling/x"), errno.ENOENT),
    "read below a loop": (lambda d, r: d.read(f"{r}/loop/x"), errno.ELOOP),
    "read a directory": (lambda d, r: d.read(f"{r}/full"), errno.EINVAL),
    "read a fifo": (lambda d, r: d.read(f"{r}/fifo"), errno.EINVAL),
    "read a link": (lambda d, r: d.read(f"{r}/link"), errno.ELOOP),
    "read too much": (lambda d, r: d.read(f"{r}/file", 6), errno.EFBIG),
    "read a long name": (lambda d, r: d.read(f"{r}/{'n' * 256}"), errno.ENAMETOOLONG),
    "read a part of nothing": (lambda d, r: d.read_part(f"{r}/none", 0, 1), errno.ENOENT),
    "read a part of a directory": (lambda d, r: d.read_part(f"{r}/full", 0, 1), errno.EINVAL),
    "read a part of a fifo": (lambda d, r: d.read_part(f"{r}/fifo", 0, 1), errno.EINVAL),
    "read a part of a link": (lambda d, r: d.read_part(f"{r}/link", 0, 1), errno.ELOOP),
    "write over a file": (lambda d, r: d.write(f"{r}/file", b""), errno.EEXIST),
    "write over a directory": (lambda d, r: d.write(f"{r}/full", b""), errno.EEXIST),
    "write over a dangling link": (lambda d, r: d.write(f"{r}/dangling", b""), errno.EEXIST),
    "write below nothing": (lambda d, r: d.write(f"{r}/none/x", b""), errno.ENOENT),
    "write below a file": (lambda d, r: d.write(f"{r}/file/x", b""), errno.ENOTDIR),
    "append to a directory": (lambda d, r: d.append(f"{r}/full", b"x"), errno.EISDIR),
    "append to a fifo": (lambda d, r: d.append(f"{r}/fifo", b"x"), errno.ENXIO),
    "append to a link": (lambda d, r: d.append(f"{r}/link", b"x"), errno.ELOOP),
    "append below nothing": (lambda d, r: d.append(f"{r}/none/x", b"x"), errno.ENOENT),
    "truncate nothing": (lambda d, r: d.truncate(f"{r}/none", 0), errno.ENOENT),
    "truncate a directory": (lambda d, r: d.truncate(f"{r}/full", 0), errno.EISDIR),
    "truncate a fifo": (lambda d, r: d.truncate(f"{r}/fifo", 0), errno.ENXIO),
    "truncate a link": (lambda d, r: d.truncate(f"{r}/link", 0), errno.ELOOP),
    "truncate below zero": (lambda d, r: d.truncate(f"{r}/file", -1), errno.EINVAL),
    "fsync nothing": (lambda d, r: d.fsync(f"{r}/none"), errno.ENOENT),
    "fsync a fifo": (lambda d, r: d.fsync(f"{r}/fifo"), errno.EINVAL),
    "fsync a link": (lambda d, r: d.fsync(f"{r}/link"), errno.ELOOP),
    "replace nothing": (lambda d, r: d.replace(f"{r}/none", f"{r}/new"), errno.ENOENT),
    "replace into nothing": (lambda d, r: d.replace(f"{r}/file", f"{r}/none/new"), errno.ENOENT),
    "replace into a file": (lambda d, r: d.replace(f"{r}/file", f"{r}/fifo/new"), errno.ENOTDIR),
    "replace a directory by a file": (lambda d, r: d.replace(f"{r}/file", f"{r}/empty"), errno.EISDIR),
    "replace a file by a directory": (lambda d, r: d.replace(f"{r}/empty", f"{r}/file"), errno.ENOTDIR),
    "replace a full directory": (lambda d, r: d.replace(f"{r}/empty", f"{r}/full"), errno.ENOTEMPTY),
    "replace into itself": (lambda d, r: d.replace(f"{r}/full", f"{r}/full/inside"), errno.EINVAL),
    "remove nothing": (lambda d, r: d.remove(f"{r}/none"), errno.ENOENT),
    "remove below a file": (lambda d, r: d.remove(f"{r}/file/x"), errno.ENOTDIR),
    "remove a directory": (lambda d, r: d.remove(f"{r}/empty"), errno.EISDIR),
    "remove_tree of nothing": (lambda d, r: d.remove_tree(f"{r}/none"), errno.ENOENT),
    "remove_tree of a file": (lambda d, r: d.remove_tree(f"{r}/file"), errno.ENOTDIR),
    "remove_directory of nothing": (lambda d, r: d.remove_directory(f"{r}/none"), errno.ENOENT),
    "remove_directory of a file": (lambda d, r: d.remove_directory(f"{r}/file"), errno.ENOTDIR),
    "remove_directory of a link": (lambda d, r: d.remove_directory(f"{r}/dirlink"), errno.ENOTDIR),
    "remove_directory of a full one": (lambda d, r: d.remove_directory(f"{r}/full"), errno.ENOTEMPTY),
    "remove_tree of a link": (lambda d, r: d.remove_tree(f"{r}/dirlink"), errno.ENOTDIR),
    "mkdir over a file": (lambda d, r: d.mkdir(f"{r}/file"), errno.ENOTDIR),
    "mkdir below a file": (lambda d, r: d.mkdir(f"{r}/file/x/y"), errno.ENOTDIR),
    "mkdir over a dangling link": (lambda d, r: d.mkdir(f"{r}/dangling"), errno.EEXIST),
    "listdir of nothing": (lambda d, r: d.listdir(f"{r}/none"), errno.ENOENT),
    "listdir of a file": (lambda d, r: d.listdir(f"{r}/file"), errno.ENOTDIR),
    "listdir of a fifo": (lambda d, r: d.listdir(f"{r}/fifo"), errno.ENOTDIR),
    "listdir of a dangling link": (lambda d, r: d.listdir(f"{r}/dangling"), errno.ENOENT),
    "listdir of a link to a file": (lambda d, r: d.listdir(f"{r}/link"), errno.ENOTDIR),
    "info below a loop": (lambda d, r: d.info(f"{r}/loop/x"), errno.ELOOP),
    "lock below a file": (lambda d, r: d.lock(f"{r}/file/x"), errno.EEXIST),
    "free_bytes of nothing": (lambda d, r: d.free_bytes(f"{r}/none"), errno.ENOENT),
}


@pytest.mark.parametrize("name", MISUSES)
def test_both_disks_refuse_the_same_misuse_with_the_same_code(place: Place, name: str) -> None:
    """Code that was tested against the simulation meets the same errors on a host."""
    misuse, code = MISUSES[name]

    with pytest.raises(OSError) as refusal:  # noqa: PT011  # the code is compared below
        misuse(place.disk, place.root)

    assert errno.errorcode[refusal.value.errno or 0] == errno.errorcode[code]
    assert place.disk.read(place / "file") == b"content"
    assert place.disk.listdir(place / "full") == ["inner"]


@pytest.mark.parametrize("operation", ["read", "fsync", "remove", "mkdir", "listdir", "info"])
def test_a_path_with_a_nul_is_a_value_error(place: Place, operation: str) -> None:
    """No file system can even be asked."""
    with pytest.raises(ValueError, match="null"):
        getattr(place.disk, operation)(place / "a\0b")


def test_a_file_is_read_as_it_was_written_and_appended_to(place: Place) -> None:
    """An append makes its file, and says how much it took."""
    assert place.disk.append(place / "log", b"one\n") == 4
    assert place.disk.append(place / "log", b"two\n") == 4
    place.disk.write(place / "data", b"\0" * 300_000)

    assert place.disk.read(place / "log") == b"one\ntwo\n"
    assert place.disk.read(place / "data", 300_000) == b"\0" * 300_000


def test_a_part_of_a_file_is_what_lies_between(place: Place) -> None:
    """Less at the end of the file, nothing behind it."""
    parts = [place.disk.read_part(place / "file", start, 4) for start in (0, 4, 7, 99)]

    assert parts == [b"cont", b"ent", b"", b""]


def test_truncate_shortens_and_lengthens_with_zeros(place: Place) -> None:
    """The kernel's `ftruncate` does both."""
    place.disk.truncate(place / "file", 3)
    place.disk.truncate(place / "file", 5)

    assert place.disk.read(place / "file") == b"con\0\0"


def test_replace_takes_over_a_file_an_empty_directory_and_a_link(place: Place) -> None:
    """Whatever had the name, and without following it."""
    place.disk.write(place / "new", b"new")
    place.disk.replace(place / "new", place / "dangling")
    place.disk.replace(place / "full", place / "empty")
    place.disk.replace(place / "file", place / "file")

    assert place.disk.read(place / "dangling") == b"new"
    assert place.disk.listdir(place / "empty") == ["inner"]
    assert place.disk.read(place / "empty/inner") == b"x"
    assert place.disk.info(place / "full") is None
    assert place.disk.read(place / "file") == b"content"


def test_a_link_is_followed_in_the_middle_of_a_path_and_never_at_its_end(place: Place) -> None:
    """Only the last part could stand in for a file of ours."""
    place.disk.append(place / "dirlink/more", b"y")
    place.disk.remove(place / "dirlink")

    assert place.disk.listdir(place / "full") == ["inner", "more"]


@pytest.mark.parametrize(("private", "mode"), [(False, 0o755), (True, 0o700)])
def test_a_directory_that_is_there_is_closed_to_others_if_it_shall_be_private(
    tmp_path: Path, private: bool, mode: int
) -> None:
    """Else it keeps its mode; what is above it keeps its own in both cases."""
    inner = tmp_path / "above/inner"
    inner.mkdir(parents=True)
    for directory in (tmp_path / "above", inner):
        directory.chmod(0o755)

    RealDisk().mkdir(inner, private=private)

    assert (inner.stat().st_mode & 0o777, inner.parent.stat().st_mode & 0o777) == (mode, 0o755)


def test_an_empty_directory_can_be_removed(place: Place) -> None:
    """And nothing above it."""
    place.disk.mkdir(place / "deep/empty")
    place.disk.remove_directory(place / "deep/empty")

    assert place.disk.listdir(place / "deep") == []


def test_remove_tree_takes_the_tree_and_not_what_its_links_lead_to(place: Place) -> None:
    """A link in a tree is removed as itself."""
    place.disk.mkdir(place / "tree/a/b")
    place.disk.write(place / "tree/a/b/c", b"")
    place.disk.replace(place / "dirlink", place / "tree/away")

    place.disk.remove_tree(place / "tree")

    assert place.disk.info(place / "tree") is None
    assert place.disk.listdir(place / "full") == ["inner"]


def test_mkdir_makes_parents_and_is_content_with_what_is_there(place: Place) -> None:
    """Also through a link to a directory."""
    place.disk.mkdir(place / "a/b/c")
    place.disk.mkdir(place / "a/b")
    place.disk.mkdir(place / "dirlink/d")

    assert place.disk.listdir(place / "a/b") == ["c"]
    assert place.disk.listdir(place / "full") == ["d", "inner"]


def test_info_tells_kinds_apart_and_none_for_nothing(place: Place) -> None:
    """A link is neither a file nor a directory, whatever it leads to."""
    kinds = {name: place.disk.info(place / name) for name in ("file", "full", "link", "dirlink", "fifo")}

    shown = {name: (info.is_file, info.is_dir) for name, info in kinds.items() if info is not None}
    assert shown == {
        "file": (True, False),
        "full": (False, True),
        "link": (False, False),
        "dirlink": (False, False),
        "fifo": (False, False),
    }
    assert place.disk.info(place / "none") is None
    assert place.disk.info(place / "file/x") is None


def test_a_lock_is_held_by_one_until_it_is_released(place: Place) -> None:
    """Releasing twice is harmless, and does not release the next holder's lock."""
    path = place / "deep/run.lock"
    first = place.disk.lock(path)
    with pytest.raises(LockHeld):
        place.disk.lock(path)
    assert place.disk.locked(path)

    first.release()
    assert not place.disk.locked(path)
    with place.disk.lock(path):
        first.release()
        assert place.disk.locked(path)
    assert not place.disk.locked(path)


def test_a_lock_that_nobody_ever_took_is_not_held(place: Place) -> None:
    """Asking leaves no file behind."""
    assert not place.disk.locked(place / "run.lock")
    assert "run.lock.held" not in place.disk.listdir(place.root)


def test_who_looks_at_a_lock_is_not_taken_for_its_holder(tmp_path: Path) -> None:
    """Even while another look at it is going on."""
    disk, path = RealDisk(), tmp_path / "run.lock"
    disk.lock(path).release()
    with (tmp_path / "run.lock.held").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)

        assert not disk.locked(path)


def test_without_posix_a_file_is_synced_and_a_directory_is_left_to_its_file_system(tmp_path: Path) -> None:
    """There only what can be written can be synced, and no directory can be opened so."""
    disk = RealDisk(posix=False)
    disk.write(tmp_path / "file", b"x")
    disk.fsync(tmp_path / "file")
    disk.fsync(tmp_path)

    with pytest.raises(IsADirectoryError):
        os.open(tmp_path, os.O_RDWR)
    with pytest.raises(FileNotFoundError):
        disk.fsync(tmp_path / "nothing")


def test_free_bytes_is_positive_where_there_is_room(place: Place) -> None:
    """For a directory and for a file."""
    assert place.disk.free_bytes(place.root) > 0
    assert place.disk.free_bytes(place / "file") > 0


NAMES = ("a", "b", "a/x", "b/x", "a/x/y")

OPERATIONS: tuple[Callable[[Disk, str, str], object], ...] = (
    lambda d, one, _: d.read(one),
    lambda d, one, _: d.write(one, b"w"),
    lambda d, one, _: d.append(one, b"+"),
    lambda d, one, _: d.truncate(one, 1),
    lambda d, one, _: d.fsync(one),
    lambda d, one, other: d.replace(one, other),
    lambda d, one, other: d.replace(one, other),
    lambda d, one, _: d.remove(one),
    lambda d, one, _: d.remove_tree(one),
    lambda d, one, _: d.remove_directory(one),
    lambda d, one, _: d.mkdir(one),
    lambda d, one, _: d.listdir(one),
    lambda d, one, _: d.info(one),
)


def tried(operation: Callable[[], object]) -> object:
    """What came of it: an answer without its times and directory sizes, or the name of the code."""
    try:
        answer = operation()
    except OSError as refusal:
        return errno.errorcode[refusal.errno or 0]
    if isinstance(answer, FileInfo):
        return (answer.is_file, answer.is_dir, answer.size if answer.is_file else None)
    return answer


@pytest.mark.skipif(sys.platform != "linux", reason="the codes are those of Linux")
@pytest.mark.parametrize("seed", range(12))
def test_both_disks_go_through_the_same_story_alike(tmp_path: Path, seed: int) -> None:
    """A hundred operations drawn at random, each with the same answer; a replay of the log ends in the same place."""
    chance = random.Random(seed)
    root = str(tmp_path)
    memory = MemoryDisk()
    memory.mkdir(root)
    for step in range(100):
        operation = chance.choice(OPERATIONS)
        one, other = (f"{root}/{chance.choice(NAMES)}" for _ in range(2))
        answers = [tried(partial(operation, disk, one, other)) for disk in (RealDisk(), memory)]
        assert answers[0] == answers[1], f"seed {seed}, step {step}"

    image = memory.crash_image()
    assert image.paths() == memory.paths()
    assert [tried(partial(image.read, p)) for p in image.paths()] == [
        tried(partial(memory.read, p)) for p in image.paths()
    ]
