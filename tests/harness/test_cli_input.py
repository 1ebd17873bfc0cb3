"""Bad input: one clear line, a meaningful exit code, nothing lost."""

from __future__ import annotations

import pytest

from harness.agents import plan_of, task, works
from harness.commands.staged import Answer, CommandLine
from harness.world import FakeWorld

GOOD = plan_of(task("1-1", works(1).then_completes()), project="/sim/project").to_toml()


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


def assert_one_line(answer: Answer, code: int, *words: str) -> None:
    """Exit code `code`, and one line on standard error that has these words and is no traceback."""
    assert (answer.code, answer.stdout) == (code, "")
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.endswith("\n")
    assert answer.stderr.count("\n") == 1
    for word in words:
        assert word in answer.stderr


TASK = '[[task]]\nkey = "a"\n'
BAD_PLANS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "unknown key": (TASK + 'promt = "x"\n', ("plan.toml:3", "unknown key", "did you mean prompt")),
    "wrong type": (f'[run]\nnudges = "two"\n{TASK}', ("plan.toml:2", "nudges", "expected a whole number")),
    "duplicate task": (TASK + TASK, ("plan.toml:4", "key of task 1")),
    "cycle in needs": (TASK + 'needs = ["b"]\n[[task]]\nkey = "b"\nneeds = ["a"]\n', ("a cycle: a -> b -> a",)),
    "no such agent": (f'[run]\nagent = "claud"\n{TASK}', ("did you mean claude",)),
    "not TOML": ("[run\n", ("plan.toml:1", "not TOML")),
    "not UTF-8": (b"[run]\nagent = '\xff'\n", ("plan.toml:2", "not UTF-8")),
    "empty": ("", ("at least one task",)),
    "markup": (TASK + '"[/bold]\\u001b[31m" = 1\n', ("unknown key",)),
}


@pytest.mark.parametrize("case", BAD_PLANS)
def test_a_bad_plan_is_refused_in_one_line_and_begins_no_run(seamripper: CommandLine, case: str) -> None:
    """File, line, key, what was expected; exit code 2; the root stays as empty as it was."""
    text, words = BAD_PLANS[case]
    answer = seamripper("run", seamripper.plan(text))

    assert_one_line(answer, 2, *words)
    assert "\x1b" not in answer.stderr
    assert seamripper.world.disk.listdir(seamripper.root) == []


@pytest.mark.parametrize(
    ("path", "word"),
    [("nowhere.toml", "No such file"), (".", "/sim/project:"), ("a\nb\x1b[31m", "a\\nb\\x1b[31m")],
)
def test_a_plan_that_is_no_file_is_named(seamripper: CommandLine, path: str, word: str) -> None:
    """A missing file, a directory, a name full of control characters: said literally."""
    assert_one_line(seamripper("run", path), 2, "cannot be read", word, "name a file")


BAD_WORDS = {
    "no command": ((), "COMMAND"),
    "unknown command": (("rnu", "plan.toml"), "there is no command 'rnu'; did you mean run?; see `seamripper --help`"),
    "unknown command below": (("faults", "swep"), "there is no command 'swep'; did you mean sweep?"),
    "no such command": (("zzz",), "there are run, resume, list"),
    "no such shell": (("completion", "tcsh"), "no completion for 'tcsh'; there are bash, zsh, fish; see"),
    "unknown option": (("list", "--frob"), "--frob; see `seamripper list --help`"),
    "one word too many": (("list", "everything"), "everything; see `seamripper list --help`"),
    "too large a number": (("run", "plan.toml", "--max-parallel", "1000001"), "from 0 to 1000000"),
    "abbreviated option": (("run", "plan.toml", "--det"), "--det"),
    "no plan": (("run",), "PLAN"),
    "parallel nothing": (("run", "plan.toml", "--max-parallel", "0"), "expected 1 or more"),
    "no number": (("status", "--events", "many"), "whole number"),
    "no time": (("probe", "scripted", "--timeout", "nan"), "seconds above 0"),
    "run id": (("run", "plan.toml", "--run-id", "../x"), "letters, digits"),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_words_that_mean_nothing_are_refused_with_where_to_look(seamripper: CommandLine, case: str) -> None:
    """A usage error is one line, not a page, and points to the help that would explain it."""
    words, shown = BAD_WORDS[case]
    seamripper.plan(GOOD)

    assert_one_line(seamripper(*words), 2, shown, "--help`")


@pytest.mark.parametrize(("agent", "hint"), [("nope", ""), ("CLAUD", "did you mean claude?; ")])
def test_an_agent_that_nobody_knows_is_answered_with_those_there_are(
    seamripper: CommandLine, agent: str, hint: str
) -> None:
    """A probe without a plan speaks of no plan, and one with a plan of that plan's own agents, too."""
    path = seamripper.plan(f'[agents.mine]\nkind = "scripted"\n{TASK}')
    known = "known are scripted, claude, codex, gemini, copilot"

    assert_one_line(seamripper("probe", agent), 2, f"error: there is no agent {agent!r}; {hint}{known}; ")
    assert_one_line(
        seamripper("probe", agent, "--plan", path), 2, f"error: there is no agent {agent!r}; {hint}{known}, mine; "
    )


BAD_FAULTS = {
    "unknown point": ("list_windw_ids=timeout", "'list_window_ids'"),
    "no point": ("raise(NoSuch)", "position 0: 'raise' is what happens; say first at which point"),
    "a point that is bare": ("decide=die", "'engine.decide'"),
    "another layer": ("engine.decide=signal(SIGTERM)", "'signal.decide'"),
    "unknown exception": ("engine.decide=raise(NoSuch)", "unknown exception 'NoSuch'; known are Python's"),
    "unknown step": ("engine.verfy=raise(ValueError)", "'engine.verify'"),
    "grammar": ("list_window_ids=2*", "position"),
    "agents are real here": ("agent.die=occur", "no agent. points"),
}


@pytest.mark.parametrize("case", BAD_FAULTS)
def test_a_fault_plan_that_names_nothing_is_refused_with_the_nearest_name(seamripper: CommandLine, case: str) -> None:
    """A rehearsal that could not happen does not begin."""
    text, shown = BAD_FAULTS[case]

    assert_one_line(seamripper("run", seamripper.plan(GOOD), "--faults", text), 2, "--faults", shown)
    assert seamripper.world.disk.listdir(seamripper.root) == []


def test_a_run_that_is_none_is_named_with_what_is_there(seamripper: CommandLine) -> None:
    """Unknown ids, missing paths and directories without a record each have their own sentence."""
    disk = seamripper.world.disk
    disk.mkdir("/sim/elsewhere")
    disk.write("/sim/elsewhere/file", b"")
    for reference, words in (
        ("nope", ("there is no run 'nope'", "seamripper list")),
        ("/sim/nowhere", ("does not exist",)),
        ("/sim/elsewhere", ("is a directory, but no run",)),
        ("/sim/elsewhere/file", ("is no directory",)),
        ("", ("there is no run",)),
    ):
        for command in ("status", "resume"):
            assert_one_line(seamripper(command, reference), 2, *words)


def test_a_root_that_cannot_be_one_is_said(seamripper: CommandLine) -> None:
    """A file where the root should be: nothing can be listed there, and nothing begun."""
    seamripper.world.disk.write("/sim/file", b"")
    plan = seamripper.plan(GOOD)

    assert_one_line(seamripper("list", "--root", "/sim/file"), 2, "/sim/file is no directory")
    assert_one_line(seamripper("run", plan, "--root", "/sim/file/runs"), 1, "cannot be written to", "--root")
    assert_one_line(seamripper("status"), 2, "there are no runs")


def test_the_multiplexer_in_memory_is_refused_for_real_runs(seamripper: CommandLine) -> None:
    """By option and by environment: it has no real agents, so a run on it would be a lie."""
    plan = seamripper.plan(GOOD)
    environment = {"SEAMRIPPER_ROOT": "/sim/runs", "SEAMRIPPER_MUX": "fake"}

    assert_one_line(seamripper("run", plan, "--mux", "fake"), 2, "lives in memory")
    assert_one_line(seamripper("run", plan, environment=environment), 2, "lives in memory")


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--detach",)], ids=" ".join)
@pytest.mark.parametrize("place", ["project", "cwd"])
def test_a_directory_that_is_not_there_is_named_and_nothing_begins(
    seamripper: CommandLine, place: str, words: tuple[str, ...]
) -> None:
    """The project, or the one that a task works in; exit code 2, and no run that could not have been."""
    table = '[run]\nproject = "/sim/gone"\n' + TASK if place == "project" else TASK + 'cwd = "gone"\n'
    named = "/sim/gone" if place == "project" else "/sim/project/gone"

    assert_one_line(seamripper("run", seamripper.plan(table), *words), 2, f"there is no directory {named}")
    assert seamripper.world.disk.listdir(seamripper.root) == []


def test_a_dry_run_says_everything_that_is_wrong_with_a_plan(seamripper: CommandLine) -> None:
    """One line for each problem, or all of them in the document."""
    path = seamripper.plan('[run]\nnudges = "two"\n' + TASK + "promt = 1\ncwd = 2\n")
    answer = seamripper("run", path, "--dry-run")
    document = seamripper("run", path, "--dry-run", "--json")

    assert (answer.code, document.code) == (2, 2)
    assert [line.split(": ")[2].split()[-1] for line in answer.stderr.splitlines()] == ["nudges", "promt", "cwd"]
    assert [f"error: {one}" for one in document.document["problems"]] == answer.stderr.splitlines()
    assert_one_line(seamripper("run", path), 2, "(and 2 more)")


@pytest.mark.parametrize("words", [("list",), ("status",), ("run", "plan.toml"), ("resume", "2026")], ids=" ".join)
def test_an_empty_root_is_refused(seamripper: CommandLine, words: tuple[str, ...]) -> None:
    """An option whose variable was empty must not mean the usual root; the empty environment variable does."""
    assert_one_line(seamripper(*words, "--root", ""), 2, "--root", "expected a directory, got ''")
    assert seamripper("list", environment={"SEAMRIPPER_ROOT": "", "HOME": "/home/somebody"}).code == 0
