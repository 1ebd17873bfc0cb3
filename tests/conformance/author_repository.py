"""Somebody's repository with folders that are called as our packages, and the toolkit as it is installed beside it."""

from __future__ import annotations

import os
import sys
import sysconfig
import tomllib
from pathlib import Path

from lean_pytest import LEAN

from backends.processes import Completed, SystemProcessTable

__all__ = ["FOLDERS", "Author"]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tests", "scenarios", "harness", "backends", "faults")
THIN = """
from harness.conformance import Level, MultiplexerConformance
from backends.mymux import MyMux


class TestMyMux(MultiplexerConformance):
    multiplexer = MyMux
    level = Level.L0
"""
OWN = 'from harness.own import NAME\n\n\ndef test_own():\n    assert NAME == "the author\'s"\n'
STORY = "def test_story(mine):\n    assert mine == 7\n"
MINE = "import pytest\n\n\n@pytest.fixture\ndef mine():\n    return 7\n"
SYSTEM = "from harness.sut_bundled import BundledEngine\n\n\ndef factory(host):\n    return BundledEngine(host)\n"


class Author:
    """A repository in `directory`; its folders are `packages`, or plain folders."""

    def __init__(self, directory: Path, *, packages: bool) -> None:
        self.home, self.site = directory / "repository", directory / "site"
        for folder in FOLDERS:
            self.write(f"{folder}/own.py", 'NAME = "the author\'s"\n')
            if packages:
                self.write(f"{folder}/__init__.py", 'raise ImportError("of somebody else")\n' * (folder in FOLDERS[2:]))
        self.write("backends/mymux.py", "from backends import FakeMultiplexer as MyMux\n")
        self.write("conftest.py", "")
        self.write("scenarios/conftest.py", MINE)
        self.write("scenarios/test_resume.py", STORY)
        self.write("system.py", SYSTEM)
        self.write("tests/test_mymux.py", THIN)
        self.write("tests/test_own.py", OWN)
        self._install()

    def _install(self) -> None:
        """Put the distribution's entry points where they come before those of the environment that the tests run in."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        info = self.site / "seamripper-0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seamripper\nVersion: 0\n", "utf-8")
        lines = [f"{name} = {value}\n" for name, value in project["entry-points"]["pytest11"].items()]
        (info / "entry_points.txt").write_text("[pytest11]\n" + "".join(lines), "utf-8")

    def write(self, name: str, text: str) -> None:
        """Put a file there."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def run(self, *words: str, here_first: bool = True, **environment: str) -> Completed:
        """`python -m WORDS` there; `here_first`: as it is typed, with that directory before all others on the path."""
        argv = [sys.executable, *(() if here_first else ("-P",)), "-m", *words]
        path = ":".join([str(self.site), str(ROOT), sysconfig.get_path("purelib")])
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": str(self.home), **LEAN, **environment}
        return SystemProcessTable().run(argv, timeout_s=110, cwd=self.home, env=env)
