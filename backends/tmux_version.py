"""What a tmux says of itself, as a version that can be compared."""

from __future__ import annotations

import re

__all__ = ["parse_version"]

_VERSION = re.compile(r"tmux (?:next-)?(\d{1,3})\.(\d{1,3})([a-z]?)")


def parse_version(line: str) -> tuple[int, int, str] | None:
    """(3, 3, "a") of `tmux 3.3a`; `None` for what is no version of tmux."""
    found = _VERSION.match(line)
    return None if found is None else (int(found[1]), int(found[2]), found[3])
