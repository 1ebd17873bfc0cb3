"""`seamripper faults scenarios`, `points` and `replay`: what can go wrong where, and one trial of it again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from faults.catalog import LAYERS
from faults.matrix import cells_at, unknowable
from faults.plan import FaultPlan
from faults.verdict import Verdict, counted
from harness.commands.choosing import chosen_layers, chosen_replay, chosen_story, is_test, put_file
from harness.commands.current import Drive
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE
from harness.commands.output import Output
from harness.dashboard import literal
from harness.replays import Replay
from harness.runner import catalog_of
from harness.stories import CORE, STORIES
from harness.timeline import timeline_page
from harness.trials import replay_line, trial
from harness.world import WORLDS

__all__ = ["PointRow", "point_rows", "points", "replay", "scenarios", "show_unknowable", "verdict_document"]

_TEST_S = 3600.0
"""Seconds that a test is given: whatever takes longer has to be run with pytest itself."""


def scenarios(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """List the stories; see `seamripper faults scenarios --help`."""
    output = Output(host, as_json=arguments.json)
    if output.as_json:
        told = [{"name": one.name, "about": one.about, "core": one.name in CORE} for one in STORIES.values()]
        output.document({"scenarios": told})
        return 0
    table = _table("scenario", "about")
    for story in STORIES.values():
        table.add_row(Text(story.name), Text(story.about))
    output.show(table)
    return 0


@dataclass(frozen=True, slots=True)
class PointRow:
    """A point that a faultless run reaches: how often, after which steps of the engine, and what can be tried there."""

    point: str
    calls: int
    callers: tuple[str, ...]
    actions: tuple[str, ...]
    cells: int

    @property
    def layer(self) -> str:
        """The first part of the point's name."""
        return self.point.partition(".")[0]


def point_rows(verdict: Verdict, mux: str, layers: tuple[str, ...]) -> Iterator[PointRow]:
    """The points that a faultless run reached, layer by layer."""
    catalog = catalog_of(WORLDS[mux])
    for point in sorted(verdict.reached, key=lambda one: (LAYERS.index(one.partition(".")[0]), one)):
        layer, _, rest = point.partition(".")
        if layer not in layers:
            continue
        tried = list(cells_at(point, 1, catalog))
        # What is above the guard is called from where the operation itself is.
        callers = verdict.callers.get(f"mux.{rest}" if layer == "leak" else point, ())
        calls = verdict.reached[point]
        yield PointRow(
            point,
            calls,
            tuple(one for one in callers if one != "-"),
            tuple(dict.fromkeys(str(one.action) for one in tried)),
            calls * len(tried),
        )


def points(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Show what a faultless run reaches; see `seamripper faults points --help`."""
    output = Output(host, as_json=arguments.json)
    story, layers = chosen_story(arguments.scenario), chosen_layers(arguments)
    verdict = trial(story, FaultPlan(), backend=arguments.mux, handle_signals=False).verdict
    rows = list(point_rows(verdict, arguments.mux, layers))
    if output.as_json:
        output.document({"scenario": arguments.scenario, "mux": arguments.mux, **_points_document(verdict, rows)})
        return 0 if verdict.held else 1
    output.say(f"{arguments.scenario} on {arguments.mux}, without faults: {verdict.outcome}")
    _show_problems(output, verdict)
    table = _table("point", "calls", "cells", "called from")
    for row in rows:
        words = (row.point, str(row.calls), str(row.cells), " ".join(row.callers))
        table.add_row(*(Text(literal(word)) for word in words))
    output.show(table)
    for layer in dict.fromkeys(row.layer for row in rows):
        tried = dict.fromkeys(action for row in rows if row.layer == layer for action in row.actions)
        output.say(f"{layer:<10} {', '.join(tried)}", "dim")
    for layer, (number, calls, cells) in _totals(rows).items():
        told = f"{counted(number, 'point'):>11}  {counted(calls, 'call'):>12}  {counted(cells, 'cell'):>13}"
        output.say(f"{layer:<10} {told}", "bold" if layer == "all" else "")
    return 0 if verdict.held else 1


def _totals(rows: list[PointRow]) -> dict[str, tuple[int, int, int]]:
    """Points, calls and cells of each layer that is there, and of `all`."""
    groups = {layer: [row for row in rows if row.layer == layer] for layer in LAYERS}
    groups = {layer: found for layer, found in groups.items() if found} | {"all": rows}
    return {
        name: (len(found), sum(row.calls for row in found), sum(row.cells for row in found))
        for name, found in groups.items()
    }


def _points_document(verdict: Verdict, rows: list[PointRow]) -> dict[str, Any]:
    listed = [
        {
            "point": row.point,
            "layer": row.layer,
            "calls": row.calls,
            "callers": row.callers,
            "actions": row.actions,
            "cells": row.cells,
        }
        for row in rows
    ]
    totals = {
        name: {"points": number, "calls": calls, "cells": cells}
        for name, (number, calls, cells) in _totals(rows).items()
    }
    return {"outcome": verdict.outcome, "problems": verdict.problems, "points": listed, "totals": totals}


def replay(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Carry out one trial and judge it; see `seamripper faults replay --help`."""
    output = Output(host, as_json=arguments.json)
    if is_test(arguments.scenario):
        return _replay_test(arguments, host, output)
    chosen = chosen_replay(arguments, host)
    told = trial(chosen_story(chosen.scenario), chosen.plan, backend=chosen.mux, handle_signals=False)
    verdict, line = told.verdict, replay_line(chosen.scenario, chosen.plan, chosen.mux)
    if output.as_json:
        output.document({"scenario": chosen.scenario, "mux": chosen.mux, **verdict_document(verdict), "replay": line})
    else:
        _show_verdict(output, chosen, verdict, line)
    if arguments.save is not None:
        output.aside(f"saved     {put_file(host, '--save', arguments.save, chosen.to_json())}")
    if arguments.timeline is not None:
        page = timeline_page(told.reports, title=chosen.scenario, problems=verdict.problems, replay=line)
        output.aside(f"timeline  {put_file(host, '--timeline', arguments.timeline, page)}")
    return 0 if verdict.held and verdict.fired else 1


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON."""
    return {
        "plan": verdict.plan.to_text(),
        "seed": verdict.plan.seed,
        "outcome": verdict.outcome,
        "held": verdict.held,
        "fired": verdict.fired,
        "problems": verdict.problems,
        "unknowable": unknowable(verdict.injections),
        "injections": [
            {"number": one.number, "at_s": one.at_s, "point": one.point, "call": one.call_number}
            | {"action": one.action, "rule": one.rule}
            for one in verdict.injections
        ],
        "unfired": [str(fault) for fault in verdict.unfired],
        **({} if verdict.fired else {"reached": dict(sorted(verdict.reached.items()))}),
    }


def _show_verdict(output: Output, chosen: Replay, verdict: Verdict, line: str) -> None:
    under = f"`{chosen.plan.to_text()}`" if chosen.plan.faults else "no faults"
    output.say(f"{chosen.scenario} on {chosen.mux} under {under}, seed {chosen.plan.seed}: {verdict.outcome}")
    for injection in verdict.injections:
        output.say(f"  {injection}")
    _show_problems(output, verdict)
    show_unknowable(output, verdict)
    for fault in verdict.unfired:
        output.say(f"✖ `{fault}` never fired", "bold red")
    if not verdict.fired:
        output.say("  points that were reached, with the number of their calls:")
        for listed in _reached(verdict.reached):
            output.say(f"  {listed}")
    if verdict.held and verdict.fired:
        output.say("✔ every oracle holds" + (" and every fault fired" if chosen.plan.faults else ""), "green")
    elif not verdict.held:
        output.say("")
        for told in verdict.explain().splitlines():
            output.say(told)
        output.say("")
    output.copyable(f"replay    {line}")


def _show_problems(output: Output, verdict: Verdict) -> None:
    for problem in verdict.problems:
        output.say(f"✖ {problem}", "bold red")


def show_unknowable(output: Output, verdict: Verdict) -> None:
    """Say which lies of the plan sweeps leave out: no oracle can hold under them."""
    for why in unknowable(verdict.injections):
        output.say(f"this lie cannot be told from the truth: {why}", "yellow")


def _reached(reached: Mapping[str, int]) -> Iterator[str]:
    """The points of each layer, on one line."""
    for layer in LAYERS:
        calls = [f"{one} {calls}" for one, calls in sorted(reached.items()) if one.partition(".")[0] == layer]
        if calls:
            yield ", ".join(calls)


def _replay_test(arguments: argparse.Namespace, host: Host, output: Output) -> int:
    """Run a test under the plan, with pytest in a process of its own: its plugins and fixtures are not ours to imitate."""
    for option, advice in (("timeline", "`pytest --mux-timeline DIR` draws a test"), ("save", "leave out --save")):
        if getattr(arguments, option) is not None:
            raise CommandError(f"--{option} is for stories, not for tests", advice, EXIT_USAGE)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", arguments.scenario]
    argv += [] if arguments.plan is None else ["--mux-faults", arguments.plan]
    argv += ["--mux-seed", str(arguments.seed or 0)]
    argv += [] if arguments.mux is None else ["--mux", arguments.mux]
    try:
        ran = host.processes.run(argv, timeout_s=_TEST_S, cwd=host.cwd, newest=1 << 20)
    except OSError as error:
        raise CommandError(
            f"pytest cannot be run: {error.strerror or type(error).__name__}", "run the test itself"
        ) from error
    told = (ran.stdout + ran.stderr).decode("utf-8", "replace")
    if ran.status not in (0, 1):
        last = next((line for line in reversed(told.splitlines()) if line.strip()), f"it ended with {ran.status}")
        raise CommandError(f"pytest did not run {literal(arguments.scenario, 200)}: {literal(last)}", "", EXIT_USAGE)
    if output.as_json:
        said = {"plan": arguments.plan, "seed": arguments.seed or 0, "held": ran.status == 0, "output": told}
        output.document({"scenario": arguments.scenario, "mux": arguments.mux, **said})
    else:
        for line in told.splitlines():
            output.say(line)
    return ran.status


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    name, *others = titles
    # A name is to be typed again: it is not broken, however narrow the terminal is.
    table.add_column(name, no_wrap=True)
    for title in others:
        table.add_column(title, overflow="fold")
    return table
