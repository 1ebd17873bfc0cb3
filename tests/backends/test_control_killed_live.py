"""A driver that is killed at any moment, its control-mode client connecting, asking, or letting go: what it leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_tmux import CLOCK, LiveServer, eventually, live_tmux

from backends.processes import Liveness
from backends.tmux import TmuxMultiplexer

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="a real tmux is needed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="without setpriv everything goes by process"),
]

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("SEAMRIPPER_KILLS", "6"))
"""How many drivers are killed; each takes about half a second."""

DRIVER = """
import sys
from pathlib import Path
from backends.tmux import TmuxMultiplexer
mux = TmuxMultiplexer(Path(sys.argv[1]), transport_kind="control")
mux.has_session("run-1")
print(mux._transport.connected, flush=True)
while True:
    for _ in range(3):
        mux.show_window_option("@0", "@big")
        mux.set_window_option("@0", "@small", "x")
    mux.disconnect()
    mux.has_session("run-1")
"""
"""Connects, asks for more than a pipe holds, changes something, lets go, and again, until it is killed."""
BLOCKING = """
import signal, sys
from pathlib import Path
from backends.tmux import TmuxMultiplexer
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
mux = TmuxMultiplexer(Path(sys.argv[1]), transport_kind="control")
mux.has_session("run-1")
client = mux._transport._client._process._process.pid
print([line.split()[1] for line in Path(f"/proc/{client}/status").read_text().splitlines() if line.startswith("SigBlk")])
mux.disconnect()
"""
"""Blocks every signal, and tells which of them its client blocks."""


@pytest.fixture
def live() -> Iterator[LiveServer]:
    """A server of its own, with an option that is longer than a pipe."""
    with live_tmux("process") as one:
        asking = TmuxMultiplexer(one.mux.socket_path.parent, transport_kind="control")
        asking.has_session("run-1")
        asking.set_window_option("@0", "@big", "0123456789" * 20_000)
        asking.disconnect()
        yield one


def kill_a_driver(live: LiveServer, chance: random.Random) -> None:
    """Let one drive for a moment, then kill it; every other one was stopped first, so that what it is told is not read."""
    argv = [sys.executable, "-c", DRIVER, str(live.mux.socket_path.parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"True\n"
        CLOCK.sleep(chance.uniform(0, 0.06))
        if chance.random() < 0.5:
            driver.send_signal(signal.SIGSTOP)
            CLOCK.sleep(0.05)
        driver.kill()


def test_a_driver_that_is_killed_before_its_client_asked_to_die_with_it_leaves_none(live: LiveServer) -> None:
    """A client that nobody reads stays for ever, and 3.3a may die of it: the death signal is not given for a death before."""
    begun, goes_on, real = live.scratch / "begun", live.scratch / "goes-on", shutil.which("setpriv")
    slow = live.scratch / "bin" / "setpriv"
    slow.parent.mkdir()
    slow.write_text(
        f"#!/bin/sh\necho $$ > {begun}.new; mv {begun}.new {begun}\n"
        f'while test ! -e {goes_on}; do sleep 0.02; done\nexec {real} "$@"\n'
    )
    slow.chmod(0o700)
    environment = {**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    argv = [sys.executable, "-c", DRIVER, str(live.mux.socket_path.parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as driver:
        eventually(begun.exists)
        driver.kill()
    client = live.processes.identify(int(begun.read_text()))
    goes_on.touch()

    assert client is not None
    eventually(lambda: live.processes.liveness(client) is Liveness.DEAD)
    assert live.mux._ask(("list-sessions", "-F", "#{session_name}")) == "run-1\n"


def test_a_driver_that_is_killed_at_any_moment_leaves_a_server_that_can_be_used_and_ended(live: LiveServer) -> None:
    """Neither its client nor its keeper is left, and the last session takes the server along."""
    server = live.process()
    for number in range(KILLS):
        kill_a_driver(live, random.Random(number))
        eventually(lambda: live.mux._ask(("list-sessions", "-F", "#{session_name}")) == "run-1\n")
        eventually(lambda: live.mux._ask(("list-clients",)) == "")
    window = live.mux.new_window("run-1", "after", "/", {}, "sleep 600")

    assert live.mux.window_alive("run-1", window)
    live.mux.kill_session("run-1")
    eventually(lambda: live.processes.liveness(server) is Liveness.DEAD)


def test_a_driver_that_is_killed_while_its_client_says_who_it_is_leaves_the_server_alive(live: LiveServer) -> None:
    """A client is a control client from its first words on; 3.3a dies of one that goes before its last (tmux/tmux 5004)."""
    strace, real = shutil.which("strace"), shutil.which("tmux")
    if strace is None:
        pytest.skip("without strace a client cannot be held while it says who it is")
    trace, begun = live.scratch / "trace", live.scratch / "begun"
    held = live.scratch / "bin" / "tmux"
    held.parent.mkdir()
    held.write_text(
        f'#!/bin/sh\ncase " $* " in *" -C "*) ;; *) exec {real} "$@" ;; esac\necho $$ > {begun}.new; mv {begun}.new {begun}\n'
        f'exec {strace} -D -o {trace} -e trace=sendmsg -e inject=sendmsg:delay_exit=2000000:when=1 {real} "$@"\n'
    )
    held.chmod(0o700)
    environment = {**os.environ, "PATH": f"{held.parent}:{os.environ['PATH']}"}
    argv = [sys.executable, "-c", DRIVER, str(live.mux.socket_path.parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as driver:
        eventually(begun.exists)
        client = live.processes.identify(int(begun.read_text()))
        eventually(lambda: client is not None and "t (tracing stop)" in Path(f"/proc/{client.pid}/status").read_text())
        CLOCK.sleep(0.5)
        driver.kill()

    assert client is not None
    eventually(lambda: live.processes.liveness(client) is Liveness.DEAD)
    told = trace.read_text().splitlines()
    ended = [number for number, line in enumerate(told) if "SIGTERM" in line]
    assert "(DELAYED)" in told[0]
    assert [number for number in ended if number < len(told) - 1]
    assert live.processes.liveness(live.process()) is Liveness.ALIVE
    eventually(lambda: live.mux._ask(("list-sessions", "-F", "#{session_name}")) == "run-1\n")


def test_a_client_hears_the_death_signal_although_its_driver_blocks_signals(live: LiveServer) -> None:
    """What a thread blocks its children block as well."""
    argv = [sys.executable, "-c", BLOCKING, str(live.mux.socket_path.parent)]
    done = live.processes.run(argv, timeout_s=60, cwd=ROOT)

    assert done.stdout.decode().strip() == str(["0" * 16]), done.stderr.decode()
