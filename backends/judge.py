"""What a client's end means: the table between exit status and stderr on one side, and knowledge on the other.

Only what the table names is knowledge; everything else is *unknown*. The texts were measured on ten builds from 3.0a to
master (tmux-versions.md).
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from backends.processes import Completed
from backends.transport import decode

__all__ = ["RULES", "Meaning", "Rule", "Verdict", "judge"]


class Meaning(Enum):
    """What is known after a client ended."""

    ANSWERED = "answered"
    """Status 0 and no complaint; whether the payload is there is for the question's parser to see."""
    ABSENT = "absent"
    """This server says that the target asked about does not exist."""
    NO_SERVER = "no server"
    """Nobody listens at the socket, or the server has no session: proves something only if its process is gone."""
    NO_SOCKET = "no socket"
    """There is no socket: never started, or unlinked under a living server."""
    REFUSED = "refused"
    """The command was understood and not done."""
    UNAVAILABLE = "unavailable"
    """The question did not reach a server that would answer it."""
    GARBLED = "garbled"
    """Something came back that answers nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line on stderr, with status 1 and an empty stdout, and what it means; `advice` says what to do about it."""

    pattern: re.Pattern[str]
    meaning: Meaning
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a client's end means, in one word and one sentence; `line` is what it wrote on stderr."""

    meaning: Meaning
    why: str
    line: str = ""
    text: str = ""


def _rule(meaning: Meaning, *lines: str, advice: str = "") -> Rule:
    return Rule(re.compile("|".join(f"(?:{line})" for line in lines)), meaning, advice)


_UPGRADED = "tmux was upgraded under its running server: end that server with the old binary, or put the old one back"

RULES: tuple[Rule, ...] = (
    _rule(Meaning.NO_SERVER, r"no server running on (?P<socket>.+)", r"no current target"),
    _rule(Meaning.NO_SOCKET, r"error connecting to (?P<socket>.+) \(No such file or directory\)"),
    _rule(Meaning.UNAVAILABLE, r"protocol version mismatch.*", r"server version is too old.*", advice=_UPGRADED),
    _rule(
        Meaning.UNAVAILABLE,
        r"server exited unexpectedly",
        r"lost server",
        r"access not allowed",
        r"error (?:connecting to|creating) .+",
        r"couldn't create directory .+",
        r"directory .+ has unsafe permissions",
        r".*fork (?:failed|error): .+",
        r"failed to run command: .+",
        r"open terminal failed: .+",
    ),
    _rule(
        Meaning.REFUSED,
        r"duplicate session: .+",
        r"(?:bad|invalid) (?:session|window)(?: name)?: .*",
        r"(?:invalid|unknown|ambiguous) (?:option|value|command|key): .+",
        r"(?:bad|not a valid) .+",
        r"value is (?:too small|too large|invalid): .+",
        r"already set: .+",
        r"command [a-z-]+: .+",
        r"command too long",
        r"failed to send command",
        r"no buffer .+",
        r"unknown buffer: .+",
        r"no current client",
        r"can't find client: .+",
        r"can't find (?:last|next|previous) (?:session|window)",
        r"target pane has exited",
        r"create (?:window|session|pane) failed: (?!fork).+",
        r"size or position .+",
        r"no space for new pane",
        r"(?:width|height) (?:too small|too large|invalid)",
        r"sessions should be nested with care.*",
    ),
)
"""The first rule whose pattern is the whole line counts; a line that no rule knows is *unknown*.

`no server running` and `error connecting` count only for the socket that was asked. Refusals are an allow-list too: a
line that is not known to mean "not done" must not be taken for it.
"""


def judge(completed: Completed, socket: str, absence: Set[str] = frozenset()) -> Verdict:
    """What `completed` means, for a client of the server at `socket`.

    `absence` are the exact lines that say that the target asked about does not exist.
    """
    out, err = decode(completed.stdout), _strictly(completed.stderr)
    if out is None or err is None:
        return Verdict(Meaning.GARBLED, "output is missing or not UTF-8")
    status = completed.status
    if status == 0:
        return Verdict(Meaning.ANSWERED, "", text=out) if err == "" else _complaining(err)
    if status < 0:
        return Verdict(Meaning.UNAVAILABLE, f"the client died of signal {-status}", _first(err))
    if status != 1:
        return Verdict(Meaning.UNAVAILABLE, f"the client ended with status {status}", _first(err))
    if out or not err.endswith("\n") or err.count("\n") != 1:
        return Verdict(Meaning.GARBLED, "status 1 without exactly one line on stderr alone", _first(err))
    return _by_line(err[:-1], socket, absence)


def _by_line(line: str, socket: str, absence: Set[str]) -> Verdict:
    if line in absence:
        return Verdict(Meaning.ABSENT, line, line)
    for rule in RULES:
        found = rule.pattern.fullmatch(line)
        if found:
            named = found.groupdict().get("socket")
            if named not in (None, socket):
                return Verdict(Meaning.GARBLED, f"an answer about another socket: {line}", line)
            return Verdict(rule.meaning, f"{line} ({rule.advice})" if rule.advice else line, line)
    return Verdict(Meaning.UNAVAILABLE, f"not a known answer: {line}", line)


def _complaining(err: str) -> Verdict:
    return Verdict(Meaning.UNAVAILABLE, f"status 0 with a complaint: {_first(err)}", _first(err))


def _strictly(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _first(err: str) -> str:
    return err.split("\n", 1)[0]
