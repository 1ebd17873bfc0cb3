"""The lock of a run: one drives, everybody else is told who, and nobody takes away what is another's."""

from __future__ import annotations

import errno
from collections.abc import Mapping

import msgspec
import pytest
from record_world import RUN, FailingDisk, World

from backends.disk import StrPath
from harness.record import Holder, RunLocked, read_holder

LOCK = f"{RUN}/run.lock"


class Keeping(FailingDisk):
    """A disk that removes nothing."""

    def remove(self, path: StrPath) -> None:
        """Fails."""
        raise OSError(errno.EROFS, "read-only", str(path))


def bounded(world: World) -> World:
    """The world, in which nobody may wait for five seconds."""

    def late() -> None:
        raise AssertionError("still waiting")

    world.clock.call_at(5.0, late)
    return world


def claimed(world: World, change: Mapping[str, object]) -> None:
    """A lock text of this world's process, apart from `change`."""
    me = world.processes.me()
    holder = Holder(me.pid, me.started, me.boot_id, world.processes.host(), 1, 0.0)
    world.put(LOCK, msgspec.json.encode(msgspec.structs.replace(holder, **change)))


def test_the_lock_says_who_holds_it_since_when() -> None:
    """The process, the epoch if that is known, and the wall clock's seconds."""
    world = World()
    me = world.processes.me()

    lock = world.store().lock()

    holder = Holder(me.pid, me.started, me.boot_id, "simhost", 0, world.clock.wall())
    assert read_holder(world.disk, LOCK) == lock.holder == holder
    assert str(holder) == "pid 5000000 on simhost, since 2026-01-01T00:00:00.000Z"


def test_what_is_prepared_has_a_name_of_its_own() -> None:
    """Two that write the same file at once do not get into each other's way."""
    world = World()
    for _ in range(2):
        world.store().lock(1).release()

    prepared = [path for operation, path in world.disk.done if operation == "write"]
    assert all(path.startswith(f"{RUN}/.run.lock.") and path.endswith(".tmp") for path in prepared)
    assert len(set(prepared)) == 2


def test_a_lock_that_was_given_back_is_somebody_else_s() -> None:
    """Giving it back again takes nothing away from who holds it by then."""
    world = World()
    first = world.store().lock(1)
    first.release()
    world.store().lock(2)

    first.release()

    assert first.held is False
    assert (holder := read_holder(world.disk, LOCK)) is not None
    assert holder.epoch == 2


def test_a_lock_is_given_back_where_its_text_cannot_be_removed() -> None:
    """The text is only a message; the lock itself is free."""
    world = World(disk=Keeping())
    world.store().lock(1).release()

    assert not world.disk.locked(LOCK)
    assert read_holder(world.disk, LOCK) is not None


@pytest.mark.parametrize(
    ("change", "waited_s"),
    [({}, 0.0), ({"host": "elsewhere"}, 0.0), ({"host": "elsewhere", "pid": 7}, 0.0), ({"pid": 7}, 0.3)],
)
def test_who_may_be_alive_is_not_waited_for(change: dict[str, object], waited_s: float) -> None:
    """On another host nobody can tell; the text of a process that is gone is no claim."""
    world = bounded(World())
    with world.disk.lock(LOCK):
        claimed(world, change)
        with pytest.raises(RunLocked, match=r"\Ar-1 is being driven by pid "):
            world.store().lock(1)

    assert waited_s <= world.clock.monotonic() < waited_s + 0.05


def test_nobody_waits_for_ever_for_a_lock_that_says_nothing() -> None:
    """And the message says that it is not known who has it."""
    world = bounded(World())
    with world.disk.lock(LOCK), pytest.raises(RunLocked) as raised:
        world.store().lock(1)

    assert str(raised.value) == "r-1 is being driven by another engine (it did not say which)"


@pytest.mark.parametrize("text", [b"", b"\xff", b"{}", b"[" * 5000, b'{"pid":"x"}', b" " * 70_000])
def test_a_lock_text_that_makes_no_sense_names_nobody(text: bytes) -> None:
    """Nor does one that is missing, or far too long."""
    world = World()
    assert read_holder(world.disk, LOCK) is None
    world.put(LOCK, text)

    assert read_holder(world.disk, LOCK) is None


@pytest.mark.parametrize(("length", "read"), [(65_536, True), (65_537, False)])
def test_a_lock_text_is_read_as_far_as_any_is_long(length: int, read: bool) -> None:
    """Nobody fills a reader's memory with one."""
    world = World()
    world.store().lock()
    text = world.disk.read(LOCK)
    world.put(LOCK, text + b" " * (length - len(text)))

    assert (read_holder(world.disk, LOCK) is not None) == read
