"""What can be said about runs that are there: stopping them, looking into their windows, tidying up after them."""

from __future__ import annotations

import argparse

from backends.later import later
from harness.commands.wording import Commands, add_command, add_place, duration, seconds

__all__ = ["add_attach", "add_cleanup", "add_diagnose", "add_doctor", "add_stop"]

attach = later("harness.commands.attach:attach")
cleanup = later("harness.commands.cleanup:cleanup")
diagnose = later("harness.commands.diagnose:diagnose")
doctor = later("harness.commands.doctor:doctor")
stop = later("harness.commands.stop:stop")

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
        "  seamripper attach 3f9a2c                detach again with the multiplexer's own keys: C-b d\n"
        "  seamripper attach 3f9a2c --task build   the window that this task is at work in\n",
        _EXIT_CODES_OF_ATTACH,
    )
    _add_run(made)
    made.add_argument("--task", metavar="KEY", help="show the window of this task (default: the current one)")
    add_place(made)


_EXIT_CODES_OF_ATTACH = """\
exit codes:
  0 it was shown    1 there is nothing to show, or no terminal to show it in    2 usage
"""


def add_cleanup(commands: Commands) -> None:
    """`seamripper cleanup`."""
    made = add_command(
        commands,
        "cleanup",
        cleanup,
        "end what runs that are over have left behind; what goes on or waits for a person is left alone",
        "  seamripper cleanup --all --dry-run             say what would be ended\n"
        "  seamripper cleanup 3f9a2c                      sessions, processes and windows of that run\n"
        "  seamripper cleanup --all --remove --older-than 7d\n",
        _EXIT_CODES_OF_CLEANUP,
    )
    made.add_argument("run", metavar="RUN", nargs="?", help=_RUN)
    made.add_argument(
        "--all", action="store_true", help="every run below the root, and the root's server if it is idle"
    )
    made.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    made.add_argument("--paused", action="store_true", help="end the sessions of runs that wait for a person as well")
    made.add_argument("--remove", action="store_true", help="delete the directories of finished runs as well")
    made.add_argument(
        "--older-than",
        metavar="AGE",
        type=duration,
        help="with --remove: only of runs that ended so long ago, as in 30d, 12h, 90s (default: 30d; with RUN, any)",
    )
    add_place(made)


_EXIT_CODES_OF_CLEANUP = """\
what is ended:
  sessions, processes and kept windows of runs that are FINISHED, STOPPED, CRASHED or INTERRUPTED; with --all also
  sessions of runs that are gone, and the root's server once nobody needs it

what is left:
  every record, so that what could be resumed still can be; --remove deletes those of FINISHED runs alone
  runs that are RUNNING or UNKNOWN, whatever is asked for; PAUSED ones without --paused, since their sessions wait, too

exit codes:
  0 nothing is left    1 something could not be ended, or the run is not over    2 usage
"""


def add_doctor(commands: Commands) -> None:
    """`seamripper doctor`."""
    made = add_command(
        commands,
        "doctor",
        doctor,
        "say whether plans can be carried out on this host, and what is missing",
        "  seamripper doctor\n  seamripper doctor --root ./runs --json\n",
        _EXIT_CODES_OF_DOCTOR,
    )
    add_place(made)


_EXIT_CODES_OF_DOCTOR = """\
exit codes:
  0 nothing fails    1 something does    2 usage
"""


def add_diagnose(commands: Commands) -> None:
    """`seamripper diagnose`."""
    made = add_command(
        commands,
        "diagnose",
        diagnose,
        "write one archive about a run to attach to a bug report, without prompts and secrets",
        "  seamripper diagnose 3f9a2c\n  seamripper diagnose 3f9a2c -o report.tar.gz\n",
        _EXIT_CODES_OF_DIAGNOSE,
    )
    _add_run(made)
    made.add_argument("-o", "--output", metavar="FILE", help="where to write it (default: seamripper-RUN.tar.gz here)")
    add_place(made)


_EXIT_CODES_OF_DIAGNOSE = """\
exit codes:
  0 the file was written    1 it could not be    2 usage
"""


def _add_run(made: argparse.ArgumentParser) -> None:
    made.add_argument("run", metavar="RUN", help=_RUN)
