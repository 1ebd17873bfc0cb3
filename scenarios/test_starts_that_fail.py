"""Agents that cannot be started, or die each time they are: a clear reason, and an end of trying."""

from __future__ import annotations

import pytest

from backends.base import TerminalMultiplexer
from harness.agents import ScriptedAgent, completes, dies, exits, task, works
from harness.engine.windows import RUN_OPTION
from harness.incidents import at_step, at_work, simulated, when
from harness.record import RunStatus
from harness.runner import Stage

ONCE = {"max_attempts": 1, "retry_deferred": "never"}


def test_start_fails_without_the_agents_program_and_says_so(mux_run: Stage) -> None:
    """An agent that is not installed has crashed with status 127, which the reason explains."""
    mux_run.world.python, mux_run.world.program = "/nowhere/agent", "/nowhere/program"
    report = mux_run(task("1-1", agent=completes()), **ONCE)

    assert report.exit_code == 1
    assert report.task("1-1").outcomes == ["crashed"]
    assert "exit 127: the agent's program was not found" in report.task("1-1").reason


def test_start_fails_where_the_directory_was_deleted_meanwhile_and_names_it(mux_run: Stage) -> None:
    """A task whose directory went while an earlier one was at work has crashed, and the reason says which directory."""
    world = mux_run.world
    place = world.project / "deleted"
    world.disk.mkdir(place)

    def delete() -> None:
        world.disk.remove_directory(place)
        if world.virtual:
            simulated(world).server.missing_dirs.add(str(place))

    when(mux_run, at_work(mux_run), delete)
    later = task("1-2", agent=completes(), cwd="deleted", needs=["1-1"])
    report = mux_run(task("1-1", agent=works(4).then_completes()), later, **ONCE)

    assert [report.task(key).outcomes for key in ("1-1", "1-2")] == [["completed"], ["crashed"]]
    assert f"the directory {place} cannot be entered" in report.task("1-2").reason


@pytest.mark.worlds("simulated-tmux")
@pytest.mark.parametrize(
    "said", ["fork failed: Device not configured", "fork failed: Resource temporarily unavailable"]
)
def test_start_fails_for_want_of_ptys_until_there_are_some(mux_run: Stage, said: str) -> None:
    """A host that is out of terminals for a moment costs time: the launch is unknown, proven absent, and made again."""
    report = mux_run(
        task("1-1", agent=works(3).then_completes()),
        faults=f'transport.source-file=3*exit(1, "create window failed: {said}")',
    )

    assert report.task("1-1").outcomes == ["completed"]
    assert len(report.events("launch-absent")) == 3
    assert [entry["what"] for entry in report.ledger].count("start") == 1


@pytest.mark.worlds("simulated-tmux")
def test_start_fails_for_want_of_ptys_for_good_and_pauses(mux_run: Stage) -> None:
    """A host that never has a terminal again pauses the run as unreachable, and no attempt is used up."""
    report = mux_run(
        task("1-1", agent=works(3).then_completes()),
        faults='transport.source-file=exit(1, "create window failed: fork failed: Device not configured")',
        session_timeout_s=60,
    )

    assert report.status is RunStatus.PAUSED
    assert report.events("run-paused")[0]["stage"] == "multiplexer-unreachable"
    assert report.task("1-1").outcomes == ["unreachable"]
    assert report.task("1-1").attempts == 0


@pytest.mark.parametrize("owner", ["", "another-run"], ids=["untagged", "tagged"])
def test_start_fails_over_a_name_that_is_taken_into_another_name(
    mux_run: Stage, mux: TerminalMultiplexer, owner: str
) -> None:
    """A session of the run's name that is not tagged as its own is neither adopted nor ended: the run goes by another name."""

    def take() -> None:
        mux.new_session(mux_run.run_dir.name, mux_run.world.project)
        if owner:
            mux.set_session_option(mux_run.run_dir.name, RUN_OPTION, owner)

    report = mux_run(task("1-1", agent=works(2).then_completes()), checkpoint=at_step("begin", take))

    assert report.status is RunStatus.FINISHED
    assert len(report.events("session-renamed")) == 1
    assert len(mux.list_window_ids(mux_run.run_dir.name)) == 1
    assert mux.session_options(RUN_OPTION).get(mux_run.run_dir.name, "") == owner


def test_start_fails_over_a_name_that_is_tagged_as_ours_into_adoption(mux_run: Stage, mux: TerminalMultiplexer) -> None:
    """A session that carries the run's own tag is its own, whoever made it, and goes with the run."""

    def make() -> None:
        mux.new_session(mux_run.run_dir.name, mux_run.world.project)
        mux.set_session_option(mux_run.run_dir.name, RUN_OPTION, mux_run.run_dir.name)

    report = mux_run(task("1-1", agent=works(2).then_completes()), checkpoint=at_step("begin", make))

    assert report.status is RunStatus.FINISHED
    assert not report.events("session-renamed")
    assert report.leftovers == []


@pytest.mark.worlds("tmux")
def test_crash_loop_on_a_live_host_is_capped_and_tallied(mux_run: Stage) -> None:
    """Two real starts, two real deaths, and the reasons of both."""
    report = mux_run(task("1-1", agent=exits(3)), max_attempts=2, retry_deferred="never")

    assert report.task("1-1").phase == "deferred"
    assert report.task("1-1").outcomes == ["crashed", "crashed"]
    assert all(f"#{number} crashed" in report.task("1-1").reason for number in (1, 2))


@pytest.mark.simulated("nothing of it depends on a live multiplexer; window deaths are met there")
@pytest.mark.parametrize("how", [dies(code=127), dies(signal="SIGSEGV"), exits(0)], ids=["127", "SIGSEGV", "politely"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_crash_loop_is_capped_and_tallied(mux_run: Stage, how: ScriptedAgent, attempts: int) -> None:
    """An agent that dies at each start is started so often as the plan allows, once more over in the end, and given up."""
    report = mux_run(task("1-1", agent=how), task("1-2", agent=completes()), max_attempts=attempts)

    starts = [entry for entry in report.ledger if entry["what"] == "start" and entry["task"] == "1-1"]
    assert report.exit_code == 1
    assert report.task("1-1").phase == "deferred"
    assert report.task("1-2").phase == "done"
    assert len(starts) == 2 * attempts
    assert all(f"#{number} crashed" in report.task("1-1").reason for number in range(1, attempts + 1))


@pytest.mark.worlds("simulated-tmux")
@pytest.mark.parametrize(
    "said", ["error connecting to /sim/tmux (Permission denied)", "directory /sim has unsafe permissions"]
)
def test_start_fails_for_a_reason_that_everybody_who_looks_is_told(mux_run: Stage, said: str) -> None:
    """A pause carries the multiplexer's own words and what to do, in one line: in status, list, summary and ATTENTION."""
    report = mux_run(task("1-1", agent=completes()), faults=f'transport.*=exit(1, "{said}")', session_timeout_s=60)

    reason = report.verdict.reason
    assert report.status is RunStatus.PAUSED
    assert reason.startswith("1-1 could not be started within 60 s: has_session is not answered: ")
    assert said in reason
    assert reason.endswith("; `seamripper doctor` shows what to mend, then resume")
    assert report.summary is not None
    assert f"PAUSED: {reason}" in report.summary.render()
    assert said in report.list_row
    assert said in report.header
    assert said in mux_run.world.disk.read(mux_run.run_dir / "ATTENTION").decode()
