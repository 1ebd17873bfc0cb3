"""The record of a run: its snapshot, journal, crashes and lock, and the status that they add up to."""

from harness.record.crash import CrashContext, build_crash_record, crash_text, describe
from harness.record.errors import NewerSchema, RecordError, RunLocked
from harness.record.journal import Event, Journal, JournalReading, read_journal
from harness.record.lock import Holder, RunLock, read_holder
from harness.record.state import (
    Attempt,
    Crashed,
    CrashRef,
    Driver,
    Ending,
    Finished,
    Paused,
    ProcessRef,
    RunState,
    SessionOutcome,
    Stopped,
    TaskPhase,
    TaskState,
)
from harness.record.status import Badge, Evidence, Hint, RunStatus, Status, Witness, classify, exit_code, gather
from harness.record.store import CrashFiling, Loaded, RunStore, runs

__all__ = [
    "Attempt",
    "Badge",
    "CrashContext",
    "CrashFiling",
    "CrashRef",
    "Crashed",
    "Driver",
    "Ending",
    "Event",
    "Evidence",
    "Finished",
    "Hint",
    "Holder",
    "Journal",
    "JournalReading",
    "Loaded",
    "NewerSchema",
    "Paused",
    "ProcessRef",
    "RecordError",
    "RunLock",
    "RunLocked",
    "RunState",
    "RunStatus",
    "RunStore",
    "SessionOutcome",
    "Status",
    "Stopped",
    "TaskPhase",
    "TaskState",
    "Witness",
    "build_crash_record",
    "classify",
    "crash_text",
    "describe",
    "exit_code",
    "gather",
    "read_holder",
    "read_journal",
    "runs",
]
