"""Live faults in the worlds: what really happens to a server there, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest
from plugin_runs import run_pytest, text

from backends.clock import SystemClock
from backends.disk import RealDisk
from backends.errors import MultiplexerError, TransportUnavailable
from backends.processes import Completed, ProcessIdentity, SystemProcessTable
from backends.transport import SubprocessTransport, Transport
from faults.catalog import LIVE_EVENTS
from faults.errors import FaultPlanError
from faults.plan import FaultPlan
from harness.clients import RealClients
from harness.guardian import ledger_of
from harness.hurting import AGENT_SIGNALS
from harness.oracles import unharmed
from harness.runner import Stage, catalog_of
from harness.stories import story_of
from harness.trials import trial
from harness.waiting import eventually
from harness.world import WORLDS, FakeWorld, LiveTmuxWorld, World

SWEPT = {
    "freeze_server=occur(20)": ("fake", "simulated-tmux"),
    "freeze_server=occur": ("fake", "simulated-tmux"),
    "kill_server=occur": ("fake", "simulated-tmux"),
    "unlink_socket=occur(6)": ("simulated-tmux",),
    "replace_server=occur": ("simulated-tmux",),
    "stop_server=occur": ("simulated-tmux",),
    "freeze_client=occur": ("simulated-tmux",),
    "freeze_client=occur(2)": ("simulated-tmux",),
    "kill_client=occur": ("simulated-tmux",),
    "no_binary=occur(6)": ("simulated-tmux",),
    "no_binary=occur": ("simulated-tmux",),
    "no_ptys=occur(6)": ("simulated-tmux",),
    "disk_full=occur": ("fake",),
    "disk_full=occur(6)": ("fake",),
    "freeze_agent=occur": ("fake",),
    "freeze_agent=occur(6)": ("fake",),
    **{f"{event}=occur": ("fake",) for event in AGENT_SIGNALS},
}
HURT = ("disk_full", "freeze_agent")
"""What makes a difference even if it ends by itself."""


def plans(story: str, backend: str, event: str, action: str) -> Iterator[FaultPlan]:
    """What is to happen once, at each call of the story that finds a server."""
    catalog = catalog_of(WORLDS[backend])
    counting = FaultPlan.parse(f"live.{event}=1000*pass", 0, catalog)
    reached = trial(story_of(story), counting, backend=backend).verdict.reached[f"live.{event}"]
    for call in range(reached):
        passes = f"{call}*pass->" if call else ""
        yield FaultPlan.parse(f"live.{event}={passes}1*{action}", 0, catalog)


@pytest.mark.parametrize(
    ("fault", "backend"), [(fault, backend) for fault, backends in SWEPT.items() for backend in backends]
)
def test_whatever_happens_to_the_server_at_whichever_call_every_oracle_holds(fault: str, backend: str) -> None:
    """Once at each of the story's calls; where it ends by itself it makes no difference at all."""
    event, _, action = fault.partition("=")
    calm = trial(story_of("completes"), FaultPlan(), backend=backend).reports[0]
    tried = 0
    for plan in plans("completes", backend, event, action):
        told = trial(story_of("completes"), plan, backend=backend)
        assert told.verdict.problems == (), plan
        assert not told.verdict.unfired
        assert not action.endswith(")") or event in HURT or list(unharmed(calm, told.reports[0])) == []
        tried += 1
    assert tried >= (4 if event.endswith("_agent") else 10)


@pytest.mark.parametrize(
    ("backend", "event"),
    [("fake", "freeze_client"), ("fake", "no_binary"), ("fake", "no_ptys"), ("simulated-tmux", "no_descriptors")],
)
def test_what_a_world_cannot_do_is_refused_with_what_it_can(backend: str, event: str) -> None:
    """A plan that could not be carried out is refused when it is read."""
    can = ", ".join(point for point in catalog_of(WORLDS[backend]).points() if point.startswith("live."))
    with pytest.raises(FaultPlanError, match=f"live.{event} cannot be made to happen here, only {can}$"):
        FaultPlan.parse(f"live.{event}=occur", 0, catalog_of(WORLDS[backend]))


def test_every_event_of_the_catalog_can_happen_in_some_world_and_no_world_knows_another() -> None:
    """Nothing that a plan may name is without a world in which it happens, at least on Linux, where users may mount."""
    possible = {event for world in WORLDS.values() for event in world.live_events()}
    needs_more = {"no_ptys", "no_descriptors", "disk_full"}

    assert possible <= set(LIVE_EVENTS)
    assert set(LIVE_EVENTS) - possible <= needs_more
    assert len(LIVE_EVENTS) >= 14


def test_what_was_for_good_is_over_when_the_next_run_begins() -> None:
    """A run is resumed in a sound world, without anybody thawing it."""
    world = FakeWorld()
    stage = Stage(world)
    plan = FaultPlan.parse("live.freeze_server=3*pass->1*occur", 0, catalog_of(world))
    story_of("completes").tell(stage, plan)
    frozen = world.frozen
    report = stage.resume()

    assert frozen
    assert not world.frozen
    assert report.status.name == "FINISHED"


def servers_of(world: World) -> list[int]:
    """The processes that were started for a socket of that world, and that live."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if str(world.project.parent) in words and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.parametrize("name", ["simulated-tmux", pytest.param("tmux", marks=pytest.mark.live)])
def test_a_server_that_nobody_can_reach_counts_as_one_that_does_not_answer(name: str) -> None:
    """What is left behind cannot be judged without its socket, and can be once that is back."""
    world = WORLDS[name]()
    try:
        world.multiplexer().new_session("a", world.project)
        world.live.happen("unlink_socket", None)
        assert world.frozen
        world.live.undo()
        assert not world.frozen
    finally:
        world.close()


@pytest.mark.parametrize("name", ["simulated-tmux", pytest.param("tmux", marks=pytest.mark.live)])
def test_a_server_that_has_made_its_socket_anew_can_be_asked_before_that_is_undone(name: str) -> None:
    """Whoever missed the socket has had it made: what is left behind can be judged again."""
    world = WORLDS[name]()
    try:
        world.multiplexer().new_session("a", world.project)
        world.live.happen("unlink_socket", None)
        with pytest.raises(MultiplexerError):
            world.multiplexer().has_session("a")
        eventually(lambda: not world.frozen, SystemClock(), 30)
        assert world.multiplexer().has_session("a")
    finally:
        world.close()


class Heard:
    """A transport that keeps what its commands complain of."""

    def __init__(self, inner: Transport, complaints: list[bytes]) -> None:
        self._inner = inner
        self._complaints = complaints

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        done = self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)
        self._complaints.append(done.stderr)
        return done

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""


@pytest.mark.parametrize("name", ["simulated-tmux", pytest.param("tmux", marks=pytest.mark.live)])
def test_a_server_that_was_ended_leaves_its_socket(name: str) -> None:
    """Whoever asks there is told that no server is running, not that there is no such file."""
    world = WORLDS[name]()
    complaints: list[bytes] = []
    try:
        world.multiplexer().new_session("a", world.project)
        world.live.happen("stop_server", None)
        assert world.multiplexer(lambda inner: Heard(inner, complaints)).list_sessions() == []
    finally:
        world.close()
    assert complaints[0].startswith(b"no server running on ")


@pytest.fixture
def live() -> Iterator[tuple[World, ProcessIdentity]]:
    """A live world with a session, and the process of its server."""
    world = LiveTmuxWorld()
    try:
        world.multiplexer().new_session("a", world.project)
        yield world, world.server()
    finally:
        world.close()


@pytest.mark.live
def test_a_live_world_tells_of_its_windows(live: tuple[LiveTmuxWorld, ProcessIdentity]) -> None:
    """What stands between the engine and tmux, so that clients can be hurt, keeps no news from it."""
    world, _ = live
    multiplexer = world.multiplexer()
    news = multiplexer.news
    assert news is not None
    for _ in range(10):
        multiplexer.list_window_ids("a")
    assert news.connected
    news.notices()

    multiplexer.new_window("a", "w", world.project, {}, "true")
    eventually(lambda: any("window" in line for line in news.notices()), world.clock, 30)


UNHEARD = [event for event in LiveTmuxWorld.live_events() if not event.endswith(("_agent", "_ptys", "_full"))]
"""After these a question gets no answer, or none of the same server."""


@pytest.mark.live
@pytest.mark.parametrize("event", UNHEARD)
def test_a_live_server_is_hurt_and_nothing_of_it_is_left(
    live: tuple[LiveTmuxWorld, ProcessIdentity], event: str
) -> None:
    """While it is in force the server does not answer; at the end of the world no process of it or its successor stays."""
    world, server = live
    before = servers_of(world)
    world.live.happen(event, None)
    try:
        seen = world.multiplexer(call_timeout_s=1).server_identity()
    except MultiplexerError:
        seen = None
    world.close()

    assert seen is None or seen.pid != server.pid
    assert before
    assert servers_of(world) == []


@pytest.mark.live
@pytest.mark.parametrize(
    "event", [one for one in UNHEARD if one not in ("kill_server", "stop_server", "replace_server")]
)
def test_a_live_server_that_was_spared_answers_again(live: tuple[LiveTmuxWorld, ProcessIdentity], event: str) -> None:
    """The same server, with what it had, once the time has passed."""
    world, server = live
    world.live.happen(event, None)
    if event == "freeze_server":
        eventually(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED, SystemClock(), 10)
    world.live.undo()
    identity = world.multiplexer().server_identity()

    assert identity is not None
    assert identity.pid == server.pid
    assert world.multiplexer().list_sessions() == ["a"]


@pytest.mark.live
def test_a_live_client_that_was_stopped_for_a_while_is_answered(live: tuple[LiveTmuxWorld, ProcessIdentity]) -> None:
    """The call takes as long as that, and its answer is the server's."""
    world, server = live
    world.live.happen("freeze_client", 0.5)
    identity = world.multiplexer(call_timeout_s=60).server_identity()

    assert identity is not None
    assert identity.pid == server.pid


VARIABLE = ("SEAMRIPPER_LEDGER", "/nowhere/of-a-test-of-clients")


class Meanwhile:
    """A transport that carries commands to processes of this host, after it has done something else."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._inner = SubprocessTransport(environment={**os.environ, **dict([VARIABLE])})

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """See `Transport.run`."""
        self._action()
        return self._inner.run(argv, stdin=stdin, timeout_s=timeout_s)

    def abandon(self) -> None:
        """See `Transport.abandon`."""

    def take_up(self) -> None:
        """See `Transport.take_up`."""


@pytest.mark.live
def test_a_client_that_is_let_go_before_it_is_stopped_goes_on_once_it_is(tmp_path: Path) -> None:
    """SIGCONT is lost on a process that is not stopped yet, so it is sent when it is."""
    clients = RealClients(SystemProcessTable(), RealDisk(), tmp_path / "note", VARIABLE)
    letting_go = threading.Thread(target=clients.thaw)
    clients.freeze()

    done = clients.run(Meanwhile(letting_go.start), ["echo", "answered"], b"", 30)
    letting_go.join()

    assert done.stdout == b"answered\n"


@pytest.mark.live
@pytest.mark.parametrize("frozen", [2, 1], ids=["two are stopped", "another one is not"])
def test_who_is_stopped_is_let_go_whatever_other_clients_there_are(tmp_path: Path, frozen: int) -> None:
    """Two that are stopped at once, and one while another comes and goes."""
    name, value = VARIABLE[0], str(tmp_path)
    table, transport = SystemProcessTable(), SubprocessTransport(environment={**os.environ, name: value})
    clients = RealClients(table, RealDisk(), tmp_path / "note", (name, value))
    said: list[bytes] = []

    def call(word: str) -> None:
        said.append(clients.run(transport, ["echo", word], b"", 30).stdout)

    def are_so_far(number: int) -> bool:
        stopped = 0
        for one in table.carrying(name, value):
            with contextlib.suppress(psutil.Error):
                stopped += psutil.Process(one.pid).status() == psutil.STATUS_STOPPED
        return stopped + len(said) == number

    calls = [threading.Thread(target=call, args=(word,)) for word in ("one", "two")]
    for number, thread in enumerate(calls, 1):
        if number <= frozen:
            clients.freeze()
        thread.start()
        eventually(partial(are_so_far, number), SystemClock(), 30)
    clients.thaw()
    for thread in calls:
        thread.join()

    assert sorted(said) == [b"one\n", b"two\n"]


@pytest.mark.live
@pytest.mark.parametrize("when", ["during the call", "after it"])
def test_a_stranger_that_has_the_pid_of_a_client_that_was_stopped_stays_as_it_is(tmp_path: Path, when: str) -> None:
    """What carries nothing of the world's is signalled by nobody, and a note is gone with its call."""
    note = tmp_path / "note-1"
    clients = RealClients(SystemProcessTable(), RealDisk(), tmp_path / "note", VARIABLE)
    stranger = psutil.Popen(["sleep", "100"])
    stranger.suspend()

    def call() -> None:
        note.write_text(f"{stranger.pid}\n")
        if when == "during the call":
            clients.thaw()
        raise subprocess.TimeoutExpired(["tmux"], 1)

    try:
        eventually(lambda: stranger.status() == psutil.STATUS_STOPPED, SystemClock(), 10)
        clients.freeze()
        with pytest.raises(subprocess.TimeoutExpired):
            clients.run(Meanwhile(call), ["true"], b"", 1)
        clients.thaw()

        assert stranger.status() == psutil.STATUS_STOPPED
        assert not note.exists()
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.live
@pytest.mark.skipif("disk_full" not in LiveTmuxWorld.live_events(), reason="nobody may mount a file system here")
def test_a_live_disk_is_full_for_everybody_until_it_is_not() -> None:
    """No page more is given to any process, and what was there stays; afterwards there is room."""
    world = LiveTmuxWorld()
    try:
        world.live.prepare("disk_full")
        (world.runs / "before").write_text("kept")
        world.live.happen("disk_full", None)
        with pytest.raises(OSError, match="No space left on device"):
            (world.runs / "new").write_text("x")
        page = os.sysconf("SC_PAGE_SIZE")
        taken = [world.disk.append(world.runs / "before", data) for data in (b" and more", bytes(page))]
        with pytest.raises(OSError, match="No space left on device"):
            world.disk.append(world.runs / "before", b"x")
        copied = world.processes.run(["cp", __file__, str(world.runs / "other")], timeout_s=60)
        world.live.undo()
        (world.runs / "new").write_text("x")

        assert copied.status == 1
        assert taken == [9, page - len("kept and more")]
        assert (world.runs / "before").read_text().startswith("kept and more")
    finally:
        world.close()
    assert not world.runs.exists()


@pytest.mark.live
@pytest.mark.skipif("no_ptys" not in LiveTmuxWorld.live_events(), reason="limits of other processes are Linux's")
def test_a_live_host_without_ptys_opens_no_window_and_answers(live: tuple[LiveTmuxWorld, ProcessIdentity]) -> None:
    """What needs a terminal is refused as unknown, everything else is answered, and with terminals a window opens."""
    world, _ = live
    mux = world.multiplexer()
    world.live.happen("no_ptys", None)
    with pytest.raises(TransportUnavailable, match="fork failed: Too many open files"):
        mux.new_window("a", "w", world.project, {}, "sleep 100")
    before = mux.list_window_ids("a")
    world.live.undo()

    assert before == ["@0"]
    assert mux.new_window("a", "w", world.project, {}, "sleep 100") in mux.list_window_ids("a")


AGENT = """
import json, os, sys
ledger, count = sys.argv[1:]
entry = {"what": "start", "pid": os.getpid(), "token": os.environ["SEAMRIPPER_TOKEN"]}
open(ledger, "a").write(json.dumps(entry) + "\\n")
while True:
    print("at work", flush=True)
    open(count, "a").write("x")
"""


@pytest.mark.live
def test_a_live_agent_is_kept_waiting_by_its_terminal_until_it_is_let_go(
    live: tuple[LiveTmuxWorld, ProcessIdentity],
) -> None:
    """It does nothing more once it has something to print, though nobody stopped it, and goes on where it was."""
    world, _ = live
    count = world.project / "count"
    command = shlex.join([sys.executable, "-c", AGENT, str(ledger_of(world.project.parent)), str(count)])
    world.multiplexer().new_window("a", "w", world.project, {"SEAMRIPPER_TOKEN": "t" * 32}, command)
    eventually(world.agents_at_work, SystemClock(), 60)
    world.live.happen("freeze_agent", None)

    def size_later() -> tuple[int, int]:
        before = count.stat().st_size
        SystemClock().sleep(0.3)
        return before, count.stat().st_size

    eventually(lambda: len(set(size_later())) == 1, SystemClock(), 60)
    before, after = size_later()
    world.live.undo()

    assert before == after
    eventually(lambda: count.stat().st_size > after, SystemClock(), 60)


ENDS = {
    "fails": "raise AssertionError('no')",
    "times out": "mux_world.clock.sleep(600)",
}


@pytest.mark.live
@pytest.mark.parametrize("how", ENDS)
def test_nothing_stays_stopped_whatever_becomes_of_the_test(tmp_path: Path, how: str) -> None:
    """A test that fails or takes too long while its server is stopped leaves neither the server nor its directory."""
    body = f"""
import pytest

@pytest.mark.timeout(8)
@pytest.mark.live(scale=1)
def test_it(mux_world):
    mux_world.multiplexer().new_session("a", mux_world.project)
    mux_world.live.happen("freeze_server", 3600)
    print("base", mux_world.project.parent, mux_world.server().pid)
    {ENDS[how]}
"""
    (tmp_path / "test_it.py").write_text(body)
    said = text(run_pytest(tmp_path, "--mux", "tmux"))
    base, pid = re.findall(r"^base (\S+) (\d+)", said, re.MULTILINE)[0]

    assert "1 failed" in said
    assert not Path(base).exists()
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_a_draft_that_is_being_written_is_not_left_behind() -> None:
    """A relay that is at work has its pid in the name; one that is gone has left its draft."""
    world = LiveTmuxWorld(0, 1)
    try:
        run = world.runs / "run-1"
        (run / "events").mkdir(parents=True)
        gone = 2**22 + 1
        for name in (f".{os.getpid()}-0.draft", f".{gone}-0.draft", ".draft"):
            (run / "events" / name).touch()

        assert sorted(world.remains([run], []).ours) == ["file .4194305-0.draft", "file .draft"]
    finally:
        world.close()
