"""One persistent control-mode client of tmux instead of a process per call: the same `Transport`, many times as fast.

The client is attached to a keeper session of its own, never to the agents': a client that is not read stops the panes that it
is attached to. It is connected after a call by process was answered, so that nothing is sent to a server that does not
answer, and dropped at the first sign that it is not what it seems; calls go by process again until the next one is answered.
What may start a server, ask another one, block the replies that follow or mean the asking client itself always goes by process.

A timed-out request is taken back. The server reads requests from a pipe of which this side has kept the reading end as well:
what is still in it is read away, and if that is the whole request, it can never take effect (killing the client does not
prevent that: the server reads the pipe itself). What was read already is a tombstone: its reply is dropped when it comes.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import selectors
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from backends.clock import Clock, SystemClock, Waker
from backends.control_frames import Framing, Unreadable
from backends.entropy import Entropy, SystemEntropy
from backends.running import OUTPUT_LIMIT, Completed
from backends.transport import Transport, without_server
from backends.words import script_line

__all__ = ["KEEPER", "ControlTransport", "Spoken", "spoken"]

KEEPER = "_seamripper-"
"""What the name of a keeper session begins with; names of sessions of the seam begin with a letter or digit."""

_QUESTIONS = frozenset(
    {"list-windows", "list-panes", "list-sessions", "list-clients", "show-options", "display-message"}
)
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
    | {"pipe-pane", "if-shell"}
)
_CONNECT_S = 5.0
"""Seconds that a client is given to be attached; 10 ms when measured."""
_CLOSE_S = 2.0
"""Seconds that a client is given to end once its input has ended."""
_TRIES = 3
"""How often in a row connecting may fail before calls go by process for good."""
_CHUNK = 1 << 16
_PREFIX = ("-u", "-S", None, "-f", "/dev/null")


class _Lost(Exception):
    """The client has ended, or what it writes cannot be read."""


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
    client, words = argv[: 1 + len(_PREFIX)], argv[1 + len(_PREFIX) :]
    if any(wanted not in (None, given) for wanted, given in zip(_PREFIX, client[1:], strict=False)) or not words:
        return None
    if words == ("source-file", "-"):
        return _script(client, stdin)
    commands = _commands(words)
    lines = []
    for command in commands:
        if command[0] == "load-buffer" and command[1:2] == ("-b",) and command[3:] == ("-",):
            command = ("set-buffer", "-b", command[2], "--", stdin.decode("utf-8"))
            stdin = b""
        elif command[0] not in _QUESTIONS | _CHANGES:
            return None
        lines.append(script_line(command).removesuffix(b"\n"))
    if stdin:
        return None
    return Spoken(client, b" ; ".join(lines) + b"\n", all(command[0] in _QUESTIONS for command in commands))


def _script(client: tuple[str, ...], stdin: bytes) -> Spoken | None:
    """One line that a client would have read on stdin; control mode reads the same language."""
    verb = re.match(rb'"([a-z-]+)" ', stdin)
    if verb is None or verb[1].decode() not in _CHANGES or stdin.count(b"\n") != 1 or not stdin.endswith(b"\n"):
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
    """See `Transport`. Safe for several threads, which take turns.

    `epoch` counts the connections that were made: whoever mirrors what the server holds starts anew when it has changed. `why`
    says why calls go by process for good, empty while they need not.
    """

    def __init__(
        self,
        plain: Transport,
        clock: Clock | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        """Carry what control mode cannot through `plain`; deadlines are in seconds of `clock`."""
        self.epoch = 0
        self._plain = plain
        self._clock = clock or SystemClock()
        self._environment = without_server(os.environ if environment is None else environment)
        self.why = ""
        self._entropy = entropy or SystemEntropy()
        self._waker = Waker()
        self._turn = threading.Lock()
        self._client: _Client | None = None
        self._failed = 0

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
            self._connect(request.client, end)
        return completed

    def _ask(self, argv: Sequence[str], request: Spoken, end: float, timeout_s: float) -> Completed | None:
        """What the client answers; `None` where there is none any more and nothing was changed: then it may be asked again."""
        if not self._turn.acquire(timeout=max(0.0, self._clock.host_seconds(end - self._clock.monotonic()))):
            raise subprocess.TimeoutExpired(list(argv), timeout_s)
        try:
            client = self._client
            if client is None or client.prefix != request.client:
                return None
            try:
                return client.ask(tuple(argv), request.line, self._until(end), self._waker)
            except _Lost:
                self._drop()
                return None if request.asks_only else Completed(tuple(argv), 1, b"", b"lost server\n")
            except (subprocess.TimeoutExpired, InterruptedError) as given_up:
                if client.broken:
                    self._drop()
                if isinstance(given_up, InterruptedError):
                    raise
                raise subprocess.TimeoutExpired(list(argv), timeout_s) from None
            except BaseException:
                self._drop()
                raise
        finally:
            self._turn.release()

    def _connect(self, prefix: tuple[str, ...], end: float) -> None:
        """Attach a client to the server that has just answered; without one everything goes by process, as before."""
        if self.why or not self._turn.acquire(blocking=False):
            return
        try:
            if self._client is None:
                self._attach(prefix, min(end, self._clock.monotonic() + _CONNECT_S))
        finally:
            self._turn.release()

    def _attach(self, prefix: tuple[str, ...], end: float) -> None:
        name = f"{KEEPER}{os.getpid()}-{self.epoch + 1}"
        try:
            self._client = _Client(prefix, name, self._environment, self._until(end), self._waker, self._entropy)
        except FileNotFoundError:
            self.why = "setpriv (util-linux) is missing: nothing would end the client of a killed driver"
        except (OSError, _Lost, subprocess.TimeoutExpired) as failure:
            self._failed += 1
            if self._failed >= _TRIES:
                self.why = f"connecting failed {self._failed} times: {failure}"
        else:
            self.epoch += 1
            self._failed = 0

    def _until(self, end: float) -> _Deadline:
        return _Deadline(self._clock, end)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.kill()

    def notices(self) -> list[str]:
        """The notifications that have come since the last time, a line each; none while another thread asks something."""
        if not self._turn.acquire(blocking=False):
            return []
        try:
            came = [] if self._client is None else self._client.notices()
        except _Lost:
            self._drop()
            return []
        finally:
            self._turn.release()
        return [line.decode("utf-8", "backslashreplace") for line in came]

    def abandon(self) -> None:
        """See `Transport.abandon`; may be called from a signal handler."""
        self._waker.wake()
        self._plain.abandon()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._waker.clear()
        self._plain.take_up()

    def close(self) -> None:
        """End the client, and with it its keeper session; the next call that is answered connects again."""
        with self._turn:
            client, self._client = self._client, None
            if client is not None:
                client.close()


class _Deadline:
    """Host seconds that are left; raises `subprocess.TimeoutExpired` when none are."""

    def __init__(self, clock: Clock, end: float) -> None:
        self._clock = clock
        self._end = end

    def __call__(self) -> float:
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise subprocess.TimeoutExpired(["client"], 0)
        return self._clock.host_seconds(left)


class _Client:
    """One control-mode client: its process, its two pipes, and what was asked and not answered.

    `broken` says that a request was taken back in part, so that the next one could not be read.
    """

    def __init__(
        self,
        prefix: tuple[str, ...],
        keeper: str,
        environment: Mapping[str, str],
        left: _Deadline,
        waker: Waker,
        entropy: Entropy,
    ) -> None:
        """Attach to the server that is there, and to a keeper session that ends with this client."""
        self._entropy = entropy
        self.prefix = prefix
        self.broken = False
        self._framing = Framing(OUTPUT_LIMIT)
        self._owed: list[bytes] = []
        made = ("new-session", "-s", keeper, "-n", "keeper", "-c", "/", "-f", "no-output,ignore-size")
        ending = ("set-option", "-t", f"={keeper}:", "destroy-unattached", "on")
        argv = ("setpriv", "--pdeathsig", "KILL", *prefix, "-N", "-C", *made, "tail -f /dev/null", ";", *ending)
        self._taken, self._given = os.pipe()
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=self._taken,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._taken)
            os.close(self._given)
            raise
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        for fd in (self._taken, self._given, self._out):
            os.set_blocking(fd, False)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        try:
            frames = self._exchange(b"", left, waker)
            if not all(frame[0] for frame in frames):
                raise _Lost("no keeper session could be made")
        except BaseException:
            self.kill()
            raise

    def ask(self, argv: tuple[str, ...], line: bytes, left: _Deadline, waker: Waker) -> Completed:
        """What came of `line`, in the words of a client that was run for it alone."""
        out = bytearray()
        for done, text in self._exchange(line, left, waker):
            if not done:
                return Completed(argv, 1, bytes(out), text.removeprefix(b"parse error: "))
            out += text
        return Completed(argv, 0, bytes(out), b"")

    def notices(self) -> list[bytes]:
        """The notifications that have come; raises `_Lost` where the client has ended."""
        while self._read():
            continue
        return self._framing.notices()

    def _exchange(self, line: bytes, left: _Deadline, waker: Waker) -> list[tuple[bool, bytes]]:
        """Send `line`, and wait for its frames."""
        nonce = self._entropy.token().encode()
        request = line + b'display-message -p "' + nonce + b'"\n'
        sent = 0
        try:
            while True:
                if sent < len(request):
                    sent += self._write(request[sent : sent + _CHUNK])
                frames = self._answered(nonce)
                if frames is not None:
                    return frames
                if waker.is_set():
                    raise InterruptedError("given up by the caller")
                self._wait(left(), waker, sent < len(request))
        except (subprocess.TimeoutExpired, InterruptedError):
            self._take_back(nonce, sent, len(request))
            raise

    def _wait(self, seconds: float, waker: Waker, writes: bool) -> None:
        self._poll.register(waker.fileno(), select.POLLIN)
        if writes:
            self._poll.register(self._given, select.POLLOUT)
        try:
            # In whole milliseconds, of which one more than is left: what waits for a deadline looks at the clock afterwards.
            came = self._poll.poll(int(seconds * 1e3) + 1)
        finally:
            if writes:
                self._poll.unregister(self._given)
        if any(fd == self._out for fd, _ in came):
            self._read()

    def _answered(self, nonce: bytes) -> list[tuple[bool, bytes]] | None:
        try:
            while self._owed and self._framing.forget(self._owed[0]):
                del self._owed[0]
            frames = None if self._owed else self._framing.answered(nonce)
        except Unreadable as why:
            raise _Lost(str(why)) from why
        return None if frames is None else [(frame.done, frame.text) for frame in frames]

    def _read(self) -> bool:
        """Take in what has come, if anything; raises `_Lost` at the end."""
        try:
            data = os.read(self._out, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            raise _Lost("the client cannot be read") from error
        if not data:
            raise _Lost("the client has ended")
        try:
            self._framing.feed(data)
        except Unreadable as why:
            raise _Lost(str(why)) from why
        return True

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._given, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _Lost("the client takes nothing any more") from error

    def _take_back(self, nonce: bytes, sent: int, length: int) -> None:
        """Read away what the server has not read; a whole request leaves no trace, one that was read whole a tombstone."""
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._taken, _CHUNK):
                taken += len(data)
        if taken == 0 and sent == length:
            self._owed.append(nonce)
        elif taken < sent:
            self.broken = True

    def kill(self) -> None:
        """End the client at once; its keeper session ends with it. What it is still to write is not waited for."""
        self._process.kill()
        self._close_pipes()
        self._process.wait()

    def close(self) -> None:
        """End the input, and with it the client; read what it has left to say, so that it need not wait."""
        os.close(self._given)
        self._given = -1
        with contextlib.suppress(subprocess.TimeoutExpired, _Lost):
            end = SystemClock().monotonic() + _CLOSE_S
            while SystemClock().monotonic() < end:
                with selectors.DefaultSelector() as selector:
                    selector.register(self._out, selectors.EVENT_READ)
                    selector.select(_CLOSE_S)
                self._read()
        self.kill()

    def _close_pipes(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        for fd in (self._taken, self._given):
            if fd >= 0:
                os.close(fd)
