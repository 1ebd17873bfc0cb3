"""How commands speak: rich on a terminal, plain lines into a pipe, JSON on request; all of it literally."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from harness.commands.host import Host
from harness.dashboard import literal

__all__ = ["SCHEMA", "Output"]

SCHEMA = 1
"""The shape of every JSON document that a command writes; raised when a key changes its meaning or goes."""

_PIPE_WIDTH = 2000
"""Columns of what is not shown on a terminal: wide enough that nothing is wrapped."""


class Output:
    """The standard output and standard error of one command."""

    def __init__(self, host: Host, *, as_json: bool = False) -> None:
        """Speak on `host`; with `as_json` only documents go to standard output, and what is said meanwhile to the other."""
        self.as_json = as_json
        self._host = host
        terminal = host.stdout.isatty()
        self.console = Console(
            file=host.stdout,
            force_terminal=terminal,
            color_system="auto" if terminal else None,
            markup=False,
            highlight=False,
            emoji=False,
            _environ=host.environment,
        )
        self.rich = terminal and not as_json and not self.console.is_dumb_terminal
        """Whether somebody looks at a terminal that can do more than print lines."""

    def show(self, shown: RenderableType) -> None:
        """Show something that is rich where the terminal is, and plain text elsewhere."""
        if self.rich:
            self.console.print(shown)
            return
        plain = io.StringIO()
        console = Console(
            file=plain, width=_PIPE_WIDTH, color_system=None, markup=False, highlight=False, emoji=False, _environ={}
        )
        console.print(shown)
        self._host.stdout.write("".join(f"{line.rstrip()}\n" for line in plain.getvalue().split("\n")[:-1]))
        self._host.stdout.flush()

    def say(self, line: str, style: str = "") -> None:
        """One line of text, with nothing in it taken as markup or as a control character."""
        self.show(Text(literal(line, 2000), style=style))

    def aside(self, line: str) -> None:
        """One line beside what was asked for: on standard output, or where that is for JSON on standard error."""
        if self.as_json:
            self._host.stderr.write(literal(line, 2000) + "\n")
            self._host.stderr.flush()
        else:
            self.say(line, "dim")

    def document(self, content: Mapping[str, Any]) -> None:
        """A JSON document with its schema; one line, so that several can follow each other."""
        text = json.dumps({"schema": SCHEMA, **content}, allow_nan=False)
        self._host.stdout.write(text + "\n")
        self._host.stdout.flush()
