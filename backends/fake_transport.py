"""The argv face of a simulated server: what a `tmux` client would print and how it would end, without a process.

With it the real tmux backend can be driven, and faulted below its parsing, in virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import TimeoutExpired

from backends.fake_commands import STARTING, ClientGone, Exchange, run_commands
from backends.fake_words import Refused, split_commands
from backends.processes import Completed
from backends.simulated_programs import FakeProcess, Program
from backends.simulation import FakeServer, ServerLost
from backends.simulation_formats import Place

__all__ = ["FakeTransport"]


class FakeTransport:
    """A `Transport` to one `FakeServer`, which speaks as tmux `version` does.

    The first socket that is asked for is the server's; nobody ever listened at any other. A server that is started here
    begins with tmux's own defaults (no `remain-on-exit`, ends with its last session), and windows may run the client too.
    """

    def __init__(self, server: FakeServer, *, version: str = "3.3a") -> None:
        self.server = server
        self.orphans: list[FakeServer] = []
        """Servers that live on without a socket, after it was unlinked and another server was started."""
        self._version = version
        self._socket: str | None = None
        self._binary: str | None = None
        self._abandoned = False
        server.clients = self._client_in_window

    def abandon(self) -> None:
        """See `Transport.abandon`."""
        self._abandoned = True
        self.server.interrupt()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._abandoned = False

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`; takes no simulated time, unless the server is frozen.

        After a missed deadline what was asked still happens when the server thaws, except for what the client was to
        bring on its stdin: that is gone with the client.
        """
        if any("\0" in word for word in argv):
            raise ValueError("embedded null byte")
        if self._abandoned:
            raise InterruptedError("given up by the caller")
        self._binary = self._binary or argv[0]
        client = _Client(argv)
        answer = self._without_server(client)
        if answer is not None:
            return answer
        exchange = self._exchange(client, stdin)
        try:
            return self.server.ask(lambda: _answered(client, exchange), timeout_s, argv[0])
        except TimeoutExpired:
            exchange.present = False
            if self._abandoned:
                raise InterruptedError("given up by the caller") from None
            raise TimeoutExpired(list(argv), timeout_s) from None
        except ServerLost:
            return client.ends(1, complaint="server exited unexpectedly")

    def _exchange(self, client: _Client, stdin: bytes) -> Exchange:
        return Exchange(Place(self.server, self._version, client.socket), stdin)

    def _without_server(self, client: _Client) -> Completed | None:
        """The end of a client that needs no server, or finds none; `None` if there is one to ask."""
        if client.version_only:
            return client.ends(0, f"tmux {self._version}\n")
        if client.usage:
            return client.ends(1, complaint=client.usage)
        if self._socket is None:
            self._socket = self.server.socket = client.socket
        ours = client.socket == self._socket
        server = self.server
        if ours and server.running and not server.socket_unlinked:
            return None
        if ours and client.starts_server:
            self._start(client.socket)
            return None
        if ours and server.ever_started and not server.socket_unlinked:
            return client.ends(1, complaint=f"no server running on {client.socket}")
        return client.ends(1, complaint=f"error connecting to {client.socket} (No such file or directory)")

    def _start(self, socket: str) -> None:
        server = self.server
        if server.running:
            self.orphans.append(server)
            self.server = FakeServer(server.clock, server.processes, server.disk, server.programs)
            self.server.socket = socket
            self.server.clients = self._client_in_window
            self.server.missing_dirs = server.missing_dirs
        self.server.remain_on_exit = False
        self.server.exit_empty = True
        self.server.start()

    def _client_in_window(self, process: FakeProcess) -> Program | None:
        """The multiplexer's own client, run by a process in a window."""
        if not process.argv or process.argv[0] != self._binary:
            return None
        return _ClientProgram(process, self)

    def run_inside(self, process: FakeProcess) -> None:
        """Answer a client that runs in a window, when the server does, and end it."""
        client = _Client(process.argv)

        def answer() -> None:
            completed = self._without_server(client) or _answered(client, self._exchange(client, b""))
            process.print(completed.stdout + completed.stderr)
            process.exit(completed.status)

        self.server.when_running(answer)


class _ClientProgram:
    """A client as a program: it asks, prints and ends."""

    def __init__(self, process: FakeProcess, transport: FakeTransport) -> None:
        self._process = process
        self._transport = transport

    def start(self) -> None:
        self._transport.run_inside(self._process)

    def typed(self, text: str) -> None:
        """Nobody reads it."""

    def signalled(self, signum: int) -> bool:
        return False


_USAGE = (
    "usage: tmux [-2CDlNuvV] [-c shell-command] [-f file] [-L socket-name]\n"
    "            [-S socket-path] [-T features] [command [flags]]"
)


class _Client:
    """A client's argv: its own flags, then commands."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)
        self.socket = "/tmp/tmux-0/default"
        self.version_only = False
        self.usage = ""
        self.starts_none = False
        words = list(argv[1:])
        while words and words[0].startswith("-") and len(words[0]) > 1:
            self._flag(words.pop(0), words)
        self.commands = split_commands(words) or [["new-session"]]
        starting = any(command[0] in STARTING for command in self.commands)
        self.starts_server = starting and not self.starts_none

    def _flag(self, flag: str, words: list[str]) -> None:
        if flag == "-V":
            self.version_only = True
        elif flag in ("-S", "-f", "-L", "-T", "-c"):
            value = words.pop(0) if words else ""
            if flag == "-S":
                self.socket = value
        elif flag == "-C":
            self.usage = "open terminal failed: not a terminal"
        elif flag == "-N":
            self.starts_none = True
        elif flag not in ("-u", "-2", "-q", "-v"):
            self.usage = f"tmux: unknown option -- {flag[1:]}\n{_USAGE}"

    def ends(self, status: int, out: str = "", complaint: str = "") -> Completed:
        """This client's end."""
        err = complaint + "\n" if complaint else ""
        return Completed(
            self._argv, status, out.encode("utf-8", "surrogateescape"), err.encode("utf-8", "surrogateescape")
        )


def _answered(client: _Client, exchange: Exchange) -> Completed:
    """Carry the client's commands out, and say how it ends."""
    server = exchange.server
    try:
        run_commands(exchange, client.commands)
    except Refused as refusal:
        exchange.complaints.append(str(refusal))
    except ClientGone:
        exchange.complaints.append("")
    if server.running and server.exit_empty and not server.sessions:
        server.kill()
    status = 1 if exchange.complaints else 0
    return client.ends(status, "".join(exchange.out), "\n".join(line for line in exchange.complaints if line))
