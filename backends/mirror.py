"""What is known of the windows' life without asking: `window_alive` from memory, for as long as it can be relied on.

A mirror holds what the last listing said, and learns early that it has to list again: a process that it watches has ended, the
multiplexer has sent a notification, or the time has come. A verdict is always the multiplexer's: the end of a process is
only a reason to ask (a pane may outlive it, and one that was respawned has another). What is stale raises; it never answers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Set

from backends.base import News, TerminalMultiplexer
from backends.clock import Gathered, Waker
from backends.errors import MultiplexerError, TransportUnavailable
from backends.operations import ServerIdentity
from backends.processes import ProcessTable
from backends.window_processes import Window, WindowProcesses

__all__ = ["LivenessMirror"]

_TELLING = re.compile(r"%(?:(?:unlinked-)?window-(?:add|close)|sessions?-changed)\b")
"""Notifications after which another listing may say something else. A dead window that is kept is told by none."""

_TRIES = 3
"""How often in a row a listing is repeated because the connection became another one meanwhile."""


class LivenessMirror:
    """`window_alive` from memory, with the meaning that the operation has, at the price of a look-up.

    Whoever uses it calls `look` when `waker` is set, and after `due_s` seconds at the latest:
    `clock.wait(mirror.due_s, mirror.waker)`. It raises `TransportUnavailable` rather than answer when the last listing is older
    than `stale_after_s` or has failed, on another connection than the one it was made on, and for good once another server
    answers than the first time: then make a new mirror. `watches_processes` says whether the host tells of ends (Linux does,
    by pidfds). Where it does not, or has no descriptor left for one more (`unwatched`), the death of a window that is kept is
    known at the next listing, one each half `stale_after_s`.
    """

    def __init__(
        self,
        multiplexer: TerminalMultiplexer,
        processes: ProcessTable,
        *,
        news: News | None = None,
        stale_after_s: float = 5.0,
    ) -> None:
        """Mirror the sessions of `multiplexer` that are asked about, whose processes are those of `processes`.

        `news` is the multiplexer's transport, if it is told of changes: `multiplexer.news` of the tmux family.
        """
        self.stale_after_s = stale_after_s
        self.listings = 0
        """How often the multiplexer was asked for the living windows of a session."""
        self._multiplexer = multiplexer
        self._clock = multiplexer.clock
        self._news: News = news or _Silence()
        self._turn = threading.RLock()
        self._known: dict[Window, bool] = {}
        self._alive: dict[str, frozenset[str]] = {}
        self._taken_s: float | None = None
        self._epoch = self._news.epoch
        self._connected = self._news.connected
        self._why = "nothing was asked yet"
        self._server: ServerIdentity | None = None
        self._closed = False
        self._again_s = 0.0
        self._windows = WindowProcesses(multiplexer, processes)
        self.watches_processes = self._windows.works
        self.waker: Waker = Gathered(self._windows.deaths, self._news.told)
        """Set while something has come that `look` has not taken in."""

    def window_alive(self, session: str, window_id: str) -> bool:
        """What the operation `window_alive` said when it was last asked, or would have.

        A window that no listing has shown yet is asked about, as the operation does. Raises `TransportError` where the mirror
        is stale or that question was not answered.
        """
        alive = self._known.get((session, window_id))
        if alive is None:
            return self._ask_about(session, window_id)
        taken = self._taken_s
        if taken is None or self._clock.monotonic() - taken > self.stale_after_s or self._epoch != self._news.epoch:
            raise TransportUnavailable(
                f"the mirror cannot tell: {self._reason()}", operation="window_alive", target=window_id
            )
        return alive

    @property
    def age_s(self) -> float | None:
        """Seconds since the last listing was asked for; `None` while there is none that can be relied on."""
        taken = self._taken_s
        return None if taken is None else self._clock.monotonic() - taken

    @property
    def unwatched(self) -> int:
        """How many windows are listed as alive whose end nobody will tell; the next listing finds out."""
        return sum(map(len, self._alive.values())) - self._windows.watched

    @property
    def due_s(self) -> float:
        """Seconds after which `look` has something to ask even if nothing comes."""
        return max(0.0, self._again_s - self._clock.monotonic())

    def look(self) -> bool:
        """Take in what has come, and list anew if that is a reason to; whether it was.

        Raises what `refresh` raises; the next one is then due after a moment, and meanwhile nothing is answered.
        """
        with self._turn:
            ended = self._windows.ended()
            told = any(_TELLING.match(line) for line in self._news.notices())
            moved = (self._epoch, self._connected) != (self._news.epoch, self._news.connected)
            if not (ended or told or moved or self.due_s <= 0):
                return False
            self.refresh()
            return True

    def refresh(self) -> None:
        """List the windows of every session that was asked about; raises `TransportError` where that was not answered.

        Then nothing is answered from memory until the next refresh.
        """
        with self._turn:
            self._list(sorted(self._alive))

    def close(self) -> None:
        """Watch nobody any more; the mirror answers nothing from now on."""
        with self._turn:
            self._windows.close()
            self.waker.close()
            self._taken_s, self._why, self._closed = None, "it was closed", True

    def _ask_about(self, session: str, window_id: str) -> bool:
        with self._turn:
            self._list(sorted({*self._alive, session}))
            return window_id in self._alive[session]

    def _reason(self) -> str:
        if self._taken_s is None:
            return self._why
        if self._epoch != self._news.epoch:
            return "what it knows is from before the connection that there is now"
        return f"its last listing is {self._clock.monotonic() - self._taken_s:.1f} s old"

    def _list(self, sessions: list[str]) -> None:
        if self._closed:
            raise TransportUnavailable(f"the mirror cannot tell: {self._why}", operation="window_alive")
        try:
            for _ in range(_TRIES):
                epoch, connected = self._news.epoch, self._news.connected
                asked_s = self._clock.monotonic()
                self._alive = self._answers(sessions)
                # What happened between the listing and a new connection was told to nobody.
                if (epoch, connected) == (self._news.epoch, self._news.connected):
                    break
        except MultiplexerError as error:
            self._epoch, self._connected, self._taken_s = self._news.epoch, self._news.connected, None
            self._why = f"its last listing failed: {error.message}"
            self._again_s = self._clock.monotonic() + self.stale_after_s / 2
            raise
        self._epoch, self._connected, self._taken_s = epoch, connected, asked_s
        self._windows.follow(self._alive)
        self._again_s = self._clock.monotonic() + min(self._windows.doubt_s, self.stale_after_s / 2)

    def _answers(self, sessions: list[str]) -> dict[str, frozenset[str]]:
        """The living windows of each session, as the server told that is the mirror's."""
        server = self._server or self._multiplexer.server_identity()
        found = {}
        for session in sessions:
            self.listings += 1
            found[session] = self._multiplexer.batch_liveness(session)
        # Who answers now is who answered before: of a server that has ended there is no second one with its identity.
        seen = self._last_answer(found) or self._multiplexer.server_identity()
        if seen != server and (seen is not None or self._server is None):
            raise TransportUnavailable(
                "another server answers than before: its windows are not those that were mirrored"
            )
        self._server = server
        for session, living in found.items():
            self._known.update({(session, window): False for window in self._alive.get(session, frozenset()) - living})
            self._known.update({(session, window): True for window in living - self._alive.get(session, frozenset())})
        return found

    def _last_answer(self, found: Mapping[str, Set[str]]) -> ServerIdentity | None:
        """Who gave the last listing, where the backend knows and the listing did show something."""
        who = self._multiplexer.answered_by
        return who if found and all(found.values()) else None


class _Silence:
    """No news: there is no connection on which anything would be told."""

    why = ""

    def __init__(self) -> None:
        self.epoch = 0
        self.told = Waker()

    @property
    def connected(self) -> bool:
        """See `News.connected`."""
        return False

    def notices(self) -> list[str]:
        """See `News.notices`."""
        return []
