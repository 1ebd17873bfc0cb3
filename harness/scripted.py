"""The scripted agent: what an agent does, as a list of steps, and a process that does it.

`Script` turns steps into effects, one at a time, and knows neither time nor files: the process below performs them for
real, `harness.simulated` performs the same effects on virtual time. So a story is told once.

    python -P -S scripted.py --script FILE [--scale F]

runs as a real agent in a real window, in whatever directory: it imports the standard library, and by its path the hook
relay that lies beside it. `--scale` divides every duration.

An agent says `SessionStart` and `Prompt`, carries its steps out, and after the last one says `SessionEnd` and exits 0.
A line that is typed while it works waits until it listens (`idle`, `stall`, `wait_prompt`, `listen`). SIGINT ends its
turn, or an idle agent; SIGTERM and SIGHUP end it with `SessionEnd`, as the real ones do.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

_POSIX = importlib.util.find_spec("fcntl") is not None
"""Whether an agent can live here; a script can be read and simulated anywhere."""

if _POSIX:
    import fcntl
    import termios

__all__ = [
    "STEPS",
    "Effect",
    "Script",
    "Signalled",
    "Step",
    "check_script",
    "digest_of",
    "ledger_record",
    "transcript_of",
]

Step = Mapping[str, Any]

STEPS: Mapping[str, Mapping[str, type]] = {
    "work": {"seconds": float, "every_s": float, "silent": bool},
    "event": {"kind": str, "payload": dict},
    "stop": {"background": bool},
    "result": {"status": str, "summary": str, "half": bool, "token": str},
    "transcript": {"line": dict},
    "say": {"text": str},
    "flood": {"bytes": int, "line": int},
    "child": {"seconds": float, "setsid": bool, "ignore": list, "orphan": bool},
    "ignore_signals": {"names": list},
    "idle": {},
    "stall": {},
    "wait_prompt": {},
    "listen": {},
    "on_nudge": {"steps": list},
    "ignore_nudges": {},
    "loop": {"steps": list, "times": int},
    "exit": {"code": int},
    "die": {"code": int},
    "signal": {"name": str},
}
"""Every step and its parameters.

`work` spends seconds and prints a line every `every_s` (1 s, a sixtieth of a long one) unless `silent`. `transcript` adds a
line to the file that `SessionStart` names, if the script itself, and not only an answer in it, has such a step. `idle`
listens and answers what is typed, `stall` listens to nobody unless `on_nudge` says so; n `on_nudge` steps are the answers
to the first n lines, the last one to all later. `exit` says `SessionEnd`, `die` and `signal` say nothing.
"""

_REQUIRED = {
    "work": {"seconds"},
    "event": {"kind"},
    "transcript": {"line"},
    "say": {"text"},
    "flood": {"bytes"},
    "child": {"seconds"},
    "ignore_signals": {"names"},
    "on_nudge": {"steps"},
    "loop": {"steps"},
    "signal": {"name"},
}
_ENDLESS_OR_TIMED = frozenset({"idle", "stall", "wait_prompt", "listen", "exit", "die"})


class Pause(NamedTuple):
    """Let `seconds` pass."""

    seconds: float


class Listen(NamedTuple):
    """Wait for a typed line, which is the reply."""


class Say(NamedTuple):
    """Print into the window."""

    data: bytes


class Emit(NamedTuple):
    """Report an event."""

    event: str
    payload: dict[str, Any]


class Deliver(NamedTuple):
    """Put `data` where the result belongs: by rename, or straight into the file if it is not whole. A failure is the reply."""

    data: bytes
    whole: bool


class Record(NamedTuple):
    """Add a line to the transcript."""

    data: bytes


class Note(NamedTuple):
    """Add to the ledger: `start`, `prompt` (with a digest of its text) or `end`."""

    what: str
    digest: str | None = None


class Spawn(NamedTuple):
    """Start a `sleep`, in a session of its own if `setsid`, with the signals named in `ignore` ignored.

    An `orphan` was forked twice: its parent has ended already.
    """

    seconds: float
    setsid: bool
    ignore: tuple[str, ...]
    orphan: bool = False


class Ignore(NamedTuple):
    """Pay no attention to these signals from now on."""

    names: tuple[str, ...]


class End(NamedTuple):
    """End the process with an exit code, or by a signal; nothing comes after it."""

    code: int = 0
    signum: int | None = None


Effect = Pause | Listen | Say | Emit | Deliver | Record | Note | Spawn | Ignore | End
Flow = Generator[Effect, str | None, bool]


class Signalled(Exception):
    """Thrown into a script where a signal reaches its agent."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def no_fault(event: str, /, **about: object) -> object | None:
    """Nothing ever goes wrong."""
    return None


class Script:
    """Steps as effects, for one launch.

    `fault` is asked at every step for `die`, `stall` and `flood`, at every result for `half_result`, at every nudge for
    `ignore_nudge`; whatever it answers but `None` makes that happen.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        environ: Mapping[str, str],
        prompt: str = "",
        fault: Callable[[str], object | None] = no_fault,
    ) -> None:
        check_script(steps)
        self._script = steps
        self._token = environ.get("SEAMRIPPER_TOKEN", "")
        self._transcript = transcript_of(environ)
        self._prompt = prompt
        self._fault = fault
        self._answers: list[Sequence[Step]] = []
        self._nudges = 0
        self._deaf = False
        self._reacting = False
        self._idle = False

    def run(self) -> Flow:
        """All effects, the last of which is an `End`; `Signalled` may be thrown in at a `Pause` or a `Listen`."""
        yield Note("start")
        kept = any(step["do"] == "transcript" for step in self._script)
        yield self._emit(
            "SessionStart", {"source": "startup", **({"transcript_path": self._transcript} if kept else {})}
        )
        yield from self._prompted(self._prompt)
        flow = self._carry_out(self._script)
        while True:
            try:
                yield from flow
                break
            except Signalled as caught:
                self._reacting = False
                if caught.signum != signal.SIGINT:
                    return (yield from self._leave(128 + caught.signum, "other"))
                if self._idle:
                    break
                yield self._emit("Interrupted", {})
                flow = self._listening(polite=True)
        return (yield from self._leave(0, "prompt_input_exit"))

    def _carry_out(self, steps: Sequence[Step]) -> Flow:
        """The steps in turn; true if one was reached that, in an answer to a nudge, ends the answer."""
        for step in steps:
            yield from self._step_faults()
            arguments = {name: value for name, value in step.items() if name != "do"}
            if (yield from getattr(self, f"_do_{step['do']}")(**arguments)):
                return True
        return False

    def _step_faults(self) -> Flow:
        if self._fault("die") is not None:
            yield End(signum=signal.SIGKILL)
        if self._fault("flood") is not None:
            yield from self._do_flood(1 << 20)
        if self._fault("stall") is not None:
            self._deaf = True
            self._reacting = False
            yield from self._do_stall()
        return False

    def _do_work(self, seconds: float, every_s: float = 0.0, silent: bool = False) -> Flow:
        every_s = every_s or max(1.0, seconds / 60)
        for turn in range(math.ceil(seconds / every_s)):
            done = min(seconds, (turn + 1) * every_s)
            yield Pause(done - turn * every_s)
            if not silent:
                yield Say(f"working: {done:g} of {seconds:g} s\n".encode())
        return False

    def _do_event(self, kind: str, payload: Mapping[str, Any] | None = None) -> Flow:
        yield self._emit(kind, dict(payload or {}))
        return False

    def _do_stop(self, background: bool = False) -> Flow:
        tasks = [{"id": "background-1", "type": "subagent", "status": "running"}] if background else []
        yield self._emit("Stop", {"background_tasks": tasks, "session_crons": []})
        return False

    def _do_result(self, status: str = "done", summary: str = "done", half: bool = False, token: str = "") -> Flow:
        document = {"token": token or self._token, "status": status, "summary": summary}
        data = json.dumps(document).encode("ascii") + b"\n"
        half = self._fault("half_result") is not None or half
        failure = yield Deliver(data[: len(data) // 2] if half else data, whole=not half)
        if not (failure or half or token):
            yield Note("result")
        return False

    def _do_transcript(self, line: Mapping[str, Any]) -> Flow:
        yield Record(json.dumps(line).encode("ascii") + b"\n")
        return False

    def _do_say(self, text: str) -> Flow:
        try:
            yield Say(text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            yield Say(text.encode("utf-8", "surrogatepass"))
        return False

    def _do_flood(self, bytes: int, line: int = 100) -> Flow:
        left = bytes
        row = b"x" * (line - 1) + b"\n"
        block = row * max(1, 65536 // line)
        while left > 0:
            yield Say(block[:left])
            left -= min(left, len(block))
        return False

    def _do_child(self, seconds: float, setsid: bool = False, ignore: Sequence[str] = (), orphan: bool = False) -> Flow:
        yield Spawn(seconds, setsid, tuple(ignore), orphan)
        return False

    def _do_ignore_signals(self, names: Sequence[str]) -> Flow:
        yield Ignore(tuple(names))
        return False

    def _do_idle(self) -> Flow:
        return (yield from self._listening(polite=True))

    def _do_stall(self) -> Flow:
        return (yield from self._listening(polite=False))

    def _do_wait_prompt(self) -> Flow:
        yield from self._prompted((yield Listen()) or "")
        return False

    def _do_listen(self) -> Flow:
        yield Listen()
        return False

    def _do_on_nudge(self, steps: Sequence[Step]) -> Flow:
        self._answers.append(steps)
        yield from ()
        return False

    def _do_ignore_nudges(self) -> Flow:
        self._deaf = True
        yield from ()
        return False

    def _do_loop(self, steps: Sequence[Step], times: int | None = None) -> Flow:
        turn = 0
        while times is None or turn < times:
            turn += 1
            if (yield from self._carry_out(steps)):
                return True
        return False

    def _do_exit(self, code: int = 0) -> Flow:
        return (yield from self._leave(code, "prompt_input_exit"))

    def _do_die(self, code: int = 1) -> Flow:
        yield End(code)
        return False

    def _do_signal(self, name: str) -> Flow:
        yield End(signum=signal.Signals[name])
        return False

    def _listening(self, *, polite: bool) -> Flow:
        """Answer lines for ever; within an answer, end it, so that the outermost listening goes on."""
        self._idle = polite
        if self._reacting:
            return True
        while True:
            line = yield Listen()
            deaf = self._deaf or not (self._answers or self._idle)
            if deaf or self._fault("ignore_nudge") is not None:
                continue
            yield from self._prompted(line or "")
            was_idle, self._idle = self._idle, False
            if not (yield from self._answer()):
                self._idle = was_idle

    def _answer(self) -> Flow:
        """The turn that a nudge leads to; true if it ended in waiting of another kind."""
        if not self._answers:
            return (yield from self._do_stop())
        answer = self._answers[min(self._nudges, len(self._answers) - 1)]
        self._nudges += 1
        self._reacting = True
        waits = yield from self._carry_out(answer)
        self._reacting = False
        return waits

    def _prompted(self, text: str) -> Flow:
        yield Note("prompt", digest_of(text))
        yield self._emit("Prompt", {"prompt": text[:200]})
        shown = "".join([c if c.isprintable() else " " for c in text[:60]])
        yield Say(f"> {shown}\n".encode("utf-8", "backslashreplace"))
        return False

    def _leave(self, code: int, reason: str) -> Flow:
        yield self._emit("SessionEnd", {"reason": reason})
        yield Note("end")
        yield End(code)
        return True

    def _emit(self, event: str, payload: dict[str, Any]) -> Emit:
        return Emit(event, {"session_id": f"scripted-{self._token[:8]}", **payload})


def check_script(steps: object, depth: int = 0) -> None:
    """Raise `ValueError` unless `steps` is a script: known steps with known parameters, and no loop that takes no time."""
    if not isinstance(steps, list | tuple) or depth > 8:
        raise ValueError("a script is a list of steps, not nested too deeply")
    for step in steps:
        name = step.get("do") if isinstance(step, Mapping) else None
        if not isinstance(name, str) or name not in STEPS:
            near = difflib.get_close_matches(str(name), list(STEPS), 1)
            raise ValueError(f"unknown step {name!r:.80}" + (f"; did you mean {near[0]}?" if near else ""))
        for parameter in [key for key in step if key != "do" and key not in STEPS[name]]:
            raise ValueError(f"step {name}: unknown parameter {parameter!r:.80}, it has {sorted(STEPS[name])}")
        for parameter in sorted(_REQUIRED.get(name, set()) - step.keys()):
            raise ValueError(f"step {name}: needs {parameter}")
        for parameter in [key for key in step if key != "do"]:
            _check_parameter(name, parameter, step[parameter])
        if "steps" in step:
            check_script(step["steps"], depth + 1)
        if name == "loop" and not _takes_time(step["steps"]):
            raise ValueError("step loop: takes no time, so it would never end")


def _check_parameter(name: str, parameter: str, value: object) -> None:
    kind = STEPS[name][parameter]
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    right = number if kind is float else number and isinstance(value, int) if kind is int else isinstance(value, kind)
    if kind is list and isinstance(value, tuple):
        right = True
    if not right:
        raise ValueError(f"step {name}: {parameter} is no {kind.__name__} that makes sense: {value!r:.80}")
    if parameter == "line" and value == 0:
        raise ValueError(f"step {name}: a line has at least one byte")
    if parameter in ("names", "ignore") and isinstance(value, list | tuple):
        for signame in value:
            _check_signal(signame, _NEVER_IGNORED)
    elif name == "signal":
        _check_signal(value, _NEVER_ENDING)


_NEVER_IGNORED = frozenset({"SIGKILL", "SIGSTOP"})
_NEVER_ENDING = frozenset({"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGCHLD", "SIGWINCH", "SIGURG"})


def _check_signal(name: object, excepted: frozenset[str]) -> None:
    if not isinstance(name, str) or name not in signal.Signals.__members__ or name in excepted:
        raise ValueError(f"{name!r:.80} is no signal for that")


def _takes_time(steps: Sequence[Step]) -> bool:
    return any(
        step["do"] in _ENDLESS_OR_TIMED
        or (step["do"] == "work" and step["seconds"] > 0)
        or (step["do"] == "loop" and step.get("times", 1) != 0 and _takes_time(step["steps"]))
        for step in steps
    )


def transcript_of(environ: Mapping[str, str]) -> str:
    """Where the transcript of a launch lies: beside its result."""
    return os.path.join(os.path.dirname(environ.get("SEAMRIPPER_RESULT", "")), "transcript.jsonl")


def digest_of(text: str) -> str:
    """What stands for a prompt in the ledger."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def ledger_record(note: Note, environ: Mapping[str, str], *, at: float, pid: int) -> dict[str, Any]:
    """One entry of the ledger that proves who ran when; `at` is in seconds since the epoch."""
    record = {
        "at": at,
        "pid": pid,
        "task": environ.get("SEAMRIPPER_TASK", ""),
        "token": environ.get("SEAMRIPPER_TOKEN", ""),
        "what": note.what,
    }
    return record if note.digest is None else {**record, "text": note.digest}


class _RealAgent:
    """Performs effects as the process that it is."""

    def __init__(self, environ: Mapping[str, str], scale: float) -> None:
        self._relay = _load_relay()
        self._environ = environ
        self._scale = scale
        self._signals: list[int] = []
        self._woken, self._wake = os.pipe()
        self._typed = bytearray()
        self._lines: list[str] = []
        self._input_open = True
        self._task_lock: int | None = None

    def live(self, script: Script) -> None:
        """Perform the script to its end; does not come back."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._caught)
        _quieten_terminal()
        flow = script.run()
        effect = next(flow)
        while True:
            try:
                reply = self._perform(effect)
            except Signalled as caught:
                effect = flow.throw(caught)
            else:
                effect = flow.send(reply)

    def _caught(self, signum: int, _frame: object) -> None:
        self._signals.append(signum)
        os.write(self._wake, b"!")

    def _perform(self, effect: Effect) -> str | None:
        match effect:
            case Pause(seconds):
                self._listen_for(seconds / self._scale)
            case Listen():
                while not self._lines:
                    self._listen_for(None)
                return self._lines.pop(0)
            case Say(data):
                _write_all(1, data)
            case End(code, signum):
                self._end(code, signum)
            case Ignore(names):
                for name in names:
                    signal.signal(signal.Signals[name], signal.SIG_IGN)
            case _:
                try:
                    self._put(effect)
                except (OSError, ValueError) as exc:
                    failure = f"{type(effect).__name__.lower()} failed: {exc}\n"
                    _write_all(1, failure.encode("utf-8", "backslashreplace"))
                    return failure
        return None

    def _put(self, effect: Effect) -> None:
        """The effects that leave something behind, each of which may fail without ending the agent."""
        match effect:
            case Emit(event, payload):
                self._relay.publish(event, self._environ, payload)
            case Deliver(data, whole):
                _deliver(self._environ.get("SEAMRIPPER_RESULT", ""), data, whole)
            case Record(data):
                _append(transcript_of(self._environ), data)
            case Note():
                self._enter(effect)
            case Spawn(seconds, setsid, ignore, orphan):
                _spawn_sleep(seconds / self._scale, setsid, ignore, orphan)

    def _listen_for(self, seconds: float | None) -> None:
        """Collect typed lines for that long, or until there is one; raises `Signalled` as soon as a signal came."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            if self._signals:
                os.read(self._woken, 1)
                raise Signalled(self._signals.pop(0))
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return
            sources = [self._woken, *([0] if self._input_open else [])]
            if 0 in select.select(sources, [], [], left)[0]:
                self._take_input()
                if end is None and self._lines:
                    return

    def _take_input(self) -> None:
        try:
            chunk = os.read(0, 65536)
        except OSError:
            chunk = b""
        if not chunk:
            self._input_open = False
            return
        self._typed += chunk.replace(b"\r", b"\n")
        *lines, rest = self._typed.split(b"\n")
        self._typed = bytearray(rest)
        self._lines += [line.decode("utf-8", "backslashreplace") for line in lines]

    def _enter(self, note: Note) -> None:
        """Write to the ledger; at the start, find out whether another agent is at work on the same task."""
        ledger = self._environ.get("SEAMRIPPER_LEDGER")
        if not ledger:
            return
        notes = [note]
        if note.what == "start":
            name = "".join(c if c.isalnum() or c in "-_" else "_" for c in self._environ.get("SEAMRIPPER_TASK", ""))
            self._task_lock = os.open(f"{ledger}.{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                # The kernel lets go of the lock with the process, however it ends.
                fcntl.flock(self._task_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                notes.append(Note("overlap"))
        records = [ledger_record(n, self._environ, at=time.time(), pid=os.getpid()) for n in notes]
        _append(ledger, "".join(json.dumps(record) + "\n" for record in records).encode("ascii"))

    def _end(self, code: int, signum: int | None) -> None:
        if signum is not None:
            if signum not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
            code = 128 + signum
        os._exit(code)


def _quieten_terminal() -> None:
    """Take lines of any length and echo nothing, as an agent's own screen does."""
    if os.isatty(0):
        attributes = termios.tcgetattr(0)
        attributes[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(0, termios.TCSANOW, attributes)


def _append(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _deliver(path: str, data: bytes, whole: bool) -> None:
    target = f"{path}.{os.getpid()}" if whole else path
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_data(descriptor, data)
    finally:
        os.close(descriptor)
    if whole:
        os.replace(target, path)


def _spawn_sleep(seconds: float, setsid: bool, ignore: Sequence[str], orphan: bool) -> None:
    """An ignored signal stays ignored in the program that a process starts, so it is ignored here for that moment."""
    sleep = ["sleep", f"{seconds:g}"]
    argv = ["sh", "-c", f"{' '.join(sleep)} &"] if orphan else sleep
    previous = {name: signal.signal(signal.Signals[name], signal.SIG_IGN) for name in ignore}
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ, setsid=setsid)
        if orphan:
            os.waitpid(pid, 0)
    finally:
        for name, handler in previous.items():
            signal.signal(signal.Signals[name], handler)


def _write_data(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _write_all(descriptor: int, data: bytes) -> None:
    """Print, as far as there is still somebody to print for."""
    with contextlib.suppress(OSError):
        _write_data(descriptor, data)


def _load_relay() -> ModuleType:
    """The relay by its path: nothing else says where it is when this file is run by its own."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay.py")
    spec = importlib.util.spec_from_file_location("seamripper_relay", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read_text(path: str, limit: int) -> str:
    with open(path, "rb") as file:
        return file.read(limit).decode("utf-8", "backslashreplace")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Be the agent that the script describes; 2 for a script or an argument that cannot be used."""
    options = dict(zip(argv[1::2], argv[2::2], strict=False))
    try:
        if not _POSIX:
            raise ValueError("it needs a terminal and locks of POSIX")
        scale = float(options.pop("--scale", "1"))
        path = options.pop("--script", "")
        if options or not path or not (math.isfinite(scale) and scale > 0):
            raise ValueError("usage: scripted.py --script FILE [--scale F]")
        steps = json.loads(_read_text(path, 1 << 24))
        prompt_file = environ.get("SEAMRIPPER_PROMPT")
        prompt = _read_text(prompt_file, 1 << 20) if prompt_file else ""
        script = Script(steps, environ, prompt)
    except (OSError, ValueError, RecursionError) as exc:
        _write_all(2, f"scripted agent: {exc}\n".encode("utf-8", "backslashreplace"))
        return 2
    _RealAgent(environ, scale).live(script)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv, os.environ))
