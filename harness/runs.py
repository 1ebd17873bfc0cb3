"""Where runs are kept, and which of them somebody means."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from backends.clock import Clock, timestamp
from backends.disk import Disk
from backends.entropy import Entropy
from harness.record import runs

_ACCOUNTS = importlib.util.find_spec("pwd") is not None

if _ACCOUNTS:
    import pwd

__all__ = ["PROBES", "ROOT_VARIABLE", "NoHome", "RunNotFound", "find_run", "new_run_id", "resolve_root", "root_of"]

ROOT_VARIABLE = "SEAMRIPPER_ROOT"
"""Names the root where no option does."""

PROBES = "probes"
"""The directory below a root that probes of agents are recorded in, out of the way of runs."""

_SHOWN = 4
"""How many candidates an ambiguous reference is answered with."""


class RunNotFound(LookupError):
    """No run is meant, or more than one; `advice` says what to do about it."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class NoHome(LookupError):
    """Nobody said where runs are to be kept, and there is no home that they could be kept in."""


def new_run_id(clock: Clock, entropy: Entropy) -> str:
    """A name for a new run: when it began (UTC), and a suffix that keeps it apart."""
    began = timestamp(clock.wall())[:19].replace("-", "").replace(":", "").replace("T", "-")
    return f"{began}-{entropy.suffix()}"


def _account_home() -> str:
    """Where the system says that this user is at home; empty where it says nothing that is of use."""
    if not _ACCOUNTS:
        return os.environ.get("USERPROFILE", "")
    try:
        told = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""
    return "" if told == "/" else told


def resolve_root(
    given: str | None, environment: Mapping[str, str], cwd: Path, account_home: Callable[[], str] = _account_home
) -> Path:
    """The directory that runs are kept in: `given`, else `SEAMRIPPER_ROOT`, else the user's state directory.

    Absolute, and outside of any project that agents write to unless somebody chose otherwise. `account_home` is asked where
    the environment names no home. Raises `NoHome` where there is none at all.
    """
    chosen = given or environment.get(ROOT_VARIABLE)
    if chosen:
        return Path(os.path.normpath(cwd / chosen))
    # The base directory specification: what is empty or relative counts as not set.
    state = environment.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state, "seamripper")
    told = environment.get("HOME", "")
    home = told if os.path.isabs(told) else account_home()
    if not os.path.isabs(home):
        raise NoHome("there is no home directory to keep runs in: HOME is not set to one")
    return Path(home, ".local", "state", "seamripper")


def root_of(run_dir: Path) -> Path:
    """The root that the run in `run_dir` belongs to, also where that is a nested run or a probe."""
    parent = run_dir.parent
    if parent.name == "nested":
        return root_of(parent.parent)
    return parent.parent if parent.name == PROBES else parent


def find_run(disk: Disk, root: Path, reference: str, cwd: Path) -> Path:
    """The run directory that `reference` means: a run id, a unique prefix or suffix of one, or a path.

    Raises `RunNotFound` for none and for several.
    """
    if "/" in reference or reference in (".", ".."):
        return _by_path(disk, Path(os.path.normpath(cwd / reference)))
    found = {run_dir.name: run_dir for run_dir in [*runs(disk, root), *runs(disk, root / PROBES)]}
    if reference in found:
        return found[reference]
    fitting = [name for name in found if reference and (name.startswith(reference) or name.endswith(reference))]
    if len(fitting) == 1:
        return found[fitting[0]]
    if fitting:
        shown = ", ".join(fitting[:_SHOWN]) + (", ..." if len(fitting) > _SHOWN else "")
        raise RunNotFound(f"{reference!r:.80} means {len(fitting)} runs: {shown}", "write more of the one you mean")
    raise RunNotFound(
        f"there is no run {reference!r:.80} in {root}", "`seamripper list` shows those there are; a path works as well"
    )


def _by_path(disk: Disk, path: Path) -> Path:
    if path in runs(disk, path.parent):
        return path
    found = disk.info(path)
    what = "does not exist" if found is None else "is a directory, but no run" if found.is_dir else "is no directory"
    raise RunNotFound(f"{path} {what}", "name a directory with a state.json in it, or a run of `seamripper list`")
