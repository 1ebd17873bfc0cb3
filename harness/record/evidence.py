"""Collects what a run's status is judged by. Reads only, and an unreadable source is a note, never an error."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import msgspec

from backends.clock import Clock
from backends.disk import Disk
from backends.processes import Liveness, ProcessTable
from harness.record.errors import NewerSchema, RecordError
from harness.record.journal import Event, read_journal
from harness.record.lock import Holder, read_holder
from harness.record.plain import seconds
from harness.record.replay import ending_of, endings_in, rebuild, remember_crash, replay
from harness.record.state import Crashed, CrashRef, Driver, RunState, TaskPhase, TaskState, decode_state
from harness.record.status import Evidence, Pending, Waiting, Witness

__all__ = ["CRASH_NAME", "Survey", "add_crashes", "collect", "crash_witnesses", "read_attention", "survey"]

CRASH_NAME = re.compile(r"([0-9]{1,18})-([0-9]{1,18})\.json\Z")
"""The name of a crash record tells its epoch and number, so that it counts even where its content is lost."""

_TEXT_HEAD = re.compile(rb"CRASHED: ([^\n]*)\nrun [^\n]*?, epoch ([0-9]{1,18}), seq ([0-9]{1,18}), ")


class _ErrorOnly(msgspec.Struct):
    error: str = "unknown error"
    at: float = 0.0
    child: str | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What was read of a run at one moment: the evidence, the state that it adds up to (if any), the journal's events.

    `attention` is what a person should know; empty if there is nothing.
    """

    evidence: Evidence
    state: RunState | None
    events: list[Event]
    attention: str


def collect(disk: Disk, run_dir: str, *, clock: Clock, processes: ProcessTable, session: Liveness) -> Evidence:
    """The evidence about the run in `run_dir`."""
    return replace(_weigh(_read(disk, run_dir), disk, run_dir, clock, processes), session=session)


def survey(
    disk: Disk, run_dir: str, *, clock: Clock, processes: ProcessTable, ask: Callable[[RunState], Liveness]
) -> Survey:
    """Everything that is shown of the run in `run_dir`, each file read once; `ask` tells whether a session is there."""
    sources = _read(disk, run_dir)
    evidence = _weigh(sources, disk, run_dir, clock, processes)
    state = _rolled_forward(sources, os.path.basename(run_dir))
    session = Liveness.UNKNOWN if state is None else ask(state)
    if session is not evidence.session:
        evidence = replace(evidence, session=session)
    return Survey(evidence, state, sources.events, read_attention(disk, run_dir))


def read_attention(disk: Disk, run_dir: str) -> str:
    """What `ATTENTION` says; nothing if it is missing or unreadable."""
    try:
        return disk.read(f"{run_dir}/ATTENTION", 1 << 20).decode(errors="backslashreplace")
    except OSError:
        return ""


@dataclass(slots=True)
class _Sources:
    """What the files say; `damage` and `notes` say which of them could not be read, `newer` that a newer version wrote one."""

    state: RunState | None = None
    backup: RunState | None = None
    newer: str = ""
    events: list[Event] = field(default_factory=list)
    crashes: list[Witness] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def newest(self) -> RunState | None:
        """The snapshot that goes furthest."""
        found = (snapshot for snapshot in (self.state, self.backup) if snapshot is not None)
        return max(found, key=lambda snapshot: (snapshot.epoch, snapshot.seq), default=None)


def _read(disk: Disk, run_dir: str) -> _Sources:
    read = _Sources()
    read.state, newer = _snapshot(disk, f"{run_dir}/state.json", read.notes, read.damage)
    read.backup, newer_backup = _snapshot(disk, f"{run_dir}/state.json.bak", read.notes, read.damage)
    read.newer = newer or newer_backup
    read.events = _events(disk, f"{run_dir}/journal.jsonl", read.notes, read.damage)
    read.crashes = crash_witnesses(disk, run_dir, read.notes)
    return read


def _weigh(read: _Sources, disk: Disk, run_dir: str, clock: Clock, processes: ProcessTable) -> Evidence:
    holder = read_holder(disk, f"{run_dir}/run.lock")
    newest = read.newest
    driver = _driver(newest, holder)
    tasks = _tasks(disk, run_dir, newest)
    return Evidence(
        state=None if read.state is None else _of_state(read.state, "state.json"),
        backup=None if read.backup is None else _of_state(read.backup, "state.json.bak"),
        journal=_of_journal(read.events),
        crashes=tuple(read.crashes),
        lock_held=_locked(disk, f"{run_dir}/run.lock", read.notes),
        driver=_liveness(driver, newest, bool(read.events), processes),
        driver_text="" if driver is None else f"pid {driver.pid} on {driver.host}",
        degraded_since=None if newest is None else newest.degraded_since,
        pending=_pending(tasks),
        crash_file=_crash_file(disk, run_dir),
        now=clock.wall(),
        damaged=bool(read.damage),
        unusable=read.newer,
        notes=(*read.damage, *read.notes),
        waiting=_waiting(tasks),
    )


def _rolled_forward(read: _Sources, name: str) -> RunState | None:
    """The state that all sources add up to; the snapshot in `read` may be changed."""
    if read.newer:
        return None
    newest = read.newest
    state = rebuild(read.events, name) if newest is None else replay(newest, read.events)
    if state is not None:
        add_crashes(state, read.crashes)
    return state


def add_crashes(state: RunState, witnesses: Iterable[Witness]) -> None:
    """Put the crashes that `witnesses` tell of into the state: into its history, and where it is of its epoch as its ending."""
    for witness in witnesses:
        if not isinstance(witness.ending, Crashed):
            continue
        remember_crash(state, CrashRef(witness.epoch, witness.seq, witness.ending.error, witness.ending.record))
        if witness.epoch > state.epoch:
            state.rearm(witness.epoch)
    crashes = [crash for crash in state.crashes if crash.epoch == state.epoch]
    if crashes and not state.crashed:
        state.ending = Crashed(crashes[-1].error, crashes[-1].record)


def _tasks(disk: Disk, run_dir: str, state: RunState | None) -> list[TaskState]:
    """The tasks of the run, and those of the newest run inside it if the same driver is at it now."""
    states = [] if state is None else [state]
    if state is not None and state.nested:
        inner, _ = _snapshot(disk, f"{run_dir}/nested/{state.nested[-1]}/state.json", [], [])
        states += [] if inner is None or inner.ending is not None or inner.driver != state.driver else [inner]
    return [task for one in states for task in one.tasks]


def _pending(tasks: Iterable[TaskState]) -> tuple[Pending, ...]:
    """What their agents wait for."""
    return tuple(Pending(task.key, last.pending) for task in tasks for last in task.attempts[-1:] if last.pending)


def _waiting(tasks: Iterable[TaskState]) -> tuple[Waiting, ...]:
    """Those that are to begin again, and when that is."""
    return tuple(
        Waiting(task.key, task.not_before)
        for task in tasks
        if task.phase is TaskPhase.PENDING and task.not_before is not None
    )


def crash_witnesses(disk: Disk, run_dir: str, notes: list[str]) -> list[Witness]:
    """Every crash record in the directory, and the newest crash text; by epoch and number."""
    found: dict[tuple[int, int], Witness] = {}
    try:
        names = disk.listdir(f"{run_dir}/crash")
    except FileNotFoundError:
        names = []
    except OSError as problem:
        notes.append(f"crash records cannot be listed: {problem.strerror}")
        names = []
    for name in names:
        matched = CRASH_NAME.match(name)
        if matched is not None:
            epoch, seq = int(matched[1]), int(matched[2])
            found[epoch, seq] = _of_record(disk, run_dir, f"crash/{name}", epoch, seq, notes)
    text = _of_text(disk, run_dir)
    if text is not None:
        found.setdefault((text.epoch, text.seq), text)
    return [found[key] for key in sorted(found)]


def _of_record(disk: Disk, run_dir: str, name: str, epoch: int, seq: int, notes: list[str]) -> Witness:
    try:
        record = msgspec.json.decode(disk.read(f"{run_dir}/{name}"), type=_ErrorOnly)
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeError):
        notes.append(f"{name} cannot be read")
        record = _ErrorOnly()
    return Witness(name, epoch, seq, record.at, Crashed(record.error, name, record.child))


def _of_text(disk: Disk, run_dir: str) -> Witness | None:
    try:
        matched = _TEXT_HEAD.match(disk.read(f"{run_dir}/crash.txt"))
    except OSError:
        return None
    if matched is None:
        return None
    return Witness(
        "crash.txt", int(matched[2]), int(matched[3]), 0.0, Crashed(matched[1].decode(errors="backslashreplace"))
    )


def _crash_file(disk: Disk, run_dir: str) -> str:
    try:
        return "crash.txt" if disk.info(f"{run_dir}/crash.txt") is not None else "crash/"
    except OSError:
        return "crash/"


def _snapshot(disk: Disk, path: str, notes: list[str], damage: list[str]) -> tuple[RunState | None, str]:
    name = os.path.basename(path)
    try:
        return decode_state(disk.read(path)), ""
    except FileNotFoundError:
        if not name.endswith(".bak"):
            notes.append(f"{name} is missing")
    except NewerSchema as newer:
        return None, f"{name}: {newer}"
    except RecordError as problem:
        damage.append(f"{name} cannot be read: {problem}")
    except OSError as problem:
        damage.append(f"{name} cannot be read: {problem.strerror}")
    return None, ""


def _events(disk: Disk, path: str, notes: list[str], damage: list[str]) -> list[Event]:
    try:
        reading = read_journal(disk, path)
    except OSError as problem:
        damage.append(f"journal.jsonl cannot be read: {problem.strerror}")
        return []
    (damage if reading.damaged else notes).extend(reading.notes)
    return reading.events


def _of_state(state: RunState, source: str) -> Witness:
    ending = state.ending
    if not isinstance(ending, Crashed):
        crashes = [crash for crash in state.crashes if crash.epoch == state.epoch]
        if crashes:
            ending = Crashed(crashes[-1].error, crashes[-1].record)
    return Witness(source, state.epoch, state.seq, state.updated_at, ending)


def _of_journal(events: Sequence[Event]) -> Witness | None:
    newest = max(events, key=itemgetter("epoch", "seq"), default=None)
    if newest is None:
        return None
    told = (ending_of(event) for event in endings_in(events) if event["epoch"] == newest["epoch"])
    endings = [ending for ending in told if ending is not None]
    crashed = [ending for ending in endings if isinstance(ending, Crashed)]
    ending = (crashed or endings or [None])[-1]
    return Witness("journal.jsonl", newest["epoch"], newest["seq"], seconds(newest.get("at")), ending)


def _driver(state: RunState | None, holder: Holder | None) -> Driver | None:
    """Who drives, or drove last: the lock's word counts unless the state tells of a later epoch."""
    told = None if state is None else state.driver
    if holder is not None and (state is None or told is None or holder.epoch == 0 or holder.epoch >= state.epoch):
        return holder.driver
    return told


def _locked(disk: Disk, path: str, notes: list[str]) -> bool:
    try:
        return disk.locked(path)
    except OSError as problem:
        notes.append(f"whether the run is locked cannot be known: {problem.strerror}")
        return False


def _liveness(driver: Driver | None, state: RunState | None, journaled: bool, processes: ProcessTable) -> Liveness:
    """A run of this version's shape names its driver from the first moment, so one that names none has none."""
    if driver is None:
        own_shape = journaled if state is None else state.schema > 0
        return Liveness.DEAD if own_shape else Liveness.UNKNOWN
    if driver.host != processes.host():
        return Liveness.UNKNOWN
    return processes.liveness(driver.identity)
