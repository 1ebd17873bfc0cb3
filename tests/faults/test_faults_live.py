"""Live faults without a process: when their points are reached, and that whatever they do is undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from backends.clock import SystemClock, VirtualClock
from backends.fake import FakeMultiplexer
from backends.simulation import FakeServer
from faults import FaultPlan, FaultPlanError, Injector, PointCatalog
from faults.live import LiveEvent, LiveHost
from harness.waiting import eventually

CATALOG = PointCatalog(supports={"mux", "live"}, live_events=("freeze_server", "kill_server"))


class Frozen:
    """A server that can be stopped, with a note of what was done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.event = LiveEvent(lambda: self.done.append("stopped"), lambda: self.done.append("continued"))

    def host(self, clock: VirtualClock | SystemClock) -> LiveHost:
        """The host of it, where it always runs."""
        return LiveHost(clock, lambda: True, {"freeze_server": self.event})


def served(text: str) -> tuple[FakeMultiplexer, Injector, LiveHost]:
    """A fake multiplexer that `text` happens to, before its server was started."""
    server = FakeServer(VirtualClock())
    events = {
        "freeze_server": LiveEvent(server.freeze, server.thaw),
        "kill_server": LiveEvent(server.kill, lambda: None),
    }
    host = LiveHost(server.clock, lambda: server.running, events)
    injector = Injector(FaultPlan.parse(text, 0, CATALOG), clock=server.clock, catalog=CATALOG, live=host)
    mux = FakeMultiplexer(server)
    injector.attach(mux)
    return mux, injector, host


def test_only_calls_that_find_a_server_are_counted() -> None:
    """What comes before the server was started has nothing to happen to it."""
    mux, injector, _ = served("live.kill_server=1*pass->1*occur")
    mux.has_session("a")
    mux.new_session("a", "/")
    mux.list_sessions()
    before = mux.server.running
    mux.list_sessions()

    assert before
    assert not mux.server.running
    assert injector.reached["live.kill_server"] == 2


def test_it_happens_before_the_call_is_asked() -> None:
    """The call that it happens under is the first one that meets with it."""
    mux, injector, _ = served("live.freeze_server=1*occur(3)")
    mux.new_session("a", "/")
    began = mux.clock.monotonic()

    assert mux.has_session("a")
    assert mux.clock.monotonic() - began == 3
    assert [(one.point, one.seconds) for one in injector.injections] == [("live.freeze_server", 3.0)]


def test_a_point_that_nobody_planned_is_not_reached() -> None:
    """Whether the server runs is not even asked."""
    mux, injector, _ = served("list_sessions=1*pass")
    mux.new_session("a", "/")
    mux.list_sessions()

    assert not [point for point in injector.reached if point.startswith("live.")]


def test_the_server_is_not_looked_for_again_at_the_point_after_its_end() -> None:
    """What killed it left nothing to stop; the stop waits for a call that finds a server."""
    mux, injector, _ = served("live.*=1*occur")
    mux.new_session("a", "/")
    mux.server.freeze()
    mux.server.kill()
    mux.new_session("a", "/")
    mux.list_sessions()

    assert [one.point for one in injector.injections] == ["live.freeze_server"]


def test_what_lasts_for_a_time_is_undone_when_that_has_passed() -> None:
    """Twenty seconds of the clock, and not before."""
    clock, server = VirtualClock(), Frozen()
    server.host(clock).happen("freeze_server", 20)
    clock.sleep(19)
    halfway = list(server.done)
    clock.sleep(1)

    assert halfway == ["stopped"]
    assert server.done == ["stopped", "continued"]


def test_of_two_that_overlap_the_last_end_counts() -> None:
    """What one rule still wants stopped is not continued for another."""
    clock, server = VirtualClock(), Frozen()
    host = server.host(clock)
    host.happen("freeze_server", 5)
    host.happen("freeze_server", 9)
    clock.sleep(8)

    assert "continued" not in server.done
    clock.sleep(1)
    assert server.done == ["stopped", "stopped", "continued"]


def test_undoing_ends_what_was_for_good_and_what_would_have_ended_later() -> None:
    """Each is undone once; what was to end later does not end what comes after."""
    clock, server = VirtualClock(), Frozen()
    host = server.host(clock)
    host.happen("freeze_server", 5)
    host.undo()
    host.happen("freeze_server", None)
    clock.sleep(10)
    assert server.done == ["stopped", "continued", "stopped"]

    host.undo()
    host.undo()
    assert server.done == ["stopped", "continued", "stopped", "continued"]


def test_one_failure_does_not_keep_the_others_from_being_undone() -> None:
    """Nothing stays stopped because a socket could not be put back."""

    def fails() -> None:
        raise OSError("no")

    server = Frozen()
    events = {"freeze_server": server.event, "unlink_socket": LiveEvent(lambda: None, fails)}
    host = LiveHost(VirtualClock(), lambda: True, events)
    host.happen("freeze_server", None)
    host.happen("unlink_socket", None)

    with pytest.raises(OSError, match="no"):
        host.undo()
    assert server.done == ["stopped", "continued"]


def test_what_failed_halfway_is_undone() -> None:
    """Of two agents the first is kept waiting already when the second cannot be."""
    server = Frozen()

    def fails() -> None:
        server.event.happen()
        raise OSError("no")

    host = LiveHost(VirtualClock(), lambda: True, {"freeze_server": LiveEvent(fails, server.event.undo)})
    with pytest.raises(OSError, match="no"):
        host.happen("freeze_server", 5)
    host.undo()

    assert server.done == ["stopped", "continued"]


def test_what_could_not_be_undone_is_tried_again() -> None:
    """A watchdog that failed has undone nothing: what undoes everything in the end does that, too."""
    failing, server = [True], Frozen()

    def undo() -> None:
        if failing:
            raise OSError(failing.pop())
        server.event.undo()

    clock = VirtualClock()
    host = LiveHost(clock, lambda: True, {"freeze_server": LiveEvent(server.event.happen, undo)})
    host.happen("freeze_server", 5)
    with pytest.raises(OSError, match="True"):
        clock.sleep(6)
    host.undo()

    assert server.done == ["stopped", "continued"]


@pytest.mark.parametrize("seconds", [0.01, 3600.0])
def test_on_a_real_clock_a_watchdog_undoes_it(seconds: float) -> None:
    """By itself when its time has come, else with everything that is in force; no thread is left."""
    server = Frozen()
    host = server.host(SystemClock())
    host.happen("freeze_server", seconds)
    if seconds < 1:
        eventually(lambda: "continued" in server.done, SystemClock(), 10)
    host.undo()

    assert Counter(server.done) == {"stopped": 1, "continued": 1}


REFUSED: dict[str, Callable[[], PointCatalog]] = {
    "live.freeze_client=occur": lambda: CATALOG,
    "live.disk_*=occur(5)": lambda: CATALOG,
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_made_to_happen_here_is_refused_with_what_can(text: str) -> None:
    """A plan for another kind of host says so when it is read, with the position and the events that there are."""
    with pytest.raises(FaultPlanError) as refused:
        FaultPlan.parse(text, 0, REFUSED[text]())

    assert str(refused.value) == (
        f"position 0: {text.partition('=')[0]} cannot be made to happen here, only live.freeze_server, live.kill_server"
    )
