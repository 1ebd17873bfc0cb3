"""What a status is judged by is told from every source, and what is odd about one is told with it."""

from __future__ import annotations

import errno
from collections.abc import Callable

import msgspec
import pytest
from record_world import RUN, FailingDisk, World

from backends.disk import FileInfo, StrPath
from backends.processes import Liveness
from harness.record import (
    Attempt,
    Crashed,
    CrashRef,
    Driver,
    Evidence,
    Finished,
    Holder,
    Paused,
    Pending,
    RunState,
    Stopped,
    TaskPhase,
    TaskState,
    Waiting,
    Witness,
)
from harness.record.state import encode_state

NOW = 1_767_225_600.0


class Unruly(FailingDisk):
    """A disk that can also fail to list, to look and to say whether something is locked."""

    def listdir(self, path: StrPath) -> list[str]:
        """Lists, unless it fails."""
        self._ask("listdir", path)
        return super().listdir(path)

    def info(self, path: StrPath) -> FileInfo | None:
        """Looks, unless it fails."""
        self._ask("info", path)
        return super().info(path)

    def locked(self, path: StrPath) -> bool:
        """Says it, unless it fails."""
        self._ask("locked", path)
        return super().locked(path)


def unruly(fails: Callable[[str, str], int | None]) -> World:
    """A world with a run that was just made, whose disk then fails so."""
    world = World(disk=Unruly())
    world.begun()
    world.disk.fails = fails
    return world


def test_the_evidence_about_a_healthy_run_is_complete() -> None:
    """Every source, the driver, and nothing odd."""
    world = World()
    store, state = world.begun()
    state.degraded_since = 5.0
    world.clock.sleep(10)
    store.save(state)

    assert world.store().evidence(Liveness.ALIVE) == Evidence(
        state=Witness("state.json", 1, 1, NOW + 10),
        backup=Witness("state.json.bak", 1, 1, NOW),
        journal=Witness("journal.jsonl", 1, 1, NOW),
        driver=Liveness.ALIVE,
        driver_text="pid 5000000 on simhost",
        session=Liveness.ALIVE,
        degraded_since=5.0,
        crash_file="crash/",
        now=NOW + 10,
    )


def test_what_agents_wait_for_is_told_with_that_of_the_newest_run_inside() -> None:
    """Only the newest attempt of a task can still be waiting, and a run inside that has ended waits for nothing."""
    world = World()
    store, state = world.begun()
    state.tasks = [TaskState("a", attempts=[Attempt(1, "t", pending="old"), Attempt(2, "u", pending="to write")])]
    state.nested = ["run-1-n1-1", "run-1-n1-2"]
    store.save(state)
    for name, asks, ending in (("run-1-n1-1", "earlier", None), ("run-1-n1-2", "to read", None)):
        tasks = [TaskState("b", attempts=[Attempt(1, "v", pending=asks)])]
        inner = RunState(name, tasks=tasks, ending=ending, driver=state.driver)
        world.put(f"{RUN}/nested/{name}/state.json", encode_state(inner))
    assert world.store().evidence().pending == (Pending("a", "to write"), Pending("b", "to read"))

    world.put(f"{RUN}/nested/run-1-n1-2/state.json", encode_state(RunState("n", ending=Finished(), tasks=inner.tasks)))
    assert world.store().evidence().pending == (Pending("a", "to write"),)


def test_only_a_task_that_is_to_begin_again_waits_for_a_time() -> None:
    """One that is at work, or is over, has waited; one of the newest run inside counts as well."""
    world = World()
    store, state = world.begun()
    later = {phase: TaskState(phase.value, phase=phase, not_before=NOW + 9) for phase in TaskPhase}
    state.tasks = [*later.values(), TaskState("free")]
    state.nested = ["inner"]
    inner = RunState("inner", tasks=[TaskState("b", not_before=NOW + 5)], driver=state.driver)
    world.put(f"{RUN}/nested/inner/state.json", encode_state(inner))
    store.save(state)

    assert world.store().evidence().waiting == (Waiting("pending", NOW + 9), Waiting("b", NOW + 5))


def test_what_was_asked_inside_of_an_earlier_epoch_is_not_asked_now() -> None:
    """The driver of that run inside is gone, and so are its agents, although nobody has written that down."""
    world = World()
    store, state = world.begun()
    inner = RunState(
        "inner", tasks=[TaskState("b", attempts=[Attempt(1, "v", pending="to read")])], driver=state.driver
    )
    world.put(f"{RUN}/nested/inner/state.json", encode_state(inner))
    state.nested = ["inner"]
    state.rearm(2)
    state.driver = Driver(pid=77, started=5.0, boot_id="boot-1", host="simhost")
    store.save(state)

    assert world.store().evidence().pending == ()


def test_a_crash_is_told_by_its_record_with_its_child() -> None:
    """When it was, what was raised, and where the whole of it is to be read."""
    world = World()
    store, state = world.begun()
    world.clock.sleep(3)
    store.file_crash(ValueError("boom"), state, child="nested/c/crash/1-4.json")

    evidence = world.store().evidence()

    ending = Crashed("ValueError: boom", "crash/1-2.json", "nested/c/crash/1-4.json")
    assert evidence.crashes == (Witness("crash/1-2.json", 1, 2, NOW + 3, ending),)
    assert evidence.journal == Witness("journal.jsonl", 1, 2, NOW + 3, ending)
    assert (evidence.crash_file, evidence.notes) == ("crash.txt", ())


def test_crash_records_are_told_in_the_order_of_their_numbers() -> None:
    """Not of their names, and what has no such name is none."""
    world = World()
    world.begun()
    for name in ("2-1", "1-10", "1-9"):
        world.put(f"{RUN}/crash/{name}.json", b'{"error":"X: %s","at":4.5}' % name.encode())
    for name in ("1-9.json.tmp", "x1-9.json", "1-.json", "1-2.txt", f"1-{'9' * 19}.json"):
        world.put(f"{RUN}/crash/{name}", b"{}")

    found = world.store().evidence().crashes

    assert [(one.source, one.epoch, one.seq, one.at) for one in found] == [
        ("crash/1-9.json", 1, 9, 4.5),
        ("crash/1-10.json", 1, 10, 4.5),
        ("crash/2-1.json", 2, 1, 4.5),
    ]


def test_a_crash_text_counts_where_its_record_is_lost() -> None:
    """With the epoch and number that its second line names; beside its record it adds nothing."""
    world = World()
    store, state = world.begun()
    store.file_crash(ValueError("boom \udc80"), state)
    assert len(world.store().evidence().crashes) == 1
    world.disk.remove(f"{RUN}/crash/1-2.json")

    assert world.store().evidence().crashes == (
        Witness("crash.txt", 1, 2, 0.0, Crashed("ValueError: boom \\udc80", None, None)),
    )
    world.put(f"{RUN}/crash.txt", b"CRASHED: \xff\nrun r, epoch 3, seq 4, now\n")
    assert world.store().evidence().crashes == (Witness("crash.txt", 3, 4, 0.0, Crashed("\\xff")),)
    world.put(f"{RUN}/crash.txt", b"something else")
    assert world.store().evidence().crashes == ()


def test_a_crash_record_that_says_nothing_still_is_one() -> None:
    """Its name is enough, and it is told that the rest is lost."""
    world = World()
    world.begun()
    world.put(f"{RUN}/crash/1-2.json", b"\0")
    world.put(f"{RUN}/crash/1-3.json", b"{}")

    evidence = world.store().evidence()

    assert evidence.crashes == (
        Witness("crash/1-2.json", 1, 2, 0.0, Crashed("unknown error", "crash/1-2.json")),
        Witness("crash/1-3.json", 1, 3, 0.0, Crashed("unknown error", "crash/1-3.json")),
    )
    assert evidence.notes == ("crash/1-2.json cannot be read",)
    assert not evidence.damaged


def test_every_damaged_source_is_told() -> None:
    """What is damaged comes first; what is only missing is no damage."""
    world = World()
    store, state = world.begun()
    store.save(state)
    world.put(f"{RUN}/state.json.bak", b"{}")
    world.put(f"{RUN}/journal.jsonl", b"x\n")
    world.disk.remove(f"{RUN}/state.json")

    evidence = world.store().evidence()

    assert (evidence.state, evidence.backup, evidence.journal, evidence.damaged) == (None, None, None, True)
    assert evidence.notes == (
        "state.json.bak cannot be read: not a run's state: Object missing required field `run_id`",
        "journal line 1 is damaged (1 bytes)",
        "state.json is missing",
    )


def test_a_line_that_was_not_finished_is_no_damage() -> None:
    """Nobody was ever told that it was written."""
    world = World()
    world.begun()
    world.disk.append(f"{RUN}/journal.jsonl", b'{"seq":2')

    evidence = world.store().evidence()

    assert (evidence.notes, evidence.damaged) == (("journal line 2 lacks its end (8 bytes)",), False)


@pytest.mark.parametrize(
    ("operation", "path", "note", "damaged"),
    [
        ("read", f"{RUN}/state.json", "state.json cannot be read: EIO", True),
        ("read", f"{RUN}/journal.jsonl", "journal.jsonl cannot be read: EIO", True),
        ("listdir", f"{RUN}/crash", "crash records cannot be listed: EIO", False),
        ("locked", f"{RUN}/run.lock", "whether the run is locked cannot be known: EIO", False),
    ],
)
def test_a_source_that_cannot_be_asked_is_a_note(operation: str, path: str, note: str, damaged: bool) -> None:
    """With what the disk says, and the other sources stand."""
    world = unruly(lambda asked, where: errno.EIO if (asked, where) == (operation, path) else None)

    evidence = world.store().evidence()

    assert evidence.notes == (note,)
    assert evidence.damaged == damaged
    assert not evidence.lock_held
    assert evidence.state is not None or evidence.journal is not None


def test_where_to_look_for_a_crash_is_told_in_any_case() -> None:
    """Where nobody can say whether its text is there, the directory."""
    world = unruly(lambda asked, where: errno.EIO if (asked, where) == ("info", f"{RUN}/crash.txt") else None)

    assert world.store().evidence().crash_file == "crash/"


@pytest.mark.parametrize("name", ["state.json", "state.json.bak"])
def test_a_newer_snapshot_says_which_it_is(name: str) -> None:
    """Nothing may be concluded, and the reason names the file."""
    world = World()
    _, state = world.begun()
    world.put(f"{RUN}/{name}", msgspec.json.encode(state.to_dict() | {"schema": 2}))

    evidence = world.store().evidence()

    assert evidence.unusable.startswith(f"{name}: written by a newer version")
    assert not evidence.damaged


def test_the_lock_is_held_while_an_engine_has_it() -> None:
    """And no longer."""
    world = World()
    world.begun()

    with world.store().lock():
        assert world.store().evidence().lock_held
    assert not world.store().evidence().lock_held


@pytest.mark.parametrize(
    ("epoch", "of_state", "told"),
    [
        (0, 2, "pid 7 on simhost"),
        (1, 2, "pid 5000000 on simhost"),
        (2, 2, "pid 7 on simhost"),
        (3, 2, "pid 7 on simhost"),
    ],
)
def test_the_lock_names_the_driver_unless_the_state_is_newer(epoch: int, of_state: int, told: str) -> None:
    """A text that somebody left who drove an earlier epoch says nothing about this one."""
    world = World()
    store, state = world.begun()
    state.epoch = of_state
    store.save(state)
    world.put(f"{RUN}/run.lock", msgspec.json.encode(Holder(7, 1.0, "boot", "simhost", epoch)))

    assert world.store().evidence().driver_text == told


def test_who_holds_the_lock_drives_where_no_state_names_anybody() -> None:
    """Whatever epoch either of them tells of."""
    world = World()
    world.put(f"{RUN}/run.lock", msgspec.json.encode(Holder(7, 1.0, "boot", "simhost", 1)))
    assert world.store().evidence().driver_text == "pid 7 on simhost"

    state = world.state()
    state.driver, state.epoch = None, 5
    world.put(f"{RUN}/state.json", msgspec.json.encode(state.to_dict()))
    assert world.store().evidence().driver_text == "pid 7 on simhost"


@pytest.mark.parametrize(
    ("driver", "liveness"),
    [
        (Driver(1000, 1.0, "boot-0", "simhost"), Liveness.DEAD),
        (Driver(1000, 1.0, "boot-0", "elsewhere"), Liveness.UNKNOWN),
        (None, Liveness.DEAD),
    ],
)
def test_a_driver_is_asked_for_on_its_own_host_only(driver: Driver | None, liveness: Liveness) -> None:
    """A run of this version's shape that names none has none."""
    world = World()
    store, state = world.begun()
    state.driver = driver
    store.save(state)

    assert world.store().evidence().driver is liveness


def test_without_a_driver_the_shape_of_the_record_decides() -> None:
    """A journal alone is of this version's shape; nothing at all, or an older document, proves nothing."""
    world = World()
    assert world.store().evidence().driver is Liveness.UNKNOWN
    world.put(f"{RUN}/state.json", b'{"run_id": "r-1"}')
    assert world.store().evidence().driver is Liveness.UNKNOWN
    world.put(f"{RUN}/journal.jsonl", b'{"seq":1,"epoch":1,"at":2.5,"event":"x"}\n')
    assert world.store().evidence().driver is Liveness.UNKNOWN
    world.disk.remove(f"{RUN}/state.json")

    evidence = world.store().evidence()

    assert (evidence.driver, evidence.driver_text) == (Liveness.DEAD, "")
    assert evidence.journal == Witness("journal.jsonl", 1, 1, 2.5)


def test_a_snapshot_tells_the_crash_of_its_epoch_before_its_ending() -> None:
    """The newest crash of this epoch; those of earlier ones are history."""
    world = World()
    store, state = world.begun()
    state.epoch, state.ending = 2, Finished()
    state.tasks[0].attempts.append(Attempt(1, "t"))
    state.crashes = [CrashRef(1, 2, "X: old", "crash/1-2.json")]
    store.save(state)
    assert (found := world.store().evidence().state) is not None
    assert found.ending == Finished()
    state.crashes += [
        CrashRef(2, 3, "X: first"),
        CrashRef(2, 4, "X: then"),
        CrashRef(2, 5, "X: last", "crash/2-5.json"),
    ]
    store.save(state)

    assert (found := world.store().evidence().state) is not None
    assert found.ending == Crashed("X: last", "crash/2-5.json")


def test_the_newest_snapshot_names_the_driver() -> None:
    """By epoch, and then by number; also where it is the backup."""
    world = World()
    store, state = world.begun()
    old = world.disk.read(f"{RUN}/state.json")
    state.driver, state.seq, state.degraded_since = Driver(9, 1.0, "boot", "simhost"), 8, 3.0
    store.save(state)
    world.put(f"{RUN}/state.json.bak", world.disk.read(f"{RUN}/state.json"))
    world.put(f"{RUN}/state.json", old)

    evidence = world.store().evidence()

    assert (evidence.driver_text, evidence.degraded_since) == ("pid 9 on simhost", 3.0)


LINE = b'{"seq":%d,"epoch":%d,"at":%d,"event":"%s"%s}\n'


@pytest.mark.parametrize(
    ("lines", "seq", "ending"),
    [
        ([(1, 1, b"run-created", b""), (2, 1, b"run-complete", b"")], 2, Finished()),
        ([(1, 1, b"run-complete", b""), (2, 2, b"run-resumed", b"")], 2, None),
        ([(3, 2, b"run-stopped", b',"by":"x"'), (2, 1, b"run-complete", b"")], 3, Stopped("x")),
        ([(1, 1, b"run-paused", b',"reason":"x"'), (2, 1, b"run-stopped", b',"by":"x"')], 2, Stopped("x")),
        ([(1, 1, b"run-crash", b',"error":"X"'), (2, 1, b"run-paused", b',"reason":"x"')], 2, Crashed("X")),
        ([(2, 1, b"run-paused", b',"reason":"x"'), (1, 1, b"teardown", b"")], 2, Paused("x")),
    ],
)
def test_the_journal_tells_the_ending_of_its_newest_epoch(
    lines: list[tuple[int, int, bytes, bytes]], seq: int, ending: object
) -> None:
    """A crash before all, then the last one; what earlier epochs ended with is history."""
    world = World()
    world.put(
        f"{RUN}/journal.jsonl", b"".join(LINE % (seq, epoch, seq, name, more) for seq, epoch, name, more in lines)
    )

    found = world.store().evidence().journal

    assert found is not None
    assert (found.seq, found.at, found.ending) == (seq, float(seq), ending)
