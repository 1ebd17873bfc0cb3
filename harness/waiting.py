"""Waiting for live things: processes, files and servers that take the time they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from backends.clock import Clock

__all__ = ["eventually"]

T = TypeVar("T")


def eventually(condition: Callable[[], T], clock: Clock, timeout_s: float, poll_s: float = 0.05) -> T:
    """The first answer of `condition` that is true, asked every `poll_s` seconds of `clock`.

    Raises `TimeoutError` once `timeout_s` have passed, with the last answer; what `condition` raises passes through.
    """
    end = clock.monotonic() + timeout_s
    answers = tenacity.Retrying(
        sleep=clock.sleep,
        wait=tenacity.wait_fixed(poll_s),
        stop=lambda state: clock.monotonic() >= end,
        retry=tenacity.retry_if_result(lambda answer: not answer),
        retry_error_callback=lambda state: _give_up(state, timeout_s),
    )
    return answers(condition)


def _give_up(state: tenacity.RetryCallState, timeout_s: float) -> None:
    last = None if state.outcome is None else state.outcome.result()
    raise TimeoutError(f"not within {timeout_s:g} s; the last answer was {last!r:.200}")
