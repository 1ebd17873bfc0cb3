"""Which sessions are there is asked once for all runs, and an empty list is believed only from somebody who answers."""

from __future__ import annotations

import pytest

from backends.errors import MultiplexerError
from backends.processes import Liveness
from harness.commands.asking import EverySession, sessions_there
from harness.commands.staged import CommandLine
from harness.record import RunState
from harness.world import FakeWorld


@pytest.fixture
def seamripper() -> CommandLine:
    """A simulated host with one session."""
    made = CommandLine(FakeWorld())
    made.world.multiplexer().new_session("one", made.world.project)
    return made


def every(seamripper: CommandLine) -> EverySession:
    """Somebody who asks once."""
    return EverySession(seamripper.host(), seamripper.root, None, 1.5)


def test_one_answer_tells_of_every_run(seamripper: CommandLine) -> None:
    """There, and gone; what changes afterwards belongs to the next question."""
    ask = every(seamripper)

    before = [ask(RunState(name, mux_session=name)) for name in ("one", "two")]
    seamripper.world.multiplexer().kill_session("one")

    assert before == [Liveness.ALIVE, Liveness.DEAD]
    assert ask(RunState("one", mux_session="one")) is Liveness.ALIVE
    assert every(seamripper)(RunState("one", mux_session="one")) is Liveness.DEAD


def test_another_backend_says_nothing_about_a_run(seamripper: CommandLine) -> None:
    """Its session may have the same name."""
    assert every(seamripper)(RunState("one", backend="Other", mux_session="one")) is Liveness.UNKNOWN


def test_silence_is_no_empty_list(seamripper: CommandLine) -> None:
    """A frozen multiplexer is not one without sessions, and is waited for once."""
    seamripper.world.freeze()
    clock, ask = seamripper.world.clock, every(seamripper)
    began = clock.monotonic()

    assert [ask(RunState(name, mux_session=name)) for name in ("one", "two")] == [Liveness.UNKNOWN] * 2
    assert clock.monotonic() - began <= 2
    multiplexer = seamripper.world.multiplexer()
    with multiplexer.budget(1.5), pytest.raises(MultiplexerError):
        sessions_there(seamripper.host(), multiplexer)
