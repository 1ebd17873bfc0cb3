"""Words of the tmux command language: quoting, escaping, exact targets, and the shell lines that windows run.

Everything here is pure. Four readers stand between a value and where it arrives, and each has its own escape: tmux's
argv reader cuts a word at a final `;`, its script reader (`source-file -`) has quotes and `$`, its formats expand `#`,
and `/bin/sh` reads the command line of a window.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from backends.errors import CommandRejected

__all__ = [
    "ALTERING",
    "EXIT_OPTION",
    "NOT_IN_TIME",
    "NOT_READY",
    "NOW_OPTION",
    "Words",
    "absence_lines",
    "chain",
    "escape_format",
    "exact",
    "fenced",
    "log_sink",
    "parked",
    "run_in",
    "script_line",
    "split_target",
    "value_as_set",
]

Words = tuple[str, ...]
"""One command: its verb, its flags, its arguments."""

EXIT_OPTION = "@seamripper_exit"
"""The window option in which a parked window stores the exit status of its argv."""

NOW_OPTION = "@seamripper_now"
"""The global option from which `fenced` learns the server's own time; its value is `%s`, which `T:` expands."""

NOT_IN_TIME = "FENCED late\n"
"""What `fenced` writes where it came too late, or to another server."""
NOT_READY = "FENCED unset\n"
"""What `fenced` writes in a server that could not tell its time; from then on it can."""

CANNOT_ENTER = 126
"""Exit status of a window whose directory cannot be entered."""

ALTERING = frozenset({"3.4"})
"""Versions that show a value otherwise than it was set; see `value_as_set`."""

_NATIVE = re.compile(r"[@%$]\d+\Z")
_SYMBOLIC = re.compile(r"=([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?::([A-Za-z0-9][A-Za-z0-9_-]{0,63})?)?\Z")
_ADDED_BACKSLASH = re.compile(r"\\(\$[A-Za-z_{])")
_TO_ESCAPE = re.compile(r'[\\"$~\x00-\x1f\x7f\udc80-\udcff]')
_OCTALS = {code: f"\\{code & 0xFF:03o}" for code in (*range(0x20), 0x7F, *range(0xDC80, 0xDD00))}
_OVERWRITTEN = ("PATH", "SHELL")
"""Variables that tmux sets itself in a new window, whatever `new-window -e` says (measured on 3.3a)."""


def chain(*commands: Sequence[str]) -> Words:
    """Several commands as the argv of one client; a final `;` of a word is escaped so that it does not end its command."""
    words: list[str] = []
    for command in commands:
        if words:
            words.append(";")
        words += [word[:-1] + "\\;" if word[-1:] == ";" else word for word in command]
    return tuple(words)


def escape_format(text: str) -> str:
    """`text` as it must be given where tmux expands formats (`-c`, `-n`, `-s`, commands of `pipe-pane`)."""
    return text.replace("#", "##")


def script_line(command: Sequence[str]) -> bytes:
    """One command as a line for `source-file -`; every word is quoted, control characters and bytes that are not UTF-8 escaped.

    An unescaped newline inside quotes would swallow the blanks after it, and an unescaped `~` in front becomes a directory.
    """
    return f"{_script([command])}\n".encode()


def fenced(
    *commands: Sequence[str],
    deadline: int,
    server: tuple[int, int] | None = None,
    otherwise: Sequence[Sequence[str]] = (),
    pane: tuple[str, str] | None = None,
) -> Words:
    """One command that runs `commands` if the server comes to it before `deadline`, and runs nothing of them after that.

    `deadline` is in whole seconds since the epoch, by the server's clock; `server` is pid and start time of the one server
    that may run them, and `pane` a pane and the window in which its process has to run. Where they are not run `otherwise` is,
    and `NOT_IN_TIME` or `NOT_READY` is written; the status is 0 either way. In a server that was not told how to read its
    clock nothing is run (tmux-versions.md, section 4: the same from 3.0a to master).
    """
    late = f"{_LATE} ; {_script(otherwise)}" if otherwise else _LATE
    there = () if pane is None else ("-t", pane[0])
    return ("if-shell", "-F", *there, _condition(deadline, server, pane and pane[1]), _script(commands), late)


@lru_cache(maxsize=64)
def _condition(deadline: int, server: tuple[int, int] | None, window: str | None) -> str:
    """The format that is 1 before `deadline`, in that server, for a pane of that window whose process runs, and 0 otherwise.

    Texts are compared: `x` comes behind every digit, so that where there is no time the answer is no.
    """
    before = f"#{{<:#{{T:{NOW_OPTION}}}x,{deadline}}}"
    told, due = before, "1"
    if window is not None:
        told, due = f"{told}/#{{window_id}}/#{{pane_dead}}", f"{due}/{window}/0"
    if server is not None:
        told, due = f"#{{pid}}/#{{start_time}}/{told}", f"{server[0]}/{server[1]}/{due}"
    return before if told == before else f"#{{==:{told},{due}}}"


def _script(commands: Iterable[Sequence[str]]) -> str:
    return " ; ".join([_script_command(command) for command in commands])


def _script_command(command: Sequence[str]) -> str:
    # Most have nothing to escape, which one look at all of them tells.
    words = [_escaped(word) for word in command] if _TO_ESCAPE.search("".join(command)) else command
    return '"' + '" "'.join(words) + '"'


def _escaped(word: str) -> str:
    if not _TO_ESCAPE.search(word):
        return word
    # The backslash comes first: it is what the others get.
    for special in '\\"$~':
        word = word.replace(special, f"\\{special}")
    return word if word.isprintable() else word.translate(_OCTALS)


_LATE = _script(
    [
        ("display-message", "-p", f"FENCED #{{?#{{{NOW_OPTION}}},late,unset}}"),
        ("set-option", "-g", NOW_OPTION, "%s"),
    ]
)


@lru_cache(maxsize=256)
def split_target(target: str) -> tuple[str, str | None]:
    """A target as (native id, None), (session, None) or (session, window name).

    Raises `CommandRejected` for anything that `target()` does not make and that is no native id: such a word could match
    another session by prefix.
    """
    if _NATIVE.match(target):
        return target, None
    symbolic = _SYMBOLIC.match(target)
    if symbolic is None:
        raise CommandRejected("target refused: neither a native id nor made by target()", invalid_argument=True)
    return symbolic[1], symbolic[2]


@lru_cache(maxsize=256)
def exact(target: str) -> str:
    """`target` as a word that tmux matches exactly."""
    name, window = split_target(target)
    if name == target:
        return target
    return f"={name}:" if window is None else f"={name}:={window}"


@lru_cache(maxsize=256)
def absence_lines(target: str) -> frozenset[str]:
    """The lines that prove `target` (a session's name or a native id) absent, when a healthy server wrote them.

    Source: tmux-versions.md, section 1; the same in ten versions from 3.0a to master.
    """
    if target.startswith("@"):
        return frozenset({f"can't find window: {target}", f"no such window: {target}"})
    if target.startswith("%"):
        return frozenset({f"can't find pane: {target}"})
    return frozenset({f"can't find session: {target}", f"no such session: ={target}:"})


def run_in(cwd: str | os.PathLike[str], command: str, env: Mapping[str, str] | None = None) -> str:
    """The shell line that enters `cwd`, or ends with status 126, and becomes `command`.

    tmux itself would run the command in another directory. The variables of `env` that tmux overwrites are set here; they
    are no secrets.
    """
    exports = [f"{name}={shlex.quote(env[name])}" for name in _OVERWRITTEN if env and name in env]
    setting = f"export {' '.join(exports)}; " if exports else ""
    return f"{setting}{_enter(cwd)}; exec {command}"


def parked(cwd: str | os.PathLike[str], argv: Iterable[str], client: Sequence[str], return_opt: str) -> str:
    """The shell line of a parked window; `client` is the argv prefix that reaches this server.

    The status of `argv` goes into `EXIT_OPTION`; then the line waits for a key, sends the attached client to where the
    window option `return_opt` points, if it is set, and ends with that status.
    """
    tmux = shlex.join(client)
    return "; ".join(
        [
            _enter(cwd),
            shlex.join(argv),
            "code=$?",
            f'{tmux} set-option -w -t "$TMUX_PANE" {EXIT_OPTION} "$code"',
            "printf '\\n[ended with status %s: press a key]\\n' \"$code\"",
            "stty -icanon -echo",
            "dd bs=1 count=1 >/dev/null 2>&1",
            f'back=$({tmux} show-options -wqv -t "$TMUX_PANE" {return_opt})',
            f'if [ -n "$back" ]; then {tmux} switch-client -t "$back"; fi',
            'exit "$code"',
        ]
    )


def value_as_set(shown: str, version: str) -> str:
    """The value that was set, of what a server of that version (`3.4`) writes when it is asked for it.

    3.4 alone puts a backslash before each `$` that begins a name (measured on ten builds; tmux-versions.md, section 3). 3.4 and
    3.5a write control bytes as octal escapes as well, which cannot be told from such text.
    """
    return _ADDED_BACKSLASH.sub(r"\1", shown) if version in ALTERING else shown


def log_sink(log_file: str | os.PathLike[str]) -> str:
    """The shell line for `pipe-pane` that appends to `log_file`; `pipe-pane` expands formats and `strftime`."""
    line = f"umask 077; exec cat >> {shlex.quote(os.path.abspath(log_file))}"
    return escape_format(line).replace("%", "%%")


def _enter(cwd: str | os.PathLike[str]) -> str:
    return f"cd -- {shlex.quote(os.path.abspath(cwd))} || exit {CANNOT_ENTER}"
