"""`seamripper backends`: which multiplexers can be driven, and what is missing for the others."""

from __future__ import annotations

import argparse

from rich.table import Table
from rich.text import Text

from backends.registry import chosen_multiplexer, known_multiplexers
from harness.commands.current import Drive
from harness.commands.host import Host
from harness.commands.output import Output
from harness.dashboard import literal

__all__ = ["backends"]


def backends(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """List the backends; see `seamripper backends --help`."""
    output = Output(host, as_json=arguments.json)
    chosen = chosen_multiplexer(None, host.environment)
    known = known_multiplexers()
    if output.as_json:
        listed = [
            {
                "name": info.name,
                "source": info.source,
                "available": info.available,
                "problem": info.problem,
                "default": info.name == chosen,
            }
            for info in known
        ]
        output.document({"default": chosen, "backends": listed})
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("backend", "usable", "from", ""):
        table.add_column(title, overflow="fold")
    for info in known:
        usable = Text("✔ yes", style="green") if info.available else Text("✖ no", style="red")
        note = "default" if info.name == chosen else ""
        table.add_row(Text(info.name), usable, Text(info.source), Text(literal(info.problem or note)))
    output.show(table)
    return 0
