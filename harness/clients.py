"""What happens to the client of one call: it is stopped before it has asked, or killed before it can tell the answer.

Both are armed, and meet the next client that is started. To a real client a shell does it, so that it happens at exactly that
moment on the slowest host; a simulated one has no process, and comes to the same end on the simulation's clock.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from backends.clock import Clock, SystemClock, Waker
from backends.disk import Disk
from backends.posix_signals import SIGCONT, SIGKILL
from backends.processes import Completed, ProcessTable
from backends.transport import Transport, disconnect
from faults.live import LiveEvent
from harness.waiting import eventually

__all__ = ["Clients", "RealClients", "SimulatedClients"]


class Clients(ABC):
    """The clients of one host; `around` a transport they meet with what was armed."""

    def __init__(self) -> None:
        self._freezing = False
        self._killing = False
        self._held: set[int] = set()
        """The clients that are being stopped, or are, by number."""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def events(self) -> dict[str, LiveEvent]:
        """What can be done to them."""
        return {"freeze_client": LiveEvent(self.freeze, self.thaw), "kill_client": LiveEvent(self.kill, self.spare)}

    def around(self, inner: Transport) -> Transport:
        """`inner`, whose clients can be hurt."""
        return _Hurting(self, inner)

    def freeze(self) -> None:
        """The next client is stopped before it has asked anything."""
        self._freezing = True

    def thaw(self) -> None:
        """Clients that are stopped go on and ask; one that was to be stopped is not."""
        with self._lock:
            self._freezing = False

    def kill(self) -> None:
        """The next client dies of SIGKILL once the server has done what it asked, and tells nobody."""
        self._killing = True

    def spare(self) -> None:
        """No client is to die any more."""
        self._killing = False

    def run(self, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        """Start a client, the next one."""
        if self._killing:
            self._killing = False
            return self._killed(inner, argv, stdin, timeout_s)
        with self._lock:
            number = next(self._numbers) if self._freezing else None
            self._freezing = False
            if number is not None:
                self._held.add(number)
        if number is None:
            return inner.run(argv, stdin=stdin, timeout_s=timeout_s)
        try:
            return self._frozen(number, inner, argv, stdin, timeout_s)
        finally:
            self._held.discard(number)

    def abandon(self) -> None:
        """Keep nobody waiting for a client that is stopped."""
        self._freezing = False

    @abstractmethod
    def _killed(self, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        """A client that dies."""

    @abstractmethod
    def _frozen(self, number: int, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        """A client that is stopped until `thaw`, or until it is killed for being late."""


_PATIENCE_S = 10.0
"""Seconds that a client which is being stopped is given to be so before it is continued."""


class RealClients(Clients):
    """Client processes; one that is stopped is found by its pid in a file of its own beside `note`, and known by a variable."""

    def __init__(self, processes: ProcessTable, disk: Disk, note: Path, variable: tuple[str, str]) -> None:
        """`variable` is the name and the value of one that every client has, and nobody outside of this world."""
        super().__init__()
        self._processes = processes
        self._disk = disk
        self._note = note
        self._variable = variable

    def thaw(self) -> None:
        """See `Clients.thaw`; one that is not stopped yet is waited for, since SIGCONT would be lost on it."""
        super().thaw()
        with contextlib.suppress(TimeoutError):
            eventually(self._is_let_go, SystemClock(), _PATIENCE_S, 0.01)

    def _is_let_go(self) -> bool:
        """Continue the clients that are stopped by now; whether there is none (any more) that will be."""
        for number in sorted(self._held):
            with contextlib.suppress(OSError, psutil.Error):
                pid, ended, _ = self._disk.read(self._note_of(number)).partition(b"\n")
                # The note is there before its line is.
                if ended and psutil.Process(int(pid)).status() == psutil.STATUS_STOPPED:
                    for one in self._processes.carrying(*self._variable):
                        if one.pid == int(pid):
                            self._processes.signal(one, SIGCONT)
                    self._held.discard(number)
        return not self._held

    def _note_of(self, number: int) -> Path:
        return self._note.with_name(f"{self._note.name}-{number}")

    def _killed(self, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        return self._by_shell('"$@" >/dev/null 2>&1; kill -KILL $$', "sh", inner, argv, stdin, timeout_s)

    def _frozen(self, number: int, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        script = 'echo $$ >"$0"; kill -STOP $$; exec "$@"'
        try:
            return self._by_shell(script, os.fspath(self._note_of(number)), inner, argv, stdin, timeout_s)
        finally:
            # A pid is used again once its process is gone.
            with contextlib.suppress(OSError):
                self._disk.remove(self._note_of(number))

    def _by_shell(
        self, script: str, name: str, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float
    ) -> Completed:
        try:
            done = inner.run(("/bin/sh", "-c", script, name, *argv), stdin=stdin, timeout_s=timeout_s)
        except subprocess.TimeoutExpired as expired:
            raise subprocess.TimeoutExpired(list(argv), expired.timeout) from None
        return replace(done, argv=tuple(argv))


class SimulatedClients(Clients):
    """Clients without processes; while there is `no_binary` none can be started."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.no_binary = False
        self._clock = clock
        self._over = Waker()
        self._thawed = False

    def events(self) -> dict[str, LiveEvent]:
        """See `Clients.events`."""
        return {**super().events(), "no_binary": LiveEvent(self.take_binary, self.put_binary)}

    def take_binary(self) -> None:
        """The program of the multiplexer is gone."""
        self.no_binary = True

    def put_binary(self) -> None:
        """It is there again."""
        self.no_binary = False

    def run(self, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        """See `Clients.run`."""
        if self.no_binary:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
        return super().run(inner, argv, stdin, timeout_s)

    def thaw(self) -> None:
        """See `Clients.thaw`."""
        super().thaw()
        self._thawed = True
        self._over.wake()

    def abandon(self) -> None:
        """See `Clients.abandon`."""
        super().abandon()
        self._over.wake()

    def _killed(self, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        inner.run(argv, stdin=stdin, timeout_s=timeout_s)
        return Completed(tuple(argv), -SIGKILL, b"", b"")

    def _frozen(self, number: int, inner: Transport, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        began_s = self._clock.monotonic()
        self._thawed = False
        self._over.clear()
        if not self._clock.wait(timeout_s, self._over):
            raise subprocess.TimeoutExpired(list(argv), timeout_s)
        if not self._thawed:
            raise InterruptedError("given up by the caller")
        return inner.run(argv, stdin=stdin, timeout_s=timeout_s - (self._clock.monotonic() - began_s))


class _Hurting:
    """A `Transport` whose clients are started by `Clients.run`; what else it is, news of the server say, is the inner one's."""

    def __init__(self, clients: Clients, inner: Transport) -> None:
        self._clients = clients
        self._inner = inner

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        return self._clients.run(self._inner, argv, stdin, timeout_s)

    def abandon(self) -> None:
        """See `Transport.abandon`."""
        self._inner.abandon()
        self._clients.abandon()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._inner.take_up()

    def close(self) -> None:
        """See `Connection.close`."""
        disconnect(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
