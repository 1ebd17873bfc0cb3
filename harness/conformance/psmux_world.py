"""The host that psmux is checked on: this one, with a private data directory for each check."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.posix_signals import SIGKILL
from backends.processes import Liveness, ProcessIdentity
from backends.psmux import PsmuxMultiplexer
from harness.conformance.places import ForeignWorld
from harness.conformance.spec import BackendSpec
from harness.world import Wrap

__all__ = ["PSMUX", "PsmuxWorld"]

_END_S = 5.0
"""Seconds that a killed server is given to be gone."""


class PsmuxWorld(ForeignWorld):
    """This host: each session is a server of its own, found by the file of its pid; there is no socket."""

    name = "psmux"

    def __init__(self, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__(PSMUX, seed, scale)

    @property
    def data_dir(self) -> Path:
        """The directory that psmux keeps its sessions in."""
        return self._socket

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`; `wrap` goes around the transport that knows the data directory."""
        return PsmuxMultiplexer(
            self._socket,
            wrap=wrap,
            clock=self.clock,
            call_timeout_s=call_timeout_s,
            processes=self.processes,
            disk=self.disk,
            environment={**os.environ, "SEAMRIPPER_LEDGER": str(self._ledger)},
        )

    def server(self) -> ProcessIdentity:
        """See `LiveTmuxWorld.server`; that of the session whose name comes first."""
        found = self._servers()
        if found:
            self._server = found[0]
        if self._server is None:
            raise LookupError("no session was made in the private directory")
        return self._server

    def sockets(self) -> list[Path]:
        """None: the servers listen on the loopback."""
        return []

    def _servers(self) -> list[ProcessIdentity]:
        names = [name for name in self.disk.listdir(self._socket) if name.endswith(".pid")]
        pids = [self.disk.read(self._socket / name, 40).strip() for name in names]
        found = [self.processes.identify(int(pid)) for pid in pids if pid.isdigit()]
        return [one for one in found if one is not None]

    def close(self) -> None:
        """See `World.close`; every session's server, with what runs in it."""
        with contextlib.suppress(OSError):
            for server in self._servers():
                for one in (*self.processes.tree(server), server):
                    self.processes.signal(one, SIGKILL)
                end = self.clock.monotonic() + _END_S
                while self.processes.liveness(server) is not Liveness.DEAD and self.clock.monotonic() < end:
                    self.clock.wait(0.01)
        super().close()


PSMUX = BackendSpec(PsmuxMultiplexer, name="psmux", binary="psmux", world=PsmuxWorld)
"""psmux as the kit knows it by name."""
