"""A command line tool is launched as its profile says, and nothing but files of the launch is written."""

from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import pytest

from backends.memory_disk import MemoryDisk
from backends.processes import SystemProcessTable
from harness.agent_data import KINDS, built_in, profile_data
from harness.command_profile import COMMAND_LIMIT, CommandProfile, toml_inline
from harness.engine.profiles import Launch, LaunchContext

RUN = PurePath("/run dir")
DIRECTORY = RUN / "tasks" / "a"
CONTEXT = LaunchContext(
    "a",
    2,
    "token",
    DIRECTORY / "prompt.md",
    RUN / "events",
    DIRECTORY / "result.json",
    RUN,
    PurePath("/it's"),
    DIRECTORY,
)
PROMPT = '-- do\nit\'s "$HOME" ${cwd} `now`'
PYTHON, RELAY = "/my python/bin/python", "/the relay's/relay.py"


def launched(kind: str, prompt: str = PROMPT, **override: Any) -> tuple[Launch, MemoryDisk]:
    """The launch of that agent, and the disk that it has written to."""
    disk = MemoryDisk()
    disk.mkdir(DIRECTORY)
    disk.write(CONTEXT.prompt_file, prompt.encode())
    data = profile_data(built_in(kind), override)
    environment = {"PATH": "/bin", "ANTHROPIC_API_KEY": "sk-secret", "GEMINI_API_KEY": "sk-secret", "OTHER": "x"}
    profile = CommandProfile("x", data, disk, environment, PYTHON, RELAY)
    launch = profile.launch(CONTEXT)
    assert profile.launch(CONTEXT) == launch
    return launch, disk


def document(disk: MemoryDisk, name: str) -> Any:
    """The JSON file of that launch."""
    return json.loads(disk.read(DIRECTORY / "launch-2" / name))


def command(event: str) -> str:
    """What a hook runs: words for a shell, whatever is in them."""
    return shlex.join((PYTHON, "-E", "-P", "-S", RELAY, event))


def test_claude_is_launched_as_it_was_measured() -> None:
    """Its hooks and the question it must not ask stand in a settings file of the launch."""
    launch, disk = launched("claude", model="opus", args=["--verbose"])
    settings = f"{DIRECTORY}/launch-2/settings.json"
    wanted = ("claude", "--settings", settings, "--dangerously-skip-permissions", "--model", "opus", "--verbose", "--")
    written = document(disk, "settings.json")

    assert launch.argv == (*wanted, PROMPT)
    assert launch.env == {"PATH": "/bin", "ANTHROPIC_API_KEY": "sk-secret", "CLAUDE_CODE_SANDBOXED": "1"}
    assert (written["skipDangerousModePermissionPrompt"], written["disableAllHooks"]) == (True, False)
    assert written["hooks"]["StopFailure"] == [
        {"hooks": [{"type": "command", "command": command("TurnFailed"), "timeout": 10}]}
    ]


def test_codex_is_launched_as_it_was_measured() -> None:
    """Its hooks and the directory it trusts stand in options, which add to the user's configuration."""
    argv = list(launched("codex")[0].argv)
    options = [argv[at + 1] for at, word in enumerate(argv) if word == "-c"]
    told = tomllib.loads("\n".join(options))

    assert argv[:3] == [
        "codex",
        "--dangerously-bypass-approvals-and-sandbox",
        "--dangerously-bypass-hook-trust",
    ]
    assert argv[-2:] == ["--", PROMPT]
    assert told["projects"] == {"/it's": {"trust_level": "trusted"}}
    assert told["hooks"]["Interrupt"] == [
        {"hooks": [{"type": "command", "command": command("Interrupted"), "timeout": 10}]}
    ]


def test_gemini_is_launched_as_it_was_measured() -> None:
    """Its hooks stand in a settings file that goes over all others; their timeout is in milliseconds."""
    launch, disk = launched("gemini")
    hook = document(disk, "settings.json")["hooks"]["AfterAgent"][0]["hooks"][0]

    assert launch.argv == ("gemini", "--skip-trust", "--approval-mode", "yolo", f"--prompt-interactive={PROMPT}")
    assert launch.env["GEMINI_CLI_SYSTEM_SETTINGS_PATH"] == f"{DIRECTORY}/launch-2/settings.json"
    assert (hook["command"], hook["timeout"]) == (command("Stop"), 10_000)


def test_copilot_is_launched_as_it_was_measured() -> None:
    """Its hooks stand in a plugin of the launch."""
    launch, disk = launched("copilot")
    plugin = f"{DIRECTORY}/launch-2/plugin"
    hooks = document(disk, "plugin/hooks.json")["hooks"]

    assert launch.argv == (
        "copilot",
        "--plugin-dir",
        plugin,
        "--allow-all",
        "--no-auto-update",
        f"--interactive={PROMPT}",
    )
    assert launch.env["COPILOT_ALLOW_ALL"] == "true"
    assert document(disk, "plugin/plugin.json")["hooks"] == "hooks.json"
    assert hooks["agentStop"] == [{"type": "command", "bash": command("Stop"), "timeoutSec": 10}]


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_stands_in_an_argv_or_a_file(kind: str) -> None:
    """What a tool inherits reaches it through its environment alone, and only what its profile names."""
    launch, disk = launched(kind)

    assert "sk-secret" not in " ".join(launch.argv)
    assert [change for change in disk.mutations if b"sk-secret" in change.data] == []
    assert "OTHER" not in launch.env


@pytest.mark.parametrize("text", ["x" * 2 * COMMAND_LIMIT, "'" * (COMMAND_LIMIT // 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_too_long_for_a_command_is_read_by_the_agent(kind: str, text: str) -> None:
    """Counted as a shell would be given it: a quote takes more than one character there."""
    launch, _ = launched(kind, text)

    assert launch.argv[-1].endswith(f"Read the file {CONTEXT.prompt_file} and carry out what it says.")
    assert len(shlex.join(launch.argv)) < COMMAND_LIMIT


def test_a_prompt_of_any_bytes_becomes_words() -> None:
    """A NUL or a broken character, from the output of a verification, must not keep the next attempt from starting."""
    disk = MemoryDisk()
    disk.mkdir(DIRECTORY)
    disk.write(CONTEXT.prompt_file, b"a\0b\xffc")
    launch = CommandProfile("x", profile_data(built_in("claude")), disk, {}).launch(CONTEXT)

    assert launch.argv[-1] == "a b\ufffdc"


def test_attempts_do_not_share_files() -> None:
    """What an agent of an earlier attempt still reads stays as it was; its own launch may be written again."""
    disk = launched("claude")[1]
    before = disk.read(DIRECTORY / "launch-2" / "settings.json")
    profile = CommandProfile("x", profile_data(built_in("claude")), disk, {}, "/other/python")
    profile.launch(replace(CONTEXT, attempt=3))

    assert disk.read(DIRECTORY / "launch-2" / "settings.json") == before
    assert disk.read(DIRECTORY / "launch-3" / "settings.json") != before


@pytest.mark.live
def test_a_hook_s_command_survives_a_shell() -> None:
    """Tools hand it to one: a space or a quote in a path must not tear it apart."""
    shown = "printf '%s|' " + command("Stop")
    done = SystemProcessTable().run(["sh", "-c", shown], timeout_s=60)

    assert done.stdout.decode() == f"{PYTHON}|-E|-P|-S|{RELAY}|Stop|"


@pytest.mark.parametrize(
    "value", ["plain", 'it\'s "so"\\ \n\t\x7f é 🦊', True, 3, [1, "a"], {"a b": {"c": [{"d": False}]}}, []]
)
def test_values_are_written_as_toml_on_one_line(value: Any) -> None:
    """A TOML parser reads them back."""
    written = toml_inline(value)

    assert "\n" not in written
    assert tomllib.loads(f"x = {written}") == {"x": value}
