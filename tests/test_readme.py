"""What the README and the other documents say is true."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from backends.base import TerminalMultiplexer
from backends.operations import OPERATIONS, Operation
from faults.plan import FaultPlan
from harness.cli import parser
from harness.engine.core import STEPS
from harness.engine.plan import parse_plan
from harness.runner import catalog_of
from harness.world import LiveTmuxWorld

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a document in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below that first cell of a header."""
    table = text.partition(f"| {heading} |")[2].splitlines()[2:]
    lines = table[: next((n for n, line in enumerate(table) if not line.startswith("|")), len(table))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def operation_row(operation: Operation) -> str:
    """The line of the README's table for one operation."""
    meaning = (inspect.getdoc(getattr(TerminalMultiplexer, operation.name)) or "").partition("\n\n")[0]
    meaning = " ".join(meaning.split()).replace("|", "\\|")
    notes = [operation.kind.value, *(["best effort"] if operation.best_effort else [])]
    notes += ["optional"] if operation.optional else []
    silence = "raises" if operation.raises else f"`{operation.sentinel()!r}`"
    return f"| `{operation.name}({', '.join(operation.arguments)})` | {meaning} | {', '.join(notes)} | {silence} |"


def test_the_table_of_operations_is_the_contract() -> None:
    """It is derived from `OPERATIONS`; on a difference, put what is printed here between the markers."""
    head = ["| operation | meaning | kind | when nobody answers |", "|---|---|---|---|"]
    due = "\n".join([*head, *(operation_row(operation) for operation in OPERATIONS.values())])
    shown = README.partition("<!-- operations:begin -->\n")[2].partition("\n<!-- operations:end -->")[0]

    assert shown == due, f"the table should be\n\n{due}\n"


def test_every_make_target_that_is_named_exists() -> None:
    """In every document."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    text = "\n".join(document.read_text("utf-8") for document in DOCUMENTS)
    named = set(re.findall(r"(?:`|\$ )make ([a-z]+)", text))

    assert {"scenarios", "test", "check"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_every_subcommand_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Each explains itself."""
    named = set(re.findall(r"\$ seamripper ([a-z]+)", README))

    assert {"run", "resume", "list", "status"} <= named
    for command in sorted(named):
        with pytest.raises(SystemExit) as ended:
            parser().parse_args([command, "--help"])
        assert ended.value.code == 0
        assert command in capsys.readouterr().out


def test_every_option_that_is_named_exists(pytestconfig: pytest.Config) -> None:
    """The table lists all that the plugin adds, and no other."""
    named = {re.findall(r"--[a-z-]+", row[0])[0] for row in rows(README, "pytest option")}
    known = {
        name
        for option in vars(pytestconfig.option)
        if option.startswith(("mux", "sut"))
        for name in [option.replace("_", "-")]
    }

    assert named == {f"--{name}" for name in known}


@pytest.mark.parametrize("plan", [row[0].strip("`") for row in rows(README, "plan")])
def test_every_fault_plan_is_one(plan: str) -> None:
    """It can be read where the multiplexer is live tmux, and its text form is stable."""
    catalog = catalog_of(LiveTmuxWorld)
    parsed = FaultPlan.parse(plan, 0, catalog)

    assert FaultPlan.parse(parsed.to_text(), 0, catalog).to_text() == parsed.to_text()


@pytest.mark.parametrize("document", ["README.md", "docs/writing-a-scenario.md"])
def test_examples_in_python_import_what_exists(document: str) -> None:
    """They compile, import only existing names, and are documented as scenarios must be."""
    sources = blocks((ROOT / document).read_text("utf-8"), "python")

    assert sources
    for source in sources:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            if isinstance(node, ast.FunctionDef):
                assert ast.get_docstring(node)


def test_the_scenario_in_the_readme_is_one_of_ours() -> None:
    """What newcomers read first is what runs: each of its statements stands in the scenario of the same name."""
    (source,) = blocks(README, "python")
    story = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    ours = [
        node
        for path in (ROOT / "scenarios").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == story.name
    ]

    (ran,) = ours
    assert {ast.dump(one) for one in (*story.body, *story.decorator_list)} <= {ast.dump(one) for one in ast.walk(ran)}


def test_the_plans_in_the_readme_can_be_carried_out() -> None:
    """The block in the text and the example beside it are valid plans."""
    (source,) = blocks(README, "toml")

    assert [task.key for task in parse_plan(source).tasks] == ["plan", "build"]
    for named in re.findall(r"examples/[a-z-]+\.toml", README):
        assert tomllib.loads((ROOT / named).read_text("utf-8"))["task"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    """Links to files of the project resolve, and so do paths that are named as code."""
    text = document.read_text("utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    named = re.findall(r"`((?:backends|faults|harness|scenarios|tests|docs|examples)/[\w/.-]+)`", text)

    assert [target for target in targets if target and not (document.parent / target).exists()] == []
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_decisions_are_numbered_and_short() -> None:
    """Each number is used once; question, answer, why and what was given up stand on ten to thirty lines."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert len({path.name[:4] for path in decisions}) == len(decisions)
    assert all(re.match(r"\d{4}-[a-z0-9-]+\.md\Z", path.name) for path in decisions)
    for path in decisions:
        text = path.read_text("utf-8")
        assert [part for part in ("Question", "Answer", "Why", "Given up") if f"**{part}.**" not in text] == [], path
        assert 10 <= len(text.splitlines()) <= 30, path


def test_steps_named_in_fault_plans_are_the_engine_s() -> None:
    """A document that names a checkpoint names one that is reached."""
    named = set(re.findall(r"\b(?:engine|signal)\.([a-z-]+)=", README))

    assert named
    assert named <= set(STEPS)
