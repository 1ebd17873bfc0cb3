"""The page of each failure: where it is put, and what is said of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.plugin.files import put_text
from harness.report import Report
from harness.timeline import timeline_page

__all__ = ["Failure", "page_name", "problems_in", "put_page"]

_LINES = 20
"""Lines of what a test says that are shown: what is more is in its own output."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What was run under the item that failed, and what did not hold."""

    reports: Sequence[Report]
    problems: Sequence[str]


def problems_in(raised: BaseException) -> list[str]:
    """What `raised` says, line by line: its first paragraph, as the next ones explain that."""
    lines = [line.strip() for line in str(raised).strip().partition("\n\n")[0].splitlines()]
    return lines[:_LINES] or [type(raised).__name__]


def page_name(nodeid: str) -> str:
    """A file's name for the item: of letters, digits and a few signs, not too long anywhere, and no other item's."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", nodeid).strip("._-")
    return f"{safe[:150]}-{hashlib.sha256(nodeid.encode('utf-8', 'backslashreplace')).hexdigest()[:10]}.html"


def put_page(directory: Path, nodeid: str, failure: Failure, replay: str) -> Path:
    """Draw what happened as a page in `directory`, over an older one of the same item; its path. Raises `OSError`."""
    path = directory / page_name(nodeid)
    put_text(path, timeline_page(failure.reports, title=nodeid, problems=failure.problems, replay=replay))
    return path
