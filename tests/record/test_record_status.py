"""What a status is judged to be, over the whole cross product of evidence."""

import itertools
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backends.processes import Liveness
from harness.record import (
    Badge,
    Crashed,
    Ending,
    Evidence,
    Finished,
    Hint,
    Paused,
    Pending,
    RunStatus,
    Status,
    Stopped,
    Waiting,
    Witness,
    classify,
    exit_code,
    status_of,
)

NAMES = {
    Finished: RunStatus.FINISHED,
    Paused: RunStatus.PAUSED,
    Stopped: RunStatus.STOPPED,
    Crashed: RunStatus.CRASHED,
}
ENDINGS: list[Ending | None] = [None, Finished(), Paused("why"), Stopped("SIGTERM", 15), Crashed("X: y")]
OVER_WITHOUT_SESSION = (RunStatus.CRASHED, RunStatus.STOPPED, RunStatus.INTERRUPTED)


def witnesses(source: str, seq: int) -> list[Witness | None]:
    """A source that is missing, or tells any ending in either of two epochs."""
    return [None, *(Witness(source, epoch, seq, 100.0, ending) for epoch in (1, 2) for ending in ENDINGS)]


def everything() -> Iterator[Evidence]:
    """Every combination of what there can be."""
    crashes = [
        (),
        (Witness("crash/1-3.json", 1, 3, 0.0, Crashed("A")),),
        (Witness("crash/2-9.json", 2, 9, 0.0, Crashed("B")),),
    ]
    sources = itertools.product(
        witnesses("state", 5), [*witnesses("backup", 4)[:4], None], witnesses("journal", 6), crashes
    )
    rest = list(itertools.product((False, True), Liveness, Liveness, (None, 50.0)))
    for number, (state, backup, journal, crash) in enumerate(sources):
        for lock_held, driver, session, degraded in rest[number % 5 :: 5]:
            asked = (Pending("a", "to write"),) if number % 2 else ()
            yield Evidence(
                state, backup, journal, crash, lock_held, driver, "pid 1", session, degraded, asked, now=160.0
            )


def expected(evidence: Evidence) -> RunStatus:
    """The table of engine.md, row by row."""
    newest = max((w.epoch for w in evidence.witnesses), default=None)
    told = sorted(
        (w.seq, NAMES[type(w.ending)]) for w in evidence.witnesses if w.epoch == newest and w.ending is not None
    )
    if any(name is RunStatus.CRASHED for _, name in told):
        return RunStatus.CRASHED
    if told:
        return told[-1][1]
    if evidence.lock_held or evidence.driver is Liveness.ALIVE:
        return RunStatus.UNKNOWN if newest is None and evidence.driver is Liveness.UNKNOWN else RunStatus.RUNNING
    return RunStatus.INTERRUPTED if evidence.driver is Liveness.DEAD else RunStatus.UNKNOWN


def test_every_combination_of_evidence_has_the_status_of_the_table() -> None:
    """Classification is total, and agrees with the table everywhere."""
    wrong = [
        (evidence, status) for evidence in everything() if (status := classify(evidence)).name is not expected(evidence)
    ]

    assert wrong[:3] == []


def test_every_combination_of_evidence_has_honest_hints() -> None:
    """Attach only to what is proven alive, and never to a run that is over; resume only what nobody drives."""
    for evidence in everything():
        status = classify(evidence)
        if Hint.ATTACH in status.hints:
            assert evidence.session is Liveness.ALIVE
            assert status.name not in OVER_WITHOUT_SESSION
        if Hint.RESUME in status.hints:
            assert not evidence.lock_held
            assert evidence.driver is Liveness.DEAD or (status.ending and evidence.driver is Liveness.ALIVE)
            assert status.name not in (RunStatus.FINISHED, RunStatus.RUNNING, RunStatus.UNKNOWN)
        assert (Hint.STOP in status.hints) == (status.name is RunStatus.RUNNING)
        assert (Badge.DEGRADED in status.badges) <= (evidence.degraded_since is not None)
        assert (Badge.ORPHANED in status.badges) <= (evidence.session is Liveness.ALIVE)
        assert (status.name is RunStatus.UNKNOWN) <= (Badge.STALE in status.badges)


def test_every_combination_of_evidence_shows_what_people_are_asked_only_where_they_can_be() -> None:
    """A pending decision is never shown of a run that is over, and brings no hint that would not be there without it."""
    for evidence in everything():
        status = classify(evidence)
        calm = classify(replace(evidence, pending=()))
        assert (Badge.PENDING in status.badges) == bool(status.pending)
        assert bool(status.pending) <= (status.name not in (*OVER_WITHOUT_SESSION, RunStatus.FINISHED))
        assert status.hints == calm.hints
        assert set(status.badges) - {Badge.PENDING} == set(calm.badges)
        if evidence.pending and status.name is RunStatus.RUNNING:
            assert status.reason == "a waits for a person: to write"


def test_a_run_that_waits_for_a_time_says_until_when() -> None:
    """As long as the time has not come; and what a person can do comes first."""
    limits = (Waiting("a", 1_767_400_000.0), Waiting("b", 50.0), Waiting("c", 1e300))
    running = Evidence(lock_held=True, driver=Liveness.ALIVE, waiting=limits, now=60.0)

    waits = "a waits until 2026-01-03 00:26 UTC; c waits until ? UTC"
    assert classify(running).reason == waits
    asked = replace(running, pending=(Pending("d", "to write"),))
    assert classify(asked).reason == f"d waits for a person: to write; {waits}"
    ended = Witness("state.json", 1, 9, 0.0, Paused("why"))
    assert classify(replace(running, state=ended, lock_held=False)).reason == "why"


def test_a_crash_beats_a_finish_that_the_state_tells_of() -> None:
    """A crash recorded anywhere in this epoch makes the run CRASHED."""
    finished = Witness("state.json", 1, 9, 0.0, Finished())

    for where in (
        Witness("journal.jsonl", 1, 7, 0.0, Crashed("X")),
        Witness("crash/1-7.json", 1, 7, 0.0, Crashed("X")),
    ):
        assert classify(Evidence(state=finished, crashes=(where,))).name is RunStatus.CRASHED
    assert classify(Evidence(state=finished, journal=Witness("j", 1, 7, 0.0, Crashed("X")))).reason == "X"


def test_a_crash_of_an_earlier_epoch_is_history() -> None:
    """After a resume, the crash before it says nothing about now."""
    evidence = Evidence(
        state=Witness("s", 2, 9), crashes=(Witness("crash/1-7.json", 1, 7, 0.0, Crashed("X")),), lock_held=True
    )

    assert classify(evidence).name is RunStatus.RUNNING


def test_an_ending_stands_whatever_is_journaled_after_it() -> None:
    """Lines after the ending, in the same epoch, do not take it back."""
    evidence = Evidence(
        state=Witness("s", 1, 9, 0.0, Stopped("SIGINT", 2)), journal=Witness("j", 1, 12), lock_held=True
    )

    assert classify(evidence).name is RunStatus.STOPPED


def test_a_run_on_another_host_is_unknown_with_its_age() -> None:
    """Where the driver cannot be asked, the last known status and its age are told."""
    status = classify(
        Evidence(state=Witness("s", 1, 9, 100.0), driver=Liveness.UNKNOWN, driver_text="pid 7 on far", now=160.0)
    )

    assert (status.name, status.last_known, status.age_s) == (RunStatus.UNKNOWN, RunStatus.RUNNING, 60.0)
    assert "pid 7 on far" in status.reason
    assert status.hints == ()


def test_what_a_newer_version_wrote_is_unknown() -> None:
    """Nothing is concluded from a record that can only half be understood."""
    evidence = Evidence(journal=Witness("j", 1, 1, 0.0, Finished()), unusable="schema 2", driver=Liveness.DEAD)

    assert classify(evidence).name is RunStatus.UNKNOWN
    assert classify(evidence).reason == "schema 2"


@pytest.mark.parametrize(
    ("evidence", "name"),
    [
        (Evidence(), RunStatus.UNKNOWN),
        (Evidence(driver=Liveness.DEAD), RunStatus.INTERRUPTED),
        (Evidence(driver=Liveness.DEAD, damaged=True, notes=("state.json is torn",)), RunStatus.UNKNOWN),
        (Evidence(driver=Liveness.ALIVE, lock_held=True), RunStatus.RUNNING),
    ],
)
def test_a_run_without_any_record_is_judged_by_its_driver(evidence: Evidence, name: RunStatus) -> None:
    """A run that had not begun is INTERRUPTED if its driver is gone, and cannot be resumed; damage is not absence."""
    status = classify(evidence)

    assert status.name is name
    assert Hint.RESUME not in status.hints


STATE = Witness("state.json", 1, 9, 100.0)
ALIVE, DEAD, UNKNOWN = Liveness.ALIVE, Liveness.DEAD, Liveness.UNKNOWN


def ended(ending: Ending) -> Evidence:
    """A run that ended so, whose engine is gone and whose session is still there."""
    return Evidence(replace(STATE, ending=ending), driver=DEAD, driver_text="pid 7 on h", session=ALIVE, now=160.0)


WHOLE: dict[str, tuple[Evidence, Status]] = {
    "nothing": (Evidence(), Status(RunStatus.UNKNOWN, "nothing of the run's record can be read", (Badge.STALE,))),
    "damage": (
        Evidence(damaged=True, driver=DEAD, notes=("state.json is torn", "more"), now=5.0),
        Status(
            RunStatus.UNKNOWN,
            "nothing of the run's record can be read: state.json is torn",
            (Badge.STALE,),
            notes=("state.json is torn", "more"),
        ),
    ),
    "newer": (
        Evidence(STATE, unusable="schema 2", driver=DEAD, session=ALIVE, now=160.0),
        Status(RunStatus.UNKNOWN, "schema 2", (Badge.STALE,), age_s=60.0),
    ),
    "newer, from the future": (
        Evidence(STATE, unusable="schema 2", now=50.0),
        Status(RunStatus.UNKNOWN, "schema 2", (Badge.STALE,), age_s=0.0),
    ),
    "running": (
        Evidence(STATE, lock_held=True, driver=ALIVE, session=ALIVE, degraded_since=5.0, now=160.0),
        Status(RunStatus.RUNNING, "", (Badge.DEGRADED,), (Hint.ATTACH, Hint.STOP)),
    ),
    "running without a lock": (
        Evidence(STATE, driver=ALIVE, session=DEAD, degraded_since=0.0),
        Status(RunStatus.RUNNING, "", (Badge.DEGRADED,), (Hint.STOP,)),
    ),
    "interrupted": (
        Evidence(STATE, driver=DEAD, driver_text="pid 7 on h", session=ALIVE, degraded_since=5.0),
        Status(RunStatus.INTERRUPTED, "pid 7 on h is gone", (Badge.ORPHANED,), (Hint.RESUME, Hint.CLEANUP)),
    ),
    "interrupted before it began": (
        Evidence(driver=DEAD),
        Status(RunStatus.INTERRUPTED, "its driver is gone, and had not begun"),
    ),
    "far away": (
        Evidence(STATE, driver_text="pid 7 on far", session=ALIVE, now=160.0, notes=("odd",)),
        Status(
            RunStatus.UNKNOWN,
            "whether pid 7 on far is alive cannot be known from here",
            (Badge.STALE,),
            (Hint.ATTACH,),
            last_known=RunStatus.RUNNING,
            age_s=60.0,
            notes=("odd",),
        ),
    ),
    "far away, from the future": (
        Evidence(STATE, now=50.0),
        Status(
            RunStatus.UNKNOWN,
            "whether its driver is alive cannot be known from here",
            (Badge.STALE,),
            last_known=RunStatus.RUNNING,
            age_s=0.0,
        ),
    ),
    "finished": (
        ended(Finished(["a", "b"], ["make", "test"])),
        Status(
            RunStatus.FINISHED,
            "2 deferred: a, b; failed: make; failed: test",
            (Badge.ORPHANED,),
            (Hint.ATTACH, Hint.CLEANUP),
            Finished(["a", "b"], ["make", "test"]),
        ),
    ),
    "finished with a failed command": (
        replace(ended(Finished([], ["make"])), session=DEAD),
        Status(RunStatus.FINISHED, "failed: make", ending=Finished([], ["make"])),
    ),
    "finished well": (
        replace(ended(Finished()), session=DEAD),
        Status(RunStatus.FINISHED, ending=Finished()),
    ),
    "paused": (
        ended(Paused("why", "gate")),
        Status(RunStatus.PAUSED, "why", (), (Hint.ATTACH, Hint.RESUME), Paused("why", "gate")),
    ),
    "stopped": (
        ended(Stopped("SIGINT", 2)),
        Status(RunStatus.STOPPED, "by SIGINT", (Badge.ORPHANED,), (Hint.RESUME, Hint.CLEANUP), Stopped("SIGINT", 2)),
    ),
    "crashed": (
        replace(ended(Crashed("X: y")), crash_file="crash/"),
        Status(
            RunStatus.CRASHED,
            "X: y",
            (Badge.ORPHANED,),
            (Hint.RESUME, Hint.CLEANUP),
            Crashed("X: y"),
            see="crash/",
        ),
    ),
    "crashed, and driven": (
        replace(ended(Crashed("X: y")), lock_held=True),
        Status(RunStatus.CRASHED, "X: y", (Badge.ORPHANED,), (), Crashed("X: y"), see="crash.txt"),
    ),
    "stopped by who lives on": (
        replace(ended(Stopped("x")), driver=ALIVE, session=DEAD),
        Status(RunStatus.STOPPED, "by x", (), (Hint.RESUME,), Stopped("x")),
    ),
    "stopped far away": (
        replace(ended(Stopped("x")), driver=UNKNOWN, session=DEAD),
        Status(RunStatus.STOPPED, "by x", (), (), Stopped("x")),
    ),
    "told by the backup": (
        replace(ended(Stopped("x")), state=None, backup=replace(STATE, ending=Stopped("x")), session=DEAD),
        Status(RunStatus.STOPPED, "by x", (Badge.STALE,), (Hint.RESUME,), Stopped("x")),
    ),
    "the journal is an epoch ahead": (
        Evidence(STATE, journal=Witness("j", 2, 10, 120.0), driver=ALIVE, now=160.0),
        Status(RunStatus.RUNNING, "", (Badge.STALE,), (Hint.STOP,)),
    ),
    "the journal is a line ahead": (
        Evidence(STATE, journal=Witness("j", 1, 10, 120.0), now=160.0),
        Status(
            RunStatus.UNKNOWN,
            "whether its driver is alive cannot be known from here",
            (Badge.STALE,),
            last_known=RunStatus.RUNNING,
            age_s=40.0,
        ),
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_status_is_judged_whole(case: str) -> None:
    """Its name, why, what else is to be known, what can be done about it, and where to look."""
    evidence, status = WHOLE[case]

    assert classify(evidence) == status


def test_the_newest_ending_of_an_epoch_is_the_one() -> None:
    """By its number, among the crashes first."""
    stopped, paused = replace(STATE, ending=Stopped("x"), seq=8), replace(STATE, ending=Paused("y"), seq=9)
    crashes = tuple(replace(STATE, ending=Crashed(str(seq)), seq=seq) for seq in (4, 6, 5))

    assert classify(Evidence(stopped, journal=paused)).ending == Paused("y")
    assert classify(Evidence(paused, journal=stopped)).ending == Paused("y")
    assert classify(Evidence(stopped, journal=paused, crashes=crashes)).ending == Crashed("6")


@pytest.mark.parametrize(
    ("ending", "deferred", "code"),
    [
        (Finished(), None, 0),
        (Finished(["a"]), None, 1),
        (Finished([], ["make"]), None, 1),
        (Finished(), ["a"], 1),
        (Finished(["a"]), [], 0),
        (Paused("x"), None, 75),
        (Crashed("x"), ["a"], 70),
        (None, None, 70),
        (Stopped("SIGINT", signal.SIGINT), None, 130),
        (Stopped("SIGTERM", signal.SIGTERM), None, 143),
        (Stopped("SIGHUP", signal.SIGHUP), None, 129),
        (Stopped("request"), None, 143),
    ],
)
def test_each_ending_has_its_exit_code(ending: Ending | None, deferred: list[str] | None, code: int) -> None:
    """Exit codes are those of engine.md; a stop without a signal counts as SIGTERM."""
    assert exit_code(ending, deferred) == code


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending is not None])
def test_a_run_is_called_by_its_ending(ending: Ending) -> None:
    """The same name for the status line, the list and a program's document."""
    assert status_of(ending).value.lower() == type(ending).__name__.lower()
    assert classify(Evidence(state=Witness("s", 1, 9, 0.0, ending))).name is status_of(ending)
