"""Calls of every operation that nobody chose: mostly such as are made, and now and then such as nobody should make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from side_by_side import NOWHERE_DIR, File, Window

from backends.operations import OPERATIONS

__all__ = ["MAKING", "Asked", "any_call"]

Asked = tuple[str, Mapping[str, Any]]
"""An operation, and its arguments; those that are functions of a subject are each subject's own."""

Draw = Callable[[Random], Any]

SESSIONS = ("run-1", "run-10", "r")
NAMES = ("agent", "agent-2", "0")
BAD_NAMES = ("", "a.b", "=run-1", "run 1", "x" * 65, "-x", "#(date)", "@0")
BAD_TARGETS = ("", "run-1", "=run", "=run-1:agent:x", "-x", "@x", "=run-1:0.0", "agent", "%", "=run-1:=agent", "é")
OPTIONS = ("@x", "@x", "@project", "@a-b_1", "@nope", "nope", "status")
VALUES = (
    *(
        "",
        "demo",
        "two words",
        "a;",
        ";",
        "-x",
        "--",
        "#{pid}",
        "#(date)",
        "##",
        "$HOME",
        "${HOME}",
        "'single'",
        '"double"',
    ),
    *("a\tb", "a\nb", "grüße ✓ 漢字", "\\", "a\\;", "off", "x" * 5000, "a\rb", "~", "%H", "\x1b[31m", "{", "}"),
)
TEXTS = (
    *(
        "",
        "hello",
        "two words",
        "-x",
        "a;",
        "#{pid}",
        "grüße ✓",
        "$HOME 'x' \"y\"",
        "one\ntwo",
        "C-c",
        "Enter",
        "exit 5",
    ),
    *("a\tb", "x" * 1000),
)
BAD_TEXTS = ("a\x03b", "\x1b[A", "\r", "\x7f", "\ud800")
COMMANDS = (
    *["cat"] * 4,
    *["sleep 100000"] * 3,
    *("true", "false", "no-such-program", "sh -c 'exit 3'", "sh -c 'exit 137'", "sh -c 'kill -9 $$'"),
    *("sh -c 'kill -TERM $$'", "sh -c 'exit $CODE'", "sh -c 'read line; exit 4'"),
)
BAD_COMMANDS = ("", "  ", "sleep 'open")
ARGVS = (
    ["sleep", "100000"],
    ["true"],
    ["sh", "-c", "exit 9"],
    ["sh", "-c", "kill -TERM $$"],
    ["no-such-program"],
    ["cat"],
)
ENVIRONMENTS: tuple[Mapping[str, str], ...] = ({}, {"CODE": "7"}, {"CODE": "42", "A_B": "x y;'\"$#{pid}\n"})
FIELDS = (
    ("window_id", "pane_id"),
    ("window_name", "@x"),
    ("session_name", "nope"),
    ("@project",),
    ("pane_dead_status",),
)
LOGS = (File("log 1"), File("log#(date)%H'"), File("log 1"), "/dev/null")


def one_of(values: Sequence[Any]) -> Draw:
    """One of the values."""
    return lambda chance: chance.choice(values)


def mostly(usual: Draw, bad: Sequence[Any]) -> Draw:
    """The usual, and seldom something that is refused."""
    return lambda chance: chance.choice(bad) if chance.random() < 0.03 else usual(chance)


def _target(chance: Random) -> Any:
    kind = chance.choices(("there", "ever", "name", "absent", "bad"), (70, 8, 14, 4, 4))[0]
    if kind in ("there", "ever"):
        return Window(chance.randrange(1000), ever=kind == "ever", pane=chance.random() < 0.1)
    if kind == "name":
        session = chance.choice(SESSIONS)
        return chance.choice((f"={session}", f"={session}:{chance.choice(NAMES)}"))
    return chance.choice(("@999", "%999", "$99") if kind == "absent" else BAD_TARGETS)


session = mostly(one_of(("run-1", *SESSIONS)), BAD_NAMES)
name = mostly(one_of(NAMES), BAD_NAMES)
directory = mostly(one_of(("/", "/", "/", "/tmp", NOWHERE_DIR)), ("", "a\0b"))
size = mostly(one_of((None, None, 1, 80, 200)), (0, 10_001))
option = mostly(one_of(OPTIONS), ("", "a b", "@", "#{x}"))
value = mostly(one_of(VALUES), ("a\0b", "\ud800"))

ARGUMENTS: Mapping[str, Mapping[str, Draw]] = {
    "has_session": {"name": session},
    "new_session": {"name": session, "cwd": directory, "cols": size, "lines": size},
    "kill_session": {"name": session},
    "list_sessions": {},
    "session_options": {"option": option},
    "set_session_option": {"name": session, "option": option, "value": value},
    "new_window": {
        **{"session": session, "name": name, "cwd": directory},
        **{"env": mostly(one_of(ENVIRONMENTS), ({"1": "x"},)), "command": mostly(one_of(COMMANDS), BAD_COMMANDS)},
    },
    "new_parked_window": {
        **{"session": session, "name": name, "cwd": directory},
        **{"argv": mostly(one_of(ARGVS), ([], ["\0"])), "return_opt": mostly(one_of(("@back",)), ("back to",))},
    },
    "list_window_ids": {"session": session},
    "list_windows": {"session": session, "fields": mostly(one_of(FIELDS), ((), ("#{x}",)))},
    "window_alive": {"session": session, "window_id": _target},
    "kill_window": {"target": _target},
    "select_window": {"target": _target},
    "set_window_option": {"target": _target, "option": option, "value": value},
    "unset_window_option": {"target": _target, "option": option},
    "show_window_option": {"target": _target, "option": option},
    "pipe_pane": {"window_id": _target, "log_file": mostly(one_of(LOGS), ("", "a\0b"))},
    "send_text": {"window_id": _target, "text": mostly(one_of(TEXTS), BAD_TEXTS)},
    "attach_target_argv": {"target": _target},
    "current_pane_id": {},
    "current_window_id": {},
    "current_session": {},
    "detach_client": {},
    "switch_client": {"target": _target, "last_fallback": one_of((False, True))},
    "available": {},
    "version": {},
    "target": {"session": session, "window": mostly(one_of((None, *NAMES)), BAD_NAMES)},
    "window_pids": {"target": _target},
    "window_exit": {"target": _target},
    "server_identity": {},
    "batch_liveness": {"session": session},
}
"""How the arguments of each operation are drawn."""

MAKING = ("new_session", "new_window", "new_window", "new_window", "new_parked_window")
_CHANGING = ("set_session_option", "set_window_option", "set_window_option", "unset_window_option", "select_window")
_OFTEN = (*MAKING, *_CHANGING, "pipe_pane", "send_text", "send_text", "kill_window", "show_window_option")


def any_call(chance: Random, *operations: str) -> Asked:
    """A call of one of the `operations`, else of any: as often of what is often asked as of all."""
    among = operations or (tuple(OPERATIONS) if chance.random() < 0.5 else _OFTEN)
    operation = chance.choice(among)
    return operation, {name: draw(chance) for name, draw in ARGUMENTS[operation].items()}
