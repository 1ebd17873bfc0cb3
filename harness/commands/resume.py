"""`seamripper resume`: go on with a run that has crashed, was stopped or interrupted, or waits for a person."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from harness.commands.crashing import record_crash
from harness.commands.current import Drive, backend_of, where_of
from harness.commands.detach import Detached, detach
from harness.commands.driving import Order, drive
from harness.commands.host import CommandError, Host
from harness.commands.output import Output
from harness.commands.resumable import plan_to_resume
from harness.record import RunState, RunStatus, RunStore, classify
from harness.runs import find_run, resolve_root, root_of

__all__ = ["resume"]


def resume(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Go on with the run; see `seamripper resume --help`."""
    output = Output(host, as_json=arguments.json, lasting=True)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    run_dir = find_run(host.disk, root, arguments.run, host.cwd)
    current.run_dir = run_dir
    current.record_crash = partial(record_crash, host, current)
    backend_of(host, arguments.mux)
    state = _resumable(host.store(run_dir))
    plan = plan_to_resume(host, run_dir, state)
    if arguments.detach:
        # Whatever goes wrong from here on happens to this command, not to the run.
        current.run_dir = None
        if host.disk.locked(run_dir / "run.lock"):
            # The lock itself says who has it; a resume that is not detached is told the same.
            host.store(run_dir).lock().release()
        return detach(host, output, _detached(arguments, host, run_dir, state.epoch))
    order = Order(plan, run_dir, root_of(run_dir), arguments.mux, resume=True, where=where_of(arguments))
    return drive(host, output, order, current)


def _detached(arguments: argparse.Namespace, host: Host, run_dir: Path, epoch: int) -> Detached:
    """The resume of a run that is in that epoch, in a window of its own."""
    words = ["resume", str(run_dir), *(["--mux", arguments.mux] if arguments.mux else [])]

    def has_begun() -> bool:
        return host.store(run_dir).load().state.epoch > epoch

    return Detached(tuple(words), root_of(run_dir), run_dir, arguments.mux, has_begun, where_of(arguments))


def _resumable(store: RunStore) -> RunState:
    """The state of a run that can go on; `CommandError` says why it cannot, `RecordError` that it cannot be read."""
    name = store.run_dir.name
    state = store.load().state
    status = classify(store.evidence())
    if status.name is RunStatus.FINISHED:
        raise CommandError(
            f"run {name} is finished", "there is nothing to resume; `seamripper run` begins another one", 2
        )
    if status.name is RunStatus.UNKNOWN:
        raise CommandError(f"run {name} cannot be resumed from here: {status.reason}", "resume it on its own host")
    return state
