"""What the page on plans says is what a plan may hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from harness.engine.plan import FIELDS_OF_RUN, FIELDS_OF_TASK, PLAN_LIMIT, RunPlan, TaskPlan
from harness.scripted import STEPS

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "plans.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below that header."""
    lines = PAGE.partition(f"| {heading} |\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def written(default: object) -> str:
    """The default of a key, as TOML would have it."""
    if default is MISSING or default is None:
        return "needed" if default is MISSING else "none"
    return f"`{json.dumps(default)}`"


@pytest.mark.parametrize(("plan", "known"), [(TaskPlan, FIELDS_OF_TASK), (RunPlan, FIELDS_OF_RUN)])
def test_every_key_of_a_plan_is_on_the_page_with_its_default(
    plan: type[TaskPlan | RunPlan], known: Mapping[str, object]
) -> None:
    """A task's own agent and directory are those of the run by default."""
    part = "task" if plan is TaskPlan else "run"
    table = rows(f"key of a {part} | default | meaning")
    shown = {key.strip("`"): default.replace("that of the run", "none") for key, default, _ in table}

    assert shown == {field.name: written(field.default) for field in fields(plan) if field.name in known}


def test_every_step_of_a_script_is_on_the_page_with_what_it_takes() -> None:
    """Steps that are told in one line have their parameters in the same order."""
    shown: dict[str, set[str]] = {}
    for names, taken, _ in rows("`do` | with | what it does"):
        each = re.findall(r"\w+", names)
        parts = taken.split(";") if len(each) > 1 else [taken]
        shown |= {name: set(re.findall(r"\w+", part)) for name, part in zip(each, parts, strict=True)}

    assert shown == {name: set(parameters) for name, parameters in STEPS.items()}


def test_the_page_says_how_long_a_plan_may_be() -> None:
    """In MiB."""
    assert f"at most {PLAN_LIMIT >> 20} MiB" in PAGE
