"""What a control-mode client (`tmux -C`) writes, read as replies and notifications; pure, and distrustful of content.

A command's reply stands between `%begin T N F` and `%end T N F` (or `%error T N F`), everything else is a notification. What
a reply holds may come from anybody, so it may hold a line that looks like its end. Therefore each request is followed by a
question whose answer is a nonce: the request's replies are what came before that answer, and of several lines that look like
the end of a reply the last one counts. What cannot be told apart even so is `Unreadable`: never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Frame", "Framing", "Unreadable"]

_GUARD = re.compile(rb"%(begin|end|error) (\d+) (\d+) (\d+)\Z")
_EXIT = re.compile(rb"%exit(?: (.*))?\Z", re.DOTALL)
_MOST_NOTICES = 10_000
"""Notifications that are kept for who asks for them; nobody may."""


class Unreadable(ValueError):
    """Something came that is neither a reply nor a notification, or too much of it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The reply to one command: whether it was carried out, and what it wrote, each line with its newline."""

    done: bool
    text: bytes


class Framing:
    """Takes bytes as they arrive, and gives the frames of a request once the answer to its nonce is there.

    What came for requests that nobody waits for any more is dropped with their nonces. Notifications are kept, in order, until
    `notices` is asked, and `flooded` says that some are gone: there were too many, or they came with a reply that was dropped.
    `exited` is the reason once the client has said that it ends, `b""` for none. `sessions_changed` says that a session came or
    went; who has looked which ones there are sets it back.
    """

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` bytes of one reply."""
        self.exited: bytes | None = None
        self.flooded = False
        self.sessions_changed = False
        self._limit = limit
        self._rest = b""
        self._lines: list[bytes] = []
        self._held = 0
        self._notices: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises `Unreadable` for more than the limit, and for text outside of any reply."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        self._take(lines)
        if self._held + len(self._rest) > self._limit:
            raise Unreadable(f"more than {self._limit} bytes came as one reply")

    @property
    def noticed(self) -> bool:
        """Whether there are notifications that `notices` has not handed out."""
        return bool(self._notices)

    def notices(self) -> list[bytes]:
        """The notifications that have come since the last time, a line each."""
        came, self._notices = self._notices, []
        return came

    def answered(self, nonce: bytes) -> list[Frame] | None:
        """The frames that came before the answer `nonce`; `None` while it is not there.

        Raises `Unreadable` where they cannot be told apart.
        """
        before = self._up_to(nonce)
        return None if before is None else self._parse(before)

    def forget(self, nonce: bytes) -> bool:
        """Drop everything up to the answer `nonce`, to a request that nobody waits for any more; whether it was there.

        A notification may be among it; then `flooded` says so.
        """
        before = self._up_to(nonce)
        self.flooded |= any(line.startswith(b"%") and not _GUARD.match(line) for line in before or ())
        return before is not None

    def _up_to(self, nonce: bytes) -> list[bytes] | None:
        """Take away the lines before the answer `nonce`, and it; `None` while it is not there."""
        try:
            at = self._lines.index(nonce, 1)
        except ValueError:
            return None
        if at + 1 == len(self._lines):
            return None
        begin, end = _GUARD.match(self._lines[at - 1]), _GUARD.match(self._lines[at + 1])
        if not begin or not end or (begin[1], end[1]) != (b"begin", b"end") or begin.groups()[1:] != end.groups()[1:]:
            raise Unreadable("a nonce came that is no answer")
        before, after = self._lines[: at - 1], self._lines[at + 2 :]
        self._lines, self._held = [], 0
        self._take(after)
        return before

    def _take(self, lines: list[bytes]) -> None:
        """Lines outside of a reply are looked at, one by one, and from the first that begins one on they are kept."""
        for at, line in enumerate(lines):
            if self._lines or line.startswith(b"%begin "):
                self._lines += lines[at:]
                self._held += sum(map(len, lines[at:])) + len(lines) - at
                return
            self._outside(line)

    def _parse(self, lines: list[bytes]) -> list[Frame]:
        """The frames that `lines` are; of a frame that seems to end more than once, the last end counts."""
        frames: list[Frame] = []
        notices: list[bytes] = []
        at = 0
        while at < len(lines):
            begin = _GUARD.match(lines[at])
            if begin is None or begin[1] != b"begin":
                if begin is not None or not lines[at].startswith(b"%"):
                    raise Unreadable("text came that no command wrote")
                notices.append(lines[at])
                at += 1
                continue
            name = lines[at].removeprefix(b"%begin ")
            last, done = max((_last(lines, b"%end " + name, at), True), (_last(lines, b"%error " + name, at), False))
            if last == at:
                raise Unreadable("a reply without its end came")
            frames.append(Frame(done, b"\n".join([*lines[at + 1 : last], b""])))
            at = last + 1
        for notice in notices:
            self._outside(notice)
        return frames

    def _outside(self, line: bytes) -> None:
        said = _EXIT.match(line)
        if said:
            self.exited = said[1] or b""
        elif line.startswith(b"%") and not _GUARD.match(line):
            self.sessions_changed |= line == b"%sessions-changed"
            if len(self._notices) >= _MOST_NOTICES:
                self.flooded = True
                self._notices.clear()
            self._notices.append(line)
        elif line:
            raise Unreadable("text came that no command wrote")


def _last(lines: list[bytes], wanted: bytes, after: int) -> int:
    """Where the last of `lines` is that equals `wanted`; `after` if none behind that is."""
    try:
        return len(lines) - 1 - lines[:after:-1].index(wanted)
    except ValueError:
        return after
