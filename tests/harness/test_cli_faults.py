"""`seamripper faults`: what a user sees of scenarios, points and replays, as text, as JSON and as files."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from backends.processes import Completed
from backends.simulated_processes import SimulatedProcessTable
from faults.catalog import LAYERS
from faults.matrix import cells
from harness.cli import parser
from harness.commands.staged import CommandLine
from harness.replays import parse_replay
from harness.runner import catalog_of
from harness.stories import STORIES
from harness.world import FakeWorld

COMMANDS = ("scenarios", "points", "replay", "sweep", "shrink")
HANGS = "list_window_ids=2*timeout(30)"
CRASH = "engine.decide=1*raise(RuntimeError)"
BOASTING = "faulty_stories:BOASTING"


class Terminal(io.StringIO):
    """A standard output that somebody looks at."""

    def isatty(self) -> bool:
        """Somebody does."""
        return True


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


def written(seamripper: CommandLine, name: str) -> str:
    """The text of a file in the directory that commands are given in."""
    return seamripper.world.disk.read(seamripper.world.project / name).decode("utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_fault_command_explains_itself_with_examples_that_can_be_read(
    seamripper: CommandLine, command: str
) -> None:
    """Each example is a command line that the parser takes; exit codes and `--json` are there."""
    answer = seamripper("faults", command, "--help")

    assert (answer.code, answer.stderr) == (0, "")
    assert "--json" in answer.stdout
    examples, codes = answer.stdout.split("examples:\n")[1].split("exit codes:\n")
    assert codes.strip().startswith("0 ")
    lines = [line.split("   ")[0] for line in map(str.strip, examples.splitlines()) if line]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["seamripper", "faults", command]
        parser().parse_args(words[1:])


def test_every_story_is_listed_with_what_it_is_about(seamripper: CommandLine) -> None:
    """As text, and as JSON with those whose pairs are tried."""
    answer, listed = seamripper("faults", "scenarios"), seamripper("faults", "scenarios", "--json")

    assert (answer.code, listed.code) == (0, 0)
    for story in STORIES.values():
        assert f"{story.name} " in answer.stdout
        assert story.about in answer.stdout
    assert [one["name"] for one in listed.document["scenarios"]] == list(STORIES)
    assert next(one["name"] for one in listed.document["scenarios"] if one["core"]) == "completes"


@pytest.mark.parametrize("words", [("scenarios",), ("points", "completes", "--layer", "disk")], ids=" ".join)
def test_no_name_is_broken_where_the_terminal_is_narrow(seamripper: CommandLine, words: tuple[str, ...]) -> None:
    """What is to be typed again stands on one line."""
    terminal = {"COLUMNS": "20", "TERM": "xterm", "HOME": "/home/somebody"}
    shown = seamripper("faults", *words, stdout=Terminal(), environment=terminal).stdout
    names = tuple(STORIES) if words == ("scenarios",) else ("disk.fsync:journal", "disk.replace:state")

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.splitlines()]
    assert [name for name in names if not any(line.startswith(name) for line in lines)] == []


def test_points_have_calls_callers_actions_and_as_many_cells_as_a_sweep_tries(seamripper: CommandLine) -> None:
    """The document says of each point what a sweep makes of it, and adds it up."""
    document = seamripper("faults", "points", "nudged", "--json").document
    by_name = {row["point"]: row for row in document["points"]}
    every = list(cells({name: row["calls"] for name, row in by_name.items()}, catalog_of(FakeWorld)))

    assert document["totals"]["all"]["cells"] == len(every)
    assert by_name["mux.send_text"]["calls"] == 1
    assert by_name["mux.send_text"]["callers"] == by_name["leak.send_text"]["callers"] == ["nudge"]
    assert "timeout" in by_name["mux.send_text"]["actions"]
    for name, row in by_name.items():
        assert row["cells"] == sum(cell.point == name for cell in every)


def test_points_as_text_are_grouped_by_layer_with_totals(seamripper: CommandLine) -> None:
    """Layers stand in their order; `--layer` leaves out the others; the transport is there where there is one."""
    whole = seamripper("faults", "points", "completes").stdout.splitlines()
    some = seamripper("faults", "points", "completes", "--layer", "clock", "--layer", "agent").stdout
    tmux = seamripper("faults", "points", "completes", "--mux", "simulated-tmux", "--layer", "transport").stdout

    layers = [line.partition(".")[0] for line in whole if line.partition(".")[0] in LAYERS]
    assert layers == sorted(layers, key=LAYERS.index)
    assert whole[-1].startswith("all ")
    assert "clock.tick" in some
    assert "mux." not in some
    assert "transport.list-windows" in tmux


def test_points_of_a_run_that_does_not_hold_say_so(seamripper: CommandLine) -> None:
    """Where the faultless run already fails, its points are those of a failure, and exit code 1 tells."""
    answer = seamripper("faults", "points", "faulty_stories:MESSY")

    assert answer.code == 1
    assert "✖ no-leftovers: " in answer.stdout


def test_a_lie_that_cannot_be_told_from_the_truth_is_called_that_beside_its_verdict(seamripper: CommandLine) -> None:
    """A plan that sweeps leave out fails for a reason that is no fault of the engine: text and JSON say which."""
    why = "a list without the window is an answer: it is proven gone"
    for command in ("replay", "shrink"):
        words = ("faults", command, "completes", "--plan", "list_window_ids=truncate(0)")
        assert f"this lie cannot be told from the truth: {why}\n" in seamripper(*words).stdout
        assert seamripper(*words, "--json").document["unknowable"] == [why]

    honest = ("faults", "replay", "completes", "--plan", "list_window_ids=1*timeout")
    assert "this lie" not in seamripper(*honest).stdout
    assert seamripper(*honest, "--json").document["unknowable"] == []


def test_a_replay_that_holds_says_what_fired_and_how_to_repeat_it(seamripper: CommandLine) -> None:
    """Exit code 0: the verdict, each injection, the replay line."""
    answer = seamripper("faults", "replay", "nudged", "--plan", HANGS)

    assert (answer.code, answer.stderr) == (0, "")
    assert f"under `{HANGS}`, seed 0: FINISHED" in answer.stdout
    assert "injection 2 at 6.550 s, call 2 of mux.list_window_ids: timeout(30)" in answer.stdout
    assert "every oracle holds and every fault fired" in answer.stdout
    assert f"seamripper faults replay nudged --plan '{HANGS}' --seed 0" in answer.stdout


def test_a_replay_that_fails_lists_the_oracles_and_explains_itself(seamripper: CommandLine) -> None:
    """Exit code 1, each problem, and the journal and trace around it, without a second run."""
    answer = seamripper("faults", "replay", BOASTING, "--plan", CRASH)
    document = seamripper("faults", "replay", BOASTING, "--plan", CRASH, "--json")

    assert (answer.code, document.code) == (1, 1)
    assert "✖ honest-status: " in answer.stdout
    assert "journal (newest last):" in answer.stdout
    assert "every oracle holds" not in answer.stdout
    assert document.document["held"] is False
    assert document.document["problems"][0].startswith("honest-status: ")
    assert document.document["injections"][0]["action"] == "raise(RuntimeError)"


def test_a_fault_that_never_fires_fails_with_the_points_that_were_reached(seamripper: CommandLine) -> None:
    """Exit code 1 although every oracle holds: the run has proved nothing about the fault."""
    answer = seamripper("faults", "replay", "completes", "--plan", "send_text=timeout")
    document = seamripper("faults", "replay", "completes", "--plan", "send_text=timeout", "--json").document

    assert answer.code == 1
    assert "✖ `send_text=timeout` never fired" in answer.stdout
    assert "mux.new_window 1" in answer.stdout
    assert document["unfired"] == ["send_text=timeout"]
    assert document["reached"]["mux.new_window"] == 1


def test_a_saved_trial_is_replayed_from_its_file(seamripper: CommandLine) -> None:
    """Scenario, plan, seed and world come back exactly; a second save overwrites the first, whole."""
    words = ("faults", "replay", "completes", "--plan", CRASH, "--seed", "7", "--mux", "simulated-tmux")
    assert "saved " in seamripper(*words, "--save", "x.json").stdout
    assert seamripper(*words, "--save", "x.json").code == 0

    replay = parse_replay(written(seamripper, "x.json").encode())
    assert (replay.scenario, replay.plan.to_text(), replay.plan.seed, replay.mux) == (
        *("completes", CRASH),
        *(7, "simulated-tmux"),
    )
    again = seamripper("faults", "replay", "x.json")
    assert again.code == 0
    assert "--seed 7 --mux simulated-tmux" in again.stdout
    assert [name for name in seamripper.world.disk.listdir(seamripper.world.project) if name.endswith(".tmp")] == []


def test_a_replay_file_may_hold_the_plan_as_json(seamripper: CommandLine) -> None:
    """The JSON form of a plan says its own seed, which the file need not repeat."""
    rule = {"point": "engine.decide", "terms": [{"action": "raise", "exception": "RuntimeError", "times": 1}]}
    said = {"version": 1, "scenario": "completes", "plan": {"seed": 3, "faults": [rule]}}
    seamripper.plan(json.dumps(said), "x.json")

    answer = seamripper("faults", "replay", "x.json")
    assert answer.code == 0
    assert f"under `{CRASH}`, seed 3: CRASHED" in answer.stdout


def test_a_timeline_is_written_where_it_was_asked_for(seamripper: CommandLine) -> None:
    """One page of its own, named after the verdict; standard output stays one JSON document."""
    answer = seamripper("faults", "replay", BOASTING, "--plan", CRASH, "--json", "--timeline", "why.html")

    assert answer.code == 1
    assert answer.document["outcome"] == "CRASHED"
    assert "timeline  /sim/project/why.html" in answer.stderr
    page = written(seamripper, "why.html")
    assert page.startswith("<!DOCTYPE html>")
    assert "honest-status: " in page


def test_nothing_of_the_users_is_touched(seamripper: CommandLine) -> None:
    """A trial has a host of its own: no run is recorded below the root, no file is made, no multiplexer is asked for."""
    disk = seamripper.world.disk
    for words in (
        ("points", "completes"),
        ("replay", "completes", "--plan", CRASH),
        ("shrink", "completes", "--plan", ""),
    ):
        assert seamripper("faults", *words, multiplexer=None).stderr == ""

    assert (disk.listdir(seamripper.root), disk.listdir(seamripper.world.project)) == ([], [])


def test_no_faults_at_all_can_be_replayed(seamripper: CommandLine) -> None:
    """An empty plan is a plan, unlike a missing one."""
    answer = seamripper("faults", "replay", "completes", "--plan", "")

    assert answer.code == 0
    assert "under no faults" in answer.stdout


class NarrowTerminal(io.StringIO):
    """A standard output that somebody looks at."""

    def isatty(self) -> bool:
        """Somebody does."""
        return True


def test_a_replay_line_can_be_copied_from_a_narrow_terminal(seamripper: CommandLine) -> None:
    """It is one line, however long its plan is, so that a shell takes it."""
    plan = ";".join([HANGS] + ["send_text=1*delay(2)"] * 150)
    environment = {"HOME": "/home/somebody", "COLUMNS": "40", "TERM": "xterm"}
    answer = seamripper("faults", "replay", "nudged", "--plan", plan, stdout=NarrowTerminal(), environment=environment)

    line = next(line for line in answer.stdout.splitlines() if line.startswith("replay  "))
    assert line == f"replay    seamripper faults replay nudged --plan '{plan}' --seed 0"
    assert max(len(line) for line in answer.stdout.splitlines()[:3]) <= 40


class Pytest(SimulatedProcessTable):
    """A host on which pytest answers with a status and some words."""

    def __init__(self, world: FakeWorld, status: int) -> None:
        super().__init__(world.clock)
        self.argv: list[Sequence[str]] = []
        self._status = status

    def run(self, argv: Sequence[str], **options: object) -> Completed:
        """Answer for pytest."""
        self.argv.append(argv)
        return Completed(tuple(argv), self._status, b"1 failed [/bad]\x1b[31m\n", b"")


@pytest.mark.parametrize(("status", "code"), [(0, 0), (1, 1), (2, 2), (4, 2), (5, 2)])
def test_a_test_is_replayed_by_pytest_in_a_process_of_its_own(seamripper: CommandLine, status: int, code: int) -> None:
    """Plan, seed and world are handed on; what pytest says is shown literally; what it could not run is a usage error."""
    world = seamripper.world
    assert isinstance(world, FakeWorld)
    host = Pytest(world, status)
    answer = seamripper("faults", "replay", "t.py::test_x", "--plan", HANGS, "--seed", "5", processes=host)

    assert answer.code == code
    assert [*host.argv[0][:3]] == [sys.executable, "-m", "pytest"]
    assert [*host.argv[0][-5:]] == ["t.py::test_x", "--mux-faults", HANGS, "--mux-seed", "5"]
    assert "1 failed [/bad]\\x1b[31m" in answer.stdout + answer.stderr
    assert answer.stderr.count("\n") == (code == 2)


def test_every_fault_command_line_of_the_readme_can_be_read() -> None:
    """With its options; there is one for each command."""
    readme = Path(__file__).resolve().parents[2] / "README.md"
    lines = re.findall(r"^\$ seamripper (faults .*?)(?:  +#.*)?$", readme.read_text("utf-8"), re.MULTILINE)

    for line in lines:
        parser().parse_args(shlex.split(line))
    assert {line.split()[1] for line in lines} == set(COMMANDS)
