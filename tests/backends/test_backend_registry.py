"""Which backend is chosen, and what is said of those that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dict_multiplexer import DictMultiplexer

import backends
from backends import registry
from backends.base import TerminalMultiplexer
from backends.errors import BackendNotFound
from backends.fake import FakeMultiplexer
from backends.registry import ENTRY_POINT_GROUP, get_multiplexer, known_multiplexers, register_multiplexer
from backends.tmux import TmuxMultiplexer

DISTRIBUTION = """[seamripper.backends]
outside = dict_multiplexer:DictMultiplexer
broken = no_such_module:Backend
nothing = dict_multiplexer:NoSuchThing
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution on the path that brings backends: one that works, two that do not."""
    assert ENTRY_POINT_GROUP in DISTRIBUTION
    metadata = tmp_path / "outside-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(DISTRIBUTION)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def mine() -> Iterator[str]:
    """The name of a backend that is registered in this process."""
    register_multiplexer("mine", DictMultiplexer)
    yield "mine"
    registry._registered.pop("mine")


def test_an_explicit_name_wins() -> None:
    """The environment counts only where no name is given."""
    assert isinstance(get_multiplexer("fake", environment={"SEAMRIPPER_MUX": "tmux"}), FakeMultiplexer)


def test_the_environment_wins_over_the_platform() -> None:
    """SEAMRIPPER_MUX chooses for programs that do not."""
    assert isinstance(get_multiplexer(environment={"SEAMRIPPER_MUX": "fake"}), FakeMultiplexer)


@pytest.mark.skipif(sys.platform == "win32", reason="the default there is psmux")
def test_the_platform_has_a_default(tmp_path: Path) -> None:
    """Where nobody chooses, it is tmux; options reach the backend."""
    chosen = get_multiplexer(environment={}, socket_dir=Path("/tmp/sm-x"))

    assert isinstance(chosen, TmuxMultiplexer)
    assert chosen.socket_path == Path("/tmp/sm-x/tmux")


def test_a_registered_backend_is_found(mine: str) -> None:
    """A factory of this process is known by its name."""
    assert isinstance(get_multiplexer(mine), DictMultiplexer)
    assert mine in [info.name for info in known_multiplexers()]


def test_a_backend_is_named_by_module_and_attribute() -> None:
    """No entry point is needed to try one."""
    assert isinstance(get_multiplexer("dict_multiplexer:DictMultiplexer"), TerminalMultiplexer)


@pytest.mark.parametrize(
    "reference", ["no_such_module:X", "dict_multiplexer:Missing", "dict_multiplexer:__doc__", ":X", "dict_multiplexer:"]
)
def test_a_reference_that_leads_nowhere_is_not_found(reference: str) -> None:
    """Whatever is wrong with it, the error is of the tree and says so."""
    with pytest.raises(BackendNotFound, match="backend"):
        get_multiplexer(reference)


def test_an_unknown_name_is_answered_with_those_known() -> None:
    """The error lists them, and the nearest."""
    with pytest.raises(BackendNotFound, match="did you mean tmux") as raised:
        get_multiplexer("tmuxx")

    assert {"fake", "tmux"} <= set(raised.value.known)
    assert "fake, " in str(raised.value)


@pytest.mark.usefixtures("installed")
def test_an_installed_backend_is_found() -> None:
    """The entry-point group is searched at every call."""
    assert isinstance(get_multiplexer("outside"), DictMultiplexer)


@pytest.mark.usefixtures("installed")
def test_a_broken_backend_is_reported_and_hides_no_other() -> None:
    """The list says what is wrong with it, and goes on."""
    known = {info.name: info for info in known_multiplexers()}

    assert known["outside"].source == f"entry point {ENTRY_POINT_GROUP}"
    assert known["fake"].available
    for name in ("broken", "nothing"):
        assert not known[name].available
        assert "cannot be loaded" in str(known[name].problem)


def test_the_package_exports_its_public_names() -> None:
    """What `__all__` lists is there, and the error tree is complete."""
    assert all(hasattr(backends, name) for name in backends.__all__)
    assert {"TerminalMultiplexer", "OPERATIONS", "FakeMultiplexer", "TmuxMultiplexer"} <= set(backends.__all__)
    assert {"get_multiplexer", "register_multiplexer", "Clock", "SystemClock", "VirtualClock"} <= set(backends.__all__)


def test_a_backend_that_this_host_cannot_run_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version floor, and what was found instead of it."""
    old = tmp_path / "tmux"
    old.write_text("#!/bin/sh\necho tmux 3.1c\n")
    old.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    known = {info.name: info for info in known_multiplexers()}

    assert known["tmux"].problem == "needs tmux 3.2a or newer; found tmux 3.1c"
    assert str(known["psmux"].problem).startswith("needs psmux 3.3.8 or newer, and PowerShell 7 (pwsh), on PATH")
