"""`seamripper probe`: one session of an agent, to see whether its hooks report."""

from __future__ import annotations

import argparse

from harness.commands.driving import Drive, Order, backend_of, drive
from harness.commands.host import Host
from harness.commands.output import Output
from harness.engine.plan import load_plan
from harness.probe import probe_plan, probe_report
from harness.runs import PROBES, new_run_id, resolve_root

__all__ = ["probe"]


def probe(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Probe the agent; see `seamripper probe --help`. Exit code 1 where it cannot be driven."""
    output = Output(host, as_json=arguments.json, lasting=True)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    base = load_plan(host.cwd / arguments.plan, disk=host.disk) if arguments.plan else None
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
