"""What agents leave behind: only a whole result of this launch counts, and broken files end no run."""

from __future__ import annotations

import json

import pytest

from harness.agents import ScriptedAgent, stops, task, works, writes_result
from harness.engine.events import SIZE_LIMIT
from harness.incidents import at_step, at_work, simulated, when
from harness.record import RunStatus
from harness.runner import Stage

BEFORE = {
    "before-stop": works(1).then_writes_result().then_works(2).then_stops().then_idles(),
    "after-stop": works(1).then_stops().then_works(3, silent=True).then_writes_result().then_idles(),
    "without-stop": works(2).then_writes_result().then_works(1000),
    "and-dead": works(2).then_writes_result().then_dies(signal="SIGSEGV"),
    "half-then-whole": works(1)
    .then_writes_result(half=True)
    .then_works(2)
    .then_writes_result()
    .then_stops()
    .then_idles(),
    "foreign-then-own": works(1).then_writes_result(token="0" * 32).then_works(2).then_completes(),
}
NEVER = {
    "half": works(1).then_writes_result(half=True).then_stops().then_stalls(),
    "of-another-launch": works(1).then_writes_result(token="0" * 32).then_stops().then_stalls(),
}


@pytest.mark.parametrize("when", list(BEFORE))
@pytest.mark.simulated("two of them are run on live hosts below")
def test_result_race_is_won_by_a_whole_result_of_this_launch(mux_run: Stage, when: str) -> None:
    """Before its Stop, after it, without one, or after something that is no result: it counts, and nobody is nudged for it."""
    report = mux_run(task("1-1", agent=BEFORE[when]), session_timeout_s=60)

    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").nudges == 0


@pytest.mark.worlds("tmux")
def test_result_race_on_a_live_host_is_won_all_the_same(mux_run: Stage) -> None:
    """Real agents whose results come after their Stop, and after half of one, have completed."""
    stories = [task(f"1-{n}", agent=BEFORE[when]) for n, when in enumerate(("after-stop", "half-then-whole"))]
    report = mux_run(*stories, max_parallel=2, session_timeout_s=60)

    assert [report.task(story.plan.key).outcomes for story in stories] == [["completed"]] * 2


@pytest.mark.simulated("takes minutes")
@pytest.mark.parametrize("what", list(NEVER))
def test_result_race_is_not_won_by_anything_else(mux_run: Stage, what: str) -> None:
    """Half a result, or another launch's, is told of once, and the session stalls."""
    report = mux_run(task("1-1", agent=NEVER[what]), max_attempts=1, retry_deferred="never", stall_grace_s=20)

    assert report.task("1-1").outcomes == ["stalled"]
    assert len(report.events("result-skipped")) == 1


@pytest.mark.simulated("the seconds of a live host are not exact")
@pytest.mark.parametrize("late_s", [-0.5, 0.0, 2.0])
def test_result_race_with_the_deadline_is_decided_by_what_lies_there_then(mux_run: Stage, late_s: float) -> None:
    """A result that is there at the deadline counts; one that comes later is of no use to the attempt after it."""
    slow = works(10 + late_s, silent=True).then_writes_result().then_stalls().ignoring_signals("SIGTERM", "SIGHUP")
    second = works(1).then_completes("second")
    report = mux_run(task("1-1", agent=ScriptedAgent.attempts(slow, second)), session_timeout_s=10.1, stop_grace_s=4)

    in_time = late_s <= 0
    assert report.task("1-1").outcomes == (["completed"] if in_time else ["timed_out", "completed"])
    assert report.task("1-1").summary == ("done" if in_time else "second")


def test_stale_artifacts_of_an_earlier_life_are_ignored(mux_run: Stage) -> None:
    """A result, and events that end a session, which lay there before the task began or are of another launch: ignored."""
    disk = mux_run.world.disk
    old = dict[str, object](token="0" * 32, task="1-1", session_id=None, transcript_path=None, payload={})

    def leave_result() -> None:
        disk.mkdir(mux_run.run_dir / "tasks" / "1-1")
        path = mux_run.run_dir / "tasks" / "1-1" / "result.json"
        disk.write(path, json.dumps({**old, "status": "done", "summary": "old"}).encode())

    def leave_events() -> None:
        for seq, name in ((90, "Stop"), (91, "SessionEnd")):
            path = mux_run.run_dir / "events" / f"{seq:08d}.json"
            disk.write(path, json.dumps({**old, "seq": seq, "event": name}).encode())

    when(mux_run, at_work(mux_run), leave_events)
    report = mux_run(task("1-1", agent=works(5).then_completes("new")), checkpoint=at_step("prompt", leave_result))

    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").summary == "new"


def test_stale_artifacts_under_a_living_agent_are_told_and_ignored(mux_run: Stage) -> None:
    """Somebody else's result in the place of ours is journaled once, and is no end of the session."""
    disk = mux_run.world.disk

    def leave() -> None:
        path = mux_run.run_dir / "tasks" / "1-1" / "result.json"
        disk.write(path, json.dumps({"token": "f" * 32, "status": "failed", "summary": "old"}).encode())

    when(mux_run, at_work(mux_run), leave)
    report = mux_run(task("1-1", agent=works(5).then_completes("new")))

    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").summary == "new"
    assert [event["note"] for event in report.events("result-skipped")] == ["result.json: of another launch"]


BROKEN = {
    "empty": b"",
    "partial": b'{"seq": 90, "event": "St',
    "not-utf-8": b"\xff\xfe\x00",
    "huge": b'"' + b"x" * SIZE_LIMIT + b'"',
    "list": b"[]",
    "deep": b"[" * 100_000,
    "other-number": b'{"seq": 7, "event": "Stop", "token": "", "task": ""}',
    "unknown": b'{"seq": 90, "event": "Explosion", "token": "", "task": ""}',
}


def test_broken_events_are_skipped_with_a_note_each(mux_run: Stage) -> None:
    """Events that are empty, cut off, no text, too large or directories are told, and the run goes on to its end."""
    disk = mux_run.world.disk

    def leave() -> None:
        disk.mkdir(mux_run.run_dir / "events" / "00000080.json")
        for number, data in enumerate(BROKEN.values(), start=90):
            path = mux_run.run_dir / "events" / f"{number:08d}.json"
            disk.write(path, data.replace(b"90", str(number).encode()))

    when(mux_run, at_work(mux_run), leave)
    report = mux_run(task("1-1", agent=works(5).then_completes()))

    notes = [event["note"] for event in report.events("event-skipped")]
    assert report.status is RunStatus.FINISHED
    assert report.task("1-1").outcomes == ["completed"]
    assert len(notes) == len(BROKEN) + 1
    assert all(note.startswith("events/0000009") or note.startswith("events/00000080") for note in notes)


@pytest.mark.simulated("what opening a real pipe or link does is tested where files are")
@pytest.mark.parametrize("place", ["event", "result"])
@pytest.mark.parametrize("kind", ["pipe", "link-to-nowhere", "link-to-itself", "link-outside", "directory"])
def test_broken_events_and_results_that_are_no_files_keep_nobody_waiting(mux_run: Stage, kind: str, place: str) -> None:
    """A pipe nobody writes to, or a link that leads outside, is never read and never waited for: noted, and that is all."""
    disk = simulated(mux_run.world).disk
    names = {"link-to-nowhere": "/nowhere", "link-to-itself": "result.json", "link-outside": "/sim/secret"}

    def leave() -> None:
        where = "events/00000090.json" if place == "event" else "tasks/1-1/result.json"
        if kind == "pipe":
            disk.plant_fifo(mux_run.run_dir / where)
        elif kind == "directory":
            disk.mkdir(mux_run.run_dir / where)
        else:
            disk.plant_link(mux_run.run_dir / where, names[kind])

    disk.write("/sim/secret", b'{"status": "done"}')
    mux_run.at(2, leave)
    agent = works(5).then_stops() if place == "result" else works(5).then_completes()
    report = mux_run(task("1-1", agent=agent.then_idles()), completion="turn" if place == "result" else "result")

    assert report.task("1-1").outcomes == ["completed"]
    (skipped,) = report.events(f"{place}-skipped")
    assert "another launch" not in skipped["note"]
    assert report.elapsed_s <= 5 + 2


@pytest.mark.simulated("nothing of it depends on the multiplexer")
def test_broken_events_by_the_thousand_cost_two_lines_a_tick(mux_run: Stage) -> None:
    """A heap of them is counted, not listed, and the result is found behind it."""
    disk = mux_run.world.disk

    def heap() -> None:
        for number in range(1000):
            disk.write(mux_run.run_dir / "events" / f"{90_000 + number:08d}.json", b"")

    mux_run.at(2, heap)
    report = mux_run(task("1-1", agent=works(4).then_writes_result().then_stalls()))

    assert report.task("1-1").outcomes == ["completed"]
    assert len(report.events("event-skipped")) == 11
    assert report.events("event-skipped")[-1]["note"] == "and 990 more"


@pytest.mark.simulated("nothing of it depends on the multiplexer")
def test_result_race_of_a_nudge_and_a_result_is_one_completion(mux_run: Stage) -> None:
    """A result that comes while its nudge is typed completes the session; the nudge has cost nothing."""
    report = mux_run(
        task("1-1", agent=stops().then_works(2.5, silent=True).then_writes_result().then_idles()), result_grace_s=2
    )

    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").nudges <= 1
    assert report.task("1-1").attempts == 1


@pytest.mark.simulated("nothing of it depends on the multiplexer")
def test_result_race_of_a_failed_attempt_is_no_success_of_the_next(mux_run: Stage) -> None:
    """What an attempt that gave up has written does not finish the attempt after it."""
    first = writes_result("failed", "first").then_stops().then_idles()
    second = works(2).then_completes("second")
    report = mux_run(task("1-1", agent=ScriptedAgent.attempts(first, second)))

    assert report.task("1-1").phase == "done"
    assert report.task("1-1").summary == "second"
    assert [entry["what"] for entry in report.ledger].count("start") == 2


@pytest.mark.simulated("a live agent is ended at such a moment by chance only")
def test_broken_events_that_an_agent_was_writing_when_it_was_ended_go_with_it(mux_run: Stage) -> None:
    """An agent that is killed between the draft of an event and the event leaves nothing once the run is torn down."""

    def half() -> None:
        mux_run.world.disk.write(mux_run.run_dir / "events" / ".4242-0.draft", b"{")

    report = mux_run(task("1-1", agent=works(2).then_completes()), checkpoint=at_step("kill", half))

    assert report.status is RunStatus.FINISHED
    assert report.leftovers == []
