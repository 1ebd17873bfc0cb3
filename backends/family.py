"""The tmux family: every operation of the seam, as commands of one client per question, over a `Transport`.

Three rules hold everywhere. A positive answer is status 0, an empty stderr and the payload that was asked for, written by
the server that is ours. Absence is proven by an exact line (`backends.judge`) that our server wrote to a client of its own
version, or by our server's process being gone. Everything else is unknown, and raised as such.

What carries a payload (the command and environment of a window, typed text) travels on stdin: it stands in no argv and has
no length limit.

A frozen server carries out what it was asked when it continues, whoever still waits. Every change therefore stands behind a
fence inside the server (`words.fenced`): come to after its call's deadline, it is not carried out (docs/decisions/0016).
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from backends.base import News, StrPath, TerminalMultiplexer
from backends.clock import Clock
from backends.control import KEEPER
from backends.disk import Disk, RealDisk
from backends.errors import (
    CommandRejected,
    TargetMissing,
    TransportError,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
    redact_argv,
)
from backends.judge import Meaning, Verdict, judge
from backends.operations import ServerIdentity, WindowExit
from backends.posix_signals import SIGUSR1
from backends.processes import Completed, Liveness, ProcessTable, SystemProcessTable
from backends.server_record import RECORD_NAME, ServerRecord, ServerRecords, ServerSeen
from backends.transport import Transport, disconnect
from backends.words import (
    ALTERING,
    EXIT_OPTION,
    NOT_IN_TIME,
    NOT_READY,
    NOW_OPTION,
    Words,
    absence_lines,
    chain,
    escape_format,
    exact,
    fenced,
    log_sink,
    parked,
    run_in,
    script_line,
    split_target,
    value_as_set,
)

__all__ = ["IDENTITY", "PANES", "TmuxFamily"]

IDENTITY = "#{pid}\t#{start_time}\t#{version}"
"""Who answers; stands before the payload of an answer, or, where many rows are listed, in a line of its own after them."""

_WHO = ("display-message", "-p", IDENTITY)

_ROW = "row"
"""What every row of a listing begins with: a value with a newline in it makes no row of its own."""

PANES = "#{P:#{pane_id} #{pane_dead}/}"
"""For every pane of a window its id and whether its process is gone; the window's own process is in the oldest pane."""

_PANE_FIELDS = ("window_id", "pane_id", "pane_dead", "pane_dead_status", "pane_dead_signal", "pane_pid")

_SETTINGS: tuple[Words, ...] = (
    ("start-server",),
    ("set-option", "-g", "remain-on-exit", "on"),
    ("set-option", "-g", "default-shell", "/bin/sh"),
    ("set-option", "-g", "automatic-rename", "off"),
    ("set-option", "-g", "allow-rename", "off"),
    ("set-option", "-g", NOW_OPTION, "%s"),
)
"""Makes a server ours before its first window: dead windows stay readable, names stay as given, `/bin/sh` reads commands,
and what comes too late can be told."""

_EXIT_PATIENCE_S = 1.0
"""Seconds that a server is given to end after its last session was killed; it took under 10 ms when measured."""

_SOCKET_PATIENCE_S = 0.05
"""Seconds that a server is given to make its socket anew; it took under 5 ms when measured, and can be told again."""

_END_OF_VALUE = "\t-- end of value --\t"
"""Stands behind each value of a chain of questions; an option that is unset writes nothing, an empty one a newline."""

_SHORTEST_FENCE_S = 2
"""Seconds after which a fence falls at the earliest: the server tells its time in whole seconds, and one may be nearly over."""

_AT_ONCE = 50
"""Questions in one chain; a client's argv may have about 16 KB."""

_PANES_KNOWN = 1000
"""Windows of which it is remembered which pane they were made with; of one that is forgotten it is asked again."""

_WINDOW = re.compile(r"@\d+\Z")
_PANE = re.compile(r"%\d+\Z")
_SESSION = re.compile(r"\$\d+\Z")
_VERSION_LINE = re.compile(r"[a-z]+ ([A-Za-z0-9.-]+)")


@dataclass(frozen=True, slots=True)
class _Pane:
    """One pane of a window, as `_PANE_FIELDS` and the parked exit status tell it."""

    window_id: str
    pane_id: str
    dead: bool
    status: str
    signal: str
    pid: str
    parked: str

    @property
    def exit(self) -> WindowExit | None:
        """How its process ended, as far as tmux knows."""
        if self.parked.isdecimal():
            return WindowExit(code=int(self.parked))
        if self.dead and self.signal.isdecimal():
            return WindowExit(signal=int(self.signal))
        if self.dead and self.status.isdecimal():
            return WindowExit(code=int(self.status))
        return None


class TmuxFamily(TerminalMultiplexer):
    """Everything that tmux and what speaks its language have in common; leaves choose binary, socket and floor."""

    mends_socket = False
    """Whether the server makes its socket anew at SIGUSR1, which ends any other process."""

    def __init__(
        self,
        *,
        binary: str,
        socket_path: Path,
        transport: Transport,
        clock: Clock | None = None,
        call_timeout_s: float | None = None,
        processes: ProcessTable | None = None,
        disk: Disk | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Ask the server at `socket_path` through `transport`; `environment` says which window this process runs in."""
        super().__init__(clock=clock, call_timeout_s=call_timeout_s)
        self.binary = binary
        self.socket_path = socket_path
        self._transport = transport
        self._processes = processes or SystemProcessTable(self.clock)
        self._environment = os.environ if environment is None else environment
        self._disk = disk or RealDisk()
        self._records = ServerRecords(socket_path.parent / RECORD_NAME, self._disk, self._processes)
        self._client_version: str | None = None
        self._ours: ServerSeen | None = None
        self._pid = 0
        self._first_panes: dict[str, tuple[ServerSeen, str]] = {}
        """The server of a window that was typed into, or made here, and the pane that it was made with."""

    @property
    def news(self) -> News | None:
        """See `TerminalMultiplexer.news`: its transport, if that is told."""
        return self._transport if isinstance(self._transport, News) else None

    @property
    def answered_by(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.answered_by`; `None` before there was an answer."""
        return None if self._ours is None else ServerIdentity(self._ours.pid, self._ours.start_time)

    # Questions: how one is asked, and what its answer proves.

    def _run(self, *words: str, stdin: bytes = b"") -> Completed:
        """Run one client to its end; the one place that everything below goes through."""
        left = self._seam.remaining_s()
        if left <= 0:
            raise TransportTimeout(f"no time left to ask: {redact_argv([self.binary, *words])}")
        return self._transport.run(self._client() + words, stdin=stdin, timeout_s=left)

    def _client(self) -> Words:
        return _client_of(self.binary, self.socket_path)

    def _ask(
        self,
        *commands: Sequence[str],
        about: str | None = None,
        stdin: bytes = b"",
        flags: Words = (),
        meaning: Sequence[Sequence[str]] = (),
    ) -> str:
        """The text that `commands`, run by one client, write; `about` is the session or native id whose absence counts.

        `flags` are for the client itself. Raises `TargetMissing` only where the absence is proven, `CommandRejected` for a
        known refusal, `TransportError` for everything else; errors speak of the commands that were meant, if not of these.
        """
        asked = flags + chain(*commands)
        verdict = self._verdict(asked, absence_lines(about) if about else frozenset(), stdin)
        if verdict.meaning is Meaning.ANSWERED:
            return verdict.text
        words = chain(*(meaning or commands))
        if verdict.meaning is Meaning.ABSENT:
            self._certify_absence()
        elif verdict.meaning in (Meaning.NO_SERVER, Meaning.NO_SOCKET):
            self._certify_no_server(verdict)
        else:
            self._fail(verdict, words)
        raise TargetMissing(
            f"{verdict.why}: {redact_argv((self.binary, *words))}", verb=words[0], status=1, stderr=verdict.line
        )

    def _verdict(self, words: Words, absence: frozenset[str] = frozenset(), stdin: bytes = b"") -> Verdict:
        return judge(self._run(*words, stdin=stdin), self._client()[3], absence)

    def _fail(self, verdict: Verdict, words: Words) -> NoReturn:
        message = f"{verdict.why}: {redact_argv((self.binary, *words))}"
        if verdict.meaning is Meaning.REFUSED:
            raise CommandRejected(message, verb=words[0], status=1, stderr=verdict.line)
        if verdict.meaning is Meaning.GARBLED:
            raise TransportGarbled(message)
        raise TransportUnavailable(message)

    def _certify_absence(self) -> None:
        """Let a line of absence count: our server wrote it, to a client of its own version. Else raise as unknown."""
        seen = self._server_seen()
        if not self._is_ours(seen):
            return
        if self._client_version is None:
            self._client_version = _version_word(self._version_line())
        if seen.version != self._client_version:
            raise TransportUnavailable(
                f"client {self._client_version} does not speak the language of its server {seen.version}: "
                "end that server with a client of its own version"
            )

    def _certify_no_server(self, verdict: Verdict) -> None:
        """Let silence at the socket count: our server's process is gone, or none was ever started. Else raise as unknown."""
        record = self._records.current()
        if record is None:
            if verdict.meaning is Meaning.NO_SOCKET:
                return
            raise TransportUnavailable(f"{verdict.why}, and which process it was is not recorded")
        liveness = record.liveness(self._processes)
        if liveness is not Liveness.DEAD:
            nobody_listens = verdict.meaning is Meaning.NO_SOCKET or verdict.line.startswith("no server running on ")
            told = self._restore_socket(record) if nobody_listens else ""
            raise TransportUnavailable(f"{verdict.why}, but its server process {record.pid} is {liveness.value}{told}")

    def _restore_socket(self, record: ServerRecord) -> str:
        """Tell our server, if exactly that process is proven alive, to make its socket anew; what was done, in words.

        It has none, or one at which another server listened meanwhile. The question that nobody heard stays unanswered: the
        next one will be.
        """
        if not self.mends_socket or record.liveness(self._processes) is not Liveness.ALIVE:
            return ""
        if not self._processes.signal(record.process, SIGUSR1):
            return ""
        self._records.secure()
        self.clock.wait(min(_SOCKET_PATIENCE_S, self.seam.remaining_s()))
        return ": it was told to make its socket anew (SIGUSR1)"

    def _server_seen(self) -> ServerSeen:
        """Who answers now; raises like `_ask`."""
        return _seen(self._ask(_WHO))

    def _is_ours(self, seen: ServerSeen) -> bool:
        """Whether the recorded server answered; false if it is proven gone, so that what was in it is gone too.

        Raises `TransportUnavailable` where another server answers while the recorded one lives or may live.
        """
        record = self._records.get()
        known = record is None or record.is_of(seen)
        if not known:
            record = self._records.reread()
            known = record is None or record.is_of(seen) or record.pid <= 0
        liveness = Liveness.ALIVE if record is None or known else record.liveness(self._processes)
        if record is None or known or (liveness is Liveness.DEAD and record.succeeded):
            self._ours = seen
            self._records.remember(seen)
            return True
        if liveness is Liveness.DEAD:
            return False
        raise TransportUnavailable(
            f"another server answers (pid {seen.pid}) than ours (pid {record.pid}, {liveness.value})"
        )

    def _confirm(self, seen: ServerSeen) -> None:
        """Let an answer count: our server gave it. Raises `TargetMissing` if ours is gone, and adopts nothing."""
        if not self._is_ours(seen):
            raise TargetMissing(f"our server is gone; another one (pid {seen.pid}) answers at its socket")

    def _rows_of(self, *command: str, fields: Sequence[str], about: str | None = None) -> list[tuple[str, ...]]:
        """The rows that a listing of our server writes, one value for each of `fields` (formats).

        One client asks one server, so that who says in the end who it is has written the rows as well.
        """
        text = self._ask((*command, "-F", "\t".join((_ROW, *fields))), _WHO, about=about)
        listed = text.rfind("\n", 0, -1) + 1
        said = _seen(text[listed:])
        self._confirm(said)
        if not _listing(len(fields)).fullmatch(text, 0, listed):
            raise TransportGarbled("not every line of a listing is a row of it")
        rows = [tuple(row.split("\t")) for row in text[len(_ROW) + 1 : listed - 1].split(f"\n{_ROW}\t")]
        if said.version not in ALTERING:
            return rows
        return [tuple([value_as_set(value, said.version) for value in row]) for row in rows]

    def _windows(self, session: str, *fields: str) -> list[tuple[str, ...]]:
        """One row for each window of exactly that session, which has that name or native id."""
        where = exact(session if session.startswith("$") else f"={session}")
        rows = self._rows_of("list-windows", "-t", where, fields=("#{window_id}", *fields), about=session)
        if not all([_WINDOW.match(row[0]) for row in rows]):
            raise TransportGarbled("a window without an id was listed")
        return rows

    def _session_of_ours(self, name: str) -> tuple[str, str]:
        """How to address exactly that session of our server, which has answered, and what its absence is told about.

        By its id, where it is there: one that is made under its name later is another one. Whether it is not is for whoever
        addresses it to be told.
        """
        session, found = self._named(name)
        return (f"{session}:", session) if found == name and _SESSION.match(session) else (exact(f"={name}"), name)

    def _named(self, name: str) -> tuple[str, str]:
        """Id and name of the session of our server that `name` leads to; both are empty where there is none."""
        where = exact(f"={name}")
        rows = _rows(
            self._ask(("display-message", "-p", "-t", where, f"{IDENTITY}\t#{{session_id}}\t#{{session_name}}")), 2
        )
        self._confirm(_seen_in(rows))
        return rows[0][3], rows[0][4]

    def _window(self, target: str) -> str:
        """The native id of the one window that `target` names, without asking anything about a window's or pane's id."""
        name, window = split_target(target)
        if name == target and not target.startswith("$"):
            return target
        rows = self._windows(name, "#{window_name}", "#{window_active}")
        found = [row[0] for row in rows if (row[2] == "1" if window is None else row[1] == window)]
        if not found:
            raise TargetMissing(f"session {name} has no window {window}")
        if len(found) > 1:
            raise CommandRejected(f"session {name} has {len(found)} windows named {window}")
        return found[0]

    @property
    def _version_of_ours(self) -> str:
        return "" if self._ours is None else self._ours.version

    @contextlib.contextmanager
    def _by_id(self) -> Iterator[None]:
        """Around the use of a native id, which is of the server that has answered last, if one has.

        Raises `TargetMissing` where it was that one's successor which answered: there the id is of another window. A successor
        is taken up by whoever asks it for a name, and by nobody here: the id stays gone until then.
        """
        known = self._ours
        try:
            yield
        finally:
            answered, self._ours = self._ours, known or self._ours
        if answered is not None and answered != self._ours:
            raise TargetMissing(f"its server is gone; the next one (pid {answered.pid}) answers at its socket")

    def _pane(self, target: str) -> _Pane:
        """The pane that the window was made with: the oldest of those it has."""
        window = self._window(target)
        fields = (*(f"#{{{name}}}" for name in _PANE_FIELDS), f"#{{{EXIT_OPTION}}}")
        with self._by_id():
            rows = self._rows_of("list-panes", "-t", window, fields=fields, about=window)
        for row in rows:
            if (window.startswith("@") and row[0] != window) or not _PANE.match(row[1]) or row[2] not in ("0", "1"):
                raise TransportGarbled(f"panes of {window} were asked for, and something else was listed")
        w, pane, dead, status, signal, pid, stored = min(rows, key=lambda row: int(row[1][1:]))
        return _Pane(w, pane, dead == "1", status, signal, pid, stored)

    def _change(
        self,
        *commands: Sequence[str],
        send: Callable[[Words], str],
        server: ServerSeen | None = None,
        otherwise: Sequence[Sequence[str]] = (),
    ) -> str:
        """The text that `commands` write, which alter something and are run within this call's deadline or never.

        `send` has one command carried out, `server` is the one server that may do it, and `otherwise` is run in place of what
        came too late. Raises `TransportTimeout` where it is proven that nothing was altered because the server came to it too
        late; its clock may have jumped.
        """
        text = self._unless_fenced(commands, send, server, otherwise)
        if text is None:
            raise _came_too_late(commands)
        return text

    def _unless_fenced(
        self,
        commands: Sequence[Sequence[str]],
        send: Callable[[Words], str],
        server: ServerSeen | None,
        otherwise: Sequence[Sequence[str]] = (),
        pane: tuple[str, str] | None = None,
    ) -> str | None:
        """See `_change`; `None` where nothing was altered, because it came too late or to another server."""
        only = None if server is None else (server.pid, server.start_time)
        for _ in range(2):
            text = send(fenced(*commands, deadline=self._fence(), server=only, otherwise=otherwise, pane=pane))
            if text != NOT_READY:
                break
        return None if text in (NOT_IN_TIME, NOT_READY) else text

    def _fence(self) -> int:
        """When this call's time is over, by the clock on the wall, which is the server's too."""
        clock = self._seam.clock
        now = clock.wall()
        return max(int(now + clock.host_seconds(self._seam.remaining_s())), int(now) + _SHORTEST_FENCE_S)

    def _silently(
        self,
        *commands: Sequence[str],
        about: str | None = None,
    ) -> None:
        """Have our server, which has answered, run `commands` that alter something and write nothing."""
        if not self._carried_out(*commands, about=about):
            raise _came_too_late(commands)

    def _carried_out(
        self,
        *commands: Sequence[str],
        about: str | None,
        before: Sequence[Sequence[str]] = (),
        otherwise: Sequence[Sequence[str]] = (),
        stdin: bytes = b"",
        pane: tuple[str, str] | None = None,
    ) -> bool:
        """See `_silently`; false where nothing was altered, because it came too late or to another server than ours.

        `before` is run before the server looks at its clock, `otherwise` in place of what was not altered; `pane` is the pane
        that it is about, and the window in which its process has to run.
        """

        def send(change: Words) -> str:
            return self._ask(*before, change, about=about, stdin=stdin, meaning=[*before, *commands])

        text = self._unless_fenced(commands, send, self._ours, otherwise, pane)
        if text:
            raise TransportGarbled(f"{commands[-1][0]} answered text where nothing was due")
        return text is not None

    def _in_ours(self, *commands: Sequence[str], about: str | None = None) -> None:
        """Like `_silently`, where our server need not have answered in this call.

        Where it has answered before, the fence keeps every other one from doing it; only where nothing was done it is asked
        who is there: its successor may do it to the session of that name, and not to the window of that id.
        """
        known = self._ours
        if known is not None and self._carried_out(*commands, about=about):
            return
        with self._by_id() if about is not None and about[0] in "@%" else contextlib.nullcontext():
            self._confirm(self._server_seen())
        if self._ours == known:
            raise _came_too_late(commands)
        self._silently(*commands, about=about)

    def _end(self, kill: Callable[[], object], look: Callable[[], object]) -> None:
        """Kill, then look: `look` must find its target proven absent, or our server must be gone."""
        try:
            kill()
            look()
        except TargetMissing:
            return
        except TransportTimeout:
            raise
        except TransportError:
            if self._server_ends():
                return
            raise
        raise TransportUnavailable("still there after it was killed")

    def _is_there(self) -> bool:
        """Whether our server has just answered; false where it is proven gone or was never started. Raises like `_ask`."""
        record = self._records.reread()
        if record is None or record.liveness(self._processes) is Liveness.DEAD:
            return False
        try:
            self._confirm(self._server_seen())
        except TargetMissing:
            return False
        return True

    def _server_ends(self, patience_s: float | None = None) -> bool:
        """Whether our recorded server is gone, or goes within `patience_s`: else within a moment of the call."""
        if patience_s is None:
            patience_s = min(_EXIT_PATIENCE_S, self.seam.remaining_s())
        end = self.clock.monotonic() + patience_s
        while (record := self._records.current()) is not None:
            if record.liveness(self._processes) is Liveness.DEAD:
                return True
            if self.clock.monotonic() >= end:
                return False
            self.clock.wait(0.01)
        return False

    # Sessions.

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`.

        An answer that names it is one about a session, however many windows it has; only a listing proves that there is none.
        """
        try:
            if self._named(name)[1] == name:
                return True
            rows = self._windows(name, "#{session_name}")
        except TargetMissing:
            return False
        if any(row[1] != name for row in rows):
            raise TransportGarbled("another session was listed than the one asked for")
        return True

    def new_session(self, name: str, cwd: StrPath, cols: int | None = None, lines: int | None = None) -> None:
        """See `TerminalMultiplexer.new_session`; starts the server if it is proven gone or was never started."""
        size = () if cols is None or lines is None else ("-x", str(cols), "-y", str(lines))
        made = ("new-session", "-d", "-P", "-F", f"{IDENTITY}\t#{{session_name}}", "-s", escape_format(name))
        where = ("-n", "shell", "-c", escape_format(os.path.abspath(cwd)))
        new = (*made, *where, *size, run_in(cwd, "/bin/sh"))

        text = self._made_in_ours(new) if self._is_there() else None
        if text is None:
            self._records.expect_successor()
            text = self._change(new, send=lambda change: self._ask(*_SETTINGS, change, meaning=(*_SETTINGS, new)))
        rows = _rows(text, 1)
        if [row[3] for row in rows] != [name]:
            raise TransportGarbled("another session was made than the one asked for")
        self._records.remember(_seen_in(rows))

    def _made_in_ours(self, new: Words) -> str | None:
        """What our server, which has answered, writes when it makes a session; `None` where it is proven gone since.

        Its socket may go at any moment, so the client is one that starts no server: a second one would have the same names
        and ids.
        """

        def send(change: Words) -> str:
            return self._ask(change, flags=("-N",), meaning=(new,))

        with contextlib.suppress(TargetMissing):
            return self._change(new, *_SETTINGS[1:], send=send, server=self._ours)
        return None

    def kill_session(self, name: str) -> None:
        """See `TerminalMultiplexer.kill_session`."""

        def kill() -> None:
            target, about = self._session_of_ours(name)
            self._silently(("kill-session", "-t", target), about=about)

        self._end(kill, lambda: self._windows(name))

    def list_sessions(self) -> list[str]:
        """See `TerminalMultiplexer.list_sessions`."""
        rows = self._rows_of("list-sessions", fields=("#{session_name}",))
        return [row[0] for row in rows if not row[0].startswith(KEEPER)]

    def session_options(self, option: str) -> dict[str, str]:
        """See `TerminalMultiplexer.session_options`.

        Not by `#{@option}`: as a format it means the option of the session's current window first.
        """
        names = self.list_sessions()
        ends = ("display-message", "-p", _END_OF_VALUE)
        answers = []
        for first in range(0, len(names), _AT_ONCE):
            asked = names[first : first + _AT_ONCE]
            shows = [("show-options", "-q", "-v", "-t", exact(f"={name}"), option) for name in asked]
            text = self._ask(*(command for show in shows for command in (show, ends)))
            answers += text.split(f"{_END_OF_VALUE}\n")[:-1]
        if len(answers) != len(names):
            raise TransportGarbled("as many values as sessions were asked for, and others came back")
        values = (value_as_set(answer.removesuffix("\n"), self._version_of_ours) for answer in answers)
        return {name: value for name, value, answer in zip(names, values, answers, strict=True) if answer}

    def set_session_option(self, name: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_session_option`."""
        self._in_ours(("set-option", "-t", exact(f"={name}"), "--", option, value), about=name)

    # Windows.

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        return self._made(session, name, cwd, env, run_in(cwd, command, env))

    def new_parked_window(self, session: str, name: str, cwd: StrPath, argv: Sequence[str], return_opt: str) -> str:
        """See `TerminalMultiplexer.new_parked_window`; a signal shows as the shell's status, 128 and its number."""
        client = (self.binary, "-u", "-S", os.fspath(self.socket_path))
        return self._made(session, name, cwd, {}, parked(cwd, argv, client, return_opt))

    def _made(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], line: str) -> str:
        """The id of a new window that runs the shell line; the whole command travels on stdin."""
        target, about = self._session_of_ours(session)
        made = ("new-window", "-d", "-P", "-F", f"{IDENTITY}\t#{{window_id}}\t#{{pane_id}}", "-t", target)
        where = ("-n", escape_format(name), "-c", escape_format(os.path.abspath(cwd)))
        variables = [word for key, value in env.items() for word in ("-e", f"{key}={value}")]

        def send(change: Words) -> str:
            return self._ask(("source-file", "-"), about=about, stdin=script_line(change))

        new = (*made, *where, *variables, "--", line)
        rows = _rows(self._change(new, send=send, server=self._ours), 2)
        self._confirm(_seen_in(rows))
        window, pane = rows[0][3:]
        if len(rows) != 1 or not _WINDOW.match(window) or not _PANE.match(pane):
            raise TransportGarbled("a window was asked for, and its id did not come back")
        self._note_pane(window, _seen_in(rows), pane)
        return window

    def _note_pane(self, window: str, server: ServerSeen, pane: str) -> None:
        """Remember which pane a window was made with, for the windows that this was learnt of last."""
        self._first_panes.pop(window, None)
        self._first_panes[window] = (server, pane)
        if len(self._first_panes) > _PANES_KNOWN:
            self._first_panes.pop(next(iter(self._first_panes)))

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        try:
            return [row[0] for row in self._windows(session)]
        except TargetMissing:
            return []

    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TerminalMultiplexer.list_windows`; a value with a TAB or a newline in it makes the answer unreadable."""
        told = tuple(dict.fromkeys(("window_id", *fields)))
        rows = self._windows(session, *[f"#{{{field}}}" for field in told[1:]])
        places = [told.index(field) for field in fields]
        return rows if places == list(range(len(told))) else [tuple([row[at] for at in places]) for row in rows]

    def window_alive(self, session: str, window_id: str) -> bool:
        """See `TerminalMultiplexer.window_alive`."""
        try:
            return window_id in self._living(session)
        except TargetMissing:
            return False

    def batch_liveness(self, session: str) -> frozenset[str]:
        """See `TerminalMultiplexer.batch_liveness`; one question for all windows."""
        try:
            return self._living(session)
        except TargetMissing:
            return frozenset()

    def _living(self, session: str) -> frozenset[str]:
        return frozenset(row[0] for row in self._windows(session, PANES) if _runs(row[1]))

    def kill_window(self, target: str) -> None:
        """See `TerminalMultiplexer.kill_window`."""
        try:
            window = self._window(target)
            if self._ours is None:
                self._confirm(self._server_seen())
        except TargetMissing:
            return
        self._end(lambda: self._in_ours(("kill-window", "-t", window), about=window), lambda: self._pane(window))
        self._first_panes.pop(window, None)

    def select_window(self, target: str) -> None:
        """See `TerminalMultiplexer.select_window`."""
        window = self._window(target)
        self._in_ours(("select-window", "-t", window), about=window)

    def set_window_option(self, target: str, option: str, value: str) -> None:
        """See `TerminalMultiplexer.set_window_option`."""
        window = self._window(target)
        self._in_ours(("set-option", "-w", "-t", window, "--", option, value), about=window)

    def unset_window_option(self, target: str, option: str) -> None:
        """See `TerminalMultiplexer.unset_window_option`."""
        window = self._window(target)
        self._in_ours(("set-option", "-w", "-u", "-t", window, option), about=window)

    def show_window_option(self, target: str, option: str) -> str:
        """See `TerminalMultiplexer.show_window_option`."""
        window = self._window(target)
        with self._by_id():
            try:
                text = self._ask(("show-options", "-w", "-v", "-t", window, option), about=window)
            except CommandRejected as refusal:
                # From 3.3a on an unset user option is refused like this; before, it is answered with nothing.
                if refusal.stderr != f"invalid option: {option}":
                    raise
                text = ""
            # After it: who answers now has answered that, for a server that was followed by another one is gone.
            self._confirm(self._server_seen())
        if text and not text.endswith("\n"):
            raise TransportGarbled("the value is cut off")
        return value_as_set(text.removesuffix("\n"), self._version_of_ours)

    def pipe_pane(self, window_id: str, log_file: StrPath) -> None:
        """See `TerminalMultiplexer.pipe_pane`."""
        window = self._window(window_id)
        self._in_ours(("pipe-pane", "-t", window, log_sink(log_file)), about=window)

    def send_text(self, window_id: str, text: str) -> None:
        """See `TerminalMultiplexer.send_text`; text and Enter are one command of one client, behind one fence.

        Goes to the pane that the window was made with, out of any mode a person may have put it in: copy mode lets the
        text through and keeps the Enter. Which pane that is, is asked once; the server itself looks whether it is still in
        that window and its process runs.
        """
        server, known = self._first_panes.get(window_id, (None, ""))
        if server is not None and server == self._ours and self._typed(known, window_id, text):
            return
        pane = self._pane(window_id)
        if pane.dead:
            raise CommandRejected(f"the process of {pane.window_id} has ended: nothing was typed")
        tried = server == self._ours and known == pane.pane_id
        if tried or not self._typed(pane.pane_id, pane.window_id, text):
            raise _came_too_late([("send-keys",)])
        if self._ours is not None:
            self._note_pane(pane.window_id, self._ours, pane.pane_id)

    def _typed(self, pane: str, window: str, text: str) -> bool:
        """Whether the text was typed into that pane of our server: only in time, and while its process runs in that window."""
        self._pid = self._pid or self._processes.me().pid
        buffer = f"seamripper-{self._pid}-{threading.get_ident()}"
        commands: list[Words] = [("copy-mode", "-q", "-t", pane)]
        before, otherwise = [], []
        if text:
            before.append(("load-buffer", "-b", buffer, "-"))
            commands.append(("paste-buffer", "-p", "-r", "-d", "-b", buffer, "-t", pane))
            otherwise.append(("delete-buffer", "-b", buffer))
        commands.append(("send-keys", "-t", pane, "Enter"))
        with self._by_id():
            return self._carried_out(
                *commands,
                about=pane,
                before=before,
                otherwise=otherwise,
                stdin=text.encode("utf-8"),
                pane=(pane, window),
            )

    def window_pids(self, target: str) -> list[int]:
        """See `TerminalMultiplexer.window_pids`; the process that the window was made with, while it runs."""
        pane = self._pane(target)
        if pane.dead:
            return []
        if not pane.pid.isdecimal():
            raise TransportGarbled("a living pane without a pid was listed")
        return [int(pane.pid)]

    def window_exit(self, target: str) -> WindowExit | None:
        """See `TerminalMultiplexer.window_exit`; before 3.3a a death by signal cannot be told."""
        pane = self._pane(target)
        if pane.dead and pane.exit is None:
            # tmux may show a pane as dead and leave its process unreaped until another child of it ends.
            self._ask(("run-shell", ":"))
            pane = self._pane(target)
        return pane.exit

    # The terminal that this process runs in.

    def attach_target_argv(self, target: str) -> list[str]:
        """See `TerminalMultiplexer.attach_target_argv`."""
        window = exact(target) if ":" in target else target
        split_target(target)
        return [self.binary, "-u", "-S", os.fspath(self.socket_path), "attach-session", "-t", window]

    def current_pane_id(self) -> str | None:
        """See `TerminalMultiplexer.current_pane_id`."""
        return self._caller("#{pane_id}")

    def current_window_id(self) -> str | None:
        """See `TerminalMultiplexer.current_window_id`."""
        return self._caller("#{window_id}")

    def current_session(self) -> str | None:
        """See `TerminalMultiplexer.current_session`."""
        return self._caller("#{session_name}")

    def _caller(self, field: str) -> str | None:
        """The value of `field` for the pane that this process runs in, from the server that runs it; `None` outside."""
        place = self._environment.get("TMUX", "").rsplit(",", 2)
        pane = self._environment.get("TMUX_PANE", "")
        if len(place) != 3 or not place[0] or not _PANE.match(pane):
            return None
        # The last -S counts, so this asks the caller's server, which need not be ours.
        words = ("-S", place[0], "display-message", "-p", "-t", pane, f"#{{pid}}\t#{{pane_id}}\t{field}")
        verdict = judge(self._run(*words), place[0])
        if verdict.meaning is not Meaning.ANSWERED:
            self._fail(verdict, words)
        rows = _cells(verdict.text, 3)
        if len(rows) != 1 or rows[0][:2] != (place[1], pane) or not rows[0][2]:
            raise TransportGarbled(f"pane {pane} is not known to the server it names")
        return rows[0][2]

    def _caller_session(self) -> str | None:
        """The id of this process's session, if it runs in a window of our own server."""
        if self._environment.get("TMUX", "").rsplit(",", 2)[0] != os.fspath(self.socket_path):
            return None
        return self._caller("#{session_id}")

    def detach_client(self) -> None:
        """See `TerminalMultiplexer.detach_client`."""
        session = self._caller_session()
        if session is None:
            raise CommandRejected("this process runs in no window of this server")
        self._silently(("detach-client", "-s", session))

    def switch_client(self, target: str, last_fallback: bool = False) -> bool:
        """See `TerminalMultiplexer.switch_client`; of several clients the one in this process's session, then the latest."""
        word = exact(target)
        session = self._caller_session()
        self._confirm(self._server_seen())
        fields = ("#{client_name}", "#{session_id}", "#{client_activity}", "#{client_control_mode}")
        text = self._ask(("list-clients", "-F", "\t".join(fields)))
        rows = [row for row in _cells(text, len(fields)) if row[3] != "1" and row[2].isdecimal()]
        if not rows:
            return False
        client = max(rows, key=lambda row: (row[1] == session, int(row[2])))[0]
        try:
            self._silently(("switch-client", "-c", client, "-t", word))
        except CommandRejected:
            if not last_fallback:
                raise
            self._silently(("switch-client", "-c", client, "-l"))
        return True

    # The host and the server.

    def available(self) -> bool:
        """See `TerminalMultiplexer.available`; leaves add their floor."""
        return bool(self._version_line())

    def version(self) -> str | None:
        """See `TerminalMultiplexer.version`."""
        return self._version_line()

    def _version_line(self) -> str:
        words = ("-V",)
        verdict = self._verdict(words)
        if verdict.meaning is not Meaning.ANSWERED:
            self._fail(verdict, words)
        line, newline, _ = verdict.text.partition("\n")
        if not newline or not _version_word(line):
            raise TransportGarbled("asked for a version, and none came back")
        return line

    def server_identity(self) -> ServerIdentity | None:
        """See `TerminalMultiplexer.server_identity`; whoever answers, and `None` only where no server is proven."""
        try:
            seen = self._server_seen()
        except TargetMissing:
            return None
        return ServerIdentity(seen.pid, seen.start_time)

    def abandon(self) -> None:
        """See `TerminalMultiplexer.abandon`."""
        self._transport.abandon()

    def take_up(self) -> None:
        """See `TerminalMultiplexer.take_up`."""
        self._transport.take_up()

    def disconnect(self) -> None:
        """See `TerminalMultiplexer.disconnect`."""
        disconnect(self._transport)


def _came_too_late(commands: Sequence[Sequence[str]]) -> TransportTimeout:
    return TransportTimeout(f"not carried out, the server came to it too late: {commands[-1][0]}")


def _rows(text: str, fields: int) -> list[tuple[str, ...]]:
    """The lines of a listing, split; at least one, each of the same server, each with `fields` values after `IDENTITY`."""
    rows = _cells(text, fields + 3)
    if not rows:
        raise TransportGarbled("status 0 with nothing where an answer was due")
    if len({row[:3] for row in rows}) != 1:
        raise TransportGarbled("one answer names two servers")
    return rows


def _cells(text: str, width: int) -> list[tuple[str, ...]]:
    """The lines of `text`, split at TABs into `width` values; none for no text at all."""
    if not text:
        return []
    lines = text.split("\n")
    rows = [tuple(line.split("\t")) for line in lines[:-1]]
    if lines[-1] or [row for row in rows if len(row) != width]:
        raise TransportGarbled("the answer is cut off, or not of the form that was asked for")
    return rows


def _seen_in(rows: Sequence[tuple[str, ...]]) -> ServerSeen:
    """The server that wrote these rows, each of which begins with `IDENTITY`."""
    return _seen("\t".join(rows[0][:3]) + "\n")


@lru_cache(maxsize=64)
def _seen(text: str) -> ServerSeen:
    """The server that wrote `text`, which is all that `_WHO` writes."""
    pid, start_time, version = _rows(text, 0)[0]
    if not pid.isdecimal() or not start_time.isdecimal() or not version or int(pid) < 1:
        raise TransportGarbled("the answer does not say who gave it")
    return ServerSeen(int(pid), int(start_time), version)


@lru_cache(maxsize=64)
def _client_of(binary: str, socket_path: Path) -> Words:
    """The argv prefix that reaches the server at that socket."""
    return (binary, "-u", "-S", os.fspath(socket_path), "-f", "/dev/null")


@lru_cache(maxsize=64)
def _listing(values: int) -> re.Pattern[str]:
    """One row or more, each of so many values, of which none has a TAB or a newline in it."""
    return re.compile(rf"(?:{_ROW}(?:\t[^\t\n]*+){{{values}}}\n)++")


def _runs(panes: str) -> bool:
    """Whether the oldest pane of `PANES` has a living process."""
    found = re.findall(r"%(\d+) ([01])/", panes)
    if not found or "".join(f"%{n} {dead}/" for n, dead in found) != panes:
        raise TransportGarbled("the panes of a window were listed unreadably")
    oldest: tuple[str, str] = min(found, key=lambda pane: int(pane[0]))
    return oldest[1] == "0"


def _version_word(line: str) -> str:
    """`3.3a` of `tmux 3.3a`; empty if the line is no version."""
    found = _VERSION_LINE.fullmatch(line)
    return found[1] if found else ""
