"""The command `seamripper`: parses arguments, hands on to `harness.commands`, and stands behind them.

Whatever comes out of a command ends here: what was to be expected as one line that says what to do, anything else as one
line `error: Type: message`, exit code 70 and, where there is a run, a crash record in its directory.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import sys
from collections.abc import Sequence

from harness.commands.current import Drive
from harness.commands.host import Host, forgiving, this_host
from harness.commands.mishaps import EXIT_CRASHED, EXIT_USAGE, as_expected, as_refused, complain
from harness.commands.output import OutputGone
from harness.commands.wording import Command
from harness.commands.words import parser
from harness.record import describe

__all__ = ["main", "parser"]

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None, host: Host | None = None) -> int:
    """Carry out the command line `argv` (default: this process's) on `host`, and answer its exit code. Never raises."""
    current = Drive()
    with current.until_the_end:
        try:
            host = host or this_host()
            arguments = _parsed(host, argv)
            if isinstance(arguments, int):
                return arguments
            carry_out: Command = arguments.carry_out
            return carry_out(arguments, host, current)
        except BaseException as error:
            return _answer_for(error, host, current)


def _parsed(host: Host, argv: Sequence[str] | None) -> argparse.Namespace | int:
    """The arguments, or the exit code where they only asked for help."""
    try:
        with contextlib.redirect_stdout(host.stdout):
            words = sys.argv[1:] if argv is None else argv
            return parser(words[0] if words else None).parse_args(words)
    except SystemExit as shown:
        return shown.code if isinstance(shown.code, int) else EXIT_USAGE


def _answer_for(error: BaseException, host: Host | None, current: Drive) -> int:
    """The exit code for what came out of a command, once it was said and recorded; `host` is none if that is what failed."""
    stderr = forgiving(sys.stderr) if host is None else host.stderr
    if isinstance(error, OutputGone) and error.errno == errno.EPIPE:
        # Whoever read us has seen enough.
        return EXIT_BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED if current.recorded is None else current.recorded.exit_code
    expected = as_expected(error) or as_refused(error, current)
    if expected is not None:
        complain(stderr, "; ".join(part for part in (expected.message, expected.advice) if part))
        return expected.code
    told = describe(error)
    if current.summary is None and current.recorded is not None:
        # The engine has recorded this one itself, and handed it on because it is somebody else's control flow.
        complain(stderr, told)
        return current.recorded.exit_code
    try:
        where = current.record_crash(error)
    except BaseException as second:
        told += f" (and its record failed: {describe(second)})"
        where = ""
    complain(stderr, told + (f"; see {where}" if where else ""))
    return EXIT_CRASHED


if __name__ == "__main__":
    sys.exit(main())
