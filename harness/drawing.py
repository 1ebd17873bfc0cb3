"""Draws the chronology of a trial as one SVG: lanes over time, with what a fault touched standing out.

Time runs to the right. What happens at one instant stands side by side, in order; what lies between two instants is a gap
whose width only hints at its length, which is written on it. Instants in which the same happens again and again are folded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.chronology import AGENTS, CALLS, ENGINE, NESTED, RECORD, RUN, TASK, TRANSPORT, Item, Mark, Section
from harness.pages import escaped

__all__ = ["Drawing", "draw", "seconds_text"]

_COLUMN = 15.0
_LABEL = 22
"""Characters of a label; the rest is in its title."""
_CHARACTER = 6.1
_HEAD = 70.0
_ALIKE = 4
"""Instants in a row that are alike, from which on those between the first and the last are folded."""
_MOST = 1200
"""Instants of one run that are drawn."""


def seconds_text(seconds: float) -> str:
    """A time or a duration in seconds, to the millisecond, without zeros that say nothing."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Drawing:
    """The picture, in two parts that stand side by side: the names of the lanes, and the lanes themselves."""

    names: str
    lanes: str


@dataclass(frozen=True, slots=True)
class _Moment:
    """What happened at one instant. `folded` counts those after it that are left out, because they are alike or too many."""

    at_s: float
    items: tuple[Item, ...]
    folded: int = 0
    alike: bool = True


@dataclass(slots=True)
class _Plot:
    """Where things are: the places of items by run and order, and the pieces of the picture so far."""

    tops: Mapping[str, tuple[float, float]]
    height: float
    x: float = 12.0
    pieces: list[str] = field(default_factory=list)

    def bottom(self, lane: str) -> float:
        """The lower edge of the lane."""
        top, height = self.tops[lane]
        return top + height


def draw(sections: Sequence[Section]) -> Drawing:
    """The picture of these runs, one after the other."""
    tops, height = _lanes(sections)
    plot = _Plot(tops, height)
    for section in sections:
        _draw_section(plot, section)
    names = [
        f'<text class="lane" x="6" y="{top + 13:.0f}">{escaped(lane, 24)}</text>' for lane, (top, _) in tops.items()
    ]
    lines = [f'<line class="edge" x1="0" x2="{{width}}" y1="{top:.0f}" y2="{top:.0f}"/>' for top, _ in tops.values()]
    return Drawing(
        _svg(150.0, height, [line.format(width="150") for line in lines] + names, "names"),
        _svg(plot.x, height, [line.format(width=f"{plot.x:.0f}") for line in lines] + plot.pieces, "lanes"),
    )


def _svg(width: float, height: float, pieces: Iterable[str], kind: str) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg class="{kind}" {size} xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(pieces) + "\n</svg>"


def _lanes(sections: Sequence[Section]) -> tuple[dict[str, tuple[float, float]], float]:
    """Top and height of every lane that something is in, and of all together."""
    longest: dict[str, int] = {ENGINE: 4, CALLS: 4}
    for section in sections:
        for mark in (mark for item in section.items for mark in item.marks):
            longest[mark.lane] = max(longest.get(mark.lane, 0), min(len(mark.label), _LABEL))
        for bar in section.bars:
            longest.setdefault(bar.lane, 0)
    first = [ENGINE, CALLS, TRANSPORT, RUN]
    last = [RECORD]
    agents = sorted((lane for lane in longest if lane.startswith(AGENTS)), key=lambda lane: (len(lane), lane))
    tasks = sorted(
        set(longest) - {*first, *agents, *last}, key=lambda lane: (NESTED in lane, lane.startswith(TASK), lane)
    )
    tops: dict[str, tuple[float, float]] = {}
    y = _HEAD
    for lane in [*(one for one in first if one in longest), *tasks, *agents, *last]:
        flat = lane.startswith(AGENTS) or lane == RECORD
        height = 24.0 if flat else 14 + _CHARACTER * longest[lane] + (20 if lane.startswith(TASK) else 0)
        tops[lane] = (y, height)
        y += height
    return tops, y + 6


def _moments(section: Section) -> list[_Moment]:
    """The instants of a run, those that say nothing new folded into the one before."""
    groups: list[list[Item]] = []
    for item in section.items:
        if groups and item.at_s - groups[-1][-1].at_s <= section.at_once_s:
            groups[-1].append(item)
        else:
            groups.append([item])
    moments = [_Moment(group[0].at_s, tuple(group)) for group in groups]
    found: list[_Moment] = []
    at = 0
    while at < len(moments):
        end = at + 1
        while end < len(moments) and _is_dull(moments[at]) and _signature(moments[end]) == _signature(moments[at]):
            end += 1
        if end - at >= _ALIKE:
            found += [_Moment(moments[at].at_s, moments[at].items, end - at - 2), moments[end - 1]]
        else:
            found += moments[at:end]
        at = end
    if len(found) > _MOST:
        head, tail = found[: _MOST // 2], found[-_MOST // 2 :]
        left_out = sum(1 + one.folded for one in found[_MOST // 2 : -_MOST // 2])
        found = [*head[:-1], _Moment(head[-1].at_s, head[-1].items, left_out + head[-1].folded, alike=False), *tail]
    return found


def _is_dull(moment: _Moment) -> bool:
    return all(mark.lane in (ENGINE, CALLS, TRANSPORT) for item in moment.items for mark in item.marks)


def _signature(moment: _Moment) -> tuple[tuple[str, ...], ...]:
    return tuple((mark.lane, mark.label, mark.kind, item.rule) for item in moment.items for mark in item.marks)


def _draw_section(plot: _Plot, section: Section) -> None:
    began = plot.x
    moments = _moments(section)
    places: dict[float, float] = {}
    starts: dict[float, float] = {}
    stamp_until = plot.x - 40
    for index, moment in enumerate(moments):
        left = plot.x
        starts[moment.at_s] = left
        for item in moment.items:
            places[item.order] = plot.x + _COLUMN / 2
            plot.x += _COLUMN
        shade = "instant" if index % 2 else "instant odd"
        plot.pieces.append(_box(left, 52, plot.x - left, plot.height - 58, shade, ""))
        if left >= stamp_until:
            stamp = f"{seconds_text(moment.at_s)} s"
            plot.pieces.append(f'<text class="time" x="{left:.1f}" y="63">{stamp}</text>')
            stamp_until = left + 7 * len(stamp) + 8
        following = moments[index + 1].at_s if index + 1 < len(moments) else section.report.elapsed_s
        stamp_until = max(stamp_until, _gap(plot, moment, max(0.0, following - moment.at_s)))
    _draw_bars(plot, section, places)
    ends = _Ends(starts, plot.x)
    badges = [places[item.order] for moment in moments for item in moment.items if item.injection is not None]
    for moment in moments:
        for item in moment.items:
            x = places[item.order]
            room = min((other - 8 for other in badges if other > x), default=x + 400) - x
            _draw_item(plot, item, x, ends.of(item), room)
    word = str(section.report.status)
    said = f"{section.title}: {'killed, then ' if section.report.killed else ''}{word}"
    plot.pieces.append(f'<text class="section" x="{began:.1f}" y="16">{escaped(said)}</text>')
    plot.x += 8
    plot.pieces.append(f'<line class="section" x1="{plot.x:.1f}" x2="{plot.x:.1f}" y1="0" y2="{plot.height:.0f}"/>')
    plot.x += 14


def _gap(plot: _Plot, moment: _Moment, seconds: float) -> float:
    """Leave room for the time after a moment; up to where its text reaches."""
    if seconds <= 0 and not moment.folded:
        plot.x += 3
        return plot.x
    said = f"{seconds_text(seconds)} s"
    if moment.folded:
        said = (
            f"{moment.folded} times the same, {said}" if moment.alike else f"{moment.folded} instants left out, {said}"
        )
    hint = 14 + 18 * math.log10(1 + 10 * min(seconds, 1e9))
    width = max(hint, 6.2 * len(said) + 10 if seconds >= 0.5 or moment.folded else 0)
    if moment.folded or seconds >= 0.5:
        longer = " long" if seconds >= 10 else ""
        plot.pieces.append(f'<text class="gap" x="{plot.x + width / 2:.1f}" y="46">{said}</text>')
        plot.pieces.append(f'<path class="gap{longer}" d="M{plot.x + 2:.1f} 51 h{width - 4:.1f} m-4 -3 l4 3 l-4 3"/>')
    if moment.folded:
        plot.pieces.append(_box(plot.x, 54, width, plot.height - 60, "folded", said))
    plot.x += width
    return plot.x if moment.folded else 0.0


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where the time that something took ends in the picture."""

    starts: Mapping[float, float]
    right: float

    def of(self, item: Item) -> float | None:
        """The place of its end; `None` for what took no time."""
        if item.end_s <= item.at_s + 1e-6:
            return None
        later = [x for at_s, x in self.starts.items() if at_s >= item.end_s - 1e-6]
        return min(later, default=self.right)


def _draw_item(plot: _Plot, item: Item, x: float, end: float | None, room: float) -> None:
    """Draw what happened at `x`; `room` is how far the words beside the number of a fault may reach."""
    if item.injection is not None:
        right = x + _COLUMN / 2 if end is None else end
        title = f"injection {item.injection}: {item.rule}"
        plot.pieces.append(_box(x - _COLUMN / 2, 22, right - x + _COLUMN / 2, plot.height - 28, "silence", title))
        plot.pieces.append(f'<circle class="badge" cx="{x:.1f}" cy="28" r="8"><title>{escaped(title)}</title></circle>')
        plot.pieces.append(f'<text class="badge" x="{x:.1f}" y="31.5">{item.injection}</text>')
        if room > 12 + 6.2 * len(item.action):
            plot.pieces.append(f'<text class="fault" x="{x + 11:.1f}" y="32">{escaped(item.action)}</text>')
    for mark in item.marks:
        if end is not None and mark.lane in (CALLS, TRANSPORT, ENGINE):
            top, _ = plot.tops[mark.lane]
            plot.pieces.append(_box(x - 5, top + 3, end - x + 5, 8, f"lasts {mark.kind}", mark.title))
        plot.pieces.append(_drawn(plot, mark, x))


def _drawn(plot: _Plot, mark: Mark, x: float) -> str:
    top, height = plot.tops[mark.lane]
    title = f"<title>{_titled(mark.title)}</title>"
    if mark.kind.startswith("agent-"):
        symbol = {"start": "▶", "prompt": "✎", "result": "★", "end": "■", "overlap": "!!"}.get(mark.label, "•")
        return f'<text class="mark {mark.kind}" x="{x:.1f}" y="{top + 17:.1f}">{symbol}{title}</text>'
    if mark.lane == RECORD:
        shape = {"line": "¶", "save": "▣"}.get(mark.kind, "✖")
        return f'<text class="mark {mark.kind}" x="{x:.1f}" y="{top + 17:.1f}">{shape}{title}</text>'
    label = mark.label if len(mark.label) <= _LABEL else mark.label[: _LABEL - 1] + "…"
    bottom = top + height - 4
    return (
        f'<g class="{mark.kind}"><rect x="{x - 6.5:.1f}" y="{bottom - _CHARACTER * len(label) - 4:.1f}" width="13" '
        f'height="{_CHARACTER * len(label) + 6:.1f}" rx="3"/>'
        f'<text class="up" transform="translate({x + 3.5:.1f} {bottom:.1f}) rotate(-90)">{escaped(label)}</text>{title}</g>'
    )


def _draw_bars(plot: _Plot, section: Section, places: Mapping[float, float]) -> None:
    for bar in section.bars:
        top, height = plot.tops[bar.lane]
        left, right = _place(bar.first, places), _place(bar.last, places)
        y, thick = (top + 4, 16.0) if height >= 30 else (top + 5, height - 10)
        kind = f"bar {bar.kind}{' cut' if bar.cut else ''}"
        plot.pieces.append(_box(left - 6, y, max(right - left + 12, 12), thick, kind, bar.title))
        if bar.lane.startswith(TASK):
            room = int((right - left + 6) / 6.3)
            said = bar.label if len(bar.label) <= room else bar.label[: max(room - 1, 0)] + "…"
            plot.pieces.append(f'<text class="bar" x="{left:.1f}" y="{y + 12:.1f}">{escaped(said)}</text>')


def _place(order: float, places: Mapping[float, float]) -> float:
    """The place of the item of that order, or of the nearest one before it that is drawn."""
    before = [x for known, x in places.items() if known <= order]
    return max(before, default=min(places.values(), default=12.0))


def _titled(text: str) -> str:
    return "\n".join(escaped(line, 600) for line in text.split("\n")[:12])


def _box(x: float, y: float, width: float, height: float, kind: str, title: str) -> str:
    told = f"<title>{_titled(title)}</title>" if title else ""
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size} rx="2">{told}</rect>'
