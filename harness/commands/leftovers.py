"""What runs that are over have left behind, each with its proof that it is theirs, and how it is ended.

Found and ended are two steps, so that saying what would be done is the first of them alone. A session counts as a run's by
its tag, one that has none yet by its name, a process by the token in its environment, a control window by having ended.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.posix_signals import SIGKILL
from backends.processes import Liveness, ProcessIdentity
from backends.tmux import TmuxMultiplexer
from harness.commands.host import Host
from harness.commands.server import CONTROL, is_over
from harness.engine.windows import RUN_OPTION, Windows, every_answer
from harness.record import RecordError, RunState, RunStatus, classify, runs
from harness.runs import PROBES

__all__ = [
    "OVER",
    "Leftover",
    "Over",
    "end_processes",
    "examine",
    "forgotten",
    "is_last_of_server",
    "is_named_for",
    "launched",
    "left_by",
    "may_be_driven",
    "nested_in",
    "parked",
]

OVER = (RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.CRASHED, RunStatus.INTERRUPTED)
"""What a run is whose session nobody needs: it is driven by nobody, and waits for nobody."""

_TOKEN = "SEAMRIPPER_TOKEN"
_GRACE_S = 2.0
"""Seconds between asking a process to end and ending it."""
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that is left; `end` ends it: true once it is proven gone, false if it is still there, `None` if unknown.

    Nobody may drive the run in `run_dir` meanwhile.
    """

    kind: str
    name: str
    run_id: str
    end: Callable[[], bool | None]
    run_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """A run that is over, and those inside it; `because` says why it is left alone where it is not over."""

    run_dir: Path
    status: RunStatus
    states: tuple[RunState, ...] = ()
    because: str = ""

    @property
    def tokens(self) -> list[str]:
        """The tokens of all its launches."""
        return [one.token for state in self.states for task in state.tasks for one in task.attempts if one.token]


def examine(host: Host, run_dir: Path, *, paused: bool = False) -> Over:
    """Whether the run is over, with `paused` also where it waits for a person; what is recorded of it. Changes nothing."""
    status = classify(host.store(run_dir).evidence())
    if status.name not in OVER and not (paused and status.name is RunStatus.PAUSED):
        told = f"it is {status.name}: {status.reason}" if status.name is not RunStatus.RUNNING else "it is running"
        waits = ", and its session waits for that" if status.name is RunStatus.PAUSED else ""
        return Over(run_dir, status.name, because=told + waits)
    try:
        states = tuple(host.store(found).load().state for found in [run_dir, *nested_in(host, run_dir)])
    except (RecordError, OSError) as error:
        return Over(run_dir, status.name, because=f"it cannot be read: {error}")
    return Over(run_dir, status.name, states)


def may_be_driven(host: Host, run_dir: Path) -> bool:
    """Whether somebody drives the run, or that cannot be known."""
    try:
        return host.disk.locked(run_dir / "run.lock")
    except OSError:
        return True


def nested_in(host: Host, run_dir: Path) -> list[Path]:
    """The directories of the runs inside that run, however deep."""
    inner = runs(host.disk, run_dir / "nested")
    return [*inner, *(deeper for found in inner for deeper in nested_in(host, found))]


def left_by(host: Host, multiplexer: TerminalMultiplexer | None, over: Iterable[Over]) -> Iterator[Leftover]:
    """Sessions and processes of runs that are over; without a multiplexer no server is there, and there are no sessions.

    Raises what the multiplexer does where it does not answer.
    """
    over = list(over)
    inside: set[int] = set()
    if multiplexer is not None:
        owners = _owners(multiplexer)
        with every_answer(multiplexer):
            untagged = {name for name in multiplexer.list_sessions() if not owners.get(name)}
        for run, state in [(one, state) for one in over for state in one.states]:
            session, run_id = state.mux_session, state.run_id
            by_name = session in untagged and is_named_for(multiplexer, session, run_id)
            if (by_name or owners.get(session) == run_id) and state.backend == multiplexer.backend_name:
                inside |= _processes_in(host, multiplexer, session)
                yield _session(multiplexer, session, run_id, run.run_dir, by_name=by_name)
    for identity in launched(host, [token for run in over for token in run.tokens]):
        if identity.pid not in inside:
            yield Leftover("process", f"pid {identity.pid}", "", partial(end_processes, host, identity))


def launched(host: Host, tokens: Sequence[str]) -> list[ProcessIdentity]:
    """The processes, but for this one, that carry one of these tokens."""
    me = host.processes.me()
    return [one for one in host.processes.carrying(_TOKEN, *tokens) if one != me] if tokens else []


def _owners(multiplexer: TerminalMultiplexer) -> dict[str, str]:
    """The run that each session belongs to; nothing is taken for an answer but an answer."""
    with every_answer(multiplexer):
        return dict(multiplexer.session_options(RUN_OPTION))


def is_named_for(multiplexer: TerminalMultiplexer, session: str, run_id: str) -> bool:
    """Whether a session without a tag is that run's, whose driver was killed before it could set one.

    Only where the server is the root's own: on any other one a session is nobody's without its tag.
    """
    return session == run_id and isinstance(multiplexer, TmuxMultiplexer)


def _processes_in(host: Host, multiplexer: TerminalMultiplexer, session: str) -> set[int]:
    """The processes that end with the session."""
    table = host.processes
    leaders = [pid for window in multiplexer.list_window_ids(session) for pid in multiplexer.window_pids(window)]
    identities = [found for pid in leaders if (found := table.identify(pid)) is not None]
    return {one.pid for identity in identities for one in table.tree(identity)}


def _session(
    multiplexer: TerminalMultiplexer, session: str, run_id: str, run_dir: Path | None = None, *, by_name: bool = False
) -> Leftover:
    windows = Windows(multiplexer, session, run_id, "/")
    windows.claimed = by_name
    return Leftover("session", session, run_id, windows.kill_session, run_dir)


def end_processes(host: Host, *doomed: ProcessIdentity) -> bool | None:
    """Ask these processes to end, and end them; whether they are gone, `None` if that cannot be known."""
    table, clock = host.processes, host.clock
    alive = list(doomed)
    for signum in (signal.SIGTERM, SIGKILL):
        for one in alive:
            table.signal(one, signum)
        end = clock.monotonic() + _GRACE_S
        while (alive := [one for one in alive if table.liveness(one) is not Liveness.DEAD]) and clock.monotonic() < end:
            clock.sleep(_LOOK_S)
    if any(table.liveness(one) is Liveness.ALIVE for one in alive):
        return False
    return None if alive else True


def forgotten(host: Host, multiplexer: TerminalMultiplexer, root: Path) -> Iterator[Leftover]:
    """Sessions that are tagged as those of runs whose directories are gone.

    Only where the server is the root's own: on any other one a run that is not ours may be another root's. None counts as
    forgotten while there is a run that cannot be looked into: it may be inside that one.
    """
    if not isinstance(multiplexer, TmuxMultiplexer):
        return
    tops = [*runs(host.disk, root), *runs(host.disk, root / PROBES)]
    try:
        known = {found.name for top in tops for found in [top, *nested_in(host, top)]}
    except OSError:
        return
    for session, run_id in sorted(_owners(multiplexer).items()):
        if run_id and run_id not in known:
            yield _session(multiplexer, session, run_id)


def parked(multiplexer: TerminalMultiplexer, run_id: str | None = None) -> Iterator[Leftover]:
    """The windows of detached runs that have ended and are kept to be read: of that run, or of all."""
    if not multiplexer.has_session(CONTROL):
        return
    with every_answer(multiplexer):
        rows = multiplexer.list_windows(CONTROL, ("window_id", "window_name"))
    for window, name in rows:
        if run_id in (None, name) and is_over(multiplexer, window):
            yield Leftover("window", window, name, lambda one=window: _end_window(multiplexer, one))  # type: ignore[misc]  # bound now


def _end_window(multiplexer: TerminalMultiplexer, window: str) -> bool:
    multiplexer.kill_window(window)
    return window not in multiplexer.list_window_ids(CONTROL)


def is_last_of_server(multiplexer: TerminalMultiplexer, found: Sequence[Leftover]) -> bool:
    """Whether nothing but `found` keeps the server, which is there, from ending."""
    with every_answer(multiplexer):
        sessions = set(multiplexer.list_sessions())
    sessions -= {one.name for one in found if one.kind == "session"}
    if sessions == {CONTROL}:
        ending = {one.name for one in found if one.kind == "window"}
        return set(multiplexer.list_window_ids(CONTROL)) <= ending
    return not sessions
