"""In what the fake and the simulation are not as tmux is, on purpose: each with its reason, and the proof that it is so."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
from side_by_side import VERSION, File, Said, Subject, Trio, Window, eventually, frozen

from backends.clock import VirtualClock
from backends.fake import FakeMultiplexer, FakeServer, FakeTransport
from backends.operations import WindowExit

__all__ = ["DIFFERENCES", "Difference"]

FAKE, BOTH = "fake", "fake and simulated tmux"

RECORDED = Path(__file__).parent.parent / "data" / "tmux-texts.json"


@dataclass(frozen=True)
class Difference:
    """`live` is what tmux does, `instead` what `who` does; `shown` fails once that is so no more."""

    name: str
    who: str
    live: str
    instead: str
    why: str
    shown: Callable[[Trio], None]
    operation: str = ""
    """The operation that always answers otherwise, if there is one."""


def _said(three: Trio, operation: str, *subjects: Subject, **arguments: Any) -> list[Said]:
    return list(three.said(three.ask(operation, arguments, *subjects)).values())


def _answers(three: Trio, operation: str, **arguments: Any) -> list[object]:
    return [said.answer for said in _said(three, operation, **arguments)]


def _window(three: Trio, command: str, cwd: str = "/") -> Window:
    """A new window in all of them that runs the command."""
    made = {"session": "run-1", "name": "agent", "cwd": cwd, "env": {}, "command": command}
    three.ask("new_window", made)
    for subject in three.all:
        subject.settle()
        three.look(subject)
    return Window(len(three.fake.ids) - 1, ever=True)


def _exits(three: Trio, window: Window) -> list[WindowExit | None]:
    """How the window's process ended in each, once it has in live tmux."""
    live = three.live
    eventually(lambda: live.mux.window_exit(window(live)) is not None)
    return [subject.mux.window_exit(window(subject)) for subject in three.all]


def _attaching(three: Trio) -> None:
    fake, _, live = _answers(three, "attach_target_argv", target="=run-1")
    assert isinstance(live, list)
    assert (fake, live[0]) == (["fake-attach", "=run-1"], "tmux")


def _version(three: Trio) -> None:
    assert _answers(three, "version") == ["fake 1", f"tmux {VERSION}", three.live.mux.version()]


def _detaching(three: Trio) -> None:
    assert [said.swallowed for said in _said(three, "detach_client")] == ["", *["CommandRejected"] * 2]


def _late(three: Trio) -> None:
    window = {"session": "run-1", "name": "late", "cwd": "/", "env": {}, "command": "cat"}
    with frozen(three):
        three.ask("new_window", window, within_s=0.3)
    seen = [len(subject.mux.list_window_ids("run-1")) for subject in three.all]
    assert seen == [2, 1, 1]


def _no_socket(three: Trio) -> None:
    for subject in three.all:
        subject.server()
        subject.unlink()
    kinds = [said.error for said in _said(three, "has_session", name="run-1")]
    three.live.signal_server(signal.SIGUSR1)
    assert kinds == ["", "TransportUnavailable", "TransportUnavailable"]


def _staying(three: Trio) -> None:
    mux = FakeMultiplexer(clock=VirtualClock())
    mux.new_session("run-1", "/")
    for one in (mux, three.live.mux):
        one.kill_session("run-1")
    assert mux.server_identity() is not None
    eventually(lambda: three.live.mux.server_identity() is None)


def _echo(three: Trio) -> None:
    window, log = _window(three, "cat"), File("log")
    three.ask("pipe_pane", {"window_id": window, "log_file": log})
    three.ask("send_text", {"window_id": window, "text": "hello"})
    for subject in (three.fake, three.simulated):
        subject.settle()
        assert subject.disk.read(log(subject)) == b"hello\n"
    eventually(lambda: Path(log(three.live)).read_bytes() == b"hello\r\nhello\r\n")


def _programs(three: Trio) -> None:
    window = _window(three, "expr 1")
    assert _exits(three, window) == [*[WindowExit(code=127)] * 2, WindowExit(code=0)]


def _shell(three: Trio) -> None:
    window = _window(three, "sh -c 'true | true; exit 4'")
    assert _exits(three, window) == [*[WindowExit(code=2)] * 2, WindowExit(code=4)]


def _directories(three: Trio) -> None:
    window = _window(three, "true", "/no/such/directory/either")
    assert _exits(three, window) == [*[WindowExit(code=0)] * 2, WindowExit(code=126)]


def _typing_ahead(three: Trio) -> None:
    argv = ["sh", "-c", "read line; exit 3"]
    three.ask("new_parked_window", {"session": "run-1", "name": "w", "cwd": "/", "argv": argv, "return_opt": "@b"})
    window = Window(1, ever=True)
    for subject in three.all:
        subject.settle()
        three.look(subject)
    three.ask("send_text", {"window_id": window, "text": "for it\nfor the shell"})
    for subject in (three.fake, three.simulated):
        subject.settle()
        assert subject.mux.window_alive("run-1", window(subject))
    eventually(lambda: not three.live.mux.window_alive("run-1", window(three.live)))


def _options(three: Trio) -> None:
    said = _said(three, "set_session_option", name="run-1", option="display-time", value="soon")
    assert [each.line for each in said] == ["", "", "value is invalid: soon"]
    said = _said(three, "set_session_option", name="run-1", option="stat", value="off")
    assert [each.line for each in said] == [*["invalid option: stat"] * 2, "ambiguous option: stat"]


def _lengths(three: Trio) -> None:
    said = _said(three, "set_session_option", name="run-1", option="@x", value="x" * 20_000)
    assert [each.error != "" for each in said] == [False, False, True]


def _fields(three: Trio) -> None:
    fake, simulated, live = _answers(three, "list_windows", session="run-1", fields=("window_layout",))
    assert fake == simulated == [("",)] != live


def _panes(three: Trio) -> None:
    live = three.live.mux
    three.client(three.live, "split-window", "-d", "-t", "=run-1:", "cat")
    assert live.list_windows("run-1", ("window_panes",)) == [("2",)]
    assert three.client(three.simulated, "split-window").stderr == b"unknown command: split-window\n"


def _clients(three: Trio) -> None:
    argv = three.live.mux.attach_target_argv("=run-1")
    person = pexpect.spawn(argv[0], argv[1:], env={"TERM": "xterm", "PATH": "/usr/bin:/bin"}, timeout=30)
    try:
        fields = {"session": "run-1", "fields": ("session_attached",)}
        eventually(lambda: _answers(three, "list_windows", **fields) == [[("0",)], [("0",)], [("1",)]])
        assert _answers(three, "switch_client", target="=run-1") == [False, False, True]
    finally:
        person.close(force=True)


def _versions(three: Trio) -> None:
    unset = json.loads(RECORDED.read_text("utf-8"))["p.unset-option.show-v"]
    old = next(answer for answer in unset if "3.2a" in answer["versions"].split())
    transport = FakeTransport(FakeServer(VirtualClock()), version="3.2a")
    client = ("tmux", "-S", "/s")
    transport.run([*client, "new-session", "-d", "-s", "S", "cat"], timeout_s=5)
    done = transport.run([*client, "show-options", "-v", "@nope"], timeout_s=5)
    assert (old["rc"], done.status) == (0, 1)


def _control(three: Trio) -> None:
    ends = [three.client(subject, "-C", "has-session", "-t", "=run-1") for subject in (three.simulated, three.live)]
    assert [done.status for done in ends] == [1, 0]


def _recorded(situation: str, text: str) -> Callable[[Trio], None]:
    """That it was measured, where it cannot be made to happen at will."""

    def measured(three: Trio) -> None:
        found = [
            v
            for k, answers in json.loads(RECORDED.read_text("utf-8")).items()
            if k.startswith(situation)
            for v in answers
        ]
        assert any(text in answer["stderr"] if text else answer["rc"] == 0 and not answer["stdout"] for answer in found)

    return measured


def _unreaped(three: Trio) -> None:
    decision = Path(__file__).parents[2] / "docs" / "decisions" / "0005-unreaped-panes.md"
    assert "zombie" in decision.read_text("utf-8")
    window = _window(three, shlex.join(["sh", "-c", "kill -9 $$"]))
    fields = ("window_id", "pane_dead", "pane_dead_signal")
    for subject in (three.fake, three.simulated):
        assert (window(subject), "1", "9") in subject.mux.list_windows("run-1", fields)


DIFFERENCES = (
    Difference(
        "attaching",
        FAKE,
        "`attach_target_argv` is a command that attaches a terminal",
        "it begins with `fake-attach`, which no host has",
        "there is nothing to attach to; a story that shows it gives its process table such a command",
        _attaching,
        "attach_target_argv",
    ),
    Difference(
        "detaching",
        FAKE,
        "`detach_client` is refused, and the observers see that, where this process runs in no window",
        "nothing happens, and nobody says so",
        "nothing runs inside of the fake, and every operation has to have a call of which it can lose the answer",
        _detaching,
        "detach_client",
    ),
    Difference(
        "version",
        FAKE,
        "`version` is the client's own line",
        "it is `fake 1`",
        "a record must not claim that a tmux was there",
        _version,
        "version",
    ),
    Difference(
        "late changes",
        FAKE,
        "a change that timed out at a stopped server is never made: it stands behind a fence inside of the server",
        "it is made when the server goes on",
        "the contract leaves the effect of a timeout unknown, and what can happen has to be survived",
        _late,
    ),
    Difference(
        "socket",
        FAKE,
        "a server whose socket was removed cannot be asked",
        "there is no socket: it answers",
        "nothing lies between the fake and its server; the simulated tmux has a socket",
        _no_socket,
    ),
    Difference(
        "a server without sessions",
        FAKE,
        "the server ends with its last session",
        "it stays, with its identity, unless it is made with `exit_empty=True`",
        "tests kill sessions and go on with the same server",
        _staying,
    ),
    Difference(
        "echo",
        BOTH,
        "a terminal writes what is typed, and ends lines with CR and LF",
        "only what programs print is shown, as they print it",
        "there is no terminal; a log holds what an agent said",
        _echo,
    ),
    Difference(
        "programs",
        BOTH,
        "every program of the host runs",
        "those that a test hands over, and `sh`, `cat`, `sleep`, `tail`, `true`, `false`; any other is not found",
        "a simulation starts no process",
        _programs,
    ),
    Difference(
        "shell",
        BOTH,
        "`sh` is a POSIX shell",
        "it has no pipes, loops, globs and here-documents; such a line ends with status 2",
        "what the backends themselves write needs none of them",
        _shell,
    ),
    Difference(
        "directories",
        BOTH,
        "a window in a directory that is not there ends with status 126",
        "every directory is there, but for those of `missing_dirs`",
        "a story need not make the directories that it names",
        _directories,
    ),
    Difference(
        "typing ahead",
        BOTH,
        "what a program does not read waits for who reads the terminal next",
        "it is lost",
        "programs of a simulation are told what is typed, and have no terminal to read from",
        _typing_ahead,
    ),
    Difference(
        "options",
        BOTH,
        "options of tmux itself have types, defaults and effects, and may be abbreviated",
        "a part of them is known, by its full name; of their values only those of switches are checked, of their effects there "
        "are those of `remain-on-exit` and `exit-empty`",
        "the seam's own options are user options, which take any text",
        _options,
    ),
    Difference(
        "lengths",
        BOTH,
        "a command of more than about 16 KB is refused",
        "every length will do",
        "where exactly the limit is differs by version and command; whoever nears it needs the real one",
        _lengths,
    ),
    Difference(
        "formats",
        BOTH,
        "`list_windows` knows some two hundred names",
        "it knows those of `simulation_formats.py`, and any other is empty",
        "what nobody asks for is not simulated",
        _fields,
    ),
    Difference(
        "panes",
        BOTH,
        "a person may split a window",
        "a window has one pane, and there is no command to split it",
        "the seam makes windows; what a split does to it is tested against live tmux alone",
        _panes,
    ),
    Difference(
        "clients",
        BOTH,
        "terminals attach to sessions, and can be sent elsewhere",
        "nobody is ever attached",
        "whoever attaches is outside of a simulation",
        _clients,
    ),
    Difference(
        "control mode",
        "simulated tmux",
        "`tmux -C` speaks a protocol of its own",
        "it is refused as where there is no terminal",
        "the control client is tested against live tmux and recorded conversations",
        _control,
    ),
    Difference(
        "versions",
        "simulated tmux",
        "versions differ in what they refuse and how they say it",
        "whatever version it says that it is, it says what 3.3a says",
        "differences between versions are tested on recorded answers",
        _versions,
    ),
    Difference(
        "unreaped panes",
        BOTH,
        "a pane may be shown as dead, and how it ended not be known until another child of the server ends",
        "how it ended is known at once",
        "by chance alone; `window_exit` hides it, see decision 0005",
        _unreaped,
    ),
    Difference(
        "the end of a server",
        BOTH,
        "while a server ends, a client may be told nothing at all with status 0",
        "a server is there or not",
        "by chance alone; what is told then is tested on recorded answers",
        _recorded("j.race", ""),
    ),
    Difference(
        "resources",
        BOTH,
        "a host runs out of processes, descriptors and terminals",
        "it never does, unless a fault says so",
        "faults of the transport say it, with the recorded texts",
        _recorded("u.new-window", "fork failed"),
    ),
)
"""Everything that is known to differ. Where `SideBySide` meets anything else, that is a mistake of the fake, or of tmux.py."""
