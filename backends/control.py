"""One persistent control-mode client of tmux instead of a process per call: the same `Transport`, many times as fast.

The client is attached to a keeper session of its own, never to the agents': a client that is not read stops the panes that it
is attached to. It is connected after calls by process were answered, so that nothing is sent to a server that does not
answer, and dropped at the first sign that it is not what it seems; calls go by process again until the next one is answered.
What may start a server, ask another one, block the replies that follow or change the asking client always goes by process.

A server ends with its last session, and a keeper session is none that anybody needs: who is told that sessions came or went,
and finds none but keepers, lets go.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from backends.clock import Clock, SystemClock, Waker
from backends.control_client import KEEPER, Client, Deadline, Lost, begin_anew, completed
from backends.entropy import Entropy, SystemEntropy
from backends.processes import Completed
from backends.tmux_version import parse_version
from backends.transport import Outcome, Transport, disconnect, one_by_one, without_server
from backends.words import script_line

__all__ = ["KEEPER", "WITHOUT_SETPRIV", "ControlTransport", "Spoken", "spoken", "too_old"]

WITHOUT_SETPRIV = "setpriv (util-linux) is missing: nothing would end the client of a killed driver"
"""Why there can be no persistent client on a host that lacks it."""

_QUESTIONS = frozenset(
    {"list-windows", "list-panes", "list-sessions", "list-clients", "show-options", "display-message"}
)
_CHOICE = "if-shell"
"""Carried only with `-F`: without it a shell is waited for, and so are all later replies."""
_CHANGES = frozenset(
    {
        "new-window",
        "kill-window",
        "kill-session",
        "select-window",
        "set-option",
        "send-keys",
        "copy-mode",
        "paste-buffer",
    }
    | {"pipe-pane", _CHOICE}
)
_SPOKEN = _QUESTIONS | _CHANGES
_OLDEST = (3, 2, "")
"""The oldest version that has clients which take no output and do not count for the size of windows."""
_CONNECT_S = 2.0
"""Seconds that a client is given to be attached; 10 ms when measured."""
_LEAST_S = 0.2
"""Seconds that a call has to have left for a client to be connected: nobody's answer is given up for it."""
_CLOSE_S = 1.0
"""Seconds that the thread which asks is waited for before its client is ended."""
_LOOK_S = 1.0
"""Seconds that a caller whose own question was answered waits for the answer to whether anybody needs the server."""
_TRIES = 3
"""How often in a row connecting may fail before calls go by process for good."""
_SESSIONS = b'list-sessions -F "#{session_attached} #{session_name}"\n'
_PREFIX = 6
"""So many words stand before the first command of an argv that can be spoken."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A request as control mode takes it: the argv prefix that reaches the server, one line, and whether it changes nothing."""

    client: tuple[str, ...]
    line: bytes
    asks_only: bool


def spoken(argv: Sequence[str], stdin: bytes = b"") -> Spoken | None:
    """`argv` (with what its client would read on stdin) as a line of control mode; `None` for what has to go by process."""
    # The same few questions are asked again and again.
    return _spoken(tuple(argv), stdin) if stdin else _asked(tuple(argv))


@lru_cache(maxsize=256)
def _asked(argv: tuple[str, ...]) -> Spoken | None:
    return _spoken(argv, b"")


def _spoken(argv: tuple[str, ...], stdin: bytes) -> Spoken | None:
    client, words = argv[:_PREFIX], argv[_PREFIX:]
    if client[1:3] != ("-u", "-S") or client[4:] != ("-f", "/dev/null") or not words:
        return None
    if words == ("source-file", "-"):
        return _script(client, stdin)
    commands = _commands(words)
    lines = []
    for command in commands:
        if command[0] == "load-buffer" and command[1:2] == ("-b",) and command[3:] == ("-",):
            command = ("set-buffer", "-b", command[2], "--", stdin.decode("utf-8"))
            stdin = b""
        elif command[0] not in _SPOKEN or (command[0] == _CHOICE and command[1:2] != ("-F",)):
            return None
        lines.append(_line(command) if len(commands) == 1 else script_line(command)[:-1])
    if stdin:
        return None
    return Spoken(client, b" ; ".join(lines) + b"\n", all(command[0] in _QUESTIONS for command in commands))


def _line(command: tuple[str, ...]) -> bytes:
    """One command as control mode takes it.

    A choice that needs no shell is made where the line is read, which is when it would be carried out: half the work, because
    what is chosen is not read a second time. The grammar is that of configuration files, from 3.0 on.
    """
    if len(command) == 5 and command[:2] == ("if-shell", "-F"):
        condition = script_line(command[2:3])[:-1]
        return b"%%if %s %s %%else %s %%endif" % (condition, command[3].encode(), command[4].encode())
    return script_line(command)[:-1]


def _script(client: tuple[str, ...], stdin: bytes) -> Spoken | None:
    """One line that a client would have read on stdin; control mode reads the same language."""
    verb = re.match(rb'"([a-z-]+)" ("-F" )?', stdin)
    if verb is None or verb[1].decode() not in _CHANGES or stdin.count(b"\n") != 1 or not stdin.endswith(b"\n"):
        return None
    if verb[1].decode() == _CHOICE and verb[2] is None:
        return None
    return Spoken(client, stdin, False)


def _commands(words: Sequence[str]) -> list[tuple[str, ...]]:
    """The commands that `backends.words.chain` joined."""
    commands: list[list[str]] = [[]]
    for word in words:
        if word == ";":
            commands.append([])
        else:
            commands[-1].append(word.removesuffix("\\;") + ";" if word.endswith("\\;") else word)
    return [tuple(command) for command in commands if command]


class ControlTransport:
    """See `Transport` and `Connection`. Safe for several threads, which take turns.

    `epoch` counts the connections that were made: whoever mirrors what the server holds starts anew when it has changed. `why`
    says why calls go by process for good, empty while they need not.
    """

    def __init__(
        self,
        plain: Transport,
        clock: Clock | None = None,
        *,
        after: int = 1,
        environment: Mapping[str, str] | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        """Carry what control mode cannot through `plain`; deadlines are in seconds of `clock`.

        A client is connected once `after` requests that it could have carried were answered by processes.
        """
        self.epoch = 0
        self.why = ""
        self._plain = plain
        self._clock = clock or SystemClock()
        self._after = after
        self._answers = 0
        self._environment = without_server(os.environ if environment is None else environment)
        self._entropy = entropy or SystemEntropy()
        self._waker = Waker()
        self._turn = threading.Lock()
        self._client: Client | None = None
        self._failed = 0
        self.told = _Told()
        """Set while a notification has come that `notices` has not handed out, and when the connection came or went."""
        _transports.add(self)

    @property
    def connected(self) -> bool:
        """Whether there is a client to ask through."""
        return self._client is not None

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`; raises `subprocess.TimeoutExpired` with the argv that was not answered."""
        end = self._clock.monotonic() + timeout_s
        request = spoken(argv, stdin)
        if request is not None and self._client is not None:
            answer = self._ask(argv, request, end, timeout_s)
            if answer is not None:
                return answer
        left = end - self._clock.monotonic()
        if left <= 0:
            raise subprocess.TimeoutExpired(list(argv), timeout_s)
        completed = self._plain.run(argv, stdin=stdin, timeout_s=left)
        if request is not None and completed.status == 0:
            self._answers += 1
            if self._answers >= self._after:
                self._connect(request.client, end)
        return completed

    def _ask(self, argv: Sequence[str], request: Spoken, end: float, timeout_s: float) -> Completed | None:
        """What the client answers; `None` where there is none any more and nothing was changed: then it may be asked again."""
        if not self._takes_turn(end):
            raise subprocess.TimeoutExpired(list(argv), timeout_s)
        client = self._client
        try:
            if client is None or client.prefix != request.client:
                return None
            try:
                answer = client.ask(tuple(argv), request.line, Deadline(self._clock, end))
            except Lost as lost:
                self._drop()
                return None if request.asks_only or lost.unread else Completed(tuple(argv), 1, b"", b"lost server\n")
            except (subprocess.TimeoutExpired, InterruptedError) as given_up:
                if client.broken:
                    self._drop()
                if isinstance(given_up, InterruptedError):
                    raise
                raise subprocess.TimeoutExpired(list(argv), timeout_s) from None
            except BaseException:
                self._drop()
                raise
            if client.framing.sessions_changed:
                self._look_around(client, end)
            return answer
        finally:
            # Before anything at which a signal's handler could raise.
            self._turn.release()
            if client is not None and client.framing.noticed:
                self.told.wake()

    def _takes_turn(self, end: float) -> bool:
        """Whether this thread is the one that asks, before `end`."""
        if self._turn.acquire(blocking=False):
            return True
        return self._turn.acquire(timeout=max(0.0, self._clock.host_seconds(end - self._clock.monotonic())))

    def run_many(self, argvs: Sequence[Sequence[str]], *, timeout_s: float) -> list[Outcome]:
        """See `backends.transport.run_many`.

        What was sent and not answered when the time is up, or the client lost, is unknown; the rest has its answer.
        """
        end = self._clock.monotonic() + timeout_s
        requests = [request for argv in argvs if (request := spoken(argv)) is not None]
        if len(requests) == len(argvs) and self._client is not None:
            outcomes = self._ask_many(argvs, requests, end, timeout_s)
            if outcomes is not None:
                return outcomes
        return one_by_one(self, argvs, timeout_s=end - self._clock.monotonic(), clock=self._clock)

    def _ask_many(
        self, argvs: Sequence[Sequence[str]], requests: Sequence[Spoken], end: float, timeout_s: float
    ) -> list[Outcome] | None:
        """The outcome of each; `None` where there is no client to ask."""
        if not self._takes_turn(end):
            return [subprocess.TimeoutExpired(list(argv), timeout_s) for argv in argvs]
        client = self._client
        try:
            if client is None or any(client.prefix != request.client for request in requests):
                return None
            outcomes: list[Outcome] = []
            try:
                lines = [request.line for request in requests]
                for frames in client.ask_many(lines, Deadline(self._clock, end)):
                    outcomes.append(completed(tuple(argvs[len(outcomes)]), frames))
            except Lost:
                self._drop()
                outcomes += [Completed(tuple(argv), 1, b"", b"lost server\n") for argv in argvs[len(outcomes) :]]
            except subprocess.TimeoutExpired:
                outcomes += [subprocess.TimeoutExpired(list(argv), timeout_s) for argv in argvs[len(outcomes) :]]
            except InterruptedError as given_up:
                outcomes += [given_up] * (len(argvs) - len(outcomes))
            except BaseException:
                self._drop()
                raise
            if client.broken:
                self._drop()
            elif self._client is client and client.framing.sessions_changed and not client.silent:
                self._look_around(client, end)
            return outcomes
        finally:
            # Before anything at which a signal's handler could raise.
            self._turn.release()
            if client is not None and client.framing.noticed:
                self.told.wake()

    def _look_around(self, client: Client, end: float) -> None:
        """Let go of a server in which there is nothing but keepers: it ends with them.

        One that nobody is attached to has lost its driver, and stays where nobody reaps the client: that is ended here.
        """
        client.framing.sessions_changed = False
        deadline = Deadline(self._clock, min(end, self._clock.monotonic() + _LOOK_S))
        alone = False
        try:
            found = client.ask((), _SESSIONS, deadline)
            keepers = [line.partition(b" ") for line in found.stdout.splitlines()]
            alone = all(name.startswith(KEEPER.encode()) for _, _, name in keepers)
            for attached, _, name in keepers if alone else ():
                if attached == b"0":
                    client.ask((), script_line(("kill-session", "-t", f"={name.decode()}:")), deadline)
        except (Lost, UnicodeError, subprocess.TimeoutExpired, InterruptedError):
            found = None
        if client.broken:
            self._drop()
        elif found is None or found.status:
            # The next one who asks is told.
            client.framing.sessions_changed = True
        elif alone:
            self._let_go()

    def _connect(self, prefix: tuple[str, ...], end: float) -> None:
        """Attach a client to the server that has just answered; without one everything goes by process, as before."""
        now = self._clock.monotonic()
        if self.why or self._waker.is_set() or end - now < _LEAST_S or not self._turn.acquire(blocking=False):
            return
        try:
            if self._client is None:
                self._attach(prefix, min(end, now + _CONNECT_S))
        finally:
            self._turn.release()

    def _attach(self, prefix: tuple[str, ...], end: float) -> None:
        name = f"{os.getpid()}-{self._entropy.suffix()}"
        try:
            deadline = Deadline(self._clock, end)
            self._client = Client(prefix, name, self._environment, deadline, self._waker, self._entropy)
        except FileNotFoundError:
            self.why = WITHOUT_SETPRIV
        except InterruptedError:
            return
        except (OSError, Lost, subprocess.TimeoutExpired) as failure:
            self._failed += 1
            self.why = self._too_old(prefix[0], end)
            if self._failed >= _TRIES and not self.why:
                self.why = f"connecting failed {self._failed} times: {failure}"
        else:
            self.epoch += 1
            self._failed = 0
            self.told.now_from(self._client)

    def _too_old(self, binary: str, end: float) -> str:
        """Why no client of that tmux can be connected, if its version is why, and there is time to ask."""
        left = end - self._clock.monotonic()
        if left <= 0:
            return ""
        try:
            said = self._plain.run((binary, "-V"), timeout_s=left).stdout.decode("utf-8", "replace")
        except (OSError, subprocess.SubprocessError):
            return ""
        return too_old(said)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self.told.now_from(None)
            client.kill()

    def _let_go(self) -> None:
        client, self._client = self._client, None
        self._answers = 0
        if client is not None:
            self.told.now_from(None)
            client.close()

    def notices(self) -> list[str]:
        """The notifications that have come since the last time, a line each; none while another thread asks something.

        Nobody may have asked for long: where some are gone by now, the `epoch` has changed.
        """
        # Before the turn is taken: whoever has it tells of what came meanwhile once it has been given back.
        self.told.clear()
        if not self._turn.acquire(blocking=False):
            return []
        try:
            client = self._client
            if client is None:
                return []
            came = client.notices()
            if client.framing.flooded:
                client.framing.flooded = False
                self.epoch += 1
        except Lost:
            self._drop()
            return []
        finally:
            self._turn.release()
        return [line.decode("utf-8", "backslashreplace") for line in came]

    def begin_anew(self) -> None:
        """For a process that was forked from the one that asked until now: that one keeps the client."""
        self._turn = threading.Lock()
        self._waker = Waker()
        client, self._client = self._client, None
        self._answers = 0
        self.told.now_from(None)
        if client is not None:
            self.epoch += 1
            client.forget()

    def abandon(self) -> None:
        """See `Transport.abandon`; may be called from a signal handler."""
        self._waker.wake()
        self._plain.abandon()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._waker.clear()
        self._plain.take_up()

    def close(self) -> None:
        """End the client, and with it its keeper session; who goes on asking for long is connected again.

        Where another thread does not get its answer, it is left to the end of this process.
        """
        if self._turn.acquire(timeout=_CLOSE_S):
            try:
                self._let_go()
            finally:
                self._turn.release()
        disconnect(self._plain)


_transports: weakref.WeakSet[ControlTransport] = weakref.WeakSet()


def _begin_anew() -> None:
    begin_anew()
    for transport in list(_transports):
        transport.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class _Told(Waker):
    """Set by `wake`, and while the client that there is has something to tell."""

    def __init__(self) -> None:
        super().__init__()
        self._client: Client | None = None

    def now_from(self, client: Client | None) -> None:
        """Another client is there, or none."""
        self._client = client
        self.wake()

    def is_set(self) -> bool:
        """See `Waker.is_set`."""
        client = self._client
        return super().is_set() or (client is not None and client.has_news())

    def descriptors(self) -> Sequence[int]:
        """See `Waker.descriptors`."""
        client = self._client
        return (self.fileno(),) if client is None else (self.fileno(), client.descriptor)


def too_old(version_line: str) -> str:
    """Why a tmux that says that of itself can have no persistent client; empty if it can, or it is not known to be too old."""
    found = parse_version(version_line)
    if found is None or found >= _OLDEST:
        return ""
    return f"{version_line.strip()} has no clients that take no output, which tmux 3.2 and later have"
