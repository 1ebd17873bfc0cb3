"""What a run's status is: one pure, total function for command line and dashboard."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from backends.clock import timestamp
from backends.processes import Liveness
from harness.record.state import Crashed, Ending, Finished, Paused, Stopped

__all__ = [
    "Badge",
    "Evidence",
    "Hint",
    "Pending",
    "RunStatus",
    "Status",
    "Waiting",
    "Witness",
    "classify",
    "exit_code",
    "gather",
    "reason_of",
    "status_of",
]

EXIT_FINISHED = 0
EXIT_DEFERRED = 1
EXIT_CRASHED = 70
EXIT_PAUSED = 75


class RunStatus(StrEnum):
    """The seven things that a run can be."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    STOPPED = "STOPPED"
    PAUSED = "PAUSED"
    CRASHED = "CRASHED"
    INTERRUPTED = "INTERRUPTED"
    UNKNOWN = "UNKNOWN"


class Badge(StrEnum):
    """What else is to be known.

    No answer from the multiplexer; run over, session not; what is shown is not the newest; an agent waits for a person.
    """

    DEGRADED = "degraded"
    ORPHANED = "orphaned"
    STALE = "stale"
    PENDING = "pending decision"


class Hint(StrEnum):
    """What a person can do about it."""

    ATTACH = "attach"
    RESUME = "resume"
    STOP = "stop"
    CLEANUP = "cleanup"


@dataclass(frozen=True, slots=True)
class Witness:
    """What one source says: how far it goes (`epoch`, `seq`), when it was written (wall seconds), and the ending it knows."""

    source: str
    epoch: int
    seq: int
    at: float = 0.0
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The agent of `task` waits for a person; `asks` is what for."""

    task: str
    asks: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """`task` is not started again before `until` (wall seconds): a limit of its agent is lifted then."""

    task: str
    until: float

    def __str__(self) -> str:
        return f"{self.task} waits until {timestamp(self.until)[:16].replace('T', ' ')} UTC"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a status is judged by. A source that is missing or unreadable is `None`, and `notes` says why.

    `driver` is the liveness of the recorded process, `lock_held` whether the run's lock is held, `session` whether the
    multiplexer session is there. `damaged` is whether a source exists that cannot be read, `unusable` says why nothing may be
    concluded at all (a newer schema). `pending` is what the newest snapshot says that agents wait for, `waiting` the tasks that
    it says wait for a time. `now` and `degraded_since` are wall seconds.
    """

    state: Witness | None = None
    backup: Witness | None = None
    journal: Witness | None = None
    crashes: Sequence[Witness] = ()
    lock_held: bool = False
    driver: Liveness = Liveness.UNKNOWN
    driver_text: str = ""
    session: Liveness = Liveness.UNKNOWN
    degraded_since: float | None = None
    pending: Sequence[Pending] = ()
    crash_file: str = "crash.txt"
    now: float = 0.0
    damaged: bool = False
    unusable: str = ""
    notes: Sequence[str] = ()
    waiting: Sequence[Waiting] = ()

    @property
    def witnesses(self) -> list[Witness]:
        """All sources that could be read, the most trusted first."""
        return [witness for witness in (self.state, self.journal, self.backup, *self.crashes) if witness is not None]


@dataclass(frozen=True, slots=True)
class Status:
    """The judgement. `reason` is one line; `last_known` and `age_s` are set where the present cannot be known.

    `pending` is what agents ask people for; whether somebody can attach and answer is for `hints` to say.
    """

    name: RunStatus
    reason: str = ""
    badges: tuple[Badge, ...] = ()
    hints: tuple[Hint, ...] = ()
    ending: Ending | None = None
    last_known: RunStatus | None = None
    age_s: float | None = None
    see: str = ""
    notes: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()


class HasEvidence(Protocol):
    """A run's record, as far as a status needs it."""

    def evidence(self, session: Liveness = Liveness.UNKNOWN) -> Evidence:
        """Everything that can be known about the run now."""


def gather(store: HasEvidence, session: Liveness = Liveness.UNKNOWN) -> Evidence:
    """The evidence about a run; `session` is what the caller knows of its multiplexer session."""
    return store.evidence(session)


def classify(evidence: Evidence) -> Status:
    """The status that `evidence` proves; the first row of the table in engine.md that holds."""
    witnesses = evidence.witnesses
    notes = tuple(evidence.notes)
    newest = max(witnesses, key=lambda witness: (witness.epoch, witness.seq), default=None)
    if evidence.unusable or (newest is None and (evidence.damaged or evidence.driver is Liveness.UNKNOWN)):
        reason = evidence.unusable or ": ".join(["nothing of the run's record can be read", *notes[:1]])
        age = None if newest is None else max(0.0, evidence.now - newest.at)
        return Status(RunStatus.UNKNOWN, reason, (Badge.STALE,), age_s=age, notes=notes)
    ending = None if newest is None else _ending(witnesses, newest.epoch)
    name = status_of(ending) if ending is not None else _driven(evidence)
    unknown = name is RunStatus.UNKNOWN
    return Status(
        name,
        _reason(name, ending, evidence),
        _badges(evidence, name),
        _hints(evidence, name),
        ending,
        RunStatus.RUNNING if unknown else None,
        max(0.0, evidence.now - newest.at) if unknown and newest is not None else None,
        evidence.crash_file if name is RunStatus.CRASHED else "",
        notes,
        tuple(evidence.pending) if name in _AWAITED else (),
    )


def status_of(ending: Ending) -> RunStatus:
    """What a run is called that ended so."""
    return _STATUS_OF[type(ending)]


_STATUS_OF: dict[type, RunStatus] = {
    Finished: RunStatus.FINISHED,
    Paused: RunStatus.PAUSED,
    Stopped: RunStatus.STOPPED,
    Crashed: RunStatus.CRASHED,
}


def _ending(witnesses: Iterable[Witness], epoch: int) -> Ending | None:
    """The ending of that epoch: a crash beats all, then the newest; within an epoch an ending is never taken back."""
    ended = [witness for witness in witnesses if witness.epoch == epoch and witness.ending is not None]
    crashed = [witness for witness in ended if isinstance(witness.ending, Crashed)]
    newest = max(crashed or ended, key=lambda witness: witness.seq, default=None)
    return None if newest is None else newest.ending


def _driven(evidence: Evidence) -> RunStatus:
    if evidence.lock_held or evidence.driver is Liveness.ALIVE:
        return RunStatus.RUNNING
    return RunStatus.INTERRUPTED if evidence.driver is Liveness.DEAD else RunStatus.UNKNOWN


def reason_of(ending: Ending) -> str:
    """Why a run ended so, in one line; empty where nothing is to be said."""
    match ending:
        case Crashed(error=error):
            return error
        case Paused(reason=reason):
            return reason
        case Stopped(by=by):
            return f"by {by}"
        case Finished(deferred=deferred, failed=failed):
            told = [f"{len(deferred)} deferred: {', '.join(deferred)}"] if deferred else []
            return "; ".join(told + [f"failed: {command}" for command in failed])


def _reason(name: RunStatus, ending: Ending | None, evidence: Evidence) -> str:
    if ending is not None:
        return reason_of(ending)
    driver = evidence.driver_text or "its driver"
    if name is RunStatus.INTERRUPTED:
        return f"{driver} is gone" if evidence.witnesses else f"{driver} is gone, and had not begun"
    if name is RunStatus.UNKNOWN:
        return f"whether {driver} is alive cannot be known from here"
    asked = [f"{one.task} waits for a person: {one.asks}" for one in evidence.pending]
    return "; ".join([*asked, *(str(one) for one in evidence.waiting if one.until > evidence.now)])


_OVER = frozenset({RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.CRASHED, RunStatus.INTERRUPTED})
_ATTACHABLE = frozenset({RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.FINISHED, RunStatus.UNKNOWN})
_AWAITED = frozenset({RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.UNKNOWN})
"""Where an agent may still be there to take an answer; elsewhere its session has ended, or ends with the next resume."""
_RESUMABLE = frozenset({RunStatus.STOPPED, RunStatus.PAUSED, RunStatus.CRASHED, RunStatus.INTERRUPTED})


def _badges(evidence: Evidence, name: RunStatus) -> tuple[Badge, ...]:
    state = evidence.state
    behind = any(state is None or state.epoch < witness.epoch for witness in evidence.witnesses)
    badges = (
        (Badge.DEGRADED, evidence.degraded_since is not None and name is RunStatus.RUNNING),
        (Badge.ORPHANED, name in _OVER and evidence.session is Liveness.ALIVE),
        (Badge.STALE, name is RunStatus.UNKNOWN or behind),
        (Badge.PENDING, name in _AWAITED and bool(evidence.pending)),
    )
    return tuple(badge for badge, applies in badges if applies)


def _hints(evidence: Evidence, name: RunStatus) -> tuple[Hint, ...]:
    """A recorded ending and a free lock prove that nobody drives, unless the driver's host cannot be asked."""
    ended = name in _RESUMABLE and name is not RunStatus.INTERRUPTED and evidence.driver is not Liveness.UNKNOWN
    gone = not evidence.lock_held and (evidence.driver is Liveness.DEAD or ended)
    alive = evidence.session is Liveness.ALIVE
    hints = (
        (Hint.ATTACH, name in _ATTACHABLE and alive),
        (Hint.RESUME, name in _RESUMABLE and gone and bool(evidence.witnesses)),
        (Hint.STOP, name is RunStatus.RUNNING),
        (Hint.CLEANUP, name in _OVER and alive and not evidence.lock_held),
    )
    return tuple(hint for hint, applies in hints if applies)


def exit_code(ending: Ending | None, deferred: Iterable[str] | None = None) -> int:
    """The command's exit status for that ending; `deferred` overrides what `Finished` itself names.

    0 finished, 1 with a deferred task or a failed command, 70 crashed (or no ending at all), 75 paused, 128 + n stopped
    by signal n.
    """
    match ending:
        case Finished():
            left = list(ending.deferred if deferred is None else deferred)
            return EXIT_DEFERRED if left or ending.failed else EXIT_FINISHED
        case Paused():
            return EXIT_PAUSED
        case Stopped(signum=signum):
            return 128 + (signum or signal.SIGTERM)
    return EXIT_CRASHED
