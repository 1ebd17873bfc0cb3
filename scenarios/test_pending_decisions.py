"""Agents that ask a person: shown while they wait, left alone, and never longer than their session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backends.processes import Liveness
from harness.agents import ScriptedAgent, task, works, writes_result
from harness.dashboard import read_run
from harness.record import Badge, Hint, RunStatus, Status
from harness.runner import Stage

ASKS = "permission to write"
ANSWERED = works(2).then_waits(ASKS, 6).then_works(2).then_completes()
UNANSWERED = works(2).then_waits(ASKS).then_completes()


def looking(stage: Stage, found: list[Status], event: str, session: Liveness = Liveness.ALIVE) -> Callable[[str], None]:
    """A checkpoint that takes a person's look at the run, once, after the journal's first line of that event."""

    def look(step: str) -> None:
        if not found and step == "tick" and any(line["event"] == event for line in stage.store().events()):
            found.append(read_run(stage.store(), lambda state: session).status)

    return look


def test_pending_decision_is_shown_while_it_is_one(mux_run: Stage) -> None:
    """What is asked is told with its task, and attaching is offered as long as the session is there."""
    found: list[Status] = []
    report = mux_run(task("1-1", agent=ANSWERED), checkpoint=looking(mux_run, found, "decision-pending"))

    (seen,) = found
    assert seen.name is RunStatus.RUNNING
    assert [(one.task, one.asks) for one in seen.pending] == [("1-1", ASKS)]
    assert Badge.PENDING in seen.badges
    assert Hint.ATTACH in seen.hints
    assert (report.status, report.pending) == (RunStatus.FINISHED, ())


@pytest.mark.parametrize("session", [Liveness.DEAD, Liveness.UNKNOWN])
def test_pending_decision_offers_no_attach_to_a_session_that_is_not_proven_alive(
    mux_run: Stage, session: Liveness
) -> None:
    """What is asked is shown all the same."""
    found: list[Status] = []
    mux_run(task("1-1", agent=ANSWERED), checkpoint=looking(mux_run, found, "decision-pending", session))

    assert [(Badge.PENDING in seen.badges, Hint.ATTACH in seen.hints) for seen in found] == [(True, False)]


def test_pending_decision_that_is_made_is_over(mux_run: Stage) -> None:
    """It is told once that it was asked, once that it was answered, and shown to nobody any more."""
    found: list[Status] = []
    report = mux_run(task("1-1", agent=ANSWERED), checkpoint=looking(mux_run, found, "decision-made"))

    assert [seen.pending for seen in found] == [()]
    assert [(line["task"], line["pending"]) for line in report.events("decision-pending")] == [("1-1", ASKS)]
    assert len(report.events("decision-made")) == 1
    assert report.task("1-1").outcomes == ["completed"]


def test_pending_decision_that_ends_with_its_turn_is_over(mux_run: Stage) -> None:
    """Where no hook tells that the person has ended the turn, the transcript does."""
    asking = works(2).then_emits("Waiting", message=ASKS).then_works(4, silent=True)
    agent = asking.then_notes_in_transcript(type="turn_aborted").then_works(6, silent=True).then_completes()
    report = mux_run(task("1-1", agent=agent))

    (ended,) = [line for line in report.events("event") if line.get("source") == "transcript"]
    assert [line["seq"] for line in report.events("decision-made")] == [ended["seq"] + 1]
    assert report.task("1-1").outcomes == ["completed"]


def test_pending_decision_is_made_by_what_a_person_types(mux_run: Stage) -> None:
    """An answer that is typed into the window lets the agent finish, in its first attempt and without a nudge."""

    def answer() -> None:
        windows = mux_run.world.multiplexer()
        name = mux_run.run_dir.name
        for row in windows.list_windows(name, ("window_id", "window_name")):
            if row[1].startswith("1-1-"):
                windows.send_text(row[0], "yes")

    mux_run.at(8, answer)
    report = mux_run(task("1-1", agent=UNANSWERED), result_grace_s=1, stall_grace_s=2)

    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").nudges == 0
    assert len(report.events("decision-made")) == 1


@pytest.mark.simulated("takes a minute")
@pytest.mark.parametrize("turn", ["open", "over"])
def test_pending_decision_is_no_silence(mux_run: Stage, turn: str) -> None:
    """However long it takes, within its turn or after it: nothing is typed to the agent, and it has not stalled."""
    begun = works(2).then_stops() if turn == "over" else works(2)
    agent = begun.then_waits(ASKS, 60).then_completes()
    report = mux_run(task("1-1", agent=agent), result_grace_s=1, stall_grace_s=2)

    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").nudges == 0
    assert report.elapsed_s >= 60


@pytest.mark.simulated("the seconds of a live host are not exact")
def test_pending_decision_is_waited_for_until_the_deadline(mux_run: Stage) -> None:
    """A person who never comes holds the session up as long as it may take, and no longer."""
    report = mux_run(task("1-1", agent=UNANSWERED), session_timeout_s=50, max_attempts=1, retry_deferred="never")

    assert report.task("1-1").outcomes == ["timed_out"]
    assert 50 <= report.elapsed_s <= 50 + 3
    assert report.state is not None
    assert report.state.task("1-1").attempts[0].pending == ""


@pytest.mark.parametrize("how", ["crash", "stop"])
def test_pending_decision_of_a_run_that_has_ended_is_nobodys(mux_run: Stage, how: str) -> None:
    """A crash or a stop tears the session down: no pending decision, no attach hint, whatever is said of the session."""

    def strike(step: str) -> None:
        if step == "tick" and mux_run.store().events()[-1]["event"] == "decision-pending":
            if how == "crash":
                raise RuntimeError("struck")
            assert mux_run.engine is not None
            mux_run.engine.request_stop()

    report = mux_run(task("1-1", agent=UNANSWERED), checkpoint=strike)
    seen = read_run(mux_run.store(), lambda state: Liveness.ALIVE).status

    assert report.status is (RunStatus.CRASHED if how == "crash" else RunStatus.STOPPED)
    assert (seen.pending, Badge.PENDING in seen.badges, Hint.ATTACH in seen.hints) == ((), False, False)


@pytest.mark.simulated("the engine of a live scenario lives in the process of the test")
def test_pending_decision_of_a_killed_run_is_forgotten_by_its_resume(mux_run: Stage) -> None:
    """INTERRUPTED shows none; the agent of the next attempt asks anew if it has to."""
    agent = ScriptedAgent.attempts(UNANSWERED, works(1).then_completes())
    killed = mux_run(task("1-1", agent=agent), faults="engine.decide=6*pass->1*die")
    seen = read_run(mux_run.store(), lambda state: Liveness.ALIVE).status
    report = mux_run.resume()

    assert killed.events("decision-pending")
    assert (seen.name, seen.pending, Hint.ATTACH in seen.hints) == (RunStatus.INTERRUPTED, (), False)
    assert report.status is RunStatus.FINISHED
    assert report.state is not None
    assert [attempt.pending for attempt in report.state.task("1-1").attempts] == ["", ""]


@pytest.mark.simulated("takes half a minute")
def test_pending_decision_while_the_multiplexer_hangs_stays_one(mux_run: Stage) -> None:
    """Nothing is concluded from silence on both sides."""
    mux_run.at(4, mux_run.world.freeze)
    mux_run.at(25, mux_run.world.thaw)
    report = mux_run(task("1-1", agent=works(2).then_waits(ASKS, 30).then_completes()), call_timeout_s=4)

    assert report.task("1-1").outcomes == ["completed"]
    assert [line["event"] for line in report.journal].count("decision-pending") == 1


@pytest.mark.simulated("what the agent says is the same on every host")
def test_pending_decision_of_a_hostile_agent_is_shown_literally(mux_run: Stage) -> None:
    """However long and in whatever characters: it is bounded, and nothing of it reaches a terminal as control."""
    found: list[Status] = []
    asks = "\x1b[2J[bold]" + "x" * 10_000
    agent = works(2).then_waits(asks, 3).then_completes()
    mux_run(task("1-1", agent=agent), checkpoint=looking(mux_run, found, "decision-pending"))

    ((told,),) = [seen.pending for seen in found]
    assert told.asks.startswith("\\x1b[2J[bold]xxx")
    assert len(told.asks) < 400


def test_pending_decision_of_one_agent_keeps_no_other_one_from_its_work(mux_run: Stage) -> None:
    """Two at once: the second is done long before the first is answered."""
    report = mux_run(
        task("1-1", agent=works(1).then_waits(ASKS, 12).then_completes()),
        task("1-2", agent=writes_result().then_stops().then_idles()),
        max_parallel=2,
    )

    ended = [line["task"] for line in report.events("session-ended")]
    assert ended == ["1-2", "1-1"]
