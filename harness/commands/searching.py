"""`seamripper faults sweep` and `shrink`: every fault at every point, and the smallest plan that still fails."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from faults.plan import FaultPlan
from faults.shrinker import Shrunk, shrink
from faults.sweeps import Sweep, sweep
from faults.verdict import Run, Verdict, counted
from harness.commands.choosing import chosen_layers, chosen_replay, chosen_story, is_test, put_file
from harness.commands.current import Drive
from harness.commands.faulting import show_unknowable, verdict_document
from harness.commands.host import CommandError, Host
from harness.commands.mishaps import EXIT_USAGE
from harness.commands.output import Output, columns
from harness.engine.signals import StopSwitch, stop_signals
from harness.replays import Replay
from harness.runner import catalog_of
from harness.trials import replay_line, run_of
from harness.world import WORLDS

__all__ = ["Search", "shrink_plan", "sweep_points"]

_SHOWN = 30
"""Failing plans that are shown as text; JSON has all of them."""
_REFRESH_S = 0.1
"""Seconds between two looks at how far it has come, on a terminal, where each overwrites the one before."""
_LINE_S = 30.0
"""The same elsewhere, where each look is a line: often enough to see in a log that it goes on."""


class _Enough(Exception):
    """The first plan has failed, and no more are wanted."""


class Stopped(CommandError):
    """Somebody asked for an end of the search; `by` is the signal's name."""

    def __init__(self, by: str, how_far: str) -> None:
        super().__init__(f"stopped by {by} after {how_far}", "nothing was changed", 128 + signal.Signals[by])
        self.by = by


class Search:
    """The runs of one search: counted, shown while they go on, and given up when somebody asks for that."""

    def __init__(self, host: Host, run: Run, *, fail_fast: bool = False) -> None:
        self.done = 0
        self.about = 0
        self.failed: list[Verdict] = []
        self.fired = 0
        self._host = host
        self._run = run
        self._fail_fast = fail_fast
        self._switch = StopSwitch()
        self._shown_s = host.clock.monotonic()
        self._width = 0

    def __call__(self, plan: FaultPlan) -> Verdict:
        """Carry out one more plan. Raises `Stopped` if somebody asked for that meanwhile: what came of this one is void."""
        verdict = self._run(plan)
        if self._switch.by is not None:
            raise Stopped(self._switch.by, self.how_far)
        self.done += 1
        self.fired += bool(verdict.injections)
        self._show()
        return verdict

    def expects(self, done: int, about: int) -> None:
        """Take note of how many runs there are going to be."""
        self.about = about

    def found(self, verdict: Verdict) -> None:
        """Take note of a verdict that does not hold."""
        self.failed.append(verdict)
        if self._fail_fast:
            raise _Enough

    @property
    def how_far(self) -> str:
        """How many plans were carried out, and of how many, where that is known."""
        return f"{self.done} of about {self.about} plans" if self.about > 1 else counted(self.done, "plan")

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Within, signals end the search between two runs, a second one at once; what was shown is wiped afterwards."""
        self._switch.on_force = _at_once
        with stop_signals(self._switch):
            try:
                yield
            finally:
                if self._width:
                    self._write("\r" + " " * self._width + "\r")

    def _show(self) -> None:
        """Say how far it has come: in one place on a terminal, as a line now and then elsewhere."""
        now, terminal = self._host.clock.monotonic(), self._host.stderr.isatty()
        if now - self._shown_s < (_REFRESH_S if terminal else _LINE_S):
            return
        self._shown_s = now
        said = self.how_far + (f", {len(self.failed)} failed" if self.about > 1 else "")
        if terminal:
            # What is wider than the terminal goes on in the next line, and cannot be wiped there.
            said = said[: columns(self._host) - 1]
            self._write("\r" + said.ljust(self._width))
            self._width = max(self._width, len(said))
        else:
            self._write(f"{said}\n")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._host.stderr.write(text)
            self._host.stderr.flush()


def _at_once() -> NoReturn:
    raise KeyboardInterrupt


def sweep_points(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Try every fault at every point; see `seamripper faults sweep --help`."""
    output = Output(host, as_json=arguments.json)
    story, mux, layers = chosen_story(arguments.scenario), arguments.mux, chosen_layers(arguments)
    search = Search(host, run_of(story, backend=mux, handle_signals=False), fail_fast=arguments.fail_fast)
    swept: Sweep | None = None
    stopped: Stopped | None = None
    try:
        with search.going_on(), suppress(_Enough):
            swept = sweep(
                search,
                catalog_of(WORLDS[mux]),
                layers=layers,
                calls=arguments.calls,
                seed=arguments.seed or 0,
                progress=search.expects,
                failing=search.found,
            )
    except Stopped as given_up:
        stopped = given_up
    failed = search.failed
    if output.as_json:
        counts = {"plans": search.done, "about": max(search.about, search.done), "fired": search.fired}
        ended = {"complete": swept is not None, "stopped_by": None if stopped is None else stopped.by}
        told = [_failure(arguments.scenario, verdict, mux) for verdict in failed]
        left_out = [] if swept is None else [str(one) for one in swept.excluded]
        found = {"failed": told, "left_out": left_out}
        output.document({"scenario": arguments.scenario, "mux": mux, **counts, **ended, **found})
    else:
        _show_failures(output, arguments.scenario, failed, mux)
        output.say(_summary(search, swept, stopped), "bold")
    if failed and arguments.save is not None:
        first = Replay(arguments.scenario, failed[0].plan, mux)
        output.aside(f"saved   {put_file(host, '--save', arguments.save, first.to_json())}")
    if stopped is not None:
        return stopped.code
    return 1 if failed else 0


def _summary(search: Search, swept: Sweep | None, stopped: Stopped | None) -> str:
    if swept is not None:
        return str(swept)
    if stopped is not None:
        return f"{stopped.message}, {len(search.failed)} failed"
    return f"{counted(search.done, 'plan')}, stopped at the first that failed"


def _failure(scenario: str, verdict: Verdict, mux: str) -> dict[str, object]:
    return {**verdict_document(verdict), "replay": replay_line(scenario, verdict.plan, mux)}


def _show_failures(output: Output, scenario: str, failed: list[Verdict], mux: str) -> None:
    for verdict in failed[:_SHOWN]:
        output.say(f"✖ {verdict.plan.to_text() or 'without faults'}: {verdict.outcome}", "bold red")
        for problem in verdict.problems:
            output.say(f"  {problem}")
        output.copyable(f"  replay  {replay_line(scenario, verdict.plan, mux)}")
    if len(failed) > _SHOWN:
        output.say(f"and {len(failed) - _SHOWN} more; --json lists them all")


def shrink_plan(arguments: argparse.Namespace, host: Host, current: Drive) -> int:
    """Make a failing plan smaller; see `seamripper faults shrink --help`."""
    output = Output(host, as_json=arguments.json)
    if is_test(arguments.scenario):
        raise CommandError("a test cannot be shrunk", "name a story, or a replay file", EXIT_USAGE)
    chosen = chosen_replay(arguments, host)
    search = Search(host, run_of(chosen_story(chosen.scenario), backend=chosen.mux, handle_signals=False))
    with search.going_on():
        found = shrink(search, chosen.plan, limit=arguments.runs)
    smallest = Replay(chosen.scenario, found.plan, chosen.mux)
    line = replay_line(chosen.scenario, found.plan, chosen.mux)
    if output.as_json:
        known = {"failing": found.failing, "minimal": found.minimal, "runs": found.runs, "failures": found.failures}
        said = {"scenario": chosen.scenario, "mux": chosen.mux, **known, **verdict_document(found.verdict)}
        output.document({**said, "replay": line})
    else:
        _show_shrunk(output, chosen, found, line)
    if found.failing and arguments.save is not None:
        output.aside(f"saved     {put_file(host, '--save', arguments.save, smallest.to_json())}")
    return 0 if found.failing else 1


def _show_shrunk(output: Output, chosen: Replay, found: Shrunk, line: str) -> None:
    if not found.failing:
        often = "does not fail" if not found.failures else f"fails {found.failures} times of {found.times} only"
        output.say(f"`{chosen.plan.to_text()}` {often}: there is nothing to shrink", "bold")
        return
    known = (
        "minimal: nothing simpler fails" if found.minimal else "the smallest that was found; more --runs may find less"
    )
    output.say(f"`{found.plan.to_text()}`", "bold")
    output.say(f"{known}; fails {found.failures} times of {found.times}, after {found.runs} runs")
    for problem in found.verdict.problems:
        output.say(f"✖ {problem}", "bold red")
    show_unknowable(output, found.verdict)
    output.copyable(f"replay    {line}")
