"""A server whose socket has gone: told to make it anew where it is proven ours and alive, and never given a second one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from canned_tmux import verbs

from backends.errors import TransportUnavailable
from backends.fake_transport import FakeTransport
from backends.posix_signals import SIGUSR1
from backends.processes import Completed
from backends.simulation import FakeServer
from backends.tmux import TmuxMultiplexer


class Mishap(FakeTransport):
    """The server loses its socket, or dies, just before a client with that word asks; or nobody listens at its socket."""

    cuts_before = ""
    kills_before = ""
    stale = False

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        if self.stale:
            return Completed(tuple(argv), 1, b"", b"no server running on /sim/socket/tmux\n")
        if self.cuts_before in (*argv, *verbs(argv[1:])):
            self.server.socket_unlinked = True
        if self.kills_before in (*argv, *verbs(argv[1:])):
            self.server.kill()
        return super().run(argv, stdin=stdin, timeout_s=timeout_s)


class Host:
    """A simulated tmux with session `run-1`, whose socket is cut off."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.transport = Mishap(self.server)
        self.mux = self.multiplexer()
        self.mux.new_session("run-1", "/")
        self.server.socket_unlinked = True

    def multiplexer(self) -> TmuxMultiplexer:
        """One more of this server; it knows of it what is on the disk."""
        server = self.server
        return TmuxMultiplexer(
            Path("/sim/socket"),
            transport=self.transport,
            clock=server.clock,
            processes=server.processes,
            disk=server.disk,
            environment={},
            prepare=server.disk.mkdir,
        )

    @property
    def sent(self) -> list[tuple[int, int]]:
        """Every signal, and to whom."""
        return self.server.processes.sent


def test_our_living_server_is_told_once_and_the_next_question_is_answered() -> None:
    """The question that met no socket stays unknown."""
    host = Host()
    assert host.server.identity is not None

    with pytest.raises(TransportUnavailable, match="alive: it was told to make its socket anew"):
        host.mux.has_session("run-1")
    assert host.mux.has_session("run-1")
    assert host.sent == [(host.server.identity.pid, SIGUSR1)]


def test_a_stopped_server_makes_its_socket_once_it_goes_on() -> None:
    """As a signal does that is pending until then."""
    host = Host()
    host.server.freeze()

    for _ in range(2):
        with pytest.raises(TransportUnavailable, match="alive"):
            host.mux.has_session("run-1")
    host.server.thaw()
    assert host.mux.has_session("run-1")


def test_whoever_has_the_pid_of_our_server_by_now_is_sent_nothing() -> None:
    """The recorded process is dead, whatever runs under its number."""
    host = Host()
    assert host.server.identity is not None
    pid = host.server.identity.pid
    host.server.kill()
    host.server.socket_unlinked = True
    host.server.clock.sleep(1)
    host.server.processes.spawn(pid=pid)

    assert host.mux.has_session("run-1") is False
    assert host.sent == []


def test_whoever_cannot_be_looked_at_is_sent_nothing() -> None:
    """What may be somebody else's process is not signalled on the chance that it is ours."""
    host = Host()
    assert host.server.identity is not None
    host.server.processes.unknowable.add(host.server.identity.pid)

    with pytest.raises(TransportUnavailable, match="is unknown"):
        host.mux.has_session("run-1")
    assert host.sent == []


@pytest.mark.parametrize("verb", ["display-message", "new-session"])
def test_no_second_server_is_started_whenever_the_socket_goes(verb: str) -> None:
    """Before the server is asked who it is, or between that and the new session: the first one is told, and answers."""
    host = Host()
    host.server.socket_unlinked = False
    host.transport.cuts_before = verb

    with pytest.raises(TransportUnavailable, match="told to make its socket anew"):
        host.mux.new_session("run-2", "/")
    host.transport.cuts_before = ""
    host.mux.new_session("run-2", "/")
    assert host.transport.orphans == []
    assert host.mux.list_sessions() == ["run-1", "run-2"]


def test_the_record_is_there_again_for_those_who_come_later() -> None:
    """Without it a missing socket would mean that no server was ever started."""
    host = Host()
    host.server.disk.remove("/sim/socket/server.json")

    with pytest.raises(TransportUnavailable, match="told"):
        host.mux.has_session("run-1")
    host.server.socket_unlinked = True
    with pytest.raises(TransportUnavailable, match="told"):
        host.multiplexer().new_session("run-1", "/")
    assert host.transport.orphans == []


def test_who_remembers_a_server_that_is_gone_looks_up_its_successor() -> None:
    """Another process has started one since, and a missing socket proves nothing about it."""
    host = Host()
    host.server.socket_unlinked = False
    host.server.kill()
    host.multiplexer().new_session("run-2", "/")
    host.server.socket_unlinked = True

    with pytest.raises(TransportUnavailable, match="told to make its socket anew"):
        host.mux.has_session("run-2")
    host.server.socket_unlinked = True
    with pytest.raises(TransportUnavailable):
        host.mux.shutdown()
    assert host.multiplexer().has_session("run-2")
    assert host.transport.orphans == []


def test_a_socket_that_another_server_has_left_behind_is_made_anew_too() -> None:
    """Nobody listens at it, and our server lives."""
    host = Host()
    host.server.socket_unlinked = False
    host.transport.stale = True

    with pytest.raises(TransportUnavailable, match=r"no server running on .* told to make its socket anew"):
        host.mux.has_session("run-1")
    host.transport.stale = False
    assert [signum for _, signum in host.sent] == [SIGUSR1]
    assert host.mux.has_session("run-1")


def test_a_server_that_makes_no_sockets_is_sent_nothing() -> None:
    """The signal would end it."""
    host = Host()
    host.mux.mends_socket = False

    with pytest.raises(TransportUnavailable, match="alive"):
        host.mux.has_session("run-1")
    assert host.sent == []


def test_a_server_that_died_between_two_questions_is_followed_by_another() -> None:
    """Seen alive, and proven gone when the session is to be made: one call makes the next server and the session."""
    host = Host()
    host.server.socket_unlinked = False
    first = host.server.identity
    host.transport.kills_before = "-N"

    host.mux.new_session("run-2", "/")
    assert host.server.identity != first
    assert host.mux.list_sessions() == ["run-2"]
