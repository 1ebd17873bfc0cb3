"""Orchestrators under test: the scenarios find what is wrong with one, and nothing else; what is no orchestrator is refused."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from lean_pytest import LEAN
from plugin_runs import PYTHONPATH, ROOT, run_pytest, text

from backends.processes import SystemProcessTable

LITTLE = ROOT / "examples" / "little-orchestrator"
HANG = {
    "test_engine_waits_for_a_server_that_does_not_answer",
    "test_engine_calls_nobody_crashed_whom_it_could_not_ask_about",
}
BLIND = {"test_engine_looks_for_the_window_before_it_opens_another"}
SILENT = {"test_engine_leaves_a_record_of_its_own_crash"}

MENDED = """
from little_orchestrator.orchestrator import Orchestrator, TerminalError
from little_orchestrator.under_test import UnderTest

class Mended(Orchestrator):
{mend}

class make(UnderTest):
    drives = Mended
"""
PATIENT = """
    def _is_alive(self, window):
        try:
            return self._terminal.is_alive(window)
        except TerminalError:
            return True
"""
CAREFUL = """
    def _open(self, name, job):
        try:
            return self._terminal.open_window(name, job.command, job.env, job.cwd)
        except TerminalError:
            return self._terminal._multiplexer.list_window_ids("little")[-1]
"""
REASONS = {
    "test_engine_waits_for_a_server_that_does_not_answer": "no-false-crash: an agent of 1-1 is said to have crashed",
    "test_engine_looks_for_the_window_before_it_opens_another": "single-agent: a second agent was started for 1-1",
    "test_engine_leaves_a_record_of_its_own_crash": "crash-recorded: it crashed, and no file of it says why",
}


def engine_scenarios(directory: Path, system: str, *options: str) -> str:
    """What the scenarios of any engine print for that system, whose package lies in `directory` or is the little one."""
    path = ":".join((PYTHONPATH, str(LITTLE), str(directory)))
    words = ("--pyargs", "scenarios.test_any_engine", "--sut", system, "--mux", "fake", *options)
    return text(run_pytest(directory, *words, environment={"PYTHONPATH": path}))


def failed(output: str) -> set[str]:
    """The names of the tests that failed."""
    return set(re.findall(r"^FAILED \S*::(\w+)\[", output, re.MULTILINE))


def test_the_weaknesses_of_the_little_orchestrator_are_found_each_by_its_name(tmp_path: Path) -> None:
    """These scenarios fail and no others, and each says what was seen that must not be."""
    said = engine_scenarios(tmp_path, "little_orchestrator.under_test:make")
    sections = re.split(r"^_+ (test_\w+)\[", said, flags=re.MULTILINE)
    told = dict(zip(sections[1::2], sections[2::2], strict=False))

    assert failed(said) == HANG | BLIND | SILENT
    assert "4 failed, 5 passed, 1 skipped" in said
    for name, reason in REASONS.items():
        assert reason in told[name]


@pytest.mark.parametrize(
    ("mend", "left"), [(PATIENT, BLIND | SILENT), (CAREFUL, HANG | SILENT), (PATIENT + CAREFUL, SILENT)]
)
def test_what_was_mended_is_found_no_more(tmp_path: Path, mend: str, left: set[str]) -> None:
    """A scenario fails for the weakness that it is about, and for no other one."""
    (tmp_path / "mended.py").write_text(MENDED.format(mend=mend))

    assert failed(engine_scenarios(tmp_path, "mended:make")) == left


def test_where_an_orchestrator_is_named_only_what_is_about_it_is_run(tmp_path: Path) -> None:
    """The scenarios of the bundled engine's own files and steps are no test of anybody else's."""
    path = ":".join((PYTHONPATH, str(LITTLE)))
    words = ("--pyargs", "scenarios", "--sut", "little_orchestrator.under_test:make", "--mux", "fake", "--co", "-q")
    said = text(run_pytest(tmp_path, *words, environment={"PYTHONPATH": path}))

    collected = re.findall(r"^\S*::(\w+)", said, re.MULTILINE)
    assert len(collected) == 10
    assert all(name.startswith("test_engine_") for name in collected)


def test_folders_of_ones_own_with_our_names_do_no_harm(tmp_path: Path) -> None:
    """Plain words are what others call their folders too; `-P` keeps them off the path, as the command `pytest` does."""
    for name in ("backends", "faults", "harness", "scenarios", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is somebody else')\n")
    words = ("--pyargs", "scenarios.test_any_engine", "--sut", "little_orchestrator.under_test:make", "--mux", "fake")
    argv = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-p", "harness.plugin", *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join((PYTHONPATH, str(LITTLE))), **LEAN}
    done = SystemProcessTable().run(argv, timeout_s=110, cwd=tmp_path, env=environment)

    assert failed(text(done)) == HANG | BLIND | SILENT


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("nowhere.at_all:make", "'nowhere.at_all:make' cannot be imported: ModuleNotFoundError"),
        ("json:nothing", "'json:nothing' cannot be imported: AttributeError"),
        ("json:__name__", "'json:__name__' is no factory but str; name a class or a function"),
        ("json", "'json' names no factory; write it as package.module:name"),
    ],
)
def test_what_is_no_orchestrator_is_refused_in_one_line(tmp_path: Path, reference: str, told: str) -> None:
    """Before anything is collected."""
    said = engine_scenarios(tmp_path, reference)

    assert f"error: --sut: {told}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("ability", "fixture", "told"),
    [
        ("resum", "mux_engine", "needs('resum'): the nearest ability is 'resume'"),
        ("resume", "mux_run", "needs(*abilities) is for tests that use mux_engine"),
    ],
)
def test_a_need_that_says_nothing_is_refused(tmp_path: Path, ability: str, fixture: str, told: str) -> None:
    """A typing error must not skip a scenario for good, nor be without effect."""
    test = f"import pytest\n\n@pytest.mark.needs({ability!r})\ndef test_it({fixture}):\n    pass\n"
    (tmp_path / "test_it.py").write_text(test)
    done = run_pytest(tmp_path, "--mux", "fake")

    assert done.status == 2
    assert told in text(done)


def console_lines() -> list[tuple[str, str]]:
    """Every command of the document, with the line that it is said to print."""
    document = (ROOT / "docs" / "testing-your-orchestrator.md").read_text("utf-8")
    return re.findall(r"^\$ pytest (.*)\n(.+)$", document, re.MULTILINE)


@pytest.mark.live
@pytest.mark.parametrize(("words", "says"), console_lines())
def test_the_commands_of_the_document_print_what_it_says(words: str, says: str) -> None:
    """They are run where it says that they are run."""
    path = ":".join((PYTHONPATH, str(LITTLE)))
    said = text(run_pytest(LITTLE, *shlex.split(words), environment={"PYTHONPATH": path}))

    assert says in said


def test_the_document_has_commands() -> None:
    """Nothing is proven by the commands that it lost."""
    assert len(console_lines()) == 3
