"""What becomes of an exception that comes out of a command: one line, and an exit code."""

from __future__ import annotations

import contextlib
import errno
from typing import TextIO

from backends.errors import BackendNotFound, CommandRejected, MultiplexerError, TransportError
from backends.posix_signals import SIGKILL
from faults.errors import FaultPlanError, SimulatedDeath
from harness.commands.current import Drive
from harness.commands.host import CommandError
from harness.commands.output import OutputGone
from harness.dashboard import literal
from harness.engine.plan_error import PlanError
from harness.record import NewerSchema, RecordError, RunLocked
from harness.runs import ROOT_VARIABLE, NoHome, RunNotFound
from harness.story_error import StoryError

__all__ = ["EXIT_CRASHED", "EXIT_USAGE", "as_expected", "as_refused", "complain"]

EXIT_USAGE = 2
EXIT_CRASHED = 70


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
            return CommandError(f"the multiplexer did not answer: {error.brief}", "try again")
        case CommandRejected(operation=None, invalid_argument=True):
            # Nobody was asked yet: it could not even be made with what is set.
            return CommandError(
                error.message, "correct that setting; `seamripper doctor` looks at them all", EXIT_USAGE
            )
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
