"""The layering and the bans, read from the syntax trees; the rules themselves stand in `architecture_rules`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from architecture_rules import (
    BANS,
    LAYERS,
    PROJECT,
    STANDALONE,
    Ban,
    cycles,
    layer_of,
    layering,
    reached,
    standalone,
    within,
)
from source_tree import Module, needs, parse, read_modules

ROOT = Path(__file__).resolve().parent.parent


@cache
def everything() -> tuple[Module, ...]:
    """Every module of the checkout."""
    return tuple(read_modules(ROOT, *PROJECT, "tests", "conftest.py"))


def project() -> list[Module]:
    """The modules that are installed."""
    return within(everything(), PROJECT)


def bans() -> list[object]:
    """Every ban, under its name."""
    return [pytest.param(ban, id=ban.name.replace(" ", "-")) for ban in BANS]


def test_there_is_code_to_read() -> None:
    """An empty tree would satisfy every rule."""
    assert {"backends.guard", "faults", "harness", "scenarios"} <= {module.name for module in project()}


def test_imports_point_one_way() -> None:
    """Every module imports only from the layers that its own layer sees."""
    known = [module.name for module in project()]
    found = [str(finding) for module in project() for finding in layering(module, known)]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("backends.errors", "from backends.base import TerminalMultiplexer"),
        ("backends.guard", "import backends.transport"),
        ("backends.tmux", "from backends.registry import get_multiplexer"),
        ("backends.fake", "from harness.engine.plan import RunPlan"),
        ("faults.injector", "from backends.fake import FakeMultiplexer"),
        ("faults.injector", "from backends import OPERATIONS"),
        ("faults.sweeps", "from harness.runner import run_scenario"),
        ("harness.record.state", "from backends.operations import OPERATIONS"),
        ("harness.record.state", "from harness.engine.endings import Ending"),
        ("harness.engine.engine", "from faults.injector import Injector"),
        ("harness.engine.engine", "from backends.tmux import TmuxMultiplexer"),
        ("harness.engine.engine", "from backends.transport import Transport"),
        ("harness.runner", "from scenarios.test_probes import x"),
        ("harness.unplaced", "import os"),
    ],
)
def test_an_import_against_the_layers_is_found(name: str, source: str) -> None:
    """The rule about layers can fail, in every direction that matters."""
    known = [name, *(m.name for m in project()), "backends.fake", "backends.tmux", "faults.injector"]

    assert list(layering(parse(name, source), known))


def test_an_import_along_the_layers_is_not_found() -> None:
    """What the design allows is allowed, relative or absolute."""
    source = "import os\nfrom backends import errors\nfrom .guard import Hook\nfrom .clock import Clock\n"
    known = ["backends", "backends.errors", "backends.guard", "backends.clock", "backends.fake"]

    assert not list(layering(parse("backends.fake", source), known))


def test_no_import_goes_round_in_a_circle() -> None:
    """Modules can be understood in some order."""
    assert not cycles(project())


def test_a_circle_is_found() -> None:
    """The rule about cycles can fail, also for a package that its own module imports."""
    direct = [parse("faults.a", "from faults.b import x"), parse("faults.b", "import faults.a")]
    package = [parse("faults", "from faults.a import x", is_package=True), parse("faults.a", "from faults import x")]

    assert cycles(direct) == ["faults.a", "faults.b", "faults.a"]
    assert cycles(package)


def test_engine_backends_faults_and_record_need_no_test_runner() -> None:
    """Whatever they import, however far away, is neither pytest nor Textual."""
    layers = {"ground", "seam", "transport", "backend", "registry", "backends", "faults", "record", "engine"}
    start = [m.name for m in project() if (layer := layer_of(m.name)) and layer.name in layers]
    found = reached(start, everything())

    assert {"backends", "harness", "os"} <= found.keys()
    assert not {"pytest", "_pytest", "textual"} & found.keys(), found


def test_a_test_runner_at_two_removes_is_found() -> None:
    """The rule about what is reached can fail, through a package's `__init__` too."""
    modules = [
        parse("harness", "from harness.helper import x", is_package=True),
        parse("harness.helper", "import pytest"),
        parse("harness.engine", "import os", is_package=True),
    ]

    assert reached(["harness.engine"], modules)["pytest"] == "harness.helper"


def test_standalone_scripts_need_only_an_interpreter() -> None:
    """They are run by absolute path, where nothing is installed."""
    found = [str(f) for m in project() if m.name in STANDALONE for f in standalone(m)]

    assert not found, "\n".join(found)


def test_a_standalone_script_that_needs_more_is_found() -> None:
    """The rule about standalone scripts can fail."""
    assert list(standalone(parse("harness.relay", "import msgspec")))
    assert list(standalone(parse("harness.scripted", "from backends.clock import Clock")))
    assert not list(standalone(parse("harness.scripted", "import json\nimport relay")))


@pytest.mark.parametrize("ban", bans())
def test_only_its_owners_do_it(ban: Ban) -> None:
    """Nobody does what the ban says but those whom the table names."""
    found = [str(f) for module in within(everything(), ban.where) for f in ban.findings(module)]

    assert not found, f"{ban.name}: {ban.reason}\n" + "\n".join(found)


@pytest.mark.parametrize("ban", bans())
def test_the_ban_can_fail(ban: Ban) -> None:
    """Each broken text is refused, and the sound one is not."""
    place = "tests.nobody" if ban.where[0] == "tests" else "harness.nobody"

    assert ban.broken
    for source in ban.broken:
        assert list(ban.findings(parse(place, source))), source
    assert not list(ban.findings(parse(place, ban.sound)))


@pytest.mark.parametrize("ban", bans())
def test_every_owner_still_does_it(ban: Ban) -> None:
    """An exemption that nobody needs any more is struck from the table."""
    for owner in ban.owners:
        owned = [m for m in within(everything(), ban.where) if ban.owner_of(m.name) == owner]
        needed = not owned or any(True for module in owned for _ in ban.find(module))
        assert needed, f"{owner} no longer needs its exemption from: {ban.name}"


def test_what_is_loaded_later_is_there() -> None:
    """Nobody would notice a misspelt name before the command that needs it is typed."""
    later = [need for module in project() for need in needs(module) if need.bound_as.startswith("later(")]
    names = [(import_module(need.parent or ""), need.target.rpartition(".")[2]) for need in later]

    assert len(names) > 20
    assert [f"{home.__name__}:{name}" for home, name in names if not callable(getattr(home, name, None))] == []


def test_what_is_loaded_later_is_held_to_the_layers() -> None:
    """To load something by its name is no way around them."""
    source = "from backends.later import later\nx = later('harness.commands.run:run')"

    assert list(layering(parse("harness.record.state", source), [module.name for module in project()]))


def test_every_package_says_that_it_is_typed() -> None:
    """Type checkers read the annotations of installed packages only beside a `py.typed`."""
    assert [package for package in PROJECT if not (ROOT / package / "py.typed").is_file()] == []


def test_every_layer_that_is_seen_exists() -> None:
    """A misspelt layer would allow nothing and be noticed late."""
    names = {layer.name for layer in LAYERS}

    assert len(names) == len(LAYERS)
    assert {seen for layer in LAYERS for seen in layer.sees} <= names
