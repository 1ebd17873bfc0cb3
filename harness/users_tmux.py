"""A tmux server that stands for the user's own: everything seems to run inside of it, and nobody may contact it.

It notes every client that it lets in, so that a contact is seen however short it was, and whatever came of it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping

from backends.clock import SystemClock
from backends.disk import RealDisk
from backends.last_will import LastWill
from backends.processes import SystemProcessTable
from backends.transport import without_server
from harness import guardian
from harness.guardian import LEDGER, end_world, importing, ledger_of, short_directory

__all__ = ["UsersTmux"]

_LETS_IN = re.compile(rb"^[0-9.]+ new client ", re.MULTILINE)
"""What tmux writes into its log (`-v`) for each client; in 3.0a to 3.7c (server-client.c)."""


class UsersTmux:
    """The server, at the place in a `TMUX_TMPDIR` of its own where every tmux looks for one.

    `environment` is that of a program in its only window.
    """

    def __init__(self) -> None:
        self._disk, self._clock = RealDisk(), SystemClock()
        self._processes = SystemProcessTable(self._clock)
        self._base = short_directory()
        self._given = {**without_server(os.environ), LEDGER: str(ledger_of(self._base)), "TMUX_TMPDIR": str(self._base)}
        self._will = LastWill((sys.executable, "-m", guardian.__name__, str(self._base)), importing(os.environ))
        self._asked = 0
        pid = self._ask("new-session", "-d", "-P", "-F", "#{pid}", "-s", "mine", "cat")
        socket = self._base / f"tmux-{os.getuid()}" / "default"
        self._log = self._base / f"tmux-server-{pid}.log"
        self.environment: Mapping[str, str] = {
            "TMUX": f"{socket},{pid},0",
            "TMUX_PANE": "%0",
            "TMUX_TMPDIR": str(self._base),
        }

    def contacts(self) -> int:
        """How many clients it has let in that were not ours; who came before this call has been let in by now."""
        if self._ask("list-windows", "-a", "-F", "#{session_name} #{window_id}") != "mine @0":
            raise AssertionError("the user's tmux is not as it was")
        return len(_LETS_IN.findall(self._disk.read(self._log))) - self._asked

    def close(self) -> None:
        """End it; nothing of it stays. Raises `WorldRemains` where that fails; a guardian tries again after this process."""
        end_world(self._base, self._processes, self._clock)
        self._will.call_off()

    def _ask(self, *words: str) -> str:
        self._asked += 1
        program = shutil.which("tmux") or "tmux"
        done = self._processes.run(
            (program, "-v", "-f", "/dev/null", *words), timeout_s=60, cwd=self._base, env=self._given
        )
        if done.status != 0:
            raise RuntimeError(f"tmux {words[0]}: exit {done.status}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout.decode("utf-8").strip()
