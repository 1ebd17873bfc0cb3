"""However a run ended becomes one value, and the steps of recording it stand alone."""

from __future__ import annotations

import signal

import pytest

from harness.engine.endings import Isolation, capture
from harness.engine.signals import RunStopped
from harness.record import Crashed, Ending, Finished, Paused, Stopped, describe


def raising(error: BaseException) -> Ending:
    """No ending but `error`."""
    raise error


@pytest.mark.parametrize("ending", [Finished(), Paused(reason="why", stage="gate", task="a")])
def test_an_ending_that_is_answered_is_captured_as_it_is(ending: Ending) -> None:
    """Without any exception behind it."""
    captured = capture(lambda: ending)

    assert captured.ending is ending
    assert captured.error is None
    assert not captured.foreign


def test_a_stop_is_captured_with_its_signal() -> None:
    """It is no crash."""
    captured = capture(lambda: raising(RunStopped("SIGTERM", signal.SIGTERM)))

    assert captured.ending == Stopped(by="SIGTERM", signum=15)
    assert isinstance(captured.error, RunStopped)
    assert not captured.foreign


def test_an_interrupt_from_the_keyboard_is_a_stop_by_sigint() -> None:
    """Also where no handler was installed."""
    captured = capture(lambda: raising(KeyboardInterrupt()))

    assert captured.ending == Stopped(by="KeyboardInterrupt", signum=2)
    assert isinstance(captured.error, KeyboardInterrupt)
    assert not captured.foreign


@pytest.mark.parametrize(
    "error", [ValueError("bad"), MemoryError(), RecursionError(), ExceptionGroup("g", [OSError()])]
)
def test_any_exception_is_a_crash_of_the_engine(error: Exception) -> None:
    """And is not handed on."""
    captured = capture(lambda: raising(error))

    assert captured.ending == Crashed(error=describe(error))
    assert captured.error is error
    assert not captured.foreign


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), BaseExceptionGroup("g", [SystemExit(1)])])
def test_control_flow_of_somebody_else_is_a_crash_that_goes_on(error: BaseException) -> None:
    """It is recorded, and nobody swallows it."""
    captured = capture(lambda: raising(error))

    assert captured.ending == Crashed(error=describe(error))
    assert captured.foreign


def test_a_step_that_fails_keeps_no_other_step_from_its_turn() -> None:
    """What went wrong is kept by name, and the first failure itself."""
    steps, done = Isolation(), list[str]()
    error = OSError(28, "No space left on device")

    assert not steps.step("state", lambda: raising(error))
    assert steps.step("journal", lambda: done.append("journal"))
    assert not steps.step("teardown", lambda: raising(SystemExit(1)))

    assert done == ["journal"]
    assert [problem.partition(":")[0] for problem in steps.problems] == ["state", "teardown"]
    assert "No space left" in steps.problems[0]
    assert steps.first is error


def test_the_first_control_flow_among_the_failures_is_kept_apart() -> None:
    """It has to go on once everything is recorded; a failure before it is still the first."""
    steps, flow = Isolation(), SystemExit(1)
    failure = ValueError("bad")
    for error in (failure, KeyboardInterrupt(), flow, GeneratorExit(), OSError()):
        steps.keep(error)

    assert steps.first is failure
    assert steps.foreign is flow
    assert Isolation().foreign is None


def test_a_step_tells_of_its_failure_in_the_words_it_was_given() -> None:
    """Whose environment must not get into a record is for the caller to say, not for this process's own."""
    steps = Isolation(lambda error: "told otherwise")

    steps.step("state", lambda: raising(OSError("canary-value")))

    assert steps.problems == ["state: told otherwise"]
