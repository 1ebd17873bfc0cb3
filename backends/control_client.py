"""One control-mode client of tmux: its process, the way to it and from it, its keeper session, and what was not answered.

A timed-out request is taken back. The server reads requests from a socket of which this side has kept the reading end as
well: what is still in it is read away, and if that is the whole request, it can never take effect (killing the client does not
prevent that: the server reads the socket itself). What was read already is a tombstone: its reply is dropped when it comes.

It is a socket and no pipe because whether reading blocks is a property that all who hold that end share, and tmux makes its
standard input block again when it ends; of a socket each single look can say that it does not wait.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from backends.clock import Clock, SystemClock, Waker
from backends.control_frames import Frame, Framing, Unreadable
from backends.entropy import Entropy
from backends.running import OUTPUT_LIMIT, REAP_S, Completed, hearing
from backends.words import script_line

__all__ = ["ENDED_WITH", "KEEPER", "Client", "Deadline", "Lost", "begin_anew", "completed"]

KEEPER = "_seamripper-"
"""What the name of a keeper session begins with; names of sessions of the seam begin with a letter or digit."""

ENDED_WITH = ("setpriv", "--pdeathsig", "TERM", "tail", "--pid=999999999", "-s", "0.1", "-f", "/dev/null")
"""Ends at once, with 0, where there is what ends a client with its driver and a keeper with its client: nobody has that pid."""
_CLOSE_S = 1.0
"""Seconds that a client is given to end once its session was ended; it took under 10 ms when measured."""
_ATTACH_LOOK_S = 0.02
"""Seconds between two looks whether a client is attached; mostly the first one finds it."""
_CHUNK = 1 << 16
_WHERE = script_line(("display-message", "-p", "#{client_session}"))
_SCRIPT = (
    'test "$PPID" = "$1" || exit; shift; '
    'exec "$@" "exec tail --pid=$$ -s 0.5 -f /dev/null" ";" set-option -w -t "=$0:" remain-on-exit off'
)
"""Becomes the client, which ends with the driver; what runs in the keeper's window, and so the keeper, ends with the client.

A driver that was gone before the death signal was asked for gives none: then whoever is the parent now is not the driver, `$1`.
Not by `destroy-unattached`: where another client ends while ours is about to, 3.3a dies of it; and by SIGTERM, at which a
client first says to its end who it is: 3.3a dies of one that is killed before that (docs/decisions/0026).
"""
_LONGEST_POLL_MS = 2**31 - 1


class Lost(Exception):
    """The client has ended, or what it writes cannot be read; `unread` where nothing of what was asked has been read."""

    unread = False


class Deadline:
    """Host seconds that are left; raises `subprocess.TimeoutExpired` when none are."""

    def __init__(self, clock: Clock, end: float) -> None:
        self._clock = clock
        self._end = end

    def __call__(self) -> float:
        """How many are left."""
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise subprocess.TimeoutExpired(["client"], 0)
        return self._clock.host_seconds(left)


class _Nursery:
    """A thread that lives as long as this process, and starts what has to end with it.

    The signal at a parent's death comes when the *thread* ends that has started the child.
    """

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Callable[[], _Process], queue.SimpleQueue[object]]] = queue.SimpleQueue()
        self._beginning = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, make: Callable[[], _Process], seconds: float) -> _Process:
        """What `make` makes, or the `OSError` that it raises; `Lost` where that takes longer, or cannot be begun."""
        with self._beginning:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._work, name="tmux clients", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    raise Lost(str(error)) from error
                self._thread = thread
        answer: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._orders.put((make, answer))
        try:
            came = answer.get(timeout=seconds)
        except queue.Empty:
            raise Lost("the client could not be started in time") from None
        if isinstance(came, _Process):
            return came
        if isinstance(came, OSError):
            raise came
        raise Lost(f"the client could not be started: {came!r}")

    def _work(self) -> None:
        while True:
            make, answer = self._orders.get()
            try:
                answer.put(make())
            except (OSError, RuntimeError, ValueError, MemoryError) as error:
                # With this thread every client would end.
                answer.put(error)
            del make, answer


_nursery = _Nursery()


def begin_anew() -> None:
    """For a process that was forked: the thread that starts clients is not there, and its lock may be held for ever."""
    global _nursery
    _nursery = _Nursery()


class _Process:
    """A process with a socket to it and a pipe from it; ended by `end`, or when nobody refers to it any more.

    Of the socket this side has both ends: what was `given` and can still be `taken` was not read. Who uses them says
    `MSG_DONTWAIT`.
    """

    taken: socket.socket
    given: socket.socket

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        taken, given = socket.socketpair()
        try:
            process = subprocess.Popen(
                hearing(argv, environment),
                stdin=taken.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
            )
        except BaseException:
            taken.close()
            given.close()
            raise
        assert process.stdout is not None
        self.taken, self.given, self.out = taken, given, process.stdout.fileno()
        os.set_blocking(self.out, False)
        self._process = process
        self.introduced = threading.Event()
        """Set once the server is known to have heard who this is: before that it must not be killed."""
        self.end = weakref.finalize(self, _end, process, (taken, given), self.introduced)

    def forget(self) -> None:
        """Let go of this side's ends, and leave the process to whoever else has them."""
        self.end.detach()
        # Nobody here is to wait for it.
        self._process.returncode = 0
        for end in (self.taken, self.given):
            end.close()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _end(process: subprocess.Popen[bytes], ends: Iterable[socket.socket], introduced: threading.Event) -> None:
    """Kill, reap, close. What it is still to write is not waited for: a stopped server holds its pipes."""
    if not introduced.is_set():
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(REAP_S)
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(REAP_S)
    for end in ends:
        end.close()
    if process.stdout is not None:
        process.stdout.close()


def completed(argv: tuple[str, ...], frames: Sequence[Frame]) -> Completed:
    """What those replies are in the words of a client that was run for one request alone."""
    out = b""
    for done, text in frames:
        if not done:
            return Completed(argv, 1, out, text.removeprefix(b"parse error: "))
        out = out + text if out else text
    return Completed(argv, 0, out, b"")


class Client:
    """A client that is attached to a keeper session of its own.

    `broken` says that a request was taken back in part, so that the next one could not be read; `silent` that the last
    one was not answered.
    """

    def __init__(
        self,
        prefix: tuple[str, ...],
        name: str,
        environment: Mapping[str, str],
        left: Deadline,
        waker: Waker,
        entropy: Entropy,
    ) -> None:
        """Attach to the server that is there and reached by `prefix`; the keeper session ends with this client.

        Raises `FileNotFoundError` where there is no `setpriv`, `Lost` where no client could be attached, and as `ask` does.
        """
        self.prefix = prefix
        self.broken = False
        self.silent = False
        self.framing = Framing(OUTPUT_LIMIT)
        self._token = entropy.token
        self._waker = waker
        self._owed: list[bytes] = []
        self._keeper = f"{KEEPER}{name}"
        made = ("new-session", "-s", self._keeper, "-n", "keeper", "-c", "/", "-f", "no-output,ignore-size")
        begun = ("setpriv", "--pdeathsig", "TERM", "/bin/sh", "-c", _SCRIPT, self._keeper)
        argv = (*begun, str(os.getpid()), *prefix, "-N", "-C", *made)
        self._process = _nursery.start(lambda: _Process(argv, environment), left())
        self._poll = select.poll()
        self._poll.register(self._process.out, select.POLLIN)
        self._poll.register(waker.fileno(), select.POLLIN)
        try:
            while not self._is_attached(left):
                self._wait(min(_ATTACH_LOOK_S, left()))
            self._process.introduced.set()
        except BaseException:
            self.kill()
            raise

    def _is_attached(self, left: Deadline) -> bool:
        """Whether the keeper session is this client's by now: the server may read what is asked before it makes that session.

        Until then what has no target is about somebody else's session, and nothing is told of windows.
        """
        (frames,) = self.ask_many([_WHERE], left)
        *made, (answered, name) = frames
        if not all(done for done, _ in made):
            raise Lost("no keeper session could be made")
        return answered and name == f"{self._keeper}\n".encode()

    def ask(self, argv: tuple[str, ...], line: bytes, left: Deadline) -> Completed:
        """What came of `line`, in the words of a client that was run for it alone.

        Raises `Lost`, `subprocess.TimeoutExpired`, and `InterruptedError` when the waker is set first.
        """
        if self._waker.is_set():
            raise InterruptedError("given up by the caller")
        left()
        nonce = self._token().encode()
        request = line + b'display-message -p "' + nonce + b'"\n'
        self.silent = True
        sent = 0
        try:
            sent = self._write(request)
            while (frames := self._answered(nonce)) is None:
                sent += self._go_on(request, sent, left)
        except (subprocess.TimeoutExpired, InterruptedError):
            self._take_back([request], [nonce], sent)
            raise
        except Lost as lost:
            lost.unread = self._take(sent) == sent
            raise
        self.silent = False
        return completed(argv, frames)

    @property
    def descriptor(self) -> int:
        """Readable while there is something of this client to be read."""
        return self._process.out

    def has_news(self) -> bool:
        """Whether a notification was not handed out yet, or there is something to be read, which may be its end."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return self.framing.noticed or bool(poll.poll(0))

    def notices(self) -> list[bytes]:
        """The notifications that have come; raises `Lost` where the client has ended."""
        while self._read():
            continue
        return self.framing.notices()

    def ask_many(self, lines: Sequence[bytes], left: Deadline) -> Iterator[list[Frame]]:
        """The frames of each of `lines`, in order, as they come; all are sent before the first is waited for.

        Raises as `ask` does: what had not come until then is not known.
        """
        nonces = [self._token().encode() for _ in lines]
        requests = [line + b'display-message -p "' + nonce + b'"\n' for line, nonce in zip(lines, nonces, strict=True)]
        whole, sent = b"".join(requests), 0
        self.silent = True
        try:
            while nonces:
                frames = self._answered(nonces[0])
                if frames is None:
                    sent += self._go_on(whole, sent, left)
                else:
                    del nonces[0]
                    yield frames
            self.silent = False
        except (subprocess.TimeoutExpired, InterruptedError):
            self._take_back(requests, nonces, sent)
            raise

    def _go_on(self, whole: bytes, sent: int, left: Deadline) -> int:
        """Send more of `whole` if there is any left of it, wait, and take in what comes; how many bytes were sent.

        Raises `subprocess.TimeoutExpired` where no time is left, before anything more is sent, and `InterruptedError`.
        """
        if self._waker.is_set():
            raise InterruptedError("given up by the caller")
        seconds = left()
        more = self._write(whole[sent : sent + _CHUNK]) if sent < len(whole) else 0
        if self._wait(seconds, writes=sent + more < len(whole)):
            self._read()
        return more

    def _wait(self, seconds: float, writes: bool = False) -> bool:
        """Whether something has come within that time; a waker that is set, or room to write in, ends the wait as well."""
        if writes:
            self._poll.register(self._process.given, select.POLLOUT)
        try:
            # In whole milliseconds, of which one more than is left: what waits for a deadline looks at the clock afterwards.
            came = self._poll.poll(min(int(seconds * 1e3) + 1, _LONGEST_POLL_MS))
        finally:
            if writes:
                self._poll.unregister(self._process.given)
        out = self._process.out
        return any(fd == out for fd, _ in came)

    def _answered(self, nonce: bytes) -> list[Frame] | None:
        try:
            while self._owed and self.framing.forget(self._owed[0]):
                del self._owed[0]
            return None if self._owed else self.framing.answered(nonce)
        except Unreadable as why:
            raise Lost(str(why)) from why

    def _read(self) -> bool:
        """Take in what has come, if anything; raises `Lost` at the end."""
        try:
            data = os.read(self._process.out, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Lost("the client cannot be read") from error
        if not data:
            raise Lost("the client has ended")
        try:
            self.framing.feed(data)
        except Unreadable as why:
            raise Lost(str(why)) from why
        return True

    def _write(self, data: bytes) -> int:
        try:
            return self._process.given.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Lost("the client takes nothing any more") from error

    def _take_back(self, requests: Sequence[bytes], nonces: Sequence[bytes], sent: int) -> None:
        """Read away what the server has not read: a whole request leaves no trace, one that was read whole a tombstone.

        `nonces` are those of the last of `requests`, which were not answered.
        """
        read, end = sent - self._take(sent), 0
        answered = len(requests) - len(nonces)
        for number, request in enumerate(requests):
            begin, end = end, end + len(request)
            if end <= read and number >= answered:
                self._owed.append(nonces[number - answered])
            elif begin < read < end:
                self.broken = True

    def _take(self, sent: int) -> int:
        """Read away what the server has not read of what was sent; how many bytes that were.

        At one go: were it done by parts, the server might read what stands between two of them, for a command.
        """
        try:
            return len(self._process.taken.recv(sent, socket.MSG_DONTWAIT)) if sent else 0
        except BlockingIOError:
            return 0

    def forget(self) -> None:
        """Let go of a client that is another process's, which this one was forked from, and leave it to that."""
        self._process.forget()

    def kill(self) -> None:
        """End the client at once; its keeper session ends within a second."""
        self._process.end()

    def close(self) -> None:
        """End the keeper session, and with it the client; a server that does not answer is not waited for for long.

        Nor is any once the waker is set.
        """
        if not self.silent:
            clock = SystemClock()
            end = clock.monotonic() + _CLOSE_S
            with contextlib.suppress(Lost):
                self._write(script_line(("kill-session", "-t", f"={self._keeper}:")))
                while (left := end - clock.monotonic()) > 0 and not self._waker.is_set():
                    if self._wait(left):
                        self._read()
        self.kill()
