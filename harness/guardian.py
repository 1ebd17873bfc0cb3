"""Ends a live world whose process has ended without ending it: `python -m harness.guardian DIRECTORY`.

Whatever a live world begins (server, agents, their children, what holds its file systems) inherits a variable that names a
file in the world's own directory. So it is found and killed, stopped or not, whoever its parent is by then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from backends.clock import Clock, SystemClock
from backends.posix_signals import SIGKILL
from backends.processes import ProcessIdentity, ProcessTable, SystemProcessTable

__all__ = ["LEDGER", "NOTE", "WorldRemains", "end_world", "importing", "ledger_of", "short_directory"]

LEDGER = "SEAMRIPPER_LEDGER"
"""The variable that every process of a live world has."""

_PATIENCE_S = 10.0
"""Seconds that killed processes are given to be gone; what is in the middle of a `fork` is met in the next look."""


_PASSING = frozenset({errno.ENOTEMPTY, errno.ENOENT, errno.EBUSY, errno.EMFILE, errno.ENFILE})
"""Why a directory may be there for a moment yet."""
NOTE = "NOT-ENDED"
"""The file in a world's directory in which a guardian, whom nobody listens to, says why that is still there."""


def ledger_of(base: Path) -> Path:
    """The file that `LEDGER` names in the world whose directory is `base`."""
    return base / "ledger.jsonl"


_SHORT = 32
"""Characters of a directory below which a socket can lie: the kernel allows about 107 for its whole path."""


def short_directory() -> Path:
    """A new directory, where temporary ones belong unless that is too long for sockets."""
    usual = tempfile.gettempdir()
    where = usual if len(usual) <= _SHORT or not os.path.isdir("/tmp") else "/tmp"
    return Path(tempfile.mkdtemp(prefix="sm-", dir=where))


class WorldRemains(RuntimeError):
    """Something of a world could not be ended: says what, and how to do it by hand."""


def end_world(base: Path, processes: ProcessTable, clock: Clock) -> None:
    """Kill every process of the world whose directory is `base`, but for this one, and remove that.

    Raises `WorldRemains` where one lives on, and the directory stays, or where that cannot be removed.
    """
    end, me = clock.monotonic() + _PATIENCE_S, processes.me()

    def left() -> list[ProcessIdentity]:
        return [one for one in processes.carrying(LEDGER, str(ledger_of(base))) if one != me]

    while (doomed := left()) and clock.monotonic() < end:
        for one in doomed:
            processes.signal(one, SIGKILL)
        clock.wait(0.01)
    by_hand = f"rm -r {shlex.quote(str(base))}"
    if doomed:
        pids = " ".join(str(one.pid) for one in doomed)
        raise WorldRemains(f"processes of {base} live on: `kill -KILL {pids}` ends them, `{by_hand}` removes it")
    while (failed := _failure_to_remove(base)) is not None:
        # Whatever was just killed may have left a file there a moment ago.
        if failed.errno not in _PASSING or clock.monotonic() >= end:
            raise WorldRemains(f"{base} could not be removed: {failed}: `{by_hand}`")
        clock.wait(0.01)


def _failure_to_remove(base: Path) -> OSError | None:
    try:
        shutil.rmtree(base)
    except OSError as error:
        return error if os.path.lexists(base) else None
    return None


def importing(environment: Mapping[str, str]) -> dict[str, str]:
    """That environment, in which this package is found also where it is not installed."""
    here = str(Path(__file__).resolve().parents[1])
    return {**environment, "PYTHONPATH": os.pathsep.join([here, *filter(None, [environment.get("PYTHONPATH")])])}


if __name__ == "__main__":
    _clock = SystemClock()
    try:
        end_world(Path(sys.argv[1]), SystemProcessTable(_clock), _clock)
    except WorldRemains as remains:
        with contextlib.suppress(OSError):
            (Path(sys.argv[1]) / NOTE).write_text(f"{remains}\n", "utf-8")
        sys.exit(f"error: {remains}")
