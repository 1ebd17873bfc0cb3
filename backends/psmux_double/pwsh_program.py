"""The double of `pwsh`: carries out exactly the scripts that the psmux backend generates, and refuses every other one.

A program of its own, run by any interpreter from 3.11 on: it imports the standard library only. A script is known by the
digest of its text without the words that are filled in, so that a changed script is refused until somebody has looked at it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import signal
import subprocess
import sys
import termios
import tty
from pathlib import Path

VERSION = "PowerShell 7.4.6 (double, not pwsh)"
SCRIPTS = {
    "32d09b6e0be9ac48e1edcfc6935c4efef317b045fd030179c8b23c4569de5d25": "launch",
    "ad6c192357787b0ebed1f5cb98a10bbbc764d9617f3010abf7b74c9172485608": "sink",
    "d19c4bcc1ca8885c744af99929f46d03e9380e499cd9fe3db7530d3321c0b1b6": "attach",
}
"""Digest of each known script, and what it does."""
_FILLED = re.compile(
    r"^(\$launch =|\$log =|\$env:PSMUX_DATA_DIR =|& psmux attach-session -t) '((?:[^']|'')*)'$", re.MULTILINE
)
_DOUBLED = re.compile("(['\u2018\u2019\u201a\u201b])\\1")


def recognised(script: str) -> tuple[str, list[str]] | None:
    """What the script does, and the words that were filled into it; `None` for one that is not known."""
    values = [_DOUBLED.sub(r"\1", found[2]) for found in _FILLED.finditer(script)]
    bare = _FILLED.sub(r"\1 {}", script)
    deed = SCRIPTS.get(hashlib.sha256(bare.encode("utf-8")).hexdigest())
    return None if deed is None else (deed, values)


def launch(path: str) -> int:
    """Take the file of a launch, become what it says, and write the exit status."""
    taken = Path(path + ".taken")
    try:
        os.rename(path, taken)
    except OSError:
        return 125
    lines = taken.read_text("ascii").splitlines()
    taken.unlink()
    said: dict[str, str] = {}
    words: list[str] = []
    environment = dict(os.environ)
    for kind, name, value in ((*line.split(" "), "", "")[:3] for line in lines):
        if kind == "env":
            environment[name] = _text(value)
        elif kind == "arg":
            words.append(_text(name))
        else:
            said[kind] = f"{name} {value}" if kind == "park" else _text(name)
    code = run(said.get("cwd", ""), words, environment)
    pane = os.environ.get("TMUX_PANE", "")
    if re.fullmatch(r"%[0-9]+", pane):
        written = Path(f"{said['exits']}{pane[1:]}.exit")
        draft = written.with_name(written.name + ".new")
        draft.write_text(f"{code}\n", "ascii")
        draft.replace(written)
    if "park" in said:
        session, option = said["park"].split(" ")
        park(session, option, pane, code)
    return code


def run(cwd: str, words: list[str], environment: dict[str, str]) -> int:
    """The exit status of a program in a directory: 126 if that cannot be entered, 127 if the program cannot be run."""
    try:
        os.chdir(cwd)
    except OSError as error:
        sys.stderr.write(f"Set-Location: {error.strerror}\n")
        return 126
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        ended = subprocess.Popen(words, env=environment).wait()
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
        return 127
    return ended if ended >= 0 else 128 - ended


def park(session: str, option: str, pane: str, code: int) -> None:
    """Wait for a key, then send the attached client back where it came from."""
    sys.stdout.write(f"\n[ended with status {code}: press a key]\n")
    sys.stdout.flush()
    _one_key()
    window = _psmux("display-message", "-p", "-t", f"{session}:{pane}", "#{window_id}")
    back = _psmux("show-options", "-q", "-v", "-t", session, f"{option}-w{window[1:]}")
    if back:
        _psmux("switch-client", "-t", back)


def _one_key() -> None:
    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        os.read(0, 1)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _psmux(*words: str) -> str:
    return subprocess.run(["psmux", *words], capture_output=True, text=True, check=False).stdout.strip()


def sink(path: str) -> int:
    """Append what comes in, and leave nothing in a buffer."""
    target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    while chunk := os.read(0, 65536):
        os.write(target, chunk)
    return 0


def attach(data_dir: str, target: str) -> int:
    """Become the client that attaches to a session of that directory."""
    os.environ["PSMUX_DATA_DIR"] = data_dir
    os.execvp("psmux", ["psmux", "attach-session", "-t", target])


def _text(word: str) -> str:
    return base64.b64decode(word).decode("utf-8")


def main(argv: list[str]) -> int:
    """Run one PowerShell."""
    if argv == ["--version"]:
        sys.stdout.write(f"{VERSION}\n")
        return 0
    if argv in ([], ["-NoLogo", "-NoProfile"]):
        os.execv("/bin/sh", ["sh"])
    if len(argv) == 3 and argv[:2] == ["-NoProfile", "-EncodedCommand"]:
        found = recognised(base64.b64decode(argv[2]).decode("utf-16-le"))
        if found is not None:
            deed, values = found
            if deed == "attach":
                return attach(*values)
            return launch(values[0]) if deed == "launch" else sink(values[0])
    sys.stderr.write("pwsh: the double knows only the scripts that seamripper generates\n")
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
