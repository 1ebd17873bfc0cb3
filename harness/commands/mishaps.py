"""What becomes of an exception that comes out of a command: one line, an exit code, and a record where there is a run."""

from __future__ import annotations

import contextlib
import errno
from typing import TextIO

from backends.errors import BackendNotFound, MultiplexerError, TransportError
from backends.posix_signals import SIGKILL
from faults.errors import FaultPlanError, SimulatedDeath
from harness.commands.driving import Drive
from harness.commands.host import CommandError, Host
from harness.commands.output import OutputGone
from harness.dashboard import literal
from harness.engine.endings import Isolation
from harness.engine.plan import PlanError
from harness.engine.teardown import FAILED, TORN_DOWN, UNCONFIRMED
from harness.engine.windows import RUN_OPTION, Windows
from harness.record import Crashed, NewerSchema, RecordError, RunLock, RunLocked, RunState
from harness.runs import ROOT_VARIABLE, NoHome, RunNotFound
from harness.stories import StoryError

__all__ = ["EXIT_CRASHED", "EXIT_USAGE", "as_expected", "as_refused", "complain", "record_crash"]

EXIT_USAGE = 2
EXIT_CRASHED = 70
_TEARDOWN_S = 5.0
"""Seconds that the session of a run is given to end that crashed outside of its engine."""


def as_expected(error: BaseException) -> CommandError | None:
    """What to say about an error that was to be expected; `None` for any other."""
    match error:
        case CommandError():
            return error
        case PlanError():
            return CommandError(str(error), _advice_about(error), EXIT_USAGE)
        case FaultPlanError():
            return CommandError(f"--faults: {error}", "correct the fault plan", EXIT_USAGE)
        case StoryError():
            return CommandError(str(error), "correct the story", EXIT_USAGE)
        case RunNotFound():
            return CommandError(str(error), error.advice, EXIT_USAGE)
        case NoHome():
            return CommandError(str(error), f"give --root, or set {ROOT_VARIABLE}", EXIT_USAGE)
        case BackendNotFound():
            return CommandError(error.message, "`seamripper backends` lists them", EXIT_USAGE)
        case RunLocked():
            return CommandError(str(error), "wait until it has ended, or stop that process")
        case NewerSchema():
            return CommandError(str(error), "nothing was changed")
        case RecordError():
            return CommandError(str(error), "`seamripper status` shows what can be read of it")
        case TransportError():
            return CommandError(f"the multiplexer did not answer: {error}", "try again")
        case MultiplexerError():
            return CommandError(
                f"the multiplexer refused: {error}", "`seamripper backends` says what this host can run"
            )
        case OutputGone():
            return CommandError(f"standard output cannot be written: {error}", "nothing else was done")
        case SimulatedDeath():
            code = 128 + SIGKILL
            return CommandError("the fault plan killed the engine here", "`seamripper resume` goes on", code)
    return None


def as_refused(error: BaseException, current: Drive) -> CommandError | None:
    """What to say where the host has refused to let a file be seen or changed; `None` for anything else.

    Once an engine is there, whatever comes out around it is a crash of its run.
    """
    if current.engine is not None or not isinstance(error, OSError) or error.errno not in _REFUSALS:
        return None
    why = error.strerror or type(error).__name__
    return CommandError(
        f"{error.filename or 'a file'}: {why}", "it is somebody else's or read-only: choose another --root"
    )


_REFUSALS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def _advice_about(error: PlanError) -> str:
    if isinstance(error.__cause__, OSError):
        return "name a file that holds a plan"
    return "correct the plan; `seamripper run PLAN --dry-run` checks it"


def complain(stderr: TextIO, line: str) -> None:
    """One line `error: ...` on standard error, literally; a standard error that is gone changes nothing."""
    with contextlib.suppress(OSError, ValueError):
        stderr.write(f"error: {literal(line, 2000)}\n")
        stderr.flush()


def record_crash(host: Host, current: Drive, error: BaseException) -> str:
    """Record that the command of a run crashed outside of its engine; where the record is, nothing if there is none.

    A run that is not there yet, or whose lock cannot be had, is left alone: somebody else may be driving it. Each step
    stands alone, as in the engine, and the record comes before the teardown.
    """
    run_dir = current.run_dir
    steps = Isolation()
    if run_dir is None:
        return ""
    there: list[bool] = []
    steps.step("look", lambda: there.append(host.disk.info(run_dir) is not None))
    if there != [True]:
        return ""
    store = host.store(run_dir)
    locks: list[RunLock] = []
    if not steps.step("lock", lambda: locks.append(store.lock())):
        return ""
    found: list[RunState] = []
    steps.step("load", lambda: found.append(store.load().state))
    state = found[0] if found else None
    filing = store.file_crash(error, state)
    if state is not None:
        state.ending = Crashed(error=filing.error, record=filing.record)
        state.crashes.append(filing.ref)
        steps.step("state", lambda: store.save(state))
        steps.step("teardown", lambda: _tear_down(current, state))
        steps.step("journal", lambda: store.journal.append("teardown", outcome=state.teardown))
        steps.step("state", lambda: store.save(state))
    steps.step("attention", lambda: store.attention(f"crashed: {filing.error}"))
    for lock in locks:
        steps.step("release", lock.release)
    return f"{run_dir}/crash.txt" if "text" in filing.landed else ""


def _tear_down(current: Drive, state: RunState) -> None:
    """End the run's session, if it is the run's own; unconfirmed where nobody can be asked."""
    state.teardown = UNCONFIRMED
    multiplexer = current.multiplexer
    if multiplexer is None or not state.mux_session:
        return
    with multiplexer.budget(_TEARDOWN_S):
        owner = multiplexer.session_options(RUN_OPTION).get(state.mux_session, state.run_id)
        if owner == state.run_id:
            gone = Windows(multiplexer, state.mux_session, state.run_id, state.project).kill_session()
            state.teardown = {True: TORN_DOWN, False: FAILED, None: UNCONFIRMED}[gone]
