"""Runs the live fault suite again and again, and counts what it has left behind: `make live REPEAT=200`.

Every second repeat runs as if inside of the user's tmux. Whatever the suite begins inherits a variable with a token of this
process, and puts its files below a directory of it: so what is left is found, whoever its parent is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from backends.clock import SystemClock
from backends.entropy import SystemEntropy
from backends.processes import SystemProcessTable
from backends.transport import without_server
from harness.users_tmux import UsersTmux
from harness.waiting import eventually

ROOT = Path(__file__).resolve().parents[1]
SUITE = (
    *("scenarios/test_live_faults.py", "tests/faults/test_faults_undone.py"),
    *("tests/harness/test_live_worlds.py", "tests/harness/test_users_tmux.py"),
    *("--mux", "tmux", "--mux", "tmux-process", "-k", "not whichever_call", "-q", "-p", "no:cacheprovider"),
)
TOKEN = "SEAMRIPPER_REPEATS"
CONTACTS = "contacts of the user's tmux"
KINDS = ("servers", "sockets", "processes", "files", CONTACTS)
"""What there must be none of in the end."""
PATIENCE_S = 20.0
"""Seconds that what was killed last is given to be gone."""


def say(*lines: str) -> None:
    """Print them at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


class Repeats:
    """The suite, given as words for pytest, and the count of what is left below `base` and of its processes."""

    def __init__(self, base: Path, users: UsersTmux, suite: Sequence[str], patience_s: float = PATIENCE_S) -> None:
        self._base = base
        self._users = users
        self._suite = suite
        self._patience_s = patience_s
        self._token = SystemEntropy().token()
        self._processes = SystemProcessTable()
        self.failed = 0
        self.leaked: Counter[str] = Counter()

    def once(self, number: int) -> None:
        """Run the suite, inside of the user's tmux or outside, and count."""
        inside = self._users.environment if number % 2 else {"TMUX_TMPDIR": self._users.environment["TMUX_TMPDIR"]}
        environment = {**without_server(os.environ), **inside, TOKEN: self._token, "TMPDIR": str(self._base)}
        kept = self._base / "pytest"
        argv = [sys.executable, "-m", "pytest", *self._suite, "--basetemp", str(kept)]
        # A file and no pipe: what the suite has left behind and holds the end of it would be waited for.
        with tempfile.TemporaryFile() as told:
            done = subprocess.run(argv, cwd=ROOT, env=environment, stdout=told, stderr=subprocess.STDOUT, check=False)
            told.seek(0)
            said = told.read().decode("utf-8", "replace").strip()
        shutil.rmtree(kept, ignore_errors=True)
        say(f"{number}: {said.rpartition(chr(10))[2]}")
        if done.returncode != 0:
            self.failed += 1
            say(said)
        self._count()

    def _count(self) -> None:
        clock = SystemClock()
        try:
            eventually(lambda: not list(self._left()), clock, self._patience_s)
        except TimeoutError:
            for kind, what in self._left():
                self.leaked[kind] += 1
                say(f"left behind: {kind} {what}")
        self.leaked[CONTACTS] = self._users.contacts()

    def _left(self) -> Iterator[tuple[str, str]]:
        for one in self._processes.carrying(TOKEN, self._token):
            try:
                words = psutil.Process(one.pid).cmdline()
            except psutil.Error:
                continue
            yield ("servers" if words and "tmux" in words[0] else "processes"), f"{one.pid} {' '.join(words)}"
        for directory, _, names in os.walk(self._base):
            for path in (Path(directory, name) for name in names):
                with suppress(FileNotFoundError):
                    yield ("sockets" if stat.S_ISSOCK(path.lstat().st_mode) else "files"), str(path)
            if Path(directory) != self._base and not names:
                yield "files", directory


def main() -> int:
    """Repeat; 1 if any test failed or anything was left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="how often to run the suite (1)")
    parser.add_argument("words", nargs="*", help="further words for pytest, after --")
    given = parser.parse_args()
    users = UsersTmux()
    base = Path(tempfile.mkdtemp(prefix="lr-", dir="/tmp"))
    try:
        repeats = Repeats(base, users, (*SUITE, *given.words))
        for number in range(1, given.repeat + 1):
            repeats.once(number)
    finally:
        shutil.rmtree(base, ignore_errors=True)
        users.close()
    left = ", ".join(f"{repeats.leaked[kind]} {kind}" for kind in KINDS)
    say(f"{given.repeat} repeats, {repeats.failed} with failures; left behind: {left}")
    return 1 if repeats.failed or repeats.leaked.total() else 0


if __name__ == "__main__":
    sys.exit(main())
