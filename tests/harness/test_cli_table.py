"""Every command with every kind of bad input: one line that says what to do, the documented exit code, no traceback."""

from __future__ import annotations

import argparse
import errno
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from backends.disk import Disk
from backends.transport import Transport
from harness.agents import plan_of, task, works
from harness.cli import parser
from harness.commands.staged import Answer, CommandLine
from harness.world import SimulatedTmuxWorld

CALLS: dict[str, tuple[str, ...]] = {
    "run": ("PLAN",),
    "resume": ("RUN",),
    "list": (),
    "status": ("RUN",),
    "stop": ("RUN",),
    "attach": ("RUN",),
    "cleanup": ("RUN",),
    "probe": ("scripted", "--timeout", "5"),
    "backends": (),
    "diagnose": ("RUN",),
    "doctor": (),
    "faults": ("scenarios",),
    "shim": ("--plan", "", "--", "true"),
    "conform": ("--mux", "nowhere"),
    "divergences": (),
    "report": ("nowhere.json",),
    "completion": ("bash",),
    "tui": ("--root", "/sim/project/plan.toml"),
}
"""How each command is called here; `PLAN` is a plan of one task, `RUN` the run that the input is about."""

USUAL = {"stop": 1, "cleanup": 1, "doctor": 1, "conform": 2, "divergences": 2, "report": 2, "tui": 2, "shim": 2}
"""Exit codes for a paused run that nobody drives; of a backend, a file, a root and a tmux that are not there; else 0."""

TAKING_RUN = ("resume", "status", "stop", "attach", "cleanup")
DRIVING = ("run", "resume", "probe")

CODES: dict[str, dict[str, int]] = {
    "unknown run": dict.fromkeys((*TAKING_RUN, "diagnose"), 2),
    "ambiguous run": dict.fromkeys((*TAKING_RUN, "diagnose"), 2),
    "damaged run": dict.fromkeys(TAKING_RUN, 1),
    "no multiplexer": dict.fromkeys((*DRIVING, "attach"), 1),
    "no terminal": {"attach": 1},
    "read-only directory": dict.fromkeys(DRIVING, 1),
    "another user's run": dict.fromkeys(TAKING_RUN, 1),
    "another user's root": dict.fromkeys((*TAKING_RUN, *DRIVING, "list", "diagnose"), 1),
}
"""What is different from `USUAL` for that input."""

EXPLAINING = ("status", "doctor")
"""Commands whose answer is on standard output although the exit code is not 0."""


class Terminal(io.StringIO):
    """A stream that somebody sits at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class Refusing:
    """A disk that refuses the calls `verbs` for everything below `place`, as the kernel does for who is not root."""

    def __init__(self, base: Disk, place: str, code: int, verbs: Sequence[str]) -> None:
        self._base = base
        self._place = place
        self._code = code
        self._verbs = verbs

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._base, name)
        if name not in self._verbs:
            return call

        def refused(path: Any, *rest: Any, **options: Any) -> Any:
            if name == "mkdir" and self._base.info(path) is not None:
                return call(path, *rest, **options)
            if str(path).startswith(self._place) and str(path) != self._place.rstrip("/") + "/.":
                raise OSError(self._code, "Permission denied", str(path))
            return call(path, *rest, **options)

        return refused


WRITING = ("write", "append", "truncate", "replace", "remove", "remove_tree", "mkdir", "lock")
LOOKING = ("read", "listdir", "info", "lock", "locked", "free_bytes", *WRITING)


class Absent(Transport):
    """A multiplexer that is not on the path."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> NoReturn:
        """There is no such file."""
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", argv[0])

    def abandon(self) -> None:
        """There is nothing to give up."""
        return

    def take_up(self) -> None:
        """Nor to take up again."""
        return


@pytest.fixture
def seamripper() -> CommandLine:
    """A simulated host with a terminal, one plan, and two runs that wait for a word."""
    made = CommandLine(SimulatedTmuxWorld(), stdin=Terminal())
    project = str(made.world.project)
    agent = works(1).then_completes()
    made.plan(plan_of(task("1-1", agent), project=project))
    paused = plan_of(task("1-1", agent), task("1-2", agent, gate="a word"), project=project)
    for _ in range(2):
        made("run", made.plan(paused, f"paused-{_}.toml"))
    return made


def damaged(seamripper: CommandLine, run_dir: Path) -> Mapping[str, Any]:
    """Nothing of the run's record can be read."""
    disk = seamripper.world.disk
    for name in ("state.json", "state.json.bak", "journal.jsonl"):
        if disk.info(run_dir / name) is not None:
            disk.remove(run_dir / name)
        disk.write(run_dir / name, b"\0")
    return {}


def refusing(place: Callable[[CommandLine, Path], str], code: int, verbs: Sequence[str]) -> Any:
    """A host whose disk refuses that below that place."""
    return lambda seamripper, run_dir: {
        "disk": cast(Disk, Refusing(seamripper.world.disk, place(seamripper, run_dir), code, verbs))
    }


HOSTS: dict[str, Callable[[CommandLine, Path], Mapping[str, Any]]] = {
    "damaged run": damaged,
    "no multiplexer": lambda seamripper, run_dir: {
        "multiplexer": lambda name, root, **options: seamripper.world.multiplexer(lambda inner: Absent())
    },
    "no terminal": lambda seamripper, run_dir: {"stdin": io.StringIO()},
    "read-only directory": refusing(lambda seamripper, run_dir: f"{seamripper.root}/", errno.EROFS, WRITING),
    "another user's run": refusing(lambda seamripper, run_dir: f"{run_dir}/", errno.EACCES, LOOKING),
    "another user's root": refusing(lambda seamripper, run_dir: str(seamripper.root), errno.EACCES, LOOKING),
}
"""What is different about the host for that input."""


def commands() -> list[str]:
    """Every command that there is."""
    (found,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return list(found.choices)


def test_every_command_is_in_the_table() -> None:
    """A new one has to say how it is called, and what it answers."""
    assert set(CALLS) == set(commands())


def called(seamripper: CommandLine, command: str, case: str) -> Answer:
    """That command with that input."""
    run_dir = sorted(
        seamripper.root / name for name in seamripper.world.disk.listdir(seamripper.root) if name[0] == "2"
    )[0]
    reference = {"unknown run": "nowhere", "ambiguous run": "2026"}.get(case, run_dir.name)
    words = {"RUN": reference, "PLAN": "plan.toml"}
    changes = HOSTS[case](seamripper, run_dir) if case in HOSTS else {}
    return seamripper(command, *(words.get(word, word) for word in CALLS[command]), **{"stdout": Terminal(), **changes})


@pytest.mark.parametrize("case", CODES)
@pytest.mark.parametrize("command", CALLS)
def test_bad_input_is_one_line_and_the_documented_code(seamripper: CommandLine, command: str, case: str) -> None:
    """Nothing is half said: either the command answers, or one line tells what is wrong."""
    answer = called(seamripper, command, case)

    assert answer.code == CODES[case].get(command, USUAL.get(command, 0)), answer
    assert "Traceback" not in answer.stdout + answer.stderr
    if answer.code == 0 or (command in EXPLAINING and answer.stdout):
        assert answer.stderr == ""
    else:
        assert answer.stdout == ""
        assert answer.stderr.startswith("error: ")
        assert answer.stderr.count("\n") == 1
        assert "; " in answer.stderr, "it does not say what to do"
