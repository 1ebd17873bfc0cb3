"""One life of sessions and windows, told to every backend that can be had: in memory, over argv in memory, on live tmux."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.base import TerminalMultiplexer
from backends.clock import SystemClock, VirtualClock
from backends.disk import Disk, RealDisk
from backends.errors import CommandRejected, TargetMissing
from backends.fake import FakeMultiplexer, FakeServer, FakeTransport
from backends.operations import ServerIdentity, WindowExit
from backends.tmux import TmuxMultiplexer

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Host:
    """A multiplexer, the disk that its windows write to, and a directory on it."""

    mux: TerminalMultiplexer
    disk: Disk
    directory: str

    def until(self, seen: Callable[[], object]) -> None:
        """Let time pass until `seen` is true; fails after ten seconds."""
        end = self.mux.clock.monotonic() + PATIENCE_S
        while not seen():
            assert self.mux.clock.monotonic() < end, "it never came to be seen"
            self.mux.clock.sleep(0.05)

    def log(self, name: str) -> bytes:
        """What is in that log by now, with the terminal's line ends undone."""
        path = f"{self.directory}/{name}"
        return b"" if self.disk.info(path) is None else self.disk.read(path).replace(b"\r\n", b"\n")

    def window(self, command: str, session: str = "run-1", **env: str) -> str:
        """A new window that runs `command`."""
        return self.mux.new_window(session, "agent", self.directory, env, command)


def simulated(server: FakeServer) -> TmuxMultiplexer:
    """The real tmux backend, in front of a simulated server."""
    return TmuxMultiplexer(
        Path("/sim"),
        transport=FakeTransport(server),
        clock=server.clock,
        processes=server.processes,
        disk=server.disk,
        environment={},
        prepare=lambda path: server.disk.mkdir(path),
    )


@contextlib.contextmanager
def live_tmux() -> Iterator[Host]:
    """A private server in a short directory of its own, ended and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    mux = TmuxMultiplexer(directory / "s", environment={k: v for k, v in os.environ.items() if "TMUX" not in k})
    try:
        yield Host(mux, RealDisk(), str(directory))
    finally:
        mux.shutdown()
        shutil.rmtree(directory)


@pytest.fixture(
    params=["fake", "tmux over FakeTransport", pytest.param("live tmux", marks=[pytest.mark.live])],
)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Each backend in turn, with one session `run-1`."""
    with contextlib.ExitStack() as stack:
        if request.param == "live tmux":
            if shutil.which("tmux") is None:
                pytest.skip("tmux is not installed")
            host = stack.enter_context(live_tmux())
        else:
            server = FakeServer(VirtualClock())
            mux = FakeMultiplexer(server) if request.param == "fake" else simulated(server)
            server.disk.mkdir("/sim/work")
            host = Host(mux, server.disk, "/sim/work")
        host.mux.new_session("run-1", host.directory)
        yield host


def test_a_session_is_there_until_it_is_killed(host: Host) -> None:
    """Killing it twice, or before it was made, is fine."""
    mux = host.mux
    assert mux.has_session("run-1")
    assert not mux.has_session("run-10")
    mux.new_session("run-10", host.directory, 100, 30)
    assert mux.list_sessions() == ["run-1", "run-10"]
    assert mux.list_windows("run-10", ["window_width", "window_height"]) == [("100", "30")]

    mux.kill_session("run-1")
    mux.kill_session("run-1")

    assert mux.list_sessions() == ["run-10"]
    assert mux.list_window_ids("run-1") == []
    with pytest.raises(CommandRejected):
        mux.new_session("run-10", host.directory)


def test_no_prefix_reaches_another_session(host: Host) -> None:
    """`run` is not `run-1`, whatever is asked of it."""
    mux = host.mux
    mux.kill_session("run")
    mux.kill_window("=run:agent")
    assert not mux.has_session("run")
    assert mux.list_window_ids("run") == []
    for change in (
        lambda: mux.set_session_option("run", "@x", "y"),
        lambda: mux.new_window("run", "agent", "/", {}, "sleep 60"),
    ):
        with pytest.raises(TargetMissing):
            change()

    assert mux.has_session("run-1")
    assert mux.session_options("@x") == {}


def test_session_options_are_kept_by_session(host: Host) -> None:
    """Only where they were set, with the value that was set last."""
    mux = host.mux
    mux.new_session("run-2", host.directory)
    mux.set_session_option("run-2", "@project", "demo;")
    mux.set_session_option("run-2", "@project", "-x #{pid} $HOME;")

    assert mux.session_options("@project") == {"run-2": "-x #{pid} $HOME;"}


def test_a_window_runs_its_command_with_its_environment(host: Host) -> None:
    """Values arrive as they are, whatever a shell would make of them."""
    value = "a b;c'd\"e#{pid}$HOME"
    window = host.window('sh -c \'read key; printf "%s" "$TOKEN"; sleep 60\'', TOKEN=value)
    host.mux.pipe_pane(window, f"{host.directory}/log")
    host.mux.clock.sleep(0.2)

    host.mux.send_text(window, "go")

    host.until(lambda: value.encode() in host.log("log"))
    assert host.mux.window_alive("run-1", window)
    assert window in host.mux.list_window_ids("run-1")


@pytest.mark.parametrize(
    ("script", "how"),
    [("exit 0", WindowExit(code=0)), ("exit 3", WindowExit(code=3)), ("kill -KILL $$", WindowExit(signal=9))],
)
def test_a_dead_window_stays_and_says_how_it_died(host: Host, script: str, how: WindowExit) -> None:
    """Until it is killed."""
    mux = host.mux
    window = host.window(f"sh -c '{script}'")
    host.until(lambda: not mux.window_alive("run-1", window))

    assert mux.window_exit(window) == how
    assert window in mux.list_window_ids("run-1")
    assert window not in mux.batch_liveness("run-1")
    assert mux.window_pids(window) == []
    with pytest.raises(CommandRejected):
        mux.send_text(window, "too late")
    mux.kill_window(window)
    assert window not in mux.list_window_ids("run-1")


@pytest.mark.parametrize("command", ["no-such-program-here", "sleep nonsense"])
def test_a_command_that_cannot_run_ends_its_window(host: Host, command: str) -> None:
    """The id came back all the same."""
    window = host.window(command)
    host.until(lambda: not host.mux.window_alive("run-1", window))

    how = host.mux.window_exit(window)
    assert how is not None
    assert how.code == (127 if command.startswith("no") else 1)


def test_a_living_window_tells_its_pid_and_no_exit(host: Host) -> None:
    """One process for its one pane."""
    window = host.window("sleep 60")
    host.mux.clock.sleep(0.2)

    assert len(host.mux.window_pids(window)) == 1
    assert host.mux.window_exit(window) is None
    assert window in host.mux.batch_liveness("run-1")


@pytest.mark.parametrize(
    "text", ["hello", "trailing;", "-l leading", "#{pid} $HOME `x` \\n 'q' \"", "zwölf\tspät", "two\nlines"]
)
def test_text_arrives_byte_for_byte_with_enter(host: Host, text: str) -> None:
    """Nothing of it is an option, a format or the end of a command."""
    window = host.window("cat")
    host.mux.clock.sleep(0.3)
    host.mux.pipe_pane(window, f"{host.directory}/log")
    host.mux.clock.sleep(0.2)

    host.mux.send_text(window, text)

    # A terminal echoes what is typed, and draws a TAB as blanks; the program's own line is the last one.
    wanted = text.expandtabs(8) + "\n"
    host.until(lambda: host.log("log").decode().expandtabs(8).endswith(wanted))


def test_a_log_begins_when_it_is_piped(host: Host) -> None:
    """What was printed before is not in it."""
    window = host.window("sh -c 'printf early; read key; printf late; sleep 60'")
    host.mux.clock.sleep(0.5)
    host.mux.pipe_pane(window, f"{host.directory}/a log")
    host.mux.clock.sleep(0.3)
    host.mux.send_text(window, "")

    host.until(lambda: b"late" in host.log("a log"))
    assert b"early" not in host.log("a log")


def test_window_options_are_set_read_and_unset(host: Host) -> None:
    """An option that is not set reads as nothing, like that of a window that is not there."""
    mux = host.mux
    window = host.window("sleep 60")
    other = host.window("sleep 60")
    mux.set_window_option(window, "@token", "t;#{pid}")

    assert mux.show_window_option(window, "@token") == "t;#{pid}"
    assert mux.show_window_option(other, "@token") == ""
    assert mux.list_windows("run-1", ["window_id", "window_name", "@token"])[1:] == [
        (window, "agent", "t;#{pid}"),
        (other, "agent", ""),
    ]
    mux.unset_window_option(window, "@token")
    assert mux.show_window_option(window, "@token") == ""
    assert mux.show_window_option("@999", "@token") == ""


def test_what_is_not_there_is_said_to_be_missing(host: Host) -> None:
    """Where a failure is raised; and a kill of it is fine."""
    mux = host.mux
    window = host.window("sleep 60")
    mux.kill_window(window)
    mux.kill_window(window)

    assert not mux.window_alive("run-1", window)
    for ask in (lambda: mux.send_text(window, "x"), lambda: mux.window_exit(window), lambda: mux.window_pids(window)):
        with pytest.raises(TargetMissing):
            ask()
    assert mux.list_windows("absent", ["window_id"]) == []
    assert mux.batch_liveness("absent") == frozenset()
    mux.pipe_pane(window, f"{host.directory}/log")
    mux.select_window(window)


def test_a_window_is_found_by_its_exact_name_unless_two_have_it(host: Host) -> None:
    """Two of a name are neither of them."""
    mux = host.mux
    first = mux.new_window("run-1", "one", host.directory, {}, "sleep 60")
    second = mux.new_window("run-1", "one-more", host.directory, {}, "sleep 60")
    mux.kill_window(mux.target("run-1", "one"))
    assert not mux.window_alive("run-1", first)
    assert mux.window_alive("run-1", second)

    mux.new_window("run-1", "one-more", host.directory, {}, "sleep 60")
    with pytest.raises(CommandRejected):
        mux.window_pids(mux.target("run-1", "one-more"))


def test_a_missing_directory_ends_the_window_with_126(host: Host) -> None:
    """The command never runs elsewhere."""
    if isinstance(host.mux, FakeMultiplexer):
        host.mux.server.missing_dirs.add("/no/such/directory")
    elif isinstance(host.mux.clock, VirtualClock):
        transport = host.mux._transport  # type: ignore[attr-defined]  # the one way to its simulated server
        transport.server.missing_dirs.add("/no/such/directory")
    window = host.mux.new_window("run-1", "lost", "/no/such/directory", {}, "sleep 60")

    host.until(lambda: not host.mux.window_alive("run-1", window))

    assert host.mux.window_exit(window) == WindowExit(code=126)


def test_a_parked_window_keeps_its_exit_until_a_key_comes(host: Host) -> None:
    """It lives while it waits; a death by signal reads as the shell's 128 and more."""
    mux = host.mux
    ended = mux.new_parked_window("run-1", "parked", host.directory, ["sh", "-c", "exit 7"], "@return")
    killed = mux.new_parked_window("run-1", "parked", host.directory, ["sh", "-c", "kill -TERM $$"], "@return")
    host.until(lambda: mux.window_exit(ended) and mux.window_exit(killed))

    assert mux.window_exit(ended) == WindowExit(code=7)
    assert mux.window_exit(killed) == WindowExit(code=128 + signal.SIGTERM)
    assert mux.window_alive("run-1", ended)
    host.mux.clock.sleep(0.3)
    mux.send_text(ended, "")
    host.until(lambda: not mux.window_alive("run-1", ended))
    assert mux.window_exit(ended) == WindowExit(code=7)


def test_the_last_window_takes_the_session_with_it(host: Host) -> None:
    """And a new session of that name can be made."""
    mux = host.mux
    (only,) = mux.list_window_ids("run-1")

    mux.kill_window(only)

    assert not mux.has_session("run-1")
    mux.new_session("run-1", host.directory)
    assert len(mux.list_window_ids("run-1")) == 1


def test_the_server_says_who_it_is_for_as_long_as_it_runs(host: Host) -> None:
    """The same pid and start each time."""
    identity = host.mux.server_identity()

    assert isinstance(identity, ServerIdentity)
    host.window("sleep 60")
    assert host.mux.server_identity() == identity


def test_nobody_is_attached_and_nothing_runs_inside(host: Host) -> None:
    """There is no client to switch, and this process is in no window."""
    mux = host.mux
    assert mux.available()
    assert mux.version()
    assert mux.switch_client(mux.target("run-1")) is False
    assert (mux.current_pane_id(), mux.current_window_id(), mux.current_session()) == (None, None, None)
    assert mux.attach_target_argv(mux.target("run-1"))[-1] == mux.target("run-1")
    mux.detach_client()


def test_time_in_a_simulation_passes_only_where_it_is_spent() -> None:
    """A whole life of calls on a healthy server takes none."""
    for mux in (FakeMultiplexer(), simulated(FakeServer())):
        before = mux.clock.monotonic()
        mux.new_session("run-1", "/")
        window = mux.new_window("run-1", "agent", "/", {}, "cat")
        mux.send_text(window, "x")
        mux.window_alive("run-1", window)
        mux.kill_session("run-1")

        assert mux.clock.monotonic() == before
    assert SystemClock().monotonic() > 0
