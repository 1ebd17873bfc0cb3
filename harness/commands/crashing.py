"""The record of a run whose command crashed outside of its engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError
from harness.commands.current import Drive
from harness.commands.host import Host
from harness.commands.leftovers import end_processes, is_named_for, launched, nested_in
from harness.engine.endings import Isolation
from harness.engine.notices import notification
from harness.engine.plan import load_plan
from harness.engine.teardown import FAILED, TORN_DOWN, UNCONFIRMED
from harness.engine.windows import Windows
from harness.record import Crashed, RecordError, RunLock, RunState, RunStatus, RunStore

__all__ = ["record_crash"]

_TEARDOWN_S = 5.0
"""Seconds that the session of a run is given to end that crashed outside of its engine."""

_OUTCOME: dict[bool | None, str] = {True: TORN_DOWN, False: FAILED, None: UNCONFIRMED}

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
        steps.step("teardown", lambda: _tear_down(host, store, current, state))
        steps.step("journal", lambda: store.journal.append("teardown", outcome=state.teardown))
        steps.step("state", lambda: store.save(state))
    steps.step("attention", lambda: store.attention(f"crashed: {filing.error}"))
    if not steps.step("notify", lambda: _notify(host, run_dir, filing.error)):
        steps.step("journal", lambda: store.journal.append("notify-failed", problem=steps.problems[-1]))
    for lock in locks:
        steps.step("release", lock.release)
    return f"{run_dir}/crash.txt" if "text" in filing.landed else ""


def _tear_down(host: Host, store: RunStore, current: Drive, state: RunState) -> None:
    """End the sessions of the run and of those inside it, where they are their own, and the processes of all their launches.

    Unconfirmed where nobody can be asked, or a run inside cannot be read: which launches it had is not known then.
    """
    state.teardown = UNCONFIRMED
    nested = list(_nested(host, store))
    states = [state, *(inner for _, inner in nested if inner is not None)]
    sessions = [(one.mux_session or one.run_id[:64], one.run_id) for one in states]
    sessions += [(run_id[:64], run_id) for run_id, inner in nested if inner is None]
    outcomes = _end_sessions(current, state.project, sessions)
    tokens = [attempt.token for one in states for task in one.tasks for attempt in task.attempts if attempt.token]
    outcomes.append(_OUTCOME[end_processes(host, *launched(host, tokens))])
    outcomes += [UNCONFIRMED for _, inner in nested if inner is None]
    state.teardown = next(told for told in (FAILED, UNCONFIRMED, TORN_DOWN) if told in outcomes)


def _nested(host: Host, store: RunStore) -> Iterator[tuple[str, RunState | None]]:
    """The runs inside, however deep: the id of each, and its state if that can be read."""
    for found in nested_in(host, store.run_dir):
        try:
            yield found.name, host.store(found).load().state
        except (RecordError, OSError) as error:
            store.journal.append("nested-unreadable", run=found.name, problem=str(error))
            yield found.name, None


def _end_sessions(current: Drive, project: str, sessions: Iterable[tuple[str, str]]) -> list[str]:
    """What came of ending each of these sessions, of which the runs are told that they belong to."""
    multiplexer = current.multiplexer
    if multiplexer is None:
        return [UNCONFIRMED]
    with multiplexer.budget(_TEARDOWN_S):
        return [_end_session(multiplexer, project, session, run_id) for session, run_id in sessions]


def _end_session(multiplexer: TerminalMultiplexer, project: str, session: str, run_id: str) -> str:
    windows = Windows(multiplexer, session, run_id, project)
    try:
        windows.claimed = is_named_for(multiplexer, session, run_id)
        gone = windows.kill_session()
        # One that is not proven to be the run's is left as it is.
        left = gone is True and multiplexer.has_session(session)
    except MultiplexerError:
        return UNCONFIRMED
    return UNCONFIRMED if left else _OUTCOME[gone]


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
