"""The matrix of many certificates as one self-contained page: checks by backends; it needs no network and no scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from harness.conformance.report_columns import (
    GLYPHS,
    PROBLEMS,
    Column,
    Row,
    Unread,
    check_rows,
    counted,
    host_line,
    level_line,
    subject_line,
    worst,
)
from harness.conformance.results import Certificate, Level, Outcome, Result, whole
from harness.dashboard import literal

__all__ = ["matrix_page"]

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1c1c; --faint: #626262; --line: #c9c9c9; --head: #f2f2f2;
  --good: #bfe5c7; --bad: #f5b8b4; --warn: #f6d79a; --note: #d9d0ee; --none: #ececec; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #e4e4e4; --faint: #a4a4a4; --line: #3c4048; --head: #20242b;
    --good: #1f5a31; --bad: #7d2620; --warn: #6e4d0c; --note: #463a69; --none: #24272d; } }
body { background: var(--paper); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; }
h1 { font-size: 1.4rem; } small, .faint { color: var(--faint); font-weight: normal; }
.wide { overflow: auto; max-height: 92vh; } table { border-collapse: separate; border-spacing: 0; }
th, td { border: 0 solid var(--line); border-width: 0 1px 1px 0; padding: .2rem .5rem; font-weight: normal;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; }
thead th { position: sticky; top: 0; background: var(--head); z-index: 2; min-width: 8rem; max-width: 18rem; }
thead th:first-child { left: 0; z-index: 3; }
tbody th { position: sticky; left: 0; background: var(--paper); z-index: 1; min-width: 16rem; max-width: 30rem; }
tbody th.level, td.level { background: var(--head); font-weight: bold; }
thead th span { display: block; } code { font-family: ui-monospace, monospace; }
.passed { background: var(--good); } .failed, .error, .unread { background: var(--bad); }
.stale, .waived { background: var(--warn); } .unsupported { background: var(--note); } .not { background: var(--none); }
summary { cursor: pointer; } dl { margin: .3rem 0; max-width: 28rem; } dt { font-weight: bold; } dd { margin: 0 0 .3rem; }
dd { white-space: pre-wrap; } .key td, .key th { max-width: 40rem; position: static; }
"""

_MEANINGS = {
    Outcome.PASSED: "the promise is kept",
    Outcome.FAILED: "the promise is broken",
    Outcome.UNSUPPORTED: "declared as not to be had, and honestly refused",
    Outcome.WAIVED: "broken, as a waiver or a known bug said",
    Outcome.STALE_WAIVER: "kept, although a waiver says that it is broken: the waiver has to go",
    Outcome.NOT_RUN: "not tried",
    Outcome.ERROR: "the check itself could not be carried out",
}
_TEXT_LIMIT = 2000
"""Characters of what was expected or observed that a page keeps."""


def matrix_page(columns: Sequence[Column], title: str = "Conformance") -> str:
    """The page, as HTML; nothing in it that came from a certificate is taken for markup."""
    return "\n".join(_lines(columns, title)) + "\n"


def _lines(columns: Sequence[Column], title: str) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>"
    yield f"<p>{_totals(columns)}</p>"
    rows = check_rows(columns)
    yield f'<div class="wide">\n<table class="matrix">\n<thead>\n<tr><th scope="col">check</th>{_headings(columns)}</tr>'
    yield "</thead>\n<tbody>"
    yield f'<tr><th scope="row">totals</th>{"".join(_column_totals(column) for column in columns)}</tr>'
    for level, group in groupby(rows, key=lambda row: row.level):
        yield from _level(level, list(group), columns)
    yield "</tbody>\n</table>\n</div>"
    yield from _key()
    yield "</body>\n</html>"


def _totals(columns: Sequence[Column]) -> str:
    read = [column.found for column in columns if isinstance(column.found, Certificate)]
    counts = counted(result for found in read for result in found.results)
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count) or "no checks"
    unread = len(columns) - len(read)
    lost = f" {unread} could not be read." if unread else ""
    return f"{len(read)} {'certificate' if len(read) == 1 else 'certificates'}: {told}.{lost} Open a cell for what was seen."


def _headings(columns: Sequence[Column]) -> str:
    return "".join(f'<th scope="col" title="{_text(column.source)}">{_heading(column)}</th>' for column in columns)


def _heading(column: Column) -> str:
    if isinstance(column.found, Unread):
        return f'<span>{_text(column.source)}</span><span class="unread">⚠ no certificate</span>'
    found = column.found
    lines = [subject_line(found), host_line(found)]
    if found.backend.binary:
        lines.append(found.backend.binary)
    if found.backend.note:
        lines.append(found.backend.note)
    name, *rest = (_text(line) for line in lines)
    below = "".join(f'<span class="faint">{line}</span>' for line in rest)
    return f"<span>{name}</span>{below}<span><b>{_text(level_line(found))}</b></span>"


def _column_totals(column: Column) -> str:
    if isinstance(column.found, Unread):
        return f'<td class="unread">{_text(column.found.why)}</td>'
    counts = counted(column.found.results)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return f"<td>{told or 'no checks'}{_capabilities(column.found)}</td>"


def _capabilities(certificate: Certificate) -> str:
    """What it does not have, or has wrong, behind a fold."""
    lacking = {name: said for name, said in certificate.capabilities.items() if said != "supported"}
    if not lacking:
        return ""
    told = "".join(f"<dt>{_text(name)}</dt><dd>{_text(said, _TEXT_LIMIT)}</dd>" for name, said in lacking.items())
    return f"<details><summary>{len(lacking)} capabilities lacking</summary><dl>{told}</dl></details>"


def _level(level: Level, rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    heads = "".join(_level_cell([result for row in rows for result in row.cells[i]]) for i in range(len(columns)))
    yield f'<tr><th scope="rowgroup" class="level">{level.name} {_text(level.title)}</th>{heads}</tr>'
    for row in rows:
        cells = "".join(_cell(cell) for cell in row.cells)
        yield f'<tr><th scope="row"><code>{_text(row.check_id)}</code><br>{_text(row.title)}</th>{cells}</tr>'


def _level_cell(results: Sequence[Result]) -> str:
    if not results:
        return '<td class="level"></td>'
    kept = sum(result.outcome.keeps for result in results)
    if kept == len(results) and not whole(results):
        return f'<td class="level">· not shown: none of {len(results)} passed</td>'
    return f'<td class="level">{"✔" if kept == len(results) else "✖"} {kept} of {len(results)}</td>'


def _cell(results: Sequence[Result]) -> str:
    if not results:
        return '<td class="void" title="not in this certificate"></td>'
    shown = worst(results)
    outcome = shown.outcome
    kind = outcome.value.split()[0]
    word = f"{GLYPHS[outcome]} {outcome}"
    told = "".join(_told(result) for result in results if result.outcome in PROBLEMS or result is shown)
    title = "&#10;".join(f"{what}: {_text(text, _TEXT_LIMIT)}" for what, text in _facts(shown))
    if outcome is Outcome.PASSED or not told:
        return f'<td class="{kind}" title="{title}">{word}</td>'
    return f'<td class="{kind}" title="{title}"><details><summary>{word}</summary>{told}</details></td>'


def _told(result: Result) -> str:
    facts = "".join(f"<dt>{what}</dt><dd>{_lines_of(text)}</dd>" for what, text in _facts(result))
    return f"<dl>{facts}</dl>" if facts else ""


def _facts(result: Result) -> list[tuple[str, str]]:
    """What there is to say of a result, each with its name."""
    all_of_them = (("expected", result.expected), ("observed", result.observed), ("replay", result.replay))
    return [(what, text) for what, text in all_of_them if text]


def _key() -> Iterator[str]:
    yield '<h2>What a cell says</h2>\n<table class="key">\n<tbody>'
    for outcome, meaning in _MEANINGS.items():
        yield f'<tr><td class="{outcome.value.split()[0]}">{GLYPHS[outcome]} {outcome}</td><td>{meaning}</td></tr>'
    yield "<tr><td></td><td>the certificate does not have this check</td></tr>\n</tbody>\n</table>"


def _lines_of(text: str) -> str:
    return "\n".join(_text(line, _TEXT_LIMIT) for line in text[:_TEXT_LIMIT].split("\n"))


def _text(text: str, limit: int = 300) -> str:
    """`text` in one line as HTML, with control characters escaped as well."""
    return escape(literal(text, limit))
