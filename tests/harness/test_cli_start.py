"""The command line begins without what only some of its commands, or its tests, need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backends.processes import SystemProcessTable

HEAVY = {"hypothesis", "pytest", "textual"}
"""Libraries that take longer to load than these commands take."""
FOR_OTHERS = {"backends.fake", "faults.actions", "filelock", "harness.conformance.results", "harness.engine.engine"} | {
    "harness.engine.plan",
    "harness.world",
    "shtab",
    "tenacity",
}
"""What other commands need, and takes about as long as all that these need."""

LOOKED_AT = """
import runpy, sys
try:
    runpy.run_module("seamripper", run_name="__main__", alter_sys=True)
finally:
    print("loaded:", *sorted(sys.modules))
"""


@pytest.mark.parametrize("command", ["--version", "--help", "list", "status", "backends"])
def test_looking_loads_no_test_runner_and_no_screen(tmp_path: Path, command: str) -> None:
    """Whoever asks how a run is going waits for the answer only."""
    assert not HEAVY & loaded_by(command, tmp_path)


@pytest.mark.parametrize("command", ["--version", "list", "status"])
def test_looking_loads_no_engine_and_nothing_simulated(tmp_path: Path, command: str) -> None:
    """Nor for what only other commands need."""
    assert not FOR_OTHERS & loaded_by(command, tmp_path)


def loaded_by(command: str, root: Path) -> set[str]:
    """The modules of a process that has carried out that command."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "SEAMRIPPER_ROOT": str(root)}
    done = SystemProcessTable().run((sys.executable, "-c", LOOKED_AT, command), timeout_s=60, cwd=root, env=env)
    words = done.stdout.decode().splitlines()[-1].split()

    assert words[0] == "loaded:", done
    assert b"Traceback" not in done.stderr
    return set(words[1:])
