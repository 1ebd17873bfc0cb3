"""The snapshot of a run: what `state.json` holds, as types.

How a run ended is one value of one sum type, `Ending`. The keys `crashed`, `crash_error`, `finished`, `stopped` and
`paused_reason` of the document are derived from it for readers of the older shape, and are believed only where `ending`
is absent; where they contradict each other CRASHED beats STOPPED beats PAUSED beats FINISHED.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

import msgspec

from backends.processes import ProcessIdentity
from harness.record.errors import NewerSchema, RecordError
from harness.record.plain import encode

__all__ = [
    "CUT_OFF",
    "SCHEMA",
    "Attempt",
    "CrashRef",
    "Crashed",
    "Driver",
    "Ending",
    "Finished",
    "Paused",
    "ProcessRef",
    "RunState",
    "SessionOutcome",
    "Stopped",
    "TaskPhase",
    "TaskState",
    "decode_state",
    "encode_state",
]

SCHEMA = 1
"""The shape of the document that this version writes; 0 is the older shape, which has no `schema` key."""

Counted = Annotated[int, msgspec.Meta(ge=0)]


class Finished(msgspec.Struct, frozen=True, tag_field="kind", tag="finished"):
    """Every task was carried out or deferred; `deferred` names the latter, `failed` the `post_run` commands that failed."""

    deferred: list[str] = []
    failed: list[str] = []


class Paused(msgspec.Struct, frozen=True, tag_field="kind", tag="paused"):
    """The run waits for a person; `stage` is a stable word for why, `task` the task that it waits at."""

    reason: str
    stage: str = ""
    task: str | None = None


class Stopped(msgspec.Struct, frozen=True, tag_field="kind", tag="stopped"):
    """Somebody stopped the run: `by` says who, `signum` is the signal's number if it was one."""

    by: str
    signum: int | None = None


class Crashed(msgspec.Struct, frozen=True, tag_field="kind", tag="crashed"):
    """The engine raised. `error` is `Type: message`, `record` the crash record, `child` a nested run's; paths as in the run."""

    error: str
    record: str | None = None
    child: str | None = None


Ending = Finished | Paused | Stopped | Crashed
"""How a run, or one epoch of it, ended."""


class TaskPhase(StrEnum):
    """Where a task is: `pending -> running -> verifying -> done | deferred | escalated`."""

    PENDING = "pending"
    RUNNING = "running"
    VERIFYING = "verifying"
    DONE = "done"
    DEFERRED = "deferred"
    ESCALATED = "escalated"

    def told(self, *, over: bool) -> str:
        """The word for it; what was under way when its run ended (`over`) is cut off."""
        return CUT_OFF if over and self in (TaskPhase.RUNNING, TaskPhase.VERIFYING) else self.value


CUT_OFF = "cut off"
"""How a task or session that was under way is called once its run has ended."""


class SessionOutcome(StrEnum):
    """How one agent session ended."""

    COMPLETED = "completed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    STALLED = "stalled"
    UNREACHABLE = "unreachable"
    STOPPED = "stopped"


class ProcessRef(msgspec.Struct, frozen=True):
    """A process of a session; `started` as in `ProcessIdentity`. The boot is the driver's."""

    pid: int
    started: float


class Attempt(msgspec.Struct):
    """One session of a task. Times are wall clock seconds; `token` is the launch token; `counted` is whether it used one up.

    `pending` is what its agent asks a person for right now; empty while it asks for nothing.
    """

    number: int
    token: str
    window_id: str | None = None
    started_at: float = 0.0
    ended_at: float | None = None
    outcome: SessionOutcome | None = None
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    counted: bool = True
    nudges: int = 0
    pids: list[ProcessRef] = []
    pending: str = ""


class TaskState(msgspec.Struct):
    """One task. `feedback` goes to the next attempt; before `not_before` (wall seconds) there is none."""

    key: str
    phase: TaskPhase = TaskPhase.PENDING
    attempts: list[Attempt] = []
    reason: str = ""
    feedback: str = ""
    not_before: float | None = None
    summary: str = ""

    @property
    def attempts_used(self) -> int:
        """How many of the plan's `max_attempts` are used up, that at work included: what every display calls its attempts.

        A launch that ended by no fault of its agent (refused, unreachable, stopped, put off by a limit) uses up none.
        """
        return sum(attempt.counted for attempt in self.attempts)


class Driver(msgspec.Struct, frozen=True):
    """The process that drives the run."""

    pid: int
    started: float
    boot_id: str
    host: str

    @property
    def identity(self) -> ProcessIdentity:
        """The process as the process table knows it."""
        return ProcessIdentity(self.pid, self.started, self.boot_id)


class CrashRef(msgspec.Struct, frozen=True):
    """One crash of the run's history; `record` is the path of its record inside the run directory."""

    epoch: int
    seq: int
    error: str
    record: str | None = None


class RunState(msgspec.Struct, dict=True):
    """Everything about a run that a resume needs.

    `epoch` counts the drives of the run from 1, `seq` is the journal line up to which this snapshot tells the story.
    Times are wall clock seconds. `degraded_since` is since when the multiplexer has not answered, and `degraded_why` what came
    instead. `nested` names child runs, `parent` the run that started this one. `commands_done` counts the
    commands after the last task that were run, in any epoch; `commands_failed` names those that failed.
    """

    run_id: str
    project: str = ""
    backend: str = ""
    mux_session: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    epoch: Annotated[int, msgspec.Meta(ge=1)] = 1
    seq: Counted = 0
    schema: Counted = SCHEMA
    driver: Driver | None = None
    ending: Ending | None = None
    tasks: list[TaskState] = []
    teardown: str | None = None
    crashes: list[CrashRef] = []
    approved: list[str] = []
    degraded_since: float | None = None
    nested: list[str] = []
    parent: str | None = None
    plan_sha256: str = ""
    commands_done: Counted = 0
    commands_failed: list[str] = []
    degraded_why: str = ""

    @property
    def crashed(self) -> bool:
        """Whether this epoch ended in a crash of the engine."""
        return isinstance(self.ending, Crashed)

    @property
    def crash_error(self) -> str | None:
        """`Type: message` of the crash that this epoch ended in."""
        return self.ending.error if isinstance(self.ending, Crashed) else None

    @property
    def deferred(self) -> list[str]:
        """Keys of the tasks that were deferred, in order."""
        return [task.key for task in self.tasks if task.phase is TaskPhase.DEFERRED]

    def task(self, key: str) -> TaskState:
        """The task of that key; `KeyError` if there is none."""
        at = self._places.get(key, -1)
        if not (0 <= at < len(self.tasks) and self.tasks[at].key == key):
            self._places = {task.key: at for at, task in reversed(list(enumerate(self.tasks)))}
            at = self._places.get(key, -1)
        if at < 0:
            raise KeyError(key)
        return self.tasks[at]

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where each task was found last: a run of a thousand asks for one of them a million times."""
        return {}

    def rearm(self, epoch: int) -> None:
        """Begin another epoch: the ending goes, and so does what was asked of people; the history of crashes stays."""
        if epoch <= self.epoch:
            raise ValueError(f"epoch {epoch} does not come after {self.epoch}")
        self.epoch = epoch
        self.ending = None
        self.teardown = None
        self.degraded_since = None
        self.degraded_why = ""
        for task in self.tasks:
            for attempt in task.attempts:
                attempt.pending = ""

    def to_dict(self) -> dict[str, Any]:
        """The document, with the keys of the older shape derived from the ending."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document | _older_keys(self.ending)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> RunState:
        """The state that `document` describes, in this shape or the older one; `RecordError` if it describes none."""
        if not isinstance(document, Mapping):
            raise RecordError(f"a state is an object, not {type(document).__name__}")
        schema = document.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise NewerSchema(
                f"written by a newer version (schema {schema}, this one knows {SCHEMA}): update seamripper"
            )
        try:
            state = msgspec.convert(_in_this_shape(document), cls)
        except (msgspec.ValidationError, RecursionError) as exc:
            raise RecordError(f"not a run's state: {exc}") from exc
        keys = [task.key for task in state.tasks]
        if len(set(keys)) != len(keys):
            raise RecordError("not a run's state: two tasks have the same key")
        return state


def encode_state(state: RunState) -> bytes:
    """The document as JSON; text that UTF-8 cannot carry is escaped."""
    document = msgspec.structs.asdict(state)
    document.update(_older_keys(state.ending))
    return encode(document)


def decode_state(data: bytes) -> RunState:
    """The state in a JSON document; `RecordError` if there is none."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as exc:
        raise RecordError(f"not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise RecordError(f"a state is an object, not {type(document).__name__}")
    return RunState.from_dict(document)


def _older_keys(ending: Ending | None) -> dict[str, Any]:
    return {
        "crashed": isinstance(ending, Crashed),
        "crash_error": ending.error if isinstance(ending, Crashed) else None,
        "finished": isinstance(ending, Finished),
        "stopped": isinstance(ending, Stopped),
        "paused_reason": ending.reason if isinstance(ending, Paused) else None,
    }


def _in_this_shape(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what an older one lacks: its schema is 0, its tasks are a list, its ending is derived."""
    newer = dict(document)
    newer.setdefault("schema", 0)
    tasks = newer.get("tasks")
    if isinstance(tasks, Mapping):
        newer["tasks"] = [{"key": key, **task} if isinstance(task, Mapping) else task for key, task in tasks.items()]
    if "ending" not in newer:
        newer["ending"] = _older_ending(newer)
    return newer


def _older_ending(document: Mapping[str, Any]) -> dict[str, Any] | None:
    for flag in ("crashed", "stopped", "finished"):
        if not isinstance(document.get(flag, False), bool | None):
            raise RecordError(f"not a run's state: `{flag}` is neither true nor false")
    error = document.get("crash_error")
    if document.get("crashed") or error:
        return {"kind": "crashed", "error": error or "unknown error"}
    if document.get("stopped"):
        return {"kind": "stopped", "by": "unknown"}
    reason = document.get("paused_reason")
    if reason:
        stage, task = document.get("paused_stage") or "", document.get("paused_task")
        return {"kind": "paused", "reason": reason, "stage": stage, "task": task}
    return {"kind": "finished"} if document.get("finished") else None
