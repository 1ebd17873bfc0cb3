"""Runs pytest with the plugin in a process of its own, as its users do."""

from __future__ import annotations

import sys
from pathlib import Path

from lean_pytest import LEAN

from backends.processes import Completed, SystemProcessTable

__all__ = ["ROOT", "run_pytest", "text"]

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = ":".join(map(str, (ROOT, ROOT / "tests" / "harness", ROOT / "tests" / "broken")))


def run_pytest(directory: Path, *options: str, environment: dict[str, str] | None = None) -> Completed:
    """Run pytest in `directory`, with nothing of the host's environment but what it needs."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "harness.plugin", *options]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": PYTHONPATH, **LEAN, **(environment or {})}
    return SystemProcessTable().run(argv, timeout_s=110, cwd=directory, env=env)


def text(done: Completed) -> str:
    """Everything that was printed."""
    return (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
