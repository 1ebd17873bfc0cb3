"""The double of `psmux`: one private real tmux server for each session, and the habits of one version of psmux.

A program of its own, run by any interpreter from 3.11 on: it imports the standard library only. Which divergences it shows
in which profile stands in the catalogue beside it; a divergence is looked up here by its id.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).resolve().parent.parent / "data" / "psmux-divergences.toml"
NOTE = "(double, not psmux)"
ANCHOR = "double-anchor"
"""A session that is there while a server starts, so that the first ids of the real one are @1 and %1."""

USUAL = "3.3.8"
"""The profile of a double that nobody has told another one."""
VERSIONS = {"3.3.6": "3.3.6", "3.3.8": "3.3.8", "master": "3.3.9"}
GLOBAL_OPTIONS = ("remain-on-exit", "automatic-rename")
FLAGS_WITH_VALUE = {
    "new-session": "snxyc",
    "new-window": "tnFce",
    "list-windows": "tF",
    "list-panes": "tF",
    "list-sessions": "F",
    "display-message": "t",
    "set-option": "t",
    "show-options": "t",
    "send-keys": "t",
    "load-buffer": "bt",
    "paste-buffer": "bt",
    "pipe-pane": "t",
    "kill-session": "t",
    "kill-window": "t",
    "select-window": "t",
    "has-session": "t",
    "attach-session": "t",
    "switch-client": "tc",
    "detach-client": "st",
    "kill-server": "",
}
"""The verbs that are known, each with its flags that take a value."""


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


class Refusal(Exception):
    """Ends the program: what it says on stderr, and its status."""

    def __init__(self, line: str, status: int = 1) -> None:
        super().__init__(line)
        self.line = line
        self.status = status


class Words:
    """The flags and arguments of one command."""

    def __init__(self, verb: str, words: Sequence[str]) -> None:
        self.verb = verb
        self.flags: dict[str, str] = {}
        self.rest: list[str] = []
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            if self.rest or not re.fullmatch(r"-[A-Za-z]+", word):
                self.rest.append(word)
            elif word[1] in FLAGS_WITH_VALUE[verb]:
                self.flags[word[1]] = word[2:] or (waiting.pop(0) if waiting else "")
            else:
                self.flags |= dict.fromkeys(word[1:], "")

    def __contains__(self, flag: str) -> bool:
        return flag in self.flags


class Double:
    """The sessions of one data directory, seen in one profile."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self.data = data
        self.environment = environment
        control = self._control()
        catalogue = tomllib.loads(CATALOGUE.read_text("utf-8"))
        self.profile = str(control.get("profile") or environment.get("PSMUX_DOUBLE") or USUAL)
        if self.profile not in catalogue["profiles"]:
            raise Refusal(f"the double has no profile {self.profile}: known are {', '.join(catalogue['profiles'])}", 2)
        self._known = {one["id"] for one in catalogue["divergence"]}
        self._shown = {one["id"] for one in catalogue["divergence"] if self.profile in one["profiles"]}
        lacked = set(environment.get("PSMUX_DOUBLE_LACKS", "").split())
        if lacked - self._known:
            raise Refusal(f"the catalogue has no divergence {', '.join(sorted(lacked - self._known))}", 2)
        self._shown -= lacked

    def shows(self, divergence: str) -> bool:
        """Whether the profile has this divergence."""
        if divergence not in self._known:
            raise Refusal(f"the catalogue has no divergence {divergence}", 2)
        return divergence in self._shown

    def _control(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.data / "double.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def next_fault(self, verb: str) -> dict[str, Any] | None:
        """The fault that this call is to have, if any; counted across processes."""
        if not (self.data / "double.json").exists():
            return None
        with (self.data / "double.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            control = self._control()
            for fault in control.get("faults", []):
                if fault["verb"] not in (verb, "*") or fault.get("times", 1) < 1:
                    continue
                hit = fault.get("skip", 0) < 1
                fault["times" if hit else "skip"] = fault.get("times", 1) - 1 if hit else fault["skip"] - 1
                draft = self.data / "double.json.new"
                draft.write_text(json.dumps(control), "utf-8")
                draft.replace(self.data / "double.json")
                return dict(fault) if hit else None
        return None

    # Sessions: the files of each, and its real tmux.

    def path(self, session: str, suffix: str) -> Path:
        """A file of the session."""
        return self.data / f"{session}.{suffix}"

    def sessions(self) -> list[str]:
        """Names of the sessions that have a port file, the newest last."""
        found = [path for path in self.data.glob("*.port") if path.is_file()]
        return [path.name.removesuffix(".port") for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def tidy(self) -> None:
        """What every call does first: lost port files come back, files of dead servers go."""
        for lost in self.data.glob("*.port-lost"):
            session = lost.name.removesuffix(".port-lost")
            if not self.lives(session):
                lost.unlink(missing_ok=True)
            elif time.time() >= float(lost.read_text("utf-8") or 0):
                lost.unlink(missing_ok=True)
                self.path(session, "port").write_text("0\n", "utf-8")
        for session in self.sessions():
            if not self.lives(session):
                self.forget(session)

    def lives(self, session: str) -> bool:
        """Whether its tmux runs; one that is being made does."""
        try:
            pid = int(self.path(session, "pid").read_text("utf-8"))
            state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return not self.path(session, "pid").exists() and self.path(session, "port").exists()
        return state not in ("Z", "X")

    def forget(self, session: str) -> None:
        """Remove the files of a session that is gone."""
        for suffix in ("port", "key", "sid", "pid", "sock", "sock.lock", "options"):
            self.path(session, suffix).unlink(missing_ok=True)

    def lose_port(self, session: str, seconds: float) -> None:
        """Take the port file away for so long."""
        self.path(session, "port-lost").write_text(f"{time.time() + seconds}", "utf-8")
        self.path(session, "port").unlink(missing_ok=True)

    def named(self, name: str) -> str:
        """The session of that name, as its file is called; names are exact, but for upper and lower case."""
        bare = name.removeprefix("=")
        for session in self.sessions():
            if session.casefold() == bare.casefold():
                return session
        raise Refusal(f"no server running on session '{bare}'")

    def tmux(self, session: str, *words: str, stdin: bytes = b"") -> str:
        """What the session's tmux answers; what it complains of is psmux's complaint."""
        tmux = shutil.which("tmux", path=self.environment.get("PATH"))
        if tmux is None:
            raise Refusal("the double needs a real tmux on PATH", 2)
        socket = self.path(session, "sock")
        if len(os.fsencode(socket)) > 100:
            raise Refusal("the path of PSMUX_DATA_DIR is too long for the double", 2)
        argv = [tmux, "-u", "-S", str(socket), "-f", "/dev/null", *words]
        done = subprocess.run(argv, input=stdin, capture_output=True, env=self._inner(session), check=False)
        if done.returncode != 0 or done.stderr:
            line = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
            if re.match(r"no server running|error connecting|lost server|server exited", line):
                raise Refusal(
                    "No connection could be made because the target machine actively refused it. (os error 10061)"
                )
            raise Refusal(line or "refused")
        return done.stdout.decode("utf-8", "replace")

    def _inner(self, session: str) -> dict[str, str]:
        """The environment that windows of the session get."""
        hidden = ("TMUX", "TMUX_PANE", "TMUX_TMPDIR", "PSMUX_ALLOW_NESTING", "PSMUX_NO_WARM")
        outer = {name: value for name, value in self.environment.items() if name not in hidden}
        return {**outer, "PSMUX_SESSION": session, "PSMUX_ACTIVE": "1"}

    def options(self, session: str) -> dict[str, str]:
        """The one map of user options that a session has."""
        try:
            found: dict[str, str] = json.loads(self.path(session, "options").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def format(self, session: str, form: str) -> str:
        """`form` as the real tmux has to be given it."""
        if self.shows("exit-status"):
            form = re.sub(r"#\{pane_dead_(?:status|signal)\}", "0", form)
        if self.shows("options-per-server"):
            options = self.options(session)
            form = re.sub(r"#\{(@[^}]*)\}", lambda found: options.get(found[1], "").replace("#", "##"), form)
        return form

    # Targets.

    def target(self, text: str | None) -> tuple[str, str]:
        """A target as (session, target for its tmux)."""
        if not text:
            return self._newest(), ""
        if re.fullmatch(r"[@%]\d+", text):
            return self._bare(text)
        name, _, inner = text.partition(":")
        session = self.named(name)
        if not inner:
            return session, f"={session}:"
        return session, self._inside(session, inner)

    def _newest(self) -> str:
        found = self.sessions()
        if not found:
            raise Refusal("no server running on session 'default'")
        return found[-1]

    def _bare(self, native: str) -> tuple[str, str]:
        if self.shows("ambiguous-id"):
            owners = [session for session in self.sessions() if native in self._ids(session)]
            if len(owners) > 1:
                kind = "window" if native[0] == "@" else "pane"
                raise Refusal(f"ambiguous {kind} id {native}: present in sessions {', '.join(owners)}")
            session = owners[0] if owners else self._newest()
        else:
            session = self._newest()
        if native not in self._ids(session) and self.shows("error-on-stdout"):
            say(f"ERROR: can't find {'window' if native[0] == '@' else 'pane'}: {native}")
            raise Refusal("", 0)
        return session, self._inside(session, native)

    def _ids(self, session: str) -> set[str]:
        return set(
            self.tmux(session, "list-panes", "-s", "-t", f"={session}:", "-F", "#{window_id}\n#{pane_id}").split()
        )

    def _inside(self, session: str, inner: str) -> str:
        form = "#{window_id}|#{pane_id}|#{window_index}|#{window_name}"
        rows = self.tmux(session, "list-panes", "-s", "-t", f"={session}:", "-F", form).splitlines()
        for window, pane, index, name in (row.split("|", 3) for row in rows):
            if inner == pane:
                return pane
            if inner in (window, index, name):
                return window
        if self.shows("unresolvable-target"):
            return f"={session}:"
        raise Refusal(f"can't find {'pane' if inner.startswith('%') else 'window'}: {inner}")


# Commands: each takes the double and its words, and prints what psmux would.


def new_session(double: Double, words: Words) -> None:
    """Make a session; inside of another one say no, with status 0."""
    nested = double.environment.get("PSMUX_SESSION") or double.environment.get("PSMUX_ACTIVE") == "1"
    if nested and double.environment.get("PSMUX_ALLOW_NESTING") != "1" and double.shows("nested-session"):
        raise Refusal("sessions should be nested with care, unset PSMUX_SESSION to force", 0)
    name = words.flags.get("s", "0")
    with contextlib.suppress(Refusal):
        raise Duplicate(double.named(name))
    make_session(double, name, words)


class Duplicate(Exception):
    """A session of that name is there."""


def make_session(double: Double, name: str, words: Words) -> None:
    """Start the session's tmux, with an anchor that takes the ids 0, and write the session's files."""
    double.forget(name)
    size = [word for flag in "xy" if flag in words for word in (f"-{flag}", words.flags[flag])]
    window = ["-n", words.flags["n"]] if "n" in words else []
    where = ["-c", words.flags["c"]] if "c" in words else []
    anchor = (
        "set-option",
        "-g",
        "default-shell",
        "/bin/sh",
        ";",
        "new-session",
        "-d",
        "-s",
        ANCHOR,
        "exec sleep 1000000",
    )
    made = ("new-session", "-d", "-s", name, *window, *where, *size, *twice(double, words.rest or ["pwsh"]))
    double.tmux(name, "start-server", ";", *anchor, ";", *made, ";", "kill-session", "-t", f"={ANCHOR}")
    pid = double.tmux(name, "display-message", "-p", "#{pid}").strip()
    for suffix, text in (("pid", pid), ("sid", "$1"), ("key", "0" * 16), ("port", "0")):
        double.path(name, suffix).write_text(f"{text}\n", "utf-8")


def twice(double: Double, words: Sequence[str]) -> list[str]:
    """The command line of a window, parsed once here, so that the second parser gets what the first one has left."""
    line = " ".join(words)
    return [" ".join(shlex.split(line))] if double.shows("shell") else [line]


def new_window(double: Double, words: Words) -> None:
    """Open a window, and say its id if that is asked for."""
    session, _ = double.target(words.flags.get("t"))
    name = ["-n", words.flags["n"]] if "n" in words else []
    variables = ["-e", words.flags["e"]] if "e" in words and not double.shows("new-window-environment") else []
    shown = ["-P", "-F", double.format(session, words.flags.get("F", "#{window_id}"))] if "P" in words else []
    command = twice(double, words.rest or ["pwsh"])
    made = ("new-window", *(["-d"] if "d" in words else []), *shown, "-t", f"={session}:", *name, *variables, *command)
    sys.stdout.write(double.tmux(session, *made))


def listing(double: Double, words: Words) -> None:
    """List windows or panes."""
    session, target = double.target(words.flags.get("t"))
    scope = ["-s"] if words.verb == "list-panes" and ("s" in words or "a" in words) else []
    form = double.format(session, words.flags.get("F", "#{window_id}"))
    sys.stdout.write(double.tmux(session, words.verb, *scope, "-t", target or f"={session}:", "-F", form))


def list_sessions(double: Double, words: Words) -> None:
    """One line for each session; each is asked by itself."""
    for session in sorted(double.sessions()):
        form = double.format(session, words.flags.get("F", "#{session_name}"))
        sys.stdout.write(double.tmux(session, "display-message", "-p", "-t", f"={session}:", form))


def display_message(double: Double, words: Words) -> None:
    """What a format means; without a target, for the active window, whoever asks."""
    own = "" if double.shows("self-probe") else double.environment.get("TMUX_PANE")
    session, target = double.target(words.flags.get("t") or own)
    form = double.format(session, words.rest[0] if words.rest else "#{session_name}")
    sys.stdout.write(double.tmux(session, "display-message", "-p", "-t", target or f"={session}:", form))


def set_option(double: Double, words: Words) -> None:
    """Keep an option in the one map of the session."""
    session, _ = double.target(words.flags.get("t"))
    key, value = [*words.rest, "", ""][:2]
    if not key.startswith("@"):
        if key not in GLOBAL_OPTIONS:
            raise Refusal(f"invalid option: {key}")
        double.tmux(session, "set-option", "-g", key, value)
        return
    options = double.options(session)
    if "u" in words or (value.startswith("-") and double.shows("option-leading-dash")):
        options.pop(key, None)
    else:
        options[key] = value
    double.path(session, "options").write_text(json.dumps(options), "utf-8")


def show_options(double: Double, words: Words) -> None:
    """What the one map has; nothing is to be had of windows."""
    session, _ = double.target(words.flags.get("t"))
    key = words.rest[0] if words.rest else ""
    value = double.options(session).get(key)
    if value is None or ("w" in words and double.shows("options-per-server")):
        if "q" not in words and "w" not in words:
            raise Refusal(f"invalid option: {key}")
        return
    say(value if "v" in words else f"{key} {value}")


def send_keys(double: Double, words: Words) -> None:
    """Press keys."""
    session, target = double.target(words.flags.get("t"))
    flags = [f"-{flag}" for flag in "lX" if flag in words]
    double.tmux(session, "send-keys", *flags, "-t", target or f"={session}:", *words.rest)


def load_buffer(double: Double, words: Words) -> None:
    """Keep what comes in as a buffer of the session."""
    session, _ = double.target(words.flags.get("t"))
    content = sys.stdin.buffer.read() if words.rest == ["-"] else Path(words.rest[0]).read_bytes()
    double.tmux(session, "load-buffer", "-b", words.flags.get("b", "buffer0"), "-", stdin=content)


def paste_buffer(double: Double, words: Words) -> None:
    """Type a buffer."""
    session, target = double.target(words.flags.get("t"))
    flags = [f"-{flag}" for flag in "pd" if flag in words]
    buffer = words.flags.get("b", "buffer0")
    double.tmux(session, "paste-buffer", "-r", *flags, "-b", buffer, "-t", target or f"={session}:")


def pipe_pane(double: Double, words: Words) -> None:
    """Hand what a pane prints to a command."""
    session, target = double.target(words.flags.get("t"))
    if double.shows("pipe-pane-stub"):
        return
    sink = " ".join(words.rest)
    if sink.startswith("cat") and double.shows("pipe-pane-cat"):
        sink = "cat >/dev/null"
    double.tmux(session, "pipe-pane", "-t", target or f"={session}:", sink)


def kill_window(double: Double, words: Words) -> None:
    """End a window."""
    session, target = double.target(words.flags.get("t"))
    double.tmux(session, "kill-window", "-t", target or f"={session}:")


def select_window(double: Double, words: Words) -> None:
    """Make a window the active one."""
    session, target = double.target(words.flags.get("t"))
    double.tmux(session, "select-window", "-t", target or f"={session}:")


def kill_session(double: Double, words: Words) -> None:
    """End a session."""
    named = words.flags.get("t", "")
    if named.startswith("=") and double.shows("equals-kill"):
        return
    end_session(double, double.target(named)[0])


def end_session(double: Double, session: str) -> None:
    """End the session's tmux and remove its files."""
    with contextlib.suppress(Refusal):
        double.tmux(session, "kill-server")
    double.path(session, "port").unlink(missing_ok=True)
    until = time.monotonic() + 2
    while double.lives(session) and time.monotonic() < until:
        time.sleep(0.005)
    double.forget(session)


def kill_server(double: Double, words: Words) -> None:
    """End every session, as far as the profile goes."""
    for session in double.sessions():
        if double.shows("kill-server") or "__" not in session:
            end_session(double, session)


def has_session(double: Double, words: Words) -> None:
    """Whether the session answers."""
    session, _ = double.target(words.flags.get("t"))
    double.tmux(session, "display-message", "-p", "#{pid}")


def client_operation(double: Double, words: Words) -> None:
    """Something with a client, of which there is none: nothing is done, and nobody is told."""
    session, _ = double.target(words.flags.get("s"))
    if not double.shows("client-operations"):
        raise Refusal(f"no client is attached to {session}")


def attach_session(double: Double, words: Words) -> None:
    """Become the client of the real tmux."""
    session, target = double.target(words.flags.get("t"))
    tmux = shutil.which("tmux", path=double.environment.get("PATH")) or "tmux"
    attach = ["-u", "-S", str(double.path(session, "sock")), "attach-session", "-t", target]
    os.execve(tmux, [tmux, *attach], {k: v for k, v in double.environment.items() if k != "TMUX"})


COMMANDS: dict[str, Callable[[Double, Words], None]] = {
    "new-session": new_session,
    "new-window": new_window,
    "list-windows": listing,
    "list-panes": listing,
    "list-sessions": list_sessions,
    "display-message": display_message,
    "set-option": set_option,
    "show-options": show_options,
    "send-keys": send_keys,
    "load-buffer": load_buffer,
    "paste-buffer": paste_buffer,
    "pipe-pane": pipe_pane,
    "kill-window": kill_window,
    "select-window": select_window,
    "kill-session": kill_session,
    "kill-server": kill_server,
    "has-session": has_session,
    "switch-client": client_operation,
    "detach-client": client_operation,
    "attach-session": attach_session,
}


# Faults.


def misbehave(double: Double, fault: dict[str, Any], words: Words) -> None:
    """Carry out the command as the fault says; ends by returning (nothing was said) or by a refusal."""
    does = fault["does"]
    if fault.get("after") or does == "no-id":
        with contextlib.redirect_stdout(io.StringIO()):
            COMMANDS[words.verb](double, words)
    if does == "hang":
        while not double.shows("stall"):
            signal.pause()
    elif does == "text":
        raise Refusal(str(fault["text"]))
    elif does == "no-id":
        say("")
    elif does == "no-port":
        session = double.named((words.flags.get("t") or words.flags.get("s", "")).partition(":")[0])
        double.lose_port(session, float(fault.get("seconds", 5)))
        raise Refusal(f"no server running on session '{session}'")
    elif does == "no-connect":
        if words.verb == "has-session" and double.shows("has-session-deletes"):
            double.lose_port(double.named(words.flags.get("t", "")), float(fault.get("seconds", 5)))
        raise Refusal("connection timed out")
    elif does == "late":
        come_later(double, float(fault.get("seconds", 1)), words)
        raise Refusal(f"failed to create session '{words.flags.get('s', '0')}'")
    elif does != "empty":
        raise Refusal(f"the double knows no fault {does}", 2)


def come_later(double: Double, seconds: float, words: Words) -> None:
    """Make the session after a while, in a process that nobody waits for."""
    if not double.shows("late-session"):
        return
    if os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        time.sleep(seconds)
        with contextlib.suppress(Refusal, Duplicate, OSError):
            make_session(double, words.flags.get("s", "0"), words)
        os._exit(0)


# The program.


def verb_and_words(argv: list[str]) -> tuple[str, list[str]]:
    """The verb, and its words; a target before the verb belongs to it."""
    routed: list[str] = []
    while argv and argv[0] == "-t":
        routed, argv = argv[:2], argv[2:]
    verb = argv[0] if argv else "new-session"
    if verb not in COMMANDS:
        raise Refusal(f"unknown command: {verb}")
    if ";" in argv:
        raise Refusal("the double takes one command at a time", 2)
    return verb, [*routed, *argv[1:]]


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Let a refusal end the program as psmux would."""
    try:
        yield
    except Duplicate as duplicate:
        sys.stderr.write(f"psmux: duplicate session: {duplicate}\n")
        raise SystemExit(1) from None
    except Refusal as refusal:
        sys.stdout.flush()
        if refusal.line:
            sys.stderr.write(f"psmux: {refusal.line}\n")
        raise SystemExit(refusal.status) from None


def data_directory(environment: dict[str, str]) -> Path:
    """PSMUX_DATA_DIR, or the panic of a psmux that has none it can use."""
    given = environment.get("PSMUX_DATA_DIR", "")
    if not os.path.isabs(given) or not os.path.isdir(given):
        sys.stderr.write("thread 'main' panicked at src/paths.rs:\n")
        raise Refusal("PSMUX_DATA_DIR must be an absolute path of a directory that exists", 101)
    return Path(given)


def show_version(environment: dict[str, str]) -> None:
    """The lines of `-V`; they can be had without a data directory."""
    data = data_directory(environment) if "PSMUX_DATA_DIR" in environment else Path("/nonexistent")
    double = Double(data, environment)
    version = VERSIONS[double.profile]
    say(f"tmux {version} {NOTE}")
    if double.shows("version-lines"):
        say(f"psmux {version} {NOTE}")


def main(argv: list[str]) -> int:
    """Run one client."""
    environment = dict(os.environ)
    with told():
        if argv == ["-V"]:
            show_version(environment)
            return 0
        double = Double(data_directory(environment), environment)
        verb, rest = verb_and_words(argv)
        words = Words(verb, rest)
        double.tidy()
        fault = double.next_fault(verb)
        if fault is not None:
            misbehave(double, fault, words)
        else:
            COMMANDS[verb](double, words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
