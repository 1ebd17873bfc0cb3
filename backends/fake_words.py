"""How tmux reads words: its argv, the flags of its commands, and the lines of `source-file`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Flags", "Refused", "read_flags", "read_script", "split_commands"]


class Refused(Exception):
    """The server says no: one line on stderr, status 1, and the commands after it are not run."""


@dataclass(frozen=True, slots=True)
class Flags:
    """One command, read: the values of its flags in order (`""` for a flag without one), and what is left."""

    verb: str
    given: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def __contains__(self, flag: str) -> bool:
        return flag in self.given

    def value(self, flag: str) -> str | None:
        """The last value of `flag`; `None` if it was not given, or without one."""
        return self.given[flag][-1] if self.given.get(flag) else None

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
            values = flags.given.setdefault(letter, [])
            attached = word[position + 1 :]
            # At the end of a command, a flag without its value counts as given.
            if attached or rest:
                values.append(attached or rest.pop(0))
            break
    flags.rest.extend(rest)
    return flags


def read_script(text: str) -> list[tuple[int, list[list[str]]]]:
    """The commands of each line of a script, with the number of the line that they begin on.

    Quotes reach over line ends, which are then not counted, and an open one to the end of the text.
    """
    found: list[tuple[int, list[list[str]]]] = []
    commands: list[list[str]] = [[]]
    number = 1
    for kind, word in _script_words(text):
        if kind == "word":
            commands[-1].append(word)
        elif kind == ";":
            commands.append([])
        else:
            found.append((number, [command for command in commands if command]))
            commands, number = [[]], number + 1
    return [(number, commands) for number, commands in found if commands]


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b"}


def _script_words(text: str) -> Iterator[tuple[str, str]]:
    """Words, and the ends of commands (`;`) and of lines."""
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
        elif text[at] == "#":
            at = _end_of_line(text, at)
        elif text[at] in ";\n":
            at += 1
            yield text[at - 1], ""
        else:
            word, at = _script_word(text, at)
            yield "word", word
    yield "\n", ""


def _end_of_line(text: str, start: int) -> int:
    found = text.find("\n", start)
    return len(text) if found < 0 else found


def _script_word(text: str, at: int) -> tuple[str, int]:
    """The word that begins at `at`, unquoted, and where it ends."""
    found = []
    quote = ""
    while at < len(text) and (quote or text[at] not in " \t;\n"):
        character = text[at]
        at += 1
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == "\\" and quote != "'" and at < len(text):
            octal = text[at : at + 3]
            if len(octal) == 3 and all(digit in "01234567" for digit in octal):
                found.append(bytes([int(octal, 8) & 0xFF]).decode("utf-8", "surrogateescape"))
                at += 3
            else:
                found.append(_ESCAPES.get(text[at], text[at]))
                at += 1
        else:
            found.append(character)
            while character == "\n" and at < len(text) and text[at] in " \t":
                at += 1
    return "".join(found), at
