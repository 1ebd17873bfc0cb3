"""The command `seamripper`: parses arguments, hands on to `harness.commands`, and stands behind them.

Whatever comes out of a command ends here: what was to be expected as one line that says what to do, anything else as one
line `error: Type: message`, exit code 70 and, where there is a run, a crash record in its directory.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib.metadata
import math
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from harness.agents import DRIVEN_KINDS
from harness.commands.backends import backends
from harness.commands.driving import Drive
from harness.commands.host import CommandError, Host, forgiving, this_host
from harness.commands.looking import list_runs, status
from harness.commands.mishaps import EXIT_CRASHED, EXIT_USAGE, as_expected, complain, record_crash
from harness.commands.output import OutputGone
from harness.commands.probing import probe
from harness.commands.resume import resume
from harness.commands.run import run
from harness.probe import PROBE_TIMEOUT_S
from harness.record import describe

__all__ = ["main", "parser"]

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

Command = Callable[[argparse.Namespace, Host, Drive], int]

_EXIT_CODES = """\
exit codes:
  0 finished    1 finished with a deferred task, or a command failed    2 usage
  70 crashed    75 paused    128+n stopped by signal n
"""

_ABOUT = f"""\
Carries out plans of agent sessions in tmux, survives what goes wrong, and tells truthfully how it ended.

{_EXIT_CODES}
environment:
  SEAMRIPPER_ROOT   where runs are kept (default: $XDG_STATE_HOME/seamripper)
  SEAMRIPPER_MUX    the multiplexer to drive (default: tmux)
  NO_COLOR          no colours

examples:
  seamripper run plan.toml            carry out a plan
  seamripper status                   explain the newest run
  seamripper resume 3f9a              go on with the run whose id begins or ends so
"""


class _Parser(argparse.ArgumentParser):
    """Refuses what it cannot read with one line, as every command does."""

    def error(self, message: str) -> NoReturn:
        """See `argparse`."""
        raise CommandError(message, f"see `{self.prog} --help`", EXIT_USAGE)


def parser() -> argparse.ArgumentParser:
    """Everything that can be said to `seamripper`."""
    top = _Parser(
        prog="seamripper",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"seamripper {_version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_run(commands)
    _add_resume(commands)
    _add_list(commands)
    _add_status(commands)
    _add_probe(commands)
    _add_backends(commands)
    return top


Commands = argparse._SubParsersAction


def _command(
    commands: Commands[_Parser], name: str, carry_out: Command, about: str, examples: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"examples:\n{examples}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.set_defaults(carry_out=carry_out)
    made.add_argument("--json", action="store_true", help="write one JSON document instead of text")
    return made


def _add_place(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--root",
        metavar="DIR",
        type=_directory,
        help="where runs are kept (default: $SEAMRIPPER_ROOT, or the user's state)",
    )
    made.add_argument(
        "--mux", metavar="NAME", help="the multiplexer, or module:Attribute (default: $SEAMRIPPER_MUX, or tmux)"
    )


def _add_run(commands: Commands[_Parser]) -> None:
    made = _command(
        commands,
        "run",
        run,
        "carry out a plan",
        "  seamripper run plan.toml\n"
        "  seamripper run plan.toml --dry-run\n"
        "  seamripper run plan.toml --detach\n"
        "  seamripper run plan.toml --faults 'list_window_ids=2*timeout(5)'\n",
    )
    made.add_argument("plan", metavar="PLAN", help="the plan, a TOML file")
    _add_place(made)
    made.add_argument("--detach", action="store_true", help="drive the run in a window of its own, and print its id")
    made.add_argument("--dry-run", action="store_true", help="check the plan and say what would be done")
    made.add_argument("--max-parallel", metavar="N", type=_at_least_one, help="sessions at once, instead of the plan's")
    made.add_argument("--faults", metavar="FAULTS", default="", help="a rehearsal: carry it out under this fault plan")
    made.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the fault plan's chances (default: 0)")
    made.add_argument("--run-id", type=_run_id, help=argparse.SUPPRESS)


def _add_resume(commands: Commands[_Parser]) -> None:
    made = _command(
        commands,
        "resume",
        resume,
        "go on with a run that crashed, was stopped or interrupted, or waits for approval",
        "  seamripper resume 20260101-120000-3f9a2c\n"
        "  seamripper resume 3f9a2c            a unique beginning or end of the id will do\n"
        "  seamripper resume ./runs/my-run     so will a path\n",
    )
    made.add_argument("run", metavar="RUN", help="the run: its id, a unique beginning or end of it, or its directory")
    _add_place(made)


def _add_list(commands: Commands[_Parser]) -> None:
    made = _command(
        commands, "list", list_runs, "show every run, one line each", "  seamripper list\n  seamripper list --json\n"
    )
    _add_place(made)


def _add_status(commands: Commands[_Parser]) -> None:
    made = _command(
        commands,
        "status",
        status,
        "explain one run: what it is doing, or how it ended, and what can be done",
        "  seamripper status             the newest run\n  seamripper status 3f9a2c --events 30\n",
    )
    made.add_argument("run", metavar="RUN", nargs="?", help="the run (default: the newest)")
    made.add_argument("--events", metavar="N", type=_count, default=10, help="newest events to show (default: 10)")
    _add_place(made)


def _add_probe(commands: Commands[_Parser]) -> None:
    made = _command(
        commands,
        "probe",
        probe,
        "launch one session of an agent and tell which of its hooks reported",
        "  seamripper probe scripted\n  seamripper probe my-agent --plan plan.toml --timeout 60\n",
    )
    made.add_argument("agent", metavar="AGENT", help=f"{', '.join(DRIVEN_KINDS)}, or an agent of the plan")
    made.add_argument("--plan", metavar="FILE", help="a plan that describes agents of your own, in [agents.NAME]")
    made.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=PROBE_TIMEOUT_S,
        help=f"seconds that the agent is given (default: {PROBE_TIMEOUT_S:g})",
    )
    _add_place(made)


def _add_backends(commands: Commands[_Parser]) -> None:
    _command(commands, "backends", backends, "list the multiplexers that can be driven", "  seamripper backends\n")


def _directory(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a directory, got ''")
    return text


def _at_least_one(text: str) -> int:
    number = _count(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, got {text!r:.80}")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 1e9:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r:.80}")
    return seconds


def _run_id(text: str) -> str:
    if not text.replace("-", "").replace("_", "").isalnum() or not text.isascii() or len(text) > 64 or text[0] in "-_":
        raise argparse.ArgumentTypeError(f"expected letters, digits, - and _, got {text!r:.80}")
    return text


def _version() -> str:
    try:
        return importlib.metadata.version("seamripper")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


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
            return parser().parse_args(argv)
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
    expected = as_expected(error)
    if expected is not None:
        complain(stderr, "; ".join(part for part in (expected.message, expected.advice) if part))
        return expected.code
    told = describe(error)
    if current.summary is None and current.recorded is not None:
        # The engine has recorded this one itself, and handed it on because it is somebody else's control flow.
        complain(stderr, told)
        return current.recorded.exit_code
    try:
        where = "" if host is None else record_crash(host, current, error)
    except BaseException as second:
        told += f" (and its record failed: {describe(second)})"
        where = ""
    complain(stderr, told + (f"; see {where}" if where else ""))
    return EXIT_CRASHED


if __name__ == "__main__":
    sys.exit(main())
