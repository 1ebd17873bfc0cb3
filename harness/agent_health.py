"""Whether agents can be driven from here: is the tool there, is its version one that was measured, does the relay answer.

Nothing is launched but `TOOL --version` and the hook relay, each with a deadline; whatever they answer is an answer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.disk import Disk
from backends.entropy import Entropy
from backends.errors import printable
from backends.processes import ProcessTable
from harness.agent_data import KINDS, ProfileData, built_in, profile_data, user_file, user_tables
from harness.command_profile import RELAY, relay_argv
from harness.engine.events import EventKind, EventReader

__all__ = ["AgentHealth", "agent_health", "find_program", "relay_trouble", "version_in"]

DEADLINE_S = 20.0
"""Seconds that a tool is given to tell its version: some are slow to start on a busy machine."""

_VERSION = re.compile(r"(?<![\w.])v?(\d{1,9}(?:\.\d{1,9}){1,3}(?:[-+][0-9A-Za-z][0-9A-Za-z.-]{0,40})?)(?!\w)")
_OUTPUT = 4096


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """What there is of one kind of agent.

    `path` is where its program was found, `None` where it is not on the PATH. `version` is what it says of itself, `None`
    with a `note` where that could not be learned. `measured` are the versions that its profile was measured with. `relay`
    says what is wrong with the hook relay, and is empty where it answers.
    """

    name: str
    binary: str
    path: str | None
    version: str | None
    measured: tuple[str, ...]
    relay: str = ""
    note: str = ""

    @property
    def installed(self) -> bool:
        """Whether there is anything to run."""
        return self.path is not None

    @property
    def known(self) -> bool:
        """Whether the profile was measured with this version."""
        return self.version in self.measured

    @property
    def ok(self) -> bool:
        """Whether it can be driven, as far as can be told without launching it."""
        return self.installed and not self.relay

    def line(self) -> str:
        """The finding for people, on one line."""
        if not self.installed:
            return f"{self.name}: {self.note or f'{self.binary} is not on the PATH'}"
        told = self.version or f"version unknown ({self.note})"
        known = "" if self.known else f", measured with {', '.join(self.measured) or 'none'}"
        return f"{self.name}: {told}{known}, {self.path}" + (f"; relay: {self.relay}" if self.relay else "")

    def document(self) -> dict[str, Any]:
        """The finding for programs."""
        return {
            "name": self.name,
            "ok": self.ok,
            "binary": self.binary,
            "installed": self.installed,
            "path": self.path,
            "version": self.version,
            "known": self.known,
            "measured": list(self.measured),
            "relay": self.relay,
            "note": self.note,
        }


def agent_health(
    processes: ProcessTable,
    disk: Disk,
    entropy: Entropy,
    environment: Mapping[str, str],
    scratch: Path,
    kinds: Sequence[str] = KINDS,
) -> list[AgentHealth]:
    """What there is of each kind of agent, with the user's own configuration of it.

    The relay is run once, in a directory below `scratch` that is gone afterwards. Raises nothing: what cannot be learned is
    said in `note` or `relay`.
    """
    relay = relay_trouble(processes, disk, entropy, environment, scratch)
    try:
        tables: Mapping[str, Mapping[str, Any]] = user_tables(disk, user_file(environment))
        trouble = ""
    except ValueError as exc:
        tables, trouble = {}, str(exc)
    found = []
    for kind in kinds:
        own, note = tables.get(kind, {}), trouble
        try:
            data = profile_data(built_in(kind), own)
        except ValueError as exc:
            data, note = profile_data(built_in(kind)), f"agents.{kind} of your configuration: {exc}"
        found.append(_health(kind, data, processes, environment, relay, note))
    return found


def _health(
    kind: str, data: ProfileData, processes: ProcessTable, environment: Mapping[str, str], relay: str, note: str
) -> AgentHealth:
    path = find_program(data.binary, environment)
    version, trouble = (None, "") if path is None else _version_of(path, processes, environment)
    return AgentHealth(kind, data.binary, path, version, data.measured, relay, note or trouble)


def find_program(name: str, environment: Mapping[str, str]) -> str | None:
    """Where the program is that `name` stands for, as a shell would find it; `None` where there is none."""
    places = [""] if "/" in name else environment.get("PATH", os.defpath).split(os.pathsep)
    for place in places:
        candidate = os.path.join(place, name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return os.path.abspath(candidate)
    return None


def _version_of(path: str, processes: ProcessTable, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The version that the program tells, or `None` and why it is not known."""
    try:
        done = processes.run((path, "--version"), timeout_s=DEADLINE_S, env=environment, newest=_OUTPUT)
    except subprocess.TimeoutExpired:
        return None, f"no answer to --version within {DEADLINE_S:g} s"
    except (OSError, ValueError) as exc:
        return None, f"cannot be run: {_reason(exc)}"
    version = version_in(done.stdout) or version_in(done.stderr)
    if version is not None:
        return version, ""
    said = (done.stdout or done.stderr).decode("utf-8", "replace").strip()[:60]
    return (
        None,
        f"--version ended with {done.status} and said {said!r}" if said else f"--version ended with {done.status}",
    )


def version_in(output: bytes) -> str | None:
    """The first version number in what a tool says of itself."""
    found = _VERSION.search(output.decode("utf-8", "replace"))
    return None if found is None else found[1]


def relay_trouble(
    processes: ProcessTable,
    disk: Disk,
    entropy: Entropy,
    environment: Mapping[str, str],
    scratch: Path,
    python: str = sys.executable,
    program: str = RELAY,
) -> str:
    """What is wrong with the hook relay, empty where one call of it made one event."""
    directory = scratch / f".relay-{entropy.suffix()}"
    own = {"SEAMRIPPER_EVENTS": str(directory), "SEAMRIPPER_TOKEN": "health", "SEAMRIPPER_TASK": "health"}
    try:
        disk.mkdir(directory, private=True)
        try:
            done = processes.run(
                relay_argv(EventKind.STOP, python, program),
                timeout_s=DEADLINE_S,
                stdin=b"{}",
                env={**environment, **own},
                newest=_OUTPUT,
            )
            events, notes = EventReader(disk, directory).poll()
        finally:
            disk.remove_tree(directory)
    except subprocess.TimeoutExpired:
        return f"no answer within {DEADLINE_S:g} s"
    except (OSError, ValueError) as exc:
        return f"cannot be run: {_reason(exc)}"
    if [(event.kind, event.token) for event in events] == [(EventKind.STOP, "health")]:
        return ""
    said = printable(done.stderr.decode("utf-8", "replace").strip(), 200)
    return "; ".join([*notes, said]).strip("; ") or f"it made no event and ended with {done.status}"


def _reason(exc: OSError | ValueError) -> str:
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
