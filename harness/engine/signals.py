"""Stopping: the switch that signals set, and the one place that installs handlers.

A handler only sets the switch. The engine looks at it at its checkpoints and unwinds with `RunStopped` from there, so that
a stop never falls inside a persistence operation.
"""

from __future__ import annotations

import signal as signal_module
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from backends.clock import Waker

__all__ = ["HANDED_ON", "RunStopped", "StopSwitch", "not_ignored", "stop_signals"]

STOP_SIGNALS = tuple(
    getattr(signal_module, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal_module, name)
)

HANDED_ON = (
    *STOP_SIGNALS,
    *(
        getattr(signal_module, name)
        for name in ("SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")
        if hasattr(signal_module, name)
    ),
)
"""What whoever runs another program in its own place hands on to it."""


class RunStopped(BaseException):
    """The run was asked to stop. A `BaseException`, so that no `except Exception` takes it for a failure."""

    def __init__(self, by: str, signum: int | None) -> None:
        super().__init__(f"stopped by {by}")
        self.by = by
        self.signum = signum


class StopSwitch:
    """Whether a run was asked to stop, how often, and by what.

    The first request ends every wait on `waker` and calls `on_stop`, the second one and every later one `on_force`: both give
    up the multiplexer call in progress, the first one where nothing depends on its answer. The name and the signal of the
    first one count. Safe to use from signal handlers and other threads.
    """

    def __init__(self) -> None:
        self.waker = Waker()
        self.by: str | None = None
        self.signum: int | None = None
        self.requests = 0
        self.on_stop: Callable[[], None] | None = None
        self.on_force: Callable[[], None] | None = None
        self.stop_file: Path | None = None
        """While it is there, whoever made it asks for a stop as soon as the sessions that run have ended."""
        self.winding_down = False
        """Whether that was seen: no session is started any more."""

    @property
    def forced(self) -> bool:
        """Whether somebody asked twice: no more time may be spent on a tidy end."""
        return self.requests >= 2

    def deliver(self, signum: int) -> None:
        """Ask for a stop as signal `signum` does."""
        self.request(signal_module.Signals(signum).name, signum)

    def request(self, by: str, signum: int | None = None) -> None:
        """Ask for a stop; the first one's name and signal are kept."""
        self.requests += 1
        if self.requests == 1:
            self.by, self.signum = by, signum
        self.waker.wake()
        give_up = self.on_force if self.forced else self.on_stop
        if give_up is not None:
            give_up()

    def check(self) -> None:
        """Raise `RunStopped` if a stop was asked for."""
        if self.by is not None:
            raise RunStopped(self.by, self.signum)


@contextmanager
def stop_signals(switch: StopSwitch, signums: Iterable[int] = STOP_SIGNALS) -> Iterator[None]:
    """Within, SIGINT, SIGTERM and SIGHUP (or `signums`) are delivered to `switch`; afterwards the old handlers are back.

    A signal that whoever started this process has it ignore (`nohup`, a shell's background job) stays ignored. Off the
    main thread, where Python cannot handle signals, nothing is installed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        switch.deliver(signum)

    heeded = [signum for signum in signums if signal_module.getsignal(signum) is not signal_module.SIG_IGN]
    before = {signum: signal_module.signal(signum, handle) for signum in heeded}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal_module.signal(signum, signal_module.SIG_DFL if handler is None else handler)


@contextmanager
def not_ignored(signums: Iterable[int]) -> Iterator[None]:
    """Within, these signals have an effect again where whoever started this process has it ignore them.

    For a rehearsal that sends them to itself: it may have been started with `nohup` or in the background.
    """
    ignored = [signum for signum in signums if signal_module.getsignal(signum) is signal_module.SIG_IGN]
    try:
        for signum in ignored:
            signal_module.signal(signum, signal_module.SIG_DFL)
        yield
    finally:
        for signum in ignored:
            signal_module.signal(signum, signal_module.SIG_IGN)
