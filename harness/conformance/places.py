"""The host that a backend of somebody else's is checked on: this one, with a private server and nothing of the user's."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from backends.base import TerminalMultiplexer
from backends.disk import Disk
from backends.outsiders import accepted
from backends.posix_signals import SIGKILL
from backends.processes import Liveness, ProcessIdentity
from backends.transport import SubprocessTransport, Transport
from harness.conformance.spec import BackendSpec
from harness.world import FakeWorld, LiveTmuxWorld, World, Wrap

__all__ = ["ForeignWorld", "on_path", "sockets_of", "world_for"]

_ASK_S = 5.0
"""Seconds that a server is given to say its pid."""

_HIDDEN = ("TMUX", "TMUX_PANE", "PSMUX_SESSION")
"""Variables that would lead a backend to the server of the user."""


def on_path(binary: str) -> str | None:
    """The file that is run as `binary` now; `None` if there is none."""
    if os.sep in binary:
        return binary
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        for name in (binary, f"{binary}.exe"):
            found = Path(directory or os.curdir) / name
            if found.is_file() and os.access(found, os.X_OK):
                return str(found.absolute())
    return None


class ForeignWorld(LiveTmuxWorld):
    """This host, seen by a backend that need not know of worlds: `TMUX_TMPDIR` leads it to a private directory."""

    name = "foreign"
    layers = LiveTmuxWorld.layers - {"transport"}

    def __init__(self, spec: BackendSpec, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__(seed, scale)
        self._spec = spec
        self._saved = {name: os.environ.get(name) for name in (*_HIDDEN, "TMUX_TMPDIR")}
        for name in _HIDDEN:
            os.environ.pop(name, None)
        # One that does not exist would silently mean the user's own servers; tmux-facts.md.
        os.environ["TMUX_TMPDIR"] = str(self._socket)

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`; whatever the factory makes, if it has the operations or not."""
        environment = {**os.environ, "SEAMRIPPER_LEDGER": str(self._ledger)}
        options: dict[str, object] = {
            "socket_dir": self._socket,
            "clock": self.clock,
            "call_timeout_s": call_timeout_s,
            "environment": environment,
        }
        if self.breakable:
            transport = self._transport(options, environment)
            options["transport"] = transport if wrap is None else wrap(transport)
        return cast(TerminalMultiplexer, self._spec.factory(**accepted(self._spec.factory, options)))

    def _transport(self, options: Mapping[str, object], environment: Mapping[str, str]) -> Transport:
        """The transport that the backend would have by itself, where it can be asked for it; else clients of this host."""
        if self._spec.transport_of is None:
            return SubprocessTransport(self.processes, environment=environment)
        return self._spec.transport_of(self._spec.factory(**accepted(self._spec.factory, options)))

    @property
    def base(self) -> Path:
        """The private directory that goes with this world."""
        return self._base

    @property
    def breakable(self) -> bool:
        """Whether the backend takes a transport from outside."""
        return "transport" in accepted(self._spec.factory, {"transport": None})

    def server(self) -> ProcessIdentity:
        """See `LiveTmuxWorld.server`; whichever server listens in the private directory."""
        for path in self.sockets():
            found = self._listening(path)
            if found is not None:
                self._server = found
        if self._server is None:
            raise LookupError(
                "no server was started in the private directory: neither TMUX_TMPDIR nor socket_dir counts"
            )
        return self._server

    def sockets(self) -> list[Path]:
        """The sockets of servers in the private directory."""
        return list(_sockets_in(self.disk, self._socket))

    def _listening(self, path: Path) -> ProcessIdentity | None:
        argv = (self._spec.binary or "tmux", "-u", "-S", str(path), "display-message", "-p", "#{pid}")
        try:
            said = self.processes.run(argv, timeout_s=_ASK_S).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        return self.processes.identify(int(said)) if said.strip().isdigit() else None

    def close(self) -> None:
        """See `World.close`."""
        self.thaw()
        try:
            with contextlib.suppress(LookupError):
                server = self.server()
                for one in (*self.processes.tree(server), server):
                    self.processes.signal(one, SIGKILL)
                end = self.clock.monotonic() + _ASK_S
                while self.processes.liveness(server) is not Liveness.DEAD and self.clock.monotonic() < end:
                    self.clock.wait(0.01)
        finally:
            for name, value in self._saved.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            with contextlib.suppress(OSError):
                self.disk.remove_tree(self._base)
            self._will.call_off()


def sockets_of(world: LiveTmuxWorld) -> list[Path]:
    """The sockets of servers in the private directory of the world, which its runs and its project are in as well."""
    return list(_sockets_in(world.disk, world.runs.parent))


def _sockets_in(disk: Disk, directory: Path) -> Iterator[Path]:
    for name in disk.listdir(directory):
        info = disk.info(directory / name)
        if info is not None and info.is_dir:
            yield from _sockets_in(disk, directory / name)
        elif info is not None and (directory / name).is_socket():
            yield directory / name


class ForeignFakeWorld(FakeWorld):
    """A simulated host on which somebody's own backend speaks to the simulated server."""

    def __init__(self, spec: BackendSpec, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__(seed, scale)
        self._spec = spec

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`."""
        options = accepted(self._spec.factory, {"server": self.server, "call_timeout_s": call_timeout_s})
        return cast(TerminalMultiplexer, self._spec.factory(**options))


def world_for(spec: BackendSpec) -> Callable[[], World]:
    """Makes hosts for the backend: its own kind, a simulated one where it takes a simulated `server`, else this one."""
    if spec.world is not None:
        return spec.world
    if "server" in accepted(spec.factory, {"server": None}):
        return lambda: ForeignFakeWorld(spec)
    return lambda: ForeignWorld(spec)
