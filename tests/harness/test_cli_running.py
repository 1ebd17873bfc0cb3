"""Running from the command line: what is done, what is said, and with which exit code."""

from __future__ import annotations

import io
import json
import signal
from typing import Any

import pytest

from backends.fake import FakeMultiplexer
from backends.memory_disk import MemoryDisk
from faults.injector import Injector
from faults.plan import FaultPlan
from harness.agents import ScriptedAgent, dies, plan_of, task, works
from harness.commands.staged import CommandLine
from harness.engine.signals import STOP_SIGNALS, not_ignored
from harness.record import RunStatus
from harness.runner import catalog_of
from harness.world import FakeWorld


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


def plan(seamripper: CommandLine, *agents: ScriptedAgent, gate: str | None = None, **settings: Any) -> str:
    """A plan with tasks 1-1, 1-2, ...; one agent each."""
    stories = [task(f"1-{number}", agent, gate=gate) for number, agent in enumerate(agents, 1)]
    return seamripper.plan(plan_of(*stories, project=str(seamripper.world.project), **settings))


def starts(seamripper: CommandLine) -> list[str]:
    """The tasks whose agents were started."""
    return [entry["task"] for entry in seamripper.world.ledger() if entry["what"] == "start"]


SHOW_CURSOR = "\x1b[?25h"
"""What a live screen writes last, once the run has ended."""
SOON = works(1).then_completes("all of it")


def test_a_run_tells_what_happens_and_how_it_ended(seamripper: CommandLine) -> None:
    """One line an event, then the summary; nothing on standard error, exit code 0."""
    answer = seamripper("run", plan(seamripper, SOON))

    assert (answer.code, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    assert lines[0].startswith("run 20260101-000000-")
    assert any("session-ended task=1-1 number=1 outcome=completed" in line for line in lines)
    assert "FINISHED" in lines
    assert "  1-1: done - all of it" in lines


def test_as_json_there_is_one_document_and_the_progress_goes_elsewhere(seamripper: CommandLine) -> None:
    """A program reads standard output, a person may still follow standard error."""
    answer = seamripper("run", plan(seamripper, SOON), "--json")

    assert answer.stdout.count("\n") == 1
    document = answer.document
    assert (document["schema"], document["status"], document["exit_code"]) == (1, "FINISHED", 0)
    assert document["tasks"] == [
        {"key": "1-1", "phase": "done", "attempts": 1, "reason": "", "summary": "all of it"},
    ]
    assert "session-started" in answer.stderr


def test_everywhere_an_attempt_is_one_that_was_used_up(seamripper: CommandLine) -> None:
    """A launch that a crash of the engine cut off is none: not in the summary, its JSON, the status or the list."""
    crash = "engine.decide=2*pass->1*raise(RuntimeError)"
    crashed = seamripper("run", plan(seamripper, works(5).then_completes()), "--run-id", "cut", "--faults", crash)
    resumed = seamripper("resume", "cut", "--json")

    (told,) = seamripper("status", "cut", "--json").document["run"]["state"]["tasks"]
    (listed,) = [task for run in seamripper("list", "--json").document["runs"] for task in run["state"]["tasks"]]
    assert (crashed.code, told["outcomes"]) == (70, ["stopped", "completed"])
    assert [one["attempts"] for one in (*resumed.document["tasks"], told, listed)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("agent", "gate", "code", "word"),
    [(dies(code=3), None, 1, "FINISHED: 1 deferred"), (SOON, "a word", 75, "PAUSED: a word is needed before 1-1")],
)
def test_the_exit_code_tells_how_it_ended(
    seamripper: CommandLine, agent: ScriptedAgent, gate: str | None, code: int, word: str
) -> None:
    """1 for a deferred task, 75 for a pause, with the headline of each."""
    answer = seamripper("run", plan(seamripper, agent, gate=gate, retry_deferred="never"))

    assert answer.code == code
    assert word in answer.stdout


def test_a_crash_is_told_with_its_error_and_what_to_do(seamripper: CommandLine) -> None:
    """A rehearsed crash: exit code 70, the line `CRASHED: Type: message`, and the resume that goes on."""
    answer = seamripper("run", plan(seamripper, SOON, SOON), "--faults", "engine.outcome=1*raise(ValueError)")

    assert answer.code == 70
    assert "CRASHED: ValueError: injected by engine.outcome=1*raise(ValueError)" in answer.stdout
    assert "\nresume  seamripper resume 2026" in answer.stdout
    resumed = seamripper("resume", "2026")
    assert resumed.code == 0
    assert starts(seamripper) == ["1-1", "1-2"]


def test_a_rehearsal_tells_which_faults_happened(seamripper: CommandLine) -> None:
    """Injected into the seam of a real run: the hang is survived, and told."""
    answer = seamripper("run", plan(seamripper, SOON), "--faults", "list_window_ids=2*timeout(30)", "--seed", "3")

    assert answer.code == 0
    assert "injection 2 at" in answer.stdout
    assert "transport-degraded" in answer.stdout


def test_a_fault_that_never_happens_fails_the_rehearsal(seamripper: CommandLine) -> None:
    """A rehearsal that rehearsed nothing is not called a success."""
    answer = seamripper("run", plan(seamripper, SOON), "--faults", "switch_client=timeout")

    assert answer.code == 1
    assert "never fired: switch_client=timeout" in answer.stdout


def test_a_planned_death_is_no_crash(seamripper: CommandLine) -> None:
    """The engine is gone as by SIGKILL: exit code 137, nothing recorded, and a resume picks up the pieces."""
    answer = seamripper("run", plan(seamripper, SOON), "--faults", "engine.decide=die")
    seamripper.world.driver_died()

    assert answer.code == 137
    assert "the fault plan killed the engine" in answer.stderr
    assert seamripper("status", "--json").document["run"]["status"] == RunStatus.INTERRUPTED
    assert seamripper("resume", "2026").code == 0


def test_a_dry_run_says_what_would_be_done_and_does_nothing(seamripper: CommandLine) -> None:
    """The order of the tasks, who works on them, where it would be recorded; and the root stays empty."""
    path = plan(seamripper, SOON, SOON)
    answer = seamripper("run", path, "--dry-run")
    document = seamripper("run", path, "--dry-run", "--json").document

    assert answer.code == 0
    assert "1-1  agent script-1" in answer.stdout
    assert [one["key"] for one in document["tasks"]] == ["1-1", "1-2"]
    assert seamripper.world.disk.listdir(seamripper.root) == []


def test_a_dry_run_asks_whether_the_multiplexer_can_be_run(seamripper: CommandLine) -> None:
    """No plan can be carried out on one that is not there, and it is not said that it can."""

    class Absent(FakeMultiplexer):
        def available(self) -> bool:
            return False

    answer = seamripper("run", plan(seamripper, SOON), "--dry-run", multiplexer=lambda *given, **options: Absent())

    assert (answer.code, answer.stdout) == (1, "")
    assert "`seamripper backends` says what is missing" in answer.stderr


def test_sessions_at_once_can_be_chosen_on_the_command_line(seamripper: CommandLine) -> None:
    """Three tasks of ten seconds each, all at the same time."""
    path = plan(seamripper, *[works(10).then_completes()] * 3)
    seamripper("run", path, "--max-parallel", "3")

    assert seamripper.world.clock.monotonic() < 20


def test_a_finished_run_has_nothing_to_resume(seamripper: CommandLine) -> None:
    """Nothing is done twice, `post_run` included."""
    seamripper("run", plan(seamripper, SOON))

    answer = seamripper("resume", "2026")

    assert answer.code == 2
    assert "is finished; there is nothing to resume" in answer.stderr


@pytest.mark.parametrize("words", [(), ("--detach",)], ids=" ".join)
def test_a_run_that_is_being_driven_is_not_driven_twice(seamripper: CommandLine, words: tuple[str, ...]) -> None:
    """The second says who holds it, and exits 1."""
    seamripper("run", plan(seamripper, SOON, gate="a word"))
    (run,) = seamripper("list", "--json").document["runs"]

    with seamripper.world.disk.lock(f"{run['run_dir']}/run.lock"):
        answer = seamripper("resume", "2026", *words)

    assert answer.code == 1
    assert "is being driven by" in answer.stderr


def test_a_crash_is_not_recorded_where_the_lock_cannot_be_had(seamripper: CommandLine) -> None:
    """Somebody may be driving a run whose lock cannot be asked for: it is left as it is, and the crash is told."""
    world = seamripper.world
    seamripper("run", plan(seamripper, SOON, gate="a word"))
    injector = Injector(
        FaultPlan.parse("disk.open:lock=oserror(ENOLCK)", 0, catalog_of(world)),
        clock=world.clock,
        catalog=catalog_of(world),
    )

    def wrong(given: object) -> Any:
        raise RuntimeError("somebody has got this wrong")

    answer = seamripper("resume", "2026", disk=injector.disk(world.disk), profiles=wrong)

    assert (answer.code, answer.stderr.count("\n")) == (70, 1)
    assert seamripper("status", "--json").document["run"]["status"] == RunStatus.PAUSED


def test_a_plan_that_has_changed_under_a_run_is_refused(seamripper: CommandLine) -> None:
    """A task that the run was started without has no state: one line, and the run as it was."""
    disk = seamripper.world.disk
    seamripper("run", plan(seamripper, SOON, gate="a word"))
    (run,) = seamripper("list", "--json").document["runs"]
    path = f"{run['run_dir']}/plan.toml"
    changed = disk.read(path) + b'\n[[task]]\nkey = "new"\n'
    disk.remove(path)
    disk.write(path, changed)

    answer = seamripper("resume", "2026")

    assert answer.code == 2
    assert "the run was started without the task 'new'" in answer.stderr
    assert seamripper("status", "--json").document["run"]["status"] == RunStatus.PAUSED


def test_a_run_whose_plan_is_gone_says_whose_it_is(seamripper: CommandLine) -> None:
    """The file is the run's own: there is no other one to be named on the command line."""
    seamripper("run", plan(seamripper, SOON, gate="a word"))
    (run,) = seamripper("list", "--json").document["runs"]
    seamripper.world.disk.remove(f"{run['run_dir']}/plan.toml")

    answer = seamripper("resume", "2026")

    assert answer.code == 1
    assert "put the plan that the run was started with there" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_detached_command_that_ends_before_its_run_begins_is_told(seamripper: CommandLine) -> None:
    """Here nothing can run in the window: the id of a run that will never be is not printed."""
    answer = seamripper("run", plan(seamripper, SOON), "--detach")

    assert answer.code == 1
    assert answer.stdout == ""
    assert "the command ended before its run began (exit 127)" in answer.stderr


def test_a_detached_resume_that_ends_before_it_goes_on_is_told(seamripper: CommandLine) -> None:
    """Here nothing can run in the window: the run is as it was, and no success is claimed."""
    seamripper("run", plan(seamripper, SOON, gate="a word"))

    answer = seamripper("resume", "2026", "--detach")

    assert (answer.code, answer.stdout) == (1, "")
    assert "the command ended before its run began (exit 127)" in answer.stderr
    assert seamripper("status", "--json").document["run"]["status"] == RunStatus.PAUSED


def test_an_interrupt_outside_of_the_engine_is_quiet(seamripper: CommandLine) -> None:
    """Ctrl-C while a plan is read: exit code 130, nothing to explain."""

    def interrupted(given: object) -> Any:
        raise KeyboardInterrupt

    answer = seamripper("run", plan(seamripper, SOON), profiles=interrupted)

    assert (answer.code, answer.stdout, answer.stderr) == (130, "", "")


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_a_signal_after_the_end_changes_nothing(seamripper: CommandLine, signum: signal.Signals) -> None:
    """Neither the exit code of the finished run nor what is said of it; a second one only cuts that short."""
    survived = []

    def insist(summary: object) -> None:
        for number in range(2):
            signal.raise_signal(signum)
            survived.append(number)

    path = plan(seamripper, SOON)
    with not_ignored([signum]):
        before = signal.getsignal(signum)
        once = seamripper("run", path, notify=lambda summary: signal.raise_signal(signum))
        twice = seamripper("run", path, notify=insist)
        assert signal.getsignal(signum) is before

    assert (once.code, once.stderr) == (0, "")
    assert (twice.code, twice.stderr, survived) == (0, "", [0])


def test_an_interrupt_between_the_ending_and_what_is_said_of_it_changes_nothing(seamripper: CommandLine) -> None:
    """The ending that the engine has recorded stands, also before the command line has heard of it."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            if SHOW_CURSOR in text:
                raise KeyboardInterrupt
            return super().write(text)

    answer = seamripper("run", plan(seamripper, SOON), stdout=Terminal())

    assert answer.code == 0


@pytest.mark.parametrize("foreign", ["SystemExit", "GeneratorExit"])
def test_control_flow_of_somebody_else_ends_as_a_recorded_crash(seamripper: CommandLine, foreign: str) -> None:
    """The engine records it and hands it on; the command line exits 70, and records it no second time."""
    answer = seamripper("run", plan(seamripper, SOON), "--faults", f"engine.settle=raise({foreign})")

    assert answer.code == 70
    assert answer.stderr.splitlines()[-1].startswith(f"error: {foreign}")
    (run,) = seamripper("list", "--json").document["runs"]
    assert run["status"] == RunStatus.CRASHED
    names = seamripper.world.disk.listdir(f"{run['run_dir']}/crash")
    assert len(names) == 1
    assert json.loads(seamripper.world.disk.read(f"{run['run_dir']}/crash/{names[0]}"))["error"].startswith(foreign)


def test_a_run_whose_project_is_gone_is_left_as_it_is_until_the_project_is_back(seamripper: CommandLine) -> None:
    """One line, exit code 1, nothing changed; with the directory put back, the run goes on."""
    disk = seamripper.world.disk
    assert isinstance(disk, MemoryDisk)
    disk.mkdir("/sim/elsewhere")
    path = seamripper.plan(plan_of(task("1-1", works(1).then_completes()), project="/sim/elsewhere"))
    assert seamripper("run", path, "--faults", "engine.decide=die").code == 137
    seamripper.world.driver_died()
    disk.remove_tree("/sim/elsewhere")
    before = len(disk.mutations)

    answer = seamripper("resume", "2026")

    assert (answer.code, answer.stderr.count("\n")) == (1, 1)
    assert "project directory is gone: /sim/elsewhere" in answer.stderr
    assert len(disk.mutations) == before
    disk.mkdir("/sim/elsewhere")
    assert seamripper("resume", "2026").code == 0
