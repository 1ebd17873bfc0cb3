"""Completion in a real shell: commands, options and the runs that there are."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from backends.processes import SystemProcessTable
from harness.commands.completion import SHELLS
from harness.commands.host import AGAIN

RUN_ID = "20260101-120000-3f9a2c"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A place with the command on the path, and a root with one run."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "seamripper"
    command.write_text(f'#!/bin/sh\nexec {" ".join(AGAIN)} "$@"\n', "utf-8")
    command.chmod(0o755)
    (tmp_path / "runs" / RUN_ID).mkdir(parents=True)
    (tmp_path / "runs" / RUN_ID / "state.json").write_text("{}", "utf-8")
    return tmp_path


@pytest.fixture
def bash(place: Path) -> Iterator[pexpect.spawn[str]]:
    """A shell that has been told how to complete."""
    environment = {
        **os.environ,
        "PATH": f"{place}/bin{os.pathsep}{os.environ['PATH']}",
        "SEAMRIPPER_ROOT": str(place / "runs"),
        "PS1": "ready> ",
        "TERM": "dumb",
        "INPUTRC": "/dev/null",
    }
    child = pexpect.spawn(
        "bash", ["--norc", "--noprofile", "-i"], env=environment, encoding="utf-8", timeout=30, dimensions=(24, 200)
    )
    child.sendline(
        'PS1="ready> "; bind "set enable-bracketed-paste off"; eval "$(seamripper completion bash)"; echo $((6*7))done'
    )
    child.expect("42done")
    child.expect("ready> ")
    yield child
    child.close(force=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("seamripper clean", "seamripper cleanup "),
        ("seamripper run --max", "seamripper run --max-parallel "),
        ("seamripper faults shr", "seamripper faults shrink "),
        ("seamripper stop 2026", f"seamripper stop {RUN_ID} "),
    ],
)
def test_a_tab_completes_commands_options_and_runs(bash: pexpect.spawn[str], typed: str, completed: str) -> None:
    """What is unique is written out."""
    bash.send(f"{typed}\t")

    bash.expect_exact(completed)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_for_each_shell_and_can_be_read_by_it(place: Path, shell: str) -> None:
    """The shell itself finds nothing wrong with it, where it is there."""
    table = SystemProcessTable()
    script = table.run((*AGAIN, "completion", shell), timeout_s=60)

    assert (script.status, script.stderr) == (0, b"")
    offered = script.stdout.decode().replace("completion run-ids 2>/dev/null", "")
    assert all(word in offered for word in ("cleanup", *SHELLS))
    assert "run-id" not in offered, "what commands ask each other is nothing to complete"
    path = place / "script"
    path.write_bytes(script.stdout)
    if shutil.which(shell) is not None:
        checked = table.run((shell, "-n", str(path)), timeout_s=60)
        assert (checked.status, checked.stderr) == (0, b"")


def test_a_shell_that_nobody_knows_is_a_usage_error() -> None:
    """One line that names those there are."""
    answer = SystemProcessTable().run((sys.executable, *AGAIN[1:], "completion", "tcsh"), timeout_s=60)

    assert (answer.status, answer.stderr.count(b"\n")) == (2, 1)
    assert b"bash, zsh, fish;" in answer.stderr
    assert b"run-ids" not in answer.stderr
