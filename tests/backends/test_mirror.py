"""The mirror of the windows' life on a simulated server: what it says, what it costs, and when it will not say anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.clock import VirtualClock, Waker
from backends.errors import TransportError, TransportUnavailable
from backends.fake import FakeMultiplexer
from backends.mirror import LivenessMirror
from backends.posix_signals import SIGKILL
from backends.processes import Deaths
from backends.simulated_processes import SimulatedProcessTable
from backends.tmux import TmuxMultiplexer


class Told:
    """A connection whose notifications a test writes."""

    why = ""

    def __init__(self) -> None:
        self.epoch = 1
        self.connected = True
        self.told = Waker()
        self.lines: list[str] = []

    def tell(self, line: str) -> None:
        """As if the multiplexer had sent it."""
        self.lines.append(line)
        self.told.wake()

    def notices(self) -> list[str]:
        """See `News.notices`."""
        self.told.clear()
        came, self.lines = self.lines, []
        return came


class Host:
    """A simulated server with session `run-1`, and a mirror of it that is stale after four seconds."""

    def __init__(self, table: SimulatedProcessTable | None = None, news: Told | None = None) -> None:
        self.mux = FakeMultiplexer(clock=VirtualClock(), processes=table)
        self.server, self.clock = self.mux.server, self.mux.server.clock
        self.mux.new_session("run-1", "/")
        self.mirror = LivenessMirror(self.mux, self.server.processes, news=news, stale_after_s=4)

    def window(self) -> str:
        """A new window whose process stays."""
        made = self.mux.new_window("run-1", "w", "/", {}, "sleep 1000000")
        self.clock.sleep(0)
        return made

    def mirrored(self) -> str:
        """A new window that the mirror knows of."""
        made = self.window()
        assert self.mirror.window_alive("run-1", made)
        return made

    def end(self, window_id: str) -> None:
        """Its process is killed."""
        table = self.server.processes
        found = table.identify(self.server.windows[window_id].pid)
        assert found is not None
        assert table.signal(found, SIGKILL)

    def asked(self) -> int:
        """How many operations the multiplexer was asked for."""
        return self.mux.seam.calls


class Unwatched(SimulatedProcessTable):
    """Processes of a host that tells of no end."""

    def deaths(self) -> Deaths:
        """See `ProcessTable.deaths`."""
        return Deaths()


@pytest.fixture
def host() -> Iterator[Host]:
    """One whose mirror watches processes."""
    made = Host()
    yield made
    made.mirror.close()


def test_what_was_listed_is_told_without_asking(host: Host) -> None:
    """Each question after the first costs nothing."""
    one, other = host.mirrored(), host.mirrored()
    before = host.asked()
    answers = [host.mirror.window_alive("run-1", window) for window in (one, other, one)]

    assert answers == [True, True, True]
    assert host.asked() == before


def test_the_end_of_a_process_wakes_and_the_next_look_tells_it(host: Host) -> None:
    """At once, though no listing was due."""
    window = host.mirrored()
    host.end(window)
    woken = host.clock.wait(60, host.mirror.waker)
    looked = host.mirror.look()

    assert (woken, looked, host.clock.monotonic()) == (True, True, 0)
    assert host.mirror.window_alive("run-1", window) is False
    assert not host.mirror.waker.is_set()


def test_a_window_whose_process_has_ended_lives_until_the_multiplexer_says_otherwise(host: Host) -> None:
    """It is asked soon, and then ever more seldom, while another process holds the window."""
    window = host.mirrored()
    host.server.processes.exit(host.server.windows[window].pid)
    host.mirror.look()
    alive = host.mirror.window_alive("run-1", window)
    before, begun = host.mirror.listings, host.clock.monotonic()
    while host.clock.monotonic() < begun + 2:
        host.clock.sleep(host.mirror.due_s)
        host.mirror.look()

    assert alive is True
    assert 8 <= host.mirror.listings - before <= 14


def test_a_respawned_window_is_alive_and_its_new_process_is_watched(host: Host) -> None:
    """The end of the process that was there before proves nothing of the window."""
    window = host.mirrored()
    found = host.server.windows[window]
    host.server.run_in(found, {}, ["sleep", "1000000"], "/")
    host.clock.sleep(0)
    host.mirror.look()
    alive = host.mirror.window_alive("run-1", window)
    host.end(window)
    host.mirror.look()

    assert alive is True
    assert host.mirror.window_alive("run-1", window) is False


def test_a_parked_window_lives_as_long_as_its_shell(host: Host) -> None:
    """The program's end is not the window's."""
    window = host.mux.new_parked_window("run-1", "w", "/", ["true"], "@back")
    host.clock.sleep(1)
    alive = host.mirror.window_alive("run-1", window)
    host.mux.send_text(window, "")
    host.mirror.look()

    assert alive is True
    assert host.mirror.window_alive("run-1", window) is False


def test_a_window_that_no_listing_has_shown_is_asked_about(host: Host) -> None:
    """Each time, as the operation does: it may be made in the meantime."""
    host.mirrored()
    absent = [host.mirror.window_alive("run-1", "@2"), host.mirror.window_alive("other", "@2")]
    made = host.window()

    assert (absent, made) == ([False, False], "@2")
    assert host.mirror.window_alive("run-1", made) is True


def test_a_mirror_that_nobody_looks_into_becomes_stale(host: Host) -> None:
    """It raises rather than answer; a look makes it good again."""
    window = host.mirrored()
    host.clock.sleep(4)
    alive = host.mirror.window_alive("run-1", window)
    host.clock.sleep(0.001)
    with pytest.raises(TransportUnavailable, match=r"its last listing is 4\.0 s old"):
        host.mirror.window_alive("run-1", window)
    host.mirror.look()

    assert alive is True
    assert host.mirror.window_alive("run-1", window) is True


def test_it_is_listed_anew_twice_before_it_is_stale(host: Host) -> None:
    """So that a mirror which is looked into when it wants to be is never stale."""
    window = host.mirrored()
    before = host.mirror.listings
    for _ in range(10):
        host.clock.wait(host.mirror.due_s, host.mirror.waker)
        host.mirror.look()
        host.mirror.window_alive("run-1", window)

    assert (host.mirror.listings - before, host.clock.monotonic()) == (10, 20)


def test_after_a_listing_that_failed_nothing_is_told(host: Host) -> None:
    """Not even what was known before; the next one that is answered mends it."""
    window = host.mirrored()
    host.server.freeze()
    with pytest.raises(TransportError):
        host.mirror.refresh()
    for _ in range(2):
        with pytest.raises(TransportError):
            host.mirror.window_alive("run-1", window)
    host.server.thaw()
    host.clock.wait(host.mirror.due_s)
    host.mirror.look()

    assert host.mirror.window_alive("run-1", window) is True


def test_a_server_that_is_gone_is_an_answer(host: Host) -> None:
    """Its windows are proven gone."""
    window = host.mirrored()
    host.server.kill()
    host.mirror.look()

    assert host.mirror.window_alive("run-1", window) is False


@pytest.mark.parametrize("seen_gone", [False, True])
def test_another_server_is_never_taken_for_the_one_that_was_mirrored(host: Host, seen_gone: bool) -> None:
    """Its windows have the same ids; a mirror of them has to be a new one."""
    window = host.mirrored()
    host.server.kill()
    if seen_gone:
        host.mirror.look()
    host.mux.new_session("run-1", "/")
    assert [host.window(), window] == ["@1", "@1"]
    with pytest.raises(TransportUnavailable, match="another server"):
        host.mirror.refresh()
    for known in (window, "@7"):
        with pytest.raises(TransportUnavailable, match="another server"):
            host.mirror.window_alive("run-1", known)

    assert LivenessMirror(host.mux, host.server.processes).window_alive("run-1", window) is True


def test_on_a_new_connection_nothing_is_told_until_it_has_looked() -> None:
    """What happened in between was told to nobody."""
    news = Told()
    host = Host(news=news)
    window = host.mirrored()
    news.epoch = 2
    with pytest.raises(TransportUnavailable, match="before the connection"):
        host.mirror.window_alive("run-1", window)
    looked = host.mirror.look()

    assert looked
    assert host.mirror.window_alive("run-1", window) is True


def test_a_notification_is_a_reason_to_ask() -> None:
    """Where the host tells of no process, too; one about something else is none."""
    news = Told()
    host = Host(Unwatched(), news)
    window = host.mirrored()
    host.mux.kill_window(window)
    news.tell("%window-renamed @1 x")
    looked = [host.mirror.look()]
    news.tell(f"%unlinked-window-close {window}")
    woken = host.clock.wait(60, host.mirror.waker)
    looked.append(host.mirror.look())

    assert (looked, woken, host.mirror.watches_processes) == ([False, True], True, False)
    assert host.mirror.window_alive("run-1", window) is False


@pytest.mark.parametrize(("kind", "has_news"), [("process", False), ("control", True)])
def test_tmux_has_news_where_its_transport_keeps_a_connection(kind: str, has_news: bool) -> None:
    """What a mirror of it is given."""
    news = TmuxMultiplexer(Path("/nowhere"), transport_kind=kind).news

    assert (news is not None) is has_news


def test_where_nothing_is_told_a_death_is_known_at_the_next_listing() -> None:
    """And says that nobody watches."""
    host = Host(Unwatched())
    window = host.mirrored()
    host.end(window)
    woken = host.clock.wait(host.mirror.due_s, host.mirror.waker)
    host.mirror.look()

    assert (woken, host.mirror.unwatched, host.clock.monotonic()) == (False, 1, 2)
    assert host.mirror.window_alive("run-1", window) is False


def test_only_living_windows_are_watched(host: Host) -> None:
    """A window that went is given up, and everything is at the end."""
    windows = [host.mirrored() for _ in range(3)]
    watched = [host.mirror.unwatched]
    host.mux.kill_window(windows[0])
    host.mirror.refresh()
    watched.append(host.mirror.unwatched)
    host.mirror.close()

    assert watched == [0, 0]
    with pytest.raises(TransportUnavailable, match="closed"):
        host.mirror.window_alive("run-1", windows[1])
