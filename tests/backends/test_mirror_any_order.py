"""The mirror under whatever happens in any order: it never says what the operation would not have said since the last look."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backends.clock import VirtualClock, Waker
from backends.errors import TransportError
from backends.fake import FakeMultiplexer
from backends.mirror import LivenessMirror
from backends.posix_signals import SIGKILL
from backends.simulation import FakeWindow

ONE = st.integers(0, 5)
"""Which window, of those there are."""


class Lost:
    """A connection that comes anew, and loses every notification."""

    why = ""

    def __init__(self) -> None:
        self.epoch = 0
        self.connected = True
        self.told = Waker()

    def notices(self) -> list[str]:
        """See `News.notices`."""
        return []


class AnyOrder(RuleBasedStateMachine):
    """`said` holds for each window what the operation would have said at any moment since the mirror's last listing.

    `shown` are those that a listing has shown, so that the mirror asks nobody about them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mux = FakeMultiplexer(clock=VirtualClock(), call_timeout_s=1)
        self.server, self.clock, self.news = self.mux.server, self.mux.server.clock, Lost()
        self.mux.new_session("run-1", "/")
        self.mirror = LivenessMirror(self.mux, self.server.processes, news=self.news, stale_after_s=4)
        self.said: dict[str, set[bool]] = {}
        self.shown: set[str] = set()
        for _ in range(3):
            self.a_window_is_made(False)
            self.time_is_noted()
        self.somebody_asks(0)

    def truth(self, window_id: str) -> bool:
        """What the operation would say of it, if the server answered."""
        window = self.server.windows.get(window_id)
        return window is not None and not window.dead

    def windows(self) -> list[FakeWindow]:
        """Those that are there, dead or alive."""
        return list(self.server.windows.values())

    def chosen(self, one: int) -> FakeWindow | None:
        """One of them."""
        found = self.windows()
        return found[one % len(found)] if found else None

    def listing(self, ask: Callable[[], object]) -> bool:
        """Whether the mirror has listed and was answered; what was before that moment counts no more."""
        before = self.mirror.listings
        try:
            ask()
        except TransportError:
            return False
        listed = self.mirror.listings > before
        if listed:
            self.said = {window: {self.truth(window)} for window in self.said}
            self.shown |= {window for window in self.said if self.truth(window)}
        return listed

    @invariant()
    def time_is_noted(self) -> None:
        """Every moment counts."""
        for window_id in {*self.said, *self.server.windows, "@99"}:
            self.said.setdefault(window_id, set()).add(self.truth(window_id))

    @invariant()
    def nothing_is_told_that_was_not_so(self) -> None:
        """And nobody is asked about it."""
        before = self.mux.seam.calls
        for window in sorted(self.shown):
            with contextlib.suppress(TransportError):
                assert self.mirror.window_alive("run-1", window) in self.said[window]
        assert self.mux.seam.calls == before

    @rule(parked=st.booleans())
    @precondition(lambda self: not self.server.frozen and "run-1" in self.server.sessions)
    def a_window_is_made(self, parked: bool) -> None:
        """By anybody."""
        self.server.make_window(self.server.sessions["run-1"], "w", "/", {}, ["sleep", "1000000"], parked=parked)

    @rule(one=ONE)
    def a_process_ends(self, one: int) -> None:
        """The window is told."""
        window = self.chosen(one)
        found = None if window is None else self.server.processes.identify(window.pid)
        if found is not None:
            self.server.processes.signal(found, SIGKILL)

    @rule(one=ONE)
    def a_process_ends_and_something_else_holds_the_window(self, one: int) -> None:
        """The window is not told."""
        window = self.chosen(one)
        if window is not None:
            self.server.processes.exit(window.pid)

    @rule(one=ONE)
    @precondition(lambda self: not self.server.frozen)
    def a_window_is_respawned(self, one: int) -> None:
        """Dead or not."""
        window = self.chosen(one)
        if window is not None:
            self.server.run_in(window, {}, ["sleep", "1000000"], "/")

    @rule(one=ONE)
    @precondition(lambda self: not self.server.frozen)
    def a_window_is_killed(self, one: int) -> None:
        """By anybody."""
        window = self.chosen(one)
        if window is not None:
            self.server.close_window(window)

    @rule()
    def the_server_freezes(self) -> None:
        """And answers nothing."""
        self.server.freeze()

    @rule()
    def the_server_thaws(self) -> None:
        """And goes on."""
        self.server.thaw()

    @rule(again=st.booleans())
    def the_server_dies(self, again: bool) -> None:
        """With or without a successor that has the same names and ids."""
        self.server.kill()
        if again:
            self.mux.new_session("run-1", "/")

    @rule()
    def the_connection_is_made_anew(self) -> None:
        """What was told before is not relied on."""
        self.news.epoch += 1

    @rule(seconds=st.sampled_from([0.0, 0.01, 1.0, 3.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        """With nobody looking."""
        self.clock.sleep(seconds)

    @rule()
    def somebody_looks(self) -> None:
        """What comes of it is the truth of this moment, for every window that was known."""
        if self.listing(self.mirror.look):
            for window in self.said:
                assert self.mirror.window_alive("run-1", window) is self.truth(window)

    @rule(one=st.integers(0, 7))
    def somebody_asks(self, one: int) -> None:
        """Never anything that was not so since the last listing."""
        known = sorted({*self.said, "@99"})
        window = known[one % len(known)]
        answers: list[bool] = []
        self.listing(lambda: answers.append(self.mirror.window_alive("run-1", window)))

        assert set(answers) <= self.said[window]


AnyOrder.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
