"""The control-mode client on a real server: what it must survive, and what it must not leave."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_tmux import LiveServer, eventually, live_tmux

from backends.control import ControlTransport
from backends.errors import TargetMissing
from backends.processes import Liveness
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="without setpriv everything goes by process"),
]

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import sys
from pathlib import Path
from backends.control import ControlTransport
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport
transport = ControlTransport(SubprocessTransport())
mux = TmuxMultiplexer(Path(sys.argv[1]), transport=transport)
mux.has_session("run-1")
print(transport.connected, flush=True)
while True:
    mux.list_windows("run-1", ("window_id",))
"""
"""A program that asks through a client of its own until it is killed."""


class Control:
    """A multiplexer in control mode beside `live`, which asks the same server by process."""

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        self.transport = ControlTransport(SubprocessTransport(live.processes))
        self.mux = TmuxMultiplexer(live.mux.socket_path.parent, transport=self.transport)
        assert self.mux.has_session("run-1")
        assert self.transport.connected

    def names(self) -> list[str]:
        """The windows of `run-1` by name, as a client of its own sees them."""
        return [row[0] for row in self.live.mux.list_windows("run-1", ("window_name",))]


@pytest.fixture
def live() -> Iterator[LiveServer]:
    """A server of its own for each test."""
    with live_tmux("process") as one:
        yield one


@pytest.fixture
def control(live: LiveServer) -> Iterator[Control]:
    """Connected to it, with deadlines that only a hang misses."""
    made = Control(live)
    yield made
    made.transport.close()


def opened(control: Control, name: str) -> str:
    """A new window of `run-1` that stays."""
    return control.mux.new_window("run-1", name, "/", {}, "sleep 600")


def argv(control: Control, *words: str) -> tuple[str, ...]:
    """The argv of a client for one command."""
    return ("tmux", "-u", "-S", str(control.mux.socket_path), "-f", "/dev/null", *words)


def test_a_change_that_was_not_read_in_time_is_taken_back(live: LiveServer, control: Control) -> None:
    """The server goes on and makes nothing; the client is the same as before, and answers."""
    with live.frozen():
        for _ in range(3):
            with pytest.raises(subprocess.TimeoutExpired):
                control.transport.run(argv(control, "new-window", "-d", "-n", "late", "-t", "=run-1:"), timeout_s=0.3)

    assert control.mux.has_session("run-1")
    assert "late" not in control.names()
    assert control.transport.epoch == 1


def test_a_text_that_was_sent_in_part_is_not_typed(live: LiveServer, control: Control) -> None:
    """What is longer than a socket holds is cut off by the deadline; what was sent of it is never taken for a command."""
    made = control.mux.new_window("run-1", "reader", "/", {}, f"cat > {live.scratch}/typed")
    control.mux.send_text(made, "before")
    buffer = ("load-buffer", "-b", "b", "-", ";", "paste-buffer", "-d", "-b", "b", "-t", made)
    with live.frozen(), pytest.raises(subprocess.TimeoutExpired):
        control.transport.run(argv(control, *buffer), stdin=b"late\n" * 200_000, timeout_s=0.5)
    control.mux.send_text(made, "after")

    eventually(lambda: live.lines("typed") == ["before", "after"])


def test_a_client_that_is_stopped_is_no_matter(live: LiveServer, control: Control) -> None:
    """Once it is attached the server reads and writes its pipes itself; it is ended all the same."""
    (row,) = live.mux._ask(("list-clients", "-F", "#{client_pid}")).splitlines()
    client = live.processes.identify(int(row))
    assert client is not None
    live.processes.signal(client, signal.SIGSTOP)
    opened(control, "w")
    names = control.names()
    control.transport.close()

    assert "w" in names
    eventually(lambda: live.processes.liveness(client) is Liveness.DEAD)
    assert live.mux._ask(("list-sessions", "-F", "#{session_name}")) == "run-1\n"


def test_a_text_of_a_megabyte_goes_in_one_request(live: LiveServer, control: Control) -> None:
    """And arrives whole."""
    control.transport.run(
        argv(control, "load-buffer", "-b", "b", "-"), stdin=b"0123456789abcde\n" * 65_536, timeout_s=60
    )
    control.transport.close()
    size = live.mux._ask(("list-buffers", "-F", "#{buffer_name} #{buffer_size}"))

    assert size == f"b {1 << 20}\n"


def test_an_answer_that_looks_like_an_end_is_still_the_answer(control: Control) -> None:
    """Whoever writes such lines into an option is read literally."""
    value = "a\n%end 1 2 1\n%error 1 2 1\n%exit\n%begin 1 2 1"
    control.mux.set_window_option("@0", "@forged", value)

    assert control.mux.show_window_option("@0", "@forged") == value
    assert control.transport.epoch == 1


def test_a_server_that_was_killed_is_absence_and_its_successor_is_connected_to(
    live: LiveServer, control: Control
) -> None:
    """The client that is lost is no proof; the question is asked again by process."""
    live.kill()
    gone = control.mux.has_session("run-1")
    connected = control.transport.connected
    control.mux.new_session("run-1", "/")
    control.mux.list_window_ids("run-1")

    assert (gone, connected) == (False, False)
    assert control.transport.connected
    assert control.transport.epoch == 2


def test_a_change_that_a_lost_server_had_not_read_was_not_made(live: LiveServer, control: Control) -> None:
    """That is known: it could be taken back, and nobody is there to make it."""
    server = live.process()
    live.processes.signal(server, signal.SIGSTOP)
    asking = threading.Timer(0.5, lambda: live.processes.signal(server, signal.SIGKILL))
    asking.start()
    with pytest.raises(TargetMissing):
        control.mux._ask(("new-window", "-d", "-t", "=run-1:"))
    asking.join()

    assert control.mux.has_session("run-1") is False


def test_the_keeper_is_nobodys_session(live: LiveServer, control: Control) -> None:
    """It is in no listing, agents' sessions are attached to by nobody, and it ends with its client."""

    def attached() -> list[str]:
        assert control.mux.has_session("run-1")
        return live.mux._ask(("list-sessions", "-F", "#{session_name} #{session_attached}")).splitlines()

    # On a host that is slow a client that was not answered in time ends, and the next call that is answered connects again.
    eventually(lambda: len(attached()) == 2)
    assert "run-1 0" in attached()
    sessions = [mux.list_sessions() for mux in (control.mux, live.mux)]
    options = control.mux.session_options("@any")
    control.transport.close()

    assert (sessions, options) == ([["run-1"], ["run-1"]], {})
    eventually(lambda: live.mux._ask(("list-sessions", "-F", "#{session_name}")) == "run-1\n")


def test_absence_and_refusal_are_told_as_by_a_process(control: Control) -> None:
    """The same errors with the same words."""
    with pytest.raises(TargetMissing, match="can't find window: @99"):
        control.mux._ask(("kill-window", "-t", "@99"), about="@99")
    plain = control.live.mux
    refused = [
        mux._run("list-windows", "-t", "=run-1:", "-Z").stderr.removeprefix(b"parse error: ")
        for mux in (plain, control.mux)
    ]

    assert refused[0] == refused[1] != b""
    assert control.transport.epoch == 1


def test_threads_take_turns(control: Control) -> None:
    """Each gets the answer to its own question."""
    ids = [opened(control, f"w{n}") for n in range(4)]
    wrong: list[object] = []

    def ask(window_id: str, name: str) -> None:
        for _ in range(50):
            rows = control.mux.list_windows("run-1", ("window_id", "window_name"))
            control.mux.set_window_option(window_id, "@mine", name)
            shown = control.mux.show_window_option(window_id, "@mine")
            if (window_id, name) not in rows or shown != name:
                wrong.append((rows, shown))

    threads = [threading.Thread(target=ask, args=(one, f"w{n}")) for n, one in enumerate(ids)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_client_outlives_the_thread_that_first_asked(live: LiveServer) -> None:
    """The death signal comes when the thread ends that started the client: that is one which lives as long as the process."""
    made: list[Control] = []
    thread = threading.Thread(target=lambda: made.append(Control(live)))
    thread.start()
    thread.join()
    answers = [made[0].mux.has_session("run-1") for _ in range(3)]
    epoch = made[0].transport.epoch
    made[0].transport.close()

    assert (answers, epoch) == ([True, True, True], 1)


@pytest.mark.parametrize("attempt", range(3))
def test_a_driver_that_is_killed_leaves_a_server_that_can_be_used_and_ended(live: LiveServer, attempt: int) -> None:
    """Whatever it was asking: its client and its keeper are gone, and the last session takes the server along."""
    server = live.process()
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(live.mux.socket_path.parent)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"True\n"
    driver.kill()
    driver.communicate()

    eventually(lambda: live.mux._ask(("list-sessions", "-F", "#{session_name}")) == "run-1\n")
    live.mux.kill_session("run-1")
    eventually(lambda: live.processes.liveness(server) is Liveness.DEAD)


def test_without_a_way_to_end_its_client_with_the_driver_it_asks_by_process(live: LiveServer, tmp_path: Path) -> None:
    """And says why."""
    (tmp_path / "tmux").symlink_to(shutil.which("tmux") or "")
    transport = ControlTransport(SubprocessTransport(live.processes), environment={"PATH": str(tmp_path)})
    mux = TmuxMultiplexer(live.mux.socket_path.parent, transport=transport)

    assert mux.has_session("run-1")
    assert not transport.connected
    assert "setpriv" in transport.why
