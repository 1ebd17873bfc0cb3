"""What is found where a story was cut off, and whether it is what was promised: readable, complete, and of the right status.

A `Judge` reads the disk of one `Cut` and says what does not hold, `survey` does so for many. `go_on` resumes the run there,
on a host that came up again with nothing but its disk.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.clock import VirtualClock
from backends.memory_disk import MemoryDisk
from backends.processes import ProcessTable
from backends.simulated_processes import SimulatedProcessTable
from backends.simulation import FakeServer
from harness.crash_images import Cut, Recording
from harness.dashboard.reader import RunView, read_run
from harness.oracles import violations
from harness.promises import Promise
from harness.record import (
    Crashed,
    CrashFiling,
    Event,
    RecordError,
    RunState,
    RunStatus,
    RunStore,
    TaskPhase,
    runs,
    status_of,
)
from harness.record.crash import attempt, describe
from harness.record.state import decode_state
from harness.runner import Stage
from harness.stories import MOST_RESUMES
from harness.world import FakeWorld

__all__ = ["Judge", "ReadRun", "Survey", "go_on", "survey"]

ReadRun = Callable[[RunStore], RunView]
"""Reads a run as people are shown it."""


@dataclass(slots=True)
class Survey:
    """What came of many cuts: how many disks were looked at, how many records of a run were different, and what was wrong."""

    images: int = 0
    distinct: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many problems are of that kind: unreadable, lost, status."""
        return sum(f": {kind}: " in problem for problem in self.problems)

    def __add__(self, other: Survey) -> Survey:
        return Survey(self.images + other.images, self.distinct + other.distinct, [*self.problems, *other.problems])


def survey(recording: Recording, cuts: Iterable[Cut], *, read: ReadRun = read_run) -> Survey:
    """Judge every one of `cuts`; each problem has the story and the cut in front of it."""
    found, judge = Survey(), Judge(recording, read)
    for cut in cuts:
        found.images += 1
        found.problems += [f"{recording.story.name} {cut}: {problem}" for problem in judge.problems(cut)]
    found.distinct = judge.distinct
    return found


@dataclass(frozen=True, slots=True)
class _Found:
    """What a reader finds in the directory of a run: nothing but `problem` if it raised."""

    problem: str = ""
    listed: bool = False
    view: RunView | None = None
    events: Sequence[Event] = ()
    snapshot: RunState | None = None
    told: Collection[RunStatus] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


class Judge:
    """Looks at what the next process finds of a recorded story. What depends on the record's bytes alone is read once."""

    def __init__(self, recording: Recording, read: ReadRun = read_run) -> None:
        self._recording = recording
        self._read = read
        self._found: dict[object, _Found] = {}
        self._promises: dict[str, list[Promise]] = {}
        for promise in recording.promises:
            self._promises.setdefault(promise.run_dir, []).append(promise)
        # After a kill the host goes on without the process; after a power cut there is another boot.
        self._killed = recording.world.processes
        self._rebooted = SimulatedProcessTable(host=self._killed.host(), boot_id="boot-2")

    @property
    def distinct(self) -> int:
        """How many different records were read."""
        return len(self._found)

    def problems(self, cut: Cut) -> list[str]:
        """What does not hold there, each as `unreadable: ...`, `lost: ...` or `status: ...`."""
        image = self._recording.image(cut)
        return [problem for run_dir in self._promises for problem in self._of_run(cut, run_dir, image)]

    def _of_run(self, cut: Cut, run_dir: str, image: MemoryDisk) -> Iterator[str]:
        promises = self._promises[run_dir]
        standing = [promise for promise in promises if promise.stands(cut.changes)]
        if image.info(run_dir) is None:
            if standing:
                yield f"lost: the whole of {run_dir}"
            return
        found = self._look(run_dir, image, cut.is_kill)
        if found.view is None:
            yield f"unreadable: {found.problem}"
            return
        pending = [promise for promise in promises if promise.is_open(cut.changes)]
        if standing and not found.listed:
            yield "unreadable: the run is not listed"
        yield from _unreadable_files(pending, found.view)
        yield from _lost_lines(standing, found)
        yield from _lost_states(standing, pending, found)
        yield from _lost_crashes(standing, found)
        yield from _wrong_status(standing, pending, found.view, found.told)

    def _look(self, run_dir: str, image: MemoryDisk, same_boot: bool) -> _Found:
        files = _files(image, run_dir)
        key = (run_dir, same_boot, tuple(files.items()))
        if key not in self._found:
            self._found[key] = self._read_all(run_dir, image, self._killed if same_boot else self._rebooted, files)
        return self._found[key]

    def _read_all(self, run_dir: str, image: MemoryDisk, processes: ProcessTable, files: Mapping[str, bytes]) -> _Found:
        world = self._recording.world
        store = RunStore(
            run_dir, disk=image, clock=world.clock, entropy=world.entropy, processes=processes, environment={}
        )
        read: list[_Found] = []

        def look() -> None:
            listed = Path(run_dir) in runs(image, Path(run_dir).parent)
            view, events = self._read(store), store.events()
            read.append(_Found("", listed, view, events, _newest(files), _told(files), files))

        raised = attempt(look)
        return _Found(describe(raised)) if raised is not None else read[0]


def _files(image: MemoryDisk, run_dir: str) -> dict[str, bytes]:
    """Everything that the record of that run consists of, by its name: what others write and what is being prepared is not."""
    found = {}
    for directory in ("", "crash/"):
        at = f"{run_dir}/{directory}"
        for name in image.listdir(at) if image.info(at) is not None else []:
            info = image.info(at + name)
            if info is not None and info.is_file and not name.startswith("."):
                found[directory + name] = image.read(at + name)
    return found


def _unreadable_files(pending: Iterable[Promise], view: RunView) -> Iterator[str]:
    """What the notes name, but for a snapshot between two renames, and a line that nobody was told was written."""
    writing = any(isinstance(promise.content, dict) for promise in pending)
    for note in view.status.notes:
        if note != "state.json is missing" and not (writing and "lacks its end" in note):
            yield f"unreadable: {note}"


# Nothing acknowledged is lost


def _lost_lines(standing: Iterable[Promise], found: _Found) -> Iterator[str]:
    """Every line that was acknowledged is there, and the state that is read knows what it said."""
    state = None if found.view is None else found.view.state
    there = {(event["epoch"], event["seq"]): event for event in found.events}
    for promise in standing:
        line = promise.content
        if not isinstance(line, dict):
            continue
        told = f"line {line['seq']} ({line['event']})"
        event = there.get((line["epoch"], line["seq"]), {})
        if any(event.get(name) != value for name, value in line.items()):
            yield f"lost: {told}"
        elif state is None:
            yield f"lost: no state can be read, and {told} was acknowledged"
        elif line["event"] == "task-done" and state.task(line["task"]).phase is not TaskPhase.DONE:
            yield f"lost: {told}, the task is {state.task(line['task']).phase}"
        elif line["event"] == "attempt" and line["number"] not in _numbers(state, line["task"]):
            yield f"lost: {told}, the state has no such attempt"
        elif line["event"] == "run-created" and "plan.toml" not in found.files:
            yield "lost: plan.toml"


def _numbers(state: RunState, key: str) -> set[int]:
    return {attempt.number for attempt in state.task(key).attempts}


def _lost_states(standing: Iterable[Promise], pending: Iterable[Promise], found: _Found) -> Iterator[str]:
    """The newest snapshot is the last one that was acknowledged, or one that was being saved."""
    saved = [promise.content for promise in standing if isinstance(promise.content, RunState)]
    if saved and found.snapshot not in [saved[-1], *(promise.content for promise in pending)]:
        there = "no snapshot" if found.snapshot is None else f"that of line {found.snapshot.seq}"
        yield f"lost: the snapshot of line {saved[-1].seq} in epoch {saved[-1].epoch}; there is {there}"


def _newest(files: Mapping[str, bytes]) -> RunState | None:
    there: list[RunState] = []
    for name in ("state.json", "state.json.bak"):
        with contextlib.suppress(RecordError):
            there.append(decode_state(files.get(name, b"")))
    return max(there, key=lambda state: (state.epoch, state.seq), default=None)


def _lost_crashes(standing: Iterable[Promise], found: _Found) -> Iterator[str]:
    """Every crash that was filed is in the history, and its record is where it was said to be."""
    state = None if found.view is None else found.view.state
    for promise in standing:
        filing = promise.content
        if not isinstance(filing, CrashFiling):
            continue
        if state is None or filing.error not in [crash.error for crash in state.crashes]:
            yield f"lost: the crash {filing.error}"
        if filing.record is not None and _object(found.files.get(filing.record, b"")).get("error") != filing.error:
            yield f"lost: {filing.record}"
        if "text" in filing.landed and not found.files.get("crash.txt", b"").startswith(b"CRASHED: "):
            yield "lost: crash.txt"


# The status is right


def _wrong_status(
    standing: Collection[Promise], pending: Collection[Promise], view: RunView, told: Collection[RunStatus]
) -> Iterator[str]:
    """The last ending that was acknowledged, or one that was being recorded and is there whole; else INTERRUPTED."""
    epoch = max((promise.epoch for promise in standing), default=0)
    ended = [promise.ending for promise in standing if promise.epoch == epoch and promise.ending is not None]
    crashed = [ending for ending in ended if isinstance(ending, Crashed)]
    due = {status_of((crashed or ended)[-1])} if ended else {RunStatus.INTERRUPTED}
    if not standing:
        # Nothing says yet who drives, or whether there is a run at all.
        due.add(RunStatus.UNKNOWN)
    for promise in pending:
        if promise.epoch > epoch:
            due.add(RunStatus.INTERRUPTED)
        if promise.ending is not None and status_of(promise.ending) in told:
            due.add(status_of(promise.ending))
    if view.status.name not in due:
        yield f"status: {view.status.name} ({view.status.reason}), due is {' or '.join(sorted(due))}"


def _told(files: Mapping[str, bytes]) -> set[RunStatus]:
    """The endings that a whole line or a whole file tells of, as somebody would read them who knows the formats alone."""
    names = [str(_object(line).get("event")) for line in files.get("journal.jsonl", b"").split(b"\n")]
    found = {_ENDED_BY[name] for name in names if name in _ENDED_BY}
    for name, data in files.items():
        if name.startswith("state.json") and _object(data).get("ending"):
            found.add(RunStatus[_object(data)["ending"]["kind"].upper()])
        if name == "crash.txt" or (name.startswith("crash/") and _object(data)):
            found.add(RunStatus.CRASHED)
    return found


_ENDED_BY = {
    "run-complete": RunStatus.FINISHED,
    "run-paused": RunStatus.PAUSED,
    "run-stopped": RunStatus.STOPPED,
    "run-crash": RunStatus.CRASHED,
}


def _object(data: bytes) -> dict[str, Any]:
    """The JSON object that is there whole; empty if none is."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# The run can be resumed


class _RebootedWorld(FakeWorld):
    """A host that came up again after a while: of the one before it there is the disk, and nothing else."""

    def __init__(self, before: FakeWorld, disk: MemoryDisk) -> None:
        # Another seed: nothing may be taken for something of the last boot.
        super().__init__(before.seed + 1)
        self.clock = VirtualClock(wall=before.clock.wall() + 60)
        self.disk = disk
        self.processes = SimulatedProcessTable(
            self.clock, commands=before.processes.commands, host=before.processes.host(), boot_id="boot-2"
        )
        self.server = FakeServer(self.clock, self.processes, self.disk, self.agents)


def go_on(recording: Recording, cut: Cut) -> list[str]:
    """What does not hold when the host comes up again there and the run is resumed until it is finished."""
    standing = [promise for promise in recording.promises if promise.stands(cut.changes)]
    outer = [promise for promise in standing if promise.run_dir == recording.run_dirs[0]]
    lines = [promise.content for promise in outer if isinstance(promise.content, dict)]
    world = _RebootedWorld(recording.world, recording.image(cut))
    stage = Stage(world, seed=world.seed)
    stage.take_over(recording.report.plan, Path(recording.run_dirs[0]))
    for _ in range(MOST_RESUMES):
        report = stage.run(recording.report.plan, resume=True, faults="", verify=False, strict=False)
        if isinstance(report.raised, RecordError):
            return [f"cannot be resumed: {report.raised}"] if lines else []
        problems = violations(report, strict=False)
        started = {entry["task"] for entry in report.ledger if entry["what"] == "start"}
        done = [line["task"] for line in lines if line["event"] == "task-done"]
        problems += [f"resumable: {key} was done and was taken up again" for key in done if key in started]
        errors = [] if report.state is None else [crash.error for crash in report.state.crashes]
        filed = [one.content.error for one in outer if isinstance(one.content, CrashFiling)]
        problems += [f"resumable: the crash {error} was forgotten" for error in filed if error not in errors]
        if problems or report.status is RunStatus.FINISHED:
            return problems
    return [f"resumable: the run was not finished by {MOST_RESUMES} resumes"]
