"""Every command with every kind of bad input: one line that says what to do, the documented exit code, no traceback."""

from __future__ import annotations

import argparse
import errno
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from backends.disk import Disk
from backends.transport import Transport
from harness.agents import plan_of, task, works
from harness.cli import parser
from harness.commands.staged import Answer, CommandLine
from harness.world import SimulatedTmuxWorld

CALLS: dict[str, int] = {
    "run PLAN": 0,
    "run PLAN --dry-run": 0,
    "run PLAN --detach": 1,
    "resume RUN": 0,
    "resume RUN --detach": 1,
    "list": 0,
    "list --json": 0,
    "status": 0,
    "status RUN": 0,
    "stop RUN": 1,
    "attach RUN": 0,
    "attach RUN --json": 0,
    "cleanup RUN": 1,
    "cleanup --all": 0,
    "cleanup --all --remove --dry-run": 0,
    "probe scripted --timeout 5": 0,
    "backends": 0,
    "diagnose RUN": 0,
    "doctor": 1,
    "faults scenarios": 0,
    "faults points completes": 0,
    "faults replay completes --plan= -o FILE": 0,
    "faults sweep completes --layer clock --calls first": 0,
    "faults shrink completes --plan has_session=1*pass": 1,
    "shim --plan= -- true": 2,
    "conform --mux nowhere": 2,
    "conform --mux fake --only SEAM-SHAPE-001 -o FILE": 0,
    "divergences": 2,
    "report merge CERTIFICATE -o FILE": 0,
    "completion bash": 0,
    "completion run-ids": 0,
    "tui --root NO-ROOT": 2,
}
"""How each command is called here, and its exit code for a paused run that nobody drives.

`PLAN` is a plan of one task, `RUN` the run that the input is about, `CERTIFICATE` one of the fake, `FILE` a new file and
`NO-ROOT` a file that is no directory. On this host no detached command, psmux and tmux can be started.
"""

OF_A_RUN = tuple(line for line in CALLS if "RUN" in line.split())
JUDGING = tuple(line for line in OF_A_RUN if not line.startswith("diagnose"))
"""What says no where the run cannot be read; a diagnosis is of such runs, too."""
STARTING = tuple(line for line in CALLS if line.split()[0] in ("run", "resume", "probe") and "--dry-run" not in line)
LISTING = ("list", "list --json", "status", "cleanup --all", "cleanup --all --remove --dry-run", "completion run-ids")
PUTTING = ("diagnose RUN", *(line for line in CALLS if "FILE" in line.split()))
READING_PLAN = tuple(line for line in CALLS if "PLAN" in line.split())

CONFORMING = "conform --mux fake --only SEAM-SHAPE-001 -o FILE"
"""It looks where the certificate is to go before it checks anything: then nothing was judged."""

CODES: dict[str, dict[str, int]] = {
    "unknown run": dict.fromkeys(OF_A_RUN, 2),
    "ambiguous run": dict.fromkeys(OF_A_RUN, 2),
    "damaged run": dict.fromkeys((*JUDGING, "status"), 1),
    "no multiplexer": dict.fromkeys(
        (*STARTING, *LISTING[3:5], "run PLAN --dry-run", "attach RUN", "attach RUN --json"), 1
    ),
    "no terminal": {"attach RUN": 1},
    "read-only root": dict.fromkeys((*STARTING, "cleanup --all"), 1),
    "read-only working directory": dict.fromkeys(PUTTING, 1),
    "another user's run": dict.fromkeys(JUDGING, 1),
    "another user's root": dict.fromkeys((*OF_A_RUN, *STARTING, *LISTING, "tui --root NO-ROOT"), 1),
    "another user's working directory": {**dict.fromkeys(PUTTING, 1), **dict.fromkeys((*READING_PLAN, CONFORMING), 2)},
}
"""What is different from the usual for that input."""

TRIED = [
    (line, case) for line in CALLS for case in CODES if line in OF_A_RUN or case not in ("unknown run", "ambiguous run")
]
"""A line without a run is the same whichever run is meant."""

EXPLAINING = ("status", "status RUN", "doctor", "faults shrink completes --plan has_session=1*pass")
"""Commands whose answer is on standard output although the exit code is not 0."""

FINDING = ("faults replay completes --plan= -o FILE", CONFORMING)
"""Commands that show what they have found before they can tell that it cannot be written down."""

TWICE = ("report merge CERTIFICATE -o FILE", "another user's working directory")
"""Neither the certificate can be read nor the page be written, and each has its line."""


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


@pytest.fixture(scope="module")
def certificate() -> bytes:
    """What the fake is certified."""
    made = CommandLine(SimulatedTmuxWorld())
    made("conform", "--mux", "fake", "--only", "SEAM-SHAPE-001", "-o", "made.json")
    return made.world.disk.read(made.world.project / "made.json")


@pytest.fixture
def seamripper(certificate: bytes) -> CommandLine:
    """A simulated host with a terminal, one plan, a certificate, and two runs that wait for a word."""
    made = CommandLine(SimulatedTmuxWorld(), stdin=Terminal())
    project = str(made.world.project)
    agent = works(1).then_completes()
    made.plan(plan_of(task("1-1", agent), project=project))
    made.plan(certificate, "certificate.json")
    made.world.disk.write("/sim/file", b"")
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
    "read-only root": refusing(lambda seamripper, run_dir: f"{seamripper.root}/", errno.EROFS, WRITING),
    "read-only working directory": refusing(
        lambda seamripper, run_dir: f"{seamripper.world.project}/", errno.EROFS, WRITING
    ),
    "another user's working directory": refusing(
        lambda seamripper, run_dir: f"{seamripper.world.project}/", errno.EACCES, LOOKING
    ),
    "another user's run": refusing(lambda seamripper, run_dir: f"{run_dir}/", errno.EACCES, LOOKING),
    "another user's root": refusing(lambda seamripper, run_dir: str(seamripper.root), errno.EACCES, LOOKING),
}
"""What is different about the host for that input."""


def commands(parent: argparse.ArgumentParser, name: str = "") -> Iterator[str]:
    """Every command that carries something out."""
    below = [action for action in parent._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for word, made in action.choices.items():
            yield from commands(made, f"{name}{word} ")
    if not below:
        yield name


def test_every_command_is_in_the_table() -> None:
    """A new one has to say how it is called, and what it answers."""
    called = {name: [line for line in CALLS if f"{line} ".startswith(name)] for name in commands(parser())}

    assert [name for name, lines in called.items() if not lines] == []
    assert sorted(line for lines in called.values() for line in lines) == sorted(CALLS)


def called(seamripper: CommandLine, line: str, case: str) -> Answer:
    """That command line with that input."""
    disk, root = seamripper.world.disk, seamripper.root
    run_dir = sorted(root / name for name in disk.listdir(root) if name[0] == "2")[0]
    words = {
        "RUN": {"unknown run": "nowhere", "ambiguous run": "2026"}.get(case, run_dir.name),
        "PLAN": "plan.toml",
        "CERTIFICATE": "certificate.json",
        "FILE": "new.json",
        "NO-ROOT": str(root if case == "another user's root" else "/sim/file"),
    }
    changes = HOSTS[case](seamripper, run_dir) if case in HOSTS else {}
    return seamripper(*(words.get(word, word) for word in line.split()), **{"stdout": Terminal(), **changes})


@pytest.mark.parametrize(("line", "case"), TRIED)
def test_bad_input_is_one_line_and_the_documented_code(seamripper: CommandLine, line: str, case: str) -> None:
    """Nothing is half said: either the command answers, or one line tells what is wrong."""
    answer = called(seamripper, line, case)

    assert answer.code == CODES[case].get(line, CALLS[line]), answer
    assert "Traceback" not in answer.stdout + answer.stderr
    if answer.code == 0 or (line in EXPLAINING and answer.stdout):
        assert answer.stderr == ""
    else:
        assert answer.stdout == "" or line in FINDING
        assert answer.stderr.startswith("error: ")
        assert answer.stderr.count("\n") == (2 if (line, case) == TWICE else 1)
        assert "; " in answer.stderr, "it does not say what to do"
