"""Stopping a run from outside: only its own driver is told, and how it ended is waited for and said."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from cli_drivers import Driver, killed_run

from harness.commands.staged import Answer, CommandLine
from harness.engine.core import STOP_FILE
from harness.engine.teardown import UNCONFIRMED
from harness.record import Crashed, RunStatus, RunStore, Stopped
from harness.world import FakeWorld, SimulatedTmuxWorld

TERM = int(signal.SIGTERM)


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


@pytest.fixture
def run_dir(seamripper: CommandLine) -> Path:
    """A run that nobody drives, until somebody does."""
    return killed_run(seamripper)


def assert_refused(answer: Answer, *words: str) -> None:
    """Exit code 1, and one line that has these words."""
    assert (answer.code, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    for word in words:
        assert word in answer.stderr


def test_a_stop_tells_the_driver_once_and_waits_until_the_run_has_ended(seamripper: CommandLine, run_dir: Path) -> None:
    """One SIGTERM, the ending in a line, and how to go on."""
    driver = Driver(seamripper, run_dir, takes_s=7)
    answer = seamripper("stop", run_dir.name)

    assert (answer.code, answer.stderr, driver.signals) == (0, "", [TERM])
    assert f"told pid {driver.identity.pid} to stop" in answer.stdout
    assert "it has not ended yet, after 5 s" in answer.stdout
    assert "■ stopped - by SIGTERM\n" in answer.stdout
    assert f"resume  seamripper resume {run_dir.name}\n" in answer.stdout


def test_as_json_a_stop_is_one_document(seamripper: CommandLine, run_dir: Path) -> None:
    """What a program needs to know, and the progress elsewhere."""
    Driver(seamripper, run_dir)
    answer = seamripper("stop", run_dir.name, "--json")

    document = answer.document
    assert (document["schema"], document["ended"], document["status"]) == (1, True, RunStatus.STOPPED)
    assert 1 <= document["waited_s"] < 5
    assert "told pid" in answer.stderr


def test_a_run_that_does_not_end_in_its_grace_is_said_with_how_to_force_it(
    seamripper: CommandLine, run_dir: Path
) -> None:
    """The plan's grace of four seconds and ten more; exit code 1."""
    driver = Driver(seamripper, run_dir, obeys=2)
    began = seamripper.world.clock.monotonic()
    answer = seamripper("stop", run_dir.name)

    assert (answer.code, driver.signals) == (1, [TERM])
    assert f"seamripper stop {run_dir.name} --now" in answer.stdout
    assert 14 <= seamripper.world.clock.monotonic() - began < 15
    assert seamripper("stop", run_dir.name, "--wait", "2").code == 0


@pytest.mark.parametrize("obeys", [1, 2])
def test_now_is_a_second_signal_a_moment_after_the_first(seamripper: CommandLine, run_dir: Path, obeys: int) -> None:
    """Two that are pending at once would be one; a run that has ended by then gets no second one."""
    driver = Driver(seamripper, run_dir, obeys=obeys, takes_s=0.1, stays=True)

    assert seamripper("stop", run_dir.name, "--now").code == 0
    assert driver.signals == [TERM] * obeys


def test_a_graceful_stop_is_a_file_and_no_signal(seamripper: CommandLine, run_dir: Path) -> None:
    """It is waited for without limit, because sessions may take as long as they may take."""
    driver = Driver(seamripper, run_dir)
    seamripper.world.at(5000, driver.end)
    answer = seamripper("stop", run_dir.name, "--graceful")

    assert (answer.code, driver.signals) == (0, [])
    assert seamripper.world.disk.info(run_dir / STOP_FILE) is not None
    assert seamripper.world.clock.monotonic() > 5000


def test_a_run_that_crashes_on_the_way_is_no_success(seamripper: CommandLine, run_dir: Path) -> None:
    """It has ended, but not as it was asked to."""

    def crashed(store: RunStore) -> None:
        state = store.load().state
        state.ending = Crashed(error="ValueError: no")
        store.save(state)

    Driver(seamripper, run_dir).on_end = crashed

    answer = seamripper("stop", run_dir.name)

    assert answer.code == 1
    assert "✖ engine crashed - see crash/ - ValueError: no" in answer.stdout


def test_a_server_that_did_not_answer_the_run_is_not_asked_again() -> None:
    """The command ends with the run, whose teardown is unconfirmed: whoever is frozen keeps nobody else waiting."""
    seamripper = CommandLine(SimulatedTmuxWorld())
    run_dir = killed_run(seamripper)

    def unconfirmed(store: RunStore) -> None:
        state = store.load().state
        state.ending, state.teardown = Stopped(by="SIGTERM", signum=15), UNCONFIRMED
        store.save(state)

    Driver(seamripper, run_dir).on_end = unconfirmed
    seamripper.world.freeze()
    began = seamripper.world.clock.monotonic()

    assert seamripper("stop", run_dir.name).code == 0
    assert seamripper.world.clock.monotonic() - began < 2


def test_a_run_that_is_not_running_cannot_be_stopped(seamripper: CommandLine, run_dir: Path) -> None:
    """One line that says what it is instead."""
    assert_refused(seamripper("stop", run_dir.name), "is not running: it is INTERRUPTED")


def test_a_pid_that_somebody_else_has_by_now_is_not_signalled(seamripper: CommandLine, run_dir: Path) -> None:
    """The driver died and its number was used again: the lock names a process by its start as well."""
    driver = Driver(seamripper, run_dir)
    driver.say(started=driver.identity.started - 1)

    assert_refused(seamripper("stop", run_dir.name), "locked, and who drives it is not said")
    assert driver.signals == []


def test_the_driver_on_another_host_is_not_signalled(seamripper: CommandLine, run_dir: Path) -> None:
    """The same number here is somebody else."""
    driver = Driver(seamripper, run_dir)
    driver.say(host="elsewhere")

    assert_refused(seamripper("stop", run_dir.name), "on elsewhere", "on its own host")
    assert driver.signals == []


def test_a_driver_that_is_another_user_s_cannot_be_told(seamripper: CommandLine, run_dir: Path) -> None:
    """The host refuses the signal: that is said, and not waited for."""
    driver = Driver(seamripper, run_dir)
    table = seamripper.world.processes

    class Denied:
        def __getattr__(self, name: str) -> Any:
            return getattr(table, name) if name != "signal" else lambda identity, signum: False

    assert_refused(seamripper("stop", run_dir.name, processes=Denied()), "belongs to somebody else", "as that user")
    assert driver.signals == []


def test_a_part_of_a_run_is_stopped_with_the_run(seamripper: CommandLine, run_dir: Path) -> None:
    """A nested run has no life of its own."""
    disk = seamripper.world.disk
    inner = run_dir / "nested" / "inner"
    disk.mkdir(inner)
    disk.write(inner / "state.json", disk.read(run_dir / "state.json").replace(b'"parent":null', b'"parent":"outer"'))

    answer = seamripper("stop", str(inner))

    assert answer.code == 2
    assert "is a part of run outer; `seamripper stop outer`" in answer.stderr
