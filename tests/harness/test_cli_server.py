"""The private server of a root: ended when nobody needs it, and never otherwise."""

from __future__ import annotations

import io
import signal
from functools import partial

import pytest

from backends.base import TerminalMultiplexer
from backends.clock import VirtualClock
from backends.memory_disk import MemoryDisk
from harness.agents import plan_of, task, works
from harness.commands.host import CommandError
from harness.commands.server import CONTROL, claim, end_idle_server
from harness.commands.staged import CommandLine
from harness.world import SimulatedTmuxWorld


@pytest.fixture
def seamripper() -> CommandLine:
    """The real tmux backend on a simulated server, and one plan."""
    made = CommandLine(SimulatedTmuxWorld())
    made.plan(plan_of(task("1-1", works(3).then_completes()), project=str(made.world.project)))
    return made


def socket_files(seamripper: CommandLine) -> list[str]:
    """What lies in the directory of the socket."""
    disk = seamripper.world.disk
    return disk.listdir("/sim/socket") if disk.info("/sim/socket") is not None else []


def server_lives(seamripper: CommandLine) -> bool:
    """Whether there is a server."""
    assert isinstance(seamripper.world, SimulatedTmuxWorld)
    return seamripper.world.server.running


def end_idle(seamripper: CommandLine) -> None:
    """What every command does once its run is over."""
    end_idle_server(seamripper.host(), seamripper.world.multiplexer(), seamripper.root)


@pytest.fixture
def server(seamripper: CommandLine) -> TerminalMultiplexer:
    """A server with the session of some other run."""
    multiplexer = seamripper.world.multiplexer()
    multiplexer.new_session("other", "/")
    return multiplexer


def test_a_finished_run_leaves_no_server_and_no_record_of_one(seamripper: CommandLine) -> None:
    """Nothing stays behind in the directory of the socket."""
    assert seamripper("run", "plan.toml").code == 0

    assert not server_lives(seamripper)
    assert socket_files(seamripper) == []


def test_the_session_of_another_run_keeps_the_server(seamripper: CommandLine, server: TerminalMultiplexer) -> None:
    """One root, several runs: the first one to end takes nobody else down."""
    assert seamripper("run", "plan.toml").code == 0

    assert server.has_session("other")


def test_a_run_that_is_being_driven_keeps_the_server(seamripper: CommandLine) -> None:
    """It may be about to make its session."""
    seamripper("run", "plan.toml")
    (run,) = seamripper("list", "--json").document["runs"]
    multiplexer = seamripper.world.multiplexer()
    multiplexer.new_session(CONTROL, "/")
    window = multiplexer.new_parked_window(CONTROL, "run", "/", ["true"], "@back")
    multiplexer.kill_window(multiplexer.target(CONTROL, "shell"))
    seamripper.world.clock.sleep(1)
    assert multiplexer.window_exit(window) is not None

    with seamripper.world.disk.lock(f"{run['run_dir']}/run.lock"):
        end_idle(seamripper)
    assert server_lives(seamripper)

    end_idle(seamripper)
    assert not server_lives(seamripper)


def test_a_detached_run_that_goes_on_keeps_the_server(seamripper: CommandLine) -> None:
    """Its window is in no session of a run, and still somebody's."""
    multiplexer = seamripper.world.multiplexer()
    multiplexer.new_session(CONTROL, "/")
    multiplexer.new_parked_window(CONTROL, "run", "/", ["sleep", "1000"], "@back")

    end_idle(seamripper)

    assert multiplexer.has_session(CONTROL)


@pytest.mark.parametrize("silence", ["freeze", "claimed"])
def test_what_cannot_be_known_idle_is_left_alone(seamripper: CommandLine, silence: str) -> None:
    """A server that hangs, a root that somebody is starting in: nothing is ended, and little time is spent."""
    world = seamripper.world
    multiplexer = world.multiplexer()
    multiplexer.new_session(CONTROL, "/")
    multiplexer.new_parked_window(CONTROL, "run", "/", ["true"], "@back")
    multiplexer.kill_window(multiplexer.target(CONTROL, "shell"))
    world.clock.sleep(1)
    if silence == "freeze":
        world.freeze()
        end_idle(seamripper)
        world.thaw()
    else:
        with claim(seamripper.host(), seamripper.root):
            end_idle(seamripper)

    assert server_lives(seamripper)
    assert world.clock.monotonic() < 10


def test_a_stop_asks_nothing_of_a_server_that_did_not_answer_the_teardown(seamripper: CommandLine) -> None:
    """The command is over with the agents' grace: whether such a server is idle would not be said anyway."""
    world = seamripper.world
    plan = plan_of(task("1-1", works(1000)), project=str(world.project), stop_grace_s=4.0)
    seamripper.plan(plan, "long.toml")
    assert isinstance(world.clock, VirtualClock)
    world.clock.call_later(3, world.freeze)
    world.clock.call_later(8, partial(signal.raise_signal, signal.SIGTERM))
    stopped = seamripper("run", "long.toml")

    assert (stopped.code, "teardown: unconfirmed" in stopped.stdout) == (143, True)
    assert world.clock.monotonic() <= 8 + 4 + 2
    assert server_lives(seamripper)


def test_the_claim_is_held_until_the_run_is_locked_and_not_longer(seamripper: CommandLine) -> None:
    """While a run is made nobody else tidies up; once it goes on, others may start beside it."""
    disk, root = seamripper.world.disk, seamripper.root
    seen: dict[str, bool] = {}

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            for word in ("run 2026", "run-started"):
                if text.lstrip(" 0123456789.s").startswith(word):
                    seen[word] = disk.locked(root / "server")
            return super().write(text)

    seamripper("run", "plan.toml", stdout=Watched())

    assert seen == {"run 2026": True, "run-started": False}
    assert not disk.locked(root / "server")


def test_a_claim_that_is_not_given_back_is_waited_for_in_vain(seamripper: CommandLine) -> None:
    """Bounded, and said."""
    host = seamripper.host()
    with (
        claim(host, seamripper.root),
        pytest.raises(CommandError, match="has been starting"),
        claim(host, seamripper.root),
    ):
        pytest.fail("two hold the claim")
    assert 10 <= seamripper.world.clock.monotonic() < 11


def test_a_root_that_is_made_for_a_run_is_not_lost_with_the_power(seamripper: CommandLine) -> None:
    """Every directory on the way to the run is durably entered into the one above it."""
    answer = seamripper("run", "plan.toml", "--root", "/sim/new/root")
    disk = seamripper.world.disk

    assert answer.code == 0
    assert isinstance(disk, MemoryDisk)
    lost = {disk.mutations[loss.number].path for loss in disk.unsynced()}
    assert {"/sim/new", "/sim/new/root"}.isdisjoint(lost)
