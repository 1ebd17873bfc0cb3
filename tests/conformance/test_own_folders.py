"""Everything works from a repository with folders that are called as our packages, whichever way pytest is begun there."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from author_repository import Author

QUIET = ("pytest", "-q", "-p", "no:cacheprovider")
KIT = ("--pyargs", "scenarios.conformance", "--mux", "backends.mymux:MyMux", "-k", "SHAPE")
SYSTEM = ("--pyargs", "scenarios", "--sut", "system:factory", "--mux", "fake", "-k", "test_any_engine and done")


@pytest.fixture(params=[True, False], ids=["packages", "folders"])
def author(request: pytest.FixtureRequest, tmp_path: Path) -> Author:
    """A repository whose folders are packages, and one where they are not."""
    return Author(tmp_path, packages=request.param)


@pytest.mark.parametrize("here_first", [True, False], ids=["python-m-pytest", "pytest"])
def test_own_folders_hide_no_kit(author: Author, here_first: bool) -> None:
    """`--pyargs` finds our scenarios, and `--mux` a backend in the author's own folder `backends`."""
    done = author.run(*QUIET, *KIT, here_first=here_first)

    assert (done.status, b"4 passed" in done.stdout) == (0, True), done


def test_own_folders_are_tested_as_ever(author: Author) -> None:
    """An author's tests import what is theirs, their conftest.py counts, and a thin file has the kit."""
    done = author.run(*QUIET)

    assert (done.status, b"6 passed" in done.stdout) == (0, True), done


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_own_folders_hide_no_scenarios(author: Author, mode: str) -> None:
    """An orchestrator of this directory is found, and our scenarios are told with it."""
    done = author.run(*QUIET, f"--import-mode={mode}", *SYSTEM, here_first=mode == "prepend")

    assert done.status == 0, done
    assert b" passed" in done.stdout


def test_own_folders_hide_no_scenario_that_is_repeated(tmp_path: Path) -> None:
    """What repeats a scenario of ours that fails names it as `--pyargs` finds it, from the author's directory."""
    author = Author(tmp_path, packages=True)
    failing = ("--mux", "fake", "--mux-faults", "new_window=timeout(30)")
    done = author.run(*QUIET, "--pyargs", "scenarios.test_window_death", "-k", "second", *failing)

    (line,) = [line for line in done.stdout.decode().splitlines() if line.startswith("pytest ")]
    again = author.run(*shlex.split(line))
    assert (done.status, again.status) == (1, 1), done
    assert b"1 failed" in again.stdout


def test_own_folders_hide_no_command(author: Author) -> None:
    """The command line begins in that directory, too, and finds a backend there."""
    done = author.run("seamripper", "conform", "--mux", "backends.mymux:MyMux", "--level", "L0")

    assert (done.status, b"backends.mymux:MyMux: L0" in done.stdout) == (0, True), done


def test_own_modules_that_are_hidden_are_named(tmp_path: Path) -> None:
    """Of two modules with one name ours is imported; the header says so, and what to do."""
    author = Author(tmp_path, packages=False)
    author.write("harness/runner.py", "")
    done = author.run("pytest", "-p", "no:cacheprovider", "tests/test_own.py")

    said = [line for line in done.stdout.decode().splitlines() if line.startswith("seamripper: ")]
    assert done.status == 0, done
    assert len(said) == 1
    assert "harness/runner.py cannot be imported" in said[0]


def test_own_package_that_was_imported_first_ends_the_run(tmp_path: Path) -> None:
    """Where it is too late to have ours: one line with what to do, and exit code 2."""
    author = Author(tmp_path, packages=True)
    author.write("harness/__init__.py", "")
    author.write("eager.py", "import harness.own\n")
    done = author.run(*QUIET, "-p", "eager", "tests/test_own.py")
    apart = author.run(*QUIET, "-p", "eager", "-p", "no:harness.plugin", "tests/test_own.py")

    said = done.stderr.decode()
    assert (done.status, said.count("\n")) == (2, 1), done
    assert "-p no:harness.plugin" in said
    assert apart.status == 0, apart
