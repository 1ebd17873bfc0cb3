"""How what means nothing is refused: with one line, and the exit code that all our commands have for bad input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["EXIT_USAGE", "refusing"]

EXIT_USAGE = 2


class _Refusal(pytest.Item):
    """Stands for everything that a worker has collected: the controller tells of tests, and of nothing else."""

    def __init__(self, *, why: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._why = why

    def runtest(self) -> None:
        """Say why."""
        pytest.fail(self._why, pytrace=False)


@contextmanager
def refusing(config: pytest.Config, items: list[pytest.Item] | None = None) -> Iterator[None]:
    """Within, a `UsageError` ends the session with its message and `EXIT_USAGE`, where pytest itself would end with 4.

    In a worker of pytest-xdist, which cannot end the session, it is the failure of the only item that is left of `items`.
    """
    try:
        yield
    except pytest.UsageError as wrong:
        if items and hasattr(config, "workerinput"):
            items[:] = [_Refusal.from_parent(items[0].session, name="refused", why=f"error: {wrong}")]
        else:
            pytest.exit(f"error: {wrong}", EXIT_USAGE)
