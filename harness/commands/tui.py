"""`seamripper tui`: the dashboard. It only observes; what it is told to do it launches as a command of its own."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from backends.base import TerminalMultiplexer
from backends.clock import Clock, Waker
from backends.later import later
from backends.processes import Completed
from harness.commands.asking import sessions_there
from harness.commands.current import Drive, multiplexer_of
from harness.commands.host import CommandError, Host
from harness.commands.wording import Commands, add_command, add_place
from harness.dashboard.observer import Observer
from harness.dashboard.panes import Outcome, Verb
from harness.dashboard.reader import RunsReader, RunView
from harness.dashboard.sessions import Answer, SessionWatch
from harness.engine.signals import StopSwitch, stop_signals
from harness.runs import resolve_root

if TYPE_CHECKING:
    from harness.dashboard.app import Dashboard

__all__ = ["Launcher", "add_tui", "tui"]

make_dashboard = later("harness.dashboard.app:Dashboard")

_QUESTION_S = 2.0
"""Seconds that the multiplexer is given to say which sessions it has."""
_LEAVING_S = 3.0
"""Seconds that the dashboard is given to leave the terminal as it was, once a signal has asked it to go."""
_COMMAND_S = 120.0
"""Seconds that a command may take which the dashboard has launched; a stop waits for the run's own grace."""
_PLAIN_TERMINALS = ("dumb", "unknown")
"""Values of `TERM` of a terminal that prints lines and no more."""
_WORDS = {Verb.RESUME: ("--detach",)}
"""What else a command is told."""


def add_tui(commands: Commands) -> None:
    """`seamripper tui`."""
    made = add_command(
        commands,
        "tui",
        tui,
        "show all runs on the whole screen, and act on them",
        "  seamripper tui                  runs on the left, the chosen one on the right; ? tells the keys\n"
        "  seamripper tui --root ./runs    those of another directory\n",
        _EXIT_CODES,
        as_json=False,
    )
    add_place(made)


_EXIT_CODES = """\
exit codes:
  0 left    1 the runs cannot be shown    2 usage, or no terminal    70 the dashboard crashed
  128+n left because of signal n
"""


def tui(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Show the dashboard until somebody leaves it; see `seamripper tui --help`."""
    if not host.is_terminal or host.environment.get("TERM") in _PLAIN_TERMINALS:
        raise CommandError(
            "the dashboard needs a terminal that can be drawn on", "`seamripper list` prints the runs", 2
        )
    root = resolve_root(arguments.root, host.environment, host.cwd)
    found = host.disk.info(root)
    if found is not None and not found.is_dir:
        raise CommandError(f"{root} is no directory", "name the directory that runs are kept in with --root", 2)
    multiplexer = multiplexer_of(host, arguments.mux, root)
    current.until_the_end.callback(multiplexer.disconnect)
    watch = _session_watch(host, multiplexer)
    reader = RunsReader(host.disk, root, clock=host.clock, processes=host.processes, entropy=host.entropy)
    # A search for garbage in a thousand runs takes longer than a refresh may, and finds none there.
    observer = Observer(reader, watch.sessions, host.disk, host.clock, settled=gc.freeze)
    launcher = Launcher(host, root, arguments.mux)
    dashboard: Dashboard = make_dashboard(observer.look, root=str(root), launch=launcher.launch, attach=launcher.attach)
    leaving = _Leaving(dashboard, host.clock)
    watch.start()
    try:
        with stop_signals(leaving):
            dashboard.run()
    finally:
        watch.stop()
        leaving.over.wake()
    if leaving.signum is not None:
        # Whatever was raised then, the terminal that is gone may have been the reason.
        return 128 + leaving.signum
    if dashboard.failure is not None:
        raise dashboard.failure
    return 0


class _Leaving(StopSwitch):
    """Has the dashboard leave at the first signal, so that the terminal is left as it was found.

    Where that takes too long, because the terminal is gone or takes nothing any more, the process ends without it. While the
    terminal is another's it waits, and a Ctrl-C that is typed is for that one to understand.
    """

    def __init__(self, dashboard: Dashboard, clock: Clock) -> None:
        super().__init__()
        self._dashboard = dashboard
        self._clock = clock
        self.over = Waker()

    def request(self, by: str, signum: int | None = None) -> None:
        """See `StopSwitch.request`."""
        if signum == signal.SIGINT and self._dashboard.is_away:
            return
        super().request(by, signum)
        self._dashboard.leave()
        if self.requests == 1:
            threading.Thread(target=self._insist, name="leaving", daemon=True).start()

    def _insist(self) -> None:
        while not self._clock.wait(_LEAVING_S, self.over):
            if not self._dashboard.is_away:
                os._exit(128 + (self.signum or 0))


def _session_watch(host: Host, multiplexer: TerminalMultiplexer) -> SessionWatch:
    """A watch over the sessions of the root's multiplexer, with a deadline for each question."""

    def question() -> Answer:
        with multiplexer.budget(_QUESTION_S):
            return Answer(type(multiplexer).__name__, sessions_there(host, multiplexer))

    return SessionWatch(question, host.clock, multiplexer.abandon)


class Launcher:
    """Carries out what the dashboard is told, as commands of this command line for the runs below `root`."""

    def __init__(self, host: Host, root: Path, mux: str | None) -> None:
        self._host = host
        self._where = ("--root", str(root), *(() if mux is None else ("--mux", mux)))

    def launch(self, verb: Verb, view: RunView) -> Outcome:
        """Carry the command out to its end; what it said last, or the one line of its error."""
        return self._run(verb, view, *_WORDS.get(verb, ()))

    def attach(self, view: RunView) -> Outcome:
        """Hand this terminal to the run's session until it is left; why not, where that fails."""
        argv = self._argv(Verb.ATTACH, view, *_window_of(view))
        code = self._host.processes.foreground(argv, self._host.environment)
        if code == 0:
            return Outcome(True, "")
        why = self._run(Verb.ATTACH, view, "--json")
        return Outcome(False, f"error: attach ended with {code}") if why.done else why

    def _argv(self, verb: Verb, view: RunView, *words: str) -> tuple[str, ...]:
        # The directory is what cannot be mistaken: a name may be a beginning of another one, or look like an option.
        return (*self._host.again, verb.value, str(view.run_dir), *words, *self._where)

    def _run(self, verb: Verb, view: RunView, *words: str) -> Outcome:
        argv = self._argv(verb, view, *words)
        try:
            ended = self._host.processes.run(
                argv, timeout_s=_COMMAND_S, cwd=self._host.cwd, env=self._host.environment, newest=1 << 16
            )
        except subprocess.TimeoutExpired:
            return Outcome(False, f"error: {verb} has not ended within {_COMMAND_S:.0f} s")
        except OSError as error:
            return Outcome(False, f"error: {verb} cannot be started: {error.strerror or type(error).__name__}")
        return _outcome(verb, view, ended)


def _window_of(view: RunView) -> tuple[str, ...]:
    """The words that show the window in which an agent waits for a person; none where that is no task of this run."""
    keys = set() if view.state is None else {task.key for task in view.state.tasks}
    asking = [pending.task for pending in view.status.pending if pending.task in keys]
    return (f"--task={asking[0]}",) if asking else ()


def _outcome(verb: Verb, view: RunView, ended: Completed) -> Outcome:
    said = _last_line(ended.stderr)
    if ended.status != 0:
        return Outcome(False, said or f"error: {verb} ended with {ended.status}")
    return Outcome(True, f"{verb} {view.run_id}: done")


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="backslashreplace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
