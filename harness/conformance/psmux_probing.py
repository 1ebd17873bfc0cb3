"""Whether a psmux is what the catalogue says of its version: each probe, on a host of its own that is gone afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path

import msgspec

from backends.clock import Clock
from backends.processes import Completed
from backends.psmux_catalogue import Catalogue, Divergence
from backends.psmux_dialect import launch_lines, launch_script, parse_version, powershell, sink_script
from backends.psmux_probes import Look, Run, Step, filled
from backends.transport import decode
from harness.conformance.psmux_world import PsmuxWorld

__all__ = ["PATIENCE_S", "Findings", "Seen", "Verdict", "probe_all", "probed", "profile_of"]

PATIENCE_S = 20.0
"""Seconds that a step with `wait` is given."""
_CLIENT_S = 30.0
"""Seconds that one client is given."""
_LOOK_S = 0.05
_NAMES_ITSELF = (3, 3, 7)
"""From this version on psmux says its own name; before it, only `tmux` and a version that no tmux has."""
_SHOWN = 300
_LOG_LIMIT = 1_000_000


class Verdict(Enum):
    """What came of a probe."""

    AS_CATALOGUED = "as catalogued"
    OTHERWISE = "otherwise"
    NOT_PROBED = "not probed"


class Seen(msgspec.Struct, frozen=True):
    """What came of one divergence; `seen` is what was seen instead, or why nothing was tried."""

    check_id: str
    outcome: Verdict
    seen: str = ""


class Findings(msgspec.Struct, frozen=True):
    """What came of all of them: what psmux says of its version, and the profile that it was held against."""

    psmux: str
    profile: str
    results: tuple[Seen, ...]
    schema: int = 1

    def to_json(self) -> str:
        """As one JSON document, for people as well."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode("utf-8") + "\n"


def profile_of(said: str, catalogue: Catalogue) -> str | None:
    """The profile of the psmux that says `said` to `-V`; `None` where the catalogue describes no such version.

    What is newer than every version of the catalogue is held against its last profile.
    """
    *named, newest = catalogue.profiles
    known = {tuple(map(int, name.split("."))): name for name in named}
    version = parse_version(said)
    if version is None:
        return next((name for number, name in known.items() if said == f"tmux {name}" and number < _NAMES_ITSELF), None)
    return known.get(version) or (newest if version > max(known) else None)


def probe_all(
    catalogue: Catalogue, profile: str, environment: Mapping[str, str], only: frozenset[str] = frozenset()
) -> Iterator[Seen]:
    """What comes of each divergence, or of those in `only`, one after the other."""
    for one in catalogue.divergences.values():
        if not only or one.id in only:
            yield probed(one, profile, environment)


def probed(one: Divergence, profile: str, environment: Mapping[str, str], patience_s: float = PATIENCE_S) -> Seen:
    """What comes of one divergence in that profile, on the psmux that is on the PATH of `environment`."""
    if isinstance(one.probe, str):
        return Seen(one.id, Verdict.NOT_PROBED, one.probe)
    world = PsmuxWorld()
    try:
        stage = _Stage(world, environment, patience_s)
        for step in one.probe.steps(profile in one.profiles):
            wrong = stage.carry_out(step)
            if wrong:
                return Seen(one.id, Verdict.OTHERWISE, wrong)
    finally:
        world.close()
    return Seen(one.id, Verdict.AS_CATALOGUED)


class _Stage:
    """Where one probe takes place: a data directory, a directory for its files, and what its steps have kept."""

    def __init__(self, world: PsmuxWorld, environment: Mapping[str, str], patience_s: float) -> None:
        self._world = world
        self._patience_s = patience_s
        self._launches = 0
        self._names = {
            "data": world.data_dir.as_posix(),
            "scratch": world.project.as_posix(),
            "python": Path(sys.executable).as_posix(),
        }
        ours = {
            "PSMUX_DATA_DIR": os.fspath(world.data_dir),
            "PSMUX_NO_WARM": "1",
            "TMUX_TMPDIR": os.fspath(world.data_dir),
        }
        self._environment = {name: value for name, value in environment.items() if not _leads_astray(name)} | ours

    def carry_out(self, step: Step) -> str:
        """Nothing if the step came as expected, else what was seen."""
        if isinstance(step, Look):
            return self._until(step.wait, lambda: self._look(step))
        return self._until(step.wait, lambda: self._run(step))

    def _until(self, wait: bool, attempt: Callable[[], str]) -> str:
        """What `attempt` says at last: at once, or once it says nothing or the time is up."""
        clock: Clock = self._world.clock
        end = clock.monotonic() + (self._patience_s if wait else 0)
        while (wrong := attempt()) and clock.monotonic() < end:
            clock.wait(_LOOK_S)
        return wrong

    def _look(self, step: Look) -> str:
        path = Path(filled(step.file, self._names))
        try:
            text = self._world.disk.read(path, limit=_LOG_LIMIT).decode("utf-8", "backslashreplace")
        except FileNotFoundError:
            text = ""
        holds, lacks = self._pattern(step.holds), self._pattern(step.lacks)
        if holds.search(text) and not (step.lacks and lacks.search(text)):
            return ""
        return f"{path.name} holds {text!a:.{_SHOWN}}"

    def _run(self, step: Run) -> str:
        words = [filled(word, self._names) for word in step.run]
        if step.program:
            words.append(self._launch(tuple(filled(word, self._names) for word in step.program)))
        if step.sink:
            words.append(" ".join(powershell(sink_script(filled(step.sink, self._names)))))
        env = {name: filled(value, self._names) for name, value in step.env.items()}
        try:
            done = self._client(words, filled(step.stdin, self._names).encode("utf-8"), env)
        except subprocess.TimeoutExpired:
            return f"`psmux {' '.join(words)!s:.{_SHOWN}}` did not end in {_CLIENT_S:g} s"
        out, err = (_plain(data) for data in (done.stdout, done.stderr))
        fits = self._pattern(step.out).fullmatch(out) and self._pattern(step.err).fullmatch(err)
        if done.status == step.status and fits:
            if step.keep:
                self._names[step.keep] = out
            return ""
        asked = " ".join(step.run)
        return f"`psmux {asked}` ended with {done.status} and wrote {out!a:.{_SHOWN}}" + (
            f", and {err!a:.{_SHOWN}} on stderr" if err else ""
        )

    def _client(self, words: list[str], stdin: bytes, env: Mapping[str, str]) -> Completed:
        given = {**self._environment, **env}
        return self._world.processes.run(("psmux", *words), timeout_s=_CLIENT_S, stdin=stdin, env=given)

    def _launch(self, argv: tuple[str, ...]) -> str:
        """The command line of a window that becomes `argv`, as the backend would give it."""
        self._launches += 1
        file = self._world.project / f"{self._launches}.launch"
        exits = os.fspath(self._world.project / "pane-")
        self._world.disk.write(file, launch_lines(self._world.project, argv, {}, exits))
        return " ".join(powershell(launch_script(os.fspath(file))))

    def _pattern(self, text: str) -> re.Pattern[str]:
        return re.compile(filled(text, {name: re.escape(word) for name, word in self._names.items()}), re.DOTALL)


def _plain(data: bytes | None) -> str:
    """Output as text, with one kind of line end and none at its end."""
    return (decode(data) or "").replace("\r\n", "\n").rstrip("\n")


def _leads_astray(name: str) -> bool:
    """Whether a variable would choose a session, a server or a pane; that of the double only says what it is like."""
    return name.upper().startswith(("TMUX", "PSMUX")) and not name.startswith("PSMUX_DOUBLE")
