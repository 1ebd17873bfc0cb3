"""The language of psmux: its targets, options and answers, and the PowerShell that its windows run.

Everything here is pure. Commands of psmux are parsed twice before PowerShell reads them, so nothing but a word of base64
gets through whole: a window runs one of two fixed scripts, and what it is about stands in a file that the script takes.
"""

from __future__ import annotations

import base64
import ntpath
import os
import posixpath
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from backends.errors import CommandRejected
from backends.judge import Meaning, Rule, Verdict
from backends.operations import check_name
from backends.processes import Completed
from backends.transport import decode
from backends.words import Words

__all__ = [
    "ATTACH",
    "FLOOR",
    "LAUNCH",
    "SEPARATOR",
    "SINK",
    "attach_script",
    "decoded_value",
    "encoded_value",
    "fold",
    "judge_psmux",
    "launch_lines",
    "launch_script",
    "parse_version",
    "powershell",
    "quoted",
    "same_session",
    "session_gone",
    "sink_script",
    "split_psmux_target",
    "window_gone",
    "window_key",
]

FLOOR = (3, 3, 8)
"""The oldest version that is used: before it, commands that found nothing acted on the active window."""

SEPARATOR = "|:|"
"""Stands between the values of a listing: a TAB might not survive the two parsers."""

_VERSION = re.compile(r"psmux (\d{1,4})\.(\d{1,4})\.(\d{1,4})\b")
_NATIVE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63}):(@\d+)\Z")
_SYMBOLIC = re.compile(r"=([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?::([A-Za-z0-9][A-Za-z0-9_-]{0,63})?)?\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_/.@=:%+][A-Za-z0-9_/.@=:%+-]{0,500}\Z")
_ENCODED = "b64:"
_QUOTES = "'\u2018\u2019\u201a\u201b"
"""Every one of them ends a quoted word of PowerShell."""


# Targets and names.


def fold(name: str) -> str:
    """The form in which two names of one session are equal: they are file names, and upper and lower case are one."""
    return name.casefold()


def same_session(one: str, other: str) -> bool:
    """Whether two names are of one session."""
    return fold(one) == fold(other)


def split_psmux_target(target: str) -> tuple[str, str | None]:
    """A target as (session, None), (session, `@N`) or (session, window name).

    Raises `CommandRejected` for what neither `target()` nor this backend has made: a bare id would go to the session that
    was used last.
    """
    native = _NATIVE.match(target)
    if native:
        return native[1], native[2]
    if re.fullmatch(r"[@%$]\d+", target):
        raise CommandRejected("target refused: every session has such an id; name one as session:@N")
    symbolic = _SYMBOLIC.match(target)
    if symbolic is None:
        raise CommandRejected("target refused: neither session:@N nor made by target()", invalid_argument=True)
    return symbolic[1], symbolic[2]


# Options.


def window_key(option: str, window: str) -> str:
    """The session's key that `option` of `window` (`@N`) is kept under. Raises `CommandRejected` for no user option."""
    if not option.startswith("@"):
        raise CommandRejected("psmux keeps no options of a window: only names that begin with @ can be kept for one")
    return f"{option}-w{window[1:]}"


def encoded_value(value: str) -> str:
    """`value` as a word that both parsers leave alone and that does not look like a flag."""
    if _PLAIN.match(value) and not value.startswith(_ENCODED):
        return value
    return _ENCODED + base64.b64encode(value.encode("utf-8")).decode("ascii")


def decoded_value(word: str) -> str:
    """What `encoded_value` was given; a word that somebody else has set stands for itself."""
    if not word.startswith(_ENCODED):
        return word
    try:
        return base64.b64decode(word[len(_ENCODED) :], validate=True).decode("utf-8")
    except ValueError:
        return word


# Answers.


def session_gone(session: str) -> frozenset[str]:
    """The lines, folded, that say that there is no such session."""
    name = fold(session)
    return frozenset(
        {
            f"no server running on session '{name}'",
            f"can't find session: {name}",
            f"can't find session '{name}'",
            "can't find session",
            f"no session '{name}'",
        }
    )


def window_gone(window: str) -> frozenset[str]:
    """The lines, folded, that say that the session has no such window (`@N`) or pane (`%N`)."""
    return frozenset({f"can't find {'window' if window.startswith('@') else 'pane'}: {window}"})


def _rule(meaning: Meaning, *lines: str, advice: str = "") -> Rule:
    return Rule(re.compile("|".join(f"(?:{line})" for line in lines)), meaning, advice)


_RULES = (
    _rule(
        Meaning.UNAVAILABLE,
        r"sessions should be nested with care.*",
        advice="nothing was created: PSMUX_ALLOW_NESTING=1 is missing in the client's environment",
    ),
    _rule(Meaning.UNAVAILABLE, r".*PSMUX_DATA_DIR.*", advice="PSMUX_DATA_DIR must be absolute and exist"),
    _rule(
        Meaning.REFUSED,
        r"duplicate session: .+",
        r"(?:invalid|unknown|ambiguous|empty) .+",
        r"no buffer .+",
        r"can't find (?:window|pane): .+",
    ),
)
"""What is known beside absence. The first whose pattern is the whole line counts; a line that no rule knows is *unknown*."""

_PREFIX = re.compile(r"(?:psmux: |ERROR: |error: )*")


def judge_psmux(completed: Completed, absence: Set[str] = frozenset()) -> Verdict:
    """What the end of a client of psmux means; `absence` are the folded lines that prove what was asked about absent."""
    out, err = decode(completed.stdout), decode(completed.stderr)
    if out is None or err is None:
        return Verdict(Meaning.GARBLED, "output is missing")
    out, err = out.replace("\r\n", "\n"), err.replace("\r\n", "\n")
    if not _is_utf8(completed.stderr):
        return Verdict(Meaning.GARBLED, "what stands on stderr is not UTF-8")
    first = _PREFIX.sub("", err.split("\n", 1)[0], count=1)
    if completed.status == 0 and not err:
        if out.startswith("ERROR: "):
            return _by_line(_PREFIX.sub("", out.split("\n", 1)[0], count=1), absence)
        return Verdict(Meaning.ANSWERED, "", text=out)
    if completed.status < 0:
        return Verdict(Meaning.UNAVAILABLE, f"the client died of signal {-completed.status}", first)
    if completed.status == 0:
        known = _by_line(first, frozenset())
        return replace(known, meaning=Meaning.UNAVAILABLE, why=f"status 0 with a complaint: {known.why}")
    if completed.status != 1:
        known = _by_line(first, frozenset())
        return replace(known, meaning=Meaning.UNAVAILABLE, why=f"the client ended with {completed.status}: {known.why}")
    if out or not err.endswith("\n") or err.count("\n") != 1:
        return Verdict(Meaning.GARBLED, "status 1 without exactly one line on stderr alone", first)
    return _by_line(first, absence)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _by_line(line: str, absence: Set[str]) -> Verdict:
    if fold(line) in absence:
        return Verdict(Meaning.ABSENT, line, line)
    for rule in _RULES:
        if rule.pattern.fullmatch(line):
            return Verdict(rule.meaning, f"{line} ({rule.advice})" if rule.advice else line, line)
    return Verdict(Meaning.UNAVAILABLE, f"not a known answer: {line}", line)


def parse_version(text: str) -> tuple[int, int, int] | None:
    """(3, 3, 8) of the line of `psmux -V` that names psmux; `None` if none does, as before 3.3.7 and in tmux."""
    for line in text.split("\n"):
        if found := _VERSION.match(line):
            return int(found[1]), int(found[2]), int(found[3])
    return None


# PowerShell.


def quoted(text: str) -> str:
    """`text` as a word of PowerShell that nothing is expanded in."""
    return "'" + "".join(character * 2 if character in _QUOTES else character for character in text) + "'"


def powershell(script: str, pwsh: str = "pwsh") -> Words:
    """The argv that runs `script`: the one form that both parsers leave whole."""
    encoded = base64.b64encode(script.encode("utf-16-le")).decode("ascii")
    return (pwsh, "-NoProfile", "-EncodedCommand", encoded)


LAUNCH = """\
# seamripper launch 1
$launch = {}
$ErrorActionPreference = 'Stop'
$PSNativeCommandArgumentPassing = 'Standard'
$taken = $launch + '.taken'
try { [IO.File]::Move($launch, $taken) } catch { exit 125 }
$lines = [IO.File]::ReadAllLines($taken)
[IO.File]::Delete($taken)
$text = { param($word) [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($word)) }
$words = [Collections.Generic.List[string]]::new()
$cwd = $null; $exits = $null; $park = $null
foreach ($line in $lines) {
  $kind, $name, $value = $line -split ' ', 3
  switch -CaseSensitive ($kind) {
    'cwd' { $cwd = & $text $name }
    'exits' { $exits = & $text $name }
    'park' { $park = @($name, $value) }
    'arg' { $words.Add((& $text $name)) }
    'env' { [Environment]::SetEnvironmentVariable($name, (& $text $value)) }
  }
}
$code = 126
try {
  Set-Location -LiteralPath $cwd
  $code = 127
  $program = $words[0]
  $rest = $words.GetRange(1, $words.Count - 1).ToArray()
  & $program @rest
  $code = $LASTEXITCODE
} catch { [Console]::Error.WriteLine($_) }
if ($env:TMUX_PANE -match '^%[0-9]+$') {
  $exit = $exits + $env:TMUX_PANE.Substring(1) + '.exit'
  [IO.File]::WriteAllText($exit + '.new', "$code`n")
  [IO.File]::Move($exit + '.new', $exit, $true)
}
if ($park) {
  [Console]::Out.WriteLine("`n[ended with status $code`: press a key]")
  [void][Console]::ReadKey($true)
  $pane = $park[0] + ':' + $env:TMUX_PANE
  $window = & psmux display-message -p -t $pane '#{window_id}'
  $back = & psmux show-options -q -v -t $park[0] ($park[1] + '-w' + $window.Substring(1))
  if ($back) { & psmux switch-client -t $back }
}
exit $code
"""
"""What every window runs: it takes the file of its launch, deletes it, becomes what the file says, and writes its status.

Whoever comes second finds no file and ends with 125; what cannot be entered ends with 126, what cannot be run with 127.
"""

SINK = """\
# seamripper sink 1
$log = {}
$from = [Console]::OpenStandardInput()
$to = [IO.File]::Open($log, 'Append', 'Write', 'ReadWrite')
$buffer = [byte[]]::new(65536)
while (($count = $from.Read($buffer, 0, $buffer.Length)) -gt 0) { $to.Write($buffer, 0, $count); $to.Flush() }
$to.Close()
"""
"""What `pipe-pane` runs: copies bytes, and leaves none of them in a buffer."""

ATTACH = """\
# seamripper attach 1
$env:PSMUX_DATA_DIR = {}
& psmux attach-session -t {}
exit $LASTEXITCODE
"""
"""What attaches a terminal to a session of the private directory."""


def launch_script(launch_file: str) -> str:
    """The script of a window whose launch is in `launch_file`."""
    return _filled(LAUNCH, launch_file)


def sink_script(log_file: str) -> str:
    """The script that appends its input to `log_file`."""
    return _filled(SINK, log_file)


def attach_script(data_dir: str, target: str) -> str:
    """The script that attaches to `target` of the servers below `data_dir`."""
    return _filled(ATTACH, data_dir, target)


def _filled(script: str, *values: str) -> str:
    parts = script.split(" {}\n")
    return "".join(f"{part} {quoted(value)}\n" for part, value in zip(parts, values, strict=False)) + parts[-1]


def launch_lines(
    cwd: str | os.PathLike[str],
    argv: Sequence[str],
    env: Mapping[str, str],
    exits: str,
    park: tuple[str, str] | None = None,
) -> bytes:
    """The file of a launch, for `launch_script`.

    `exits` is the beginning of the path that the exit status is written to; `park` is the session and the option of a
    window that waits for a key after `argv` has ended. Raises `CommandRejected` for a variable that is no name.
    """
    lines = [f"cwd {_word(_absolute(os.fspath(cwd)))}", f"exits {_word(exits)}"]
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise CommandRejected("variable name must be letters, digits and _", invalid_argument=True)
        lines.append(f"env {name} {_word(value)}")
    lines += [f"arg {_word(word)}" for word in argv]
    if park is not None:
        lines.append(f"park {check_name(park[0])} {park[1]}")
    return ("\n".join(lines) + "\n").encode("ascii")


def _absolute(path: str) -> str:
    return path if posixpath.isabs(path) or ntpath.isabs(path) else os.path.abspath(path)


def _word(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
