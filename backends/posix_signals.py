"""The signals of POSIX by number, for simulated processes: those know them on every host, also where the host has fewer."""

from __future__ import annotations

import signal

__all__ = ["SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGURG", "SIGUSR1", "SIGWINCH"]


def _number(name: str, elsewhere: int) -> int:
    """That of this host; where it has none, the one of Linux."""
    return int(getattr(signal, name, elsewhere))


SIGHUP = _number("SIGHUP", 1)
SIGQUIT = _number("SIGQUIT", 3)
SIGKILL = _number("SIGKILL", 9)
SIGUSR1 = _number("SIGUSR1", 10)
SIGCHLD = _number("SIGCHLD", 17)
SIGCONT = _number("SIGCONT", 18)
SIGSTOP = _number("SIGSTOP", 19)
SIGURG = _number("SIGURG", 23)
SIGWINCH = _number("SIGWINCH", 28)
