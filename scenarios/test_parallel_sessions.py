"""Several agents at once: one question for all of them, nobody waits for anybody else, and nobody is forgotten."""

from __future__ import annotations

import math
import signal

import pytest

from backends.simulated_processes import SimulatedProcessTable
from harness.agents import ScriptedAgent, TaskStory, completes, stalls, task, works
from harness.incidents import at_work, stop_when
from harness.record import RunStatus, SessionOutcome
from harness.report import Report
from harness.runner import Stage

KEYS = [f"1-{number}" for number in range(1, 13)]
LONG = works(1000).then_completes()


def twelve(seconds: float = 3) -> list[TaskStory]:
    """A dozen tasks, each of them of another length."""
    return [task(key, agent=works(seconds + number % 3).then_completes()) for number, key in enumerate(KEYS)]


def table_of(stage: Stage) -> SimulatedProcessTable:
    """The processes of a simulated host."""
    assert isinstance(stage.world.processes, SimulatedProcessTable)
    return stage.world.processes


def at_once(report: Report) -> int:
    """How many sessions there were at the same time, at most, from their beginnings to their proven ends."""
    now = most = 0
    for entry in report.journal:
        now += (entry["event"] == "attempt") - (entry["event"] == "session-gone")
        most = max(most, now)
    return most


def test_parallel_sessions_are_as_many_as_the_plan_allows(mux_run: Stage) -> None:
    """Twelve tasks, four at a time: never five sessions, never five windows of agents, and all of them done."""
    windows: list[int] = []

    def count(step: str) -> None:
        if step == "decide":
            names = mux_run.world.multiplexer().list_windows(mux_run.run_dir.name, ("window_name",))
            windows.append(sum(name.startswith("1-") for (name,) in names))

    report = mux_run(*twelve(), max_parallel=4, checkpoint=count)

    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in KEYS] == [["completed"]] * 12
    assert (at_once(report), max(windows)) == (4, 4)
    assert max(listings_of(report)) == 1
    assert report.leftovers == []


def listings_of(report: Report) -> list[int]:
    """How often the run's windows were listed in each tick."""
    listings = [0]
    for entry in report.entries:
        if entry.point == "engine.tick":
            listings.append(0)
        listings[-1] += entry.point == "mux.list_window_ids"
    return listings[1:]


@pytest.mark.simulated("a live host's first ticks have sessions to ask about or none")
def test_parallel_sessions_cost_one_listing_in_each_tick(mux_run: Stage) -> None:
    """However many sessions begin, work and end in it: what lives is asked once, for all of them."""
    report = mux_run(*twelve(), max_parallel=4)

    # The tick that opens the first windows has nothing to ask about.
    assert set(listings_of(report)[1:]) == {1}


def test_parallel_sessions_begin_no_task_before_what_it_needs(mux_run: Stage) -> None:
    """A task waits for all that it needs, also for what is still verified; what needs nothing does not wait with it."""
    if mux_run.world.virtual:
        table_of(mux_run).lasting["true"] = 5
    first = task("1-1", agent=works(4).then_completes(), verify=["true"])
    last = task("1-3", agent=completes(), needs=["1-1", "1-2"])
    report = mux_run(first, task("1-2", agent=completes()), last, task("1-4", agent=completes()), max_parallel=4)

    order = [(entry["event"], entry["task"]) for entry in report.journal if entry["event"] in ("attempt", "task-done")]
    assert order.index(("attempt", "1-4")) < order.index(("task-done", "1-1")) < order.index(("attempt", "1-3"))
    assert report.status is RunStatus.FINISHED


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_parallel_sessions_all_end_with_the_run(mux_run: Stage, how: str) -> None:
    """A stop or a crash with four agents at work leaves no window, no process and no lock of any of them."""
    if how == "stop":
        stop_when(mux_run, at_work(mux_run, *KEYS[:4]))
    faults = "engine.decide=24*pass->1*raise(RuntimeError)" if how == "crash" else ""
    report = mux_run(*(task(key, agent=LONG) for key in KEYS[:5]), max_parallel=4, faults=faults)

    assert report.status is (RunStatus.STOPPED if how == "stop" else RunStatus.CRASHED)
    assert len(report.events("session-started")) == 4
    assert report.teardown == "torn-down"
    assert report.leftovers == []


def reconciled(stage: Stage, faults: str) -> None:
    """Four agents are left at work by a run under `faults`; the resume ends them, and only then begins four others."""
    agent = ScriptedAgent.attempts(LONG, works(1).then_completes())
    broken = stage(*(task(key, agent=agent) for key in KEYS[:4]), max_parallel=4, faults=faults)
    report = stage.resume()

    assert len([one for one in broken.leftovers or () if one.startswith("process")]) >= 4
    assert report.status is RunStatus.FINISHED
    assert [report.task(key).outcomes for key in KEYS[:4]] == [["stopped", "completed"]] * 4
    assert report.leftovers == []


def test_parallel_sessions_that_a_teardown_left_are_all_reconciled_by_a_resume(mux_run: Stage) -> None:
    """Each of them is found and ended before its task is begun again."""
    reconciled(mux_run, "engine.decide=24*pass->1*raise(OSError); leak.kill_session=raise(OSError)")


@pytest.mark.simulated("the engine of a live scenario lives in the process of the test")
def test_parallel_sessions_of_a_killed_engine_are_all_reconciled_by_a_resume(mux_run: Stage) -> None:
    """As after a teardown that failed."""
    reconciled(mux_run, "engine.decide=24*pass->1*die")


@pytest.mark.worlds("tmux")
def test_parallel_sessions_end_while_a_real_command_runs(mux_run: Stage) -> None:
    """A session that is done is done, although another task's check takes its time."""
    slow = task("1-1", agent=completes(), verify=["sleep 4"])
    report = mux_run(slow, task("1-2", agent=works(3).then_completes()), max_parallel=2)

    told = [(entry["event"], entry["task"]) for entry in report.journal if "task" in entry]
    assert told.index(("session-ended", "1-1")) < told.index(("session-ended", "1-2")) < told.index(("verified", "1-1"))
    assert report.status is RunStatus.FINISHED


@pytest.mark.simulated("a command that lasts is made on simulated hosts")
def test_parallel_sessions_wait_for_nobody_elses_verification(mux_run: Stage) -> None:
    """While a check of one task takes ten minutes, a result is taken up and a deadline is kept as if it did not."""
    table_of(mux_run).lasting["true"] = 600
    report = mux_run(
        task("1-1", agent=completes(), verify=["true"]),
        task("1-2", agent=works(30).then_completes()),
        task("1-3", agent=stalls()),
        max_parallel=3,
        session_timeout_s=60 * 15,
        max_attempts=1,
        retry_deferred="never",
    )

    ended = {line["task"]: line["at"] - report.began_at for line in report.events("session-ended")}
    assert ended["1-2"] <= 30 + 1.2
    assert ended["1-3"] <= 900 + 1.2
    assert report.task("1-1").phase == "done"
    assert report.elapsed_s <= 900 + 3


@pytest.mark.simulated("a command that hangs is made on simulated hosts")
def test_parallel_sessions_are_not_held_up_by_a_verification_that_hangs(mux_run: Stage) -> None:
    """It is ended after a session's time and counts as failed; its slot is taken until then, and no other."""
    table_of(mux_run).lasting["true"] = math.inf
    hanging = task("1-1", agent=completes(), verify=["true"])
    others = [task(key, agent=works(20).then_completes()) for key in KEYS[1:5]]
    report = mux_run(hanging, *others, max_parallel=2, session_timeout_s=100, max_attempts=1, retry_deferred="never")

    assert report.task("1-1").reason == "`true` failed: it did not end within 100 s"
    assert [report.task(story.plan.key).phase for story in others] == ["done"] * 4
    assert report.events("session-ended")[-1]["at"] - report.began_at >= 4 * 20
    assert 100 <= report.elapsed_s <= 104
    assert report.leftovers == []


@pytest.mark.simulated("a command that hangs is made on simulated hosts")
@pytest.mark.parametrize("how", ["stop", "crash"])
def test_parallel_sessions_that_end_early_take_their_verification_along(mux_run: Stage, how: str) -> None:
    """No process of a command is left by a stop or a crash; a resume runs the command again, and no agent."""
    table_of(mux_run).lasting["true"] = math.inf
    if how == "stop":
        mux_run.stop_at(8, signal.SIGTERM)
    faults = "engine.schedule=20*pass->1*raise(RuntimeError)" if how == "crash" else ""
    ended = mux_run(
        task("1-1", agent=completes(), verify=["true"]), task("1-2", agent=LONG), max_parallel=2, faults=faults
    )
    table_of(mux_run).lasting["true"] = 5
    report = mux_run.resume(mux_run.plan(task("1-1", verify=["true"]), task("1-2", agent=completes())))

    assert (ended.task("1-1").phase, ended.leftovers) == ("verifying", [])
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == [SessionOutcome.COMPLETED]
    assert len(report.events("outcome-recovered")) == 1
