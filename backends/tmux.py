"""tmux on a private server: where its socket is, which versions will do, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from backends.clock import Clock
from backends.control import ControlTransport
from backends.disk import Disk
from backends.errors import CommandRejected, TransportError, TransportUnavailable
from backends.family import TmuxFamily
from backends.guard import translate
from backends.processes import Completed, ProcessTable, SystemProcessTable
from backends.server_record import RECORD_NAME, ServerRecord
from backends.tmux_version import parse_version
from backends.transport import SubprocessTransport, Transport

__all__ = [
    "FLOOR",
    "TRANSPORTS",
    "TRANSPORT_VARIABLE",
    "TmuxMultiplexer",
    "chosen_transport",
    "parse_version",
    "private_directory",
    "socket_directory",
]

FLOOR = (3, 2, "a")
"""The oldest version with everything that is used here: `source-file -`, `new-session -e`; tmux-versions.md, section 4."""

TRANSPORT_VARIABLE = "SEAMRIPPER_TMUX_TRANSPORT"
"""Names the one of `TRANSPORTS` that is used where no argument says which."""

TRANSPORTS = ("auto", "process", "control")
"""How tmux is asked: by a process for each question; by one control-mode client as soon as it has answered; by that once it
has answered a handful of questions, so that a command which asks a few makes none."""

_HANDFUL = 8
"""So many questions by processes cost about as much as a client that is connected and ended; `seamripper status` asks fewer."""

SOCKET_NAME = "tmux"
SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel allows about 107, and tmux puts `.lock` behind the path."""

_SHUTDOWN_PATIENCE_S = 15.0
"""Seconds that a server is given to end once it was told to; generous, because nobody waits for an answer meanwhile."""


class TmuxMultiplexer(TmuxFamily):
    """One private tmux server for each run root, in a directory that nobody else can enter."""

    requirement = "tmux {}.{}{} or newer".format(*FLOOR)
    mends_socket = True

    def __init__(
        self,
        socket_dir: Path | None = None,
        *,
        root: Path | None = None,
        binary: str = "tmux",
        transport: Transport | None = None,
        wrap: Callable[[Transport], Transport] | None = None,
        transport_kind: str | None = None,
        clock: Clock | None = None,
        call_timeout_s: float | None = None,
        processes: ProcessTable | None = None,
        disk: Disk | None = None,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[Path], None] | None = None,
    ) -> None:
        """Put the socket into `socket_dir`, or into the directory that belongs to `root` (default: where this process is).

        `prepare` makes the directory private before the first question (default: `private_directory`); a simulation has
        none to make. `transport_kind` is one of `TRANSPORTS` (default: what `SEAMRIPPER_TMUX_TRANSPORT` says, else "auto") and
        says what is made where no `transport` is given; `wrap` goes around it. Raises `CommandRejected` if the socket's path is
        too long for the kernel, or there is no such kind.
        """
        given = os.environ if environment is None else environment
        directory = socket_dir or socket_directory(root or Path.cwd(), given)
        socket_path = Path(os.path.abspath(directory)) / SOCKET_NAME
        if len(os.fsencode(socket_path)) > SOCKET_PATH_LIMIT:
            raise CommandRejected(
                f"socket path of {len(os.fsencode(socket_path))} bytes is longer than {SOCKET_PATH_LIMIT}: "
                "give a shorter socket_dir",
                invalid_argument=True,
            )
        processes = processes or SystemProcessTable(clock)
        if transport is None:
            kind = chosen_transport(transport_kind, given)
            transport = _transport(kind, SubprocessTransport(processes, environment=environment), clock, given)
            transport = transport if wrap is None else wrap(transport)
        super().__init__(
            binary=binary,
            socket_path=socket_path,
            transport=transport,
            clock=clock,
            call_timeout_s=call_timeout_s,
            processes=processes,
            disk=disk,
            environment=environment,
        )
        self._prepare = prepare or private_directory
        self._derived = socket_dir is None
        self._prepared = False

    def _run(self, *words: str, stdin: bytes = b"") -> Completed:
        """See `TmuxFamily._run`; the socket's directory is ours before any server is asked."""
        if not self._prepared and words != ("-V",):
            self._prepare(self.socket_path.parent)
            self._prepared = True
        return super()._run(*words, stdin=stdin)

    def _restore_socket(self, record: ServerRecord) -> str:
        """See `TmuxFamily._restore_socket`; the socket's directory may have gone as well."""
        self._prepare(self.socket_path.parent)
        return super()._restore_socket(record)

    def available(self) -> bool:
        """See `TerminalMultiplexer.available`: tmux can be run here and is not older than `FLOOR`."""
        found = parse_version(self._version_line())
        return found is not None and found >= FLOOR

    def shutdown(self) -> None:
        """End the private server with everything in it and remove its socket; fine if there is none.

        A directory that belongs to a root goes as well, if nothing else is in it; one that was given stays.
        Not an operation of the seam: it belongs to whoever made this object. Raises `TransportError` if the server may
        still run.
        """
        try:
            self._end_server()
        except (OSError, subprocess.SubprocessError) as raw:
            raise translate(raw) or raw from raw
        finally:
            self.disconnect()
        # The record goes last: a socket without one proves nothing, and would keep its directory in doubt for good.
        for name in (SOCKET_NAME, SOCKET_NAME + ".lock"):
            with contextlib.suppress(FileNotFoundError):
                self._disk.remove(self.socket_path.parent / name)
        self._records.forget()
        self._prepared = False
        if self._derived:
            with contextlib.suppress(OSError):
                self._disk.remove_directory(self.socket_path.parent)

    def _end_server(self) -> None:
        try:
            self._ask(("kill-server",))
        except CommandRejected:
            pass
        except TransportError:
            if not self._server_ends(_SHUTDOWN_PATIENCE_S):
                raise
        if self._records.get() is not None and not self._server_ends(_SHUTDOWN_PATIENCE_S):
            raise TransportUnavailable("the server did not end")


def chosen_transport(given: str | None, environment: Mapping[str, str]) -> str:
    """Which of `TRANSPORTS` is meant. Raises `CommandRejected` for what is none of them."""
    kind = given or environment.get(TRANSPORT_VARIABLE) or TRANSPORTS[0]
    if kind not in TRANSPORTS:
        what = "transport_kind" if given else TRANSPORT_VARIABLE
        raise CommandRejected(f"{what} is {kind!r:.60}, and has to be {', '.join(TRANSPORTS)}", invalid_argument=True)
    return kind


def _transport(kind: str, plain: Transport, clock: Clock | None, environment: Mapping[str, str]) -> Transport:
    if kind == "process":
        return plain
    return ControlTransport(plain, clock, after=1 if kind == "control" else _HANDFUL, environment=environment)


def socket_directory(root: Path, environment: Mapping[str, str]) -> Path:
    """The directory that belongs to `root`, the same for every process of this user.

    A directory that already has a server's record wins over the order of places, so that a process with a barer
    environment finds the same server.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:12]
    uid = os.getuid()
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}")
    places = [place / f"sm-{uid}-{name}" for place in (runtime, Path("/tmp")) if os.access(place, os.W_OK | os.X_OK)]
    for place in places:
        if (place / RECORD_NAME).exists():
            return place
    return places[0] if places else Path("/tmp") / f"sm-{uid}-{name}"


def private_directory(path: Path) -> None:
    """Make `path` a directory of ours that nobody else can enter, or raise `CommandRejected` because it is not.

    Whoever can write there could answer in our server's name.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(path)
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "OSError")
        raise TransportUnavailable(f"the socket's directory cannot be made: {code}: {path}") from error
    for wrong, why in (
        (not stat.S_ISDIR(found.st_mode), "is no directory"),
        (found.st_uid != os.getuid(), "belongs to somebody else"),
        (found.st_mode & 0o077 != 0, "can be entered by others (chmod 700 it)"),
    ):
        if wrong:
            raise CommandRejected(f"the socket's directory {why}: {path}")
