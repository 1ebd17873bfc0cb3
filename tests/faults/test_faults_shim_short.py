"""A shim on a host that has run out of something: what it does not know it says, and it ends all the same."""

from __future__ import annotations

import errno
import os
import resource
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree

import pytest
from shim_stage import PATIENCE_S, Stage, stage

from backends.disk import RealDisk, StrPath
from faults.shim import ShimCall
from faults.shim_launcher import passed_in

ONE = {"transport.list-sessions": 1}


@pytest.fixture
def play() -> Iterator[Stage]:
    """A program, and shims before it."""
    with stage() as made:
        yield made


@contextmanager
def instead(path: Path, target: Path) -> Iterator[None]:
    """Within, another file is meant by that name."""
    kept = path.with_name("kept")
    path.rename(kept)
    path.symlink_to(target)
    try:
        yield
    finally:
        kept.replace(path)


def test_a_call_that_finds_no_room_to_be_noted_is_counted_all_the_same(play: Stage) -> None:
    """It asks, as one does that a rule is about."""
    with play.shim("transport.new-window=1*empty") as shim, instead(shim.directory / "passed", Path("/dev/full")):
        answer = play.call(shim, "ls")

    assert (answer[0], answer[2]) == (4, b"complained\n")
    assert (shim.reached, shim.troubles) == (ONE, [])


@pytest.mark.parametrize(("plan", "ignored"), [("", ""), ("", "trap '' XFSZ;"), ("transport.list-sessions=pass", "")])
def test_whoever_may_write_no_files_is_served_and_counted(play: Stage, plan: str, ignored: str) -> None:
    """What the real program does with the limit is its own business."""
    quiet = play.directory / "quiet"
    quiet.write_text("#!/bin/sh\ngrep -s SigIgn /proc/$$/status | tail -c 6\nexit 4\n", "utf-8")
    quiet.chmod(0o700)
    limited = f'{ignored} ulimit -f 0; exec "$0" ls'
    bare = play.call(Path("/bin/sh"), "-c", limited, str(quiet))
    with play.shim(plan, real=quiet) as shim:
        told = play.call(Path("/bin/sh"), "-c", limited, str(shim.directory / "tmux"))

    assert (told, told[0]) == (bare, 4)
    assert (shim.reached, shim.troubles) == (ONE, [])


def test_a_line_that_was_cut_short_counts_for_nothing() -> None:
    """Its call has asked instead; the next line begins anew."""
    whole = b"\n list-sessions neww .\n"

    assert passed_in(whole + b"\n list-windows list-ses" + whole + b"\n list-sessions\n" + b"\n VERSION .\n") == {
        "transport.list-sessions": 2,
        "transport.new-window": 2,
        "transport.version": 1,
    }


def test_a_call_that_cannot_ask_is_passed_on_and_told(play: Stage) -> None:
    """How many there were of them nobody knows."""
    with play.shim("transport.list-sessions=1*empty") as shim, instead(shim.directory / "ask", shim.directory / "ask"):
        status, _, _ = play.call(shim, "ls")

    assert status == 4
    assert shim.troubles == ["calls were passed on uncounted: they could not ask the shim"]


@contextmanager
def no_threads() -> Iterator[None]:
    """Within, no thread can be started."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_a_call_that_nobody_can_attend_to_is_passed_on_and_told(play: Stage) -> None:
    """The next one is attended to again."""
    with play.shim("transport.list-sessions=1*empty") as shim:
        with no_threads():
            first = play.call(shim, "ls")[0]
        second = play.call(shim, "ls")[0]

    assert (first, second) == (4, 0)
    assert shim.troubles == ["1 call could not be attended to, and passed on uncounted"]


def test_a_fault_that_cannot_be_carried_out_is_told(play: Stage) -> None:
    """Its call fails as a program does that cannot be run."""
    with play.shim("transport.has-session=1*lost:empty", recorded=True) as shim:
        words = (
            sys.executable,
            "-I",
            "-S",
            f"{shim.directory}/call.pyc",
            str(shim.directory),
            str(play.real),
            "",
            "tmux",
        )
        limited = f"ulimit -n 4; exec {shlex.join(words)} has-session"
        status, out, err = play.call(Path("/bin/sh"), "-c", limited)

    assert (status, out, err) == (126, b"", f"{play.real}: Too many open files\n".encode())
    assert play.heard[0].outcome == "failed: Too many open files"
    assert shim.troubles == [
        "`transport.has-session=1*lost:empty` could not be carried out at call 1: Too many open files"
    ]


REMOVED = "the tmux of the shim was removed meanwhile: calls after that are not counted"
UNCOUNTED = "calls that were passed on are not counted: passed: No such file or directory"


@pytest.mark.parametrize(
    ("take", "told"),
    [
        (lambda directory: (directory / "tmux").unlink(), [REMOVED]),
        (lambda directory: (directory / "passed").unlink(), [UNCOUNTED]),
        (rmtree, [REMOVED, UNCOUNTED]),
    ],
    ids=["launcher", "list", "directory"],
)
def test_what_was_taken_away_meanwhile_is_told(play: Stage, take: Callable[[Path], None], told: list[str]) -> None:
    """By whoever cleans up where runtime files are."""
    with play.shim("") as shim:
        take(shim.directory)

    assert shim.troubles == told
    assert not shim.directory.exists()


class NoDescriptors(RealDisk):
    """No directory can be looked into."""

    def remove_tree(self, path: StrPath) -> None:
        """None is free."""
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), os.fspath(path))


def test_what_cannot_be_removed_is_told_with_how_to_do_that(play: Stage) -> None:
    """After a while; the way that is told works."""
    with play.shim("", disk=NoDescriptors(), patience_s=0.1) as shim:
        play.call(shim, "ls")
    (told,) = shim.troubles
    before, by_hand, after = told.split("`")

    assert (before, after) == (f"{shim.directory} could not be removed: Too many open files; ", " does that")
    assert subprocess.run(["sh", "-c", by_hand], check=False, timeout=PATIENCE_S).returncode == 0
    assert not shim.directory.exists()
    assert shim.reached == ONE


def test_what_comes_of_a_call_is_not_waited_for_without_end(play: Stage) -> None:
    """Whoever keeps the record may hang, as a disk does."""
    hanging = threading.Event()

    def heard(call: ShimCall) -> None:
        hanging.wait(PATIENCE_S)

    with play.shim("", heard=heard, patience_s=0.1) as shim:
        play.call(shim, "ls")
    hanging.set()

    assert shim.troubles == ["what came of every call was not known after 0.1 seconds"]
    assert not shim.directory.exists()


def without_descriptors(directory: str) -> None:
    """Begin and end a shim while no descriptor is free; say what is left."""
    play = Stage(Path(directory))
    with play.shim("transport.list-sessions=1*empty") as shim:
        taken = os.dup(0)
        os.close(taken)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
    sys.stdout.write(repr((shim.troubles, shim.directory.exists())))


@pytest.mark.parametrize("callers", [0, 3])
def test_a_shim_ends_where_no_descriptor_is_free(play: Stage, callers: int) -> None:
    """It leaves nothing, and says how many it could not listen to."""
    here = str(Path(__file__).parent)
    argv = [sys.executable, "-c", f"import {__name__} as this; this.without_descriptors({str(play.directory)!r})"]
    path = os.pathsep.join([here, *filter(None, sys.path)])
    ends = subprocess.PIPE
    with (
        subprocess.Popen(argv, env={**play.environment, "PYTHONPATH": path}, stdin=ends, stdout=ends) as process,
        ExitStack() as calling,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(callers):
            asking = calling.enter_context(socket.socket(socket.AF_UNIX))
            asking.connect(str(play.directory / "shim" / "ask"))
            asking.sendall(b"4\n1\0ls")
        try:
            told, _ = process.communicate(b"go\n", PATIENCE_S)
        finally:
            process.kill()

    due = [f"{callers} calls could not be attended to, and passed on uncounted"] if callers else []
    assert told.decode() == repr((due, False))
