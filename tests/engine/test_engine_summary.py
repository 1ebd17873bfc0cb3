"""What a run came to, in a few lines for people."""

from __future__ import annotations

import pytest

from harness.dashboard.render import phase_text
from harness.engine.summary import RunSummary, TaskSummary
from harness.record import Crashed, Ending, Finished, Paused, Stopped, TaskPhase


@pytest.mark.parametrize(
    ("ending", "headline", "code"),
    [
        (Finished(), "FINISHED", 0),
        (Finished(["a", "b"]), "FINISHED: 2 deferred", 1),
        (Finished([], ["make"]), "FINISHED: 1 commands failed", 1),
        (Finished(["a"], ["make", "test"]), "FINISHED: 1 deferred, 2 commands failed", 1),
        (Paused("a waits for approval", "gate", "a"), "PAUSED: a waits for approval", 75),
        (Stopped("SIGINT", 2), "STOPPED: by SIGINT", 130),
        (Crashed("ValueError: boom", "crash/1-2.json"), "CRASHED: ValueError: boom", 70),
    ],
)
def test_the_headline_says_how_it_ended(ending: Ending, headline: str, code: int) -> None:
    """And the exit code tells the same."""
    summary = RunSummary("r-1", ending)

    assert (summary.render(), summary.exit_code) == (headline, code)
    assert summary.crashed == isinstance(ending, Crashed)
    assert summary.crash_error == (ending.error if isinstance(ending, Crashed) else None)


def test_each_task_has_a_line() -> None:
    """How often it was tried, if more than once, and the first line of why, or of what it did."""
    tasks = [
        TaskSummary("a", TaskPhase.DONE, 1, "", "all of it\nand more"),
        TaskSummary("b", TaskPhase.DEFERRED, 3, "no luck\nat all", "half"),
        TaskSummary("c", TaskPhase.PENDING, 0),
        TaskSummary("d", TaskPhase.RUNNING, 2),
    ]

    assert RunSummary("r-1", Finished(["b"]), tasks).render().splitlines()[1:] == [
        "  a: done - all of it",
        "  b: deferred, 3 attempts - no luck",
        "  c: pending",
        "  d: cut off, 2 attempts",
    ]


@pytest.mark.parametrize("phase", TaskPhase)
def test_a_task_is_called_the_same_as_on_the_dashboard(phase: TaskPhase) -> None:
    """Where its run has ended: nothing of that is under way any more."""
    (_, line) = RunSummary("r-1", Stopped("SIGTERM", 15), [TaskSummary("a", phase, 1)]).render().splitlines()

    assert line.removeprefix("  a: ") == phase_text(phase, over=True).plain[2:]


@pytest.mark.parametrize(("teardown", "told"), [(None, []), ("torn-down", []), ("failed", ["  teardown: failed"])])
def test_what_went_wrong_at_the_end_is_told(teardown: str | None, told: list[str]) -> None:
    """Where the crash record is, what is left behind, and what could not be recorded."""
    summary = RunSummary("r-1", Crashed("X"), (), teardown, "crash/1-2.json", ("json: full", "text: full"))

    problems = ["  problem: json: full", "  problem: text: full"]
    assert summary.render().splitlines() == ["CRASHED: X", "  crash record: crash/1-2.json", *told, *problems]
