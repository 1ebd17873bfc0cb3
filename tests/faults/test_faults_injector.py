"""The injector: checkpoints, signals, agents, and the fault that never fired."""

from __future__ import annotations

import signal

import pytest
from faulty_setting import SESSION, planned

from backends.clock import VirtualClock
from faults import FaultPlan, FaultPlanError, Injector, Occur, PointCatalog, SimulatedDeath, UnfiredFault
from faults.exceptions import EXCEPTIONS, HOSTILE


def injector_of(text: str) -> Injector:
    """An injector with that plan on a simulated clock."""
    return Injector(FaultPlan.parse(text), clock=VirtualClock())


@pytest.mark.parametrize("name", sorted(EXCEPTIONS.keys() - {"HugeMessage"}))
def test_any_exception_is_raised_at_a_checkpoint_fresh_each_time(name: str) -> None:
    """Whatever the type wants for its making, an exception comes out, with a note that names the rule."""
    injector = injector_of(f"engine.boot=raise({name})")
    raised = []
    for _ in range(2):
        with pytest.raises(BaseException) as failure:  # noqa: PT011  # the class is a built-in of any kind
            injector.checkpoint("boot")
        raised.append(failure.value)

    assert raised[0] is not raised[1]
    assert all(f"injected by engine.boot=raise({name})" in one.__notes__[0] for one in raised)
    assert name in HOSTILE or type(raised[0]).__name__ == name


def test_the_message_of_an_exception_names_its_rule() -> None:
    """A crash record explains itself without the trace."""
    with pytest.raises(RuntimeError) as failure:
        injector_of("engine.boot=1*raise(RuntimeError)").checkpoint("boot")

    assert str(failure.value) == "injected by engine.boot=1*raise(RuntimeError)"


def test_exceptions_of_ones_own_can_be_raised_by_name() -> None:
    """A registry adds to what is known, and its makers are called each time."""
    made: list[int] = []

    def make() -> BaseException:
        made.append(1)
        return LookupError("mine")

    catalog = PointCatalog(exceptions={"Mine": make})
    plan = FaultPlan.parse("engine.boot=raise(Mine)", catalog=catalog)
    for injector in (
        Injector(plan, clock=VirtualClock(), catalog=catalog),
        Injector(plan, clock=VirtualClock(), exceptions={"Mine": make}),
    ):
        with pytest.raises(LookupError, match="mine"):
            injector.checkpoint("boot")

    assert made == [1, 1]
    with pytest.raises(FaultPlanError):
        FaultPlan.parse("engine.boot=raise(Mine)")


def test_signals_come_before_exceptions_at_a_checkpoint() -> None:
    """Both can be planned for the same step."""
    injector = injector_of("engine.boot=raise(ValueError);signal.boot=1*signal(SIGHUP)")
    delivered: list[int] = []
    injector.deliver = delivered.append

    with pytest.raises(ValueError, match="injected"):
        injector.checkpoint("boot")

    assert delivered == [signal.SIGHUP]
    assert [one.point for one in injector.injections] == ["signal.boot", "engine.boot"]


def test_a_checkpoint_is_one_entry_of_the_trace() -> None:
    """Its signal point is shown only when a signal was sent there."""
    injector = injector_of("signal.boot=1*pass->1*signal(SIGHUP)")
    delivered: list[int] = []
    injector.deliver = delivered.append

    injector.checkpoint("boot")
    injector.checkpoint("boot")

    assert [entry.point for entry in injector.trace] == ["engine.boot", "signal.boot", "engine.boot"]


def test_a_signal_that_nobody_takes_is_an_error() -> None:
    """It must not look as if it had been delivered."""
    with pytest.raises(RuntimeError, match="deliver"):
        injector_of("signal.boot=signal(SIGINT)").checkpoint("boot")


def test_death_at_a_checkpoint_ends_every_wrapper() -> None:
    """Nothing can be asked, written or reached any more."""
    setting = planned("engine.boot=die")
    disk = setting.injector.disk(setting.disk)
    leaking = setting.injector.leaking(setting.mux)
    with pytest.raises(SimulatedDeath):
        setting.injector.checkpoint("boot")

    assert setting.injector.dead
    for use in (
        lambda: setting.injector.checkpoint("next"),
        lambda: setting.mux.has_session(SESSION),
        lambda: leaking.has_session(SESSION),
        lambda: disk.read("/x"),
    ):
        with pytest.raises(SimulatedDeath):
            use()


def test_an_agent_outlives_the_engine() -> None:
    """It is a process of its own, which nobody killed."""
    injector = injector_of("engine.boot=die;agent.stall=1*occur")
    with pytest.raises(SimulatedDeath):
        injector.checkpoint("boot")

    assert injector.agent("stall") is not None


def test_no_handler_for_ordinary_exceptions_catches_a_death() -> None:
    """SIGKILL runs no handler."""
    assert not issubclass(SimulatedDeath, Exception)


def test_an_agent_is_told_what_happens_to_it_and_for_how_long() -> None:
    """The first attempt at one task stalls for a minute."""
    injector = injector_of("agent.stall[task=1-1,attempt=1]=1*occur(60);agent.die[task=1-2]=occur")

    assert injector.agent("stall", task="1-2", attempt=1) is None
    told = injector.agent("stall", task="1-1", attempt=1)
    assert told is not None
    assert (told.seconds, told.performed) == (60.0, Occur(60))
    assert injector.agent("stall", task="1-1", attempt=1) is None
    dies = injector.agent("die", task="1-2")
    assert dies is not None
    assert dies.seconds is None


def test_a_fault_that_never_fired_is_an_error_that_lists_what_was_reached() -> None:
    """Whoever planned in vain sees where there would have been something to break."""
    setting = planned("has_session=3*pass->1*hang;version=1*hang")
    setting.mux.has_session(SESSION)
    setting.mux.has_session(SESSION)
    setting.mux.version()

    with pytest.raises(UnfiredFault) as failure:
        setting.injector.verify_fired()

    said = str(failure.value)
    assert "has_session=3*pass->1*hang" in said
    assert "version=1*hang" not in said
    assert "2  mux.has_session" in said
    assert [fault.point for fault in setting.injector.unfired()] == ["has_session"]


def test_a_plan_that_fired_wholly_is_fine() -> None:
    """No news is good news."""
    setting = planned("version=1*hang")
    setting.mux.version()

    setting.injector.verify_fired()
