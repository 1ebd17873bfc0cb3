"""Many commands in one go on a real server: each with its own answer, and none that is carried out late."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from live_tmux import CLOCK, LiveServer, live_tmux

from backends.control import ControlTransport
from backends.processes import Completed
from backends.tmux import TmuxMultiplexer
from backends.transport import Outcome, SubprocessTransport, run_many

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="without setpriv everything goes by process"),
]


@pytest.fixture
def live() -> Iterator[LiveServer]:
    """A server of its own for each test."""
    with live_tmux("process") as one:
        yield one


@pytest.fixture
def control(live: LiveServer) -> Iterator[ControlTransport]:
    """A client that is connected to it."""
    made = ControlTransport(SubprocessTransport(live.processes))
    assert TmuxMultiplexer(live.mux.socket_path.parent, transport=made).has_session("run-1")
    yield made
    made.close()


def sent(live: LiveServer, control: ControlTransport, *commands: tuple[str, ...], timeout_s: float) -> list[Outcome]:
    """What came of each."""
    client = ("tmux", "-u", "-S", str(live.mux.socket_path), "-f", "/dev/null")
    return run_many(control, [(*client, *words) for words in commands], timeout_s=timeout_s, clock=CLOCK)


def test_many_windows_are_ended_in_one_go(live: LiveServer, control: ControlTransport) -> None:
    """One that is not there is refused, and does not keep the others from it."""
    made = [live.mux.new_window("run-1", "w", "/", {}, "sleep 600") for _ in range(5)]
    targets = [*made[:3], "@99", *made[3:]]
    outcomes = sent(live, control, *(("kill-window", "-t", target) for target in targets), timeout_s=60)

    assert [outcome.status for outcome in outcomes if isinstance(outcome, Completed)] == [0, 0, 0, 1, 0, 0]
    assert live.mux.list_window_ids("run-1") == ["@0"]


def test_what_a_frozen_server_was_asked_in_one_go_is_taken_back(live: LiveServer, control: ControlTransport) -> None:
    """All of it is unknown, and none of it is carried out later."""
    with live.frozen():
        outcomes = sent(live, control, *[("new-window", "-d", "-n", "late", "-t", "=run-1:")] * 20, timeout_s=0.5)
    after = sent(live, control, ("set-option", "-g", "@after", "1"), timeout_s=60)

    assert [type(outcome) for outcome in outcomes] == [subprocess.TimeoutExpired] * 20
    assert [type(outcome) for outcome in after] == [Completed]
    assert live.mux.list_window_ids("run-1") == ["@0"]
