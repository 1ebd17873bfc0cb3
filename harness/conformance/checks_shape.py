"""L0: the backend has the shape of the contract. Nothing is asked of a multiplexer but whether it is there."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from backends.operations import OPERATIONS, Kind
from harness.conformance.bench import Bench, CannotCheck
from harness.conformance.listing import Listing
from harness.conformance.places import ForeignWorld
from harness.conformance.results import Level
from harness.conformance.safety import ClientsEnding, muted

__all__ = ["SHAPE"]

SHAPE = Listing(Level.L0, shared=True)

_NO_SERVER = b"no server running on /nowhere/default\n"
"""What a client says then; tmux-facts.md."""

_ASKING = frozenset(
    {"list_sessions", "session_options", "list_windows", "show_window_option", "version"}
    | {"current_pane_id", "current_window_id", "current_session"}
)
"""Courtesies that change nothing, whichever server answers them."""


@SHAPE.check(
    "SEAM-SHAPE-001",
    "every operation is there",
    expected="all 26 operations of the contract, callable, none of them a coroutine",
    why="an engine finds out about a missing operation in the middle of a run",
    source="contract.md, table of operations",
)
def every_operation(bench: Bench) -> Iterator[str]:
    """Missing operations, and what is there under their names and is none."""
    for name, operation in OPERATIONS.items():
        found = getattr(bench.mux, name, None)
        if found is None:
            if not operation.optional:
                yield f"{name} is missing"
        elif not callable(found):
            yield f"{name} is a {type(found).__name__}, not something to call"
        elif inspect.iscoroutinefunction(found):
            yield f"{name} is a coroutine; the seam is synchronous"


@SHAPE.check(
    "SEAM-SHAPE-002",
    "signatures are those of the contract",
    expected="every operation takes the contract's arguments by position and by name, sizes and flags left out",
    why="backends plug in unchanged only if they are called alike",
    source="contract.md, table of operations",
)
def signatures(bench: Bench) -> Iterator[str]:
    """Operations that cannot be called as the contract says."""
    for name, operation in OPERATIONS.items():
        found = getattr(bench.mux, name, None)
        if not callable(found):
            continue
        try:
            signature = inspect.signature(found)
        except (TypeError, ValueError):
            continue
        whole = {argument: operation.sample.get(argument) for argument in operation.arguments}
        for how, args, kwargs in (
            ("by position", tuple(whole.values()), {}),
            ("by name", (), whole),
            ("with the rest left out", (), dict(operation.sample)),
        ):
            try:
                signature.bind(*args, **kwargs)
            except TypeError as wrong:
                yield f"{name}{signature} cannot be called {how}: {wrong}"
                break


@SHAPE.check(
    "SEAM-SHAPE-003",
    "courtesies answer in the declared type where there is no server",
    expected="each courtesy answers something of its declared type, or its sentinel, before any server was started",
    why="the caller of a courtesy is promised that it need not handle errors",
    source="contract.md, column `when nobody answers`",
)
def sentinels(bench: Bench) -> Iterator[str]:
    """Courtesies that raise, or answer something of another type, where there is nobody to ask."""
    with _where_no_server_is(bench) as (mux, names):
        for name in names:
            operation = OPERATIONS[name]
            if operation.kind is not Kind.COURTESY or not callable(getattr(mux, name, None)):
                continue
            answer = bench.attempt(mux, name, **operation.sample)
            if answer.late or answer.error is not None or not operation.answers(answer.value):
                yield f"{answer}, where {operation.due} was due"


@contextmanager
def _where_no_server_is(bench: Bench) -> Iterator[tuple[Any, Iterable[str]]]:
    """A backend that finds no server, and what is asked of it: questions only, where its server may be somebody's."""
    if not isinstance(bench.world, ForeignWorld):
        yield bench.mux, OPERATIONS
        return
    with ExitStack() as ending:
        try:
            mux = ending.enter_context(muted(bench, lambda inner: ClientsEnding(1, _NO_SERVER), 1, _NO_SERVER))
        except CannotCheck:
            yield bench.mux, sorted(_ASKING)
        else:
            yield mux, OPERATIONS


@SHAPE.check(
    "SEAM-SHAPE-004",
    "targets and attach commands are made without asking anybody",
    expected="attach_target_argv, and target where there is one, answer before any server was started",
    why="they are shown to people who cannot wait for a server",
    source="contract.md, local operations",
)
def local_operations(bench: Bench) -> Iterator[str]:
    """Local operations that need somebody to answer them."""
    for name in ("attach_target_argv", "target", "available"):
        operation = OPERATIONS[name]
        if not callable(getattr(bench.mux, name, None)):
            continue
        answer = bench.attempt(bench.mux, name, **operation.sample)
        if answer.late or answer.error is not None or not operation.answers(answer.value):
            yield f"{answer}, where {operation.due} was due"
