"""A broken backend for every check of the conformance kit: it makes the one mistake that the check is for.

Those of `tests/broken/` come first; what they leave is made here, each of a healthy backend and the operations that are wrong.
"""

from __future__ import annotations

import functools
import itertools
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import broken_backends as broken

from backends.base import TerminalMultiplexer
from backends.errors import CommandRejected, MultiplexerError, TransportError, TransportTimeout
from backends.fake import FakeMultiplexer
from backends.tmux import TmuxMultiplexer
from harness.conformance.spec import BackendSpec

__all__ = ["ELSEWHERE", "TWINS", "Duck", "spec_of_twin"]

Kind = type[TerminalMultiplexer]
Wrong = Callable[..., object]
"""An operation that is wrong: it is given the backend, the operation as it should be, and the arguments."""


@dataclass(frozen=True)
class Duck:
    """A backend that inherits nothing, and lacks one operation."""

    inner: FakeMultiplexer
    without: str

    def __getattr__(self, name: str) -> Any:
        if name == self.without or name in ("hook", "capabilities"):
            raise AttributeError(name)
        return getattr(self.inner, name)


def wrong(base: Kind = FakeMultiplexer, /, *, guarded: bool = True, **operations: Wrong) -> Kind:
    """`base` with these operations instead of its own; those that are not `guarded` stand above the guard."""

    def method(name: str, body: Wrong) -> Callable[..., object]:
        honest = getattr(base, name)

        @functools.wraps(honest)
        def operation(self: Any, *args: Any, **kwargs: Any) -> object:
            return body(self, functools.partial(honest, self), *args, **kwargs)

        if not guarded:
            operation.__seam_operation__ = honest.__seam_operation__  # type: ignore[attr-defined]  # as if it were guarded
        else:
            operation.__dict__.pop("__seam_operation__", None)
        return operation

    body = {name: method(name, changed) for name, changed in operations.items()}
    made: Kind = types.new_class("Twin", (base,), {"guarded": guarded}, lambda space: space.update(body))
    return made


def above(base: Kind = FakeMultiplexer, /, **operations: Wrong) -> Kind:
    """`base` with these operations, above its guard."""
    return wrong(base, guarded=False, **operations)


def _invents_an_id(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    try:
        return honest(*args, **kwargs)
    except TransportError:
        return "@0"


def _none_for_nothing(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    return honest(*args, **kwargs) or None


def _yes(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    return True


def _does_nothing(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    return None


def _raw_for_nul(mux: Any, honest: Wrong, name: str) -> object:
    if "\0" in name:
        raise ValueError("embedded null byte")
    return honest(name)


def _tells_secrets(mux: Any, honest: Wrong, session: str, name: str, cwd: Any, env: Any, command: str) -> object:
    try:
        return honest(session, name, cwd, env, command)
    except MultiplexerError as error:
        raise CommandRejected(f"could not run {command} with {dict(env)}") from error


def _takes_duplicates(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    try:
        return honest(*args, **kwargs)
    except CommandRejected:
        return None


def _by_listing(mux: Any, honest: Wrong, session: str, window_id: str) -> object:
    return window_id in mux.list_window_ids(session)


def _never_parked(mux: Any, honest: Wrong, session: str, name: str, cwd: Any, argv: Any, return_opt: str) -> object:
    return FakeMultiplexer.new_window(mux, session, name, cwd, {}, "true")


def _first_pids(mux: Any, honest: Wrong, target: str) -> object:
    return honest(mux.list_window_ids("run-1")[0])


def _another_each_time(mux: Any, honest: Wrong) -> object:
    found: Any = honest()
    return type(found)(found.pid, found.started + next(_COUNTER))


_COUNTER = itertools.count()


def _all_are_alive(mux: Any, honest: Wrong, session: str) -> object:
    return frozenset(mux.list_window_ids(session))


def _renames(mux: Any, honest: Wrong, name: str, cwd: Any, **kwargs: Any) -> object:
    return honest(re.sub(r"[^A-Za-z0-9_-]", "_", name).lstrip("-_")[:64] or "unnamed", cwd, **kwargs)


def _targets_by_prefix(mux: Any, honest: Wrong, session: str, window: str | None = None) -> object:
    return honest(session, None if window is None else f"{window}-2")


def types_instead(change: Callable[[str], str]) -> Kind:
    """Types something else than what it was given, without being told by the guard that it cannot be typed."""

    def send(mux: Any, honest: Wrong, window_id: str, text: str) -> object:
        return honest(window_id, change(text))

    return above(send_text=send)


def _shows_the_environment(
    mux: Any, honest: Wrong, session: str, name: str, cwd: Any, env: Any, command: str
) -> object:
    mux._run("show-options", "-g", *(f"{key}={value}" for key, value in env.items()))
    return honest(session, name, cwd, env, command)


def _runs_anywhere(mux: Any, honest: Wrong, session: str, name: str, cwd: Any, env: Any, command: str) -> object:
    return honest(session, name, "/" if str(cwd) in mux.server.missing_dirs else cwd, env, command)


def _tries_again(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    try:
        return honest(*args, **kwargs)
    except TransportTimeout:
        return honest(*args, **kwargs)


def _gives_up_for_good(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    try:
        return False if getattr(mux, "gave_up", False) else honest(*args, **kwargs)
    except TransportTimeout:
        mux.gave_up = True
        raise


def _remembers_yes(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    return True


def _only_once(mux: Any, honest: Wrong, *args: Any, **kwargs: Any) -> object:
    if getattr(mux, "began", False):
        raise CommandRejected("a session was begun already")
    mux.began = True
    return honest(*args, **kwargs)


_FAKE, _TMUX = FakeMultiplexer, TmuxMultiplexer
_DEATH = broken.TakesSilenceForDeath
_INVENTS, _INVENTS_ON_TMUX = above(new_window=_invents_an_id), above(_TMUX, new_window=_invents_an_id)
_NO_SENTINEL, _NO_SENTINEL_ON_TMUX = (
    above(list_sessions=_none_for_nothing),
    above(_TMUX, list_sessions=_none_for_nothing),
)
_AVAILABLE, _AVAILABLE_ON_TMUX = above(available=_yes), above(_TMUX, available=_yes)

TWINS: Mapping[str, Kind | str] = types.MappingProxyType(
    {
        "SEAM-SHAPE-001": "window_alive",
        "SEAM-SHAPE-002": type("Twin", (_FAKE,), {"has_session": lambda self: True}),
        "SEAM-SHAPE-003": _NO_SENTINEL,
        "SEAM-SHAPE-004": above(attach_target_argv=_does_nothing),
        "SEAM-PROBE-001": broken.LeaksTimeouts,
        "SEAM-PROBE-002": broken.LeaksOsErrors,
        "SEAM-PROBE-003": broken.TakesAnyFailureForDeath,
        "SEAM-PROBE-004": broken.LeaksDecodingErrors,
        "SEAM-PROBE-005": broken.AnswersNothing,
        **{f"SEAM-CHANGE-00{n}": _INVENTS for n in (1, 2, 4, 5)},
        "SEAM-CHANGE-003": _INVENTS_ON_TMUX,
        "SEAM-CHANGE-006": broken.RetriesTimedOutChanges,
        "SEAM-CHANGE-007": broken.SwallowsFailedKills,
        **{f"SEAM-COURTESY-00{n}": _NO_SENTINEL for n in (1, 2, 4, 5)},
        "SEAM-COURTESY-003": _NO_SENTINEL_ON_TMUX,
        **{f"SEAM-LOCAL-00{n}": _AVAILABLE for n in (1, 2, 4, 5)},
        "SEAM-LOCAL-003": _AVAILABLE_ON_TMUX,
        "SEAM-ARGS-001": above(has_session=_raw_for_nul),
        "SEAM-SECRET-001": above(new_window=_tells_secrets),
        "SEAM-LIFE-001": wrong(new_session=_takes_duplicates),
        "SEAM-LIFE-002": broken.LosesTheId,
        "SEAM-LIFE-003": wrong(has_session=_yes),
        "SEAM-LIFE-004": wrong(unset_window_option=_does_nothing),
        "SEAM-LIFE-005": wrong(pipe_pane=_does_nothing),
        "SEAM-LIFE-006": wrong(select_window=_does_nothing),
        "SEAM-LIFE-007": wrong(window_alive=_by_listing),
        "SEAM-LIFE-008": wrong(window_exit=_does_nothing),
        "SEAM-LIFE-009": wrong(new_parked_window=_never_parked),
        "SEAM-LIFE-010": wrong(window_pids=_first_pids),
        "SEAM-LIFE-011": wrong(server_identity=_another_each_time),
        "SEAM-LIFE-012": wrong(batch_liveness=_all_are_alive),
        "SEAM-SELF-001": broken.CallsItselfPsmux,
        "SEAM-KILL-001": wrong(kill_window=_does_nothing),
        "SEAM-KILL-002": broken.OnlySaysItKills,
        "SEAM-TARGET-001": broken.MatchesPrefixes,
        "SEAM-TARGET-002": broken.MatchesPrefixes,
        "SEAM-TARGET-003": wrong(target=_targets_by_prefix),
        "SEAM-NAME-001": above(new_session=_renames),
        "SEAM-TEXT-001": broken.TypesTwice,
        "SEAM-TEXT-002": types_instead(lambda text: text.removesuffix(";")),
        "SEAM-TEXT-003": types_instead(lambda text: text.removeprefix("-t ")),
        "SEAM-TEXT-004": types_instead(lambda text: text.replace("\n", " ")),
        "SEAM-TEXT-005": types_instead(lambda text: text.encode("ascii", "replace").decode()),
        "SEAM-TEXT-006": types_instead(lambda text: text[:4096]),
        "SEAM-TEXT-007": types_instead(lambda text: text.replace("#{pid}", "4242")),
        "SEAM-TEXT-008": types_instead(lambda text: re.sub(r"[\x00-\x1f\x7f]", "", text)),
        "SEAM-ENV-001": broken.LosesTheEnvironment,
        "SEAM-ENV-002": wrong(_TMUX, new_window=_shows_the_environment),
        "SEAM-CWD-001": broken.DropsTheSemicolon,
        "SEAM-CWD-002": wrong(new_window=_runs_anywhere),
        "SEAM-FROZEN-001": _DEATH,
        "SEAM-FROZEN-002": _NO_SENTINEL,
        "SEAM-FROZEN-003": broken.RetriesTimedOutChanges,
        "SEAM-FROZEN-004": above(window_alive=_gives_up_for_good, has_session=_gives_up_for_good),
        "SEAM-DEAD-001": above(window_alive=_remembers_yes),
        "SEAM-DEAD-002": wrong(new_session=_only_once),
        "SEAM-LOST-001": broken.RetriesTimedOutChanges,
        "SEAM-LOST-002": above(send_text=_tries_again),
        "SEAM-ENGINE-001": broken.LosesTheEnvironment,
        "SEAM-ENGINE-002": broken.TypesNothing,
        "SEAM-ENGINE-003": broken.LeaksRawErrors,
    }
)
"""By the id of the check: the broken backend, or the operation that a backend which inherits nothing lacks."""

ELSEWHERE: Mapping[str, str] = types.MappingProxyType(
    {
        "SEAM-DEAD-003": "only a real socket can be unlinked: test_conformance_live.py",
        "SEAM-DEAD-004": "only a real server can be replaced: test_conformance_live.py",
    }
)
"""Checks whose broken backend needs a real server, and where it is."""


def spec_of_twin(twin: Kind | str) -> BackendSpec:
    """The broken backend on a simulated host, as the kit is given it."""
    if isinstance(twin, str):
        return BackendSpec(
            lambda server: Duck(FakeMultiplexer(server), twin), MultiplexerError, name="duck", binary=None
        )
    return BackendSpec(twin, name=twin.__name__, binary=None, world=lambda: broken.world_with(twin)(0))
