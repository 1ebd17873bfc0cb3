"""Plans: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from backends.memory_disk import MemoryDisk
from harness.engine.plan import (
    FIELDS_OF_RUN,
    FIELDS_OF_TASK,
    PLAN_LIMIT,
    PlanError,
    RunPlan,
    TaskPlan,
    command_argv,
    load_plan,
    parse_plan,
)

TASK = '[[task]]\nkey = "a"\n'


def problems(text: str) -> tuple[str, ...]:
    """What is wrong with the plan of that text."""
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "plan.toml")
    return caught.value.problems


def test_the_schema_names_every_field() -> None:
    """No field of a plan can be set without a check, and no check is without a field."""
    assert [f.name for f in fields(RunPlan) if f.name not in ("tasks", "agents")] == list(FIELDS_OF_RUN)
    assert [f.name for f in fields(TaskPlan)] == list(FIELDS_OF_TASK)


def test_a_plan_of_one_key_has_the_documented_defaults() -> None:
    """A task needs a key, and nothing else needs to be said."""
    plan = parse_plan(TASK)

    assert plan == RunPlan((TaskPlan("a"),))
    assert (plan.agent, plan.session_timeout_s, plan.nudges, plan.max_attempts) == ("scripted", 5400.0, 2, 2)
    assert (plan.completion, plan.retry_deferred, plan.cleanup_session, plan.poll_s) == ("result", "end", True, 1.0)


def awkward_plan() -> RunPlan:
    """A plan in which nothing is as simple as it could be."""
    script = [{"do": "work", "seconds": 1.5}, {"do": "on_nudge", "steps": [{"do": "stop", "background": True}]}]
    return RunPlan(
        (
            TaskPlan(
                "b-1", "two\nlines \"quoted\" \\ \r\n\ttab \x7f \x1b[0m 'x' ''' 🦊 #{x}", needs=("a",), gate="ask me"
            ),
            TaskPlan("a", verify=("pytest -q", "sh -c 'exit 0'"), agent="own", cwd="sub dir"),
        ),
        call_timeout_s=0.5,
        post_run=("true",),
        notify=("tell", "", "a b", "$HOME 'x'"),
        cleanup_session=False,
        project="/x/#(touch y)",
        agents={"own": {"kind": "scripted", "script": script, "odd key.": {"deep": [[1], []]}}, "z": {"kind": "later"}},
    )


def test_what_is_written_reads_back_as_the_same_plan() -> None:
    """The plan that lies in a run directory is the plan of that run."""
    plan = awkward_plan()

    assert parse_plan(plan.to_toml()) == plan
    assert parse_plan(plan.to_toml(), base="/elsewhere") == plan
    assert parse_plan(plan.to_toml()).to_toml() == plan.to_toml()


def test_the_order_respects_the_needs_and_otherwise_the_file() -> None:
    """A task comes after those it needs, and no later than that."""
    keys = {"e": ("d",), "c": ("a",), "a": (), "d": (), "b": ()}
    plan = RunPlan(tuple(TaskPlan(key, needs=needs) for key, needs in keys.items()))

    assert [task.key for task in plan.order()] == ["a", "c", "d", "e", "b"]


def test_a_task_may_have_its_own_agent() -> None:
    """The agent of the run works on every task that does not name another."""
    plan = RunPlan((TaskPlan("a"), TaskPlan("b", agent="gemini")), agent="codex")

    assert [plan.agent_of(task) for task in plan.tasks] == ["codex", "gemini"]
    assert plan.task("b").agent == "gemini"
    with pytest.raises(KeyError):
        plan.task("c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[run]\nnudgse = 1\n{TASK}", "plan.toml:2: [run] nudgse: unknown key; did you mean nudges?"),
        (f"{TASK}propmt = ''", "plan.toml:3: [[task]] propmt: unknown key; did you mean prompt?"),
        (f"{TASK}[[tasks]]\nkey = 'b'", "plan.toml:3: tasks: unknown key; did you mean task?"),
        (f"[run]\nnudges = true\n{TASK}", "plan.toml:2: [run] nudges: expected a whole number, 0 or more; got true or"),
        (f"[run]\nnudges = -1\n{TASK}", "plan.toml:2: [run] nudges: expected a whole number, 0 or more; got -1"),
        (f"[run]\nnudges = 1.0\n{TASK}", "plan.toml:2: [run] nudges: expected a whole number, 0 or more; got a number"),
        (
            f"[run]\nmax_attempts = 0\n{TASK}",
            "plan.toml:2: [run] max_attempts: expected a whole number, 1 or more; got",
        ),
        (f"[run]\npoll_s = nan\n{TASK}", "plan.toml:2: [run] poll_s: expected a number of seconds above 0; got nan"),
        (f"[run]\npoll_s = inf\n{TASK}", "plan.toml:2: [run] poll_s: expected a number of seconds above 0; got inf"),
        (f"[run]\npoll_s = 0\n{TASK}", "plan.toml:2: [run] poll_s: expected a number of seconds above 0; got 0"),
        (f"[run]\npoll_s = '1'\n{TASK}", "plan.toml:2: [run] poll_s: expected a number of seconds above 0; got text"),
        (
            f"[run]\nstall_grace_s = {'9' * 400}\n{TASK}",
            "plan.toml:2: [run] stall_grace_s: expected a number of seconds",
        ),
        (f"[run]\ncompletion = 'trun'\n{TASK}", 'plan.toml:2: [run] completion: expected "result" or "turn"; got \'t'),
        (
            f"[run]\ncleanup_session = 1\n{TASK}",
            "plan.toml:2: [run] cleanup_session: expected true or false; got a whole",
        ),
        (
            f"[run]\nagent = 'cladue'\n{TASK}",
            "plan.toml:2: [run] agent: there is no agent 'cladue'; did you mean claude?",
        ),
        (f"{TASK}agent = 'x'", "plan.toml:3: [[task]] agent: there is no agent 'x'"),
        (f"{TASK}{TASK}", "plan.toml:4: [[task]] key: a is the key of task 1 as well"),
        (f"{TASK}needs = ['b']", "plan.toml:3: [[task]] needs: there is no task 'b'"),
        (f"{TASK}needs = ['a']", "plan.toml:3: [[task]] needs: a cycle: a -> a"),
        (f"{TASK}needs = 'a'", "plan.toml:3: [[task]] needs: expected a list of task keys; got text"),
        (f"{TASK}verify = ['x \"y']", "plan.toml:3: [[task]] verify: expected a list of commands; 'x \"y': No closing"),
        (f"{TASK}verify = ['']", "plan.toml:3: [[task]] verify: expected a list of commands; '': is empty"),
        (f'{TASK}verify = ["a\\u0000"]', "plan.toml:3: [[task]] verify: expected a list of commands; "),
        (f"{TASK}gate = ''", "plan.toml:3: [[task]] gate: expected one line of text; got ''"),
        (f"{TASK}gate = 3", "plan.toml:3: [[task]] gate: expected one line of text; got a whole number"),
        (f"{TASK}prompt = 2026-01-01", "plan.toml:3: [[task]] prompt: expected text; got date"),
        ("[[task]]\nprompt = ''", "plan.toml:1: [[task]]: expected a `key`; there is none"),
        ("[task]\nkey = 'a'", "plan.toml:1: [[task]]: expected tables [[task]]; got a table"),
        ("task = [1]", "plan.toml:1: [[task]]: expected a table; got a whole number"),
        (f"run = 3\n{TASK}", "plan.toml:1: run: expected a table [run]; got a whole number"),
        ("", "plan.toml:1: [[task]]: expected at least one task; there is none"),
        (
            f"{TASK}[agents.x]\na = 1",
            "plan.toml:3: agents: expected a table for each agent, with a text `kind`; x has no",
        ),
        (
            f"agents = 1\n{TASK}",
            "plan.toml:1: agents: expected a table for each agent, with a text `kind`; got a whole",
        ),
        (f"{TASK}[agents.x]\nkind = 'k'\nv = 12:00:00", "plan.toml:3: agents: expected a table for each agent"),
        (f"{TASK}x = \n", "plan.toml:3: not TOML: Invalid value"),
        (f"{TASK}key = 'b'", "plan.toml:3: not TOML: Cannot overwrite a value"),
        (f"x = {'[' * 5000}", "plan.toml:1: "),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_in_one_line(text: str, expected: str) -> None:
    """The line says where, what was expected, and what the nearest right thing would be."""
    found = problems(text)

    assert len(found) == 1, found
    assert found[0].startswith(expected)
    assert "\n" not in found[0]


@pytest.mark.parametrize(
    "key", ["", "..", "a b", "-a", "é", "x" * 65, "a\nb", "a\n", "a\0", "#(touch x)", "a/b", "\x1b[0m"]
)
def test_a_key_that_is_no_name_is_refused(key: str) -> None:
    """Keys become names of windows, directories and files."""
    with pytest.raises(PlanError) as caught:
        TaskPlan(key)

    assert str(caught.value).isprintable()


def test_a_cycle_is_shown_as_one_walks_it() -> None:
    """Only the tasks on the cycle are named, not those that lead to it."""
    needs = {"a": "b", "b": "c", "c": "d", "d": "b"}
    text = "".join(f'[[task]]\nkey = "{key}"\nneeds = ["{need}"]\n' for key, need in needs.items())

    assert problems(text) == ("plan.toml:6: [[task]] needs: a cycle: b -> c -> d -> b",)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """The first problem of the file comes first; none hides another."""
    found = problems(f"[run]\nnudges = -1\nnonsense = 2\n{TASK}verify = 3\n[[task]]\nkey = 'b c'\n")

    assert [line.split(": ")[0] for line in found] == ["plan.toml:2", "plan.toml:3", "plan.toml:6", "plan.toml:8"]
    assert problems(f"{TASK}verify = 3\n[run]\nnudges = -1\n")[0].startswith("plan.toml:3")


def test_lines_are_found_behind_texts_that_look_like_keys() -> None:
    """What stands in a text of several lines is no key."""
    text = f'{TASK}prompt = """\nneeds = 1\n[run]\n"""\nneeds = 1\n'

    assert problems(text)[0].startswith("plan.toml:7: [[task]] needs")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nudges", True),
        ("poll_s", math.nan),
        ("poll_s", -1),
        ("post_run", ("'",)),
        ("notify", "tell me"),
        ("notify", ("", "x")),
        ("notify", ("tell", 3)),
        ("notify", ("tell", "\0")),
        ("project", ""),
        ("agent", "nobody"),
        ("agents", {"x": {}}),
        ("agents", {"x": {"kind": "k", "v": None}}),
        ("agents", {"x": {"kind": "\ud800"}}),
        ("tasks", ()),
        ("tasks", (TaskPlan("a"), TaskPlan("a"))),
    ],
)
def test_a_plan_built_in_code_is_checked_as_well(field: str, value: Any) -> None:
    """What could not be read could not be written for a resume either."""
    with pytest.raises(PlanError, match=re.escape(field if field != "tasks" else "task")):
        RunPlan(**{"tasks": (TaskPlan("a"),), field: value})


def test_a_command_is_split_as_a_shell_would() -> None:
    """Quotes group, nothing is expanded."""
    assert command_argv("pytest -q 'a b' $HOME") == ("pytest", "-q", "a b", "$HOME")


@pytest.mark.parametrize("command", ["", "  ", "''", "'", "a\\", "a\0b"])
def test_a_command_without_words_is_refused(command: str) -> None:
    """There is nothing that could be run."""
    with pytest.raises(ValueError, match=r"."):
        command_argv(command)


def test_a_plan_file_is_read_with_its_directory_as_the_project(tmp_path: Path) -> None:
    """Agents work beside the plan unless it says otherwise."""
    (tmp_path / "a.toml").write_text(TASK, "utf-8")
    (tmp_path / "b.toml").write_bytes(b'\xef\xbb\xbf[run]\r\nproject = "sub"\r\n' + TASK.encode())

    assert load_plan(tmp_path / "a.toml").project == str(tmp_path)
    assert load_plan(tmp_path / "b.toml").project == str(tmp_path / "sub")


def test_a_plan_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """Missing, a directory, too long, not UTF-8: each is said, with the file."""
    (tmp_path / "latin.toml").write_bytes(b"\n# caf\xe9\n")
    (tmp_path / "long.toml").write_bytes(b"#" * (PLAN_LIMIT + 1))
    said = []
    for name in ("missing.toml", ".", "long.toml", "latin.toml", "a\0b"):
        with pytest.raises(PlanError) as caught:
            load_plan(tmp_path / name)
        said.append(str(caught.value))

    assert all("\n" not in line for line in said)
    assert "missing.toml: cannot be read: No such file" in said[0]
    assert "not a regular file" in said[1]
    assert "longer than" in said[2]
    assert said[3] == "latin.toml:2: not UTF-8: byte 0xe9"


def test_a_plan_is_read_from_any_disk() -> None:
    """A simulated run resumes from the plan in its simulated directory."""
    disk = MemoryDisk()
    disk.mkdir("/run")
    disk.write("/run/plan.toml", awkward_plan().to_toml().encode())

    assert load_plan("/run/plan.toml", disk=disk) == awkward_plan()


@pytest.mark.parametrize(
    "line",
    ["{} = 1", "[{}]", "[[{}]]", "x = {{ y = 1, {} = 1 }}", '"a" . {}=1'],
    ids=["key", "table", "tables", "inline", "quoted"],
)
def test_a_key_of_very_many_dots_is_refused_at_once(line: str) -> None:
    """The parser would need minutes for it."""
    text = TASK + line.format(".".join(["a"] * 100_000)) + "\n"

    assert problems(text) == ("plan.toml:3: expected a key of at most 64 dots, got one with more",)


def test_dots_that_are_no_key_are_nobodys_business() -> None:
    """In a prompt everything may stand; and a key of 64 dots is read, if only to be called unknown."""
    dots = ".".join(["1"] * 200)
    assert parse_plan(f'{TASK}prompt = """\n{dots}\n{"." * 200} = 1"""\n').tasks[0].prompt.startswith(dots)
    assert "unknown key" in problems(TASK + ".".join(["a"] * 65) + " = 1\n")[0]
