"""The simulated process table."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from backends.clock import VirtualClock, Waker
from backends.processes import Completed, Liveness, ProcessIdentity
from backends.simulated_processes import SimulatedProcessTable


@pytest.fixture
def table() -> SimulatedProcessTable:
    """A host with nothing but this process on it."""
    return SimulatedProcessTable()


def test_pids_host_and_boot_are_the_same_in_every_simulation(table: SimulatedProcessTable) -> None:
    """A run can be replayed to the byte."""
    assert table.me() == ProcessIdentity(5_000_000, 1_767_225_600.0, "boot-1")
    assert [table.spawn().pid, table.spawn().pid] == [5_000_001, 5_000_002]
    assert (table.host(), table.boot_id()) == ("simhost", "boot-1")


def test_no_process_of_a_host_can_be_taken_for_a_simulated_one(table: SimulatedProcessTable) -> None:
    """What is recorded of a simulated run is looked up, and ended, among the processes of a real host."""
    most = int(Path("/proc/sys/kernel/pid_max").read_text()) if Path("/proc/sys/kernel/pid_max").exists() else 2**22
    assert min(table.me().pid, table.spawn().pid) > max(most, 2**22)


def test_a_process_lives_until_it_exits(table: SimulatedProcessTable) -> None:
    """Its pid alone is not enough to be it, nor is another boot."""
    process = table.spawn()
    assert table.liveness(process) is Liveness.ALIVE
    assert table.identify(process.pid) == process
    assert table.liveness(ProcessIdentity(process.pid, process.started - 1, "boot-1")) is Liveness.DEAD
    assert table.liveness(ProcessIdentity(process.pid, process.started, "boot-0")) is Liveness.DEAD

    table.exit(process.pid)
    table.exit(process.pid)

    assert table.liveness(process) is Liveness.DEAD
    assert table.identify(process.pid) is None


def test_a_process_that_cannot_be_looked_at_is_unknown(table: SimulatedProcessTable) -> None:
    """Not dead."""
    process = table.spawn()
    table.unknowable.add(process.pid)

    assert table.liveness(process) is Liveness.UNKNOWN
    assert table.identify(process.pid) is None


def test_a_tree_holds_all_descendants(table: SimulatedProcessTable) -> None:
    """Children and their children, and nobody else's."""
    parent = table.spawn()
    child = table.spawn(parent=parent.pid)
    grandchild = table.spawn(parent=child.pid)
    table.spawn()

    assert table.tree(parent) == [parent, child, grandchild]
    table.exit(parent.pid)
    assert table.tree(parent) == []


def test_processes_are_found_by_a_variable(table: SimulatedProcessTable) -> None:
    """Only those that run, and only by the whole value."""
    one = table.spawn({"TOKEN": "t1"})
    two = table.spawn({"TOKEN": "t1"})
    table.spawn({"TOKEN": "t12"})
    table.exit(two.pid)

    assert table.carrying("TOKEN", "t1") == [one]


@pytest.mark.parametrize(("signum", "lives"), [(0, True), (signal.SIGCONT, True), (signal.SIGTERM, False), (9, False)])
def test_a_signal_does_what_it_does_by_default(table: SimulatedProcessTable, signum: int, lives: bool) -> None:
    """And is remembered, if it found its process."""
    process = table.spawn()

    assert table.signal(process, signum) is True
    assert (table.liveness(process) is Liveness.ALIVE) is lives
    assert table.sent == [(process.pid, signum)]
    assert table.signal(process, 0) is lives
    assert table.signal(ProcessIdentity(process.pid, 0.0, "boot-1"), 9) is False


def test_a_process_may_decide_what_a_signal_does(table: SimulatedProcessTable) -> None:
    """It is told the number, and ends only if it says so."""
    told: list[int] = []
    process = table.spawn(on_signal=told.append)

    table.signal(process, signal.SIGTERM)

    assert told == [signal.SIGTERM]
    assert table.liveness(process) is Liveness.ALIVE


def test_after_a_reboot_everything_is_gone_and_pids_begin_anew(table: SimulatedProcessTable) -> None:
    """The same pid at the same second is another process."""
    before = table.me()
    child = table.spawn()

    table.reboot()

    assert table.boot_id() == "boot-2"
    assert table.me().pid == before.pid
    assert [table.liveness(identity) for identity in (before, child)] == [Liveness.DEAD, Liveness.DEAD]


def test_a_restarted_driver_is_another_process(table: SimulatedProcessTable) -> None:
    """The one before it is proven dead."""
    before = table.me()

    after = table.replace_me()

    assert after == table.me() != before
    assert table.liveness(before) is Liveness.DEAD
    assert table.running() == [after]


def test_commands_answer_from_a_table(table: SimulatedProcessTable) -> None:
    """What is not in it was never installed."""
    asked: list[Sequence[str]] = []

    def verify(argv: Sequence[str]) -> Completed:
        asked.append(argv)
        return Completed(tuple(argv), 3, b"out", b"err")

    table.commands["verify"] = verify

    assert table.run(["verify", "-q"], timeout_s=1).status == 3
    assert asked == [["verify", "-q"]]
    assert [table.run([word], timeout_s=1).status for word in ("true", "false")] == [0, 1]
    with pytest.raises(FileNotFoundError):
        table.run(["pytest"], timeout_s=1)


def test_a_command_is_refused_or_given_up_as_on_a_host(table: SimulatedProcessTable) -> None:
    """A NUL in its argv, a waker that was set."""
    waker = Waker()
    waker.wake()

    with pytest.raises(ValueError, match="null"):
        table.run(["true", "a\0"], timeout_s=1)
    with pytest.raises(InterruptedError):
        table.run(["true"], timeout_s=1, waker=waker)


def test_a_job_is_a_process_that_ends_when_its_seconds_have_passed() -> None:
    """What came of it is asked at its end; it is known with its variables."""
    clock = VirtualClock()
    table = SimulatedProcessTable(clock, commands={"check": lambda argv: Completed(tuple(argv), 3, b"out", b"err")})
    table.lasting["check"] = 5.0

    job = table.start(["check"], timeout_s=10, newest=2, variables={"MARK": "m"})

    assert job.poll() is None
    assert len(table.carrying("MARK", "m")) == 1
    assert table.started == [(("check",), {"MARK": "m"})]
    clock.sleep(5)
    assert job.poll() == Completed(("check",), 3, b"ut", b"rr")
    assert table.carrying("MARK", "m") == []


def test_a_job_that_is_late_killed_or_ended_is_gone() -> None:
    """As on a host: an exception, a negative status, or nothing more to be said."""
    clock = VirtualClock()
    table = SimulatedProcessTable(clock)
    table.lasting["true"] = 50.0
    late, killed, ended = [table.start(["true"], timeout_s=10, newest=0, variables={"MARK": m}) for m in "abc"]

    (marked,) = table.carrying("MARK", "b")
    table.signal(marked, 15)
    ended.end()
    clock.sleep(20)

    with pytest.raises(subprocess.TimeoutExpired):
        late.poll()
    assert killed.poll() == Completed(("true",), -15, b"", b"")
    assert table.running() == [table.me()]
    with pytest.raises(FileNotFoundError):
        table.start(["pytest"], timeout_s=1, newest=0)


def test_start_times_are_those_of_the_clock() -> None:
    """In seconds since the epoch."""
    clock = VirtualClock(wall=50.0)
    table = SimulatedProcessTable(clock)
    clock.sleep(10)

    assert (table.me().started, table.spawn().started) == (50.0, 60.0)


def test_only_the_newest_output_of_a_command_is_kept_where_that_is_enough() -> None:
    """As on a host."""
    table = SimulatedProcessTable(VirtualClock())
    table.commands["noisy"] = lambda argv: Completed(tuple(argv), 0, b"out-end", b"err-end")

    assert table.run(["noisy"], timeout_s=1, newest=3) == Completed(("noisy",), 0, b"end", b"end")
    assert table.run(["noisy"], timeout_s=1).stdout == b"out-end"


@pytest.mark.parametrize("end", ["exit", "signal", "reboot"])
def test_the_end_of_a_watched_process_is_told_once(table: SimulatedProcessTable, end: str) -> None:
    """As on a host: by whatever it has ended, and nothing of others."""
    process, other, deaths = table.spawn(), table.spawn(), table.deaths()
    assert deaths.watch(process)
    table.exit(other.pid)
    assert not deaths.is_set()

    ends = {"exit": lambda: table.exit(process.pid), "signal": lambda: table.signal(process, 9), "reboot": table.reboot}
    ends[end]()

    assert deaths.is_set()
    assert deaths.take() == [process]
    assert not deaths.is_set()
    assert deaths.take() == []


def test_whoever_is_dropped_or_gone_is_not_watched(table: SimulatedProcessTable) -> None:
    """Nor is anybody once nobody listens."""
    dropped, gone, closed, deaths = table.spawn(), table.spawn(), table.spawn(), table.deaths()
    table.exit(gone.pid)
    deaths.watch(dropped)
    deaths.drop(dropped)
    assert not deaths.watch(gone)
    deaths.watch(closed)
    deaths.close()
    deaths.close()
    table.exit(dropped.pid)
    table.exit(closed.pid)

    assert not deaths.is_set()
