"""One run's directory: everything that is written there, and everything that is read back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from backends.clock import Clock
from backends.disk import Disk
from backends.entropy import Entropy
from backends.processes import Liveness, ProcessTable
from harness.record.crash import (
    CrashContext,
    attempt,
    build_crash_record,
    crash_text,
    describe,
    isolated,
    redactor_of,
)
from harness.record.errors import NewerSchema, RecordError
from harness.record.evidence import Survey, add_crashes, collect, crash_witnesses, read_attention, survey
from harness.record.files import is_temporary, make_directory, put
from harness.record.journal import Event, Journal, JournalReading, read_journal
from harness.record.junk import DIRECTORIES, set_aside
from harness.record.lock import Holder, RunLock, take_lock
from harness.record.plain import encode
from harness.record.redact import Redactor
from harness.record.replay import rebuild, replay
from harness.record.state import CrashRef, RunState, decode_state, encode_state
from harness.record.status import Evidence

__all__ = ["CrashFiling", "Loaded", "RunStore"]

_RECORD = ("state.json", "state.json.bak", "journal.jsonl")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read: the state, where its snapshot came from (`state.json`, `state.json.bak`, `journal`), and what was odd.

    `epoch` is the highest epoch that any source knows; the next one is one more.
    """

    state: RunState
    source: str
    notes: list[str]
    epoch: int


@dataclass(frozen=True, slots=True)
class CrashFiling:
    """What became of a crash record: its path inside the run directory, the sinks that hold it, and what went wrong."""

    error: str
    record: str | None
    landed: list[str]
    problems: list[str]
    ref: CrashRef
    interrupted: BaseException | None = None
    """Somebody else's control flow that came up meanwhile; it has to go on once everything is recorded."""


class Machine(Protocol):
    """Whatever has all that a record needs of a machine."""

    @property
    def disk(self) -> Disk:
        """Where the run directories are."""

    @property
    def clock(self) -> Clock:
        """What the record is dated by."""

    @property
    def entropy(self) -> Entropy:
        """What names of files are kept apart by."""

    @property
    def processes(self) -> ProcessTable:
        """What tells whether the driver of a run is alive."""


class RunStore:
    """Reads and writes the record of the run in `run_dir`. Every method may raise `OSError` unless it says otherwise.

    `stderr` is the last sink of a crash record. `environment` holds the values that must not get into the record; it is
    this process's own unless told otherwise.
    """

    def __init__(
        self,
        run_dir: Path | str,
        *,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        processes: ProcessTable,
        stderr: TextIO | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.run_dir = Path(run_dir)
        self._dir = os.fspath(run_dir)
        self._disk = disk
        self._clock = clock
        self._entropy = entropy
        self._processes = processes
        self._stderr = stderr
        self._environment = dict(os.environ if environment is None else environment)
        self._redactor: Redactor = redactor_of(self._environment)
        self._state_path = f"{self._dir}/state.json"
        self._backup_path = f"{self._dir}/state.json.bak"
        self._keep_backup = False
        self._lock: RunLock | None = None
        self.journal = Journal(disk, f"{self._dir}/journal.jsonl", clock, scrub=self._redactor.line)

    @classmethod
    def on(
        cls,
        machine: Machine,
        run_dir: Path | str,
        *,
        stderr: TextIO | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> RunStore:
        """The record of the run in `run_dir` on that machine."""
        return cls(
            run_dir,
            disk=machine.disk,
            clock=machine.clock,
            entropy=machine.entropy,
            processes=machine.processes,
            stderr=stderr,
            environment=environment,
        )

    def path(self, *parts: str) -> str:
        """A path inside the run directory."""
        return "/".join((self._dir, *parts))

    def create(self, state: RunState, plan_text: str) -> None:
        """Make the directory, the plan, the journal's first line (which has the whole state) and the first snapshot.

        `RecordError` if there is a run already.
        """
        if self._has_record():
            raise RecordError(f"there is a run already in {self._dir}")
        make_directory(self._disk, self._dir, private=True)
        for name in DIRECTORIES:
            self._disk.mkdir(self.path(name))
        put(self._disk, self.path("plan.toml"), plan_text.encode(errors="backslashreplace"), self._entropy.suffix())
        self.journal.epoch = state.epoch
        self.journal.append("run-created", state=state.to_dict())
        self.save(state)

    def save(self, state: RunState) -> None:
        """Put the snapshot in place durably, the last one becoming the backup; on `OSError` the last one still stands."""
        state.seq = max(state.seq, self.journal.seq)
        state.updated_at = self._clock.wall()
        data = self._redactor.line(encode_state(state))
        put(
            self._disk,
            self._state_path,
            data + b"\n",
            self._entropy.suffix(),
            previous=None if self._keep_backup else self._backup_path,
        )
        self._keep_backup = False

    def load(self) -> Loaded:
        """The newest state that can be read, rolled forward by what the journal and the crash records say came after it.

        `RecordError` if there is nothing, or if a newer version wrote it. Who holds the lock has leftovers removed, and what is
        in the way of the record set aside.
        """
        notes: list[str] = []
        found = [(self._snapshot(name, notes), name) for name in ("state.json", "state.json.bak")]
        snapshots = [(snapshot, name) for snapshot, name in found if snapshot is not None]
        self._keep_backup = not any(name == "state.json" for _, name in snapshots)
        reading = self._read_journal(notes)
        if snapshots:
            newest, source = max(snapshots, key=lambda pair: (pair[0].epoch, pair[0].seq))
            state: RunState | None = replay(newest, reading.events)
        else:
            state, source = rebuild(reading.events, os.path.basename(self._dir)), "journal"
        holding = self._lock is not None and self._lock.held
        if state is None:
            if holding and not self._has_record():
                self._remove_leftovers(notes)
            raise RecordError(f"no run can be read in {self._dir}: {notes[0]}")
        if source != "state.json":
            notes.append(f"state taken from {source}")
        if source == "journal" and not any("state" in event for event in reading.events):
            notes.append("the journal's first line is lost: tasks that it names nowhere else are missing")
        add_crashes(state, crash_witnesses(self._disk, self._dir, notes))
        self.journal.at_least(max(state.seq, reading.last[1]))
        self.journal.epoch = state.epoch
        if holding:
            notes += set_aside(self._disk, self._dir, [task.key for task in state.tasks])
            self._remove_leftovers(notes)
        return Loaded(state, source, notes, max(state.epoch, reading.last[0]))

    def _has_record(self) -> bool:
        """Whether anything is there that a run could be read from, readable or not."""
        return any(self._disk.info(self.path(name)) is not None for name in _RECORD)

    def _snapshot(self, name: str, notes: list[str]) -> RunState | None:
        try:
            return decode_state(self._disk.read(self.path(name)))
        except FileNotFoundError:
            if name == "state.json":
                notes.append("state.json is missing")
        except NewerSchema as newer:
            raise NewerSchema(f"{self._dir}: {newer}") from newer
        except (OSError, RecordError) as problem:
            notes.append(f"{name} cannot be read: {describe(problem, self._redactor)}")
        return None

    def _read_journal(self, notes: list[str]) -> JournalReading:
        try:
            reading = read_journal(self._disk, self.journal.path)
        except OSError as problem:
            notes.append(f"journal.jsonl cannot be read: {describe(problem, self._redactor)}")
            return JournalReading()
        notes.extend(reading.notes)
        return reading

    def _remove_leftovers(self, notes: list[str]) -> None:
        """Remove what an engine or an agent of its was preparing that is gone; what agents leave as results stays."""
        for directory in (self._dir, self.path("crash"), self.path("events")):
            try:
                for name in self._disk.listdir(directory):
                    if is_temporary(name):
                        self._disk.remove(f"{directory}/{name}")
            except FileNotFoundError:
                continue
            except OSError as problem:
                notes.append(f"a leftover file could not be removed: {describe(problem, self._redactor)}")

    def remove_drafts(self) -> None:
        """Remove the events that agents were writing when they were ended; for when none of them lives any more."""
        events = self.path("events")
        with contextlib.suppress(FileNotFoundError):
            for name in self._disk.listdir(events):
                if name.endswith(".draft"):
                    self._disk.remove(f"{events}/{name}")

    def lock(self, epoch: int = 0) -> RunLock:
        """Become the one who drives the run; `RunLocked` says who is. Take it before `load`, then `set_epoch`."""
        me = self._processes.me()
        holder = Holder(me.pid, me.started, me.boot_id, self._processes.host(), epoch, self._clock.wall())
        make_directory(self._disk, self._dir, private=True)
        suffix, path = self._entropy.suffix(), self.path("run.lock")
        self._lock = take_lock(self._disk, path, holder, suffix, clock=self._clock, processes=self._processes)
        return self._lock

    def attention(self, text: str | None) -> None:
        """Say in `ATTENTION` what a person should know; `None` takes the file away."""
        path = self.path("ATTENTION")
        if text is None:
            if self._disk.info(path) is not None:
                self._disk.remove(path)
            return
        put(self._disk, path, self._redactor.text(text, 20_000).encode() + b"\n", self._entropy.suffix())

    def read_attention(self) -> str:
        """What `ATTENTION` says; nothing if it is missing or unreadable. Never raises `OSError`."""
        return read_attention(self._disk, self._dir)

    def evidence(self, session: Liveness = Liveness.UNKNOWN) -> Evidence:
        """Everything that can be known about the run now; never raises `OSError`."""
        return collect(self._disk, self._dir, clock=self._clock, processes=self._processes, session=session)

    def survey(self, ask: Callable[[RunState], Liveness]) -> Survey:
        """Everything that is shown of the run; `ask` tells whether its session is there. Never raises `OSError`."""
        return survey(self._disk, self._dir, clock=self._clock, processes=self._processes, ask=ask)

    def events(self) -> list[Event]:
        """The whole journal, as far as it can be read."""
        return read_journal(self._disk, self.journal.path).events

    def clean(self, text: str, limit: int = 4000) -> str:
        """`text` from elsewhere as it may enter the record: without secrets and control characters, bounded, encodable."""
        return self._redactor.text(text, limit)

    def describe(self, exc: BaseException) -> str:
        """`Type: message` without the values of this store's environment; see `harness.record.crash.describe`."""
        return describe(exc, self._redactor)

    def file_crash(
        self,
        exc: BaseException,
        state: RunState | None,
        context: CrashContext | Mapping[str, Any] | None = None,
        child: str | None = None,
    ) -> CrashFiling:
        """Record a crash: JSON, text, journal, each on its own; where one fails the next holds the whole record.

        What a sink raises, control flow included, keeps no other sink from being tried. Changes nothing in `state`. `child` is
        the path of a nested run's crash record.
        """
        context = context if isinstance(context, CrashContext) else CrashContext.of(context or {})
        epoch = state.epoch if state is not None else self.journal.epoch
        record = self._crash_record(exc, state, context, epoch, child)
        error: str = record["error"]
        name = f"crash/{epoch}-{record['seq']}.json"
        sinks = _Sinks(self.describe)
        sinks.take("json", lambda: self._put_crash(name, encode(record) + b"\n"))
        sinks.take("text", lambda: self._put_crash("crash.txt", crash_text(record).encode(errors="backslashreplace")))
        path = name if "json" in sinks.landed else None
        fields: dict[str, Any] = {"error": error, "record": path, "child": child, "problems": list(sinks.problems)}
        if not sinks.landed:
            fields["crash"] = record
        sinks.take("journal", lambda: self._journal_crash(epoch, fields))
        if not sinks.landed and self._stderr is not None:
            sinks.take("stderr", lambda: self._to_stderr(crash_text(record)))
        ref = CrashRef(epoch, record["seq"], error, path)
        return CrashFiling(error, path, sinks.landed, sinks.problems, ref, sinks.interrupted)

    def _crash_record(
        self, exc: BaseException, state: RunState | None, context: CrashContext, epoch: int, child: str | None
    ) -> dict[str, Any]:
        return build_crash_record(
            exc,
            context,
            run_id=state.run_id if state is not None else os.path.basename(self._dir),
            epoch=epoch,
            seq=self._free_number(epoch, state),
            at=self._clock.wall(),
            journal=self.journal.tail(),
            host=self._host(),
            free_bytes=self._free_bytes(),
            child=child,
            redactor=redactor_of(self._environment, context.secrets),
        )

    def _free_number(self, epoch: int, state: RunState | None) -> int:
        """The number that the journal's line about this crash will have, unless a record of that name is there."""
        number = max(self.journal.seq, state.seq if state is not None else 0) + 1
        try:
            while self._disk.info(self.path("crash", f"{epoch}-{number}.json")) is not None:
                number += 1
        except OSError:
            return number
        self.journal.at_least(number - 1)
        return number

    def _host(self) -> dict[str, object]:
        found: dict[str, object] = {}
        isolated(lambda: found.update(name=self._processes.host(), boot_id=self._processes.boot_id()))
        isolated(lambda: found.update(pid=self._processes.me().pid))
        return found

    def _free_bytes(self) -> int | None:
        found: list[int] = []
        isolated(lambda: found.append(self._disk.free_bytes(self._dir)))
        return found[0] if found else None

    def _put_crash(self, name: str, data: bytes) -> None:
        path = self.path(name)
        self._disk.mkdir(os.path.dirname(path))
        put(self._disk, path, data, self._entropy.suffix())

    def _journal_crash(self, epoch: int, fields: dict[str, Any]) -> None:
        self.journal.epoch = epoch
        self.journal.append("run-crash", **fields)

    def _to_stderr(self, text: str) -> None:
        assert self._stderr is not None
        self._stderr.write(text.encode("ascii", "backslashreplace").decode())
        self._stderr.flush()


class _Sinks:
    def __init__(self, described: Callable[[BaseException], str]) -> None:
        self._described = described
        self.landed: list[str] = []
        self.problems: list[str] = []
        self.interrupted: BaseException | None = None

    def take(self, name: str, step: Callable[[], object]) -> None:
        raised = attempt(step)
        if raised is None:
            self.landed.append(name)
            return
        self.problems.append(f"{name}: {self._described(raised)}")
        if self.interrupted is None and not isinstance(raised, Exception):
            self.interrupted = raised
