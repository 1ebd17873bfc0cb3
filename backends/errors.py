"""What is known after something went wrong, as a tree of types.

::

    MultiplexerError
    ├── TransportError          the question was not answered: *unknown*
    │   ├── TransportTimeout        asked, no answer in time; for a change the effect is indeterminate
    │   ├── TransportUnavailable    could not ask (no binary, no permission, no server to be found)
    │   └── TransportGarbled        answered, unreadable (bad encoding, truncated, empty where an id was due)
    ├── CommandRejected         answered: refused (argv verb, exit status, stderr)
    │   └── TargetMissing           answered: no such session / window / pane: *proven absent*
    └── BackendNotFound         no backend of that name (lists those known)

*Yes/no*, *refused* and *could not ask* never share a value. No error carries the environment of a window or the text
of a prompt: errors end up in crash records and journals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from backends.verb_flags import CLIENT_FLAGS, VERB_FLAGS, verbs_that_begin

__all__ = [
    "BackendNotFound",
    "CommandRejected",
    "MultiplexerError",
    "TargetMissing",
    "TransportError",
    "TransportGarbled",
    "TransportTimeout",
    "TransportUnavailable",
    "printable",
    "redact_argv",
]

_HARMLESS = re.compile(r"[=@%$]?[A-Za-z0-9_@%$:.,#{}\t/-]{0,120}\Z")


class MultiplexerError(Exception):
    """Anything a multiplexer operation can fail with.

    `operation` is the operation's name in `OPERATIONS`, `target` the session or window it was about (never a payload),
    `elapsed_s` the clock seconds from the call to the failure. All three are `None` until the guard has filled them in.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        target: str | None = None,
        elapsed_s: float | None = None,
    ) -> None:
        super().__init__(printable(message))
        self.operation = operation
        self.target = target
        self.elapsed_s = elapsed_s

    @property
    def message(self) -> str:
        """The bare message, without operation, target and time."""
        return str(self.args[0])

    @property
    def brief(self) -> str:
        """What came of it for a line that people read; of a question that nobody answered without the command line."""
        return str(self)

    def __str__(self) -> str:
        where = self.operation or ""
        if self.target:
            where += f"({_one_line(self.target)})"
        when = "" if self.elapsed_s is None else f" [after {self.elapsed_s:.3f} s]"
        return f"{where}: {self.message}{when}" if where else f"{self.message}{when}"


class TransportError(MultiplexerError):
    """The question was not answered: nothing is known about the target."""


class TransportTimeout(TransportError):
    """Asked, and no answer came in time; the effect of a change is indeterminate."""

    @property
    def brief(self) -> str:
        """See `MultiplexerError.brief`: the operation, and for how many seconds its answer was waited for."""
        waited = f" within {round(self.elapsed_s, 1):g} s" if self.elapsed_s else ""
        return f"{self.operation or 'the question'} is not answered{waited}"


class TransportUnavailable(TransportError):
    """The question could not be asked: no binary, no permission, no server to be found, no budget left."""


class TransportGarbled(TransportError):
    """An answer came and cannot be read: bad encoding, truncated, or empty where a payload was due."""


class CommandRejected(MultiplexerError):
    """The multiplexer (or the seam, for an argument) answered: no.

    `verb` is the command verb, `status` the client's exit status and `stderr` its first line; all `None` where the seam
    itself refused. `invalid_argument` is true where the argument could never be accepted: such a refusal is a mistake of
    the caller, so courtesies raise it too.
    """

    def __init__(
        self,
        message: str,
        *,
        verb: str | None = None,
        status: int | None = None,
        stderr: str | None = None,
        invalid_argument: bool = False,
        operation: str | None = None,
        target: str | None = None,
        elapsed_s: float | None = None,
    ) -> None:
        super().__init__(message, operation=operation, target=target, elapsed_s=elapsed_s)
        self.verb = verb
        self.status = status
        self.stderr = None if stderr is None else printable(stderr)
        self.invalid_argument = invalid_argument


class TargetMissing(CommandRejected):
    """Answered: there is no such session, window or pane. Proven absent."""


class BackendNotFound(MultiplexerError):
    """No backend of that name; `known` lists the names that would have worked."""

    def __init__(self, message: str, *, known: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.known = tuple(known)


def printable(text: str, limit: int = 2000) -> str:
    """`text` encodable as UTF-8, without control characters, at most `limit` characters long."""
    if len(text) > limit:
        text = text[:limit] + f"... ({len(text) - limit} more characters)"
    if text.isascii() and text.isprintable():
        return text
    encodable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in encodable)


def _one_line(text: str, limit: int = 200) -> str:
    """`printable`, and without newlines and tabs too."""
    return text if text.isprintable() and len(text) <= limit else ascii(printable(text, limit))[1:-1]


def redact_argv(argv: Sequence[object]) -> str:
    """One line that says which command ran, with every payload replaced by its length.

    Kept are the verbs, their flags, and the values of flags that name targets, formats and sockets. A payload begins at the
    first word that is no flag of its verb, or behind a verb that is not known, and lasts to the end of that command.
    """
    words = [word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word) for word in argv]
    shown = [word.rsplit("/", 1)[-1] for word in words[:1]]
    verb, flags, flag = "", CLIENT_FLAGS, ""
    begins, in_payload = True, False
    for word in words[1:]:
        ends = word.endswith(";") and not word.endswith("\\;")
        if flag:
            shown.append(word if _is_told(verb, flag) and _HARMLESS.match(word) else _withheld(word))
            flag = ""
        elif word == ";":
            shown.append(word)
        elif not in_payload and (read := _flags_in(word, flags)) is not None:
            said, flag = read
            shown.append(said)
        elif begins and word == "--":
            shown.append(_withheld(word))
            flags = ""
        elif begins and (found := verbs_that_begin(word.removesuffix(";"))) and len(word) > 2:
            verb, flags = (found[0], VERB_FLAGS[found[0]]) if len(found) == 1 else ("", "")
            begins, in_payload = False, len(found) > 1
            shown.append(word)
        else:
            shown.append(_withheld(word))
            in_payload, begins = True, False
        if ends:
            flags, flag, begins, in_payload = "", "", True, False
    return printable(" ".join(shown), 500)


def _withheld(word: str) -> str:
    return f"<{len(word)} chars>"


def _flags_in(word: str, flags: str) -> tuple[str, str] | None:
    """`word` as it is shown, and the flag whose value is the next word, if any; `None` if it is not made of `flags`."""
    if len(word) < 2 or word[0] != "-":
        return None
    for at, letter in enumerate(word[1:], 2):
        if not letter.isalnum() or letter not in flags:
            return None
        if f"{letter}:" in flags:
            return (word, letter) if at == len(word) else (_withheld(word), "")
    return word, ""


def _is_told(verb: str, flag: str) -> bool:
    """Whether the value of that flag is no payload; `verb` is empty for the client's own flags."""
    if not verb:
        return flag in "LSft"
    if flag == "F":
        return verb.startswith(("list-", "new-", "split-w", "display-"))
    return flag == "t" or (flag == "s" and verb not in ("display-popup", "paste-buffer"))
