"""Backends that are wrong on purpose: each makes one mistake that an oracle has to notice."""

from __future__ import annotations

from collections.abc import Mapping

from backends.base import StrPath, TerminalMultiplexer
from backends.fake import FakeMultiplexer
from harness.world import FakeWorld, Wrap


class RetriesBlindly(FakeMultiplexer):
    """Opens a window once more when nobody said whether there is one."""

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        super().new_window(session, f"{name}-lost", cwd, env, command)
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


class TakesSilenceForDeath(FakeMultiplexer):
    """Answers that there are no windows when it was not answered itself."""

    def list_window_ids(self, session: str) -> list[str]:
        """See `TerminalMultiplexer.list_window_ids`."""
        if self.server.frozen:
            return []
        return super().list_window_ids(session)


class OnlySaysItKills(FakeMultiplexer):
    """Ends no session, and says that there is none."""

    ended = False

    def kill_session(self, name: str) -> None:
        """See `TerminalMultiplexer.kill_session`."""
        self.ended = True

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`."""
        return super().has_session(name) and not self.ended


def world_with(kind: type[FakeMultiplexer]) -> FakeWorld:
    """A simulated host with that backend for the engine; whoever looks at it afterwards uses an honest one."""

    class BrokenWorld(FakeWorld):
        def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
            honest = wrap is None
            return (FakeMultiplexer if honest else kind)(self.server, call_timeout_s=call_timeout_s)

    return BrokenWorld()
