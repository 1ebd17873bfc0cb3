"""`seamripper shim`: what it says, what it ends with, and what it keeps, around a `tmux` that is none."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import psutil
import pytest

from backends.clock import SystemClock
from backends.disk import Disk, RealDisk, StrPath
from harness.cli import main
from harness.commands.host import this_host
from harness.commands.staged import Answer
from harness.engine.signals import not_ignored
from harness.waiting import eventually

PATIENCE_S = 60.0
TMUX = '#!/bin/sh\necho "$*" >>"$LOG"\necho answer\n'
"""A multiplexer that answers everything with the same word, and notes it."""


class Desk:
    """A directory with a `tmux` first on PATH, and somebody who runs commands there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "bin").mkdir()
        (directory / "run").mkdir(mode=0o700)
        self.tmux = directory / "bin" / "tmux"
        self.tmux.write_text(TMUX, "utf-8")
        self.tmux.chmod(0o700)
        self.log = directory / "log"
        self.environment = {
            "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "HOME": str(directory),
            "LOG": str(self.log),
        }

    def __call__(self, *words: str, disk: Disk | None = None, **environment: str) -> Answer:
        """`seamripper shim` with these words."""
        host = dataclasses.replace(
            this_host(),
            stdout=io.StringIO(),
            stderr=io.StringIO(),
            stdin=io.StringIO(),
            environment={**self.environment, **environment},
            cwd=self.directory,
            disk=disk or RealDisk(),
        )
        code = main(("shim", *words), host)
        assert isinstance(host.stdout, io.StringIO)
        assert isinstance(host.stderr, io.StringIO)
        return Answer(code, host.stdout.getvalue(), host.stderr.getvalue())

    def start(self, *words: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
        """The same as a process of its own."""
        argv = [sys.executable, "-P", "-m", "seamripper", "shim", *words]
        out = err = subprocess.PIPE
        return subprocess.Popen(argv, env=self.environment, cwd=self.directory, stdin=stdin, stdout=out, stderr=err)

    @property
    def lines(self) -> list[str]:
        """What the real multiplexer was told."""
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []

    def leftovers(self) -> list[str]:
        """The directories that are left of shims."""
        return [str(path) for path in (self.directory / "run").glob("*/*")]


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk; nothing of a shim is left in it."""
    directory = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    try:
        made = Desk(directory)
        yield made
        assert list((directory / "run").glob("*")) == []
    finally:
        rmtree(directory)


def sh(text: str) -> tuple[str, ...]:
    """A shell that runs `text`."""
    return ("--", "sh", "-c", text)


def test_a_fault_is_told_with_a_line_that_repeats_it(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """On standard error: standard output is the program's own."""
    program = 'tmux ls; tmux ls || echo "no: $?"; tmux neww'
    told = desk("--plan", 'transport.list-sessions=50%*exit(3, "x")', "--seed", "1", *sh(program))
    first = capfd.readouterr().out
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("replay ")]
    again = desk(*shlex.split(line)[3:])

    assert (told.code, told.stdout) == (0, "")
    assert "after 3 calls of tmux" in told.stderr
    assert "       1  transport.new-window\n" in told.stderr
    assert capfd.readouterr().out == first
    assert "injection 1 at" in told.stderr
    assert "--plan 'transport.list-sessions=1*pass->1*exit(3, \"x\")' -- sh -c" in line
    assert [line for line in again.stderr.splitlines() if line.startswith("replay ")] == [line]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_the_line_that_repeats_it_is_what_was_given_whatever_that_holds(desk: Desk) -> None:
    """In words that a shell reads, without what would act on a terminal."""
    odd = (b"\xff\xc3\xa9", b"new\nline", b"\x1b[31m", b"'\"\\$(x)`*", b"", b"it's\t\\")
    told = desk("--plan", "", "--", "true", *map(os.fsdecode, odd))
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("replay ")]
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line.removeprefix('replay ')}"], capture_output=True, check=True
    )

    assert line.isprintable()
    assert words.stdout.split(b"\0")[:-1] == [b"seamripper", b"shim", b"--plan", b"", b"--", b"true", *odd]


def test_a_record_is_replayed(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """Each call has a line of its own in a file that nobody else can read, and what happened happens again."""
    program = sh("for n in 1 2 3 4; do tmux ls || echo $n; done")
    told = desk("--plan", "transport.list-sessions=2*pass->1*timeout(0.1)", "--record", "calls.jsonl", *program)
    first = capfd.readouterr().out
    path = desk.directory / "calls.jsonl"
    head, *calls = map(json.loads, path.read_text("utf-8").splitlines())
    again = desk("--replay", "calls.jsonl", *program)

    assert (told.code, again.code, capfd.readouterr().out) == (0, 0, first)
    assert first == "answer\nanswer\n3\nanswer\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert head["plan"] == "transport.list-sessions=2*pass->1*timeout(0.1)"
    assert [call["number"] for call in calls if call["injection"]] == [3]
    assert [call["outcome"] for call in calls] == ["passed on", "passed on", "exit 1, 0 and 27 bytes", "passed on"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda data: data[:-20],
            "line 3 is torn: its end is missing; record it again, or take that line out to replay",
        ),
        (
            lambda data: data.replace('"call": 2', '"call": "x"'),
            "line 3 does not tell what was injected; record it again",
        ),
        (lambda data: data.replace('"seed": 0', '"seed": "x"'), "line 1: its seed is 'x'"),
    ],
    ids=["torn", "wrong", "head"],
)
def test_a_record_that_is_not_whole_is_not_replayed(desk: Desk, spoil: Callable[[str], str], why: str) -> None:
    """One line says which line is wrong and what to do, and no program is begun."""
    desk("--plan", "transport.list-sessions=1*pass->1*empty", "--record", "calls.jsonl", *sh("tmux ls; tmux ls"))
    path = desk.directory / "calls.jsonl"
    path.write_text(spoil(path.read_text("utf-8")), "utf-8")
    asked = desk.log.read_text("utf-8")
    told = desk("--replay", "calls.jsonl", *sh("tmux ls"))

    assert (told.code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert told.stderr.startswith(f"error: --replay: calls.jsonl: {why}")
    assert desk.log.read_text("utf-8") == asked != ""


class Full(RealDisk):
    """A disk that has room for no more than was there."""

    def append(self, path: StrPath, data: bytes) -> int:
        """There is none."""
        raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path))


class NoRoom(RealDisk):
    """A disk on which no file can be made."""

    def write(self, path: StrPath, data: bytes) -> None:
        """As the kernel says it of a file that is open: without its name."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_shim_that_has_no_room_says_where(desk: Desk) -> None:
    """The program does not begin."""
    told = desk("--plan", "", *sh("touch $HOME/ran"), disk=NoRoom())

    assert (told.code, (desk.directory / "ran").exists()) == (1, False)
    assert f"cannot be set up: No space left on device: {desk.directory}/run/" in told.stderr


def test_a_record_that_is_not_whole_is_a_failure(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """The program does not notice."""
    told = desk("--plan", "", "--record", "calls.jsonl", *sh("tmux ls"), disk=Full())

    assert (told.code, capfd.readouterr().out) == (1, "answer\n")
    assert "error: --record: not every call could be written: No space left on device\n" in told.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--record", "old", "--", "no-such-program"), 127),
        (("--record", "old", "--", "/dev/null"), 126),
        (("--record", "sealed", *sh("touch $HOME/ran")), 2),
        (("--summary", "sealed", *sh("touch $HOME/ran")), 2),
        (("--summary", "no/such/file", *sh("touch $HOME/ran")), 2),
        (("--record", "old", "--summary", "run/../old", *sh("touch $HOME/ran")), 2),
    ],
)
def test_a_file_stays_as_it_is_where_the_program_does_not_begin(desk: Desk, words: tuple[str, ...], code: int) -> None:
    """Also one that may not be written, which could be replaced; what cannot be written is known before the program begins."""
    for name in ("old", "sealed"):
        (desk.directory / name).write_text("kept", "utf-8")
    (desk.directory / "sealed").chmod(0o400)
    before = sorted(path.name for path in desk.directory.iterdir())
    told = desk("--plan", "", *words)

    assert (told.code, told.stderr.count("\n")) == (code, 1)
    assert ("sealed cannot be written: Permission denied" in told.stderr) == ("sealed" in words)
    assert [(desk.directory / name).read_text("utf-8") for name in ("old", "sealed")] == ["kept", "kept"]
    assert sorted(path.name for path in desk.directory.iterdir()) == before


@pytest.mark.parametrize("meanwhile", ["rm calls", "rm calls; tmux ls", "rm calls; echo other >calls; tmux ls"])
def test_a_record_that_is_taken_away_is_not_whole(desk: Desk, meanwhile: str) -> None:
    """It is not made anew, and what has its name is left alone."""
    told = desk(
        "--plan",
        "",
        "--record",
        "calls",
        *sh(f"cd; tmux ls; until grep -s list-sessions calls; do sleep 0.05; done; {meanwhile}"),
    )
    left = desk.directory / "calls"

    assert told.code == 1
    assert "not every call could be written: it was re" in told.stderr
    assert (left.read_text("utf-8") if left.exists() else "") == ("other\n" if "other" in meanwhile else "")


def test_a_summary_that_cannot_be_written_in_the_end_is_shown(desk: Desk) -> None:
    """After one line that says why; the program's status stays."""
    told = desk("--plan", "", "--summary", "out/summary", *sh("cd; tmux ls; rm -r out; exit 5"))
    (desk.directory / "out").mkdir()
    late = desk("--plan", "", "--summary", "out/summary", *sh("cd; tmux ls; rm -r out; exit 5"))

    assert (told.code, late.code) == (2, 5)
    assert late.stderr.startswith("error: --summary: out/summary cannot be written: No such file")
    assert "       1  transport.list-sessions\n" in late.stderr


def test_what_a_shell_has_opened_is_there_for_the_program(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """As where a file is named that is none: `<(...)`."""
    (desk.directory / "text").write_text("opened", "utf-8")
    with open(desk.directory / "text", "rb") as file:
        os.set_inheritable(file.fileno(), True)

        assert desk("--plan", "", "--", "cat", f"/dev/fd/{file.fileno()}").code == 0
    assert capfd.readouterr().out == "opened"


def test_a_rule_that_never_fired_is_a_failure(desk: Desk) -> None:
    """Unless it may: then it is told all the same."""
    plan = ("--plan", "transport.kill-pane=1*empty")
    told, allowed = (desk(*plan, *words, *sh("tmux ls; exit 5")) for words in ((), ("--allow-unfired",)))

    assert (told.code, allowed.code) == (1, 5)
    for answer in (told, allowed):
        assert "`transport.kill-pane=1*empty` never fired" in answer.stderr
        assert "transport.list-sessions" in answer.stderr


def test_a_program_that_names_the_whole_path_is_not_reached(desk: Desk) -> None:
    """Which is said, because it cannot be seen."""
    told = desk("--plan", "transport.list-sessions=1*empty", "--", str(desk.tmux), "ls")

    assert told.code == 1
    assert "0 calls of tmux" in told.stderr
    assert "with its whole path, or changes its PATH, cannot be reached" in told.stderr


@pytest.mark.parametrize(
    ("program", "code"), [("exit 7", 7), ("kill -TERM $$", 128 + signal.SIGTERM), ("tmux ls >/dev/null", 0)]
)
def test_without_a_plan_the_exit_code_is_that_of_the_program(desk: Desk, program: str, code: int) -> None:
    """Whatever it says and however it ends."""
    assert desk("--plan", "", *sh(program)).code == code


def test_a_program_can_be_killed_at_a_call(desk: Desk) -> None:
    """As by SIGKILL; nothing behind that call happens."""
    told = desk("--plan", "transport.new-window=1*lost:die", *sh("tmux ls; tmux neww; tmux ls"))

    assert told.code == 128 + signal.SIGKILL
    assert desk.lines == ["ls", "neww"]


def test_the_summary_is_a_document(desk: Desk) -> None:
    """On standard error, or in a file."""
    words = ("--plan", "transport.new-window=1*empty", *sh("tmux neww; tmux ls"))
    shown = desk("--json", *words)
    kept = desk("--summary", "summary.json", *words)
    documents = [json.loads(text) for text in (shown.stderr, (desk.directory / "summary.json").read_text("utf-8"))]

    assert (shown.stdout, kept.stderr) == ("", "")
    for document in documents:
        assert document["reached"] == {"transport.list-sessions": 1, "transport.new-window": 1}
        assert document["injections"][0]["action"] == "empty"
        assert (document["schema"], document["status"], document["unfired"]) == (1, 0, [])


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--plan", ""), 2, "no command is given; "),
        (("--plan", "", "--", ""), 2, "COMMAND is empty; "),
        (("--plan", "", "sh", "-c", "x"), 2, "unrecognized arguments: -c x; put the command behind `--`"),
        ((*sh("true"),), 2, "one of --plan and --replay is needed; "),
        (("--plan", "", "--replay", "x", *sh("true")), 2, "one of --plan and --replay is needed; "),
        (("--plan", "mux.new_window=timeout", *sh("true")), 2, "--plan: position 0: "),
        (("--plan", "transport.neww=timeout", *sh("true")), 2, "nearest valid name"),
        (("--plan", "transport.list-keys", *sh("true")), 2, "--plan: position 19: "),
        (("--plan", "", "--record", "no/such/file", *sh("true")), 2, "--record: no/such/file cannot be written"),
        (("--plan", "", "--record", "bin", *sh("true")), 2, "--record: bin is no regular file"),
        (("--replay", "nowhere", *sh("true")), 2, "--replay: nowhere: No such file"),
        (("--replay", "bin/tmux", *sh("true")), 2, "--replay: bin/tmux: line 1 is no JSON"),
        (("--plan", "", "--seed", "-1", *sh("true")), 2, "--seed"),
        (("--plan", "", "--", "no-such-program"), 127, "no-such-program: No such file"),
        (("--plan", "", "--", "/dev/null"), 126, "/dev/null: Permission denied"),
    ],
)
def test_what_cannot_be_done_is_one_line(desk: Desk, words: tuple[str, ...], code: int, why: str) -> None:
    """With what to do about it; no program is run."""
    desk.log.write_text("", "utf-8")
    told = desk(*words)

    assert (told.code, told.stdout) == (code, "")
    assert told.stderr.startswith("error: ")
    assert why in told.stderr
    assert (told.stderr.count("\n"), "; " in told.stderr) == (1, True)


def test_without_a_multiplexer_there_is_nothing_to_stand_before(desk: Desk) -> None:
    """Nothing is run then."""
    told = desk("--plan", "", "--", "/bin/sh", "-c", "echo", PATH=str(desk.directory))

    assert (told.code, told.stderr) == (
        2,
        "error: there is no tmux on PATH to stand before; install tmux, or correct PATH\n",
    )


def test_a_shim_inside_of_a_shim(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """The inner one stands before the outer one, which gets what the inner one lets through."""
    again = shlex.join([sys.executable, "-P", "-m", "seamripper", "shim"])
    inner = f"{again} --plan 'transport.list-sessions=1*exit(8, \"\")' -- sh -c 'tmux ls; echo $?; tmux ls; echo $?'"
    told = desk("--plan", 'transport.list-sessions=1*exit(7, "")', *sh(inner))

    assert (told.code, capfd.readouterr().out) == (0, "8\n7\n")
    assert "after 1 call of tmux" in told.stderr


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "CONT"])
def test_a_signal_reaches_the_program(desk: Desk, name: str) -> None:
    """What it makes of that decides; its environment is the one that was given, also where Python changes its own."""
    program = f'echo ${{LC_CTYPE-none}}; trap "echo told; exit 3" {name}; tmux ls; while [ -e log ]; do sleep 0.1; done'
    signum = signal.Signals[f"SIG{name}"]
    with not_ignored([signum]):
        process = desk.start("--plan", "", *sh(program))
    eventually(lambda: desk.lines, SystemClock(), PATIENCE_S)
    process.send_signal(signum)
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()

    assert (process.returncode, out) == (3, b"none\nanswer\ntold\n"), err


class Interrupted(RealDisk):
    """A disk that is slow enough for a signal while the shim is set up."""

    def mkdir(self, path: StrPath, *, private: bool = False) -> None:
        """It comes right after."""
        super().mkdir(path, private=private)
        signal.raise_signal(signal.SIGTERM)


TYPED = """\
trap 'echo int' INT; trap 'echo usr; exit' USR1; kill -INT $PPID; kill -USR1 $PPID
while kill -0 $PPID; do sleep 0.05; done
"""
"""Has the shim get two signals, of which the first one is delivered first."""


def test_what_is_typed_is_not_handed_on_beside_what_the_terminal_sends(desk: Desk) -> None:
    """It has sent that to the program as well, which would get it twice."""
    ours, theirs = os.openpty()
    try:
        out, _ = desk.start("--plan", "", *sh(TYPED), stdin=theirs).communicate(timeout=PATIENCE_S)
    finally:
        os.close(ours)
        os.close(theirs)

    assert out == b"usr\n"


def test_a_signal_before_the_program_has_begun_reaches_it(desk: Desk) -> None:
    """As soon as it has; nobody else hears of it, and nothing of the shim is left."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: heard.append(signum))
    try:
        told = desk("--plan", "", "--", "sleep", "600", disk=Interrupted())
    finally:
        signal.signal(signal.SIGTERM, before)

    assert (told.code, heard) == (128 + signal.SIGTERM, [])


FILLING = """\
import os
os.set_blocking(2, False)
try:
    while os.write(2, bytes(100)):
        pass
except BlockingIOError:
    os.set_blocking(2, True)
print(os.getpid(), flush=True)
"""
"""Leaves no room in the pipe that is its standard error."""


def test_a_signal_after_the_program_has_ended_waits_for_the_summary(desk: Desk) -> None:
    """Nobody reads it for a while; the program's status stays."""
    process = desk.start("--plan", "", "--", sys.executable, "-c", FILLING)
    try:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        eventually(lambda: not psutil.pid_exists(pid), SystemClock(), PATIENCE_S)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()

    assert (process.returncode, b"ended with 0, after 0 calls" in err) == (0, True)


def test_a_shim_that_was_killed_stands_in_nobodys_way(desk: Desk) -> None:
    """Its program goes on, and its calls are passed on."""
    program = "echo $$ >pid; while [ ! -e go ]; do sleep 0.05; done; tmux ls"
    process = desk.start("--plan", "transport.list-sessions=1*empty", *sh(program))
    try:
        eventually(lambda: (desk.directory / "pid").exists(), SystemClock(), PATIENCE_S)
        process.kill()
        process.wait(PATIENCE_S)
        (desk.directory / "go").touch()

        assert eventually(lambda: desk.lines, SystemClock(), PATIENCE_S) == ["ls"]
    finally:
        process.communicate(timeout=PATIENCE_S)
        with suppress(psutil.NoSuchProcess):
            psutil.Process(int((desk.directory / "pid").read_text("utf-8"))).wait(PATIENCE_S)

    # A shim removes what it finds of those that were killed, but never one that is about to begin, or that answers.
    (left,) = desk.leftovers()
    (Path(left).parent / "begins").mkdir()
    inner = shlex.join([sys.executable, "-P", "-m", "seamripper", "shim", "--plan", "", "--", "true"])
    assert desk("--plan", "", *sh(f"{inner} && ls $XDG_RUNTIME_DIR/*/*/tmux | grep -c /tmux")).code == 0
    assert [Path(name).name for name in desk.leftovers()] == ["begins"]
    rmtree(desk.directory / "run")


def test_a_shim_that_was_killed_before_it_had_its_socket_is_removed_an_hour_later(desk: Desk) -> None:
    """Until then it may be one that begins."""
    for name, age_s in (("begins", 60), ("killed", 4000)):
        made = desk.directory / "run" / f"sm-{os.getuid()}-shim" / name
        made.mkdir(parents=True)
        (made / "ask~").touch()
        os.utime(made, (SystemClock().wall() - age_s,) * 2)
    made.parent.chmod(0o700)

    assert desk("--plan", "", *sh("tmux ls")).code == 0
    assert [Path(name).name for name in desk.leftovers()] == ["begins"]
    rmtree(desk.directory / "run")


@pytest.mark.parametrize("kind", ["relative", "two", "long"])
def test_the_directory_of_launchers_can_stand_on_the_path(
    desk: Desk, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not where a relative name leads from somewhere, where a name would be two, or where no socket has room for its name."""
    names = {"two": "a:b", "long": "x" * 90}
    (desk.directory / names.get(kind, "a")).mkdir()
    relative = os.path.relpath(desk.directory / "run")
    runtime = relative if kind == "relative" else str(desk.directory / names[kind])
    temporary = desk.directory / "temporary"
    temporary.mkdir(mode=0o700)
    words = ("--plan", "", *sh("cd /; tmux ls; command -v tmux"))
    told = desk(*words, XDG_RUNTIME_DIR=runtime, TMPDIR=str(temporary))

    assert (told.code, "after 1 call of tmux" in told.stderr) == (0, True)
    # A relative one is as none, and not every host has another place for that.
    assert kind == "relative" or str(temporary) in capfd.readouterr().out
    assert [list(place.iterdir()) for place in (Path(runtime), temporary)] == [[], []]


@pytest.mark.parametrize("kind", ["a file", "open"])
def test_a_place_that_cannot_be_made_private_is_named(desk: Desk, kind: str) -> None:
    """Before the program begins, as a setting that is wrong."""
    runtime = desk.directory / "run"
    own = runtime / f"sm-{os.getuid()}-shim"
    own.touch() if kind == "a file" else own.mkdir()
    own.chmod(0o755)
    told = desk("--plan", "", *sh("tmux ls"))
    rmtree(runtime)

    assert (told.code, desk.log.exists()) == (2, False)
    assert told.stderr.startswith("error: the socket's directory can")
    assert told.stderr.endswith(f": {own}; set XDG_RUNTIME_DIR to a directory of yours\n")


def test_the_place_of_the_launchers_stays_where_somebody_else_could_make_it(desk: Desk) -> None:
    """A server that outlives the program has it on its PATH; it is empty, and its user's alone."""
    shared = desk.directory / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    told = desk("--plan", "", *sh("tmux ls"), XDG_RUNTIME_DIR=str(shared))

    (place,) = shared.iterdir()
    assert (told.code, list(place.iterdir())) == (0, [])
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_what_the_shim_could_not_do_is_a_failure(desk: Desk) -> None:
    """Whatever the program has ended with; the summary says what, for people and for programs."""
    words = ("--plan", "", "--allow-unfired", *sh("tmux ls; rm $XDG_RUNTIME_DIR/*/*/passed; exit 5"))
    told, listed = desk(*words), desk("--json", *words)

    why = "calls that were passed on are not counted: passed: No such file or directory"
    assert (told.code, listed.code) == (1, 1)
    assert f"✖ {why}\n" in told.stderr
    assert json.loads(listed.stderr)["troubles"] == [why]


class Stuck(RealDisk):
    """A disk from which no directory can be removed."""

    def remove_tree(self, path: StrPath) -> None:
        """Not allowed."""
        raise PermissionError(errno.EPERM, "Operation not permitted", os.fspath(path))


def test_what_is_left_is_told_also_where_the_program_did_not_begin(desk: Desk) -> None:
    """With the command that removes it."""
    told = desk("--plan", "", "--", "no-such-program", disk=Stuck())
    (line, _) = told.stderr.splitlines()

    assert (told.code, "could not be removed: Operation not permitted; `rm -r " in line) == (127, True)
    subprocess.run(["sh", "-c", line.split("`")[1]], check=True)
    rmtree(desk.directory / "run")
