"""`seamripper divergences`: whether the psmux of this host is what the catalogue says of its version."""

from __future__ import annotations

import argparse
import subprocess

from rich.table import Table
from rich.text import Text

from backends.psmux_catalogue import psmux_catalogue
from backends.transport import decode
from harness.commands.choosing import put_file
from harness.commands.conforming import interruptible
from harness.commands.current import Drive
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE
from harness.commands.output import Output
from harness.commands.wording import Commands, nearest
from harness.conformance.psmux_probing import Findings, Seen, Verdict, probe_all, profile_of
from harness.dashboard import literal

__all__ = ["add_divergences"]

_ABOUT = "see whether the psmux on PATH differs from tmux exactly as the catalogue says of its version"

_EXAMPLES = """\
examples:
  seamripper divergences
  seamripper divergences -o psmux-divergences.json
  seamripper divergences --only exit-status --only nested-session

exit codes:
  0 it is as catalogued    1 something is otherwise
  2 usage: there is no psmux, or one of a version that is in no catalogue
"""

_VERSION_S = 30.0


def add_divergences(commands: Commands) -> None:
    """Add `divergences`."""
    made = commands.add_parser(
        "divergences",
        help=_ABOUT,
        description=_ABOUT[0].upper() + _ABOUT[1:] + ".",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.set_defaults(carry_out=divergences)
    made.add_argument("--only", metavar="ID", type=_id, action="append", default=[], help="probe this only, repeatable")
    made.add_argument(
        "-o", "--output", "--json", dest="json", metavar="FILE", help="write what was found there, as JSON"
    )


def divergences(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Probe psmux; see `seamripper divergences --help`. Exit code 1 where it is not what was believed."""
    output = Output(host)
    catalogue = psmux_catalogue()
    said = _version(host)
    profile = profile_of(said, catalogue)
    if profile is None:
        known = ", ".join(catalogue.profiles)
        raise CommandError(f"psmux says it is {said!a:.100}", f"the catalogue describes {known}", EXIT_USAGE)
    output.say(f"{' / '.join(said.splitlines())}, held against {profile}")
    results = []
    with interruptible() as switch:
        for seen in probe_all(catalogue, profile, host.environment, frozenset(arguments.only)):
            results.append(seen)
            if switch.by is not None:
                raise CommandError(f"stopped by {switch.by} after {seen.check_id}", "", 128 + (switch.signum or 0))
    output.show(_table(results))
    if arguments.json is not None:
        found = Findings(said, profile, tuple(results))
        output.aside(f"written {put_file(host, '--output', arguments.json, found.to_json())}")
    return 1 if any(seen.outcome is Verdict.OTHERWISE for seen in results) else 0


def _version(host: Host) -> str:
    """What psmux says of its version. Raises `CommandError` where there is none that can be asked."""
    try:
        done = host.processes.run(("psmux", "-V"), timeout_s=_VERSION_S, env=dict(host.environment))
    except (OSError, subprocess.SubprocessError) as error:
        why = "is not on PATH" if isinstance(error, FileNotFoundError) else f"cannot be asked: {error}"
        advice = "install it, or put its double there: docs/psmux.md"
        raise CommandError(f"psmux {why}", advice, EXIT_USAGE) from error
    return (decode(done.stdout) or "").replace("\r\n", "\n").rstrip("\n")


def _table(results: list[Seen]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("divergence", "psmux is", "seen, or why it was not looked for"):
        table.add_column(title, overflow="fold")
    styles = {Verdict.AS_CATALOGUED: "green", Verdict.OTHERWISE: "red", Verdict.NOT_PROBED: "dim"}
    for seen in results:
        verdict = Text(seen.outcome.value, style=styles[seen.outcome])
        table.add_row(Text(seen.check_id), verdict, Text(literal(seen.seen, 2000)))
    return table


def _id(text: str) -> str:
    known = list(psmux_catalogue().divergences)
    if text in known:
        return text
    told = [f"there is no divergence {text!r:.60}", nearest(text, known)]
    raise argparse.ArgumentTypeError("; ".join(filter(None, told)))
