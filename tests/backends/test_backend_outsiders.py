"""Backends of other people are made with what they have parameters for, on a server of their root's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendNotFound
from backends.fake import FakeMultiplexer
from backends.outsiders import look_in, outside_multiplexer

OFFERED = {"call_timeout_s": 7.0, "clock": None}
MODULE = """
from backends.fake import FakeMultiplexer


class Bare(FakeMultiplexer):
    def __init__(self):
        super().__init__()


class Placed(FakeMultiplexer):
    def __init__(self, socket_dir, call_timeout_s):
        super().__init__(call_timeout_s=call_timeout_s)
        self.socket_dir = socket_dir


class Broken(FakeMultiplexer):
    def __init__(self):
        raise RuntimeError("no licence")


NUMBER = 7
"""


@pytest.fixture
def somebodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in a directory that nothing is found in yet, and a place for sockets that goes with the test."""
    monkeypatch.syspath_prepend(str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    name = f"outsider_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    look_in(tmp_path, f"{name}:Bare")
    return name


def test_a_backend_is_given_what_it_has_parameters_for(somebodys: str, tmp_path: Path) -> None:
    """One without any is made as well, and is looked for where the command was called."""
    placed: Any = outside_multiplexer(f"{somebodys}:Placed", tmp_path, OFFERED)

    assert isinstance(outside_multiplexer(f"{somebodys}:Bare", tmp_path, OFFERED), FakeMultiplexer)
    assert placed._seam.call_timeout_s == 7.0


def test_folders_of_an_author_are_looked_into_last_and_only_where_a_module_is_named(tmp_path: Path) -> None:
    """What is called there as something of ours must not come before it."""
    before = list(sys.path)
    try:
        look_in(tmp_path, "tmux")
        unnamed = list(sys.path)
        look_in(tmp_path, "mypackage:MyMux")
        look_in(tmp_path, "mypackage:MyMux")
        named = list(sys.path)
    finally:
        sys.path[:] = before

    assert unnamed == before
    assert named == [*before, str(tmp_path)]


@pytest.mark.skipif(sys.platform == "win32", reason="directories have no modes there")
def test_each_root_has_a_private_directory_of_its_own(somebodys: str, tmp_path: Path) -> None:
    """The same for the same root, short, and for nobody else to enter."""
    first, again, other = (
        Path(vars(outside_multiplexer(f"{somebodys}:Placed", tmp_path / root, OFFERED))["socket_dir"])
        for root in ("one", "one", "other")
    )

    assert first == again != other
    assert first.stat().st_mode & 0o777 == 0o700
    assert len(first.name) < 30


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("Broken", "cannot be made: RuntimeError: no licence"),
        ("NUMBER", "is no class and no factory"),
        ("__doc__.upper", "cannot be loaded: AttributeError"),
        ("sys", "cannot be loaded: AttributeError"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(somebodys: str, tmp_path: Path, attribute: str, said: str) -> None:
    """Whatever its constructor raises."""
    with pytest.raises(BackendNotFound, match=said):
        outside_multiplexer(f"{somebodys}:{attribute}", tmp_path, OFFERED)


def test_what_no_engine_can_drive_is_said_in_one_line(tmp_path: Path) -> None:
    """The conformance kit takes anything with the operations, the engine subclasses only."""
    with pytest.raises(BackendNotFound, match="is no TerminalMultiplexer"):
        outside_multiplexer("collections:OrderedDict", tmp_path, OFFERED)
