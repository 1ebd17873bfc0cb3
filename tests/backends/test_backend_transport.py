"""The one place that spawns a multiplexer's client: what it hands on, and what it keeps back."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from backends.clock import SystemClock, VirtualClock, Waker
from backends.processes import Completed
from backends.simulated_processes import SimulatedProcessTable
from backends.transport import SubprocessTransport, decode


class Spawns(SimulatedProcessTable):
    """Remembers what it was asked to run, and answers that it succeeded or raises `error`."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__(VirtualClock())
        self.error = error
        self.asked: dict[str, Any] = {}

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        cwd: object = None,
        env: Mapping[str, str] | None = None,
        waker: Waker | None = None,
        newest: int | None = None,
    ) -> Completed:
        """See `ProcessTable.run`."""
        self.asked = {"argv": tuple(argv), "timeout_s": timeout_s, "stdin": stdin, "env": env, "waker": waker}
        if self.error is not None:
            raise self.error
        return Completed(tuple(argv), 0, b"out", b"")


def test_a_command_is_handed_on_with_its_stdin_and_deadline() -> None:
    """Words, text and seconds reach the process table unchanged."""
    spawns = Spawns()
    came = SubprocessTransport(spawns).run(("tmux", "-V"), stdin=b"text", timeout_s=1.5)

    assert came.stdout == b"out"
    assert (spawns.asked["argv"], spawns.asked["stdin"], spawns.asked["timeout_s"]) == (("tmux", "-V"), b"text", 1.5)


def test_what_names_a_server_is_not_inherited() -> None:
    """TMUX would beat every other choice of a server; the rest of the environment is handed on."""
    spawns = Spawns()
    environment = {"TMUX": "/a,1,0", "TMUX_PANE": "%1", "TMUX_TMPDIR": "/b", "PSMUX_SESSION": "s", "HOME": "/h"}
    SubprocessTransport(spawns, environment=environment).run(("tmux",), timeout_s=1)

    assert spawns.asked["env"] == {"HOME": "/h"}


def test_a_timeout_names_the_command_that_was_not_answered() -> None:
    """The process table raises without knowing whose command it was."""
    transport = SubprocessTransport(Spawns(subprocess.TimeoutExpired(["command"], 2.0)))

    with pytest.raises(subprocess.TimeoutExpired) as raised:
        transport.run(("tmux", "has-session"), timeout_s=2.0)
    assert raised.value.cmd == ["tmux", "has-session"]
    assert raised.value.timeout == 2.0


def test_giving_up_is_sticky() -> None:
    """The waker that every later command is run under stays set."""
    spawns = Spawns()
    transport = SubprocessTransport(spawns)
    transport.abandon()
    transport.run(("tmux",), timeout_s=1)

    assert spawns.asked["waker"].is_set()


def test_output_is_decoded_without_loss() -> None:
    """Undecodable bytes are shown as escapes, and missing output stays missing."""
    assert decode("é\n".encode()) == "é\n"
    assert decode(b"a\xff") == "a\\xff"
    assert decode(None) is None


def test_what_was_given_up_can_be_taken_up() -> None:
    """Later commands run to their end again."""
    spawns = Spawns()
    transport = SubprocessTransport(spawns)
    transport.abandon()
    transport.take_up()
    transport.run(("tmux",), timeout_s=1)

    assert not spawns.asked["waker"].is_set()


@pytest.mark.live
def test_a_command_that_hangs_is_ended_at_its_deadline() -> None:
    """The client and its process group are gone, and the caller has its timeout."""
    clock = SystemClock()
    started = clock.monotonic()

    with pytest.raises(subprocess.TimeoutExpired):
        SubprocessTransport().run((sys.executable, "-c", "import signal; signal.pause()"), timeout_s=0.3)
    assert clock.monotonic() - started < 10


@pytest.mark.live
def test_a_command_in_progress_can_be_given_up() -> None:
    """From another thread, long before the deadline."""
    transport = SubprocessTransport()
    helper = threading.Timer(0.2, transport.abandon)
    helper.start()

    with pytest.raises(InterruptedError):
        transport.run((sys.executable, "-c", "import signal; signal.pause()"), timeout_s=60)
    helper.join()
