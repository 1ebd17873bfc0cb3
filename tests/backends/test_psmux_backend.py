"""psmux over canned transports: every operation with every way to fail, and each divergence that an answer can show."""

from __future__ import annotations

import base64
import errno
import os
import subprocess
from collections.abc import Callable, Mapping

import pytest
from canned_psmux import (
    DATA,
    INSIDE,
    SAMPLES,
    HealthyPsmux,
    Reply,
    canned,
    failing,
    gone,
    healthy,
    verb_of,
)
from canned_tmux import Answer, Outcome, completed, outcome

from backends.errors import (
    CommandRejected,
    MultiplexerError,
    TargetMissing,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
)
from backends.operations import OPERATIONS, Kind, WindowExit
from backends.processes import Liveness
from backends.psmux import PsmuxMultiplexer, client_environment, data_directory
from backends.psmux_catalogue import psmux_catalogue
from backends.tmux import TmuxMultiplexer

FAMILIES = ("ENOENT", "EACCES", "EMFILE", "ENFILE", "EAGAIN", "ENOMEM", "E2BIG", "EPIPE", "EIO")

FAILURES: Mapping[str, tuple[Callable[[], Answer], type[MultiplexerError]]] = {
    "timed out": (lambda: subprocess.TimeoutExpired(["psmux", "secret"], 5.0), TransportTimeout),
    "ETIMEDOUT": (lambda: OSError(errno.ETIMEDOUT, "timed out"), TransportTimeout),
    **{
        code: (lambda code=code: OSError(getattr(errno, code), code), TransportUnavailable)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        for code in FAMILIES
    },
    "another SubprocessError": (lambda: subprocess.CalledProcessError(3, ["psmux"]), TransportUnavailable),
    "a decoding error": (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), TransportGarbled),
    "NUL in an argument": (lambda: ValueError("embedded null byte"), CommandRejected),
    "undecodable stdout": (lambda: completed(0, b"\xff\xfe\xff\n"), TransportGarbled),
    "undecodable stderr": (lambda: completed(1, b"", b"\xff\xfe\n"), TransportGarbled),
    "no stdout at all": (lambda: completed(0, None), TransportGarbled),
    "garbage": (lambda: completed(0, b"lorem ipsum|:|dolor\n"), TransportGarbled),
    "exit 0 with nothing": (lambda: completed(0), TransportGarbled),
    "exit 0 with a complaint": (
        lambda: completed(0, b"", b"psmux: sessions should be nested with care\n"),
        TransportUnavailable,
    ),
    "an error on stdout": (lambda: completed(0, b"ERROR: the moon is full\n"), TransportUnavailable),
    "exit 1 with nothing": (lambda: completed(1), TransportGarbled),
    "two lines of stderr": (
        lambda: completed(1, b"", b"no server running on session 'run-1'\nmore\n"),
        TransportGarbled,
    ),
    "Invalid session key": (lambda: completed(1, b"", b"psmux: Invalid session key\n"), TransportUnavailable),
    "connection timed out": (lambda: completed(1, b"", b"psmux: connection timed out\n"), TransportUnavailable),
    "connection refused": (
        lambda: completed(
            1, b"", b"No connection could be made because the target machine actively refused it. (os error 10061)\n"
        ),
        TransportUnavailable,
    ),
    "a panic": (
        lambda: completed(101, b"", b"thread 'main' panicked at src/paths.rs:1:\nPSMUX_DATA_DIR must be absolute\n"),
        TransportUnavailable,
    ),
    "a line about another session": (lambda: gone("run-7"), TransportUnavailable),
    "refused": (lambda: completed(1, b"", b"psmux: unknown flag -Q\n"), CommandRejected),
    "exit 127": (lambda: completed(127, b"", b"psmux: not found\n"), TransportUnavailable),
    "killed": (lambda: completed(-9), TransportUnavailable),
}
"""Every class of failure: what each question of an operation ends as, and the error that this is at the seam."""

SILENT = ("server_identity",)
"""Operations that ask nobody here."""
ASKING = [name for name, operation in OPERATIONS.items() if operation.kind is not Kind.LOCAL and name not in SILENT]


def everything(answer: Callable[[], Answer]) -> Reply:
    """A transport on which every question ends alike."""
    return lambda argv, stdin: answer()


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_of_a_psmux_client_has_its_outcome(name: str, failure: str) -> None:
    """Operation by failure: the contract's error or sentinel, and nothing raw."""
    answer, error = FAILURES[failure]
    if (failure, name) == ("exit 0 with nothing", "switch_client"):
        error = TransportUnavailable  # that is how it answers when all is well
    operation = OPERATIONS[name]
    came = outcome(canned(everything(answer))[0], name, SAMPLES[name])

    if operation.raises or failure == "NUL in an argument":
        assert type(came.error) is error
    else:
        assert came.error is None
        assert came.answer == operation.sentinel()
        assert type(came.degraded) is error, "swallowed is never invisible"


@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_makes_psmux_available(failure: str) -> None:
    """What cannot say its version cannot be used."""
    assert canned(everything(FAILURES[failure][0]))[0].available() is False


@pytest.mark.parametrize("name", [name for name in ASKING if name != "switch_client"])
def test_every_operation_is_answered_by_a_healthy_psmux(name: str) -> None:
    """The table above proves something only if the same calls succeed where nothing fails."""
    mux, _, processes = canned()
    if name == "kill_session":
        processes.server = Liveness.DEAD

    came = outcome(mux, name, SAMPLES[name])

    assert came.error is None
    assert came.degraded is None


@pytest.mark.parametrize("name", [name for name in ASKING if name not in ("detach_client", "switch_client")])
@pytest.mark.parametrize("cut", [1, 5])
def test_a_truncated_answer_of_psmux_is_no_answer(name: str, cut: int) -> None:
    """Every answer that lacks its last bytes is garbled, whichever operation asked."""
    well = HealthyPsmux()

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        answer = well(argv, stdin)
        assert not isinstance(answer, BaseException)
        return completed(answer.status, answer.stdout[:-cut], answer.stderr)

    came = outcome(canned(reply)[0], name, SAMPLES[name] if name != "new_session" else {"name": "run-1", "cwd": "/"})

    assert type(came.error or came.degraded) is TransportGarbled


PROVEN: Mapping[str, object] = {
    **{"has_session": False, "list_window_ids": [], "window_alive": False, "batch_liveness": frozenset()},
    **{"list_windows": [], "kill_session": None, "kill_window": None, "set_session_option": TargetMissing},
    **{"new_window": TargetMissing, "send_text": TargetMissing, "window_exit": TargetMissing},
}


@pytest.mark.parametrize("line", ["no server running on session 'run-1'", "can't find session", "no session 'run-1'"])
@pytest.mark.parametrize("name", PROVEN)
def test_a_session_is_proven_gone_by_its_line_and_its_process(name: str, line: str) -> None:
    """Where the line says so and the recorded process is gone, absence is an answer."""
    silence = completed(1, b"", f"psmux: {line}\n".encode())
    came = outcome(canned(everything(lambda: silence), server=Liveness.DEAD)[0], name, SAMPLES[name])

    if PROVEN[name] is TargetMissing:
        assert type(came.error) is TargetMissing
    else:
        assert came == Outcome(PROVEN[name], degraded=came.degraded)
        assert name == "list_windows" or came.degraded is None


@pytest.mark.parametrize("server", [Liveness.ALIVE, Liveness.UNKNOWN])
@pytest.mark.parametrize("name", PROVEN)
def test_a_lost_port_file_proves_nothing_while_the_process_may_live(name: str, server: Liveness) -> None:
    """`has-session` of anybody may take the port file of a living session away: it comes back."""
    came = outcome(canned(everything(gone), server=server)[0], name, SAMPLES[name])

    assert type(came.error or came.degraded) is TransportUnavailable


def test_has_session_is_never_asked_by_its_own_verb() -> None:
    """`has-session` of 3.3.8 deletes what it cannot reach; nor is a server killed as a whole, nor `tmux` spawned."""
    spoken: set[str] = set()
    for name in ASKING:
        mux, transport, processes = canned()
        processes.server = Liveness.DEAD if name == "kill_session" else Liveness.ALIVE
        outcome(mux, name, SAMPLES[name])
        spoken |= {verb_of(argv) for argv, _, _ in transport.calls}
        assert {argv[0] for argv, _, _ in transport.calls} == {"psmux"}

    assert {"list-panes", "new-session", "kill-window"} <= spoken
    assert not spoken & {"has-session", "kill-server"}


def test_every_target_names_its_session_and_none_has_an_equals_sign() -> None:
    """A bare id would go to the session that was used last, and `=` makes a kill do nothing."""
    targets = set()
    for name in ASKING:
        mux, transport, processes = canned()
        processes.server = Liveness.DEAD if name == "kill_session" else Liveness.ALIVE
        outcome(mux, name, SAMPLES[name])
        targets |= {argv[at + 1] for argv, _, _ in transport.calls for at, word in enumerate(argv) if word == "-t"}

    assert targets <= {"run-1", "run-2", "run-1:@1", "run-1:%1"}


@pytest.mark.parametrize("target", ["@1", "%1", "run-1", "run-1:1", "=run*", "=run-1:a.b", "run-1:@x", "run-1:%1"])
@pytest.mark.parametrize("name", ["kill_window", "select_window", "window_exit", "attach_target_argv", "send_text"])
def test_a_target_that_could_reach_another_session_is_refused(name: str, target: str) -> None:
    """A bare id means something in every session, so that nothing is spawned for one."""
    mux, transport, _ = canned()
    key = next(key for key in OPERATIONS[name].arguments)

    came = outcome(mux, name, {**SAMPLES[name], key: target})

    assert type(came.error or came.degraded) is CommandRejected
    assert transport.calls == []


def test_ids_are_qualified_by_their_session() -> None:
    """Two sessions both own `@1`: an id says of which one it is."""
    mux, _, _ = canned()

    assert mux.new_window("run-1", "agent", "/", {}, "true") == "run-1:@1"
    assert mux.list_window_ids("run-1") == ["run-1:@1"]
    assert mux.list_windows("run-1", ("window_id", "window_name")) == [("run-1:@1", "agent")]
    assert mux.batch_liveness("run-1") == {"run-1:@1"}


def test_an_answer_about_another_session_is_no_answer() -> None:
    """What was routed to the wrong server names it."""
    mux, _, _ = canned(lambda argv, stdin: healthy(argv, stdin, session_name="run-7"))

    assert type(outcome(mux, "has_session", {"name": "run-1"}).error) is TransportGarbled


def test_names_of_sessions_are_one_in_upper_and_lower_case() -> None:
    """They are file names on Windows: `RUN-1` is `run-1`."""
    mux, _, _ = canned()

    assert mux.has_session("RUN-1")
    assert mux.window_alive("Run-1", "run-1:@1")
    assert type(outcome(mux, "new_session", {"name": "RUN-1", "cwd": "/"}).error) is CommandRejected


def test_a_window_that_is_not_listed_is_never_acted_on() -> None:
    """Before 3.3.8 a command with a target that is not there acted on the active window."""
    for name in ("kill_window", "select_window", "send_text", "pipe_pane"):
        mux, transport, _ = canned()
        first = next(key for key in OPERATIONS[name].arguments)
        outcome(mux, name, {**SAMPLES[name], first: "run-1:@9"})
        assert {verb_of(argv) for argv, _, _ in transport.calls} == {"list-panes"}


def test_options_of_a_window_are_keys_of_its_session() -> None:
    """`set-option -w` would land on the session, under the same name for every window."""
    mux, transport, _ = canned()
    mux.set_window_option("run-1:@1", "@token", "-x y")
    mux.unset_window_option("run-1:@1", "@token")
    shown = mux.show_window_option("run-1:@1", "@token")
    rows = mux.list_windows("run-1", ("window_id", "@token"))

    words = [argv[1:] for argv, _, _ in transport.calls if "option" in argv[1]]
    assert words[0] == ("set-option", "-t", "run-1", "@token-w1", "b64:LXggeQ==")
    assert words[1] == ("set-option", "-u", "-t", "run-1", "@token-w1")
    assert {word[-1] for word in words[1:]} == {"@token-w1"}
    assert (shown, rows) == ("demo", [("run-1:@1", "demo")])


def test_an_option_that_windows_cannot_have_is_refused_not_forgotten() -> None:
    """There is one store for each session: a window option of tmux's own would be set for all windows."""
    came = outcome(canned()[0], "set_window_option", {"target": "run-1:@1", "option": "monitor-bell", "value": "on"})

    assert type(came.degraded) is CommandRejected


def test_the_environment_and_command_of_a_window_stand_in_no_argv() -> None:
    """Base64 in an argv is still an argv: they are in a file that the window takes and deletes."""
    mux, transport, _ = canned()
    mux.new_window("run-1", "agent", "/a b", {"KEY": "s3cret"}, "agent 'x y'")
    argv = transport.calls[-1][0]
    files = [name for name in mux._disk.listdir(f"{DATA}/seamripper") if name.endswith(".launch")]
    other, second, _ = canned()
    other.new_window("run-1", "agent", "/c", {"KEY": "other"}, "other")

    assert argv == second.calls[-1][0], "the words are the same for every window but for the file's name"
    assert b"env KEY czNjcmV0\narg YWdlbnQ=\narg eCB5\n" in mux._disk.read(f"{DATA}/seamripper/{files[0]}")


def test_the_launch_of_a_refused_window_is_withdrawn_and_of_an_unanswered_one_kept() -> None:
    """After silence the window may still come; it is then found by its name."""
    refused, _, _ = canned(failing("new-window", completed(1, b"", b"psmux: unknown flag -Q\n")))
    silent, _, _ = canned(failing("new-window", subprocess.TimeoutExpired("psmux", 30)))

    for mux, left in ((refused, 0), (silent, 1)):
        outcome(mux, "new_window", SAMPLES["new_window"])
        files = mux._disk.listdir(f"{DATA}/seamripper")
        assert len([name for name in files if name.endswith(".launch")]) == left


@pytest.mark.parametrize("answer", [completed(), completed(stdout=b"\n"), completed(stdout=b"agent\n")])
def test_a_window_without_an_id_is_not_taken_for_made(answer: Answer) -> None:
    """Status 0 is no id."""
    came = outcome(canned(failing("new-window", answer))[0], "new_window", SAMPLES["new_window"])

    assert type(came.error) is TransportGarbled


def test_a_session_that_status_0_did_not_make_is_not_taken_for_made() -> None:
    """Inside of another session `new-session` ends with 0 and makes nothing; nothing of it is believed."""
    came = outcome(canned(failing("new-session", completed()))[0], "new_session", SAMPLES["new_session"])

    assert type(came.error) is TransportGarbled


def test_a_session_that_comes_late_counts_as_made() -> None:
    """The client gives up and the server that it spawned goes on."""
    well = HealthyPsmux()
    looks: list[str] = []

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        if verb_of(argv) == "new-session":
            return completed(1, b"", b"psmux: failed to create session 'run-2'\n")
        looks.append(verb_of(argv))
        if len(looks) == 5:
            well.sessions.add("run-2")
        return well(argv, stdin)

    mux, _, _ = canned(reply)
    mux.new_session("run-2", "/")

    assert mux.clock.monotonic() > 0


def test_a_session_that_never_comes_is_reported_by_what_its_client_said() -> None:
    """After some seconds the failure counts, as unknown."""
    failure = completed(1, b"", b"psmux: failed to create session 'run-2'\n")
    came = outcome(canned(failing("new-session", failure))[0], "new_session", SAMPLES["new_session"])

    assert type(came.error) is TransportUnavailable
    assert "failed to create" in str(came.error)


def test_a_session_keeps_its_dead_windows_and_their_names() -> None:
    """Both settings are made sure of before its first window, by whoever opens it."""
    mux, transport, _ = canned()
    mux.new_window("run-1", "agent", "/", {}, "true")
    mux.new_window("run-1", "agent", "/", {}, "true")

    settings = [argv[4:] for argv, _, _ in transport.calls if argv[1] == "set-option"]
    assert settings == [("remain-on-exit", "on"), ("automatic-rename", "off")]


def test_a_killed_session_is_gone_once_its_process_is() -> None:
    """Its port file goes first; a process that stays is reported."""
    mux, _, processes = canned()
    stays = outcome(mux, "kill_session", {"name": "run-1"})
    processes.server = Liveness.DEAD
    goes = outcome(mux, "kill_session", {"name": "run-1"})

    assert "still there" in str(stays.degraded)
    assert goes == Outcome(None)


def test_a_killed_window_that_stays_is_reported() -> None:
    """A kill that was answered with 0 is looked after."""
    came = outcome(canned(failing("kill-window", completed()))[0], "kill_window", SAMPLES["kill_window"])

    assert "still there" in str(came.degraded)


def test_another_server_of_the_same_name_is_not_ours() -> None:
    """While ours lives its namesake proves nothing; once ours is gone, what was in it is gone too."""
    stranger: Reply = lambda argv, stdin: healthy(argv, stdin, pid="5151")  # noqa: E731  # an answer, named for what it is
    unknown = outcome(canned(stranger)[0], "has_session", {"name": "run-1"})
    mux, _, _ = canned(stranger, server=Liveness.DEAD)

    assert type(unknown.error) is TransportUnavailable
    assert mux.has_session("run-1") is False
    assert mux.list_window_ids("run-1") == []


@pytest.mark.parametrize(
    ("text", "wanted"), [(b"3\n", WindowExit(code=3)), (b"-1073741510\n", WindowExit(code=-1073741510))]
)
def test_the_exit_of_a_window_is_what_it_wrote(text: bytes, wanted: WindowExit) -> None:
    """`pane_dead_status` is always 0: the file under the pane's number is asked instead."""
    mux, _, _ = canned()
    before = mux.window_exit("run-1:@1")
    mux._disk.write(f"{DATA}/seamripper/run-1.1.exit", text)

    assert before is None
    assert mux.window_exit("run-1:@1") == wanted


def test_a_broken_file_of_an_exit_status_is_no_status() -> None:
    """Half of it, or anything else, is unknown."""
    mux, _, _ = canned()
    mux._disk.write(f"{DATA}/seamripper/run-1.1.exit", b"1_000")

    assert type(outcome(mux, "window_exit", {"target": "run-1:@1"}).error) is TransportGarbled


def test_the_notes_of_a_session_go_before_its_name_is_used_again() -> None:
    """Ids begin anew: an old exit status must not be told of a new window."""
    mux, _, _ = canned()
    for name in ("run-2.1.exit", "run-2.abc.launch", "run-22.1.exit"):
        mux._disk.write(f"{DATA}/seamripper/{name}", b"7\n")
    mux.new_session("run-2", "/")

    left = [name for name in mux._disk.listdir(f"{DATA}/seamripper") if name.endswith((".exit", "abc.launch"))]
    assert left == ["run-22.1.exit"]


def test_text_is_loaded_into_its_own_session_and_entered_apart() -> None:
    """Buffers belong to a session; without a target before the verb the text would go to the one used last."""
    mux, transport, _ = canned()
    mux.send_text("run-1:@1", "-hello;\n")

    calls = [(argv[1:], stdin) for argv, stdin, _ in transport.calls]
    assert calls[1][0][:3] == ("-t", "run-1", "load-buffer")
    assert calls[1][1] == b"-hello;\n"
    assert [verb_of(("psmux", *words)) for words, _ in calls[2:]] == ["paste-buffer", "send-keys"]
    assert calls[3][0] == ("send-keys", "-t", "run-1:%1", "Enter")


def test_a_dispatched_switch_is_answered_by_its_sentinel_and_seen() -> None:
    """Status 0 says nothing about a client that followed: nobody may take that for a switch."""
    mux, transport, _ = canned()
    came = outcome(mux, "switch_client", {"target": "=run-1"})

    assert came.answer is False
    assert "does not tell" in str(came.degraded)
    assert verb_of(transport.calls[-1][0]) == "switch-client"


def test_where_this_process_runs_is_asked_of_its_own_pane() -> None:
    """Without a target psmux would answer about the active window."""
    mux, transport, _ = canned()

    assert mux.current_window_id() == "run-1:@1"
    assert mux.current_pane_id() == "run-1:%1"
    assert mux.current_session() == "run-1"
    assert all(argv[1:5] == ("display-message", "-p", "-t", "run-1:%1") for argv, _, _ in transport.calls)


@pytest.mark.parametrize(
    "other", [{"PSMUX_SESSION": ""}, {"TMUX_PANE": "x"}, {"PSMUX_DATA_DIR": "/elsewhere"}, {"PSMUX_SESSION": "a b"}]
)
def test_outside_of_our_sessions_there_is_no_current_window(other: dict[str, str]) -> None:
    """Nobody is asked."""
    mux, transport, _ = canned(environment={**INSIDE, **other})

    assert mux.current_window_id() is None
    assert transport.calls == []


@pytest.mark.parametrize(
    ("lines", "usable"),
    [
        (b"tmux 3.3.8\npsmux 3.3.8 (66cf613 2026-08-18)\n", True),
        (b"tmux 4.0.0\npsmux 4.0.0 (1234567 2027-01-01)\n", True),
        (b"tmux 3.3.7\npsmux 3.3.7 (05cc5d4 2026-07-20)\n", False),
        (b"tmux 3.3.6\n", False),
        (b"tmux 3.6b\n", False),
    ],
)
def test_only_a_psmux_that_is_new_enough_is_available(lines: bytes, usable: bool) -> None:
    """A tmux under another name has no second line."""
    assert canned(failing("-V", completed(stdout=lines)))[0].available() is usable


@pytest.mark.parametrize("answer", [b"PowerShell 5.1\n", b"", b"bash\n"])
def test_without_powershell_7_psmux_is_not_available(answer: bytes) -> None:
    """Windows could be opened, and nothing would run in them."""
    mux, _, processes = canned()
    processes.commands["pwsh"] = lambda argv: completed(stdout=answer)
    broken = mux.available()
    del processes.commands["pwsh"]

    assert (broken, mux.available()) == (False, False)


def test_the_clients_see_the_private_directory_and_no_session_of_their_callers() -> None:
    """What routes a client, or stops it from making a session, does not reach it."""
    given = {"PATH": "/bin", "PSMUX_SESSION": "x", "psmux_active": "1", "TMUX": "t", "TMUX_PANE": "%1"}
    seen = client_environment(data_directory(os.sep, given).parent, given)

    assert seen == {"PATH": "/bin", "PSMUX_DATA_DIR": "/tmp", "PSMUX_ALLOW_NESTING": "1", "PSMUX_NO_WARM": "1"}


def test_a_directory_belongs_to_its_root_inside_of_the_one_that_was_chosen() -> None:
    """Two roots never share sessions, and a relative PSMUX_DATA_DIR is not believed."""
    one = data_directory(os.sep, {"PSMUX_DATA_DIR": "/data"})
    two = data_directory("/usr", {"PSMUX_DATA_DIR": "/data"})

    assert one.parent == two.parent
    assert one != two
    assert str(data_directory(os.sep, {"PSMUX_DATA_DIR": "data"})).startswith("/tmp/")


def test_a_renamed_tmux_would_not_do() -> None:
    """What the two backends say to their binary has not one command in common but for its version."""
    mux, transport, _ = canned()
    mux.new_window("run-1", "agent", "/", {"A": "1"}, "sleep 60")

    assert not issubclass(PsmuxMultiplexer, TmuxMultiplexer)
    assert not any("source-file" in argv or "-S" in argv for argv, _, _ in transport.calls)


def test_one_server_of_all_sessions_is_not_named() -> None:
    """There is none, and `None` would look like a server that is gone."""
    mux, transport, _ = canned()

    assert type(outcome(mux, "server_identity", {}).error) is CommandRejected
    assert transport.calls == []


def test_a_bare_id_is_enough_where_the_session_stands_beside_it() -> None:
    """It is one of that session; everywhere else it is refused, which is no mistake of a courtesy's caller."""
    mux, _, _ = canned()
    came = outcome(mux, "select_window", {"target": "@1"})

    assert mux.window_alive("run-1", "@1") is True
    assert mux.window_alive("run-1", "@9") is False
    assert type(came.degraded) is CommandRejected


def test_the_attaching_argv_names_the_private_directory() -> None:
    """A terminal has no such variable: PowerShell sets it for the client."""
    mux, transport, _ = canned()
    argv = mux.attach_target_argv("=run-1:agent")
    script = base64.b64decode(argv[-1]).decode("utf-16-le")

    assert argv[:3] == ["pwsh", "-NoProfile", "-EncodedCommand"]
    assert f"$env:PSMUX_DATA_DIR = '{DATA}'\n& psmux attach-session -t 'run-1:agent'\n" in script
    assert transport.calls == []


def test_a_log_is_written_by_powershell() -> None:
    """`cat` is another program there, and writes nothing."""
    mux, transport, _ = canned()
    mux.pipe_pane("run-1:@1", "/tmp/a log")
    words = transport.calls[-1][0]

    assert words[1:4] == ("pipe-pane", "-t", "run-1:%1")
    assert words[4].startswith("pwsh -NoProfile -EncodedCommand ")


def test_what_cannot_be_decoded_is_shown_as_escapes() -> None:
    """All of it is UTF-8 throughout, but a pane may print anything, and it may end up in a listing."""
    mux, _, _ = canned(failing("list-windows", completed(stdout=b"4242|:|run-1|:|@1|:|a\xffb\n")))

    assert mux.list_windows("run-1", ("pane_title",)) == [("a\\xffb",)]


def test_a_session_option_travels_as_a_plain_word() -> None:
    """A value that looks like a flag would unset the key; options of psmux itself are sent as they are."""
    mux, transport, _ = canned()
    mux.set_session_option("run-1", "@project", "-v")
    mux.set_session_option("run-1", "status", "off")

    assert [argv[-1] for argv, _, _ in transport.calls if argv[1] == "set-option"] == ["b64:LXY=", "off"]


def test_nothing_is_typed_into_a_window_that_ended() -> None:
    """It would be lost with status 0."""
    mux, transport, _ = canned(lambda argv, stdin: healthy(argv, stdin, pane_dead="1"))

    assert type(outcome(mux, "send_text", SAMPLES["send_text"]).error) is CommandRejected
    assert len(transport.calls) == 1


def test_text_is_typed_past_a_mode_that_somebody_has_put_the_window_into() -> None:
    """Copy mode would keep the Enter."""
    mux, transport, _ = canned(lambda argv, stdin: healthy(argv, stdin, pane_in_mode="1" if "-F" in argv else "0"))
    outcome(mux, "send_text", SAMPLES["send_text"])

    assert transport.calls[1][0] == ("psmux", "send-keys", "-t", "run-1:%1", "-X", "cancel")


def test_a_warm_server_is_no_session() -> None:
    """It belongs to psmux itself; anything else that is no name makes the listing unreadable."""
    listed = completed(stdout=b"__warm__\nrun-1\nwork__x\n")
    unreadable = completed(stdout=b"run-1: 1 windows (created today)\n")

    assert canned(failing("list-sessions", listed))[0].list_sessions() == ["run-1", "work__x"]
    came = outcome(canned(failing("list-sessions", unreadable))[0], "list_sessions", {})
    assert type(came.degraded) is TransportGarbled


LINE = "{}|:|run-1|:|{}|:|agent|:|1|:|{}|:|{}|:|43|:|0\n"


def test_a_window_is_its_oldest_pane() -> None:
    """What a person has split off, and ended, is not the window's command."""
    text = LINE.format(4242, "@1", "%5", 1) + LINE.format(4242, "@1", "%1", 0) + LINE.format(4242, "@1", "%9", 1)
    mux, _, _ = canned(failing("list-panes", completed(stdout=text.encode())))

    assert mux.window_alive("run-1", "run-1:@1")


@pytest.mark.parametrize(
    "text",
    [
        LINE.format(4242, "@1", "%1", 0) + LINE.format(5151, "@2", "%2", 0),
        LINE.format("", "@1", "%1", 0),
        LINE.format(0, "@1", "%1", 0),
        LINE.format(4242, "", "%1", 0),
        LINE.format(4242, "@1", "1", 0),
        LINE.format(4242, "@1", "%1", ""),
    ],
)
def test_a_listing_with_a_hole_in_it_is_no_answer(text: str) -> None:
    """Two servers at once, no pid, or what is no window: nothing of it is believed."""
    mux, _, _ = canned(failing("list-panes", completed(stdout=text.encode())))

    assert type(outcome(mux, "list_window_ids", {"session": "run-1"}).error) is TransportGarbled


@pytest.mark.parametrize("line", [b"run-7|:|%1|:|@1\n", b"run-1|:|%2|:|@1\n", b"run-1|:|%1|:|1\n"])
def test_an_answer_about_another_pane_does_not_say_where_this_process_runs(line: bytes) -> None:
    """Up to 3.3.8 a target that is not found means the active window."""
    came = outcome(canned(failing("display-message", completed(stdout=line)))[0], "current_window_id", {})

    assert type(came.degraded) is TransportGarbled


def test_the_successor_of_a_dead_session_is_ours_even_if_its_making_was_not_answered() -> None:
    """Who answers next under that name was asked for by us."""
    well = HealthyPsmux()
    well.sessions.clear()

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        well(argv, stdin)
        if verb_of(argv) == "new-session":
            return subprocess.TimeoutExpired("psmux", 30)
        return healthy(argv, stdin, pid="5151") if well.sessions else gone()

    mux, _, _ = canned(reply, server=Liveness.DEAD)
    came = outcome(mux, "new_session", {"name": "run-1", "cwd": "/"})

    assert type(came.error) is TransportTimeout
    assert mux.has_session("run-1")


DRIVEN: Mapping[str, Callable[..., None]] = {
    "server-per-session": test_another_server_of_the_same_name_is_not_ours,
    "state-files": test_the_clients_see_the_private_directory_and_no_session_of_their_callers,
    "version-lines": test_only_a_psmux_that_is_new_enough_is_available,
    "binary": test_has_session_is_never_asked_by_its_own_verb,
    "ids-per-session": test_ids_are_qualified_by_their_session,
    "ambiguous-id": test_a_target_that_could_reach_another_session_is_refused,
    "exact-match": test_names_of_sessions_are_one_in_upper_and_lower_case,
    "equals-kill": test_every_target_names_its_session_and_none_has_an_equals_sign,
    "pane-target": test_every_target_names_its_session_and_none_has_an_equals_sign,
    "options-per-server": test_options_of_a_window_are_keys_of_its_session,
    "option-leading-dash": test_options_of_a_window_are_keys_of_its_session,
    "nested-session": test_a_session_that_status_0_did_not_make_is_not_taken_for_made,
    "late-session": test_a_session_that_comes_late_counts_as_made,
    "new-window-environment": test_the_environment_and_command_of_a_window_stand_in_no_argv,
    "unresolvable-target": test_a_window_that_is_not_listed_is_never_acted_on,
    "error-on-stdout": test_each_failure_of_a_psmux_client_has_its_outcome,
    "shell": test_the_environment_and_command_of_a_window_stand_in_no_argv,
    "pipe-pane-stub": test_only_a_psmux_that_is_new_enough_is_available,
    "pipe-pane-cat": test_a_log_is_written_by_powershell,
    "exit-status": test_the_exit_of_a_window_is_what_it_wrote,
    "client-operations": test_a_dispatched_switch_is_answered_by_its_sentinel_and_seen,
    "self-probe": test_where_this_process_runs_is_asked_of_its_own_pane,
    "has-session-deletes": test_a_lost_port_file_proves_nothing_while_the_process_may_live,
    "kill-server": test_has_session_is_never_asked_by_its_own_verb,
    "encoding": test_what_cannot_be_decoded_is_shown_as_escapes,
    "stall": test_each_failure_of_a_psmux_client_has_its_outcome,
    "buffers": test_text_is_loaded_into_its_own_session_and_entered_apart,
    "chained-commands": test_text_is_loaded_into_its_own_session_and_entered_apart,
}
"""For each divergence, the test that fails where the backend takes psmux for tmux."""


def test_every_divergence_drives_a_test_of_the_backend() -> None:
    """But for those that nothing can be done about."""
    helpless = {"bracketed-paste", "console"}

    assert psmux_catalogue().divergences.keys() == DRIVEN.keys() | helpless
