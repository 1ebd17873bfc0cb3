"""Fault coverage as one self-contained page: a grid for each layer, points by actions; it needs no network and no scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from faults.coverage import NOT_REACHED, NOT_SELECTED, Coverage, Hit, LayerCoverage, Square
from harness.pages import page

__all__ = ["coverage_page"]

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1c1c; --faint: #6a6a6a; --line: #c9c9c9;
  --yes: #bfe5c7; --no: #f6d79a; --far: #ececec; --never: #d9d0ee; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #e4e4e4; --faint: #9c9c9c; --line: #3c4048;
    --yes: #1f5a31; --no: #6e4d0c; --far: #24272d; --never: #463a69; } }
body { background: var(--paper); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; } h2 small { font-weight: normal; }
.wide { overflow-x: auto; } table { border-collapse: collapse; } caption { text-align: left; color: var(--faint); }
th, td { border: 1px solid var(--line); padding: .1rem .4rem; font-weight: normal; text-align: center; }
thead th { vertical-align: bottom; }
thead span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
tbody th { text-align: left; font-family: ui-monospace, monospace; white-space: nowrap;
  position: sticky; left: 0; background: var(--paper); }
.yes { background: var(--yes); } .no { background: var(--no); } .far { background: var(--far); }
.never { background: var(--never); } .void { border-color: transparent; }
summary { cursor: pointer; list-style: none; } summary::-webkit-details-marker { display: none; }
details code { display: block; max-width: 30rem; text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; }
.key td, .key th { text-align: left; white-space: normal; }
"""

_SYMBOLS: Mapping[str, tuple[str, str]] = {NOT_SELECTED: ("no", "○"), NOT_REACHED: ("far", "·")}
"""The class and the text of a square that was not exercised for this reason; any other is a lie that cannot be told."""
_NEVER = ("never", "?")


def coverage_page(coverage: Coverage) -> str:
    """The page, as HTML."""
    return page("Fault coverage", _STYLE, _body(coverage))


def _body(coverage: Coverage) -> Iterator[str]:
    yield "<h1>Fault coverage</h1>"
    yield f"<p>{_part(coverage.exercised, len(coverage.grid))}. Open a number for the line that does it again.</p>"
    yield from _key(coverage)
    for layer in coverage.layers:
        yield from _layer(layer, {s: found for s, found in coverage.grid.items() if s.layer == layer.layer})


def _key(coverage: Coverage) -> Iterator[str]:
    """What the colours and signs mean, and how many there are of each."""
    yield '<table class="key">\n<caption>What a cell says</caption>\n<tbody>'
    yield _key_row("yes", "12", "exercised, so many times", coverage.exercised)
    for why, count in coverage.reasons:
        kind, sign = _SYMBOLS.get(why, _NEVER)
        yield _key_row(kind, sign, f"not exercised: {why}", count)
    yield _key_row("void", "", "this cannot happen there", None)
    yield "</tbody>\n</table>"
    if coverage.others:
        yield f"<p>{coverage.others:,} more faults happened beside the grid: other errors, texts or durations.</p>"
    if coverage.left_out:
        listed = "; ".join(f"{layer}: {why}" for layer, why in coverage.left_out.items())
        yield f"<p>Layers that are left out: {escape(listed)}.</p>"


def _key_row(kind: str, sign: str, meaning: str, count: int | None) -> str:
    number = "" if count is None else f"{count:,}"
    return f'<tr><td class="{kind}">{sign}</td><td>{escape(meaning)}</td><td>{number}</td></tr>'


def _layer(layer: LayerCoverage, grid: Mapping[Square, Hit | str]) -> Iterator[str]:
    columns = list(dict.fromkeys((square.action, square.moment) for square in grid))
    yield f"<section>\n<h2>{escape(layer.layer)} <small>{_part(layer.exercised, layer.total)}</small></h2>"
    yield '<div class="wide">\n<table>\n<thead>\n<tr><th scope="col">point</th>'
    yield "".join(f'<th scope="col"><span>{escape(action)} {moment}</span></th>' for action, moment in columns)
    yield "</tr>\n</thead>\n<tbody>"
    for point in dict.fromkeys(square.point for square in grid):
        cells = "".join(_cell(grid.get(Square(point, *column))) for column in columns)
        yield f'<tr><th scope="row">{escape(point)}</th>{cells}</tr>'
    yield "</tbody>\n</table>\n</div>\n</section>"


def _cell(found: Hit | str | None) -> str:
    if found is None:
        return '<td class="void"></td>'
    if isinstance(found, str):
        kind, sign = _SYMBOLS.get(found, _NEVER)
        return f'<td class="{kind}" title="{escape(found)}">{sign}</td>'
    replay = escape(found.replay)
    return f'<td class="yes" title="{replay}"><details><summary>{found.count}</summary><code>{replay}</code></details></td>'


def _part(some: int, of: int) -> str:
    return f"{some:,} of {of:,} cells ({100 * some // max(of, 1)} %)"
