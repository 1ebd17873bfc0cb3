"""The argv face of the simulated server says what tmux 3.3a was measured to say."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import pytest

from backends.clock import SystemClock, VirtualClock
from backends.fake import FakeServer, FakeTransport
from backends.processes import Completed, SystemProcessTable
from backends.transport import SubprocessTransport
from harness.waiting import eventually

RECORDED: Mapping[str, Sequence[Mapping[str, Any]]] = json.loads(
    (Path(__file__).parent.parent / "data" / "tmux-texts.json").read_text("utf-8")
)
SOCKET = "/sim/tmux"
AS_TMUX = ("tmux", "-u", "-S", SOCKET, "-f", "/dev/null")


class Terminal:
    """A fake transport with a person in front of it."""

    def __init__(self) -> None:
        self.server = FakeServer(VirtualClock())
        self.transport = FakeTransport(self.server)

    def run(self, *words: str, stdin: bytes = b"", timeout_s: float = 5) -> Completed:
        """One client."""
        return self.transport.run((*AS_TMUX, *words), stdin=stdin, timeout_s=timeout_s)

    def out(self, *words: str, stdin: bytes = b"") -> str:
        """What a client wrote that was not refused."""
        done = self.run(*words, stdin=stdin)
        assert (done.status, done.stderr) == (0, b"")
        return done.stdout.decode()


def one_session(name: str) -> Callable[[Terminal], object]:
    """A healthy server with one session of that name."""
    return lambda terminal: terminal.run("new-session", "-d", "-s", name, "sleep 600")


def no_session(terminal: Terminal) -> None:
    """A server that stays although it has no session."""
    terminal.run("start-server", ";", "set-option", "-s", "exit-empty", "off")


def killed(terminal: Terminal) -> None:
    """A server that died, its socket left behind."""
    one_session("other")(terminal)
    terminal.server.kill()


def ended(terminal: Terminal) -> None:
    """A server that ended with its last session."""
    one_session("S")(terminal)
    terminal.run("kill-session", "-t", "=S")


def unlinked(terminal: Terminal) -> None:
    """A living server whose socket is gone."""
    one_session("S")(terminal)
    terminal.server.socket_unlinked = True


SITUATIONS: Mapping[str, Callable[[Terminal], object]] = {
    "a": one_session("other"),
    "b": lambda terminal: None,
    "c": lambda terminal: None,
    "d": killed,
    "e": unlinked,
    "x": no_session,
    "y": ended,
    "r": one_session("run-10"),
}

OTHERWISE = frozenset(
    {
        # The rows of a situation were taken one after the other: these met a server that a row before them had started.
        *("b.respawn-pane", "b.wait-for-S", "b.kill-pane", "b.kill-server", "d.kill-server"),
        # The socket's directory is missing, or SIGUSR1 brought the socket back; a simulation has neither.
        *("c.start-server", "c.new-session", "e.after-sigusr1.has-session"),
        # Further windows of the same session, further sessions, and what came after a kill.
        *(
            "r.new-window-eq-nocolon-2nd",
            "r.new-window-eq-colon",
            "r.new-window-prefix",
            "x.kill-last",
            "y.kill-last-session",
        ),
    }
)
UNKNOWN_VERBS = frozenset({"capture-pane", "wait-for", "set-environment"})


def recorded() -> Iterator[Any]:
    """Every answer of 3.3a in a situation that can be simulated, to a verb that is."""
    for key, answers in RECORDED.items():
        if key[:1] not in SITUATIONS or key[1:2] != "." or key in OTHERWISE:
            continue
        for answer in answers:
            argv = answer.get("argv") or ["-"]
            if "3.3a" in answer["versions"].split() and argv[0][:1] != "-" and argv[0] not in UNKNOWN_VERBS:
                yield pytest.param(key[0], answer, id=key)


def test_there_are_recorded_answers_to_compare_with() -> None:
    """Most verbs, in most situations."""
    assert len(list(recorded())) > 150


@pytest.mark.parametrize(("situation", "answer"), list(recorded()))
def test_a_client_ends_as_it_was_recorded_to_end(situation: str, answer: Mapping[str, Any]) -> None:
    """With the same status and the same texts."""
    terminal = Terminal()
    SITUATIONS[situation](terminal)

    done = terminal.run(*answer["argv"])

    told = done.stderr.decode().replace(SOCKET, "{socket}")
    assert (done.status, done.stdout.decode(), told) == (answer["rc"], answer["stdout"], answer["stderr"])


COMPARED = (
    "start-server~;~set-option~-g~remain-on-exit~on~;~set-option~-g~automatic-rename~off~;"
    "~new-session~-d~-P~-F~#{session_name} #{window_id}~-s~a~-n~shell~exec sleep 600",
    "new-window~-d~-P~-F~#{window_id} #{window_index} #{window_name}~-t~=a:~-n~w;~-e~K=V;~sleep 600",
    "new-window~-d~-t~=a:~-n~w2~sleep 600",
    "list-windows~-t~=a:~-F~#{window_id} #{P:#{pane_id} #{pane_dead}/} #{window_active} #{pane_start_command}",
    "list-panes~-t~=a:=w2~-F~#{window_id} #{pane_in_mode} #{@x} #{window_name}",
    "list-panes~-t~@9~-F~x",
    "list-panes~-t~=zz:~-F~x",
    "kill-window~-t~=a:=zz",
    "kill-window~-t~=zz:=zz",
    "set-option~-w~-t~@0~@x~a;",
    "show-options~-w~-v~-t~@0~@x",
    "show-options~-w~-t~@0~@x",
    "show-options~-w~-v~-t~@0~@nope",
    "show-options~-w~-v~-t~@99~@nope",
    "show-options~-w~-v~-t~@0~remain-on-exit",
    "show-options~-g~-w~-v~remain-on-exit",
    "show-options~-w~-v~-t~@0~nope",
    "set-option~-w~-t~@0~nope~v",
    "set-option~-t~=a:~status~maybe",
    "set-option~-w~-u~-t~@0~@nope",
    "set-option~-w~-u~-t~@99~@nope",
    "set-option~-t~=a~@x~y",
    "list-clients~-F~#{pid}",
    "switch-client~-c~/dev/pts/9~-t~=a:",
    "detach-client~-s~$0",
    "copy-mode~-q~-t~%0",
    "copy-mode~-q~-t~%9",
    "send-keys~-t~%9~Enter",
    "paste-buffer~-p~-r~-d~-b~zz~-t~%0",
    "paste-buffer~-p~-r~-d~-b~zz~-t~%9",
    "delete-buffer~-b~zz",
    "display-message~-p~#{session_name} #{window_id} #{pane_id}",
    "display-message~-p~#{?session_name,y,n} #{==:a,a}#{==:a,b}#{&&:1,0}#{||:1,0}#{<:1,2}#{<:b,a}#{!=:a,b} ## #{nope}",
    "display-message~-p~-t~@99~x#{window_id}",
    "respawn-pane~-t~%0",
    "respawn-window~-t~@0",
    "new-session~-d~-s~a",
    "foo",
    "list-windows~-Z",
    "has-session~-t~=a",
    "has-session~-t~=b",
    "set-option~-g",
    "rename-window~-t~@0~x~y",
    "send-keys~-t~=a~Enter",
    "list-panes~-t~=a~-F~#{window_id}",
    "if-shell~-F~1~display-message -p yes~display-message -p no",
    "if-shell~-F~#{&&:#{@now},#{<:#{T:@now},5}}~display-message -p yes~display-message -p 'no; no'",
    "display-message~-p~one~;~has-session~-t~=q~;~display-message~-p~two",
    "rename-window~-t~@0~x##y",
    "select-window~-t~@1",
    "list-windows~-a~-F~#{session_name} #{window_index} #{window_name} #{window_active}",
    "list-sessions~-F~#{session_name} #{session_windows} #{session_attached}",
    "pipe-pane~-t~@0~cat >> /dev/null",
    "pipe-pane~-t~@0",
    "kill-window~-t~@1",
    "kill-window~-t~@1",
    "kill-pane~-t~%0",
    "kill-session~-t~=a",
    "kill-session~-t~=a",
    "kill-server",
)
"""Clients one after the other, words separated by `~`, against one server."""

SCRIPTS = (
    'new-window -d -P -F "#{window_id}" -t "=a:" -n "q\\"\\$\\\\\\011x" "sleep 600"\n',
    "display-message -p hi\nfoo x\n",
    "display-message -p hi\nhas-session -t =q\ndisplay-message -p ho\n",
    "# nothing\n\ndisplay-message -p 'a b' ; display-message -p c\\ d # more\n",
    "display-message -p 'one \\; two'\n",
    "display-message -p one \\; two\n",
    "rename-window -t @0\n",
    "display-message -p 'op en\ndisplay-message -p next\n",
    'display-message -p "a\n  b"\n\nfoo\n',
    'display-message -p "a\n  b"\n',
)
"""Scripts for `source-file -`, after the same server got a session `a`."""


@pytest.fixture
def live() -> Iterator[Callable[..., Completed]]:
    """Runs clients of a private live server."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    directory = tempfile.mkdtemp(prefix="sm-", dir="/tmp")
    prefix = ("tmux", "-u", "-S", f"{directory}/s", "-f", "/dev/null")
    transport = SubprocessTransport(environment={**os.environ, "LC_ALL": "C.UTF-8"})
    try:
        yield lambda *words, stdin=b"": transport.run((*prefix, *words), stdin=stdin, timeout_s=20)
    finally:
        SystemProcessTable().run([*prefix, "kill-server"], timeout_s=20)
        shutil.rmtree(directory)


def shown(done: Completed) -> tuple[int, str, str]:
    """How a client ended, without the socket's path."""
    socket = done.argv[3]
    return done.status, done.stdout.decode(), done.stderr.decode().replace(socket, "SOCKET")


@pytest.mark.live
def test_live_tmux_says_the_same_word_for_word(live: Callable[..., Completed]) -> None:
    """Every client of a long conversation ends alike on both."""
    if live("-V").stdout.strip() != b"tmux 3.3a":
        pytest.skip("the texts are those of tmux 3.3a")
    terminal = Terminal()
    for line in COMPARED:
        words = line.split("~")
        wanted = shown(terminal.run(*words))
        found = eventually(partial(settled, live, words), SystemClock(), 60)
        assert wanted == found, line


def settled(live: Callable[..., Completed], words: Sequence[str]) -> tuple[int, str, str] | None:
    """How that client ends, unless the server is just ending."""
    found = shown(live(*words))
    return None if found[2] in ENDING else found


ENDING = ("no current target\n", "server exited unexpectedly\n", "lost server\n")
"""What clients are told by a real server that has no session left and has not gone yet."""


@pytest.mark.live
def test_live_tmux_reads_scripts_alike(live: Callable[..., Completed]) -> None:
    """Quotes, escapes, comments, errors before and during the run."""
    if live("-V").stdout.strip() != b"tmux 3.3a":
        pytest.skip("the texts are those of tmux 3.3a")
    terminal = Terminal()
    for run in (terminal.run, live):
        run("new-session", "-d", "-s", "a", "sleep 600")
    for script in SCRIPTS:
        answers = [shown(run("source-file", "-", stdin=script.encode())) for run in (terminal.run, live)]
        assert answers[0] == answers[1], script
    names = ("list-windows", "-t", "=a:", "-F", "#{window_id} #{window_name}")
    assert shown(terminal.run(*names))[1].split("\n")[1:] == shown(live(*names))[1].split("\n")[1:]


def test_the_version_is_known_without_a_server() -> None:
    """Also of a frozen one."""
    terminal = Terminal()
    assert terminal.out("-V") == "tmux 3.3a\n"
    one_session("a")(terminal)
    terminal.server.freeze()
    assert terminal.out("-V") == "tmux 3.3a\n"
    assert FakeTransport(FakeServer(), version="3.2a").run(["tmux", "-V"], timeout_s=1).stdout == b"tmux 3.2a\n"


def test_nobody_listens_at_another_socket() -> None:
    """Whatever goes on at the first."""
    terminal = Terminal()
    one_session("a")(terminal)

    done = terminal.run("-S", "/other", "has-session", "-t", "=a")

    assert done.stderr == b"error connecting to /other (No such file or directory)\n"


def test_a_window_dies_with_its_process_unless_told_otherwise() -> None:
    """As in any tmux that nobody configured."""
    terminal = Terminal()
    one_session("a")(terminal)
    terminal.run("new-window", "-d", "-t", "=a:", "true")
    terminal.server.clock.sleep(1)
    assert terminal.out("list-windows", "-t", "=a:", "-F", "#{window_id}") == "@0\n"

    terminal.run("set-option", "-g", "remain-on-exit", "on")
    terminal.run("new-window", "-d", "-t", "=a:", "false")
    terminal.server.clock.sleep(1)

    listed = terminal.out("list-windows", "-t", "=a:", "-F", "#{window_id} #{pane_dead} #{pane_dead_status}")
    assert listed == "@0 0 \n@2 1 1\n"
    assert terminal.run("pipe-pane", "-t", "@2", "cat >> /f").stderr == b"target pane has exited\n"


def test_an_option_takes_only_its_own_values() -> None:
    """And a name that nobody knows is no option; quiet asks for no complaint about that."""
    terminal = Terminal()
    one_session("a")(terminal)
    complaints = {
        ("set-option", "-t", "=a:", "status", "maybe"): b"unknown value: maybe\n",
        ("set-option", "-w", "-t", "@0", "nope", "v"): b"invalid option: nope\n",
        ("set-option", "-q", "-t", "@0", "nope", "v"): b"",
    }
    for words, complaint in complaints.items():
        assert terminal.run(*words).stderr == complaint

    terminal.run("set-option", "-g", "status", "off", ";", "set-option", "-a", "-t", "=a:", "@x", "a#{pid}")
    assert terminal.out("show-options", "-g", "-v", "status") == "off\n"
    assert terminal.out("show-options", "-t", "=a:", "@x") == "@x a#{pid}\n"


def test_a_script_is_read_whole_before_any_of_it_runs() -> None:
    """Comments and quotes as usual; a line that fails when it runs stops only itself."""
    terminal = Terminal()
    one_session("a")(terminal)
    say = "display-message -p"

    told = terminal.run("source-file", "-", stdin=f"# no\n{say} 'a b' ; {say} \"c\\101\" # more\n".encode())
    broken = terminal.run("source-file", "-", stdin=f"{say} hi\nfoo x\n".encode())
    failing = terminal.run("source-file", "-", stdin=f"{say} hi\nkill-window -t @9 ; {say} no\n{say} ho\n".encode())

    assert (told.status, told.stdout) == (0, b"a b\ncA\n")
    assert (broken.status, broken.stdout, broken.stderr) == (1, b"-:2: unknown command: foo\n", b"")
    assert (failing.status, failing.stdout, failing.stderr) == (1, b"hi\nho\n", b"can't find window: @9\n")
    assert (
        terminal.out("source-file", "-", stdin=b'display-message -p "a\n  b"\ndisplay-message -p \'open\n')
        == "a\nb\nopen\n\n"
    )


def test_a_server_ends_with_the_process_of_its_last_window() -> None:
    """Without anybody asking for it; it stays if it was told to."""
    for told, running in (("on", False), ("off", True)):
        terminal = Terminal()
        terminal.run("new-session", "-d", "-s", "a", "sleep 1", ";", "set-option", "-s", "exit-empty", told)
        terminal.server.clock.sleep(2)

        assert terminal.server.running is running
        assert terminal.run("has-session", "-t", "=a").status == 1


def test_a_missing_directory_runs_the_command_somewhere_else() -> None:
    """With status 0, as was measured; the path that was asked for is still shown."""
    terminal = Terminal()
    one_session("a")(terminal)
    terminal.server.missing_dirs.add("/missing")

    terminal.run("set-option", "-g", "remain-on-exit", "on")
    window = terminal.out(
        "new-window", "-d", "-P", "-F", "#{window_id}", "-t", "=a:", "-c", "/missing", "pwd; exit 4"
    ).strip()
    terminal.server.clock.sleep(1)

    assert terminal.out("list-panes", "-t", window, "-F", "#{pane_start_path} #{pane_dead_status}") == "/missing 4\n"


def test_typed_text_is_delivered_with_the_key_that_ends_it() -> None:
    """From a buffer, literally, and both together; control keys do what they do."""
    terminal = Terminal()
    one_session("a")(terminal)
    terminal.run("new-window", "-d", "-t", "=a:", "cat", ";", "pipe-pane", "-t", "@1", "cat >> /log")
    terminal.server.clock.sleep(1)
    terminal.run("load-buffer", "-b", "b", "-", stdin="grüße\n".encode())
    terminal.run("paste-buffer", "-p", "-r", "-d", "-b", "b", "-t", "%1", ";", "send-keys", "-t", "%1", "-l", "Enter")
    terminal.run("send-keys", "-t", "%1", "Space", "x", "C-u", "y", "Enter", "z", "C-c")
    terminal.server.clock.sleep(1)

    assert terminal.server.disk.read("/log") == b"y\n"
    assert terminal.server.buffers == {}
    assert terminal.run("has-session", "-t", "@1").stderr == b"can't find window: @1\n"


def test_a_killed_client_leaves_its_command_behind_but_not_its_stdin() -> None:
    """What was asked by argv happens at the thaw; what was to come by stdin does not."""
    terminal = Terminal()
    one_session("a")(terminal)
    terminal.server.freeze()
    script = b"new-window -d -t =a: -n by-script sleep\n"
    for words, stdin in (
        (("new-window", "-d", "-t", "=a:", "-n", "by-argv", "sleep 600"), b""),
        (("source-file", "-"), script),
        (("load-buffer", "-b", "x", "-", ";", "rename-window", "-t", "@0", "renamed"), b"text"),
    ):
        with pytest.raises(TimeoutExpired) as missed:
            terminal.run(*words, stdin=stdin, timeout_s=5)
        assert missed.value.cmd == [*AS_TMUX, *words]
    assert terminal.server.clock.monotonic() == 15

    terminal.server.thaw()

    assert terminal.out("list-windows", "-t", "=a:", "-F", "#{window_name}").split()[1:] == ["by-argv"]
    assert "renamed" not in terminal.out("list-windows", "-t", "=a:", "-F", "#{window_name}")
    assert terminal.server.buffers == {}


def test_a_server_that_dies_meanwhile_is_said_to_have_exited() -> None:
    """Which proves nothing, as with the real one."""
    terminal = Terminal()
    one_session("a")(terminal)
    terminal.server.freeze()
    terminal.server.clock.call_later(1, terminal.server.kill)

    done = terminal.run("has-session", "-t", "=a")

    assert (done.status, done.stderr) == (1, b"server exited unexpectedly\n")
    assert terminal.run("has-session", "-t", "=a").stderr == f"no server running on {SOCKET}\n".encode()


def test_a_session_made_at_an_unlinked_socket_belongs_to_a_second_server() -> None:
    """The first lives on without anybody who could reach it, and both count their windows from 0."""
    terminal = Terminal()
    one_session("a")(terminal)
    first = terminal.server
    first.socket_unlinked = True

    made = terminal.out("new-session", "-d", "-P", "-F", "#{pid} #{window_id}", "-s", "a", "sleep 600").split()

    assert first.running
    assert terminal.transport.orphans == [first]
    assert first.identity is not None
    assert made[0] != str(first.identity.pid)
    assert made[1] == "@0"


def test_an_abandoned_transport_asks_nobody_any_more() -> None:
    """Neither the call in progress nor a later one."""
    terminal = Terminal()
    one_session("a")(terminal)
    terminal.server.freeze()
    terminal.server.clock.call_later(1, terminal.transport.abandon)

    for _ in range(2):
        with pytest.raises(InterruptedError):
            terminal.run("has-session", "-t", "=a")
    assert terminal.server.clock.monotonic() == 1

    terminal.transport.take_up()
    terminal.server.thaw()
    assert terminal.run("has-session", "-t", "=a").status == 0


def test_what_no_process_could_be_given_is_a_value_error() -> None:
    """As `subprocess` has it."""
    with pytest.raises(ValueError, match="null"):
        Terminal().run("has-session", "-t", "a\0b")


def test_a_window_can_be_given_another_process() -> None:
    """The one that ran there is hung up on, and what was half typed is forgotten."""
    terminal = Terminal()
    one_session("a")(terminal)
    terminal.server.clock.sleep(1)
    before = terminal.out("display-message", "-p", "#{pane_pid}")
    terminal.run("send-keys", "-t", "@0", "-l", "half")

    terminal.run("respawn-window", "-k", "-t", "@0", "sleep 700")
    terminal.server.clock.sleep(1)
    assert terminal.server.windows["@0"].typing == []

    assert terminal.out("display-message", "-p", "#{pane_pid}") != before
    assert terminal.out("display-message", "-p", "#{pane_dead} #{pane_start_command}") == "0 sh -c sleep 700\n"
    assert len(terminal.server.processes.running()) == 4


def test_a_client_may_run_in_a_window() -> None:
    """It asks the server that it runs in, also after a freeze."""
    terminal = Terminal()
    one_session("a")(terminal)
    line = f'{" ".join(AS_TMUX)} set-option -w -t "$TMUX_PANE" @from "$TMUX_PANE"; exec cat'
    terminal.run("new-window", "-d", "-t", "=a:", line)
    terminal.server.freeze()
    terminal.server.clock.sleep(1)
    assert terminal.server.windows["@1"].options == {}

    terminal.server.thaw()

    assert terminal.server.windows["@1"].options == {"@from": "%1"}
