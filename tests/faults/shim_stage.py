"""A shim without a tmux: before a program that tells how it was called, and does what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from backends.clock import SystemClock
from backends.disk import Disk, RealDisk
from faults.shim import Shim, ShimCall, shim_plan
from harness.waiting import eventually

__all__ = ["PATIENCE_S", "Stage", "stage"]

PATIENCE_S = 60.0
"""Seconds that anything is waited for, however busy the host is."""

REAL = """\
#!/bin/sh
echo called >>"$LOG"
printf '<%s>' "$@"
env | sort
grep -s SigIgn /proc/$$/status
echo "pid $$"
cat
echo complained >&2
case $1 in die) kill -KILL $$ ;; esac
exit 4
"""
"""It notes that it was called, tells argv, environment, ignored signals, pid and standard input, and ends with 4."""


class Stage:
    """A directory with that program in it, and shims before it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.real = directory / "real"
        self.real.write_text(REAL, "utf-8")
        self.real.chmod(0o700)
        self.log = directory / "log"
        self.environment = {"PATH": os.environ["PATH"], "LOG": str(self.log), "PWD": str(directory), "LANG": "C"}
        self.deaths: list[str] = []
        self.heard: list[ShimCall] = []

    def shim(
        self,
        plan: str,
        *,
        recorded: bool = False,
        name: str = "shim",
        real: Path | None = None,
        heard: Callable[[ShimCall], None] | None = None,
        disk: Disk | None = None,
        patience_s: float = PATIENCE_S,
        interpreter: str = sys.executable,
    ) -> Shim:
        """A shim under that plan, before that program."""
        return Shim(
            shim_plan(plan),
            self.directory / name,
            {"tmux": str(real or self.real)},
            clock=SystemClock(),
            disk=disk or RealDisk(),
            die=lambda: self.deaths.append("died"),
            heard=heard or (self.heard.append if recorded else None),
            patience_s=patience_s,
            interpreter=interpreter,
        )

    def start(
        self, program: Path, *words: str | bytes, env: Mapping[str, str] | None = None, stdin: int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """A call that is not waited for."""
        return subprocess.Popen(
            [program, *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environment, **(env or {})},
            cwd=self.directory,
        )

    def call(
        self, program: Path | Shim, *words: str | bytes, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, bytes]:
        """Status and outputs of a call; what tells its pid says only whether it is that of the process that was started."""
        path = program.directory / "tmux" if isinstance(program, Shim) else program
        process = self.start(path, *words, env=env)
        out, err = process.communicate(stdin, PATIENCE_S)
        return process.returncode, out.replace(b"pid %d\n" % process.pid, b"pid of its own\n"), err

    @property
    def calls(self) -> int:
        """How often the real program has been called."""
        return self.log.read_text("utf-8").count("called") if self.log.exists() else 0

    def eventually(self, condition: Callable[[], object]) -> object:
        """Wait for it."""
        return eventually(condition, SystemClock(), PATIENCE_S, 0.02)


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage in a directory whose name is short enough for a socket."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    try:
        yield Stage(directory)
    finally:
        rmtree(directory)
