"""The picture of the transports shows what was found."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from plot_transport import COLOURS, drawn, main

ROWS = [
    {"windows": windows, "subject": "has_session", "way": way, "ms": {"min": ms / 2, "median": ms, "max": ms * 2}}
    for way, ms in (("control", 0.1), ("process", 10.0))
    for windows in (1, 100)
]


def test_each_way_has_a_line_and_a_point_for_each_size(tmp_path: Path) -> None:
    """The dearer one stands higher, and what was not measured has none."""
    (tmp_path / "found.json").write_text(json.dumps({"findings": ROWS}))
    assert main([str(tmp_path / "found.json"), str(tmp_path / "drawn.svg")]) == 0

    tree = ElementTree.fromstring((tmp_path / "drawn.svg").read_text())
    points = [node for node in tree.iter() if node.tag.endswith("circle")]
    lines = {node.get("stroke"): node for node in tree.iter() if node.tag.endswith("polyline")}
    assert len(points) == len(ROWS)
    assert lines.keys() == {COLOURS["control"], COLOURS["process"]}
    assert max(float(node.get("cy", "")) for node in points[2:]) < min(float(node.get("cy", "")) for node in points[:2])


def test_nothing_found_is_a_picture_all_the_same() -> None:
    """Only the frames are drawn."""
    assert "<circle" not in drawn([])
