"""`seamripper diagnose`: one archive about a run to attach to a bug report, with a list of what is in it."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.commands.bundle import Member, files_of, packed, redactor_for, within
from harness.commands.choosing import put_file
from harness.commands.current import Drive
from harness.commands.doctor import findings
from harness.commands.host import Host
from harness.commands.looking import SessionAsker, view_document
from harness.commands.output import Output
from harness.dashboard import read_run
from harness.record.redact import Redactor
from harness.runs import find_run, resolve_root, root_of

__all__ = ["diagnose"]

_LIBRARIES = ("seamripper", "filelock", "msgspec", "psutil", "rich", "textual")


def diagnose(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Write the bundle and say what is in it; see `seamripper diagnose --help`."""
    output = Output(host, as_json=arguments.json)
    root = resolve_root(arguments.root, host.environment, host.cwd)
    run_dir = find_run(host.disk, root, arguments.run, host.cwd)
    redactor = redactor_for(host, run_dir)
    members = within([*_told(host, run_dir, arguments.mux, redactor), *files_of(host, run_dir, redactor)])
    contents = [{"name": one.name, "characters": len(one.text), "note": one.note} for one in members]
    members.insert(0, Member.of("contents.json", contents))
    name = arguments.output or f"seamripper-{run_dir.name}.tar.gz"
    path = put_file(host, "--output", name, packed(members, host.clock.wall()))
    if output.as_json:
        output.document({"run_id": run_dir.name, "file": str(path), "contents": contents})
        return 0
    for one in contents:
        output.say(f"{one['characters']:>9}  {one['name']}" + (f"  ({one['note']})" if one["note"] else ""))
    output.say(str(path), "bold")
    output.aside("Prompts and what looks like a secret are withheld; read it before you send it.")
    return 0


def _told(host: Host, run_dir: Path, mux: str | None, redactor: Redactor) -> Iterator[Member]:
    """What the host says about the run and about itself."""
    root = root_of(run_dir)
    asker = SessionAsker(host, root, mux)
    yield Member.of("status.json", redactor.tree(view_document(read_run(host.store(run_dir), asker))))
    yield Member.of("versions.json", redactor.tree(_versions(host)))
    yield Member.of("doctor.json", redactor.tree([asdict(one) for one in findings(host, root, mux)]))


def _versions(host: Host) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "host": host.processes.host(),
        **{name: _version(name) for name in _LIBRARIES},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
