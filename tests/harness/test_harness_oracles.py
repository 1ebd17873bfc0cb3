"""Every oracle earns its place: an engine, a backend or a report that is wrong in its way does not get past it."""

from __future__ import annotations

import dataclasses
from signal import SIGINT, SIGTERM
from typing import Any

import broken_backends as backends
import broken_engines as engines
import pytest

from backends.fake import FakeMultiplexer
from harness.agents import completes, stops, task, works
from harness.engine.engine import Engine
from harness.engine.windows import RUN_OPTION
from harness.oracles import ORACLES, OracleViolation, check_resumed, recovers, resumable, unharmed, violations
from harness.record import RecordError, SessionOutcome
from harness.rehearsals import deferring, nudged, rehearse, whole
from harness.report import Report
from harness.runner import Stage
from harness.world import FakeWorld

CRASH = "engine.complete=1*raise(RuntimeError)"
ENGINES: dict[str, tuple[type[Engine], str, str, str]] = {
    "loses-the-crash": (engines.LosesTheCrash, CRASH, "crash-recorded", "no sink holds the record"),
    "records-too-late": (engines.RecordsTooLate, CRASH, "crash-recorded", "torn down before the crash was recorded"),
    "finished-masks-crashed": (engines.FinishedMasksCrashed, CRASH, "honest-status", "was not heeded"),
    "says-finished": (engines.SaysFinished, CRASH, "honest-status", "ended as FINISHED, and is classified as CRASHED"),
    "pauses-when-stopped": (engines.PausesWhenStopped, "signal.complete=1*signal(SIGTERM)", "honest-status", "heeded"),
    "lets-failures-out": (engines.LetsFailuresOut, CRASH, "no-escape", "RuntimeError came out of Engine.run()"),
    "leaves-garbage": (engines.LeavesGarbage, "", "readable", "journal line"),
    "never-asks-to-end": (
        engines.NeverAsksToEnd,
        "engine.decide=1*raise(RuntimeError)",
        "no-leftovers",
        "session run-1",
    ),
    "lingers-at-the-end": (engines.LingersAtTheEnd, CRASH, "bounded", "the teardown was waited for 60.000 s"),
    "takes-its-time": (engines.TakesItsTime, "", "bounded", "which had left a result, was waited for"),
    "leaves-its-session": (engines.LeavesItsSession, "", "no-leftovers", "session run-1"),
}


def told(report: Report, oracle: str) -> list[str]:
    """What that oracle says of the report."""
    return list(ORACLES[oracle](report))


@pytest.mark.parametrize("name", list(ENGINES))
def test_an_engine_that_is_wrong_does_not_get_past_its_oracle(name: str) -> None:
    """Each mistake is told by the oracle that is there for it."""
    make, faults, oracle, words = ENGINES[name]
    report = rehearse(Stage(FakeWorld()), "complete", faults, make=make, verify=False)

    assert any(words in problem for problem in told(report, oracle)), violations(report)


def test_an_engine_that_waits_longer_than_it_may_is_told() -> None:
    """A session is waited for until its deadline, one call and one poll, and no longer."""
    stage = Stage(FakeWorld())
    report = stage(task("1-1", agent=works(200)), session_timeout_s=20, make=engines.IgnoresItsDeadline, verify=False)

    assert "waited for 200.000 s, 21.000 s at most were due" in told(report, "bounded")[0]


def test_an_engine_that_is_told_to_stop_twice_and_takes_its_time_is_told() -> None:
    """The second signal is waited for no longer than a second, a call and a poll."""
    stage = Stage(FakeWorld())
    stage.stop_at(3, SIGTERM)
    stage.stop_at(4, SIGINT)
    report = stage(task("1-1", agent=works(1000)), make=engines.LingersAtTheEnd, verify=False)

    assert [problem for problem in told(report, "bounded") if problem.startswith("the forced end was waited for 59")]


def test_an_engine_that_types_again_or_too_often_is_told() -> None:
    """A text is executed as often as the journal has decisions, and decided on as often as the plan allows."""
    story, settings = nudged()
    deaf = task("1-1", agent=stops().then_idles().on_nudge(stops().then_idles()))
    nagging = {"make": engines.NagsItsAgents, "verify": False}
    quick = {"result_grace_s": 1, "stall_grace_s": 3, "max_attempts": 1, "retry_deferred": "never"}

    again = Stage(FakeWorld())(story, make=engines.TypesAgain, verify=False, **settings)
    often = Stage(FakeWorld())(deaf, **nagging, **quick)
    unheard = Stage(FakeWorld())(deaf, faults="send_text=timeout", **nagging, **quick)

    assert told(again, "single-agent") == ["1-1 #1 was typed to 2 times on 1 decisions"]
    assert "1-1 #1 was nudged 10 times (result), 2 at most were due" in told(often, "single-agent")
    assert "1-1 #1 was nudged 11 times (result), 3 at most were due" in told(unheard, "single-agent")


def test_a_long_call_excuses_a_wait_of_its_own_length_and_no_more() -> None:
    """Whoever waits for a call of five seconds has five seconds more, not the thirty of a call that was not made."""
    report = rehearse(Stage(FakeWorld()), "complete", "list_window_ids=1*timeout")
    late = [
        {**entry, "at": entry["at"] + 12} if entry["event"] == "session-ended" else entry for entry in report.journal
    ]

    assert told(report, "bounded") == []
    assert "6.000 s at most were due" in told(dataclasses.replace(report, journal=late), "bounded")[-1]


def test_what_a_nested_run_leaves_is_left_and_what_another_run_leaves_is_not() -> None:
    """Processes and sessions are told by the runs inside; `run-10` is nobody's child."""
    story, settings = deferring()
    stage = Stage(FakeWorld())
    report = stage(story, **settings)
    world, inner = stage.world, report.nested[0]
    assert inner.state is not None
    token = inner.state.tasks[0].attempts[-1].token
    multiplexer = world.multiplexer()
    for name in (inner.run_id, "run-10"):
        multiplexer.new_session(name, "/sim")
        multiplexer.set_session_option(name, RUN_OPTION, name)
    multiplexer.new_window(inner.run_id, "w", "/sim", {"SEAMRIPPER_TOKEN": token}, "sleep 60")

    left = stage.leftovers()
    assert left is not None
    assert [one.partition(" ")[0] for one in left] == ["session", "process"]
    assert left[0] == f"session {inner.run_id}"


@pytest.mark.parametrize("fault", ["disk.listdir:events=1*oserror(EIO)", "disk.read:events=1*oserror(EIO)"])
def test_a_fault_of_one_file_excuses_nothing_that_others_tell(fault: str) -> None:
    """An event that could not be read once says nothing about the ending, the journal or a result."""
    report = rehearse(Stage(FakeWorld()), "complete", fault)
    assert report.state is not None
    report.state.task("1-1").attempts[0].outcome = SessionOutcome.TIMED_OUT
    lied = dataclasses.replace(report, list_row="run-1 CRASHED", header="")

    assert told(report, "no-false-crash") == ["1-1 #1 left a result and is recorded as timed_out"]
    assert told(lied, "honest-status") == ["the list shows 'run-1 CRASHED' for FINISHED"]


def test_a_sink_that_was_hit_is_excused_and_the_others_are_not() -> None:
    """What a journal lacks that could not be written is no lie; what the state says counts all the same."""
    report = rehearse(Stage(FakeWorld()), "complete", "disk.append:journal=oserror(ENOSPC)")
    assert report.state is not None
    assert report.events("run-crash") == []

    assert told(report, "honest-status") == []
    assert told(dataclasses.replace(report, list_row=""), "honest-status") == ["the list shows '' for CRASHED"]
    report.state.ending = None
    assert told(report, "honest-status") == [
        "state says None, the summary " + str(report.summary and report.summary.ending)
    ]


def test_an_engine_that_swallows_the_failure_of_a_nested_run_is_told() -> None:
    """What fails inside has failed outside."""
    story, settings = deferring()
    faults = "engine.prompt=1*pass->1*raise(RuntimeError)"
    report = Stage(FakeWorld())(story, faults=faults, make=engines.SwallowsNestedFailures, verify=False, **settings)

    assert told(report, "honest-nested") == ["the nested run run-1-n1-1 is CRASHED, the run around it FINISHED"]


def test_an_engine_that_repeats_finished_tasks_is_told() -> None:
    """A resume goes on where the run was."""
    stage = Stage(FakeWorld())
    before = rehearse(stage, "complete", CRASH)
    after = stage.resume(make=engines.RepeatsFinishedTasks, verify=False)

    with pytest.raises(OracleViolation, match="resumable: 1-1 was done and was taken up again"):
        check_resumed(before, after)


def test_a_resume_that_forgets_crashes_or_raises_no_epoch_or_ends_badly_is_told() -> None:
    """The history stays, every drive has its number, and without faults it ends well."""
    stage = Stage(FakeWorld())
    before = rehearse(stage, "complete", CRASH)
    after = stage.resume()

    assert list(resumable(before, after)) == []
    assert after.state is not None
    after.state.crashes.clear()
    after.state.epoch = 1
    after.state.ending = None
    assert len(list(resumable(before, after))) == 3


BACKENDS: dict[str, tuple[type[FakeMultiplexer], str, str]] = {
    "retries-blindly": (backends.RetriesBlindly, "single-agent", "two agents were at work on 1-1"),
    "types-twice": (backends.TypesTwice, "single-agent", "typed 1 times was executed 2 times"),
    "leaks-raw-errors": (backends.LeaksRawErrors, "seam-honest", "list_window_ids: KeyError"),
    "only-says-it-kills": (backends.OnlySaysItKills, "no-leftovers", "left behind: session run-1"),
}


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_backend_that_is_wrong_does_not_get_past_its_oracle(name: str) -> None:
    """Each mistake is told by the oracle that is there for it."""
    kind, oracle, words = BACKENDS[name]
    world = backends.world_with(kind)(0)
    world.at(1.5, world.freeze)
    world.at(6, world.thaw)
    story, settings = nudged()
    report = Stage(world)(story, verify=False, **{**settings, "result_grace_s": 10})

    assert any(words in problem for problem in told(report, oracle)), violations(report)


def test_a_run_without_mistakes_gets_past_every_oracle() -> None:
    """Nothing is wrong with a run that went well, nor with one whose crash was recorded."""
    story, settings = whole()
    stage = Stage(FakeWorld())

    assert violations(stage(story, verify=False, **settings)) == []
    assert violations(stage(story, faults=CRASH, verify=False, **settings)) == []


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "attach": ({"header": "press a to attach"}, "honest-status", "an attach hint is shown"),
    "list": ({"list_row": "run-1 FINISHED"}, "honest-status", "the list shows"),
    "no-record": ({"crash": None, "crash_sink": None}, "crash-recorded", "no sink holds the record"),
    "no-traceback": ({"crash": {"error": "x", "seam_calls": []}}, "crash-recorded", "lacks the traceback"),
    "no-calls": ({"crash": {"error": "x"}}, "crash-recorded", "lacks the seam calls"),
    "empty-calls": ({"crash": {"error": "x", "seam_calls": []}}, "crash-recorded", "lacks the seam calls"),
    "other-sink": ({"crash_sink": "journal"}, "crash-recorded", "although nothing kept it from its file"),
    "interrupted": ({"raised": KeyboardInterrupt()}, "no-escape", "KeyboardInterrupt came out of Engine.run()"),
    "too-late": ({"raised": RecordError("no run")}, "no-escape", "although the run had begun"),
    "foreign": ({"raised": SystemExit(1), "injections": ()}, "no-escape", "SystemExit came out of Engine.run()"),
    "other-error": ({"crash": {"error": "x"}}, "crash-recorded", "the crash record says 'x'"),
    "no-journal": ({"journal": []}, "honest-status", "the journal has no run-crash"),
    "no-state": ({"state": None}, "readable", "no state can be read"),
    "raw": ({"raw": ["version: OSError"]}, "seam-honest", "a raw error came out of version"),
    "left": ({"leftovers": ["process 7"]}, "no-leftovers", "left behind: process 7"),
    "nothing": ({"summary": None}, "no-escape", "returned without a summary"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_report_that_contradicts_itself_is_told(name: str) -> None:
    """Every place where a crash shows has to show it."""
    changed, oracle, words = WRONG[name]
    report = rehearse(Stage(FakeWorld()), "complete", CRASH)

    problems = told(dataclasses.replace(report, **changed), oracle)
    assert any(words in problem for problem in problems), problems


def test_a_fault_that_never_fires_is_told_with_the_points_that_were_reached() -> None:
    """Green for no reason is not green."""
    with pytest.raises(OracleViolation) as raised:
        Stage(FakeWorld())(task("1-1", agent=completes()), faults="send_text=1*timeout")

    assert "fired: `send_text=1*timeout` never fired; points that were reached: agent.die x" in str(raised.value)


def test_a_signal_that_stops_nothing_is_told() -> None:
    """A run that its process was told to stop, and that finished later, has not heeded it; one that was over had not to."""
    report = rehearse(Stage(FakeWorld()), "complete")
    told_at_once = dataclasses.replace(report, stops=[report.elapsed_s / 2])
    told_late = dataclasses.replace(report, stops=[report.elapsed_s])

    assert told(told_at_once, "honest-status") == ["a signal to stop was not heeded: the run is FINISHED"]
    assert told(told_late, "honest-status") == []


def test_a_temporary_file_is_a_leftover_unless_removing_one_of_its_kind_failed() -> None:
    """What nobody could remove is left behind by nobody's fault; another kind of file is no excuse."""
    refused = "disk.replace:state=1*oserror(ENOSPC); disk.remove:state=1*oserror(EIO)"
    report = Stage(FakeWorld())(task("1-1", agent=completes()), faults=refused, verify=False)
    other = dataclasses.replace(report, leftovers=["file .journal.jsonl.7.tmp"])

    assert report.leftovers is not None
    assert [one for one in report.leftovers if one.startswith("file .state.json")]
    assert told(report, "no-leftovers") == []
    assert told(other, "no-leftovers") == ["left behind: file .journal.jsonl.7.tmp"]


def test_a_killed_run_that_is_shown_as_running_is_told() -> None:
    """A run whose engine was killed is interrupted."""
    report = rehearse(Stage(FakeWorld()), "decide", "engine.decide=1*die")
    verdict = dataclasses.replace(report.verdict, name=type(report.status)("RUNNING"))

    assert told(report, "honest-status") == []
    assert told(dataclasses.replace(report, verdict=verdict), "honest-status") == ["a killed run is shown as running"]


def test_a_prompt_that_was_executed_twice_by_one_launch_is_told() -> None:
    """The prompt of a launch is executed once; a nudge as often as it was typed."""
    report = rehearse(Stage(FakeWorld()), "nudge")
    first = next(entry for entry in report.ledger if entry["what"] == "prompt")

    assert told(report, "single-agent") == []
    assert told(dataclasses.replace(report, ledger=[*report.ledger, first]), "single-agent")


SILENCES = {
    "": True,
    "list_window_ids=1*timeout": True,
    "list_window_ids=3*oserror(EMFILE);send_text=1*undecodable": True,
    "list_window_ids=20*timeout": False,
    "list_window_ids=oserror(EMFILE)": False,
    'list_window_ids=1*output("@7")': False,
    "list_window_ids=1*timeout;disk.read:results=1*oserror(EIO)": False,
}
"""Fault plans, and whether they are silences that are over within 50 s and leave the engine no excuse."""


@pytest.mark.parametrize("faults", list(SILENCES))
def test_what_recovers_in_time_has_to_be_without_consequence(faults: str) -> None:
    """Half the session timeout may pass in silence; what never ends, what lies and what goes wrong elsewhere is not meant."""
    agent = works(30).then_completes()
    report = Stage(FakeWorld())(
        task("1-1", agent=agent), faults=faults, session_timeout_s=100, verify=False, call_timeout_s=5
    )

    assert recovers(report) is SILENCES[faults]


def test_a_silence_with_consequences_is_told_wherever_they_show() -> None:
    """Another ending, another task, somebody else's session that is gone: each is a difference."""
    stage = Stage(FakeWorld())
    faultless, report = rehearse(stage, "complete"), rehearse(stage, "complete", "list_window_ids=1*timeout")
    assert list(unharmed(faultless, report)) == []
    assert report.state is not None
    report.state.task("1-1").attempts[0].outcome = SessionOutcome.TIMED_OUT
    disturbed = dataclasses.replace(report, others=["somebody's"])

    assert [problem.partition(", with it")[0] for problem in unharmed(faultless, disturbed)] == [
        "without the silence it came to ('others',)",
        "without the silence it came to ('1-1', 'done', 1, 'completed', 'done')",
    ]
