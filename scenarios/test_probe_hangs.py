"""Probes that hang: an unanswered question is not a death."""

from __future__ import annotations

import pytest

from harness.agents import task, works
from harness.record import RunStatus
from harness.runner import Stage


@pytest.mark.faults("list_window_ids=2*timeout(30)")
def test_probe_transient_hang_is_not_a_crash(mux_run: Stage) -> None:
    """Two unanswered liveness probes are not a death: the session completes."""
    report = mux_run(task("1-1", agent=works(10).then_completes()), call_timeout_s=30)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").attempts == 1
    if report.virtual:
        assert report.elapsed_s >= 60
