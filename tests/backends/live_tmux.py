"""A private tmux server in a temporary directory, thawed and ended whatever happens to the test that uses it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import tenacity

from backends.clock import SystemClock
from backends.errors import MultiplexerError
from backends.processes import Liveness, ProcessIdentity, SystemProcessTable
from backends.tmux import TmuxMultiplexer

T = TypeVar("T")

CLOCK = SystemClock()
PATIENCE_S = 15.0
"""Seconds that anything live is given; generous, because the host may be busy."""


def eventually(ask: Callable[[], T], wanted: Callable[[T], bool] = bool) -> T:
    """The first answer of `ask` that is `wanted`; fails with the last one after `PATIENCE_S`."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_not_result(wanted),
        wait=tenacity.wait_fixed(0.02),
        stop=tenacity.stop_after_delay(PATIENCE_S),
        sleep=CLOCK.sleep,
    )
    return retrying(ask)


@dataclass
class LiveServer:
    """A private server: `mux` asks it, `scratch` is a directory of the test's own, beside the socket."""

    mux: TmuxMultiplexer
    scratch: Path
    processes: SystemProcessTable

    def another(self, *, call_timeout_s: float | None = None) -> TmuxMultiplexer:
        """A second multiplexer of the same server, with deadlines of its own."""
        return TmuxMultiplexer(self.mux.socket_path.parent, call_timeout_s=call_timeout_s)

    def process(self) -> ProcessIdentity:
        """The server's process."""
        seen = self.mux.server_identity()
        assert seen is not None
        found = self.processes.identify(seen.pid)
        assert found is not None
        return found

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, the server is stopped; it continues afterwards whatever happened."""
        server = self.process()
        assert self.processes.signal(server, signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes.signal(server, signal.SIGCONT)

    def kill(self) -> None:
        """End the server as a crash does, and wait until its process is gone."""
        server = self.process()
        assert self.processes.signal(server, signal.SIGKILL)
        eventually(lambda: self.processes.liveness(server) is Liveness.DEAD)

    def lines(self, name: str) -> list[str]:
        """The lines of a file in `scratch`; none while it does not exist."""
        path = self.scratch / name
        return path.read_text("utf-8").splitlines() if path.exists() else []


@contextmanager
def live_tmux(transport_kind: str | None = None) -> Iterator[LiveServer]:
    """A server with session `run-1`, on a private socket in a short directory of its own; how it is asked, or as is usual."""
    directory = Path(tempfile.mkdtemp(prefix="sm-"))
    processes = SystemProcessTable()
    mux = TmuxMultiplexer(directory / "s", processes=processes, transport_kind=transport_kind)
    (directory / "w").mkdir()
    live = LiveServer(mux, directory / "w", processes)
    server: ProcessIdentity | None = None
    try:
        mux.new_session("run-1", directory)
        server = live.process()
        yield live
    finally:
        if server is not None:
            processes.signal(server, signal.SIGCONT)
        with contextlib.suppress(MultiplexerError):
            mux.shutdown()
        if server is not None and processes.liveness(server) is not Liveness.DEAD:
            processes.signal(server, signal.SIGKILL)
        shutil.rmtree(directory)
