"""Around a disk: writes that fail, tear, get lost, or are the last thing that happens."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.clock import VirtualClock
from backends.disk import Disk, LockHeld, RealDisk
from backends.memory_disk import MemoryDisk
from faults import FaultPlan, Injector, SimulatedDeath
from faults.catalog import DISK_FILES, DISK_OPERATIONS
from faults.wrappers import file_kind

RUN = "/kept/runs/run-1"


def faulty(text: str) -> tuple[Disk, MemoryDisk, Injector]:
    """A disk with that plan, the disk behind it, and the injector."""
    behind = MemoryDisk()
    behind.mkdir(RUN)
    injector = Injector(FaultPlan.parse(text), clock=VirtualClock())
    return injector.disk(behind), behind, injector


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("state.json", "state"),
        ("state.json.bak", "state"),
        (".state.json.a1b2c3", "state"),
        (".state.json.bak.a1b2c3", "state"),
        ("journal.jsonl", "journal"),
        ("crash.txt", "crash"),
        (".crash.txt.tmp", "crash"),
        ("crash/1-20.json", "crash"),
        ("crash/.1-20.json.tmp", "crash"),
        ("crash", "crash"),
        ("run.lock", "lock"),
        ("run.lock.held", "lock"),
        ("events", "events"),
        ("events/00000001.json", "events"),
        ("events/.00000001.json.77", "events"),
        ("tasks/1-1/result.json", "results"),
        ("tasks/events/result.json", "results"),
        ("tasks/1-1/.result.json.x", "results"),
        ("tasks/events/prompt.txt", "other"),
        ("tasks/events", "other"),
        ("tasks/1-1", "other"),
        ("logs/1-1.log", "other"),
        ("plan.toml", "other"),
        ("", "other"),
    ],
)
def test_a_file_is_known_by_its_place_in_the_run(path: str, kind: str) -> None:
    """Temporaries count as what they will be; a task may have any name."""
    assert file_kind(f"{RUN}/{path}") == kind
    assert file_kind(Path(RUN) / path) == kind
    assert kind in DISK_FILES


def _use(disk: Disk, operation: str) -> object:
    path = f"{RUN}/state.json"
    uses: dict[str, Callable[[], object]] = {
        "write": lambda: disk.write(path, b"{}"),
        "append": lambda: disk.append(path, b"{}"),
        "fsync": lambda: disk.fsync(path),
        "replace": lambda: disk.replace(path, path),
        "read": lambda: disk.read(path),
        "mkdir": lambda: disk.mkdir(path),
        "open": lambda: disk.lock(path),
        "truncate": lambda: disk.truncate(path, 0),
        "remove": lambda: disk.remove(path),
        "listdir": lambda: disk.listdir(path),
    }
    return uses[operation]()


@pytest.mark.parametrize("operation", DISK_OPERATIONS)
def test_every_disk_operation_fails_before_it_has_an_effect(operation: str) -> None:
    """The errno is that of the plan, and nothing has changed."""
    disk, behind, _ = faulty(f"disk.{operation}:state=1*oserror(EROFS)")

    with pytest.raises(OSError, match="Read-only") as failure:
        _use(disk, operation)

    assert failure.value.errno == errno.EROFS
    assert behind.listdir(RUN) == []


@pytest.mark.parametrize("operation", DISK_OPERATIONS)
def test_every_disk_operation_can_be_the_last_one(operation: str) -> None:
    """From the death on no operation works, not even those without a point."""
    disk, behind, _ = faulty(f"disk.{operation}:state=die")

    with pytest.raises(SimulatedDeath):
        _use(disk, operation)
    for other in DISK_OPERATIONS:
        with pytest.raises(SimulatedDeath):
            _use(disk, other)
    for look in (disk.info, disk.locked, disk.free_bytes):
        with pytest.raises(SimulatedDeath):
            look(RUN)

    assert behind.listdir(RUN) == []


@pytest.mark.parametrize("action", ["die", "oserror(EIO)"])
def test_a_lost_answer_of_the_disk_comes_after_the_effect(action: str) -> None:
    """The file is whole, and nobody was told."""
    disk, behind, _ = faulty(f"disk.write:state=1*lost:{action}")

    with pytest.raises((SimulatedDeath, OSError)):
        disk.write(f"{RUN}/state.json", b"{}")

    assert behind.read(f"{RUN}/state.json") == b"{}"


def test_a_torn_append_is_a_short_one() -> None:
    """As many bytes as planned land, and the answer says so."""
    disk, behind, _ = faulty("disk.append:journal=1*torn(3)")

    assert disk.append(f"{RUN}/journal.jsonl", b"abcdef") == 3
    assert disk.append(f"{RUN}/journal.jsonl", b"def\n") == 4
    assert behind.read(f"{RUN}/journal.jsonl") == b"abcdef\n"


def test_a_torn_write_leaves_a_part_and_fails() -> None:
    """The disk was full in the middle."""
    disk, behind, injector = faulty("disk.write:state=1*torn(3)")

    with pytest.raises(OSError, match="No space left") as failure:
        disk.write(f"{RUN}/state.json", b"abcdef")

    assert behind.read(f"{RUN}/state.json") == b"abc"
    assert any("disk.write:state=1*torn(3)" in note for note in failure.value.__notes__)
    assert injector.unfired() == []


def test_a_lost_sync_says_that_it_is_done() -> None:
    """Nothing tells the caller that a power cut would still undo the write."""
    disk, behind, _ = faulty("disk.fsync:state=1*nosync")
    disk.write(f"{RUN}/state.json", b"{}")

    disk.fsync(f"{RUN}/state.json")
    assert behind.mutations[-1].operation == "write"
    disk.fsync(f"{RUN}/state.json")
    assert behind.mutations[-1].operation == "fsync"


def test_the_kernel_gives_back_the_locks_of_the_dead(tmp_path: Path) -> None:
    """Who resumes after a SIGKILL finds the lock free."""
    behind = RealDisk()
    disk = Injector(FaultPlan.parse("disk.append:journal=die"), clock=VirtualClock()).disk(behind)
    disk.lock(tmp_path / "run.lock")
    assert behind.locked(tmp_path / "run.lock")

    with pytest.raises(SimulatedDeath):
        disk.append(tmp_path / "journal.jsonl", b"x")

    assert not behind.locked(tmp_path / "run.lock")


def test_a_lock_whose_answer_is_lost_is_held_by_nobody() -> None:
    """Whoever got no handle cannot give it back; the kernel does."""
    disk, behind, _ = faulty("disk.open:lock=1*lost:oserror(EIO)")

    with pytest.raises(OSError, match="Input/output"):
        disk.lock(f"{RUN}/run.lock")

    assert not behind.locked(f"{RUN}/run.lock")


def test_a_lock_that_would_block_is_held_by_somebody_else() -> None:
    """The planned errno comes as the error that a real lock raises."""
    disk, _, _ = faulty("disk.open:lock=1*oserror(EWOULDBLOCK)")

    with pytest.raises(LockHeld):
        disk.lock(f"{RUN}/run.lock")
    disk.lock(f"{RUN}/run.lock").release()


def test_a_replace_belongs_to_its_target() -> None:
    """The temporary becomes the state: that is where the fault is."""
    disk, behind, injector = faulty("disk.replace:state=1*oserror(EIO)")
    behind.write(f"{RUN}/strange-name", b"{}")

    with pytest.raises(OSError, match="Input/output"):
        disk.replace(f"{RUN}/strange-name", f"{RUN}/state.json")

    assert injector.reached == {"disk.replace:state": 1}


def test_a_rule_can_filter_by_path() -> None:
    """One file of many can be the broken one."""
    disk, _, _ = faulty("disk.read:events[path=*/00000002.json]=oserror(EIO)")
    for name in ("00000001.json", "00000002.json"):
        disk.mkdir(f"{RUN}/events")
        disk.write(f"{RUN}/events/{name}", b"{}")

    assert disk.read(f"{RUN}/events/00000001.json") == b"{}"
    with pytest.raises(OSError, match="Input/output"):
        disk.read(f"{RUN}/events/00000002.json")


def test_without_a_rule_the_disk_is_the_one_behind() -> None:
    """Every operation is handed on with its answer."""
    disk, behind, _ = faulty("")
    disk.write(f"{RUN}/a", b"abc")
    disk.replace(f"{RUN}/a", f"{RUN}/b")
    disk.truncate(f"{RUN}/b", 1)

    assert (disk.read(f"{RUN}/b"), disk.listdir(RUN), disk.info(f"{RUN}/b")) == (b"a", ["b"], behind.info(f"{RUN}/b"))
    assert disk.free_bytes(RUN) == behind.free_bytes(RUN)
    disk.remove_tree(RUN)
    assert behind.info(RUN) is None
