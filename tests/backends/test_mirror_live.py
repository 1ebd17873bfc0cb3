"""The mirror on a real server: how it learns of a death, and when it must not speak.

Mirrors in here are stale only after ten minutes, so that what they know in time was told to them.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest
import tenacity
from live_tmux import CLOCK, PATIENCE_S, LiveServer, live_tmux

from backends.control import ControlTransport
from backends.errors import TransportError, TransportUnavailable
from backends.mirror import LivenessMirror
from backends.pidfd import pidfd_works
from backends.processes import Deaths, SystemProcessTable
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="without setpriv everything goes by process"),
]

LONG_S = 600.0


class Unwatched(SystemProcessTable):
    """The processes of a host without pidfds."""

    def deaths(self) -> Deaths:
        """See `ProcessTable.deaths`."""
        return Deaths()


class Mirrored:
    """A mirror of `live` through a client of its own, beside `live.mux`, which asks by process."""

    def __init__(self, live: LiveServer, table: SystemProcessTable | None = None) -> None:
        self.live = live
        self.transport = ControlTransport(SubprocessTransport(live.processes))
        self.mux = TmuxMultiplexer(live.mux.socket_path.parent, transport=self.transport, call_timeout_s=30)
        assert self.mux.has_session("run-1")
        self.mirror = LivenessMirror(self.mux, table or live.processes, news=self.mux.news, stale_after_s=LONG_S)

    def window(self, command: str = "sleep 600") -> str:
        """A new window that the mirror knows to be alive."""
        made = self.mux.new_window("run-1", "w", "/", {}, command)
        assert self.mirror.window_alive("run-1", made)
        return made

    def end(self, window_id: str) -> None:
        """The window's process is killed."""
        found = self.live.processes.identify(self.live.mux.window_pids(window_id)[0])
        assert found is not None
        assert self.live.processes.signal(found, signal.SIGKILL)

    def hears(self, wanted: Callable[[], bool]) -> None:
        """Look whenever something came, until `wanted`; fails after `PATIENCE_S`."""
        end = CLOCK.monotonic() + PATIENCE_S
        while not wanted():
            left = end - CLOCK.monotonic()
            assert left > 0, "nothing was heard of it"
            CLOCK.wait(min(left, self.mirror.due_s), self.mirror.waker)
            self.mirror.look()

    def hears_the_end_of(self, window_id: str) -> None:
        """As soon as the mirror tells it, the operation does as well."""
        self.hears(lambda: not self.mirror.window_alive("run-1", window_id))
        assert self.live.mux.window_alive("run-1", window_id) is False

    def close(self) -> None:
        """Give everything back."""
        self.mirror.close()
        self.transport.close()


@pytest.fixture
def live() -> Iterator[LiveServer]:
    """A server of its own for each test."""
    with live_tmux() as one:
        yield one


@pytest.fixture
def mirrored(live: LiveServer) -> Iterator[Mirrored]:
    """With whatever the host tells."""
    made = Mirrored(live)
    yield made
    made.close()


@pytest.mark.skipif(not pidfd_works(), reason="this kernel gives no pidfds")
def test_the_death_of_a_process_is_known_though_tmux_tells_nothing(mirrored: Mirrored) -> None:
    """The window is kept, so that there is no notification; that of the process which was respawned in it, too."""
    one, other = mirrored.window(), mirrored.window()
    mirrored.end(one)
    mirrored.hears_the_end_of(one)
    mirrored.mux._ask(("respawn-window", "-k", "-t", other, "sleep 600"))
    before = mirrored.mirror.listings
    mirrored.hears(lambda: mirrored.mirror.listings > before and mirrored.mirror.unwatched == 0)
    respawned = mirrored.mirror.window_alive("run-1", other)
    mirrored.end(other)
    mirrored.hears_the_end_of(other)

    assert respawned is True
    assert mirrored.mirror.watches_processes


def test_without_pidfds_the_end_of_a_window_is_told_by_tmux(live: LiveServer) -> None:
    """Whether somebody kills it or it ends and is not kept; one that appears is known as well."""
    mirrored = Mirrored(live, Unwatched())
    try:
        one, other = mirrored.window(), mirrored.window()
        live.mux.set_window_option(other, "remain-on-exit", "off")
        live.mux.kill_window(one)
        mirrored.hears_the_end_of(one)
        mirrored.end(other)
        mirrored.hears_the_end_of(other)
        before = mirrored.mirror.listings
        live.mux.new_window("run-1", "w", "/", {}, "sleep 600")
        mirrored.hears(lambda: mirrored.mirror.listings > before)
    finally:
        mirrored.close()

    assert not mirrored.mirror.watches_processes


def test_a_frozen_server_silences_the_mirror(live: LiveServer, mirrored: Mirrored) -> None:
    """What it knew before is not told any more; once the server goes on, it is."""
    window = mirrored.window()
    with live.frozen():
        with pytest.raises(TransportError), mirrored.mux.budget(0.5):
            mirrored.mirror.refresh()
        with pytest.raises(TransportUnavailable, match="its last listing failed"):
            mirrored.mirror.window_alive("run-1", window)
    mirrored.mirror.refresh()

    assert mirrored.mirror.window_alive("run-1", window) is True


def test_a_server_in_place_of_another_is_never_spoken_of(live: LiveServer, mirrored: Mirrored) -> None:
    """Though it has the same names and ids."""
    window = mirrored.window()
    live.kill()
    live.mux.new_session("run-1", "/")
    while live.mux.new_window("run-1", "w", "/", {}, "sleep 600") != window:
        continue
    with pytest.raises(TransportUnavailable, match="another server"):
        mirrored.mirror.refresh()
    with pytest.raises(TransportUnavailable, match="another server"):
        mirrored.mirror.window_alive("run-1", window)

    assert live.mux.window_alive("run-1", window) is True


def test_after_a_reconnection_it_lists_before_it_speaks(live: LiveServer, mirrored: Mirrored) -> None:
    """The end of the connection is heard, too."""
    window = mirrored.window()
    # By its pid: tmux 3.3a may die of another client that detaches one whose session ends with it.
    client = live.processes.identify(int(mirrored.mux._ask(("display-message", "-p", "#{client_pid}"))))
    assert client is not None
    assert live.processes.signal(client, signal.SIGKILL)
    mirrored.hears(lambda: mirrored.transport.epoch == 2)
    heard = mirrored.mirror.window_alive("run-1", window)
    mirrored.transport.close()
    # Somebody else asks, and the client is connected anew.
    for answered in tenacity.Retrying(stop=tenacity.stop_after_delay(PATIENCE_S), reraise=True):
        with answered:
            assert mirrored.mux.has_session("run-1")
            assert mirrored.transport.epoch == 3
    with pytest.raises(TransportUnavailable, match="before the connection"):
        mirrored.mirror.window_alive("run-1", window)
    mirrored.mirror.look()

    assert heard is True
    assert mirrored.mirror.window_alive("run-1", window) is True


@pytest.mark.skipif(not pidfd_works(), reason="this kernel gives no pidfds")
def test_descriptors_are_given_back(mirrored: Mirrored) -> None:
    """Of the windows that went, and at the end of all."""

    def held() -> int:
        """Descriptors of processes; the directory that is read here has one as well, and it is gone."""
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        return sum(os.path.lexists(link) and "pidfd" in os.readlink(link) for link in links)

    before = held()
    windows = [mirrored.window() for _ in range(5)]
    watching = held()
    for window in windows[:3]:
        mirrored.mux.kill_window(window)
    mirrored.mirror.refresh()
    fewer = held()
    mirrored.mirror.close()

    # The session has the window that it was made with, too.
    assert (watching - before, fewer - before, held() - before) == (6, 3, 0)
