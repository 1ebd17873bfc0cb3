"""What this host may lack: a multiplexer on the path, a backend of that name."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import pytest

from backends.processes import Liveness
from harness.agents import plan_of, task
from harness.cli import main
from harness.commands.host import this_host
from harness.commands.looking import SessionAsker
from harness.record import RunState


def answer(*words: str) -> tuple[int, str]:
    """The exit code and the standard error of a command on this host."""
    stderr = io.StringIO()
    code = main(words, dataclasses.replace(this_host(), stdout=io.StringIO(), stderr=stderr))
    return code, stderr.getvalue()


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plan on the disk; nothing on the path; a place for the socket that goes with the test."""
    path = tmp_path / "plan.toml"
    path.write_text(plan_of(task("1-1"), project=str(tmp_path)).to_toml(), "utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("SEAMRIPPER_ROOT", str(tmp_path / "runs"))
    monkeypatch.delenv("SEAMRIPPER_MUX", raising=False)
    return str(path)


def test_a_host_without_tmux_says_what_to_install(plan: str) -> None:
    """One line, exit code 1, and no run that could not have been."""
    code, said = answer("run", plan)

    assert code == 1
    assert said.startswith("error: there is no tmux that can be run here; ")
    assert "install tmux 3.2a or newer" in said
    assert said.count("\n") == 1
    assert not (Path(plan).parent / "runs").exists()


def test_a_backend_that_nobody_knows_is_named_with_the_nearest(plan: str) -> None:
    """A slip of the finger is answered with what was probably meant; a module that is not there, with its name."""
    assert answer("run", plan, "--mux", "tmx")[0] == 2
    assert "did you mean tmux?" in answer("run", plan, "--mux", "tmx")[1]
    assert "no_such_module" in answer("run", plan, "--mux", "no_such_module:Mux")[1]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        (
            "SEAMRIPPER_TMUX_TRANSPORT",
            "zz",
            "SEAMRIPPER_TMUX_TRANSPORT is 'zz', and has to be auto, process, control; ",
        ),
        ("SEAMRIPPER_MUX", "nosuch", "no backend named nosuch; known are "),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--detach",)])
def test_a_wrong_setting_is_refused_before_anything_begins(
    plan: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str, options: tuple[str, ...]
) -> None:
    """One line that names it, the exit code of a usage that is wrong, and no run."""
    monkeypatch.setenv(name, value)
    code, said = answer("run", plan, *options)

    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: {why}")
    assert not (Path(plan).parent / "runs").exists()


def test_a_backend_of_this_directory_is_made_with_what_it_takes(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found where the command was called, and need not take a clock, a transport or a root."""
    monkeypatch.chdir(Path(plan).parent)
    monkeypatch.syspath_prepend(str(Path(plan).parent / "nothing"))
    text = "from backends import FakeMultiplexer\n\n\nclass Mine(FakeMultiplexer):\n    def __init__(self):\n"
    Path("mine_here.py").write_text(
        f"{text}        super().__init__()\n\n    def available(self):\n        return False\n"
    )

    code, said = answer("run", plan, "--mux", "mine_here:Mine")

    assert (code, said.count("\n")) == (1, 1)
    assert "fake 1 cannot be used here" in said
    assert answer("run", plan, "--mux", "mine_here:text")[0] == 2


def test_what_runs_are_there_is_told_without_tmux(plan: str) -> None:
    """Looking needs no multiplexer: what cannot be asked is unknown, not an error."""
    assert answer("list") == (0, "")
    assert answer("backends")[0] == 0


def test_a_working_directory_that_is_gone_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody has removed it under the shell: no traceback, and exit code 1."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert main(["list"]) == 1
    assert capsys.readouterr().err == (
        "error: the working directory cannot be found: No such file or directory; change to one that is there\n"
    )


def test_a_link_to_a_plan_is_a_plan_and_a_pipe_is_none(plan: str, tmp_path: Path) -> None:
    """What a path leads to counts; something that is no file is named at once, never waited for."""
    link = tmp_path / "linked.toml"
    link.symlink_to(plan)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading, writing = os.pipe()
    tmux = tmp_path / "tmux"
    tmux.write_text("#!/bin/sh\necho tmux 3.4\n")
    tmux.chmod(0o700)

    assert answer("run", str(link), "--dry-run") == (0, "")
    for path in (pipe, f"/dev/fd/{reading}"):
        code, said = answer("run", str(path), "--dry-run")
        assert (code, said.count("\n")) == (2, 1)
        assert f"{path}: cannot be read: not a regular file" in said
    os.close(reading)
    os.close(writing)


def test_looking_at_runs_makes_no_socket_directory(plan: str, tmp_path: Path) -> None:
    """A root that never had a server has none: its sessions are gone, and that is known without asking."""
    root = tmp_path / "runs"
    run_dir = root / "one"
    run_dir.mkdir(parents=True)
    host = this_host()
    asker = SessionAsker(host, root, "tmux")
    before = sorted(tmp_path.iterdir())

    assert asker(RunState("one", mux_session="one")) is Liveness.DEAD
    assert sorted(tmp_path.iterdir()) == before
