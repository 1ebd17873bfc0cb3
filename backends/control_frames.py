"""What a control-mode client (`tmux -C`) writes, read as replies and notifications; pure, and distrustful of content.

A command's reply stands between `%begin T N F` and `%end T N F` (or `%error T N F`), everything else is a notification. What
a reply holds may come from anybody, so it may hold a line that looks like its end. Therefore each request is followed by a
question whose answer is a nonce: the request's replies are what came before that answer, and of several lines that look like
the end of a reply the last one counts. What cannot be told apart even so is `Unreadable`: never a guess.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Frame", "Framing", "Unreadable"]

_GUARD = re.compile(rb"%(begin|end|error) (\d+) (\d+) (\d+)\Z")
_BEGIN = b"%begin "
_HEAD = re.compile(rb"%begin (\d+ \d+ \d+)\n")
_ALONE = re.compile(rb"%begin (\d+ \d+ \d+)\n((?:[^%]*\n)?)%end \1\n")
"""One reply and nothing else, in which nothing can look like an end."""
_EXIT = re.compile(rb"%exit(?: (.*))?\Z", re.DOTALL)
_MOST_NOTICES = 10_000
"""Notifications that are kept for who asks for them; nobody may."""


class Unreadable(ValueError):
    """Something came that is neither a reply nor a notification, or too much of it."""


class Frame(NamedTuple):
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
        # From the beginning of a reply on, or of a line that is not whole yet.
        self._held = bytearray()
        self._sought = (b"", 0)
        self._notices: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises `Unreadable` for more than the limit, and for text outside of any reply."""
        self._held += data
        self._look_outside()
        if len(self._held) > self._limit:
            raise Unreadable(f"more than {self._limit} bytes came as one reply")

    @property
    def noticed(self) -> bool:
        """Whether there are notifications that `notices` has not handed out, or some are gone and nobody has heeded that."""
        return bool(self._notices) or self.flooded

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
        lines = before.split(b"\n") if before else ()
        self.flooded |= any(line.startswith(b"%") and not _GUARD.match(line) for line in lines)
        return before is not None

    def _up_to(self, nonce: bytes) -> bytes | None:
        """Take away what came before the answer `nonce`, and it; `None` while it is not there."""
        held, answer = self._held, b"\n" + nonce + b"\n"
        if not held:
            return None
        sought, start = self._sought
        at = held.find(answer, start if sought == nonce else 0)
        ends = held.find(b"\n", at + len(answer)) if at >= 0 else -1
        if ends < 0:
            # What was looked through is not looked through again, but for what may be the answer's beginning.
            self._sought = (nonce, at if at >= 0 else max(0, len(held) - len(answer)))
            return None
        begins = held.rfind(b"\n", 0, at) + 1
        head = _HEAD.fullmatch(held, begins, at + 1)
        if head is None or held[at + len(answer) : ends] != b"%end " + head[1]:
            raise Unreadable("a nonce came that is no answer")
        before = bytes(held[:begins])
        self._sought = (b"", 0)
        # What is matched against cannot be cut.
        del head
        del held[: ends + 1]
        self._look_outside()
        return before

    def _look_outside(self) -> None:
        """Lines outside of a reply are looked at, one by one; from the first that begins one on they are kept."""
        held = self._held
        while held and not held.startswith(_BEGIN):
            end = held.find(b"\n")
            if end < 0:
                return
            line = bytes(held[:end])
            del held[: end + 1]
            self._outside(line)

    def _parse(self, came: bytes) -> list[Frame]:
        """The frames that `came` is; of a frame that seems to end more than once, the last end counts."""
        alone = _ALONE.fullmatch(came)
        if alone is not None:
            return [Frame(True, alone[2])]
        frames: list[Frame] = []
        notices: list[bytes] = []
        at = 0
        while at < len(came):
            head = _HEAD.match(came, at)
            if head is None:
                end = came.index(b"\n", at)
                line = came[at:end]
                if _GUARD.match(line) or not line.startswith(b"%"):
                    raise Unreadable("text came that no command wrote")
                notices.append(line)
                at = end + 1
                continue
            begin = head.end()
            ended, refused = b"\n%end " + head[1] + b"\n", b"\n%error " + head[1] + b"\n"
            done = came.rfind(ended, begin - 1)
            # Nothing comes behind an end that is the last of all.
            failed = -1 if done >= 0 and done + len(ended) == len(came) else came.rfind(refused, begin - 1)
            last = max(done, failed)
            if last < 0:
                raise Unreadable("a reply without its end came")
            after = last + len(ended if done > failed else refused)
            if after < len(came) and any(came.find(end, begin - 1, last + 1) >= 0 for end in (ended, refused)):
                # A later reply that tells of this one's end may tell of its own beginning as well.
                raise Unreadable("a reply came that seems to end twice before something else")
            frames.append(Frame(done > failed, came[begin : last + 1]))
            at = after
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
