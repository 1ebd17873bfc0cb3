"""The tmux family over canned transports: every operation with every way to fail, and what it asks when all is well."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping

import pytest
from canned_tmux import (
    INSIDE,
    RECORD,
    SERVER_PID,
    SOCKET,
    STARTED,
    Answer,
    Outcome,
    Reply,
    canned,
    completed,
    failing,
    healthy,
    outcome,
    spoken,
    verbs,
)

from backends.errors import (
    CommandRejected,
    MultiplexerError,
    TargetMissing,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
)
from backends.fake_words import read_script
from backends.operations import OPERATIONS, Kind, Operation, ServerIdentity, WindowExit
from backends.processes import Completed, Liveness
from backends.tmux import TmuxMultiplexer
from backends.words import script_line

FAMILIES = ("ENOENT", "EACCES", "EMFILE", "ENFILE", "EAGAIN", "ENOMEM", "E2BIG", "EPIPE", "EIO")
REFUSED = b"duplicate session: run-2\n"

FAILURES: Mapping[str, tuple[Callable[[], Answer], type[MultiplexerError]]] = {
    "timed out": (lambda: subprocess.TimeoutExpired(["tmux", "secret"], 5.0), TransportTimeout),
    "ETIMEDOUT": (lambda: OSError(errno.ETIMEDOUT, "timed out"), TransportTimeout),
    **{
        code: (lambda code=code: OSError(getattr(errno, code), code), TransportUnavailable)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        for code in FAMILIES
    },
    "another SubprocessError": (lambda: subprocess.CalledProcessError(3, ["tmux"]), TransportUnavailable),
    "a decoding error": (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), TransportGarbled),
    "NUL in an argument": (lambda: ValueError("embedded null byte"), CommandRejected),
    "undecodable stdout": (lambda: completed(0, b"\xff\xfe\xff\n"), TransportGarbled),
    "undecodable stderr": (lambda: completed(1, b"", b"\xff\xfe\n"), TransportGarbled),
    "no stdout at all": (lambda: completed(0, None), TransportGarbled),
    "garbage": (lambda: completed(0, b"lorem ipsum\tdolor\n"), TransportGarbled),
    "exit 0 with nothing": (lambda: completed(0), TransportGarbled),
    "exit 0 with a complaint": (lambda: completed(0, b"", b"access not allowed\n"), TransportUnavailable),
    "exit 1 with nothing": (lambda: completed(1), TransportGarbled),
    "two lines of stderr": (lambda: completed(1, b"", b"can't find session: run-1\nmore\n"), TransportGarbled),
    "an unknown line": (lambda: completed(1, b"", b"the moon is full\n"), TransportUnavailable),
    "a line about another target": (lambda: completed(1, b"", b"can't find session: run-7\n"), TransportUnavailable),
    "server exited": (lambda: completed(1, b"", b"server exited unexpectedly\n"), TransportUnavailable),
    "no permission": (
        lambda: completed(1, b"", f"error connecting to {SOCKET} (Permission denied)\n".encode()),
        TransportUnavailable,
    ),
    "refused": (lambda: completed(1, b"", REFUSED), CommandRejected),
    "exit 127": (lambda: completed(127, b"", b"tmux: not found\n"), TransportUnavailable),
    "killed": (lambda: completed(-9), TransportUnavailable),
}
"""Every class of failure: what each question of an operation ends as, and the error that this is at the seam."""

ASKING = [name for name, operation in OPERATIONS.items() if operation.kind is not Kind.LOCAL]
CALLERS = ("current_pane_id", "current_window_id", "current_session")


def expected(operation: Operation, error: type[MultiplexerError]) -> Outcome | type[MultiplexerError]:
    """What the contract wants: the sentinel, or the error, by the operation's kind and policy alone."""
    if operation.name == "available":
        return Outcome(False)
    if operation.kind is Kind.LOCAL:
        return Outcome(True)
    return error if operation.raises else Outcome(operation.sentinel())


def check(came: Outcome, operation: Operation, failure: str, error: type[MultiplexerError]) -> None:
    """Compare what came of a call with what the contract wants."""
    wanted = expected(operation, error)
    invalid = failure == "NUL in an argument" and operation.kind is not Kind.LOCAL
    if isinstance(wanted, type) or invalid:
        assert type(came.error) is error, f"{came}"
        assert came.error.operation == operation.name
        return
    assert came.error is None
    if operation.kind is Kind.LOCAL and operation.name != "available":
        assert came.answer
        return
    assert came.answer == wanted.answer
    assert type(came.degraded) is error, "swallowed is never invisible"


def everything(answer: Callable[[], Answer]) -> Reply:
    """A transport on which every question ends alike."""
    return lambda argv, stdin: answer()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_of_the_transport_has_its_outcome(name: str, failure: str) -> None:
    """Operation by failure: the contract's error or sentinel, and nothing raw."""
    answer, error = FAILURES[failure]
    mux, _ = canned(everything(answer))

    check(outcome(mux, name, OPERATIONS[name].sample), OPERATIONS[name], failure, error)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_backend_that_overrides_only_the_spawn_keeps_the_table(name: str, failure: str) -> None:
    """The guard and the judge lie above `_run`, so that replacing it changes no outcome."""
    answer, error = FAILURES[failure]

    class OnlyRun(TmuxMultiplexer):
        def _run(self, *words: str, stdin: bytes = b"") -> Completed:
            came = answer()
            if isinstance(came, BaseException):
                raise came
            return came

    mux, transport = canned(kind=OnlyRun)
    check(outcome(mux, name, OPERATIONS[name].sample), OPERATIONS[name], failure, error)
    assert transport.calls == []


RAISED = {name: made for name, made in FAILURES.items() if isinstance(made[0](), BaseException)}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("failure", RAISED)
def test_a_backend_that_overrides_whole_operations_keeps_the_table(name: str, failure: str) -> None:
    """An operation that is replaced altogether is guarded by its name."""
    answer, error = RAISED[failure]

    def broken(self: TmuxMultiplexer, *args: object, **kwargs: object) -> object:
        came = answer()
        assert isinstance(came, BaseException)
        raise came

    mux, _ = canned(kind=type("WholeOperations", (TmuxMultiplexer,), {name: broken}))
    came = outcome(mux, name, OPERATIONS[name].sample)
    if name in ("attach_target_argv", "target"):
        assert type(came.error) is error or came.degraded is not None
        return
    check(came, OPERATIONS[name], failure, error)


@pytest.mark.parametrize("name", ASKING)
def test_every_operation_is_answered_by_a_healthy_server(name: str) -> None:
    """The table above proves something only if the same calls succeed where nothing fails."""
    mux, _ = canned(gone_after_kill() if name.startswith("kill") else None)

    came = outcome(mux, name, OPERATIONS[name].sample)

    assert came.error is None
    assert came.degraded is None


def gone_after_kill() -> Reply:
    """A healthy server in which what was killed is gone afterwards."""
    killed: list[str] = []

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        verb = verbs(argv[1:])[0]
        if verb.startswith("kill-"):
            killed.append(argv[-1])
        if killed and verb == "list-windows":
            return completed(1, b"", b"can't find session: run-1\n")
        if killed and verb == "list-panes":
            return completed(1, b"", b"can't find window: @1\n")
        return healthy(argv, stdin)

    return reply


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_truncated_answer_is_no_answer(name: str, cut: int) -> None:
    """Every answer that lacks its last bytes is garbled, whichever operation asked."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        return completed(stdout=healthy(argv, stdin).stdout[:-cut])

    came = outcome(canned(reply)[0], name, OPERATIONS[name].sample)

    assert type(came.error or came.degraded) is TransportGarbled


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_errno_is_unknown_at_the_seam(code: int) -> None:
    """No error of the host is ever an answer about a session."""
    mux, _ = canned(everything(lambda: OSError(code, os.strerror(code))))
    error = TransportTimeout if code == errno.ETIMEDOUT else TransportUnavailable

    came = outcome(mux, "has_session", {"name": "run-1"})

    assert type(came.error) is error
    assert isinstance(came.error.__cause__, OSError)


SESSION_GONE = completed(1, b"", b"can't find session: run-1\n")
THAT_SESSION_GONE = completed(1, b"", b"can't find session: $0\n")
"""Of the session that had the name when it was asked for."""
WINDOW_GONE = completed(1, b"", b"can't find window: @1\n")
PROVEN: Mapping[str, tuple[str, Completed, object]] = {
    "has_session": ("list-windows", SESSION_GONE, False),
    "list_window_ids": ("list-windows", SESSION_GONE, []),
    "window_alive": ("list-windows", SESSION_GONE, False),
    "batch_liveness": ("list-windows", SESSION_GONE, frozenset()),
    "list_windows": ("list-windows", SESSION_GONE, []),
    "set_session_option": ("set-option", SESSION_GONE, TargetMissing),
    "new_window": ("source-file", THAT_SESSION_GONE, TargetMissing),
    "new_parked_window": ("source-file", THAT_SESSION_GONE, TargetMissing),
    "kill_session": ("kill-session", THAT_SESSION_GONE, None),
    "kill_window": ("kill-window", WINDOW_GONE, None),
    "send_text": ("list-panes", WINDOW_GONE, TargetMissing),
    "window_pids": ("list-panes", WINDOW_GONE, TargetMissing),
    "window_exit": ("list-panes", WINDOW_GONE, TargetMissing),
    "select_window": ("select-window", WINDOW_GONE, None),
    "pipe_pane": ("pipe-pane", WINDOW_GONE, None),
    "show_window_option": ("show-options", WINDOW_GONE, ""),
}


@pytest.mark.parametrize("name", PROVEN)
def test_proof_of_absence_is_an_answer(name: str) -> None:
    """Where our server says in the exact words that the target does not exist, that is known."""
    verb, answer, wanted = PROVEN[name]
    came = outcome(canned(failing(verb, answer))[0], name, OPERATIONS[name].sample)

    if wanted is TargetMissing:
        assert type(came.error) is TargetMissing
    else:
        assert came.error is None
        assert came.answer == wanted


@pytest.mark.parametrize("server", [Liveness.ALIVE, Liveness.UNKNOWN])
@pytest.mark.parametrize(
    "line", [f"no server running on {SOCKET}", f"error connecting to {SOCKET} (No such file or directory)"]
)
def test_silence_at_the_socket_is_unknown_while_the_process_may_live(line: str, server: Liveness) -> None:
    """An unlinked socket looks like no server at all: only the process proves it."""
    mux, _ = canned(everything(lambda: completed(1, b"", f"{line}\n".encode())), server=server)

    for name in ("has_session", "list_window_ids", "window_alive", "window_exit", "server_identity", "new_session"):
        assert type(outcome(mux, name, OPERATIONS[name].sample).error) is TransportUnavailable, name


def test_a_record_of_another_boot_is_of_a_dead_server() -> None:
    """No process outlives its host: after a reboot a silent socket proves absence."""
    record = type(RECORD)(RECORD.pid, RECORD.start_time, RECORD.process_started, "boot-0")
    gone = completed(1, b"", f"no server running on {SOCKET}\n".encode())
    mux, _ = canned(everything(lambda: gone), record=record, server=Liveness.DEAD)

    assert mux.has_session("run-1") is False


def other_server(argv: tuple[str, ...], stdin: bytes) -> Answer:
    """A healthy server that is not the recorded one."""
    return healthy(argv, stdin, pid="5151", start_time=str(STARTED + 9))


def test_another_server_is_no_answer_while_ours_lives() -> None:
    """A second server at the socket has sessions of the same names: it must not speak for ours."""
    mux, _ = canned(other_server)

    came = outcome(mux, "has_session", {"name": "run-1"})

    assert type(came.error) is TransportUnavailable
    assert "5151" in str(came.error)
    assert str(SERVER_PID) in str(came.error)


def test_another_server_means_absence_once_ours_is_gone() -> None:
    """What was in our server died with it; a stranger's session of the same name is not adopted."""
    mux, _ = canned(other_server, server=Liveness.DEAD)

    assert mux.has_session("run-1") is False
    assert mux.list_window_ids("run-1") == []
    assert type(outcome(mux, "new_window", OPERATIONS["new_window"].sample).error) is TargetMissing


def test_the_successor_of_a_dead_server_is_ours_even_if_nobody_said_that_it_was_started() -> None:
    """The answer to what started it may be lost: who answers next is recorded, and the session in it is there."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        lost = "new-session" in verbs(argv[1:])
        return subprocess.TimeoutExpired("tmux", 30) if lost else other_server(argv, stdin)

    mux, _ = canned(reply, server=Liveness.DEAD)
    before = mux.has_session("run-1")
    with pytest.raises(TransportTimeout):
        mux.new_session("run-1", "/")

    assert not before
    assert mux.has_session("run-1")
    assert b"5151" in mux._disk.read(f"{os.path.dirname(SOCKET)}/server.json")


@pytest.mark.parametrize("name", ["new_window", "set_session_option", "kill_session", "kill_window", "send_text"])
def test_a_change_is_not_asked_of_another_server(name: str) -> None:
    """Ids begin anew in every server: the change must not reach the wrong one."""
    mux, transport = canned(other_server)

    came = outcome(mux, name, OPERATIONS[name].sample)

    assert type(came.error or came.degraded) is TransportUnavailable
    asked = {verb for argv, _, _ in transport.calls for verb in verbs(argv[1:])}
    assert asked <= {"display-message", "list-panes", "list-windows"}


def test_an_unreadable_record_proves_nothing_and_heals() -> None:
    """A broken file beside the socket makes silence unknown, and the next answer replaces it."""
    silence = completed(1, b"", f"error connecting to {SOCKET} (No such file or directory)\n".encode())
    mux, transport = canned(everything(lambda: silence), record=None)
    disk = mux._disk
    disk.write(f"{os.path.dirname(SOCKET)}/server.json", b"{")

    assert type(outcome(mux, "has_session", {"name": "run-1"}).error) is TransportUnavailable
    transport.reply = None
    assert mux.has_session("run-1") is True
    assert b"4242" in disk.read(f"{os.path.dirname(SOCKET)}/server.json")


def test_a_record_that_cannot_be_written_fails_no_answer() -> None:
    """A full disk costs proof after our own death, not the answer at hand."""
    mux, _ = canned(record=None)
    where = os.path.dirname(SOCKET)
    mux._disk.mkdir(f"{where}/server.json.{mux._processes.me().pid}/in/the/way")

    assert mux.has_session("run-1") is True
    assert mux._disk.info(f"{where}/server.json") is None


def test_a_killed_thing_that_is_still_there_is_reported() -> None:
    """A kill that was answered with 0 is looked after: what is still there reaches the observer."""
    mux, _ = canned()

    for name in ("kill_session", "kill_window"):
        came = outcome(mux, name, OPERATIONS[name].sample)
        assert came.error is None
        assert "still there" in str(came.degraded)


def test_a_server_that_ends_with_its_last_session_counts_as_a_kill_done() -> None:
    """The look after the kill finds no server: its process, gone a moment later, is the proof."""
    mux, _ = canned(server=Liveness.DEAD)
    came = outcome(mux, "kill_session", {"name": "run-1"})

    mux, _ = canned(failing("list-windows", completed(1, b"", b"server exited unexpectedly\n")), server=Liveness.DEAD)
    assert came.degraded is not None
    assert outcome(mux, "kill_session", {"name": "run-1"}) == Outcome(None)


def test_the_environment_and_command_of_a_window_travel_on_stdin() -> None:
    """No argv carries a secret: the client's words are the same for every window."""
    mux, transport = canned()
    mux.new_window("run-1", "agent", "/a b", {"KEY": 's3cret\n\t"$\\;'}, "agent --flag 'x y'")

    assert transport.calls[-1][0] == ("tmux", "-u", "-S", SOCKET, "-f", "/dev/null", "source-file", "-")
    words = transport.said
    assert words[words.index("-e") + 1] == 'KEY=s3cret\n\t"$\\;'
    assert words[-1] == "cd -- '/a b' || exit 126; exec agent --flag 'x y'"


@pytest.mark.parametrize("word", ["caf\udce9", "é\n~$x\x1b", "a;", '"'])
def test_a_word_of_a_script_is_ascii_or_utf_8_and_read_as_it_was_given(word: str) -> None:
    """A byte of a name that is not UTF-8 included."""
    assert read_script(script_line(("new-window", word)).decode("utf-8")) == [(1, [["new-window", word]])]


def test_a_format_in_a_directory_is_not_expanded() -> None:
    """`#(command)` in a path given to `-c` would be executed; doubled, it is a name."""
    mux, transport = canned()
    mux.new_window("run-1", "agent", "/tmp/#(touch x)", {}, "true")
    window = transport.said
    mux.new_session("run-2", "/tmp/#(touch x)")

    for words in (window, transport.said):
        assert words[words.index("-c") + 1] == "/tmp/##(touch x)"


def test_variables_that_tmux_overwrites_are_set_by_the_shell() -> None:
    """`new-window -e PATH=...` is lost inside tmux: the window's shell line sets it again."""
    mux, transport = canned()
    mux.new_window("run-1", "agent", "/", {"PATH": "/x y", "OTHER": "secret"}, "true")

    assert transport.said[-1] == "export PATH='/x y'; cd -- / || exit 126; exec true"


def test_text_and_enter_are_one_command_of_one_client() -> None:
    """A lost call cannot separate them; the text itself is on stdin."""
    mux, transport = canned()
    mux.send_text("@1", "-hello;\n")

    argv, stdin, _ = transport.calls[-1]
    assert verbs(argv[1:]) == ["load-buffer", "copy-mode", "paste-buffer", "send-keys"]
    assert stdin == b"-hello;\n"
    assert transport.said[-4:] == ["send-keys", "-t", "%1", "Enter"]


def test_which_pane_is_typed_into_is_asked_once() -> None:
    """Not at all of a window that was made here; the server that is typed into looks whether it is still so."""
    mux, transport = canned()
    mux.new_window("run-1", "agent", "/", {}, "true")
    made = len(transport.calls)
    mux.send_text("@1", "x")
    other, asked = canned()
    for _ in range(2):
        other.send_text("@1", "x")

    assert len(transport.calls) == made + 1
    assert [verbs(argv[1:])[0] for argv, _, _ in asked.calls] == ["list-panes", "load-buffer", "load-buffer"]
    for argv, _, _ in (transport.calls[-1], asked.calls[-1]):
        assert argv[argv.index("if-shell") :][1:4] == ("-F", "-t", "%1")
        assert "#{window_id}/#{pane_dead}," in argv[argv.index("if-shell") + 4]
        assert argv[argv.index("if-shell") + 4].endswith("/1/@1/0}")


def test_nothing_is_typed_into_a_dead_window() -> None:
    """Tmux answers 0 and drops the text: the seam refuses instead."""
    mux, transport = canned(lambda argv, stdin: healthy(argv, stdin, pane_dead="1"))

    came = outcome(mux, "send_text", {"window_id": "@1", "text": "x"})

    assert type(came.error) is CommandRejected
    assert len(transport.calls) == 1


@pytest.mark.parametrize("value", ["a;", ";", "a\\;", "-x", "a;b", "", '"', "$HOME", "a\tb\n", "~x"])
def test_a_value_is_one_word_whatever_it_is(value: str) -> None:
    """It is quoted for the script behind the fence, none of whose words ends with a `;`; a leading `-` stands behind `--`."""
    mux, transport = canned()
    mux.set_session_option("run-1", "@x", value)

    assert transport.said[-3:] == ["--", "@x", value]
    assert not any(word.endswith(";") for word in transport.calls[-1][0])


def test_a_log_file_is_quoted_for_the_shell_and_for_tmux() -> None:
    """`pipe-pane` expands formats and dates in its command, and a shell reads it."""
    mux, transport = canned()
    mux.pipe_pane("@1", "/tmp/#{pid} %H's.log")

    wanted = "umask 077; exec cat >> " + shlex.quote("/tmp/##{pid} %%H's.log")
    assert transport.said[-1] == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"pane_dead": "0"}, None),
        ({"pane_dead": "1", "pane_dead_status": "3"}, WindowExit(code=3)),
        ({"pane_dead": "1", "pane_dead_signal": "9"}, WindowExit(signal=9)),
        ({"pane_dead": "1"}, None),
        ({"pane_dead": "0", "@seamripper_exit": "7"}, WindowExit(code=7)),
    ],
)
def test_the_exit_of_a_window_is_told(values: dict[str, str], wanted: WindowExit | None) -> None:
    """By code, by signal, or by what a parked window stored; `None` where it runs or cannot be told."""
    mux, _ = canned(lambda argv, stdin: healthy(argv, stdin, **values))

    assert mux.window_exit("@1") == wanted


def test_a_window_by_name_is_found_by_its_exact_name() -> None:
    """`agent` must not reach `agent-2`, nor index 1 the window named `1`: names are resolved to ids."""
    mux, transport = canned(lambda argv, stdin: healthy(argv, stdin, window_name="agent-2"))

    came = outcome(mux, "kill_window", {"target": "=run-1:agent"})

    assert came == Outcome(None)
    assert [verbs(argv[1:])[0] for argv, _, _ in transport.calls] == ["list-windows"]


@pytest.mark.parametrize("target", ["run-1", "run-1:agent", "=run*", "=run-1:a.b", "{last}", "@1 ;", "%"])
@pytest.mark.parametrize("name", ["kill_window", "select_window", "window_exit", "attach_target_argv", "switch_client"])
def test_a_target_that_could_match_another_is_refused(name: str, target: str) -> None:
    """What neither `target()` nor tmux has made is refused before anything is spawned."""
    mux, transport = canned()
    key = next(key for key in OPERATIONS[name].arguments)

    came = outcome(mux, name, {key: target})

    assert type(came.error) is CommandRejected
    assert transport.calls == []


def test_the_attaching_argv_names_the_private_socket() -> None:
    """Attaching asks nobody, and reaches our server whatever TMUX says."""
    mux, transport = canned()

    assert mux.attach_target_argv("=run-1") == ["tmux", "-u", "-S", SOCKET, "attach-session", "-t", "=run-1"]
    assert mux.attach_target_argv("=run-1:w")[-1] == "=run-1:=w"
    assert transport.calls == []


@pytest.mark.parametrize(
    "environment", [{}, {"TMUX": INSIDE["TMUX"]}, {"TMUX_PANE": "%1"}, {**INSIDE, "TMUX_PANE": "x"}]
)
@pytest.mark.parametrize("name", CALLERS)
def test_outside_of_tmux_there_is_no_current_window(name: str, environment: dict[str, str]) -> None:
    """Nobody is asked where this process runs in no window."""
    mux, transport = canned(environment=environment)

    assert outcome(mux, name, {}) == Outcome(None)
    assert transport.calls == []


def test_the_current_window_is_asked_of_the_callers_own_server() -> None:
    """The caller may run in another server than ours: that one knows its pane."""
    inside = {"TMUX": "/elsewhere/sock,99,0", "TMUX_PANE": "%5"}
    mux, transport = canned(lambda argv, stdin: completed(stdout=b"99\t%5\t@3\n"), environment=inside)

    assert mux.current_window_id() == "@3"
    assert transport.calls[0][0][-7:-1] == ("-S", "/elsewhere/sock", "display-message", "-p", "-t", "%5")


def test_a_pane_of_a_replaced_server_is_not_taken_for_ours() -> None:
    """Pane ids begin anew: the pid in TMUX must be the one that answers."""
    mux, _ = canned(lambda argv, stdin: completed(stdout=b"100\t%1\t@3\n"))

    assert type(outcome(mux, "current_window_id", {}).degraded) is TransportGarbled


def test_no_error_carries_a_payload() -> None:
    """Errors end up in journals: the text, the command and the environment are withheld."""
    calls: dict[str, dict[str, object]] = {
        "send_text": {"window_id": "@1", "text": "s3cret"},
        "new_window": {**OPERATIONS["new_window"].sample, "env": {"K": "s3cret"}, "command": "run s3cret"},
        "set_session_option": {"name": "run-1", "option": "@x", "value": "s3cret"},
    }
    for name, arguments in calls.items():
        mux, _ = canned(everything(lambda: completed(127)))
        came = outcome(mux, name, arguments)
        assert "s3cret" not in f"{came.error} {came.error!r}"


def test_a_call_is_given_what_is_left_of_its_deadline() -> None:
    """Deadlines are of the operation: a second question gets what the first one left."""
    mux, transport = canned()

    def slow(argv: tuple[str, ...], stdin: bytes) -> Answer:
        mux.clock.sleep(3)
        return healthy(argv, stdin)

    transport.reply = slow
    mux.set_session_option("run-1", "@x", "y")
    assert [timeout for _, _, timeout in transport.calls] == [30.0, 27.0]
    with mux.budget(2):
        assert type(outcome(mux, "new_window", OPERATIONS["new_window"].sample).error) is TransportTimeout


def test_giving_up_is_forwarded_to_the_transport() -> None:
    """`abandon` reaches whoever waits."""
    mux, transport = canned()
    mux.abandon()

    assert transport.abandoned == 1


def test_the_server_is_made_ours_before_its_first_window() -> None:
    """The settings and the first session are one command, so that no window exists without them."""
    mux, transport = canned(record=None)
    mux.new_session("run-2", "/", 100, 30)

    argv = transport.calls[-1][0]
    words = transport.said
    assert verbs(argv[1:]) == ["start-server", *["set-option"] * 5, "new-session"]
    assert words[words.index("-x") : words.index("-x") + 4] == ["-x", "100", "-y", "30"]
    assert mux.server_identity() == ServerIdentity(SERVER_PID, STARTED)


def test_a_new_session_starts_no_second_server_beside_a_living_one() -> None:
    """With the socket unlinked, `new-session` would start a server with the same names and ids."""
    unlinked = completed(1, b"", f"error connecting to {SOCKET} (No such file or directory)\n".encode())
    mux, transport = canned(failing("display-message", unlinked))

    came = outcome(mux, "new_session", OPERATIONS["new_session"].sample)

    assert type(came.error) is TransportUnavailable
    assert all("new-session" not in verbs(argv[1:]) for argv, _, _ in transport.calls)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("has_session", {"session_name": "run-10"}),
        ("new_session", {"session_name": "run-20"}),
        ("list_window_ids", {"window_id": ""}),
        ("new_window", {"window_id": "%1"}),
        ("window_exit", {"window_id": "@7"}),
        ("window_exit", {"pane_dead": ""}),
        ("window_alive", {"pane_dead": ""}),
        ("window_alive", {"pane_dead": "2"}),
        ("window_pids", {"pane_pid": ""}),
        ("has_session", {"pid": "none"}),
        ("has_session", {"start_time": ""}),
        ("has_session", {"version": ""}),
        ("server_identity", {"pid": "0"}),
    ],
)
def test_an_answer_about_something_else_is_garbled(name: str, values: dict[str, str]) -> None:
    """A well-formed line that does not hold what was asked for is no answer."""
    mux, _ = canned(lambda argv, stdin: healthy(argv, stdin, **values))

    assert type(outcome(mux, name, OPERATIONS[name].sample).error) is TransportGarbled


@pytest.mark.parametrize("panes", [b"", b"lorem", b"%1 0/%2 ?/", b"%1 0"])
def test_unreadable_panes_are_garbled(panes: bytes) -> None:
    """A window without a readable pane is neither alive nor dead."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        return completed(stdout=healthy(argv, stdin).stdout.replace(b"%1 0/", panes))

    assert type(outcome(canned(reply)[0], "window_alive", OPERATIONS["window_alive"].sample).error) is TransportGarbled


@pytest.mark.parametrize(("panes", "alive"), [(b"%1 0/%2 1/", True), (b"%2 0/%1 1/", False), (b"%10 0/%9 1/", False)])
def test_a_window_lives_as_long_as_the_process_it_was_made_with(panes: bytes, alive: bool) -> None:
    """Of several panes the oldest counts, in whichever order they are laid out."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        return completed(stdout=healthy(argv, stdin).stdout.replace(b"%1 0/", panes))

    assert canned(reply)[0].window_alive("run-1", "@1") is alive


@pytest.mark.parametrize(("last_fallback", "switched"), [(False, False), (True, True)])
def test_a_client_goes_back_where_it_came_from_if_told_so(last_fallback: bool, switched: bool) -> None:
    """A refused switch is a refusal, unless the last session will do."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        refused = spoken(argv)[-2:] == ["-t", "=run-9:"]
        return completed(1, b"", b"can't find client: x\n") if refused else healthy(argv, stdin)

    mux, transport = canned(reply)

    assert mux.switch_client("=run-9", last_fallback) is switched
    assert ("-l" in transport.said) is last_fallback


def test_without_a_client_nothing_is_switched() -> None:
    """A server that nobody is attached to answers with an empty list: that is an answer here."""
    mux, _ = canned(failing("list-clients", completed()))

    assert outcome(mux, "switch_client", {"target": "=run-1"}) == Outcome(False)


def test_only_a_window_of_our_own_server_can_detach_its_client() -> None:
    """The caller's own tmux is not ours to command."""
    mux, transport = canned(environment={"TMUX": "/elsewhere,99,0", "TMUX_PANE": "%5"})

    assert type(outcome(mux, "detach_client", {}).degraded) is CommandRejected
    assert transport.calls == []


def test_an_option_that_is_unset_is_told_from_an_empty_one() -> None:
    """Only sessions that have the option are answered for."""
    values = {"run-1": b"demo\n", "run-2": b"", "run-3": b"\n", "run-4": b"a\nb\n"}

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        if "list-sessions" in argv:
            row, said = healthy(argv, stdin).stdout.decode().splitlines(keepends=True)
            return completed(stdout="".join([*(row.replace("run-1", name) for name in values), said]).encode())
        if "show-options" in argv:
            return completed(stdout=b"".join(value + b"\t-- end of value --\t\n" for value in values.values()))
        return healthy(argv, stdin)

    assert canned(reply)[0].session_options("@x") == {"run-1": "demo", "run-3": "", "run-4": "a\nb"}


def test_a_value_of_several_lines_makes_no_row_of_its_own() -> None:
    """Whoever can set an option could list a window that is not there."""
    mux, _ = canned(lambda argv, stdin: healthy(argv, stdin, **{"@project": "demo\nx\t@7\tghost"}))

    came = outcome(mux, "list_windows", {"session": "run-1", "fields": ("@project",)})

    assert (came.answer, type(came.degraded)) == ([], TransportGarbled)


@pytest.mark.parametrize(
    "name", ["set_session_option", "set_window_option", "unset_window_option", "select_window", "pipe_pane"]
)
def test_a_server_that_has_answered_before_is_asked_once(name: str) -> None:
    """The fence keeps every other one from doing it, so nobody is asked first who is there."""
    mux, transport = canned()
    mux.has_session("run-1")
    before = len(transport.calls)

    assert outcome(mux, name, OPERATIONS[name].sample).degraded is None
    assert len(transport.calls) == before + 1
    assert f"{SERVER_PID}/{STARTED}" in " ".join(transport.calls[-1][0])
