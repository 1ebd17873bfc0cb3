"""The command line begins without what only some of its commands, or its tests, need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backends.processes import SystemProcessTable

HEAVY = {"hypothesis", "pytest", "textual"}
"""Libraries that take longer to load than these commands take."""

LOOKED_AT = f"""
import runpy, sys
try:
    runpy.run_module("seamripper", run_name="__main__", alter_sys=True)
finally:
    print("loaded:", *sorted({HEAVY!r} & sys.modules.keys()))
"""


@pytest.mark.parametrize("command", ["--version", "--help", "list", "status", "backends"])
def test_looking_loads_no_test_runner_and_no_screen(tmp_path: Path, command: str) -> None:
    """Whoever asks how a run is going waits for the answer only."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "SEAMRIPPER_ROOT": str(tmp_path)}
    done = SystemProcessTable().run((sys.executable, "-c", LOOKED_AT, command), timeout_s=60, cwd=tmp_path, env=env)

    assert done.stdout.splitlines()[-1] == b"loaded:", done
    assert b"Traceback" not in done.stderr
