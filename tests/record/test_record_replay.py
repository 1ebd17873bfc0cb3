"""What the journal tells beyond the snapshot is part of the run."""

from typing import Any

import pytest

from harness.record import (
    Crashed,
    Ending,
    Event,
    Finished,
    Paused,
    RunState,
    SessionOutcome,
    Stopped,
    TaskPhase,
    TaskState,
)
from harness.record.replay import ending_of, rebuild, replay


def event(name: str, seq: int = 5, epoch: int = 1, **fields: Any) -> Event:
    """A journal line."""
    return {"seq": seq, "epoch": epoch, "at": 7.0, "event": name, **fields}


def state(seq: int = 4) -> RunState:
    """A snapshot with one task, up to line `seq`."""
    return RunState("r", seq=seq, tasks=[TaskState("a")])


@pytest.mark.parametrize(
    ("line", "ending"),
    [
        (event("run-complete"), Finished()),
        (event("run-complete", deferred=["a"], failed=["make"]), Finished(["a"], ["make"])),
        (event("run-paused", reason="why", stage="gate", task="a"), Paused("why", "gate", "a")),
        (event("run-stopped", by="SIGTERM", signum=15), Stopped("SIGTERM", 15)),
        (event("run-crash", error="X: y", record="crash/1-5.json"), Crashed("X: y", "crash/1-5.json")),
        (event("run-crash", error=3), Crashed("unknown error")),
        (event("run-paused"), Paused("unknown reason")),
        (event("run-stopped", by=None), Stopped("unknown")),
        (event("run-complete", deferred=7), Finished()),
        (event("anything", ending={"kind": "stopped", "by": "request"}), Stopped("request")),
        (event("anything", ending={"kind": "nonsense"}), None),
        (event("task-done", task="a"), None),
    ],
)
def test_a_line_tells_an_ending(line: Event, ending: Ending | None) -> None:
    """An ending is read from the line's fields, and stands even where they are wrong."""
    assert ending_of(line) == ending


def test_the_end_of_a_session_tells_when_its_task_may_go_on() -> None:
    """A rate limit outlives the engine; what is of another type is passed over."""
    line = event("session-ended", task="a", number=1, signal=9, not_before=99.5, summary="x")
    task = replay(state(), [line]).task("a")

    assert (task.not_before, task.summary) == (99.5, "x")
    assert (task.attempts[0].ended_at, task.attempts[0].signal) == (7.0, 9)
    wrong = replay(state(), [event("session-ended", task="a", number=1, not_before="soon", summary=3)])
    assert (wrong.task("a").not_before, wrong.task("a").summary) == (None, "")


def test_lines_that_the_snapshot_tells_of_are_passed_over() -> None:
    """Only what came after the snapshot changes it."""
    old = [event("task-done", 4, task="a"), event("task-done", 9, epoch=0, task="a")]

    assert replay(state(), old) == state()
    assert replay(state(), [event("task-done", 5, task="a")]).task("a").phase is TaskPhase.DONE


def test_an_attempt_is_rolled_forward() -> None:
    """Start, window and outcome of a session are taken over, by number."""
    lines = [
        event("attempt", 5, task="a", number=1),
        event("session-started", 6, task="a", number=1, window="@4"),
        event("session-ended", 7, task="a", number=1, outcome="timed_out", reason="late", exit_code=3, counted=False),
        event("task-retry", 8, task="a", reason="late"),
    ]

    task = replay(state(), lines).task("a")

    (attempt,) = task.attempts
    assert (task.phase, task.reason, attempt.window_id) == (TaskPhase.PENDING, "late", "@4")
    assert (attempt.outcome, attempt.exit_code, attempt.counted) == (SessionOutcome.TIMED_OUT, 3, False)


def test_what_a_person_is_asked_is_rolled_forward_until_it_is_settled() -> None:
    """By an answer, by the end of the session, or by the end of the engine that heard it."""
    asked = [
        event("attempt", 5, task="a", number=1),
        event("decision-pending", 6, task="a", number=1, pending="to write"),
    ]
    settled = [
        event("decision-made", 7, task="a", number=1, pending=""),
        event("session-ended", 7, task="a", number=1, outcome="timed_out"),
        event("run-resumed", 7, epoch=2),
    ]

    assert replay(state(), asked).task("a").attempts[0].pending == "to write"
    for line in settled:
        assert replay(state(), [*asked, line]).task("a").attempts[0].pending == ""


@pytest.mark.parametrize(
    "fields",
    [{"task": 3}, {"task": "a", "number": "x"}, {"task": "a", "number": True}, {"task": "a", "number": 1, "outcome": "great"},
     {"task": "a", "number": 1, "window": 4, "reason": [], "nudges": "no", "exit_code": "1"}, {"task": None}],
)  # fmt: skip
def test_fields_of_the_wrong_type_are_passed_over(fields: dict[str, Any]) -> None:
    """A line that makes no sense changes nothing that it makes no sense about."""
    found = replay(state(), [event("session-ended", **fields)])

    assert found.task("a").phase is TaskPhase.PENDING
    assert all((one.outcome, one.window_id, one.nudges) == (None, None, 0) for one in found.task("a").attempts)
    RunState.from_dict(found.to_dict())


def test_an_attempt_that_the_snapshot_does_not_know_began_with_its_first_line() -> None:
    """Its token is not told by any line."""
    attempt, other = (
        replay(
            state(), [event("attempt", 5, task="a", number=1), {**event("attempt", 6, task="a", number=2), "at": "x"}]
        )
        .task("a")
        .attempts
    )

    assert (attempt.number, attempt.token, attempt.started_at, attempt.ended_at) == (1, "", 7.0, None)
    assert (other.number, other.started_at) == (2, 0.0)


def test_commands_after_the_last_task_are_counted_in_their_order() -> None:
    """One that failed is named; a number that does not come next, or is none, is passed over."""
    lines = [
        event("post-run", 5, number=1, command="make"),
        event("post-run", 6, number=2, command="test", problem="exit 1"),
        event("post-run", 7, number=2, command="again", problem="exit 1"),
        event("post-run", 8, number=4, command="early", problem="exit 1"),
        event("post-run", 9, number=3.0, command="odd", problem="exit 1"),
        event("post-run", 10, number="3", command="odd", problem="exit 1"),
        event("post-run", 11, command="odd", problem="exit 1"),
    ]

    found = replay(state(), lines)

    assert (found.commands_done, found.commands_failed) == (2, ["test"])


def test_teardown_and_nested_runs_are_rolled_forward() -> None:
    """What was torn down, and which child was begun, is not forgotten."""
    found = replay(
        state(),
        [event("nested-run", 5, run="r-2"), event("nested-run", 6, run="r-2"), event("teardown", 7, outcome="failed")],
    )

    assert (found.nested, found.teardown, found.seq) == (["r-2"], "failed", 7)


@pytest.mark.parametrize(
    "line",
    [event("teardown", outcome=3), event("teardown"), event("other", outcome="failed"), event("nested-run", run=3),
     event("other", run="r-2"), event("other", number=1, problem="x"), event("other", task="b"), event("task-done", task=3)],
)  # fmt: skip
def test_a_line_of_another_kind_changes_only_how_far_the_story_goes(line: Event) -> None:
    """Whatever fields it carries."""
    due = state(seq=5)
    due.updated_at = 7.0

    assert replay(state(), [line]) == due


def test_a_whole_state_on_a_line_replaces_what_was_known() -> None:
    """Unless it is none, which takes nothing away."""
    told = RunState("r", project="/p", seq=2, tasks=[TaskState("b")]).to_dict()

    found = replay(
        state(), [event("run-created", 5, state=told), event("x", 6, state={"run_id": 3}), event("x", 7, state=7)]
    )

    assert (found.project, [task.key for task in found.tasks], found.seq, found.updated_at) == ("/p", ["b"], 7, 7.0)


@pytest.mark.parametrize(("number", "known"), [(0, []), (-1, []), (1, [1]), (10**9 - 1, [10**9 - 1]), (10**9, [])])
def test_an_attempt_has_a_possible_number(number: int, known: list[int]) -> None:
    """A line that names another one is damaged."""
    task = replay(state(), [event("attempt", task="a", number=number)]).task("a")

    assert [attempt.number for attempt in task.attempts] == known


def test_a_phase_that_has_no_reason_forgets_the_last_one() -> None:
    """Nothing is told of a task that is no longer so."""
    lines = [event("task-deferred", 5, task="a", reason="late"), event("task-done", 6, task="a", reason=3)]

    assert replay(state(), lines[:1]).task("a").reason == "late"
    assert replay(state(), lines).task("a").reason == ""


def test_a_crash_is_remembered_once_with_its_record() -> None:
    """The same record, or the same error where either has none; another epoch's is another crash."""
    lines = [
        event("run-crash", 5, error="X", record="crash/1-5.json"),
        event("run-crash", 6, error="X"),
        event("run-crash", 7, error="Y", record="crash/1-5.json"),
        event("run-crash", 8, error="X", record="crash/1-8.json"),
        event("run-crash", 9, epoch=2, error="X"),
    ]

    found = replay(state(), lines).crashes

    assert [(crash.epoch, crash.seq, crash.error, crash.record) for crash in found] == [
        (1, 5, "X", "crash/1-5.json"),
        (1, 8, "X", "crash/1-8.json"),
        (2, 9, "X", None),
    ]


@pytest.mark.parametrize(
    ("known", "lines", "ending"),
    [
        (None, [event("run-complete", 3)], Finished()),
        (None, [event("run-complete", 3, epoch=2)], None),
        (None, [event("run-complete", 3), event("run-stopped", 4, by="x")], Finished()),
        (None, [event("run-complete", 3), event("run-crash", 4, error="X")], Crashed("X")),
        (Crashed("Y"), [event("run-complete", 3), event("run-crash", 4, error="X")], Crashed("Y")),
        (Stopped("x"), [event("run-complete", 3)], Stopped("x")),
        (Stopped("x"), [event("run-complete", 3), event("anything", 4)], Stopped("x")),
        (Stopped("x"), [event("teardown", 15, outcome="failed")], Stopped("x")),
        (Crashed("X"), [event("run-stopped", 15, by="x")], Crashed("X")),
        (None, [event("run-complete", 15), event("run-stopped", 16, by="x")], Stopped("x")),
        (None, [event("run-crash", 15, error="X"), event("run-stopped", 16, by="x")], Crashed("X")),
    ],
)
def test_an_ending_that_the_snapshot_may_not_tell_of_stands(
    known: Ending | None, lines: list[Event], ending: Ending | None
) -> None:
    """Before its number the first one and every crash, after it the last one; a crash is never taken back."""
    snapshot = state(seq=9)
    snapshot.ending = known
    lines = [line for line in lines if line["epoch"] == 1]

    assert replay(snapshot, lines).ending == ending


def test_a_later_epoch_clears_the_ending() -> None:
    """A line of the next epoch proves that the run was resumed."""
    paused = state()
    paused.ending = Paused("why")

    found = replay(paused, [event("run-resumed", 5, epoch=2)])

    assert (found.epoch, found.ending) == (2, None)


def test_a_crash_of_the_epoch_stands_whatever_the_snapshot_says() -> None:
    """A snapshot saved after the crash, with another ending, does not hide it."""
    finished = state(seq=9)
    finished.ending = Finished()

    found = replay(finished, [event("run-crash", 5, error="X: y", record="crash/1-5.json")])

    assert found.ending == Crashed("X: y", "crash/1-5.json")
    assert [crash.seq for crash in found.crashes] == [5]


def test_a_journal_without_its_first_line_still_rebuilds_something() -> None:
    """Tasks that later lines name are there; without any line there is no run."""
    found = rebuild([event("task-done", 5, epoch=3, task="b"), event("run-crash", 6, epoch=3, error="X")], "r-1")

    assert found is not None
    assert (found.run_id, found.epoch, found.crash_error, found.task("b").phase) == ("r-1", 3, "X", TaskPhase.DONE)
    assert (found.created_at, found.updated_at, found.seq) == (7.0, 7.0, 6)
    assert rebuild([], "r-1") is None


def test_earlier_crashes_are_kept_when_rebuilding() -> None:
    """The history of crashes goes through the epochs."""
    lines = [event("run-crash", 5, error="X"), event("run-resumed", 6, epoch=2), event("run-complete", 7, epoch=2)]

    found = rebuild(lines, "r")

    assert found is not None
    assert (found.ending, [crash.error for crash in found.crashes]) == (Finished(), ["X"])
