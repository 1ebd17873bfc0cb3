"""What can be done to the agents of a host, and to what a server may have open, as live faults."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from signal import SIGINT, SIGSEGV, SIGTERM
from types import MappingProxyType

import psutil

from backends.clock import Clock
from backends.disk import Disk
from backends.posix_signals import SIGHUP, SIGKILL
from backends.processes import Liveness, ProcessIdentity, ProcessTable
from faults.live import LiveEvent

__all__ = ["AGENT_SIGNALS", "DescriptorLimit", "agent_events"]

AGENT_SIGNALS: Mapping[str, int] = MappingProxyType(
    {
        "kill_agent": SIGKILL,
        "segv_agent": int(SIGSEGV),
        "term_agent": int(SIGTERM),
        "hup_agent": SIGHUP,
        "int_agent": int(SIGINT),
    }
)
"""The events that are one signal to every agent at work, and that signal."""


def agent_events(
    processes: ProcessTable,
    at_work: Callable[[], Sequence[ProcessIdentity]],
    hold: Callable[[ProcessIdentity], None],
    let_go: Callable[[ProcessIdentity], None],
) -> dict[str, LiveEvent]:
    """What can be done to the agents that are `at_work`: each gets a signal, or is kept waiting until that is undone.

    SIGSTOP would not keep one waiting: tmux continues the process of a pane as soon as it sees it stopped (server.c,
    `server_child_stopped`). So its terminal is told to take no more output, which it waits for with its next line.
    """
    held: list[ProcessIdentity] = []

    def send(signum: int) -> None:
        for agent in at_work():
            processes.signal(agent, signum)

    def freeze() -> None:
        for agent in at_work():
            held.append(agent)
            hold(agent)

    def release(agent: ProcessIdentity) -> None:
        if processes.liveness(agent) is Liveness.ALIVE:
            let_go(agent)

    def thaw() -> None:
        # Each of them, also if one fails.
        with contextlib.ExitStack() as releasing:
            while held:
                releasing.callback(release, held.pop())

    def ready() -> bool:
        return bool(at_work())

    signals = {name: LiveEvent(partial(send, signum), ready=ready) for name, signum in AGENT_SIGNALS.items()}
    return {"freeze_agent": LiveEvent(freeze, thaw, ready), **signals}


_SETTLED = 5
"""How many looks in a row have to see the same descriptors: a server closes those of a client soon after it has gone."""
_LOOK_S = 0.01
_LOOKS = 200


class DescriptorLimit:
    """A limit on what the server may have open, as the kernel enforces it, by the name of what it is for.

    Measured on tmux 3.3a: with no descriptor left a client is not let in and waits; with one it is let in, and what needs a
    terminal is refused with `fork failed: Too many open files`. With two to five it is let in and never read.
    """

    def __init__(
        self, server: Callable[[], ProcessIdentity], processes: ProcessTable, disk: Disk, clock: Clock
    ) -> None:
        """Limit the `server`; `clock` is the host's own."""
        self._server = server
        self._processes = processes
        self._disk = disk
        self._clock = clock
        self._limited: ProcessIdentity | None = None
        self._before = (0, 0)
        self._limits: dict[str, int] = {}

    @property
    def in_force(self) -> bool:
        """Whether the server is being kept from opening anything."""
        return bool(self._limits)

    def event(self, name: str, free: int) -> LiveEvent:
        """Leave the server so many descriptors besides those that it has."""
        return LiveEvent(partial(self._put, name, free), partial(self._lift, name))

    def _put(self, name: str, free: int) -> None:
        server = self._server()
        if self._limited != server:
            self._limited, self._limits = server, {}
        if not self._limits:
            self._before = _soft_and_hard(server.pid)
        opened = self._settled(server.pid)
        numbers = (number for number in range(self._before[0]) if number not in opened)
        self._limits[name] = [next(numbers) for _ in range(free + 1)][-1]
        self._apply()

    def _lift(self, name: str) -> None:
        self._limits.pop(name, None)
        self._apply()

    def _apply(self) -> None:
        soft, hard = self._before
        server = self._limited
        if server is not None and self._processes.identify(server.pid) == server:
            with contextlib.suppress(psutil.NoSuchProcess):
                _limit(server.pid, min([soft, *self._limits.values()]), hard)

    def _settled(self, pid: int) -> frozenset[int]:
        seen: list[frozenset[int]] = []
        for _ in range(_LOOKS):
            seen.append(frozenset(int(name) for name in self._disk.listdir(f"/proc/{pid}/fd")))
            if len(seen) >= _SETTLED and len(set(seen[-_SETTLED:])) == 1:
                break
            self._clock.wait(_LOOK_S)
        return seen[-1]


def _soft_and_hard(pid: int) -> tuple[int, int]:
    assert sys.platform == "linux"
    return psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)


def _limit(pid: int, soft: int, hard: int) -> None:
    assert sys.platform == "linux"
    psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
