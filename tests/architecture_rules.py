"""The architecture as data: who may import whom, and who alone may touch what; each rule with its reason.

Every rule carries source text that it must refuse, so that a rule which cannot fail is noticed.
"""

from __future__ import annotations

import ast
import fnmatch
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from source_tree import Finding, Module, comments, mark_names, needs, uses

__all__ = ["BANS", "LAYERS", "STANDALONE", "Ban", "cycles", "layer_of", "layering", "reached", "standalone", "within"]

STANDALONE: Mapping[str, str] = {
    "harness.relay": "the hook relay: run by absolute path inside of an agent's repository, so it has only the interpreter",
    "harness.scripted": "the scripted agent in a real window: a program of its own that must also misbehave",
    "faults.shim_call": "one call of tmux under the shim: becomes the real program, and begins as fast as an interpreter can",
    "backends.psmux_double.psmux_program": "the double of psmux: a program on PATH that any interpreter runs",
    "backends.psmux_double.pwsh_program": "the double of PowerShell in the windows of that double",
}
"""Scripts that are handed to another interpreter: exempt from the bans, but they may import the standard library only."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A group of modules and the layers that they may import from, besides their own.

    `members` are patterns as of `fnmatch`; the first layer that has a fitting one decides.
    """

    name: str
    members: tuple[str, ...]
    sees: tuple[str, ...]


LAYERS: tuple[Layer, ...] = (
    Layer(
        "ground",
        tuple(
            f"backends.{m}"
            for m in (
                "errors",
                "verb_flags",
                "clock",
                "posix_signals",
                "running",
                "last_will",
                "processes",
                "pidfd",
                "disk",
                "entropy",
                "later",
                "locks",
                "file_watch",
                "installed",
            )
        ),
        (),
    ),
    Layer("seam", tuple(f"backends.{m}" for m in ("operations", "base", "guard")), ("ground",)),
    Layer("transport", ("backends.transport",), ("ground", "seam")),
    Layer("registry", ("backends.registry", "backends.outsiders"), ("ground", "seam", "transport", "backend")),
    Layer("backends", ("backends",), ("ground", "seam", "transport", "backend", "registry")),
    Layer("backend", ("backends.*",), ("ground", "seam", "transport")),
    Layer("faults", ("faults", "faults.*"), ("ground", "seam", "transport")),
    Layer("record", ("harness.record", "harness.record.*"), ("ground",)),
    Layer("engine", ("harness.engine", "harness.engine.*"), ("ground", "seam", "record")),
    Layer("standalone", tuple(STANDALONE), ()),
    Layer("dashboard", ("harness.dashboard", "harness.dashboard.*"), ("ground", "record")),
    Layer(
        "stage",
        tuple(
            f"harness.{m}"
            for m in (
                *(
                    "report",
                    "readings",
                    "bounds",
                    "comparisons",
                    "oracles",
                    "agents",
                    "agent_data",
                    "command_profile",
                    "agent_health",
                    "simulated",
                    "world",
                    "probe",
                    "runs",
                    "waiting",
                    *("clients", "hurting", "small_disk", "terminals", "guardian", "users_tmux"),
                ),
                *("chronology", "drawing", "pages", "timeline", "coverage_page"),
            )
        ),
        ("ground", "seam", "transport", "backend", "faults", "record", "engine", "dashboard", "standalone"),
    ),
    Layer(
        "trials",
        tuple(
            f"harness.{m}"
            for m in (
                *("chances", "seam_matrix"),
                *("runner", "rehearsals", "stories", "trials", "replays", "incidents", "promises"),
                *("crash_images", "crash_verdicts", "damage", "drawn_runs", "killed_run", "lateness", "story_error"),
                *("sut", "sut_bundled", "sut_stage"),
            )
        ),
        ("ground", "seam", "transport", "backend", "faults", "record", "engine", "dashboard", "stage", "standalone"),
    ),
    Layer("name", ("seamripper",), ()),
    Layer(
        "meeting",
        (
            *("seamripper.*", "harness", "harness.cli", "harness.__main__", "harness.commands", "harness.commands.*"),
            *("harness.plugin", "harness.plugin.*", "harness.conformance", "harness.conformance.*"),
        ),
        (
            *("ground", "seam", "transport", "backend", "registry", "backends"),
            *("faults", "record", "engine", "dashboard", "stage", "trials", "standalone", "name"),
        ),
    ),
    Layer(
        "stories",
        ("scenarios", "scenarios.*"),
        (
            *("ground", "seam", "transport", "backend", "registry", "backends"),
            *("faults", "record", "engine", "dashboard", "stage", "trials", "meeting", "standalone"),
        ),
    ),
)
"""From the ground up: `backend` is every concrete one, `stage` what a run is played on and shown by, `trials` carries runs out
and judges them, `meeting` is where all meet; `name` is what nobody else's package is called as."""

PROJECT = ("backends", "faults", "harness", "scenarios", "seamripper")


def layer_of(name: str) -> Layer | None:
    """The layer that the module belongs to; `None` for one that nobody has placed."""
    for layer in LAYERS:
        if any(fnmatch.fnmatchcase(name, member) for member in layer.members):
            return layer
    return None


def imported(module: Module, known: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The project's modules that the module imports, each with the line."""
    names = frozenset(known)
    for need in needs(module):
        if need.target.partition(".")[0] in PROJECT:
            is_module = need.target in names or need.parent is None
            yield (need.target if is_module else str(need.parent)), need.line


def layering(module: Module, known: Iterable[str]) -> Iterator[Finding]:
    """What the module imports against its layer."""
    own = layer_of(module.name)
    if own is None:
        yield module.finding(1, "stands in no layer of LAYERS")
        return
    for target, line in imported(module, known):
        other = layer_of(target)
        if other is None or (other is not own and other.name not in own.sees):
            yield module.finding(line, f"{own.name} must not import {target} ({other.name if other else 'no layer'})")


def standalone(module: Module) -> Iterator[Finding]:
    """What a standalone script imports that a bare interpreter would not find."""
    for need in needs(module):
        top = (need.parent or need.target).partition(".")[0]
        if top not in sys.stdlib_module_names and top != "relay":
            yield module.finding(need.line, f"imports {need.target}, which is not of the standard library")


def cycles(modules: Sequence[Module]) -> list[str]:
    """One import cycle among `modules`, as the names on it; empty if there is none."""
    known = [module.name for module in modules]
    graph = {module.name: sorted({t for t, _ in imported(module, known)} - {module.name}) for module in modules}
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for target in graph.get(name, ()):
            if found := visit(target, [*trail, name]):
                return found
        done.add(name)
        return []

    for name in graph:
        if found := visit(name, []):
            return found
    return []


def reached(start: Iterable[str], modules: Sequence[Module]) -> dict[str, str]:
    """Every module (foreign ones by their top name) that importing `start` imports, with who imports it first."""
    by_name = {module.name: module for module in modules}
    waiting = [(name, "") for name in start]
    found: dict[str, str] = {}
    while waiting:
        name, by = waiting.pop()
        if name in found:
            continue
        found[name] = by
        waiting += [(package, name) for package in _packages_of(name)]
        module = by_name.get(name)
        if module is not None:
            waiting += [(target, name) for target, _ in imported(module, by_name)]
            foreign = {need.target.partition(".")[0] for need in needs(module)} - set(PROJECT)
            found |= {top: name for top in foreign if top not in found}
    return found


def _packages_of(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts)))


Finder = Callable[[Module], Iterator[tuple[int, str]]]


def using(*patterns: str) -> Finder:
    """Finds uses of names: a pattern stands for the name and all below it, `*.name` for that attribute of anything."""
    exact = frozenset(pattern for pattern in patterns if not pattern.startswith("*."))
    attributes = frozenset(patterns) - exact

    def fits(name: str) -> bool:
        head, _, last = name.rpartition(".")
        attribute_of_anything = f"*.{last}" in attributes and head not in ("", "builtins", "local")
        return attribute_of_anything or name in exact or not exact.isdisjoint(_packages_of(name))

    def find(module: Module) -> Iterator[tuple[int, str]]:
        return ((line, f"uses {name}") for name, line in uses(module) if fits(name))

    return find


def through_a_shell(module: Module) -> Iterator[tuple[int, str]]:
    """Finds calls that hand a command to a shell."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
            yield node.value.lineno, "passes shell="


def imports_in_functions(module: Module) -> Iterator[tuple[int, str]]:
    """Finds import statements inside of functions."""
    for need in needs(module):
        if need.in_function:
            yield need.line, f"imports {need.target} inside of a function"


_EXEMPTION = re.compile(r"#\s*(type:\s*ignore|noqa|ruff:|mypy:|pyright:|flake8:)")
_EXPLAINED = re.compile(r"# (type: ignore\[[a-z-]+(, ?[a-z-]+)*\]|noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*)  # \w.{6,}")


def unexplained(module: Module) -> Iterator[tuple[int, str]]:
    """Finds exemptions from a check that lack a code or a reason."""
    for comment, line in comments(module):
        if _EXEMPTION.search(comment) and not _EXPLAINED.match(comment):
            yield line, f"an exemption without code or reason: {comment}"


def undocumented(module: Module) -> Iterator[tuple[int, str]]:
    """Finds modules that do not say what they are about."""
    if not ast.get_docstring(module.tree):
        yield 1, "has no docstring"


def sleeping_outside_live(module: Module) -> Iterator[tuple[int, str]]:
    """Finds real sleeps that are not inside of a test, class or module marked `live`."""
    if _is_live(_module_marks(module.tree)):
        return
    live_lines: set[int] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and _is_live(node.decorator_list):
            live_lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for line, text in using("time.sleep")(module):
        if line not in live_lines:
            yield line, text


def _module_marks(tree: ast.Module) -> list[ast.expr]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            return list(node.value.elts) if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return []


def _is_live(marks: Sequence[ast.expr]) -> bool:
    return "pytest.mark.live" in mark_names(marks)


@dataclass(frozen=True, slots=True)
class Ban:
    """Something that nobody may do but its owners.

    `where` are the top directories or files that it holds for, `owners` patterns of modules that may, each with its reason;
    `broken` are texts that the ban must refuse, `sound` is a similar one that it must not.
    """

    name: str
    reason: str
    find: Finder
    broken: tuple[str, ...]
    sound: str
    where: tuple[str, ...] = PROJECT
    owners: Mapping[str, str] = field(default_factory=dict)
    spares_standalone: bool = True

    def owner_of(self, name: str) -> str | None:
        """The pattern that lets the module `name` do it; `None` if it may not."""
        exempt = (*self.owners, *(STANDALONE if self.spares_standalone else ()))
        return next((pattern for pattern in exempt if fnmatch.fnmatchcase(name, pattern)), None)

    def findings(self, module: Module) -> Iterator[Finding]:
        """Where the module does it."""
        if self.owner_of(module.name) is None:
            yield from (module.finding(line, text) for line, text in self.find(module))


def within(modules: Iterable[Module], tops: Sequence[str]) -> list[Module]:
    """The modules below the top directories (or files) `tops`."""
    names = {top.removesuffix(".py") for top in tops}
    return [module for module in modules if module.name.partition(".")[0] in names]


_CODE = ("backends", "faults", "harness")
_TESTS = ("tests", "scenarios", "conftest.py")
_EVERYWHERE = (*PROJECT, "tests", "conftest.py")

BANS: tuple[Ban, ...] = (
    Ban(
        "processes are started",
        "ProcessTable.run has a deadline, ends the whole group and can be simulated",
        using(
            *(f"subprocess.{call}" for call in ("Popen", "run", "call", "check_call", "check_output")),
            *("subprocess.getoutput", "subprocess.getstatusoutput", "os.system", "os.popen", "os.fork", "os.forkpty"),
            *("psutil.Popen", "multiprocessing", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"),
            *(
                f"os.{call}"
                for call in ("execv", "execve", "execvp", "execvpe", "posix_spawn", "posix_spawnp", "spawnv")
            ),
        ),
        (
            "import subprocess\nsubprocess.run(['tmux'])",
            "from subprocess import Popen as P\nP([])",
            "import os as o\no.system('x')",
        ),
        "import subprocess\ntry:\n    pass\nexcept subprocess.TimeoutExpired:\n    pass",
        owners={
            "backends.running": "what the process table runs commands by",
            "backends.last_will": "starts what outlives this process, which nothing that has a deadline can",
            "backends.control_client": "keeps one client of the multiplexer instead of starting one for each question",
        },
    ),
    Ban(
        "commands go through a shell",
        "what is quoted wrongly is executed",
        through_a_shell,
        ("import subprocess\nsubprocess.run('ls', shell=True)", "table.run('ls', shell=flag)"),
        "table.run(['ls'], shell=False)",
        where=_EVERYWHERE,
        spares_standalone=False,
    ),
    Ban(
        "time is read or spent",
        "an hour of hang costs a millisecond only if all time is an argument",
        using(
            "time",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        ("import time", "from time import sleep as nap", "from datetime import datetime as d\nd.now()"),
        "from datetime import datetime\ndatetime.fromtimestamp(0)",
        owners={"backends.clock": "the clock itself"},
    ),
    Ban(
        "signal handlers are installed",
        "two owners of a handler undo each other; everybody else asks at a checkpoint",
        using("signal.signal", "signal.sigaction", "signal.setitimer", "signal.alarm", "signal.set_wakeup_fd"),
        ("import signal\nsignal.signal(2, f)", "import signal as s\ns.signal(s.SIGTERM, f)"),
        "import signal\nprint(signal.SIGTERM)",
        owners={
            "harness.engine.signals": "the one place that turns a signal into a stop",
            "harness.commands.shells": "in the child alone: what a terminal starts heeds Ctrl-C",
        },
    ),
    Ban(
        "signals are sent",
        "a pid alone names nobody: only a proven identity is signalled",
        using(
            *("os.kill", "os.killpg", "*.send_signal", "signal.raise_signal", "signal.pidfd_send_signal", "os.abort"),
            *(f"psutil.Process().{call}" for call in ("kill", "terminate", "suspend", "resume")),
        ),
        ("import os\nos.kill(1, 9)", "process.send_signal(2)", "import psutil as p\np.Process(7).terminate()"),
        "table.signal(identity, 9)",
        owners={
            "backends.processes": "checks the identity first",
            "backends.running": "ends a group whose leader it has not reaped, so that its pid is nobody else's",
        },
    ),
    Ban(
        "signals are named that a host may lack",
        "on Windows the name alone is an error; backends.posix_signals has their numbers everywhere",
        using(
            *(
                f"signal.SIG{name}"
                for name in (
                    "KILL",
                    "STOP",
                    "CONT",
                    "HUP",
                    "QUIT",
                    "USR1",
                    "USR2",
                    "CHLD",
                    "ALRM",
                    "WINCH",
                    "URG",
                    "TSTP",
                )
            ),
        ),
        ("import signal\nsignal.SIGKILL", "from signal import SIGSTOP as s\ns", "import signal as s\ns.SIGHUP"),
        "import signal\nprint(signal.SIGTERM, signal.SIGINT)",
        where=_CODE,
        owners={"harness.killed_run": "is a process that a real SIGKILL ends, on hosts that have one"},
    ),
    Ban(
        "chance is drawn",
        "a run must be replayable from its seed",
        using("random", "secrets", "uuid", "os.urandom"),
        ("import random", "from uuid import uuid4"),
        "entropy.token()",
        owners={"backends.entropy": "tokens and ids", "faults.*": "generators with a seed that is printed"},
    ),
    Ban(
        "files are touched",
        "faults can be put between file operations only if all of them go through Disk",
        using(
            *("builtins.open", "io.open", "os.open", "os.fdopen", "tempfile", "shutil"),
            *(
                f"os.{call}"
                for call in ("replace", "rename", "remove", "unlink", "mkdir", "makedirs", "rmdir", "removedirs")
            ),
            *(
                f"os.{call}"
                for call in ("link", "symlink", "truncate", "ftruncate", "chmod", "mkfifo", "scandir", "listdir")
            ),
            *(
                f"*.{call}"
                for call in (
                    "write_text",
                    "write_bytes",
                    "read_text",
                    "read_bytes",
                    "touch",
                    "iterdir",
                    "unlink",
                    "rmdir",
                )
            ),
            *("*.hardlink_to", "*.symlink_to"),
        ),
        (
            "open('state.json')",
            "import os\nos.replace(a, b)",
            "path.write_text('x')",
            "(a / b).read_bytes()",
            "from tempfile import mkstemp",
        ),
        "disk.write(path, b'x')",
        where=_CODE,
        owners={
            "backends.disk": "the disk itself",
            "backends.processes": "reads the id of this boot, which is no file of ours",
            "backends.running": "has commands write into files without a name, which nobody else can touch",
            "harness.world": "makes and removes the directory that a live story happens in",
            "harness.guardian": "removes that directory where the process of the story cannot",
            "harness.users_tmux": "makes the directory of a server that stands for the user's own",
            "harness.terminals": "opens the terminal of an agent that shall be kept waiting",
            "faults.shim": "makes its launchers programs, which is nothing that a simulated disk knows",
        },
    ),
    Ban(
        "pytest is imported",
        "an engine that runs for people must not need a test runner",
        using("pytest", "_pytest"),
        ("import pytest", "from _pytest.config import Config"),
        "import py_compile",
        owners={
            "harness.plugin": "is the pytest plugin",
            "harness.plugin.*": "is the pytest plugin",
            "scenarios.*": "are tests",
        },
        spares_standalone=False,
    ),
    Ban(
        "Textual is imported",
        "every status must also be there without the full screen application",
        using("textual"),
        ("from textual.app import App",),
        "from rich.text import Text",
        owners={"harness.dashboard.app": "is the full screen application"},
        spares_standalone=False,
    ),
    Ban(
        "modules are imported by name",
        "what is imported must be readable without running it",
        using("importlib.import_module", "builtins.__import__", "runpy"),
        ("import importlib\nimportlib.import_module('x')", "__import__('x')"),
        "import importlib.metadata",
        owners={
            "backends.registry": "a backend may be named as module:Attribute",
            "backends": "its public names, whose imports stand beside it to be read",
            "faults": "its public names, likewise",
            "harness": "its public names, likewise",
            "harness.conformance": "its public names, likewise",
            "harness.stories": "so may a scenario",
            "backends.later": "no command waits for what another needs; what it is told is read like an import",
            "harness.sut": "so may an orchestrator under test",
        },
        spares_standalone=False,
    ),
    Ban(
        "imports hide in functions",
        "they dodge a cycle, or hide a dependency",
        imports_in_functions,
        ("def f():\n    import os", "class A:\n    def f(self):\n        if 1:\n            from os import path"),
        "import os\ndef f():\n    return os",
        where=_EVERYWHERE,
        spares_standalone=False,
    ),
    Ban(
        "checks are silenced without saying why",
        "an exemption carries its code and its reason",
        unexplained,
        ("x = 1  # noqa", "x = 1  # type: ignore", "x = 1  # noqa: E501", "# ruff: noqa", "# mypy: ignore-errors"),
        "x = f()  # type: ignore[attr-defined]  # both types that get here have it",
        where=_EVERYWHERE,
        spares_standalone=False,
    ),
    Ban(
        "modules lack a docstring",
        "a module is about one thing, and says which",
        undocumented,
        ("x = 1", "# about x\nx = 1"),
        '"""About x."""',
        where=_EVERYWHERE,
        spares_standalone=False,
    ),
    Ban(
        "tests patch",
        "if a test needs a patch, an argument is missing",
        using("*.setattr", "unittest.mock", "mock", "*.patch"),
        ("def test(monkeypatch):\n    monkeypatch.setattr(m, 'f', g)", "from unittest.mock import patch"),
        "def test(monkeypatch):\n    monkeypatch.setenv('A', '1')\n    setattr(a, 'b', 1)",
        where=_TESTS,
    ),
    Ban(
        "tests sleep for real",
        "simulated time costs nothing; only what is live may wait",
        sleeping_outside_live,
        (
            "import time\ndef test():\n    time.sleep(1)",
            "import time\n@pytest.mark.live\ndef test():\n    pass\ndef helper():\n    time.sleep(1)",
        ),
        "import time\n@pytest.mark.live\ndef test():\n    time.sleep(1)",
        where=_TESTS,
    ),
)
"""What only its owners may do. An owner that no longer does it is struck from the table by a test."""
