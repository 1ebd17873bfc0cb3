"""Which failpoints there are, and what can happen at each: the map that a plan is checked against.

Points are not written by hand but derived: from `OPERATIONS`, from the engine's own list of steps, from the verbs of the
multiplexer. `ACTIONS_OF_LAYER` states what each layer can do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from backends.operations import OPERATIONS
from faults.actions import (
    Action,
    Delay,
    Die,
    Empty,
    Exit,
    Hang,
    Jump,
    NoSync,
    Occur,
    OsError,
    Output,
    Pass,
    Raise,
    Signal,
    Suspend,
    Timeout,
    Torn,
    Truncate,
    Undecodable,
)
from faults.errors import FaultPlanError, close_name, nearest_name, shortened
from faults.exceptions import EXCEPTIONS, HOSTILE
from faults.rule import Fault, Places, Term, glob_pattern, is_literal
from faults.verbs import TRANSPORT_VERBS

__all__ = [
    "ACTIONS_OF_LAYER",
    "AGENT_EVENTS",
    "ARGUMENTS_OF_LAYER",
    "DISK_FILES",
    "DISK_OPERATIONS",
    "LAYERS",
    "LIVE_EVENTS",
    "LOSING_LAYERS",
    "PointCatalog",
]

LAYERS = ("mux", "leak", "transport", "disk", "engine", "signal", "clock", "agent", "live")
"""The first part of every point's name, from the seam outwards."""

_CALL_FAILURES = frozenset({Pass, Timeout, OsError, Exit, Output, Empty, Truncate, Undecodable, Delay, Hang, Die})
ACTIONS_OF_LAYER: Mapping[str, frozenset[type[Action]]] = MappingProxyType(
    {
        "mux": _CALL_FAILURES,
        "leak": frozenset({Pass, Timeout, OsError, Hang, Raise}),
        "transport": _CALL_FAILURES,
        "disk": frozenset({Pass, OsError, Torn, NoSync, Die}),
        "engine": frozenset({Pass, Raise, Die}),
        "signal": frozenset({Pass, Signal}),
        "clock": frozenset({Pass, Jump, Suspend}),
        "agent": frozenset({Pass, Occur, Raise}),
        "live": frozenset({Pass, Occur}),
    }
)
"""What can happen at the points of a layer."""

LOSING_LAYERS = frozenset({"mux", "leak", "transport", "disk"})
"""Where something is asked and answered, so that the answer can be lost."""

DISK_OPERATIONS = (
    *("write", "append", "fsync", "replace", "read", "mkdir", "open"),
    *("truncate", "remove", "listdir"),
)
"""Operations of `backends.disk.Disk` that have a point; `open` takes a lock, `remove` includes whole trees."""
_ONLY_ON: Mapping[type[Action], frozenset[str]] = MappingProxyType(
    {Torn: frozenset({"write", "append"}), NoSync: frozenset({"fsync"})}
)
DISK_FILES = ("state", "journal", "crash", "lock", "events", "results", "other")
"""Kinds of files of a run, see `faults.wrappers.disk.file_kind`."""
AGENT_EVENTS = ("die", "stall", "half_result", "flood", "ignore_nudge")
"""What a scripted agent asks about at each of its steps."""
LIVE_EVENTS = (
    *("freeze_server", "kill_server", "stop_server", "unlink_socket", "replace_server"),
    *("freeze_client", "kill_client", "no_binary", "no_ptys", "no_descriptors", "disk_full"),
    *("freeze_agent", "kill_agent", "segv_agent", "term_agent", "hup_agent", "int_agent"),
)
"""What can be done to a real multiplexer server, to its clients, to its host, and to the agents that are at work."""
ARGUMENTS_OF_LAYER: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "transport": frozenset({"argv"}),
        "disk": frozenset({"path"}),
        "clock": frozenset({"seconds"}),
        "agent": frozenset({"task", "attempt"}),
    }
)
"""What a rule may filter by at the points of a layer; at `mux` and `leak` it is the operation's own arguments."""


class PointCatalog:
    """Every failpoint of one setting, and whether a fault can be carried out there."""

    def __init__(
        self,
        engine_steps: Iterable[str] | None = None,
        *,
        agent_events: Iterable[str] = AGENT_EVENTS,
        transport_verbs: Iterable[str] = TRANSPORT_VERBS,
        disk_files: Iterable[str] = DISK_FILES,
        live_events: Iterable[str] = LIVE_EVENTS,
        supports: Collection[str] = frozenset(LAYERS) - {"live"},
        exceptions: Mapping[str, Callable[[], BaseException]] = MappingProxyType({}),
    ) -> None:
        """Know `engine_steps` (`None`: any step is believed), and the layers that the backend at hand `supports`.

        `exceptions` make further exceptions by name, for `raise`: a fresh one each time.
        """
        steps = None if engine_steps is None else tuple(engine_steps)
        self._any_step = steps is None
        self.supports = frozenset(supports)
        self._exceptions = dict(exceptions)
        names = {
            "mux": tuple(OPERATIONS),
            "leak": tuple(OPERATIONS),
            "transport": tuple(transport_verbs),
            "disk": tuple(f"{op}:{kind}" for op in DISK_OPERATIONS for kind in disk_files),
            "engine": steps or (),
            "signal": steps or (),
            "clock": ("tick",),
            "agent": tuple(agent_events),
            "live": tuple(live_events),
        }
        self._points = {layer: tuple(f"{layer}.{name}" for name in names[layer]) for layer in LAYERS}
        here = (point for layer in LAYERS if layer in self.supports for point in self._points[layer])
        # A dictionary keeps the order that it was made in.
        self._here = dict.fromkeys(here)

    def points(self) -> tuple[str, ...]:
        """Every point that can be reached here, layer by layer."""
        return tuple(self._here)

    def matching(self, fault: Fault) -> tuple[str, ...]:
        """The points that `fault` is about; the engine's steps only as far as they are known."""
        full = fault.full_point
        if is_literal(full):
            return (full,) if full in self._here else ()
        pattern = glob_pattern(full)
        return tuple(point for point in self._here if pattern.fullmatch(point))

    def actions_at(self, point: str) -> frozenset[type[Action]]:
        """What can happen at `point`."""
        layer, _, rest = point.partition(".")
        operation = rest.partition(":")[0]
        actions = ACTIONS_OF_LAYER.get(layer, frozenset())
        return frozenset(one for one in actions if operation in _ONLY_ON.get(one, (operation,)))

    @property
    def exceptions(self) -> frozenset[str]:
        """The names of exceptions that `raise` knows."""
        return frozenset(EXCEPTIONS) | frozenset(self._exceptions)

    def exception(self, name: str, message: str) -> BaseException:
        """A fresh exception of that name; those that were given to the catalog choose their own message."""
        own = self._exceptions.get(name)
        return EXCEPTIONS[name](message) if own is None else own()

    def knowing(self, exceptions: Mapping[str, Callable[[], BaseException]]) -> PointCatalog:
        """The same catalog with further exceptions."""
        if not exceptions:
            return self
        more = copy.copy(self)
        more._exceptions = {**self._exceptions, **exceptions}
        return more

    def arguments_at(self, point: str) -> frozenset[str]:
        """The names of arguments that a call at `point` can be filtered by."""
        layer, _, rest = point.partition(".")
        if layer in ("mux", "leak"):
            return frozenset(OPERATIONS[rest].arguments)
        return ARGUMENTS_OF_LAYER.get(layer, frozenset())

    def check(self, fault: Fault, places: Places | None = None) -> None:
        """Refuse a fault that names nothing here, or that cannot be carried out.

        Raises `FaultPlanError`, with the position from `places` where the fault was read from text.
        """
        points = self._points_of(fault, places)
        known = frozenset().union(*map(self.arguments_at, points))
        for name in fault.where:
            if name not in known:
                at = None if places is None else places.where[name]
                message = f"{fault.point} has no argument {shortened(name, 80)!r}"
                raise FaultPlanError(message, at, nearest=nearest_name(name[:80], known))
        for index, term in enumerate(fault.terms):
            at = None if places is None else places.terms[index]
            for point in points:
                self._check_term(point, term, at)

    def _points_of(self, fault: Fault, places: Places | None) -> tuple[str, ...]:
        points = self.matching(fault)
        full = fault.full_point
        layer = full.partition(".")[0]
        if points or (self._any_step and layer in ("engine", "signal") and layer in self.supports):
            return points or (full,)
        at = None if places is None else places.point
        pattern = glob_pattern(full)
        here = self._points["live"] if "live" in self.supports else ()
        if here and any(pattern.fullmatch(f"live.{event}") for event in LIVE_EVENTS):
            raise FaultPlanError(
                f"{shortened(fault.point, 80)} cannot be made to happen here, only {', '.join(here)}", at
            )
        if any(pattern.fullmatch(point) for known in self._points.values() for point in known):
            raise FaultPlanError(f"{shortened(fault.point, 80)}: this backend has no {layer}. points", at)
        raise FaultPlanError(f"unknown point {shortened(fault.point, 80)!r}", at, nearest=self._nearest(fault))

    def _nearest(self, fault: Fault) -> str | None:
        wrong = fault.point[:80]
        if "." not in wrong:
            # A bare name means an operation, and may be meant as a point of another layer.
            named = {point.partition(".")[2]: point for point in reversed(self.points())} | {
                one: one for one in OPERATIONS
            }
            near = nearest_name(wrong, named)
            return None if near is None else named[near]
        return nearest_name(wrong, self._points.get(wrong.partition(".")[0]) or self.points())

    def _check_term(self, point: str, term: Term, at: int | None) -> None:
        layer = point.partition(".")[0]
        can = self.actions_at(point)
        if type(term.action) not in can:
            names = sorted(one.keyword for one in can)
            keyword = term.action.keyword
            message = f"{keyword!r} cannot happen at {point}, only {', '.join(names)}"
            raise FaultPlanError(message, at, nearest=self._where_else(point, term) or nearest_name(keyword, names))
        if term.lost and layer not in LOSING_LAYERS:
            raise FaultPlanError(f"lost: nothing is answered at {point}", at)
        if isinstance(term.action, Raise) and term.action.exception not in self.exceptions:
            name = term.action.exception
            near = close_name(name, self.exceptions)
            own = ", ".join(sorted({*HOSTILE, *self._exceptions}))
            known = "" if near else f"; known are Python's, as ValueError, the seam's, as TransportTimeout, and {own}"
            raise FaultPlanError(f"unknown exception {name!r}{known}", at, nearest=near)

    def _where_else(self, point: str, term: Term) -> str | None:
        """The point of the same name in a layer where that can happen."""
        name = point.partition(".")[2]
        others = [f"{layer}.{name}" for layer in LAYERS if type(term.action) in ACTIONS_OF_LAYER[layer]]
        return next((other for other in others if other in self.points()), None)
