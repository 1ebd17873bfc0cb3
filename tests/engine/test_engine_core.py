"""What the engine remembers of the seam: the newest calls, and since when nobody answers."""

from __future__ import annotations

from engine_setting import fresh_stage

from backends.clock import VirtualClock
from backends.fake import FakeMultiplexer
from faults import FaultPlan, Injector
from harness.agents import task, works
from harness.engine.core import STEPS, SeamWatch


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
