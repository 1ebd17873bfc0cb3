"""The error tree is the one that is drawn, and no error gives a payload away or breaks a terminal."""

from __future__ import annotations

import re

import pytest

from backends import errors
from backends.errors import (
    BackendNotFound,
    CommandRejected,
    MultiplexerError,
    TargetMissing,
    TransportTimeout,
    printable,
    redact_argv,
)

SECRET = "hunter2"


def drawn() -> dict[str, str | None]:
    """The tree in the module's docstring: each class with its parent."""
    found: dict[str, str | None] = {}
    trail: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│├└─ ]*)([A-Z][A-Za-z]+)\b", line):
            depth = len(match[1]) // 4
            trail[depth:] = [match[2]]
            found[match[2]] = trail[depth - 1] if depth else None
    return found


def test_the_tree_is_as_drawn() -> None:
    """People read the drawing, programs catch the classes."""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, MultiplexerError)]
    parents = {c.__name__: None if c is MultiplexerError else c.__base__.__name__ for c in classes if c.__base__}

    assert len(classes) == 8
    assert drawn() == parents


def test_no_error_of_the_seam_is_one_of_the_operating_system() -> None:
    """`except OSError` and `except ValueError` never catch what the seam says."""
    assert MultiplexerError.__mro__[1:] == (Exception, BaseException, object)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (MultiplexerError("no answer"), "no answer"),
        (TransportTimeout("no answer", operation="version"), "version: no answer"),
        (
            TransportTimeout("late", operation="has_session", target="run-1", elapsed_s=5.0001),
            "has_session(run-1): late [after 5.000 s]",
        ),
        (TransportTimeout("late", elapsed_s=0), "late [after 0.000 s]"),
    ],
)
def test_an_error_reads_as_one_sentence(error: MultiplexerError, shown: str) -> None:
    """What is not known is left out."""
    assert str(error) == shown


def test_a_target_cannot_break_the_line() -> None:
    """A name that was refused because of its control characters does not reach a terminal through its refusal."""
    error = CommandRejected("refused", operation="has_session", target="run\x1b]52;c\n\ud800" + "x" * 1000)

    assert str(error).isprintable()
    assert len(str(error)) < 300
    str(error).encode("utf-8")


def test_a_refusal_keeps_what_was_answered() -> None:
    """Verb, status and first line of stderr, made printable."""
    error = TargetMissing("gone", verb="list-windows", status=1, stderr="can't find session: \x1b[31m")

    assert (error.verb, error.status, error.invalid_argument) == ("list-windows", 1, False)
    assert error.stderr == "can't find session: \\x1b[31m"


def test_an_unknown_backend_lists_the_known() -> None:
    """The error alone is enough to correct the name."""
    assert BackendNotFound("no backend 'tmx'", known=["fake", "tmux"]).known == ("fake", "tmux")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("nul \0 del \x7f c1 \x9b", "nul \\x00 del \\x7f c1 \\x9b"),
        ("lone \ud800", "lone \\ud800"),
        ("ä ☃", "ä ☃"),
        ("bidi \u202e zero \u200b", "bidi \\u202e zero \\u200b"),
    ],
)
def test_text_is_made_printable(raw: str, shown: str) -> None:
    """Nothing that a terminal would obey, nothing that a file cannot hold."""
    assert printable(raw) == shown
    printable(raw).encode("utf-8")


def test_a_long_text_is_cut_and_says_so() -> None:
    """Fifty megabytes of message stay out of a record."""
    shown = printable("x" * 50_000_000)

    assert len(shown) < 2_100
    assert shown.endswith("(49998000 more characters)")


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (
            ["/usr/bin/tmux", "-S", "/tmp/s", "list-windows", "-t", "=run-1:", "-F", "#{window_id}"],
            "tmux -S /tmp/s list-windows -t =run-1: -F #{window_id}",
        ),
        (["tmux", "new-window", "-e", f"K={SECRET}", "-t", "=run-1:"], "tmux new-window -e <9 chars> -t =run-1:"),
        (["tmux", "send-keys", "-t", "@1", "-l", SECRET], "tmux send-keys -t @1 -l <7 chars>"),
        (["tmux", "send-keys", "-l", "--", f"-{SECRET[:6]}"], "tmux send-keys -l <2 chars> <7 chars>"),
        (["tmux", "send-keys", "--", "-t", SECRET], "tmux send-keys <2 chars> <2 chars> <7 chars>"),
        (["tmux", "set-option", "-t", f"{SECRET} with spaces", "x"], "tmux set-option -t <19 chars> <1 chars>"),
        (
            ["tmux", "kill-window", "-t", "@1", ";", "kill-session", "-t", "=a"],
            "tmux kill-window -t @1 ; kill-session -t =a",
        ),
        ([b"tmux", b"has-session", b"\xff" + SECRET.encode()], "tmux has-session <11 chars>"),
        (["tmux", 7, None], "tmux <1 chars> <4 chars>"),
        (
            ["tmux", "new-window", "-d", "-t", "a:", "agent", "-s", SECRET, "-t", SECRET],
            "tmux new-window -d -t a: <5 chars> <2 chars> <7 chars> <2 chars> <7 chars>",
        ),
        (["tmux", "send-keys", "-t", "a", "-F", SECRET], "tmux send-keys -t a -F <7 chars>"),
        (["tmux", "send-keys", "-t", "a", "-hunt", "-t", SECRET], "tmux send-keys -t a <5 chars> <2 chars> <7 chars>"),
        (
            ["tmux", "set-option", "-g", "status-left", "-F", SECRET],
            "tmux set-option -g <11 chars> <2 chars> <7 chars>",
        ),
        (
            ["tmux", "if-shell", "-F", SECRET, "ls", "-t", "a"],
            "tmux if-shell -F <7 chars> <2 chars> <2 chars> <1 chars>",
        ),
        (["tmux", "paste-buffer", "-s", SECRET, "-t", "a"], "tmux paste-buffer -s <7 chars> -t a"),
        (
            ["tmux", "new-session", "-dst", SECRET, "-s", "a"],
            "tmux new-session <4 chars> <7 chars> <2 chars> <1 chars>",
        ),
        (["tmux", "-c", SECRET], "tmux -c <7 chars>"),
        (
            ["tmux", "-uLa", "-L", "b", "-f", "/dev/null", "--", "ls-x", "-t", SECRET],
            "tmux <4 chars> -L b -f /dev/null <2 chars> <4 chars> <2 chars> <7 chars>",
        ),
        (
            ["tmux", "-uL", "b", "-f", "/dev/null", "--", "list-w", "-F", "#{a}"],
            "tmux -uL b -f /dev/null <2 chars> list-w -F #{a}",
        ),
        (["tmux", "-L", SECRET[:0], SECRET, "-t", SECRET], "tmux -L  <7 chars> <2 chars> <7 chars>"),
        (["tmux", "new", "-s", SECRET], "tmux new <2 chars> <7 chars>"),
        (
            ["tmux", "send-keys", "-t", "a", "x;", SECRET, "-t", SECRET],
            "tmux send-keys -t a <2 chars> <7 chars> <2 chars> <7 chars>",
        ),
        (["tmux", "kill-server;", "kill-window", "-t", "@1"], "tmux kill-server; kill-window -t @1"),
        ([], ""),
    ],
)
def test_an_argv_is_shown_without_its_payloads(argv: list[object], shown: str) -> None:
    """The command, its flags and its targets are enough to understand a failure."""
    assert redact_argv(argv) == shown
