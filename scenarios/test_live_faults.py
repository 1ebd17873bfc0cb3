"""What happens to the server itself, as a fault plan says it: stopped, killed, cut off from its socket, replaced."""

from __future__ import annotations

import pytest

from harness.agents import ScriptedAgent, completes, task, works
from harness.incidents import foreign_windows
from harness.record import RunStatus
from harness.runner import Stage


@pytest.mark.faults("live.freeze_server=6*pass->1*occur(20)")
def test_freeze_server_for_a_while_is_as_if_nothing_had_happened(mux_run: Stage) -> None:
    """Stopped for twenty seconds in the middle of a session, the server costs time and nothing else."""
    agent = works(10).then_completes()
    frozen = mux_run(task("1-1", agent=agent), session_timeout_s=200, call_timeout_s=5)
    calm = mux_run(task("1-1", agent=agent), session_timeout_s=200, call_timeout_s=5)

    assert frozen.status is RunStatus.FINISHED
    assert frozen.task("1-1").outcomes == calm.task("1-1").outcomes == ["completed"]
    assert frozen.task("1-1").attempts == 1
    assert frozen.events("transport-degraded")
    assert frozen.events("transport-recovered")


@pytest.mark.faults("live.freeze_server=12*pass->1*occur")
def test_freeze_server_for_good_times_out_and_pauses(mux_run: Stage) -> None:
    """Stopped for good, it costs the session its deadline and the run a pause; thawed, the run is resumed to its end."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), session_timeout_s=12, call_timeout_s=5)

    assert report.task("1-1").outcomes == ["timed_out"]
    assert report.status is RunStatus.PAUSED
    assert report.events("run-paused")[0]["stage"] == "multiplexer-unreachable"
    if report.virtual:
        began, ended = (report.events(name)[0]["at"] for name in ("session-started", "session-ended"))
        assert 12 <= ended - began <= 12 + 5 + 1
    assert mux_run.resume_to_the_end().status is RunStatus.FINISHED


@pytest.mark.faults("live.kill_server=12*pass->1*occur")
def test_kill_server_crashes_its_sessions_and_is_told_once(mux_run: Stage) -> None:
    """With the server its sessions have crashed, in one line, and the next attempts make them good."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), task("1-2", agent=agent), max_parallel=2, session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    (lost,) = report.events("server-lost")
    assert set(lost["tasks"]) <= {"1-1", "1-2"}
    assert [report.task(key).outcome for key in ("1-1", "1-2")] == ["completed", "completed"]
    assert "crashed" in report.task(lost["tasks"][0]).outcomes


@pytest.mark.worlds("simulated-tmux", "tmux")
@pytest.mark.faults("live.unlink_socket=8*pass->1*occur(6)")
def test_unlink_socket_is_unknown_until_it_is_back(mux_run: Stage) -> None:
    """Without its socket the server cannot be asked; nothing is concluded from that, and no second one is started."""
    report = mux_run(task("1-1", agent=works(10).then_completes()), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.events("transport-degraded")
    assert report.events("transport-recovered")
    assert not report.events("server-lost")


@pytest.mark.worlds("simulated-tmux", "tmux")
@pytest.mark.faults("live.replace_server=12*pass->1*occur")
def test_replace_server_leaves_the_other_one_alone(mux_run: Stage) -> None:
    """A session of our name with windows of our ids in another server gets nothing typed, and none of it is killed."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert foreign_windows(mux_run.world, mux_run.run_dir.name) == {"@0": "", "@1": ""}
