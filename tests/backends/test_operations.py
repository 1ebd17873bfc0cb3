"""The contract as data equals the abstract class, and refuses what no backend may be asked."""

from __future__ import annotations

import inspect
from pathlib import PurePosixPath
from types import MappingProxyType

import pytest
from dict_multiplexer import HEALTHY, DictMultiplexer, call_sample

from backends.base import TerminalMultiplexer
from backends.errors import CommandRejected
from backends.operations import OPERATIONS, Argument, Kind, Operation, WindowExit, check_arguments, check_name

FIXED = """
has_session name: probe raise | new_session name cwd cols lines: change raise | kill_session name: change None
list_sessions: courtesy [] | session_options option: courtesy {} | set_session_option name option value: change raise
new_window session name cwd env command: change raise
new_parked_window session name cwd argv return_opt: change raise
list_window_ids session: probe raise | list_windows session fields: courtesy []
window_alive session window_id: probe raise | kill_window target: change None | select_window target: courtesy None
set_window_option target option value: courtesy None | unset_window_option target option: courtesy None
show_window_option target option: courtesy '' | pipe_pane window_id log_file: courtesy None
send_text window_id text: change raise | attach_target_argv target: local raise | current_pane_id: courtesy None
current_window_id: courtesy None | current_session: courtesy None | detach_client: courtesy None
switch_client target last_fallback: courtesy False | available: local False | version: courtesy None
target session window: local raise | window_pids target: probe raise | window_exit target: probe raise
server_identity: probe raise | batch_liveness session: probe raise
"""
"""What third-party backends rely on: names, parameters in order, kind, and what stands in for silence."""

NOT_OPERATIONS = {"observe", "unobserve", "budget", "abandon", "take_up", "disconnect"}
"""Methods of the seam that ask no multiplexer."""

BAD_NAMES = (
    "",
    "-x",
    "_x",
    "a b",
    "run:1",
    "run.1",
    "=run",
    "ä",
    "x" * 65,
    "run\n",
    "run\0",
    "$1",
    None,
    1,
    b"run",
    ["run"],
)
GARBAGE: dict[Argument, tuple[object, ...]] = {
    Argument.NAME: BAD_NAMES,
    Argument.OPTIONAL_NAME: tuple(bad for bad in BAD_NAMES if bad is not None),
    Argument.TARGET: ("", "-t", "@1\n", "@1\0", "@\x1b", "@ä", "x" * 201, None, 1, b"@1"),
    Argument.PATH: ("", "a\0b", b"/tmp", None, 1, ["/"]),
    Argument.ENVIRONMENT: (
        *(None, "A=1", ["A"], {"": "1"}, {"A=B": "1"}, {"1A": "1"}, {"A\n": "1"}, {1: "1"}),
        *({"A": "a\0b"}, {"A": 1}, {"A": None}, {"A": b"1"}, {"A": "\ud800"}),
    ),
    Argument.ARGV: ("sleep 1", b"sleep", [], (), None, ["a\0"], ["a", 1], ["a", None], ["\ud800"], {"a"}),
    Argument.COMMAND: ("", " \n", "a\0b", None, ["sleep"], b"sleep", "\ud800", "echo 'half"),
    Argument.TEXT: ("a\0b", "a\x1b[31m", "a\rb", "a\x7f", "a\x85", "\ud800", None, b"a", 1),
    Argument.OPTION: ("", "-g", "a b", "@", "@1", "a\n", "a;b", "#{x}", None, 1, b"status"),
    Argument.VALUE: ("a\0b", "\ud800", None, 1, b"a"),
    Argument.FIELDS: ("window_id", [], None, ["#{window_id}"], ["a b"], [""], [1], b"a", ["a", None]),
    Argument.SIZE: (0, -1, 10_001, True, 80.0, "80", b"80"),
    Argument.FLAG: (None, 0, 1, "yes", "", []),
}

ACCEPTED: dict[Argument, tuple[object, ...]] = {
    Argument.NAME: ("a", "Run-1", "0", "x" * 64, "a_b-c"),
    Argument.OPTIONAL_NAME: (None, "agent"),
    Argument.TARGET: ("@1", "%0", "$3", "=run-1", "=run-1:agent", "x" * 200),
    Argument.PATH: ("/", "a b", "#(touch x)", "ä", PurePosixPath("/tmp")),
    Argument.ENVIRONMENT: ({}, {"A": ""}, {"_a1": "b\nc=d"}, MappingProxyType({"A": "ä"})),
    Argument.ARGV: (["sleep", "1"], ("a", ""), ["ä\n"]),
    Argument.COMMAND: ("sleep 60", "a; b", "ä"),
    Argument.TEXT: ("", "-x;", "a\nb\tc", "ä\N{SNOWMAN}\N{ZERO WIDTH JOINER}", "x" * 200_000),
    Argument.OPTION: ("@project", "remain-on-exit", "a_b"),
    Argument.VALUE: ("", "a b;", "#{x}", "\x1b"),
    Argument.FIELDS: (["window_id"], ("a", "@token")),
    Argument.SIZE: (None, 1, 10_000),
    Argument.FLAG: (True, False),
}

WRONG: dict[str, tuple[object, ...]] = {
    "yes or no": (None, 1, 0, "yes", [], b""),
    "nothing": ("", False, 0, []),
    "a list of session names": (None, (), "run-1", [""], [None], [b"run-1"], {"run-1"}),
    "a map": (None, [], {"a": 1}, {1: "a"}, {"a": None}),
    "a window id": (None, "", " \n", 1, b"@1", ["@1"]),
    "window ids": (None, (), "@1", [""], [1], {"@1"}),
    "a list of rows": (None, (), [["@1"]], [("@1", 1)], ["@1"]),
    "text": (None, 1, b"", []),
    "an argv": (None, [], "tmux attach", ("tmux",), ["tmux", 1]),
    "a pane id or none": ("", " ", 1, b"%1"),
    "a window id or none": ("", " ", 1, b"@1"),
    "a session name or none": ("", " ", 1, b"run"),
    "one line or none": ("", " ", 3.3, b"tmux"),
    "a target": (None, "", 1),
    "pids": (None, [0], [-1], [True], ["1"], (1,)),
    "an exit or none": (0, "exit 0", (0, None)),
    "an identity or none": (1, (1, 2), "1"),
    "a set of ids": (None, {"@1"}, ["@1"], frozenset({1}), frozenset({""})),
}
"""For every kind of answer that is due, what a broken backend might answer instead."""


def signature(operation: Operation) -> str:
    """The operation in the notation of `FIXED`."""
    silence = "raise" if operation.raises else repr(operation.sentinel())
    return f"{' '.join([operation.name, *operation.arguments])}: {operation.kind.value} {silence}"


def arguments_of(kinds: dict[Argument, tuple[object, ...]]) -> list[object]:
    """Every value of `kinds` at every argument of every operation that is of that kind."""
    return [
        pytest.param(operation.name, name, value, id=f"{operation.name}-{name}-{number}")
        for operation in OPERATIONS.values()
        for name, kind in operation.arguments.items()
        for number, value in enumerate(kinds[kind])
    ]


def test_the_contract_is_the_one_that_third_parties_rely_on() -> None:
    """Names, parameters, kinds and stand-ins are fixed."""
    fixed = [line.strip() for line in FIXED.replace("\n", "|").split("|") if line.strip()]

    assert sorted(signature(operation) for operation in OPERATIONS.values()) == sorted(fixed)


def test_operations_are_the_abstract_class() -> None:
    """Every public method of the seam is an operation, and is abstract exactly if it is not optional."""
    methods = {name for name, value in vars(TerminalMultiplexer).items() if inspect.isfunction(value)}
    public = {name for name in methods if not name.startswith("_")} - NOT_OPERATIONS
    required = {name for name, operation in OPERATIONS.items() if not operation.optional}

    assert public == set(OPERATIONS)
    assert required == TerminalMultiplexer.__abstractmethods__
    assert len(required) == 26
    assert all(name == operation.name for name, operation in OPERATIONS.items())


@pytest.mark.parametrize("name", OPERATIONS)
def test_parameters_are_those_of_the_method(name: str) -> None:
    """Arguments are named by position, so their order must be the method's own."""
    parameters = list(inspect.signature(getattr(TerminalMultiplexer, name)).parameters.values())[1:]
    required = {p.name for p in parameters if p.default is inspect.Parameter.empty}

    assert [p.name for p in parameters] == list(OPERATIONS[name].arguments)
    assert required <= set(OPERATIONS[name].sample) <= set(OPERATIONS[name].arguments)


@pytest.mark.parametrize("name", OPERATIONS)
def test_sample_arguments_are_accepted(name: str) -> None:
    """A sweep can call every operation without knowing it."""
    multiplexer = DictMultiplexer()

    assert call_sample(multiplexer, name) == HEALTHY[name]
    assert multiplexer.asked == [name]


@pytest.mark.parametrize("name", [o.name for o in OPERATIONS.values() if not o.raises])
def test_a_stand_in_is_an_answer_and_never_shared(name: str) -> None:
    """What one caller does to an empty list is not seen by the next."""
    operation = OPERATIONS[name]
    first = operation.sentinel()

    assert operation.answers(first)
    assert not first
    if isinstance(first, list | dict):
        assert first is not operation.sentinel()


@pytest.mark.parametrize("name", [o.name for o in OPERATIONS.values() if o.raises])
def test_what_decides_something_has_no_stand_in(name: str) -> None:
    """No probe, and no change but the best-effort ones, ever answers for silence."""
    with pytest.raises(LookupError, match=name):
        OPERATIONS[name].sentinel()


def test_only_courtesies_and_best_effort_have_a_stand_in() -> None:
    """A probe that answers for silence would be a false death."""
    kinds = {o.kind for o in OPERATIONS.values() if not o.raises}

    assert kinds == {Kind.COURTESY, Kind.CHANGE, Kind.LOCAL}
    assert {o.name for o in OPERATIONS.values() if o.best_effort} == {"kill_session", "kill_window"}
    assert all(o.raises for o in OPERATIONS.values() if o.kind is Kind.PROBE)


def test_every_kind_of_argument_is_tried() -> None:
    """A new kind of argument needs its garbage, and every operation its healthy answer."""
    assert set(GARBAGE) == set(ACCEPTED) == set(Argument)
    assert set(WRONG) == {operation.due for operation in OPERATIONS.values()}
    assert set(HEALTHY) == set(OPERATIONS)


@pytest.mark.parametrize(("name", "argument", "garbage"), arguments_of(GARBAGE))
def test_garbage_is_refused_before_anything_is_asked(name: str, argument: str, garbage: object) -> None:
    """The backend never sees it, and even a courtesy says so."""
    multiplexer = DictMultiplexer()

    with pytest.raises(CommandRejected) as refusal:
        call_sample(multiplexer, name, **{argument: garbage})

    assert refusal.value.invalid_argument
    assert refusal.value.operation == name
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 500
    assert multiplexer.asked == []


@pytest.mark.parametrize(("name", "argument", "value"), arguments_of(ACCEPTED))
def test_what_is_unusual_but_sound_is_accepted(name: str, argument: str, value: object) -> None:
    """The checks refuse no more than they must."""
    check_arguments(OPERATIONS[name], {**OPERATIONS[name].sample, argument: value})


@pytest.mark.parametrize("name", OPERATIONS)
def test_wrong_answers_are_told_from_answers(name: str) -> None:
    """An answer of the wrong shape is never taken for one."""
    operation = OPERATIONS[name]

    assert [wrong for wrong in WRONG[operation.due] if operation.answers(wrong)] == []
    assert operation.answers(HEALTHY[name])


@pytest.mark.parametrize("kind", [Argument.NAME, Argument.OPTIONAL_NAME])
def test_a_refused_name_is_shown_escaped(kind: Argument) -> None:
    """People see which name it was, terminals do not."""
    with pytest.raises(CommandRejected, match=r"'run\\x1b\[31m'"):
        check_name("run\x1b[31m")
    assert kind in {k for o in OPERATIONS.values() for k in o.arguments.values()}


def test_a_description_withholds_payloads() -> None:
    """Traces and journals name the call, the target and sizes, and nothing that may be secret."""
    secret = "hunter2"
    arguments = {"session": "run-1", "name": "agent", "cwd": f"/{secret}", "env": {"K": secret}, "command": secret}
    shown = OPERATIONS["new_window"].described(arguments)

    assert secret not in shown
    assert shown == "new_window(session='run-1', name='agent', cwd=<path>, env=<environment: 1>, command=<command: 7>)"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("has_session", "run-1"),
        ("new_session", "run-2"),
        ("new_window", "run-1"),
        ("send_text", "@1"),
        ("version", None),
    ],
)
def test_a_call_names_its_target(name: str, target: str | None) -> None:
    """The most exact of what the arguments name, and never the name of a new window."""
    assert OPERATIONS[name].target_of(OPERATIONS[name].sample) == target


def test_a_window_exit_reads_well() -> None:
    """People see code or signal."""
    shown = [str(end) for end in (WindowExit(code=3), WindowExit(signal=9), WindowExit())]

    assert shown == ["exit 3", "signal 9", "exit unknown"]
