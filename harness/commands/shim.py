"""`seamripper shim`: any program, with a `tmux` on its PATH that goes wrong as planned."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import json
import os
import shlex
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from backends.errors import CommandRejected, TransportError
from backends.posix_signals import SIGKILL, SIGQUIT
from backends.processes import ProcessIdentity
from backends.tmux import private_directory
from faults.errors import FaultPlanError
from faults.plan import FaultPlan
from faults.shim import MULTIPLEXERS, PATH_LIMIT, Shim, ShimCall, remove_killed, shim_plan
from faults.shim_trace import ShimTraceError, again, call_line, fired, first_line, read_fired
from faults.verdict import counted
from harness.commands.choosing import put_file, writable_file
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE, complain
from harness.commands.output import SCHEMA, Output
from harness.dashboard import literal
from harness.engine.signals import HANDED_ON, StopSwitch, stop_signals

__all__ = ["shim"]

_TRACE_LIMIT = 64 << 20
"""Bytes of a trace that is read."""
_RECORD_AGAIN = "record it again, or take that line out to replay what is whole"
_ANOTHER_PLACE = "set XDG_RUNTIME_DIR to a directory of yours"
_NO_FILE, _NO_PROGRAM = 127, 126
"""What a shell answers for a command that is not there, or cannot be run."""


def shim(arguments: argparse.Namespace, host: Host, current: object) -> int:
    """Run a command under the shim and tell what it reached; see `seamripper shim --help`."""
    plan = _planned(arguments, host)
    if not arguments.command:
        raise CommandError("no command is given", "put it behind `--`, as in `seamripper shim ... -- make`", EXIT_USAGE)
    if not arguments.command[0]:
        raise CommandError("COMMAND is empty", "name a program behind `--`", EXIT_USAGE)
    real = _real(host)
    _check_files(arguments, host)
    record = None if arguments.record is None else _Record(host, arguments.record, plan)
    running = _Running(host, arguments.command, begun=None if record is None else record.begin)
    with stop_signals(running, HANDED_ON):
        return _run(arguments, host, plan, real, record, running)


def _run(
    arguments: argparse.Namespace,
    host: Host,
    plan: FaultPlan,
    real: Mapping[str, str],
    record: _Record | None,
    running: _Running,
) -> int:
    """All that a signal may not cut short: whatever is made for the command, and what is told of it."""
    directory = _directory(host)
    made = None
    try:
        made = Shim(
            plan,
            directory,
            real,
            clock=host.clock,
            disk=host.disk,
            die=running.die,
            heard=None if record is None else record.add,
        )
        with made:
            status = running.to_its_end(made.environment(_as_given(host.environment)))
    except (OSError, CommandError) as error:
        for trouble in [] if made is None else made.troubles:
            complain(host.stderr, trouble)
        if isinstance(error, CommandError):
            raise
        raise CommandError(
            f"the shim cannot be set up: {error.strerror}: {error.filename or directory}",
            _ANOTHER_PLACE,
        ) from error
    finally:
        _remove_place(directory.parent, host)
    told = _Told(plan, arguments.command, status, made)
    _tell(host, told, arguments)
    kept = record is None or record.is_whole()
    if status < 0:
        return 128 - status
    return status if kept and not told.troubles and (arguments.allow_unfired or not told.unfired) else 1


def _check_files(arguments: argparse.Namespace, host: Host) -> None:
    """Refuse what could not be written when the command has ended; no file is touched."""
    given = {"--record": arguments.record, "--summary": arguments.summary}
    named = {option: name for option, name in given.items() if name is not None}
    try:
        paths = [os.path.realpath(writable_file(host, option, name)) for option, name in named.items()]
    except CommandError as error:
        raise CommandError(error.message, error.advice, EXIT_USAGE) from error
    if len(set(paths)) < len(paths):
        raise CommandError("--record and --summary name the same file", "choose another name for one", EXIT_USAGE)


def _planned(arguments: argparse.Namespace, host: Host) -> FaultPlan:
    """What `--plan` says, or the file that `--replay` names."""
    if (arguments.plan is None) == (arguments.replay is None):
        raise CommandError("one of --plan and --replay is needed", "--plan '' is no faults", EXIT_USAGE)
    if arguments.replay is None:
        try:
            return shim_plan(arguments.plan, arguments.seed)
        except FaultPlanError as wrong:
            advice = "name a `transport.` point, see `seamripper shim --help`"
            raise CommandError(f"--plan: {wrong}", advice, EXIT_USAGE) from wrong
    shown = literal(arguments.replay, 200)
    try:
        return again(read_fired(host.disk.read(os.path.realpath(host.cwd / arguments.replay), limit=_TRACE_LIMIT)))
    except OSError as error:
        raise CommandError(f"--replay: {shown}: {error.strerror}", "name a trace of --record", EXIT_USAGE) from error
    except ShimTraceError as wrong:
        advice = _RECORD_AGAIN if wrong.of_a_call else "name a trace of --record"
        raise CommandError(f"--replay: {shown}: {wrong}", advice, EXIT_USAGE) from wrong


def _real(host: Host) -> dict[str, str]:
    """Where the multiplexers are that this host has."""
    if not hasattr(os, "fork"):
        raise CommandError("the shim needs a host with POSIX", "there is none for psmux on Windows", EXIT_USAGE)
    places = [place for place in host.environment.get("PATH", "").split(os.pathsep) if place]
    found = {}
    for name in MULTIPLEXERS:
        paths = (os.path.join(host.cwd / place, name) for place in places)
        path = next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)
        if path is not None:
            found[name] = path
    if not found:
        raise CommandError("there is no tmux on PATH to stand before", "install tmux, or correct PATH", EXIT_USAGE)
    return found


def _directory(host: Host) -> Path:
    """A name for the launchers' directory, in one that only we can enter, and that stays.

    Servers that outlive the command keep it on the PATH of their windows: nobody else may ever make it.
    """
    uid = os.getuid()
    given = (host.environment.get(name, "") for name in ("XDG_RUNTIME_DIR", "TMPDIR"))
    # The specification of XDG_RUNTIME_DIR has a relative one ignored; what separates the names on PATH cannot be in one.
    runtime, temporary = (place if os.path.isabs(place) else None for place in given)
    for place in map(Path, (runtime or f"/run/user/{uid}", temporary or "/tmp", "/tmp")):
        own = place / f"sm-{uid}-shim"
        made = own / host.entropy.token()
        if os.pathsep in str(place):
            continue
        if os.access(place, os.W_OK | os.X_OK) and len(os.fsencode(made / "ask")) <= PATH_LIMIT:
            try:
                private_directory(own)
            except (CommandRejected, TransportError) as refused:
                raise CommandError(refused.message, _ANOTHER_PLACE, EXIT_USAGE) from refused
            remove_killed(own, host.disk, host.clock)
            return made
    raise CommandError("there is no directory for the shim", "set XDG_RUNTIME_DIR to a short directory of yours")


def _remove_place(own: Path, host: Host) -> None:
    """Remove the directory around the launchers', where nobody but us could make it again.

    Another shim that begins at this moment makes it anew.
    """
    try:
        around = os.stat(own.parent)
        if around.st_uid == os.getuid() and not around.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            host.disk.remove_directory(own)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            complain(host.stderr, f"{own} could not be removed: {error.strerror}")


def _as_given(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, without what this interpreter has done to it: where it finds the C locale, it sets LC_CTYPE."""
    given = dict(environment)
    if environment is os.environ:
        with contextlib.suppress(psutil.Error, OSError):
            before = psutil.Process().environ().get("LC_CTYPE")
            given.pop("LC_CTYPE", None)
            given |= {} if before is None else {"LC_CTYPE": before}
    return given


class _Running(StopSwitch):
    """The command while it runs: it is handed the signals that we get, and can be killed."""

    def __init__(self, host: Host, argv: Sequence[str], begun: Callable[[], None] | None = None) -> None:
        """`begun` is called when the command has begun, once or more often."""
        super().__init__()
        self._begun = begun or (lambda: None)
        self._host = host
        self._argv = list(argv)
        self._who: ProcessIdentity | None = None
        self._early: list[int] = []
        self._over = False
        self._started = threading.Event()

    def to_its_end(self, environment: Mapping[str, str]) -> int:
        """Run it; its exit status, negative for a signal."""
        try:
            status = self._host.processes.foreground(self._argv, environment, self._is)
        except OSError as error:
            code = _NO_FILE if isinstance(error, FileNotFoundError) else _NO_PROGRAM
            why = error.strerror or type(error).__name__
            raise CommandError(f"{literal(self._argv[0], 200)}: {why}", "name a command on PATH", code) from error
        self._over = True
        self._begun()
        return status

    def _is(self, who: ProcessIdentity) -> None:
        self._begun()
        self._who = who
        self._started.set()
        while self._early:
            self._host.processes.signal(who, self._early.pop())

    def deliver(self, signum: int) -> None:
        """Hand the signal on; a terminal's own has reached the command as well.

        When the command has ended there is nothing left to stop: what it came to is told first, and then this ends anyway.
        """
        typed = signum in (signal.SIGINT, SIGQUIT) and self._host.stdin is not None and self._host.stdin.isatty()
        if self._over or typed:
            return
        if self._who is None:
            self._early.append(signum)
        else:
            self._host.processes.signal(self._who, signum)

    def die(self) -> None:
        """Kill it: a call may come before we have been told who it is."""
        if self._started.wait(10) and self._who is not None:
            self._host.processes.signal(self._who, SIGKILL)


class _Record:
    """The file that every call is written to; an older one stays until the command has begun."""

    def __init__(self, host: Host, name: str, plan: FaultPlan) -> None:
        self._host = host
        self._name = name
        self._plan = plan
        self._path = host.cwd / name
        self._node: int | None = None
        self._size = 0
        self._lock = threading.Lock()
        self._failed = ""

    def begin(self) -> None:
        """Write the first line, if it is not there."""
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        if self._node is not None or self._failed:
            return
        head = first_line(self._plan, self._host.clock.wall())
        try:
            put_file(self._host, "--record", self._name, head)
        except CommandError as error:
            self._failed = error.message.removeprefix("--record: ")
            return
        there = self._host.disk.info(self._path)
        self._node, self._size = -1 if there is None else there.node, len(head)

    def _look(self) -> None:
        there = self._host.disk.info(self._path)
        if not self._failed and (there is None or (there.node, there.size) != (self._node, self._size)):
            self._failed = "it was removed meanwhile" if there is None else "it was replaced meanwhile"

    def add(self, call: ShimCall) -> None:
        """One more call."""
        with self._lock:
            try:
                self._begin()
                self._look()
                line = call_line(call)
                if not self._failed and self._host.disk.append(self._path, line) < len(line):
                    self._failed = "it was cut short"
                self._size += len(line)
            except OSError as error:
                self._failed = error.strerror or type(error).__name__

    def is_whole(self) -> bool:
        """Whether all calls are in it; says so if not."""
        self._look()
        if self._failed:
            complain(self._host.stderr, f"--record: not every call could be written: {self._failed}")
        return not self._failed


def _quoted(word: str) -> str:
    """It as a word of a shell's line; where it is no text that can be shown, as bash, ksh and zsh read it."""
    if word.isprintable():
        return shlex.quote(word)
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\{byte:03o}" for byte in os.fsencode(word))
    return f"$'{''.join(plain)}'"


class _Told:
    """What is to be said when all is over."""

    def __init__(self, plan: FaultPlan, command: Sequence[str], status: int, made: Shim) -> None:
        self.command = list(command)
        self.status = status
        self.reached = dict(sorted(made.reached.items()))
        self.injections = made.injections
        self.unfired = [str(fault) for fault in made.unfired()]
        self.troubles = made.troubles
        same = again(fired(self.injections)) if self.injections else plan
        seed = f" --seed {same.seed}" if same.seed else ""
        command = " ".join(map(_quoted, self.command))
        self.replay = f"seamripper shim --plan {_quoted(str(same))}{seed} -- {command}"

    def lines(self) -> Iterator[tuple[str, str]]:
        """The summary as text, each line with its style."""
        ended = f"ended with {self.status}" if self.status >= 0 else f"was ended by signal {-self.status}"
        yield f"{self.command[0]} {ended}, after {counted(sum(self.reached.values()), 'call')} of tmux", ""
        for point, calls in self.reached.items():
            yield f"  {calls:>6}  {point}", ""
        if not self.reached:
            yield "  a program that names tmux with its whole path, or changes its PATH, cannot be reached", "yellow"
        for injection in self.injections:
            yield f"  {injection}", ""
        for rule in self.unfired:
            yield f"✖ `{rule}` never fired", "bold red"
        for trouble in self.troubles:
            yield f"✖ {trouble}", "bold red"

    def document(self) -> dict[str, Any]:
        """The same for a program."""
        listed = [
            {"number": one.number, "at_s": one.at_s, "point": one.point, "call": one.call_number}
            | {"action": one.action, "rule": one.rule}
            for one in self.injections
        ]
        said = {"command": self.command, "status": self.status, "reached": self.reached, "injections": listed}
        return {**said, "unfired": self.unfired, "troubles": self.troubles, "replay": self.replay}


def _tell(host: Host, told: _Told, arguments: argparse.Namespace) -> None:
    """On standard error, because standard output is the command's own, or into a file if that can be written."""
    if arguments.summary is not None:
        try:
            put_file(host, "--summary", arguments.summary, json.dumps({"schema": SCHEMA, **told.document()}) + "\n")
            return
        except CommandError as error:
            complain(host.stderr, error.message)
    output = Output(dataclasses.replace(host, stdout=host.stderr), as_json=arguments.json, lasting=True)
    if arguments.json:
        output.document(told.document())
        return
    for line, style in told.lines():
        output.say(line, style)
    output.copyable(f"replay    {told.replay}")
