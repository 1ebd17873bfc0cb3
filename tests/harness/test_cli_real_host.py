"""What this host may lack: a multiplexer on the path, a backend of that name."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest

from harness.agents import plan_of, task
from harness.cli import main
from harness.commands.host import this_host


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
    assert "install 3.2a or newer" in said
    assert said.count("\n") == 1
    assert not (Path(plan).parent / "runs").exists()


def test_a_backend_that_nobody_knows_is_named_with_the_nearest(plan: str) -> None:
    """A slip of the finger is answered with what was probably meant; a module that is not there, with its name."""
    assert answer("run", plan, "--mux", "tmx")[0] == 2
    assert "did you mean tmux?" in answer("run", plan, "--mux", "tmx")[1]
    assert "no_such_module" in answer("run", plan, "--mux", "no_such_module:Mux")[1]


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
