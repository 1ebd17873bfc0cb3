"""What can be said to `seamripper conform`."""

from __future__ import annotations

import argparse

from harness.commands.conforming import conform, level_of_word
from harness.commands.wording import Commands, nearest
from harness.conformance.checks import CHECKS

__all__ = ["add_conform"]

_ABOUT = "check a backend against the contract of the seam, check by check, and certify what came of it"

_EXAMPLES = """\
examples:
  seamripper conform --mux tmux -o tmux.json --html tmux.html
  seamripper conform --mux mypackage.mymux:MyMux --mux-error mypackage.mymux:MyError --json mymux.json
  seamripper conform --mux mypackage.mymux:MyMux --only SEAM-PROBE-001
  seamripper conform --mux mypackage.mymux:MyMux --waive waivers.toml

levels:
  L0 shape    L1 honesty    L2 life cycle    L3 truth under faults    L4 engine

exit codes:
  0 every promise is kept    1 one is not
  2 usage: no such backend, none that can be made or run here, an unknown check, a waiver that cannot be
"""


def add_conform(commands: Commands) -> None:
    """Add `conform`."""
    made = commands.add_parser(
        "conform",
        help=_ABOUT,
        description=_ABOUT[0].upper() + _ABOUT[1:] + ".",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.set_defaults(carry_out=conform)
    made.add_argument(
        "--mux",
        metavar="NAME",
        required=True,
        help="the backend: a name, or module:Attribute (class, factory, BackendSpec)",
    )
    made.add_argument(
        "--mux-error", metavar="NAME", help="the base of what it raises, as module:Error (default: looked for)"
    )
    made.add_argument("--level", metavar="L", type=level_of_word, help="the highest level to check (default: L4)")
    made.add_argument("--only", metavar="ID", type=_id, action="append", default=[], help="check this only, repeatable")
    made.add_argument("--waive", metavar="FILE", help="checks that are known to fail, as TOML")
    made.add_argument(
        "-o", "--output", "--json", dest="json", metavar="FILE", help="write the certificate there, as JSON"
    )
    made.add_argument("--html", metavar="FILE", help="write it as one HTML page")


def _id(text: str) -> str:
    known = [item.check.id for item in CHECKS]
    if text in known:
        return text
    told = [f"there is no check {text!r:.60}", nearest(text, known)]
    raise argparse.ArgumentTypeError("; ".join(filter(None, told)))
