"""What a simulated disk remembers: every change, and which of them a power cut could still undo."""

from __future__ import annotations

import itertools

import pytest

from backends.clock import VirtualClock
from backends.disk import LockHeld
from backends.memory_disk import Loss, MemoryDisk, Part


def saved(disk: MemoryDisk) -> MemoryDisk:
    """A state file written as it should be: draft, fsync, rename, fsync of the directory."""
    disk.mkdir("/run")
    disk.write("/run/draft", b"new")
    disk.fsync("/run/draft")
    disk.replace("/run/draft", "/run/state")
    disk.fsync("/run")
    return disk


def contents(disk: MemoryDisk) -> dict[str, bytes]:
    """Every file with what is in it."""
    found = {path: disk.info(path) for path in disk.paths()}
    return {path: disk.read(path) for path, info in found.items() if info is not None and info.is_file}


def test_every_change_is_logged_in_order_and_a_refused_one_is_not() -> None:
    """Operation, path and size in bytes."""
    disk = saved(MemoryDisk())
    disk.append("/run/log", b"line\n")
    with pytest.raises(FileExistsError):
        disk.write("/run/log", b"")

    assert [(m.operation, m.path, m.size) for m in disk.mutations] == [
        ("mkdir", "/run", 0),
        ("write", "/run/draft", 3),
        ("fsync", "/run/draft", 0),
        ("replace", "/run/draft", 3),
        ("fsync", "/run", 0),
        ("append", "/run/log", 5),
    ]


def test_an_image_is_the_disk_as_it_stood_after_so_many_changes() -> None:
    """What the next process finds when this one is killed there."""
    disk = saved(MemoryDisk())

    assert [contents(disk.crash_image(n)) for n in range(6)] == [
        {},
        {},
        {"/run/draft": b"new"},
        {"/run/draft": b"new"},
        {"/run/state": b"new"},
        {"/run/state": b"new"},
    ]


def test_an_image_replays_every_kind_of_change() -> None:
    """Appends, truncations, removals, renamed directories and removed trees end as on the disk itself."""
    disk = saved(MemoryDisk())
    disk.append("/run/log", b"one")
    disk.append("/run/log", b"two")
    disk.truncate("/run/log", 4)
    disk.mkdir("/run/a/b")
    disk.write("/run/a/b/c", b"c")
    disk.replace("/run/a", "/run/moved")
    disk.mkdir("/gone/deep")
    disk.write("/gone/deep/x", b"")
    disk.remove_tree("/gone")
    disk.write("/run/brief", b"")
    disk.remove("/run/brief")
    disk.replace("/run/log", "/run/state")

    image = disk.crash_image()
    assert image.paths() == disk.paths()
    assert contents(image) == contents(disk) == {"/run/state": b"onet", "/run/moved/b/c": b"c"}


def test_an_image_is_independent_and_begins_its_own_log() -> None:
    """Recovery on the image changes nothing of the disk that it was made from."""
    disk = saved(MemoryDisk())
    image = disk.crash_image()

    image.append("/run/state", b"er")

    assert contents(disk) == {"/run/state": b"new"}
    assert len(image.mutations) == 1


def test_only_what_was_synced_is_safe() -> None:
    """Bytes by their file, names by their directory."""
    disk = saved(MemoryDisk())
    assert disk.unsynced() == [Loss(0, Part.ENTRY)]
    assert disk.unsynced(4) == [Loss(0, Part.ENTRY), Loss(1, Part.ENTRY), Loss(3, Part.ENTRY)]
    assert disk.unsynced(2) == [Loss(0, Part.ENTRY), Loss(1, Part.ENTRY), Loss(1, Part.DATA)]

    disk.fsync("/")
    disk.append("/run/state", b"!")
    assert disk.unsynced() == [Loss(6, Part.DATA)]


def test_a_rename_without_a_sync_of_the_bytes_can_leave_an_empty_file() -> None:
    """The classic mistake is visible."""
    disk = MemoryDisk()
    disk.write("/draft", b"new")
    disk.replace("/draft", "/state")
    disk.fsync("/")

    assert disk.unsynced() == [Loss(0, Part.DATA)]
    assert contents(disk.crash_image(lost=disk.unsynced())) == {"/state": b""}


def test_whatever_is_lost_a_saved_state_is_old_or_new() -> None:
    """Every subset of what a power cut can take, after every change, leaves one of the two whole."""
    disk = MemoryDisk()
    disk.write("/state", b"old")
    disk.fsync("/state")
    disk.fsync("/")
    begun = len(disk.mutations)
    disk.write("/draft", b"new")
    disk.fsync("/draft")
    disk.replace("/draft", "/state")
    disk.fsync("/")

    for upto in range(begun, len(disk.mutations) + 1):
        unsynced = disk.unsynced(upto)
        for size in range(len(unsynced) + 1):
            for lost in itertools.combinations(unsynced, size):
                assert disk.crash_image(upto, lost).read("/state") in (b"old", b"new")


def test_lost_bytes_before_kept_ones_read_as_zeros() -> None:
    """The file has grown, the block in the middle was never written."""
    disk = MemoryDisk()
    for line in (b"one\n", b"two\n", b"three\n"):
        disk.append("/log", line)

    assert disk.crash_image(lost=[Loss(1, Part.DATA)]).read("/log") == b"one\n\0\0\0\0three\n"
    assert disk.crash_image(lost=[Loss(2, Part.DATA)]).read("/log") == b"one\ntwo\n"


def test_of_a_torn_write_only_the_first_bytes_arrive() -> None:
    """What follows it leaves a gap of zeros; what does not, a shorter file."""
    disk = MemoryDisk()
    disk.write("/log", b"one\n")
    disk.append("/log", b"two\n")

    assert disk.crash_image(torn={1: 2}).read("/log") == b"one\ntw"
    assert disk.crash_image(torn={0: 1}).read("/log") == b"o\0\0\0two\n"
    assert disk.crash_image(torn={0: 0, 1: 0}).read("/log") == b""


def test_what_was_made_in_a_lost_directory_is_lost_with_it() -> None:
    """Nothing leads there any more."""
    disk = saved(MemoryDisk())

    assert disk.crash_image(lost=[Loss(0, Part.ENTRY)]).paths() == ["/"]


def test_a_lost_removal_brings_the_file_back() -> None:
    """With its bytes."""
    disk = saved(MemoryDisk())
    disk.remove("/run/state")
    number = len(disk.mutations) - 1

    assert contents(disk) == {}
    assert contents(disk.crash_image(lost=[Loss(number, Part.ENTRY)])) == {"/run/state": b"new"}


def test_locks_die_with_their_holder_and_are_in_no_image() -> None:
    """A handle from before has nothing to give back."""
    disk = MemoryDisk()
    stale = disk.lock("/run/run.lock")
    assert not disk.crash_image().locked("/run/run.lock")

    disk.forget_locks()
    with disk.lock("/run/run.lock"):
        stale.release()
        with pytest.raises(LockHeld):
            disk.lock("/run/run.lock")


def test_times_are_those_of_the_clock() -> None:
    """In seconds since the epoch, as the last change left them."""
    clock = VirtualClock(wall=1000.0)
    disk = MemoryDisk(clock)
    disk.append("/log", b"x")
    clock.sleep(5)
    disk.append("/log", b"x")
    disk.write("/other", b"")

    infos = [disk.info("/log"), disk.info("/other")]
    assert [info and info.modified for info in infos] == [1005.0, 1005.0]


def test_paths_name_the_same_file_however_they_are_written() -> None:
    """Relative ones begin at the root."""
    disk = MemoryDisk()
    disk.mkdir("run/./a/../b/")
    disk.append("run//b/file", b"x")

    assert disk.paths() == ["/", "/run", "/run/b", "/run/b/file"]


def test_a_disk_without_room_takes_no_byte_and_keeps_what_it_has() -> None:
    """A new file is there and empty, as on a real disk that is full; what was there is as it was, and can be replaced."""
    disk = MemoryDisk()
    disk.write("/old", b"kept")
    disk.free = 0
    with pytest.raises(OSError, match="No space left on device"):
        disk.write("/new", b"x")
    with pytest.raises(OSError, match="No space left on device"):
        disk.append("/old", b"x")
    seen = disk.read("/old"), disk.read("/new")
    disk.replace("/new", "/old")

    assert seen == (b"kept", b"")
    assert disk.read("/old") == b""
