"""Draws what `bench_transport.py --json` found: medians over the number of windows, with the least and the most of the rounds.

python tests/bench/plot_transport.py found.json docs/images/transport.svg
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["COLOURS", "drawn", "main"]

SUBJECTS = ("has_session", "list_windows", "batch_liveness", "set_window_option", "send_text", "new_window")
COLOURS: Mapping[str, str] = {
    "control": "#1b7837",
    "process": "#2166ac",
    "client": "#999999",
    "libtmux": "#b2182b",
    "polling": "#e08214",
}
_WIDTH, _HEIGHT, _GAP, _HEAD = 300.0, 200.0, 60.0, 60.0
_LEAST_MS, _MOST_MS = 0.05, 50_000.0

Rows = Sequence[Mapping[str, Any]]


def drawn(found: Rows) -> str:
    """The picture of `findings`, one panel for each subject; both scales are logarithmic."""
    sizes = sorted({row["windows"] for row in found if row["subject"] in SUBJECTS})
    pieces = [piece for at, subject in enumerate(SUBJECTS) for piece in _panel(found, subject, sizes, at)]
    for at, (way, colour) in enumerate(COLOURS.items()):
        x = 60 + at * 110
        pieces.append(f'<line x1="{x}" y1="24" x2="{x + 24}" y2="24" stroke="{colour}" stroke-width="3"/>')
        pieces.append(f'<text x="{x + 30}" y="28">{way}</text>')
    width, height = 3 * (_WIDTH + _GAP) + 20, 2 * (_HEIGHT + _GAP) + _HEAD
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(pieces) + "\n</svg>\n"
    )


def _panel(found: Rows, subject: str, sizes: Sequence[int], at: int) -> Iterator[str]:
    left, top = 60 + at % 3 * (_WIDTH + _GAP), _HEAD + 10 + at // 3 * (_HEIGHT + _GAP)

    def x(windows: int) -> float:
        return left + _WIDTH * math.log10(windows) / max(1.0, math.log10(max(sizes)))

    def y(ms: float) -> float:
        share = math.log10(max(ms, _LEAST_MS) / _LEAST_MS) / math.log10(_MOST_MS / _LEAST_MS)
        return top + _HEIGHT * (1 - min(1.0, share))

    yield f'<text x="{left:g}" y="{top - 8:g}" font-weight="bold">{escape(subject)}</text>'
    for ms in (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0):
        yield f'<line x1="{left:g}" y1="{y(ms):.1f}" x2="{left + _WIDTH:g}" y2="{y(ms):.1f}" stroke="#dddddd"/>'
        said = f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"
        yield f'<text x="{left - 6:g}" y="{y(ms) + 4:.1f}" text-anchor="end" fill="#555555" font-size="10">{said}</text>'
    for windows in sizes:
        place = f'x="{x(windows):.1f}" y="{top + _HEIGHT + 16:g}"'
        yield f'<text {place} text-anchor="middle" fill="#555555" font-size="10">{windows}</text>'
    for way, colour in COLOURS.items():
        rows = sorted(
            (row for row in found if (row["subject"], row["way"]) == (subject, way)), key=lambda row: row["windows"]
        )
        line = " ".join(f"{x(row['windows']):.1f},{y(row['ms']['median']):.1f}" for row in rows)
        if rows:
            yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for row in rows:
            at_x, low, high = x(row["windows"]), y(row["ms"]["min"]), y(row["ms"]["max"])
            yield f'<line x1="{at_x:.1f}" y1="{low:.1f}" x2="{at_x:.1f}" y2="{high:.1f}" stroke="{colour}" opacity="0.5"/>'
            yield f'<circle cx="{at_x:.1f}" cy="{y(row["ms"]["median"]):.1f}" r="3" fill="{colour}"/>'


def main(argv: Sequence[str]) -> int:
    """Draw it."""
    parser = argparse.ArgumentParser(prog="plot_transport.py", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("found", type=Path, help="what bench_transport.py --json wrote")
    parser.add_argument("picture", type=Path, help="where the SVG goes")
    options = parser.parse_args(argv)
    options.picture.write_text(drawn(json.loads(options.found.read_text())["findings"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
