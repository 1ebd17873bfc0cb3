"""Three doors, one body of checks: the command line, pytest by name, and a thin file in somebody's repository."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from backends.processes import Completed, SystemProcessTable
from harness.conformance import MultiplexerConformance
from harness.conformance.checks import CHECKS
from harness.conformance.results import Certificate, Level

ROOT = Path(__file__).resolve().parents[2]

OK_MUX = """
from backends import FakeMultiplexer


class OkMux(FakeMultiplexer):
    pass


class BadMux(FakeMultiplexer):
    def select_window(self, target):
        pass


class Broken:
    def __init__(self):
        raise RuntimeError("no licence")


class Absent(FakeMultiplexer):
    def available(self):
        return False
"""

STOPPING = """


class Stopping(FakeMultiplexer):
    def new_window(self, session, name, *rest):
        if name == "agent":
            signal.raise_signal(signal.SIGTERM)
        return super().new_window(session, name, *rest)


import signal
"""

THIN = """
import pytest
from harness.conformance import BackendSpec, Level, MultiplexerConformance
from okmux import BadMux, OkMux


class TestMuxOfAFixture(MultiplexerConformance):
    level = Level.L0

    @pytest.fixture
    def multiplexer(self):
        return BackendSpec(OkMux, name="fixed")


class TestOkMux(MultiplexerConformance):
    multiplexer = OkMux


class TestBadMux(MultiplexerConformance):
    multiplexer = BadMux
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's repository, with packages that are called as ours."""
    for name in ("tests", "scenarios", "harness", "backends", "faults"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('raise ImportError("of somebody else")\n')
    (tmp_path / "tests" / "__init__.py").unlink()
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "okmux.py").write_text(OK_MUX)
    (tmp_path / "tests" / "test_okmux.py").write_text(THIN)
    return tmp_path


def run(repository: Path, module: str, *words: str) -> Completed:
    """Run an installed command there, as its script would: without the directory in front of the path."""
    argv = [sys.executable, "-P", "-m", module, *words]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTEST_PLUGINS": "harness.plugin"}
    return SystemProcessTable().run(argv, timeout_s=110, cwd=repository, env=env)


def test_conformance_door_of_the_command_line(repository: Path) -> None:
    """`seamripper conform` certifies a backend of this directory, and writes it down."""
    done = run(repository, "harness.cli", "conform", "--mux", "okmux:OkMux", "--json", "out.json")

    found = Certificate.from_json((repository / "out.json").read_bytes())
    assert done.status == 0, done
    assert b"okmux:OkMux: L4 engine\n" in done.stdout
    assert (found.level, found.backend.version, len(found.results)) == (Level.L4, "fake 1", len(CHECKS))


def test_conformance_door_of_the_command_line_says_what_fails(repository: Path) -> None:
    """Exit code 1, what was observed, and the line that repeats it."""
    done = run(repository, "harness.cli", "conform", "--mux", "okmux:BadMux", "--level", "L2")

    assert done.status == 1
    assert b"was selected, and the windows are" in done.stdout
    assert b"seamripper conform --mux okmux:BadMux --only SEAM-LIFE-006" in done.stdout


def test_conformance_door_of_pytest_by_name(repository: Path) -> None:
    """No file is needed, and each check is an item of every backend."""
    words = ("--pyargs", "scenarios.conformance", "--mux", "okmux:OkMux", "--mux", "okmux:BadMux", "-q")
    done = run(repository, "pytest", "-p", "no:cacheprovider", *words)

    said = done.stdout.decode()
    assert done.status == 1, said
    assert "okmux:BadMux-SEAM-LIFE-006" in said
    assert f"1 failed, {2 * len(CHECKS) - 17} passed, 16 skipped" in said


def test_conformance_door_of_a_thin_file(repository: Path) -> None:
    """A class of one line in the repository of the author is the whole kit."""
    done = run(repository, "pytest", "-p", "no:cacheprovider", "tests", "-q")

    said = done.stdout.decode()
    assert done.status == 1, said
    assert "TestBadMux::test_conformance[SEAM-LIFE-006]" in said
    assert f"1 failed, {2 * len(CHECKS) - 17 + 4} passed, 16 skipped" in said


BAD: dict[tuple[str, ...], str] = {
    ("--mux", "nowhere.at_all:Mux"): "ModuleNotFoundError",
    ("--mux", "nosuch"): "no backend named nosuch",
    ("--mux", "tmx"): "did you mean tmux?",
    ("--mux", "okmux:Nothing"): "has no attribute 'Nothing'",
    ("--mux", "os:path"): "no class, no factory",
    ("--mux", "collections:OrderedDict"): "is no backend: a OrderedDict with 0 of the contract's operations",
    ("--mux", "okmux:Broken"): "cannot be made: RuntimeError: no licence",
    ("--mux", "okmux:Absent"): "says that this host cannot run it",
    ("--mux", "fake", "--mux-error", "os:path"): "names no exception",
    ("--mux", "fake", "--only", "SEAM-LIFE-0005"): "did you mean SEAM-LIFE-00",
    ("--mux", "fake", "--level", "L9"): "known are L0, L1, L2, L3, L4",
    ("--mux", "fake", "--waive", "nothing.toml"): "cannot be read",
    ("--mux", "fake", "--waive", "bad.toml"): "there is no check",
    ("--mux", "fake", "--json", "."): "is no regular file",
    (): "--mux",
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_conformance_of_nothing_is_one_line(repository: Path, words: tuple[str, ...]) -> None:
    """Whatever is wrong with the question: one line that says so, and exit code 2."""
    (repository / "bad.toml").write_text('[[waiver]]\ncheck = "SEAM-X-001"\nreason = "x"\nreference = "x"\n')
    done = run(repository, "harness.cli", "conform", *words)

    said = done.stderr.decode()
    assert done.status == 2, said
    assert BAD[words] in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_conformance_of_nothing_ends_pytest_at_once(repository: Path) -> None:
    """A backend that there is not ends the session with one line, before anything runs."""
    done = run(
        repository, "pytest", "-p", "no:cacheprovider", "--pyargs", "scenarios.conformance", "--mux", "okmux:Absent"
    )

    assert done.status == 2
    assert b"says that this host cannot run it" in done.stdout + done.stderr
    assert b"Traceback" not in done.stdout + done.stderr


def test_conformance_cannot_be_hidden_by_a_subclass() -> None:
    """What may fail is declared, never overridden."""
    with pytest.raises(TypeError, match="declare what may fail"):
        type("TestMine", (MultiplexerConformance,), {"test_conformance": lambda self: None})


def test_conformance_certificates_are_json(repository: Path) -> None:
    """What is written is plain JSON with a version, which other tools read."""
    run(repository, "harness.cli", "conform", "--mux", "fake", "--level", "L0", "--json", "out.json")

    assert json.loads((repository / "out.json").read_text())["version"] == 1


def test_conformance_can_be_interrupted(repository: Path) -> None:
    """Asked to stop, the command line ends after the check at hand, certifies nothing, and leaves no server."""
    (repository / "okmux.py").write_text(OK_MUX + STOPPING)
    done = run(repository, "harness.cli", "conform", "--mux", "okmux:Stopping", "--json", "out.json")

    assert done.status == 128 + 15
    assert b"error: stopped by SIGTERM after SEAM-LIFE-002; nothing was certified\n" in done.stderr
    assert not (repository / "out.json").exists()
