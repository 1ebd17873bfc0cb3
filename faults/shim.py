"""The shim: a `tmux` first on PATH that goes wrong as planned, under any program in any language.

A private directory holds a launcher by the name of each multiplexer. A call that no rule can concern is the real program
after a few lines of shell, and only its verbs are noted. Any other is `faults.shim_call`, which asks here what shall become
of it: one `Ledger` in one process counts the calls of all, so that they have an order, and a caller that is killed leaves
nothing half done. Where nobody is there to be asked any more, a call is passed on.
"""

from __future__ import annotations

import errno
import math
import os
import py_compile
import re
import shlex
import signal
import socket
import stat
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from backends.clock import Clock
from backends.disk import Disk
from backends.errors import redact_argv
from faults.actions import Action, Delay, Die, Empty, Exit, Hang, OsError, Output, Timeout, Truncate, Undecodable
from faults.catalog import PointCatalog
from faults.errors import FaultPlanError
from faults.ledger import Ledger
from faults.plan import FaultPlan
from faults.rule import Fault
from faults.shim_launcher import COMPILED, PASSED, SOURCE, launcher, passed_in
from faults.spellings import UNKNOWN, meant, verbs_in
from faults.trace import Injection
from faults.verbs import TRANSPORT_VERBS
from faults.verdict import counted
from faults.wrappers.transport import GARBAGE, line_of

__all__ = ["MULTIPLEXERS", "Shim", "ShimCall", "answer_to", "remove_killed", "shim_catalog", "shim_plan"]

MULTIPLEXERS = ("tmux", "psmux")
"""What there is a launcher for, where the real one is on PATH."""
PATH_LIMIT = 100
"""Bytes that the name of a socket may have, everywhere."""
_LAST_SIGNAL = 64
_LONGEST_S = 1e8
"""A wait of more seconds lasts for good."""
_GONE = b"server exited unexpectedly\n"
"""What a client says that has lost its server, with status 1: nothing is known then (`tmux-facts`)."""
_SPELT = re.compile(r"transport\.([a-z-]+)")
_ASK = "ask"
"""The socket that calls ask at."""
_ANSWERED_S = 0.2
_BEGUN_S = 3600.0
"""Seconds after which a shim has long had a socket, on the slowest host."""
_FAILED = "failed: "
"""How the last words of a call begin to which something else has happened than was planned (`faults.shim_call`)."""
_LOOK_S = 1.0
"""Seconds after which who listens sees that all is over, where nothing wakes it."""
_PATIENCE_S = 10.0
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY, errno.ENOTEMPTY})
"""What may be over in a moment: too few descriptors, or a call that is still at work in the directory."""


def remove_killed(place: Path, disk: Disk, clock: Clock) -> None:
    """Remove the directories in `place` of shims that were killed.

    Their socket is there and nobody listens at it, or they have begun long ago and there is none; names never come again.
    """
    names: list[str] = []
    with suppress(OSError):
        names = disk.listdir(place)
    for name in names:
        with suppress(OSError):
            if _was_killed(place / name, disk, clock):
                disk.remove_tree(place / name)


def _was_killed(directory: Path, disk: Disk, clock: Clock) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ANSWERED_S)
        try:
            asking.connect(str(directory / _ASK))
        except ConnectionRefusedError:
            return True
        except FileNotFoundError:
            there = disk.info(directory)
            return there is not None and there.is_dir and clock.wall() - there.modified > _BEGUN_S
    return False


def shim_catalog() -> PointCatalog:
    """The points of the shim: those of the transport, and one for words that are no verb."""
    return PointCatalog((), transport_verbs=(*TRANSPORT_VERBS, UNKNOWN), supports={"transport"})


def shim_plan(text: str, seed: int = 0) -> FaultPlan:
    """The plan that `text` says. Raises `FaultPlanError` for what cannot happen to a process."""
    try:
        plan = FaultPlan.parse(text, seed, shim_catalog())
    except FaultPlanError as wrong:
        raise _naming_the_verb(wrong, text) from None
    for fault in plan.faults:
        for term in fault.terms:
            if isinstance(term.action, Exit) and not -_LAST_SIGNAL <= term.action.status <= 255:
                raise FaultPlanError(
                    f"{fault.point}: a process ends with 0 to 255, or with -1 to -{_LAST_SIGNAL} by that signal, "
                    f"not with {term.action.status}"
                )
    return plan


def _naming_the_verb(wrong: FaultPlanError, text: str) -> FaultPlanError:
    """`wrong`; where it is about another spelling of a verb, with the verb as the name to take."""
    written = _SPELT.match(text, wrong.position) if wrong.nearest and wrong.position is not None else None
    verb = UNKNOWN if written is None else meant(written[1])
    if verb == UNKNOWN:
        return wrong
    return FaultPlanError(wrong.message, wrong.position, nearest=f"transport.{verb}")


@dataclass(slots=True)
class ShimCall:
    """One call that was asked about: `at_s` seconds after the beginning, by which process, and what came of it.

    `argv` is redacted. `outcome` is `passed on` where the real program has taken over, whose end nobody sees; an answer's
    status and size; or `given up`, if the process was gone before it had one.
    """

    number: int
    at_s: float
    pid: int
    points: tuple[str, ...]
    argv: str
    injection: Injection | None = None
    outcome: str = ""


class Shim:
    """The directory with the launchers, and who answers them; a context that undoes both.

    The verbs of a sequence are counted in order as far as the first to which something happens; that happens to the
    whole client. `reached`, `injections`, `unfired()` and `troubles` are complete once the context is over.

    `troubles` says, a line each, what keeps the others from being all that happened (calls that were not counted, a fault that
    could not be carried out), and what could not be undone, with how to do that by hand.
    """

    def __init__(
        self,
        plan: FaultPlan,
        directory: Path,
        real: Mapping[str, str],
        *,
        clock: Clock,
        disk: Disk,
        die: Callable[[], None],
        heard: Callable[[ShimCall], None] | None = None,
        interpreter: str = sys.executable,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Put launchers of the programs `real` (name to path) into `directory`, which must not be there.

        `die` ends the program under test; `heard` is told of every call when its outcome is known, from another thread.
        Without it, calls that no rule concerns are only counted. What cannot be undone in `patience_s` stays.
        """
        self.directory = directory
        self.troubles: list[str] = []
        self._real = dict(real)
        self._disk = disk
        self._clock = clock
        self._die = die
        self._heard = heard
        self._interpreter = interpreter
        self._patience_s = patience_s
        self._ledger = Ledger(plan, clock, shim_catalog(), real_time=False)
        self._began_s = clock.monotonic()
        self._passed = Counter[str]()
        self._numbers = 0
        self._lock = threading.Lock()
        self._links: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._ready = False
        self._over = False
        self._short = False
        self._unattended = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(_LOOK_S)
        # Had from the beginning, because in the end no descriptor may be free.
        self._waking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._waking.setblocking(False)

    @property
    def reached(self) -> Counter[str]:
        """How often each point was reached."""
        return self._ledger.reached + self._passed

    @property
    def injections(self) -> list[Injection]:
        """The faults that fired, in order."""
        return self._ledger.injections

    def unfired(self) -> list[Fault]:
        """The faults that never happened."""
        return self._ledger.unfired()

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """`given`, with the launchers first on PATH."""
        path = given.get("PATH")
        return {**given, "PATH": f"{self.directory}{os.pathsep}{path}" if path else str(self.directory)}

    def __enter__(self) -> Shim:
        self._disk.mkdir(self.directory, private=True)
        try:
            # Under its name only what listens: what refuses to be asked is over.
            prepared = self.directory / "ask~"
            self._listener.bind(str(prepared))
            self._listener.listen(512)
            self._disk.replace(prepared, self.directory / _ASK)
            self._start(self._listen)
            # There from the beginning: where it is missing in the end, calls are.
            self._disk.write(self.directory / PASSED, b"")
            # Compiled once, and not at every call.
            py_compile.compile(str(SOURCE), str(self.directory / COMPILED), doraise=True)
            asks_of = None if self._heard else self._concerned()
            for name, real in self._real.items():
                path = self.directory / name
                text = launcher(self.directory, name, real, asks_of, self._interpreter)
                self._disk.write(path, os.fsencode(text))
                os.chmod(path, 0o700)
                if not os.access(path, os.X_OK):
                    raise PermissionError(errno.EACCES, "no program can be run there", str(self.directory))
            self._ready = True
        except BaseException:
            self._undo()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._undo()

    def _concerned(self) -> list[str] | None:
        """The verbs that a rule is about; `None` if it may be any."""
        catalog = shim_catalog()
        verbs = {point.partition(".")[2] for fault in self._ledger.plan.faults for point in catalog.matching(fault)}
        return None if UNKNOWN in verbs else sorted(verbs)

    def _undo(self) -> None:
        """End those who still wait for something, count the calls that were passed on, and remove the directory.

        It takes a bounded time, whatever the host has run out of.
        """
        end_s = self._clock.monotonic() + self._patience_s
        with self._lock:
            self._over = True
        for name in self._real:
            self._remove_launcher(name)
        with suppress(OSError):
            self._waking.connect(str(self.directory / _ASK))
        with self._lock:
            links = list(self._links)
        for link in links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(max(0.0, end_s - self._clock.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self.troubles.append(f"what came of every call was not known after {self._patience_s:g} seconds")
        # Leaves a descriptor for what follows.
        self._waking.close()
        if self._short:
            self._unattended += self._hang_up()
        if self._unattended:
            self.troubles.append(
                f"{counted(self._unattended, 'call')} could not be attended to, and passed on uncounted"
            )
        if self._ready and (failed := self._try(self._count_passed, end_s)):
            self.troubles.append(f"calls that were passed on are not counted: {PASSED}: {failed.strerror}")
        # From here on anybody may remove it.
        self._listener.close()
        if failed := self._try(self._remove, end_s):
            by_hand = f"rm -r {shlex.quote(str(self.directory))}"
            self.troubles.append(f"{self.directory} could not be removed: {failed.strerror}; `{by_hand}` does that")

    def _hang_up(self) -> int:
        """How many have asked and could not be listened to, for whom no descriptor was free until now."""
        found = 0
        self._listener.setblocking(False)
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return found
            with link, suppress(OSError):
                link.settimeout(_ANSWERED_S)
                found += bool(link.recv(1))

    def _remove_launcher(self, name: str) -> None:
        try:
            self._disk.remove(self.directory / name)
        except FileNotFoundError:
            if self._ready:
                self.troubles.append(f"the {name} of the shim was removed meanwhile: calls after that are not counted")
        except OSError:
            # It stays with its directory, which is told.
            return

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            self._disk.remove_tree(self.directory)
        # Somebody else may have removed a part of it at the same time.
        if self._disk.info(self.directory) is not None:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(self.directory))

    def _count_passed(self) -> None:
        path = self.directory / PASSED
        passed = passed_in(self._disk.read(path))
        if os.stat(path).st_mode & stat.S_IXUSR:
            self.troubles.append("calls were passed on uncounted: they could not ask the shim")
        self._passed = passed

    def _try(self, step: Callable[[], None], end_s: float) -> OSError | None:
        """Do it, again while it fails for what may pass, until then; why it failed at last."""
        while True:
            try:
                step()
            except OSError as error:
                if error.errno not in _PASSING or self._clock.monotonic() >= end_s:
                    return error
            else:
                return None
            self._clock.sleep(0.02)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, name="shim", daemon=True)
        # Python hears of a signal in the main thread alone, which would not wake for one that another thread has got.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._threads.append(thread)

    def _listen(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError as error:
                if not isinstance(error, TimeoutError):
                    # No descriptor is free: who calls waits meanwhile, and is told of if that is the end.
                    self._short = True
                if self._over:
                    return
                if not isinstance(error, TimeoutError):
                    self._clock.sleep(0.05)
                continue
            with self._lock:
                if self._over:
                    link.close()
                    return
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._links.add(link)
                try:
                    self._start(self._attend, link)
                except RuntimeError:
                    # No thread can be had: who is hung up on becomes the real program.
                    self._links.discard(link)
                    link.close()
                    self._unattended += 1

    def _attend(self, link: socket.socket) -> None:
        """Answer one call, and listen for how it ends."""
        with link:
            asked = _question(link)
            if asked is not None:
                call, answer = self._decided(*asked)
                with suppress(OSError):
                    link.sendall(answer)
                call.outcome = _last_words(link) or ("given up" if call.injection else "passed on")
                if call.outcome == "dies":
                    self._die()
                if call.outcome.startswith(_FAILED) and call.injection is not None:
                    why = call.outcome.removeprefix(_FAILED)
                    self.troubles.append(
                        f"`{call.injection.rule}` could not be carried out at call {call.number}: {why}"
                    )
                if self._heard is not None:
                    self._heard(call)
            with self._lock:
                self._links.discard(link)

    def _decided(self, pid: int, argv: list[str]) -> tuple[ShimCall, bytes]:
        points: list[str] = []
        shown = list(argv)
        with self._lock:
            for verb, at in verbs_in(argv):
                points.append(f"transport.{verb}")
                if verb != "version" and at < len(argv) and not argv[at].endswith(";"):
                    shown[at] = verb
                reached = self._ledger.reach(points[-1], arguments={"argv": " ".join(argv[at:])}.copy)
                if reached.injection is not None:
                    break
            self._numbers += 1
            at_s = self._clock.monotonic() - self._began_s
            call = ShimCall(self._numbers, at_s, pid, tuple(points), redact_argv(shown), reached.injection)
        return call, answer_to(reached.action, lost=reached.lost)


def _question(link: socket.socket) -> tuple[int, list[str]] | None:
    """Who asks, and which command line it has been given; `None` if it went away meanwhile."""
    said = b""
    with suppress(OSError):
        while more := link.recv(1 << 16):
            said += more
            size, _, rest = said.partition(b"\n")
            if b"\n" in said and len(rest) == int(size):
                pid, *words = rest.split(b"\0")
                return int(pid), [os.fsdecode(word) for word in words]
    return None


def _last_words(link: socket.socket) -> str:
    """What the caller says of its end; nothing if it has become the real program, or was killed."""
    try:
        return link.recv(200).decode("ascii", "replace")
    except OSError:
        return ""


def answer_to(action: Action | None, *, lost: bool = False) -> bytes:
    """What a call is told, as `faults.shim_call` reads it.

    One line: whether the real program is run first, how many seconds pass then, what is done (`run` the real one, or give its
    answer as far as that many bytes; `end` with that status; `die`), the number for that, and the lengths of the two texts
    behind the line.
    """
    wait_s, then, number, out, err = 0.0, "run", -1, b"", b""
    match action:
        case Delay():
            wait_s = action.seconds
        case Truncate():
            number = action.size
        case Timeout() | Hang():
            seconds = action.seconds if isinstance(action, Timeout) else None
            wait_s, then, number, err = math.inf if seconds is None else seconds, "end", 1, _GONE
        case OsError():
            # What a shell says of a program that it cannot run.
            then, number = "end", 127 if action.errno_name == "ENOENT" else 126
            err = line_of(f"tmux: {os.strerror(action.errno)}")
        case Exit():
            then, number, err = "end", action.status, line_of(action.stderr)
        case Output():
            then, number, out = "end", 0, line_of(action.text)
        case Empty():
            then, number = "end", 0
        case Undecodable():
            then, number, out = "end", 0, GARBAGE
        case Die():
            then, number = "die", 0
        case None:
            pass
        case _:
            raise AssertionError(f"{action.keyword} cannot happen to a client")
    wait_s = math.inf if wait_s > _LONGEST_S else wait_s
    return f"{int(lost)} {wait_s} {then} {number} {len(out)} {len(err)}\n".encode() + out + err
