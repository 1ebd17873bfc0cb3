"""Every oracle earns its place: an engine, a backend or a report that is wrong in its way does not get past it."""

from __future__ import annotations

import dataclasses
from typing import Any

import broken_backends as backends
import broken_engines as engines
import pytest

from backends.fake import FakeMultiplexer
from harness.agents import completes, task, works
from harness.engine.engine import Engine
from harness.oracles import ORACLES, OracleViolation, check_resumed, resumable, violations
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

    assert "waited for 200.000 s, 51.000 s at most were due" in told(report, "bounded")[0]


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
    "takes-silence-for-death": (backends.TakesSilenceForDeath, "no-false-crash", "while its agent was alive"),
    "only-says-it-kills": (backends.OnlySaysItKills, "no-leftovers", "left behind: session run-1"),
}


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_backend_that_is_wrong_does_not_get_past_its_oracle(name: str) -> None:
    """Each mistake is told by the oracle that is there for it."""
    kind, oracle, words = BACKENDS[name]
    world = backends.world_with(kind)
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
