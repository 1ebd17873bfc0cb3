"""What counts the leaks of the live fault suite: each kind of leak is counted, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_repeats import CONTACTS, Repeats

from backends.processes import SystemProcessTable
from harness.guardian import short_directory
from harness.users_tmux import UsersTmux

pytestmark = pytest.mark.live

LEAKS = """
import os, socket, subprocess, tempfile
from pathlib import Path

def test_it():
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    Path(tempfile.gettempdir(), "pid").write_text(str(subprocess.Popen(["sleep", "1000"], **quiet).pid))
    socket.socket(socket.AF_UNIX).bind(tempfile.gettempdir() + "/socket")
    subprocess.run(["tmux", "-S", tempfile.gettempdir() + "/t", "-f", "/dev/null", "new-session", "-d", "sleep 1000"])
    subprocess.run(["tmux", "list-sessions"], **quiet)
"""


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory for the suite; what the suites below leave on purpose is ended."""
    directory, processes = short_directory(), SystemProcessTable()
    yield directory
    processes.run(["tmux", "-S", str(directory / "t"), "kill-server"], timeout_s=60)
    left = processes.identify(int((directory / "pid").read_text())) if (directory / "pid").exists() else None
    if left is not None:
        processes.signal(left, signal.SIGKILL)
    processes.run(["rm", "-rf", str(directory)], timeout_s=60)


@pytest.fixture
def users() -> Iterator[UsersTmux]:
    """The user's tmux."""
    server = UsersTmux()
    yield server
    server.close()


def repeated(base: Path, users: UsersTmux, tmp_path: Path, body: str) -> Repeats:
    """One repeat of a suite of that one test."""
    (tmp_path / "test_it.py").write_text(body)
    words = [str(tmp_path / "test_it.py"), "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    repeats = Repeats(base, users, words, patience_s=1.0)
    repeats.once(1)
    return repeats


def test_each_kind_of_leak_is_counted(base: Path, users: UsersTmux, tmp_path: Path) -> None:
    """A server with its window, a process, sockets, a file, and a client that has asked the user's server."""
    repeats = repeated(base, users, tmp_path, LEAKS)

    assert repeats.failed == 0
    assert dict(repeats.leaked) == {"servers": 1, "processes": 2, "sockets": 2, "files": 1, CONTACTS: 1}


def test_a_suite_that_fails_and_leaves_nothing_is_told_from_one_that_leaks(
    base: Path, users: UsersTmux, tmp_path: Path
) -> None:
    """Both count, and neither for the other."""
    repeats = repeated(base, users, tmp_path, "def test_it():\n    raise AssertionError('no')\n")

    assert repeats.failed == 1
    assert repeats.leaked.total() == 0
