"""Which multiplexer sessions are there: asked by one thread of its own, so that nobody waits for a multiplexer that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from backends.clock import Clock, Waker
from backends.processes import Liveness
from harness.record import RunState
from harness.record.crash import attempt, describe

__all__ = ["Answer", "SessionWatch", "Sessions"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The sessions of one multiplexer: `backend` is the name of its class, as in a run's state."""

    backend: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sessions:
    """What is known of the sessions at one moment; times are wall clock seconds.

    `answer` is the last one, of the time `answered_at`; `silent_since` is when the first question was asked that it has not
    answered since, and `why` what came of it.
    """

    answer: Answer | None = None
    answered_at: float | None = None
    silent_since: float | None = None
    why: str = ""

    def liveness(self, state: RunState) -> Liveness:
        """Whether the session of that run is there. An answer proves nothing once the multiplexer has fallen silent."""
        if self.answer is None or self.silent_since is not None:
            return Liveness.UNKNOWN
        if state.backend and state.backend != self.answer.backend:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if state.mux_session in self.answer.names else Liveness.DEAD


_EVERY_S = 2.0
"""Seconds between two questions."""
_PATIENCE_S = 3.0
"""Seconds after which a question that is under way counts as not answered, whatever deadline it has of its own."""
_LEAVE_S = 1.0
"""Seconds that the thread is given to leave; it is not waited for longer."""


class SessionWatch:
    """Asks `question` every few seconds, within a thread of its own from `start` to `stop`.

    `question` has a deadline of its own and raises where it was not answered; `give_up` ends the one that is under way.
    """

    def __init__(
        self, question: Callable[[], Answer], clock: Clock, give_up: Callable[[], None] = lambda: None
    ) -> None:
        self._question = question
        self._clock = clock
        self._give_up = give_up
        self._waker = Waker()
        self._asked_at: float | None = None
        self._known = Sessions()
        self._thread = threading.Thread(target=self._go_on_asking, name="sessions", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; harmless if it was never started."""
        self._waker.wake()
        self._give_up()
        if self._thread.is_alive():
            self._thread.join(_LEAVE_S)

    def sessions(self) -> Sessions:
        """What is known now; answers at once."""
        known, asked_at = self._known, self._asked_at
        if known.silent_since is None and asked_at is not None and self._clock.wall() - asked_at > _PATIENCE_S:
            return Sessions(known.answer, known.answered_at, asked_at, "no answer yet")
        return known

    def ask(self) -> None:
        """Ask once, and keep what came of it."""
        answers: list[Answer] = []
        asked_at = self._asked_at = self._clock.wall()
        raised = attempt(lambda: answers.append(self._question()))
        if raised is None:
            self._known = Sessions(answers[0], self._clock.wall())
        else:
            known = self._known
            since = asked_at if known.silent_since is None else known.silent_since
            self._known = Sessions(known.answer, known.answered_at, since, describe(raised))
        self._asked_at = None

    def _go_on_asking(self) -> None:
        while not self._waker.is_set():
            self.ask()
            self._clock.wait(_EVERY_S, self._waker)
