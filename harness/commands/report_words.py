"""What can be said to `seamripper report`: its commands, their options, and which values they take."""

from __future__ import annotations

import argparse

from harness.commands.reporting import merge
from harness.commands.wording import Commands, Parser, add_command

__all__ = ["add_report"]

_EXIT_CODES = """\
exit codes:
  0 every certificate was read, whatever it says    1 one could not be read; its column says why    2 usage
"""

_ABOUT = "draw certificates of the conformance kit side by side"


def add_report(commands: Commands) -> None:
    """Add `report` with everything below it."""
    made = commands.add_parser(
        "report",
        help=_ABOUT,
        description=_ABOUT[0].upper() + _ABOUT[1:] + ".",
        epilog=f"examples:\n  seamripper report merge *.json -o matrix.html\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    below = made.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    merging = add_command(
        below,
        "merge",
        merge,
        "show certificates as one table, and write them as one page, summary or badge",
        "  seamripper report merge linux.json macos.json\n"
        "  seamripper report merge *.json -o matrix.html --badge badge.json\n"
        '  seamripper report merge one.json --markdown "$GITHUB_STEP_SUMMARY" --annotations\n',
        _EXIT_CODES,
    )
    merging.add_argument("files", metavar="FILE", nargs="+", help="a certificate: the JSON file of a conformance run")
    merging.add_argument("-o", "--output", metavar="FILE", type=_file, help="write the matrix as one HTML page")
    merging.add_argument("--markdown", metavar="FILE", type=_file, help="write the report as Markdown")
    merging.add_argument("--badge", metavar="FILE", type=_file, help="write a badge, as an endpoint of shields.io")
    merging.add_argument(
        "--annotations", action="store_true", help="print what did not hold as workflow commands of GitHub Actions"
    )


def _file(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a file, got ''")
    return text
