"""How commands speak: rich on a terminal, plain lines into a pipe, JSON on request; all of it literally."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.text import Text

from harness.commands.host import Host
from harness.dashboard import literal

__all__ = ["SCHEMA", "Output", "OutputGone", "columns"]

SCHEMA = 1
"""The shape of every JSON document that a command writes; raised when a key changes its meaning or goes."""

_PIPE_WIDTH = 2000
"""Columns of what is not shown on a terminal: wide enough that nothing is wrapped."""

_COPYABLE = 200_000
"""Characters of a line that is to be copied: more than a command line may have."""


class OutputGone(Exception):
    """Standard output takes nothing any more; `errno` says why, EPIPE that whoever read it has seen enough."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or type(error).__name__)
        self.errno = error.errno


class _Stream(io.TextIOBase):
    """A standard stream that may go away: what is `lasting` goes on without it, anything else ends with `OutputGone`.

    It is closed then, so that it is not flushed once more on the way out.
    """

    def __init__(self, stream: TextIO, *, lasting: bool) -> None:
        self._stream = stream
        self._lasting = lasting
        self._gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base declares an attribute, this one is another stream's
        """The encoding of what is written."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether somebody may be looking."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """See `io.TextIOBase`."""
        if not self._is_gone():
            try:
                self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """See `io.TextIOBase`."""
        if not self._is_gone():
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def _is_gone(self) -> bool:
        return self._gone or self._stream.closed

    def _give_up(self, error: OSError) -> None:
        self._gone = True
        with contextlib.suppress(OSError):
            self._stream.close()
        if not self._lasting:
            raise OutputGone(error) from error


def columns(host: Host) -> int:
    """The width of the terminal behind standard error, as rich finds it."""
    return Console(file=host.stderr, stderr=True, _environ=host.environment).width


class Output:
    """The standard output and standard error of one command."""

    def __init__(self, host: Host, *, as_json: bool = False, lasting: bool = False) -> None:
        """Speak on `host`; with `as_json` only documents go to standard output, and what is said meanwhile to the other.

        A `lasting` command goes on where its terminal goes away: a run does not depend on who watches it.
        """
        self.as_json = as_json
        self._out = _Stream(host.stdout, lasting=lasting)
        self._err = _Stream(host.stderr, lasting=True)
        terminal = host.stdout.isatty()
        self.console = Console(
            file=cast(TextIO, self._out),
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
        self._out.write("".join(f"{line.rstrip()}\n" for line in plain.getvalue().split("\n")[:-1]))
        self._out.flush()

    def say(self, line: str, style: str = "") -> None:
        """One line of text, with nothing in it taken as markup or as a control character."""
        self.show(Text(literal(line, 2000), style=style))

    def copyable(self, line: str) -> None:
        """One line that somebody may copy into a shell: not broken where the terminal ends, and not shortened."""
        shown = Text(literal(line, _COPYABLE))
        if self.rich:
            self.console.print(shown, soft_wrap=True)
        else:
            self._out.write(f"{shown.plain}\n")
            self._out.flush()

    def raw(self, line: str) -> None:
        """One line as it is, for a program that reads it: a shell, for one."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def aside(self, line: str) -> None:
        """One line beside what was asked for: on standard output, or where that is for JSON on standard error."""
        if self.as_json:
            self._err.write(literal(line, 2000) + "\n")
            self._err.flush()
        else:
            self.say(line, "dim")

    def document(self, content: Mapping[str, Any]) -> None:
        """A JSON document with its schema; one line, so that several can follow each other."""
        text = json.dumps({"schema": SCHEMA, **content}, allow_nan=False)
        self._out.write(text + "\n")
        self._out.flush()
