"""The record of a run whose command crashed outside of its engine."""

from __future__ import annotations

from pathlib import Path

from harness.commands.current import Drive
from harness.commands.host import Host
from harness.commands.leftovers import end_processes, is_named_for, launched
from harness.engine.endings import Isolation
from harness.engine.notices import notification
from harness.engine.plan import load_plan
from harness.engine.teardown import FAILED, TORN_DOWN, UNCONFIRMED
from harness.engine.windows import Windows
from harness.record import Crashed, RunLock, RunState, RunStatus

__all__ = ["record_crash"]

_TEARDOWN_S = 5.0
"""Seconds that the session of a run is given to end that crashed outside of its engine."""

_LOOK_S = 0.1
"""Seconds between two looks at whether people have been told."""


def record_crash(host: Host, current: Drive, error: BaseException) -> str:
    """Record that the command of a run crashed outside of its engine; where the record is, nothing if there is none.

    A run that is not there yet, or whose lock cannot be had, is left alone: somebody else may be driving it. Each step
    stands alone, as in the engine, and the record comes before the teardown.
    """
    run_dir = current.run_dir
    steps = Isolation()
    if run_dir is None:
        return ""
    there: list[bool] = []
    steps.step("look", lambda: there.append(host.disk.info(run_dir) is not None))
    if there != [True]:
        return ""
    store = host.store(run_dir)
    locks: list[RunLock] = []
    if not steps.step("lock", lambda: locks.append(store.lock())):
        return ""
    found: list[RunState] = []
    steps.step("load", lambda: found.append(store.load().state))
    state = found[0] if found else None
    filing = store.file_crash(error, state)
    if state is not None:
        state.ending = Crashed(error=filing.error, record=filing.record)
        state.crashes.append(filing.ref)
        steps.step("state", lambda: store.save(state))
        steps.step("teardown", lambda: _tear_down(host, current, state))
        steps.step("journal", lambda: store.journal.append("teardown", outcome=state.teardown))
        steps.step("state", lambda: store.save(state))
    steps.step("attention", lambda: store.attention(f"crashed: {filing.error}"))
    if not steps.step("notify", lambda: _notify(host, run_dir, filing.error)):
        steps.step("journal", lambda: store.journal.append("notify-failed", problem=steps.problems[-1]))
    for lock in locks:
        steps.step("release", lock.release)
    return f"{run_dir}/crash.txt" if "text" in filing.landed else ""


def _tear_down(host: Host, current: Drive, state: RunState) -> None:
    """End the run's session, if it is the run's own, and its processes; unconfirmed where nobody can be asked."""
    state.teardown = UNCONFIRMED
    _end_session(current, state)
    tokens = [attempt.token for task in state.tasks for attempt in task.attempts if attempt.token]
    ended = end_processes(host, *launched(host, tokens))
    if ended is not True:
        state.teardown = FAILED if ended is False else UNCONFIRMED


def _end_session(current: Drive, state: RunState) -> None:
    multiplexer, session = current.multiplexer, state.mux_session
    if multiplexer is None or not session:
        return
    windows = Windows(multiplexer, session, state.run_id, state.project)
    windows.claimed = is_named_for(multiplexer, session, state.run_id)
    with multiplexer.budget(_TEARDOWN_S):
        gone = windows.kill_session()
        # One that is not proven to be the run's is left as it is.
        if not (gone and multiplexer.has_session(session)):
            state.teardown = {True: TORN_DOWN, False: FAILED, None: UNCONFIRMED}[gone]


def _notify(host: Host, run_dir: Path, reason: str) -> None:
    """Have the run's own command tell people, as its engine would have; raises what went wrong about that."""
    plan = load_plan(run_dir / "plan.toml", disk=host.disk, follow=False)
    if not plan.notify:
        return
    job = notification(host.processes, plan, run_dir, RunStatus.CRASHED, reason)
    try:
        while (done := job.poll()) is None:
            host.clock.sleep(_LOOK_S)
    finally:
        job.end()
    if done.status != 0:
        raise ChildProcessError(f"exit {done.status}")
