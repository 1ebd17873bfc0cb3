"""`seamripper doctor`: whether plans can be carried out here, one finding a line, each with what to do about it."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from rich.table import Table
from rich.text import Text

from backends.base import TerminalMultiplexer
from backends.control import WITHOUT_SETPRIV, too_old
from backends.control_client import ENDED_WITH
from backends.disk import Disk
from backends.errors import BackendNotFound, CommandRejected, MultiplexerError, TransportError, TransportTimeout
from backends.registry import chosen_multiplexer
from backends.tmux import FLOOR, TRANSPORT_VARIABLE, TmuxMultiplexer, chosen_transport, parse_version
from harness.agent_health import AgentHealth, agent_health, find_program
from harness.commands.current import Drive
from harness.commands.host import Host
from harness.commands.output import Output
from harness.dashboard import literal
from harness.runs import resolve_root

__all__ = ["Finding", "Level", "doctor", "findings"]

_OLDEST_PYTHON = (3, 11)
_NEWEST_TMUX = (3, 8, "")
"""The newest version of tmux whose texts and behaviour were measured: docs/decisions/0009-what-tmux-was-seen-to-do.md."""
_REHEARSAL_S = 5.0
"""Seconds that it may take to see whether a client could be kept."""
_ROOM = 100 * 1024 * 1024
"""Bytes that a root should have left: logs of agents are the most that a run writes."""


class Level(StrEnum):
    """How bad it is: fine; not what one would want; no plan can be carried out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing, and what to do where that is not fine."""

    about: str
    level: Level
    found: str
    remedy: str = ""


def doctor(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Examine this host; see `seamripper doctor --help`. Exit code 1 where something fails."""
    output = Output(host, as_json=arguments.json)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    found = findings(host, root, arguments.mux)
    failed = [one for one in found if one.level is Level.FAIL]
    if output.as_json:
        output.document({"ok": not failed, "findings": [asdict(one) for one in found]})
    else:
        output.show(_table(found))
        output.say("no plan can be carried out here" if failed else "plans can be carried out here")
    return 1 if failed else 0


_SHOWN = {Level.OK: ("✔ ok", "green"), Level.WARN: ("! warn", "yellow"), Level.FAIL: ("✖ fail", "bold red")}


def _table(found: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for one in found:
        word, style = _SHOWN[one.level]
        told = literal(one.found, 500) + (f" - {literal(one.remedy, 500)}" if one.remedy else "")
        table.add_row(Text(word, style=style), Text(one.about), Text(told))
    return table


def findings(host: Host, root: Path, mux: str | None = None) -> list[Finding]:
    """Everything that was found out; nothing is raised and nothing stays changed."""
    name = chosen_multiplexer(mux, host.environment)
    return [
        _python(),
        *_multiplexer(host, root, name),
        _psmux(host, name),
        _root(host, root),
        _locale(host),
        *_agents(host, root),
    ]


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= _OLDEST_PYTHON:
        return Finding("python", Level.OK, found)
    return Finding("python", Level.FAIL, found, "install Python 3.11 or newer")


def _multiplexer(host: Host, root: Path, name: str) -> Iterator[Finding]:
    """The backend that would be driven: is it there, is it one that was measured, can its server be reached."""
    kind = ""
    try:
        kind = chosen_transport(None, host.environment) if name == "tmux" else ""
    except CommandRejected as refused:
        yield Finding("transport", Level.FAIL, refused.message, f"unset {TRANSPORT_VARIABLE}")
        return
    try:
        multiplexer = host.multiplexer(name, root)
        line = multiplexer.version() or ""
        usable = multiplexer.available()
    except CommandRejected as refused:
        yield Finding("socket", Level.FAIL, str(refused), "choose a root with a shorter path, or set XDG_RUNTIME_DIR")
        return
    except (BackendNotFound, MultiplexerError, OSError) as error:
        yield Finding(name, Level.FAIL, f"{type(error).__name__}: {error}", "`seamripper backends` lists what there is")
        return
    yield _version(name, line, usable, isinstance(multiplexer, TmuxMultiplexer))
    if usable and isinstance(multiplexer, TmuxMultiplexer):
        yield _transport(host, kind, line)
        yield _socket(host, multiplexer, multiplexer.socket_path)


def _version(name: str, line: str, usable: bool, is_tmux: bool) -> Finding:
    floor = f"{FLOOR[0]}.{FLOOR[1]}{FLOOR[2]}"
    if not usable:
        remedy = f"install tmux {floor} or newer" if is_tmux else "`seamripper backends` says what is missing"
        return Finding(name, Level.FAIL, line or "it is not on the PATH, or does not answer", remedy)
    version = parse_version(line) if is_tmux else None
    if version is not None and version > _NEWEST_TMUX:
        remedy = "what it says in a failure may be taken for unknown: `seamripper conform --mux tmux` tells"
        return Finding(name, Level.WARN, f"{line} is newer than all that were measured", remedy)
    return Finding(name, Level.OK, line or "it can be run")


def _transport(host: Host, kind: str, line: str) -> Finding:
    """How tmux would be asked, and why not otherwise."""
    by_process = "a process for each question"
    if kind == "process":
        return Finding("transport", Level.OK, f"{by_process}, as {TRANSPORT_VARIABLE} says")
    why = too_old(line) or _why_no_client(host)
    if why:
        remedy = "install it, or let it be: all works, and costs more of this host"
        return Finding("transport", Level.WARN, f"{by_process}, because {why}", remedy)
    when = f"from the first one on, as {TRANSPORT_VARIABLE} says" if kind == "control" else "once there are several"
    return Finding("transport", Level.OK, f"one control-mode client for all questions, {when}")


def _why_no_client(host: Host) -> str:
    """Why no client could be kept, as far as that is the host's doing: nothing would end it, or its keeper, with the driver."""
    if find_program("setpriv", host.environment) is None:
        return WITHOUT_SETPRIV
    try:
        done = host.processes.run(ENDED_WITH, timeout_s=_REHEARSAL_S, env=host.environment)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"`{shlex.join(ENDED_WITH)}` cannot be carried out ({type(error).__name__})"
    said = done.stderr.decode("utf-8", "replace").partition("\n")[0]
    return "" if done.status == 0 else f"`{shlex.join(ENDED_WITH)}` fails: {said or f'exit {done.status}'}"


def _socket(host: Host, multiplexer: TerminalMultiplexer, socket: Path) -> Finding:
    """Whether the server's directory can be made, or the server in it answers."""
    directory = socket.parent
    try:
        if host.disk.info(directory) is None:
            host.disk.mkdir(directory, private=True)
            host.disk.remove_directory(directory)
            return Finding("socket", Level.OK, f"{socket}, {len(os.fsencode(socket))} bytes; no server yet")
        server = multiplexer.server_identity()
    except CommandRejected as refused:
        return Finding("socket", Level.FAIL, refused.message, "make it a directory of yours that nobody else can enter")
    except TransportTimeout:
        remedy = "let its process go on (SIGCONT) or end it, or choose another root"
        return Finding("socket", Level.FAIL, f"{socket}; the server there does not answer", remedy)
    except TransportError as error:
        return Finding("socket", Level.WARN, str(error), "`seamripper cleanup --all` ends a server that nobody needs")
    except (OSError, MultiplexerError) as error:
        return Finding(
            "socket", Level.FAIL, f"{directory}: {_why(error)}", "set XDG_RUNTIME_DIR to a directory of yours"
        )
    return Finding("socket", Level.OK, f"{socket}; {'no server' if server is None else f'server pid {server.pid}'}")


def _psmux(host: Host, chosen: str) -> Finding:
    path = find_program("psmux", host.environment)
    if path is not None:
        return Finding("psmux", Level.OK, path)
    return Finding("psmux", Level.OK, "not installed" + ("" if chosen == "psmux" else ", and not needed here"))


def _root(host: Host, root: Path) -> Finding:
    """Whether runs can be recorded there."""
    place = root
    try:
        place = _existing(host.disk, root)
        _try(host.disk, place / f".doctor-{host.entropy.suffix()}")
        free = host.disk.free_bytes(place)
    except OSError as error:
        return Finding(
            "root", Level.FAIL, f"{place}: {_why(error)}", "choose another one with --root or SEAMRIPPER_ROOT"
        )
    if free < _ROOM:
        return Finding("root", Level.WARN, f"{root}: {free // 2**20} MB left", "`seamripper cleanup --all --remove`")
    return Finding("root", Level.OK, f"{root}, {free // 2**20} MB left")


def _existing(disk: Disk, path: Path) -> Path:
    """The directory itself, or the nearest above it that is there."""
    while disk.info(path) is None and path != path.parent:
        path = path.parent
    return path


def _try(disk: Disk, path: Path) -> None:
    disk.mkdir(path, private=True)
    disk.remove_directory(path)


def _locale(host: Host) -> Finding:
    """Whether programs in windows, which inherit it, can show any character."""
    told = next((host.environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if host.environment.get(name)), "")
    if "utf8" in told.replace("-", "").lower():
        return Finding("locale", Level.OK, told)
    return Finding("locale", Level.WARN, told or "not set", "set LC_ALL=C.UTF-8, or what agents show may be garbled")


def _agents(host: Host, root: Path) -> Iterator[Finding]:
    try:
        scratch = _existing(host.disk, root)
    except OSError as error:
        yield Finding("hook relay", Level.FAIL, f"{root}: {_why(error)}", "choose another root")
        return
    found = agent_health(host.processes, host.disk, host.entropy, host.environment, scratch)
    relay = found[0].relay if found else ""
    if relay:
        yield Finding("hook relay", Level.FAIL, relay, "agents would report nothing: see that this Python can be run")
    else:
        yield Finding("hook relay", Level.OK, "it answers")
    yield from (_agent(one) for one in found)


def _agent(health: AgentHealth) -> Finding:
    line = health.line().removeprefix(f"{health.name}: ").partition("; relay:")[0]
    if not health.installed:
        return Finding(health.name, Level.WARN, line, "install it where plans are to use it")
    if not health.known:
        return Finding(
            health.name, Level.WARN, line, f"`seamripper probe {health.name}` shows whether its hooks report"
        )
    return Finding(health.name, Level.OK, line)


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
