"""Backends that are wrong on purpose: each makes one mistake that an oracle has to notice.

Those made with `guarded=False` make it above the guard, where an author has put their own code around ours.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backends.base import StrPath, TerminalMultiplexer
from backends.errors import MultiplexerError, TransportError, TransportGarbled, TransportTimeout, TransportUnavailable
from backends.fake import FakeMultiplexer
from backends.fake_transport import FakeTransport
from backends.judge import Meaning, Verdict
from backends.simulation import FakeSession
from backends.tmux import TmuxMultiplexer
from backends.transport import Transport
from harness.world import FakeWorld, SimulatedTmuxWorld, Wrap


class RetriesBlindly(FakeMultiplexer):
    """Opens a window once more when nobody said whether there is one."""

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        super().new_window(session, f"{name}-lost", cwd, env, command)
        return super().new_window(session, name, cwd, env, command)


class RetriesTimedOutChanges(FakeMultiplexer, guarded=False):
    """Asks for a window again when the first answer is late."""

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        try:
            return super().new_window(session, name, cwd, env, command)
        except TransportTimeout:
            return super().new_window(session, name, cwd, env, command)


class TypesTwice(FakeMultiplexer):
    """Presses Enter, and types it all again because nothing seemed to happen."""

    def send_text(self, window_id: str, text: str) -> None:
        """See `TerminalMultiplexer.send_text`."""
        super().send_text(window_id, text)
        super().send_text(window_id, text)


class LeaksRawErrors(FakeMultiplexer):
    """Has a bug where it lists its windows."""

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        raise KeyError(session)


class LeaksTimeouts(FakeMultiplexer, guarded=False):
    """Lets a late client's exception out where it lists its windows."""

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        try:
            return super().list_window_ids(session)
        except TransportTimeout as late:
            raise subprocess.TimeoutExpired(["fake"], 5.0) from late


class LeaksOsErrors(FakeMultiplexer, guarded=False):
    """Lets the host's refusal to start a client out where it lists its windows."""

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        try:
            return super().list_window_ids(session)
        except TransportUnavailable as refused:
            raise OSError(errno.ENOENT, "No such file or directory") from refused


class LeaksDecodingErrors(FakeMultiplexer, guarded=False):
    """Decodes the listing of its windows without a thought."""

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        try:
            return super().list_window_ids(session)
        except TransportGarbled as garbled:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte") from garbled


class TakesSilenceForDeath(FakeMultiplexer, guarded=False):
    """Answers that there are no windows when it was not answered itself."""

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        try:
            return super().list_window_ids(session)
        except TransportError:
            return []


class AnswersNothing(FakeMultiplexer, guarded=False):
    """Answers `None` where a list is due when it was not answered itself."""

    def list_window_ids(self, session: str) -> Any:
        """See `TerminalMultiplexer.list_window_ids`."""
        try:
            return super().list_window_ids(session)
        except TransportError:
            return None


class LosesTheId(FakeMultiplexer, guarded=False):
    """Opens windows and does not say which."""

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        super().new_window(session, name, cwd, env, command)
        return ""


class LosesTheEnvironment(FakeMultiplexer):
    """Opens windows in which nothing of what was given is set."""

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        return super().new_window(session, name, cwd, {}, command)


class MatchesPrefixes(FakeMultiplexer):
    """Takes the first session whose name begins as the one asked for."""

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`."""
        return self._like(name) is not None

    def kill_session(self, name: str) -> None:
        """See `TerminalMultiplexer.kill_session`."""
        found = self._like(name)
        if found is not None:
            self.server.end_session(found)

    def _like(self, name: str) -> FakeSession | None:
        return next((found for known, found in self.server.sessions.items() if known.startswith(name)), None)


class TypesNothing(FakeMultiplexer):
    """Says that it has typed, and has not."""

    def send_text(self, window_id: str, text: str) -> None:
        """See `TerminalMultiplexer.send_text`."""


class OnlySaysItKills(FakeMultiplexer):
    """Ends no session, and says that there is none."""

    ended = False

    def kill_session(self, name: str) -> None:
        """See `TerminalMultiplexer.kill_session`."""
        self.ended = True

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`."""
        return super().has_session(name) and not self.ended


class SwallowsFailedKills(TmuxMultiplexer):
    """Takes it for done when a session could not be killed."""

    def kill_session(self, name: str) -> None:
        """See `TerminalMultiplexer.kill_session`."""
        try:
            super().kill_session(name)
        except MultiplexerError:
            return


class TakesAnyFailureForDeath(TmuxMultiplexer):
    """Takes every client that did not end well for the proof that its target is gone."""

    def _verdict(self, words: tuple[str, ...], absence: frozenset[str] = frozenset(), stdin: bytes = b"") -> Verdict:
        verdict = super()._verdict(words, absence, stdin)
        if verdict.meaning is Meaning.ANSWERED:
            return verdict
        return Verdict(Meaning.ABSENT, verdict.why, verdict.line)

    def _certify_absence(self) -> None:
        """Anything goes."""


class DropsTheSemicolon(TmuxMultiplexer):
    """Lets tmux take a final `;` of a word for the end of a command that ends there anyway."""

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        cut = str(cwd).removesuffix(";")
        return super().new_window(session, name, cut, env, command)


class CallsItselfPsmux(TmuxMultiplexer):
    """Is tmux under another name, and claims what it cannot do."""

    def version(self) -> str | None:
        """See `TerminalMultiplexer.version`."""
        found = super().version()
        return None if found is None else found.replace("tmux", "psmux")


def world_with(kind: type[TerminalMultiplexer]) -> Callable[[int], FakeWorld]:
    """Makes simulated hosts with that backend for the engine; whoever looks afterwards uses an honest one."""
    if issubclass(kind, TmuxMultiplexer):
        return _tmux_world_with(kind)
    assert issubclass(kind, FakeMultiplexer)
    broken = kind

    class BrokenWorld(FakeWorld):
        def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
            honest = wrap is None
            return (FakeMultiplexer if honest else broken)(self.server, call_timeout_s=call_timeout_s)

    return BrokenWorld


def _tmux_world_with(kind: type[TmuxMultiplexer]) -> Callable[[int], FakeWorld]:
    class BrokenTmuxWorld(SimulatedTmuxWorld):
        def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
            if wrap is None:
                return super().multiplexer(wrap, call_timeout_s)
            transport: Transport = wrap(FakeTransport(self.server))
            return kind(
                Path("/sim/socket"),
                transport=transport,
                clock=self.clock,
                call_timeout_s=call_timeout_s,
                processes=self.processes,
                disk=self.disk,
                environment={},
                prepare=self.disk.mkdir,
            )

    return BrokenTmuxWorld
