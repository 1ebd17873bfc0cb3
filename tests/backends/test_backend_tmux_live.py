"""What the tmux backend relies on, on a real tmux: recorded as tests, not remembered."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from live_tmux import PATIENCE_S, LiveServer, eventually, live_tmux

from backends.errors import CommandRejected, TargetMissing, TransportTimeout, TransportUnavailable
from backends.operations import WindowExit
from backends.tmux import TmuxMultiplexer

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed"),
]

RECORDER = """
import os, sys, termios, tty
tty.setraw(0)
os.write(1, b"ready\\n")
with open(sys.argv[1], "wb", buffering=0) as out:
    while True:
        out.write(os.read(0, 65536))
"""
"""A program that writes down every byte that is typed into its window."""


@pytest.fixture(scope="module")
def shared() -> Iterator[LiveServer]:
    """One server for the tests that leave it as they found it."""
    with live_tmux() as live:
        yield live


@pytest.fixture
def own() -> Iterator[LiveServer]:
    """A server for one test, which may freeze or kill it."""
    with live_tmux() as live:
        yield live


@pytest.fixture
def by_socket() -> Iterator[LiveServer]:
    """A server for one test that is about its socket, which every question goes through."""
    with live_tmux("process") as live:
        yield live


def window(live: LiveServer, *argv: str, cwd: str | Path = "/", **env: str) -> str:
    """A new window of `run-1` that runs `argv`."""
    return live.mux.new_window("run-1", "agent", cwd, env, shlex.join(argv))


def recorder(live: LiveServer, name: str) -> tuple[str, Path]:
    """A window that writes what is typed into a file, and the file, once it listens."""
    made = window(live, sys.executable, "-c", RECORDER, str(live.scratch / name))
    eventually((live.scratch / name).exists)
    return made, live.scratch / name


def ended(live: LiveServer, target: str) -> WindowExit | None:
    """How the window's process ended, once it has."""
    return eventually(lambda: live.mux.window_exit(target), lambda found: found is not None)


def test_a_window_lives_and_dies(shared: LiveServer) -> None:
    """Create, list, probe, kill: each is seen by the next question."""
    made = window(shared, "sleep", "1000")

    assert made in shared.mux.list_window_ids("run-1")
    assert shared.mux.window_alive("run-1", made)
    assert made in shared.mux.batch_liveness("run-1")
    pids = shared.mux.window_pids(made)
    # Between its start and its program it is a copy of the server.
    assert eventually(lambda: [psutil.Process(pid).name() for pid in pids] == ["sleep"])
    assert (made, "agent") in shared.mux.list_windows("run-1", ("window_id", "window_name"))
    shared.mux.kill_window(made)
    assert made not in shared.mux.list_window_ids("run-1")
    assert not shared.mux.window_alive("run-1", made)
    with pytest.raises(TargetMissing):
        shared.mux.window_exit(made)


def test_a_session_is_addressed_exactly(shared: LiveServer) -> None:
    """`run-1` is neither found nor killed by way of `run-10`, and the other way round."""
    mux = shared.mux
    mux.new_session("run-20", "/")

    assert not mux.has_session("run-2")
    mux.kill_session("run-2")
    assert mux.has_session("run-20")
    with pytest.raises(TargetMissing):
        mux.set_session_option("run-2", "@x", "y")
    with pytest.raises(TargetMissing):
        mux.new_window("run-2", "agent", "/", {}, "true")
    mux.kill_session("run-20")
    assert not mux.has_session("run-20")


def test_a_second_session_of_the_same_name_is_refused(shared: LiveServer) -> None:
    """The answer is a refusal, not silence."""
    with pytest.raises(CommandRejected, match="duplicate session"):
        shared.mux.new_session("run-1", "/")


def test_a_window_is_addressed_exactly_by_name(shared: LiveServer) -> None:
    """A name that begins like another, and one that looks like an index, reach only themselves."""
    mux = shared.mux
    longer = mux.new_window("run-1", "agent-22", "/", {}, "sleep 1000")
    number = mux.new_window("run-1", "0", "/", {}, "sleep 1000")

    mux.kill_window(mux.target("run-1", "agent-2"))
    assert mux.window_alive("run-1", longer)
    mux.kill_window(mux.target("run-1", "0"))
    assert set(mux.list_window_ids("run-1")) >= {"@0", longer}
    assert number not in mux.list_window_ids("run-1")
    mux.kill_window(mux.target("run-1", "agent-22"))
    assert longer not in mux.list_window_ids("run-1")


def test_options_hold_any_text(shared: LiveServer) -> None:
    """A final `;`, a leading `-`, quotes, formats and non-ASCII come back as they were given; unset is empty."""
    mux = shared.mux
    for value in ("a;", ";", "-x", "'\"$HOME`x`", "#{pid}#(id)", "é漢", "a\\", "a\nb", "\\;"):
        mux.set_window_option("@0", "@seen", value)
        assert mux.show_window_option("@0", "@seen") == value
    mux.set_session_option("run-1", "@seen", "whole;")
    assert mux.session_options("@seen") == {"run-1": "whole;"}
    mux.unset_window_option("@0", "@seen")
    assert mux.show_window_option("@0", "@seen") == ""


TEXTS = {
    "a final semicolon": "echo hi;",
    "nothing but a semicolon": ";",
    "a leading dash": "-l -x",
    "newlines and tabs": "a\n\tb\n\n  c",
    "emoji": "🧵 naïve 漢字 👩‍👩‍👧",
    "quotes and formats": "'\"`$HOME #{pid} #(touch x) %H \\n",
    "nothing": "",
    "200 KB": "0123456789abcde\n" * 12_500,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_arrives_byte_for_byte(shared: LiveServer, kind: str) -> None:
    """What was sent is what the program reads, then Enter."""
    made, received = recorder(shared, f"typed {kind}")
    wanted = TEXTS[kind].encode() + b"\r"
    shared.mux.send_text(made, TEXTS[kind])

    eventually(lambda: received.stat().st_size >= len(wanted))
    assert received.read_bytes() == wanted
    shared.mux.kill_window(made)


def test_text_is_typed_past_copy_mode(shared: LiveServer) -> None:
    """A person who scrolls back must not cost the Enter."""
    made, received = recorder(shared, "scrolled")
    shared.mux._ask(("copy-mode", "-t", made))
    shared.mux.send_text(made, "x")

    eventually(lambda: received.read_bytes() == b"x\r")
    shared.mux.kill_window(made)


def test_text_reaches_the_windows_own_process_when_an_agent_splits_it(shared: LiveServer) -> None:
    """The window stands for the process it was made with, whichever pane is active."""
    made, received = recorder(shared, "split")
    shared.mux._ask(("split-window", "-t", made, "sleep 1000"))
    shared.mux.send_text(made, "x")

    eventually(lambda: received.read_bytes() == b"x\r")
    own_process = shared.processes.identify(shared.mux.window_pids(made)[0])
    assert own_process is not None
    shared.processes.signal(own_process, signal.SIGKILL)
    assert ended(shared, made) == WindowExit(signal=9)
    assert not shared.mux.window_alive("run-1", made)
    shared.mux.kill_window(made)


def test_text_does_not_follow_a_pane_out_of_its_window(shared: LiveServer) -> None:
    """A person may move it elsewhere: then the oldest pane of those that are left is meant, and of a dead one it is told."""
    made, received = recorder(shared, "moved")
    left = shared.scratch / "left"
    shared.mux.send_text(made, "x")
    eventually(lambda: received.read_bytes() == b"x\r")
    pane = shared.mux._ask(("display-message", "-p", "-t", made, "#{pane_id}")).strip()
    shared.mux._ask(("split-window", "-d", "-t", made, f"head -n 1 >{left}"))
    shared.mux._ask(("break-pane", "-d", "-s", pane))

    shared.mux.send_text(made, "y")
    eventually(lambda: left.read_bytes() == b"y\n")
    assert ended(shared, made) == WindowExit(code=0)
    with pytest.raises(CommandRejected, match="nothing was typed"):
        shared.mux.send_text(made, "z")
    assert received.read_bytes() == b"x\r"
    shared.mux._ask(("kill-pane", "-t", pane))
    shared.mux.kill_window(made)


@pytest.mark.parametrize("text", ["a\x03b", "\x1b[A", "\r", "\x7f", "a\0b"])
def test_control_bytes_are_refused_before_anything_is_typed(shared: LiveServer, text: str) -> None:
    """A Ctrl-C inside of a prompt would kill the agent."""
    with pytest.raises(CommandRejected):
        shared.mux.send_text("@0", text)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files may have to be UTF-8")
def test_a_directory_whose_name_is_not_utf_8_is_one_to_work_in(shared: LiveServer) -> None:
    """Python gives such a byte as half a surrogate pair, tmux takes it as an escape."""
    place = shared.scratch / os.fsdecode(b"caf\xe9")
    place.mkdir()
    made = window(shared, "touch", "here", cwd=place)

    eventually((place / "here").exists)
    shared.mux.kill_window(made)


def test_no_command_in_a_name_of_a_directory_is_executed(shared: LiveServer) -> None:
    """`#(command)` in a path is a name, for windows, sessions and logs."""
    trap = shared.scratch / "sprung"
    hostile = shared.scratch / f"#(touch {trap.name})#{{pid}} %H 'x;"
    hostile.mkdir()
    made = window(shared, "sh", "-c", "pwd; sleep 1000", cwd=hostile)
    shared.mux.pipe_pane(made, hostile / "#(touch sprung) %H.log")
    shared.mux.new_session("run-3", hostile)
    other = window(shared, "sh", "-c", 'pwd > "$OUT"', cwd=hostile, OUT=str(shared.scratch / "pwd"))

    eventually(lambda: shared.lines("pwd") == [str(hostile)])
    assert (hostile / "#(touch sprung) %H.log").stat().st_mode & 0o777 == 0o600
    assert list(shared.scratch.rglob("sprung")) == []
    shared.mux.kill_session("run-3")
    for target in (made, other):
        shared.mux.kill_window(target)


def test_the_environment_stands_in_no_process_list(shared: LiveServer) -> None:
    """It reaches the program whole, and no argv of any process ever shows it."""
    secret = "s3cret-" + "x" * 20 + "\n'\"$\\;#{pid}"
    made = window(
        shared, "sh", "-c", 'printf %s "$TOKEN" > "$OUT"; sleep 1000', TOKEN=secret, OUT=str(shared.scratch / "env")
    )

    eventually(lambda: (shared.scratch / "env").exists() and (shared.scratch / "env").read_text() == secret)
    shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    assert not [line for line in shown if b"s3cret-" in line]
    shared.mux.kill_window(made)


def test_variables_that_tmux_sets_itself_arrive_too(shared: LiveServer) -> None:
    """PATH and SHELL given to `new-window -e` are overwritten inside tmux."""
    out = shared.scratch / "path"
    made = window(shared, "/bin/sh", "-c", f'echo "$PATH $SHELL" > {out}', PATH="/only/here", SHELL="/bin/other")

    assert ended(shared, made) == WindowExit(code=0)
    assert shared.lines("path") == ["/only/here /bin/other"]
    shared.mux.kill_window(made)


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["sh", "-c", "exit 3"], WindowExit(code=3)),
        (["sh", "-c", "exit 137"], WindowExit(code=137)),
        (["sh", "-c", "kill -9 $$"], WindowExit(signal=9)),
        (["true"], WindowExit(code=0)),
        (["no-such-program"], WindowExit(code=127)),
    ],
)
def test_a_dead_window_tells_how_it_died(shared: LiveServer, argv: list[str], wanted: WindowExit) -> None:
    """It stays, as dead, and the exit code and the signal are kept apart."""
    made = window(shared, *argv)

    assert ended(shared, made) == wanted
    assert not shared.mux.window_alive("run-1", made)
    assert made in shared.mux.list_window_ids("run-1")
    with pytest.raises(CommandRejected, match="has ended"):
        shared.mux.send_text(made, "x")
    shared.mux.kill_window(made)


def test_a_missing_directory_ends_the_window_with_126(shared: LiveServer) -> None:
    """The program must not run somewhere else."""
    made = window(shared, "touch", str(shared.scratch / "elsewhere"), cwd="/no/such/directory")

    assert ended(shared, made) == WindowExit(code=126)
    assert not (shared.scratch / "elsewhere").exists()
    shared.mux.kill_window(made)


def test_a_parked_window_keeps_its_exit_status(shared: LiveServer) -> None:
    """It tells the status while it waits for a key, and after."""
    mux = shared.mux
    made = mux.new_parked_window("run-1", "parked", "/", ["sh", "-c", "exit 7"], "@return")

    assert ended(shared, made) == WindowExit(code=7)
    assert mux.window_alive("run-1", made)
    mux.send_text(made, "")
    eventually(lambda: not mux.window_alive("run-1", made))
    assert mux.window_exit(made) == WindowExit(code=7)
    mux.kill_window(made)


def test_output_is_appended_to_the_log(shared: LiveServer) -> None:
    """What the window prints reaches the file, behind what was in it."""
    log = shared.scratch / "a log"
    log.write_text("before\n")
    made = window(shared, "sh", "-c", "read go; echo after")
    shared.mux.pipe_pane(made, log)
    shared.mux.send_text(made, "go")

    eventually(lambda: "after" in log.read_text())
    assert log.read_text().startswith("before\n")
    shared.mux.kill_window(made)


def test_the_size_of_a_session_is_kept(shared: LiveServer) -> None:
    """Columns and lines are the session's when both are given."""
    shared.mux.new_session("run-4", "/", 123, 45)

    assert shared.mux.list_windows("run-4", ("window_width", "window_height")) == [("123", "45")]
    shared.mux.kill_session("run-4")


def test_a_program_in_a_window_knows_where_it_runs(shared: LiveServer) -> None:
    """TMUX and TMUX_PANE of the caller decide who is asked about the caller, and nothing else."""
    place = {"TMUX": f"{shared.mux.socket_path},{shared.process().pid},0", "TMUX_PANE": "%0"}
    inside = TmuxMultiplexer(shared.scratch / "other", environment={**os.environ, **place})

    assert inside.current_pane_id() == "%0"
    assert inside.current_window_id() == "@0"
    assert inside.current_session() == "run-1"
    assert inside.has_session("run-1") is False


def test_a_frozen_server_is_unknown_and_then_as_before(own: LiveServer) -> None:
    """Every probe misses its deadline, none says gone, and nothing is lost."""
    made = window(own, "sleep", "1000")
    hasty = own.another(call_timeout_s=0.3)

    with own.frozen():
        with pytest.raises(TransportTimeout):
            hasty.has_session("run-1")
        with pytest.raises(TransportTimeout):
            hasty.window_alive("run-1", made)
        assert hasty.list_sessions() == []
    assert own.mux.has_session("run-1")
    assert own.mux.window_alive("run-1", made)


def test_a_change_that_timed_out_at_a_frozen_server_is_never_made(own: LiveServer) -> None:
    """Who answers is asked first, so the change itself was never sent."""
    made, received = recorder(own, "asked")
    hasty = own.another(call_timeout_s=0.3)

    with own.frozen():
        with pytest.raises(TransportTimeout):
            hasty.new_window("run-1", "late", "/", {}, "sleep 1000")
        with pytest.raises(TransportTimeout):
            hasty.send_text(made, "late")
    own.mux.send_text(made, "x")
    eventually(lambda: received.read_bytes() == b"x\r")
    assert "late" not in [name for (name,) in own.mux.list_windows("run-1", ("window_name",))]


def test_a_payload_dies_with_the_client_that_was_to_hand_it_over(own: LiveServer) -> None:
    """A script and typed text travel on stdin: frozen in between, the server finds nobody to read them from."""
    made, received = recorder(own, "late")
    hasty = own.another(call_timeout_s=0.3)
    paste = (
        ("load-buffer", "-b", "b", "-"),
        ("paste-buffer", "-d", "-b", "b", "-t", made),
        ("send-keys", "-t", made, "y"),
    )

    with own.frozen():
        with pytest.raises(subprocess.TimeoutExpired):
            hasty._ask(("source-file", "-"), stdin=b'new-window -d -t "=run-1:" -n late "sleep 1000"\n')
        with pytest.raises(subprocess.TimeoutExpired):
            hasty._ask(*paste, stdin=b"late")
    own.mux.send_text(made, "x")
    eventually(lambda: received.read_bytes() == b"x\r")
    assert "late" not in [name for (name,) in own.mux.list_windows("run-1", ("window_name",))]


def test_a_command_in_argv_that_timed_out_takes_effect_late(own: LiveServer) -> None:
    """Such a command is with the server once its client has connected: the effect of a timeout is unknown."""
    made = window(own, "sleep", "1000")
    hasty = own.another(call_timeout_s=0.3)

    with own.frozen(), pytest.raises(subprocess.TimeoutExpired):
        hasty._ask(("kill-window", "-t", made))
    eventually(lambda: made not in own.mux.list_window_ids("run-1"))


def test_an_unlinked_socket_is_unknown_and_made_anew(own: LiveServer) -> None:
    """Nothing in a server that lives is gone: it is told to make its socket anew, and no second one is started."""
    server = own.process()

    for mux in (own.mux, own.another()):
        mux.socket_path.unlink()
        with pytest.raises(TransportUnavailable, match="alive: it was told to make its socket anew"):
            mux.new_session("run-9", "/")
        assert eventually(mux.socket_path.exists)
        assert mux.list_sessions() == ["run-1"]
        assert own.process() == server


def test_a_stopped_server_makes_its_socket_when_it_goes_on(by_socket: LiveServer) -> None:
    """However often it was told: until then it is unknown, and afterwards the same server answers."""
    server = by_socket.process()
    with by_socket.frozen():
        by_socket.mux.socket_path.unlink()
        for _ in range(2):
            with pytest.raises(TransportUnavailable, match="alive"):
                by_socket.mux.has_session("run-1")
        assert not by_socket.mux.socket_path.exists()

    assert eventually(by_socket.mux.socket_path.exists)
    assert eventually(lambda: by_socket.mux.list_sessions() == ["run-1"])
    assert by_socket.process() == server


def test_a_socket_that_another_server_left_behind_is_made_anew(by_socket: LiveServer) -> None:
    """It took the place of ours, and ended: nobody listens there any more, and our server lives."""
    socket = by_socket.mux.socket_path
    socket.unlink()
    other = ("tmux", "-S", str(socket), "-f", "/dev/null")
    by_socket.processes.run((*other, "new-session", "-d", "sleep 600"), timeout_s=PATIENCE_S)
    by_socket.processes.run((*other, "kill-server"), timeout_s=PATIENCE_S)

    with pytest.raises(TransportUnavailable):
        by_socket.mux.has_session("run-1")
    eventually(lambda: by_socket.mux.list_sessions() == ["run-1"])


def test_the_directory_of_a_living_server_is_made_anew_with_its_record(by_socket: LiveServer) -> None:
    """Whoever comes later finds the server and the proof that it lives, and starts no second one."""
    server = by_socket.process()
    shutil.rmtree(by_socket.mux.socket_path.parent)

    with pytest.raises(TransportUnavailable, match="alive"):
        by_socket.mux.has_session("run-1")
    assert eventually(by_socket.mux.socket_path.exists)
    by_socket.mux.socket_path.unlink()
    with pytest.raises(TransportUnavailable, match="alive"):
        by_socket.another().new_session("run-1", "/")
    assert eventually(by_socket.mux.socket_path.exists)
    assert by_socket.process() == server


def test_a_killed_server_is_absence(own: LiveServer) -> None:
    """Its process is gone, so everything in it is; the next session starts a new server."""
    made = window(own, "sleep", "1000")
    before = own.process()
    own.kill()

    for mux in (own.mux, own.another()):
        assert mux.has_session("run-1") is False
        assert mux.list_window_ids("run-1") == []
        assert mux.window_alive("run-1", made) is False
        assert mux.server_identity() is None
    own.mux.new_session("run-1", "/")
    assert own.process() != before
    assert own.another().has_session("run-1")


def test_a_server_that_was_replaced_is_not_taken_for_ours(own: LiveServer) -> None:
    """Somebody else's session of the same name at our socket proves ours gone, and is left alone."""
    own.kill()
    stranger = TmuxMultiplexer(own.scratch / "x")
    stranger.socket_path = own.mux.socket_path
    stranger.new_session("run-1", "/")

    assert own.mux.has_session("run-1") is False
    assert own.mux.list_window_ids("run-1") == []
    assert stranger.has_session("run-1")


def test_the_server_ends_with_its_last_session(own: LiveServer) -> None:
    """Nothing stays behind when all sessions were killed, and a kill says so without a doubt."""
    server = own.process()
    seen: list[str] = []
    own.mux.observe(lambda call: seen.append(call.outcome))
    own.mux.kill_session("run-1")

    assert seen == ["answered"]
    eventually(lambda: own.processes.liveness(server).value == "dead")


def test_shutdown_leaves_nothing(own: LiveServer) -> None:
    """Server, socket and record are gone, and doing it again is fine."""
    server = own.process()
    own.mux.shutdown()
    own.mux.shutdown()

    assert own.processes.liveness(server).value == "dead"
    assert list(own.mux.socket_path.parent.iterdir()) == []
    assert own.mux.has_session("run-1") is False


def test_the_directory_of_a_root_goes_with_its_server_and_comes_back_with_the_next(tmp_path: Path) -> None:
    """Nothing of a run that is over stays in the place for sockets."""
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as runtime:
        mux = TmuxMultiplexer(root=tmp_path, environment={"XDG_RUNTIME_DIR": runtime, "PATH": os.environ["PATH"]})
        left = []
        for _ in range(2):
            try:
                mux.new_session("run-1", tmp_path)
            finally:
                mux.shutdown()
            left.append(os.listdir(runtime))

    assert left == [[], []]
