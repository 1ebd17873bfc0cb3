"""`seamripper cleanup`: ends what runs that are over have left behind, and says exactly what it did or would do."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backends.base import TerminalMultiplexer
from backends.disk import LockHeld
from backends.errors import MultiplexerError
from backends.tmux import TmuxMultiplexer
from harness.commands.current import Drive, multiplexer_of, where_of
from harness.commands.host import CommandError, Host
from harness.commands.leftovers import (
    Leftover,
    Over,
    examine,
    forgotten,
    is_last_of_server,
    left_by,
    may_be_driven,
    parked,
)
from harness.commands.mishaps import EXIT_USAGE
from harness.commands.output import Output
from harness.commands.server import claim, end_idle_server, has_no_server, require_available
from harness.dashboard.render import age
from harness.record import RunStatus, classify, runs
from harness.runs import PROBES, find_run, resolve_root, root_of

__all__ = ["cleanup"]

_DAY_S = 86400.0
_USUAL_AGE_S = 30 * _DAY_S


@dataclass(slots=True)
class _Sweep:
    """What is to be looked at below `root`, and what came of it: each leftover with its outcome, each run left alone."""

    host: Host
    root: Path
    multiplexer: TerminalMultiplexer | None
    run_id: str | None
    dry: bool
    remove_older_s: float | None
    paused: bool
    done: list[tuple[Leftover, str]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    def over(self, run_dirs: Iterable[Path]) -> list[Over]:
        """Those of the runs that are over; why any other one is left alone is noted."""
        examined = [examine(self.host, run_dir, paused=self.paused) for run_dir in run_dirs]
        self.left += [(run.run_dir.name, run.because) for run in examined if run.because]
        return [run for run in examined if not run.because]

    def find(self, over: Iterable[Over]) -> Iterator[Leftover]:
        """Everything that there is to end, in the order in which that is done."""
        over = list(over)
        multiplexer = self.multiplexer
        if multiplexer is not None and multiplexer.server_identity() is None:
            multiplexer = None
        yield from left_by(self.host, multiplexer, over)
        if multiplexer is not None:
            if self.run_id is None:
                yield from forgotten(self.host, multiplexer, self.root)
            alone = {name[:64] for name, _ in self.left}
            yield from (one for one in parked(multiplexer, self.run_id) if one.run_id not in alone)
        yield from self._directories(over)

    def _directories(self, over: Iterable[Over]) -> Iterator[Leftover]:
        if self.remove_older_s is None:
            return
        for run in over:
            since = self.host.clock.wall() - run.states[0].updated_at
            if run.status is not RunStatus.FINISHED:
                self.left.append((run.run_dir.name, f"it is {run.status} and can be resumed; only FINISHED is removed"))
            elif since < self.remove_older_s:
                self.left.append((run.run_dir.name, f"it ended {age(since)} ago"))
            else:
                yield self._directory(run.run_dir)

    def _directory(self, run_dir: Path) -> Leftover:
        def remove() -> bool:
            self.host.disk.remove_tree(run_dir)
            return True

        return Leftover("directory", str(run_dir), run_dir.name, remove, run_dir)

    def carry_out(self, found: Iterable[Leftover]) -> None:
        """End each of them, or note that it would be."""
        for one in found:
            self.done.append((one, "would end" if self.dry else _outcome(self.host, one)))

    @property
    def failed(self) -> bool:
        """Whether anything is not proven to be gone."""
        return any(outcome not in ("ended", "would end") for _, outcome in self.done)


def cleanup(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Tidy up; see `seamripper cleanup --help`. Exit code 1 where something could not be ended."""
    output = Output(host, as_json=arguments.json)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    if (arguments.run is None) is not arguments.all:
        raise CommandError("cleanup needs one of RUN and --all", "see `seamripper cleanup --help`", EXIT_USAGE)
    run_dirs = _runs_of(host, root)
    if arguments.run is not None:
        run_dirs = [find_run(host.disk, root, arguments.run, host.cwd)]
        root = root_of(run_dirs[0])
    multiplexer = _multiplexer(host, arguments.mux, root)
    run_id = None if arguments.all else run_dirs[0].name
    sweep = _Sweep(host, root, multiplexer, run_id, arguments.dry_run, _oldest(arguments), arguments.paused)
    if host.disk.info(root) is not None:
        _sweep(sweep, run_dirs)
    if run_id is not None and sweep.left and not sweep.done:
        raise CommandError(
            f"run {run_id} is left alone: {sweep.left[0][1]}", _instead(host, run_dirs[0], where_of(arguments))
        )
    _tell(output, sweep)
    return 1 if sweep.failed else 0


def _instead(host: Host, run_dir: Path, where: str) -> str:
    """What can be done with a run that was left alone."""
    if classify(host.store(run_dir).evidence()).name is not RunStatus.PAUSED:
        return "nothing was changed"
    return f"`seamripper resume {run_dir.name}{where}` goes on, --paused ends its session, and the run stays as it is"


def _runs_of(host: Host, root: Path) -> list[Path]:
    return [*runs(host.disk, root), *runs(host.disk, root / PROBES)]


def _oldest(arguments: argparse.Namespace) -> float | None:
    """The age in seconds from which on directories are removed, `None` if none is."""
    if not arguments.remove:
        return None
    if arguments.older_than is not None:
        given: float = arguments.older_than
        return given
    return _USUAL_AGE_S if arguments.all else 0.0


def _multiplexer(host: Host, mux: str | None, root: Path) -> TerminalMultiplexer | None:
    """The backend to ask; none where no server can be there."""
    multiplexer = multiplexer_of(host, mux, root)
    if has_no_server(host, multiplexer):
        return None
    require_available(multiplexer)
    return multiplexer


def _sweep(sweep: _Sweep, run_dirs: Iterable[Path]) -> None:
    """Do it all; while anything is ended nobody begins or resumes a run here."""
    host = sweep.host
    with contextlib.nullcontext() if sweep.dry else claim(host, sweep.root):
        over = sweep.over(run_dirs)
        found = list(sweep.find(over))
        last = _server(sweep, found, over)
        sweep.carry_out(found)
    if not sweep.failed:
        sweep.carry_out(last)


def _server(sweep: _Sweep, found: Sequence[Leftover], over: Sequence[Over]) -> list[Leftover]:
    """The root's server, if nothing will be left on it and nobody is about to need it."""
    host, multiplexer = sweep.host, sweep.multiplexer
    ours = {run.run_dir for run in over}
    others = [run_dir for run_dir in _runs_of(host, sweep.root) if run_dir not in ours]
    if not isinstance(multiplexer, TmuxMultiplexer) or any(may_be_driven(host, one) for one in others):
        return []
    if multiplexer.server_identity() is not None and not is_last_of_server(multiplexer, found):
        return []
    socket = multiplexer.socket_path

    def end() -> bool:
        end_idle_server(host, multiplexer, sweep.root)
        return host.disk.info(socket) is None

    return [Leftover("server", str(socket), "", end)]


def _outcome(host: Host, one: Leftover) -> str:
    """End it, while nobody drives the run that it is of; what came of it."""
    try:
        with host.disk.lock(one.run_dir / "run.lock") if one.run_dir is not None else contextlib.nullcontext():
            gone = one.end()
    except LockHeld:
        return "left: somebody drives the run"
    except OSError as error:
        return f"failed: {error.strerror or type(error).__name__}"
    except MultiplexerError as error:
        return f"unconfirmed: {error.brief}"
    return {True: "ended", False: "failed: it is still there", None: "unconfirmed: nobody answers"}[gone]


def _tell(output: Output, sweep: _Sweep) -> None:
    if output.as_json:
        output.document(
            {
                "root": str(sweep.root),
                "dry_run": sweep.dry,
                "found": [
                    {"kind": one.kind, "name": one.name, "run_id": one.run_id or None, "outcome": outcome}
                    for one, outcome in sweep.done
                ],
                "left": [{"run_id": run_id, "why": why} for run_id, why in sweep.left],
            }
        )
        return
    for one, outcome in sweep.done:
        removed = {"ended": "removed", "would end": "would remove"} if one.kind == "directory" else {}
        about = f" of run {one.run_id}" if one.run_id and one.kind != "directory" else ""
        output.say(f"{removed.get(outcome, outcome)}  {one.kind} {one.name}{about}")
    for run_id, why in sweep.left:
        output.aside(f"left  run {run_id}: {why}")
    if not sweep.done:
        output.aside(f"nothing to clean up in {sweep.root}")
