"""`seamripper run`: carry out a plan, here, in a window of its own, or only on paper."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from rich.text import Text

from faults.plan import FaultPlan
from harness.commands.detach import Detached, detach
from harness.commands.driving import Drive, Order, backend_of, catalog_of_host, drive, multiplexer_of, where_of
from harness.commands.host import Host
from harness.commands.mishaps import EXIT_USAGE, complain
from harness.commands.output import Output
from harness.commands.places import require_places
from harness.commands.server import require_available
from harness.dashboard import literal
from harness.engine.plan import PlanError, RunPlan, load_plan
from harness.runs import new_run_id, resolve_root

__all__ = ["run"]


def run(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Carry out the plan; see `seamripper run --help`."""
    output = Output(host, as_json=arguments.json, lasting=not arguments.dry_run)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    path = host.cwd / arguments.plan
    try:
        plan = _checked_plan(arguments, host, path)
    except PlanError as error:
        if not arguments.dry_run:
            raise
        return _refused_on_paper(host, output, path, error)
    faults = FaultPlan.parse(arguments.faults, arguments.seed, catalog_of_host())
    backend = backend_of(host, arguments.mux)
    if arguments.dry_run:
        require_available(multiplexer_of(host, arguments.mux, root, plan))
        return _on_paper(output, path, plan, backend, root)
    run_id = arguments.run_id or new_run_id(host.clock, host.entropy)
    if arguments.detach:
        return detach(host, output, _detached(arguments, host, path, root / run_id))
    order = Order(plan, root / run_id, root, arguments.mux, faults=faults, where=where_of(arguments))
    return drive(host, output, order, current)


def _detached(arguments: argparse.Namespace, host: Host, plan: Path, run_dir: Path) -> Detached:
    words = ["run", str(plan), "--root", str(run_dir.parent), "--run-id", run_dir.name]
    for option, value in (
        ("--seed", arguments.seed),
        ("--mux", arguments.mux),
        ("--faults", arguments.faults),
        ("--max-parallel", arguments.max_parallel),
    ):
        words += [option, str(value)] if value else []

    def has_begun() -> bool:
        return host.disk.info(run_dir / "state.json") is not None

    return Detached(tuple(words), run_dir.parent, run_dir, arguments.mux, has_begun, where_of(arguments))


def _checked_plan(arguments: argparse.Namespace, host: Host, path: Path) -> RunPlan:
    plan = load_plan(path, disk=host.disk)
    if arguments.max_parallel is not None:
        plan = dataclasses.replace(plan, max_parallel=arguments.max_parallel)
    host.profiles(plan)
    require_places(host.disk, plan, path.name)
    return plan


def _refused_on_paper(host: Host, output: Output, path: Path, error: PlanError) -> int:
    """Say everything that is wrong with the plan, not only the first of it."""
    if output.as_json:
        output.document({"plan": str(path), "problems": list(error.problems)})
    elif len(error.problems) > 1:
        for problem in error.problems:
            complain(host.stderr, problem)
        return EXIT_USAGE
    raise error


def _on_paper(output: Output, path: Path, plan: RunPlan, backend: str, root: Path) -> int:
    """Say what a run would do, in which order, and do nothing."""
    tasks = [
        {
            "key": task.key,
            "agent": plan.agent_of(task),
            "needs": list(task.needs),
            "verify": list(task.verify),
            "gate": task.gate,
        }
        for task in plan.order()
    ]
    if output.as_json:
        output.document(
            {"plan": str(path), "project": plan.project, "backend": backend, "root": str(root), "tasks": tasks}
        )
        return 0
    output.say(f"{path.name}: {len(tasks)} tasks in {plan.project}, on {backend}, recorded in {root}")
    for number, task in enumerate(tasks, 1):
        words = [f"{number:>3}  {task['key']}", f"agent {task['agent']}"]
        words += [f"after {', '.join(task['needs'])}"] if task["needs"] else []
        words += [f"verified by {'; '.join(task['verify'])}"] if task["verify"] else []
        words += [f"waits for {task['gate']}"] if task["gate"] else []
        output.show(Text(literal("  ".join(words), 1000)))
    output.say("The plan can be carried out; nothing was done.")
    return 0
