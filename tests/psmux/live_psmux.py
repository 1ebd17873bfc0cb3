"""The double of psmux in a directory of the test's own: raw clients of it, and the backend above it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import tenacity

from backends.clock import SystemClock
from backends.processes import Completed, SystemProcessTable
from backends.psmux import PsmuxMultiplexer
from backends.psmux_double import BIN, CONTROL

T = TypeVar("T")
CLOCK = SystemClock()
PATIENCE_S = 20.0


@dataclass
class LiveDouble:
    """One data directory; `scratch` is the test's own."""

    data: Path
    scratch: Path
    environment: Mapping[str, str]
    processes: SystemProcessTable = field(default_factory=SystemProcessTable)

    def run(self, *words: str, stdin: bytes = b"", timeout_s: float = 20, **env: str) -> Completed:
        """A client, asked directly."""
        given = {**self.environment, "PSMUX_DATA_DIR": str(self.data), **env}
        return self.processes.run(("psmux", *words), stdin=stdin, timeout_s=timeout_s, env=given)

    def says(self, *words: str, **env: str) -> str:
        """What a client writes; it has to end well."""
        done = self.run(*words, stdin=b"", timeout_s=20, **env)
        assert (done.status, done.stderr) == (0, b""), done
        return done.stdout.decode()

    def be(self, profile: str, *faults: Mapping[str, Any]) -> None:
        """Be that version from now on, with these faults."""
        (self.data / CONTROL).write_text(json.dumps({"profile": profile, "faults": list(faults)}))

    def mux(self, *, call_timeout_s: float = 60) -> PsmuxMultiplexer:
        """The backend above it; whoever is slow answers in time, and only what is made to hang does not."""
        return PsmuxMultiplexer(self.data, call_timeout_s=call_timeout_s, environment=self.environment)

    def lines(self, name: str) -> list[str]:
        """The lines of a file in `scratch`; none while it does not exist."""
        path = self.scratch / name
        return path.read_text("utf-8").splitlines() if path.exists() else []


def eventually_true(ask: Callable[[], T]) -> T:
    """The first true answer of `ask`; fails after `PATIENCE_S`."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_not_result(bool),
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(PATIENCE_S),
        sleep=CLOCK.sleep,
    )(ask)


@contextmanager
def live_double(profile: str = "3.3.8", sessions: Sequence[str] = ()) -> Iterator[LiveDouble]:
    """A double with these sessions; its servers are ended whatever happens."""
    root = Path(tempfile.mkdtemp(prefix="smp-"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PSMUX", "TMUX"))}
    environment = {**kept, "PATH": f"{BIN}{os.pathsep}{kept['PATH']}", "SEAMRIPPER_PYTHON": sys.executable}
    (root / "d").mkdir()
    (root / "w").mkdir()
    double = LiveDouble(root / "d", root / "w", environment)
    double.be(profile)
    try:
        for session in sessions:
            double.says("new-session", "-d", "-s", session, "-n", "shell", "sleep 600")
        yield double
    finally:
        for path in (root / "d").glob("*.pid"):
            with contextlib.suppress(psutil.Error, ValueError):
                psutil.Process(int(path.read_text())).kill()
        # What dies with a server may still be writing down how it ended.
        eventually_true(lambda: _removed(root))


def _removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()
