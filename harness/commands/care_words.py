"""What can be said about runs that are there: stopping them, looking into their windows, tidying up after them."""

from __future__ import annotations

import argparse

from harness.commands.attach import attach
from harness.commands.stop import stop
from harness.commands.wording import Commands, add_command, add_place, seconds

__all__ = ["add_attach", "add_stop"]

_RUN = "the run: its id, a unique beginning or end of it, or its directory"


def add_stop(commands: Commands) -> None:
    """`seamripper stop`."""
    made = add_command(
        commands,
        "stop",
        stop,
        "stop a run that is being driven, and wait until it has ended",
        "  seamripper stop 3f9a2c              its sessions are ended; `resume` goes on\n"
        "  seamripper stop 3f9a2c --graceful   its sessions may come to their end, no other one is started\n"
        "  seamripper stop 3f9a2c --now        no more time for a tidy end\n",
        _EXIT_CODES_OF_STOP,
    )
    _add_run(made)
    how = made.add_mutually_exclusive_group()
    how.add_argument("--graceful", action="store_true", help="let running sessions end, and start no other one")
    how.add_argument("--now", action="store_true", help="force it: a second signal, a moment after the first")
    made.add_argument("--wait", metavar="S", type=seconds, help="seconds to wait (default: as long as a stop may take)")
    add_place(made)


_EXIT_CODES_OF_STOP = """\
exit codes:
  0 the run has ended    1 it has not, it crashed, or it was not running    2 usage
"""


def add_attach(commands: Commands) -> None:
    """`seamripper attach`."""
    made = add_command(
        commands,
        "attach",
        attach,
        "show a run's session in this terminal, where it is proven to be there",
        "  seamripper attach 3f9a2c               detach again with the multiplexer's own keys: C-b d\n"
        "  seamripper attach 3f9a2c --task build  the window that this task is at work in\n",
        _EXIT_CODES_OF_ATTACH,
    )
    _add_run(made)
    made.add_argument("--task", metavar="KEY", help="show the window of this task (default: the current one)")
    add_place(made)


_EXIT_CODES_OF_ATTACH = """\
exit codes:
  0 it was shown    1 there is nothing to show, or no terminal to show it in    2 usage
"""


def _add_run(made: argparse.ArgumentParser) -> None:
    made.add_argument("run", metavar="RUN", help=_RUN)
