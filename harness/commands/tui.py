"""`seamripper tui`: the dashboard. It only observes; what it is told to do it launches as a command of its own."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

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
from harness.runs import resolve_root

__all__ = ["Launcher", "add_tui", "tui"]

Dashboard = later("harness.dashboard.app:Dashboard")

_QUESTION_S = 2.0
"""Seconds that the multiplexer is given to say which sessions it has."""
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
    watch = _session_watch(host, root, arguments.mux)
    reader = RunsReader(host.disk, root, clock=host.clock, processes=host.processes, entropy=host.entropy)
    observer = Observer(reader, watch.sessions, host.disk, host.clock)
    launcher = Launcher(host, root, arguments.mux)
    dashboard = Dashboard(observer.look, root=str(root), launch=launcher.launch, attach=launcher.attach)
    watch.start()
    try:
        dashboard.run()
    finally:
        watch.stop()
    if dashboard.failure is not None:
        raise dashboard.failure
    return 0


def _session_watch(host: Host, root: Path, mux: str | None) -> SessionWatch:
    """A watch over the sessions of the root's multiplexer, with a deadline for each question."""
    multiplexer = multiplexer_of(host, mux, root)

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
