"""Whether it is safe to try things on a backend that nothing is known of: each proof is one call that harms nobody.

A call that was meant for a misbehaving client and reaches a real one would open and kill things in the author's own server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from backends.processes import Completed
from backends.transport import Transport
from harness.conformance.bench import Bench, CannotCheck, captured
from harness.conformance.outside import ending, replaced, starts
from harness.conformance.places import ForeignWorld, world_for

__all__ = ["ClientsEnding", "made_amid", "muted", "require_reached", "without_private_server"]

_SAID = b"lost server\n"
"""What a client says that says nothing about anything; tmux-facts.md."""


def require_reached(bench: Bench) -> None:
    """Raise `CannotCheck` unless what is put in the way of a backend is what its calls reach; asked once for each bench.

    A backend that has a kind of host of its own is made by that, which puts everything in its way.
    """
    world = bench.world
    if bench.spec.world is not None or not isinstance(world, ForeignWorld):
        return
    if _WAYS not in bench.kept:
        bench.kept[_WAYS] = (
            (_reaches_transport(bench), False)
            if bench.has_transport
            else (_reaches_path(bench, world, early=False), _reaches_path(bench, world, early=True))
        )
    if not any(bench.kept[_WAYS]):
        raise CannotCheck(_advice(bench))


_WAYS = "reached"
"""Keeps, of a bench, whether a backend that is made after something was put in its way reaches that, and one made before."""


def made_amid(bench: Bench, before: Any) -> Any:
    """A backend that reaches what stands on PATH now, after `require_reached`: a new one, or else the one made `before`."""
    late, early = bench.kept[_WAYS]
    made = captured(bench.make)[0] if late else None
    if made is None and not early:
        raise CannotCheck(
            f"it cannot be made while its {bench.spec.binary} fails, and keeps the file that it found when it was made:"
            f" look for `{bench.spec.binary}` at each call, or take a parameter `transport`"
        )
    return before if made is None else made


def _advice(bench: Bench) -> str:
    if bench.has_transport:
        return (
            "its factory has a parameter `transport`, and has_session went past it: nothing was tried, because it would have"
            " reached a real server. Run every client by `transport.run(argv, stdin=..., timeout_s=...)`"
        )
    return (
        f"has_session did not run the {bench.spec.binary} that is first on PATH: nothing was tried, because it would have"
        f" reached a real server. Run `{bench.spec.binary}` by its bare name, or take a parameter `transport` and run"
        " every client by it"
    )


def _unheard_of(bench: Bench) -> str:
    return f"seamripper-{bench.world.entropy.token()}"


def _reaches_transport(bench: Bench) -> bool:
    made: list[ClientsEnding] = []

    def wrap(inner: Transport) -> Transport:
        made.append(ClientsEnding(1, _SAID))
        return made[-1]

    mux = bench.make(wrap=wrap)
    before = sum(one.asked for one in made)
    bench.attempt(mux, "has_session", _unheard_of(bench))
    return sum(one.asked for one in made) > before


class ClientsEnding:
    """A transport whose clients all end with that status, and say that."""

    def __init__(self, status: int, stderr: bytes) -> None:
        self._ends = (status, b"", stderr)
        self.asked = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        self.asked += 1
        return Completed(tuple(argv), *self._ends)

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""


def _reaches_path(bench: Bench, world: ForeignWorld, *, early: bool) -> bool:
    if bench.spec.binary is None:
        return False
    made = bench.make() if early else None
    with replaced(world, bench.spec.binary, lambda log: ending(log, 1, stderr=_SAID)) as log:
        mux = made or captured(bench.make)[0]
        before = starts(world, log)
        bench.attempt(mux, "has_session", _unheard_of(bench))
        return starts(world, log) > before


@contextmanager
def muted(bench: Bench, wrap: Callable[[Transport], Transport], status: int, stderr: bytes = b"") -> Iterator[Any]:
    """Within, a backend no call of which reaches a server: its transport is `wrap`ped, or its binary ends with `status`.

    Raises `CannotCheck` where neither is so.
    """
    require_reached(bench)
    world, binary = bench.world, bench.spec.binary
    if not isinstance(world, ForeignWorld) or bench.has_transport:
        yield bench.make(wrap=wrap)
        return
    before = bench.make()
    assert binary is not None
    with replaced(world, binary, lambda log: ending(log, status, stderr=stderr)):
        yield made_amid(bench, before)


def without_private_server(bench: Bench) -> str:
    """Why nothing may be begun on a real server, if a session of a name that nobody has is begun in somebody's own.

    Nothing where it is begun in the private directory, and where that cannot be seen. Asked once for each bench.
    """
    if "private" not in bench.kept:
        bench.kept["private"] = _looked_for_server(bench)
    found: str = bench.kept["private"]
    return found


def _looked_for_server(bench: Bench) -> str:
    if not isinstance(bench.world, ForeignWorld) or not bench.runs_tmux:
        return ""
    world = world_for(bench.spec)()
    assert isinstance(world, ForeignWorld)
    try:
        made = world.multiplexer()
        name = _unheard_of(bench)
        begun = bench.attempt(made, "new_session", name, str(world.project))
        private = bool(world.sockets())
        bench.attempt(made, "kill_session", name)
    finally:
        world.close()
    if private or begun.error is not None or begun.late:
        return ""
    return (
        "its server is not in the private directory that TMUX_TMPDIR and `socket_dir` name, so it may be your own: a session"
        f" {name} was begun there and ended again, and nothing else was tried. Take a parameter `socket_dir`, or leave the"
        " choice of the server to TMUX_TMPDIR"
    )
