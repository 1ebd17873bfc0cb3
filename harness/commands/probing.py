"""`seamripper probe`: one session of an agent, to see whether its hooks report."""

from __future__ import annotations

import argparse

from harness.agents import DRIVEN_KINDS
from harness.commands.driving import Drive, Order, backend_of, drive
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE
from harness.commands.output import Output
from harness.commands.wording import nearest
from harness.engine.plan import RunPlan, load_plan
from harness.probe import probe_plan, probe_report
from harness.runs import PROBES, new_run_id, resolve_root

__all__ = ["probe"]


def probe(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Probe the agent; see `seamripper probe --help`. Exit code 1 where it cannot be driven."""
    output = Output(host, as_json=arguments.json, lasting=True)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    base = load_plan(host.cwd / arguments.plan, disk=host.disk) if arguments.plan else None
    _require_agent(arguments.agent, base)
    where = {} if base is not None else {"project": str(host.cwd)}
    plan = probe_plan(arguments.agent, base, arguments.timeout, **where)
    backend_of(host, arguments.mux)
    run_dir = root / PROBES / new_run_id(host.clock, host.entropy)
    code = drive(host, output, Order(plan, run_dir, root, arguments.mux), current, quiet=True)
    assert current.engine is not None
    report = probe_report(arguments.agent, host.disk, run_dir, current.engine.core.state, current.summary)
    if output.as_json:
        output.document({"run_id": run_dir.name, "run_dir": str(run_dir), "probe": report.document()})
    else:
        for line in report.lines():
            output.say(current.engine.store.clean(line))
    return code if code not in (0, 1) else 0 if report.ok else 1


def _require_agent(name: str, base: RunPlan | None) -> None:
    """Raise `CommandError` where neither we nor the plan know an agent of that name."""
    known = [*DRIVEN_KINDS, *(name for name in (base.agents if base is not None else ()) if name not in DRIVEN_KINDS)]
    if name not in known:
        advice = f"known are {', '.join(known)}; --plan names a plan that describes your own, in [agents.NAME]"
        told = [f"there is no agent {name!r:.80}", nearest(name, known)]
        raise CommandError("; ".join(filter(None, told)), advice, EXIT_USAGE)
