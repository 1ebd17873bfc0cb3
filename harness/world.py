"""The world that a scenario happens in: everything outside the engine, simulated or real.

A world outlives the runs in it: one run may crash and another one resume it. Every kind of world can do the same things to
its multiplexer (freeze, thaw, kill), so that a scenario reads the same on each.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from backends.base import TerminalMultiplexer
from backends.clock import Clock, ScaledClock, SystemClock, VirtualClock, Waker
from backends.disk import Disk, RealDisk
from backends.entropy import Entropy, SeededEntropy, SystemEntropy
from backends.errors import MultiplexerError
from backends.fake import FakeMultiplexer
from backends.fake_transport import FakeTransport
from backends.last_will import LastWill
from backends.memory_disk import MemoryDisk
from backends.posix_signals import SIGCONT, SIGKILL, SIGSTOP
from backends.processes import Liveness, ProcessIdentity, ProcessTable, SystemProcessTable
from backends.server_record import RECORD_NAME, ServerRecords
from backends.simulated_processes import SimulatedProcessTable
from backends.simulation import FakeServer
from backends.tmux import SOCKET_NAME, TmuxMultiplexer
from backends.transport import Transport
from faults.live import LiveEvent, LiveHost
from harness import guardian
from harness.agents import PROGRAM
from harness.clients import RealClients, SimulatedClients
from harness.engine.signals import not_ignored
from harness.engine.windows import RUN_OPTION, every_answer
from harness.guardian import LEDGER, end_world, importing, ledger_of, short_directory
from harness.hurting import AGENT_SIGNALS, DescriptorLimit, agent_events
from harness.simulated import Agents, SimulatedAgent
from harness.small_disk import SmallDisk, small_disks_are_possible
from harness.terminals import hold_output, let_output_go
from harness.waiting import eventually

__all__ = ["WORLDS", "FakeWorld", "LiveTmuxByProcessWorld", "LiveTmuxWorld", "Remains", "SimulatedTmuxWorld", "World"]

Wrap = Callable[[Transport], Transport]
_DRAFT = re.compile(r"\.([0-9]{1,9})-[0-9]+\.draft")
"""A file that the hook relay is writing, by the pid of its process."""


class Remains(NamedTuple):
    """What is left when a run is over: of the run itself, a line each, and the sessions that are somebody else's, by name."""

    ours: list[str]
    others: list[str]


class World(ABC):
    """One host with a clock, a disk, processes and a multiplexer.

    `virtual` says whether waiting is free. `scale` is how many seconds of the world's clock pass in one second of the host.
    `runs` is the directory that runs are kept in, `project` the one that agents work in.
    """

    name: str
    virtual: bool
    layers: frozenset[str]
    """The layers of faults that can be injected here."""
    runs: Path
    project: Path
    clock: Clock
    disk: Disk
    processes: ProcessTable
    entropy: Entropy
    live: LiveHost
    """The host as the `live.` faults know it; what is in force is undone with `close`."""
    scale: float
    python: str = sys.executable
    program: str = PROGRAM
    default_call_timeout_s: float | None = None

    def __init__(self, seed: int = 0, scale: float = 1.0) -> None:
        """Draw names from `seed` if the world is virtual; pass time at `scale` if it is not."""
        self.seed = seed
        self.scale = scale
        self._cues: list[tuple[float, Callable[[], None]]] = []
        self.agents = Agents()

    @classmethod
    @abstractmethod
    def live_events(cls) -> tuple[str, ...]:
        """What of the layer `live` can be made to happen in such a world on this host."""

    @abstractmethod
    def agents_at_work(self) -> list[ProcessIdentity]:
        """The processes of the scripted agents that have begun and live, stopped or not."""

    @abstractmethod
    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """A backend on this world's server; `wrap` goes around its transport, where it has one."""

    @abstractmethod
    def freeze(self) -> None:
        """The server stops answering, as by SIGSTOP."""

    @abstractmethod
    def thaw(self) -> None:
        """The server goes on, with everything that was asked of it meanwhile."""

    @abstractmethod
    def kill_server(self) -> None:
        """The server dies, as by SIGKILL."""

    @property
    @abstractmethod
    def frozen(self) -> bool:
        """Whether the server is being kept from answering, or nobody can reach it."""

    @abstractmethod
    def ledger(self) -> list[dict[str, Any]]:
        """What every scripted agent wrote down about itself: starts, prompts, overlaps, ends."""

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Let `action` happen `seconds` from now: at that time if the world is virtual, else at the engine's next step."""
        self._cues.append((self.clock.monotonic() + seconds, action))

    def cue(self) -> None:
        """Do what is due; called at every step of the engine."""
        now = self.clock.monotonic()
        due = [action for when, action in self._cues if when <= now]
        self._cues = [(when, action) for when, action in self._cues if when > now]
        for action in due:
            action()

    @abstractmethod
    def signalling(
        self, due: Sequence[tuple[float, int]], deliver: Callable[[int], None]
    ) -> AbstractContextManager[None]:
        """Within, the engine gets each signal of `due` so many seconds from now, whatever it is doing.

        Where the engine is a real process the kernel sends them, else `deliver` is called. What is not due by then is not sent.
        """

    @abstractmethod
    def driver_died(self) -> None:
        """The engine's process was killed: what the host sees of it is gone."""

    def remains(self, run_dirs: Sequence[Path], tokens: Iterable[str]) -> Remains:
        """What is left of runs that should have left nothing: sessions, processes, locks, temporary files.

        `run_dirs` are the directories of a run and of those inside it, each named by its run's id; `tokens` are those of all
        their launches. Raises `MultiplexerError` if the multiplexer does not answer.
        """
        multiplexer = self.multiplexer()
        ours = {run_dir.name for run_dir in run_dirs}
        owners = multiplexer.session_options(RUN_OPTION)
        sessions = multiplexer.list_sessions()
        found = [f"session {name}" for name in sessions if owners.get(name) in ours]
        for token in tokens:
            found += [f"process {one.pid}" for one in self.processes.carrying("SEAMRIPPER_TOKEN", token)]
        for run_dir in run_dirs:
            if self.disk.locked(run_dir / "run.lock"):
                found.append(f"lock run.lock of {run_dir.name}")
            for directory in (run_dir, run_dir / "crash", run_dir / "events"):
                names = self.disk.listdir(directory) if self.disk.info(directory) is not None else []
                found += [f"file {name}" for name in names if name.endswith(".tmp") or self._is_left_draft(name)]
        return Remains(found, [name for name in sessions if owners.get(name) not in ours])

    def _is_left_draft(self, name: str) -> bool:
        """Whether it is a draft of the hook relay that nobody is at work on: the process in its name is gone."""
        writer = _DRAFT.fullmatch(name)
        return name.endswith(".draft") and (writer is None or self.processes.identify(int(writer[1])) is None)

    @abstractmethod
    def close(self) -> None:
        """End everything that this world began; nothing of it stays on the host."""


class FakeWorld(World):
    """A simulated host with the fake multiplexer: waiting is free, and everything follows from the seed."""

    name = "fake"
    virtual = True
    layers = frozenset({"mux", "leak", "disk", "engine", "signal", "clock", "agent", "live"})
    python = "/sim/bin/python3"
    program = "/sim/lib/scripted.py"

    def __init__(self, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__(seed)
        self.runs = Path("/sim/runs")
        self.project = Path("/sim/project")
        self.clock: VirtualClock = VirtualClock()
        self.disk: MemoryDisk = MemoryDisk(self.clock)
        self.processes: SimulatedProcessTable = SimulatedProcessTable(self.clock)
        self.entropy = SeededEntropy(seed)
        self.server = FakeServer(self.clock, self.processes, self.disk, self.agents)
        for directory in (self.runs, self.project):
            self.disk.mkdir(directory)
        self.live = LiveHost(self.clock, lambda: self.server.running, self._live_events())

    @classmethod
    def live_events(cls) -> tuple[str, ...]:
        """See `World.live_events`; the fake multiplexer has no socket and no clients, and asks nobody who he is."""
        return ("freeze_server", "kill_server", "disk_full", "freeze_agent", *AGENT_SIGNALS)

    def _live_events(self) -> dict[str, LiveEvent]:
        return {
            "freeze_server": LiveEvent(self.freeze, self.thaw),
            "kill_server": LiveEvent(self.kill_server),
            "disk_full": LiveEvent(partial(self._set_room, 0), partial(self._set_room, self.disk.free)),
            **agent_events(self.processes, self.agents_at_work, self._hold_agent, self._let_agent_go),
        }

    def _agent(self, process: ProcessIdentity) -> SimulatedAgent:
        return next(agent for agent in self.agents.agents if agent.process.identity == process)

    def _hold_agent(self, process: ProcessIdentity) -> None:
        self._agent(process).hold()

    def _let_agent_go(self, process: ProcessIdentity) -> None:
        # Programs run in waits, never inside of a call.
        self.clock.call_later(0.0, self._agent(process).let_go)

    def _set_room(self, size: int) -> None:
        self.disk.free = size

    def agents_at_work(self) -> list[ProcessIdentity]:
        """See `World.agents_at_work`."""
        return [agent.process.identity for agent in self.agents.agents if agent.at_work]

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`."""
        return FakeMultiplexer(self.server, call_timeout_s=call_timeout_s)

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """See `World.at`."""
        self.clock.call_later(seconds, action)

    def freeze(self) -> None:
        """See `World.freeze`."""
        self.server.freeze()

    def thaw(self) -> None:
        """See `World.thaw`."""
        self.server.thaw()

    def kill_server(self) -> None:
        """See `World.kill_server`."""
        self.server.kill()

    @property
    def frozen(self) -> bool:
        """See `World.frozen`."""
        return self.server.frozen or (self.server.running and self.server.socket_unlinked)

    def ledger(self) -> list[dict[str, Any]]:
        """See `World.ledger`."""
        return self.agents.ledger

    def cut_socket(self) -> None:
        """The server's socket is removed, while it lives on."""
        self.server.socket_unlinked = True

    def mend_socket(self) -> None:
        """The socket is there again."""
        self.server.socket_unlinked = False

    def replace_server(self, session: str | None = None) -> ProcessIdentity:
        """The server dies, and another one is in its place, with a session of that name (else of one that we had).

        Its windows have the ids `@0` and `@1`, and write what is typed to them to `/sim/typed`. Says who it is.
        """
        names = [*self.server.sessions]
        self.server.restart()
        foreign = self.server.make_session(session or (names[-1] if names else "theirs"), "/home/sim")
        for _ in range(2):
            self.server.make_window(foreign, "theirs", "/home/sim", {}, ["cat"]).log = "/sim/typed"
        assert self.server.identity is not None
        return self.server.identity

    @contextlib.contextmanager
    def signalling(self, due: Sequence[tuple[float, int]], deliver: Callable[[int], None]) -> Iterator[None]:
        """See `World.signalling`."""
        for seconds, signum in due:
            self.clock.call_later(seconds, partial(deliver, signum))
        yield

    def driver_died(self) -> None:
        """See `World.driver_died`."""
        self.processes.replace_me()
        self.disk.forget_locks()

    def close(self) -> None:
        """See `World.close`; a simulation leaves nothing."""


class SimulatedTmuxWorld(FakeWorld):
    """A simulated host on which the real tmux backend speaks to a simulated tmux."""

    name = "simulated-tmux"
    layers = FakeWorld.layers | {"transport"}

    @classmethod
    def live_events(cls) -> tuple[str, ...]:
        """See `World.live_events`."""
        own = ("stop_server", "unlink_socket", "replace_server", "freeze_client", "kill_client", "no_binary", "no_ptys")
        return (*super().live_events(), *own)

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`."""
        transport = self._clients.around(FakeTransport(self.server))
        return TmuxMultiplexer(
            Path("/sim/socket"),
            transport=transport if wrap is None else wrap(transport),
            clock=self.clock,
            call_timeout_s=call_timeout_s,
            processes=self.processes,
            disk=self.disk,
            environment={},
            prepare=self.disk.mkdir,
        )

    def stop_server(self) -> None:
        """The server ends as `kill-server` ends it: nobody listens at its socket, which stays."""
        self.server.kill()

    def _set_ptys(self, are_there: bool) -> None:
        self.server.has_ptys = are_there

    def _live_events(self) -> dict[str, LiveEvent]:
        self._clients = SimulatedClients(self.clock)
        others: list[ProcessIdentity] = []

        def end_others() -> None:
            while others:
                self.processes.signal(others.pop(), SIGKILL)

        return {
            **super()._live_events(),
            **self._clients.events(),
            "stop_server": LiveEvent(self.stop_server),
            "unlink_socket": LiveEvent(self.cut_socket, self.mend_socket),
            "replace_server": LiveEvent(lambda: others.append(self.replace_server()), end_others),
            "no_ptys": LiveEvent(partial(self._set_ptys, False), partial(self._set_ptys, True)),
        }


class LiveTmuxWorld(World):
    """This host, with a tmux server of its own, real agent processes and real files; all of it ends with `close`."""

    name = "tmux"
    virtual = False
    layers = frozenset({"mux", "leak", "transport", "disk", "engine", "signal", "clock", "agent", "live"})
    default_call_timeout_s = 60.0
    """Seconds of the world's clock: only a call that hangs may be late, however slow the host is."""
    transport_kind: str | None = None
    """How its multiplexers ask: see `backends.tmux.TRANSPORTS`."""

    def __init__(self, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__(seed, scale)
        self.clock = SystemClock() if scale == 1.0 else ScaledClock(scale)
        self._base = short_directory()
        self.runs = self._base / "runs"
        self.project = self._base / "project"
        self._socket = self._base / "s"
        self._binary = self._base / "tmux"
        self._ledger = ledger_of(self._base)
        self._environment = {**os.environ, LEDGER: str(self._ledger)}
        self._will = LastWill((sys.executable, "-m", guardian.__name__, str(self._base)), importing(os.environ))
        for directory in (self.runs, self.project, self._socket):
            directory.mkdir(mode=0o700)
        self._program = shutil.which("tmux")
        self.put_binary()
        self.disk = RealDisk()
        self.processes: SystemProcessTable = SystemProcessTable(self.clock)
        # Tokens must be unique on the host: leftovers of a run are found by them.
        self.entropy = SystemEntropy()
        self._made: weakref.WeakSet[TerminalMultiplexer] = weakref.WeakSet()
        self._server: ProcessIdentity | None = None
        self._frozen: ProcessIdentity | None = None
        self._others: list[ProcessIdentity] = []
        self._hidden = self._base / "socket"
        variable = (LEDGER, str(self._ledger))
        self._clients = RealClients(self.processes, self.disk, self._base / "client", variable)
        self._limit = DescriptorLimit(self.server, self.processes, self.disk, SystemClock())
        self._small: SmallDisk | None = None
        self.live = LiveHost(self.clock, lambda: self._recorded() is not None, self._live_events())

    @classmethod
    def live_events(cls) -> tuple[str, ...]:
        """See `World.live_events`; limits of other processes are Linux's, and not every host lets us mount."""
        servers = ("freeze_server", "kill_server", "stop_server", "unlink_socket", "replace_server")
        limits = ("no_ptys", "no_descriptors") if sys.platform == "linux" else ()
        disks = ("disk_full",) if small_disks_are_possible() else ()
        clients = ("freeze_client", "kill_client", "no_binary")
        return (*servers, *clients, *limits, *disks, "freeze_agent", *AGENT_SIGNALS)

    def _live_events(self) -> dict[str, LiveEvent]:
        return {
            "freeze_server": LiveEvent(self.freeze, self.thaw),
            "kill_server": LiveEvent(self.kill_server),
            "stop_server": LiveEvent(self.stop_server),
            "unlink_socket": LiveEvent(self.cut_socket, self.mend_socket),
            "replace_server": LiveEvent(self.replace_server, self._end_others),
            "no_binary": LiveEvent(self.take_binary, self.put_binary),
            "no_ptys": self._limit.event("no_ptys", free=1),
            "no_descriptors": self._limit.event("no_descriptors", free=0),
            "disk_full": LiveEvent(self.fill_disk, self.empty_disk, prepare=self._move_to_small_disk),
            **self._clients.events(),
            **agent_events(
                self.processes,
                self.agents_at_work,
                lambda one: hold_output(one.pid),
                lambda one: let_output_go(one.pid),
            ),
        }

    def multiplexer(self, wrap: Wrap | None = None, call_timeout_s: float | None = None) -> TerminalMultiplexer:
        """See `World.multiplexer`."""

        def around(transport: Transport) -> Transport:
            hurting = self._clients.around(transport)
            return hurting if wrap is None else wrap(hurting)

        made = TmuxMultiplexer(
            self._socket,
            binary=str(self._binary),
            wrap=around,
            transport_kind=self.transport_kind,
            clock=self.clock,
            call_timeout_s=call_timeout_s,
            processes=self.processes,
            disk=self.disk,
            environment=self._environment,
        )
        self._made.add(made)
        return made

    def server(self) -> ProcessIdentity:
        """The server's process; `LookupError` if none was started yet."""
        recorded = self._recorded()
        if recorded is not None:
            self._server = recorded
            return recorded
        with contextlib.suppress(MultiplexerError):
            found = self.multiplexer().server_identity()
            identity = None if found is None else self.processes.identify(found.pid)
            self._server = identity or self._server
        if self._server is None:
            raise LookupError("no tmux server was started yet")
        return self._server

    def _recorded(self) -> ProcessIdentity | None:
        """The process of our server if it lives, stopped or not: found without asking it."""
        record = ServerRecords(self._socket / RECORD_NAME, self.disk, self.processes).get()
        if record is None or record.liveness(self.processes) is not Liveness.ALIVE:
            return None
        return ProcessIdentity(record.pid, record.process_started, record.boot_id)

    def freeze(self) -> None:
        """See `World.freeze`."""
        server = self.server()
        self._frozen = server
        self.processes.signal(server, SIGSTOP)

    def thaw(self) -> None:
        """See `World.thaw`."""
        if self._frozen is not None:
            self.processes.signal(self._frozen, SIGCONT)
            self._frozen = None

    def kill_server(self) -> None:
        """See `World.kill_server`."""
        self.processes.signal(self.server(), SIGKILL)
        self._frozen = None

    def stop_server(self) -> None:
        """Somebody asks the server to end, as `kill-server` does."""
        ours = self.server()
        self.ask_tmux("kill-server")
        eventually(lambda: self.processes.liveness(ours) is Liveness.DEAD, SystemClock(), 10)

    @property
    def frozen(self) -> bool:
        """See `World.frozen`."""
        cut_off = self.disk.info(self._hidden) is not None and self.disk.info(self._socket / SOCKET_NAME) is None
        return self._frozen is not None or self._limit.in_force or cut_off

    def cut_socket(self) -> None:
        """The server's socket is removed, while it lives on."""
        # The socket is the file, whatever it is called: put back under its name it is reached as before.
        with contextlib.suppress(FileNotFoundError):
            self.disk.replace(self._socket / SOCKET_NAME, self._hidden)

    def mend_socket(self) -> None:
        """The socket is there again; one that somebody else has made meanwhile stays."""
        with contextlib.suppress(FileNotFoundError):
            if self.disk.info(self._socket / SOCKET_NAME) is None:
                self.disk.replace(self._hidden, self._socket / SOCKET_NAME)
            else:
                self.disk.remove(self._hidden)

    def take_binary(self) -> None:
        """The tmux that this world's multiplexers run is gone; the host's own stays."""
        self._binary.unlink(missing_ok=True)

    def put_binary(self) -> None:
        """It is there again."""
        with contextlib.suppress(FileExistsError):
            self._binary.symlink_to(self._program or "/nonexistent/tmux")

    def _move_to_small_disk(self) -> None:
        """Keep new runs on a small file system from now on."""
        if self._small is None:
            below = self._base / "small"
            below.mkdir()
            self._small = SmallDisk(below, self._base / "small.pid", self._environment)
            self.runs = self._small.path

    def fill_disk(self) -> None:
        """There is no room left where runs are kept."""
        assert self._small is not None
        self._small.fill()

    def empty_disk(self) -> None:
        """There is room again."""
        if self._small is not None:
            self._small.empty()

    def agents_at_work(self) -> list[ProcessIdentity]:
        """See `World.agents_at_work`."""
        started = {entry["pid"]: entry["token"] for entry in self.ledger() if entry["what"] == "start"}
        tokens = sorted(set(started.values()) - {""})
        carrying = self.processes.carrying("SEAMRIPPER_TOKEN", *tokens) if tokens else []
        return [one for one in carrying if one.pid in started]

    def ask_tmux(self, *words: str) -> str:
        """What a tmux that knows nothing of us answers at the socket of our server; `RuntimeError` if it refuses."""
        multiplexer = self.multiplexer()
        assert isinstance(multiplexer, TmuxMultiplexer)
        client = (self._program or "tmux", "-f", "/dev/null", "-S", str(multiplexer.socket_path))
        done = self.processes.run((*client, *words), timeout_s=60, env=self._environment)
        if done.status != 0:
            raise RuntimeError(f"tmux {words[0]}: exit {done.status}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout.decode("utf-8")

    def replace_server(self, session: str | None = None) -> None:
        """The server dies, and somebody else's starts at its socket, with a session of that name (else of one that we had).

        Its windows have the ids `@0` and `@1`.
        """
        name = session or self._newest_session()
        ours = self.server()
        self.kill_server()
        eventually(lambda: self.processes.liveness(ours) is Liveness.DEAD, SystemClock(), 10)
        pid = self.ask_tmux("new-session", "-d", "-P", "-F", "#{pid}", "-s", name, "cat")
        self.ask_tmux("new-window", "-d", "-t", f"={name}:", "cat")
        other = self.processes.identify(int(pid))
        assert other is not None
        self._others.append(other)

    def _newest_session(self) -> str:
        multiplexer = self.multiplexer()
        with every_answer(multiplexer):
            names = multiplexer.list_sessions()
        return names[-1] if names else "theirs"

    def _end_others(self) -> None:
        while self._others:
            self.processes.signal(self._others.pop(), SIGKILL)

    def ledger(self) -> list[dict[str, Any]]:
        """See `World.ledger`."""
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in self.disk.read(self._ledger).splitlines()]
        return []

    @contextlib.contextmanager
    def signalling(self, due: Sequence[tuple[float, int]], deliver: Callable[[int], None]) -> Iterator[None]:
        """See `World.signalling`."""
        began_s = self.clock.monotonic()
        over = Waker()

        def send() -> None:
            for seconds, signum in sorted(due):
                if self.clock.wait(began_s + seconds - self.clock.monotonic(), over):
                    return
                self.processes.signal(self.processes.me(), signum)

        sender = threading.Thread(target=send, name="signalling", daemon=True)
        sender.start()
        try:
            with not_ignored({signum for _, signum in due}):
                yield
        finally:
            over.wake()
            sender.join()
            over.close()

    def driver_died(self) -> None:
        """See `World.driver_died`; the process that plays the engine goes on living here, without its locks."""

    def close(self) -> None:
        """See `World.close`; nothing that fails on the way keeps the rest from being ended. Harmless twice.

        Raises `WorldRemains` where something could not be ended; it is tried again when this process has ended.
        """
        if not self._base.exists():
            return
        with contextlib.ExitStack() as ending:
            ending.callback(self._end)
            if self._small is not None:
                ending.callback(self._small.end)
            ending.callback(self._end_server)
            for made in self._made:
                ending.callback(made.disconnect)
            ending.callback(self.mend_socket)
            ending.callback(self.thaw)
            ending.callback(self.live.undo)

    def _end(self) -> None:
        end_world(self._base, self.processes, SystemClock())
        self._will.call_off()

    def _end_server(self) -> None:
        try:
            multiplexer = self.multiplexer()
            assert isinstance(multiplexer, TmuxMultiplexer)
            multiplexer.shutdown()
        finally:
            if self._server is not None:
                self.processes.signal(self._server, SIGKILL)


class LiveTmuxByProcessWorld(LiveTmuxWorld):
    """A live tmux that is asked by a process for each question, as a host does that cannot keep a client connected."""

    name = "tmux-process"
    transport_kind = "process"


WORLDS: Mapping[str, type[World]] = {
    "fake": FakeWorld,
    "simulated-tmux": SimulatedTmuxWorld,
    "tmux": LiveTmuxWorld,
    "tmux-process": LiveTmuxByProcessWorld,
}
"""The worlds that scenarios can happen in, by the name that `--mux` knows them by."""
