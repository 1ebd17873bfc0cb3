"""What the engine remembers of the seam: the newest calls, and since when nobody answers."""

from __future__ import annotations

import contextlib

import pytest
from engine_setting import fresh_stage

from backends.clock import VirtualClock
from backends.errors import MultiplexerError
from backends.fake import FakeMultiplexer
from faults import FaultPlan, Injector
from harness.agents import task, works
from harness.dashboard.render import header_text
from harness.engine.core import STEPS, SeamWatch
from harness.incidents import when
from harness.record import RunState, classify
from harness.report import Report
from harness.runner import Stage


def watched(faults: str) -> tuple[FakeMultiplexer, SeamWatch]:
    """A fake under that plan with a session, and a watch on its seam."""
    multiplexer, watch = FakeMultiplexer(clock=VirtualClock()), SeamWatch()
    multiplexer.new_session("s", "/sim")
    Injector(FaultPlan.parse(faults), clock=multiplexer.clock).attach(multiplexer)
    multiplexer.observe(watch)
    return multiplexer, watch


def test_silence_begins_with_the_first_call_that_nobody_answered() -> None:
    """Later ones do not move it."""
    fake, watch = watched("list_sessions=timeout")
    for _ in range(3):
        fake.list_sessions()

    assert watch.silent_since == 0
    assert watch.silenced_by is not None
    assert watch.silenced_by.operation.name == "list_sessions"


def test_any_answer_ends_the_silence_of_a_courtesy() -> None:
    """A refusal is an answer, too."""
    fake, watch = watched("list_sessions=timeout")
    fake.list_sessions()
    fake.show_window_option("@99", "x")

    assert watch.silent_since is None


def test_a_courtesy_that_is_answered_does_not_end_the_silence_of_a_probe() -> None:
    """Only an answer to a question that decides something does."""
    fake, watch = watched("kill_session=1*timeout;has_session=1*pass->1*timeout")
    fake.kill_session("other")
    fake.list_sessions()
    assert watch.silent_since == 0

    assert fake.has_session("s")
    assert watch.silent_since is None


def test_operations_that_ask_nobody_say_nothing_about_the_silence() -> None:
    """Composing a target is no sign of life."""
    fake, watch = watched("kill_session=1*timeout")
    fake.kill_session("other")
    fake.target("s")

    assert watch.silent_since == 0


def test_the_newest_calls_are_told_without_payloads() -> None:
    """Two hundred of them, oldest first."""
    fake, watch = watched("")
    for _ in range(300):
        fake.has_session("s")
    window = fake.list_window_ids("s")[0]
    fake.send_text(window, "a secret")
    lines = watch.lines()

    assert len(lines) == 200
    assert "secret" not in "".join(lines)
    assert "send_text" in lines[-1]


def test_an_outage_is_journaled_when_it_begins_and_when_it_is_over() -> None:
    """Once each, however many calls were lost in between; the state says since when."""
    report = fresh_stage()(task("a", agent=works(10).then_completes()), faults="list_window_ids=1*pass->4*timeout")

    assert len(report.events("transport-degraded")) == 1
    assert len(report.events("transport-recovered")) == 1
    assert report.state is not None
    assert report.state.degraded_since is None


def test_every_step_has_a_name_of_its_own() -> None:
    """The fault points `engine.<step>` are made from them."""
    assert len(set(STEPS)) == len(STEPS)


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ("has_session=timeout", "has_session"),
        ("has_session=1*timeout", None),
        ("list_sessions=timeout", None),
        ("kill_session=timeout;has_session=1*timeout", "kill_session"),
    ],
    ids=["silent", "answered-since", "courtesy", "another-one"],
)
def test_the_newest_trouble_is_of_what_was_not_answered_since(faults: str, told: str | None) -> None:
    """A courtesy tells nothing, and an operation that is answered is in no trouble any more."""
    fake, watch = watched(faults)
    for _ in range(2):
        with contextlib.suppress(MultiplexerError):
            fake.has_session("s")
        fake.kill_session("other")
        fake.list_sessions()

    trouble = watch.trouble(0)
    assert (trouble and trouble.operation.name) == told


def test_trouble_of_an_earlier_time_is_not_told_and_what_is_proven_absent_is_none() -> None:
    """A refusal is; only what ended since then counts."""
    fake, watch = watched("")
    for text in ("", "no\0"):
        with contextlib.suppress(MultiplexerError):
            fake.send_text("@99", text)
        assert (watch.trouble(0) is None) == (text == "")

    fake.clock.sleep(5)
    assert watch.trouble(1) is None


def header_of(stage: Stage) -> str:
    """What a dashboard shows of the newest run."""
    return header_text(classify(stage.store().evidence()), stage.store().load().state)


def degraded_by(action: str) -> tuple[Report, str, str]:
    """A run of which ten looks come to that: how it ended, and what its state and a dashboard said meanwhile."""
    stage = fresh_stage()
    seen: list[tuple[str, str]] = []

    def degraded() -> bool:
        return stage.world.disk.info(stage.run_dir / "state.json") is not None and bool(told().degraded_since)

    def told() -> RunState:
        return stage.store().load().state

    when(stage, degraded, lambda: seen.append((told().degraded_why, header_of(stage))))
    report = stage(task("a", agent=works(30).then_completes()), faults=f"list_window_ids=3*pass->10*{action}")
    ((why, header),) = seen
    return report, why, header


def test_while_nobody_answers_a_run_says_what_came_instead() -> None:
    """Whoever looks before it pauses need not wait for that."""
    report, why, header = degraded_by("oserror(EACCES)")

    assert "EACCES" in why
    assert why in header
    assert report.state is not None
    assert report.state.degraded_why == ""


def test_what_nobody_answered_is_told_in_few_words() -> None:
    """Which operation, and for how long its answer was waited for; no command line in the head or among the events."""
    report, why, header = degraded_by("timeout(3)")
    (event,) = report.events("transport-degraded")

    assert why == event["why"] == "list_window_ids is not answered within 3 s"
    (line,) = (line for line in header.splitlines() if "degraded: " in line)
    assert line.endswith(f"Z: {why}")
