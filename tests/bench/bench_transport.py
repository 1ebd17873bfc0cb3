"""What it costs to ask tmux: a process per call, libtmux and one control-mode client, on one server, in one run.

    python tests/bench/bench_transport.py                          1 to 1,000 windows; takes minutes
    python tests/bench/bench_transport.py --sizes 1,100 --rounds 5 --json found.json

`process` and `control` are the operations of the seam on the two transports, from the call to its answer, with everything that
the seam checks; `libtmux` is that library's own way to the same end, and `client` the bare tmux client, started by hand and not
judged. `polling` is a process for every window, which is how a program without a listing of all would look whether they live;
beyond 100 of them the time is multiplied. `mirror` is `LivenessMirror`: from memory, and woken when a window's process ends.
`watch` is how the engine hears of a result: from the rename of the file until it was read. Physical limits stand beside them.

Every round has everything in an order of its own. Times are those on the wall, of a call; how many times as long as the first
of its group (`control`, or the mirror) something took is judged round by round. Nothing here passes or fails by a time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtmux
from measuring import Measured, measure, whole

from backends.clock import SystemClock, Waker
from backends.control import ControlTransport
from backends.disk import RealDisk
from backends.errors import TransportError
from backends.mirror import LivenessMirror
from backends.processes import SystemProcessTable
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport, without_server
from harness.engine.attention import EVENTS, RESULTS, Attention
from harness.engine.events import read_result
from harness.waiting import eventually

__all__ = [
    "LIMITS",
    "WANTED",
    "Finding",
    "document",
    "frozen",
    "grounds",
    "main",
    "measured",
    "results",
    "sizes",
    "table",
]

CLOCK = SystemClock()
PROCESSES = SystemProcessTable(CLOCK)
SESSION = "run-1"
HELD = "cat >/dev/null"
"""What runs in each window: takes what is typed, and says nothing."""
DEADLINE_S = 0.25
"""What a call to a frozen server is given."""

_TURN_S = 0.02
"""Seconds that each thing is measured in each round; one call at least."""

FROZEN = "frozen server: late by"
DEATH = "death known after"
MIRRORED = "window_alive, mirrored"
RESULT = "result read after"

_PATIENCE_S = 60.0
"""Seconds that a server which is not stopped is given to answer in time."""

_MOST_POLLED = 100
"""Windows that are polled by a process each; for more the time is multiplied."""

Subject = Callable[[int], object]

WANTED: Mapping[str, Mapping[str, float]] = {
    "has_session": {"process": 25, "libtmux": 25},
    "list_windows": {"process": 25, "libtmux": 25},
    "set_window_option": {"process": 25, "libtmux": 25},
    "send_text": {"process": 25, "libtmux": 25},
    "new_window": {"process": 2.5, "libtmux": 2.5},
    MIRRORED: {"process": 2000},
}
"""How many times as long as `control` each way was expected to take at least; of 1,000 windows see below."""
LISTED_1000 = {"libtmux": 40.0}
WANTED_MS: Mapping[tuple[str, str, int], float] = {
    ("list_windows", "control", 1000): 6,
    (DEATH, "mirror", 100): 10,
    (DEATH, "mirror", 1000): 50,
    (RESULT, "watch", 0): 5,
    (FROZEN, "control", 0): 20,
    (FROZEN, "process", 0): 20,
}
"""Milliseconds that were asked for, of a subject, a way and a number of windows; what a host makes of them is not judged."""

LIMITS = ("a bare process", "a socket ping-pong", "a pane's fork")


@dataclass(frozen=True, slots=True)
class Finding:
    """What `subject` cost one `way`, at so many windows (0 where they do not matter); `base` is what it is compared with."""

    windows: int
    subject: str
    way: str
    cost: Measured
    base: Measured | None = None

    @property
    def times(self) -> float | None:
        """How many times as long as `base` it took."""
        return None if self.base is None else self.cost.ratio_to(self.base)

    @property
    def wanted(self) -> float | None:
        """How many times as long it should take at least."""
        if self.subject == "list_windows" and self.windows == 1000:
            return LISTED_1000.get(self.way)
        return WANTED.get(self.subject, {}).get(self.way)

    @property
    def wanted_ms(self) -> float | None:
        """How long it should take at most."""
        return WANTED_MS.get((self.subject, self.way, self.windows))

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, in milliseconds."""
        ms = [round(cost_s * 1e3, 4) for cost_s in self.cost.costs_s]
        middle = round(self.cost.median_s * 1e3, 4)
        return {
            "windows": self.windows,
            "subject": self.subject,
            "way": self.way,
            "ms": {"min": min(ms), "median": middle, "max": max(ms), "rounds": ms},
            "times": None if self.times is None else round(self.times, 2),
            "wanted_times": self.wanted,
            "wanted_ms": self.wanted_ms,
        }


class Ground:
    """A private server with one session of windows, and everybody who can ask it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.control = ControlTransport(SubprocessTransport())
        self.plain_mux = TmuxMultiplexer(directory, transport=SubprocessTransport())
        self.fast_mux = TmuxMultiplexer(directory, transport=self.control)
        self.environment = without_server(os.environ)
        self.client = ("tmux", "-u", "-S", str(self.plain_mux.socket_path), "-f", "/dev/null")
        self.windows: list[str] = []
        self.server_pid = 0

    def grow(self, count: int) -> None:
        """Have so many windows."""
        if not self.windows:
            self.plain_mux.new_session(SESSION, self.directory)
            self.windows.append(self.plain_mux.list_window_ids(SESSION)[0])
        while len(self.windows) < count:
            self.windows.append(
                self.fast_mux.new_window(SESSION, f"w{len(self.windows)}", self.directory, {}, f"sh -c '{HELD}'")
            )
        if not self.control.connected:
            self.fast_mux.has_session(SESSION)
        seen = self.plain_mux.server_identity()
        assert seen is not None
        self.server_pid = seen.pid
        server = libtmux.Server(socket_path=self.plain_mux.socket_path)
        session = server.sessions.get(session_name=SESSION)
        assert session is not None
        self.server, self.session = server, session

    def tidy(self) -> None:
        """Let go of the windows that were only made to measure the making."""
        known = set(self.windows)
        for window in self.fast_mux.list_window_ids(SESSION):
            if window not in known:
                self.fast_mux.kill_window(window)

    def bare(self, *words: str) -> None:
        """Run the tmux client by hand."""
        subprocess.run([*self.client, *words], env=self.environment, check=True, capture_output=True, timeout=60)

    def processor_s(self) -> float:
        """Seconds of processor time of this process, of the clients it has waited for, and of the server."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own_s = time.process_time() + children.ru_utime + children.ru_stime
        return own_s + int(Path(f"/proc/{self.server_pid}/schedstat").read_bytes().split()[0]) / 1e9

    def end(self) -> None:
        """End the client and the server."""
        self.control.close()
        self.plain_mux.shutdown()


@contextmanager
def grounds() -> Iterator[Ground]:
    """A server in a directory that goes again."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    ground = Ground(directory)
    try:
        yield ground
    finally:
        ground.end()
        shutil.rmtree(directory, ignore_errors=True)


def ways(ground: Ground) -> dict[str, dict[str, Subject]]:
    """What is measured of a server, each with the ways to it; `control` is what the others are compared with."""
    window = ground.windows[-1]
    theirs = next(one for one in ground.session.windows if one.window_id == window)
    pane = theirs.panes[0]
    fields = ("window_id", "window_name")
    asked: dict[str, Callable[[TmuxMultiplexer], object]] = {
        "has_session": lambda mux: mux.has_session(SESSION),
        "list_windows": lambda mux: mux.list_windows(SESSION, fields),
        "window_alive": lambda mux: mux.window_alive(SESSION, window),
        "batch_liveness": lambda mux: mux.batch_liveness(SESSION),
        "set_window_option": lambda mux: mux.set_window_option(window, "@bench", "x"),
        "send_text": lambda mux: mux.send_text(window, "hello"),
        "new_window": lambda mux: mux.new_window(SESSION, "extra", ground.directory, {}, f"sh -c '{HELD}'"),
    }
    found = {
        subject: {
            "control": _called(ask, ground.fast_mux),
            "process": _called(ask, ground.plain_mux),
        }
        for subject, ask in asked.items()
    }
    found["has_session"] |= {
        "libtmux": lambda number: ground.server.has_session(SESSION),
        "client": lambda number: ground.bare("has-session", "-t", f"={SESSION}"),
    }
    found["list_windows"] |= {
        "libtmux": lambda number: list(ground.session.windows),
        "client": lambda number: ground.bare(
            "list-windows", "-t", f"={SESSION}:", "-F", "#{window_id}\t#{window_name}"
        ),
    }
    found["set_window_option"] |= {
        "libtmux": lambda number: theirs.set_option("@bench", "x"),
        "client": lambda number: ground.bare("set-option", "-w", "-t", window, "@bench", "x"),
    }
    found["send_text"] |= {
        "libtmux": lambda number: pane.send_keys("hello", enter=True),
        "client": lambda number: ground.bare("send-keys", "-t", window, "hello", "Enter"),
    }
    found["new_window"] |= {
        "libtmux": lambda number: ground.session.new_window(
            window_name="extra", start_directory=str(ground.directory), attach=False, window_shell=HELD
        ),
        "client": lambda number: ground.bare("new-window", "-d", "-P", "-t", f"={SESSION}:", HELD),
    }
    found["batch_liveness"]["polling"] = lambda number: _poll(ground)
    return found


def _called(ask: Callable[[TmuxMultiplexer], object], mux: TmuxMultiplexer) -> Subject:
    return lambda number: ask(mux)


def _poll(ground: Ground) -> None:
    """As many as take a bearable time; `measured` tells what all would."""
    for window in ground.windows[:_MOST_POLLED]:
        ground.bare("display-message", "-p", "-t", window, "#{pane_dead}")


@contextmanager
def limits() -> Iterator[dict[str, Subject]]:
    """What a host needs for the parts that no way around tmux can leave out."""
    here, there = socket.socketpair()
    echo = threading.Thread(target=_echo, args=(there,))
    echo.start()

    def ping(number: int) -> None:
        here.send(b"x")
        here.recv(1)

    try:
        yield {
            LIMITS[0]: lambda number: subprocess.run(["/bin/true"], check=True),
            LIMITS[1]: ping,
            LIMITS[2]: lambda number: _fork(),
        }
    finally:
        here.close()
        echo.join()
        there.close()


def _echo(end: socket.socket) -> None:
    while data := end.recv(1):
        end.send(data)


def _fork() -> None:
    """A terminal with a shell in it, until the shell has been started: as tmux makes a pane."""
    master, slave = os.openpty()
    try:
        subprocess.run(
            ["/bin/sh", "-c", ":"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True, check=True
        )
    finally:
        os.close(master)
        os.close(slave)


def measured(ground: Ground, count: int, rounds: int, dice: random.Random, *, processor: bool) -> list[Finding]:
    """Everything at that many windows, on the wall or in processor time."""
    ground.grow(count)
    found = ways(ground)
    subjects = {f"{subject}\t{way}": call for subject, all_of in found.items() for way, call in all_of.items()}

    def begun(number: int, name: str) -> None:
        if number == 1 or name.startswith("new_window"):
            ground.tidy()

    mirror = LivenessMirror(ground.fast_mux, PROCESSES, news=ground.control, stale_after_s=3600)
    subjects[f"{MIRRORED}\tmirror"] = lambda number: mirror.window_alive(SESSION, ground.windows[-1])
    now, seconds = (ground.processor_s, 2 * _TURN_S) if processor else (CLOCK.monotonic, _TURN_S)
    costs = measure(subjects, rounds=rounds, seconds=seconds, now=now, begun=begun, dice=dice)
    ground.tidy()
    polled, part = "batch_liveness\tpolling", max(1.0, count / _MOST_POLLED)
    costs[polled] = Measured(tuple(cost_s * part for cost_s in costs[polled].costs_s))
    mirrored = costs[f"{MIRRORED}\tmirror"]
    said = [
        Finding(count, MIRRORED, "mirror", mirrored, mirrored),
        Finding(count, MIRRORED, "process", costs["window_alive\tprocess"], mirrored),
    ]
    if not processor:
        said.append(Finding(count, DEATH, "mirror", _deaths(ground, mirror, rounds)))
    mirror.close()
    return said + [
        Finding(count, subject, way, costs[f"{subject}\t{way}"], costs[f"{subject}\tcontrol"])
        for subject, all_of in found.items()
        for way in all_of
    ]


def _deaths(ground: Ground, mirror: LivenessMirror, rounds: int) -> Measured:
    """How long after the process of a window was killed a mirror that is woken says so."""
    known_s = []
    for _ in range(rounds):
        window = ground.fast_mux.new_window(SESSION, "extra", ground.directory, {}, "sleep 3600")
        mirror.window_alive(SESSION, window)
        (pid,) = ground.fast_mux.window_pids(window)
        began_s = CLOCK.monotonic()
        os.kill(pid, signal.SIGKILL)
        while mirror.window_alive(SESSION, window):
            CLOCK.wait(mirror.due_s, mirror.waker)
            mirror.look()
        known_s.append(CLOCK.monotonic() - began_s)
        ground.tidy()
        mirror.look()
    return Measured(tuple(known_s))


def frozen(ground: Ground, rounds: int) -> list[Finding]:
    """How long after its deadline a call comes back whose server was stopped."""
    muxes = {
        "control": TmuxMultiplexer(ground.directory, transport=ground.control, call_timeout_s=DEADLINE_S),
        "process": TmuxMultiplexer(ground.directory, transport=SubprocessTransport(), call_timeout_s=DEADLINE_S),
    }
    late: dict[str, list[float]] = {way: [] for way in muxes}
    pid = ground.server_pid
    for _ in range(rounds):
        for way, mux in muxes.items():
            _await_answer(mux)
            os.kill(pid, signal.SIGSTOP)
            try:
                began = CLOCK.monotonic()
                with suppress(TransportError):
                    mux.has_session(SESSION)
                late[way].append(max(1e-9, CLOCK.monotonic() - began - DEADLINE_S))
            finally:
                os.kill(pid, signal.SIGCONT)
    return [Finding(0, FROZEN, way, Measured(tuple(costs))) for way, costs in late.items()]


def results(rounds: int) -> Finding:
    """How long after a result was renamed into its place the engine has read it, in a run in which nothing else happens."""
    known_s = []
    attention = Attention(RealDisk(), PROCESSES, Waker())
    with tempfile.TemporaryDirectory(prefix="sm-") as directory:
        task = Path(directory, RESULTS, "1-1")
        task.mkdir(parents=True)
        Path(directory, EVENTS).mkdir()
        unfinished, result = task / ".result.json", task / "result.json"
        with attention.on(Path(directory)):
            for number in range(rounds):
                unfinished.write_text(json.dumps({"token": str(number), "status": "done"}))
                attention.directories()
                began_s = CLOCK.monotonic()
                unfinished.rename(result)
                while not attention.directories():
                    CLOCK.wait(_PATIENCE_S, attention.waker)
                assert read_result(RealDisk(), result, str(number)).result is not None
                known_s.append(CLOCK.monotonic() - began_s)
    return Finding(0, RESULT, "watch", Measured(tuple(known_s)))


def _await_answer(mux: TmuxMultiplexer) -> None:
    """Ask until an answer comes in time: on a busy host the first ones may not."""

    def answers() -> bool:
        try:
            return mux.has_session(SESSION)
        except TransportError:
            return False

    eventually(answers, CLOCK, _PATIENCE_S)


HEAD = f"{'windows':>8}  {'what':<22} {'way':<9}{'min ms':>10}{'median':>10}{'max':>10}{'times':>11}{'wanted':>9}\n"


def table(found: Sequence[Finding]) -> str:
    """The findings for people, below `HEAD`."""
    lines = []
    for one in found:
        times = "" if one.times is None else f"{one.times:.1f}"
        wanted = "" if one.wanted is None else f"{one.wanted:g}"
        wanted = wanted if one.wanted_ms is None else f"{one.wanted_ms:g} ms"
        low, middle, high = (cost * 1e3 for cost in (min(one.cost.costs_s), one.cost.median_s, max(one.cost.costs_s)))
        lines.append(
            f"{one.windows or '':>8}  {one.subject:<22} {one.way:<9}"
            f"{low:>10.3f}{middle:>10.3f}{high:>10.3f}{times:>11}{wanted:>9}".rstrip()
        )
    return "".join(f"{line}\n" for line in lines)


def document(
    found: Sequence[Finding], rounds: int, load: Sequence[float], *, processor: bool = False
) -> dict[str, Any]:
    """The findings for programs; `load` is the host's at the beginning."""
    return {
        "schema": 1,
        "time": "processor" if processor else "wall",
        "rounds": rounds,
        "host": {
            "python": platform.python_version(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "load": [round(part, 2) for part in load],
        },
        "findings": [one.as_json() for one in found],
    }


def sizes(text: str) -> tuple[int, ...]:
    """Numbers of windows, for `argparse`; they are measured from the smallest on."""
    return tuple(sorted({whole(part) for part in text.split(",")}))


def main(argv: Sequence[str]) -> int:
    """Measure, and write what was found; the exit status is 2 where there is no tmux, and says nothing of any time."""
    described, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="bench_transport.py",
        description=described,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--rounds", type=whole, default=15, metavar="N", help="how often everything is measured (15)")
    parser.add_argument(
        "--sizes", type=sizes, default=(1, 10, 100, 1000), metavar="N,N", help="windows (1,10,100,1000)"
    )
    parser.add_argument("--seed", type=whole, default=1, metavar="N", help="decides in which order (1)")
    parser.add_argument(
        "--processor",
        action="store_true",
        help="tell processor time of everybody who takes part instead of time on the wall: on a host that is busy (Linux)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there as well")
    options = parser.parse_args(argv)
    if shutil.which("tmux") is None:
        sys.stderr.write("bench_transport.py: there is no tmux here\n")
        return 2
    load = os.getloadavg()
    dice = random.Random(options.seed)
    with limits() as physical:
        costs = measure(physical, rounds=options.rounds, seconds=_TURN_S, now=CLOCK.monotonic, dice=dice)
    found: list[Finding] = []

    def tell(more: Sequence[Finding]) -> None:
        found.extend(more)
        sys.stdout.write(table(more))
        sys.stdout.flush()

    sys.stdout.write(HEAD)
    tell([Finding(0, name, "", cost) for name, cost in costs.items()])
    with grounds() as ground:
        for count in options.sizes:
            sys.stderr.write(f"{count} windows ...\n")
            tell(measured(ground, count, options.rounds, dice, processor=options.processor))
        if not options.processor:
            tell([*frozen(ground, min(options.rounds, 5)), results(options.rounds)])
    if options.json is not None:
        options.json.write_text(
            json.dumps(document(found, options.rounds, load, processor=options.processor), indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
