"""Output is held where the process has its terminal, whenever that was opened; what cannot be held is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pexpect
import psutil
import pytest

from harness.terminals import hold_output, let_output_go, terminal_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX terminals")

COUNTS = "import itertools, sys\nfor number in itertools.count(): print(number, flush=True)"


@contextmanager
def started(*argv: str) -> Iterator[Any]:
    """A program on a terminal of its own."""
    child = pexpect.spawn(argv[0], list(argv[1:]), encoding="utf-8", timeout=60)
    try:
        yield child
    finally:
        child.close(force=True)


def read_away(child: Any) -> None:
    """Everything that is printed, until for a second nothing is; a terminal itself holds a few kilobytes."""
    for _ in range(10_000):
        child.read_nonblocking(1 << 16, timeout=1)


def test_a_terminal_is_found_that_was_opened_after_others_were_looked_for() -> None:
    """Two at once, so that the second has a number that nothing had before."""
    with started("sh", "-c", "tty; read line") as first:
        first.expect("(/dev/[^\r\n]+)")
        psutil.Process(first.pid).terminal()
        with started("sh", "-c", "tty; read line") as second:
            second.expect("(/dev/[^\r\n]+)")

            assert terminal_of(first.pid) == first.match[1]
            assert terminal_of(second.pid) == second.match[1] != first.match[1]


def test_what_is_held_is_silent_until_it_is_let_go() -> None:
    """What was printed before may still come."""
    with started(sys.executable, "-c", COUNTS) as child:
        child.expect("1000\r\n")
        hold_output(child.pid)
        with pytest.raises(pexpect.TIMEOUT):
            read_away(child)
        let_output_go(child.pid)
        child.expect(r"\d+\r\n")


def test_a_process_without_a_terminal_cannot_be_held() -> None:
    """It would go on printing, and whoever asked for it to wait would never learn why."""
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        assert terminal_of(sleeper.pid) is None
        with pytest.raises(OSError, match=f"process {sleeper.pid} has no terminal"):
            hold_output(sleeper.pid)
    finally:
        sleeper.communicate()
    hold_output(sleeper.pid)
    assert terminal_of(sleeper.pid) is None
