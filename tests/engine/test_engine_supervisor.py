"""Sessions at work and at their end: nudges, kills, neighbours, strays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_setting import RUN, answers_when_asked, fresh_stage, launches_of, prompts_of

from harness.agents import ScriptedAgent, ScriptedProfile, stalls, stops, task, works
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.engine.profiles import Launch, LaunchContext
from harness.record import Paused, RunStatus
from harness.report import Report

DONE = works(5).then_completes()


def moment(report: Report, event: str, number: int) -> float:
    """When that happened to the attempt of that number, in seconds of wall time."""
    return next(float(entry["at"]) for entry in report.events(event) if entry["number"] == number)


@pytest.mark.parametrize("faults", ["3*timeout", "3*lost:timeout", "3*empty", "2*oserror(EPIPE)", "10*timeout"])
def test_the_next_attempt_waits_until_the_last_one_is_gone(faults: str) -> None:
    """A kill that was swallowed, denied or never heard is asked for again; two agents never overlap."""
    agent = ScriptedAgent.attempts(stalls(), DONE)
    timing = {"session_timeout_s": 100, "call_timeout_s": 5}
    report = fresh_stage()(task("a", agent=agent), faults=f"kill_window={faults}", **timing)

    assert report.task("a").outcomes == ["timed_out", "completed"]
    assert launches_of(report, "a")[1] >= moment(report, "session-gone", 1)


def test_a_window_that_never_goes_pauses_the_run_within_a_session_timeout() -> None:
    """It is looked at seldom then: a thousand times in vain helps nobody."""
    report = fresh_stage()(task("a", agent=DONE), session_timeout_s=200, faults="kill_window=oserror(EPIPE)")

    assert isinstance(report.ending, Paused)
    why = "kill_window is not answered: could not ask: EPIPE: Broken pipe"
    told = "`seamripper doctor` shows what to mend, then resume"
    assert report.ending.reason == f"a could not be ended within 200 s: {why}; {told}"
    assert report.elapsed_s <= 5 + 1 + 200 + 2
    assert report.reached["mux.kill_window"] < 300


def test_a_process_that_survives_its_window_is_ended_before_the_next_attempt() -> None:
    """No second agent begins while anything of the first one runs, a child in a session of its own included."""
    stage = fresh_stage()
    left: list[int] = []

    def look(step: str) -> None:
        if step == "open-window":
            tokens = {entry["token"] for entry in stage.world.ledger()}
            left.append(sum(len(stage.world.processes.carrying("SEAMRIPPER_TOKEN", token)) for token in tokens))

    first = works(2).then_leaves_child(4000, setsid=True).then_dies()
    report = stage(task("a", agent=ScriptedAgent.attempts(first, DONE)), checkpoint=look)

    assert report.task("a").outcomes == ["crashed", "completed"]
    assert left == [0, 0]


def test_a_process_that_nothing_ends_is_told_of_and_keeps_nobody_waiting() -> None:
    """Everybody answered: that is no reason to pause the run."""
    stage = fresh_stage()

    def spawn() -> None:
        token = stage.world.ledger()[0]["token"]
        stage.world.processes.spawn({"SEAMRIPPER_TOKEN": token}, on_signal=lambda signum: None)

    stage.at(2, spawn)
    report = stage(task("a", agent=DONE), verify=False, stop_grace_s=10)

    assert report.status is RunStatus.FINISHED
    assert len(report.events("survivors")) == 1
    assert 20 <= moment(report, "session-gone", 1) - moment(report, "session-ended", 1) <= 22.2


def test_a_session_that_cannot_be_started_does_not_cost_a_healthy_one_its_end() -> None:
    """The run pauses once nobody is at work any more."""
    agent = works(50).then_completes()
    faults = "new_window=1*timeout->1*pass->timeout"
    report = fresh_stage()(
        task("b", agent=DONE), task("a", agent=agent), faults=faults, max_parallel=2, session_timeout_s=60
    )

    assert isinstance(report.ending, Paused)
    assert report.ending.task == "b"
    assert report.task("a").phase == "done"


def test_an_agent_that_heeds_no_polite_signal_is_killed_after_the_grace() -> None:
    """It has its time first."""
    deaf = stalls().ignoring_signals("SIGHUP", "SIGTERM")
    agent = ScriptedAgent.attempts(deaf, DONE)
    report = fresh_stage()(task("a", agent=agent), session_timeout_s=20, stop_grace_s=7)

    assert report.task("a").outcomes == ["timed_out", "completed"]
    assert 7 <= moment(report, "session-gone", 1) - moment(report, "session-ended", 1) <= 7 + 1.1


@pytest.mark.parametrize("action", ["lost:timeout", "lost:oserror(EPIPE)"])
def test_a_nudge_whose_answer_is_lost_is_not_typed_twice(action: str) -> None:
    """The agent was asked, reacted, and is left to its turn."""
    stage = fresh_stage()
    report = stage(task("a", agent=answers_when_asked(60)), faults=f"send_text=1*{action}")

    assert report.task("a").outcomes == ["completed"]
    assert prompts_of(report, "a") == 2


@pytest.mark.parametrize(("nudges", "hangs"), [(1, 1), (2, 1), (2, 2)])
def test_nudges_that_nobody_could_send_are_not_held_against_the_agent(nudges: int, hangs: int) -> None:
    """It is asked once the multiplexer answers again, in the same attempt."""
    report = fresh_stage()(task("a", agent=answers_when_asked()), nudges=nudges, faults=f"send_text={hangs}*timeout")

    assert report.task("a").outcomes == ["completed"]
    assert prompts_of(report, "a") == 2


def test_an_agent_whose_nudges_go_unconfirmed_is_not_typed_to_for_ever() -> None:
    """One more of each kind than it would get if each one were confirmed, however long the session may last."""
    settings = {"nudges": 2, "session_timeout_s": 5400, "max_attempts": 1, "retry_deferred": "never"}
    faults = "send_text=lost:timeout(5)"
    agent = works(3).then_stops().then_idles().ignoring_nudges()
    report = fresh_stage()(task("a", agent=agent), faults=faults, **settings)

    assert report.task("a").outcomes == ["stalled"]
    assert report.task("a").nudges <= 2 * (2 + 1)


def test_a_nudge_that_never_arrives_ends_in_a_stall_not_in_a_loop() -> None:
    """Each kind is tried once more than it would be otherwise."""
    settings = {"nudges": 1, "session_timeout_s": 500, "stall_grace_s": 60, "max_attempts": 1}
    agent = answers_when_asked()
    report = fresh_stage()(task("a", agent=agent), faults="send_text=timeout", retry_deferred="never", **settings)

    assert report.task("a").outcomes == ["stalled"]
    assert report.elapsed_s < 500


def test_a_result_that_comes_while_a_nudge_hangs_completes_the_session() -> None:
    """One call and one poll later at most."""
    agent = works(1).then_stops().then_works(20).then_completes()
    report = fresh_stage()(task("a", agent=agent), faults="send_text=1*timeout", session_timeout_s=600)

    assert report.task("a").outcomes == ["completed"]
    assert moment(report, "session-ended", 1) - moment(report, "session-started", 1) <= 21 + 30 + 1.1


@pytest.mark.parametrize(
    "faults",
    [
        "set_window_option=1*timeout;pipe_pane=1*timeout;window_pids=1*timeout",
        "set_window_option=1*delay(4);pipe_pane=1*delay(4);window_pids=1*delay(4)",
        "pipe_pane=2*delay(4);window_alive=1*delay(4);window_pids=2*delay(4)",
    ],
)
def test_a_result_right_after_the_launch_waits_for_one_call_only(faults: str) -> None:
    """Marking the window and asking for its processes take several calls, and each of them may hang."""
    report = fresh_stage()(task("a", agent=works(3).then_completes()), faults=faults, strict=False, call_timeout_s=5)

    left_s = next(entry["at"] for entry in report.ledger if entry["what"] == "result")
    assert report.task("a").outcomes == ["completed"]
    assert moment(report, "session-ended", 1) - left_s <= 5 + 1.1


def test_a_stray_window_of_ours_is_killed_and_a_persons_is_not() -> None:
    """A late effect has a task's name and no launch; whatever else is in the session stays until the session goes."""
    stage = fresh_stage()
    windows = stage.world.multiplexer()

    def open_windows() -> None:
        for name in ("a-0123456789abcdef", "notes", "a-notes"):
            windows.new_window(RUN, name, "/sim", {}, "sleep 1000")

    stage.at(2.5, open_windows)
    report = stage(task("a", agent=DONE), task("b", agent=DONE, gate="approval"))

    assert report.status is RunStatus.PAUSED
    assert [event["name"] for event in report.events("stray-window")] == ["a-0123456789abcdef"]
    names = windows.list_windows(RUN, ["window_name"])
    assert {("notes",), ("a-notes",)} <= set(names)
    assert ("a-0123456789abcdef",) not in names


def test_parallel_sessions_share_one_listing_in_each_tick() -> None:
    """Three agents cost the multiplexer no more questions than one, but for their beginnings and ends."""
    counts = []
    for keys in ("a", "abc"):
        agent = works(60, silent=True).then_completes()
        report = fresh_stage()(*(task(key, agent=agent) for key in keys), max_parallel=3)
        assert report.elapsed_s < 65
        counts.append(report.reached["mux.list_window_ids"])

    assert counts[0] >= 10
    assert counts[1] - counts[0] <= 4


def test_a_session_past_its_deadline_does_not_wait_for_the_calls_of_others() -> None:
    """Each of the others hangs for a whole call deadline; one of these is the most that it may wait."""
    others = [task(key, agent=DONE) for key in "bcdef"]
    report = fresh_stage()(
        task("a", agent=stalls()),
        *others,
        max_parallel=6,
        max_attempts=1,
        session_timeout_s=100,
        retry_deferred="never",
        faults="new_window=1*pass->15*timeout",
    )

    ended_s = next(entry["at"] for entry in report.events("session-ended") if entry["task"] == "a")
    assert report.task("a").outcomes == ["timed_out"]
    assert ended_s - launches_of(report, "a")[0] <= 100 + 30 + 1


def test_a_deadline_that_passes_in_a_hanging_listing_is_kept_before_the_next_call() -> None:
    """One call deadline, not one for every question of the tick."""
    report = fresh_stage()(
        task("a", agent=stalls()),
        task("b", agent=DONE),
        max_parallel=2,
        session_timeout_s=50,
        call_timeout_s=30,
        faults="new_window=1*pass->1*timeout;list_window_ids=timeout",
    )

    assert report.task("a").outcomes == ["timed_out"]
    assert moment(report, "session-ended", 1) - moment(report, "session-started", 1) <= 50 + 30 + 1


def test_a_result_does_not_wait_for_the_hanging_launches_of_others() -> None:
    """It is seen after the first of their calls."""
    others = [task(key, agent=DONE) for key in "bcd"]
    faults = "new_window=1*pass->6*timeout"
    report = fresh_stage()(task("a", agent=works(10).then_completes()), *others, max_parallel=4, faults=faults)

    assert report.task("a").outcomes == ["completed"]
    assert moment(report, "session-ended", 1) - moment(report, "session-started", 1) <= 10.1 + 30 + 1


def test_a_mark_that_was_not_confirmed_is_made_again() -> None:
    """The log of a session is not lost to one silent call."""
    stage = fresh_stage()
    agent = works(10).then_says("late words\n").then_completes()
    report = stage(task("a", agent=agent), faults="pipe_pane=1*timeout", call_timeout_s=1)

    assert report.reached["mux.pipe_pane"] == 2
    assert b"late words" in stage.world.disk.read(stage.run_dir / "logs" / "a.log")


def test_a_task_parked_until_a_limit_is_lifted_keeps_no_other_one_waiting() -> None:
    """It ends its session without using an attempt, and goes on when its time has come."""
    limited = stops().then_fails_turn(retry_after_s=1000).then_idles()
    parked = task("a", agent=ScriptedAgent.attempts(limited, DONE))
    report = fresh_stage()(parked, task("b", agent=DONE), session_timeout_s=100)

    assert report.task("a").outcomes == ["stalled", "completed"]
    assert report.task("a").attempts == 1
    begun = launches_of(report, "a")
    assert begun[1] - begun[0] >= 1000
    assert launches_of(report, "b")[0] - begun[0] < 10


def test_a_limit_that_is_reported_for_ever_uses_up_the_attempts() -> None:
    """Three times in a row it costs nothing, the fourth time counts: the task is given up in the end."""
    limited = stops().then_fails_turn(retry_after_s=1000).then_idles()
    report = fresh_stage()(task("a", agent=limited), session_timeout_s=100, retry_deferred="never")

    assert report.state is not None
    assert [attempt.counted for attempt in report.state.task("a").attempts] == [False, False, False, True] * 2
    assert (report.task("a").phase, report.task("a").attempts) == ("deferred", 2)


def test_the_processes_of_a_window_are_durable_as_soon_as_they_are_known() -> None:
    """A run that is killed with an agent at work has its pids on record."""
    report = fresh_stage()(task("a", agent=works(60).then_completes()), faults="engine.decide=1*die")

    assert report.state is not None
    assert report.state.task("a").attempts[0].pids


def test_a_finished_run_ends_at_once() -> None:
    """Nothing is waited for once the last session is gone."""
    report = fresh_stage()(task("a", agent=works(5).then_completes()))

    assert report.elapsed_s <= 5 + 1 + 0.2


def test_a_log_that_cannot_be_looked_at_is_no_sign_of_life_and_no_crash() -> None:
    """An agent can do to the directory of logs what it likes."""
    stage = fresh_stage()
    disk = stage.world.disk

    def make_a_loop() -> None:
        disk.remove_tree(stage.run_dir / "logs")
        disk.plant_link(stage.run_dir / "logs", "logs")

    stage.at(2.5, make_a_loop)
    report = stage(task("a", agent=works(10, silent=True).then_completes()))

    assert report.task("a").outcomes == ["completed"]


class HearsSlowly(ScriptedProfile):
    """A profile of a tool that may take the first Enter for a line break."""

    @property
    def enter_again_s(self) -> float:
        """See `AgentProfile`."""
        return 3.0


@pytest.mark.parametrize(
    ("profile", "deaf", "lines"), [(ScriptedProfile, True, 1), (HearsSlowly, True, 2), (HearsSlowly, False, 1)]
)
def test_enter_is_pressed_once_more_where_nothing_was_heard(
    profile: type[ScriptedProfile], deaf: bool, lines: int
) -> None:
    """For a tool that needs it, and only until it shows a prompt: to a dialog that it opens next, Enter is an answer."""
    agent = answers_when_asked(9).ignoring_nudges() if deaf else answers_when_asked(9)
    report = driven_by(profile, agent, result_grace_s=15)

    assert report.task("a").nudges == 1
    assert sum(report.typed.values()) == lines


@pytest.mark.parametrize(
    "agent",
    [works(2).then_stops().then_works(11).then_completes(), works(2).then_stops().then_works(11).then_dies(code=3)],
    ids=["has its result", "is dead"],
)
def test_enter_is_not_pressed_once_more_for_an_agent_that_is_over(agent: ScriptedAgent) -> None:
    """Its end is acted upon at once, and what has its window's name by then is not typed to."""
    report = driven_by(
        HearsSlowly, agent.ignoring_nudges(), result_grace_s=8, faults="list_window_ids=11*pass->1*timeout"
    )

    assert report.task("a").nudges == 1
    assert sum(report.typed.values()) == 1


class Unheard(ScriptedProfile):
    """A profile whose hooks lead nowhere."""

    def launch(self, context: LaunchContext) -> Launch:
        """See `AgentProfile`."""
        made = super().launch(context)
        return Launch(made.argv, {**made.env, "SEAMRIPPER_EVENTS": "/nowhere"})


@pytest.mark.parametrize(("profile", "said"), [(Unheard, True), (ScriptedProfile, False)])
def test_an_agent_that_was_never_heard_of_is_told_from_a_slow_one(profile: type[ScriptedProfile], said: bool) -> None:
    """Whoever reads that it ran into its deadline learns that its hooks are the place to look."""
    report = driven_by(profile, works(3).then_idles(), session_timeout_s=20)

    hint = "; none of its hooks reported (`seamripper probe script-1` shows more)"
    assert report.task("a").reason == "#1 timed_out: no result within 20 s" + (hint if said else "")


ERROR = "no\ncredit\x1b[31m left for sk-abcdefghijklmnop " + "x" * 5000


@pytest.mark.parametrize(("agent", "outcome"), [(works(1).then_stalls(), "stalled"), (works(1).then_dies(), "crashed")])
@pytest.mark.parametrize("by", ["hook", "transcript"])
def test_the_words_of_a_failed_turn_are_told_with_the_end_of_its_session(
    by: str, agent: ScriptedAgent, outcome: str
) -> None:
    """On one line, printable, shortened, and without secrets."""
    fails = works(1).then_fails_turn(error=ERROR)
    if by == "transcript":
        fails = works(1).then_notes_in_transcript(type="turn_failed", error={"message": ERROR})
    report = driven_by(ScriptedProfile, replace(fails, steps=(*fails.steps, *agent.steps)), result_grace_s=2)

    reason = report.task("a").reason
    assert reason.startswith(f"#1 {outcome}: ")
    assert "; its last turn failed: no credit\\x1b[31m left for <secret> xxx" in reason
    assert len(reason) < 500
    assert "\n" not in reason


def test_a_failure_that_was_got_over_is_not_told() -> None:
    """What ended the session is another matter."""
    agent = works(1).then_fails_turn(error="overloaded").then_works(2).then_stops().then_idles()
    report = driven_by(ScriptedProfile, agent, result_grace_s=15)

    assert report.task("a").reason == "#1 stalled: silent after its turn, without a result"


def driven_by(profile: type[ScriptedProfile], agent: ScriptedAgent, **settings: Any) -> Report:
    """What came of a task whose agent has that profile, and is asked once for its result."""

    def make(plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> Engine:
        agents = {"script-1": profile("script-1", agent, outside.disk, "/sim/bin/python3")}
        return Engine(plan, run_dir, replace(outside, profiles=agents), **options)

    timing = {"nudges": 1, "stall_grace_s": 0, "max_attempts": 1, "retry_deferred": "never"}
    return fresh_stage()(task("a", agent=agent), make=make, verify=False, **timing, **settings)
