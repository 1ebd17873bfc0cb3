"""libtmux's pytest plugin, which people who test with tmux have, works in one session with the kit and the scenarios."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from author_repository import Author

from backends.tmux import TmuxMultiplexer

BESIDE = """
import os

import libtmux
import pytest
from backends.mymux import MyMux
from harness.conformance import Level, MultiplexerConformance

BEFORE = {name: os.environ.get(name) for name in ("TMUX", "TMUX_PANE", "TMUX_TMPDIR")}


@pytest.fixture(scope="module")
def kept():
    server = libtmux.Server(socket_name="kept")
    server.new_session("kept")
    yield server
    server.kill()


def test_before(server, session, kept):
    assert session in server.sessions


class TestMyMux(MultiplexerConformance):
    multiplexer = MyMux
    level = Level.L2

    def test_libtmux_meanwhile(self, server):
        assert server.new_session("x").name == "x"


def test_after(session, server, kept):
    assert session in server.sessions
    assert [one.name for one in kept.sessions] == ["kept"]
    assert {name: os.environ.get(name) for name in BEFORE} == BEFORE


def test_of_a_fixture_of_each(mux, server):
    assert not mux.has_session("x")
"""
CHOSEN = "SHAPE or LIFE or KILL or libtmux or before or after or each"

needs_tmux = pytest.mark.skipif(
    not TmuxMultiplexer(Path("/tmp/sm-none")).available(), reason="no tmux of 3.2a or later here"
)


@pytest.fixture
def author(tmp_path: Path) -> Author:
    """A repository with a backend that is live tmux."""
    author = Author(tmp_path, packages=True)
    author.write(
        "backends/mymux.py", "from backends import TmuxMultiplexer\n\n\nclass MyMux(TmuxMultiplexer):\n    pass\n"
    )
    author.write("tests/test_beside.py", BESIDE)
    return author


@pytest.fixture
def place() -> Iterator[str]:
    """Where servers of libtmux have their sockets, whose names must be short."""
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as place:
        yield place


@pytest.mark.live
@needs_tmux
def test_libtmux_and_the_kit_work_in_one_session(author: Author, place: str) -> None:
    """Servers of libtmux live before, during and after the checks, and the kit leaves the environment as it was."""
    words = ("-v", "-p", "no:cacheprovider", "tests/test_beside.py", "-k", CHOSEN)
    done = author.run("pytest", *words, TMUX="/nowhere,1,0", TMUX_TMPDIR=place, PYTEST_ADDOPTS="")

    said = done.stdout.decode()
    assert (done.status, "SKIPPED" in said) == (0, False), said
    for name in ("before", "conformance[SEAM-LIFE-002]", "libtmux_meanwhile", "after", "of_a_fixture_of_each[tmux]"):
        assert f"::test_{name} PASSED" in said


@pytest.mark.live
@needs_tmux
def test_libtmux_and_the_scenarios_work_in_one_session(author: Author, place: str) -> None:
    """Our scenarios are told on live tmux with libtmux's plugin active, and nobody's options or fixtures clash."""
    words = ("--pyargs", "scenarios.test_window_death", "--mux", "tmux", "-k", "second")
    done = author.run("pytest", "-p", "no:cacheprovider", *words, TMUX_TMPDIR=place, PYTEST_ADDOPTS="")

    said = done.stdout.decode()
    assert done.status == 0, said
    assert "libtmux-0" in said
    assert "1 passed" in said


def test_fixtures_of_the_plugin_are_named_as_nobody_else_s(author: Author) -> None:
    """Whatever the plugin offers begins with `mux`, so that it takes the place of no fixture of libtmux or of an author."""
    done = author.run("pytest", "--fixtures", "-p", "no:cacheprovider", "tests/test_own.py", PYTEST_ADDOPTS="")

    said = done.stdout.decode()
    names = [line.partition(" ")[0] for line in said.splitlines() if "harness/plugin/" in line and " -- " in line]
    assert {"mux", "mux_run", "mux_engine"} <= {*names}, said
    assert [name for name in names if not name.startswith("mux")] == []
