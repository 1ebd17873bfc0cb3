"""A transport that answers as a healthy psmux with session `run-1` does; any command may be made to answer otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from canned_tmux import Answer, CannedProcesses, RecordingTransport, completed

from backends.clock import VirtualClock
from backends.entropy import SeededEntropy
from backends.memory_disk import MemoryDisk
from backends.operations import OPERATIONS
from backends.processes import Completed, Liveness
from backends.psmux import PsmuxMultiplexer
from backends.server_record import ServerRecord

DATA = "/data/sm"
PID = 4242
"""Of the server of `run-1`; what `CannedProcesses` knows."""
RECORD = ServerRecord(PID, 0, 1_767_225_600.0, "boot-1")
INSIDE = {"PSMUX_SESSION": "run-1", "TMUX_PANE": "%1", "PSMUX_DATA_DIR": DATA}
Reply = Callable[[tuple[str, ...], bytes], Answer]

SAMPLES: Mapping[str, Mapping[str, object]] = {
    name: {key: "run-1:@1" if value == "@1" else value for key, value in operation.sample.items()}
    for name, operation in OPERATIONS.items()
}
"""The sample arguments of every operation, with window ids as psmux has them."""

_VALUES: Mapping[str, str] = {
    **{"pid": str(PID), "session_name": "run-1", "window_id": "@1", "window_name": "agent", "window_active": "1"},
    **{"pane_id": "%1", "pane_dead": "0", "pane_pid": "4300", "pane_in_mode": "0"},
}


def verb_of(argv: Sequence[str]) -> str:
    """The verb of a client's argv: a target may stand before it."""
    return argv[3] if argv[1] == "-t" else argv[1]


def healthy(argv: tuple[str, ...], stdin: bytes = b"", **other: str) -> Completed:
    """What psmux 3.3.8 with session `run-1` and its window `@1` answers; `other` replaces values of formats."""
    verb = verb_of(argv)
    if verb == "-V":
        return completed(stdout=b"tmux 3.3.8\npsmux 3.3.8 (66cf613 2026-08-18)\n")
    if verb == "show-options":
        return completed(stdout=b"demo\n")
    if verb == "display-message":
        form = argv[-1]
    elif "-F" in argv:
        form = argv[argv.index("-F") + 1]
    else:
        return completed()
    values = {**_VALUES, **other}
    if "-t" in argv and "session_name" not in other and verb != "new-window":
        values["session_name"] = argv[argv.index("-t") + 1].partition(":")[0]
    return completed(stdout=re.sub(r"#\{([^}]*)\}", lambda found: values[found[1]], form).encode() + b"\n")


def gone(session: str = "run-1") -> Completed:
    """What a client says of a session that is not there."""
    return completed(1, b"", f"psmux: no server running on session '{session}'\n".encode())


class HealthyPsmux:
    """Remembers which sessions and windows are there, so that creations and kills can be seen to have happened."""

    def __init__(self) -> None:
        self.sessions = {"run-1"}
        self.killed: set[str] = set()

    def __call__(self, argv: tuple[str, ...], stdin: bytes = b"") -> Answer:
        """One client."""
        verb = verb_of(argv)
        target = argv[argv.index("-t") + 1] if "-t" in argv else ""
        if verb == "new-session":
            self.sessions.add(argv[argv.index("-s") + 1])
        elif target and target.partition(":")[0].casefold() not in self.sessions:
            return gone(target.partition(":")[0])
        elif verb == "kill-session":
            self.sessions.discard(target.casefold())
        elif verb == "kill-window":
            self.killed.add(target.partition(":")[2])
        elif verb == "list-panes" and "@1" in self.killed:
            return healthy(argv, stdin, window_id="@7", pane_id="%7")
        return healthy(argv, stdin)


def failing(verb: str, answer: Answer) -> Reply:
    """A healthy psmux in which commands with `verb` end as `answer`."""
    well = HealthyPsmux()
    return lambda argv, stdin: answer if verb_of(argv) == verb else well(argv, stdin)


def canned(
    reply: Reply | None = None,
    *,
    record: ServerRecord | None = RECORD,
    server: Liveness = Liveness.ALIVE,
    environment: Mapping[str, str] | None = None,
) -> tuple[PsmuxMultiplexer, RecordingTransport, CannedProcesses]:
    """A psmux over a canned transport: `record` is on its disk, and its process table says that `server` is so."""
    clock = VirtualClock()
    transport = RecordingTransport(reply or HealthyPsmux())
    processes = CannedProcesses(clock, server)
    processes.commands["pwsh"] = lambda argv: completed(stdout=b"PowerShell 7.4.6\n")
    disk = MemoryDisk(clock)
    disk.mkdir(f"{DATA}/seamripper")
    if record is not None:
        disk.write(f"{DATA}/seamripper/run-1.server.json", msgspec.json.encode(record))
    multiplexer = PsmuxMultiplexer(
        Path(DATA),
        transport=transport,
        clock=clock,
        processes=processes,
        disk=disk,
        entropy=SeededEntropy(1),
        environment=INSIDE if environment is None else environment,
    )
    return multiplexer, transport, processes
