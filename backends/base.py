"""The seam: what every terminal multiplexer backend answers.

Signatures and names are fixed; third-party backends with these methods plug in unchanged. What happens when an
operation fails is stated once, in `backends.operations.OPERATIONS`, and enforced by the guard around every subclass.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backends.clock import Clock, SystemClock, Waker
from backends.errors import CommandRejected
from backends.guard import Hook, Observer, Seam, guard_operations
from backends.operations import ServerIdentity, WindowExit

__all__ = ["News", "StrPath", "TerminalMultiplexer", "Unsupported"]

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A capability that a backend does not have, and why."""

    reason: str


@runtime_checkable
class News(Protocol):
    """Something, such as a transport that keeps a connection, that is told of changes without asking.

    `epoch` counts the connections, so that what was told on an earlier one, or on none, is no longer relied on. `told` is set
    while something came that `notices` has not handed out, and when the connection has come or gone. `why` says why there will
    be no connection any more, empty while there may be one.
    """

    epoch: int

    @property
    def why(self) -> str:
        """See the class."""

    @property
    def told(self) -> Waker:
        """See the class."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""

    def notices(self) -> list[str]:
        """The notifications that have come since the last time, a line each."""


class TerminalMultiplexer(ABC):
    """Sessions of windows, each with a process, behind 26 operations and five optional ones.

    Session and window *names* are `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`; *targets* are made by `target` or are native window
    ids. Every operation may raise `CommandRejected` for an argument that could never be accepted. Operations that raise on
    silence raise `TransportError` when nothing is known and `TargetMissing` when the target is proven absent.
    """

    capabilities: Mapping[str, Unsupported] = {}
    """What this backend cannot do: names of operations or features, each with the reason."""

    requirement: str = ""
    """What a host must have for `available` to answer yes, in words; nothing where that is not said."""

    def __init__(self, *, clock: Clock | None = None, call_timeout_s: float | None = None) -> None:
        """Take the time from `clock`; give every call `call_timeout_s` instead of 5 s (30 s for changes)."""
        self._seam = Seam(clock or SystemClock(), call_timeout_s)

    def __init_subclass__(cls, guarded: bool = True, **kwargs: Any) -> None:
        """Guard the operations of every subclass; `guarded=False` is for proxies that hand on what they wrap."""
        super().__init_subclass__(**kwargs)
        if guarded:
            guard_operations(cls)

    @property
    def seam(self) -> Seam:
        """This instance's clock, deadlines, hook and observers."""
        seam: Seam | None = self.__dict__.get("_seam")
        if seam is None:
            seam = self._seam = Seam(SystemClock(), None)
        return seam

    @property
    def backend_name(self) -> str:
        """What a record calls this backend."""
        return type(self).__name__

    @property
    def clock(self) -> Clock:
        """The clock that deadlines are counted on."""
        return self.seam.clock

    @property
    def hook(self) -> Hook | None:
        """What stands between the guard and the backend, if anything."""
        return self.seam.hook

    @hook.setter
    def hook(self, hook: Hook | None) -> None:
        self.seam.hook = hook

    def observe(self, observer: Observer) -> None:
        """Show every finished call to `observer`, those swallowed into a sentinel included."""
        self.seam.observers.append(observer)

    def unobserve(self, observer: Observer) -> None:
        """Stop what `observe` began."""
        self.seam.observers.remove(observer)

    def budget(self, seconds: float) -> AbstractContextManager[None]:
        """Within, no call of this thread takes longer than what is left of `seconds`."""
        return self.seam.budget(seconds)

    def abandon(self) -> None:  # noqa: B027  # optional: only backends that can block need it
        """Give up the call in progress and every later one, until `take_up`; they fail as unknown.

        May be called from a signal handler or another thread. For a backend that never blocks there is nothing to do.
        """

    def take_up(self) -> None:  # noqa: B027  # optional: only backends that can be abandoned need it
        """Ask again, after `abandon`; harmless where nothing was given up."""

    def disconnect(self) -> None:  # noqa: B027  # optional: only backends that keep a connection need it
        """Let go of what is kept open between calls, at the end of a use; whoever asks again may be connected again.

        Raises nothing, and is bounded: it may be called whatever state the server is in.
        """

    @property
    def news(self) -> News | None:
        """What tells of changes to sessions and windows without being asked; `None` where nothing does."""
        return None

    @property
    def answered_by(self) -> ServerIdentity | None:
        """Which server gave the last answer that counted, `None` where nobody knows; asks nobody."""
        return None

    @abstractmethod
    def has_session(self, name: str) -> bool:
        """Whether a session named exactly `name` exists."""

    @abstractmethod
    def new_session(self, name: str, cwd: StrPath, cols: int | None = None, lines: int | None = None) -> None:
        """Make a detached session with one shell window in `cwd`; the size counts only when both numbers are given."""

    @abstractmethod
    def kill_session(self, name: str) -> None:
        """Make sure that no session of that name remains; fine if there was none."""

    @abstractmethod
    def list_sessions(self) -> list[str]:
        """Names of the live sessions."""

    @abstractmethod
    def session_options(self, option: str) -> dict[str, str]:
        """The value of `option` by session name, for the sessions that have it set."""

    @abstractmethod
    def set_session_option(self, name: str, option: str, value: str) -> None:
        """Set `option` on exactly that session."""

    @abstractmethod
    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """Run `command` (an argv joined by POSIX `shlex`) in a new window of `session`; answers its native id.

        `env` is added to the window's environment without ever standing in an argv. The process starts in `cwd`, or the
        window ends with status 126.
        """

    @abstractmethod
    def new_parked_window(self, session: str, name: str, cwd: StrPath, argv: Sequence[str], return_opt: str) -> str:
        """Run `argv` in a new window that stays when it ends; answers its native id.

        The window then waits for a key, so that the exit status stays readable (`window_exit`), and sends an attached client
        back to the window that its option `return_opt` names.
        """

    @abstractmethod
    def list_window_ids(self, session: str) -> list[str]:
        """Native ids of the windows of `session`, dead ones that are kept included; `[]` only if the session is absent."""

    @abstractmethod
    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """One tuple of format values a window; `fields` are format names without `#{}`."""

    @abstractmethod
    def window_alive(self, session: str, window_id: str) -> bool:
        """Whether the window exists and its process runs; `False` only when proven otherwise."""

    @abstractmethod
    def kill_window(self, target: str) -> None:
        """Make sure that the window is gone; fine if it was."""

    @abstractmethod
    def select_window(self, target: str) -> None:
        """Make it the session's current window."""

    @abstractmethod
    def set_window_option(self, target: str, option: str, value: str) -> None:
        """Set `option` on exactly that window."""

    @abstractmethod
    def unset_window_option(self, target: str, option: str) -> None:
        """Unset `option`: a later `show_window_option` answers `''`."""

    @abstractmethod
    def show_window_option(self, target: str, option: str) -> str:
        """The value of `option`, `''` if it is unset."""

    @abstractmethod
    def pipe_pane(self, window_id: str, log_file: StrPath) -> None:
        """Append what the window prints to `log_file`; fine if the window died first."""

    @abstractmethod
    def send_text(self, window_id: str, text: str) -> None:
        """Type `text` byte for byte, then Enter; delivered whole or not at all."""

    @abstractmethod
    def attach_target_argv(self, target: str) -> list[str]:
        """The argv that attaches this terminal to `target`; asks nobody."""

    @abstractmethod
    def current_pane_id(self) -> str | None:
        """The pane that this process runs in, `None` outside the multiplexer."""

    @abstractmethod
    def current_window_id(self) -> str | None:
        """The window that this process runs in, `None` outside the multiplexer."""

    @abstractmethod
    def current_session(self) -> str | None:
        """The session that this process runs in, `None` outside the multiplexer."""

    @abstractmethod
    def detach_client(self) -> None:
        """Detach the client that shows this process's session."""

    @abstractmethod
    def switch_client(self, target: str, last_fallback: bool = False) -> bool:
        """Show `target` in the attached client, or with `last_fallback` where it came from; whether a switch happened."""

    @abstractmethod
    def available(self) -> bool:
        """Whether this host can run the backend; `False` for every failure."""

    @abstractmethod
    def version(self) -> str | None:
        """The first line of the multiplexer's version."""

    def target(self, session: str, window: str | None = None) -> str:
        """The exact target of a session, or of a window in it, by name; asks nobody."""
        return f"={session}" if window is None else f"={session}:{window}"

    def window_pids(self, target: str) -> list[int]:
        """Pids of the processes that the window's panes were started with."""
        raise CommandRejected("this backend does not tell the pids of a window")

    def window_exit(self, target: str) -> WindowExit | None:
        """How the process of a dead window ended; `None` where the backend cannot tell, or the process still runs."""
        return None

    def server_identity(self) -> ServerIdentity | None:
        """Which server process answers; `None` where the backend has none."""
        return None

    def batch_liveness(self, session: str) -> frozenset[str]:
        """Ids of the windows of `session` whose process runs."""
        return frozenset(w for w in self.list_window_ids(session) if self.window_alive(session, w))


guard_operations(TerminalMultiplexer)
