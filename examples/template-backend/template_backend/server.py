"""Which server is ours: who may answer, and when silence proves that nobody is left to."""

import os
import threading
from pathlib import Path

from backends.clock import Clock
from backends.errors import TargetMissing, TransportUnavailable
from backends.processes import Completed, Liveness, ProcessIdentity, SystemProcessTable

DYING_S = 1.0
"""Seconds that a server is given to end; it ends with its last session."""


class Server:
    """One private server. Which process it is stands in a file beside its socket, for every later process to know."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self.socket = directory / "socket"
        self._record = directory / "server"
        self._clock = clock
        self._processes = SystemProcessTable(clock)

    def confirm(self, pid: int, follows: bool = False) -> None:
        """Let an answer of the process `pid` count; `follows` lets it be ours from now on, if the one before is gone.

        Raises `TargetMissing` where ours is gone and another one answers.
        """
        known, answered = self._known(), self._processes.identify(pid)
        if answered is None:
            raise TransportUnavailable("who answered is gone")
        if known is None or (follows and self._is_dead(known)):
            self._remember(answered)
        elif known != answered:
            if not self._is_dead(known):
                raise TransportUnavailable(f"server {pid} answers, and ours, {known.pid}, is not known to be gone")
            raise TargetMissing("our server is gone, another one answers")

    def is_gone(self, done: Completed) -> bool:
        """Whether a question that ended like that had nobody to answer it: our server has ended, or none was started."""
        known = self._known()
        if known is None:
            never = f"error connecting to {self.socket} (No such file or directory)\n"
            return (done.status, done.stdout, done.stderr) == (1, b"", never.encode())
        end = self._clock.monotonic() + DYING_S
        while not self._is_dead(known):
            if self._clock.monotonic() >= end:
                return False
            self._clock.wait(0.02)
        return True

    def _is_dead(self, known: ProcessIdentity) -> bool:
        return self._processes.liveness(known) is Liveness.DEAD

    def _known(self) -> ProcessIdentity | None:
        try:
            pid, started, boot = self._record.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return None
        return ProcessIdentity(int(pid), float(started), boot)

    def _remember(self, who: ProcessIdentity) -> None:
        whole = self._record.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        whole.write_text(f"{who.pid}\n{who.started!r}\n{who.boot_id}\n", "utf-8")
        whole.replace(self._record)
