"""What is declared, pinned and imported is one set of libraries."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from architecture_rules import PROJECT, STANDALONE
from source_tree import needs, read_modules

import seamripper.plugin

ROOT = Path(__file__).resolve().parent.parent
PROJECT_FILE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PINNED = re.compile(r"([A-Za-z0-9_.-]+)==([0-9][0-9A-Za-z.]*)")


def normal(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> dict[str, str]:
    """Names and least versions of requirements that all have the form `name>=version`."""
    return {normal(name): version for name, _, version in (one.partition(">=") for one in requirements)}


def pins() -> dict[str, str]:
    """What the constraints pin; every line must be a pin or a comment."""
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line and line[0] != "#"]
    matches = [PINNED.fullmatch(line) for line in lines]

    assert all(matches), "a constraint is a name and a version, and no address"
    return {normal(match[1]): match[2] for match in matches if match}


def numbers(version: str) -> list[int]:
    """A version as something to compare."""
    return [int(part) for part in version.split(".") if part.isdigit()]


def test_every_library_that_is_imported_is_declared() -> None:
    """What is installed with the distribution is all that its code needs."""
    foreign = {
        normal((need.parent or need.target).partition(".")[0])
        for module in read_modules(ROOT, *PROJECT)
        if module.name not in STANDALONE
        for need in needs(module)
    }
    known = {normal(name) for name in sys.stdlib_module_names} | set(PROJECT)

    assert foreign - known <= declared(PROJECT_FILE["project"]["dependencies"]).keys()


@pytest.mark.parametrize("group", ["project", "dev", "mutants", "build"])
def test_everything_declared_is_pinned_for_continuous_integration(group: str) -> None:
    """At a version that the declaration allows."""
    project = PROJECT_FILE["project"]
    wanted = declared(
        {
            "project": project["dependencies"],
            "dev": project["optional-dependencies"]["dev"],
            "mutants": project["optional-dependencies"]["mutants"],
            "build": PROJECT_FILE["build-system"]["requires"],
        }[group]
    )
    pinned = pins()

    assert wanted.keys() <= pinned.keys()
    assert all(numbers(pinned[name]) >= numbers(least) for name, least in wanted.items())


def test_the_plugin_s_entry_point_is_named_as_its_module() -> None:
    """So that the plugin loaded in-tree and the installed one are one."""
    entries = PROJECT_FILE["project"]["entry-points"]["pytest11"]

    assert entries == {"harness.plugin": "seamripper.plugin:plugin"}
    assert seamripper.plugin.plugin is sys.modules["harness.plugin"]
    assert 'pytest_plugins = ["harness.plugin"]' in (ROOT / "conftest.py").read_text("utf-8")


def test_every_package_is_installed_and_checked() -> None:
    """What the architecture knows of is what the wheel holds and what is type-checked."""
    built = PROJECT_FILE["tool"]["hatch"]["build"]["targets"]

    assert built["wheel"]["packages"] == PROJECT_FILE["tool"]["mypy"]["packages"] == [*PROJECT]
    assert {*PROJECT} <= {*built["sdist"]["include"]}


def test_continuous_integration_skips_nothing_and_knows_no_address() -> None:
    """The script demands live scenarios and clears what names another multiplexer; nothing names a package index."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    infrastructure = [ROOT / "Makefile", ROOT / "constraints.txt", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]

    assert "SEAMRIPPER_REQUIRE_LIVE=1" in script
    assert "unset TMUX TMUX_PANE" in script
    assert "check test scenarios" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert not [path.name for path in infrastructure if re.search(r"https?://|index-url", path.read_text("utf-8"))]
