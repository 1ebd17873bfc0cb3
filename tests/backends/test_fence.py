"""What a server comes to after the call has given up is not carried out: every change stands behind a fence inside of it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pexpect
import pytest
from canned_tmux import RecordingTransport, canned, completed, healthy, outcome, verbs
from live_tmux import CLOCK, eventually, live_tmux
from test_backend_tmux_live import RECORDER

from backends.control import KEEPER
from backends.errors import MultiplexerError, TransportTimeout
from backends.fake_transport import FakeTransport
from backends.operations import OPERATIONS, Kind
from backends.posix_signals import SIGCONT, SIGSTOP
from backends.processes import Completed
from backends.simulated_programs import FakeProcess
from backends.simulation import FakeServer
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport, Transport
from backends.words import NOT_IN_TIME, NOT_READY

AGENT = "@1"
CHANGES: Mapping[str, Mapping[str, object]] = {
    "new_session": {"name": "late", "cwd": "/"},
    "set_session_option": {"name": "run-1", "option": "@late", "value": "late"},
    "new_window": {"session": "run-1", "name": "late", "cwd": "/", "env": {}, "command": "sleep 1000"},
    "new_parked_window": {"session": "run-1", "name": "late", "cwd": "/", "argv": ["true"], "return_opt": "@back"},
    "set_window_option": {"target": AGENT, "option": "@late", "value": "late"},
    "unset_window_option": {"target": AGENT, "option": "@set"},
    "select_window": {"target": AGENT},
    "pipe_pane": {"window_id": AGENT, "log_file": "/dev/null"},
    "send_text": {"window_id": AGENT, "text": "late"},
    "kill_window": {"target": AGENT},
    "kill_session": {"name": "run-1"},
}
"""Every operation that alters a server, as it is asked of one with session `run-1` and, in it, the window `AGENT`."""

_WINDOWS = "#{session_name} #{@late} #{window_id} #{window_name} #{window_active} #{@set} #{pane_pipe}"


def report(mux: TmuxMultiplexer) -> str:
    """What of a server can be altered, but for what is typed; a keeper session comes and goes with its client."""
    lines = mux._ask(("list-windows", "-a", "-F", _WINDOWS)).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(KEEPER))


def asked(mux: TmuxMultiplexer, operation: str) -> MultiplexerError | BaseException | None:
    """Ask for that change; the error that came of it, swallowed or not."""
    came = outcome(mux, operation, CHANGES[operation])
    return came.error or came.degraded


class Hesitant:
    """Around a transport: `before` is called before each change up to one that is answered; probes were answered before that.

    So the server is caught between the question who it is and the change.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._known: dict[tuple[str, ...], Completed] = {}
        self.before: Callable[[], object] | None = None

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        probing = {"display-message", "list-panes", "list-clients"}.issuperset(verbs(argv[1:], stdin))
        if probing and self.before is not None:
            return self._known[tuple(argv)]
        if self.before is not None:
            self.before()
        done = self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)
        if not probing:
            self.before = None
        if probing:
            self._known[tuple(argv)] = done
        return done

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""


class Reader:
    """A program that keeps what is typed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, process: FakeProcess) -> Reader | None:
        """See `Programs`."""
        return self if process.argv[0] == "reader" else None

    def start(self) -> None:
        """See `Program`."""

    def typed(self, text: str) -> None:
        """See `Program`."""
        self.lines.append(text)

    def signalled(self, signum: int) -> bool:
        """See `Program`."""
        return False


class Simulated:
    """A simulated server whose clients wait for ten seconds."""

    def __init__(self) -> None:
        self.reader = Reader()
        self.server = FakeServer(programs=self.reader)
        self.transport = Hesitant(FakeTransport(self.server))
        self.mux = TmuxMultiplexer(
            Path("/sim/socket"),
            transport=self.transport,
            clock=self.server.clock,
            call_timeout_s=10,
            processes=self.server.processes,
            disk=self.server.disk,
            environment={},
            prepare=self.server.disk.mkdir,
        )
        self.mux.new_session("run-1", "/")
        assert self.mux.new_window("run-1", "agent", "/", {}, "reader") == AGENT
        self.mux.set_window_option(AGENT, "@set", "set")
        self.mux.window_pids(AGENT)
        self.mux.server_identity()
        self.server.clock.sleep(1)

    def report(self) -> tuple[str, object, object]:
        """Everything that can be altered."""
        self.server.clock.sleep(1)
        return report(self.mux), tuple(self.reader.lines), dict(self.server.buffers)

    def stop_for(self, seconds: float) -> None:
        """The server answers nobody for so long."""
        self.server.freeze()
        self.server.clock.call_later(seconds, self.server.thaw)


def test_every_operation_that_alters_a_server_is_here() -> None:
    """But for what is about the terminal of a person, which has a test of its own."""
    asking = {"list_sessions", "session_options", "list_windows", "show_window_option", "version"}
    own = {"current_pane_id", "current_window_id", "current_session", "detach_client", "switch_client"}
    told = {name for name, found in OPERATIONS.items() if found.kind in (Kind.CHANGE, Kind.COURTESY)}

    assert set(CHANGES) == told - asking - own


@pytest.mark.parametrize("operation", CHANGES)
def test_what_a_server_comes_to_in_time_is_done(operation: str) -> None:
    """A server that is slow is no server that is late."""
    host = Simulated()
    before = host.report()
    host.transport.before = lambda: host.stop_for(7)

    assert asked(host.mux, operation) is None
    if operation != "kill_session":
        assert host.report() != before
    assert host.mux.has_session("run-1") is (operation != "kill_session")


@pytest.mark.parametrize("operation", CHANGES)
def test_what_a_server_comes_to_too_late_is_never_done(operation: str) -> None:
    """The caller was told that it is unknown; nothing comes of it when the server goes on, and nothing is left of it."""
    host = Simulated()
    before = host.report()
    host.transport.before = lambda: host.stop_for(12)

    error = asked(host.mux, operation)
    host.transport.before = None
    host.server.clock.sleep(5)

    assert type(error) is TransportTimeout
    assert host.report() == before


@pytest.mark.parametrize("operation", CHANGES)
def test_a_clock_that_jumps_makes_a_change_one_that_was_not_carried_out(operation: str) -> None:
    """The client is there to read that nothing was done, and asking once more does it."""
    host = Simulated()
    before = host.report()
    host.transport.before = lambda: host.server.clock.jump_wall(3600)

    error = asked(host.mux, operation)

    assert type(error) is TransportTimeout
    assert "not carried out" in str(error)
    assert host.report() == before
    assert asked(host.mux, operation) is None


@pytest.mark.parametrize("operation", sorted(CHANGES))
def test_a_server_that_came_in_between_changes_nothing(operation: str) -> None:
    """It has the same names and ids, and was not the one that said who it is."""
    host = Simulated()

    def replace() -> None:
        host.server.restart()
        other = host.server.make_session("run-1", "/")
        for _ in range(2):
            host.server.make_window(other, "theirs", "/", {}, ["cat"])

    host.transport.before = replace
    error = asked(host.mux, operation)

    # A window of a server that is proven gone is gone.
    assert isinstance(error, MultiplexerError) or operation == "kill_window"
    assert {window.name for window in host.server.windows.values()} == {"theirs"}
    assert len(host.server.windows) == 2
    assert host.server.sessions["run-1"].options == {}


@pytest.mark.parametrize("operation", ["new_window", "new_parked_window", "kill_session"])
def test_a_session_that_was_made_anew_in_between_is_another_one(operation: str) -> None:
    """As by a resume, while the client of an engine that was killed still waits: under the same name nothing is meant."""
    host = Simulated()

    def make_anew() -> None:
        host.server.end_session(host.server.sessions["run-1"])
        host.server.make_window(host.server.make_session("run-1", "/"), "new", "/", {}, ["cat"])

    host.mux.new_session("run-2", "/")
    host.transport.before = make_anew
    asked(host.mux, operation)

    assert [window.name for window in host.server.sessions["run-1"].windows()] == ["new"]


def test_a_server_that_was_started_without_a_clock_is_given_one() -> None:
    """By a tmux of somebody's own, or by one of us that knew of no fence: the change is asked for once more."""
    host = Simulated()
    del host.server.session_defaults["@seamripper_now"]

    host.mux.kill_window(AGENT)
    assert host.mux.list_window_ids("run-1") == ["@0"]
    assert host.server.session_defaults["@seamripper_now"] == "%s"


@pytest.mark.parametrize("said", [NOT_IN_TIME, NOT_READY])
@pytest.mark.parametrize("operation", CHANGES)
def test_a_change_that_was_not_carried_out_is_no_answer(operation: str, said: str) -> None:
    """Whatever was due: it is neither done nor refused."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Completed:
        fenced = "if-shell" in argv or b"if-shell" in stdin
        return completed(stdout=said.encode()) if fenced else healthy(argv, stdin)

    mux, transport = canned(reply)
    error = asked(mux, operation)

    assert type(error) is TransportTimeout
    assert changes_of(transport) == (1 if said == NOT_IN_TIME else 2)


def changes_of(transport: RecordingTransport) -> int:
    """How many changes were asked for."""
    return sum("if-shell" in argv or b"if-shell" in stdin for argv, stdin, _ in transport.calls)


@pytest.mark.parametrize(("budget_s", "wall_s", "fence"), [(10, 0.0, 10), (10, 0.9, 10), (5.2, 0.9, 6), (0.1, 0.9, 2)])
def test_a_fence_falls_with_the_call_or_within_two_seconds(budget_s: float, wall_s: float, fence: int) -> None:
    """No change is carried out after its call, unless that had no time to see a second pass."""
    mux, transport = canned()
    began = int(mux.clock.wall())
    mux.clock.sleep(wall_s)

    with mux.budget(budget_s):
        mux.set_session_option("run-1", "@x", "x")
    argv, _, _ = transport.calls[-1]
    (deadline,) = re.findall(r"T:@seamripper_now}x,([0-9]+)}", " ".join(argv))
    assert int(deadline) - began == fence


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed")
def test_nothing_that_a_real_server_comes_to_too_late_is_done() -> None:
    """Each of the changes was with it before it went on, and each client was gone."""
    with live_tmux("process") as live:
        process, received = live.process(), live.scratch / "typed"
        reader = f"{sys.executable} -c '{RECORDER}' {received}"
        assert live.mux.new_window("run-1", "agent", "/", {}, reader) == AGENT
        eventually(received.exists)
        hesitant = Hesitant(SubprocessTransport(live.processes))
        mux = TmuxMultiplexer(live.mux.socket_path.parent, transport=hesitant, call_timeout_s=0.3)
        live.mux.set_window_option(AGENT, "@set", "set")
        eventually(lambda: outcome(mux, "window_pids", {"target": AGENT}).answer)
        eventually(lambda: outcome(mux, "server_identity", {}).answer)
        eventually(lambda: outcome(mux, "new_window", {**CHANGES["new_window"], "name": "in-time"}).answer)
        before = report(live.mux)

        hesitant.before = lambda: live.processes.signal(process, SIGSTOP)
        errors = {operation: type(asked(mux, operation)) for operation in CHANGES}
        CLOCK.sleep(2.1)
        live.processes.signal(process, SIGCONT)
        live.mux.send_text(AGENT, "x")

        assert errors == dict.fromkeys(CHANGES, TransportTimeout)
        eventually(lambda: received.read_bytes() == b"x\r")
        assert report(live.mux) == before
        assert live.mux._ask(("list-buffers",)) == ""


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed")
def test_a_terminal_stays_where_it_is_when_a_real_server_comes_to_it_too_late() -> None:
    """Who is to be detached, or sent to another session, is so in time or not at all."""
    with live_tmux("process") as live:
        process, socket = live.process(), str(live.mux.socket_path)
        place = {"TMUX": f"{socket},{process.pid},0", "TMUX_PANE": "%0", "TERM": "xterm"}
        terminal = pexpect.spawn(
            "tmux", ["-S", socket, "attach", "-t", "=run-1"], env={**os.environ, **place, "TMUX": ""}
        )
        hesitant = Hesitant(SubprocessTransport(live.processes))
        mux = TmuxMultiplexer(
            live.mux.socket_path.parent,
            transport=hesitant,
            call_timeout_s=0.3,
            environment={**os.environ, **place},
        )
        live.mux.new_session("run-9", "/")
        for name in ("run-9", "run-1"):
            eventually(partial(sent, mux, name))
        eventually(lambda: shown(live.mux), ["run-1"].__eq__)

        hesitant.before = lambda: live.processes.signal(process, SIGSTOP)
        came = [outcome(mux, "detach_client", {}), outcome(mux, "switch_client", {"target": "=run-9"})]
        CLOCK.sleep(2.1)
        live.processes.signal(process, SIGCONT)

        assert [type(one.degraded) for one in came] == [TransportTimeout, TransportTimeout]
        assert shown(live.mux) == ["run-1"]
        terminal.close(force=True)


def sent(mux: TmuxMultiplexer, session: str) -> object:
    """Whether a terminal was sent to that session."""
    return outcome(mux, "switch_client", {"target": f"={session}"}).answer


def shown(mux: TmuxMultiplexer) -> list[str]:
    """The sessions that terminals show."""
    return mux._ask(("list-clients", "-F", "#{session_name}")).splitlines()
