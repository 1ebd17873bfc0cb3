"""The terminals of other processes, as far as their output can be held, as Ctrl-S does it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

import psutil

__all__ = ["hold_output", "let_output_go", "terminal_of"]

_POSIX = importlib.util.find_spec("termios") is not None
if _POSIX:
    import termios

_PTY_MAJORS = range(136, 144)
"""The kernel's numbers for the pseudo-terminals below `/dev/pts` (its list of devices)."""


def hold_output(pid: int) -> None:
    """Let the terminal of that process take no more output: what it prints next keeps it waiting.

    Nothing to hold where the process is gone. Raises `OSError` where it is there and its terminal cannot be held.
    """
    if _POSIX:
        _flow(pid, termios.TCOOFF)


def let_output_go(pid: int) -> None:
    """Let that terminal take output again; raises like `hold_output`."""
    if _POSIX:
        _flow(pid, termios.TCOON)


def _flow(pid: int, action: int) -> None:
    path = terminal_of(pid)
    if path is None and _is_gone(pid):
        return
    if path is None:
        raise OSError(f"process {pid} has no terminal that could be held")
    try:
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            termios.tcflow(terminal, action)
        finally:
            os.close(terminal)
    except (OSError, termios.error) as error:
        if not _is_gone(pid):
            raise OSError(f"the terminal {path} of process {pid} cannot be held: {error}") from error


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def terminal_of(pid: int) -> str | None:
    """The path of that process's controlling terminal; `None` where it has none or is gone.

    Asked of the kernel each time: `psutil.Process.terminal` (7.2) remembers which terminals there were at its first call, and
    knows none that was opened later.
    """
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid).terminal()
        return None
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    number = int(told.rpartition(b")")[2].split()[4])
    major, minor = os.major(number), os.minor(number)
    return f"/dev/pts/{(major - _PTY_MAJORS.start) * 256 + minor}" if major in _PTY_MAJORS else None
