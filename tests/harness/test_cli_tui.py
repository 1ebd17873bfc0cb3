"""What the dashboard launches, and what it is told of it; without a terminal there is no dashboard."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from backends.processes import Completed
from harness.commands.staged import CommandLine
from harness.commands.tui import Launcher
from harness.dashboard.panes import Outcome, Verb
from harness.dashboard.reader import RunView
from harness.record import Pending, RunState, RunStatus, Status, TaskState
from harness.world import FakeWorld

VIEW = RunView("r-1", Path("/runs/r-1"), Status(RunStatus.RUNNING), RunState("r-1", tasks=[TaskState("a b")]))
WHERE = ("--root", "/runs", "--mux", "tmux")


class Told:
    """A launcher whose commands answer in turn with these exit codes, and with that on standard error."""

    def __init__(self, *codes: int, stderr: bytes = b"") -> None:
        self.launched: list[tuple[str, ...]] = []
        self._codes = list(codes)
        self._stderr = stderr
        host = dataclasses.replace(CommandLine(FakeWorld()).host(), again=("again",))
        host.processes.commands["again"] = self._answer  # type: ignore[attr-defined]  # it is the simulated one
        self.launcher = Launcher(host, Path("/runs"), "tmux")

    def _answer(self, argv: Sequence[str]) -> Completed:
        self.launched.append(tuple(argv))
        return Completed(tuple(argv), self._codes.pop(0), b"", self._stderr)


@pytest.mark.parametrize(
    ("verb", "words"), [(Verb.RESUME, ("--detach",)), (Verb.STOP, ()), (Verb.CLEANUP, ())], ids=str
)
def test_each_key_is_a_command_about_the_runs_directory(verb: Verb, words: tuple[str, ...]) -> None:
    """With the options that find it, and the name of the run in what is said when it is done."""
    told = Told(0)

    assert told.launcher.launch(verb, VIEW) == Outcome(True, f"{verb} r-1: done")
    assert told.launched == [("again", verb, "/runs/r-1", *words, *WHERE)]


@pytest.mark.parametrize(
    ("stderr", "line"), [(b"progress\nerror: no; do this\n\n", "error: no; do this"), (b"", "error: stop ended with 1")]
)
def test_what_failed_is_told_in_its_own_words(stderr: bytes, line: str) -> None:
    """The last line that the command wrote, or its exit code where it wrote none."""
    assert Told(1, stderr=stderr).launcher.launch(Verb.STOP, VIEW) == Outcome(False, line)


def test_an_attach_that_fails_is_asked_why() -> None:
    """Its own words went to a terminal that shows the dashboard again; where nothing is wrong any more, its exit code."""
    told = Told(1, 1, stderr=b"error: it is gone\n")

    assert told.launcher.attach(VIEW) == Outcome(False, "error: it is gone")
    assert told.launched[1] == ("again", "attach", "/runs/r-1", "--json", *WHERE)
    assert Told(0).launcher.attach(VIEW) == Outcome(True, "")
    assert Told(1, 0).launcher.attach(VIEW) == Outcome(False, "error: attach ended with 1")


@pytest.mark.parametrize(("task", "words"), [("a b", ("--task=a b",)), ("of a nested run", ())])
def test_who_attaches_to_answer_is_shown_the_window_that_asks(task: str, words: tuple[str, ...]) -> None:
    """If that is a task of this very run."""
    told = Told(0)
    asks = dataclasses.replace(VIEW, status=Status(RunStatus.RUNNING, pending=(Pending(task, "may I?"),)))

    told.launcher.attach(asks)

    assert told.launched == [("again", "attach", "/runs/r-1", *words, *WHERE)]


class Terminal(io.StringIO):
    """A standard stream that somebody sits at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_be_drawn_on_shows_no_dashboard(kind: str) -> None:
    """It would get escape sequences that mean nothing to it; the list is plain text."""
    host = {"environment": {"TERM": kind, "SEAMRIPPER_ROOT": "/runs"}}
    answer = CommandLine(FakeWorld())("tui", stdin=Terminal(), stdout=Terminal(), **host)

    assert (answer.code, answer.stdout) == (2, "")
    assert "`seamripper list` prints the runs" in answer.stderr


@pytest.mark.parametrize("stdin", [None, io.StringIO()])
def test_without_a_terminal_there_is_no_dashboard(stdin: io.StringIO | None) -> None:
    """One line that names what to use instead, exit code 2."""
    answer = CommandLine(FakeWorld())("tui", stdin=stdin)

    assert (answer.code, answer.stdout) == (2, "")
    assert (
        answer.stderr
        == "error: the dashboard needs a terminal that can be drawn on; `seamripper list` prints the runs\n"
    )
