"""Text from agents, names from plans, and secrets: shown literally, refused, or left out; never acted on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backends.base import TerminalMultiplexer
from backends.errors import CommandRejected
from backends.processes import Completed
from harness.agents import completes, task, works
from harness.commands.staged import CommandLine
from harness.engine.plan import PlanError, RunPlan, TaskPlan
from harness.incidents import at_step, at_work, escapes_in, files_of, on_screen, simulated, when
from harness.record import RunStatus
from harness.runner import Stage
from harness.world import World

HOSTILE = {
    "osc-52": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "dcs": "\x1bP+q544e\x1b\\",
    "c1": "\x9b2J\x9d0;title\x9c",
    "markup": "[/bad] [bold red]x[/] [link=file:///]",
    "bidi": "\u202eexe.txt\u2066",
    "lines": "one\r\ntwo\x08three\x7f",
}


@pytest.mark.simulated("one agent says all of it on a live host below")
@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_output_is_shown_literally(mux_run: Stage, kind: str) -> None:
    """Whatever an agent says, reports or sums up, no escape sequence or markup of it reaches a terminal."""
    text = HOSTILE[kind]
    agent = works(1).then_says(text).then_fails_turn(error=text).then_writes_result("escalate", text).then_idles()
    report = mux_run(task("1-1", agent=agent))
    shown = on_screen(mux_run)

    assert report.status is RunStatus.PAUSED
    assert escapes_in(shown + report.header + report.list_row) == set()
    assert (text in shown) == (kind == "markup")
    assert report.summary is not None
    assert escapes_in(report.summary.render()) == set()


def test_hostile_output_of_a_real_agent_ends_in_its_log_alone(mux_run: Stage) -> None:
    """Escape sequences printed into a real terminal, and a result full of them, leave a run that can be shown."""
    text = " ".join(HOSTILE.values())
    report = mux_run(task("1-1", agent=works(1).then_says(text).then_writes_result("done", text).then_idles()))

    assert report.status is RunStatus.FINISHED
    assert escapes_in(on_screen(mux_run)) == set()


def test_hostile_output_that_no_file_can_hold_is_made_readable(mux_run: Stage) -> None:
    """Lone surrogates in a result are escaped where they enter the record, and on the screen."""

    def deliver() -> None:
        attempt = mux_run.store().load().state.task("1-1").attempts[0]
        result = {"token": attempt.token, "status": "done", "summary": "\udcff\ud800 done"}
        mux_run.world.disk.write(mux_run.run_dir / "tasks" / "1-1" / "result.json", json.dumps(result).encode("ascii"))

    when(mux_run, at_work(mux_run), deliver)
    report = mux_run(task("1-1", agent=works(1000)), session_timeout_s=60)

    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").summary == "\\udcff\\ud800 done"
    assert escapes_in(on_screen(mux_run)) == set()


@pytest.mark.simulated("fifty megabytes go through no terminal in time")
def test_hostile_output_of_one_line_of_fifty_megabytes_ends_no_run(mux_run: Stage) -> None:
    """A line without an end, in the log and in what a check prints, is kept out of the record, which stays small."""
    size = 50_000_000
    table = simulated(mux_run.world).processes
    table.commands["check"] = lambda argv: Completed(tuple(argv), 1, b"x" * size, b"")
    agent = works(1).then_floods(size, line=size).then_completes()
    report = mux_run(task("1-1", agent=agent, verify=["check"]), max_attempts=1, retry_deferred="never")

    assert report.task("1-1").phase == "deferred"
    assert sum(len(data) for path, data in files_of(mux_run.world, mux_run.run_dir) if path.suffix != ".log") < 100_000
    assert len(on_screen(mux_run)) < 20_000


@pytest.mark.simulated("an exception is the same everywhere")
@pytest.mark.parametrize("text", [*HOSTILE.values(), "\udcff\ud800", "nul\0"], ids=ascii)
def test_hostile_output_in_an_error_is_shown_literally(mux_run: Stage, text: str) -> None:
    """A crash whose message is hostile is recorded and shown as text."""

    def fail() -> None:
        raise RuntimeError(text)

    report = mux_run(task("1-1", agent=completes()), checkpoint=at_step("settle", fail))

    assert report.status is RunStatus.CRASHED
    assert escapes_in(on_screen(mux_run) + report.header + report.stderr) == set()


NAMES = [
    "",
    "..",
    "../x",
    "a/b",
    "nul\0",
    "a\nb",
    "-x",
    ".hidden",
    "#(touch x)",
    "a:b",
    "=a",
    "@1",
    "x" * 300,
    "é",
    "a b",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names_of_tasks_are_refused_before_anything_begins(name: str) -> None:
    """No plan can be made with a key that is no plain name, and the error is one line of text."""
    with pytest.raises(PlanError) as refused:
        RunPlan((TaskPlan(name, "Do it."),))

    assert escapes_in(str(refused.value)) == set()
    assert "\n" not in str(refused.value)


@pytest.mark.worlds("fake", "simulated-tmux", "tmux")
def test_hostile_names_of_sessions_and_windows_are_refused_before_anything_is_asked(
    mux: TerminalMultiplexer, mux_world: World
) -> None:
    """No multiplexer is ever asked about a name that it could take for a pattern, a path or a command."""
    for name in NAMES:
        for ask in (
            lambda name=name: mux.has_session(name),
            lambda name=name: mux.new_session(name, mux_world.project),
            lambda name=name: mux.new_window("good", name, mux_world.project, {}, "true"),
            lambda name=name: mux.target("good", name or "/"),
        ):
            with pytest.raises(CommandRejected):
                ask()

    assert mux.list_sessions() == []


def test_hostile_names_of_a_project_run_no_command(mux_run: Stage) -> None:
    """A project whose path looks like commands to tmux and to the shell is a directory like any other."""
    world = mux_run.world
    names = ("#(touch pwned)", "%H #{pid} $(touch pwned) `touch pwned`", 'it\'s "quoted"; touch pwned')
    project = world.project.joinpath(*names)
    world.disk.mkdir(project)
    report = mux_run(task("1-1", agent=works(1).then_completes()), project=str(project))

    made = {path.name for directory in (world.project, world.runs) for path, _ in files_of(world, directory)}
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert "pwned" not in made
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", ["..", "a\nb", "x" * 300, "\x1b[2J", "#(touch x)", "nul\0"], ids=ascii)
def test_hostile_names_of_runs_are_one_line_on_the_command_line(mux_world: World, name: str) -> None:
    """Whatever is asked about a run that cannot be: one plain line, and a code that says that it was wrong."""
    for command in ("status", "resume", "stop", "attach"):
        answer = CommandLine(mux_world)(command, name)

        assert answer.code in (1, 2)
        assert answer.stderr.count("\n") == 1
        assert escapes_in(answer.stderr + answer.stdout) == set()
