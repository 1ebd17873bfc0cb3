"""What control mode does to whoever is not careful, each thing on one live server, beside what is done about it.

A killed server, a stopped one, a text of a megabyte and answers that look like frames: `test_backend_control_live.py`. A
killed driver: `test_control_killed_live.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import cast

import pytest
from live_tmux import LiveServer, eventually, live_tmux

from backends.control import KEEPER, ControlTransport
from backends.processes import Liveness
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport
from backends.words import NOT_IN_TIME, NOT_READY, NOW_OPTION, fenced

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="without setpriv everything goes by process"),
]


class Connected:
    """A multiplexer in control mode on `live`, which is asked by process beside it."""

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        self.transport = ControlTransport(SubprocessTransport(live.processes))
        self.mux = TmuxMultiplexer(live.mux.socket_path.parent, transport=self.transport)
        assert self.mux.has_session("run-1")
        assert self.transport.connected

    def run(self, *words: str, timeout_s: float = 60.0) -> str:
        """What a client answers to one command, or the connection in its place."""
        argv = ("tmux", "-u", "-S", str(self.mux.socket_path), "-f", "/dev/null", *words)
        done = self.transport.run(argv, timeout_s=timeout_s)
        return (done.stdout or done.stderr).decode()


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One server for all of them, asked by process."""
    with live_tmux("process") as one:
        yield one


@pytest.fixture
def control(server: LiveServer) -> Iterator[Connected]:
    """Connected to it."""
    made = Connected(server)
    yield made
    made.transport.close()


def ends_by_itself(server: LiveServer, typed: bytes) -> bool:
    """Whether a client in control mode ends that is typed exactly that, and whose input goes on."""
    argv = ["tmux", "-S", str(server.mux.socket_path), "-C", "new-session", "-s", "raw", "tail -f /dev/null"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        # What is typed before there is a session is about somebody else's.
        assert any(line.startswith(b"%session-changed") for line in asking.stdout)
        asking.stdin.write(typed)
        asking.stdin.flush()
        said = list(asking.stdout)
    server.mux.kill_session("raw")
    return said[-1].startswith(b"%exit")


@pytest.mark.parametrize("typed", [b"\n", b"detach-client\n"], ids=["an empty line", "a bare detach-client"])
def test_what_detaches_the_asking_client_is_never_said(server: LiveServer, control: Connected, typed: bytes) -> None:
    """Typed by hand it ends the client; an empty argument, or many newlines, do not."""
    ended = ends_by_itself(server, typed)
    control.run("set-option", "-g", "@lines", "\n\na\n\n")

    assert ended
    assert control.run("show-options", "-gv", "@lines") == "\n\na\n\n\n"
    assert control.run("display-message", "-p", "") in ("", "\n")
    assert control.transport.epoch == 1


def test_a_question_without_a_target_is_about_the_keeper_and_never_asked_for_an_answer(control: Connected) -> None:
    """Which session a process is in is asked by a client of its own, about its own pane."""
    place = {"TMUX": f"{control.mux.socket_path},{control.live.process().pid},0", "TMUX_PANE": "%0"}
    inside = TmuxMultiplexer(
        control.mux.socket_path.parent, transport=control.transport, environment={**os.environ, **place}
    )

    assert control.run("display-message", "-p", "#{session_name}").startswith(KEEPER)
    assert inside.current_session() == "run-1"
    assert control.transport.epoch == 1


UNTIL_THERE = "while test -d {0.parent} && ! test -e {0}; do sleep 0.05; done"
"""A shell that waits for a file, or for the end of its directory."""


@pytest.mark.parametrize(
    "words",
    [
        ("wait-for", "nobody"),
        ("run-shell", UNTIL_THERE),
        ("if-shell", UNTIL_THERE, "show-options -g"),
    ],
    ids=["wait-for", "run-shell", "if-shell"],
)
def test_what_blocks_all_later_replies_goes_by_process(control: Connected, words: tuple[str, ...]) -> None:
    """While one thread waits for what does not come, the others are answered."""
    there = control.live.scratch / f"there-{words[0]}"
    waiting = threading.Thread(target=control.run, args=[word.format(there) for word in words], daemon=True)
    waiting.start()
    answers = [control.mux.has_session("run-1") for _ in range(5)]
    waits = waiting.is_alive()
    there.touch()
    if words[0] == "wait-for":
        control.live.mux._ask(("wait-for", "-S", words[1]))
    waiting.join()

    assert answers == [True] * 5
    assert waits
    assert control.transport.epoch == 1


def test_the_client_takes_no_part_in_the_size_of_windows(control: Connected) -> None:
    """Neither those that were there before it nor those that are made through it; and it is attached to no agent's session."""
    control.mux.new_session("wide", "/", cols=131, lines=41)
    control.mux.new_window("wide", "made", "/", {}, "sleep 600")
    control.mux.disconnect()
    control.mux.has_session("wide")
    sizes = control.mux.list_windows("wide", ("window_width", "window_height"))
    attached = control.run("display-message", "-p", "-t", "=wide:", "#{session_attached}")
    control.mux.kill_session("wide")

    assert control.transport.epoch == 2
    assert sizes == [("131", "41")] * 2
    assert attached == "0\n"


def test_a_pane_that_floods_is_not_held_up_by_a_client_that_nobody_reads(control: Connected) -> None:
    """Twenty megabytes go by while nothing is asked, and none of it comes to us."""
    done = control.live.scratch / "flooded"
    control.mux.new_window(
        "run-1", "flood", "/", {}, f"sh -c 'head -c 20000000 /dev/zero | tr \"\\0\" x; touch {done}'"
    )
    eventually(done.exists)

    assert not [notice for notice in control.transport.notices() if notice.startswith("%output")]
    assert control.mux.has_session("run-1")
    assert control.transport.epoch == 1


def test_windows_of_other_sessions_are_told_of_when_they_close_and_not_when_they_are_kept(control: Connected) -> None:
    """Both forms of a closed window may come; of a pane that stays after its process nobody is told."""
    kept = control.mux.new_window("run-1", "kept", "/", {}, "true")
    eventually(lambda: control.live.mux.window_alive("run-1", kept), lambda alive: not alive)
    closed = control.mux.new_window("run-1", "closed", "/", {}, "sleep 600")
    control.live.mux.kill_window(closed)
    came: list[str] = []

    def told(window: str) -> list[str]:
        came.extend(control.transport.notices())
        forms = (f"%window-close {window}", f"%unlinked-window-close {window}")
        return [notice for notice in came if notice.startswith(forms)]

    eventually(lambda: told(closed))
    assert told(kept) == []


def test_a_client_that_has_let_go_is_gone_with_its_keeper(control: Connected) -> None:
    """Its end is waited for: whoever looks next finds neither."""
    control.transport.close()
    sessions = control.live.mux._ask(("list-sessions", "-F", "#{session_name}"))

    assert KEEPER not in sessions
    assert control.live.mux._ask(("list-clients",)) == ""


@pytest.mark.parametrize("who", ["the connected one", "somebody else"])
def test_the_last_session_takes_the_server_along_although_a_client_is_connected(who: str) -> None:
    """A keeper is nobody's session: who finds only such lets go."""
    with live_tmux("process") as one:
        process = one.process()
        control = Connected(one)
        (control if who == "the connected one" else one).mux.kill_session("run-1")
        gone = control.mux.has_session("run-1")

        eventually(lambda: (control.mux.list_sessions(), one.processes.liveness(process))[1] is Liveness.DEAD)
        assert gone is False


def test_a_keeper_whose_client_is_gone_does_not_keep_the_server() -> None:
    """Where nobody reaps a killed driver's client, as in many containers, its keeper waits for the end of it for ever."""
    with live_tmux("process") as one:
        process = one.process()
        control = Connected(one)
        one.mux._ask(("new-session", "-d", "-s", f"{KEEPER}1-abcdef", "exec tail -f /dev/null"))
        control.mux.kill_session("run-1")

        eventually(lambda: (control.mux.list_sessions(), one.processes.liveness(process))[1] is Liveness.DEAD)


@pytest.mark.parametrize(("kind", "asked"), [("auto", 8), ("control", 1), ("process", None)])
def test_a_client_is_connected_once_it_pays(server: LiveServer, kind: str, asked: int | None) -> None:
    """One that asks a few things makes none; which it is to be can be said."""
    mux = TmuxMultiplexer(server.mux.socket_path.parent, transport_kind=kind)
    transport = cast(ControlTransport, mux._transport)
    connected = []
    for _ in range(10):
        mux.has_session("run-1")
        connected.append(getattr(transport, "connected", False))
    mux.disconnect()

    assert connected.count(False) == (10 if asked is None else asked - 1)
    assert sorted(connected) == connected


@pytest.mark.parametrize(
    ("late_s", "another", "unset", "said"),
    [
        (60, 0, False, ""),
        (0, 0, False, NOT_IN_TIME),
        (60, 1, False, NOT_IN_TIME),
        (60, 0, True, NOT_READY),
    ],
    ids=["in time", "too late", "another server", "without a clock"],
)
def test_what_is_fenced_is_judged_where_the_line_is_read(
    control: Connected, late_s: int, another: int, unset: bool, said: str
) -> None:
    """As by a client of its own: before its deadline, in the server that was meant, and in one that can tell the time."""
    server = control.mux.server_identity()
    assert server is not None
    if unset:
        control.run("set-option", "-gu", NOW_OPTION)
    change = ("set-option", "-g", "@done", f"{late_s}{another}")
    control.run("set-option", "-g", "@done", "no")
    deadline = int(control.mux.clock.wall()) + late_s
    fence = fenced(change, deadline=deadline, server=(server.pid + another, server.started))

    assert control.run(*fence) == said
    assert control.run("show-options", "-gv", "@done") == ("no\n" if said else "600\n")
    assert control.run("show-options", "-gv", NOW_OPTION) == "%s\n"
    assert control.transport.connected
