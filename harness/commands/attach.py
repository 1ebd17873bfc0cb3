"""`seamripper attach`: this terminal shows a run's session, where that is proven to be there and to be the run's own."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.errors import TargetMissing
from harness.commands.current import Drive, where_of
from harness.commands.host import CommandError, Host
from harness.commands.looking import SessionAsker
from harness.commands.output import Output
from harness.commands.server import require_available
from harness.dashboard import RunView, read_run
from harness.engine.windows import RUN_OPTION, window_name
from harness.record import Hint, RunState, RunStatus, TaskPhase
from harness.runs import find_run, resolve_root, root_of

__all__ = ["attach"]

_INSIDE = ("TMUX", "TMUX_PANE")
"""What a multiplexer tells the processes in its windows; with it set, a client refuses to run inside of another one."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What is to be shown: a session, or one window of it."""

    multiplexer: TerminalMultiplexer
    session: str
    window: str | None = None

    @property
    def target(self) -> str:
        return self.multiplexer.target(self.session, self.window)

    @property
    def argv(self) -> list[str]:
        return self.multiplexer.attach_target_argv(self.target)


def attach(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Show the run's session in this terminal; see `seamripper attach --help`."""
    output = Output(host, as_json=arguments.json)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    run_dir = find_run(host.disk, root, arguments.run, host.cwd)
    asker = SessionAsker(host, root_of(run_dir), arguments.mux)
    require_available(asker.multiplexer())
    view = read_run(host.store(run_dir), asker)
    place = _place(view, asker.multiplexer(), arguments.task, where_of(arguments))
    if output.as_json:
        output.document({"run_id": view.run_id, "session": place.session, "window": place.window, "argv": place.argv})
        return 0
    if _is_inside_of(host, place.multiplexer):
        if not place.multiplexer.switch_client(place.target):
            raise CommandError("no client shows this window, so there is none to switch", "attach from a terminal")
        return 0
    return _in_the_foreground(host, output, place)


def _place(view: RunView, multiplexer: TerminalMultiplexer, task: str | None, where: str) -> _Place:
    """What can be shown of the run; `CommandError` says why nothing can, and what to do."""
    state = view.state
    if state is None or Hint.ATTACH not in view.status.hints:
        raise CommandError(*_why_not(view, where))
    owner = multiplexer.session_options(RUN_OPTION).get(state.mux_session)
    if owner != state.run_id:
        who = f"belongs to {owner}" if owner else "is not known to be the run's own"
        raise CommandError(f"session {state.mux_session} {who}", f"`seamripper status {view.run_id}{where}`")
    if task is None:
        return _Place(multiplexer, state.mux_session)
    return _Place(multiplexer, state.mux_session, _window_of(state, task, multiplexer))


def _why_not(view: RunView, where: str) -> tuple[str, str]:
    name, status = view.run_id, view.status.name
    if Hint.RESUME in view.status.hints:
        return f"run {name} is {status} and has no session to attach to", f"`seamripper resume {name}{where}` goes on"
    if status is RunStatus.RUNNING:
        advice = "wait until its first window has opened; `seamripper doctor` says whether the multiplexer answers"
        return f"the session of run {name} is not proven to be there", advice
    return f"run {name} is {status} and has no session to attach to", f"`seamripper status {name}{where}` explains it"


def _window_of(state: RunState, key: str, multiplexer: TerminalMultiplexer) -> str:
    """The name of the window that the task is at work in."""
    found = next((task for task in state.tasks if task.key == key), None)
    if found is None:
        keys = ", ".join(task.key for task in state.tasks[:6])
        raise CommandError(f"there is no task {key!r:.80} in run {state.run_id}", f"its tasks are {keys}", 2)
    attempt = found.attempts[-1] if found.attempts else None
    if attempt is None or attempt.window_id is None or attempt.outcome is not None:
        at_work = [task.key for task in state.tasks if task.phase is TaskPhase.RUNNING]
        raise CommandError(f"task {key} has no window now", f"at work: {', '.join(at_work) or 'none'}")
    try:
        alive = multiplexer.window_alive(state.mux_session, attempt.window_id)
    except TargetMissing:
        alive = False
    if not alive:
        raise CommandError(f"the window of task {key} is gone", "leave out --task to see the others")
    return window_name(key, attempt.token)


def _is_inside_of(host: Host, multiplexer: TerminalMultiplexer) -> bool:
    """Whether this process runs in a window of the very server that the run's session is on."""
    ours = getattr(multiplexer, "socket_path", None)
    told = host.environment.get("TMUX", "").rsplit(",", 2)[0]
    return isinstance(ours, Path) and bool(told) and os.path.realpath(told) == os.path.realpath(ours)


def _in_the_foreground(host: Host, output: Output, place: _Place) -> int:
    if not host.is_terminal:
        raise CommandError(
            "this is no terminal", "attach from one; `seamripper attach RUN --json` says with which command"
        )
    if any(host.environment.get(name) for name in _INSIDE):
        output.aside(
            "inside of another multiplexer: its prefix key counts first, press it twice to reach the inner one"
        )
    environment = {name: value for name, value in host.environment.items() if name not in _INSIDE}
    try:
        code = host.processes.foreground(place.argv, environment)
    except OSError as error:
        raise CommandError(f"{place.argv[0]} cannot be run: {error.strerror}", "`seamripper backends`") from error
    if code != 0:
        raise CommandError(
            f"the multiplexer's client ended with {code}", "`seamripper status` says whether the run goes on"
        )
    return 0
