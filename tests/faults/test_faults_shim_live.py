"""The shim before a real tmux: control mode, a terminal, and what a client of a stopped server does, which it imitates."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from backends.clock import SystemClock
from backends.disk import RealDisk
from backends.tmux import TmuxMultiplexer
from faults.shim import Shim, shim_plan
from harness.waiting import eventually

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not TmuxMultiplexer(Path("/tmp/sm-none")).available(), reason="no tmux of 3.2a or later here"),
]

PATIENCE_S = 60.0
PLANS = {"not concerned": "transport.bind-key=1*empty", "concerned": "transport.*=pass"}
CONVERSATION = b"""\
list-sessions -F '#{session_name} #{session_windows}'
new-window -d -n two cat
list-windows -F '#{window_name}'
no-such-command
"""
REPLY = re.compile(rb"^%begin \S+ \S+ \S+\n(.*?)^%(end|error) ", re.MULTILINE | re.DOTALL)


class Server:
    """A tmux server with one session, and the environment of who asks it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = str(directory / "s")
        self.tmux = shutil.which("tmux") or "tmux"
        kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        self.environment = {**kept, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.ask(self.tmux, "-f", "/dev/null", "new-session", "-d", "-s", "a", "-n", "one", "cat")

    def ask(self, program: str, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """What that program answers about this server."""
        argv = [program, "-S", self.socket, *words]
        return subprocess.run(
            argv, input=stdin, env=self.environment, capture_output=True, timeout=PATIENCE_S, check=False
        )

    def told(self, text: str) -> str:
        """What the real tmux makes of that format."""
        return self.ask(self.tmux, "display-message", "-p", "-t", "a:", text).stdout.decode().strip()

    def shim(self, plan: str) -> Shim:
        """A shim before the real tmux."""
        place = self.directory / "shim"
        return Shim(shim_plan(plan), place, {"tmux": self.tmux}, clock=SystemClock(), disk=RealDisk(), die=lambda: None)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for one test."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    try:
        made = Server(directory)
        yield made
        made.ask(made.tmux, "kill-server")
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_conversation_in_control_mode_is_what_it_was(server: Server, plan: str) -> None:
    """Each command is answered the same, and the client ends the same when nobody writes to it any more."""
    bare = server.ask(server.tmux, "-C", "attach-session", "-t", "a", stdin=CONVERSATION)
    server.ask(server.tmux, "kill-window", "-t", "a:two")
    with server.shim(plan) as shim:
        told = server.ask(str(shim.directory / "tmux"), "-C", "attach-session", "-t", "a", stdin=CONVERSATION)

    # Whether attaching itself is answered is chance.
    replies, bare_replies = ([one for one in REPLY.findall(done.stdout) if one[0]] for done in (told, bare))
    assert replies == bare_replies
    assert replies[:-1] == [(b"a 1\n", b"end"), (b"one\ntwo\n", b"end")]
    assert replies[-1][1] == b"error"
    assert (told.returncode, told.stderr) == (bare.returncode, bare.stderr)
    assert shim.reached == {"transport.attach-session": 1}


# The shim has threads, and a terminal is made by a fork: newer interpreters warn of that.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_terminal_is_the_real_clients(server: Server, plan: str) -> None:
    """Keys, the size of the window and its changes reach it, and it says the same when it is detached."""
    with server.shim(plan) as shim:
        argv = ["-S", server.socket, "attach-session", "-t", "a"]
        terminal = pexpect.spawn(
            str(shim.directory / "tmux"), argv, env=server.environment, timeout=PATIENCE_S, dimensions=(20, 60)
        )
        try:
            eventually(lambda: server.told("#{window_width}") == "60", SystemClock(), PATIENCE_S)
            terminal.send("typed\r")
            terminal.expect(b"typed")
            terminal.setwinsize(20, 70)
            eventually(lambda: server.told("#{window_width}") == "70", SystemClock(), PATIENCE_S)
            server.ask(server.tmux, "detach-client", "-s", "a")
            terminal.expect(re.escape(b"[detached (from session a)]"))
            terminal.expect(pexpect.EOF)
        finally:
            terminal.close()

    assert (terminal.exitstatus, terminal.signalstatus) == (0, None)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_client_of_a_stopped_server_ends_with_nothing_when_it_is_told_to(
    server: Server, ending: signal.Signals
) -> None:
    """Neither an error nor an answer; a hanging call under the shim does the same."""
    pid = int(server.told("#{pid}"))
    waits = (0.1 * 2**times for times in itertools.count())
    os.kill(pid, signal.SIGSTOP)

    def told() -> tuple[int, bytes, bytes]:
        """What comes of a client that waits by then; who is told too early does not know yet what to do."""
        client = subprocess.Popen(
            [server.tmux, "-S", server.socket, "list-sessions"],
            env=server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with client:
            SystemClock().sleep(next(waits))
            for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, ending):
                client.send_signal(ignored)
            client.wait(PATIENCE_S)
            os.kill(pid, signal.SIGCONT)
            out, err = client.communicate(timeout=PATIENCE_S)
            os.kill(pid, signal.SIGSTOP)
        return client.returncode, out, err

    try:
        assert eventually(lambda: told() == (0, b"", b""), SystemClock(), PATIENCE_S)
    finally:
        os.kill(pid, signal.SIGCONT)
