"""Which server process is ours: the record that is kept beside its socket.

A server that cannot be reached proves nothing. That it is gone is proven by its process, and the process is known by this
record: pid, the server's own start time, the process's start time and the boot of the host.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import msgspec

from backends.disk import Disk
from backends.processes import Liveness, ProcessIdentity, ProcessTable

__all__ = ["RECORD_NAME", "ServerRecord", "ServerRecords", "ServerSeen"]

RECORD_NAME = "server.json"
"""File name of the record, in the directory of the socket."""

_log = logging.getLogger(__name__)


class ServerSeen(msgspec.Struct, frozen=True):
    """Who answered a question: pid, `#{start_time}` (seconds since the epoch) and `#{version}` of the server."""

    pid: int
    start_time: int
    version: str


class ServerRecord(msgspec.Struct, frozen=True):
    """The server process that we started. `process_started` as in `ProcessIdentity`.

    `succeeded` says that it was found dead and another one was asked for: whoever answers after it is ours, even if the answer
    to that was lost.
    """

    pid: int
    start_time: int
    process_started: float
    boot_id: str
    succeeded: bool = False

    def is_of(self, seen: ServerSeen) -> bool:
        """Whether the server that answered is the recorded one."""
        return self.pid == seen.pid and self.start_time == seen.start_time

    def liveness(self, processes: ProcessTable) -> Liveness:
        """Whether the recorded process runs; `UNKNOWN` for a record that could not be read."""
        return Liveness.UNKNOWN if self.pid <= 0 else processes.liveness(self.process)

    @property
    def process(self) -> ProcessIdentity:
        """The recorded process."""
        return ProcessIdentity(self.pid, self.process_started, self.boot_id)


_UNREADABLE = ServerRecord(0, 0, 0.0, "")


class ServerRecords:
    """Reads and writes the record; remembers it, so that a lost file does not lose the proof."""

    def __init__(self, path: Path, disk: Disk, processes: ProcessTable) -> None:
        self._path = path
        self._disk = disk
        self._processes = processes
        self._known: ServerRecord | None = None
        self._written = False

    def get(self) -> ServerRecord | None:
        """The recorded server; `None` if none was ever recorded. Raises `OSError` where the file cannot be asked for."""
        return self._known or self.reread()

    def current(self) -> ServerRecord | None:
        """The recorded server; where the remembered one is gone, what stands in the file: it may have a successor by now."""
        record = self.get()
        gone = record is not None and record.liveness(self._processes) is Liveness.DEAD
        return self.reread() if gone else record

    def reread(self) -> ServerRecord | None:
        """The record as it stands in the file now (another process may have started a new server)."""
        try:
            data = self._disk.read(self._path, 4096)
        except FileNotFoundError:
            return self._known
        try:
            self._known = msgspec.json.decode(data, type=ServerRecord)
            self._written = True
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._known or _UNREADABLE
        return self._known

    def remember(self, seen: ServerSeen) -> None:
        """Make the server that answered the recorded one.

        A record that cannot be written costs proofs only once this process has ended too, so it fails nothing: the next
        answer tries again.
        """
        if self._written and self._known is not None and self._known.is_of(seen):
            return
        process = self._processes.identify(seen.pid)
        if process is None:
            return
        self._keep(ServerRecord(seen.pid, seen.start_time, process.started, process.boot_id))

    def expect_successor(self) -> None:
        """Note that the recorded server, which is dead, gets a successor now: the next one that answers."""
        if self._known is not None and not self._known.succeeded:
            self._keep(msgspec.structs.replace(self._known, succeeded=True))

    def secure(self) -> None:
        """Write the record again, for others to find: its file may have gone with the socket."""
        if self._known is not None:
            self._keep(self._known)

    def _keep(self, record: ServerRecord) -> None:
        self._known = record
        try:
            self._write(msgspec.json.encode(self._known))
            self._written = True
        except OSError as error:
            self._written = False
            _log.warning("the server's record was not written: %s", error.strerror)

    def forget(self) -> None:
        """Remove the record; the server is proven gone."""
        self._known, self._written = None, False
        with contextlib.suppress(FileNotFoundError):
            self._disk.remove(self._path)

    def _write(self, data: bytes) -> None:
        self._disk.mkdir(self._path.parent)
        new = self._path.with_name(f"{RECORD_NAME}.{self._processes.me().pid}")
        with contextlib.suppress(FileNotFoundError):
            self._disk.remove(new)
        self._disk.write(new, data)
        self._disk.fsync(new)
        self._disk.replace(new, self._path)
        self._disk.fsync(self._path.parent)
