"""Reading runs for people: a run that cannot be read is shown beside the others, and never hides them."""

import pytest

from backends.clock import VirtualClock
from backends.entropy import SeededEntropy
from backends.memory_disk import MemoryDisk
from backends.processes import Liveness
from backends.simulated_processes import SimulatedProcessTable
from harness.dashboard import RunView, list_lines, read_run, read_runs
from harness.record import Crashed, Driver, RunState, RunStatus, RunStore, TaskState


class Host:
    """A simulated host with runs below `/runs`."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.clock = VirtualClock()
        self.processes = SimulatedProcessTable(self.clock)
        self.entropy = SeededEntropy(1)

    def store(self, name: str) -> RunStore:
        """The record of one run."""
        where = {"disk": self.disk, "clock": self.clock, "entropy": self.entropy, "processes": self.processes}
        return RunStore(f"/runs/{name}", **where, environment={})  # type: ignore[arg-type]  # each under its own name

    def begin(self, name: str) -> tuple[RunStore, RunState]:
        """A run that this host's process drives."""
        me = self.processes.me()
        driver = Driver(me.pid, me.started, me.boot_id, self.processes.host())
        store, state = (
            self.store(name),
            RunState(name, "/p", "fake", f"sr-{name}", driver=driver, tasks=[TaskState("a")]),
        )
        store.create(state, "")
        return store, state

    def read(self, ask: Liveness | None = None) -> list[RunView]:
        """Every run, as another process sees them."""
        found = (lambda state: ask) if ask is not None else None
        return read_runs(
            self.disk, "/runs", clock=self.clock, processes=self.processes, entropy=self.entropy, ask=found
        )


def test_a_crash_that_is_watched_and_one_found_later_look_the_same() -> None:
    """The store that recorded the crash and a fresh reader show the same row."""
    host = Host()
    store, state = host.begin("r")
    filing = store.file_crash(ValueError("boom"), state)
    state.ending = Crashed(filing.error, filing.record)
    store.save(state)

    watched, (found,) = read_run(store), host.read()

    assert (watched.status, watched.state) == (found.status, found.state)
    assert [event["event"] for event in found.events] == ["run-created", "run-crash"]
    assert list_lines([watched]) == list_lines([found])


@pytest.mark.parametrize("garbage", [b"", b"\0" * 99, b"{}", b'{"run_id": [], "schema": 1}'])
def test_one_bad_run_never_hides_the_others(garbage: bytes) -> None:
    """A run of garbage is UNKNOWN, with the reason, between two good ones."""
    host = Host()
    host.begin("a")
    host.disk.mkdir("/runs/b")
    host.disk.write("/runs/b/state.json", garbage)
    host.begin("c")

    views = host.read()

    assert [(view.run_id, view.status.name) for view in views] == [
        ("a", RunStatus.RUNNING),
        ("b", RunStatus.UNKNOWN),
        ("c", RunStatus.RUNNING),
    ]
    assert "state.json cannot be read" in "\n".join(list_lines(views))


def test_a_run_that_nobody_was_prepared_for_is_unknown_beside_the_others() -> None:
    """Whatever reading one of them raises."""
    host = Host()
    host.begin("a")
    host.begin("b")

    def ask(state: RunState) -> Liveness:
        if state.run_id == "a":
            raise RuntimeError("odd")
        return Liveness.ALIVE

    found = read_runs(host.disk, "/runs", clock=host.clock, processes=host.processes, entropy=host.entropy, ask=ask)

    assert [(view.run_id, view.status.name) for view in found] == [("a", RunStatus.UNKNOWN), ("b", RunStatus.RUNNING)]
    assert found[0].status.reason == "it cannot be read: RuntimeError: odd"


def test_who_can_ask_the_multiplexer_is_asked_about_each_session() -> None:
    """The answer decides what is offered; without anybody to ask it stays unknown."""
    host = Host()
    host.begin("a")

    assert [str(hint) for hint in host.read(Liveness.ALIVE)[0].status.hints] == ["attach", "stop"]
    assert [str(hint) for hint in host.read()[0].status.hints] == ["stop"]


def test_attention_is_part_of_the_view() -> None:
    """What wants a person's attention is read with the run."""
    host = Host()
    store, _ = host.begin("a")
    store.attention("look here")

    assert host.read()[0].attention == "look here\n"


def test_a_missing_root_has_no_runs() -> None:
    """Before the first run there is nothing to list."""
    assert Host().read() == []
