"""How commands are described and what their values may be: one shape of help, one line for what cannot be read."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeAlias

from harness.commands.current import Drive
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE

__all__ = [
    "EXIT_CODES",
    "Command",
    "Commands",
    "Parser",
    "add_command",
    "add_place",
    "at_least_one",
    "count",
    "directory",
    "duration",
    "meant",
    "nearest",
    "seconds",
]

Command = Callable[[argparse.Namespace, Host, Drive], int]

EXIT_CODES = """\
exit codes:
  0 finished    1 finished with a deferred task, or a command failed    2 usage
  70 crashed    75 paused    128+n stopped by signal n
"""


_MOST = 1_000_000
"""No number that is counted on a command line is larger."""


class Parser(argparse.ArgumentParser):
    """Refuses what it cannot read with one line, as every command does."""

    strange_advice = ""
    """What to do about words that are not known, if not to look into the help."""

    def error(self, message: str) -> NoReturn:
        """See `argparse`."""
        raise CommandError(message, f"see `{self.prog} --help`", EXIT_USAGE)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """See `argparse`; its own words list every choice, and which was meant is left to the reader."""
        if action.choices is not None and value not in action.choices:
            what = str(action.metavar or action.dest).lower()
            self.error(f"there is no {what} {value!r:.80}; {meant(value, list(action.choices))}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """See `argparse`; what a command does not know is said by the command, not by the one above it."""
        known, strange = super().parse_known_args(args, namespace)
        if strange:
            message = f"unrecognized arguments: {' '.join(strange)}"
            if self.strange_advice:
                raise CommandError(message, self.strange_advice, EXIT_USAGE)
            self.error(message)
        return known, strange


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_command(
    commands: Commands,
    name: str,
    carry_out: Command,
    about: str,
    examples: str,
    exit_codes: str = EXIT_CODES,
    *,
    as_json: bool = True,
) -> Parser:
    """The parser of one more command, which every command's help is given to, and `--json` unless it prints nothing."""
    made = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"examples:\n{examples}\n{exit_codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.set_defaults(carry_out=carry_out)
    if as_json:
        made.add_argument("--json", action="store_true", help="write one JSON document instead of text")
    return made


def nearest(text: str, known: Iterable[str]) -> str:
    """`did you mean ...?` for a name that is not in `known`; empty where none of them is near."""
    lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(text[:80].lower(), lower, 1)
    return f"did you mean {lower[found[0]]}?" if found else ""


def meant(text: str, known: Sequence[str]) -> str:
    """What somebody may have meant who typed `text`: the nearest of `known`, or if none is near, all of them."""
    return nearest(text, known) or f"there are {', '.join(known)}"


def add_place(made: argparse.ArgumentParser) -> None:
    """Where the runs are, and on which multiplexer."""
    made.add_argument(
        "--root",
        metavar="DIR",
        type=directory,
        help="where runs are kept (default: $SEAMRIPPER_ROOT, or the user's state)",
    )
    made.add_argument(
        "--mux", metavar="NAME", help="the multiplexer, or module:Attribute (default: $SEAMRIPPER_MUX, or tmux)"
    )


def directory(text: str) -> str:
    """The name of a directory; an empty one would mean the usual one by accident."""
    if not text:
        raise argparse.ArgumentTypeError("expected a directory, got ''")
    return text


def at_least_one(text: str) -> int:
    """A whole number from 1 on."""
    number = count(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def count(text: str) -> int:
    """A whole number from 0 to `_MOST`."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {_MOST}, got {text!r:.80}")
    return number


def seconds(text: str) -> float:
    """A time in seconds, above 0 and finite."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1e9:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r:.80}")
    return number


_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """A length of time with its unit, as in `30d`, in seconds."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    if not number.isascii() or not number.isdecimal() or len(number) > 6 or unit not in _UNITS_S:
        raise argparse.ArgumentTypeError(f"expected a time as in 30d, 12h, 10min or 90s, got {text!r:.80}")
    return int(number) * _UNITS_S[unit]
