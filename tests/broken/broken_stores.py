"""Records that are wrong on purpose, and readers of them: each makes one mistake that a cut somewhere has to show."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from typing import Any

from backends.disk import Disk
from backends.processes import Liveness
from harness.dashboard.reader import RunView, read_run
from harness.record import Finished, Journal, RunState, RunStatus, RunStore, Status, classify
from harness.record.state import encode_state


class _UnsyncedJournal(Journal):
    def append(self, event: str, /, *, durable: bool = True, **fields: object) -> int:
        return super().append(event, durable=False, **fields)


class _HastyJournal(Journal):
    """Syncs a line when the next one comes."""

    def append(self, event: str, /, *, durable: bool = True, **fields: object) -> int:
        if self._disk.info(self.path) is not None:
            self._disk.fsync(self.path)
        return super().append(event, durable=False, **fields)


class _RewritingJournal(Journal):
    """Takes its last line back before it writes the next one, to have the numbers in order."""

    def append(self, event: str, /, *, durable: bool = True, **fields: object) -> int:
        if self._disk.info(self.path) is not None:
            before = self._disk.read(self.path)
            cut = before.rstrip(b"\n").rfind(b"\n") + 1
            self._disk.truncate(self.path, cut)
            self._disk.append(self.path, before[cut:])
        return super().append(event, durable=durable, **fields)


class _OtherJournal(RunStore):
    """A store with a journal of the kind `kind`."""

    kind: type[Journal] = Journal

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.journal = self.kind(self._disk, self.journal.path, self._clock, scrub=self._redactor.line)


class NeverSyncsItsJournal(_OtherJournal):
    """Leaves it to the kernel when lines get to the disk."""

    kind = _UnsyncedJournal


class AcknowledgesTooEarly(_OtherJournal):
    """Says that a line is safe, and makes it so with the next one."""

    kind = _HastyJournal


class RewritesItsJournal(_OtherJournal):
    """Writes lines that were acknowledged once more."""

    kind = _RewritingJournal


class WritesInPlace(RunStore):
    """Empties the snapshot and fills it again."""

    def save(self, state: RunState) -> None:
        """See `RunStore.save`."""
        state.seq, state.updated_at = max(state.seq, self.journal.seq), self._clock.wall()
        if self._disk.info(self._state_path) is not None:
            self._disk.truncate(self._state_path, 0)
        self._disk.append(self._state_path, encode_state(state))
        self._disk.fsync(self._state_path)
        self._disk.fsync(self._dir)


class _OwnSteps(RunStore):
    """Puts the snapshot in place with some of the steps that it takes."""

    steps: tuple[str, ...] = ("file", "directory")

    def save(self, state: RunState) -> None:
        """See `RunStore.save`."""
        state.seq, state.updated_at = max(state.seq, self.journal.seq), self._clock.wall()
        prepared = f"{self._dir}/.state.json.{self._entropy.suffix()}.tmp"
        self._disk.write(prepared, encode_state(state))
        if "file" in self.steps:
            self._disk.fsync(prepared)
        self._disk.replace(prepared, self._state_path)
        if "directory" in self.steps:
            self._disk.fsync(self._dir)


class ForgetsTheDirectory(_OwnSteps):
    """Syncs the new snapshot, and not the name that it gets."""

    steps = ("file",)


class ForgetsTheFile(_OwnSteps):
    """Syncs the name of the new snapshot, and not what is in it."""

    steps = ("directory",)


class FilesCrashesLoosely(RunStore):
    """Writes crash records as one writes notes."""

    def _put_crash(self, name: str, data: bytes) -> None:
        if self._disk.info(self.path(name)) is not None:
            self._disk.remove(self.path(name))
        self._disk.write(self.path(name), data)


class CreatesWithoutItsPlan(RunStore):
    """Begins the record, and writes the plan when there is time."""

    def create(self, state: RunState, plan_text: str) -> None:
        """See `RunStore.create`."""
        super().create(state, plan_text)
        self._disk.remove(self.path("plan.toml"))
        self._disk.write(self.path("plan.toml"), plan_text.encode())


STORES: dict[str, tuple[type[RunStore], str]] = {
    "never-syncs-its-journal": (NeverSyncsItsJournal, "lost"),
    "acknowledges-too-early": (AcknowledgesTooEarly, "lost"),
    "rewrites-its-journal": (RewritesItsJournal, "lost"),
    "writes-in-place": (WritesInPlace, "lost"),
    "forgets-the-directory": (ForgetsTheDirectory, "lost"),
    "forgets-the-file": (ForgetsTheFile, "unreadable"),
    "files-crashes-loosely": (FilesCrashesLoosely, "lost"),
    "creates-without-its-plan": (CreatesWithoutItsPlan, "lost"),
}
"""Each with the kind of problem that has to be told of it."""


def _raw(store: RunStore, name: str) -> bytes:
    disk: Disk = store._disk
    with contextlib.suppress(OSError):
        return disk.read(store.path(name))
    return b""


def trusts_torn_endings(store: RunStore) -> RunView:
    """Takes the beginning of a line for the line."""
    view = read_run(store)
    torn = _raw(store, "journal.jsonl").rpartition(b"\n")[2]
    return dataclasses.replace(view, status=Status(RunStatus.FINISHED)) if b'"run-complete"' in torn else view


def trusts_the_snapshot_alone(store: RunStore) -> RunView:
    """Never looks into the journal for how a run ended."""
    view = read_run(store)
    evidence = dataclasses.replace(store.evidence(), journal=None)
    return dataclasses.replace(view, status=classify(evidence))


def trusts_the_lock_file(store: RunStore) -> RunView:
    """Takes a run for running as long as somebody is named in its lock."""
    view = read_run(store)
    if not _raw(store, "run.lock") or view.status.ending is not None:
        return view
    driven = dataclasses.replace(store.evidence(), driver=Liveness.ALIVE)
    return dataclasses.replace(view, status=classify(driven))


def trusts_that_all_went_well(store: RunStore) -> RunView:
    """Takes a run for finished whose tasks are all done."""
    view = read_run(store)
    tasks = [] if view.state is None else view.state.tasks
    well = bool(tasks) and all(task.phase == "done" for task in tasks) and view.status.ending is None
    return dataclasses.replace(view, status=Status(RunStatus.FINISHED, ending=Finished())) if well else view


def trusts_every_line(store: RunStore) -> RunView:
    """Reads the journal line by line, and never met one that was cut off."""
    for line in _raw(store, "journal.jsonl").splitlines():
        json.loads(line)
    return read_run(store)


def trusts_that_a_state_is_there(store: RunStore) -> RunView:
    """Opens the snapshot without a thought of where it is between two renames."""
    json.loads(store._disk.read(os.path.join(store.path(), "state.json")))
    return read_run(store)


READERS = {
    "trusts-torn-endings": (trusts_torn_endings, "status"),
    "trusts-the-snapshot-alone": (trusts_the_snapshot_alone, "status"),
    "trusts-the-lock-file": (trusts_the_lock_file, "status"),
    "trusts-that-all-went-well": (trusts_that_all_went_well, "status"),
    "trusts-every-line": (trusts_every_line, "unreadable"),
    "trusts-that-a-state-is-there": (trusts_that_a_state_is_there, "unreadable"),
}
"""Each with the kind of problem that has to be told of what it shows."""
