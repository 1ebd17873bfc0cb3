"""Below the guard: raw failures inside a backend come out as its contract declares."""

from __future__ import annotations

import contextlib
import subprocess
import traceback

import pytest
from faulty_setting import SESSION, call_sample, planned

from backends.clock import ScaledClock
from backends.errors import (
    MultiplexerError,
    TransportError,
    TransportGarbled,
    TransportTimeout,
    TransportUnavailable,
)
from backends.fake import FakeMultiplexer
from backends.operations import OPERATIONS
from faults import FaultPlan, Injector, SimulatedDeath

RAW: dict[str, type[MultiplexerError]] = {
    "timeout": TransportTimeout,
    "timeout(0.5)": TransportTimeout,
    "hang": TransportTimeout,
    "delay(1000)": TransportTimeout,
    "lost:timeout(3)": TransportTimeout,
    "oserror(ETIMEDOUT)": TransportTimeout,
    "oserror(ENOENT)": TransportUnavailable,
    "oserror(EACCES)": TransportUnavailable,
    "oserror(EAGAIN)": TransportUnavailable,
    "oserror(EMFILE)": TransportUnavailable,
    "oserror(ENOMEM)": TransportUnavailable,
    "oserror(EPIPE)": TransportUnavailable,
    "oserror(ECONNREFUSED)": TransportUnavailable,
    "lost:oserror(EIO)": TransportUnavailable,
    'exit(1, "lost server")': TransportUnavailable,
    'exit(-9, "")': TransportUnavailable,
    "undecodable": TransportGarbled,
}
"""What each raw failure means at the seam; contract.md, rule 1."""


@pytest.mark.parametrize("action", RAW)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_raw_failure_below_the_guard_gives_the_declared_outcome(name: str, action: str) -> None:
    """Every operation, every failure: its error, or its sentinel with the error shown to the observers."""
    setting = planned(f"{name}=1*{action}")
    seen: list[BaseException | None] = []
    setting.mux.observe(lambda call: seen.append(call.error))
    operation = OPERATIONS[name]

    if operation.raises:
        with pytest.raises(RAW[action]):
            call_sample(setting.mux, name)
    else:
        assert call_sample(setting.mux, name) == operation.sentinel()

    assert [type(error) for error in seen] == [RAW[action]]
    assert setting.injector.unfired() == []


@pytest.mark.parametrize("action", ["empty", 'output("")', 'output("nonsense")', "truncate(0)"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_lying_answer_is_an_answer_of_the_right_form_or_garbled(name: str, action: str) -> None:
    """What the guard cannot tell from an answer passes; anything else is unknown."""
    setting = planned(f"{name}=1*{action}")
    operation = OPERATIONS[name]

    try:
        answer = call_sample(setting.mux, name)
    except TransportGarbled:
        assert operation.raises
    else:
        assert operation.answers(answer)


@pytest.mark.parametrize(
    ("rule", "spent_s"),
    [
        ("has_session=1*timeout(2)", 2.0),
        ("has_session=1*timeout(30)", 5.0),
        ("has_session=1*timeout", 5.0),
        ("has_session=1*hang", 5.0),
        ("has_session=1*delay(2)", 2.0),
        ("has_session=1*delay(60)", 5.0),
        ("has_session=1*oserror(EIO)", 0.0),
    ],
)
def test_a_simulated_wait_spends_its_time_up_to_the_deadline(rule: str, spent_s: float) -> None:
    """The clock moves as if the multiplexer had really been silent."""
    setting = planned(rule)

    with contextlib.suppress(TransportError):
        setting.mux.has_session(SESSION)

    assert setting.clock.monotonic() == spent_s


def test_a_budget_shortens_a_simulated_wait() -> None:
    """A hang lasts no longer than what the caller has left."""
    setting = planned("has_session=1*hang")

    with setting.mux.budget(1.5), pytest.raises(TransportTimeout):
        setting.mux.has_session(SESSION)

    assert setting.clock.monotonic() == 1.5


class CountingScaledClock(ScaledClock):
    """A clock that is not virtual, and says when somebody wants to wait on it."""

    def __init__(self) -> None:
        super().__init__(1000.0)
        self.waited_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note it and go on."""
        self.waited_s.append(seconds)


@pytest.mark.parametrize(("real_time", "waits"), [(False, 0), (True, 1)])
def test_on_a_live_clock_a_timeout_costs_time_only_when_asked_to(real_time: bool, waits: int) -> None:
    """A live suite is not held up by thirty simulated seconds."""
    clock = CountingScaledClock()
    injector = Injector(FaultPlan.parse("has_session=1*timeout(30)"), clock=clock, real_time=real_time)
    mux = FakeMultiplexer()
    injector.attach(mux)

    with pytest.raises(TransportTimeout):
        mux.has_session(SESSION)

    assert len(clock.waited_s) == waits


def test_a_lost_answer_comes_after_the_effect() -> None:
    """The window is there, though the caller was told that nobody answered."""
    setting = planned("new_window=1*lost:timeout(30)->1*timeout(30)")

    for name in ("first", "second"):
        with pytest.raises(TransportTimeout):
            setting.mux.new_window(SESSION, name, "/", {}, "sleep 60")

    windows = setting.mux.list_windows(SESSION, ["window_name"])
    assert ("first",) in windows
    assert ("second",) not in windows


def test_an_output_is_an_answer_of_one_text_or_of_lines() -> None:
    """A lie can name a window that does not exist."""
    setting = planned('list_window_ids=1*output("@7\\n@8");new_window=1*output("@9")')

    assert setting.mux.list_window_ids(SESSION) == ["@7", "@8"]
    assert setting.mux.new_window(SESSION, "x", "/", {}, "true") == "@9"


def test_an_output_of_nothing_is_no_list() -> None:
    """Exit 0 with nothing must not pass for an empty list, which would prove something."""
    setting = planned('list_window_ids=1*output("")')

    with pytest.raises(TransportGarbled):
        setting.mux.list_window_ids(SESSION)


def test_a_truncated_answer_keeps_its_first_items() -> None:
    """The effect happens, part of the answer does not arrive."""
    setting = planned("list_window_ids=1*truncate(1);new_window=1*truncate(1)")

    assert setting.mux.list_window_ids(SESSION) == ["@0"]
    assert setting.mux.new_window(SESSION, "x", "/", {}, "true") == "@"
    assert len(setting.mux.list_window_ids(SESSION)) == 3


def test_what_is_injected_is_fresh_and_names_its_rule() -> None:
    """Two failures are two exceptions, each with a note and the cause chained."""
    setting = planned("has_session=oserror(EIO)")
    errors = []
    for _ in range(2):
        with pytest.raises(TransportUnavailable) as failure:
            setting.mux.has_session(SESSION)
        errors.append(failure.value)

    assert errors[0].__cause__ is not errors[1].__cause__
    assert "injected by has_session=oserror(EIO)" in "".join(traceback.format_exception(errors[1]))


def test_death_in_a_call_ends_everything_behind_the_injector() -> None:
    """After SIGKILL nothing can be asked, and what was asked last has happened."""
    setting = planned("new_window=1*lost:die")

    with pytest.raises(SimulatedDeath):
        setting.mux.new_window(SESSION, "last", "/", {}, "sleep 60")
    with pytest.raises(SimulatedDeath):
        setting.mux.has_session(SESSION)

    setting.injector.detach(setting.mux)
    assert ("last",) in setting.mux.list_windows(SESSION, ["window_name"])


def test_an_operation_counts_once_however_it_is_built_inside() -> None:
    """An operation made of other operations is one call of one point."""

    class Composed(FakeMultiplexer):
        """Answers one operation through others."""

        def batch_liveness(self, session: str) -> frozenset[str]:
            """Ask for each window."""
            return frozenset(w for w in self.list_window_ids(session) if self.window_alive(session, w))

    mux = Composed()
    injector = Injector(FaultPlan(), clock=mux.clock)
    injector.attach(mux)
    mux.new_session(SESSION, "/")

    assert mux.batch_liveness(SESSION) == {"@0"}
    assert injector.reached == {"mux.new_session": 1, "mux.batch_liveness": 1}


def test_the_hook_alone_injects_without_an_observer() -> None:
    """Who only wants the faults sets the hook by hand."""
    mux = FakeMultiplexer()
    injector = Injector(FaultPlan.parse("version=1*hang"), clock=mux.clock)
    mux.hook = injector.mux_hook()

    assert mux.version() is None
    assert [entry.outcome for entry in injector.trace] == [f"raised {subprocess.TimeoutExpired.__name__}"]


def test_a_multiplexer_with_a_hook_is_not_attached_twice() -> None:
    """Two injectors on one multiplexer would count each other's calls."""
    setting = planned("version=1*hang")

    with pytest.raises(ValueError, match="hook already"):
        setting.injector.attach(setting.mux)


def test_detaching_leaves_the_multiplexer_as_it_was() -> None:
    """No fault and no trace after that."""
    setting = planned("version=hang")
    setting.injector.detach(setting.mux)

    assert setting.mux.version() is not None
    assert setting.injector.trace == []
    assert setting.mux.hook is None
