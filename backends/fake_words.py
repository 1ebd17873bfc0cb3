"""How tmux reads words: its argv, the flags of its commands, and the lines of `source-file`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Flags", "Refused", "ScriptError", "read_flags", "read_script", "split_commands"]


class Refused(Exception):
    """The server says no: one line on stderr, status 1, and the commands after it are not run."""


class ScriptError(Exception):
    """Line `number` of a script cannot be read, for the reason `text`."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.text = text


@dataclass(frozen=True, slots=True)
class Flags:
    """One command, read: the values of its flags in order (`""` for a flag without one), and what is left."""

    verb: str
    given: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def __contains__(self, flag: str) -> bool:
        return flag in self.given

    def value(self, flag: str) -> str | None:
        """The last value of `flag`; `None` if it was not given."""
        return self.given[flag][-1] if flag in self.given else None

    def values(self, flag: str) -> list[str]:
        """All values of `flag`."""
        return self.given.get(flag, [])


def split_commands(words: Sequence[str]) -> list[list[str]]:
    """The commands of an argv: a word that ends in `;` ends its command, unless a backslash stands before that."""
    commands: list[list[str]] = [[]]
    for word in words:
        if word.endswith("\\;"):
            commands[-1].append(word[:-2] + ";")
        elif word.endswith(";"):
            if word != ";":
                commands[-1].append(word[:-1])
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def read_flags(words: Sequence[str], template: str) -> Flags:
    """Read one command by its getopt `template` (a letter a flag, `:` after those that take a value)."""
    verb, rest = words[0], list(words[1:])
    flags = Flags(verb)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        for position, letter in enumerate(word[1:], 1):
            place = template.find(letter)
            if place < 0 or letter == ":":
                raise Refused(f"command {verb}: unknown flag -{letter}")
            if not template.startswith(":", place + 1):
                flags.given.setdefault(letter, []).append("")
                continue
            attached = word[position + 1 :]
            if not attached and not rest:
                raise Refused(f"command {verb}: -{letter} expects an argument")
            flags.given.setdefault(letter, []).append(attached or rest.pop(0))
            break
    flags.rest.extend(rest)
    return flags


def read_script(text: str) -> list[tuple[int, list[list[str]]]]:
    """The commands of each line of a script, with the line's number; raises `ScriptError` where it cannot be read."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        commands: list[list[str]] = [[]]
        for kind, word in _script_words(line, number):
            if kind == "end":
                commands.append([])
            else:
                commands[-1].append(word)
        commands = [command for command in commands if command]
        if commands:
            found.append((number, commands))
    return found


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b"}


def _script_words(line: str, number: int) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(line):
        if line[at] in " \t":
            at += 1
        elif line[at] == "#":
            return
        elif line[at] == ";":
            yield "end", ""
            at += 1
        else:
            word, at = _script_word(line, at, number)
            yield "word", word


def _script_word(line: str, at: int, number: int) -> tuple[str, int]:
    """The word that begins at `at`, unquoted, and where it ends."""
    found = []
    quote = ""
    while at < len(line) and (quote or line[at] not in " \t;"):
        character = line[at]
        at += 1
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == "\\" and quote != "'" and at < len(line):
            octal = line[at : at + 3]
            if len(octal) == 3 and all(digit in "01234567" for digit in octal):
                found.append(chr(int(octal, 8)))
                at += 3
            else:
                found.append(_ESCAPES.get(line[at], line[at]))
                at += 1
        else:
            found.append(character)
    if quote:
        raise ScriptError(number, "syntax error")
    return "".join(found), at
