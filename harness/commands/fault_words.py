"""What can be said to `seamripper faults`: its commands, their options, and which values they take."""

from __future__ import annotations

import argparse

from faults.catalog import LAYERS
from faults.errors import FaultPlanError, nearest_name
from faults.matrix import Calls, calls_of
from harness.commands.faulting import points, replay, scenarios
from harness.commands.searching import shrink_plan, sweep_points
from harness.commands.wording import Commands, Parser, add_command, at_least_one
from harness.replays import MOST_SEED, SIMULATED

__all__ = ["add_faults"]

SWEPT_LAYERS = tuple(layer for layer in LAYERS if layer != "live")

_EXIT_CODES = """\
exit codes:
  0 every oracle holds and every fault fired    1 an oracle does not hold, or a fault never fired
  2 usage: an unknown scenario, a story that cannot be told or whose `meanwhile` raises, a wrong plan, a replay file that
    cannot be read
"""

_LISTING_CODES = """\
exit codes:
  0 they were listed    2 usage
"""

_POINTS_CODES = """\
exit codes:
  0 they were listed    1 they were, but an oracle does not hold, even without faults
  2 usage: an unknown scenario, a story that cannot be told or whose `meanwhile` raises
"""

_SWEEP_CODES = """\
exit codes:
  0 every oracle held under every plan, and every fault fired that was due    1 one did not    2 usage
  128+n stopped by signal n; what was found by then is shown, and saved

How far it has come is told on standard error: in one place on a terminal, as a line every half minute elsewhere,
beside --json, too.
"""

_ABOUT = """\
tell a scenario under faults, on a simulated host: find the points, try them all, shrink and repeat what fails"""


def add_faults(commands: Commands) -> None:
    """Add `faults` with everything below it."""
    made = commands.add_parser(
        "faults",
        help=_ABOUT,
        description=_ABOUT[0].upper() + _ABOUT[1:] + ".",
        epilog="examples:\n"
        "  seamripper faults scenarios\n"
        "  seamripper faults points nudged\n"
        "  seamripper faults replay nudged --plan 'list_window_ids=2*timeout(30)' --seed 0\n"
        "  seamripper faults sweep nudged --layer mux --calls 1\n"
        "  seamripper faults shrink nudged --plan 'send_text=exit(1, \"?\");new_window=timeout' --seed 0\n"
        f"\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    below = made.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    _add_scenarios(below)
    _add_points(below)
    _add_replay(below)
    _add_sweep(below)
    _add_shrink(below)


def _add_scenarios(commands: Commands) -> None:
    add_command(
        commands,
        "scenarios",
        scenarios,
        "list the scenarios that can be told under any plan",
        "  seamripper faults scenarios\n  seamripper faults scenarios --json\n",
        _LISTING_CODES,
    )


def _add_points(commands: Commands) -> None:
    made = add_command(
        commands,
        "points",
        points,
        "show which points a run without faults reaches, how often, from where, and what can be tried there",
        "  seamripper faults points completes\n"
        "  seamripper faults points nudged --layer mux --layer engine\n"
        "  seamripper faults points nudged --mux simulated-tmux --layer transport\n"
        "  seamripper faults points my_package.stories:mine   a Story of your own that can be imported\n",
        _POINTS_CODES,
    )
    _add_scenario(made)
    _add_world(made, "fake")
    _add_layers(made)


def _add_replay(commands: Commands) -> None:
    made = add_command(
        commands,
        "replay",
        replay,
        "tell a scenario once under a plan, judge it, and explain what does not hold",
        "  seamripper faults replay nudged --plan 'list_window_ids=2*timeout(30)' --seed 0\n"
        "  seamripper faults replay completes --plan 'engine.decide=1*raise(RuntimeError)' --timeline why.html\n"
        "  seamripper faults replay completes --plan 'new_window=1*lost:timeout' --save failed.json\n"
        "  seamripper faults replay failed.json\n"
        "  seamripper faults replay scenarios/test_resume.py::test_x --plan 'send_text=1*timeout'\n",
        _EXIT_CODES,
    )
    made.add_argument(
        "scenario",
        metavar="SCENARIO",
        help="a scenario, module:attribute, a replay file (it ends in .json or has a /), or the node id of a test, "
        "which is run with pytest in a process of its own",
    )
    _add_plan(made)
    _add_world(made, None)
    made.add_argument("--timeline", metavar="FILE", type=_file, help="draw what happened as one HTML page")
    _add_save(made)


def _add_sweep(commands: Commands) -> None:
    made = add_command(
        commands,
        "sweep",
        sweep_points,
        "try every fault at every call of every point, once and for good, before the effect and after it",
        "  seamripper faults sweep completes --layer mux\n"
        "  seamripper faults sweep nudged --calls 1 --fail-fast --save failed.json\n"
        "  seamripper faults sweep after-a-kill --calls ends --json\n"
        "  seamripper faults sweep deferred --mux simulated-tmux --layer transport --calls 1\n",
        _SWEEP_CODES,
    )
    _add_scenario(made)
    _add_world(made, "fake")
    _add_layers(made)
    made.add_argument(
        "--calls",
        metavar="WHICH",
        type=_calls,
        default=Calls.EVERY,
        help="first, ends (the first, the second and the last), every, or a number: the first so many (default: every)",
    )
    _add_seed(made)
    made.add_argument("--fail-fast", action="store_true", help="stop at the first plan that fails or does not fire")
    _add_save(made, "the first plan that failed")


def _add_shrink(commands: Commands) -> None:
    made = add_command(
        commands,
        "shrink",
        shrink_plan,
        "make a failing plan as small as can be, while it fails three times out of three",
        "  seamripper faults shrink nudged --plan 'send_text=exit(1, \"?\");new_window=timeout' --seed 0\n"
        "  seamripper faults shrink failed.json --save smallest.json\n",
        "exit codes:\n  0 shrunk    1 the plan does not fail, or not every time    2 usage    128+n stopped by signal n\n",
    )
    made.add_argument("scenario", metavar="SCENARIO", help="a scenario, module:attribute, or a replay file")
    _add_plan(made)
    _add_world(made, None)
    made.add_argument(
        "--runs",
        metavar="N",
        type=at_least_one,
        default=1000,
        help="runs at most, after the first three (default: 1000)",
    )
    _add_save(made, "the smallest plan")


def _add_scenario(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "scenario", metavar="SCENARIO", help="a scenario (see `seamripper faults scenarios`), or module:attribute"
    )


def _add_plan(made: argparse.ArgumentParser) -> None:
    made.add_argument("--plan", metavar="PLAN", help="the fault plan, as text; '' is no faults")
    _add_seed(made)


def _add_seed(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--seed", metavar="N", type=_seed, help="seed of the plan's chances and of all names (default: 0)"
    )


def _add_save(made: argparse.ArgumentParser, what: str = "the trial") -> None:
    made.add_argument("-o", "--save", metavar="FILE", type=_file, help=f"write {what} down, for `replay FILE`")


def _add_world(made: argparse.ArgumentParser, default: str | None) -> None:
    names = ", ".join(SIMULATED)
    made.add_argument("--mux", metavar="NAME", type=_world, default=default, help=f"{names} (default: fake)")


def _add_layers(made: argparse.ArgumentParser) -> None:
    names = ", ".join(SWEPT_LAYERS)
    made.add_argument(
        "--layer", metavar="LAYER", action="append", type=_layer, help=f"{names}; repeatable (default: all of them)"
    )


def _world(text: str) -> str:
    return _one_of(text, "world", SIMULATED)


def _layer(text: str) -> str:
    return _one_of(text, "layer", SWEPT_LAYERS)


def _one_of(text: str, what: str, known: tuple[str, ...]) -> str:
    if text in known:
        return text
    near = nearest_name(text[:80], known)
    raise argparse.ArgumentTypeError(f"unknown {what} {text!r:.80}; the nearest valid name is {near!r}")


def _calls(text: str) -> Calls | int:
    try:
        return calls_of("1" if text == "first" else text[:80])
    except FaultPlanError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


def _seed(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 30 else -1
    if not 0 <= number <= MOST_SEED:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {MOST_SEED}, got {text!r:.80}")
    return number


def _file(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a file, got ''")
    return text
