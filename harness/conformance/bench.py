"""Where a backend is checked: fresh ones on a private server, a clock, and what its author's callers would see.

What comes out of an operation is captured as it is, never translated: the kit judges what crossed the seam.
"""

from __future__ import annotations

import functools
import inspect
import shlex
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from backends.base import TerminalMultiplexer
from backends.errors import MultiplexerError, TransportError
from backends.fake_transport import FakeTransport
from backends.operations import OPERATIONS, Operation
from backends.simulation import FakeServer
from backends.transport import Transport
from harness.conformance.places import ForeignWorld
from harness.conformance.spec import BackendSpec
from harness.world import FakeWorld, LiveTmuxWorld, World

__all__ = ["Answer", "Bench", "CannotCheck", "Refused", "Unexpected", "captured", "declared_error"]

T = TypeVar("T")

PATIENCE_S = 45.0
"""Seconds after which a call is taken for one without a deadline; the longest one of the contract is 30 s."""

SETTLE_S = 15.0
"""Seconds that anything live is given to show; generous, because the host may be busy."""

TELLING_NOTHING = frozenset({"server_identity", "window_exit", "window_pids"})
"""Operations of `TerminalMultiplexer` that are there for backends to override, and answer or refuse without asking."""

RECORDER = """
import os, sys, tty
tty.setraw(0)
with open(sys.argv[1], "wb", buffering=0) as out:
    while True:
        out.write(os.read(0, 65536))
"""
"""A program that writes down every byte that is typed into its window."""


class CannotCheck(Exception):
    """The kit has no way, or no safe one, to carry the check out on this backend; the text says what its author can do."""


class Unexpected(Exception):
    """The backend did something that the check cannot go on from."""


class Refused(Unexpected):
    """The backend refused, with an error of its own, something that it should do."""


@dataclass(frozen=True)
class Answer:
    """What came out of one call: a value, or an error; `late` if nothing came at all while it was waited for."""

    operation: str
    value: object = None
    error: BaseException | None = None
    late: bool = False

    def __str__(self) -> str:
        if self.late:
            return f"{self.operation} did not come back within {PATIENCE_S:g} s: it has no deadline"
        if self.error is None:
            return f"{self.operation} answered {self.value!r:.80}"
        said = " ".join(str(self.error).split())
        return f"{self.operation} raised {type(self.error).__name__}" + (f": {said:.120}" if said else "")


def declared_error(spec: BackendSpec, made: object) -> type[Exception] | None:
    """What the backend raises on purpose: as the spec says, ours for ours, else the one base of its module's errors."""
    if spec.error is not None:
        return spec.error
    if isinstance(made, TerminalMultiplexer):
        return MultiplexerError
    kind = type(made)
    own = [value for value in vars(kind).values() if _is_error(value)]
    module = inspect.getmodule(kind)
    if not own and isinstance(module, ModuleType):
        own = [value for value in vars(module).values() if _is_error(value) and not _is_of_python(value)]
    bases = {one for one in own if not any(one is not other and issubclass(one, other) for other in own)}
    return bases.pop() if len(bases) == 1 else None


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _is_of_python(kind: type[Exception]) -> bool:
    return kind.__module__ in ("builtins", "subprocess", "socket", "json.decoder", "asyncio.exceptions")


class Bench:
    """One backend on one host. Every check but the cheapest has one of its own; `close` leaves nothing of it."""

    def __init__(self, spec: BackendSpec, world: World) -> None:
        """Check the backend of `spec` in `world`, which is closed with the bench."""
        self.spec = spec
        self.world = world
        self.mux = self.make()
        self.error = declared_error(spec, self.mux)
        self.kept: dict[object, Any] = {}
        self._windows = 0

    @property
    def ours(self) -> bool:
        """Whether the backend inherits from our class, so that there is a guard with a hook and observers."""
        return isinstance(self.mux, TerminalMultiplexer)

    @property
    def runs_tmux(self) -> bool:
        """Whether its server is one of tmux, which is known by its socket."""
        return Path(self.spec.binary or "").name == "tmux"

    @property
    def has_transport(self) -> bool:
        """Whether the backend takes a transport from outside."""
        world = self.world
        return world.breakable if isinstance(world, ForeignWorld) else "transport" in world.layers

    @property
    def has_clients(self) -> bool:
        """Whether what it asks goes through clients that can fail."""
        return self.has_transport or (isinstance(self.world, ForeignWorld) and self.spec.binary is not None)

    @property
    def lacks(self) -> Mapping[str, str]:
        """What cannot be seen on this host, whatever the backend does, each with the reason."""
        reasons = {}
        if not isinstance(self.world, LiveTmuxWorld) or not self.runs_tmux:
            reasons["host.sockets"] = "no socket of its server can be reached here"
        if isinstance(self.world, FakeWorld) and self.world.name == "fake":
            reasons["host.binary"] = "it runs no binary"
        if not self.has_clients:
            reasons["clients"] = "no client of it can fail: it runs none"
        if not self.ours and not self.has_transport:
            reasons["calls"] = (
                "its calls cannot be counted from outside; SEAM-LOST-001 and SEAM-LOST-002 look at their effect"
            )
        if not self.ours:
            reasons["observers"] = "it has no observers to tell"
            reasons["engine"] = "the engine drives subclasses of TerminalMultiplexer only"
        for operation in OPERATIONS.values():
            if operation.optional and not self._has(operation.name):
                reasons[operation.name] = "it has no such operation, which is optional"
        return reasons

    def _has(self, optional: str) -> bool:
        """Whether it has that optional operation; what is inherited from our class and tells nothing does not count."""
        found = getattr(self.mux, optional, None)
        inherited = self.ours and getattr(found, "__func__", None) is getattr(TerminalMultiplexer, optional)
        return callable(found) and not (inherited and optional in TELLING_NOTHING)

    def declared(self, capability: str) -> object:
        """What is declared of a capability; `None` where it is simply there."""
        found = self.spec.capabilities.get(capability)
        if found is None and isinstance(self.mux, TerminalMultiplexer):
            return self.mux.capabilities.get(capability)
        return found

    def make(self, *, call_timeout_s: float | None = None, wrap: Callable[[Transport], Transport] | None = None) -> Any:
        """One more backend on the same server; `wrap` goes around its transport, where it takes one."""
        return self.world.multiplexer(wrap or (lambda transport: transport), call_timeout_s)

    def knows_of(self, error: BaseException | None) -> bool:
        """Whether the error is one that the backend raises on purpose."""
        return self.error is not None and isinstance(error, self.error)

    def is_unknown(self, error: BaseException | None) -> bool:
        """Whether the error may mean that nothing is known; foreign error trees do not tell more than that they are one."""
        return isinstance(error, TransportError) if self.ours else self.knows_of(error)

    def attempt(self, mux: object, operation: str, *args: object, **kwargs: object) -> Answer:
        """Call it, and capture what came of it, whatever it is; gives up on a call that has no deadline."""
        call = getattr(mux, operation, None)
        if not callable(call):
            return Answer(operation, error=AttributeError(f"it has no operation {operation}"))
        capture = functools.partial(_captured, operation, functools.partial(call, *args, **kwargs))
        if self.world.virtual:
            return capture()
        caught: list[Answer] = []
        caller = threading.Thread(target=lambda: caught.append(capture()), name=f"check-{operation}", daemon=True)
        caller.start()
        caller.join(PATIENCE_S)
        return caught[0] if caught else Answer(operation, late=True)

    def attempts(self, mux: object, *calls: tuple[Any, ...]) -> list[Answer]:
        """Several calls, each an operation and its arguments; at the same time where waiting is not free."""
        if self.world.virtual:
            return [self.attempt(mux, *call) for call in calls]
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda call: self.attempt(mux, *call), calls))

    def do(self, operation: str, *args: object, mux: object = None, **kwargs: object) -> Any:
        """The answer of a call that has to be answered. Raises `Unexpected` for everything else."""
        answer = self.attempt(self.mux if mux is None else mux, operation, *args, **kwargs)
        if answer.late or answer.error is not None:
            raise (Refused if self.knows_of(answer.error) else Unexpected)(str(answer))
        due: Operation = OPERATIONS[operation]
        if not due.answers(answer.value):
            raise Unexpected(f"{answer}, where {due.due} was due")
        return answer.value

    def eventually(self, holds: Callable[[], bool]) -> bool:
        """Whether that holds within `SETTLE_S`."""
        end = self.world.clock.monotonic() + SETTLE_S
        while not holds():
            if self.world.clock.monotonic() >= end:
                return False
            self.world.clock.wait(0.02)
        return True

    def session(self, name: str = "run-1") -> str:
        """A new session in the project's directory."""
        self.do("new_session", name, str(self.world.project))
        return name

    def window(self, *argv: str, cwd: str | None = None, env: Mapping[str, str] | None = None, name: str = "") -> str:
        """A new window of `run-1` that runs `argv`."""
        self._windows += 1
        where = str(self.world.project) if cwd is None else cwd
        made = self.do("new_window", "run-1", name or f"w{self._windows}", where, dict(env or {}), shlex.join(argv))
        return str(made)

    def idle(self, name: str = "") -> str:
        """A new window of `run-1` that does nothing, for long."""
        return self.window("sleep", "1000", name=name)

    def recorder(self) -> tuple[str, Callable[[], bytes]]:
        """A window that keeps what is typed into it, and how to read that; each Enter is a newline there."""
        path = self.world.project / f"typed{self._windows}"
        if self.world.virtual:
            made = self.window("cat")
            self.do("pipe_pane", made, str(path))
        else:
            made = self.window(self.world.python, "-c", RECORDER, str(path))
            if not self.eventually(lambda: self.world.disk.info(path) is not None):
                raise Unexpected(f"new_window answered {made!r}, but its command did not run")
        return made, lambda: self.read(path).replace(b"\r", b"\n")

    def read(self, path: str | Path) -> bytes:
        """What is in the file; nothing while it does not exist."""
        return b"" if self.world.disk.info(path) is None else self.world.disk.read(path)

    def windows(self, session: str = "run-1", mux: object = None) -> list[str]:
        """The ids of its windows."""
        found: list[str] = self.do("list_window_ids", session, mux=mux)
        return found

    def version_line(self) -> str:
        """The first line that the binary prints for `-V`; nothing where it cannot be run."""
        argv = (self.spec.binary or "tmux", "-V")
        server = getattr(self.world, "server", None)
        if self.world.virtual:
            transport = FakeTransport(server) if isinstance(server, FakeServer) else None
            found = b"" if transport is None else transport.run(argv, timeout_s=PATIENCE_S).stdout
        else:
            found = self.world.processes.run(argv, timeout_s=PATIENCE_S).stdout
        return found.decode("utf-8", "backslashreplace").partition("\n")[0]

    def close(self) -> None:
        """End everything that was begun here."""
        self.world.close()


def _captured(operation: str, call: Callable[[], object]) -> Answer:
    value, error = captured(call)
    return Answer(operation, value, error)


def captured(call: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What the call answers, or what it raises; exits and interrupts pass through."""
    try:
        return call(), None
    except Exception as error:
        return None, error
