"""`seamripper completion`: what a shell needs to complete this command line, derived from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from harness.commands.current import Drive
from harness.commands.host import Host
from harness.commands.output import Output
from harness.commands.wording import Commands, Parser, add_command, meant
from harness.record import runs
from harness.runs import PROBES, resolve_root

__all__ = ["add_completion", "completion"]

SHELLS = ("bash", "zsh", "fish")
_RUN_IDS = "run-ids"
"""What the shells ask this command for when a run is to be named."""


def add_completion(commands: Commands, top: Parser) -> None:
    """`seamripper completion`, for all that `top` has been taught by then."""
    made = add_command(
        commands,
        "completion",
        completion,
        "print what makes a shell complete commands, options and runs",
        '  seamripper completion bash                eval "$(seamripper completion bash)" in ~/.bashrc\n'
        '  seamripper completion zsh                 > "${fpath[1]}/_seamripper"\n'
        "  seamripper completion fish                > ~/.config/fish/completions/seamripper.fish\n",
        _EXIT_CODES,
    )
    made.add_argument("shell", metavar="SHELL", type=_shell, help=", ".join(SHELLS))
    made.set_defaults(top=top)


_EXIT_CODES = """\
exit codes:
  0 it was printed    2 usage
"""


def _shell(text: str) -> str:
    if text not in (*SHELLS, _RUN_IDS):
        raise argparse.ArgumentTypeError(f"there is no completion for {text!r:.80}; {meant(text, SHELLS)}")
    return text


def completion(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Print the script for a shell, or the names of all runs; see `seamripper completion --help`."""
    output = Output(host, as_json=arguments.json)
    asked = arguments.shell
    lines = _run_ids(host) if asked == _RUN_IDS else _script(arguments.top, asked).splitlines()
    if output.as_json:
        output.document({"shell": asked, "lines": lines})
    else:
        for line in lines:
            output.raw(line)
    return 0


def _run_ids(host: Host) -> list[str]:
    root = resolve_root(None, host.environment, host.cwd)
    return [found.name for found in (*runs(host.disk, root), *runs(host.disk, root / PROBES))]


def _script(top: argparse.ArgumentParser, shell: str) -> str:
    for action in _actions(top):
        kind = {
            "RUN": shtab.cmd(f"seamripper completion {_RUN_IDS} 2>/dev/null"),
            "PLAN": shtab.FILE,
            "FILE": shtab.FILE,
            "DIR": shtab.DIRECTORY,
        }.get(action.metavar if isinstance(action.metavar, str) else "")
        if kind is not None:
            action.complete = kind  # type: ignore[attr-defined]  # where shtab looks for it
        if action.metavar == "SHELL":
            action.choices = SHELLS
    return shtab.complete(top, shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Everything that can be said, in subcommands as well."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
