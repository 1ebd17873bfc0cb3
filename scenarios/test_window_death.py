"""Windows that really die: seen within two polls, with the exit that the backend knows."""

from __future__ import annotations

import pytest

from harness.agents import ScriptedAgent, dies, exits, task, works, writes_result
from harness.incidents import at_work, when
from harness.record import RunStatus
from harness.runner import Stage

DEATHS = {
    "exit-0": (dies(code=0), "exit 0"),
    "exit-1": (dies(code=1), "exit 1"),
    "exit-137": (dies(code=137), "exit 137"),
    "SIGSEGV": (dies(signal="SIGSEGV"), "signal 11"),
    "SIGKILL": (dies(signal="SIGKILL"), "signal 9"),
}


def death(name: str, before: ScriptedAgent) -> ScriptedAgent:
    """`before`, and then that death."""
    steps = DEATHS[name][0].steps
    agent = before
    for step in steps:
        agent = agent.then(str(step["do"]), **{key: value for key, value in step.items() if key != "do"})
    return agent


@pytest.mark.parametrize("how", list(DEATHS))
def test_window_death_without_result_is_a_crash_with_its_exit(mux_run: Stage, how: str) -> None:
    """A window that dies without a result has crashed, and says by which exit or signal."""
    report = mux_run(task("1-1", agent=death(how, works(3))), max_attempts=1, retry_deferred="never")

    assert report.status is RunStatus.FINISHED
    assert report.exit_code == 1
    assert report.task("1-1").outcomes == ["crashed"]
    assert DEATHS[how][1] in report.task("1-1").reason


@pytest.mark.parametrize("how", list(DEATHS))
def test_window_death_with_result_on_disk_is_completed(mux_run: Stage, how: str) -> None:
    """A window that dies after its result was written has completed, however it died."""
    report = mux_run(task("1-1", agent=death(how, works(2).then_writes_result("done"))))

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").phase == "done"


@pytest.mark.simulated("the seconds of a live host are not exact")
@pytest.mark.parametrize("how", list(DEATHS))
def test_window_death_is_seen_within_two_polls(mux_run: Stage, how: str) -> None:
    """From the death of the window to its record it takes two polls at most."""
    report = mux_run(task("1-1", agent=death(how, works(3))), max_attempts=1, retry_deferred="never", poll_s=5)

    started = report.events("session-started")[0]["at"]
    ended = report.events("session-ended")[0]["at"]
    assert ended - started <= 3.1 + 2 * 5


def test_window_death_of_every_attempt_is_tallied(mux_run: Stage) -> None:
    """An agent that dies at every start is given up after its attempts, and the reason counts them."""
    report = mux_run(task("1-1", agent=exits(3)), max_attempts=2, retry_deferred="never")

    assert report.task("1-1").phase == "deferred"
    assert report.task("1-1").outcomes == ["crashed", "crashed"]
    assert "#2" in report.task("1-1").reason


def test_window_death_of_the_first_attempt_is_made_good_by_the_second(mux_run: Stage) -> None:
    """A second attempt begins only when the first one's window is gone, and may finish the task."""
    agent = ScriptedAgent.attempts(dies(signal="SIGKILL"), writes_result("done").then_completes())
    report = mux_run(task("1-1", agent=agent))

    assert report.task("1-1").outcomes == ["crashed", "completed"]
    assert report.task("1-1").phase == "done"


def test_window_death_of_the_whole_server_is_no_success(mux_run: Stage) -> None:
    """When the server is killed the agents of its windows are gone: crashed, and tried again in a new session."""
    when(mux_run, at_work(mux_run), mux_run.world.kill_server)
    report = mux_run(task("1-1", agent=works(8).then_completes()))

    assert report.task("1-1").outcomes[0] == "crashed"
    assert report.task("1-1").phase == "done"


@pytest.mark.simulated("a project directory that is missing is refused before a live run begins")
def test_window_death_of_a_missing_directory_names_it(mux_run: Stage) -> None:
    """An agent whose directory cannot be entered is not only `exit 126`: the reason names the directory."""
    mux_run.world.server.missing_dirs.add("/sim/project/gone")  # type: ignore[attr-defined]  # a simulated server
    report = mux_run(task("1-1", agent=exits(0), cwd="gone"), max_attempts=1, retry_deferred="never")

    assert "/sim/project/gone cannot be entered" in report.task("1-1").reason


@pytest.mark.simulated("a pipe in the log's place would be opened by nobody")
def test_window_death_is_seen_where_the_log_is_no_file(mux_run: Stage) -> None:
    """A log that cannot be written is said, and keeps no process waiting for it."""
    mux_run.at(0, lambda: mux_run.world.disk.plant_fifo(mux_run.run_dir / "logs" / "1-1.log"))  # type: ignore[attr-defined]  # a simulated disk
    mux_run(task("0", agent=works(2).then_completes()), task("1-1", agent=exits(3), needs=["0"]), max_attempts=1)

    assert mux_run.store().events()
    assert "log-skipped" in [event["event"] for event in mux_run.store().events()]
