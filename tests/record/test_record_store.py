"""A run's directory: whatever fails or is damaged, nothing acknowledged is lost."""

import errno
import io
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from record_world import RUN, FailingDisk, World

from backends.disk import FileInfo, RealDisk, StrPath
from backends.processes import Liveness, ProcessIdentity
from backends.simulated_processes import SimulatedProcessTable
from harness.record import (
    CrashContext,
    Crashed,
    CrashFiling,
    CrashRef,
    Finished,
    NewerSchema,
    Paused,
    RecordError,
    RunLocked,
    RunState,
    RunStatus,
    RunStore,
    TaskPhase,
    classify,
    gather,
    runs,
)

STATE, BACKUP, JOURNAL = f"{RUN}/state.json", f"{RUN}/state.json.bak", f"{RUN}/journal.jsonl"


def told(world: World) -> RunStatus:
    """The status that another process sees."""
    return classify(gather(world.store())).name


def failing(*needles: str, only: str = "") -> Callable[[str, str], int | None]:
    """Makes every operation fail (or those named `only`) on paths that contain one of `needles`."""
    return lambda operation, path: (
        errno.ENOSPC
        if any(needle in path for needle in needles) and operation not in ("read",) and only in ("", operation)
        else None
    )


def test_a_new_run_has_every_file_and_directory() -> None:
    """What engine.md draws is there, and nothing temporary is left."""
    world = World()
    world.begun()

    assert world.disk.listdir(RUN) == ["crash", "events", "journal.jsonl", "logs", "plan.toml", "state.json", "tasks"]
    assert world.disk.read(f"{RUN}/plan.toml") == b"[run]\n"
    assert world.disk.unsynced() == []


def test_a_plan_that_cannot_be_encoded_is_kept_escaped() -> None:
    """It is there for people, and keeps no run from being made."""
    world = World()
    world.store().create(world.state(), "name = '\ud800'")

    assert world.disk.read(f"{RUN}/plan.toml") == b"name = '\\ud800'"


def test_every_file_is_prepared_under_a_name_of_its_own() -> None:
    """Whoever writes the same file at the same time uses another one."""
    world = World()
    store, state = world.begun()
    store.save(state)
    for number in range(2):
        store.attention(str(number))
        store.file_crash(ValueError("boom"), state)

    prepared = [path for operation, path in world.disk.done if operation == "write"]
    assert all(re.fullmatch(r"\..+\.[0-9a-z]{6,}\.tmp", path.rpartition("/")[2]) for path in prepared)
    assert len(set(prepared)) == len(prepared) == 9


def test_a_run_is_not_made_twice() -> None:
    """What is there already is never written over."""
    world = World()
    store, state = world.begun()
    before = world.disk.read(STATE)

    with pytest.raises(RecordError, match="already"):
        store.create(state, "")
    assert world.disk.read(STATE) == before


def test_a_saved_state_is_loaded_and_its_predecessor_kept() -> None:
    """State and backup are the last two that were saved."""
    world = World()
    store, state = world.begun()
    state.task("a").phase = TaskPhase.DONE
    world.clock.sleep(5)
    store.save(state)

    loaded = world.store().load()

    assert (loaded.state, loaded.source, loaded.notes) == (state, "state.json", [])
    assert loaded.state.updated_at == world.clock.wall()
    assert RunState.from_dict(msgspec.json.decode(world.disk.read(BACKUP))).task("a").phase is TaskPhase.PENDING


@pytest.mark.parametrize("operation", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_save_that_fails_leaves_the_old_state(operation: str, code: int) -> None:
    """At whichever step the disk fails, the old state stands and no temporary file stays."""
    world = World()
    store, state = world.begun()
    world.clock.sleep(1)
    store.save(state)
    before = world.disk.read(STATE)
    assert before != world.disk.read(BACKUP)
    state.project = "/other"
    failed: list[str] = []
    world.disk.fails = lambda op, path: failed.append(path) or code if op == operation and not failed else None  # type: ignore[func-returns-value]  # append then answer

    with pytest.raises(OSError, match=errno.errorcode[code]):
        store.save(state)

    assert world.disk.read(STATE) == before
    assert not [name for name in world.disk.listdir(RUN) if name.endswith(".tmp")]
    store.save(state)
    assert world.store().load().state.project == "/other"


def test_a_save_that_fails_at_its_last_rename_puts_the_old_state_back() -> None:
    """When the new snapshot cannot take its place, the old one returns from where the backup is."""
    world = World()
    store, state = world.begun()
    before = world.disk.read(STATE)
    failed: list[str] = []

    def once(operation: str, path: str) -> int | None:
        if operation != "replace" or path != STATE or failed:
            return None
        failed.append(path)
        return errno.EIO

    world.disk.fails = once
    with pytest.raises(OSError, match="EIO"):
        store.save(state)

    assert world.disk.read(STATE) == before


def test_a_save_that_can_do_nothing_more_says_what_failed_first() -> None:
    """Where neither the new state nor the old one can take its place, the old one is the backup."""
    world = World()
    store, state = world.begun()
    before = world.disk.read(STATE)
    codes = {"new": errno.EIO, "old": errno.EROFS}
    world.disk.fails = lambda operation, path: (
        codes.pop("new" if "new" in codes else "old") if (operation, path) == ("replace", STATE) else None
    )

    with pytest.raises(OSError, match="EIO"):
        store.save(state)

    assert world.disk.info(STATE) is None
    assert world.disk.read(BACKUP) == before


def test_whoever_saves_without_having_loaded_keeps_the_last_state() -> None:
    """As the backup."""
    world = World()
    _, state = world.begun()
    before = world.disk.read(STATE)
    other = world.store()
    other.save(state)

    assert other.run_dir == Path(RUN)
    assert world.disk.read(BACKUP) == before


def test_whoever_has_loaded_a_good_state_keeps_it_when_saving() -> None:
    """As the backup."""
    world = World()
    world.begun()
    before = world.disk.read(STATE)
    other = world.store()
    other.save(other.load().state)

    assert world.disk.read(BACKUP) == before


def test_whoever_only_takes_the_lock_makes_a_private_directory(tmp_path: Path) -> None:
    """Nobody else has any business there."""
    world = World()
    where = {"clock": world.clock, "entropy": world.entropy, "processes": world.processes}
    store = RunStore(tmp_path / "r-1", disk=RealDisk(), environment={}, **where)  # type: ignore[arg-type]  # each under its own name
    store.lock(1).release()

    assert (tmp_path / "r-1").stat().st_mode & 0o777 == 0o700


def test_a_store_on_a_machine_uses_all_of_it() -> None:
    """Its disk, clock, entropy and processes, and the standard error and environment that it is given."""
    world = World()
    store = RunStore.on(world, RUN, stderr=world.stderr, environment={"API_TOKEN": "canary-value"})
    store.lock(1).release()
    store.create(world.state(), "")
    world.disk.fails = failing("crash", "journal")
    store.file_crash(ValueError("canary-value"), world.state())
    world.disk.fails = failing()

    assert store.run_dir == Path(RUN)
    assert store.load().state.updated_at == world.clock.wall()
    assert world.stderr.getvalue().startswith("CRASHED: ValueError: <env API_TOKEN>\n")


def test_every_moment_of_a_save_is_readable_after_a_kill() -> None:
    """Between any two changes to the disk, a state loads: the old one or the new one."""
    world = World()
    store, state = world.begun()
    store.save(state)
    begin = len(world.disk.mutations)
    state.project = "/other"
    store.save(state)

    seen = set()
    for count in range(begin, len(world.disk.mutations) + 1):
        for lost in ([], world.disk.unsynced(count)):
            image = world.disk.crash_image(count, lost)
            found = RunStore(
                RUN, disk=image, clock=world.clock, entropy=world.entropy, processes=world.processes
            ).load()
            seen.add(found.state.project)
    assert seen == {"/project", "/other"}


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\0" * 400, b'{"run_id":3}', b"\xff", b'{"run_id":"r-1","tasks":7,"schema":1}']
)
def test_a_damaged_state_gives_way_to_its_backup(damage: bytes) -> None:
    """The backup is used and rolled forward, it is said so, and the next save does not destroy it first."""
    world = World()
    store, state = world.begun()
    store.save(state)
    store.journal.append("task-done", task="a")
    world.put(STATE, damage)
    backup = world.disk.read(BACKUP)
    fresh = world.store()

    loaded = fresh.load()

    assert (loaded.source, loaded.state.task("a").phase) == ("state.json.bak", TaskPhase.DONE)
    assert any("state.json cannot be read" in note for note in loaded.notes)
    fresh.save(loaded.state)
    assert world.disk.read(BACKUP) == backup
    assert world.store().load().source == "state.json"


def test_a_state_cut_at_every_byte_loses_nothing() -> None:
    """Whatever is left of the newest snapshot, the run loads as it was."""
    world = World()
    store, state = world.begun()
    store.journal.append("task-done", task="a")
    state.task("a").phase = TaskPhase.DONE
    store.save(state)
    whole = world.disk.read(STATE)

    for length in range(len(whole)):
        world.put(STATE, whole[:length])
        assert world.store().load().state.task("a").phase is TaskPhase.DONE, length
        assert told(world) is RunStatus.RUNNING


def test_without_any_snapshot_the_journal_rebuilds_the_run() -> None:
    """The journal's first line has the whole state, and the others tell what came of it."""
    world = World()
    store, _ = world.begun()
    store.journal.append("task-done", task="a")
    store.journal.append("task-deferred", task="b", reason="no luck")
    store.journal.append("run-complete", deferred=["b"])
    world.put(STATE, b"\0")

    loaded = world.store().load()

    assert (loaded.source, loaded.state.project, loaded.state.ending) == ("journal", "/project", Finished(["b"]))
    assert [task.phase for task in loaded.state.tasks] == [TaskPhase.DONE, TaskPhase.DEFERRED]
    assert told(world) is RunStatus.FINISHED


def test_the_highest_epoch_and_number_win() -> None:
    """A newer backup beats an older snapshot."""
    world = World()
    store, state = world.begun()
    old = world.disk.read(STATE)
    state.rearm(2)
    store.save(state)
    world.put(BACKUP, world.disk.read(STATE))
    world.put(STATE, old)

    loaded = world.store().load()

    assert (loaded.source, loaded.state.epoch, loaded.epoch) == ("state.json.bak", 2, 2)


def test_the_journal_tells_of_an_epoch_that_no_snapshot_knows() -> None:
    """A resume that was killed before it saved anything still used its epoch up."""
    world = World()
    store, state = world.begun()
    state.ending = Paused("wait")
    store.save(state)
    store.journal.epoch = 2
    store.journal.append("run-resumed")

    loaded = world.store().load()

    assert (loaded.epoch, loaded.state.epoch, loaded.state.ending) == (2, 2, None)
    assert told(world) is RunStatus.RUNNING


NINES = b"9" * 400
HUGE = (b"1e300", b"-1e300", NINES, b"9" * 6000, b'"now"', b"true", b"null")


@pytest.mark.parametrize("at", HUGE, ids=lambda at: at[:6].decode())
def test_a_line_with_an_impossible_time_hides_no_run(at: bytes) -> None:
    """With and without a snapshot before it, the run is read, and its evidence too."""
    world = World()
    world.begun()
    line = b'{"seq":2,"epoch":1,"at":%s,"event":"attempt","task":"b","number":1,"token":"t"}\n' % at
    world.disk.append(f"{RUN}/journal.jsonl", line)

    assert world.store().load().state.task("a").key == "a"
    assert classify(world.store().evidence()).name is RunStatus.RUNNING
    world.disk.remove(f"{RUN}/state.json")
    assert world.store().load().state.task("a").key == "a"


@pytest.mark.parametrize("damage", [b'"seq":%s,"epoch":1' % NINES, b'"seq":2,"epoch":%s' % NINES])
def test_a_line_with_an_impossible_number_is_damaged(damage: bytes) -> None:
    """It would be the newest of all, and nothing could be written after it."""
    world = World()
    world.begun()
    world.disk.append(f"{RUN}/journal.jsonl", b'{%s,"at":1,"event":"run-complete"}\n' % damage)

    loaded = world.store().load()

    assert (loaded.state.seq, loaded.state.ending) == (1, None)
    assert any("journal line 2 is damaged" in note for note in loaded.notes)


def test_an_attempt_with_an_impossible_number_is_passed_over() -> None:
    """A snapshot that had it could not be written."""
    world = World()
    store, _ = world.begun()
    line = b'{"seq":2,"epoch":1,"at":1,"event":"attempt","task":"b","number":%s}\n' % NINES
    world.disk.append(f"{RUN}/journal.jsonl", line)

    state = store.load().state
    store.save(state)

    assert state.task("b").attempts == []


def test_a_newer_schema_is_not_replaced_by_an_older_backup() -> None:
    """A run of a newer version is left alone, and says why."""
    world = World()
    store, state = world.begun()
    store.save(state)
    world.put(STATE, msgspec.json.encode(state.to_dict() | {"schema": 2}))

    with pytest.raises(NewerSchema, match="newer version"):
        world.store().load()
    assert told(world) is RunStatus.UNKNOWN


@pytest.mark.parametrize("files", [[], ["state.json"], ["state.json", "journal.jsonl", "state.json.bak"]])
def test_a_directory_without_a_run_is_a_clear_error(files: list[str]) -> None:
    """Nothing, or nothing but garbage, is one line that names the directory."""
    world = World()
    world.disk.mkdir(RUN)
    for name in files:
        world.put(f"{RUN}/{name}", b"\0garbage")

    with pytest.raises(RecordError, match=r"no run can be read in /runs/r-1"):
        world.store().load()
    assert told(world) is RunStatus.UNKNOWN


@pytest.mark.parametrize(
    "name", ["state.json", "state.json.bak", "journal.jsonl", "crash.txt", "run.lock", "ATTENTION"]
)
@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_a_thing_in_the_place_of_a_file_is_skipped(name: str, kind: str) -> None:
    """A FIFO, a directory or a link is never waited on, followed or fatal to a reader."""
    world = World()
    store, state = world.begun()
    store.save(state)
    path = f"{RUN}/{name}"
    if world.disk.info(path) is not None:
        world.disk.remove(path)
    make = {"fifo": world.disk.plant_fifo, "directory": world.disk.mkdir}
    if kind == "link":
        world.disk.plant_link(path, "/etc/passwd")
    else:
        make[kind](path)

    assert world.store().load().state.run_id == "r-1"
    assert told(world) is RunStatus.RUNNING
    assert world.store().read_attention() == ""


def test_one_drives_and_the_others_are_told_who() -> None:
    """The lock names its holder, and is free once it is given back."""
    world = World()
    with world.store().lock(1) as lock:
        assert lock.held
        with pytest.raises(RunLocked, match=r"r-1 is being driven by pid 5000000 on simhost"):
            world.store().lock(2)
        lock.set_epoch(4)
        assert msgspec.json.decode(world.disk.read(f"{RUN}/run.lock"))["epoch"] == 4
    assert world.disk.info(f"{RUN}/run.lock") is None
    world.store().lock(2).release()


def test_a_lock_that_no_living_engine_claims_is_tried_for_again() -> None:
    """Somebody was looking at it for a moment."""
    world = World()
    looking = world.disk.lock(f"{RUN}/run.lock")
    world.clock.call_at(world.clock.monotonic() + 0.1, looking.release)

    world.store().lock(1).release()


def test_a_lock_that_nobody_gives_back_is_not_waited_for_long() -> None:
    """Nor is one that a living engine claims, not at all."""
    world = World()
    with world.disk.lock(f"{RUN}/run.lock"), pytest.raises(RunLocked, match="did not say which"):
        world.store().lock(1)
    assert 0.3 <= world.clock.monotonic() < 0.5

    with world.store().lock(1), pytest.raises(RunLocked, match="pid 5000000"):
        world.store().lock(2)
    assert world.clock.monotonic() < 0.5


def test_a_lock_that_cannot_say_who_holds_it_is_not_held() -> None:
    """Where the text cannot be written, the lock itself is given back."""
    world = World()
    world.disk.fails = failing("run.lock", only="write")
    with pytest.raises(OSError, match="ENOSPC"):
        world.store().lock(1)
    world.disk.fails = failing()

    world.store().lock(1).release()


def test_a_leftover_that_cannot_be_removed_is_told() -> None:
    """Without secrets."""

    class Keeping(FailingDisk):
        def remove(self, path: StrPath) -> None:
            if str(path).endswith(".tmp"):
                raise OSError(errno.EACCES, "kept in my-secret-place", str(path))
            super().remove(path)

    world = World(disk=Keeping(), environment={"WHERE": "my-secret-place"})
    world.begun()
    world.put(f"{RUN}/.state.json.abc.tmp", b"half")
    owner = world.store()
    owner.lock(1)

    told = "PermissionError: [Errno 13] kept in <env WHERE>: '/runs/r-1/.state.json.abc.tmp'"
    assert owner.load().notes == [f"a leftover file could not be removed: {told}"]


def test_leftovers_are_removed_wherever_there_are_any() -> None:
    """Also where one of the directories is missing."""
    world = World()
    world.begun()
    world.disk.remove_directory(f"{RUN}/crash")
    leftover = f"{RUN}/events/.1.json.abc.tmp"
    world.put(leftover, b"half")
    owner = world.store()
    owner.lock(1)

    assert owner.load().notes == []
    assert world.disk.info(leftover) is None


def test_only_what_was_being_prepared_is_removed() -> None:
    """Not whatever else has a dot before it or that ending."""
    world = World()
    world.begun()
    names = [".state.json.abc.tmp", "notes.tmp", ".hidden"]
    for name in names:
        world.put(f"{RUN}/{name}", b"half")
    owner = world.store()
    owner.lock(1)
    owner.load()

    assert [name for name in names if world.disk.info(f"{RUN}/{name}")] == names[1:]


def test_what_was_odd_about_a_load_is_noted() -> None:
    """Which snapshot was taken, and what is lost with the journal's first line."""
    world = World(environment={"WHERE": "journal.jsonl"})
    store, state = world.begun()
    store.journal.append("task-done", task="a")
    store.save(state)
    world.put(STATE, b"{}")
    refused = "state.json cannot be read: RecordError: not a run's state: Object missing required field `run_id`"
    assert world.store().load().notes == [refused, "state taken from state.json.bak"]
    world.disk.remove(BACKUP)
    assert world.store().load().notes == [refused, "state taken from journal"]
    world.put(JOURNAL, world.disk.read(JOURNAL).split(b"\n")[1] + b"\n")
    lost = "the journal's first line is lost: tasks that it names nowhere else are missing"

    loaded = world.store().load()

    assert loaded.notes == [refused, "state taken from journal", lost]
    assert (loaded.state.run_id, loaded.epoch) == ("r-1", 1)


def test_a_journal_that_cannot_be_read_is_noted() -> None:
    """Without secrets, and the snapshot stands."""
    world = World(environment={"WHERE": "journal.jsonl"})
    world.begun()
    world.disk.fails = lambda operation, path: errno.EIO if (operation, path) == ("read", JOURNAL) else None

    loaded = world.store().load()

    assert loaded.notes == ["journal.jsonl cannot be read: OSError: [Errno 5] EIO: '/runs/r-1/<env WHERE>'"]
    assert loaded.state.run_id == "r-1"


@pytest.mark.parametrize(
    ("files", "why"),
    [([], "state.json is missing"), (["state.json"], "state.json cannot be read: RecordError: not JSON: JSON is malformed: "
                                                     "invalid character (byte 0)")],
)  # fmt: skip
def test_a_directory_without_a_run_says_why(files: list[str], why: str) -> None:
    """The first thing that was odd."""
    world = World()
    world.disk.mkdir(RUN)
    for name in files:
        world.put(f"{RUN}/{name}", b"\0garbage")

    with pytest.raises(RecordError) as raised:
        world.store().load()

    assert str(raised.value) == f"no run can be read in /runs/r-1: {why}"


@pytest.mark.parametrize("record", [[], ["journal.jsonl"]])
def test_leftovers_stay_beside_a_record_that_cannot_be_read(record: list[str]) -> None:
    """Something may yet be saved out of them; where no record is, nothing is."""
    world = World()
    leftover = f"{RUN}/.state.json.abc.tmp"
    world.put(leftover, b"half")
    for name in record:
        world.put(f"{RUN}/{name}", b"\0garbage\n")
    owner = world.store()
    with owner.lock(1), pytest.raises(RecordError):
        owner.load()

    assert (world.disk.info(leftover) is not None) == bool(record)


def test_a_crash_record_of_a_later_epoch_makes_the_run_crashed() -> None:
    """Its number and path are in the history; a resume comes after it, and so does what it journals."""
    world = World()
    world.begun()
    world.put(f"{RUN}/crash/3-7.json", b'{"error":"X: y"}')
    world.put(f"{RUN}/crash/3-9.json", b'{"error":"X: z"}')
    store = world.store()

    loaded = store.load()

    assert loaded.state.ending == Crashed("X: z", "crash/3-9.json")
    assert loaded.state.crashes == [CrashRef(3, 7, "X: y", "crash/3-7.json"), CrashRef(3, 9, "X: z", "crash/3-9.json")]
    assert (loaded.state.epoch, loaded.epoch) == (3, 3)
    store.journal.append("next")
    assert store.events()[-1]["epoch"] == 3


def test_only_the_owner_of_the_lock_removes_leftovers() -> None:
    """A reader leaves a temporary file alone, because a writer may be about to rename it."""
    world = World()
    world.begun()
    leftovers = [f"{RUN}/.state.json.abc.tmp", f"{RUN}/crash/.1-2.json.abc.tmp", f"{RUN}/events/.7-0.draft"]
    for path in leftovers:
        world.put(path, b"half")

    world.store().load()
    assert all(world.disk.info(path) for path in leftovers)
    owner = world.store()
    owner.lock(1)
    owner.load()
    assert not any(world.disk.info(path) for path in leftovers)


def test_a_driver_that_died_leaves_an_interrupted_run() -> None:
    """Killed with the lock held: the kernel gives the lock back, its text stays, and names a process that is gone."""
    world = World()
    world.store().lock(1)
    world.begun()
    assert told(world) is RunStatus.RUNNING

    world.disk.forget_locks()
    assert told(world) is RunStatus.RUNNING
    world.processes.replace_me()
    assert told(world) is RunStatus.INTERRUPTED


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"pid": 1000, "started": 1.0}, RunStatus.INTERRUPTED),
        ({"boot_id": "boot-0"}, RunStatus.INTERRUPTED),
        ({"host": "elsewhere"}, RunStatus.UNKNOWN),
    ],
)
def test_a_driver_is_told_by_pid_start_boot_and_host(change: dict[str, object], status: RunStatus) -> None:
    """A pid that is used again, or of another boot, is not the driver; another host cannot be asked."""
    world = World()
    store, state = world.begun()
    assert state.driver is not None
    state.driver = msgspec.structs.replace(state.driver, **change)
    store.save(state)

    assert told(world) is status


def test_a_crash_lands_in_every_sink() -> None:
    """JSON, text and journal hold it, durably, and the ending that the engine makes of it loads."""
    world = World()
    store, state = world.begun()

    filing = store.file_crash(ValueError("boom"), state, CrashContext(seam_calls=["kill_window(@1)"]), child="nested/c")

    assert (filing.landed, filing.problems, filing.record) == (["json", "text", "journal"], [], "crash/1-2.json")
    record = msgspec.json.decode(world.disk.read(f"{RUN}/crash/1-2.json"))
    assert (record["error"], record["seam_calls"], record["child"]) == (
        "ValueError: boom",
        ["kill_window(@1)"],
        "nested/c",
    )
    assert world.disk.read(f"{RUN}/crash.txt").startswith(b"CRASHED: ValueError: boom\nrun r-1, epoch 1, seq 2, ")
    assert world.disk.unsynced() == []
    assert (told(world), world.stderr.getvalue()) == (RunStatus.CRASHED, "")


def test_a_crash_record_says_when_where_and_what_went_before() -> None:
    """The host, its process, what room is left and the journal; and no secret that the context names."""
    world = World()
    store, state = world.begun()
    world.clock.sleep(1.5)

    filing = store.file_crash(ValueError("boom in a-secret"), state, CrashContext(secrets=["a-secret"]))

    record = msgspec.json.decode(world.disk.read(f"{RUN}/crash/1-2.json"))
    me = world.processes.me()
    assert filing.error == record["error"] == "ValueError: boom in <secret>"
    assert (record["run_id"], record["epoch"], record["seq"], record["child"]) == ("r-1", 1, 2, None)
    assert (record["at"], record["when"]) == (1_767_225_601.5, "2026-01-01T00:00:01.500Z")
    assert record["host"] == {"name": "simhost", "boot_id": me.boot_id, "pid": me.pid}
    assert record["free_bytes"] == world.disk.free_bytes(RUN)
    assert [event["event"] for event in record["journal"]] == ["run-created"]


def test_the_journal_tells_what_became_of_a_crash_record() -> None:
    """Its path, the child's, and the sinks that failed, each with its reason but no secret."""
    world = World(environment={"WHERE": "crash.txt"})
    store, state = world.begun()
    world.disk.fails = failing("crash.txt")

    filing = store.file_crash(ValueError("boom"), state, child="nested/c")

    problems = filing.problems
    assert re.fullmatch(r"text: OSError: \[Errno 28\] ENOSPC: '/runs/r-1/\.<env WHERE>\.\w+\.tmp'", problems[0])
    ref = CrashRef(1, 2, "ValueError: boom", "crash/1-2.json")
    assert filing == CrashFiling("ValueError: boom", "crash/1-2.json", ["json", "journal"], problems, ref)
    line = world.store().events()[-1]
    told = {"error": "ValueError: boom", "record": "crash/1-2.json", "child": "nested/c", "problems": problems}
    assert line == {"seq": 2, "epoch": 1, "at": world.clock.wall(), "event": "run-crash", **told}


def test_a_crash_is_numbered_after_all_that_is_there() -> None:
    """What the state has seen and the records that are there; its line in the journal has the same number."""
    world = World()
    store, state = world.begun()
    state.run_id, state.epoch, state.seq = "another\udc80", 5, 9
    for number in (10, 11, 12):
        world.put(f"{RUN}/crash/5-{number}.json", b"{}")

    filing = store.file_crash(ValueError("boom"), state)

    assert filing.record == "crash/5-13.json"
    assert msgspec.json.decode(world.disk.read(f"{RUN}/crash/5-13.json"))["run_id"] == "another\\udc80"
    assert b"run another\\udc80, epoch 5, seq 13, " in world.disk.read(f"{RUN}/crash.txt")
    assert world.store().events()[-1]["seq"] == 13
    assert store.file_crash(ValueError("again"), state).record == "crash/5-14.json"


def test_a_crash_before_there_is_a_state_is_recorded() -> None:
    """By the name of its directory, in the epoch of the journal."""
    world = World()
    store = world.store("/runs/r-9")
    store.journal.epoch = 3
    world.disk.mkdir("/runs/r-9")

    filing = store.file_crash(ValueError("boom"), None)

    assert (filing.record, filing.ref) == ("crash/3-1.json", CrashRef(3, 1, "ValueError: boom", "crash/3-1.json"))
    record = msgspec.json.decode(world.disk.read("/runs/r-9/crash/3-1.json"))
    assert (record["run_id"], record["epoch"], record["seq"]) == ("r-9", 3, 1)


def test_the_first_control_flow_of_a_sink_is_handed_back() -> None:
    """Every sink has its turn, and what is no error of this program goes on afterwards."""
    world = World()
    store, state = world.begun()
    raised = {"1-2.json": OSError("odd"), "crash.txt": SystemExit(3), "journal.jsonl": GeneratorExit()}

    def fails(operation: str, path: str) -> int | None:
        error = next((error for name, error in raised.items() if name in path and operation != "read"), None)
        if error is not None:
            raise error
        return None

    world.disk.fails = fails
    filing = store.file_crash(ValueError("boom"), state)

    assert filing.interrupted is raised["crash.txt"]
    assert filing.problems == ["json: OSError: odd", "text: SystemExit: 3", "journal: GeneratorExit"]
    assert filing.landed == ["stderr"]


class Mute(SimulatedProcessTable):
    """A process table that cannot say who we are."""

    def me(self) -> ProcessIdentity:
        """Fails."""
        raise OSError(errno.EACCES, "permission denied")


class Unmeasured(FailingDisk):
    """A disk that cannot say what room is left."""

    def free_bytes(self, path: StrPath) -> int:
        """Fails."""
        raise OSError(errno.EACCES, "permission denied", str(path))


def test_what_the_host_does_not_tell_is_left_out_of_a_crash_record() -> None:
    """The rest of it is there."""
    world = World(disk=Unmeasured())
    _, state = world.begun()
    world.processes = Mute(world.clock)

    world.store().file_crash(ValueError("boom"), state)

    record = msgspec.json.decode(world.disk.read(f"{RUN}/crash/1-2.json"))
    assert (sorted(record["host"]), record["free_bytes"]) == (["boot_id", "name"], None)


def test_standard_error_gets_plain_letters() -> None:
    """Whatever its encoding is."""
    world = World()
    store, state = world.begun()
    world.disk.fails = failing("crash", "journal")

    store.file_crash(ValueError("bööm \u2026"), state)

    assert world.stderr.getvalue().startswith("CRASHED: ValueError: b\\xf6\\xf6m \\u2026\nrun r-1, epoch 1, seq 2, ")


SINKS = ["json", "text", "journal"]


@pytest.mark.parametrize(
    "broken",
    [[], ["json"], ["text"], ["journal"], ["json", "text"], ["json", "journal"], ["text", "journal"], SINKS],
    ids=" and ".join,
)
def test_where_a_sink_fails_the_next_one_takes_the_record(broken: list[str]) -> None:
    """Whichever sinks fail, one holds the record, the failures are told, and the run is CRASHED if any file has it."""
    world = World()
    store, state = world.begun()
    paths = {"json": "1-2.json", "text": "crash.txt", "journal": "journal.jsonl"}
    world.disk.fails = failing(*(paths[sink] for sink in broken)) if broken else world.disk.fails

    filing = store.file_crash(ValueError("boom"), state)

    assert filing.landed == ([sink for sink in SINKS if sink not in broken] or ["stderr"])
    assert [problem.split(":")[0] for problem in filing.problems] == [sink for sink in SINKS if sink in broken]
    world.disk.fails = failing()
    assert (told(world) is RunStatus.CRASHED) == (len(broken) < 3)
    assert ("ValueError: boom" in world.stderr.getvalue()) == (len(broken) == 3)
    assert world.store().load().state.crashed == (len(broken) < 3)


def test_the_journal_takes_the_whole_record_where_no_file_does() -> None:
    """If JSON and text fail, the traceback is in the journal's line."""
    world = World()
    store, state = world.begun()
    world.disk.fails = failing("1-2.json", "crash.txt")

    store.file_crash(ValueError("boom"), state)

    line = world.store().events()[-1]
    assert (line["event"], line["record"]) == ("run-crash", None)
    assert line["crash"]["exceptions"][0]["error"] == "ValueError: boom"


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_a_crash_that_nothing_can_hold_still_returns(stderr: io.StringIO | None) -> None:
    """With every sink broken, standard error closed or missing, the problems come back and nothing is raised."""
    if stderr is not None:
        stderr.close()
    world = World(stderr=stderr or io.StringIO())
    store, state = world.begun()
    world.disk.fails = lambda operation, path: errno.EIO

    filing = store.file_crash(ValueError("boom"), state)

    assert (filing.error, filing.record) == ("ValueError: boom", None)
    assert len(filing.problems) == (3 if stderr is None else 4)


@pytest.mark.parametrize("operations", [("append",), ("append", "read"), ("fsync",)])
def test_two_crashes_of_one_epoch_have_two_records(operations: tuple[str, ...]) -> None:
    """No record is ever written over, even where the journal could not count."""
    world = World()
    _, state = world.begun()
    store = world.store()
    world.disk.fails = lambda operation, path: errno.EIO if operation in operations and path == JOURNAL else None

    names = [store.file_crash(ValueError(str(number)), state).record for number in range(3)]

    world.disk.fails = failing()
    assert len(set(names)) == 3
    assert [crash.error for crash in world.store().load().state.crashes] == [f"ValueError: {n}" for n in range(3)]


def test_a_crash_outlives_everything_but_one_file() -> None:
    """The JSON record alone, its bare name, or the text alone make the run CRASHED."""
    for kept in ("crash/1-2.json", "crash.txt", "journal.jsonl", "name only"):
        world = World()
        store, state = world.begun()
        state.ending = Finished()
        store.file_crash(ValueError("boom"), state)
        journal = b"\n".join(world.disk.read(JOURNAL).split(b"\n")[:1]) + b"\n"
        for name in {"crash/1-2.json", "crash.txt", "journal.jsonl"} - {kept}:
            world.disk.remove(f"{RUN}/{name}")
        if kept != "journal.jsonl":
            world.put(JOURNAL, journal)
        if kept == "name only":
            world.put(f"{RUN}/crash/1-2.json", b"\0")
        store.save(state)
        assert told(world) is RunStatus.CRASHED, kept
        assert world.store().load().state.crashed


def test_a_crash_already_in_the_history_is_not_added_again() -> None:
    """What the engine put into the state is recognized in journal and crash record."""
    world = World()
    store, state = world.begun()
    filing = store.file_crash(ValueError("boom"), state)
    state.ending = Crashed(filing.error, filing.record)
    state.crashes.append(CrashRef(1, state.seq, filing.error, filing.record))
    store.save(state)

    assert len(world.store().load().state.crashes) == 1


def test_attention_is_written_cleaned_and_taken_away() -> None:
    """What a person should know is one file, with nothing in it that reaches a terminal."""
    world = World(environment={"API_TOKEN": "canary-value"})
    store, _ = world.begun()
    store.attention("look: canary-value \x1b[31m")

    assert world.store().read_attention() == "look: <env API_TOKEN> \\x1b[31m\n"
    store.attention(None)
    store.attention(None)
    assert world.store().read_attention() == ""


def test_two_hundred_canaries_reach_no_file() -> None:
    """Values of the environment are in no file of the run, whatever text they came in with."""
    canaries = [f"can{number:03d}ary/{number * 7919:x}=" for number in range(200)]
    world = World(environment={f"VALUE_{number}": canary for number, canary in enumerate(canaries)})
    store, state = world.begun()
    text = " ".join(canaries)
    state.task("a").reason = state.task("a").feedback = state.task("b").summary = text
    store.journal.append("task-deferred", task="a", reason=text, notes=canaries)
    filing = store.file_crash(ValueError(text), state, CrashContext(extra={"text": text}))
    state.ending = Crashed(filing.error, filing.record)
    store.save(state)
    store.attention(text)

    files = [path for path in world.disk.paths() if (found := world.disk.info(path)) and found.is_file]
    written = b"".join(world.disk.read(path) for path in files)
    assert not [canary for canary in canaries if canary.encode() in written]
    assert not [canary for canary in canaries if canary in filing.error]


def test_attention_that_is_too_long_or_odd_is_read_all_the_same() -> None:
    """What cannot be decoded is escaped; more than a megabyte is nobody's message."""
    world = World()
    store, _ = world.begun()
    for content, shown in ((b"a\xff", "a\\xff"), (b"x" * (1 << 20), "x" * (1 << 20)), (b"x" * ((1 << 20) + 1), "")):
        world.put(f"{RUN}/ATTENTION", content)
        assert store.read_attention() == shown
    store.attention("x" * 20_001)

    assert store.read_attention() == "x" * 20_000 + "... (20001 characters in all)\n"


def test_text_from_elsewhere_is_cleaned_by_the_store_s_environment() -> None:
    """Bounded, without secrets; an error likewise."""
    store = World(environment={"API_TOKEN": "canary-value"}).store()

    assert store.clean("a canary-value \x1b") == "a <env API_TOKEN> \\x1b"
    assert store.clean("x" * 5000) == "x" * 4000 + "... (5000 characters in all)"
    assert store.clean("x" * 50, 10) == "x" * 10 + "... (50 characters in all)"
    assert store.describe(ValueError("canary-value")) == "ValueError: <env API_TOKEN>"


def test_a_run_that_cannot_be_looked_at_is_listed() -> None:
    """Nobody can say that it is none."""

    class Blind(FailingDisk):
        def info(self, path: StrPath) -> FileInfo | None:
            if str(path).startswith("/runs/b"):
                raise OSError(errno.EACCES, "permission denied", str(path))
            return super().info(path)

    world = World(disk=Blind())
    for name in ("a", "b", "c"):
        world.disk.mkdir(f"/runs/{name}")

    assert runs(world.disk, "/runs") == [Path("/runs/b")]


@pytest.mark.parametrize("mark", ["state.json", "state.json.bak", "journal.jsonl", "plan.toml", "run.lock"])
def test_a_directory_with_any_file_of_a_run_is_one(mark: str) -> None:
    """However far it came."""
    world = World()
    world.put(f"/runs/a/{mark}", b"")
    world.put("/runs/b/notes.txt", b"")

    assert runs(world.disk, "/runs") == [Path("/runs/a")]


def test_runs_are_listed_whatever_state_they_are_in() -> None:
    """A damaged run is listed beside the others; what is no run is not."""
    world = World()
    for name in ("b", "a"):
        world.begun(f"/runs/{name}")
    world.put("/runs/damaged/state.json", b"\0")
    world.put("/runs/file", b"")
    world.disk.mkdir("/runs/empty")
    world.disk.plant_link("/runs/link", "/runs/a")

    assert [path.name for path in runs(world.disk, "/runs")] == ["a", "b", "damaged"]
    assert runs(world.disk, "/nowhere") == []


def test_an_older_document_without_a_driver_is_not_called_dead() -> None:
    """The older shape names no driver, so whether one lives cannot be known."""
    world = World()
    world.put(STATE, b'{"run_id": "r-1", "tasks": {}}')

    assert told(world) is RunStatus.UNKNOWN
    assert world.store().load().state.schema == 0


def test_the_session_is_the_callers_knowledge() -> None:
    """The record asks no multiplexer; what the caller knows comes in as evidence."""
    world = World()
    world.begun()

    assert gather(world.store(), Liveness.ALIVE).session is Liveness.ALIVE
    assert gather(world.store()).session is Liveness.UNKNOWN


def test_on_a_real_disk_the_record_is_private_and_complete(tmp_path: Path) -> None:
    """Directories are 0700, also one that was there, files 0600; what was saved and filed is there for another process."""
    world = World()
    (tmp_path / "root" / "r-1").mkdir(parents=True)
    for directory in ("root/r-1", "root"):
        (tmp_path / directory).chmod(0o755)

    def store() -> RunStore:
        where = {"clock": world.clock, "entropy": world.entropy, "processes": world.processes}
        return RunStore(tmp_path / "root" / "r-1", disk=RealDisk(), environment={}, **where)  # type: ignore[arg-type]  # each under its own name

    with store().lock(1), pytest.raises(RunLocked):
        store().lock(1)
    state = world.state()
    store().create(state, "[run]\n")
    filing = store().file_crash(ValueError("boom"), state)

    assert filing.landed == ["json", "text", "journal"]
    assert store().load().state.crash_error == "ValueError: boom"
    assert classify(gather(store())).name is RunStatus.CRASHED
    for path in (tmp_path / "root").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
