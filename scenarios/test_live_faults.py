"""What happens to the server, its clients, its host and its agents, as a fault plan says it: stopped, killed, cut off, full.

All of it happens beside a server that stands for the user's own, inside of which all seems to run; it is never contacted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.agents import ScriptedAgent, completes, task, works
from harness.incidents import foreign_windows
from harness.record import RunStatus
from harness.runner import Stage
from harness.users_tmux import UsersTmux
from harness.world import World

Possible = Callable[[str], str]


@pytest.fixture(scope="module")
def users() -> Iterator[UsersTmux]:
    """The user's own tmux."""
    server = UsersTmux()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def beside_the_users_tmux(
    mux_world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """On a live host every test runs as if in a window of the user's tmux, which must not notice."""
    if mux_world.virtual:
        yield
        return
    users: UsersTmux = request.getfixturevalue("users")
    for name, value in users.environment.items():
        monkeypatch.setenv(name, value)
    before = users.contacts()
    yield
    assert users.contacts() == before


@pytest.fixture
def possible(mux_world: World) -> Possible:
    """Skips a test whose plan this host does not let happen: not everybody may limit other processes, or mount."""

    def checked(faults: str) -> str:
        event = faults.partition("=")[0].partition(".")[2]
        if event not in mux_world.live_events():
            pytest.skip(f"live.{event} cannot be made to happen on this host")
        return faults

    return checked


def soonest_s(stage: Stage) -> float:
    """A deadline of a session within which the next attempt can be made on the slowest host."""
    return 12 if stage.world.virtual else 40


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
    timeout_s = soonest_s(mux_run)
    report = mux_run(task("1-1", agent=agent), session_timeout_s=timeout_s, call_timeout_s=5)

    assert report.task("1-1").outcomes == ["timed_out"]
    assert report.status is RunStatus.PAUSED
    assert report.events("run-paused")[0]["stage"] == "multiplexer-unreachable"
    if report.virtual:
        began, ended = (report.events(name)[0]["at"] for name in ("session-started", "session-ended"))
        assert timeout_s <= ended - began <= timeout_s + 5 + 1
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


@pytest.mark.worlds("simulated-tmux", "tmux-process")
@pytest.mark.faults("live.unlink_socket=8*pass->1*occur(20)")
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


@pytest.mark.worlds("simulated-tmux", "tmux")
@pytest.mark.faults("live.stop_server=12*pass->1*occur")
def test_stop_server_takes_its_sessions_along_and_the_next_attempts_make_them_good(mux_run: Stage) -> None:
    """A server that somebody ends leaves its socket: proven gone, its session has crashed, a second one finishes."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert len(report.events("server-lost")) == 1
    assert report.task("1-1").outcomes == ["crashed", "completed"]


@pytest.mark.worlds("simulated-tmux", "tmux-process")
@pytest.mark.faults("live.freeze_client=8*pass->1*occur")
def test_freeze_client_costs_one_call_and_nothing_else(mux_run: Stage) -> None:
    """One client that is stopped is killed at its deadline; what it was to ask is unknown, and is asked again."""
    report = mux_run(task("1-1", agent=works(10).then_completes()), session_timeout_s=200, call_timeout_s=5)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert [event["error"] for event in report.events("transport-degraded")] == ["TransportTimeout"]
    assert report.events("transport-recovered")


@pytest.mark.worlds("simulated-tmux", "tmux-process")
@pytest.mark.faults("live.kill_client=8*pass->1*occur")
def test_kill_client_after_it_has_asked_costs_its_answer(mux_run: Stage) -> None:
    """A client that dies of SIGKILL has told nothing, whatever its server did: unknown, and asked again."""
    report = mux_run(task("1-1", agent=works(10).then_completes()), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert [event["error"] for event in report.events("transport-degraded")] == ["TransportUnavailable"]


@pytest.mark.worlds("simulated-tmux", "tmux-process")
@pytest.mark.parametrize("call", range(1, 7))
def test_kill_client_at_a_launch_makes_no_second_agent(mux_run: Stage, call: int) -> None:
    """Whichever client of the launch dies without a word, the one that opened the window too, there is one agent."""
    passes = f"{call - 1}*pass->" if call > 1 else ""
    report = mux_run(task("1-1", agent=works(5).then_completes()), faults=f"live.kill_client={passes}1*occur")

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert [entry["what"] for entry in report.ledger].count("start") == 1


@pytest.mark.worlds("simulated-tmux", "tmux-process")
@pytest.mark.faults("live.no_binary=8*pass->1*occur(20)")
def test_no_binary_for_a_while_is_as_if_nothing_had_happened(mux_run: Stage) -> None:
    """While tmux is being upgraded there is none to ask with; the server and its agents live on."""
    report = mux_run(task("1-1", agent=works(10).then_completes()), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.events("transport-degraded")
    assert report.events("transport-recovered")


@pytest.mark.worlds("simulated-tmux", "tmux-process")
@pytest.mark.faults("live.no_binary=8*pass->1*occur")
def test_no_binary_for_good_times_out_and_pauses(mux_run: Stage) -> None:
    """Without tmux nothing can be asked or ended: timed out, paused, and resumed to the end when it is there again."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), session_timeout_s=soonest_s(mux_run))

    assert report.task("1-1").outcomes == ["timed_out"]
    assert report.status is RunStatus.PAUSED
    assert mux_run.resume_to_the_end().task("1-1").outcomes == ["timed_out", "completed"]


@pytest.mark.worlds("simulated-tmux", "tmux-process")
def test_no_ptys_for_a_while_delays_the_launch(mux_run: Stage, possible: Possible) -> None:
    """A host that is out of terminals opens no window: the launch is unknown, proven absent, and made again."""
    faults = possible("live.no_ptys=1*occur(40)")
    report = mux_run(task("1-1", agent=works(3).then_completes()), session_timeout_s=200, faults=faults)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.events("launch-unanswered")
    assert [entry["what"] for entry in report.ledger].count("start") == 1


@pytest.mark.worlds("tmux-process")
def test_no_descriptors_for_a_while_is_as_if_nothing_had_happened(mux_run: Stage, possible: Possible) -> None:
    """A server that can open nothing more lets no client in: silence, until it can, and nothing is concluded from it."""
    faults = possible("live.no_descriptors=8*pass->1*occur(20)")
    report = mux_run(
        task("1-1", agent=works(10).then_completes()), session_timeout_s=200, call_timeout_s=5, faults=faults
    )

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.events("transport-degraded")


def test_disk_full_is_a_crash_that_is_told_and_a_resume_that_finishes(mux_run: Stage, possible: Possible) -> None:
    """With no room left for anybody the run ends with the reason; what was recorded stays, and there is room again."""
    faults = possible("live.disk_full=8*pass->1*occur")
    agent = ScriptedAgent.attempts(works(1000), completes())
    broken = mux_run(task("1-1", agent=agent), session_timeout_s=soonest_s(mux_run), faults=faults)
    kept = mux_run.store().load().state

    assert broken.exit_code == 70
    assert "No space left on device" in str(broken.summary and broken.summary.crash_error)
    if broken.virtual:
        assert (broken.status, broken.ending, broken.crash, broken.crash_sink) == (
            RunStatus.RUNNING,
            None,
            None,
            "stderr",
        )
    assert [story.key for story in kept.tasks] == ["1-1"]
    assert mux_run.resume_to_the_end().task("1-1").outcome == "completed"


@pytest.mark.faults("live.freeze_agent=1*occur(20)")
def test_freeze_agent_for_a_while_is_patience(mux_run: Stage) -> None:
    """An agent that is kept waiting shows no sign of life and is given its time; then it completes."""
    report = mux_run(task("1-1", agent=works(10).then_completes()), session_timeout_s=200)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    if report.virtual:
        assert report.elapsed_s >= 30


@pytest.mark.faults("live.freeze_agent=1*occur")
def test_freeze_agent_for_good_times_out_and_lets_the_next_one_work(mux_run: Stage) -> None:
    """Silence is no death: timed out, never crashed, and the agent is ended before the second attempt begins."""
    virtual = mux_run.world.virtual
    # On a simulated host, where no time is lost, it would complete in time if nobody kept it waiting.
    first = works(12).then_completes() if virtual else works(1000, every_s=1)
    # Within that time a second attempt has to be made, and ended, on the slowest host.
    timeout_s = 15 if virtual else 40
    report = mux_run(task("1-1", agent=ScriptedAgent.attempts(first, completes())), session_timeout_s=timeout_s)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["timed_out", "completed"]
    assert not [entry for entry in report.ledger if entry["what"] == "overlap"]


DEATHS = {
    "kill_agent": "signal 9",
    "segv_agent": "signal 11",
    "term_agent": "exit 143",
    "hup_agent": "exit 129",
}


@pytest.mark.parametrize("event", DEATHS)
def test_killed_agent_has_crashed_with_that_signal(mux_run: Stage, event: str) -> None:
    """The process of a window dies of what it was sent, at once or as it leaves, and the reason says of what."""
    agent = ScriptedAgent.attempts(works(1000), completes())
    report = mux_run(task("1-1", agent=agent), session_timeout_s=200, faults=f"live.{event}=1*occur")

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert report.state is not None
    assert DEATHS[event] in report.state.task("1-1").attempts[0].reason


@pytest.mark.faults("live.int_agent=1*occur")
def test_int_agent_ends_its_turn_and_not_the_agent(mux_run: Stage) -> None:
    """An agent that is interrupted waits to be spoken to: it is nudged, and completes; nobody takes it for dead."""
    agent = works(1000).on_nudge(completes())
    report = mux_run(task("1-1", agent=agent), session_timeout_s=200, result_grace_s=2)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").nudges == 1
