"""`seamripper list` and `seamripper status`: what is known of runs.

They only observe, and a multiplexer that hangs delays them by `_PATIENCE_S` at most.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError, TargetMissing
from backends.later import later
from backends.processes import Liveness
from harness.commands.asking import EverySession
from harness.commands.current import Drive, multiplexer_of, where_of
from harness.commands.drivers import driver_of
from harness.commands.host import CommandError, Host
from harness.commands.output import Output
from harness.commands.server import has_no_server
from harness.dashboard import AskSession, RunView, list_lines, list_screen, literal, read_run, read_runs, screen
from harness.record import Hint, Holder, RunState, RunStatus, TaskPhase
from harness.runs import RunNotFound, find_run, resolve_root, root_of

__all__ = ["SessionAsker", "list_runs", "status"]

why_not_resumed = later("harness.commands.resumable:why_not_resumed")

_PATIENCE_S = 1.5
"""Seconds that a command spends at most on asking about sessions; what is not answered by then is unknown."""


class SessionAsker:
    """Asks the server of `root` which sessions are there, within `_PATIENCE_S` for all of them; never raises."""

    def __init__(self, host: Host, root: Path, mux: str | None) -> None:
        self._host = host
        self._root = root
        self._mux = mux
        self._made: TerminalMultiplexer | None = None
        self._end_s: float | None = None

    def __call__(self, state: RunState) -> Liveness:
        """Whether the session of that run is there; `UNKNOWN` too where the run used another backend."""
        try:
            return self._ask(state)
        except TargetMissing:
            return Liveness.DEAD
        except (MultiplexerError, OSError):
            return Liveness.UNKNOWN

    def multiplexer(self) -> TerminalMultiplexer:
        """The backend that is asked; made when it is first needed."""
        if self._made is None:
            self._made = multiplexer_of(self._host, self._mux, self._root)
        return self._made

    def _ask(self, state: RunState) -> Liveness:
        multiplexer = self.multiplexer()
        if state.backend and state.backend != type(multiplexer).__name__:
            return Liveness.UNKNOWN
        if has_no_server(self._host, multiplexer):
            return Liveness.DEAD
        now = self._host.clock.monotonic()
        self._end_s = now + _PATIENCE_S if self._end_s is None else self._end_s
        with multiplexer.budget(self._end_s - now):
            return Liveness.ALIVE if multiplexer.has_session(state.mux_session) else Liveness.DEAD


def list_runs(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Show every run, one line each; see `seamripper list --help`."""
    output = Output(host, as_json=arguments.json)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    views = _views(host, root, EverySession(host, root, arguments.mux, _PATIENCE_S))
    if output.as_json:
        output.document({"root": str(root), "runs": [view_document(view) for view in views]})
    elif views and output.rich:
        output.show(list_screen(views))
    elif views:
        output.raw("\n".join(list_lines(views)))
    else:
        output.aside(f"no runs in {root}")
    return 0


def status(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Explain one run; see `seamripper status --help`. Exit code 1 where nothing can be said about it."""
    output = Output(host, as_json=arguments.json)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    given: str | None = arguments.run
    run_dir = _newest(host, root) if given is None else find_run(host.disk, root, given, host.cwd)
    asker = SessionAsker(host, root_of(run_dir), arguments.mux)
    view = _offering_no_more_than_can_be_done(host, read_run(host.store(run_dir), asker))
    steps = next_steps(view, driver_of(host, run_dir), where_of(arguments))
    if output.as_json:
        output.document({"run": view_document(view) | {"next": dict(steps)}})
    else:
        output.show(_status_screen(view, steps, arguments.events))
    return 1 if view.status.name is RunStatus.UNKNOWN else 0


def _offering_no_more_than_can_be_done(host: Host, view: RunView) -> RunView:
    """The same run, without the resume where that would be refused, and a note why."""
    status = view.status
    if Hint.RESUME not in status.hints or view.state is None:
        return view
    why = why_not_resumed(host, view.run_dir, view.state)
    if not why:
        return view
    hints = tuple(hint for hint in status.hints if hint is not Hint.RESUME)
    return replace(view, status=replace(status, hints=hints, notes=(*status.notes, f"it cannot be resumed: {why}")))


def _views(host: Host, root: Path, asker: AskSession | None) -> list[RunView]:
    """Every run below `root`, the oldest first."""
    found = host.disk.info(root)
    if found is not None and not found.is_dir:
        raise CommandError(f"{root} is no directory", "name the directory that runs are kept in with --root", 2)
    try:
        views = read_runs(host.disk, root, clock=host.clock, processes=host.processes, entropy=host.entropy, ask=asker)
    except OSError as error:
        raise CommandError(
            f"{root} cannot be read: {error.strerror}", "choose another directory with --root"
        ) from error
    return sorted(views, key=lambda view: (_began(host, view), view.run_id))


def _began(host: Host, view: RunView) -> float:
    """When the run began (wall seconds), or if it does not say, when its directory last changed."""
    if view.state is not None and view.state.created_at > 0:
        return view.state.created_at
    found = host.disk.info(view.run_dir)
    return 0.0 if found is None else found.modified


def _newest(host: Host, root: Path) -> Path:
    views = _views(host, root, None)
    if not views:
        raise RunNotFound(
            f"there are no runs in {root}", "begin one with `seamripper run PLAN`, or choose another --root"
        )
    return views[-1].run_dir


def next_steps(view: RunView, driver: Holder | None = None, where: str = "") -> list[tuple[str, str]]:
    """What a person can do now, as (what, command line); nothing that the status does not allow.

    `driver` is whoever would be asked to stop, `where` are the options that find the run again.
    """
    allowed = [hint for hint in view.status.hints if hint is not Hint.STOP or driver is not None]
    return [(hint.value, f"seamripper {hint.value} {view.run_id}{where}") for hint in allowed]


def _status_screen(view: RunView, steps: Sequence[tuple[str, str]], events: int) -> RenderableType:
    parts: list[RenderableType] = [screen(view, events, keys=False), Text()]
    parts.append(Text(f"record  {literal(view.run_dir, 1000)}", style="dim"))
    parts += [Text(f"{what:<7} {literal(command, 1000)}", style="bold") for what, command in steps]
    return Group(*parts)


def view_document(view: RunView) -> dict[str, Any]:
    """One run for programs; times are wall clock seconds."""
    status, state = view.status, view.state
    return {
        "run_id": view.run_id,
        "run_dir": str(view.run_dir),
        "status": status.name.value,
        "reason": status.reason,
        "badges": [badge.value for badge in status.badges],
        "hints": [hint.value for hint in status.hints],
        "last_known": None if status.last_known is None else status.last_known.value,
        "age_s": status.age_s,
        "notes": list(status.notes),
        "attention": view.attention,
        "state": None if state is None else _state_document(state),
    }


def _state_document(state: RunState) -> dict[str, Any]:
    return {
        "project": state.project,
        "backend": state.backend,
        "session": state.mux_session,
        "epoch": state.epoch,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "ending": msgspec.to_builtins(state.ending),
        "teardown": state.teardown,
        "crashes": msgspec.to_builtins(state.crashes),
        "counts": {phase.value: sum(task.phase is phase for task in state.tasks) for phase in TaskPhase},
        "tasks": [
            {
                "key": task.key,
                "phase": task.phase.value,
                "attempts": task.attempts_used,
                "outcomes": [None if one.outcome is None else one.outcome.value for one in task.attempts],
                "reason": task.reason,
                "summary": task.summary,
                "not_before": task.not_before,
            }
            for task in state.tasks
        ],
    }
