"""A transport whose answers are canned: a healthy little server, of which any command may be made to answer otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from backends.base import TerminalMultiplexer
from backends.clock import VirtualClock
from backends.errors import MultiplexerError
from backends.guard import Call
from backends.memory_disk import MemoryDisk
from backends.processes import Completed, Liveness, ProcessIdentity
from backends.server_record import ServerRecord
from backends.simulated_processes import SimulatedProcessTable
from backends.tmux import TmuxMultiplexer

SERVER_PID = 4242
STARTED = 1_767_225_600
SOCKET_DIR = "/run/sm-test"
SOCKET = f"{SOCKET_DIR}/tmux"
INSIDE = {"TMUX": f"{SOCKET},{SERVER_PID},0", "TMUX_PANE": "%1"}
"""The environment of a process that runs in a window of the canned server."""

Answer = Completed | BaseException
Reply = Callable[[tuple[str, ...], bytes], Answer]


def completed(status: int = 0, stdout: bytes | None = b"", stderr: bytes | None = b"") -> Completed:
    """A client that ended so; `None` is what a broken transport may hand on."""
    return Completed(("tmux",), status, stdout, stderr)  # type: ignore[arg-type]  # None is the fault to be tested


def spoken(words: Sequence[str], stdin: bytes = b"") -> list[str]:
    """The words of a chain as the server carries them out in time: those behind a fence, and those of a script on stdin."""
    found = script_of(stdin) if stdin and tuple(words[-2:]) == ("source-file", "-") else list(words)
    while "if-shell" in found:
        fence = found.index("if-shell")
        condition = fence + (4 if found[fence + 2] == "-t" else 2)
        found[fence : condition + 3] = script_of(found[condition + 1].encode())
    return found


def verbs(words: Sequence[str], stdin: bytes = b"") -> list[str]:
    """The verbs of a chain of commands, in order; global flags before the first one and fences are skipped."""
    found, due, skip = [], True, False
    for word in spoken(words, stdin):
        if word == ";":
            due = True
        elif due and skip:
            skip = False
        elif due and word in ("-S", "-f"):
            skip = True
        elif due and not (word.startswith("-") and word != "-V"):
            found.append(word)
            due = False
    return found


class RecordingTransport:
    """Records every command and answers it by `reply`, or as the healthy server would."""

    @property
    def said(self) -> list[str]:
        """The words of the newest command, as `spoken` has them."""
        argv, stdin, _ = self.calls[-1]
        return spoken(argv, stdin)

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply
        self.calls: list[tuple[tuple[str, ...], bytes, float]] = []
        self.abandoned = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        self.calls.append((tuple(argv), stdin, timeout_s))
        answer = self.reply(tuple(argv), stdin) if self.reply else healthy(tuple(argv), stdin)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def abandon(self) -> None:
        """See `Transport.abandon`."""
        self.abandoned += 1

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self.abandoned = 0


_ONE_WINDOW: Mapping[str, str] = {
    **{"pid": str(SERVER_PID), "start_time": str(STARTED), "version": "3.3a", "session_id": "$0"},
    **{"window_name": "agent", "window_active": "1", "pane_id": "%1", "pane_dead": "0", "pane_dead_status": ""},
    **{"pane_dead_signal": "", "pane_pid": "4300", "pane_in_mode": "0", "@seamripper_exit": "", "@project": "demo"},
    **{"client_name": "/dev/pts/7", "client_activity": "5", "client_control_mode": "0"},
}


def healthy(argv: tuple[str, ...], stdin: bytes = b"", **other: str) -> Completed:
    """What a server with session `run-1` and its window `@1` answers; targets are echoed.

    `other` replaces values; the client is of the server's version unless `client` says another.
    """
    words = argv[7:] if argv[6] == "-N" else argv[6:]
    if words == ("-V",):
        return completed(stdout=f"tmux {other.get('client', other.get('version', '3.3a'))}\n".encode())
    text = b"".join(_line(command, other) for command in _commands(words, stdin))
    return completed(stdout=text)


def _commands(words: tuple[str, ...], stdin: bytes) -> list[tuple[str, ...]]:
    joined = "\0".join(spoken(words, stdin)).split("\0;\0")
    return [tuple(command.split("\0")) for command in joined]


def script_of(stdin: bytes) -> list[str]:
    """The words of a script of one line, unquoted as tmux does; `;` stands between commands."""
    words, word, quoted, text = [], "", False, stdin.decode()
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and text[position + 1].isdigit():
            word += chr(int(text[position + 1 : position + 4], 8))
            position += 3
        elif character == "\\":
            position += 1
            word += text[position]
        elif character == '"':
            quoted = not quoted
            if not quoted:
                words.append(word)
            word = ""
        elif quoted:
            word += character
        elif character == ";":
            words.append(character)
        position += 1
    return words


def _line(command: tuple[str, ...], other: Mapping[str, str]) -> bytes:
    verb = command[2] if command[0] == "-S" else command[0]
    if verb == "show-options":
        return b"demo\n"
    if verb == "display-message":
        form = command[-1]
    elif "-F" in command:
        form = command[command.index("-F") + 1]
    else:
        return b""
    target = command[command.index("-t") + 1] if "-t" in command else "=run-1:"
    name = command[command.index("-s") + 1] if verb == "new-session" else target.strip("=:")
    about = {"session_name": name, "window_id": target if target.startswith("@") else "@1"}
    values = {**_ONE_WINDOW, **about, **other}
    line = form.replace("#{P:#{pane_id} #{pane_dead}/}", f"%1 {values['pane_dead']}/")
    return re.sub(r"#\{([^}]*)\}", lambda found: values[found[1]], line).encode() + b"\n"


def failing(verb: str, answer: Answer, *, version: str = "3.3a", **other: str) -> Reply:
    """A server of `version`, healthy but for commands with `verb` among them, which end as `answer`.

    `other` replaces values in what it says when it is healthy. Where it does not list windows as it should, it names no
    session either: of one that is named nobody asks for a listing to know that it is there.
    """
    if verb == "list-windows":
        other = {"session_name": "", **other}

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        return answer if verb in verbs(argv[1:]) else healthy(argv, stdin, version=version, **other)

    return reply


class CannedProcesses(SimulatedProcessTable):
    """Knows the canned server's process, and says of it what `server` is set to."""

    def __init__(self, clock: VirtualClock, server: Liveness = Liveness.ALIVE) -> None:
        super().__init__(clock)
        self.server = server

    def identify(self, pid: int) -> ProcessIdentity | None:
        """See `ProcessTable.identify`."""
        return ProcessIdentity(pid, float(STARTED), self.boot_id())

    def liveness(self, identity: ProcessIdentity) -> Liveness:
        """See `ProcessTable.liveness`."""
        return self.server if identity.pid == SERVER_PID else Liveness.DEAD


def disk_with(record: ServerRecord | None) -> MemoryDisk:
    """A disk with the directory of the socket, and in it the record of a server, if there is one."""
    disk = MemoryDisk(VirtualClock())
    disk.mkdir(SOCKET_DIR)
    if record is not None:
        disk.write(f"{SOCKET_DIR}/server.json", msgspec.json.encode(record))
    return disk


RECORD = ServerRecord(SERVER_PID, STARTED, float(STARTED), "boot-1")
"""The canned server, as it was recorded when it was started."""


def canned(
    reply: Reply | None = None,
    *,
    kind: type[TmuxMultiplexer] = TmuxMultiplexer,
    record: ServerRecord | None = RECORD,
    server: Liveness = Liveness.ALIVE,
    environment: Mapping[str, str] | None = None,
) -> tuple[TmuxMultiplexer, RecordingTransport]:
    """A multiplexer over a canned transport: `record` is on its disk, and its process table says that `server` is so."""
    clock = VirtualClock()
    transport = RecordingTransport(reply)
    multiplexer = kind(
        Path(SOCKET_DIR),
        transport=transport,
        clock=clock,
        processes=CannedProcesses(clock, server),
        disk=disk_with(record),
        environment=INSIDE if environment is None else environment,
        prepare=lambda _: None,
    )
    return multiplexer, transport


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a call: an answer, or an error; `degraded` is the error that became a sentinel."""

    answer: object = None
    error: MultiplexerError | None = None
    degraded: BaseException | None = None


def outcome(multiplexer: TerminalMultiplexer, operation: str, arguments: Mapping[str, object]) -> Outcome:
    """Call it, and capture what crosses the seam; anything but an answer or a `MultiplexerError` is let through."""
    seen: list[Call] = []
    multiplexer.observe(seen.append)
    call: Callable[..., object] = getattr(multiplexer, operation)
    try:
        answer = call(**arguments)
    except MultiplexerError as error:
        return Outcome(error=error)
    finally:
        multiplexer.unobserve(seen.append)
    return Outcome(answer, degraded=seen[-1].error if seen else None)
