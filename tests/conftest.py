"""Lets all tests import what is broken on purpose, and lets those that take long begin first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "broken"))

LONG_S = 200
"""A test that is given more seconds than this begins before the others, so that no process waits for it at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the items: what may take long first, everything else as it was collected."""

    def is_short(item: pytest.Item) -> bool:
        marker = item.get_closest_marker("timeout")
        return marker is None or not marker.args or marker.args[0] < LONG_S

    items.sort(key=is_short)
