"""What a person sees while a run goes on: a live screen on a terminal, one line an event elsewhere."""

from __future__ import annotations

from collections import deque

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from harness.commands.host import Host
from harness.commands.output import Output
from harness.dashboard import literal, task_table
from harness.dashboard.render import age
from harness.engine.engine import Engine
from harness.record import RunStore, TaskPhase, TaskState

__all__ = ["Watch"]

_REFRESH_S = 0.5
"""Seconds between two refreshes that no event has asked for."""
_EVENTS = 6
"""Newest events that the live screen shows."""


class Watch:
    """Shows the progress of one engine, while it is entered."""

    def __init__(self, host: Host, output: Output) -> None:
        self._host = host
        self._output = output
        self._engine: Engine | None = None
        self._live: Live | None = None
        self._began = self._shown = host.clock.monotonic()
        self._events: deque[Text] = deque(maxlen=_EVENTS)

    def over(self, engine: Engine) -> Watch:
        """Show that engine's progress."""
        self._engine = engine
        return self

    def __enter__(self) -> Watch:
        self._began = self._host.clock.monotonic()
        if self._output.rich:
            self._live = Live(
                console=self._output.console,
                get_renderable=self._screen,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was entered."""
        return self._host.clock.monotonic() - self._began

    def progress(self, line: str) -> None:
        """Take note of an event."""
        store = None if self._engine is None else self._engine.store
        shown = literal(line if store is None else store.clean(line, 400), 400)
        event, _, rest = shown.partition(" ")
        when = f"{self.elapsed_s:8.1f} s  "
        if self._live is not None:
            self._events.append(
                Text.assemble((when, "dim"), f"{event:<16} ", (rest, "dim"), no_wrap=True, overflow="ellipsis")
            )
            self._refresh()
            return
        self._output.aside(f"{when}{shown}")

    def tick(self, step: str) -> None:
        """Let the screen show that time passes; called at every step of the engine."""
        if self._live is not None and self._host.clock.monotonic() - self._shown >= _REFRESH_S:
            self._refresh()

    def _refresh(self) -> None:
        self._shown = self._host.clock.monotonic()
        if self._live is not None:
            self._live.refresh()

    def _screen(self) -> RenderableType:
        if self._engine is None:
            return Text()
        state = self._engine.core.state
        done = sum(task.phase is TaskPhase.DONE for task in state.tasks)
        head = Text.assemble(("▶ running", "cyan"), f"  {done}/{len(state.tasks)} done  {age(self.elapsed_s)}")
        if state.degraded_since is not None:
            head.append("  the multiplexer does not answer", "yellow")
        if self._engine.switch.by is not None:
            head.append("  stopping; once more forces it", "magenta")
        elif self._engine.switch.winding_down:
            head.append("  stops when its sessions have ended; Ctrl-C stops it now", "magenta")
        else:
            head.append("  Ctrl-C stops it", "dim")
        table = task_table([_cleaned(task, self._engine.store) for task in state.tasks])
        return Group(Text(), head, Text(), table, Text(), *self._events)


def _cleaned(task: TaskState, store: RunStore) -> TaskState:
    """The task as it may be shown: words that come from agents and commands are without secrets."""
    attempts = [msgspec.structs.replace(one, reason=store.clean(one.reason)) for one in task.attempts[-1:]]
    counted = [*task.attempts[:-1], *attempts]
    return msgspec.structs.replace(
        task, attempts=counted, reason=store.clean(task.reason), summary=store.clean(task.summary)
    )
