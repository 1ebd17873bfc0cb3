"""The page on using the command line, carried out as it stands: each command, its exit code, and what it is said to show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands.shells import Shell
from harness.world import World

pytestmark = [pytest.mark.live(scale=1), pytest.mark.timeout(900)]

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "using.md").read_text("utf-8")
STEP = re.compile(r"\$ (?P<command>[^\n#]+?)(?: +# (?P<note>[^\n]*))?\n(?P<shown>(?:(?!\$ )[^\n]*\n)*)")


def blocks(language: str) -> list[str]:
    """The page's blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(mux_world: World) -> Iterator[Shell]:
    """A shell in an empty project, with the page's plan in it."""
    made = Shell(mux_world)
    (plan,) = blocks("toml")
    (mux_world.project / "plan.toml").write_text(plan, "utf-8")
    try:
        yield made
    finally:
        made.close()


def newest(shell: Shell) -> str:
    """What `RUN` stands for."""
    return max((found.name for found in shell.root.iterdir() if found.is_dir()), default="RUN")


def squeezed(text: str) -> str:
    """The text with every stretch of blanks as one."""
    return " ".join(text.split())


def test_the_page_on_using_the_command_line_is_true(shell: Shell) -> None:
    """In the order of the page; a line that needs a terminal is only looked at by the parser."""
    steps = [step for block in blocks("console") for step in STEP.finditer(block)]
    assert len(steps) > 15
    for step in steps:
        words = shlex.split(step["command"].replace("RUN", newest(shell)))[1:]
        note = step["note"] or ""
        if "terminal" in note:
            assert shell.run(*words, "--help").status == 0
            continue
        answer = shell.run(*words)

        code = int(note.removeprefix("exit code ")) if note else 0
        told = squeezed((answer.stdout + answer.stderr).decode())
        assert answer.status == code, (step["command"], told)
        for line in step["shown"].splitlines():
            assert squeezed(line.replace("RUN", newest(shell))) in told, step["command"]
    assert shell.is_server_gone()
