"""What can be said to `seamripper shim`: its options and help."""

from __future__ import annotations

import argparse

from backends.later import later
from harness.commands.wording import Commands, add_command

__all__ = ["add_shim"]

shim = later("harness.commands.shim:shim")

_EXIT_CODES = """\
what can happen to a call, by its verb (transport.new-window, transport.*; docs/shim.md has all of it):
  pass, delay(S), timeout[(S)], hang, exit(RC, "STDERR"), output("TEXT"), empty, truncate(N), undecodable,
  oserror(ERRNO), die (of the command); lost:ACTION lets the real tmux do it first

exit codes:
  that of the command; 128+n if signal n ended it; 126 or 127 if it cannot be run
  1 a rule of the plan never fired (unless --allow-unfired), the record is not whole, or the shim itself failed at
    something: calls are not counted, or something is left; the summary says what
  2 usage: a wrong plan or trace, no command, no tmux on PATH, a file that cannot be written
"""


def add_shim(commands: Commands) -> None:
    """Add `shim`."""
    made = add_command(
        commands,
        "shim",
        shim,
        "run any program with a tmux on its PATH that goes wrong as planned",
        "  seamripper shim --plan 'transport.new-window=1*lost:timeout' -- ./start-agents.sh\n"
        "  seamripper shim --plan 'transport.list-*=2*pass->1*timeout(30)' --record calls.jsonl -- python fleet.py\n"
        "  seamripper shim --replay calls.jsonl -- python fleet.py\n"
        "  seamripper shim --plan '' --json -- make test\n",
        _EXIT_CODES,
    )
    made.add_argument("--plan", metavar="PLAN", help="the fault plan, of transport. points; '' is no faults")
    made.add_argument("--seed", metavar="N", type=_seed, default=0, help="seed of the plan's chances (default: 0)")
    made.add_argument("--record", metavar="FILE", type=_file, help="write every call there, one JSON document a line")
    made.add_argument("--replay", metavar="FILE", type=_file, help="instead of a plan: what happened in that record")
    made.add_argument("--allow-unfired", action="store_true", help="a rule that never fired is told, but no failure")
    made.add_argument("--summary", metavar="FILE", type=_file, help="write the summary there as JSON, and not show it")
    made.strange_advice = "put the command behind `--`"
    made.add_argument("command", metavar="COMMAND", nargs="*", help="the program and its arguments, behind `--`")


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r:.80}")
    return int(text)


def _file(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a file, got ''")
    return text
