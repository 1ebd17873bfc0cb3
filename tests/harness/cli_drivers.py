"""A run that somebody else drives, as another process of a simulated host would: its lock is held, its driver can be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from backends.disk import LockHandle
from backends.processes import ProcessIdentity
from harness.agents import plan_of, task, works
from harness.commands.staged import CommandLine
from harness.record import RunStore, Stopped
from harness.world import FakeWorld

__all__ = ["Driver", "killed_run"]


def killed_run(seamripper: CommandLine) -> Path:
    """A run whose driver was killed while its first session was at work."""
    project = str(seamripper.world.project)
    plan = plan_of(task("1-1", works(30).then_completes()), project=project, stop_grace_s=4)
    seamripper("run", seamripper.plan(plan), "--faults", "engine.decide=3*pass->1*die")
    seamripper.world.driver_died()
    runs = seamripper("list", "--json").document["runs"]
    return Path(runs[-1]["run_dir"])


class Driver:
    """Drives `run_dir` until it is signalled `obeys` times; then it is `takes_s` seconds before it has ended.

    One that `stays` has other things to do afterwards.
    """

    def __init__(
        self, seamripper: CommandLine, run_dir: Path, *, obeys: int = 1, takes_s: float = 1.0, stays: bool = False
    ) -> None:
        world = seamripper.world
        assert isinstance(world, FakeWorld)
        self.world = world
        self.run_dir = run_dir
        self.signals: list[int] = []
        self.obeys = obeys
        self.takes_s = takes_s
        self.stays = stays
        self.on_end: Callable[[RunStore], None] = self.stopped
        self.store = seamripper.host().store(run_dir)
        self.identity: ProcessIdentity = world.processes.spawn(on_signal=self.hear)
        self.lock: LockHandle = world.disk.lock(run_dir / "run.lock")
        self.say(host=world.processes.host())

    def say(self, **changes: object) -> None:
        """Say in the lock who drives."""
        one = self.identity
        said = {"pid": one.pid, "started": one.started, "boot_id": one.boot_id, "host": "simhost", **changes}
        path = self.run_dir / "run.lock"
        if self.world.disk.info(path) is not None:
            self.world.disk.remove(path)
        self.world.disk.write(path, json.dumps(said).encode())

    def hear(self, signum: int) -> None:
        """Take a signal."""
        self.signals.append(signum)
        if len(self.signals) == self.obeys:
            self.world.clock.call_later(self.takes_s, self.end)

    def end(self) -> None:
        """Record the ending, give the lock back, and leave."""
        self.on_end(self.store)
        self.world.disk.remove(self.run_dir / "run.lock")
        self.lock.release()
        if not self.stays:
            self.world.processes.exit(self.identity.pid)

    @staticmethod
    def stopped(store: RunStore) -> None:
        """What a stop leaves."""
        state = store.load().state
        state.ending = Stopped(by="SIGTERM", signum=15)
        store.save(state)
