"""What is installed beside us: versions of distributions, and the entry points that they announce."""

from __future__ import annotations

import importlib.metadata

__all__ = ["announced", "version_of"]


def version_of(name: str) -> str | None:
    """The version of the distribution called `name`; `None` where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def announced(group: str) -> dict[str, str]:
    """What the entry points of that group refer to, by name."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=group)}
