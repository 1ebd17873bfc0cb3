"""Changes that come late: the server stops as it is asked for one, and goes on when it is told to, or once nobody waits.

A case is drawn from a number, so that it can be told again. It is judged by every oracle, by what a resume makes of it, and by
what became of each window: no agent is started twice, none is left that nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.base import TerminalMultiplexer
from backends.fake import FakeMultiplexer
from backends.processes import Completed
from backends.transport import Transport, disconnect
from faults.verbs import verb_of
from harness.agents import ScriptedAgent, TaskStory, stops, task, works, writes_result
from harness.engine.windows import Windows
from harness.oracles import resumable, violations
from harness.record import RunStatus
from harness.report import Report
from harness.runner import Stage
from harness.world import FakeWorld, LiveTmuxWorld, SimulatedTmuxWorld, World, Wrap

__all__ = ["CHANGES", "LATE_WORLDS", "Late", "LateLiveTmux", "Told", "late", "tell", "unaccounted"]

CHANGES: Mapping[str, tuple[str, ...]] = {
    "new_window": ("source-file",),
    "send_text": ("load-buffer", "send-keys"),
    "kill_window": ("kill-window",),
    "kill_session": ("kill-session",),
    "new_session": ("start-server", "new-session"),
}
"""The operations that come late, with the first verbs of the clients that carry them."""

_POINTS = (
    *(("new_window", 1), ("new_window", 2), ("new_window", 3), ("send_text", 1), ("send_text", 2)),
    *(("kill_window", 1), ("kill_window", 2), ("kill_session", 1), ("new_session", 1)),
)
"""Every call of these that the story of a case makes, whatever else goes wrong."""

_CALL_S = 5.0
_POLL_S = 1.0
_SESSION_S = 24.0
_ENDLESS = works(1000).ignoring_signals("SIGTERM", "SIGHUP")
_ANSWERS = writes_result().then_stops().then_idles()
_RESUMES = 5
_OTHERS = "theirs"
"""A session of somebody else's on the same server."""

_GOLDEN = 0.6180339887498949
_SPREAD = 2654435761
"""Multiples of these are spread evenly, whichever numbers they are of."""


@dataclass(frozen=True, slots=True)
class Late:
    """One case: the `nth` time that `operation` is asked for, the server stops; it goes on `thaw_s` seconds later.

    `None` is when the run has ended. Of the calls that `faults` names the answers are lost besides.
    """

    operation: str
    nth: int
    thaw_s: float | None
    faults: str = ""

    def __str__(self) -> str:
        when = "after the run" if self.thaw_s is None else f"{self.thaw_s:.2f} s later"
        return f"{self.operation} #{self.nth} goes on {when}; faults: {self.faults or 'none'}"


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a case: what is wrong with it (also that it did not happen), and the reports of the run and its resumes."""

    problems: tuple[str, ...]
    reports: tuple[Report, ...]

    def explain(self) -> str:
        """Everything there is to know about it."""
        return "\n\n".join([*self.problems, *(report.explain() for report in self.reports)])


def late(number: int) -> Late:
    """The case of that number, the same one each time; any 36 in a row are every change at every moment."""
    rest, point = divmod(number, len(_POINTS))
    share = number * _GOLDEN % 1
    # In time; while the launch is looked for; at any time of a session; when nobody waits any more.
    moments = (share * _CALL_S, _CALL_S + share * 4 * _POLL_S, _CALL_S + share * _SESSION_S, None)
    return Late(*_POINTS[point], moments[rest % len(moments)], _lost(number * _SPREAD % 2**32 >> 8))


def _lost(number: int) -> str:
    """For half of the numbers one or two calls whose answers are lost."""
    number, wanted = divmod(number, 4)
    found = {}
    for _ in range(max(0, wanted - 1)):
        number, operation = divmod(number, len(CHANGES))
        number, calls = divmod(number, 3)
        found[tuple(CHANGES)[operation]] = calls
    return "; ".join(f"{name}={f'{n}*pass->' if n else ''}1*lost:timeout({_CALL_S:g})" for name, n in found.items())


def tell(case: Late, world: World, **options: Any) -> Told:
    """Let the case happen in a world of `LATE_WORLDS`, resume what it comes to until that is finished, and judge it.

    `options` are those of `Stage.run`, for every run.
    """
    assert isinstance(world, _Stopping)
    stage = Stage(world, seed=world.seed)
    world.multiplexer().new_session(_OTHERS, world.project)
    world.stop_at(case)
    limits = {"call_timeout_s": _CALL_S, "session_timeout_s": _SESSION_S, "poll_s": _POLL_S}
    plan = stage.plan(*_tasks(), **limits, stop_grace_s=2, result_grace_s=3)
    report = stage.run(plan, faults=case.faults, verify=False, strict=False, **options)
    problems = violations(report, strict=False)
    while report.status is not RunStatus.FINISHED and not problems:
        if len(stage.reports) > _RESUMES:
            problems.append(f"the run was not finished by {_RESUMES} resumes")
            break
        before, report = report, stage.resume(faults="", verify=False, strict=False, **options)
        problems += [*violations(report, strict=False), *resumable(before, report)]
    world.live.undo()
    problems += [] if world.stopped else ["the server never stopped"]
    problems += unaccounted(stage, report)
    return Told(tuple(problems), tuple(stage.reports))


def _tasks() -> Sequence[TaskStory]:
    """An attempt that has to be ended before the next one may begin; a session that has to be asked for its result."""
    return (
        task("1-1", agent=ScriptedAgent.attempts(_ENDLESS, works(2).then_completes())),
        task("1-2", agent=works(2).then_stops().then_idles().on_nudge(stops().then_idles()).on_nudge(_ANSWERS)),
    )


def unaccounted(stage: Stage, report: Report) -> Iterator[str]:
    """Windows of which nobody can say what became of them, when the server has answered everything."""
    starts = Counter(entry["token"] for entry in report.ledger if entry["what"] == "start")
    state = report.state
    if state is None:
        yield "no state can be read"
        return
    launched = {attempt.token for one in state.tasks for attempt in one.attempts}
    yield from (f"launch {token[:8]} was started {count} times" for token, count in starts.items() if count > 1)
    yield from (f"nobody launched {token[:8]}" for token in starts.keys() - launched)
    if state.teardown != "torn-down":
        # The run says that it does not know; `seamripper cleanup` ends what there is, and then it has to be known.
        world = stage.world
        Windows(world.multiplexer(), state.mux_session or "", state.run_id, world.project).kill_session()
    yield from (f"left behind: {leftover}" for leftover in stage.leftovers() or ())
    if stage.leftovers() is None:
        yield "the multiplexer does not say what is left"
    if not stage.world.multiplexer().has_session(_OTHERS):
        yield "a session of somebody else's was ended"


class _Stopping(World):
    """A world whose server stops as it is asked for what a case says."""

    _case: Late | None = None
    _calls = 0

    def stop_at(self, case: Late) -> None:
        """Let that case happen, once."""
        self._case, self._calls = case, 0

    @property
    def stopped(self) -> bool:
        """Whether the case has happened."""
        return self._case is not None and self._calls >= self._case.nth

    def reached(self, operation: str | None) -> None:
        """The server is about to be asked for that."""
        case = self._case
        if case is None or operation != case.operation:
            return
        self._calls += 1
        if self._calls == case.nth:
            self.live.happen("freeze_server", case.thaw_s)


class _LateMultiplexer(FakeMultiplexer):
    """Says what it is asked for before it asks."""

    late: LateFake

    def _ask(self, effect: Any) -> Any:
        call = self.seam.current
        self.late.reached(None if call is None else call.operation.name)
        return super()._ask(effect)


class LateFake(_Stopping, FakeWorld):
    """The fake multiplexer, which has no fence."""

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`."""
        made = _LateMultiplexer(self.server, call_timeout_s=call_timeout_s)
        made.late = self
        return made


class _LateTransport:
    """Around a transport: says what the server is asked for."""

    def __init__(self, inner: Transport, world: _Stopping) -> None:
        self._inner = inner
        self._world = world

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        verb, _ = verb_of(argv)
        self._world.reached(next((name for name, verbs in CHANGES.items() if verb in verbs), None))
        return self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)

    def abandon(self) -> None:
        """See `Transport.abandon`."""
        self._inner.abandon()

    def take_up(self) -> None:
        """See `Transport.take_up`."""
        self._inner.take_up()

    def close(self) -> None:
        """See `Connection.close`."""
        disconnect(self._inner)


class _LateTmux(_Stopping):
    def around(self, wrap: Wrap | None) -> Wrap:
        """`wrap` with what says what the server is asked for inside of it."""

        def wrapped(inner: Transport) -> Transport:
            late = _LateTransport(inner, self)
            return late if wrap is None else wrap(late)

        return wrapped


class LateSimulatedTmux(_LateTmux, SimulatedTmuxWorld):
    """The real tmux backend and its fence, on a simulated tmux."""

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`."""
        return super().multiplexer(self.around(wrap), call_timeout_s)


class LateLiveTmux(_LateTmux, LiveTmuxWorld):
    """A real tmux."""

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`."""
        return super().multiplexer(self.around(wrap), call_timeout_s)


LATE_WORLDS: tuple[type[_Stopping], ...] = (LateFake, LateSimulatedTmux)
"""The worlds in which cases are cheap."""
