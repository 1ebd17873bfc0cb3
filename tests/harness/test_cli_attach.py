"""Attaching: only to a session that is proven to be there and to be the run's own, and never by mistake."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from cli_drivers import Driver, killed_run

from harness.agents import plan_of, task, works
from harness.commands.staged import Answer, CommandLine
from harness.engine.windows import RUN_OPTION, window_name
from harness.world import FakeWorld, SimulatedTmuxWorld


class Terminal(io.StringIO):
    """A stream that somebody sits at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


def attach(seamripper: CommandLine, *words: str, **environment: str) -> Answer:
    """`seamripper attach` in a terminal."""
    known = {"SEAMRIPPER_ROOT": str(seamripper.root), "HOME": "/home/somebody", **environment}
    return seamripper("attach", *words, stdin=Terminal(), stdout=Terminal(), environment=known)


def shown(seamripper: CommandLine) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """What has had the terminal."""
    assert isinstance(seamripper.world, FakeWorld)
    return seamripper.world.processes.shown


def paused(seamripper: CommandLine) -> str:
    """A run that waits for a word, whose session is kept; its id."""
    agent = works(1).then_completes()
    stories = [task("1-1", agent), task("1-2", agent, gate="a word")]
    seamripper("run", seamripper.plan(plan_of(*stories, project=str(seamripper.world.project))))
    run_id: str = seamripper("list", "--json").document["runs"][-1]["run_id"]
    return run_id


def assert_refused(answer: Answer, code: int, *words: str) -> None:
    """That exit code, and one line that has these words."""
    assert (answer.code, answer.stdout, answer.stderr.count("\n")) == (code, "", 1)
    for word in words:
        assert word in answer.stderr


def test_the_terminal_is_handed_to_the_session(seamripper: CommandLine) -> None:
    """The backend says with which command; nothing else is printed."""
    run_id = paused(seamripper)

    answer = attach(seamripper, run_id)

    assert (answer.code, answer.stdout, answer.stderr) == (0, "", "")
    assert [argv for argv, _ in shown(seamripper)] == [("fake-attach", f"={run_id}")]


def test_inside_of_another_multiplexer_the_client_is_not_told_of_it(seamripper: CommandLine) -> None:
    """Otherwise it would refuse; and which keys count first is said."""
    answer = attach(seamripper, paused(seamripper), TMUX="/tmp/tmux-0/default,77,0", TMUX_PANE="%3")

    ((_, environment),) = shown(seamripper)
    assert answer.code == 0
    assert "press it twice" in answer.stdout
    assert not {"TMUX", "TMUX_PANE"} & environment.keys()
    assert environment["HOME"] == "/home/somebody"


def test_without_a_terminal_the_command_is_told_and_not_run(seamripper: CommandLine) -> None:
    """A script gets a line and exit code 1, or the argv as JSON."""
    run_id = paused(seamripper)

    assert_refused(seamripper("attach", run_id), 1, "no terminal", "--json")
    assert seamripper("attach", run_id, "--json").document["argv"] == ["fake-attach", f"={run_id}"]
    assert shown(seamripper) == []


def test_a_session_that_is_somebody_else_s_is_not_shown(seamripper: CommandLine) -> None:
    """It has the name of ours, and another run's tag, or none."""
    run_id = paused(seamripper)
    multiplexer = seamripper.world.multiplexer()

    for owner, words in (("other", "belongs to other"), ("", "not known to be the run's own")):
        multiplexer.set_session_option(run_id, RUN_OPTION, owner)
        assert_refused(attach(seamripper, run_id), 1, words)
    assert shown(seamripper) == []


def test_a_run_without_a_proven_session_says_what_can_be_done(seamripper: CommandLine) -> None:
    """A dead server, and an interrupted run whose session is still there: neither is to be attached to."""
    run_id = paused(seamripper)
    seamripper.world.kill_server()

    assert_refused(attach(seamripper, run_id), 1, "is PAUSED and has no session", f"seamripper resume {run_id}")
    assert shown(seamripper) == []


def test_a_multiplexer_that_hangs_is_not_taken_for_a_session_that_is_still_to_come(seamripper: CommandLine) -> None:
    """What cannot be proven now has two reasons, and somebody can look which it is."""
    run_dir = running(seamripper)
    seamripper.world.freeze()

    answer = attach(seamripper, run_dir.name)

    assert_refused(answer, 1, "is not proven to be there", "`seamripper doctor`")


def test_an_interrupted_run_is_not_attached_to_although_its_session_is_there(seamripper: CommandLine) -> None:
    """Nobody drives it: what is typed there would reach nobody who knows."""
    run_dir = killed_run(seamripper)
    assert seamripper.world.multiplexer().has_session(run_dir.name)

    assert_refused(attach(seamripper, run_dir.name), 1, "is INTERRUPTED", "seamripper resume")


def running(seamripper: CommandLine) -> Path:
    """A run that somebody drives, whose first task is at work."""
    run_dir = killed_run(seamripper)
    Driver(seamripper, run_dir)
    return run_dir


def test_the_window_of_a_task_can_be_shown(seamripper: CommandLine) -> None:
    """By its name, which has the token of its launch in it."""
    run_dir = running(seamripper)
    token = seamripper.world.ledger()[0]["token"]

    assert attach(seamripper, run_dir.name, "--task", "1-1").code == 0
    assert [argv for argv, _ in shown(seamripper)] == [
        ("fake-attach", f"={run_dir.name}:{window_name('1-1', token)}"),
    ]


def test_a_task_without_a_window_is_said(seamripper: CommandLine) -> None:
    """Unknown, or gone meanwhile."""
    run_dir = running(seamripper)
    multiplexer = seamripper.world.multiplexer()

    assert_refused(attach(seamripper, run_dir.name, "--task", "x"), 2, "no task 'x'", "its tasks are 1-1")
    for window in multiplexer.list_window_ids(run_dir.name)[1:]:
        multiplexer.kill_window(window)
    assert_refused(attach(seamripper, run_dir.name, "--task", "1-1"), 1, "the window of task 1-1 is gone")


def test_a_client_that_fails_is_said(seamripper: CommandLine) -> None:
    """Its own words were on the terminal already."""
    run_id = paused(seamripper)
    table = seamripper.world.processes
    assert hasattr(table, "commands")
    table.commands["fake-attach"] = table.commands["false"]

    answer = attach(seamripper, run_id)

    assert answer.code == 1
    assert "client ended with 1" in answer.stderr


def test_a_window_of_the_same_server_has_no_client_of_its_own_here() -> None:
    """Inside of it a client is switched, never nested; where there is none, that is said."""
    seamripper = CommandLine(SimulatedTmuxWorld())
    answer = attach(seamripper, paused(seamripper), TMUX="/sim/socket/tmux,1,0", TMUX_PANE="%0")

    assert answer.code == 1
    assert "no client shows this window" in answer.stderr
    assert shown(seamripper) == []
