"""Around a transport: what a client can say or fail to say."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from backends.clock import VirtualClock
from backends.processes import Completed
from faults import FaultPlan, Injector, SimulatedDeath
from faults.verbs import TRANSPORT_VERBS, verb_of

ARGV = ["/usr/bin/tmux", "-u", "-S", "/tmp/s", "-f", "/dev/null", "list-windows", "-t", "=run-1"]


class Echo:
    """A transport that answers everything with three lines, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.given_up = False

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """Answer."""
        self.asked.append(tuple(argv))
        return Completed(tuple(argv), 0, b"@0\n@1\n@2\n", b"")

    def abandon(self) -> None:
        """Note it."""
        self.given_up = True

    def take_up(self) -> None:
        """Note that, too."""
        self.given_up = False


def injected(text: str) -> tuple[Injector, Echo, VirtualClock]:
    """An injector with that plan, a transport and its clock."""
    clock = VirtualClock()
    return Injector(FaultPlan.parse(text), clock=clock), Echo(), clock


@pytest.mark.parametrize(
    ("argv", "verb"),
    [
        (ARGV, "list-windows"),
        (["tmux", "-S/tmp/s", "kill-server"], "kill-server"),
        (["tmux", "-uS", "/tmp/s", "new-window", "-t", "x"], "new-window"),
        (["tmux", "-L", "list-windows", "-C", "attach-session"], "attach-session"),
        (["tmux", "-2u", "-fx", "-T", "256", "has-session"], "has-session"),
        (["tmux", "-V"], "version"),
        (["tmux", "-SV", "kill-server"], "kill-server"),
        (["tmux", "-S", "V", "list-keys"], "list-keys"),
        (["tmux", "-u"], "new-session"),
        (["psmux", "-t", "run-1", "load-buffer", "-"], "load-buffer"),
        (["tmux"], "new-session"),
    ],
)
def test_the_verb_is_the_first_word_after_the_global_flags(argv: list[str], verb: str) -> None:
    """The point is named for what the client was asked to do, however it was called."""
    assert verb_of(argv)[0] == verb
    assert verb in TRANSPORT_VERBS


@pytest.mark.parametrize(
    ("action", "status", "stdout", "stderr"),
    [
        ('exit(1, "lost server")', 1, b"", b"lost server\n"),
        ('exit(-9, "")', -9, b"", b""),
        ('output("@9")', 0, b"@9\n", b""),
        ('output("\\udcff")', 0, b"\xff\n", b""),
        ('output("\\ud800")', 0, b"\xed\xa0\x80\n", b""),
        ("empty", 0, b"", b""),
        ("truncate(4)", 0, b"@0\n@", b""),
    ],
)
def test_a_client_can_be_made_to_say_anything(action: str, status: int, stdout: bytes, stderr: bytes) -> None:
    """Status and output are exactly those of the plan."""
    injector, echo, _ = injected(f"transport.list-windows={action}")

    said = injector.transport(echo).run(ARGV, timeout_s=5)

    assert said == Completed(tuple(ARGV), status, stdout, stderr)


def test_undecodable_output_is_no_utf_8() -> None:
    """No decoder accepts it."""
    injector, echo, _ = injected("transport.*=undecodable")

    said = injector.transport(echo).run(ARGV, timeout_s=5)

    with pytest.raises(UnicodeDecodeError):
        said.stdout.decode("utf-8")


@pytest.mark.parametrize(
    ("action", "raw", "spent_s"),
    [
        ("timeout(2)", subprocess.TimeoutExpired, 2.0),
        ("hang", subprocess.TimeoutExpired, 5.0),
        ("oserror(ENOENT)", FileNotFoundError, 0.0),
        ("die", SimulatedDeath, 0.0),
    ],
)
@pytest.mark.parametrize("lost", ["", "lost:"])
def test_a_failure_comes_instead_of_the_command_or_after_it(
    lost: str, action: str, raw: type[BaseException], spent_s: float
) -> None:
    """Only with `lost:` was the command carried out."""
    injector, echo, clock = injected(f"transport.list-windows={lost}{action}")

    with pytest.raises(raw):
        injector.transport(echo).run(ARGV, timeout_s=5)

    assert len(echo.asked) == (1 if lost else 0)
    assert clock.monotonic() == spent_s


def test_a_rule_can_filter_by_the_words_of_the_command() -> None:
    """The words from the verb on are the argument `argv`."""
    injector, echo, _ = injected('transport.list-windows[argv="list-windows * =run-2"]=empty')
    transport = injector.transport(echo)

    assert transport.run(ARGV, timeout_s=5).stdout
    assert not transport.run([*ARGV[:-1], "=run-2"], timeout_s=5).stdout


def test_the_transport_is_given_up_through_the_wrapper() -> None:
    """A stop reaches the real transport, and so does the end of it."""
    injector, echo, _ = injected("")

    injector.transport(echo).abandon()
    assert echo.given_up
    injector.transport(echo).take_up()
    assert not echo.given_up


def test_the_trace_of_a_command_has_no_paths_and_no_payloads() -> None:
    """The verb, flags and targets are shown; a socket, a directory or a command line is not, nor how long it is."""
    injector, echo, _ = injected("transport.new-window=1*empty")
    argv = [*ARGV[:6], "new-window", "-t", "=run-1", "-c", "/home/me", "secret --token s3cr3t /etc/x"]

    injector.transport(echo).run(argv, timeout_s=5)

    assert injector.trace[0].arguments == "tmux new-window -t =run-1 -c <6 chars> <6 chars>"
