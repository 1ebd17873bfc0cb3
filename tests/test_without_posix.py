"""What a host without POSIX can do: the command line, certificates and the simulation need none of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

WITHOUT = """
import os, signal, sys
import asyncio, concurrent.futures, filelock, importlib.metadata, multiprocessing, psutil, pytest, rich.console
import shutil, socket, subprocess, tempfile

for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
lost = dict(os.__dict__)
for name in ("O_CLOEXEC O_NOFOLLOW O_NONBLOCK O_DIRECTORY fork forkpty getuid geteuid getgid getpgid getsid killpg "
             "mkfifo setsid setpgid statvfs chown lchown").split():
    delattr(os, name)
for name in ("SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGQUIT SIGSTOP SIGTSTP SIGURG SIGUSR1 SIGUSR2 SIGWINCH "
             "alarm setitimer sigtimedwait").split():
    delattr(signal, name)
"""
"""A process of POSIX that has lost what only POSIX has, once the libraries have what they need of it."""
COMMAND = WITHOUT + "from harness.cli import main; sys.exit(main(sys.argv[1:]))"
AGENT = WITHOUT + "from harness.scripted import main; sys.exit(main(['', '--script', 'none'], {}))"
DISK = (
    WITHOUT
    + """
from backends.disk import RealDisk
os.__dict__.update(lost)  # for filelock, which knows no other host here
disk = RealDisk()
disk.lock("l").release()
disk.fsync("l.held")
disk.fsync(".")
held = disk.lock("l")
print(disk.locked("l"), held.release(), disk.locked("l"), disk.locked("other"))
"""
)


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line in such a process."""
    return python(COMMAND, *words, cwd=cwd)


def python(code: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What becomes of that code."""
    argv = [sys.executable, "-P", "-c", code, *words]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    "words", [("--version",), ("backends",), ("faults", "scenarios"), ("faults", "replay", "completes", "--plan", "")]
)
def test_commands_that_need_no_posix_need_none(words: tuple[str, ...], tmp_path: Path) -> None:
    """Nothing is imported or asked for that is not there."""
    done = run(*words, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_fake_is_certified_and_drawn_without_posix(tmp_path: Path) -> None:
    """Checked, written, read again and merged."""
    made = run("conform", "--mux", "fake", "--level", "L2", "--json", "fake.json", cwd=tmp_path)
    merged = run("report", "merge", "fake.json", "-o", "matrix.html", cwd=tmp_path)

    assert (made.returncode, made.stderr) == (0, ""), made.stdout
    assert (merged.returncode, merged.stderr) == (0, "")
    assert (tmp_path / "matrix.html").stat().st_size > 10_000


def test_files_are_locked_and_synced_without_posix(tmp_path: Path) -> None:
    """Whoever holds a lock is seen, and nobody else is."""
    done = python(DISK, cwd=tmp_path)

    assert (done.stdout, done.stderr) == ("True None False False\n", "")


def test_a_shim_that_needs_posix_says_so(tmp_path: Path) -> None:
    """Before anything is run."""
    done = run("shim", "--plan", "", "--", "true", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the shim needs a host with POSIX; there is none for psmux on Windows\n"


def test_an_agent_that_needs_posix_says_so(tmp_path: Path) -> None:
    """In one line, as for anything else that it cannot use."""
    done = python(AGENT, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (2, "scripted agent: it needs a terminal and locks of POSIX\n")
