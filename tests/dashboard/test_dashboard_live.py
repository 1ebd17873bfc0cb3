"""The dashboard in a real terminal, beside real runs: what it shows, which keys it offers, and a server that is frozen."""

from __future__ import annotations

import re
import signal
import sys
import termios
from collections.abc import Iterator

import pexpect
import pytest
from live_screen import Screen

from harness.agents import works
from harness.commands.shells import Shell
from harness.record import RunStatus
from harness.world import World

pytestmark = pytest.mark.live(scale=1)

PLAIN = {0, 1, 7, 39, 49}
"""How a terminal is told to write as usual, bold or reversed, in its own colours."""
LONG = works(60).then_completes()
SOON = works(0.3).then_completes()
ASKING = works(0.3).then_waits("may I run the tests?")

FIRST, SECOND = "\x1b[?1049l", "\x1b[?1049h"
"""How a terminal is told to show its first screen again, and its second."""
CRASHING = """
import dataclasses, sys
from backends.disk import RealDisk
from harness.cli import main
from harness.commands.host import this_host

class Odd(RealDisk):
    def listdir(self, path):
        raise RuntimeError("odd \\x1b[31m")

sys.exit(main(["tui"], dataclasses.replace(this_host(), disk=Odd())))
"""
"""A dashboard that raises what it does not expect."""


def is_as_usual(child: pexpect.spawn[str]) -> bool:
    """Whether that terminal hands lines on, and shows what is typed."""
    modes: int = termios.tcgetattr(child.child_fd)[3]
    return modes & (termios.ICANON | termios.ECHO) == termios.ICANON | termios.ECHO


def shown_at_last(child: pexpect.spawn[str]) -> str:
    """Which screen that terminal was told to show."""
    said = child.before or ""
    return "first screen" if said.rfind(FIRST) > said.rfind(SECOND) and "\x1b[?25h" in said else "second screen"


@pytest.fixture
def shell(mux_world: World) -> Iterator[Shell]:
    """A shell whose runs and server end with the test."""
    made = Shell(mux_world)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def screens(shell: Shell) -> Iterator[list[Screen]]:
    """Screens that are put in here end with the test."""
    made: list[Screen] = []
    try:
        yield made
    finally:
        for screen in made:
            screen.close()


def test_a_run_is_stopped_and_resumed_from_the_dashboard(shell: Shell, screens: list[Screen]) -> None:
    """It appears while it goes on; a stop is asked about first; what a key did is said, and the next key is offered."""
    screens.append(Screen(shell))
    screens[0].shows("no runs in", "q quit")
    assert shell.run("run", shell.plan(LONG), "--detach").status == 0
    shown = screens[0].shows("RUNNING", "press a to attach", "x stop")
    assert "e resume" not in shown

    screens[0].press("x")
    screens[0].shows("Stop 2", "y  yes")
    screens[0].press("n")
    screens[0].shows("RUNNING")
    screens[0].press("x", "y")
    stopped = screens[0].shows("STOPPED", "press e to resume", "e resume", ": done")
    assert "a attach" not in stopped
    screens[0].press("e")
    screens[0].shows("RUNNING", "epoch 2", "x stop")


def test_it_goes_on_while_the_server_of_the_runs_is_frozen(shell: Shell, screens: list[Screen]) -> None:
    """It says since when there is no answer, offers no attach, still moves, and is back once the server is."""
    assert shell.run("run", shell.plan(LONG), "--detach").status == 0
    shell.wait_for_start("1-1")
    screens.append(Screen(shell, 120, 40))
    screens[0].shows("RUNNING", "press a to attach", "a attach")
    seen = shell.multiplexer.server_identity()
    server = None if seen is None else shell.world.processes.identify(seen.pid)
    assert server is not None
    shell.world.processes.signal(server, signal.SIGSTOP)
    try:
        screens[0].shows("multiplexer not answering since", "RUNNING")
        shell.eventually(lambda: "press a" not in screens[0].text() and "a attach" not in screens[0].text())
        screens[0].press("?")
        screens[0].shows("quit; runs go on")
        screens[0].press("escape")
    finally:
        shell.world.processes.signal(server, signal.SIGCONT)

    screens[0].shows("multiplexer answered", "press a to attach", "a attach")


def test_somebody_who_is_asked_attaches_and_answers(shell: Shell, screens: list[Screen]) -> None:
    """A pending decision is shown with its question; the key shows the session, and detaching comes back."""
    assert shell.run("run", shell.plan(ASKING), "--detach").status == 0
    screens.append(Screen(shell, 120, 40))
    screens[0].shows("! asks", "may I run the tests?", "press a to attach and answer")

    screens[0].press("a")
    screens[0].shows("0:shell", "1:1-1")
    screens[0].press("C-b", "d")

    screens[0].shows("press a to attach and answer")
    shell.eventually(screens[0].quits)


def test_a_crash_is_explained_without_colours_too(shell: Shell, screens: list[Screen]) -> None:
    """In the words of engine.md, in bold red; with NO_COLOR nothing has a colour, nor a grey."""
    assert shell.run("run", shell.plan(SOON), "--faults", "engine.outcome=1*raise(ValueError)").status == 70
    line = "✖ engine crashed - see crash.txt - press e to resume"
    screens.append(Screen(shell))
    shown = screens[0].shows(line, "ValueError: injected", "e resume")
    assert "a attach" not in shown
    assert "x stop" not in shown

    screens.append(Screen(shell, NO_COLOR="1"))
    screens[1].shows(line)
    told = re.findall(r"\x1b\[([0-9;]*)m", screens[1].text(styled=True))
    assert {int(number) for words in told for number in words.split(";")} <= PLAIN
    assert "8;5;" in screens[0].text(styled=True)
    assert shell.status()["status"] == RunStatus.CRASHED


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(shell: Shell, signum: signal.Signals) -> None:
    """The first screen is back, what is typed is shown again, and the exit code names the signal."""
    child = shell.spawn("tui")
    child.expect("no runs in")
    assert not is_as_usual(child)
    dashboard = shell.world.processes.identify(child.pid or 0)
    assert dashboard is not None

    shell.world.processes.signal(dashboard, signum)

    child.expect(pexpect.EOF)
    assert is_as_usual(child)
    assert shown_at_last(child) == "first screen"
    assert shell.ended(child)[0] == 128 + signum


def test_a_terminal_that_is_closed_takes_the_dashboard_with_it(shell: Shell) -> None:
    """Though nothing can be restored any more."""
    child = shell.spawn("tui")
    child.expect("no runs in")

    child.ptyproc.fileobj.close()  # type: ignore[attr-defined]  # the stubs do not tell of it

    shell.eventually(lambda: not child.isalive())
    assert child.exitstatus == 128 + signal.SIGHUP


def test_a_dashboard_that_crashes_says_so_in_one_line_on_the_first_screen(shell: Shell) -> None:
    """Exit code 70; what was raised is shown literally."""
    child = shell.program(sys.executable, "-P", "-c", CRASHING)

    child.expect(pexpect.EOF)
    assert is_as_usual(child)
    assert shown_at_last(child) == "first screen"
    said = child.before or ""
    assert shell.ended(child)[0] == 70
    assert said.rpartition(FIRST)[2].split("\x1b")[-1].partition("l")[2] == "error: RuntimeError: odd \\x1b[31m\r\n"


def test_what_is_not_a_terminal_is_told_what_to_use(shell: Shell) -> None:
    """One line, exit code 2."""
    answer = shell.run("tui")

    assert (answer.status, answer.stdout) == (2, b"")
    assert (
        answer.stderr
        == b"error: the dashboard needs a terminal that can be drawn on; `seamripper list` prints the runs\n"
    )
