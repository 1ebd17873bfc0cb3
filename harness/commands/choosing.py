"""Which trial a `seamripper faults` command is about: scenario, world, plan and seed, from words or from a replay file."""

from __future__ import annotations

import argparse
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from backends.disk import Disk, RealDisk
from faults.catalog import LAYERS
from faults.errors import FaultPlanError
from faults.plan import FaultPlan
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE
from harness.dashboard import literal
from harness.record.files import put, temporary
from harness.replays import REPLAY_LIMIT, Replay, ReplayError, parse_replay
from harness.runner import catalog_of
from harness.stories import Story, UnknownStory, story_of
from harness.world import WORLDS

__all__ = [
    "chosen_layers",
    "chosen_plan",
    "chosen_replay",
    "chosen_story",
    "is_replay_file",
    "is_test",
    "put_file",
    "writable_file",
]

_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


_LISTED = "`seamripper faults scenarios` lists them"


def chosen_story(name: str) -> Story:
    """The story called `name`. Raises `CommandError`."""
    try:
        return story_of(name)
    except UnknownStory as unknown:
        missing = isinstance(unknown.__cause__, ModuleNotFoundError)
        own = "`PYTHONPATH=.` lets a module of this directory be found" if missing else "correct it"
        raise CommandError(str(unknown), own if ":" in name else _LISTED, EXIT_USAGE) from unknown


def chosen_layers(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The layers that `--layer` names, all of them unless it does. Raises `CommandError` for one that the world lacks."""
    world = WORLDS[arguments.mux]
    for layer in arguments.layer or ():
        if layer not in world.layers:
            having = next(name for name, other in WORLDS.items() if layer in other.layers)
            raise CommandError(f"--layer: {arguments.mux} has no {layer}", f"add `--mux {having}`", EXIT_USAGE)
    return tuple(arguments.layer or LAYERS)


def chosen_plan(text: str, seed: int, mux: str) -> FaultPlan:
    """The plan that `--plan` says. Raises `CommandError` with the position and the nearest valid name."""
    try:
        return FaultPlan.parse(text, seed, catalog_of(WORLDS[mux]))
    except FaultPlanError as wrong:
        advice = "" if wrong.nearest else "`seamripper faults points SCENARIO` shows what can be planned"
        raise CommandError(f"--plan: {wrong}", advice, EXIT_USAGE) from wrong


def is_test(name: str) -> bool:
    """Whether `name` is the node id of a test rather than the name of a story."""
    return "::" in name


def is_replay_file(name: str) -> bool:
    """Whether `name` is that of a file rather than of a story."""
    return not is_test(name) and (name.endswith(".json") or os.sep in name)


def chosen_replay(arguments: argparse.Namespace, host: Host) -> Replay:
    """The trial that the words say, or the replay file that they name. Raises `CommandError`."""
    name = arguments.scenario
    if not is_replay_file(name):
        if arguments.plan is None:
            raise CommandError("--plan is missing", "name a replay file, or say --plan 'POINT=ACTION'", EXIT_USAGE)
        mux = arguments.mux or "fake"
        return Replay(name, chosen_plan(arguments.plan, arguments.seed or 0, mux), mux)
    for option in ("plan", "seed", "mux"):
        if getattr(arguments, option) is not None:
            raise CommandError(f"--{option}: the replay file says that itself", f"leave out --{option}", EXIT_USAGE)
    shown = literal(name, 200)
    try:
        return parse_replay(_read(host.disk, host.cwd / name))
    except (OSError, ValueError) as error:
        if isinstance(error, ReplayError):
            raise CommandError(f"{shown}: {error}", "", EXIT_USAGE) from error
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandError(f"{shown}: cannot be read: {why}", "name a replay file", EXIT_USAGE) from error


def _read(disk: Disk, path: Path) -> bytes:
    return disk.read(os.path.realpath(path) if isinstance(disk, RealDisk) else path, limit=REPLAY_LIMIT)


def put_file(host: Host, option: str, name: str, content: str | bytes) -> Path:
    """Write a file that the user asked for with `option`, whole or not at all, over an older one; its path.

    Raises `CommandError` where that cannot be done, or where something that is no regular file has the name.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    return _put(host, option, name, lambda path: put(host.disk, str(path), data, host.entropy.suffix()))


def writable_file(host: Host, option: str, name: str) -> Path:
    """The path of a file that `put_file` can write; it is as it was. Raises `CommandError` where it cannot."""

    def attempt(path: Path) -> None:
        prepared = temporary(str(path), host.entropy.suffix())
        host.disk.write(prepared, b"")
        host.disk.remove(prepared)

    return _put(host, option, name, attempt)


def _put(host: Host, option: str, name: str, write: Callable[[Path], None]) -> Path:
    path = host.cwd / name
    try:
        there = host.disk.info(path)
        if there is not None and not there.is_file:
            raise CommandError(f"{option}: {literal(name)} is no regular file", "choose another name", EXIT_USAGE)
        # It would be replaced, which asks nothing of the file itself.
        if there is not None and isinstance(host.disk, RealDisk) and not os.stat(path).st_mode & _WRITE:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        write(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandError(f"{option}: {literal(name)} cannot be written: {why}", "choose another place") from error
    return path
