"""The pytest plugin, as its users meet it: a project of their own; in a process of its own where the environment counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_runs import run_pytest, text

from backends.processes import Liveness, SystemProcessTable

pytest_plugins = ["pytester"]

SCENARIO = """
import pytest
from harness.agents import task, works
from harness.record import RunStatus

{marker}
def test_story(mux_run):
    report = mux_run(task("1-1", agent=works(3).then_completes()))
    assert report.status is RunStatus.{status}
"""


def write(directory: Path, *, marker: str = "", status: str = "FINISHED", body: str = SCENARIO) -> Path:
    """A test file with one scenario."""
    (directory / "test_it.py").write_text(body.format(marker=marker, status=status))
    return directory


def on_the_fake(pytester: pytest.Pytester, *options: str, **parts: str) -> tuple[int, str]:
    """The exit code of a session with that test file, and what it wrote."""
    write(pytester.path, **parts)
    quiet = ("-p", "harness.plugin", "-p", "no:cacheprovider", "--mux", "fake")
    done = pytester.runpytest_inprocess(*quiet, *options, no_reraise_ctrlc=True)
    return int(done.ret), f"{done.stdout}\n{done.stderr}"


def test_a_fault_that_does_not_fire_fails_and_lists_what_was_reached(pytester: pytest.Pytester) -> None:
    """A vacuous scenario is a failure that says which points there were."""
    status, said = on_the_fake(pytester, marker='@pytest.mark.faults("switch_client=timeout")')

    assert status == 1
    assert "fired: `switch_client=timeout` never fired" in said
    assert "mux.list_window_ids x" in said


def test_an_unknown_point_is_an_error_at_collection_with_the_nearest_name(pytester: pytest.Pytester) -> None:
    """A typing error in a fault plan stops the session before anything runs."""
    status, said = on_the_fake(pytester, marker='@pytest.mark.faults("list_window_idz=timeout")')

    assert status == 2
    assert "list_window_ids" in said
    assert "passed" not in said


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("faults", "faults(plan) takes one plan"),
        ('faults(plan="list_window_ids=timeout")', "faults(plan) takes one plan"),
        ("faults(7)", "faults(plan) takes one plan"),
        ('live("fast")', "live(scale=5) takes one positive number"),
        ("live(speed=5)", "live(scale=5) takes one positive number"),
        ('worlds("screen")', "there is no world 'screen'; known are fake, simulated-tmux, tmux, tmux-process"),
        ("worlds", "worlds(*names) takes names"),
    ],
)
def test_a_marker_that_says_nothing_is_refused_with_the_test_it_is_on(
    pytester: pytest.Pytester, marker: str, told: str
) -> None:
    """Wrong arguments of a marker are one line before anything runs, whatever the worlds."""
    status, said = on_the_fake(pytester, marker=f"@pytest.mark.{marker}")

    assert status == 2
    assert "test_it.py::test_story" in said
    assert told in said
    assert "INTERNALERROR" not in said


FAST = """
import pytest

@pytest.mark.live(7)
def test_scale(mux_world):
    assert mux_world.scale == 7
"""


@pytest.mark.live
def test_the_scale_of_a_live_scenario_may_be_given_by_position(tmp_path: Path) -> None:
    """`live(7)` is `live(scale=7)`."""
    done = run_pytest(write(tmp_path, body=FAST), "--mux", "tmux")

    assert "1 passed" in text(done)


def test_a_failure_explains_itself_and_how_to_repeat_it(pytester: pytest.Pytester) -> None:
    """A failed assertion comes with the journal, the trace and one line that replays it."""
    plan = "list_window_ids=1*timeout(3)"
    status, said = on_the_fake(pytester, "--mux-faults", plan, "--mux-seed", "7", status="CRASHED")

    assert status == 1
    assert "journal (newest last):" in said
    assert "mux.list_window_ids" in said
    assert f"--mux-faults '{plan}' --mux-seed 7" in said


@pytest.mark.parametrize(
    ("name", "hint"), [("screen", "known are fake, simulated-tmux, tmux, tmux-process"), ("tmx", "did you mean tmux?")]
)
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "spread"])
def test_an_unknown_world_is_refused_in_one_line(
    tmp_path: Path, name: str, hint: str, workers: tuple[str, ...]
) -> None:
    """`--mux` with a name that nobody knows says which name was meant, or which there are."""
    done = run_pytest(write(tmp_path), "--mux", name, *workers)

    assert (done.status, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"Exit: error: --mux {name}: there is no such world; {hint}\n"


@pytest.mark.parametrize("words", [("--mux-faults", "junk"), ()], ids=["option", "marker"])
def test_a_worker_tells_what_it_refuses(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Where tests are spread over processes, it is the failure of one test, and nothing runs."""
    marker = "" if words else '@pytest.mark.live("fast")'
    done = run_pytest(write(tmp_path, marker=marker), "--mux", "fake", "-n", "1", *words)

    assert done.status == 1
    assert "error: --mux-faults: " in text(done) or "takes one positive number" in text(done)
    assert "1 failed in " in text(done)
    assert "INTERNALERROR" not in text(done)


def test_without_tmux_live_scenarios_are_skipped_and_the_summary_says_so(tmp_path: Path) -> None:
    """A host without tmux runs the fake, and one line says what it did not run and why."""
    done = run_pytest(write(tmp_path), environment={"PATH": str(tmp_path)})

    assert done.status == 0
    assert "NOT RUN on tmux: 1 scenarios skipped, because tmux is not installed" in text(done)
    assert "1 passed, 1 skipped" in text(done)


def test_where_live_scenarios_are_required_a_skipped_one_fails(tmp_path: Path) -> None:
    """With SEAMRIPPER_REQUIRE_LIVE a missing tmux is a failure."""
    environment = {"PATH": str(tmp_path), "SEAMRIPPER_REQUIRE_LIVE": "1"}
    done = run_pytest(write(tmp_path), environment=environment)

    assert done.status == 1


def test_a_scenario_that_no_selected_world_can_tell_is_deselected(pytester: pytest.Pytester) -> None:
    """`--mux fake` leaves live scenarios out without calling them skipped."""
    _, said = on_the_fake(pytester, marker="@pytest.mark.live")

    assert "1 deselected" in said


def runs(pid: int) -> bool:
    """Whether a process of that pid runs; one that nobody has reaped does not."""
    table = SystemProcessTable()
    found = table.identify(pid)
    return found is not None and table.liveness(found) is not Liveness.DEAD


UNUSED = """
import pytest

@pytest.mark.faults("list_window_ids=timeout")
def test_story({marker}):
    assert {marker} is not None
"""


def test_a_fault_plan_that_nothing_runs_under_fails(pytester: pytest.Pytester) -> None:
    """A test with faults that never runs a plan is not a green one."""
    status, said = on_the_fake(pytester, body=UNUSED, marker="mux_run")

    assert status == 1
    assert "the test has a fault plan and ran nothing under it" in said


def test_a_fault_plan_without_a_stage_is_refused(pytester: pytest.Pytester) -> None:
    """Faults on a test that cannot run anything under them are an error at collection."""
    status, said = on_the_fake(pytester, body=UNUSED, marker="mux")

    assert status == 2
    assert "faults(plan) is for tests that use mux_run or mux_faults" in said


FROZEN = """
import os, pathlib, pytest, signal, time

@pytest.mark.live(scale=1)
@pytest.mark.timeout(4)
def test_hangs(mux_world):
    mux_world.multiplexer().new_session("victim", "/")
    server = mux_world.server()
    pathlib.Path(r"{status}").write_text(str(server.pid) + " " + str(mux_world.runs.parent))
    mux_world.freeze()
    time.sleep(60)
"""


@pytest.mark.live
def test_a_live_scenario_that_times_out_still_thaws_and_ends_its_server(tmp_path: Path) -> None:
    """pytest-timeout ends the test, and the world's server and files go with it."""
    told = tmp_path / "told"
    done = run_pytest(write(tmp_path, body=FROZEN, status=str(told)), "--mux", "tmux", "--timeout-method", "signal")

    pid, base = told.read_text().split()
    assert "Timeout" in text(done)
    assert not runs(int(pid))
    assert not Path(base).exists()
