"""What happens to hosts in the field: things that a scenario lets happen to its world, or at a step of its engine."""

from __future__ import annotations

import dataclasses
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from signal import SIGTERM
from typing import Any

from rich.console import Console

from backends.tmux import TmuxMultiplexer
from harness.dashboard.reader import read_run
from harness.dashboard.render import list_screen, screen
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.runner import Stage
from harness.world import FakeWorld, LiveTmuxWorld, World

__all__ = [
    "ask_tmux",
    "at_step",
    "at_work",
    "both",
    "clients_of",
    "cut_socket",
    "escapes_in",
    "files_of",
    "foreign_windows",
    "on_screen",
    "replace_server",
    "simulated",
    "socket_directory_of",
    "split_off_shell",
    "stop_when",
    "when",
    "window_of",
    "with_environment",
]


def simulated(world: World) -> FakeWorld:
    """That world, where more can be done to it than to a live host; `TypeError` if it is none."""
    if not isinstance(world, FakeWorld):
        raise TypeError(f"this story needs a simulated host, and {world.name} is a live one")
    return world


def at_step(step: str, action: Callable[[], object], nth: int = 1) -> Callable[[str], None]:
    """A checkpoint that lets `action` happen once, when the engine comes to `step` for the nth time."""
    left = nth

    def checkpoint(reached: str) -> None:
        nonlocal left
        if reached == step and left > 0:
            left -= 1
            if left == 0:
                action()

    return checkpoint


def when(stage: Stage, ready: Callable[[], object], action: Callable[[], object]) -> None:
    """Let `action` happen once, as soon as `ready` holds: however slow a live host is, it never happens too early.

    Looked at on a live host at each step of the engine, in a simulation every tenth of a second.
    """

    def look() -> None:
        if ready():
            action()
        else:
            stage.at(0.1 if stage.world.virtual else 0, look)

    stage.at(0, look)


def at_work(stage: Stage, *tasks: str) -> Callable[[], bool]:
    """Whether agents have read their prompts for all these tasks (by default `1-1`), and the engine knows their windows."""

    def known() -> bool:
        busy = {entry["task"] for entry in stage.world.ledger() if entry["what"] == "prompt"}
        wanted = tasks or ("1-1",)
        return busy.issuperset(wanted) and all(window_of(stage, task) for task in wanted)

    return known


def stop_when(stage: Stage, ready: Callable[[], object]) -> None:
    """Let the run be asked to stop, as SIGTERM does, as soon as `ready` holds."""

    def stop() -> None:
        assert stage.engine is not None
        stage.engine.switch.deliver(SIGTERM)

    when(stage, ready, stop)


def both(*checkpoints: Callable[[str], None]) -> Callable[[str], None]:
    """A checkpoint that passes every step on to each of them."""

    def checkpoint(reached: str) -> None:
        for one in checkpoints:
            one(reached)

    return checkpoint


def cut_socket(world: World) -> None:
    """Unlink the socket of the multiplexer's server, which lives on, and cannot be reached."""
    if isinstance(world, FakeWorld):
        world.cut_socket()
        return
    multiplexer = world.multiplexer()
    assert isinstance(multiplexer, TmuxMultiplexer)
    world.disk.remove(multiplexer.socket_path)


def socket_directory_of(world: World) -> Path:
    """Where the socket of the multiplexer's server is, on a live host."""
    multiplexer = world.multiplexer()
    assert isinstance(multiplexer, TmuxMultiplexer)
    return multiplexer.socket_path.parent


def ask_tmux(world: World, *words: str) -> str:
    """What a tmux that knows nothing of us answers at the socket of our server, asked by a person on a live host."""
    assert isinstance(world, LiveTmuxWorld)
    return world.ask_tmux(*words)


def clients_of(world: World, field: str = "client_pid") -> list[str]:
    """A value of each client that is connected to the server of a live host, by default its pid."""
    return ask_tmux(world, "list-clients", "-F", f"#{{{field}}}").split()


def split_off_shell(world: World, window_id: str) -> None:
    """What a person does who opens a shell beside an agent: a second pane in its window of a live tmux."""
    ask_tmux(world, "split-window", "-d", "-t", window_id, "sh")


def replace_server(world: World, session: str) -> None:
    """Kill the server and start somebody else's at its socket, with a session of that name and windows `@0` and `@1`."""
    assert isinstance(world, FakeWorld | LiveTmuxWorld)
    world.replace_server(session)


def foreign_windows(world: World, session: str) -> dict[str, str]:
    """What was typed into each window of the session that `replace_server` made, by its id."""
    if isinstance(world, FakeWorld):
        found = world.server.sessions.get(session)
        typed = "" if world.disk.info("/sim/typed") is None else world.disk.read("/sim/typed").decode()
        return {} if found is None else {window.id: typed for window in found.windows() if not window.dead}
    ids = ask_tmux(world, "list-windows", "-t", f"={session}:", "-F", "#{window_id}").split()
    return {window_id: ask_tmux(world, "capture-pane", "-p", "-t", window_id).strip() for window_id in ids}


def window_of(stage: Stage, task: str) -> str:
    """The native id of the window that the newest attempt at that task is known to have."""
    return stage.store().load().state.task(task).attempts[-1].window_id or ""


def on_screen(stage: Stage) -> str:
    """Everything that a terminal with colours is sent when the newest run, and the list with it in it, are shown."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=120)
    view = read_run(stage.store())
    console.print(list_screen([view]))
    console.print(screen(view, events=1000))
    return terminal.getvalue()


def files_of(world: World, directory: Path) -> Iterator[tuple[PurePath, bytes]]:
    """Every regular file below that directory, with what is in it."""
    for name in world.disk.listdir(directory):
        path = directory / name
        found = world.disk.info(path)
        if found is not None and found.is_dir:
            yield from files_of(world, path)
        elif found is not None and found.is_file:
            with suppress(ValueError):
                yield path, world.disk.read(path)


_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def escapes_in(shown: str) -> set[str]:
    """What a terminal would act on in `shown`: every control, format or surrogate character but newlines and styles."""
    return {c for c in _STYLE.sub("", shown) if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")}


def with_environment(environment: Mapping[str, str]) -> Callable[..., Engine]:
    """Makes an engine in a process that has this environment, for `Stage.run(make=...)`."""

    def make(plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> Engine:
        return Engine(plan, run_dir, dataclasses.replace(outside, environment=environment), **options)

    return make
