"""Taking down what a run has put up: bounded, and honest about what could not be confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from signal import SIGTERM

from backends.posix_signals import SIGKILL
from backends.processes import Liveness, ProcessIdentity
from harness.engine.core import Core
from harness.engine.windows import Windows
from harness.record import Attempt

__all__ = ["FAILED", "TORN_DOWN", "UNCONFIRMED", "processes_of", "tear_down", "tear_down_patiently"]

TORN_DOWN = "torn-down"
"""The session is proven gone, and so is every process of it that can be found."""
UNCONFIRMED = "unconfirmed"
"""It was asked to go; whether it went is not known."""
FAILED = "failed"
"""It was asked to go and is still there."""

_LOOK_S = 0.1
"""Seconds between two looks."""
_PROMPT_S = 1.0
"""Seconds that a session is given to go, or half of the grace if that is less, before its processes are asked to end as well.

Chosen: a server that answers takes some milliseconds, and the agents of one that does not want the rest of the grace.
"""
_FORCED_S = 0.4
"""Seconds for each half of a forced teardown, asking and ending processes; a second signal must end the run within one."""


def processes_of(core: Core, attempts: Iterable[Attempt]) -> list[ProcessIdentity]:
    """The live processes of these attempts: descendants of their windows, and whatever carries their token."""
    table = core.outside.processes
    found: dict[int, ProcessIdentity] = {}
    attempts = list(attempts)
    for attempt in attempts:
        for ref in attempt.pids:
            for identity in table.tree(ProcessIdentity(ref.pid, ref.started, table.boot_id())):
                found[identity.pid] = identity
    for identity in table.carrying("SEAMRIPPER_TOKEN", *(attempt.token for attempt in attempts)):
        found[identity.pid] = identity
    return [found[pid] for pid in sorted(found)]


def tear_down(core: Core, windows: Windows, attempts: Iterable[Attempt]) -> str:
    """End the run's multiplexer session and its processes within the plan's `stop_grace_s`; what came of it.

    A session that was never asked for is torn down by definition.
    """
    if not windows.claimed:
        return TORN_DOWN
    multiplexer = core.outside.multiplexer
    attempts = list(attempts)
    doomed = {identity.pid: identity for identity in processes_of(core, attempts)}
    end = core.now + max(core.plan.stop_grace_s, _FORCED_S)
    gone: bool | None = None
    hurried, heeded, told = False, 0, False
    while True:
        if core.switch.requests > heeded:
            # Each request has given up whatever was being asked, and all that comes after it.
            heeded = core.switch.requests
            multiplexer.take_up()
        if core.switch.forced and not hurried:
            hurried = True
            end = min(end, core.now + _FORCED_S)
        if gone is not True:
            left = end - core.now
            with multiplexer.budget(max(_LOOK_S, left if told else min(left / 2, _PROMPT_S))):
                gone = windows.kill_session()
        doomed.update((identity.pid, identity) for identity in processes_of(core, attempts))
        late = core.now >= end
        alive, told = _end_processes(core, doomed.values(), SIGKILL if late or hurried else SIGTERM), True
        if gone is True and not alive:
            return TORN_DOWN
        if late and (gone is not True or core.now >= end + _FORCED_S):
            return UNCONFIRMED if gone is not False else FAILED
        core.outside.clock.wait(_LOOK_S)


def tear_down_patiently(core: Core, windows: Windows, attempts: Iterable[Attempt], limit_s: float) -> str:
    """`tear_down`, again and again for `limit_s` seconds while nothing proves that it is done; what came of the last one.

    What the multiplexer has refused for as long as one of them takes it refuses for good.
    """
    attempts = list(attempts)
    end = core.now + limit_s
    while True:
        core.checkpoint("kill")
        outcome = tear_down(core, windows, attempts)
        core.note_seam()
        if outcome == TORN_DOWN or windows.refused or core.now >= end:
            return outcome
        core.wait(core.plan.poll_s)


def _end_processes(core: Core, doomed: Iterable[ProcessIdentity], signum: int) -> bool:
    """Signal the processes that still run; whether there were any."""
    table = core.outside.processes
    alive = [identity for identity in doomed if table.liveness(identity) is not Liveness.DEAD]
    for identity in alive:
        table.signal(identity, signum)
    return bool(alive)
