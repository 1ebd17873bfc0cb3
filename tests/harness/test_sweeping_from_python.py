"""The example that the page on sweeping has for Python does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "sweeping.md").read_text("utf-8")


def test_the_example_for_python_finds_and_shrinks_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Run as it stands, it writes what stands below it."""
    section = PAGE.partition("\n## From Python\n")[2].partition("\n## ")[0]
    ((source, told),) = re.findall(r"```python\n(.*?)```\n.*?```text\n(.*?)```", section, re.DOTALL)

    exec(compile(source, "docs/sweeping.md", "exec"), {})  # the page's own example
    assert capsys.readouterr().out == told
