"""What can be said to `seamripper`: its commands, their options and help, and which values they take."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from backends.later import later
from harness.commands.wording import EXIT_CODES, Commands, Parser, add_command, add_place, at_least_one, count

__all__ = ["parser"]

backends = later("harness.commands.backends:backends")
list_runs = later("harness.commands.looking:list_runs")
resume = later("harness.commands.resume:resume")
run = later("harness.commands.run:run")
status = later("harness.commands.looking:status")
version_of = later("backends.installed:version_of")
add_completion = later("harness.commands.completion:add_completion")

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


def parser(first: str | None = None) -> argparse.ArgumentParser:
    """Everything that can be said to `seamripper`; where the `first` word is known, only what can be said after that one."""
    top = Parser(
        prog="seamripper",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    if first == "--version":
        return top
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    chosen = _WORDS.get(first or "")
    for add in _WORDS.values() if chosen is None else (chosen,):
        add(commands)
    if chosen is None:
        add_completion(commands, top)
    return top


class _Version(argparse.Action):
    """Tells the version, which nobody else has to wait for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """See `argparse.Action`."""
        sys.stdout.write(f"seamripper {version_of('seamripper') or '(not installed)'}\n")
        parser.exit()


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


def _add_backends(commands: Commands) -> None:
    add_command(commands, "backends", backends, "list the multiplexers that can be driven", "  seamripper backends\n")


_WORDS: Mapping[str, Callable[[Commands], None]] = {
    "run": _add_run,
    "resume": _add_resume,
    "list": _add_list,
    "status": _add_status,
    "stop": later("harness.commands.care_words:add_stop"),
    "attach": later("harness.commands.care_words:add_attach"),
    "cleanup": later("harness.commands.care_words:add_cleanup"),
    "tui": later("harness.commands.tui:add_tui"),
    "probe": later("harness.commands.probe_words:add_probe"),
    "backends": _add_backends,
    "diagnose": later("harness.commands.care_words:add_diagnose"),
    "doctor": later("harness.commands.care_words:add_doctor"),
    "faults": later("harness.commands.fault_words:add_faults"),
    "shim": later("harness.commands.shim_words:add_shim"),
    "conform": later("harness.commands.conform_words:add_conform"),
    "divergences": later("harness.commands.divergences:add_divergences"),
    "report": later("harness.commands.report_words:add_report"),
}
"""What adds the words of each command; `completion`, which is taught all of them, comes after."""


def _run_id(text: str) -> str:
    if not text.replace("-", "").replace("_", "").isalnum() or not text.isascii() or len(text) > 64 or text[0] in "-_":
        raise argparse.ArgumentTypeError(f"expected letters, digits, - and _, got {text!r:.80}")
    return text
