"""The operations of the seam, carried out by a tmux server of one's own."""

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from backends.base import StrPath, TerminalMultiplexer
from backends.clock import Clock
from backends.errors import CommandRejected, TargetMissing, TransportError, TransportGarbled, TransportUnavailable
from backends.operations import ServerIdentity, WindowExit
from backends.transport import SubprocessTransport, Transport
from template_backend.answers import SIGNATURE, said
from template_backend.launching import Words, dropped, launcher, typing
from template_backend.server import Server

SETTINGS: tuple[Words, ...] = (("start-server",), ("set-option", "-g", "remain-on-exit", "on"))
"""Stand before the first window: a dead one stays, and tells how it ended."""

EXIT = "@template_exit"
PLAIN = " =:@,+/"
"""What an option holds as it is; everything else is percent-encoded, because versions of tmux differ in how they show it."""


class Pane(NamedTuple):
    """One line of the listing that tells everything; the names are those of tmux's formats."""

    session_name: str
    window_id: str
    window_name: str
    window_active: str
    pane_id: str
    pane_pid: str
    pane_dead: str
    pane_dead_status: str
    pane_dead_signal: str
    exit: str


LISTING = "\t".join(f"#{{{name}}}" for name in (*Pane._fields[:-1], EXIT))


class TemplateMultiplexer(TerminalMultiplexer):
    """Looks before it acts: what a signed listing does not name is absent, whatever a client complains of."""

    def __init__(
        self,
        socket_dir: StrPath | None = None,
        *,
        transport: Transport | None = None,
        clock: Clock | None = None,
        call_timeout_s: float | None = None,
    ) -> None:
        super().__init__(clock=clock, call_timeout_s=call_timeout_s)
        self._server = Server(Path(os.path.abspath(socket_dir or Path.home() / ".template-backend")), self.clock)
        self._transport = transport or SubprocessTransport()

    def _run(self, *words: str, stdin: bytes = b"") -> tuple[str, int]:
        client = ("tmux", "-u", "-f", "/dev/null", "-S", str(self._server.socket))
        done = self._transport.run((*client, *words), stdin=stdin, timeout_s=self.seam.remaining_s())
        try:
            return said(done)
        except TransportError:
            if self._server.is_gone(done):
                raise TargetMissing("there is no server, and so nothing in it") from None
            raise

    def _ask(self, *commands: Words, stdin: bytes = b"", begins: bool = False) -> str:
        """What the commands write, all of it, and from our server, which may begin with them."""
        self._server.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        words = [word for command in (*commands, SIGNATURE) for word in (*command, ";")]
        text, pid = self._run(*words[:-1], stdin=stdin)
        self._server.confirm(pid, follows=begins)
        return text

    def _rows(self, width: int, *command: str) -> list[list[str]]:
        rows = [line.split("\t") for line in self._ask(command).split("\n")[:-1]]
        if any(len(row) != width for row in rows):
            raise TransportGarbled("the listing is not of the form that was asked for")
        return rows

    def _panes(self, session: str | None = None) -> list[Pane]:
        """Of every window, or those of one session, the pane it was made with; raises `TargetMissing` without a server."""
        panes = [Pane(*row) for row in self._rows(len(Pane._fields), "list-panes", "-a", "-F", LISTING)]
        first: dict[str, Pane] = {}
        for pane in sorted(panes, key=lambda pane: int(pane.pane_id.removeprefix("%"))):
            first.setdefault(pane.window_id, pane)
        return [pane for pane in first.values() if session in (None, pane.session_name)]

    def _pane(self, target: str) -> Pane:
        """The one that `target`, an id or what `target()` made, means. Raises `TargetMissing` where there is none."""
        session, _, window = self._exact(target).removeprefix("=").partition(":")
        if target.startswith("@"):
            found = [pane for pane in self._panes() if pane.window_id == target]
        elif window:
            found = [pane for pane in self._panes(session) if pane.window_name == window.removeprefix("=")]
        else:
            found = [pane for pane in self._panes(session) if pane.window_active == "1"]
        if not found:
            raise TargetMissing(f"there is no {target}")
        if len(found) > 1:
            raise CommandRejected(f"there are {len(found)} of {target}")
        return found[0]

    def _exact(self, target: str) -> str:
        """`target` as tmux takes it for nothing else."""
        if target.startswith("@"):
            return target
        if not target.startswith("="):
            raise CommandRejected("neither an id nor made by target()", invalid_argument=True)
        session, _, window = target.partition(":")
        return f"{session}:={window}" if window else f"{session}:"

    def _known(self, session: str) -> str:
        """The session as a target. Raises `TargetMissing` where there is none."""
        if not self._panes(session):
            raise TargetMissing(f"there is no session {session}")
        return f"={session}:"

    def _done(self, *commands: Words, stdin: bytes = b"") -> None:
        if self._ask(*commands, stdin=stdin):
            raise TransportGarbled("words, where none were due")

    def has_session(self, name: str) -> bool:
        """Whether it is listed."""
        return bool(self.list_window_ids(name))

    def new_session(self, name: str, cwd: StrPath, cols: int | None = None, lines: int | None = None) -> None:
        """Start the server with it, where there is none."""
        if self.has_session(name):
            raise CommandRejected(f"there is a session {name}")
        size = () if cols is None or lines is None else ("-x", str(cols), "-y", str(lines))
        made = ("new-session", "-d", "-P", "-F", "#{window_id}", "-s", name, "-n", "shell", *size)
        self._made(SETTINGS, made, cwd, {}, "exec /bin/sh")

    def kill_session(self, name: str) -> None:
        """Kill it, and look."""
        with suppress(TargetMissing):
            self._end("kill-session", self._known(name))
            if self._panes(name):
                raise TransportUnavailable("it was killed, and is still there")

    def _end(self, verb: str, target: str) -> None:
        """Kill. A server that ends with its last window need not say so: what is left is looked for afterwards."""
        with suppress(TransportUnavailable, TransportGarbled):
            self._done((verb, "-t", target))

    def list_sessions(self) -> list[str]:
        """Their names."""
        return sorted({pane.session_name for pane in self._panes()})

    def session_options(self, option: str) -> dict[str, str]:
        """One question for each session; an unset option is a signature and nothing else."""
        shown = {
            name: self._ask(("show-options", "-q", "-v", "-t", f"={name}:", option)) for name in self.list_sessions()
        }
        return {name: unquote(text.removesuffix("\n")) for name, text in shown.items() if text}

    def set_session_option(self, name: str, option: str, value: str) -> None:
        """Set it, of exactly that one."""
        self._done(("set-option", "-t", self._known(name), "--", option, quote(value, PLAIN)))

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """Run the command in place of the script that launches it."""
        return self._window(session, name, cwd, env, f"exec {command}")

    def new_parked_window(self, session: str, name: str, cwd: StrPath, argv: Sequence[str], return_opt: str) -> str:
        """Keep the exit status in an option, wait for a key, and send the client back."""
        tmux = f"tmux -S {shlex.quote(str(self._server.socket))}"
        lines = (
            shlex.join(argv),
            f'code=$?; {tmux} set-option -w -t "$TMUX_PANE" {EXIT} "$code"',
            'echo "[ended with status $code: press a key]"; stty -icanon -echo; dd bs=1 count=1 >/dev/null 2>&1',
            f'back=$({tmux} show-options -wqv -t "$TMUX_PANE" {return_opt})',
            f'[ -z "$back" ] || {tmux} switch-client -t "$back"',
            "exit $code",
        )
        return self._window(session, name, cwd, {}, "\n".join(lines))

    def _window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], line: str) -> str:
        made = ("new-window", "-d", "-P", "-F", "#{window_id}", "-t", self._known(session), "-n", name)
        return self._made((), made, cwd, env, line)

    def _made(self, before: tuple[Words, ...], made: Words, cwd: StrPath, env: Mapping[str, str], line: str) -> str:
        """The id of the window that a command makes; where it is not told, the window is left nothing to run."""
        runs = launcher(self._server.directory, cwd, env, line)
        try:
            window = self._ask(*before, (*made, *runs), begins=bool(before)).removesuffix("\n")
            if not window.startswith("@"):
                raise TransportGarbled("a window without an id")
        except BaseException:
            dropped(runs)
            raise
        return window

    def list_window_ids(self, session: str) -> list[str]:
        """None only of a session that is absent."""
        try:
            return [pane.window_id for pane in self._panes(session)]
        except TargetMissing:
            return []

    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """Whatever formats were asked for."""
        form = "\t".join(f"#{{{field}}}" for field in fields)
        rows = self._rows(len(fields), "list-windows", "-t", self._known(session), "-F", form)
        return [tuple(unquote(v) if f[0] == "@" else v for f, v in zip(fields, row, strict=True)) for row in rows]

    def window_alive(self, session: str, window_id: str) -> bool:
        """Whether it is listed, and not as dead."""
        try:
            return any(pane.window_id == window_id and pane.pane_dead == "0" for pane in self._panes(session))
        except TargetMissing:
            return False

    def kill_window(self, target: str) -> None:
        """Kill it, and look."""
        with suppress(TargetMissing):
            window = self._pane(target).window_id
            self._end("kill-window", window)
            self._pane(window)
            raise TransportUnavailable("it was killed, and is still there")

    def select_window(self, target: str) -> None:
        """Make it the current one."""
        self._done(("select-window", "-t", self._pane(target).window_id))

    def set_window_option(self, target: str, option: str, value: str) -> None:
        """Set it, of exactly that one."""
        self._done(("set-option", "-w", "-t", self._pane(target).window_id, "--", option, quote(value, PLAIN)))

    def unset_window_option(self, target: str, option: str) -> None:
        """Unset it."""
        self._done(("set-option", "-w", "-u", "-t", self._pane(target).window_id, option))

    def show_window_option(self, target: str, option: str) -> str:
        """What it holds."""
        text = self._ask(("show-options", "-w", "-q", "-v", "-t", self._pane(target).window_id, option))
        return unquote(text.removesuffix("\n"))

    def pipe_pane(self, window_id: str, log_file: StrPath) -> None:
        """Append to the file; `pipe-pane` expands formats and dates."""
        sink = f"umask 077; exec cat >> {shlex.quote(os.path.abspath(log_file))}"
        words = ("pipe-pane", "-t", self._pane(window_id).pane_id, sink.replace("#", "##").replace("%", "%%"))
        self._done(words)

    def send_text(self, window_id: str, text: str) -> None:
        """Type it in one piece."""
        pane = self._pane(window_id)
        if pane.pane_dead != "0":
            raise CommandRejected("its process has ended: nothing was typed")
        commands, stdin = typing(pane.pane_id, text)
        self._done(*commands, stdin=stdin)

    def attach_target_argv(self, target: str) -> list[str]:
        """Ask nobody."""
        return ["tmux", "-u", "-S", str(self._server.socket), "attach-session", "-t", self._exact(target)]

    def _mine(self) -> Pane | None:
        """Where this process runs, if it is in a window of ours."""
        if os.environ.get("TMUX", "").rsplit(",", 2)[0] != str(self._server.socket):
            return None
        return next((pane for pane in self._panes() if pane.pane_id == os.environ.get("TMUX_PANE")), None)

    def current_pane_id(self) -> str | None:
        """See `_mine`."""
        return None if (pane := self._mine()) is None else pane.pane_id

    def current_window_id(self) -> str | None:
        """See `_mine`."""
        return None if (pane := self._mine()) is None else pane.window_id

    def current_session(self) -> str | None:
        """See `_mine`."""
        return None if (pane := self._mine()) is None else pane.session_name

    def detach_client(self) -> None:
        """Whatever shows the session that this process runs in."""
        if (pane := self._mine()) is None:
            raise CommandRejected("this process runs in no window of this server")
        self._done(("detach-client", "-s", f"={pane.session_name}:"))

    def switch_client(self, target: str, last_fallback: bool = False) -> bool:
        """Of several clients the one that was used last."""
        clients = self._rows(2, "list-clients", "-F", "#{client_activity}\t#{client_name}")
        if not clients:
            return False
        client = max(clients)[1]
        try:
            self._done(("switch-client", "-c", client, "-t", self._pane(target).window_id))
        except TargetMissing:
            if not last_fallback:
                raise
            self._done(("switch-client", "-c", client, "-l"))
        return True

    def available(self) -> bool:
        """Whether there is a tmux."""
        return self.version() is not None

    def version(self) -> str | None:
        """What it prints; this is no question to a server, and nobody signs it."""
        done = self._transport.run(("tmux", "-V"), timeout_s=self.seam.remaining_s())
        line = done.stdout.decode().partition("\n")[0]
        if done.status != 0 or not line.startswith("tmux "):
            raise TransportGarbled("no version")
        return line

    def window_pids(self, target: str) -> list[int]:
        """Of the process that it was made with."""
        pane = self._pane(target)
        return [int(pane.pane_pid)] if pane.pane_dead == "0" else []

    def window_exit(self, target: str) -> WindowExit | None:
        """How that ended; tmux may have to be woken to find out."""
        self._ask(("run-shell", ":"))
        pane = self._pane(target)
        if pane.pane_dead_signal.isdecimal():
            return WindowExit(signal=int(pane.pane_dead_signal))
        code = pane.exit or pane.pane_dead_status
        return WindowExit(code=int(code)) if code else None

    def server_identity(self) -> ServerIdentity | None:
        """Who answers."""
        try:
            pid, started = self._ask(("display-message", "-p", "#{pid} #{start_time}")).split()
        except TargetMissing:
            return None
        return ServerIdentity(int(pid), int(started))

    def abandon(self) -> None:
        """Give up the client that is waited for."""
        self._transport.abandon()

    def take_up(self) -> None:
        """Ask again."""
        self._transport.take_up()
