"""One page that shows why a run under faults came out as it did: `timeline_page`, a pure function of its reports.

The page needs nothing but itself: no network, no script. Whatever agents, plans, files or exceptions say is shown literally.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from faults.trace import Injection, TraceEntry
from harness.chronology import Section, chronology
from harness.drawing import draw, seconds_text
from harness.pages import escaped, page
from harness.record import Event
from harness.report import Report

__all__ = ["timeline_page"]

_ROWS = 400
"""Rows of a table: what is more is said to be left out."""

_STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #22252a; --soft: #6b7280; --line: #d9dbe0; --band: #f1f2f5;
  --step: #e4e7ee; --call: #cfe0f5; --good: #1a7f4b; --good-fill: #cdeedb; --bad: #c02634; --bad-fill: #fbd5d8;
  --fault: #d1121f; --silence: rgba(214, 24, 36, .13); --decision: #e9dcfb; --fold: #e7e2d2; --life: #b9c9b4; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181d; --ink: #dfe3ea; --soft: #949cab; --line: #333943;
  --band: #1b2027; --step: #2b323d; --call: #244163; --good: #6bd49b; --good-fill: #1c4a33; --bad: #ff8b93;
  --bad-fill: #5a1d24; --fault: #ff5a64; --silence: rgba(255, 70, 80, .20); --decision: #44315f; --fold: #39352a;
  --life: #3f5a3a; } }
* { box-sizing: border-box; }
body { margin: 1.2rem; background: var(--paper); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .3rem; } h2 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .25rem 0; } code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.verdict { border-left: .4rem solid var(--good); padding: .4rem .8rem; background: var(--good-fill); margin: .6rem 0; }
.verdict.failed { border-color: var(--bad); background: var(--bad-fill); } .verdict b { font-size: 1.05rem; }
.chart { display: flex; border: 1px solid var(--line); } .scroll { overflow-x: auto; }
svg { display: block; flex: none; font: 10px ui-monospace, monospace; } svg.names { border-right: 1px solid var(--line); }
svg text { fill: var(--ink); } text.lane { font-weight: bold; font-size: 11px; } line.edge { stroke: var(--line); }
text.time, text.gap { fill: var(--soft); } text.gap { text-anchor: middle; } path.gap { stroke: var(--soft); fill: none; }
path.long { stroke-dasharray: 2 3; }
text.section { font-weight: bold; font-size: 12px; } line.section { stroke: var(--soft); stroke-width: 3; }
rect.instant { fill: transparent; } rect.odd { fill: var(--band); } rect.folded { fill: var(--fold); opacity: .7; }
g rect { fill: var(--step); } g.call rect { fill: var(--call); } g.failed rect, g.bad rect { fill: var(--bad-fill); }
g.good rect { fill: var(--good-fill); } g.decision rect { fill: var(--decision); } g.injected rect { fill: var(--fault); }
g.injected text { fill: var(--paper); font-weight: bold; } rect.silence { fill: var(--silence); }
rect.lasts { fill: var(--call); } rect.lasts.failed { fill: var(--bad); } rect.lasts.injected { fill: var(--fault); }
text.fault { fill: var(--fault); font-weight: bold; }
g.wait rect { fill: transparent; } g.wait text { fill: var(--soft); }
rect.lasts.wait { fill: var(--line); }
circle.badge { fill: var(--fault); } text.badge { fill: var(--paper); font-weight: bold; text-anchor: middle; }
text.mark { text-anchor: middle; font-size: 12px; } text.injected, text.agent-overlap { fill: var(--fault); }
text.agent-result { fill: var(--good); } rect.life { fill: var(--life); }
rect.unheard { fill: none; stroke: var(--soft); stroke-dasharray: 2 4; }
rect.cut { stroke: var(--bad); stroke-dasharray: 4 3; }
rect.session-good { fill: var(--good-fill); } rect.session-bad { fill: var(--bad-fill); }
rect.session-open { fill: var(--fold); } text.bar { font-size: 11px; }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; vertical-align: top; padding: .15rem .7rem .15rem 0; }
th { color: var(--soft); font-weight: normal; } tr { border-top: 1px solid var(--line); } .no { color: var(--bad); }
.scroll table { min-width: 60rem; } .soft { color: var(--soft); }
"""

_LEGEND = (
    "Time runs to the right. What happened at one instant stands side by side on one band, in order; the gaps between are "
    "not to scale, their length is written on them (dotted: ten seconds or more). Red: a fault, and how long it lasted. "
    "Agents: ▶ starts, ✎ is given a prompt, ★ leaves a result, ■ ends. Recordings: ¶ a journal line, ▣ a file saved. "
    "Point at anything to read all of it."
)


def timeline_page(reports: Sequence[Report], *, title: str, problems: Sequence[str] = (), replay: str = "") -> str:
    """The page of these runs: the one under the faults first, then its resumes.

    `title` names the story or the test, `problems` are what did not hold, `replay` is the command line that repeats it. The
    same reports give the same page.
    """
    sections = chronology(reports)
    drawing = draw(sections)
    body = [
        f"<h1>{escaped(title)}</h1>",
        *_heading(reports, replay),
        *_verdict(reports, problems),
        *_injections(sections),
        "<h2>What happened</h2>",
        f'<div class="chart">{drawing.names}<div class="scroll">{drawing.lanes}</div></div>',
        f'<p class="soft">{_LEGEND}</p>',
        *_tasks(reports),
        *_journal(sections),
    ]
    return page(title, _STYLE, body)


def _heading(reports: Sequence[Report], replay: str) -> Iterator[str]:
    if reports:
        plan = reports[0].faults
        said = f"<code>{escaped(plan.to_text(), 4000)}</code>" if plan.faults else "none"
        yield f"<p>faults {said}, seed {plan.seed}, on {escaped(reports[0].backend)}</p>"
    if replay:
        yield f"<p>replay <code>{escaped(replay, 6000)}</code></p>"


def _verdict(reports: Sequence[Report], problems: Sequence[str]) -> Iterator[str]:
    unfired = [str(fault) for report in reports[:1] for fault in report.unfired]
    failed = " failed" if problems or unfired else ""
    said = " then ".join(f"<b>{escaped(one.status)}</b> {escaped(one.verdict.reason)}" for one in reports)
    yield f'<div class="verdict{failed}"><p>{said or "nothing was run"}</p>'
    yield from (f'<p class="no">✖ {escaped(problem, 2000)}</p>' for problem in problems)
    yield from (f'<p class="no">✖ never fired: <code>{escaped(rule, 2000)}</code></p>' for rule in unfired)
    if not failed:
        yield "<p>✔ nothing is known that does not hold</p>"
    for report in reports:
        if report.raised is not None:
            raised = f"{type(report.raised).__name__}: {report.raised}"
            yield f"<p>out of the engine came <code>{escaped(raised, 500)}</code></p>"
        if report.crash is not None:
            yield f"<p>crash record ({escaped(report.crash_sink)}): <code>{escaped(report.crash.get('error'), 500)}</code></p>"
    yield "</div>"


def _injections(sections: Sequence[Section]) -> Iterator[str]:
    found = [(section, one) for section in sections for one in section.report.injections]
    if not found:
        return
    yield "<h2>Faults that happened</h2>"
    head = ("", "at", "call", "action", "what its caller saw", "written down next")
    yield from _table(head, (_injection_row(section, one) for section, one in found), len(found))


def _injection_row(section: Section, injection: Injection) -> tuple[str, ...]:
    entry = next((one for one in section.report.entries if one.injection is injection), None)
    item = next((one for one in section.items if one.injection == injection.number), None)
    saw = "-" if entry is None else entry.outcome
    if item is not None and item.end_s > item.at_s + 1e-6:
        saw += f", after {seconds_text(item.end_s - item.at_s)} s"
    return (
        str(injection.number),
        f"{seconds_text(injection.at_s)} s",
        f"{injection.call_number}. call of {injection.point}",
        injection.action,
        saw,
        _next_line(section, entry),
    )


def _next_line(section: Section, entry: TraceEntry | None) -> str:
    after = 0 if entry is None else entry.number
    line = next((event for order, _, event in section.lines if order > after), None)
    return "nothing" if line is None else _told(line)


def _told(event: Event) -> str:
    own = ("seq", "epoch", "at", "state", "crash", "event")
    words = [f"{key}={value}" for key, value in event.items() if key not in own and value not in (None, "", [])]
    return " ".join([str(event.get("event")), *words])


def _tasks(reports: Sequence[Report]) -> Iterator[str]:
    state = next((report.state for report in reversed(reports) if report.state is not None), None)
    if state is None:
        return
    report = next(report for report in reversed(reports) if report.state is state)
    rows = []
    for one in state.tasks:
        task = report.task(one.key)
        told = " then ".join(task.outcomes)
        rows.append((task.key, task.phase, str(task.attempts), told, str(task.nudges), task.reason or task.summary))
    yield "<h2>Tasks at the end</h2>"
    yield from _table(("task", "phase", "attempts", "sessions", "nudges", "said"), rows, len(rows))


def _journal(sections: Sequence[Section]) -> Iterator[str]:
    lines = [(section, source, event) for section in sections for _, source, event in section.lines]
    yield "<h2>Journal</h2>"
    rows = (
        (str(event.get("seq")), section.title.partition(",")[0], source, str(event.get("event")), _rest(event))
        for section, source, event in lines
    )
    yield from _table(("line", "of", "in", "event", "told"), rows, len(lines))


def _rest(event: Event) -> str:
    return _told(event).removeprefix(str(event.get("event"))).strip()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> Iterator[str]:
    yield '<div class="scroll"><table><tr>' + "".join(f"<th>{escaped(one)}</th>" for one in head) + "</tr>"
    for number, row in enumerate(rows):
        if number == _ROWS:
            yield f'<tr><td colspan="{len(head)}">{count - _ROWS} more are left out</td></tr>'
            break
        yield "<tr>" + "".join(f"<td>{escaped(cell, 500)}</td>" for cell in row) + "</tr>"
    yield "</table></div>"
