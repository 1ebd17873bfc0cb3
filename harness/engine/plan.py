"""What a run is to carry out: a plan of tasks, as a value and as a TOML file.

A plan is checked when it is made, whether it was read from a file or built in code, and everything that is wrong with
it is said at once: source, line, key, what was expected. `FIELDS_OF_RUN` and `FIELDS_OF_TASK` are the schema; reading,
checking and writing are derived from them.
"""

from __future__ import annotations

import difflib
import errno
import heapq
import math
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import tomli_w

from backends.disk import Disk, RealDisk, StrPath
from harness.engine.plan_error import PlanError

__all__ = [
    "BUILT_IN_AGENTS",
    "FIELDS_OF_RUN",
    "FIELDS_OF_TASK",
    "PlanError",
    "RunPlan",
    "TaskPlan",
    "command_argv",
    "load_plan",
    "parse_plan",
]

BUILT_IN_AGENTS = ("claude", "codex", "gemini", "copilot", "scripted")
"""Agents that a plan may name without describing them in `[agents.NAME]`."""

PLAN_LIMIT = 1 << 20
"""Bytes; a longer plan file is refused."""

_MOST_DOTS = 64
"""Dots in one key; tomllib needs time that grows with their square, so a key with more is refused before it is read."""
_KEY = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.){0,256}+"|'[^'\n]{0,256}+')"""
"""A part of a key. Longer ones are not looked for, so that looking stays linear; a plan has no room for many of them."""
_DOTTED = re.compile(rf"(?<![A-Za-z0-9_-]){_KEY}(?:[ \t]*+\.[ \t]*+{_KEY}){{{_MOST_DOTS + 1},}}+")
_KEY_ENDS = re.compile(r"[ \t]*+[=\]]")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_LARGEST = 1_000_000_000
"""No number of a plan is larger: about thirty years, where it counts seconds."""


def command_argv(command: str) -> tuple[str, ...]:
    """The words of a command as a POSIX shell would split them; no shell ever sees it.

    Raises `ValueError` for a command without words, with unbalanced quotes, or with a NUL.
    """
    if "\0" in command:
        raise ValueError("contains a NUL character")
    words = tuple(shlex.split(command))
    if not words or not words[0]:
        raise ValueError("is empty")
    return words


# Each check takes a raw value and answers what the plan holds, or raises ValueError with the second half of the
# sentence "expected ..., ...".


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(_got(value))
    if "\0" in value:
        raise ValueError("contains a NUL character")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("contains a character that is not Unicode") from None
    return value


def _line(value: object) -> str:
    line = _text(value)
    if not line.strip() or not line.isprintable():
        raise ValueError(f"got {_shown(line)}")
    return line


def _name(value: object) -> str:
    name = _text(value)
    if not _NAME.match(name):
        raise ValueError(f"got {_shown(name)}")
    return name


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_got(value))
    return value


def _count(least: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(_got(value))
        if not least <= value <= _LARGEST:
            raise ValueError(f"got {_shown(value)}")
        return value

    return check


def _seconds(*, above_zero: bool) -> Callable[[object], float]:
    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(_got(value))
        if not 0 <= value <= _LARGEST or (above_zero and value == 0):
            raise ValueError(f"got {_shown(value)}")
        return float(value)

    return check


def _choice(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = _text(value)
        if text not in choices:
            raise ValueError(f"got {_shown(text)}{_nearest(text, choices)}")
        return text

    return check


def _list_of(check: Callable[[object], str]) -> Callable[[object], tuple[str, ...]]:
    def check_all(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(_got(value))
        return tuple(check(item) for item in value)

    return check_all


def _command(value: object) -> str:
    text = _text(value)
    try:
        command_argv(text)
    except ValueError as exc:
        raise ValueError(f"{_shown(text)}: {exc}") from None
    return text


def _argv(value: object) -> tuple[str, ...]:
    words = _list_of(_text)(value)
    if words and not words[0].strip():
        raise ValueError("its first word names no program")
    return words


def _agents(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, Mapping):
        raise ValueError(_got(value))
    return {_name(name): _agent(name, table) for name, table in value.items()}


def _agent(name: str, table: object) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ValueError(f"{name} is not a table: {_got(table)}")
    plain = {_text(key): _plain(inner) for key, inner in table.items()}
    if not isinstance(plain.get("kind"), str):
        raise ValueError(f"{name} has no `kind`")
    return plain


def _plain(value: object, depth: int = 0) -> Any:
    """`value` as lists and dictionaries of what TOML and JSON have in common."""
    if depth > 32:
        raise ValueError("nested too deeply")
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    raise ValueError(_got(value))


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a plan: what it is expected to be, in words and as a check; `optional` allows none."""

    expected: str
    check: Callable[[object], Any]
    optional: bool = False


_ABOVE_ZERO = Field("a number of seconds above 0", _seconds(above_zero=True))
_FROM_ZERO = Field("a number of seconds, 0 or more", _seconds(above_zero=False))
_COMMANDS = Field("a list of commands", _list_of(_command))
_NAME_TEXT = "letters, digits, - and _ (at most 64, a letter or digit first)"

FIELDS_OF_RUN: Mapping[str, Field] = {
    "agent": Field(f"an agent's name: {_NAME_TEXT}", _name),
    "session_timeout_s": _ABOVE_ZERO,
    "result_grace_s": _FROM_ZERO,
    "stall_grace_s": _FROM_ZERO,
    "nudges": Field("a whole number, 0 or more", _count(0)),
    "completion": Field('"result" or "turn"', _choice("result", "turn")),
    "max_attempts": Field("a whole number, 1 or more", _count(1)),
    "max_parallel": Field("a whole number, 1 or more", _count(1)),
    "cleanup_session": Field("true or false", _flag),
    "stop_grace_s": _FROM_ZERO,
    "retry_deferred": Field('"end" or "never"', _choice("end", "never")),
    "post_run": _COMMANDS,
    "notify": Field("a list of texts: a program and its arguments", _argv),
    "poll_s": _ABOVE_ZERO,
    "call_timeout_s": Field(_ABOVE_ZERO.expected, _ABOVE_ZERO.check, optional=True),
    "project": Field("the path of a directory", _line),
}
"""The keys of `[run]`, which are the fields of `RunPlan` but for `tasks` and `agents`."""

FIELDS_OF_TASK: Mapping[str, Field] = {
    "key": Field(_NAME_TEXT, _name),
    "prompt": Field("text", _text),
    "verify": _COMMANDS,
    "needs": Field("a list of task keys", _list_of(_name)),
    "gate": Field("one line of text", _line, optional=True),
    "agent": Field(f"an agent's name: {_NAME_TEXT}", _name, optional=True),
    "cwd": Field("the path of a directory", _line, optional=True),
}
"""The keys of a `[[task]]`, which are the fields of `TaskPlan`."""

_AGENTS = Field("a table for each agent, with a text `kind`", _agents)


@dataclass(frozen=True)
class TaskPlan:
    """One task: what an agent is asked to do, and how it is known to be done.

    `verify` are commands that must pass after a session; `needs` the keys of tasks that must be done first; `gate` pauses
    the run before the task; `agent` and `cwd` (relative to the project) override those of the run.
    """

    key: str
    prompt: str = ""
    verify: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    gate: str | None = None
    agent: str | None = None
    cwd: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no plan file could hold; raises `PlanError`."""
        _settle(self, FIELDS_OF_TASK, f"task {_shown(self.key)}: ")


@dataclass(frozen=True)
class RunPlan:
    """Tasks, and how their sessions are run; the numbers are seconds, attempts, nudges, sessions at once.

    `project` is the directory that agents work in. `notify` is a program that is run whenever a person is needed, and when the
    run has ended; see `harness.engine.notices`. `agents` describes agents by name, as plain tables with a `kind`.
    """

    tasks: tuple[TaskPlan, ...]
    agent: str = "scripted"
    session_timeout_s: float = 5400.0
    result_grace_s: float = 15.0
    stall_grace_s: float = 600.0
    nudges: int = 2
    completion: str = "result"
    max_attempts: int = 2
    max_parallel: int = 1
    cleanup_session: bool = True
    stop_grace_s: float = 10.0
    retry_deferred: str = "end"
    post_run: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    poll_s: float = 1.0
    call_timeout_s: float | None = None
    project: str = "."
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse what no plan file could hold, and tasks that do not fit together; raises `PlanError`."""
        object.__setattr__(self, "tasks", tuple(self.tasks))
        _settle(self, {**FIELDS_OF_RUN, "agents": _AGENTS}, "")
        problems = _misfits(self.agent, self.agents, [(t.key, t.needs, t.agent) for t in self.tasks])
        if problems:
            raise PlanError([f"{where.shown(dict(enumerate(self.tasks)))}{text}" for where, text in problems])

    def task(self, key: str) -> TaskPlan:
        """The task of that key; `KeyError` if there is none."""
        for task in self.tasks:
            if task.key == key:
                return task
        raise KeyError(key)

    def agent_of(self, task: TaskPlan) -> str:
        """The name of the agent that works on `task`."""
        return task.agent or self.agent

    def order(self) -> tuple[TaskPlan, ...]:
        """The tasks, each after those it needs, otherwise in the order of the plan."""
        return self._order

    @cached_property
    def _order(self) -> tuple[TaskPlan, ...]:
        return tuple(self.tasks[index] for index in _ordered([(t.key, t.needs) for t in self.tasks])[0])

    def to_toml(self) -> str:
        """The plan as a file that `parse_plan` reads back as an equal plan."""
        run = {name: _unfrozen(getattr(self, name)) for name in FIELDS_OF_RUN}
        parts = [tomli_w.dumps({"run": _without_none(run)})]
        for task in self.tasks:
            told = {f.name: _unfrozen(value) for f in fields(TaskPlan) if (value := getattr(task, f.name)) != ()}
            parts.append("[[task]]\n" + tomli_w.dumps(_without_none(told)))
        if self.agents:
            parts.append(tomli_w.dumps({"agents": {name: dict(table) for name, table in self.agents.items()}}))
        return "\n".join(parts)


def load_plan(path: StrPath, *, disk: Disk | None = None, follow: bool = True) -> RunPlan:
    """Read a plan file; agents work in its directory unless it says otherwise.

    With `follow` a real path may be a symbolic link, and agents work in the directory of the link.

    Raises `PlanError` for whatever is wrong, a missing or unreadable file included.
    """
    source = os.path.basename(os.fspath(path)) or os.fspath(path)
    try:
        disk = disk or RealDisk()
        data = disk.read(_resolved(path) if follow and isinstance(disk, RealDisk) else path, limit=PLAN_LIMIT)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise PlanError([f"{os.fspath(path)}: cannot be read: {reason}"]) from exc
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise PlanError([f"{source}:{line}: not UTF-8: byte {data[exc.start]:#04x}"]) from exc
    return parse_plan(text, source, base=os.path.dirname(os.path.abspath(path)))


def _resolved(path: StrPath) -> str:
    """Where the regular file is that `path` leads to; `OSError` for anything else, as a pipe behind /dev/stdin."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return os.path.realpath(path)


def parse_plan(text: str, source: str = "plan", *, base: str = ".") -> RunPlan:
    """Read a plan from the text of a file named `source`; a relative `project` is taken from the directory `base`.

    Raises `PlanError` with every problem found, each as `source:line: key: expected ..., got ...`.
    """
    for dotted in _DOTTED.finditer(text):
        if _KEY_ENDS.match(text, dotted.end()):
            line = text.count("\n", 0, dotted.start()) + 1
            raise PlanError([f"{source}:{line}: expected a key of at most {_MOST_DOTS} dots, got one with more"])
    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as exc:
        raise PlanError([_syntax_problem(source, text, exc)]) from exc
    found = _Findings()
    run = _table(document, "run", found)
    values = _checked(run, FIELDS_OF_RUN, _Where(("run",)), found)
    tasks = [_checked(task, FIELDS_OF_TASK, where, found, required="key") for where, task in _tasks(document, found)]
    agents = _checked({"agents": document.get("agents", {})}, {"agents": _AGENTS}, _Where(()), found)
    for name in document.keys() - {"run", "task", "agents"}:
        found.add(_Where((name,)), f"unknown key{_nearest(name, ('run', 'task', 'agents'))}")
    if not found.problems:
        described = [(task["key"], task.get("needs", ()), task.get("agent")) for task in tasks]
        found.problems += _misfits(values.get("agent", "scripted"), agents["agents"], described)
    if found.problems:
        raise PlanError(found.lines(source, text, tasks))
    values["project"] = os.path.normpath(os.path.join(base, values.get("project", ".")))
    return RunPlan(tuple(TaskPlan(**task) for task in tasks), **values, **agents)


@dataclass(frozen=True, slots=True)
class _Where:
    """A place in a plan: `("run", "nudges")`, or for the second task `("task", 1, "needs")`."""

    path: tuple[str | int, ...]

    def __truediv__(self, key: str) -> _Where:
        return _Where((*self.path, key))

    def shown(self, tasks: Mapping[int, TaskPlan] | None = None) -> str:
        """How a message names the place; tasks that were built in code are named by their key."""
        if not self.path:
            return ""
        head, rest = str(self.path[0]), self.path[1:]
        if head == "task":
            task = tasks.get(rest[0]) if tasks and rest and isinstance(rest[0], int) else None
            name = f"task {task.key}" if task else "[[task]]"
            rest = rest[1:]
        else:
            name = _shown_key(head) if head == "agents" or not rest else f"[{head}]"
        return " ".join([name, *(_shown_key(str(part)) for part in rest)]) + ": "


class _Findings:
    """What is wrong with a plan, and where."""

    def __init__(self) -> None:
        self.problems: list[tuple[_Where, str]] = []

    def add(self, where: _Where, text: str) -> None:
        self.problems.append((where, text))

    def lines(self, source: str, text: str, tasks: Sequence[object]) -> list[str]:
        """Every problem as one line, in the order of the file."""
        places = _places(text)
        located = sorted((_line_of(where, places), where.shown(), said) for where, said in self.problems)
        return [f"{source}:{line}: {shown}{said}" for line, shown, said in located]


def _settle(plan: TaskPlan | RunPlan, schema: Mapping[str, Field], prefix: str) -> None:
    """Put what the checks answer into the fields of a plan that was built in code."""
    problems = []
    for name, rule in schema.items():
        value = getattr(plan, name)
        if value is None and rule.optional:
            continue
        try:
            object.__setattr__(plan, name, rule.check(value))
        except ValueError as exc:
            problems.append(f"{prefix}{name}: expected {rule.expected}; {exc}")
    if problems:
        raise PlanError(problems)


def _checked(
    table: Mapping[str, object],
    schema: Mapping[str, Field],
    where: _Where,
    found: _Findings,
    required: str | None = None,
) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    for name, value in table.items():
        rule = schema.get(name)
        if rule is None:
            found.add(where / name, f"unknown key{_nearest(name, schema)}")
            continue
        try:
            clean[name] = rule.check(value)
        except ValueError as exc:
            found.add(where / name, f"expected {rule.expected}; {exc}")
    if required is not None and required not in table:
        found.add(where, f"expected a `{required}`; there is none")
    return clean


def _table(document: Mapping[str, object], name: str, found: _Findings) -> Mapping[str, object]:
    table = document.get(name, {})
    if isinstance(table, dict):
        return table
    found.add(_Where((name,)), f"expected a table [{name}]; {_got(table)}")
    return {}


def _tasks(document: Mapping[str, object], found: _Findings) -> Iterable[tuple[_Where, Mapping[str, object]]]:
    tasks = document.get("task", [])
    if not isinstance(tasks, list):
        found.add(_Where(("task",)), f"expected tables [[task]]; {_got(tasks)}")
        return
    for index, task in enumerate(tasks):
        where = _Where(("task", index))
        if isinstance(task, dict):
            yield where, task
        else:
            found.add(where, f"expected a table; {_got(task)}")


def _misfits(
    agent: str,
    agents: Mapping[str, object],
    tasks: Sequence[tuple[str, Sequence[str], str | None]],
) -> list[tuple[_Where, str]]:
    """What is wrong between the parts of a plan, each of which is right in itself."""
    known = (*BUILT_IN_AGENTS, *agents)
    problems: list[tuple[_Where, str]] = []
    if not tasks:
        problems.append((_Where(("task",)), "expected at least one task; there is none"))
    if agent not in known:
        problems.append((_Where(("run", "agent")), f"there is no agent {_shown(agent)}{_nearest(agent, known)}"))
    first: dict[str, int] = {}
    keys = [key for key, _, _ in tasks]
    for index, (key, needs, own_agent) in enumerate(tasks):
        where = _Where(("task", index))
        if key in first:
            problems.append((where / "key", f"{key} is the key of task {first[key] + 1} as well"))
        first.setdefault(key, index)
        for need in needs:
            if need not in keys:
                problems.append((where / "needs", f"there is no task {_shown(need)}{_nearest(need, keys)}"))
        if own_agent is not None and own_agent not in known:
            problems.append((where / "agent", f"there is no agent {_shown(own_agent)}{_nearest(own_agent, known)}"))
    if not problems:
        cycle = _ordered([(key, needs) for key, needs, _ in tasks])[1]
        if cycle:
            problems.append((_Where(("task", first[cycle[0]], "needs")), f"a cycle: {' -> '.join(cycle)}"))
    return problems


def _ordered(tasks: Sequence[tuple[str, Sequence[str]]]) -> tuple[list[int], list[str]]:
    """Indices in an order that respects the needs, earliest first; and a cycle of keys, if there is one."""
    at = {key: index for index, (key, _) in enumerate(tasks)}
    waiting = [len(set(needs)) for _, needs in tasks]
    needed_by: dict[str, list[int]] = {}
    for index, (_, needs) in enumerate(tasks):
        for need in set(needs):
            needed_by.setdefault(need, []).append(index)
    ready = [index for index, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for later in needed_by.get(tasks[index][0], []):
            waiting[later] -= 1
            if waiting[later] == 0:
                heapq.heappush(ready, later)
    if len(order) == len(tasks):
        return order, []
    # Whatever is left waits for something that is left: following the first such need must come round.
    left = {tasks[index][0] for index, count in enumerate(waiting) if count > 0}
    key = next(key for key, _ in tasks if key in left)
    path: list[str] = []
    while key not in path:
        path.append(key)
        key = next(need for need in tasks[at[key]][1] if need in left)
    return order, [*path[path.index(key) :], key]


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?\Z")
_ASSIGNMENT = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*[.=]""")


def _places(text: str) -> dict[tuple[str | int, ...], int]:
    """On which line each header and each key of a plan stands; for messages only, so unusual spellings may be missed."""
    places: dict[tuple[str | int, ...], int] = {}
    prefix: tuple[str | int, ...] = ()
    counts: dict[str, int] = {}
    quote = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not quote:
            header = _HEADER.match(line)
            assignment = _ASSIGNMENT.match(line)
            if header:
                prefix = tuple(part.strip().strip("\"'") for part in header[2].split("."))
                if header[1] == "[[":
                    name = str(prefix[0])
                    counts[name] = counts.get(name, -1) + 1
                    prefix = (name, counts[name])
                for length in range(1, len(prefix) + 1):
                    places.setdefault(prefix[:length], number)
            elif assignment:
                places.setdefault((*prefix, assignment[1].strip("\"'")), number)
        for mark in ('"""', "'''"):
            if quote in ("", mark) and line.count(mark) % 2:
                quote = "" if quote else mark
    return places


def _line_of(where: _Where, places: Mapping[tuple[str | int, ...], int]) -> int:
    for length in range(len(where.path), 0, -1):
        if where.path[:length] in places:
            return places[where.path[:length]]
    return 1


def _syntax_problem(source: str, text: str, exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return f"{source}:1: nested too deeply"
    place = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)\Z", str(exc))
    line = 1 if place is None else int(place[1] or max(1, len(text.splitlines())))
    return f"{source}:{line}: not TOML: {str(exc)[: place.start()].rstrip() if place else exc}"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _got(value: object) -> str:
    kinds = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return f"got {kinds.get(type(value), type(value).__name__)}"


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number of more than nine digits"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _shown_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key) else _shown(key)


def _unfrozen(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _without_none(table: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in table.items() if value is not None}
