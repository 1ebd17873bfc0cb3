"""Which agents can be driven from here: found by their tools' own words, whatever those words are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backends.disk import RealDisk
from backends.entropy import SystemEntropy
from backends.processes import SystemProcessTable
from harness.agent_health import AgentHealth, agent_health, find_program, relay_trouble, version_in

pytestmark = pytest.mark.live
PROCESSES = SystemProcessTable()


def tool(directory: Path, name: str, does: str) -> None:
    """A program of that name."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{does}\n", "utf-8")
    path.chmod(0o755)


def health(directory: Path, **environment: str) -> dict[str, AgentHealth]:
    """What is found where `directory` alone is searched for tools."""
    told = {"PATH": f"{directory}:/usr/bin:/bin", **environment}
    return {one.name: one for one in agent_health(PROCESSES, RealDisk(), SystemEntropy(), told, directory / "scratch")}


def test_a_tool_that_is_there_tells_its_version(tmp_path: Path) -> None:
    """One that the profile was measured with is known; any other is told together with those."""
    tool(tmp_path, "claude", "echo 2.1.197 '(Claude Code)'")
    tool(tmp_path, "codex", "echo codex-cli 9.9.9")
    found = health(tmp_path)

    assert (found["claude"].version, found["claude"].known, found["claude"].ok) == ("2.1.197", True, True)
    assert found["claude"].line() == f"claude: 2.1.197, {tmp_path / 'claude'}"
    assert (found["codex"].version, found["codex"].known) == ("9.9.9", False)
    assert found["codex"].line() == f"codex: 9.9.9, measured with 0.169.0, {tmp_path / 'codex'}"
    assert not os.listdir(tmp_path / "scratch")


def test_a_tool_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    """Few people have all of them."""
    found = health(tmp_path)["gemini"]

    assert (found.installed, found.ok, found.version) == (False, False, None)
    assert found.line() == "gemini: gemini is not on the PATH"


@pytest.mark.parametrize(
    ("does", "note"),
    [
        ("exit 3", "--version ended with 3"),
        ("echo no idea", "--version ended with 0 and said 'no idea'"),
        ("printf '\\377\\033[2J'; exit 1", "--version ended with 1 and said"),
        ("kill -9 $$", "--version ended with -9"),
        ("head -c 9000 /dev/zero | tr '\\0' x", "--version ended with 0 and said 'xxx"),
        ("exec /nowhere", "--version ended with 127 and said"),
    ],
)
def test_whatever_a_tool_says_is_an_answer(tmp_path: Path, does: str, note: str) -> None:
    """Garbage, silence and death leave the version unknown, and are told without control characters."""
    tool(tmp_path, "claude", does)
    found = health(tmp_path)["claude"]

    assert (found.installed, found.version) == (True, None)
    assert found.note.startswith(note)
    assert found.line().isprintable()
    assert len(found.note) < 120


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (b"2.1.197 (Claude Code)\n", "2.1.197"),
        (b"codex-cli 0.169.0\n", "0.169.0"),
        (b"v1.2", "1.2"),
        (b"GitHub Copilot CLI 1.0.102.\nCommit: abc", "1.0.102"),
        (b"1.2.3-rc.1", "1.2.3-rc.1"),
        (b"\xff 7", None),
        (b"", None),
    ],
)
def test_a_version_is_found_in_many_words(said: bytes, version: str | None) -> None:
    """Every tool says it its own way; a candidate is not taken for the release."""
    assert version_in(said) == version


def test_the_user_s_configuration_is_heeded_and_its_mistakes_are_told(tmp_path: Path) -> None:
    """A tool may lie elsewhere; what cannot be used does not hide what else can be learned."""
    (tmp_path / "seamripper").mkdir()
    tool(tmp_path, "my-claude", "echo 1.0.0")
    own = tmp_path / "seamripper" / "agents.toml"
    own.write_text('[agents.claude]\nbinary = "my-claude"\n[agents.codex]\nmodel = 3\n', "utf-8")
    found = health(tmp_path, XDG_CONFIG_HOME=str(tmp_path))

    assert found["claude"].version == "1.0.0"
    assert found["codex"].note == "agents.codex of your configuration: model: expected str, got int"


def test_a_program_is_found_as_a_shell_would_find_it(tmp_path: Path) -> None:
    """The first that can be executed; a name with a slash is a path."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "x").write_text("", "utf-8")
    tool(tmp_path / "two", "x", "")
    path = {"PATH": f"{tmp_path / 'one'}:{tmp_path / 'two'}"}

    assert find_program("x", path) == str(tmp_path / "two" / "x")
    assert find_program(f"{tmp_path}/one/x", path) is None
    assert find_program("y", path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "it made no event and ended with 0"), ("import sys; sys.exit('no')", "no"), ("1 +", "SyntaxError")],
)
def test_a_relay_that_does_not_answer_is_told(tmp_path: Path, text: str, said: str) -> None:
    """What it said on standard error is what helps."""
    (tmp_path / "relay.py").write_text(text, "utf-8")
    program = str(tmp_path / "relay.py")
    scratch = tmp_path / "scratch"
    trouble = relay_trouble(PROCESSES, RealDisk(), SystemEntropy(), {}, scratch, program=program)

    assert said in trouble
    assert relay_trouble(PROCESSES, RealDisk(), SystemEntropy(), {}, scratch) == ""
    assert "cannot be run" in relay_trouble(PROCESSES, RealDisk(), SystemEntropy(), {}, scratch, "/nowhere/python")
