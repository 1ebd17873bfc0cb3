"""Who drives a run: one engine at a time, known by more than its pid."""

from __future__ import annotations

import msgspec
import pytest

from harness.agents import ScriptedAgent, completes, task, works
from harness.commands.staged import CommandLine
from harness.engine.engine import Engine
from harness.incidents import on_screen, simulated
from harness.record import ProcessRef, RunLocked, RunStatus
from harness.runner import Stage
from harness.waiting import eventually


def killed_run(stage: Stage) -> list[int]:
    """A run whose engine, server and agents are gone without a word; the pids that are recorded of it, the driver's first."""
    agent = ScriptedAgent.attempts(works(1).then_stops().then_stalls(), works(3).then_completes())
    state = stage(task("1-1", agent=agent), faults="engine.nudge=1*pass->1*die", result_grace_s=1).state
    stage.world.kill_server()
    assert state is not None
    assert state.driver is not None
    return [state.driver.pid, *(ref.pid for ref in state.task("1-1").attempts[0].pids)]


@pytest.mark.simulated("no pid of a live host can be chosen")
def test_pid_reuse_by_somebody_else_makes_nobody_the_driver(mux_run: Stage) -> None:
    """Strangers that got the pids of a dead run are neither its driver nor its agents: INTERRUPTED, and never signalled."""
    table = simulated(mux_run.world).processes
    strangers = [table.spawn(pid=pid) for pid in killed_run(mux_run)]
    shown = on_screen(mux_run)
    stop = CommandLine(mux_run.world)("stop", str(mux_run.run_dir))
    report = mux_run.resume()

    assert RunStatus.INTERRUPTED.value in shown
    assert stop.code != 0
    assert report.status is RunStatus.FINISHED
    assert len(strangers) == 2
    assert not {one.pid for one in strangers} & {pid for pid, _ in table.sent}


@pytest.mark.simulated("a live host is not rebooted")
def test_pid_reuse_after_a_reboot_touches_nobody(mux_run: Stage) -> None:
    """Another boot gives every pid out again: the run is INTERRUPTED, and its resume signals none of their new owners."""
    table = simulated(mux_run.world).processes
    pids = killed_run(mux_run)
    table.reboot()
    strangers = [table.spawn() for _ in range(max(pids) - table.me().pid)]
    shown = on_screen(mux_run)
    report = mux_run.resume()

    assert {one.pid for one in [*strangers, table.me()]} >= set(pids)
    assert RunStatus.INTERRUPTED.value in shown
    assert report.status is RunStatus.FINISHED
    assert all(table.identify(one.pid) == one for one in strangers)
    assert not {one.pid for one in strangers} & {pid for pid, _ in table.sent}


@pytest.mark.simulated("the process that plays the engine would have to belong to another user")
def test_pid_reuse_by_another_user_is_unknown_and_not_signalled(mux_run: Stage) -> None:
    """A pid that may not be looked at proves nothing: UNKNOWN with what is known, and a stop that stops nobody."""
    table = simulated(mux_run.world).processes
    driver = killed_run(mux_run)[0]
    table.spawn(pid=driver)
    table.unknowable.add(driver)
    shown = on_screen(mux_run)
    stop = CommandLine(mux_run.world)("stop", str(mux_run.run_dir))

    assert RunStatus.UNKNOWN.value in shown
    assert "press e to resume" not in shown
    assert stop.code != 0
    assert driver not in {pid for pid, _ in table.sent}


@pytest.mark.worlds("tmux")
def test_pid_reuse_on_a_live_host_signals_no_stranger(mux_run: Stage) -> None:
    """A living process that has the recorded pids of driver and agent, and another start, is neither: the resume leaves it."""
    table = mux_run.world.processes
    agent = ScriptedAgent.attempts(works(1000), completes())
    crashed = mux_run(task("1-1", agent=agent), faults="engine.decide=3*pass->1*raise(RuntimeError)")
    mark = mux_run.world.entropy.token()
    stranger = table.start(["sleep", "600"], timeout_s=6000, newest=0, variables={"STRANGER": mark})
    try:
        (process,) = eventually(lambda: table.carrying("STRANGER", mark), mux_run.world.clock, 300)
        give_all_pids_to(mux_run, process.pid)
        shown = on_screen(mux_run)
        report = mux_run.resume()
        assert stranger.poll() is None
    finally:
        stranger.end()

    assert crashed.status is RunStatus.CRASHED
    assert RunStatus.RUNNING.value not in shown
    assert report.status is RunStatus.FINISHED


def give_all_pids_to(stage: Stage, pid: int) -> None:
    """Record that pid as the one that the run's driver and its agents had; when they began stays as it is."""
    store = stage.store()
    state = store.load().state
    assert state.driver is not None
    state.driver = msgspec.structs.replace(state.driver, pid=pid)
    for attempt in state.task("1-1").attempts:
        assert attempt.pids
        attempt.pids = [ProcessRef(pid, ref.started) for ref in attempt.pids]
    store.save(state)


def turned_away(stage: Stage, count: int) -> list[str]:
    """What so many engines are told that try to resume the newest run while it is driven."""
    driven = stage.engine
    assert driven is not None
    told: list[str] = []
    for _ in range(count):
        with pytest.raises(RunLocked) as locked:
            Engine(driven.plan, driven.run_dir, driven.outside, resume=True).run()
        told.append(str(locked.value))
    return told


@pytest.mark.parametrize("others", [1, 7])
@pytest.mark.parametrize("step", ["load", "reconcile", "prompt", "decide", "settle", "clean-up", "record"])
@pytest.mark.simulated("a live host has it done to one step below")
def test_double_drive_has_one_owner_at_every_step(mux_run: Stage, step: str, others: int) -> None:
    """Two to eight resumes at once: one goes on as if it were alone, the others say who holds the run and leave no trace."""
    killed_run(mux_run)
    told: list[str] = []

    def meanwhile(reached: str) -> None:
        if reached == step and not told:
            told.extend(turned_away(mux_run, others))

    report = mux_run.resume(checkpoint=meanwhile)

    me = mux_run.world.processes.me()
    assert report.status is RunStatus.FINISHED
    assert len(told) == others
    assert all(f"pid {me.pid} on simhost" in line for line in told)
    assert len(report.events("run-resumed")) == 1
    assert report.state is not None
    assert report.state.epoch == 2


def test_double_drive_of_a_crashed_run_has_one_owner(mux_run: Stage) -> None:
    """The same with real files and a real lock."""
    mux_run(task("1-1", agent=works(2).then_completes()), faults="engine.decide=1*raise(RuntimeError)")
    told: list[str] = []

    def meanwhile(reached: str) -> None:
        if reached == "reconcile" and not told:
            told.extend(turned_away(mux_run, 3))

    report = mux_run.resume(checkpoint=meanwhile)

    assert report.status is RunStatus.FINISHED
    assert [f"pid {mux_run.world.processes.me().pid}" in line for line in told] == [True] * 3
    assert [entry["what"] for entry in report.ledger].count("overlap") == 0


@pytest.mark.simulated("the engine of a live scenario lives in the process of the test")
def test_double_drive_after_the_owner_was_killed_goes_to_the_next(mux_run: Stage) -> None:
    """When who holds the lock is killed, the next one takes the run over, and those who come later are told of that one."""
    mux_run(
        task("1-1", agent=completes()),
        task("1-2", agent=works(9).then_completes()),
        faults="engine.decide=3*pass->1*die",
    )
    first = mux_run.world.processes.me()
    mux_run.resume(faults="engine.decide=2*pass->1*die")
    told: list[str] = []

    def meanwhile(reached: str) -> None:
        if reached == "decide" and not told:
            told.extend(turned_away(mux_run, 2))

    report = mux_run.resume(checkpoint=meanwhile)

    second = mux_run.world.processes.me()
    assert first.pid != second.pid
    assert all(f"pid {second.pid} on" in line for line in told)
    assert report.status is RunStatus.FINISHED
    assert report.state is not None
    assert report.state.epoch == 3
