"""The terminals of other processes, as far as their output can be held, as Ctrl-S does it."""

from __future__ import annotations

import contextlib
import importlib.util
import os

import psutil

__all__ = ["hold_output", "let_output_go"]

_POSIX = importlib.util.find_spec("termios") is not None
if _POSIX:
    import termios


def hold_output(pid: int) -> None:
    """Let the terminal of that process take no more output: what it prints next keeps it waiting."""
    if _POSIX:
        _flow(pid, termios.TCOOFF)


def let_output_go(pid: int) -> None:
    """Let that terminal take output again."""
    if _POSIX:
        _flow(pid, termios.TCOON)


def _flow(pid: int, action: int) -> None:
    """Tell it to the terminal; nothing to tell where the process or its terminal is gone meanwhile."""
    with contextlib.suppress(psutil.Error, OSError, termios.error):
        path = psutil.Process(pid).terminal()
        if path is None:
            return
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            termios.tcflow(terminal, action)
        finally:
            os.close(terminal)
