"""The page on the shim, carried out as it stands: a shell script and a program of libtmux, with and without faults."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.tmux import TmuxMultiplexer
from faults.actions import ACTIONS
from faults.shim import shim_plan

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "shim.md").read_text("utf-8")
STEP = re.compile(
    r"\$ (?P<command>seamripper [^\n]+?)(?: +# exit code (?P<code>\d+))?\n(?P<shown>(?:(?!\$ )[^\n]*\n)*)"
)
PATIENCE_S = 100.0


def blocks(language: str) -> list[str]:
    """The page's blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


STEPS = [step.groupdict() for block in blocks("console") for step in STEP.finditer(block)]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with the page's programs in it, a `python` that has libtmux, and a tmux server of its own."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    try:
        (directory / "fleet.sh").write_text(blocks("sh")[0], "utf-8")
        (directory / "fleet.py").write_text(blocks("python")[0], "utf-8")
        (directory / "bin").mkdir()
        python = directory / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', "utf-8")
        python.chmod(0o700)
        yield directory
    finally:
        subprocess.run(["tmux", "-L", "fleet", "kill-server"], env=environment(directory), check=False)
        shutil.rmtree(directory)


def environment(directory: Path) -> dict[str, str]:
    """What is called `python` there is this interpreter, and no server of anybody else's is meant."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    path = f"{directory / 'bin'}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "TMUX_TMPDIR": str(directory), "XDG_RUNTIME_DIR": str(directory), "LC_ALL": "C.UTF-8"}


def done(place: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """What comes of a command there."""
    return subprocess.run(
        argv, cwd=place, env=environment(place), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def run(place: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command line of ours."""
    program, *words = shlex.split(command)
    assert program == "seamripper"
    return done(place, sys.executable, "-P", "-m", "seamripper", *words)


def squeezed(text: str) -> str:
    """The text with every stretch of blanks as one."""
    return " ".join(text.split())


@pytest.mark.live
@pytest.mark.timeout(600)
@pytest.mark.skipif(not TmuxMultiplexer(Path("/tmp/sm-none")).available(), reason="no tmux of 3.2a or later here")
class TestLive:
    """On a real tmux."""

    def test_the_page_is_true(self, place: Path) -> None:
        """Each command in order, with its exit code and what it is said to show."""
        assert len(STEPS) == 7
        for step in STEPS:
            answer = run(place, step["command"])

            told = squeezed(answer.stdout + answer.stderr)
            assert answer.returncode == int(step["code"] or 0), (step["command"], told)
            for line in step["shown"].splitlines():
                assert squeezed(line) in told, (step["command"], line)

    @pytest.mark.parametrize("program", ["sh fleet.sh", "python fleet.py"])
    def test_without_faults_the_programs_behave_as_without_a_shim(self, place: Path, program: str) -> None:
        """Nothing they say is different, also where every call is looked at."""
        bare = done(place, *program.split())
        for words in ("--plan ''", "--plan 'transport.*=pass' --record passed.jsonl"):
            told = run(place, f"seamripper shim {words} --summary summary.json -- {program}")

            assert (told.returncode, told.stdout, told.stderr) == (0, bare.stdout, bare.stderr), words
        assert bare.stdout == "there are one two three\n"


def test_every_action_that_can_happen_is_explained() -> None:
    """Each in a row of the table, and no other."""
    rows = PAGE.partition("| action |")[2].partition("\n\n")[0].splitlines()[2:]
    named = {keyword for row in rows for keyword in re.findall(r"`([a-z]+)", row.split(" | ")[0])}
    can = {keyword for keyword in ACTIONS if is_possible(keyword)}

    assert named == can


def is_possible(keyword: str) -> bool:
    """Whether it can happen under the shim, with whatever values it needs."""
    values = ("", "(1)", '("x")', '(1, "x")', "(EIO)", "(SIGTERM)", "(RuntimeError)")
    for value in values:
        try:
            shim_plan(f"transport.new-window={keyword}{value}")
        except ValueError:
            continue
        return True
    return False
