"""What can be said to `seamripper`: its commands, their options and help, and which values they take."""

from __future__ import annotations

import argparse
import importlib.metadata

from harness.agents import DRIVEN_KINDS
from harness.commands.backends import backends
from harness.commands.care_words import add_attach, add_cleanup, add_diagnose, add_doctor, add_stop
from harness.commands.completion import add_completion
from harness.commands.conform_words import add_conform
from harness.commands.divergences import add_divergences
from harness.commands.fault_words import add_faults
from harness.commands.looking import list_runs, status
from harness.commands.probing import probe
from harness.commands.report_words import add_report
from harness.commands.resume import resume
from harness.commands.run import run
from harness.commands.tui import add_tui
from harness.commands.wording import EXIT_CODES, Commands, Parser, add_command, add_place, at_least_one, count, seconds
from harness.probe import PROBE_TIMEOUT_S

__all__ = ["parser"]

_ABOUT = f"""\
Carries out plans of agent sessions in tmux, survives what goes wrong, and tells truthfully how it ended.

{EXIT_CODES}
environment:
  SEAMRIPPER_ROOT   where runs are kept (default: $XDG_STATE_HOME/seamripper)
  SEAMRIPPER_MUX    the multiplexer to drive (default: tmux)
  NO_COLOR          no colours

examples:
  seamripper run plan.toml            carry out a plan
  seamripper status                   explain the newest run
  seamripper resume 3f9a              go on with the run whose id begins or ends so
"""


def parser() -> argparse.ArgumentParser:
    """Everything that can be said to `seamripper`."""
    top = Parser(
        prog="seamripper",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"seamripper {_version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    _add_run(commands)
    _add_resume(commands)
    _add_list(commands)
    _add_status(commands)
    add_stop(commands)
    add_attach(commands)
    add_cleanup(commands)
    add_tui(commands)
    _add_probe(commands)
    _add_backends(commands)
    add_diagnose(commands)
    add_doctor(commands)
    add_faults(commands)
    add_conform(commands)
    add_divergences(commands)
    add_report(commands)
    add_completion(commands, top)
    return top


def _add_run(commands: Commands) -> None:
    made = add_command(
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
    add_place(made)
    made.add_argument("--detach", action="store_true", help="drive the run in a window of its own, and print its id")
    made.add_argument("--dry-run", action="store_true", help="check the plan and say what would be done")
    made.add_argument("--max-parallel", metavar="N", type=at_least_one, help="sessions at once, instead of the plan's")
    made.add_argument("--faults", metavar="FAULTS", default="", help="a rehearsal: carry it out under this fault plan")
    made.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the fault plan's chances (default: 0)")
    made.add_argument("--run-id", type=_run_id, help=argparse.SUPPRESS)


def _add_resume(commands: Commands) -> None:
    made = add_command(
        commands,
        "resume",
        resume,
        "go on with a run that crashed, was stopped or interrupted, or waits for approval",
        "  seamripper resume 20260101-120000-3f9a2c\n"
        "  seamripper resume 3f9a2c            a unique beginning or end of the id will do\n"
        "  seamripper resume ./runs/my-run     so will a path\n"
        "  seamripper resume 3f9a2c --detach\n",
    )
    made.add_argument("run", metavar="RUN", help="the run: its id, a unique beginning or end of it, or its directory")
    made.add_argument("--detach", action="store_true", help="drive the run in a window of its own")
    add_place(made)


def _add_list(commands: Commands) -> None:
    made = add_command(
        commands, "list", list_runs, "show every run, one line each", "  seamripper list\n  seamripper list --json\n"
    )
    add_place(made)


def _add_status(commands: Commands) -> None:
    made = add_command(
        commands,
        "status",
        status,
        "explain one run: what it is doing, or how it ended, and what can be done",
        "  seamripper status             the newest run\n  seamripper status 3f9a2c --events 30\n",
    )
    made.add_argument("run", metavar="RUN", nargs="?", help="the run (default: the newest)")
    made.add_argument("--events", metavar="N", type=count, default=10, help="newest events to show (default: 10)")
    add_place(made)


def _add_probe(commands: Commands) -> None:
    made = add_command(
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
        type=seconds,
        default=PROBE_TIMEOUT_S,
        help=f"seconds that the agent is given (default: {PROBE_TIMEOUT_S:g})",
    )
    add_place(made)


def _add_backends(commands: Commands) -> None:
    add_command(commands, "backends", backends, "list the multiplexers that can be driven", "  seamripper backends\n")


def _run_id(text: str) -> str:
    if not text.replace("-", "").replace("_", "").isalnum() or not text.isascii() or len(text) > 64 or text[0] in "-_":
        raise argparse.ArgumentTypeError(f"expected letters, digits, - and _, got {text!r:.80}")
    return text


def _version() -> str:
    try:
        return importlib.metadata.version("seamripper")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
