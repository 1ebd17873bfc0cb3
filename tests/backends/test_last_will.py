"""What shall be done once a process is gone is done however it went, and not where that was called off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backends.clock import SystemClock
from backends.last_will import LastWill
from harness.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no /bin/sh")

ROOT = Path(__file__).parents[2]
WAITING = """
import os, sys
from backends.last_will import LastWill
will = LastWill(["touch", sys.argv[1]], os.environ)
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_was_called_off_is_never_done(tmp_path: Path) -> None:
    """The shell that would have done it has ended by then."""
    will = LastWill(["touch", str(tmp_path / "done")], os.environ)
    will.call_off()
    will.call_off()

    assert not (tmp_path / "done").exists()


def test_it_is_done_for_a_process_that_was_killed_with_its_whole_group(tmp_path: Path) -> None:
    """As a terminal, or whoever has run the process, kills it."""
    done, stream = tmp_path / "done", subprocess.PIPE
    argv = [sys.executable, "-c", WAITING, str(done)]
    process = subprocess.Popen(argv, cwd=ROOT, stdin=stream, stdout=stream, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert not done.exists()

    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    eventually(done.exists, SystemClock(), 60)
