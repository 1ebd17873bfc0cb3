"""What holds for every workflow, as functions that name what is against it; each with a workflow that it must refuse."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["RULES", "Rule", "Workflow", "jobs", "run_lines"]

Workflow = Mapping[Any, Any]
"""A workflow as it was parsed; its key `on` is read as true."""

WRITERS: Mapping[tuple[str, str], frozenset[str]] = {
    ("matrix", "publish"): frozenset({"id-token", "pages"}),
    ("release", "release"): frozenset({"contents"}),
}
"""The jobs, by workflow and name, that may change something, and what."""

_PINNED = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)+@[0-9a-f]{40}")
_TRIGGERS = frozenset({"push", "pull_request", "schedule", "workflow_dispatch"})
_LONGEST_M = 60


@dataclass(frozen=True)
class Rule:
    """`broken` is a workflow that `against` must find something in."""

    name: str
    against: Callable[[Workflow], Iterator[str]]
    broken: str


def jobs(workflow: Workflow) -> Mapping[str, Any]:
    """Its jobs by name."""
    found: Mapping[str, Any] = workflow["jobs"]
    return found


def steps(workflow: Workflow) -> Iterator[tuple[str, Any]]:
    """Every step, with the name of its job."""
    for name, job in jobs(workflow).items():
        yield from ((name, step) for step in job.get("steps", ()))


def run_lines(workflow: Workflow) -> Iterator[list[str]]:
    """Every command of every step, as words; lines that go on are one, and what is redirected is left out."""
    for _, step in steps(workflow):
        for line in str(step.get("run", "")).replace("\\\n", " ").splitlines():
            yield shlex.split(re.split(r" (?:>>|\|) ", line)[0], posix=False)


def _unpinned(workflow: Workflow) -> Iterator[str]:
    for job, step in steps(workflow):
        if "uses" in step and not _PINNED.fullmatch(step["uses"]):
            yield f"{job} uses {step['uses']}, which is not pinned by hash"


def _may_too_much(workflow: Workflow) -> Iterator[str]:
    granted = workflow.get("permissions")
    if not isinstance(granted, dict) or set(granted.values()) - {"read"}:
        yield f"all its jobs may {granted or 'do everything'}"
    for name, job in jobs(workflow).items():
        own = job.get("permissions", {})
        writes = {what for what, how in own.items() if how != "read"} if isinstance(own, dict) else {str(own)}
        if writes - WRITERS.get((workflow.get("name", ""), name), frozenset()):
            yield f"{name} may write {sorted(writes)}"


def _endless(workflow: Workflow) -> Iterator[str]:
    for name, job in jobs(workflow).items():
        if not 0 < job.get("timeout-minutes", 0) <= _LONGEST_M:
            yield f"{name} has no timeout of up to {_LONGEST_M} minutes"


def _piling_up(workflow: Workflow) -> Iterator[str]:
    if "group" not in workflow.get("concurrency", ()):
        yield "its runs pile up: it has no concurrency group"


def _injectable(workflow: Workflow) -> Iterator[str]:
    for job, step in steps(workflow):
        if "${{" in str(step.get("run", "")):
            yield f"{job} puts an expression into a script: hand it on through env"


def _keeping_credentials(workflow: Workflow) -> Iterator[str]:
    for job, step in steps(workflow):
        keeps = step.get("with", {}).get("persist-credentials", True)
        if str(step.get("uses", "")).startswith("actions/checkout@") and keeps is not False:
            yield f"{job} leaves its token in the checkout"


def _triggered_by_strangers(workflow: Workflow) -> Iterator[str]:
    triggers = workflow.get(True, ())
    for name in [triggers] if isinstance(triggers, str) else triggers:
        if name not in _TRIGGERS:
            yield f"is triggered by {name}"


def _knowing_secrets(workflow: Workflow) -> Iterator[str]:
    if "secrets." in str(workflow):
        yield "reads a secret: github.token is all that is needed"


_OK = "permissions: {}\nconcurrency: {group: g}\non: push\n"

RULES = (
    Rule("actions are pinned by hash", _unpinned, "jobs: {a: {steps: [{uses: actions/checkout@v5}]}}"),
    Rule("permissions are the least", _may_too_much, "jobs: {a: {}}"),
    Rule("permissions of jobs are the least", _may_too_much, f"{_OK}jobs: {{a: {{permissions: {{contents: write}}}}}}"),
    Rule("permissions are not all", _may_too_much, f"{_OK}jobs: {{a: {{permissions: write-all}}}}"),
    Rule("every job ends", _endless, "jobs: {a: {timeout-minutes: 360}}"),
    Rule("runs do not pile up", _piling_up, "jobs: {}"),
    Rule("no input becomes a command", _injectable, "jobs: {a: {steps: [{run: 'echo ${{ github.head_ref }}'}]}}"),
    Rule("no token is left behind", _keeping_credentials, "jobs: {a: {steps: [{uses: actions/checkout@x}]}}"),
    Rule("strangers trigger nothing", _triggered_by_strangers, "on: [pull_request_target]\njobs: {}"),
    Rule("there are no secrets", _knowing_secrets, "jobs: {a: {env: {X: '${{ secrets.X }}'}}}"),
)
