"""The persistent client without a server: what is asked of it, what comes late, and when a process is asked instead."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from backends import control_client
from backends.clock import SystemClock
from backends.control import ControlTransport, spoken
from backends.processes import Completed
from backends.transport import run_many
from backends.words import chain, script_line

needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="a client needs setpriv")

STUB = Path(__file__).with_name("control_stub.py")


class Plain:
    """A transport by process that is always answered."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        self.asked.append(tuple(argv))
        return Completed(tuple(argv), 0, b"by process\n", b"")

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""


class Stage:
    """A transport whose client is the stub, with a plan."""

    def __init__(self, binary: Path) -> None:
        self.binary = binary
        self.plain = Plain()
        self.transport: ControlTransport

    def plays(self, *words: str, tries: int = 3) -> ControlTransport:
        """Connected, if the first word lets it; a host that is slow may need several `tries`."""
        environment = {"PATH": os.environ["PATH"], "STUB": " ".join(words)}
        self.transport = ControlTransport(self.plain, environment=environment)
        while not self.transport.connected and tries:
            self.plain.asked.clear()
            self.ask("first")
            tries -= 1
        return self.transport

    def argv(self, text: str, verb: str = "list-windows") -> tuple[str, ...]:
        """The argv of a question about `text`."""
        return (str(self.binary), "-u", "-S", "/s", "-f", "/dev/null", verb, "-t", text)

    def ask_many(self, *texts: str, timeout_s: float = 30.0) -> list[str]:
        """What came of a question about each; of an error its type."""
        argvs = [self.argv(text) for text in texts]
        outcomes = run_many(self.transport, argvs, timeout_s=timeout_s, clock=SystemClock())
        return [
            type(outcome).__name__
            if isinstance(outcome, Exception)
            else (outcome.stdout or outcome.stderr).decode().strip()
            for outcome in outcomes
        ]

    def ask(self, text: str, timeout_s: float = 30.0, verb: str = "list-windows") -> str:
        """What came of a question about `text`, by the client or by process."""
        answer = self.transport.run(self.argv(text, verb), timeout_s=timeout_s)
        return (answer.stdout or answer.stderr).decode().strip()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The stub under the name of an executable, which is closed afterwards."""
    binary = tmp_path / "stub"
    binary.write_text(f"#!{sys.executable}\n" + STUB.read_text("utf-8"), "utf-8")
    binary.chmod(0o700)
    made = Stage(binary)
    yield made
    made.transport.close()


@needs_setpriv
def test_the_first_call_goes_by_process_and_the_next_ones_by_the_client(stage: Stage) -> None:
    """Nothing is sent to a server that has not answered yet."""
    transport = stage.plays()

    assert [stage.ask("a"), stage.ask("b")] == ['"list-windows" "-t" "a"', '"list-windows" "-t" "b"']
    assert len(stage.plain.asked) == 1
    assert (transport.connected, transport.epoch) == (True, 1)


@needs_setpriv
def test_a_client_is_not_used_before_it_is_attached(stage: Stage) -> None:
    """The server may read the first requests before it makes the client's session: they would be about another one's."""
    transport = stage.plays("early", "early")

    assert [stage.ask("a"), stage.ask("b")] == ['"list-windows" "-t" "a"', '"list-windows" "-t" "b"']
    assert (transport.epoch, len(stage.plain.asked)) == (1, 1)


@needs_setpriv
def test_a_reply_that_comes_late_is_no_answer_to_what_is_asked_then(stage: Stage) -> None:
    """It is dropped, in its turn, and the client goes on."""
    transport = stage.plays("answer", "late", "late")
    for text in ("a", "b"):
        with pytest.raises(subprocess.TimeoutExpired):
            stage.ask(text, timeout_s=0.5)

    assert [stage.ask("c"), stage.ask("d")] == ['"list-windows" "-t" "c"', '"list-windows" "-t" "d"']
    assert transport.epoch == 1


@needs_setpriv
@pytest.mark.parametrize("word", ["garbage", "end"])
def test_a_client_that_is_not_understood_is_dropped(stage: Stage, word: str) -> None:
    """A question is asked again by process, a change is unknown."""
    transport = stage.plays("answer", word)
    answered = stage.ask("a")
    epoch = transport.epoch
    changed = stage.ask("b", verb="kill-window")

    assert (answered, changed) == ("by process", "lost server")
    assert len(stage.plain.asked) == 2
    assert epoch == 2


@needs_setpriv
def test_many_requests_have_each_their_answer(stage: Stage) -> None:
    """In the order in which they were asked, none by a process."""
    stage.plays()
    answers = stage.ask_many("a", "b", "c")

    assert answers == ['"list-windows" "-t" "a"', '"list-windows" "-t" "b"', '"list-windows" "-t" "c"']
    assert len(stage.plain.asked) == 1


@needs_setpriv
def test_of_many_requests_those_that_are_not_answered_in_time_are_unknown(stage: Stage) -> None:
    """The others have their answer, and what comes late is no answer to anything else."""
    transport = stage.plays("answer", "answer", "late", "late")
    answers = stage.ask_many("a", "b", "c", timeout_s=3.0)

    assert answers == ['"list-windows" "-t" "a"', "TimeoutExpired", "TimeoutExpired"]
    assert stage.ask("d") == '"list-windows" "-t" "d"'
    assert transport.epoch == 1


@needs_setpriv
def test_of_many_requests_those_of_a_lost_client_are_unknown(stage: Stage) -> None:
    """Nothing is sent a second time."""
    transport = stage.plays("answer", "answer", "end")
    answers = stage.ask_many("a", "b", "c")

    assert answers == ['"list-windows" "-t" "a"', "lost server", "lost server"]
    assert (transport.connected, len(stage.plain.asked)) == (False, 1)


@needs_setpriv
def test_a_batch_is_written_while_its_answers_are_read(stage: Stage) -> None:
    """Neither pipe takes all of it at once."""
    stage.plays()
    texts = [f"{number}-{'x' * 1000}" for number in range(300)]

    assert stage.ask_many(*texts) == [f'"list-windows" "-t" "{text}"' for text in texts]


class Wrapped:
    """Around a transport; hands on what it does not know, but not a command."""

    def __init__(self, inner: ControlTransport) -> None:
        self._inner = inner
        self.carried = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`; the second one goes wrong."""
        self.carried += 1
        if self.carried == 2:
            raise OSError("no")
        return self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)


@needs_setpriv
def test_who_wraps_a_transport_is_not_passed_by(stage: Stage) -> None:
    """It carries each of many requests, and what one raises is its outcome."""
    wrapped = Wrapped(stage.plays())
    argvs = [stage.argv(text) for text in "abc"]
    outcomes = run_many(wrapped, argvs, timeout_s=30, clock=SystemClock())

    assert [type(outcome) for outcome in outcomes] == [Completed, OSError, Completed]
    assert wrapped.carried == 3


@needs_setpriv
def test_a_notification_is_told_until_it_is_taken_whoever_has_read_it(stage: Stage) -> None:
    """The one before an answer is read with it, the one behind it perhaps later."""
    transport = stage.plays("answer", "tell")
    connecting = transport.told.is_set(), transport.notices(), transport.told.is_set()
    stage.ask("a")
    came: list[str] = []
    while len(came) < 2:
        assert SystemClock().wait(30, transport.told)
        came += transport.notices()

    assert connecting == (True, [], False)
    assert came[0] == came[1]
    assert not transport.told.is_set()


@needs_setpriv
def test_a_notification_that_is_dropped_with_a_late_reply_is_told_as_a_loss(stage: Stage) -> None:
    """Whoever mirrors what the server holds is woken, and starts anew."""
    transport = stage.plays("answer", "murmur")
    transport.notices()
    with pytest.raises(subprocess.TimeoutExpired):
        stage.ask("a", timeout_s=0.5)
    stage.ask("b")
    told = transport.told.is_set()

    assert (told, transport.notices(), transport.epoch) == (True, [], 2)
    assert not transport.told.is_set()


@needs_setpriv
def test_the_end_of_the_client_is_told(stage: Stage) -> None:
    """Until somebody has asked what came."""
    transport = stage.plays("answer", "answer")
    transport.notices()
    transport.close()
    told = [transport.told.is_set(), transport.connected]
    transport.notices()

    assert told == [True, False]
    assert not transport.told.is_set()


@needs_setpriv
def test_a_client_that_is_ending_keeps_nobody_waiting(stage: Stage) -> None:
    """What it was asked is taken back although reading its input would block by then."""
    stage.plays("answer", "block")

    with pytest.raises(subprocess.TimeoutExpired):
        stage.ask("in vain", timeout_s=0.5)


@needs_setpriv
def test_what_was_not_read_is_taken_back_at_one_go(stage: Stage) -> None:
    """Between two looks the other side could read what stands in the middle, and take that for a command."""
    stage.plays("answer", "block")
    with pytest.raises(subprocess.TimeoutExpired):
        stage.ask("read, and never answered", timeout_s=0.5)
    looks: list[str] = []

    def told(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ == "recv":
            looks.append(frame.f_code.co_name)

    sys.setprofile(told)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            stage.ask("x" * 150_000, timeout_s=0.5)
    finally:
        sys.setprofile(None)

    assert len(looks) == 1


@needs_setpriv
def test_a_client_of_which_part_of_a_request_was_read_is_ended(stage: Stage) -> None:
    """What follows would be read as the rest of it."""
    transport = stage.plays("answer", "sip")
    stage.ask("a")
    with pytest.raises(subprocess.TimeoutExpired):
        stage.ask("read in part", timeout_s=1.5)
    ended = not transport.connected

    assert stage.ask("b") == "by process"
    assert ended


@needs_setpriv
def test_what_is_given_up_before_it_is_asked_is_never_asked(stage: Stage) -> None:
    """Whoever is told that it could not be asked must be able to rely on that."""
    transport = stage.plays("answer")
    transport.abandon()
    with pytest.raises(InterruptedError):
        stage.ask("b", verb="kill-window")
    transport.take_up()
    with pytest.raises(subprocess.TimeoutExpired):
        stage.ask("b", timeout_s=0, verb="kill-window")

    assert stage.ask("c") == '"list-windows" "-t" "c"'


@needs_setpriv
def test_a_change_that_an_ended_client_has_not_read_is_made_by_a_process(stage: Stage) -> None:
    """It is known that it was not made; one of which the client has read anything is unknown."""
    transport = stage.plays("answer", "leave")
    before = transport.connected
    assert stage.ask("a", verb="select-window") == '"select-window" "-t" "a"'

    assert stage.ask("b", verb="kill-window") == "by process"
    assert before


@needs_setpriv
def test_a_process_that_was_forked_leaves_the_client_to_its_parent(stage: Stage) -> None:
    """It asks by processes; the parent goes on as before, also once the child has ended."""
    transport = stage.plays("answer")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, f"{transport.connected} {stage.ask('in the child')}".encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as said:
        told = said.read()
    os.waitpid(child, 0)

    assert told == b"False by process"
    assert stage.ask("b") == '"list-windows" "-t" "b"'
    assert transport.epoch == 1


@needs_setpriv
def test_a_host_that_has_no_thread_to_spare_is_asked_by_process(stage: Stage) -> None:
    """The question was answered already; a client is no more than a better way to ask the next ones."""
    control_client.begin_anew()
    # More than any host has.
    threading.stack_size(1 << 46)
    try:
        transport = stage.plays("answer", tries=1)
    finally:
        threading.stack_size(0)
    assert not transport.connected

    assert stage.ask("a") == "by process"
    assert transport.connected


@needs_setpriv
def test_a_client_that_never_comes_up_is_given_up(stage: Stage) -> None:
    """After three tries in a row everything goes by process, and why is told."""
    transport = stage.plays("end", "end", "end", tries=1)
    answers = [stage.ask(text) for text in "abcd"]

    assert answers == ["by process"] * 4
    assert (transport.connected, transport.epoch) == (False, 0)
    assert transport.why.startswith("connecting failed 3 times: ")


@needs_setpriv
def test_who_has_little_time_connects_nobody_and_gives_nobody_up(stage: Stage) -> None:
    """The answer is there already; who has more time the next time is connected."""
    transport = stage.plays("answer", tries=0)
    clock = SystemClock()
    began = clock.monotonic()
    answers = [stage.ask(text, timeout_s=0.1) for text in "abcd"]
    took = clock.monotonic() - began

    assert (answers, transport.why) == (["by process"] * 4, "")
    assert took < 0.1
    assert any(stage.ask("e") and transport.connected for _ in range(3))


@needs_setpriv
def test_an_interrupt_after_the_answer_leaves_the_client_to_the_next_one(stage: Stage) -> None:
    """Ctrl-C comes anywhere; where it comes last, others have their turn all the same."""
    stage.plays("answer")

    def interrupt(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name == "noticed":
            raise KeyboardInterrupt

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            stage.ask("a")
    finally:
        sys.setprofile(None)

    assert stage.ask("b", timeout_s=15) == '"list-windows" "-t" "b"'


@needs_setpriv
def test_a_call_that_is_given_up_raises_at_once(stage: Stage) -> None:
    """And again, until calls are taken up; the client stays."""
    transport = stage.plays()
    transport.abandon()
    for _ in range(2):
        with pytest.raises(InterruptedError):
            stage.ask("a", timeout_s=600)
    transport.take_up()

    assert stage.ask("b") == '"list-windows" "-t" "b"'
    assert transport.epoch == 1


def words(*commands: Sequence[str], prefix: Sequence[str] = ("-u", "-S", "/s", "-f", "/dev/null")) -> tuple[str, ...]:
    """The argv of a client for those commands."""
    return ("tmux", *prefix, *chain(*commands))


@pytest.mark.parametrize(
    ("argv", "stdin"),
    [
        (("tmux", "-V"), b""),
        (words(), b""),
        (words(("kill-server",)), b""),
        (words(("new-session", "-d")), b""),
        (words(("list-windows",), ("run-shell", ":")), b""),
        (words(("attach-session", "-t", "=x:")), b""),
        (words(("detach-client",)), b""),
        (words(("refresh-client", "-C", "80x24")), b""),
        (words(("wait-for", "x")), b""),
        (words(("if-shell", "sleep 1", "list-windows")), b""),
        (words(("source-file", "-")), script_line(("if-shell", "sleep 1", "list-windows"))),
        (words(("-S", "/other", "list-windows")), b""),
        (words(("list-windows",), prefix=("-u", "-S", "/s", "-f", "/x")), b""),
        (words(("list-windows",)), b"more"),
        (words(("source-file", "-")), b""),
        (words(("source-file", "-")), script_line(("run-shell", ":"))),
        (words(("source-file", "-")), script_line(("new-window", "-d")) * 2),
        (words(("source-file", "-")), script_line(("new-window", "-d"))[:-1]),
        (words(("source-file", "/x")), b""),
        (words(("load-buffer", "/x")), b""),
    ],
)
def test_what_control_mode_cannot_carry_goes_by_process(argv: tuple[str, ...], stdin: bytes) -> None:
    """What may start a server, means another one, waits, or reads more than one line."""
    assert spoken(argv, stdin) is None


def test_commands_become_one_line() -> None:
    """Quoted as a script is, with what a client would have read on stdin in it."""
    typed = words(("load-buffer", "-b", "x", "-"), ("paste-buffer", "-b", "x"), ("send-keys", "a;", ";"))
    made = spoken(typed, b"a\nb;\xc3\xa9$")
    asked = spoken(words(("list-windows", "-F", "#{a}\t"), ("show-options", "-v", "@x")))
    script = spoken(words(("source-file", "-")), script_line(("new-window", "-d", "x y")))

    assert made is not None
    assert asked is not None
    assert script is not None
    assert made.line.decode() == (
        '"set-buffer" "-b" "x" "--" "a\\012b;é\\$" ; "paste-buffer" "-b" "x" ; "send-keys" "a;" ";"\n'
    )
    assert asked.line == b'"list-windows" "-F" "#{a}\\011" ; "show-options" "-v" "@x"\n'
    assert script.line == b'"new-window" "-d" "x y"\n'
    assert [made.asks_only, asked.asks_only, script.asks_only] == [False, True, False]


def test_a_choice_without_a_shell_is_made_where_the_line_is_read() -> None:
    """In the language of configuration files, in which what is chosen stands as it is."""
    made = spoken(words(("if-shell", "-F", "#{x}\t", '"set-option" "@a" "\\$b"', '"display-message" "late"')))
    chained = spoken(words(("copy-mode",), ("if-shell", "-F", "#{x}", '"copy-mode"', '"copy-mode"')))

    assert made is not None
    assert chained is not None
    assert made.line == b'%if "#{x}\\011" "set-option" "@a" "\\$b" %else "display-message" "late" %endif\n'
    assert chained.line == b'"copy-mode" ; "if-shell" "-F" "#{x}" "\\"copy-mode\\"" "\\"copy-mode\\""\n'
    assert (made.asks_only, chained.asks_only) == (False, False)
