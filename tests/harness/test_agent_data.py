"""Profiles as data: what is shipped is whole, what overrides it is merged, and what is wrong is said before a run begins."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from backends.memory_disk import MemoryDisk
from harness.agent_data import KINDS, ProfileData, built_in, profile_data, secrets_in, user_file, user_tables
from harness.agents import profiles_for
from harness.command_profile import CommandProfile
from harness.engine.events import EventKind
from harness.engine.plan import BUILT_IN_AGENTS, PlanError, RunPlan, TaskPlan

DOCUMENT = (Path(__file__).parents[2] / "docs" / "agents.md").read_text("utf-8")
OWN = Path("/home/user/.config/seamripper/agents.toml")
HOME = {"HOME": "/home/user", "API_KEY": "sk"}


def configured(text: str) -> MemoryDisk:
    """A disk on which the user has configured that."""
    disk = MemoryDisk()
    disk.mkdir(OWN.parent)
    disk.write(OWN, text.encode("utf-8", "surrogateescape"))
    return disk


def profile(table: dict[str, Any], disk: MemoryDisk | None = None) -> CommandProfile:
    """What becomes of a plan's agent `x`, on a disk with the user's own configuration."""
    plan = RunPlan((TaskPlan("a"),), agent="x", agents={"x": table})
    made = profiles_for(plan, disk or MemoryDisk(), environment=HOME)["x"]
    assert isinstance(made, CommandProfile)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_every_profile_that_is_shipped_can_be_launched_and_hears_a_turn(kind: str) -> None:
    """It registers the hooks that a probe expects, and says which version it was measured with."""
    data = profile_data(built_in(kind))

    assert {EventKind.SESSION_START, EventKind.PROMPT, EventKind.STOP} <= {hook.event for hook in data.hooks}
    assert data.measured
    assert data.argv[-1].endswith("${prompt}")


def test_what_make_agents_installs_is_what_was_measured() -> None:
    """The newest version in each profile is the one that is pinned there."""
    packages = {
        "claude": "@anthropic-ai/claude-code",
        "codex": "@openai/codex",
        "gemini": "@google/gemini-cli",
        "copilot": "@github/copilot",
    }
    pinned = json.loads((Path(__file__).parents[1] / "agents" / "package.json").read_text("utf-8"))["dependencies"]

    assert pinned == {packages[kind]: built_in(kind)["measured"][-1] for kind in KINDS}


def test_every_built_in_agent_has_a_profile() -> None:
    """A plan may name them without describing them."""
    assert {*KINDS, "scripted"} == set(BUILT_IN_AGENTS)


def test_a_plan_goes_over_the_user_s_configuration_and_that_over_what_is_shipped() -> None:
    """Lists of arguments and of inherited variables grow, tables are merged, the rest is replaced."""
    disk = configured(
        '[agents.claude]\nmodel = "haiku"\nbinary = "/opt/claude"\nargs = ["--a"]\nenv = {A = "1", B = "2"}'
    )
    data = profile(
        {"kind": "claude", "model": "opus", "args": ["--b"], "env": {"B": "3"}, "pass_env": ["C"]}, disk
    ).data

    assert (data.model, data.binary, data.args) == ("opus", "/opt/claude", ("--a", "--b"))
    assert data.env == {"CLAUDE_CODE_SANDBOXED": "1", "A": "1", "B": "3"}
    assert (data.pass_env[0], data.pass_env[-1]) == ("PATH", "C")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"modle": "x"}, "object contains unknown field modle"),
        ({"model": 3}, "model: expected str, got int"),
        ({"args": "x"}, "args: expected array, got str"),
        ({"hooks": [{"on": "Stop", "event": "Stopp"}]}, "hooks[0].event: invalid enum value 'Stopp'"),
        ({"transcript": [{"event": "Stop", "where": {"a": 3}}]}, "transcript[0].where[...]: expected bool | str"),
        ({"binary": ""}, "`binary` and `argv` must not be empty"),
        ({"argv": ["${bniary}"]}, "argv, model_args, env and files: '${bniary}': there is no ${bniary}"),
        ({"argv": ["costs $"]}, "argv, model_args, env and files: 'costs $': a $ that is meant as itself"),
        ({"hook_args": ["${prompt}", "${command}"]}, "hook_args: '${command}': there is no ${command}"),
        ({"hook_entry": {"command": "${dir}"}}, "hook_entry: '${dir}': there is no ${dir}"),
        ({"env": {"A=B": "x"}}, "'A=B' is no name of a variable"),
        ({"pass_env": ["A B"]}, "'A B' is no name of a variable"),
        ({"env": {"SEAMRIPPER_RUN": "x"}}, "SEAMRIPPER_RUN is ours to set"),
        ({"env": {"MY_API_KEY": "x"}}, "env.MY_API_KEY: a plan is kept with the run's record"),
        ({"files": {"../x.json": {}}}, "files: '../x.json' is no relative path"),
        ({"files": {"/x.json": {}}}, "files: '/x.json' is no relative path"),
        ({"files": {"x": {}}}, "files: 'x' is no relative path of a file with a suffix"),
    ],
)
def test_what_is_wrong_with_an_agent_is_said_before_the_run_begins(table: dict[str, Any], said: str) -> None:
    """One line that names the agent and the key."""
    with pytest.raises(PlanError) as caught:
        profile({"kind": "claude", **table})

    assert str(caught.value).startswith(f"agents x: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents = 3", "agents: expected tables [agents.KIND]"),
        ("[agents]\nclaude = 3", "agents: expected tables [agents.KIND]"),
        ("[agents.cluade]", "agents.cluade: there is no such profile; known: claude, codex, gemini, copilot"),
        ("[claude]", "unknown key 'claude', expected tables [agents.KIND]"),
        ("[agents.claude]\nmodel =", "not TOML: Invalid value (at end of document)"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_what_is_wrong_with_the_user_s_configuration_names_the_file(text: str, said: str) -> None:
    """As far as the parser knows it with the line; a run of scripted agents does not read it."""
    with pytest.raises(PlanError) as caught:
        profile({"kind": "claude"}, configured(text))

    assert str(caught.value).startswith(f"agents x: {OWN}: {said}")
    assert profiles_for(RunPlan((TaskPlan("a"),)), configured(text), environment=HOME)


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"HOME": "/h"}, "/h/.config/seamripper/agents.toml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/c"}, "/c/seamripper/agents.toml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "/h/.config/seamripper/agents.toml"),
        ({"HOME": "h"}, None),
        ({}, None),
    ],
)
def test_the_user_s_configuration_lies_where_such_things_lie(environment: dict[str, str], path: str | None) -> None:
    """As the XDG base directory specification has it; without a home there is none, and nothing to read."""
    found = user_file(environment)

    assert found == (None if path is None else Path(path))
    assert user_tables(MemoryDisk(), found) == {}


@pytest.mark.parametrize("name", ["API_KEY", "auth_token", "DB_PASSWORD", "AWS_SECRET"])
def test_a_value_that_sounds_secret_is_none_for_a_plan(name: str) -> None:
    """A plan is copied into the run's directory; in the user's own configuration it may stand."""
    assert secrets_in({"env": {name: "x", "CLAUDE_CODE_MAX_RETRIES": "1"}}) == [name]
    assert profile({"kind": "claude"}, configured(f'[agents.claude.env]\n{name} = "x"')).data.env[name] == "x"


def test_what_the_documentation_shows_can_be_launched() -> None:
    """In a plan, where a table has a kind, and in the user's own configuration."""
    shown = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)]
    tables = [{"kind": name, **table} for each in shown for name, table in each["agents"].items()]

    assert [profile(table).data.binary for table in tables] == ["claude", "claude"]


def test_the_documentation_describes_every_key() -> None:
    """And no other one."""
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", DOCUMENT, re.MULTILINE)

    assert {key for row in rows for key in re.findall("[a-z_]+", row)} == set(ProfileData.__struct_fields__)
