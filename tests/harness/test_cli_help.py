"""What the command line says about itself."""

from __future__ import annotations

import argparse
import importlib.metadata
import shlex
import sys
from collections.abc import Iterator

import pytest

import harness
from backends.processes import SystemProcessTable
from harness.agents import DRIVEN_KINDS
from harness.cli import parser
from harness.commands.staged import CommandLine
from harness.engine.plan import BUILT_IN_AGENTS
from harness.world import FakeWorld

(_SUBPARSERS,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
COMMANDS = tuple(_SUBPARSERS.choices)
WRITTEN = {"--output", "--save", "--json"}
"""What the file is called that a command writes what it found to."""


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples_that_can_be_read(seamripper: CommandLine, command: str) -> None:
    """Each example of a command's help is a command line that the parser takes."""
    answer = seamripper(command, "--help")

    assert (answer.code, answer.stderr) == (0, "")
    examples = answer.stdout.split("examples:\n")[1].split("\n\n")[0].splitlines()
    lines = [shlex.split(line.split("   ")[0]) for line in map(str.strip, examples) if line]
    assert lines
    for words in lines:
        assert words[:2] == ["seamripper", command]
        parser().parse_args(words[1:])


def below(parent: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command that carries something out."""
    inner = [action for action in parent._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for one in action.choices.values():
            yield from below(one)
    if not inner:
        yield parent


def test_a_short_option_means_the_same_everywhere() -> None:
    """`-o` is the file that what a command found is written to; there is no other one but `-h`."""
    for command in below(parser()):
        files = [one for one in command._actions if one.metavar == "FILE" and WRITTEN & {*one.option_strings}]
        short = {word: one for one in command._actions for word in one.option_strings if word[1] != "-"}

        assert set(short) == {"-h", *(["-o"] if files else [])}, command.prog
        assert files in ([], [short.get("-o")])


def test_the_overview_names_every_command_the_exit_codes_and_the_environment(seamripper: CommandLine) -> None:
    """Everything that a newcomer has to know fits on one screen or two."""
    answer = seamripper("--help")

    assert answer.code == 0
    for word in (*COMMANDS, "exit codes:", "70 crashed", "SEAMRIPPER_ROOT", "SEAMRIPPER_MUX", "NO_COLOR", "examples:"):
        assert word in answer.stdout
    assert len(answer.stdout.splitlines()) < 60


def test_every_built_in_agent_can_be_driven_and_is_offered_to_a_probe(seamripper: CommandLine) -> None:
    """What a plan may name without describing it has a profile."""
    words = seamripper("probe", "--help").stdout.split()

    assert set(DRIVEN_KINDS) == set(BUILT_IN_AGENTS)
    assert [name for name in DRIVEN_KINDS if f"{name}," not in words] == []


def test_the_version_is_that_of_the_distribution(seamripper: CommandLine) -> None:
    """So that a report can name it."""
    answer = seamripper("--version")

    assert (answer.code, answer.stdout) == (0, f"seamripper {importlib.metadata.version('seamripper')}\n")


def test_every_public_name_of_the_harness_is_at_home_where_it_says() -> None:
    """They are loaded one by one, so that the command line is there at once; none may be lost on the way."""
    assert [name for name in harness.__all__ if getattr(harness, name).__name__ != name] == []
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        vars(harness)["__getattr__"]("Motor")
    assert "harness.engine" not in loaded_by("import harness")


def loaded_by(statement: str) -> str:
    """The modules of a fresh interpreter after that statement, as text."""
    argv = [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"]
    return SystemProcessTable().run(argv, timeout_s=60).stdout.decode()
