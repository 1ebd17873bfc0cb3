"""Three doors, one body of checks: the command line, pytest by name, and a thin file in somebody's repository."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lean_pytest import LEAN

from backends.processes import Completed, SystemProcessTable
from harness.cli import main
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

OK_MUX += """

NUMBER = 7


def nothing():
    return None


class TwoOperations:
    def has_session(self, name):
        return True

    def list_sessions(self):
        return []
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


WAIVER = '[[waiver]]\ncheck = "{}"\nreason = "x"\nreference = "x"\nexpires = {}\n'
WAIVED = {
    "unknown.toml": WAIVER.format("SEAM-X-001", "2999-01-01").encode(),
    "honesty.toml": WAIVER.format("SEAM-PROBE-001", "2999-01-01").encode(),
    "ended.toml": WAIVER.format("SEAM-ENV-001", "2001-01-01").encode(),
    "stale.toml": WAIVER.format("SEAM-SHAPE-001", "2999-01-01").encode(),
    "junk.toml": b"\xff\xfe\x00",
    "huge.toml": b"#" * 1_000_001,
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's repository, with packages that are called as ours."""
    for name in ("tests", "scenarios", "harness", "backends", "faults"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('raise ImportError("of somebody else")\n')
    (tmp_path / "tests" / "__init__.py").unlink()
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "okmux.py").write_text(OK_MUX)
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "garbled.py").write_text("def (:\n")
    (tmp_path / "tests" / "test_okmux.py").write_text(THIN)
    for name, waived in WAIVED.items():
        (tmp_path / name).write_bytes(waived)
    return tmp_path


def run(repository: Path, module: str, *words: str) -> Completed:
    """Run an installed command there, as its script would: without the directory in front of the path."""
    argv = [sys.executable, "-P", "-m", module, *words]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTEST_PLUGINS": "harness.plugin", **LEAN}
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


NO_BACKEND: dict[str, str] = {
    "nowhere.at_all:Mux": "ModuleNotFoundError",
    "nosuch": "nosuch",
    "tmx": "did you mean tmux?",
    "okmux:Nothing": "has no attribute 'Nothing'",
    "os:path": "no class, no factory",
    "okmux:NUMBER": "is no backend: a int, no class",
    "okmux:nothing": "is no backend: a NoneType with 0 of the contract's operations",
    "okmux:TwoOperations": "is no backend: a TwoOperations with 2 of the contract's operations",
    "okmux:Broken": "cannot be made: RuntimeError: no licence",
    "okmux:Absent": "says that this host cannot run it",
    "exits:Mux": "SystemExit: 3",
    "garbled:Mux": "SyntaxError",
    "psmux": "psmux_double import BIN",
}
"""What is no backend that could be checked here, and what is said of it at each door."""

BAD: dict[tuple[str, ...], str] = {
    **{("--mux", name): said for name, said in NO_BACKEND.items()},
    ("--mux", "collections:OrderedDict"): "is no backend: a OrderedDict with 0 of the contract's operations",
    ("--mux", "fake", "--mux-error", "os:path"): "names no exception",
    ("--mux", "fake", "--only", "SEAM-LIFE-0005"): "did you mean SEAM-LIFE-00",
    ("--mux", "fake", "--level", "L9"): "known are L0, L1, L2, L3, L4",
    ("--mux", "fake", "--waive", "nothing.toml"): "cannot be read",
    ("--mux", "fake", "--waive", "unknown.toml"): "there is no check",
    ("--mux", "fake", "--waive", "honesty.toml"): "which cannot be waived",
    ("--mux", "fake", "--waive", "ended.toml"): "ended on 2001-01-01",
    ("--mux", "fake", "--waive", "junk.toml"): "cannot be read",
    ("--mux", "fake", "--waive", "huge.toml"): "longer than 1000000 bytes",
    ("--mux", "fake", "--waive", "tests"): "cannot be read",
    ("--mux", "fake", "--json", "."): "is no regular file",
    ("--mux", "fake", "--json", "nowhere/out.json"): "its directory does not exist",
    ("--mux", "fake", "--html", "okmux.py/out.html"): "cannot be written",
    (): "--mux",
}


@pytest.fixture
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is in that repository, as one that was begun there, and imports its modules anew."""
    monkeypatch.chdir(repository)
    monkeypatch.syspath_prepend(repository)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    yield
    sys.modules.pop("okmux", None)


@pytest.mark.parametrize("words", BAD, ids=" ".join)
@pytest.mark.usefixtures("inside")
def test_conformance_of_nothing_is_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong with the question: one line that says so, and exit code 2, before anything is checked."""
    status = main(["conform", *words])

    written, said = capsys.readouterr()
    assert (status, written) == (2, ""), said
    assert BAD[words] in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["nowhere.at_all:Mux", "tmx", "okmux:Broken", "exits:Mux"])
def test_conformance_of_nothing_ends_pytest_at_once(repository: Path, name: str) -> None:
    """Each kind of those that are refused at the command line ends the session with the same line, before anything runs."""
    words = ("-p", "no:cacheprovider", "--pyargs", "scenarios.conformance", "--mux", name)
    done = run(repository, "pytest", *words)

    said = (done.stdout + done.stderr).decode()
    assert done.status == 2, said
    assert NO_BACKEND[name] in said
    assert "Traceback" not in said
    assert " passed" not in said


def test_conformance_of_a_stale_waiver_fails(repository: Path) -> None:
    """A promise that is kept although it is waived: that is told as the check's outcome, and the level is not reached."""
    done = run(repository, "harness.cli", "conform", "--mux", "fake", "--level", "L0", "--waive", "stale.toml")

    assert done.status == 1
    assert b"passes, although x (x) says that it fails: take that away" in done.stdout
    assert b"fake: no level\n" in done.stdout


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
