"""Backends of others: the template installs anywhere and keeps every promise, and its page leads to it step by step."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lean_pytest import LEAN

from backends.processes import Completed, SystemProcessTable
from backends.tmux import TmuxMultiplexer
from harness.conformance.checks import CHECKS
from harness.conformance.results import Certificate, Level, Outcome
from harness.conformance.spec import KnownBug, Unsupported

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "examples" / "template-backend"
PAGE = (ROOT / "docs" / "writing-a-backend.md").read_text("utf-8")
STEP = re.compile(
    r"^`(?P<file>[\w./-]+)`:\n\n```\w+\n(?P<text>.*?)^```$|^```console\n(?P<console>.*?)^```$", re.MULTILINE | re.DOTALL
)
BROKEN = {
    "missing": "import no_such_module\n",
    "bursting": "class Burst(Exception): ...\n\n\nraise Burst('on a Sunday')\n",
    "leaving": "raise SystemExit(3)\n",
    "unmakeable": "class Burst(Exception): ...\n\n\ndef Mux():\n    raise Burst('on a Sunday')\n",
}
"""Modules of broken backends, by name."""

needs_tmux = pytest.mark.skipif(
    not TmuxMultiplexer(Path("/tmp/sm-none")).available(), reason="no tmux of 3.2a or later here"
)


class Fresh:
    """An environment of its own, which borrows what the toolkit needs, and in which nothing else is installed."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.home.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / "venv"], check=True, timeout=60)
        self.python = str(directory / "venv" / "bin" / "python")
        (self.packages,) = (directory / "venv" / "lib").glob("python*/site-packages")
        borrowed = dict.fromkeys([str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        (self.packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")

    def run(self, command: str, *words: str, cwd: Path) -> Completed:
        """What comes of `seamripper`, `pytest` or `pip` there."""
        if command == "pip":
            constraints = str(ROOT / "constraints.txt")
            env = {**os.environ, "PIP_CONSTRAINT": constraints, "PIP_BUILD_CONSTRAINT": constraints}
            argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python, *words]
        else:
            env = {"PATH": os.environ["PATH"], "HOME": str(self.home), **LEAN}
            argv = [self.python, "-P", "-m", {"seamripper": "harness.cli"}.get(command, command), *words]
        return SystemProcessTable().run(argv, timeout_s=280, cwd=cwd, env=env)


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    """An environment in which nothing but the toolkit is installed."""
    return Fresh(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fresh, Path]:
    """An environment in which the template is installed, and a copy of its project."""
    directory = tmp_path_factory.mktemp("installed")
    copy = directory / "template-backend"
    shutil.copytree(TEMPLATE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    made = Fresh(directory)
    done = made.run("pip", "install", "--quiet", ".", cwd=copy)
    assert done.status == 0, done.stderr.decode()
    shutil.rmtree(copy / "template_backend")
    return made, copy


def steps() -> Iterator[tuple[str, str]]:
    """What the page tells to do, in order: a file and its text, or a command line and what is shown of its output."""
    for found in STEP.finditer(PAGE):
        if found["file"]:
            yield found["file"], found["text"]
        for command in re.split(r"^\$ ", found["console"] or "", flags=re.MULTILINE)[1:]:
            line, _, shown = command.partition("\n")
            yield f"$ {line}", shown


def unseen(shown: str, output: str) -> list[str]:
    """The lines of an abridged output, but for `...`, that the output does not have, in their order."""
    said = iter([" ".join(line.split()) for line in output.splitlines()])
    due = [" ".join(line.split()) for line in shown.splitlines() if line not in ("...", "")]
    return [line for line in due if not any(one.startswith(line) for one in said)]


@pytest.mark.live
@pytest.mark.timeout(300)
@needs_tmux
def test_the_installed_template_keeps_every_promise(installed: tuple[Fresh, Path], tmp_path: Path) -> None:
    """By the name of its entry point, with nothing waived and nothing left unchecked."""
    done = installed[0].run("seamripper", "conform", "--mux", "template", "--json", "out.json", cwd=tmp_path)
    assert done.status == 0, done.stdout.decode()
    found = Certificate.from_json((tmp_path / "out.json").read_bytes())

    assert (found.backend.name, found.level) == ("template", Level.L4)
    assert [result for result in found.results if result.outcome is not Outcome.PASSED] == []


@pytest.mark.live
@needs_tmux
def test_the_template_s_own_test_is_the_whole_kit(installed: tuple[Fresh, Path]) -> None:
    """Its thin file collects every check, and those of the shape pass from it."""
    fresh, copy = installed
    listed = fresh.run("pytest", "-p", "no:cacheprovider", "--co", "-q", "test_template.py", cwd=copy).stdout.decode()
    done = fresh.run("pytest", "-p", "no:cacheprovider", "-q", "test_template.py", "-k", "SHAPE", cwd=copy)

    assert "::TestTemplate::test_conformance[SEAM-LOST-002]" in listed
    assert (done.status, "4 passed" in done.stdout.decode()) == (0, True), done


def test_an_installed_backend_is_listed(installed: tuple[Fresh, Path], tmp_path: Path) -> None:
    """By the name and the group of its entry point, outside of its own directory."""
    listed = json.loads(installed[0].run("seamripper", "backends", "--json", cwd=tmp_path).stdout)

    (found,) = [one for one in listed["backends"] if one["name"] == "template"]
    assert found["source"] == "entry point seamripper.backends"
    assert found["available"] is (shutil.which("tmux") is not None)


def test_a_broken_package_is_reported_and_hides_nothing(fresh: Fresh, tmp_path: Path) -> None:
    """Whatever its module raises when it is imported or made."""
    metadata = fresh.packages / "broken-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    points = "".join(f"{name} = {name}_mux:Mux\n" for name in BROKEN)
    (metadata / "entry_points.txt").write_text(f"[seamripper.backends]\n{points}")
    for name, text in BROKEN.items():
        (fresh.packages / f"{name}_mux.py").write_text(text)
    done = fresh.run("seamripper", "backends", "--json", cwd=tmp_path)

    assert done.status == 0, done.stderr.decode()
    listed = {one["name"]: one for one in json.loads(done.stdout)["backends"]}
    assert [name for name in BROKEN if listed[name]["available"] or not listed[name]["problem"]] == []
    assert listed["fake"]["available"]


@pytest.mark.live
@pytest.mark.timeout(300)
@needs_tmux
def test_the_page_leads_from_nothing_to_a_backend(fresh: Fresh, tmp_path: Path) -> None:
    """Each file is saved and each command is run where the page says so, and prints what it shows."""
    place = tmp_path / "mine"
    for what, text in steps():
        if what.startswith("$ "):
            done = fresh.run(*shlex.split(what[2:]), cwd=place)
            output = (done.stdout + done.stderr).decode()
            assert unseen(text, output) == [], f"{what}\n{output}"
        else:
            (place / what).parent.mkdir(parents=True, exist_ok=True)
            (place / what).write_text(text, "utf-8")


def test_the_page_ends_with_the_template() -> None:
    """What is copied and what is typed is one thing, and each level is reached by a command."""
    last = dict(steps())
    shipped = {
        path.relative_to(TEMPLATE).as_posix(): path.read_text("utf-8")
        for path in TEMPLATE.rglob("*")
        if path.suffix in (".py", ".toml")
    }

    assert {name: text for name, text in last.items() if name[0] != "$" and name != "spec.py"} == shipped
    levels = re.findall(r"Multiplexer: (L\d .+)$", "\n".join(shown for _, shown in steps()), re.MULTILINE)
    assert levels == ["L0 shape", "L1 honesty", "L2 life cycle", "L3 truth under faults"]


def test_what_the_page_declares_can_be_declared() -> None:
    """Its example is Python, and names what checks need, or checks."""
    (example,) = re.findall(r"(?<!`:)\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    declared: dict[str, Any] = {}
    exec(compile(example, "the page", "exec"), declared)

    known = {name for item in CHECKS for name in (item.check.id, *item.check.needs)}
    assert len(declared["capabilities"]) == 2
    assert set(declared["capabilities"]) <= known
    assert all(isinstance(one, Unsupported | KnownBug) for one in declared["capabilities"].values())
