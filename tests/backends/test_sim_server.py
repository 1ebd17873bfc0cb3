"""The simulated server under stress: frozen, thawed, killed, restarted; and the programs in its windows."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

import pytest

from backends.clock import VirtualClock
from backends.errors import CommandRejected, TransportTimeout, TransportUnavailable
from backends.fake import FakeMultiplexer, FakeProcess, Program
from backends.operations import OPERATIONS, Kind, WindowExit
from backends.processes import Liveness


class Recorder:
    """A program that writes down what happens to it, and handles the signals that it was told to."""

    def __init__(self, process: FakeProcess, handles: tuple[int, ...] = ()) -> None:
        self.process = process
        self.handles = handles
        self.seen: list[object] = []

    def start(self) -> None:
        """See `Program`."""
        self.seen.append("start")

    def typed(self, text: str) -> None:
        """See `Program`."""
        self.seen.append(text)

    def signalled(self, signum: int) -> bool:
        """See `Program`."""
        self.seen.append(signum)
        return signum in self.handles


class Stage:
    """A fake with one session, in whose windows `record` is a `Recorder`."""

    def __init__(self, *handles: int) -> None:
        self.clock = VirtualClock()
        self.recorders: list[Recorder] = []
        self.handles = handles
        self.mux = FakeMultiplexer(clock=self.clock, programs=self.program)
        self.server = self.mux.server
        self.mux.new_session("run-1", "/")

    def program(self, process: FakeProcess) -> Program | None:
        """See `Programs`."""
        if process.argv[0] != "record":
            return None
        self.recorders.append(Recorder(process, self.handles))
        return self.recorders[-1]

    def window(self, command: str = "record", **env: str) -> str:
        """A new window, its program started."""
        window = self.mux.new_window("run-1", "agent", "/sim/work", env, command)
        self.clock.sleep(0)
        return window


def in_time(stage: Stage, call: Callable[[], object]) -> float:
    """How long `call` took before it failed as unanswered."""
    before = stage.clock.monotonic()
    with pytest.raises(TransportTimeout):
        call()
    return stage.clock.monotonic() - before


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_answers_its_sample(name: str) -> None:
    """With something that is an answer, and at no cost in time."""
    stage = Stage()
    stage.window()
    operation = OPERATIONS[name]

    answer = getattr(stage.mux, name)(**operation.sample)

    assert operation.answers(answer)
    assert stage.clock.monotonic() == 0
    assert stage.mux.capabilities == {}


def test_a_program_sees_what_it_was_started_with() -> None:
    """Argv as a shell splits it, the environment given and the one of every window."""
    stage = Stage()
    window = stage.window("record 'two words' \\;", TOKEN="t")
    process = stage.recorders[0].process

    assert process.argv == ("record", "two words", ";")
    assert (process.env["TOKEN"], process.env["TMUX_PANE"]) == ("t", "%1")
    assert (process.cwd, process.window_id, process.session) == ("/sim/work", window, "run-1")
    assert stage.mux.window_pids(window) == [process.pid]
    assert stage.server.processes.carrying("TOKEN", "t") == [process.identity]


def test_programs_run_in_the_next_wait_and_not_in_the_call() -> None:
    """What a program raises is not taken for the multiplexer's failure."""
    stage = Stage()
    window = stage.mux.new_window("run-1", "agent", "/", {}, "record")
    stage.mux.send_text(window, "one")
    stage.mux.send_text(window, "two\nlines")
    assert stage.recorders == []

    stage.clock.sleep(0)

    assert stage.recorders[0].seen == ["start", "one", "two\nlines"]


def test_killing_a_window_hangs_up_on_its_process() -> None:
    """The session goes with its last window."""
    stage = Stage()
    window = stage.window()
    stage.mux.kill_window(window)

    recorder = stage.recorders[0]
    assert recorder.seen == ["start", signal.SIGHUP]
    assert not recorder.process.alive
    assert recorder.process.ended == WindowExit(signal=signal.SIGHUP)
    assert stage.server.processes.liveness(recorder.process.identity) is Liveness.DEAD


def test_a_process_that_handles_the_hangup_outlives_its_window_and_its_server() -> None:
    """It is found in the process table, and dies of SIGKILL."""
    stage = Stage(signal.SIGHUP)
    stage.mux.kill_window(stage.window())
    stage.window()
    stage.server.kill()
    survivors = [recorder.process for recorder in stage.recorders]

    assert all(process.alive for process in survivors)
    assert not stage.mux.has_session("run-1")
    for process in survivors:
        process.print("into nothing")
        assert stage.server.processes.signal(process.identity, signal.SIGKILL)
    assert not any(process.alive for process in survivors)


def test_children_die_with_their_parent_unless_they_are_detached() -> None:
    """As `setsid` and `nohup` have it."""
    stage = Stage()
    window = stage.window()
    process = stage.recorders[0].process
    child, detached = process.spawn_child(), process.spawn_child(detached=True)
    assert stage.server.processes.tree(process.identity) == [process.identity, child, detached]

    stage.mux.kill_window(window)

    liveness = stage.server.processes.liveness
    assert [liveness(child), liveness(detached)] == [Liveness.DEAD, Liveness.ALIVE]


def test_a_signal_from_outside_ends_a_window_with_that_signal() -> None:
    """SIGKILL is not the program's to handle."""
    stage = Stage(signal.SIGTERM, signal.SIGKILL)
    window = stage.window()
    process = stage.recorders[0].process
    stage.server.processes.signal(process.identity, signal.SIGTERM)
    assert stage.mux.window_alive("run-1", window)

    stage.server.processes.signal(process.identity, signal.SIGKILL)

    assert not stage.mux.window_alive("run-1", window)
    assert stage.mux.window_exit(window) == WindowExit(signal=signal.SIGKILL)
    process.exit(0)
    assert process.ended == WindowExit(signal=signal.SIGKILL)


def test_a_log_that_cannot_be_written_ends_the_log_and_nothing_else() -> None:
    """The failure is kept for whoever asks."""
    stage = Stage()
    window = stage.window()
    stage.mux.pipe_pane(window, "/no/directory/log")

    stage.recorders[0].process.print("x")
    stage.recorders[0].process.print("y")

    assert [path for path, _ in stage.server.log_failures] == ["/no/directory/log"]
    assert stage.mux.window_alive("run-1", window)


ASKING = [
    o.name for o in OPERATIONS.values() if o.kind is not Kind.LOCAL and not o.name.startswith(("version", "current"))
]
"""What needs the server: the client knows its version, and this process that it runs in no window."""


@pytest.mark.parametrize("name", ASKING)
def test_a_frozen_server_costs_every_call_its_deadline(name: str) -> None:
    """And the call fails as unknown, or into its sentinel."""
    stage = Stage()
    stage.server.freeze()
    operation = OPERATIONS[name]
    call = partial(getattr(stage.mux, name), **operation.sample)

    if operation.raises:
        with pytest.raises(TransportTimeout):
            call()
    else:
        assert call() == operation.sentinel()

    assert stage.clock.monotonic() == (30 if operation.kind is Kind.CHANGE else 5)


ADDRESSING = ["send_text", "window_pids", "window_exit"]
"""What raises, and takes a target and nothing else that says where."""


@pytest.mark.parametrize("name", ADDRESSING)
def test_a_word_that_is_no_target_is_refused_by_a_frozen_server_as_well(name: str) -> None:
    """Before anybody is asked, as with tmux: what was wrong is known, and known at once."""
    stage = Stage()
    stage.server.freeze()
    sample = OPERATIONS[name].sample
    words = {word: "@x" for word in ("target", "window_id") if word in sample}

    with pytest.raises(CommandRejected, match="neither a native id"):
        getattr(stage.mux, name)(**{**sample, **words})

    assert stage.clock.monotonic() == 0


def test_a_change_that_timed_out_happens_at_the_thaw() -> None:
    """Windows appear, text is typed, options are set, in the order in which they were asked for."""
    stage = Stage()
    window = stage.window()
    stage.server.freeze()
    in_time(stage, lambda: stage.mux.new_window("run-1", "late", "/", {}, "record"))
    in_time(stage, lambda: stage.mux.send_text(window, "late"))
    for value in ("late", "later"):
        in_time(stage, partial(stage.mux.set_session_option, "run-1", "@x", value))
    assert len(stage.server.windows) == 2

    stage.server.thaw()
    stage.clock.sleep(0)

    assert stage.mux.list_windows("run-1", ["window_name"]) == [("shell",), ("agent",), ("late",)]
    assert [recorder.seen for recorder in stage.recorders] == [["start", "late"], ["start"]]
    assert stage.mux.session_options("@x") == {"run-1": "later"}


def test_a_refusal_at_the_thaw_is_nobodys_any_more() -> None:
    """Whoever asked has gone."""
    stage = Stage()
    stage.server.freeze()
    in_time(stage, lambda: stage.mux.new_session("run-1", "/"))

    stage.server.thaw()

    assert stage.mux.list_sessions() == ["run-1"]


def test_a_thaw_within_the_deadline_answers_whoever_waits() -> None:
    """At that moment, after what was asked before it."""
    stage = Stage()
    stage.server.freeze()
    stage.clock.call_later(2, stage.server.thaw)

    window = stage.mux.new_window("run-1", "agent", "/", {}, "record")

    assert stage.clock.monotonic() == 2
    assert stage.mux.window_alive("run-1", window)
    stage.server.freeze()
    stage.clock.call_later(2, stage.server.thaw)
    with pytest.raises(CommandRejected):
        stage.mux.new_session("run-1", "/")


def test_a_budget_shortens_what_a_frozen_server_costs() -> None:
    """To what is left of it."""
    stage = Stage()
    stage.server.freeze()
    with stage.mux.budget(2):
        assert in_time(stage, lambda: stage.mux.has_session("run-1")) == 2


def test_abandoning_a_call_ends_its_wait() -> None:
    """It fails as unknown, and so does every later one; what was asked happens all the same."""
    stage = Stage()
    stage.server.freeze()
    stage.clock.call_later(1, stage.mux.abandon)

    with pytest.raises(TransportUnavailable):
        stage.mux.set_session_option("run-1", "@x", "y")
    assert stage.clock.monotonic() == 1
    with pytest.raises(TransportUnavailable):
        stage.mux.has_session("run-1")

    stage.mux.take_up()
    assert in_time(stage, lambda: stage.mux.has_session("run-1")) == 5

    other = FakeMultiplexer(stage.server)
    assert in_time(stage, lambda: other.has_session("run-1")) == 5
    stage.server.thaw()
    assert other.session_options("@x") == {"run-1": "y"}


def test_what_dies_while_the_server_is_frozen_is_seen_after_the_thaw() -> None:
    """The process is gone at once, its window and its last words come later."""
    stage = Stage()
    window = stage.window()
    stage.mux.pipe_pane(window, "/log")
    stage.server.freeze()
    process = stage.recorders[0].process
    process.print("last words")
    process.exit(3)
    assert stage.server.processes.liveness(process.identity) is Liveness.DEAD
    assert stage.server.disk.info("/log") is None
    assert not stage.server.windows[window].dead

    stage.server.thaw()

    assert not stage.mux.window_alive("run-1", window)
    assert stage.mux.window_exit(window) == WindowExit(code=3)
    assert stage.server.disk.read("/log") == b"last words"


def test_an_hour_of_hang_costs_one_event_for_each_thing_that_happens() -> None:
    """Every probe spends its five seconds; nothing is simulated in between."""
    stage = Stage()
    stage.window()
    ticks: list[float] = []
    stage.clock.call_later(3000, lambda: ticks.append(stage.clock.monotonic()))
    stage.server.freeze()
    probes = 0
    while stage.clock.monotonic() < 3600:
        in_time(stage, lambda: stage.mux.window_alive("run-1", "@1"))
        probes += 1

    assert probes == 720
    assert ticks == [3000.0]
    assert stage.recorders[0].seen == ["start"]


def test_a_killed_server_takes_its_windows_and_everything_is_absent() -> None:
    """Proven absent: the simulation knows that its server is dead."""
    stage = Stage()
    window = stage.window()
    stage.server.kill()
    stage.server.kill()

    assert not stage.recorders[0].process.alive
    assert not stage.mux.has_session("run-1")
    assert stage.mux.list_window_ids("run-1") == []
    assert not stage.mux.window_alive("run-1", window)
    assert stage.mux.server_identity() is None


def test_a_kill_while_somebody_waits_leaves_them_without_an_answer() -> None:
    """At once, and what they asked for never happens."""
    stage = Stage()
    stage.server.freeze()
    stage.clock.call_later(2, stage.server.kill)

    with pytest.raises(TransportUnavailable, match="server exited"):
        stage.mux.new_window("run-1", "agent", "/", {}, "record")

    assert stage.clock.monotonic() == 2
    assert stage.recorders == []


def test_a_new_server_counts_ids_anew_under_another_identity() -> None:
    """An old id names somebody else now."""
    stage = Stage()
    old = stage.mux.server_identity()
    stage.clock.sleep(10)
    stage.server.restart()
    assert stage.mux.list_sessions() == []
    stage.mux.new_session("run-1", "/")
    new = stage.mux.server_identity()

    assert stage.mux.list_window_ids("run-1") == ["@0"]
    assert old is not None
    assert new is not None
    assert (new.pid, new.started) != (old.pid, old.started)


def test_the_servers_process_stops_continues_and_dies_by_signals() -> None:
    """As a real one would."""
    stage = Stage()
    identity = stage.server.identity
    assert identity is not None
    send = stage.server.processes.signal

    send(identity, signal.SIGSTOP)
    assert in_time(stage, lambda: stage.mux.has_session("run-1")) == 5
    send(identity, signal.SIGCONT)
    assert stage.mux.has_session("run-1")
    send(identity, signal.SIGKILL)
    assert not stage.mux.has_session("run-1")
    assert stage.server.processes.liveness(identity) is Liveness.DEAD


def test_two_orchestrators_see_the_same_server() -> None:
    """Each with its own deadlines."""
    stage = Stage()
    other = FakeMultiplexer(stage.server, call_timeout_s=1)
    other.new_window("run-1", "agent", "/", {}, "sleep 5")
    stage.server.freeze()

    assert in_time(stage, lambda: other.has_session("run-1")) == 1
    stage.server.thaw()
    assert stage.mux.list_window_ids("run-1") == ["@0", "@1"]


def test_a_free_index_is_given_to_the_next_window() -> None:
    """So the order of windows is not that of their making."""
    stage = Stage()
    stage.window()
    stage.window()
    stage.mux.kill_window("@1")
    stage.window()

    assert stage.mux.list_windows("run-1", ["window_id", "window_index"]) == [("@0", "0"), ("@3", "1"), ("@2", "2")]


def test_a_command_that_no_shell_could_split_is_refused() -> None:
    """Before anything is made."""
    stage = Stage()

    with pytest.raises(CommandRejected) as refusal:
        stage.mux.new_window("run-1", "agent", "/", {}, "record 'open")

    assert refusal.value.invalid_argument
    assert stage.mux.list_window_ids("run-1") == ["@0"]
