"""The multiplexer server of a root: who may need it, and ending it when nobody does.

Every command that drives a run holds the root's claim from before its engine asks for anything until the run's own lock
is held. So whoever holds the claim and finds no run locked knows that nobody needs the server.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.disk import LockHandle, LockHeld
from backends.errors import MultiplexerError
from backends.later import later
from backends.server_record import RECORD_NAME
from backends.tmux import TmuxMultiplexer
from harness.commands.host import CommandError, Host
from harness.record import runs
from harness.record.files import make_directory
from harness.runs import PROBES

__all__ = [
    "CONTROL",
    "Claim",
    "claim",
    "end_idle_server",
    "ended_windows",
    "has_no_server",
    "is_over",
    "require_available",
]

eventually = later("harness.waiting:eventually")

CONTROL = "seamripper-control"
"""The session that the windows of detached runs are in; a run's own session is named by its id."""

_CLAIM_PATIENCE_S = 10.0
"""Seconds that a command waits for the claim.

Chosen: whoever tidies up holds it for `_TIDY_S` and a second, whoever starts until its record is made, which on a slow disk
takes a second or two; there may be two before us.
"""
_TIDY_S = 3.0
"""Seconds that ending an idle server may take; it matters to nobody, so a hanging one is left alone."""


class Claim:
    """The root's claim while it is held; `release` is harmless twice."""

    def __init__(self, handle: LockHandle) -> None:
        self._handle = handle

    def release(self) -> None:
        """Let others start or tidy up."""
        self._handle.release()


@contextlib.contextmanager
def claim(host: Host, root: Path) -> Iterator[Claim]:
    """Hold the claim on `root`, which is made if it is missing. Raises `CommandError` where it cannot be written to."""
    try:
        make_directory(host.disk, os.fspath(root))
        taken = eventually(lambda: _try(host, root), host.clock, _CLAIM_PATIENCE_S)
    except TimeoutError:
        raise CommandError(f"another command has been starting in {root} for too long", "try again") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise CommandError(f"{root} cannot be written to: {why}", "choose another directory with --root") from error
    held = Claim(taken[0])
    try:
        yield held
    finally:
        held.release()


def _try(host: Host, root: Path) -> list[LockHandle]:
    try:
        return [host.disk.lock(root / "server")]
    except LockHeld:
        return []


def require_available(multiplexer: TerminalMultiplexer) -> None:
    """Raise `CommandError` unless this host can run the backend."""
    if multiplexer.available():
        return
    name = type(multiplexer).__name__.removesuffix("Multiplexer").lower()
    version = multiplexer.version()
    what = f"{version} cannot be used here" if version else f"there is no {name} that can be run here"
    install = f"; install {multiplexer.requirement}" if multiplexer.requirement else ""
    raise CommandError(what, f"`seamripper backends` says what is missing{install}")


def has_no_server(host: Host, multiplexer: TerminalMultiplexer) -> bool:
    """Whether no server can be there, because neither its socket nor its record is; a question would make their directory."""
    if not isinstance(multiplexer, TmuxMultiplexer):
        return False
    socket = multiplexer.socket_path
    return all(host.disk.info(path) is None for path in (socket, socket.with_name(RECORD_NAME)))


def ended_windows(multiplexer: TerminalMultiplexer) -> list[str] | None:
    """The windows of detached runs that have ended; `None` if one goes on, or may do so."""
    windows = multiplexer.list_window_ids(CONTROL)
    over = [window for window in windows if is_over(multiplexer, window)]
    return over if len(over) == len(windows) else None


def is_over(multiplexer: TerminalMultiplexer, window: str) -> bool:
    """Whether the command in that window of a detached run has ended."""
    return multiplexer.window_exit(window) is not None or not multiplexer.window_alive(CONTROL, window)


def end_idle_server(host: Host, multiplexer: TerminalMultiplexer, root: Path) -> None:
    """End the root's private server, and remove its socket, if no session of any run is left in it.

    Whatever is not proven idle is left alone: nothing depends on this.
    """
    if not isinstance(multiplexer, TmuxMultiplexer):
        return
    with contextlib.suppress(OSError, MultiplexerError, TimeoutError), host.disk.lock(root / "server"):
        if any(host.disk.locked(run_dir / "run.lock") for run_dir in [*runs(host.disk, root), *_probes(host, root)]):
            return
        with multiplexer.budget(_TIDY_S):
            if _is_idle(host, multiplexer):
                multiplexer.shutdown()


def _probes(host: Host, root: Path) -> list[Path]:
    return runs(host.disk, root / PROBES)


def _is_idle(host: Host, multiplexer: TerminalMultiplexer) -> bool:
    """Whether the server holds no session that anybody needs (it ends with its last), or windows that have ended and no more.

    What it still holds then are keepers of programs that only look: they find that it has gone when they look again.
    """
    sessions = multiplexer.list_sessions()
    if not sessions:
        with contextlib.suppress(TimeoutError):
            eventually(lambda: multiplexer.server_identity() is None, host.clock, 1.0)
        return True
    return sessions == [CONTROL] and ended_windows(multiplexer) is not None
