"""A native id that was learnt of one server is used with no other, whenever within an operation that one takes its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from canned_tmux import outcome
from live_tmux import live_tmux
from test_fence import CHANGES, Reader

from backends.errors import TargetMissing, TransportError
from backends.fake_transport import FakeTransport
from backends.operations import OPERATIONS
from backends.processes import Completed
from backends.simulation import FakeServer
from backends.tmux import TmuxMultiplexer

WINDOW = "@1"
ASKING: Mapping[str, Mapping[str, object]] = {
    "window_pids": {"target": WINDOW},
    "window_exit": {"target": WINDOW},
    "show_window_option": {"target": WINDOW, "option": "@set"},
}
TO_A_WINDOW = [name for name, given in CHANGES.items() if WINDOW in given.values()]
BY_ID = {**{name: CHANGES[name] for name in TO_A_WINDOW}, **ASKING}
"""Every operation that may be given a window's native id."""
QUESTIONS = 4
"""More than any of them asks."""


class Counting:
    """Around a transport: `between` is called before the question of that number (from 0), counted from when it was set."""

    def __init__(self, inner: FakeTransport) -> None:
        self._inner = inner
        self._left = -1
        self._between: Callable[[], object] = list

    def before(self, question: int, between: Callable[[], object]) -> None:
        """Call `between` once, before that question from now on."""
        self._left, self._between = question, between

    @property
    def reached(self) -> bool:
        """Whether it was called."""
        return self._left < 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        if self._left == 0:
            self._between()
        self._left -= 1
        return self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""


class TwoRuns:
    """Two runs of one root: the server of one of them dies, and the other one starts the next."""

    def __init__(self) -> None:
        self.reader = Reader()
        self.server = FakeServer(programs=self.reader)
        self.transport = Counting(FakeTransport(self.server))
        self.mux = self.multiplexer(self.transport)
        self.mux.new_session("run-1", "/")
        assert self.mux.new_window("run-1", "agent", "/", {}, "reader") == WINDOW
        self.mux.set_window_option(WINDOW, "@set", "ours")

    def multiplexer(self, transport: Counting) -> TmuxMultiplexer:
        """Another process's, on the same server."""
        return TmuxMultiplexer(
            Path("/sim/socket"),
            transport=transport,
            clock=self.server.clock,
            call_timeout_s=10,
            processes=self.server.processes,
            disk=self.server.disk,
            environment={},
            prepare=self.server.disk.mkdir,
        )

    def replace(self) -> None:
        """The server is the other run's now, and that has a window of the same id."""
        self.replace_by_an_empty_one()
        self.open_theirs()

    def replace_by_an_empty_one(self) -> None:
        """The server is the other run's now, which has opened no window yet."""
        self.server.kill()
        self.multiplexer(Counting(FakeTransport(self.server))).new_session("run-2", "/")

    def open_theirs(self) -> None:
        """The other run opens a window, which gets the id of ours."""
        other = self.multiplexer(Counting(FakeTransport(self.server)))
        assert other.new_window("run-2", "theirs", "/", {}, "reader") == WINDOW
        other.set_window_option(WINDOW, "@set", "theirs")

    def theirs(self) -> object:
        """Everything that could have been done to the other run's window."""
        self.server.clock.sleep(1)
        windows = [(w.id, w.name, dict(w.options)) for w in self.server.windows.values()]
        asked = self.multiplexer(Counting(FakeTransport(self.server)))._ask(
            ("list-windows", "-a", "-F", "#{window_id} #{window_active} #{pane_pipe} #{@late}")
        )
        return windows, asked, list(self.reader.lines), dict(self.server.buffers)


def untouched() -> object:
    """What the other run's window looks like when nobody has done anything to it."""
    host = TwoRuns()
    host.replace()
    return host.theirs()


def test_every_operation_that_may_be_given_an_id_is_here() -> None:
    """But for the one that asks about a session by name, and the one that asks nobody."""
    named = {"target", "window_id"}
    takes = {name for name, found in OPERATIONS.items() if named & set(found.arguments)}

    assert takes - {"window_alive", "attach_target_argv", "switch_client"} == set(BY_ID)


@pytest.mark.parametrize("question", range(QUESTIONS))
@pytest.mark.parametrize("operation", sorted(BY_ID))
def test_a_server_of_another_run_that_comes_in_between_is_not_used(operation: str, question: int) -> None:
    """Before whichever question of the operation: its window of that id is neither touched nor told of."""
    host = TwoRuns()
    host.transport.before(question, host.replace)
    came = outcome(host.mux, operation, BY_ID[operation])
    error = came.error or came.degraded
    if not host.transport.reached:
        assert error is None
        return

    assert host.theirs() == untouched()
    assert isinstance(error, TargetMissing | TransportError) or operation == "kill_window"


@pytest.mark.parametrize("question", range(QUESTIONS))
@pytest.mark.parametrize("operation", sorted(BY_ID))
def test_nor_where_no_pane_is_known_yet(operation: str, question: int) -> None:
    """As of a window that was adopted: it was listed, and made by another process."""
    host = TwoRuns()
    host.mux = host.multiplexer(host.transport)
    assert WINDOW in host.mux.list_window_ids("run-1")
    host.transport.before(question, host.replace)
    outcome(host.mux, operation, BY_ID[operation])

    assert not host.transport.reached or host.theirs() == untouched()


@pytest.mark.parametrize("operation", sorted(BY_ID))
def test_an_id_stays_gone_until_the_next_server_is_asked_for_a_name(operation: str) -> None:
    """Asking twice does not make it another window's; a listing does."""
    host = TwoRuns()
    host.replace()
    came = [outcome(host.mux, operation, BY_ID[operation]) for _ in range(2)]

    errors = [type(one.error or one.degraded) for one in came]
    assert errors == [type(None) if operation == "kill_window" else TargetMissing] * 2
    assert host.theirs() == untouched()
    assert WINDOW in host.mux.list_window_ids("run-2")
    now = outcome(host.mux, operation, BY_ID[operation])
    assert (now.error or now.degraded) is None


@pytest.mark.parametrize("operation", sorted(BY_ID))
def test_an_id_that_the_next_server_has_not_is_gone_when_it_has(operation: str) -> None:
    """Its word that there is none is proof, and makes no later window of its own ours."""
    host = TwoRuns()
    host.replace_by_an_empty_one()
    first = outcome(host.mux, operation, BY_ID[operation])
    host.open_theirs()
    then = outcome(host.mux, operation, BY_ID[operation])

    errors = [type(one.error or one.degraded) for one in (first, then)]
    assert errors == [type(None) if operation == "kill_window" else TargetMissing] * 2
    assert host.theirs() == untouched()


def test_of_so_many_windows_only_the_newest_panes_are_remembered() -> None:
    """Most windows of a long run end without being killed, and nobody tells of it."""
    host = TwoRuns()
    for number in range(1100):
        host.mux.new_window("run-1", f"agent-{number}", "/", {}, "reader")
        host.mux._ask(("kill-window", "-t", f"@{number + 2}"))

    assert len(host.mux._first_panes) == 1000
    host.mux.send_text(WINDOW, "still")
    host.server.clock.sleep(1)
    assert host.reader.lines == ["still"]
    assert len(host.mux._first_panes) == 1000


@pytest.mark.live
@pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed")
@pytest.mark.parametrize("kind", ["process", "control"])
def test_a_real_server_of_another_run_is_not_used_by_the_ids_of_the_one_before(kind: str) -> None:
    """However it is asked: each operation by id finds its window gone, and the other run's is as it was."""
    with live_tmux(kind) as live:
        window = live.mux.new_window("run-1", "agent", live.scratch, {}, "sleep 1000")
        given = {
            name: {key: window if value == WINDOW else value for key, value in of.items()} for name, of in BY_ID.items()
        }
        live.kill()
        # Without a keeper, whose window has an id as well.
        other = TmuxMultiplexer(live.mux.socket_path.parent, transport_kind="process")
        other.new_session("run-2", live.scratch)
        while (theirs := other.new_window("run-2", "theirs", live.scratch, {}, "cat")) != window:
            assert int(theirs[1:]) < int(window[1:])
        shown = ("list-windows", "-t", "=run-2:", "-F", "#{window_id} #{window_active} #{pane_pipe} #{@late}")
        before = other._ask(shown)
        came = {name: outcome(live.mux, name, of) for name, of in given.items()}

        errors = {name: type(one.error or one.degraded) for name, one in came.items()}
        assert errors == {**dict.fromkeys(BY_ID, TargetMissing), "kill_window": type(None)}
        assert other._ask(shown) == before
        assert other._ask(("capture-pane", "-p", "-t", window)).strip() == ""
        other.disconnect()
