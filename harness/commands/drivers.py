"""The process that drives a run: who it is, and whether it may be asked for anything from here."""

from __future__ import annotations

from pathlib import Path

from backends.processes import Liveness
from harness.commands.host import CommandError, Host
from harness.record import Holder, RunStatus, classify, read_holder

__all__ = ["driver_of", "require_driver"]


def driver_of(host: Host, run_dir: Path) -> Holder | None:
    """Who holds the run's lock, if it is proven alive here; the state may still name whoever drove the run before."""
    holder = read_holder(host.disk, f"{run_dir}/run.lock")
    if holder is None or holder.host != host.processes.host():
        return None
    return holder if host.processes.liveness(holder.driver.identity) is Liveness.ALIVE else None


def require_driver(host: Host, run_dir: Path) -> Holder:
    """Who drives the run; `CommandError` where nobody does, or where it cannot be asked from here."""
    name = run_dir.name
    store = host.store(run_dir)
    status = classify(store.evidence())
    if status.name is RunStatus.UNKNOWN:
        raise CommandError(
            f"whether run {name} is running is not known: {status.reason}", f"`seamripper status {name}`"
        )
    if status.name is not RunStatus.RUNNING:
        raise CommandError(f"run {name} is not running: it is {status.name}", f"`seamripper status {name}` explains it")
    holder = read_holder(host.disk, f"{run_dir}/run.lock")
    if holder is not None and holder.host != host.processes.host():
        raise CommandError(f"run {name} is driven by {holder}", "stop it on its own host")
    driver = driver_of(host, run_dir)
    if driver is None:
        raise CommandError(f"run {name} is locked, and who drives it is not said", "try again in a moment")
    return driver
