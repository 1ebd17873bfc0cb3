"""Telling people: what is said, when it is taken back, and that no failure of it changes anything."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Mapping, Sequence

import pytest

from backends.processes import Completed
from backends.simulated_processes import SimulatedProcessTable
from harness.agents import TaskStory, completes, stops, task, works
from harness.record import RunStatus
from harness.report import Report
from harness.runner import Stage

ASKS = "permission to write"
TELL = ("tell", "somebody")
ENDINGS = ("finished", "gated", "escalated", "crashed", "stopped", "asked", "nested")


def story(how: str) -> TaskStory:
    """A task whose run comes to that ending."""
    agents = {
        "escalated": works(2).then_writes_result("escalate", "which colour?").then_stops().then_idles(),
        "asked": works(2).then_waits(ASKS, 6).then_completes(),
        "nested": stops().then_stalls(),
    }
    return task("1-1", agent=agents.get(how, works(5).then_completes()), gate="approval" if how == "gated" else None)


def ending(stage: Stage, how: str, notify: Sequence[str] = TELL) -> Report:
    """The report of a run that ends like that."""
    if how == "stopped":
        stage.stop_at(3, signal.SIGTERM)
    faults = "engine.decide=2*pass->1*raise(RuntimeError)" if how == "crashed" else ""
    quick = {"nudges": 0, "result_grace_s": 0, "stall_grace_s": 0, "max_attempts": 1} if how == "nested" else {}
    return stage(story(how), faults=faults, notify=tuple(notify), **quick)


def table_of(stage: Stage) -> SimulatedProcessTable:
    """The processes of a simulated host."""
    assert isinstance(stage.world.processes, SimulatedProcessTable)
    return stage.world.processes


def told(stage: Stage) -> list[tuple[str, str]]:
    """Every status and reason that somebody was told of."""
    started = [variables for argv, variables in table_of(stage).started if argv == TELL]
    assert all(variables["SEAMRIPPER_RUN"] == str(stage.run_dir) for variables in started)
    return [(variables["SEAMRIPPER_STATUS"], variables["SEAMRIPPER_REASON"]) for variables in started]


@pytest.mark.simulated("what is told is the same on every host")
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("finished", [("FINISHED", "")]),
        ("nested", [("FINISHED", "1 deferred: 1-1")]),
        ("gated", [("PAUSED", "approval is needed before 1-1")]),
        ("escalated", [("PAUSED", "1-1 needs a person: which colour?")]),
        ("stopped", []),
        ("asked", [("RUNNING", f"1-1 waits for a person: {ASKS}"), ("FINISHED", "")]),
    ],
)
def test_notification_tells_once_why_a_person_is_needed_or_how_the_run_ended(
    mux_run: Stage, how: str, expected: list[tuple[str, str]]
) -> None:
    """Whoever stopped the run knows that, and a run inside of another one does not speak for itself."""
    table_of(mux_run).commands["tell"] = lambda argv: Completed(tuple(argv), 0, b"", b"")
    report = ending(mux_run, how)

    assert told(mux_run) == expected
    assert report.events("notify-failed") == []


@pytest.mark.simulated("what is told is the same on every host")
def test_notification_of_a_crash_names_the_error(mux_run: Stage) -> None:
    """After the crash is on record and the session is torn down."""
    seen: list[list[str]] = []

    def tell(argv: Sequence[str]) -> Completed:
        seen.append([line["event"] for line in mux_run.store().events()])
        return Completed(tuple(argv), 0, b"", b"")

    table_of(mux_run).commands["tell"] = tell
    ending(mux_run, "crashed")

    ((status, reason),) = told(mux_run)
    assert (status, reason.split(":")[0]) == ("CRASHED", "RuntimeError")
    assert seen[0][-2:] == ["run-crash", "teardown"]


def hangs(stage: Stage) -> None:
    """A notification that never ends."""
    table_of(stage).commands["tell"] = lambda argv: Completed(tuple(argv), 0, b"", b"")
    table_of(stage).lasting["tell"] = math.inf


def exits_1(stage: Stage) -> None:
    """A notification that fails."""
    table_of(stage).commands["tell"] = lambda argv: Completed(tuple(argv), 1, b"secret", b"")


def raises(stage: Stage) -> None:
    """A notification that the host cannot carry out."""

    def tell(argv: Sequence[str]) -> Completed:
        raise OSError(24, "Too many open files")

    table_of(stage).commands["tell"] = tell


def is_missing(stage: Stage) -> None:
    """A notification that was never installed."""


FAILURES: Mapping[Callable[[Stage], None], str] = {
    hangs: "it did not end within 5 s",
    exits_1: "exit 1",
    raises: "OSError: [Errno 24] Too many open files",
    is_missing: "it could not be run: FileNotFoundError",
}


@pytest.mark.simulated("every failure at every point")
@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("failure", FAILURES)
def test_notification_that_fails_changes_no_outcome(mux_run: Stage, how: str, failure: Callable[[Stage], None]) -> None:
    """Status, exit code and tasks are those of a run that tells nobody; it ends at most five seconds and one look later."""
    calm = ending(mux_run, how, notify=())
    failure(mux_run)
    report = ending(mux_run, how)

    assert (report.status, report.exit_code) == (calm.status, calm.exit_code)
    assert report.task("1-1") == calm.task("1-1")
    assert report.elapsed_s <= calm.elapsed_s + 5 + 0.11
    problems = [line["problem"] for line in report.events("notify-failed")]
    assert all(problem.startswith(FAILURES[failure]) for problem in problems)
    assert bool(problems) == (how != "stopped")
    assert table_of(mux_run).carrying("SEAMRIPPER_STATUS", *RunStatus) == []


@pytest.mark.simulated("the seconds of a live host are not exact")
def test_notification_that_hangs_gives_way_to_a_stop(mux_run: Stage) -> None:
    """Nobody who wants the run to be over waits for it; the ending stands."""
    hangs(mux_run)
    mux_run.stop_at(7, signal.SIGTERM)
    report = mux_run(task("1-1", agent=works(5).then_completes()), notify=TELL, verify=False)

    assert report.status is RunStatus.FINISHED
    assert report.elapsed_s <= 7.2
    assert [line["problem"] for line in report.events("notify-failed")] == ["it was given up"]
    assert table_of(mux_run).carrying("SEAMRIPPER_STATUS", *RunStatus) == []


@pytest.mark.simulated("a disk that fails is made on simulated hosts")
@pytest.mark.parametrize("how", ["gated", "escalated", "asked"])
def test_notification_by_file_that_cannot_be_written_changes_no_outcome(mux_run: Stage, how: str) -> None:
    """A directory stands where ATTENTION belongs: that is noted, and nothing else."""
    calm = ending(mux_run, how, notify=())

    def block(step: str) -> None:
        if step == "begin":
            mux_run.world.disk.mkdir(mux_run.run_dir / "ATTENTION" / "full")

    report = mux_run(story(how), checkpoint=block)

    assert (report.status, report.task("1-1")) == (calm.status, calm.task("1-1"))
    assert report.events("notify-failed")[0]["problem"].startswith("ATTENTION: ")


@pytest.mark.parametrize("how", ["gated", "escalated", "crashed"])
def test_notification_by_file_says_what_is_to_be_done_until_it_is(mux_run: Stage, how: str) -> None:
    """A run that waits for somebody has it in ATTENTION; a resume takes it away before it does anything else."""
    said: list[str] = []

    def look(step: str) -> None:
        said.append(mux_run.store().read_attention())

    ended = ending(mux_run, how, notify=())
    look("ended")
    mux_run.resume(mux_run.plan(task("1-1", agent=completes())), checkpoint=look)

    assert said[0] == f"{ended.status.value.lower()}: {ended.verdict.reason}\n"
    assert set(said[1:]) == {""}


def test_notification_by_file_of_a_question_is_there_until_it_is_answered(mux_run: Stage) -> None:
    """One line for each agent that waits."""
    said: list[str] = []

    def look(step: str) -> None:
        if step == "schedule":
            said.append(mux_run.store().read_attention())

    agents = {"1-1": works(1).then_waits("to read", 14), "1-2": works(5).then_waits("to write", 4)}
    mux_run(
        *(task(key, agent=agent.then_completes()) for key, agent in agents.items()), max_parallel=2, checkpoint=look
    )

    read, write = "1-1 waits for a person: to read\n", "1-2 waits for a person: to write\n"
    assert list(dict.fromkeys(said)) == ["", read, read + write]
    assert said[-1] == ""


@pytest.mark.worlds("tmux")
def test_notification_of_a_real_program_has_its_variables_and_no_shell(mux_run: Stage) -> None:
    """A program of the host, in the project, is told what this is about."""
    script = 'printf "%s|%s|%s" "$SEAMRIPPER_STATUS" "$SEAMRIPPER_REASON" "$1" > told'
    mux_run(task("1-1", agent=completes(), gate="a person's $(word)"), notify=("sh", "-c", script, "sh", "$HOME;x"))

    said = mux_run.world.disk.read(mux_run.world.project / "told").decode()
    assert said == "PAUSED|a person's $(word) is needed before 1-1|$HOME;x"


@pytest.mark.worlds("tmux")
def test_notification_of_a_real_program_that_hangs_is_ended(mux_run: Stage) -> None:
    """With all that it has started, five seconds later."""
    report = mux_run(task("1-1", agent=completes()), notify=("sh", "-c", "sleep 1000 & wait"))

    assert report.status is RunStatus.FINISHED
    assert [line["problem"] for line in report.events("notify-failed")] == ["it did not end within 5 s"]
