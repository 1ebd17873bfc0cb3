"""What the end of a session says: which worlds ran, what the faults came to, what was covered."""

from __future__ import annotations

from collections.abc import Iterator

from faults.coverage import Coverage
from harness.plugin.deeds import Tally

__all__ = ["coverage_lines", "progress_line", "sweep_line", "tally_lines"]


def tally_lines(tally: Tally) -> Iterator[str]:
    """Which worlds ran, which did not, and how many faults fired."""
    if tally.ran or tally.missing:
        ran = ", ".join(f"{name} ({count})" for name, count in sorted(tally.ran.items()))
        yield f"worlds that ran: {ran or 'none'}"
    for name, count in sorted(tally.missing.items()):
        yield f"NOT RUN on {name}: {count} scenarios skipped, because {tally.why[name]}"
    yield f"runs of the engine: {tally.runs}; faults fired: {tally.fired} at {tally.points} points"


def sweep_line(tally: Tally, elapsed_s: float) -> str:
    """How much was swept, and how fast: `elapsed_s` is the whole session's time."""
    swept, stories = tally.swept.total(), len(tally.swept)
    return (
        f"swept: {swept:,} faults in {stories} {'story' if stories == 1 else 'stories'},"
        f" {swept / max(elapsed_s, 0.001):,.0f} a second"
    )


def progress_line(swept: int, items: int, failed: int, elapsed_s: float) -> str:
    """How far a sweep of so many items is, after `elapsed_s` seconds."""
    rate = swept / max(elapsed_s, 0.001)
    return f"swept {swept:,} of {items:,} ({100 * swept // max(items, 1)} %), {failed} failed, {rate:,.0f} a second"


def coverage_lines(coverage: Coverage) -> Iterator[str]:
    """What was covered: in all, layer by layer, and the most frequent reasons why not."""
    yield f"fault coverage: {_part(coverage.exercised, len(coverage.grid))}"
    for one in coverage.layers:
        yield f"  {one.layer:<10} {_part(one.exercised, one.total)}"
    for why, count in coverage.reasons[:3]:
        yield f"  {count:,} not exercised: {why}"
    left_out = ", ".join(f"{layer} ({why})" for layer, why in coverage.left_out.items())
    if left_out:
        yield f"  left out: {left_out}"


def _part(some: int, all_of_them: int) -> str:
    return f"{some:,} of {all_of_them:,} cells ({100 * some // max(all_of_them, 1)} %)"
