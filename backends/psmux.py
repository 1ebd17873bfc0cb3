"""psmux on a private directory: sessions that are servers of their own, windows that run PowerShell.

Each way in which psmux is not tmux is an entry of the catalogue (`backends.psmux_catalogue`), and is handled here. Three
rules are those of the tmux family: a positive answer has the payload that was asked for; absence is proven by an exact line
and by the recorded process of that session being gone, or by a whole listing of the session; everything else is unknown.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from backends.base import StrPath, TerminalMultiplexer, Unsupported
from backends.clock import Clock
from backends.disk import Disk, RealDisk
from backends.entropy import Entropy, SystemEntropy
from backends.errors import (
    CommandRejected,
    TargetMissing,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
    redact_argv,
)
from backends.guard import translate
from backends.judge import Meaning, Verdict
from backends.operations import ServerIdentity, WindowExit, split_command
from backends.processes import Completed, Liveness, ProcessTable, SystemProcessTable
from backends.psmux_dialect import (
    FLOOR,
    SEPARATOR,
    attach_script,
    decoded_value,
    encoded_value,
    fold,
    judge_psmux,
    launch_lines,
    launch_script,
    parse_version,
    powershell,
    same_session,
    session_gone,
    sink_script,
    split_psmux_target,
    window_gone,
    window_key,
)
from backends.server_record import ServerRecords, ServerSeen
from backends.transport import SubprocessTransport, Transport

__all__ = ["PsmuxMultiplexer", "client_environment", "data_directory"]

_ROUTING = frozenset(
    {"PSMUX_SESSION", "PSMUX_ACTIVE", "PSMUX_TARGET_SESSION", "PSMUX_TARGET_FULL", "TMUX", "TMUX_PANE"}
)
"""Variables by which a client would choose a session, or refuse to make one."""

_PANE_FIELDS = ("window_id", "window_name", "window_active", "pane_id", "pane_dead", "pane_pid", "pane_in_mode")

_SETTINGS = (("remain-on-exit", "on"), ("automatic-rename", "off"))
"""Of every session: dead windows stay and can be asked about, windows keep their names."""

_LATE_S = 5.0
"""Seconds that a session is given to come up after its client said that it failed; the client itself has waited 15."""
_GONE_S = 5.0
"""Seconds that a session's process is given to end after it was killed; also how long a lost port file takes to return."""
_LOOK_S = 0.05

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_WINDOW = re.compile(r"@\d+\Z")
_PANE = re.compile(r"%\d+\Z")


@dataclass(frozen=True, slots=True)
class _Window:
    """One window of a session, seen through the oldest of its panes."""

    window: str
    name: str
    active: bool
    pane: str
    dead: bool
    pid: str
    in_mode: bool


class PsmuxMultiplexer(TerminalMultiplexer):
    """Sessions of psmux in a directory that belongs to one root, so that nobody else's are ever seen or touched."""

    capabilities: Mapping[str, Unsupported] = MappingProxyType(
        {
            "server_identity": Unsupported("psmux has one server for each session, and none for all of them"),
            "switch_client": Unsupported("psmux ends with 0 whether a client followed or not"),
        }
    )

    requirement = "psmux {}.{}.{} or newer, and PowerShell 7 (pwsh), on PATH".format(*FLOOR)

    def __init__(
        self,
        socket_dir: Path | None = None,
        *,
        root: Path | None = None,
        binary: str = "psmux",
        pwsh: str = "pwsh",
        transport: Transport | None = None,
        wrap: Callable[[Transport], Transport] | None = None,
        clock: Clock | None = None,
        call_timeout_s: float | None = None,
        processes: ProcessTable | None = None,
        disk: Disk | None = None,
        entropy: Entropy | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Keep everything in `socket_dir`, or in the directory that belongs to `root` (default: where this process is).

        A `transport` has to give its clients `client_environment`; `wrap` goes around the one that is made here.
        `environment` (default: this process's) says which window this process runs in.
        """
        super().__init__(clock=clock, call_timeout_s=call_timeout_s)
        self._environment: Mapping[str, str] = os.environ if environment is None else environment
        given = socket_dir or data_directory(root or Path.cwd(), self._environment)
        self.data_dir = Path(os.path.abspath(given))
        self.binary = binary
        self._pwsh = pwsh
        self._processes = processes or SystemProcessTable(self.clock)
        self._disk = disk or RealDisk()
        self._entropy = entropy or SystemEntropy()
        self._clients = client_environment(self.data_dir, self._environment)
        if transport is None:
            transport = SubprocessTransport(self._processes, environment=self._clients)
            transport = transport if wrap is None else wrap(transport)
        self._transport = transport
        self._derived = socket_dir is None
        self._prepared = False
        self._servers: dict[str, ServerRecords] = {}
        self._settled: set[str] = set()

    # Questions: how one is asked, and what its answer proves.

    def _run(self, *words: str, stdin: bytes = b"") -> Completed:
        """Run one client to its end; the one place that every question goes through."""
        left = self.seam.remaining_s()
        if left <= 0:
            raise TransportTimeout(f"no time left to ask: {redact_argv([self.binary, *words])}")
        if not self._prepared and words != ("-V",):
            self._disk.mkdir(self.data_dir, private=True)
            self._disk.mkdir(self._notes, private=True)
            self._prepared = True
        with self._somewhere():
            return self._transport.run((self.binary, *words), stdin=stdin, timeout_s=left)

    @contextlib.contextmanager
    def _somewhere(self) -> Iterator[None]:
        """Within, the directory of the sessions exists: no client starts without one. One that was made for it goes again."""
        made = self._disk.info(self.data_dir) is None
        if made:
            self._disk.mkdir(self.data_dir, private=True)
        try:
            yield
        finally:
            if made:
                with contextlib.suppress(OSError):
                    self._disk.remove_directory(self.data_dir)

    @property
    def _notes(self) -> Path:
        """The directory of what this backend writes down itself: launches, exit statuses, processes of sessions."""
        return self.data_dir / "seamripper"

    def _ask(self, *words: str, session: str | None = None, window: str | None = None, stdin: bytes = b"") -> str:
        """The text that a client writes; `session` and `window` (or a pane) are whose absence counts.

        Raises `TargetMissing` only where the absence is proven, `CommandRejected` for a known refusal, `TransportError`
        for everything else.
        """
        no_session = session_gone(session) if session else frozenset()
        no_window = window_gone(window) if window else frozenset()
        verdict = judge_psmux(self._run(*words, stdin=stdin), no_session | no_window)
        if verdict.meaning is Meaning.ANSWERED:
            return verdict.text
        if verdict.meaning is not Meaning.ABSENT:
            self._fail(verdict, words)
        if session and fold(verdict.line) in no_session:
            self._certify_absence(session, verdict)
        message = f"{verdict.why}: {redact_argv((self.binary, *words))}"
        raise TargetMissing(message, verb=_verb(words), status=1, stderr=verdict.line)

    def _fail(self, verdict: Verdict, words: Sequence[str]) -> NoReturn:
        message = f"{verdict.why}: {redact_argv((self.binary, *words))}"
        if verdict.meaning is Meaning.REFUSED:
            raise CommandRejected(message, verb=_verb(words), status=1, stderr=verdict.line)
        if verdict.meaning is Meaning.GARBLED:
            raise TransportGarbled(message)
        raise TransportUnavailable(message)

    def _records(self, session: str) -> ServerRecords:
        """The record of which process the session's server is."""
        name = fold(session)
        if name not in self._servers:
            self._servers[name] = ServerRecords(self._notes / f"{name}.server.json", self._disk, self._processes)
        return self._servers[name]

    def _certify_absence(self, session: str, verdict: Verdict) -> None:
        """Let `no server running` count: the session's process is gone, or none was ever recorded. Else raise as unknown."""
        record = self._records(session).get()
        if record is None:
            return
        liveness = record.liveness(self._processes)
        if liveness is not Liveness.DEAD:
            raise TransportUnavailable(
                f"{verdict.line}, but its process {record.pid} is {liveness.value} (a lost port file returns within 5 s)"
            )

    def _confirm(self, session: str, pid: int) -> None:
        """Let an answer count: the recorded process of the session gave it.

        Raises `TargetMissing` if that one is gone and another answers, which is adopted only if this backend asked for it.
        """
        records = self._records(session)
        seen = ServerSeen(pid, 0, "")
        record = records.get()
        if record is not None and not record.is_of(seen):
            record = records.reread()
        if record is None or record.is_of(seen) or record.pid <= 0 or record.succeeded:
            records.remember(seen)
            return
        liveness = record.liveness(self._processes)
        if liveness is Liveness.DEAD:
            raise TargetMissing(f"our session {session} is gone; another one of its name (pid {pid}) answers")
        raise TransportUnavailable(
            f"another server answers for {session} (pid {pid}) than ours (pid {record.pid}, {liveness.value})"
        )

    def _rows(self, session: str, *listing: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """What a listing of exactly that session writes: one value for each of `fields` in every row, at least one row."""
        form = SEPARATOR.join(f"#{{{name}}}" for name in ("pid", "session_name", *fields))
        text = self._ask(*listing, "-t", session, "-F", form, session=session)
        rows = _cells(text, len(fields) + 2)
        if not rows:
            raise TransportGarbled("status 0 with nothing where an answer was due")
        if len({row[0] for row in rows}) != 1 or not rows[0][0].isdecimal() or int(rows[0][0]) < 1:
            raise TransportGarbled("the answer does not say who gave it")
        if any(not same_session(row[1], session) for row in rows):
            raise TransportGarbled("another session was listed than the one asked for")
        self._confirm(session, int(rows[0][0]))
        return [row[2:] for row in rows]

    def _windows(self, session: str) -> dict[str, _Window]:
        """Every window of the session by its number (`@N`)."""
        found: dict[str, _Window] = {}
        for window, name, active, pane, dead, pid, mode in self._rows(session, "list-panes", "-s", fields=_PANE_FIELDS):
            if not _WINDOW.match(window) or not _PANE.match(pane) or dead not in ("0", "1"):
                raise TransportGarbled("a window was listed unreadably")
            older = found.get(window)
            if older is None or int(pane[1:]) < int(older.pane[1:]):
                found[window] = _Window(window, name, active == "1", pane, dead == "1", pid, mode == "1")
        return found

    def _window(self, target: str) -> tuple[str, _Window]:
        """The session and the one window that `target` names. Raises `TargetMissing` where the session lists none such."""
        session, wanted = split_psmux_target(target)
        windows = self._windows(session)
        if wanted is not None and wanted.startswith("@"):
            found = [windows[wanted]] if wanted in windows else []
        else:
            found = [one for one in windows.values() if (one.active if wanted is None else one.name == wanted)]
        if not found:
            raise TargetMissing(f"session {session} has no window {wanted or 'that is current'}")
        if len(found) > 1:
            raise CommandRejected(f"session {session} has {len(found)} windows named {wanted}")
        return session, found[0]

    def _silently(self, *words: str, session: str, window: str | None = None, stdin: bytes = b"") -> None:
        """Run a command that writes nothing."""
        if self._ask(*words, session=session, window=window, stdin=stdin):
            raise TransportGarbled(f"{_verb(words)} answered text where nothing was due")

    def _until(self, look: Callable[[], bool], patience_s: float) -> bool:
        """Whether `look` comes true within that time, or what is left of the call's."""
        end = self.clock.monotonic() + min(patience_s, self.seam.remaining_s() - 2 * _LOOK_S)
        while not look():
            if self.clock.monotonic() >= end:
                return False
            self.clock.wait(_LOOK_S)
        return True

    # Sessions.

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`; not by `has-session`, which may take a living session's port file away."""
        try:
            self._windows(name)
        except TargetMissing:
            return False
        return True

    def new_session(self, name: str, cwd: StrPath, cols: int | None = None, lines: int | None = None) -> None:
        """See `TerminalMultiplexer.new_session`; made once it was seen, whatever its client has said."""
        if self.has_session(name):
            raise CommandRejected(f"duplicate session: {name}", verb="new-session")
        self._records(name).expect_successor()
        self._forget(name)
        launch = self._launch(name, launch_lines(cwd, (self._pwsh, "-NoLogo", "-NoProfile"), {}, self._exits(name)))
        size = () if cols is None or lines is None else ("-x", str(cols), "-y", str(lines))
        words = ("new-session", "-d", "-s", name, "-n", "shell", *size, self._line(launch_script(str(launch))))
        verdict = judge_psmux(self._run(*words))
        if verdict.meaning in (Meaning.REFUSED, Meaning.GARBLED):
            self._fail(verdict, words)
        if verdict.text:
            raise TransportGarbled("new-session answered text where nothing was due")
        if not self._until(lambda: self._has_come(name), _LATE_S):
            if verdict.meaning is not Meaning.ANSWERED:
                self._fail(verdict, words)
            raise TransportGarbled("status 0, and no session was made")
        self._settle(name)

    def _has_come(self, session: str) -> bool:
        """Whether a session that was asked for is there; while it comes up, it may answer anything."""
        try:
            return self.has_session(session)
        except (TransportUnavailable, TransportGarbled):
            return False

    def _settle(self, session: str) -> None:
        """Make sure of the options that a session is used with; the answer to its making may have been lost."""
        if fold(session) not in self._settled:
            for option, value in _SETTINGS:
                self._silently("set-option", "-t", session, option, value, session=session)
            self._settled.add(fold(session))

    def kill_session(self, name: str) -> None:
        """See `TerminalMultiplexer.kill_session`; gone once its process is."""
        self._end(name)

    def _end(self, session: str) -> None:
        try:
            self._windows(session)
            self._silently("kill-session", "-t", session, session=session)
        except TargetMissing:
            self._forget(session)
            return
        if not self._until(lambda: self._is_gone(session), _GONE_S):
            raise TransportUnavailable("still there after it was killed")
        self._forget(session)

    def _is_gone(self, session: str) -> bool:
        """Whether the session is proven gone; its port file goes before its process does."""
        try:
            self._windows(session)
        except TargetMissing:
            return True
        except TransportUnavailable:
            record = self._records(session).get()
            if record is None or record.liveness(self._processes) is Liveness.UNKNOWN:
                raise
        return False

    def list_sessions(self) -> list[str]:
        """See `TerminalMultiplexer.list_sessions`; servers that are no session of anybody's are left out."""
        lines = self._ask("list-sessions", "-F", "#{session_name}")
        if not lines.endswith("\n"):
            raise TransportGarbled("asked for sessions, and nothing whole came back")
        names = [name for name in lines[:-1].split("\n") if not name.startswith("__")]
        if not all(_NAME.match(name) for name in names):
            raise TransportGarbled("what was listed is no session's name")
        return names

    def session_options(self, option: str) -> dict[str, str]:
        """See `TerminalMultiplexer.session_options`; one question for each session, because each has a server of its own."""
        found = {}
        for name in self.list_sessions():
            with contextlib.suppress(TargetMissing):
                found[name] = self._option(name, option)
        return {name: value for name, value in found.items() if value}

    def set_session_option(self, name: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_session_option`."""
        self._windows(name)
        word = encoded_value(value) if option.startswith("@") else value
        self._silently("set-option", "-t", name, option, word, session=name)

    def _option(self, session: str, key: str) -> str:
        """The value of a key of the session's one map; empty if it is unset."""
        text = self._ask("show-options", "-q", "-v", "-t", session, key, session=session)
        if text and not text.endswith("\n"):
            raise TransportGarbled("the value is cut off")
        return decoded_value(text.removesuffix("\n"))

    # Windows.

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`; neither the command nor the environment stands in any argv."""
        return self._made(session, name, launch_lines(cwd, split_command(command), env, self._exits(session)))

    def new_parked_window(self, session: str, name: str, cwd: StrPath, argv: Sequence[str], return_opt: str) -> str:
        """See `TerminalMultiplexer.new_parked_window`."""
        back = window_key(return_opt, "@")[: -len("-w")]
        return self._made(session, name, launch_lines(cwd, argv, {}, self._exits(session), (session, back)))

    def _made(self, session: str, name: str, lines: bytes) -> str:
        """The id of a new window that carries out the launch.

        The file of a launch that was refused is withdrawn; after silence it stays, because the window may still come and is
        then found by its name.
        """
        self._windows(session)
        self._settle(session)
        launch = self._launch(session, lines)
        words = ("new-window", "-d", "-P", "-F", "#{window_id}", "-t", session, "-n", name)
        try:
            text = self._ask(*words, self._line(launch_script(str(launch))), session=session)
        except CommandRejected:
            with contextlib.suppress(OSError):
                self._disk.remove(launch)
            raise
        window = text.removesuffix("\n")
        if text == window or not _WINDOW.match(window):
            raise TransportGarbled("a window was asked for, and its id did not come back")
        return f"{session}:{window}"

    def _launch(self, session: str, lines: bytes) -> Path:
        """A new file that only this user can read, with a launch in it."""
        if not self._prepared:
            self._disk.mkdir(self._notes, private=True)
        path = self._notes / f"{fold(session)}.{self._entropy.token()}.launch"
        self._disk.write(path, lines)
        return path

    def _exits(self, session: str) -> str:
        """The beginning of the paths that windows of the session write their exit status to; the pane's number follows."""
        return os.fspath(self._notes / f"{fold(session)}.")

    def _forget(self, session: str) -> None:
        """Remove launches and exit statuses of a session that is gone: its ids begin anew with the next one."""
        self._settled.discard(fold(session))
        for name in self._disk.listdir(self._notes) if self._disk.info(self._notes) else ():
            owner, _, rest = name.partition(".")
            if owner == fold(session) and not rest.startswith("server.json"):
                with contextlib.suppress(FileNotFoundError):
                    self._disk.remove(self._notes / name)

    def _line(self, script: str) -> str:
        """The command line of a window or a pipe; it is parsed twice, and has nothing in it that a parser would change."""
        return " ".join(powershell(script, self._pwsh))

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        try:
            return [f"{session}:{window}" for window in self._windows(session)]
        except TargetMissing:
            return []

    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TerminalMultiplexer.list_windows`; user options are asked for window by window."""
        plain = [field for field in fields if not field.startswith("@")]
        rows = []
        for window, *values in self._rows(session, "list-windows", fields=("window_id", *plain)):
            if not _WINDOW.match(window):
                raise TransportGarbled("a window without an id was listed")
            row = dict(zip(plain, values, strict=True)) | {"window_id": f"{session}:{window}"}
            row |= {f: self._option(session, window_key(f, window)) for f in fields if f.startswith("@")}
            rows.append(tuple(row[field] for field in fields))
        return rows

    def window_alive(self, session: str, window_id: str) -> bool:
        """See `TerminalMultiplexer.window_alive`; here the session is named apart, so that a bare `@N` says enough."""
        if _WINDOW.match(window_id):
            window_id = f"{session}:{window_id}"
        if not same_session(split_psmux_target(window_id)[0], session):
            return False
        try:
            return not self._window(window_id)[1].dead
        except TargetMissing:
            return False

    def batch_liveness(self, session: str) -> frozenset[str]:
        """See `TerminalMultiplexer.batch_liveness`; one question for all windows."""
        try:
            windows = self._windows(session).values()
        except TargetMissing:
            return frozenset()
        return frozenset(f"{session}:{one.window}" for one in windows if not one.dead)

    def kill_window(self, target: str) -> None:
        """See `TerminalMultiplexer.kill_window`."""
        try:
            session, one = self._window(target)
            self._silently("kill-window", "-t", f"{session}:{one.window}", session=session, window=one.window)
        except TargetMissing:
            return
        if not self._until(lambda: self._lacks(session, one.window), _GONE_S):
            raise TransportUnavailable("still there after it was killed")

    def _lacks(self, session: str, window: str) -> bool:
        try:
            return window not in self._windows(session)
        except TargetMissing:
            return True
        except TransportUnavailable:
            if self._is_gone(session):
                return True
            raise

    def select_window(self, target: str) -> None:
        """See `TerminalMultiplexer.select_window`."""
        session, one = self._window(target)
        self._silently("select-window", "-t", f"{session}:{one.window}", session=session, window=one.window)

    def set_window_option(self, target: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_window_option`; user options only, as keys of the session."""
        session, one = self._window(target)
        key = window_key(option, one.window)
        self._silently("set-option", "-t", session, key, encoded_value(value), session=session)

    def unset_window_option(self, target: str, option: str) -> None:
        """See `TerminalMultiplexer.unset_window_option`."""
        session, one = self._window(target)
        self._silently("set-option", "-u", "-t", session, window_key(option, one.window), session=session)

    def show_window_option(self, target: str, option: str) -> str:
        """See `TerminalMultiplexer.show_window_option`."""
        session, one = self._window(target)
        return self._option(session, window_key(option, one.window))

    def pipe_pane(self, window_id: str, log_file: StrPath) -> None:
        """See `TerminalMultiplexer.pipe_pane`."""
        session, one = self._window(window_id)
        sink = self._line(sink_script(os.path.abspath(log_file)))
        self._silently("pipe-pane", "-t", f"{session}:{one.pane}", sink, session=session, window=one.pane)

    def send_text(self, window_id: str, text: str) -> None:
        """See `TerminalMultiplexer.send_text`; text and Enter are two commands, so a lost call may separate them."""
        session, one = self._window(window_id)
        if one.dead:
            raise CommandRejected(f"the process of {window_id} has ended: nothing was typed")
        pane = f"{session}:{one.pane}"
        if one.in_mode:
            self._silently("send-keys", "-t", pane, "-X", "cancel", session=session, window=one.pane)
        if text:
            buffer = f"seamripper-{self._processes.me().pid}-{threading.get_ident()}"
            load = ("-t", session, "load-buffer", "-b", buffer, "-")
            self._silently(*load, session=session, stdin=text.encode("utf-8"))
            self._silently("paste-buffer", "-p", "-d", "-b", buffer, "-t", pane, session=session, window=one.pane)
        self._silently("send-keys", "-t", pane, "Enter", session=session, window=one.pane)

    def window_pids(self, target: str) -> list[int]:
        """See `TerminalMultiplexer.window_pids`; PowerShell's, whose child the command is."""
        _, one = self._window(target)
        if one.dead:
            return []
        if not one.pid.isdecimal():
            raise TransportGarbled("a living window without a pid was listed")
        return [int(one.pid)]

    def window_exit(self, target: str) -> WindowExit | None:
        """See `TerminalMultiplexer.window_exit`; from the file that the window wrote. A signal cannot be told."""
        session, one = self._window(target)
        try:
            text = self._disk.read(f"{self._exits(session)}{one.pane[1:]}.exit", 100).strip()
        except FileNotFoundError:
            return None
        if not re.fullmatch(rb"-?\d{1,11}", text):
            raise TransportGarbled("the file of an exit status has none in it")
        return WindowExit(code=int(text))

    # The terminal that this process runs in.

    def attach_target_argv(self, target: str) -> list[str]:
        """See `TerminalMultiplexer.attach_target_argv`; by PowerShell, because the directory is named by a variable."""
        session, window = split_psmux_target(target)
        words = powershell(attach_script(str(self.data_dir), f"{session}:{window}" if window else session), self._pwsh)
        return list(words)

    def current_pane_id(self) -> str | None:
        """See `TerminalMultiplexer.current_pane_id`."""
        found = self._caller()
        return None if found is None else f"{found[0]}:{found[1]}"

    def current_window_id(self) -> str | None:
        """See `TerminalMultiplexer.current_window_id`."""
        found = self._caller()
        return None if found is None else f"{found[0]}:{found[2]}"

    def current_session(self) -> str | None:
        """See `TerminalMultiplexer.current_session`."""
        found = self._caller()
        return None if found is None else found[0]

    def _caller(self) -> tuple[str, str, str] | None:
        """Session, pane and window that this process runs in; `None` outside of this directory's sessions."""
        session = self._environment.get("PSMUX_SESSION", "")
        pane = self._environment.get("TMUX_PANE", "")
        if self._environment.get("PSMUX_DATA_DIR") != os.fspath(self.data_dir) or not _PANE.match(pane):
            return None
        if not _NAME.match(session):
            return None
        form = SEPARATOR.join(("#{session_name}", "#{pane_id}", "#{window_id}"))
        rows = _cells(self._ask("display-message", "-p", "-t", f"{session}:{pane}", form, session=session), 3)
        if len(rows) != 1 or not same_session(rows[0][0], session) or rows[0][1] != pane:
            raise TransportGarbled(f"pane {pane} is not known to the session that it names")
        if not _WINDOW.match(rows[0][2]):
            raise TransportGarbled(f"pane {pane} is in no window")
        return session, pane, rows[0][2]

    def detach_client(self) -> None:
        """See `TerminalMultiplexer.detach_client`; that it was asked for is all that psmux tells."""
        found = self._caller()
        if found is None:
            raise CommandRejected("this process runs in no window of this directory's sessions")
        self._silently("detach-client", "-s", found[0], session=found[0])

    def switch_client(self, target: str, last_fallback: bool = False) -> bool:
        """See `TerminalMultiplexer.switch_client`; dispatched, and answered by its sentinel: nobody tells the effect."""
        session, window = split_psmux_target(target)
        if window is not None:
            window = self._window(target)[1].window
        try:
            place = session if window is None else f"{session}:{window}"
            self._silently("switch-client", "-t", place, session=session)
        except CommandRejected:
            if not last_fallback:
                raise
            self._silently("switch-client", "-l", session=session)
        raise TransportUnavailable("dispatched; psmux does not tell whether a client followed")

    # The host.

    def available(self) -> bool:
        """See `TerminalMultiplexer.available`: psmux is not older than `FLOOR`, and PowerShell 7 is there."""
        found = parse_version(self._version_text())
        if found is None or found < FLOOR:
            return False
        asked = (self._pwsh, "--version")
        shell = self._processes.run(asked, timeout_s=self.seam.remaining_s(), env=self._clients)
        return shell.status == 0 and re.match(rb"PowerShell ([7-9]|\d\d)\.", shell.stdout) is not None

    def version(self) -> str | None:
        """See `TerminalMultiplexer.version`; it says which tmux psmux takes itself for, of the same number."""
        return self._version_text().split("\n")[0]

    def server_identity(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.server_identity`; there is none, and `None` would look like a server that is gone."""
        raise CommandRejected(self.capabilities["server_identity"].reason)

    def _version_text(self) -> str:
        verdict = judge_psmux(self._run("-V"))
        if verdict.meaning is not Meaning.ANSWERED:
            self._fail(verdict, ("-V",))
        if not re.match(r"(?:tmux|psmux) [A-Za-z0-9.-]+[^\n]*\n", verdict.text) or not verdict.text.endswith("\n"):
            raise TransportGarbled("asked for a version, and none came back")
        return verdict.text.removesuffix("\n")

    def shutdown(self) -> None:
        """End every session of the directory, one by one, and remove what was written down about them.

        Not an operation of the seam: it belongs to whoever made this object. Raises `MultiplexerError` if one may go on.
        """
        if self._disk.info(self.data_dir) is None:
            return
        files = self._disk.listdir(self.data_dir)
        try:
            for name in [name.removesuffix(".port") for name in files if name.endswith(".port") and name[0] != "_"]:
                self._end(name)
        except (OSError, subprocess.SubprocessError) as raw:
            raise translate(raw) or raw from raw
        if self._disk.info(self._notes) is not None:
            self._disk.remove_tree(self._notes)
        self._servers.clear()
        self._settled.clear()
        self._prepared = False
        if self._derived:
            self._disk.remove_tree(self.data_dir)

    def abandon(self) -> None:
        """See `TerminalMultiplexer.abandon`."""
        self._transport.abandon()

    def take_up(self) -> None:
        """See `TerminalMultiplexer.take_up`."""
        self._transport.take_up()


def client_environment(data_dir: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of every client: the private directory, leave to make sessions inside of one, and no warm server."""
    ours = {"PSMUX_DATA_DIR": os.fspath(data_dir), "PSMUX_ALLOW_NESTING": "1", "PSMUX_NO_WARM": "1"}
    return {name: value for name, value in given.items() if name.upper() not in _ROUTING} | ours


def data_directory(root: StrPath, environment: Mapping[str, str]) -> Path:
    """The directory that belongs to `root`, the same for every process of this user; inside of PSMUX_DATA_DIR if it is set."""
    name = f"sm-p-{hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:12]}"
    places = ("PSMUX_DATA_DIR", "LOCALAPPDATA", "XDG_RUNTIME_DIR")
    found = next((environment[place] for place in places if os.path.isabs(environment.get(place, ""))), None)
    return Path(found or "/tmp") / name


def _verb(words: Sequence[str]) -> str:
    """The verb of a client's words: a target may stand before it."""
    return words[2] if words[0] == "-t" else words[0]


def _cells(text: str, width: int) -> list[tuple[str, ...]]:
    """The lines of `text`, split into `width` values; none for no text at all."""
    if not text:
        return []
    lines = text.split("\n")
    rows = [tuple(line.split(SEPARATOR)) for line in lines[:-1]]
    if lines[-1] or any(len(row) != width for row in rows):
        raise TransportGarbled("the answer is cut off, or not of the form that was asked for")
    return rows
