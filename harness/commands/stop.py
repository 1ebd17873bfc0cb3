"""`seamripper stop`: ask whoever drives a run to end it, and wait until that is done."""

from __future__ import annotations

import argparse
import math
import signal
from pathlib import Path

from backends.processes import Liveness
from harness.commands.current import Drive, multiplexer_of, where_of
from harness.commands.drivers import require_driver
from harness.commands.host import CommandError, Host
from harness.commands.output import Output
from harness.commands.server import end_idle_server, has_no_server
from harness.dashboard import status_line
from harness.dashboard.render import age
from harness.engine.core import STOP_FILE
from harness.engine.plan import PlanError, RunPlan, load_plan
from harness.engine.teardown import UNCONFIRMED
from harness.record import Hint, Holder, RecordError, RunStatus, Status, classify
from harness.record.files import put
from harness.runs import find_run, resolve_root, root_of

__all__ = ["stop"]

_SLACK_S = 10.0
"""Seconds beyond the plan's grace that a stop is waited for: the record of it is made before and after the teardown."""
_FORCED_S = 5.0
"""Seconds that a forced stop is waited for; the engine ends within one, and a loaded host is slow."""
_TOLD_S = 5.0
"""Seconds between two lines that say that the run has not ended yet."""
_HEARD_S = 0.5
"""Seconds between two signals: two of a kind that are pending at once are one."""
_LOOK_S = 0.1
_EXIT_S = 3.0
"""Seconds that the driver is given to leave once its run has ended, so that its window and server can go."""


def stop(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Stop the run; see `seamripper stop --help`. Exit code 1 where it has not ended in time, or was not running."""
    output = Output(host, as_json=arguments.json)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    run_dir = find_run(host.disk, root, arguments.run, host.cwd)
    _refuse_a_part(host, run_dir)
    request = _Request(host, output, run_dir, require_driver(host, run_dir))
    began = host.clock.monotonic()
    limit_s: float = arguments.wait or request.patience_s(now=arguments.now, graceful=arguments.graceful)
    request.ask(now=arguments.now, graceful=arguments.graceful)
    ended = request.wait(limit_s)
    if ended and not _is_unconfirmed(host, run_dir):
        _tidy(host, root_of(run_dir), arguments.mux, request.driver)
    return _tell(host, output, run_dir, ended, host.clock.monotonic() - began, where_of(arguments))


def _refuse_a_part(host: Host, run_dir: Path) -> None:
    """A nested run ends with the run that it is a part of."""
    try:
        parent = host.store(run_dir).load().state.parent
    except (RecordError, OSError):
        return
    if parent is not None:
        raise CommandError(f"run {run_dir.name} is a part of run {parent}", f"`seamripper stop {parent}`", 2)


class _Request:
    """One request to one driver."""

    def __init__(self, host: Host, output: Output, run_dir: Path, driver: Holder) -> None:
        self.host = host
        self.output = output
        self.run_dir = run_dir
        self.driver = driver

    def patience_s(self, *, now: bool, graceful: bool) -> float:
        """Seconds that the run may take to end; without limit where its sessions are to come to their own end."""
        if graceful:
            return math.inf
        if now:
            return _FORCED_S
        try:
            plan = load_plan(self.run_dir / "plan.toml", disk=self.host.disk, follow=False)
        except PlanError:
            return RunPlan.stop_grace_s + _SLACK_S
        return plan.stop_grace_s + _SLACK_S

    def ask(self, *, now: bool, graceful: bool) -> None:
        """Ask for it; `CommandError` where that is not possible."""
        who = f"pid {self.driver.pid}"
        if graceful:
            self._leave_word()
            self.output.aside(f"asked {who} to stop once its sessions have ended; Ctrl-C leaves it asked")
            return
        self._signal()
        if now:
            self.wait(_HEARD_S)
            if not self._is_over():
                self._signal()
        self.output.aside(f"told {who} to stop{' at once' if now else ''}")

    def _leave_word(self) -> None:
        path = self.run_dir / STOP_FILE
        try:
            put(self.host.disk, str(path), b"", self.host.entropy.suffix())
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise CommandError(f"{path} cannot be written: {why}", "`seamripper stop RUN` does without it") from error

    def _signal(self) -> None:
        identity = self.driver.driver.identity
        sent = self.host.processes.signal(identity, signal.SIGTERM)
        if not sent and self.host.processes.liveness(identity) is not Liveness.DEAD:
            raise CommandError(f"pid {identity.pid} belongs to somebody else", "stop the run as that user")

    def _is_over(self) -> bool:
        processes = self.host.processes
        return (
            not self.host.disk.locked(self.run_dir / "run.lock")
            or processes.liveness(self.driver.driver.identity) is Liveness.DEAD
        )

    def wait(self, limit_s: float) -> bool:
        """Whether the run has ended within `limit_s` seconds; says every now and then that it has not yet."""
        clock = self.host.clock
        began = told = clock.monotonic()
        while not self._is_over():
            now = clock.monotonic()
            if now - began >= limit_s:
                return False
            if now - told >= _TOLD_S:
                told = now
                self.output.aside(f"it has not ended yet, after {age(now - began)}")
            clock.sleep(_LOOK_S)
        return True


def _is_unconfirmed(host: Host, run_dir: Path) -> bool:
    """Whether nobody answered the run at its end: then nobody will answer us."""
    try:
        return host.store(run_dir).load().state.teardown == UNCONFIRMED
    except (RecordError, OSError):
        return False


def _tidy(host: Host, root: Path, mux: str | None, driver: Holder) -> None:
    """End the root's server if that run was the last to need it: its driver may have sat in a window of it."""
    multiplexer = multiplexer_of(host, mux, root)
    if has_no_server(host, multiplexer):
        return
    end = host.clock.monotonic() + _EXIT_S
    while host.clock.monotonic() < end and host.processes.liveness(driver.driver.identity) is Liveness.ALIVE:
        host.clock.sleep(_LOOK_S)
    # The shell around the driver notes how it ended a moment after it has.
    host.clock.sleep(_HEARD_S)
    end_idle_server(host, multiplexer, root)


def _tell(host: Host, output: Output, run_dir: Path, ended: bool, waited_s: float, where: str) -> int:
    status = classify(host.store(run_dir).evidence())
    well = ended and status.name not in (RunStatus.CRASHED, RunStatus.UNKNOWN)
    if output.as_json:
        output.document(
            {
                "run_id": run_dir.name,
                "run_dir": str(run_dir),
                "ended": ended,
                "status": status.name.value,
                "reason": status.reason,
                "waited_s": round(waited_s, 1),
            }
        )
    elif ended:
        _tell_ending(output, run_dir, status, where)
    else:
        output.say(f"run {run_dir.name} has not ended within {age(waited_s)}", "yellow")
        output.say(f"force   seamripper stop {run_dir.name} --now{where}")
    return 0 if well else 1


def _tell_ending(output: Output, run_dir: Path, status: Status, where: str) -> None:
    line = status_line(status, keys=False)
    line.append(f" - {status.reason}" if status.reason else "")
    output.say(line.plain, str(line.style))
    if Hint.RESUME in status.hints:
        output.aside(f"resume  seamripper resume {run_dir.name}{where}")
