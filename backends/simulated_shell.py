"""A POSIX shell for simulated windows, as far as the command lines of a multiplexer backend and of small tests go.

It knows simple commands with quotes, variables, `$(...)`, assignments and output redirection; `;`, `&&`, `||` and `if`;
and the built-ins of `_BUILTINS`. Everything else is run as a child process. It has no globs, no loops, no pipes.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from backends.clock import VirtualClock
from backends.simulated_programs import NOWHERE, FakeProcess

__all__ = ["Shell", "ShellSyntaxError", "read_tokens", "redirected_to"]


class ShellSyntaxError(ValueError):
    """The line is nothing that this shell can read."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was written: literal text, variables and command substitutions, in order."""

    parts: tuple[tuple[str, str], ...]

    @property
    def plain(self) -> str | None:
        """The word, if it is literal text and nothing else."""
        return "".join(text for _, text in self.parts) if all(kind == "text" for kind, _ in self.parts) else None


Token = Word | str
"""A word, or an operator."""

_OPERATOR = re.compile(r"&&|\|\||[;&|()\n]|\d?(?:>>|>&|>|<)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[?$!#0-9]|\{[A-Za-z_][A-Za-z0-9_]*\}")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")


def read_tokens(source: str) -> list[Token]:
    """The words and operators of a shell line; raises `ShellSyntaxError` for a quote or parenthesis left open."""
    return list(_Tokens(source).read())


def redirected_to(source: str) -> str | None:
    """The file that the first `>` or `>>` of a line names literally."""
    tokens = read_tokens(source)
    for operator, word in pairwise(tokens):
        if operator in (">", ">>") and isinstance(word, Word):
            return word.plain
    return None


class _Tokens:
    """Reads one source from its beginning to its end."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def read(self) -> Iterator[Token]:
        source = self._source
        while self._at < len(source):
            operator = _OPERATOR.match(source, self._at)
            if source[self._at] in " \t":
                self._at += 1
            elif source[self._at] == "#":
                self._at = _find(source, "\n", self._at)
            elif operator:
                self._at = operator.end()
                yield operator[0]
            else:
                yield Word(tuple(self._word()))

    def _word(self) -> Iterator[tuple[str, str]]:
        source = self._source
        while self._at < len(source) and source[self._at] not in " \t\n;&|()<>":
            character = source[self._at]
            if character == "'":
                end = self._closing("'")
                yield "text", source[self._at + 1 : end]
                self._at = end + 1
            elif character == '"':
                self._at += 1
                yield from self._quoted()
            elif character == "$":
                yield self._dollar()
            else:
                escaped = character == "\\" and self._at + 1 < len(source)
                self._at += 1 + escaped
                yield "text", source[self._at - 1]

    def _quoted(self) -> Iterator[tuple[str, str]]:
        source = self._source
        yield "text", ""
        while True:
            if self._at >= len(source):
                raise ShellSyntaxError("unterminated quoted string")
            character = source[self._at]
            if character == '"':
                self._at += 1
                return
            if character == "$":
                yield self._dollar()
                continue
            escaped = character == "\\" and source[self._at + 1 : self._at + 2] in ("\\", '"', "$", "`")
            self._at += 1 + escaped
            yield "text", source[self._at - 1]

    def _dollar(self) -> tuple[str, str]:
        source = self._source
        self._at += 1
        if source.startswith("(", self._at):
            end = _matching(source, self._at)
            inner, self._at = source[self._at + 1 : end], end + 1
            return "command", inner
        name = _NAME.match(source, self._at)
        if name is None:
            return "text", "$"
        self._at = name.end()
        return "variable", name[0].strip("{}")

    def _closing(self, quote: str) -> int:
        end = self._source.find(quote, self._at + 1)
        if end < 0:
            raise ShellSyntaxError("unterminated quoted string")
        return end


def _find(source: str, what: str, start: int) -> int:
    found = source.find(what, start)
    return len(source) if found < 0 else found


def _matching(source: str, start: int) -> int:
    """Where the parenthesis at `start` is closed; quotes hide nothing, which is enough for what is written here."""
    depth = 0
    for position in range(start, len(source)):
        depth += {"(": 1, ")": -1}.get(source[position], 0)
        if depth == 0:
            return position
    raise ShellSyntaxError("unterminated command substitution")


@dataclass(slots=True)
class _Simple:
    """One command: words, and the file that its output goes to (`None`: the terminal)."""

    words: list[Word] = field(default_factory=list)
    output: Word | None = None
    anew: bool = False


@dataclass(slots=True)
class _Choice:
    """`if condition; then yes; else no; fi`."""

    condition: _Lines
    yes: _Lines
    no: _Lines


_Command = _Simple | _Choice
_Lines = list[tuple[str, _Command]]
"""Commands, each with the operator before it: `;`, `&&` or `||`."""


class _Parser:
    """Reads tokens into lines of commands."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def lines(self, *ends: str) -> _Lines:
        """Commands up to one of the reserved words `ends`, or to the end where there are none."""
        found: _Lines = []
        operator = ";"
        while True:
            token = self._peek()
            if token is None or _reserved(token) in ends:
                if token is None and ends:
                    raise ShellSyntaxError(f"end of line where {' or '.join(ends)} was due")
                return found
            if token in (";", "\n", "&&", "||"):
                self._at += 1
                operator = ";" if token == "\n" else str(token)
                continue
            found.append((operator, self._command()))
            operator = ";"

    def _command(self) -> _Command:
        token = self._peek()
        if token is not None and _reserved(token) == "if":
            self._at += 1
            return self._choice()
        if isinstance(token, str) and not _redirects(token):
            raise ShellSyntaxError(f"{token} is not known here")
        command = _Simple()
        while (token := self._peek()) is not None and (isinstance(token, Word) or _redirects(token)):
            self._at += 1
            if isinstance(token, Word):
                command.words.append(token)
            else:
                self._redirect(command, token)
        return command

    def _choice(self) -> _Choice:
        condition = self._up_to("then")
        yes = self.lines("else", "fi")
        no: _Lines = []
        token = self._peek()
        self._at += 1
        if token is not None and _reserved(token) == "else":
            no = self._up_to("fi")
        return _Choice(condition, yes, no)

    def _up_to(self, end: str) -> _Lines:
        found = self.lines(end)
        self._at += 1
        return found

    def _redirect(self, command: _Simple, operator: str) -> None:
        target = self._peek()
        if not isinstance(target, Word):
            raise ShellSyntaxError("a redirection without a file")
        self._at += 1
        if operator in (">", ">>", "1>", "1>>"):
            command.output, command.anew = target, not operator.endswith(">>")

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None


def _reserved(token: Token) -> str:
    return token.plain or "" if isinstance(token, Word) and len(token.parts) > 0 else ""


def _redirects(token: Token) -> bool:
    return isinstance(token, str) and (">" in token or "<" in token)


class _Key:
    """What the shell waits for when it waits for no child."""


_Wait = FakeProcess | _Key
_Steps = Generator[_Wait, None, int]
"""Runs until it needs something that takes time; ends with an exit status."""


class Shell:
    """The program `sh`: `sh -c LINE`, or typed lines one after the other."""

    def __init__(self, process: FakeProcess) -> None:
        self.process = process
        self.variables = dict(process.env)
        self.exported = set(process.env)
        self.status = 0
        self._steps: _Steps | None = None
        self._waits: _Wait | None = None
        self._typed: list[str] = []
        self._script = process.argv[2] if process.argv[1:2] == ("-c",) and len(process.argv) > 2 else None

    @property
    def clock(self) -> VirtualClock:
        """The time of the simulation."""
        return self.process.clock

    def start(self) -> None:
        """See `Program`."""
        if self._script is not None:
            self._run(self._script)

    def typed(self, text: str) -> None:
        """See `Program`; what runs in the foreground gets it first."""
        if isinstance(self._waits, FakeProcess):
            self._waits.type(text)
        elif isinstance(self._waits, _Key):
            self._go_on()
        elif self._script is None:
            self._typed.append(text)
            self._next_line()

    def signalled(self, signum: int) -> bool:
        """See `Program`; the shell itself handles none."""
        return False

    def _next_line(self) -> None:
        while self._typed and self._steps is None and self.process.alive:
            self._run(self._typed.pop(0))

    def _run(self, source: str) -> None:
        try:
            lines = _Parser(read_tokens(source)).lines()
        except ShellSyntaxError as wrong:
            self.process.print(f"sh: {wrong}\n")
            self._ended(2)
            return
        self._steps = self._lines(lines)
        self._go_on()

    def _go_on(self) -> None:
        """Run until something has to be waited for, or to the end of the line."""
        assert self._steps is not None
        self._waits = None
        try:
            self._waits = next(self._steps)
        except StopIteration as end:
            self._steps = None
            self._ended(end.value)

    def _ended(self, status: int) -> None:
        self.status = status
        if self._script is not None:
            self.process.exit(status)
        else:
            self._next_line()

    def _lines(self, lines: _Lines) -> _Steps:
        for operator, command in lines:
            if not self.process.alive:
                break
            if (operator == "&&" and self.status != 0) or (operator == "||" and self.status == 0):
                continue
            self.status = yield from self._command(command)
        return self.status

    def _command(self, command: _Command) -> _Steps:
        if isinstance(command, _Choice):
            yield from self._lines(command.condition)
            chosen = command.yes if self.status == 0 else command.no
            self.status = 0
            return (yield from self._lines(chosen))
        captured = bytearray()
        into: str | None = None
        if command.output is not None:
            into = yield from self._expanded(command.output)
        status = yield from self._simple(command, None if into is None else captured)
        if into is not None:
            self._write(into, bytes(captured), command.anew)
        return status

    def _simple(self, command: _Simple, captured: bytearray | None) -> _Steps:
        words = list(command.words)
        assigned: dict[str, str] = {}
        argv: list[str] = []
        for word in words:
            leading = _assignment(word) if not argv else None
            text = yield from self._expanded(word)
            if leading is None:
                argv.append(text)
            else:
                assigned[leading] = text[len(leading) + 1 :]
        if not argv:
            self.variables.update(assigned)
            return self.status if any(k == "command" for w in words for k, _ in w.parts) else 0
        builtin = _BUILTINS.get(argv[0])
        if builtin is not None:
            return (yield from builtin(self, argv[1:], captured))
        return (yield from self._child(argv, assigned, captured))

    def _child(self, argv: Sequence[str], assigned: dict[str, str], captured: bytearray | None) -> _Steps:
        env = {name: self.variables[name] for name in sorted(self.exported) if name in self.variables} | assigned
        take = None if captured is None else captured.extend
        child = self.process.run_child(argv, env, lambda _: self._child_ended(), take)
        yield child
        how = child.ended
        return 1 if how is None else 128 + how.signal if how.signal is not None else how.code or 0

    def _child_ended(self) -> None:
        if self.process.alive and isinstance(self._waits, FakeProcess) and not self._waits.alive:
            self._go_on()

    def _expanded(self, word: Word) -> Generator[_Wait, None, str]:
        found = []
        for kind, text in word.parts:
            if kind == "text":
                found.append(text)
            elif kind == "variable":
                found.append(self._variable(text))
            else:
                found.append((yield from self._substituted(text)))
        return "".join(found)

    def _substituted(self, source: str) -> Generator[_Wait, None, str]:
        captured = bytearray()
        for _, command in _Parser(read_tokens(source)).lines():
            if isinstance(command, _Simple):
                self.status = yield from self._simple(command, captured)
        return captured.decode("utf-8", "backslashreplace").rstrip("\n")

    def _variable(self, name: str) -> str:
        if name == "?":
            return str(self.status)
        return str(self.process.pid) if name == "$" else self.variables.get(name, "")

    def _write(self, path: str, data: bytes, anew: bool) -> None:
        disk = self.process.disk
        if path == NOWHERE:
            return
        try:
            if anew and disk.info(path) is not None:
                disk.truncate(path, 0)
            disk.append(path, data)
        except OSError as failure:
            self.process.print(f"sh: cannot create {path}: {failure.strerror}\n")

    def put(self, text: str, captured: bytearray | None) -> int:
        """Print, to the terminal or to where the output goes."""
        if captured is None:
            self.process.print(text)
        else:
            captured += text.encode("utf-8", "surrogateescape")
        return 0

    def ignore(self, names: Sequence[str]) -> None:
        """Let these signals, by name or number, do nothing."""
        self.process.ignored |= {_signal_number(name) for name in names}


def _assignment(word: Word) -> str | None:
    """The variable that `NAME=value` sets; `None` for any other word."""
    leading = ""
    for kind, text in word.parts:
        if kind != "text":
            break
        leading += text
    found = _ASSIGNMENT.match(leading)
    return found[1] if found else None


def _signal_number(name: str) -> int:
    if name.isdecimal():
        return int(name)
    return int(signal.Signals[name if name.startswith("SIG") else f"SIG{name}"])


def _unescaped(text: str) -> str:
    for written, meant in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\\\", "\\")):
        text = text.replace(written, meant)
    return text


def _printed(words: Sequence[str]) -> str:
    """What `printf` prints: the format as often as there are arguments for it."""
    form, rest = _unescaped(words[0]), list(words[1:])
    places = len(re.findall(r"%[sd]", form))
    printed = ""
    while True:
        printed += _filled(form, [*rest[:places], *[""] * places])
        rest = rest[places:]
        if not rest or not places:
            return printed


def _filled(form: str, arguments: Sequence[str]) -> str:
    following = iter(arguments)
    return re.sub(r"%[sd%]", lambda place: "%" if place[0] == "%%" else next(following), form)


def _true(words: Sequence[str]) -> bool:
    match [word for word in words if word != "]"]:
        case ["-n", text]:
            return text != ""
        case ["-z", text]:
            return text == ""
        case [one, "=", other]:
            return one == other
        case [one, "!=", other]:
            return one != other
        case [text]:
            return text != ""
    return False


def _quick(act: Callable[[Shell, list[str], bytearray | None], int]) -> _Builtin:
    """A built-in that takes no time."""

    def steps(shell: Shell, words: list[str], captured: bytearray | None) -> _Steps:
        yield from ()
        return act(shell, words, captured)

    return steps


def _cd(shell: Shell, words: list[str], _: bytearray | None) -> int:
    path = next((word for word in words if word != "--"), shell.variables.get("HOME", "/"))
    if shell.process.lacks_directory(path):
        shell.process.print(f"sh: cd: can't cd to {path}\n")
        return 2
    shell.process.cwd = path
    return 0


def _exit(shell: Shell, words: list[str], _: bytearray | None) -> int:
    status = int(words[0]) if words and words[0].isdecimal() else shell.status
    shell.process.exit(status)
    return status


def _export(shell: Shell, words: list[str], _: bytearray | None) -> int:
    for word in words:
        name, given, value = word.partition("=")
        shell.exported.add(name)
        if given:
            shell.variables[name] = value
    return 0


def _kill(shell: Shell, words: list[str], _: bytearray | None) -> int:
    signum = _signal_number(words[0][1:]) if words[0].startswith("-") else int(signal.SIGTERM)
    pids = [int(word) for word in words if word.isdecimal()]
    return 0 if all([shell.process.signal_pid(pid, signum) for pid in pids]) else 1


def _trap(shell: Shell, words: list[str], _: bytearray | None) -> int:
    if words and words[0] == "":
        shell.ignore(words[1:])
    return 0


def _exec(shell: Shell, words: list[str], _: bytearray | None) -> _Steps:
    if not words:
        return 0
    shell.process.env = {n: shell.variables[n] for n in sorted(shell.exported) if n in shell.variables}
    shell.process.become(words)
    yield _Key()
    return 0


def _key(shell: Shell, words: list[str], _: bytearray | None) -> _Steps:
    yield _Key()
    return 0


_Builtin = Callable[[Shell, list[str], bytearray | None], _Steps]

_BUILTINS: dict[str, _Builtin] = {
    ":": _quick(lambda shell, words, out: 0),
    "true": _quick(lambda shell, words, out: 0),
    "false": _quick(lambda shell, words, out: 1),
    "umask": _quick(lambda shell, words, out: 0),
    "stty": _quick(lambda shell, words, out: 0),
    "cd": _quick(_cd),
    "exit": _quick(_exit),
    "export": _quick(_export),
    "kill": _quick(_kill),
    "trap": _quick(_trap),
    "echo": _quick(lambda shell, words, out: shell.put(" ".join(words) + "\n", out)),
    "printf": _quick(lambda shell, words, out: shell.put(_printed(words), out)),
    "pwd": _quick(lambda shell, words, out: shell.put(shell.process.cwd + "\n", out)),
    "[": _quick(lambda shell, words, out: 0 if _true(words) else 1),
    "test": _quick(lambda shell, words, out: 0 if _true(words) else 1),
    "exec": _exec,
    "dd": _key,
    "read": _key,
}
